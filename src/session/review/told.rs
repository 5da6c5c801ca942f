//! What the model is told of the user's decisions.

use std::collections::BTreeMap;

use polytree_protocol::{hunk::HunkState, id::HunkId};

use super::chain::{Record, Verdict};
use crate::store::Review;

/// The longest text.
const MAX_BYTES: usize = 4 * 1024;

/// The decisions as a text for the model; `None` where there is nothing to tell.
pub(in crate::session) fn told(reviews: &[Review]) -> Option<String> {
    let mut last: BTreeMap<HunkId, (String, Verdict)> = BTreeMap::new();
    let mut order = Vec::new();
    for record in reviews.iter().filter_map(|review| serde_json::from_str::<Record>(&review.data).ok()) {
        for verdict in record.verdicts {
            order.retain(|id| *id != verdict.id);
            order.push(verdict.id.clone());
            last.insert(verdict.id.clone(), (record.path.clone(), verdict));
        }
    }
    let of = |state: HunkState| order.iter().map(|id| &last[id]).filter(move |(_, verdict)| verdict.state == state).collect::<Vec<_>>();
    let (undone, kept) = (of(HunkState::Undone), of(HunkState::Kept));
    if undone.is_empty() && kept.is_empty() {
        return None;
    }
    let mut text = "<system-reminder>\nThe user has reviewed changes that you made to files.\n".to_owned();
    if !undone.is_empty() {
        text.push_str("Undone: these changes are not in the files any more. Do not make them again unless you are asked to.\n");
        add(&mut text, undone.iter().map(|(path, verdict)| shown(path, verdict)));
    }
    if !kept.is_empty() {
        text.push_str("Kept as they are:\n");
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        kept.iter().for_each(|(path, _)| *files.entry(path).or_default() += 1);
        add(&mut text, files.iter().map(|(path, count)| format!("{path}: {count} change{}\n", if *count == 1 { "" } else { "s" })));
    }
    // A line of a file must not end it.
    let mut text = text.replace("</system-reminder", "<\\/system-reminder");
    text.push_str("</system-reminder>");
    Some(text)
}

/// Adds items up to the limit, and how many are left out.
fn add(text: &mut String, items: impl ExactSizeIterator<Item = String>) {
    let count = items.len();
    for (number, item) in items.enumerate() {
        if text.len() + item.len() > MAX_BYTES {
            text.push_str(&format!("and {} more\n", count - number));
            return;
        }
        text.push_str(&item);
    }
}

fn shown(path: &str, verdict: &Verdict) -> String {
    let lines = |sign: char, text: &str| text.lines().map(|line| format!("{sign}{line}\n")).collect::<String>();
    format!("{path}, line {}:\n{}{}", verdict.line, lines('-', &verdict.after), lines('+', &verdict.before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::review::text::id;

    fn review(path: &str, verdicts: &[(&str, HunkState, &str, &str)]) -> Review {
        let verdict = |(name, state, before, after): &(&str, HunkState, &str, &str)| Verdict {
            id: id(name),
            state: *state,
            line: 3,
            before: (*before).into(),
            after: (*after).into(),
        };
        let record = Record {
            path: path.into(),
            after: None,
            text: None,
            result: None,
            is_whole: false,
            verdicts: verdicts.iter().map(verdict).collect(),
        };
        Review { told: None, data: serde_json::to_string(&record).unwrap() }
    }

    #[test]
    fn the_last_decision_counts_and_the_text_is_bounded() {
        let (kept, undone) = (HunkState::Kept, HunkState::Undone);
        let reviews = [
            review("a.rs", &[("1", kept, "", ""), ("2", undone, "old\n", "new\nmore\n")]),
            review("b.rs", &[("3", undone, "x\n", "y\n"), ("4", kept, "", "")]),
            review("b.rs", &[("3", kept, "x\n", "y\n")]),
        ];
        expect_test::expect![[r"
            <system-reminder>
            The user has reviewed changes that you made to files.
            Undone: these changes are not in the files any more. Do not make them again unless you are asked to.
            a.rs, line 3:
            -new
            -more
            +old
            Kept as they are:
            a.rs: 1 change
            b.rs: 2 changes
            </system-reminder>"]]
        .assert_eq(&told(&reviews).unwrap());
        assert_eq!(told(&[]), None);
        let many: Vec<Review> =
            (0..1000).map(|number| review(&format!("{number}.rs"), &[(&number.to_string(), undone, "", &"x".repeat(300))])).collect();
        let text = told(&many).unwrap();
        assert!(text.len() < 5000 && text.contains("and 98"), "{text}");
    }
}

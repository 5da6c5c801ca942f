//! Pieces beside simpler ways to the same texts.

use proptest::prelude::*;

use super::*;

fn shown(text: &Text<'_>) -> Vec<String> {
    let show = |(line, piece): (usize, &Piece<'_>)| {
        let mark = if piece.is_mixed { " mixed" } else { "" };
        format!("{line} {:?} {:?} -> {:?}{mark}", piece.state, piece.before.concat(), piece.after.concat())
    };
    text.pieces().map(show).collect()
}

fn ids(text: &Text<'_>) -> Vec<HunkId> {
    text.pieces().map(|(_, piece)| piece.id.clone()).collect()
}

#[test]
fn changes_of_a_session_are_pieces_and_changes_of_others_are_not() {
    let mut text = Text::new("1\n2\n3\n4\n5\n6\n");
    text.by_session("1\ntwo\n3\n4\n6\n7\n", 0, "a");
    assert_eq!(shown(&text), [r#"1 Open "2\n" -> "two\n""#, r#"4 Open "5\n" -> """#, r#"5 Open "" -> "7\n""#]);
    let known = ids(&text);
    text.by_others("0\n1\ntwo\n3 of mine\n4\n6\n7\n8\n");
    assert_eq!(ids(&text), known, "they only move");
    assert_eq!(shown(&text)[0], r#"2 Open "2\n" -> "two\n""#);
    for id in &known {
        text.decide(id, HunkState::Undone).unwrap();
    }
    assert_eq!(text.lines().concat(), "0\n1\n2\n3 of mine\n4\n5\n6\n8\n");
    assert_eq!(ids(&text), known, "what is undone is still listed");
    text.decide(&known[1], HunkState::Kept).unwrap();
    assert_eq!(text.lines().concat(), "0\n1\n2\n3 of mine\n4\n6\n8\n");
    assert_eq!(text.decide(&id("other"), HunkState::Kept), Err(Refusal::Unknown));
}

#[test]
fn a_piece_that_others_change_is_another_one_and_cannot_be_undone() {
    let mut text = Text::new("1\n2\n3\n");
    text.by_session("1\na\nb\nc\n3\n", 0, "a");
    let known = ids(&text);
    text.decide(&known[0], HunkState::Kept).unwrap();
    text.by_others("1\na\nmine\nc\n3\n");
    assert_eq!(shown(&text), [r#"1 Open "2\n" -> "a\nmine\nc\n" mixed"#]);
    let now = ids(&text);
    assert_ne!(now, known);
    assert_eq!(text.decide(&now[0], HunkState::Undone), Err(Refusal::Mixed));
    text.decide(&now[0], HunkState::Kept).unwrap();
    // When the session changes it again, the lines of others are what it was before.
    text.by_session("1\na\nmine\nd\n3\n", 1, "b");
    assert_eq!(shown(&text), [r#"3 Open "c\n" -> "d\n""#]);
    // Somebody makes the change undone by hand.
    text.by_others("1\na\nmine\nc\n3\n");
    assert_eq!(shown(&text), [""; 0]);
}

#[test]
fn an_inserted_line_that_others_change_stays_a_piece() {
    for (new, now) in [("1\nb\n2\n", "1\nmine\n2\n"), ("1\n2\nb\n", "1\n2\nb")] {
        let mut text = Text::new("1\n2\n");
        text.by_session(new, 0, "a");
        let known = ids(&text);
        text.by_others(now);
        assert!(shown(&text).len() == 1 && shown(&text)[0].ends_with("mixed"), "{:?}", shown(&text));
        assert_ne!(ids(&text), known);
        assert_eq!(text.decide(&ids(&text)[0], HunkState::Undone), Err(Refusal::Mixed));
        text.by_others("1\n2\n");
        assert_eq!(shown(&text), [""; 0], "it was removed by hand");
    }
}

#[test]
fn removed_lines_that_are_there_again_are_no_piece() {
    for by_session in [false, true] {
        for again in ["1\n2\n3\n", "1\n2\nthree\n", "one\n2\n3\n"] {
            let mut text = Text::new("1\n2\n3\n");
            text.by_session("1\n3\n", 0, "a");
            if by_session {
                text.by_session(again, 1, "b");
                assert!(!shown(&text).iter().any(|piece| piece.contains("2\\n")), "{:?}", shown(&text));
            } else {
                text.by_others(again);
                assert_eq!(shown(&text), [""; 0], "{again:?}");
            }
            assert_eq!(text.lines().concat(), again);
        }
    }
}

#[test]
fn the_session_continues_from_what_was_kept() {
    let mut text = Text::new("1\n2\n3\n");
    text.by_session("1\ntwo\n3\n", 0, "a");
    let known = ids(&text);
    text.decide(&known[0], HunkState::Kept).unwrap();
    text.by_session("1\nTWO\n3\n", 1, "b");
    assert_eq!(shown(&text), [r#"1 Open "two\n" -> "TWO\n""#]);
    // Undone, it is the same again for both.
    let known = ids(&text);
    text.decide(&known[0], HunkState::Undone).unwrap();
    text.by_session("1\n2\n3\n", 2, "c");
    assert_eq!(shown(&text), [r#"1 Open "two\n" -> "2\n""#]);
}

#[test]
fn no_line_joins_another_one() {
    let mut text = Text::new("1\n2");
    text.by_session("1\n2\n3\n", 0, "a");
    text.by_others("1\n2\n3\nmine\n");
    let known = ids(&text);
    assert_eq!(text.decide(&known[0], HunkState::Undone), Err(Refusal::Mixed));
    assert_eq!(text.lines().concat(), "1\n2\n3\nmine\n");
}

/// A change of a text: at a line, this many lines are replaced by these.
type Edit = (usize, usize, Vec<u8>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec((0..12usize, 0..4usize, prop::collection::vec(0..6u8, 0..4)), 1..5)
}

fn edited(text: &str, edits: &[Edit], write: &mut dyn FnMut(u8) -> String) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for (at, count, new) in edits {
        let at = *at.min(&lines.len());
        let end = (at + count).min(lines.len());
        let new: Vec<String> = new.iter().map(|line| write(*line)).collect();
        lines.splice(at..end, new);
    }
    lines.concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Without changes of others the text is the first one with exactly the pieces that are not undone, whatever is decided in
    /// which order.
    #[test]
    fn any_subset_in_any_order(
        first in "([abc]\n){0,10}[ab]?",
        changes in prop::collection::vec(edits(), 1..4),
        verdicts in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8), 0..12),
    ) {
        let mut texts = vec![first.clone()];
        for edits in &changes {
            let write = &mut |line: u8| format!("{}\n", char::from(b'a' + line));
            let next = edited(texts.last().unwrap(), edits, write);
            texts.push(next);
        }
        let mut text = Text::new(&texts[0]);
        for (number, next) in texts.iter().enumerate().skip(1) {
            text.by_session(next, number, &number.to_string());
            prop_assert_eq!(&text.lines().concat(), next);
        }
        let now = texts.last().unwrap();
        let original: Vec<(usize, Piece<'_>)> = text.pieces().map(|(line, piece)| (line, piece.clone())).collect();
        for (index, (_, piece)) in original.iter().enumerate() {
            prop_assert!(original[..index].iter().all(|(_, other)| other.id != piece.id));
        }
        let expected = |is_undone: &dyn Fn(usize) -> bool| {
            let mut lines = lines(now);
            for (index, (line, piece)) in original.iter().enumerate().rev().filter(|(index, _)| is_undone(*index)) {
                let _ = index;
                lines.splice(*line..*line + piece.after.len(), piece.before.iter().copied());
            }
            lines.concat()
        };
        prop_assert_eq!(expected(&|_| true), first);
        let mut states = vec![HunkState::Open; original.len()];
        for (which, state) in verdicts {
            if original.is_empty() {
                break;
            }
            let index = which.index(original.len());
            let state = [HunkState::Open, HunkState::Kept, HunkState::Undone][usize::from(state)];
            if text.decide(&original[index].1.id, state).is_ok() {
                states[index] = state;
            }
            prop_assert_eq!(text.lines().concat(), expected(&|index| states[index] == HunkState::Undone));
            let now: Vec<HunkState> = text.pieces().map(|(_, piece)| piece.state).collect();
            prop_assert_eq!(&now, &states);
        }
    }

    /// Whoever changes the text in which order: no verdict removes a line of others.
    #[test]
    fn no_line_of_others_is_lost(
        first in "([abc]\n){0,8}",
        changes in prop::collection::vec((edits(), 0..3u8, any::<prop::sample::Index>()), 1..12),
    ) {
        let mut number = 0;
        let mut texts = vec![first];
        // The texts are made first, since pieces borrow them; a verdict makes its own.
        let mut text: Option<Text<'static>> = None;
        for (edits, kind, which) in &changes {
            let leaked = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
            let current = text.get_or_insert_with(|| Text::new(leaked(texts[0].clone())));
            let now = current.lines().concat();
            if *kind < 2 {
                let who = if *kind == 0 { 's' } else { 'u' };
                let write = &mut |_: u8| { number += 1; format!("{who}{number}\n") };
                let next = edited(&now, edits, write);
                if *kind == 0 {
                    current.by_session(leaked(next.clone()), number, &number.to_string());
                } else {
                    current.by_others(leaked(next.clone()));
                }
                prop_assert_eq!(current.lines().concat(), next.clone());
                texts.push(next);
                continue;
            }
            let ids = ids(current);
            if ids.is_empty() {
                continue;
            }
            let state = if edits[0].0 % 2 == 0 { HunkState::Undone } else { HunkState::Kept };
            let id = &ids[which.index(ids.len())];
            // To put a change into the text again is to replace what it replaces.
            let replaced = current.pieces().find(|(_, piece)| piece.id == *id).map(|(_, piece)| piece.before.concat()).unwrap_or_default();
            let _ = current.decide(id, state);
            let after = current.lines();
            let is_replaced = |line: &&str| state == HunkState::Kept && replaced.lines().any(|other| other == *line);
            for line in now.lines().filter(|line| line.starts_with('u') && !is_replaced(line)) {
                prop_assert!(after.iter().any(|other| other.trim_end() == line), "{} of {:?} in {:?}", line, now, after);
            }
        }
    }
}

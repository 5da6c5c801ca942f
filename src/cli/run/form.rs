//! Questions of the model at the terminal: shown one after the other, answered by numbers, labels or words. Pure.

use polytree_protocol::question::{Question, QuestionItem};

use crate::cli::render::{
    sanitize,
    style::{FAINT, STRONG, WARNING, paint},
};

/// The message for the model where nobody can be asked.
pub const NOBODY: &str = "there is no person at the terminal who could answer; decide yourself, or say what you need to know";

/// What the user is asked together, with the answers so far.
#[derive(Debug)]
pub struct Form {
    pub question: Question,
    answers: Vec<Vec<String>>,
}

/// The meaning of a typed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// There is another question.
    Next,
    /// All questions are answered.
    Done(Vec<Vec<String>>),
    /// The user does not want to answer.
    Rejected,
    /// The line is no answer, for this reason.
    Unclear(String),
}

impl Form {
    pub fn new(question: Question) -> Self {
        Self { question, answers: Vec::new() }
    }

    /// The question that is asked now.
    fn item(&self) -> Option<&QuestionItem> {
        self.question.questions.get(self.answers.len())
    }

    /// The lines of the question; `child` is the title of the asking child session.
    pub fn text(&self, child: Option<&str>) -> String {
        let Some(item) = self.item() else { return String::new() };
        let place = match self.question.questions.len() {
            1 => String::new(),
            all => paint(FAINT, &format!(" ({} of {all})", self.answers.len() + 1)),
        };
        let header = paint(STRONG, &format!("{}:", sanitize::line(&item.header)));
        let mut lines = vec![format!("{} {header} {}{place}", paint(WARNING.bold(), "?"), sanitize::exact(&item.question))];
        if let Some(child) = child {
            lines.push(paint(FAINT, &format!("  asked by the subagent {:?}", sanitize::line(child))));
        }
        for (index, option) in item.options.iter().enumerate() {
            let number = paint(STRONG, &format!("{:>4}", index + 1));
            let description = sanitize::exact(&option.description).replace('\n', " ");
            let description = if description.is_empty() { description } else { paint(FAINT, &format!("  {description}")) };
            lines.push(format!("{number}  {}{description}", sanitize::exact(&option.label)));
        }
        lines.join("\n")
    }

    /// The prompt with the possible answers, without a line end.
    pub fn choices(&self) -> String {
        let Some(item) = self.item() else { return String::new() };
        let numbers = match (item.options.len(), item.multiple) {
            (0, _) => String::new(),
            (1, _) => "1".to_owned(),
            (count, false) => format!("1-{count}"),
            (count, true) => format!("numbers of 1-{count}"),
        };
        let own = if item.custom { "an answer of your own".to_owned() } else { String::new() };
        let parts: Vec<String> =
            [numbers, own, format!("[{}]o answer", paint(STRONG, "n"))].into_iter().filter(|part| !part.is_empty()).collect();
        format!("  {}: ", parts.join(", "))
    }

    /// Takes a typed line as the answer to the question that is asked now.
    pub fn typed(&mut self, line: &str) -> Typed {
        let Some(item) = self.item() else { return Typed::Done(std::mem::take(&mut self.answers)) };
        let text = line.trim();
        let chosen = match parse(text, item) {
            Ok(Some(chosen)) => chosen,
            Ok(None) => return Typed::Rejected,
            Err(reason) => return Typed::Unclear(reason),
        };
        self.answers.push(chosen);
        if self.item().is_some() { Typed::Next } else { Typed::Done(std::mem::take(&mut self.answers)) }
    }
}

/// The chosen labels or the user's own text; `None` if there is to be no answer.
fn parse(text: &str, item: &QuestionItem) -> Result<Option<Vec<String>>, String> {
    let label = |word: &str| {
        let by_number = word.parse::<usize>().ok().and_then(|number| item.options.get(number.checked_sub(1)?));
        let by_label = || item.options.iter().find(|option| option.label.eq_ignore_ascii_case(word));
        by_number.or_else(by_label).map(|option| option.label.clone())
    };
    if text.is_empty() {
        return Err("give an answer, or n for none".to_owned());
    }
    if let Some(label) = label(text) {
        return Ok(Some(vec![label]));
    }
    if ["n", "no answer"].contains(&text.to_lowercase().as_str()) {
        return Ok(None);
    }
    let words: Vec<&str> = text.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    let numbers: Option<Vec<String>> = words.iter().map(|word| word.parse::<usize>().ok().and_then(|_| label(word))).collect();
    match numbers {
        Some(mut labels) if !labels.is_empty() && (item.multiple || labels.len() == 1) => {
            let mut seen = std::collections::HashSet::new();
            labels.retain(|label| seen.insert(label.clone()));
            return Ok(Some(labels));
        }
        Some(_) => return Err("only one answer can be chosen".to_owned()),
        None => {}
    }
    let is_number = words.iter().all(|word| word.chars().all(|c| c.is_ascii_digit()));
    if item.custom && (!is_number || item.options.is_empty()) {
        return Ok(Some(vec![text.to_owned()]));
    }
    Err(format!("choose by number, from 1 to {}", item.options.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form() -> Form {
        let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let option = |label: &str| json!({ "label": label, "description": format!("about {label}\u{202e}") });
        let question = json!({
            "id": format!("que_{ulid}"), "sessionID": format!("ses_{ulid}"), "messageID": format!("msg_{ulid}"), "callID": "c", "time": { "created": 1 },
            "questions": [
                { "header": "Store", "question": "Which?", "options": [option("SQLite"), option("Postgres")] },
                { "header": "More", "question": "What else?", "options": [option("a"), option("b"), option("c")], "multiple": true, "custom": true },
            ],
        });
        Form::new(serde_json::from_value(question).unwrap())
    }

    #[test]
    fn questions_are_answered_one_after_the_other() {
        let mut form = form();
        let text = anstream::adapter::strip_str(&form.text(Some("child"))).to_string();
        assert_eq!(
            text,
            "? Store: Which? (1 of 2)\n  asked by the subagent \"child\"\n   1  SQLite  about SQLite\\u{202e}\n   2  Postgres  about Postgres\\u{202e}"
        );
        assert_eq!(anstream::adapter::strip_str(&form.choices()).to_string(), "  1-2, [n]o answer: ");
        for (line, reason) in
            [("", "give an answer"), ("3", "from 1 to 2"), ("MySQL", "from 1 to 2"), ("1 2", "only one"), ("0", "from 1 to 2")]
        {
            assert!(matches!(form.typed(line), Typed::Unclear(said) if said.contains(reason)), "{line:?}");
        }
        assert_eq!(form.typed(" postgres "), Typed::Next);
        assert_eq!(anstream::adapter::strip_str(&form.choices()).to_string(), "  numbers of 1-3, an answer of your own, [n]o answer: ");
        assert!(matches!(form.typed("1 7"), Typed::Unclear(_)));
        let chosen = |answers: &[&str]| Typed::Done(vec![vec!["Postgres".to_owned()], answers.iter().map(|a| (*a).to_owned()).collect()]);
        assert_eq!(form.typed("3, 1 3"), chosen(&["c", "a"]));
    }

    #[test]
    fn an_answer_may_be_a_text_or_none() {
        let mut own = form();
        assert_eq!(own.typed("1"), Typed::Next);
        assert_eq!(own.typed("no tests, please"), Typed::Done(vec![vec!["SQLite".to_owned()], vec!["no tests, please".to_owned()]]));
        assert_eq!(form().typed("n"), Typed::Rejected);
    }
}

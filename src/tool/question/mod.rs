//! Asks the user questions and waits for the answers. The session stores what is asked, so that any client may answer, also
//! after a restart of the daemon.

use async_trait::async_trait;
use polytree_protocol::question::{QuestionItem, QuestionOption};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    context::{Ask, ToolContext},
    definition::{ALLOWED, Defaults, Tool, ToolError, ToolOutput},
};
use crate::stdx::{paths::AbsPath, visible};

/// The most questions of a call, and the most options of a question.
const MAX_QUESTIONS: usize = 10;
const MAX_OPTIONS: usize = 20;
/// The most characters of each text.
const MAX_HEADER: usize = 80;
const MAX_QUESTION: usize = 4000;
const MAX_LABEL: usize = 200;
const MAX_DESCRIPTION: usize = 1000;

pub struct Question;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionArgs {
    /// The questions, at most 10.
    questions: Vec<Item>,
}

/// One question.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    /// A label of one to three words, such as "Database".
    header: String,
    /// The complete question.
    question: String,
    /// The answers to choose from, at most 20.
    options: Vec<Choice>,
    /// Whether several options may be chosen; default false.
    #[serde(default)]
    multiple: Option<bool>,
    /// Whether the user may answer with a text of their own; default true.
    #[serde(default)]
    custom: Option<bool>,
}

/// An answer to choose.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Choice {
    /// One to five words.
    label: String,
    /// What it means or brings about.
    description: String,
}

#[async_trait]
impl Tool for Question {
    const NAME: &'static str = "question";
    const DESCRIPTION: &'static str = include_str!("question.md");
    const PERMISSION: &'static str = "question";
    const DEFAULTS: Defaults = ALLOWED;
    type Args = QuestionArgs;

    fn subject(args: &QuestionArgs, _: &AbsPath) -> String {
        args.questions.iter().map(|item| item.header.trim()).collect::<Vec<_>>().join(", ")
    }

    async fn run(&self, context: &ToolContext, args: QuestionArgs) -> Result<ToolOutput, ToolError> {
        let questions = checked(args).map_err(ToolError::Failed)?;
        let headers: Vec<String> = questions.iter().map(|item| item.header.clone()).collect();
        let title = headers.join(", ");
        let ask = Ask {
            kind: Self::PERMISSION.into(),
            patterns: headers,
            always: vec!["*".into()],
            title: title.clone(),
            metadata: json!({}),
            ..Ask::default()
        };
        context.ask(ask).await?;
        let answers = context.host.question(context, questions.clone()).await?;
        let output = rendered(&questions, &answers);
        Ok(ToolOutput::new(title, output, json!({ "questions": questions, "answers": answers })))
    }
}

/// What the model reads of the answers.
fn rendered(questions: &[QuestionItem], answers: &[Vec<String>]) -> String {
    let line = |(item, chosen): (&QuestionItem, &Vec<String>)| {
        let answer = if chosen.is_empty() { "(no answer)".to_owned() } else { chosen.join("; ") };
        format!("{}\n=> {answer}\n", item.question)
    };
    let lines: Vec<String> = questions.iter().zip(answers).map(line).collect();
    format!("The user has answered:\n\n{}", lines.join("\n"))
}

/// The questions as people see them, with what cannot be seen spelled out.
fn checked(args: QuestionArgs) -> Result<Vec<QuestionItem>, String> {
    if args.questions.is_empty() {
        return Err("There is no question. Please give at least one.".to_owned());
    }
    if args.questions.len() > MAX_QUESTIONS {
        return Err(format!(
            "There are {} questions; a call may have at most {MAX_QUESTIONS}. Please ask the most important ones.",
            args.questions.len()
        ));
    }
    args.questions.into_iter().enumerate().map(|(index, item)| checked_item(index + 1, item)).collect()
}

fn checked_item(number: usize, item: Item) -> Result<QuestionItem, String> {
    let text = |what: &str, text: &str, limit: usize| {
        let text = text.trim();
        match text.chars().count() {
            0 => Err(format!("Question {number}: {what} is empty.")),
            count if count > limit => Err(format!("Question {number}: {what} has {count} characters; the limit is {limit}.")),
            _ => Ok(visible::exact(text)),
        }
    };
    let header = text("`header`", &item.header, MAX_HEADER)?.replace(['\n', '\t'], " ");
    let question = text("`question`", &item.question, MAX_QUESTION)?;
    let custom = item.custom.unwrap_or(true);
    if item.options.is_empty() && !custom {
        return Err(format!("Question {number} has neither options nor `custom`, so it cannot be answered."));
    }
    if item.options.len() > MAX_OPTIONS {
        return Err(format!("Question {number} has {} options; the limit is {MAX_OPTIONS}.", item.options.len()));
    }
    let mut options: Vec<QuestionOption> = Vec::new();
    for Choice { label, description } in item.options {
        let label = text("the label of an option", &label, MAX_LABEL)?.replace(['\n', '\t'], " ");
        // A description may be left empty.
        let description = if description.trim().is_empty() { String::new() } else { text("a description", &description, MAX_DESCRIPTION)? };
        if options.iter().any(|option| option.label == label) {
            return Err(format!("Question {number} has two options with the label {label:?}. Please give each its own."));
        }
        options.push(QuestionOption { label, description });
    }
    Ok(QuestionItem { header, question, options, multiple: item.multiple.unwrap_or_default(), custom })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tool::{
        definition::erase,
        test_host::{Answer, Place},
    };

    fn question(options: &Value) -> Value {
        json!({ "header": "Database", "question": "Which database?", "options": options })
    }

    #[tokio::test]
    async fn the_answers_go_to_the_model_in_their_order() {
        let place = Place::new();
        place.host.answer_questions(Ok(vec![vec!["SQLite".to_owned()], vec![], vec!["a".to_owned(), "my own".to_owned()]]));
        let option = |label: &str| json!({ "label": label, "description": "" });
        let mut many = question(&json!([option("a"), option("b")]));
        many["multiple"] = true.into();
        let input = json!({ "questions": [question(&json!([option("SQLite")])), question(&json!([])), many] });
        let output = place.call(&erase(Question), input).await.unwrap();
        assert_eq!(
            output.output,
            "The user has answered:\n\nWhich database?\n=> SQLite\n\nWhich database?\n=> (no answer)\n\nWhich database?\n=> a; my own\n"
        );
        assert_eq!(output.metadata["answers"], json!([["SQLite"], [], ["a", "my own"]]));
        assert_eq!(
            (&output.metadata["questions"][0]["custom"], &output.metadata["questions"][2]["multiple"]),
            (&json!(true), &json!(true))
        );
        assert_eq!((output.title.as_str(), place.host.kinds()), ("Database, Database, Database", vec!["question".to_owned()]));
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_refused_with_the_reason() {
        let place = Place::new();
        let option = |label: &str| json!({ "label": label, "description": "d" });
        let mut closed = question(&json!([]));
        closed["custom"] = false.into();
        for (questions, said) in [
            (json!([]), "at least one"),
            (vec![question(&json!([])); 11].into(), "at most 10"),
            (json!([closed]), "cannot be answered"),
            (json!([question(&json!([option("a"), option(" a ")]))]), "two options with the label \"a\""),
            (json!([question(&json!(vec![option("a"); 21]))]), "the limit is 20"),
            (json!([question(&json!([option(" ")]))]), "is empty"),
            (json!([{ "header": "x", "question": "x".repeat(4001), "options": [] }]), "the limit is 4000"),
        ] {
            let error = place.call(&erase(Question), json!({ "questions": questions })).await.unwrap_err();
            assert!(matches!(&error, ToolError::Failed(text) if text.contains(said)), "{error}");
        }
        assert!(place.host.kinds().is_empty(), "nothing was asked");
        place.host.answer("question", Answer::Deny);
        let denied = place.call(&erase(Question), json!({ "questions": [question(&json!([]))] })).await;
        assert!(matches!(denied, Err(ToolError::Denied(_))));
    }

    #[test]
    fn a_person_sees_what_cannot_be_seen() {
        let item = Item {
            header: "a\nb".to_owned(),
            question: "delete\u{202e}?\nreally".to_owned(),
            options: vec![Choice { label: "no\u{200b}".to_owned(), description: String::new() }],
            multiple: None,
            custom: None,
        };
        let checked = checked_item(1, item).unwrap();
        assert_eq!((checked.header.as_str(), checked.question.as_str()), ("a b", "delete\\u{202e}?\nreally"));
        assert_eq!(checked.options[0].label, "no\\u{200b}");
    }
}

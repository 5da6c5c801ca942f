//! The handlers of `question.*`.

use polytree_protocol::{
    id::{QuestionId, SessionId},
    methods::{QuestionList, QuestionReject, QuestionReply},
    question::{Question, QuestionItem},
    session::Session,
};

use crate::{
    api::{
        select,
        session::{family, is_below},
    },
    permission::InquiryEnd,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
};

/// The longest answer, and the longest message of a rejection.
const MAX_TEXT: usize = 64 * 1024;

impl Handler for QuestionList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Question>, Error> {
        let narrowing = select::narrowing(&params).await?;
        let family = family(&context, params.session_id.as_ref()).await?;
        let open = context.daemon.inquirer.open().await?;
        Ok(open
            .into_iter()
            .filter(|inquiry| family.as_ref().is_none_or(|family| family.contains(&inquiry.question.session_id)))
            .filter(|inquiry| params.project_id.as_ref().is_none_or(|wanted| *wanted == inquiry.project_id))
            .filter(|inquiry| is_below(&inquiry.directory, narrowing.as_deref()))
            .map(|inquiry| inquiry.question)
            .collect())
    }
}

impl Handler for QuestionReply {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        let found = context.daemon.inquirer.get(params.question_id.clone()).await?;
        let inquiry = found.filter(|inquiry| inquiry.question.session_id == session.id);
        let inquiry = inquiry.ok_or_else(|| Error::not_found("question in this session", &params.question_id))?;
        check(&inquiry.question.questions, &params.answers).map_err(Error::invalid_params)?;
        end(&context, session.id, params.question_id, InquiryEnd::Answered(params.answers)).await
    }
}

impl Handler for QuestionReject {
    async fn handle(context: Context, params: Self::Params) -> Result<Session, Error> {
        let session = select::session(&context, &params, &params.session_id).await?;
        if params.message.as_ref().is_some_and(|message| message.len() > MAX_TEXT) {
            return Err(Error::invalid_params(format!("`message` is longer than {MAX_TEXT} bytes")));
        }
        end(&context, session.id, params.question_id, InquiryEnd::Rejected(params.message)).await
    }
}

async fn end(context: &Context, session: SessionId, id: QuestionId, end: InquiryEnd) -> Result<Session, Error> {
    let _busy = context.daemon.sessions.enter_answer(&session)?;
    let settled = context.daemon.inquirer.end(session.clone(), id, end).await?;
    if settled.orphaned {
        context.daemon.sessions.resume(&settled.session_id, context.connection.environment());
    }
    Ok(context.daemon.sessions.get(&session).await?)
}

/// Whether these are answers to these questions.
fn check(questions: &[QuestionItem], answers: &[Vec<String>]) -> Result<(), String> {
    if answers.len() != questions.len() {
        return Err(format!("`answers` must have a list for each of the {} questions, not {}", questions.len(), answers.len()));
    }
    for (place, (question, chosen)) in questions.iter().zip(answers).enumerate() {
        let place = format!("`answers[{place}]`");
        if chosen.len() > 1 && !question.multiple {
            return Err(format!("{place} has {} answers, but only one option may be chosen", chosen.len()));
        }
        let is_option = |answer: &str| question.options.iter().any(|option| option.label == answer);
        if chosen.iter().filter(|answer| !is_option(answer)).count() > 1 {
            return Err(format!("{place} has more than one text that is no option"));
        }
        for (index, answer) in chosen.iter().enumerate() {
            if chosen[..index].contains(answer) {
                return Err(format!("{place} has {answer:?} twice"));
            }
            if answer.len() > MAX_TEXT {
                return Err(format!("{place} has an answer of {} bytes; the limit is {MAX_TEXT}", answer.len()));
            }
            if answer.trim().is_empty() {
                return Err(format!("{place} has an empty answer; to leave a question unanswered give an empty list"));
            }
            if !question.custom && !is_option(answer) {
                let labels: Vec<String> = question.options.iter().map(|option| format!("{:?}", option.label)).collect();
                return Err(format!("{place} must be one of {}, not {answer:?}", labels.join(", ")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use polytree_protocol::question::QuestionOption;

    use super::*;

    #[test]
    fn answers_must_fit_their_questions() {
        let option = |label: &str| QuestionOption { label: label.to_owned(), description: String::new() };
        let item = |multiple, custom| QuestionItem { options: vec![option("a"), option("b")], multiple, custom, ..QuestionItem::default() };
        let questions = [item(false, false), item(true, true)];
        let answers = |first: &[&str], second: &[&str]| -> Vec<Vec<String>> {
            [first, second].iter().map(|chosen| chosen.iter().map(|answer| (*answer).to_owned()).collect()).collect()
        };
        for (first, second) in [(vec!["a"], vec!["a", "b", "mine"]), (vec![], vec![]), (vec!["b"], vec!["what I want"])] {
            assert_eq!(check(&questions, &answers(&first, &second)), Ok(()), "{first:?} {second:?}");
        }
        for (first, second, said) in [
            (vec!["a", "b"], vec![], "only one option"),
            (vec!["c"], vec![], r#"must be one of "a", "b", not "c""#),
            (vec!["A"], vec![], "must be one of"),
            (vec![], vec!["a", "a"], "twice"),
            (vec![], vec!["x", "y"], "more than one text"),
            (vec![], vec![" "], "empty answer"),
        ] {
            let error = check(&questions, &answers(&first, &second)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        assert!(check(&questions, &answers(&[], &[])[..1]).unwrap_err().contains("each of the 2 questions"));
        assert!(check(&questions, &[vec![], vec!["x".repeat(MAX_TEXT + 1)]]).unwrap_err().contains("limit"));
    }
}

//! What follows a step. Pure.

use polytree_protocol::message::MessageError;

use super::repeats::{Repeat, Repeats};
use crate::provider::retry::Failures;

/// How far a turn is.
#[derive(Debug, Default)]
pub(super) struct LoopState {
    /// The steps that count against the agent's limit.
    pub steps: u32,
    /// The model was told that this step is the last one.
    pub is_final: bool,
    /// Model calls in a row that have failed, over all messages.
    pub failures: Failures,
    /// Detects a model that repeats itself.
    pub repeats: Repeats,
    /// A summary failed in this turn: only where the service refuses the conversation another one is tried.
    pub summary_failed: bool,
}

/// How a step ended: one model call, and the tool calls of its answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum StepEnd {
    /// The model call failed; with `retry`, another attempt may succeed.
    Failed {
        error: MessageError,
        retry: bool,
    },
    /// The answer has no tool calls.
    Answered,
    /// Every tool call of the answer has its result.
    Called,
    /// The user rejected a tool call without saying what to do instead.
    Rejected,
    Aborted,
    /// A tool call waits for a person, and the daemon shuts down: the next daemon resumes the turn.
    Suspended,
}

/// What a turn does after a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    Step,
    /// The same step again, in a new answer. This answer keeps its error, and clients are not told of it.
    Retry(MessageError),
    /// Another step, before which the model reads the text. With an error, the answer is refused and does not count.
    Remind {
        text: String,
        error: Option<MessageError>,
    },
    /// Another step, by this agent from now on.
    Switch(&'static str),
    /// The same step again after the conversation was summarised. The service has refused it as too long, with this error.
    Compact(MessageError),
    End(End),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Done,
    Failed(MessageError),
    Stuck(Repeat),
    Aborted,
    Suspended,
}

/// What follows a step that ended so. `wish` is what a guest of the turn asks for.
pub(super) fn next(state: &LoopState, ended: StepEnd, wish: Option<Next>) -> Next {
    let usual = match ended {
        StepEnd::Aborted => return Next::End(End::Aborted),
        StepEnd::Suspended => return Next::End(End::Suspended),
        StepEnd::Rejected => return Next::End(End::Done),
        StepEnd::Failed { error, retry: true } => return Next::Retry(error),
        StepEnd::Failed { error, retry: false } => Next::End(End::Failed(error)),
        StepEnd::Answered => Next::End(End::Done),
        StepEnd::Called => match state.repeats.stuck() {
            Some(repeat) => return Next::End(End::Stuck(repeat)),
            None if state.is_final => Next::End(End::Done),
            None => Next::Step,
        },
    };
    wish.unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use polytree_protocol::message::{MessageErrorData, MessageErrorName};

    use super::*;

    fn error(message: &str) -> MessageError {
        MessageError {
            name: MessageErrorName::UnknownError,
            data: MessageErrorData { message: message.to_owned(), ..MessageErrorData::default() },
        }
    }

    fn show(next: &Next) -> String {
        match next {
            Next::Step => "step".to_owned(),
            Next::Retry(error) => format!("retry after {}", error.data.message),
            Next::Remind { text, error } => format!("remind of {text}, {}", if error.is_some() { "refused" } else { "counted" }),
            Next::Switch(agent) => format!("step by {agent}"),
            Next::Compact(error) => format!("summarise after {}", error.data.message),
            Next::End(End::Done) => "done".to_owned(),
            Next::End(End::Failed(error)) => format!("failed by {}", error.data.message),
            Next::End(End::Stuck(_)) => "stuck".to_owned(),
            Next::End(End::Aborted) => "aborted".to_owned(),
            Next::End(End::Suspended) => "suspended".to_owned(),
        }
    }

    /// What follows for each wish of a guest: none, a step, a refused answer, a reminder, a summary, success, failure.
    fn row(ended: &StepEnd, is_final: bool, is_stuck: bool) -> String {
        let mut state = LoopState { is_final, ..LoopState::default() };
        for _ in 0..if is_stuck { 10 } else { 9 } {
            state.repeats.answer(false, false);
        }
        let wishes = [
            None,
            Some(Next::Step),
            Some(Next::Remind { text: "form".to_owned(), error: Some(error("form")) }),
            Some(Next::Remind { text: "files".to_owned(), error: None }),
            Some(Next::Switch("build")),
            Some(Next::Compact(error("too long"))),
            Some(Next::End(End::Done)),
            Some(Next::End(End::Failed(error("guest")))),
        ];
        let mut shown: Vec<String> = wishes.into_iter().map(|wish| show(&next(&state, ended.clone(), wish))).collect();
        shown.dedup();
        shown.join(" | ")
    }

    #[test]
    fn what_follows_each_end_of_a_step() {
        let ends = [
            ("failed, retry", StepEnd::Failed { error: error("model"), retry: true }),
            ("failed", StepEnd::Failed { error: error("model"), retry: false }),
            ("answered", StepEnd::Answered),
            ("called", StepEnd::Called),
            ("rejected", StepEnd::Rejected),
            ("aborted", StepEnd::Aborted),
            ("suspended", StepEnd::Suspended),
        ];
        let mut table = String::new();
        for (name, ended) in ends {
            let rows =
                [(false, false), (true, false), (false, true), (true, true)].map(|(last, stuck)| (last, stuck, row(&ended, last, stuck)));
            if rows.iter().all(|(.., row)| *row == rows[0].2) {
                table.push_str(&format!("{name}: {}\n", rows[0].2));
                continue;
            }
            for (last, stuck, row) in rows {
                table.push_str(&format!("{name}{}{}: {row}\n", if last { ", final" } else { "" }, if stuck { ", stuck" } else { "" }));
            }
        }
        expect_test::expect![[r"
            failed, retry: retry after model
            failed: failed by model | step | remind of form, refused | remind of files, counted | step by build | summarise after too long | done | failed by guest
            answered: done | step | remind of form, refused | remind of files, counted | step by build | summarise after too long | done | failed by guest
            called: step | remind of form, refused | remind of files, counted | step by build | summarise after too long | done | failed by guest
            called, final: done | step | remind of form, refused | remind of files, counted | step by build | summarise after too long | done | failed by guest
            called, stuck: stuck
            called, final, stuck: stuck
            rejected: done
            aborted: aborted
            suspended: suspended
        "]]
        .assert_eq(&table);
    }
}

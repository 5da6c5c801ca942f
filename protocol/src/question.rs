//! Questions of the model to the user: `question.*`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{MessageId, QuestionId, SessionId},
    permission::PermissionTime,
};

params! {
    /// Params of `question.list`.
    QuestionListParams {
        /// Only this session and its descendants.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

params! {
    /// Params of `question.reply`.
    QuestionReplyParams {
        /// The session that asks.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The request.
        #[serde(rename = "questionID")]
        question_id: QuestionId,
        /// For each question, in order, the labels of the chosen options, or the user's own text where `custom` allows it. An
        /// empty list leaves a question unanswered.
        answers: Vec<Vec<String>>,
    }
}

params! {
    /// Params of `question.reject`.
    QuestionRejectParams {
        /// The session that asks.
        #[serde(rename = "sessionID")]
        session_id: SessionId,
        /// The request.
        #[serde(rename = "questionID")]
        question_id: QuestionId,
        /// A message for the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    }
}

/// One or more questions that the model asks together. The turn waits for the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// The request's id.
    pub id: QuestionId,
    /// The session that asks.
    #[serde(rename = "sessionID")]
    pub session_id: SessionId,
    /// The assistant message that holds the tool call.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// The tool call.
    #[serde(rename = "callID")]
    pub call_id: String,
    /// What is asked. What cannot be seen is spelled out, as `\u{202e}`.
    pub questions: Vec<QuestionItem>,
    /// When it was asked.
    pub time: PermissionTime,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct QuestionItem {
    /// A short label, for a tab or a heading.
    pub header: String,
    /// The question.
    pub question: String,
    /// The answers to choose from.
    pub options: Vec<QuestionOption>,
    /// More than one option may be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// An answer may be the user's own text.
    #[serde(default)]
    pub custom: bool,
}

/// An answer to choose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct QuestionOption {
    /// What the answer is called; distinct within a question.
    pub label: String,
    /// What it means.
    pub description: String,
}

/// How a request of the model ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuestionOutcome {
    /// The user has answered.
    Answered,
    /// The user does not answer.
    Rejected,
    /// Withdrawn because the turn was aborted.
    Aborted,
    /// Withdrawn because it is obsolete.
    Expired,
}

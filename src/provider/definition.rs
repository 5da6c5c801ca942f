//! What every model service is to the rest of the daemon: a request in neutral terms, and a stream of deltas.
//! Nothing of a provider's own shapes passes this file.

use futures::stream::BoxStream;
use polytree_protocol::{
    message::Tokens,
    provider::{Model, ModelCost, ModelLimit, ModelRef},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest answer, in bytes, with everything that belongs to it: text, thinking, signatures and calls.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// What a call counts in the length of an answer beside its arguments: it costs a part, two events and perhaps a task,
/// however short it is.
pub const CALL_LENGTH: usize = 8 * 1024;

/// One call of a model.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    pub model: ModelRef,
    /// Its limits and abilities.
    pub info: Model,
    /// System texts, the most stable first; providers with a prompt cache mark them.
    pub system: Vec<String>,
    /// The history, oldest first; it ends with a user or a tool message.
    pub messages: Vec<ModelMessage>,
    /// The tools that the model may call.
    pub tools: Vec<ToolSpec>,
    /// Sampling temperature; only where `info.temperature`.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: u64,
    /// Further fields of the provider's own, merged into the request's body.
    pub options: Map<String, Value>,
    /// The same for all calls of a session: a key for the provider's prompt cache.
    pub cache_key: String,
}

/// A tool as a model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub parameters: Value,
}

/// A message of the history.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ModelMessage {
    User(Vec<UserContent>),
    Assistant(Vec<AssistantContent>),
    /// The results of the calls of the assistant message before it, in its order, one for each.
    Tool(Vec<ToolResult>),
}

/// A piece of a user message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UserContent {
    Text(String),
    /// An image or a document.
    Media(Media),
}

/// An image or a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Media {
    pub mime: String,
    /// The name, where it has one.
    pub filename: Option<String>,
    /// The bytes in base64.
    pub base64: String,
}

/// A piece of an assistant message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AssistantContent {
    Text(String),
    /// Thinking, with the signature that the provider gave it; sent back only to the same provider.
    Reasoning {
        /// The text; may be empty beside a signature.
        text: String,
        /// The provider's signature.
        signature: Option<String>,
    },
    ToolCall {
        /// The provider's id of the call.
        call_id: String,
        name: String,
        /// The arguments: a JSON object.
        input: Value,
        /// What the provider attached to the call (`ToolCallDone::metadata`), sent back as it came.
        metadata: Option<Value>,
    },
}

/// The result of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    /// The provider's id of the call.
    pub call_id: String,
    pub name: String,
    /// What the model reads.
    pub output: String,
    /// The call failed.
    pub is_error: bool,
    /// Images that belong to the result.
    pub media: Vec<Media>,
}

/// What comes out of a model, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Delta {
    /// More text.
    Text(String),
    /// More thinking.
    Reasoning(String),
    /// The signature that closes the thinking since the last one: more thinking after it is another block, which goes
    /// back as a `Reasoning` of its own. There may be no text before it, where the service keeps its thinking secret.
    ReasoningSignature(String),
    /// The model began to write a call.
    ToolCallStart {
        /// The provider's id of the call.
        call_id: String,
        name: String,
    },
    /// A call is complete. Calls come in the model's order; a start may be missing.
    ToolCallDone {
        /// The provider's id of the call; never empty, unique in the answer.
        call_id: String,
        name: String,
        /// The arguments as the model wrote them: should be a JSON object, may be broken.
        arguments: String,
        /// What the provider wants back with the call.
        metadata: Option<Value>,
    },
    /// The answer has ended well. Always the last delta of a good stream, and only there.
    Finish {
        reason: FinishReason,
        /// What was used; zero where the service did not say. `input` excludes cached tokens, `output` excludes reasoning.
        tokens: Tokens,
    },
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It wants tools to be run.
    ToolCalls,
    /// The output limit was reached.
    Length,
    /// The service withheld the content.
    ContentFilter,
    /// The service named another reason, or none.
    Other,
}

impl FinishReason {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::ToolCalls => "tool-calls",
            Self::Length => "length",
            Self::ContentFilter => "content-filter",
            Self::Other => "other",
        }
    }
}

/// How a model call failed. Messages are for people and never hold a key.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Error {
    /// The key is missing or was refused.
    #[error("{message}")]
    Credentials {
        /// What the service or the daemon says.
        message: String,
    },
    /// The account has no credit left, or is over its quota: waiting does not help.
    #[error("{message}")]
    Quota { message: String },
    /// The service has no such model.
    #[error("{message}")]
    ModelNotFound { message: String },
    /// The service refuses the content of the request, or withholds the answer.
    #[error("{message}")]
    ContentFilter { message: String },
    /// The way to the service is set up wrongly: it is not trusted, or a proxy refuses.
    #[error("{message}")]
    Network { message: String, hint: Option<String> },
    /// The service answered with an error.
    #[error("{message}")]
    Status {
        status: u16,
        /// What the service says, at most 2,000 characters.
        message: String,
        /// When the service wants to be asked again, in milliseconds from now.
        retry_after: Option<u64>,
    },
    /// The service could not be reached, or the stream broke before its end.
    #[error("{message}")]
    Connection { message: String },
    /// Nobody answers at the address: the host is unknown, or a program on this machine does not run.
    #[error("{message}")]
    Unreachable {
        /// What was tried.
        message: String,
        hint: Option<String>,
    },
    /// The answer ended well, but holds neither text nor a call.
    #[error("{message}")]
    Empty { message: String },
    /// The history is longer than the model's context.
    #[error("{message}")]
    ContextOverflow { message: String },
    /// The service sent an error in mid-stream, or something that is not its protocol.
    #[error("{message}")]
    Stream {
        message: String,
        /// Trying again may help (overload, internal error of the service).
        retryable: bool,
    },
    /// The request cannot be made: a wrong address, an unknown wire protocol.
    #[error("{message}")]
    Request {
        /// What is wrong, and what to do.
        message: String,
    },
}

impl Error {
    /// The answer is longer than [`MAX_ANSWER`].
    #[must_use]
    pub fn answer_too_long() -> Self {
        Self::Stream { message: format!("the answer is longer than {} MiB", MAX_ANSWER >> 20), retryable: false }
    }
}

/// A model service. Implementations keep no state of a call outside the stream that they return; dropping the
/// stream ends the call.
pub trait Provider: Send + Sync {
    /// Calls the model. Errors come as the stream's last item; nothing follows `Finish` or an error.
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<Delta, Error>>;
}

/// A model of which nothing but the id is known: it is expected to call tools, and its limits count as unknown.
#[must_use]
pub fn unknown_model(id: &str) -> Model {
    Model {
        id: id.to_owned(),
        name: id.to_owned(),
        api: None,
        attachment: false,
        documents: false,
        reasoning: false,
        temperature: false,
        tool_call: true,
        release_date: None,
        cost: ModelCost::default(),
        limit: ModelLimit::default(),
        variants: Vec::new(),
    }
}

//! The interface of model services: a provider-independent request, and a stream of deltas. Provider-specific shapes
//! stay below it.

use futures::stream::BoxStream;
use polytree_protocol::{
    message::Tokens,
    provider::{Model, ModelCost, ModelLimit, ModelRef},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The size limit of an answer, in bytes: text, thinking, signatures and calls together.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How many bytes a call counts beside its arguments: even a short one costs a part, two events and perhaps a task.
pub const CALL_LENGTH: usize = 8 * 1024;

/// One request to a model.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    pub model: ModelRef,
    pub info: Model,
    /// System texts, the most stable first, for prompt caches.
    pub system: Vec<String>,
    /// The history, oldest first; it ends with a user or a tool message.
    pub messages: Vec<ModelMessage>,
    /// The tools that the model may call.
    pub tools: Vec<ToolSpec>,
    /// Sampling temperature; only if `info.temperature`.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The output limit, in tokens.
    pub max_output_tokens: u64,
    /// Provider-specific fields, merged into the request's body.
    pub options: Map<String, Value>,
    /// A key for the provider's prompt cache, the same for all requests of a session.
    pub cache_key: String,
}

/// A tool as a model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    pub name: String,
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
    pub filename: Option<String>,
    /// The bytes in base64.
    pub base64: String,
}

/// A piece of an assistant message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AssistantContent {
    Text(String),
    /// Thinking with the provider's signature; sent back only to the same provider.
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
        /// What the provider attached to the call (`ToolCallDone::metadata`), sent back unchanged.
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
    pub output: String,
    pub is_error: bool,
    /// Images that belong to the result.
    pub media: Vec<Media>,
}

/// A piece of a model's answer, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Delta {
    Text(String),
    Reasoning(String),
    /// The signature that ends a block of thinking: further thinking is another block, which is sent back as a
    /// `Reasoning` of its own. There may be no text before it, if the service does not reveal its thinking.
    ReasoningSignature(String),
    /// The model has started to write a call.
    ToolCallStart {
        /// The provider's id of the call.
        call_id: String,
        name: String,
    },
    /// A piece of the arguments of a call that has started, in order, as the model writes them. Only some services send
    /// pieces, and `ToolCallDone` has the arguments as they count.
    ToolCallArguments {
        /// The provider's id of the call.
        call_id: String,
        text: String,
    },
    /// A call is complete. Calls come in the model's order; a start may be missing.
    ToolCallDone {
        /// The provider's id of the call; never empty, unique in the answer.
        call_id: String,
        name: String,
        /// The arguments as the model wrote them: should be a JSON object, but may be invalid.
        arguments: String,
        /// What the provider wants back with the call.
        metadata: Option<Value>,
    },
    /// The answer is complete. Always the last delta of a successful stream.
    Finish {
        reason: FinishReason,
        /// The usage; zero if the service does not report it. `input` excludes cached tokens, `output` excludes
        /// reasoning.
        tokens: Tokens,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    Stop,
    /// The model has called tools.
    ToolCalls,
    /// The output limit was reached.
    Length,
    /// The service withheld the content.
    ContentFilter,
    /// Another reason, or none.
    Other,
}

impl FinishReason {
    /// The name on the wire.
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

/// Why a request failed. Messages never contain a key.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Error {
    /// The key is missing or invalid.
    #[error("{message}")]
    Credentials { message: String },
    /// The account has no credit left, or its quota is exceeded: waiting does not help.
    #[error("{message}")]
    Quota { message: String },
    /// The service has no such model.
    #[error("{message}")]
    ModelNotFound { message: String },
    /// The service has rejected the content of the request, or withholds the answer.
    #[error("{message}")]
    ContentFilter { message: String },
    /// The network configuration is wrong: the service is not trusted, or a proxy refuses.
    #[error("{message}")]
    Network { message: String, hint: Option<String> },
    /// The service answered with an error.
    #[error("{message}")]
    Status {
        status: u16,
        /// The service's message, at most 2,000 characters.
        message: String,
        /// The delay before a retry that the service asks for, in milliseconds.
        retry_after: Option<u64>,
    },
    /// The service could not be reached, or the stream broke before its end.
    #[error("{message}")]
    Connection { message: String },
    /// Nothing listens at the address: the host is unknown, or a local server does not run.
    #[error("{message}")]
    Unreachable { message: String, hint: Option<String> },
    /// The answer is complete, but contains neither text nor a call.
    #[error("{message}")]
    Empty { message: String },
    /// The history exceeds the model's context.
    #[error("{message}")]
    ContextOverflow { message: String },
    /// The service sent an error within the stream, or violated its protocol.
    #[error("{message}")]
    Stream {
        message: String,
        /// A retry may help (overload, internal error of the service).
        retryable: bool,
    },
    /// The request cannot be sent: an invalid address, an unknown wire protocol.
    #[error("{message}")]
    Request { message: String },
}

impl Error {
    /// The answer is longer than [`MAX_ANSWER`].
    pub fn answer_too_long() -> Self {
        Self::Stream { message: format!("the answer is longer than {} MiB", MAX_ANSWER >> 20), retryable: false }
    }
}

/// A model service. Implementations keep all state of a request in the returned stream; dropping the stream cancels the
/// request.
pub trait Provider: Send + Sync {
    /// Sends a request. An error is the stream's last item; nothing follows `Finish` or an error.
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<Delta, Error>>;
}

/// A model of which only the id is known: it is assumed to support tools, and its limits are unknown.
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

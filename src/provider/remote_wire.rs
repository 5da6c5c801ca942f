//! The wire protocols that remote models are spoken to in: where they are served, and how a key is shown.

use std::borrow::Cow;

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// `OpenAI` Chat Completions, and whatever is compatible with it.
    OpenAi,
    /// `OpenAI` Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Ollama's own chat.
    Ollama,
}

impl Wire {
    /// All of them, in the order in which messages name them.
    pub const ALL: [Self; 5] = [Self::OpenAi, Self::OpenAiResponses, Self::Anthropic, Self::Gemini, Self::Ollama];

    /// The protocol of that name in the settings.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wire| wire.name() == name)
    }

    /// The name in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// Where its maker serves it.
    #[must_use]
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenAi | Self::OpenAiResponses => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }

    /// The path below the base for that model.
    pub(super) fn path(self, model: &str) -> Cow<'static, str> {
        match self {
            Self::OpenAi => "chat/completions".into(),
            Self::OpenAiResponses => "responses".into(),
            Self::Anthropic => "messages".into(),
            // Tuned models have a collection of their own.
            Self::Gemini if model.contains('/') => format!("{model}:streamGenerateContent").into(),
            Self::Gemini => format!("models/{model}:streamGenerateContent").into(),
            Self::Ollama => "api/chat".into(),
        }
    }

    /// What has to stand in the address beside the path.
    pub(super) fn query(self) -> Option<&'static str> {
        // Without it the answer is one array.
        (self == Self::Gemini).then_some("alt=sse")
    }

    /// Whether the body says that the answer is to be streamed.
    pub(super) fn has_stream_field(self) -> bool {
        self != Self::Gemini
    }

    /// The media type of an answer.
    pub(super) fn accepts(self) -> &'static str {
        if self == Self::Ollama { "application/x-ndjson" } else { "text/event-stream" }
    }

    /// The header that shows a key, and the text before the key in it.
    pub(super) fn key_header(self) -> (&'static str, &'static str) {
        match self {
            Self::OpenAi | Self::OpenAiResponses | Self::Ollama => ("authorization", "Bearer "),
            Self::Anthropic => ("x-api-key", ""),
            Self::Gemini => ("x-goog-api-key", ""),
        }
    }
}

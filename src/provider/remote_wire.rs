//! The wire protocols that remote models are spoken to in.

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// `OpenAI` Chat Completions, and whatever is compatible with it.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
}

impl Wire {
    /// All of them, in the order in which messages name them.
    pub const ALL: [Self; 2] = [Self::OpenAi, Self::Anthropic];

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
            Self::Anthropic => "anthropic",
        }
    }

    /// Where its maker serves it.
    #[must_use]
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "chat/completions",
            Self::Anthropic => "messages",
        }
    }

    pub(super) fn adapter(self) -> genai::adapter::AdapterKind {
        match self {
            Self::OpenAi => genai::adapter::AdapterKind::OpenAI,
            Self::Anthropic => genai::adapter::AdapterKind::Anthropic,
        }
    }
}

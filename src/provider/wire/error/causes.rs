//! Classifies errors of services by codes and phrases: each service has its own, and few use a specific status. A cause
//! is only recognised by phrases that no other error has. Pure.
//!
//! `code` is in lower case, with several codes separated by spaces; messages are case-insensitive.

/// Phrases of messages about a prompt that is too long for the model: all parts of one line must occur.
const OVERFLOW: &[&[&str]] = &[
    // Anthropic, Fireworks
    &["prompt is too long"],
    &["exceed context limit"],
    // Bedrock
    &["input is too long"],
    // OpenAI, DeepSeek, OpenRouter, Together, vLLM, Mistral
    &["maximum context length"],
    // Gemini
    &["input token count", "exceed"],
    // xAI
    &["maximum prompt length"],
    // Groq, Cerebras
    &["reduce the length of the messages"],
    &["reduce the length of the prompt"],
    &["reduce the length of the input"],
    // GitHub Copilot
    &["prompt token count", "exceeds the limit"],
    // Kimi
    &["exceeded model token limit"],
    // Z.AI
    &["prompt exceeds max length"],
    // MiniMax
    &["context window exceeds limit"],
    &["token limit exceeded"],
    // DashScope
    &["range of input length should be"],
    // Ollama
    &["prompt too long"],
    // LM Studio
    &["greater than the context length"],
    &["loaded with context length of only"],
    // llama.cpp
    &["available context size"],
    &["context shift is disabled"],
    &["input is too large to process"],
    // SGLang
    &["longer than the model's context length"],
    // vLLM
    &["longer than the maximum model length"],
    &["too long to fit into the model"],
    // TGI, Together
    &["`inputs`", "must have less than", "tokens"],
    &["`inputs`", "max_new_tokens", "must be <="],
    // TensorRT-LLM
    &["exceed", "max_seq_len"],
    // Cohere
    &["too many tokens", "size limit exceeded"],
    // LiteLLM
    &["contextwindowexceedederror"],
    // Others
    &["max context length"],
    &["context length exceeded"],
    &["context window exceeded"],
    &["context window is full"],
    &["larger than the context window"],
    &["too large for the context window"],
];

/// Phrases that services also use for parameters: they count only together with a word for the prompt.
const AMBIGUOUS_OVERFLOW: &[&[&str]] = &[
    &["input tokens", "exceed", "limit"],
    &["exceed", "the context window"],
    &["exceed", "model context window"],
    &["exceed", "context length"],
    &["exceed", "context size"],
    &["input length exceeds"],
];

const PROMPT_WORDS: [&str; 5] = ["prompt", "input", "message", "request", "conversation"];

const OVERFLOW_CODES: &[&str] = &[
    "context_length_exceeded",
    "exceed_context_size",
    "model_max_prompt_tokens_exceeded",
    "model_context_window_exceeded",
    "context_window_exceeded",
];

/// Codes of an account without credit or over its limit: waiting some minutes does not help.
const QUOTA_CODES: &[&str] = &[
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "insufficient_funds",
    "insufficient_user_quota",
    "billing_error",
    "billing_not_active",
    "billing_hard_limit_reached",
    "exceeded_current_quota_error",
    "quota_exceeded_error",
    "usage_limit_reached",
    "usage_limit_exceeded",
    "usage_not_included",
    "personal_usage_limit_exceeded",
    "creditserror",
    "budget_exceeded",
    "credits_exhausted",
    "payment_required",
    "arrearage",
    "accountoverdueerror",
    "allocationquota.freetieronly",
    "freeusagelimiterror",
    "subscriptionusagelimiterror",
    "spend_limit_reached",
];

/// Numeric codes of Z.AI, and of MiniMax in `base_resp`.
const QUOTA_NUMBERS: &[&str] = &["1113", "1308", "1309", "1310", "base_resp:1008", "base_resp:2056"];

const QUOTA: &[&[&str]] = &[
    &["credit balance is too low"],
    &["insufficient credit"],
    &["insufficient balance"],
    &["insufficient account balance"],
    &["balance is insufficient"],
    &["balance is not enough"],
    &["not enough credits"],
    &["out of credits"],
    &["no credits"],
    &["doesn't have any credits"],
    &["used all available credits"],
    &["monthly spending limit"],
    &["credit limit exceeded"],
    &["key limit exceeded"],
    &["requires more credits"],
    &["usage limit", "reached"],
    &["usage limits", "reached"],
    &["usage limit", "exceeded"],
    &["reached your usage limit"],
    &["reached your specified api usage limits"],
    &["exceeded your monthly included credits"],
    &["exceeded your monthly quota"],
    &["monthly limit exhausted"],
    &["weekly limit exhausted"],
    &["weekly/monthly limit exhausted"],
    &["budget has been exceeded"],
    &["free tier of the model has been exhausted"],
    &["account", "suspended", "billing"],
    &["account", "suspended", "balance"],
    &["account", "suspended", "spending limit"],
    &["account is in good standing"],
    &["overdue balance"],
    &["overdue payment"],
    &["payment required"],
    &["subscription", "has expired"],
    &["余额不足"],
    &["欠费"],
];

/// Whether the prompt exceeds the model's context.
pub(crate) fn is_overflow(code: &str, message: &str) -> bool {
    let is_coded = OVERFLOW_CODES.iter().any(|known| code.contains(known)) || has_number(code, &["base_resp:1039"]);
    if is_coded || is_rate_limit(code, message) {
        return is_coded && !is_coded_rate(code);
    }
    let message = message.to_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| message.contains(word));
    // The output limit is too large, not the prompt.
    if names(&["max_tokens", "max_completion_tokens", "max_output_tokens"]) && !names(&["prompt", "input", "messages"]) {
        return false;
    }
    let is_a_tool = names(&["tools[", "`tools`", "'tools'"])
        || message.split("tools.").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    // A field of a message may be too long: its text is part of the prompt, a name or an id is not.
    let is_a_long_text = code.contains("string_above_max_length")
        && names(&["messages", "input", "content"])
        && !names(&["tool_call", "call_id", ".id'", ".name'"]);
    let is_an_image = names(&["image"]) && !names(&["context"]);
    let is_loose = names(&PROMPT_WORDS) && has_phrase(&message, AMBIGUOUS_OVERFLOW) || is_a_long_text;
    has_phrase(&message, OVERFLOW) || is_loose && !is_a_tool && !is_an_image
}

/// Whether this is a rate limit. It may be in tokens, but a shorter prompt does not help.
pub(crate) fn is_rate_limit(code: &str, message: &str) -> bool {
    let phrases: &[&[&str]] =
        &[&["rate limit"], &["rate-limit"], &["ratelimit"], &["per second"], &["per minute"], &["per hour"], &["per day"]];
    is_coded_rate(code) || has_phrase(message, phrases)
}

fn is_coded_rate(code: &str) -> bool {
    ["rate_limit", "ratelimit"].iter().any(|word| code.contains(word))
}

/// Whether the account has no credit or is over its limit.
pub(crate) fn is_quota(code: &str, message: &str) -> bool {
    let is_coded = QUOTA_CODES.iter().any(|known| code.contains(known)) || has_number(code, QUOTA_NUMBERS);
    is_coded || has_phrase(message, QUOTA)
}

/// Whether the key is invalid.
pub(crate) fn is_invalid_key(code: &str, message: &str) -> bool {
    let phrases: &[&[&str]] = &[
        &["invalid api key"],
        &["incorrect api key"],
        &["api key not valid"],
        &["invalid api-key"],
        &["invalid x-api-key"],
        &["not authenticated"],
        &["no auth credentials"],
        &["unauthorized"],
    ];
    let is_coded = ["invalid_api_key", "invalidapikey"].iter().any(|known| code.contains(known));
    is_coded || has_number(code, &["base_resp:1004", "base_resp:2049"]) || has_phrase(message, phrases)
}

/// Whether the content was rejected.
pub(crate) fn is_filtered(code: &str) -> bool {
    let codes =
        ["content_filter", "content_policy_violation", "moderation_blocked", "responsibleaipolicyviolation", "datainspectionfailed"];
    codes.iter().any(|word| code.contains(word)) || has_number(code, &["1301", "base_resp:1026", "base_resp:1027"])
}

/// Whether the model does not exist, or is not available for this account.
pub(crate) fn is_unknown_model(code: &str, message: &str) -> bool {
    let message = message.to_lowercase();
    let phrases = ["not found", "does not exist", "not a valid model", "unknown model"];
    // Other things that may be missing.
    let others = ["tool_", "tool ", "tools.", "conversation", "previous response"];
    code.contains("model_not_found")
        || message.starts_with("model: ")
        || message.contains("model")
            && !others.iter().any(|other| message.contains(other))
            && phrases.iter().any(|phrase| message.contains(phrase))
}

/// Whether an error without a status is temporary.
pub(crate) fn is_temporary(code: &str, message: &str) -> bool {
    let named = ["overloaded", "api_error", "server_error", "internal", "rate_limit", "timeout", "unavailable", "throttling"];
    let phrases: &[&[&str]] = &[
        &["overloaded"],
        &["too many requests"],
        &["temporarily unavailable"],
        &["try again later"],
        &["upstream connect error"],
        &["no healthy upstream"],
        &["bad gateway"],
        &["gateway timeout"],
        &["gateway time-out"],
        &["service unavailable"],
    ];
    named.iter().any(|word| code.contains(word))
        || has_number(
            code,
            &["1302", "1303", "1305", "base_resp:1000", "base_resp:1001", "base_resp:1002", "base_resp:1024", "base_resp:1033"],
        )
        || code.split(' ').any(|word| matches!(word.parse(), Ok(408 | 409 | 429 | 500..=599)))
        || is_rate_limit(code, message)
        || has_phrase(message, phrases)
}

fn has_number(code: &str, numbers: &[&str]) -> bool {
    code.split(' ').any(|word| numbers.contains(&word))
}

fn has_phrase(message: &str, phrases: &[&[&str]]) -> bool {
    let message = message.to_lowercase();
    phrases.iter().any(|words| words.iter().all(|word| message.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_recognised_for_each_service() {
        for message in [
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            "Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)",
            "Prompt exceeds max length",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens and 500 `max_new_tokens`",
            "prompt too long; exceeded max context length by 12 tokens",
            "the input length exceeds the context length",
            "The number of tokens to keep from the initial prompt is greater than the context length.",
            "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
            "The input (1492905 tokens) is longer than the model's context length (1048576 tokens).",
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
            "Input validation error: `inputs` must have less than 32000 tokens. Given: 40000",
            "litellm.ContextWindowExceededError: litellm.BadRequestError: too much",
            "context shift is disabled",
            "the request exceeds the available context size, try increasing it",
            "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            "Please reduce the length of the messages or completion.",
            "prompt token count of 138000 exceeds the limit of 128000",
            "The decoder prompt (length 50000) is longer than the maximum model length of 40960.",
            "The estimated number of input and maximum output tokens (40000) exceeded this model context window limit (32768).",
            "invalid params, context window exceeds limit (2013)",
            "too many tokens: size limit exceeded by 700 tokens.",
        ] {
            assert!(is_overflow("", message), "{message}");
            assert!(!is_quota("", message), "{message}");
        }
        for message in [
            "unknown parameter: context window size",
            "the context window of this model is 200000 tokens",
            "max_tokens must be at least 1",
            "Rate limit reached for tokens per minute: limit 6000, requested 9000",
            "invalid value for context_length",
        ] {
            assert!(!is_overflow("", message), "{message}");
        }
        assert!(is_overflow("400 base_resp:1039", "") && !is_overflow("1039", ""));
    }

    #[test]
    fn a_rate_limit_in_tokens_is_not_an_overflow() {
        for (code, message) in [
            ("rate_limit_error", "This request would exceed your organization's rate limit of 30,000 input tokens per minute"),
            ("", "input tokens exceed the limit of 1000000 per day"),
            ("rate_limit_exceeded", "The input tokens exceed the limit"),
            ("429", "The request exceeds the context window rate-limit"),
        ] {
            assert!(!is_overflow(code, message), "{code} {message}");
            assert!(is_rate_limit(code, message) && is_temporary(code, message), "{code} {message}");
        }
        assert!(is_overflow("context_length_exceeded", "see the rate limits"));
    }

    #[test]
    fn a_parameter_that_is_too_large_is_not_an_overflow() {
        for (code, message) in [
            ("string_above_max_length", "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64."),
            ("string_above_max_length", "Invalid 'input[3].call_id': string too long. Expected a string with maximum length 64."),
            ("string_above_max_length", "Invalid 'messages[2].tool_calls[0].id': string too long."),
            ("string_above_max_length", "Invalid 'tools[0].description': string too long, see the input."),
            ("", "max_tokens is too large: 500000. This model has a maximum context length of 128000 tokens."),
            ("", "tools.0.name: input length exceeds 64 characters"),
            ("", "num_ctx must not exceed context length"),
            ("", "image input tokens exceed the limit for one image"),
        ] {
            assert!(!is_overflow(code, message), "{code} {message}");
        }
        for (code, message) in [
            ("string_above_max_length", "Invalid 'messages[1].content': string too long. Expected a string with maximum length 1048576."),
            ("string_above_max_length", "Invalid 'input[0].content[0].text': string too long."),
            (
                "",
                "'max_tokens' is too large: 5000. This model's maximum context length is 8192 tokens and your request has 7000 input tokens.",
            ),
            ("", "The input tokens with images exceed the limit of the context"),
        ] {
            assert!(is_overflow(code, message), "{code} {message}");
        }
    }

    #[test]
    fn a_missing_call_is_not_a_missing_model() {
        assert!(!is_unknown_model("", "tool_call_id call_1 not found in the conversation for model m"));
        assert!(is_unknown_model("", "model \"m\" not found, try pulling it first"));
        assert!(is_unknown_model("", "Not found the model m or permission denied"));
    }

    #[test]
    fn quota_errors_are_recognised_for_each_service() {
        for (code, message) in [
            ("insufficient_quota", "You exceeded your current quota"),
            ("", "Your credit balance is too low to access the Anthropic API."),
            ("", "You have reached your specified API usage limits. You will regain access on 2026-12-01."),
            ("usage_limit_reached", "The usage limit has been reached"),
            ("exceeded_current_quota_error", "Your account is suspended due to insufficient balance, please recharge"),
            ("", "You've reached your usage limit for this billing cycle."),
            ("1113", "Insufficient balance or no resource package. Please recharge."),
            ("1308", "Usage limit reached for 5 hour. Your limit will reset at 2026-12-01 08:00:00"),
            ("base_resp:1008", "insufficient balance"),
            ("", "Your newly created team doesn't have any credits yet."),
            ("", "Your team has either used all available credits or reached its monthly spending limit."),
            ("arrearage", "Access denied, please make sure your account is in good standing."),
            ("", "The free tier of the model has been exhausted."),
            ("30001", "Sorry, your account balance is insufficient"),
            ("", "Key limit exceeded (total limit)."),
            ("", "This request requires more credits, or fewer max_tokens."),
            ("", "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0"),
            ("", "you have reached your weekly usage limit, please upgrade"),
        ] {
            assert!(is_quota(code, message), "{code} {message}");
            assert!(!is_overflow(code, message), "{code} {message}");
        }
        for (code, message) in [
            ("rate_limit_error", "This request would exceed your organization's rate limit of 30,000 input tokens per minute"),
            ("429 resource_exhausted", "Quota exceeded for requests per minute"),
            ("1302", "Rate limit reached for requests"),
            ("11130", "x"),
        ] {
            assert!(!is_quota(code, message), "{code} {message}");
        }
    }

    #[test]
    fn temporary_errors() {
        for (code, message) in [
            ("502", ""),
            ("base_resp:1002", "rate limit"),
            ("1305", "x"),
            ("", "upstream connect error or disconnect/reset before headers"),
            ("", "The engine is currently overloaded"),
        ] {
            assert!(is_temporary(code, message), "{code} {message}");
        }
        assert!(!is_temporary("400", "bad") && !is_temporary("", "no such tool"));
    }
}

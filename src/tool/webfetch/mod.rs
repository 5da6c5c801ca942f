//! Fetches a page of the web as text. Each host that a request goes to is judged by rules, and by the address to which the
//! connection is made.

mod address;
mod clean;
mod fetch;

use std::time::Duration;

use async_trait::async_trait;
use polytree_protocol::permission::Action;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::fetch::{Answer, Page};
use super::{
    context::{Ask, ToolContext},
    definition::{Tool, ToolError, ToolOutput},
    path::blocking,
};
use crate::{
    permission::rules::Rules,
    stdx::{paths::AbsPath, text::ellipsis, visible},
};

const DEFAULT_TIMEOUT: u64 = 30;
const MAX_TIMEOUT: u64 = 120;
const MAX_REDIRECTS: usize = 5;
const MAX_URL: usize = 8 * 1024;

pub struct WebFetch;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebFetchArgs {
    /// The complete URL, with http:// or https://.
    url: String,
    /// What to return; markdown if left out.
    #[serde(default)]
    format: Option<Format>,
    /// Seconds after which it is given up; 30 if left out, at most 120.
    #[serde(default)]
    timeout: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Markdown,
    Text,
    Html,
    Json,
}

#[async_trait]
impl Tool for WebFetch {
    const NAME: &'static str = "webfetch";
    const DESCRIPTION: &'static str = include_str!("webfetch.md");
    const PERMISSION: &'static str = "webfetch";
    type Args = WebFetchArgs;

    fn subject(args: &WebFetchArgs, _: &AbsPath) -> String {
        args.url.clone()
    }

    async fn run(&self, context: &ToolContext, args: WebFetchArgs) -> Result<ToolOutput, ToolError> {
        let format = args.format.unwrap_or_default();
        let first = parse(&args.url).map_err(ToolError::Failed)?;
        let seconds = args.timeout.filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT);
        ask(context, &first, format, None).await?;
        let (page, url) = follow(context, first, format, Duration::from_secs(seconds)).await?;
        if !page.status.is_success() {
            let text = ellipsis(page.text().trim(), 500);
            return Err(ToolError::failed(format!("{url} answered {}: {text}", page.status)));
        }
        let title = format!("{} ({})", shown(&url), if page.kind.is_empty() { "unknown type" } else { page.kind.as_str() });
        let (kind, status, bytes) = (page.kind.clone(), page.status.as_u16(), page.body.len());
        let output = blocking(move || render(&page, format).map_err(ToolError::Failed)).await?;
        let metadata = json!({ "url": url.as_str(), "status": status, "contentType": kind, "bytes": bytes, "format": format });
        Ok(ToolOutput::new(title, output, metadata))
    }
}

fn parse(text: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.len() > MAX_URL {
        return Err(format!("The URL has {} bytes; the limit is {MAX_URL}.", text.len()));
    }
    let mut url = Url::parse(text).map_err(|error| {
        format!("{:?} is no URL ({error}). Please give a complete one, such as https://example.org/page.", ellipsis(text, 200))
    })?;
    check(&url)?;
    url.set_fragment(None);
    Ok(url)
}

fn check(url: &Url) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("The scheme `{}` cannot be fetched, only http and https. Use the read tool for files.", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("A URL with a name or a password in it is not fetched.".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("The URL has no host.".to_owned());
    }
    Ok(())
}

fn shown(url: &Url) -> String {
    visible::exact(&ellipsis(url.as_str(), 200))
}

/// Asks for a request. `from` is the URL that has redirected to it.
async fn ask(context: &ToolContext, url: &Url, format: Format, from: Option<&Url>) -> Result<(), ToolError> {
    let mut metadata = json!({ "url": url.as_str(), "format": format });
    let title = match from {
        None => format!("Fetch {}", shown(url)),
        Some(from) => {
            metadata["redirectedFrom"] = json!(from.as_str());
            format!("Fetch {}, to which {} redirects", shown(url), shown(from))
        }
    };
    let ask = Ask {
        kind: WebFetch::PERMISSION.into(),
        patterns: vec![url.to_string()],
        always: vec![format!("{}/*", url.origin().ascii_serialization())],
        title,
        metadata,
        ..Ask::default()
    };
    context.ask(ask).await
}

/// Whether a rule of the user's own that is about this URL names its host.
fn is_named(rules: &Rules, url: &Url) -> bool {
    let decision = rules.decide(WebFetch::PERMISSION, url.as_str());
    let Some((origin, rule)) = decision.rule.filter(|_| decision.action != Action::Deny) else { return false };
    let Some((_, after)) = rule.pattern.split_once("://") else { return false };
    let host = url.host_str().unwrap_or_default();
    // After the name something must follow that no longer belongs to it.
    let names = after.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']));
    origin.is_users() && rule.permission == WebFetch::PERMISSION && names
}

async fn follow(context: &ToolContext, first: Url, format: Format, limit: Duration) -> Result<(Page, Url), ToolError> {
    let deadline = tokio::time::sleep(limit);
    tokio::pin!(deadline);
    let mut url = first;
    for _ in 0..=MAX_REDIRECTS {
        let request = async {
            let addresses = fetch::addresses(&url, is_named(&context.host.rules(), &url)).await?;
            fetch::get(&url, &addresses).await
        };
        let answer = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(ToolError::Aborted),
            answer = request => answer,
            () = &mut deadline => Err(format!("it took longer than {} s; a larger `timeout` may help", limit.as_secs())),
        };
        let failed = |why: String| ToolError::failed(format!("{} was not fetched: {why}.", shown(&url)));
        let mut next = match answer.map_err(failed)? {
            Answer::Page(page) => return Ok((page, url)),
            Answer::Redirect(next) => next,
        };
        check(&next).map_err(|why| failed(format!("it redirects to {}. {why}", shown(&next))))?;
        next.set_fragment(None);
        let is_same_host = next.host_str() == url.host_str() && next.port() == url.port();
        let may = context.host.rules().decide(WebFetch::PERMISSION, next.as_str());
        // The same host was allowed already, but not what a rule denies there. The question takes no time of the request.
        if !is_same_host || may.action == Action::Deny {
            let begun = tokio::time::Instant::now();
            ask(context, &next, format, Some(&url)).await?;
            let later = deadline.deadline() + begun.elapsed();
            deadline.as_mut().reset(later);
        }
        url = next;
    }
    Err(ToolError::failed(format!("{} was not fetched: there were more than {MAX_REDIRECTS} redirects.", shown(&url))))
}

/// The page as the model gets it.
fn render(page: &Page, format: Format) -> Result<String, String> {
    let kind = page.kind.as_str();
    let is_html = matches!(kind, "text/html" | "application/xhtml+xml");
    let is_json = kind == "application/json" || kind.ends_with("+json");
    let is_text = is_html || is_json || kind.starts_with("text/") || kind.ends_with("+xml") || TEXTS.contains(&kind);
    if kind.starts_with("image/") && kind != "image/svg+xml" {
        return Err(format!(
            "The answer is an image ({kind}), which this tool does not return. Save it with bash and curl, and read it with the read tool."
        ));
    }
    if !(is_text || kind.is_empty()) || page.body.contains(&0) && page.charset.is_none() {
        let kind = if kind.is_empty() { "of an unknown type" } else { kind };
        return Err(format!("The answer is {kind}, which is no text. Save it with bash and curl if it is needed."));
    }
    let text = page.text();
    match format {
        Format::Html => Ok(text),
        Format::Json => {
            let value: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| format!("The answer is no JSON: {error}. Fetch it with another format."))?;
            serde_json::to_string_pretty(&value).map_err(|error| error.to_string())
        }
        Format::Markdown | Format::Text if !is_html => Ok(text),
        Format::Text => {
            let cleaned = clean::clean(&text);
            Ok([cleaned.title.unwrap_or_default(), cleaned.text].join("\n\n").trim_start().to_owned())
        }
        Format::Markdown => {
            let cleaned = clean::clean(&text);
            let markdown = markdown(&cleaned.html)?;
            Ok(match cleaned.title.filter(|_| !markdown.starts_with("# ")) {
                Some(title) => format!("# {title}\n\n{markdown}"),
                None => markdown,
            })
        }
    }
}

/// Media types of text that do not say so.
const TEXTS: &[&str] = &[
    "application/xml",
    "application/javascript",
    "application/x-javascript",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/x-ndjson",
    "application/sql",
    "application/x-sh",
    "application/graphql",
    "image/svg+xml",
];

fn markdown(html: &str) -> Result<String, String> {
    use htmd::options::{BulletListMarker, Options};
    let options = Options { bullet_list_marker: BulletListMarker::Dash, ul_bullet_spacing: 1, ol_number_spacing: 1, ..Options::default() };
    let converter = htmd::HtmlToMarkdown::builder().options(options).build();
    converter.convert(html).map_err(|error| format!("The page cannot be converted: {error}. Fetch it with the format text or html."))
}

#[cfg(test)]
mod tests;

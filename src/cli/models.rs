//! `polytree models`: which models can be used, and what is missing for the others.

use polytree_protocol::{
    methods::ProviderList,
    provider::{Model, Provider, ProviderListParams, ProviderListResult},
};
use serde_json::json;

use super::{
    args::ModelsArgs,
    client::{Daemon, Exit, Failure},
    sanitize,
    screen::Screen,
    style::{CODE, FAINT, GOOD, STRONG, paint},
    table,
};
use crate::stdx::paths::AbsPath;

/// Runs the command.
///
/// # Errors
/// What the daemon answers.
pub async fn run(args: ModelsArgs, daemon: &Daemon, screen: &mut Screen, directory: &AbsPath) -> Result<Exit, Failure> {
    let found = daemon
        .request::<ProviderList>(&ProviderListParams { directory: Some(directory.to_string()), ..ProviderListParams::default() })
        .await?;
    if args.json {
        for line in lines(&found, args.all) {
            screen.text(&format!("{line}\n"))?;
        }
    } else {
        screen.styled(&page(&found, args.all))?;
    }
    Ok(Exit::Done)
}

/// Connected providers first, each kind in the daemon's order.
fn sorted(found: &ProviderListResult) -> Vec<(&Provider, bool)> {
    let mut providers: Vec<_> = found.providers.iter().map(|provider| (provider, found.connected.contains(&provider.id))).collect();
    providers.sort_by_key(|(_, connected)| !connected);
    providers
}

fn lines(found: &ProviderListResult, all: bool) -> Vec<serde_json::Value> {
    let mut lines = Vec::new();
    for (provider, connected) in sorted(found).into_iter().filter(|(_, connected)| *connected || all) {
        for (id, model) in &provider.models {
            lines.push(json!({
                "model": format!("{}/{id}", provider.id),
                "providerID": provider.id,
                "modelID": id,
                "connected": connected,
                "default": found.default.get(&provider.id) == Some(id),
                "env": provider.env,
                "info": model,
            }));
        }
    }
    lines
}

fn page(found: &ProviderListResult, all: bool) -> String {
    let shown: Vec<_> = sorted(found).into_iter().map(|(provider, connected)| (provider, connected, connected || all)).collect();
    // One table of all models, so that its columns line up over all providers.
    let models = shown
        .iter()
        .filter(|(.., open)| *open)
        .flat_map(|(provider, ..)| provider.models.iter().map(|(id, model)| row(found, provider, id, model)));
    let table = table::render(&models.collect::<Vec<_>>());
    let mut lines = table.lines();
    let mut text = String::new();
    for (provider, connected, open) in shown {
        let state = if connected { paint(GOOD, "connected") } else { paint(FAINT, &missing(provider)) };
        let name = paint(FAINT, &format!("({})", sanitize::line(&provider.name)));
        text.push_str(&format!("{} {name} {state}\n", paint(STRONG, &sanitize::line(&provider.id))));
        if open && provider.models.is_empty() {
            text.push_str(&(paint(FAINT, "  no models are named in the settings") + "\n"));
        }
        if open {
            text.extend(lines.by_ref().take(provider.models.len()).flat_map(|line| [line, "\n"]));
        }
    }
    text
}

fn row(found: &ProviderListResult, provider: &Provider, id: &str, model: &Model) -> Vec<String> {
    let is_default = found.default.get(&provider.id).is_some_and(|default| default == id);
    let mark = if is_default { paint(CODE, "default") } else { String::new() };
    vec![format!("  {}", sanitize::line(&format!("{}/{id}", provider.id))), paint(FAINT, &facts(model)), mark]
}

/// Why a provider cannot be used.
fn missing(provider: &Provider) -> String {
    let names: Vec<String> = provider.env.iter().map(|name| sanitize::line(name)).collect();
    match names.as_slice() {
        [] => "not connected: give it options.apiKey or options.baseURL in the settings".to_owned(),
        [name] => format!("not connected: set {name}"),
        names => format!("not connected: set one of {}", names.join(", ")),
    }
}

fn facts(model: &Model) -> String {
    let mut facts = Vec::new();
    if model.limit.context > 0 {
        facts.push(format!("{} context", thousands(model.limit.context)));
    }
    if model.cost.input > 0.0 || model.cost.output > 0.0 {
        facts.push(format!("${}/${} per million", model.cost.input, model.cost.output));
    }
    if model.reasoning {
        facts.push("thinks".to_owned());
    }
    if model.attachment {
        facts.push("sees images".to_owned());
    }
    if model.documents {
        facts.push("reads PDF".to_owned());
    }
    if !model.tool_call {
        facts.push("no tools".to_owned());
    }
    facts.join(", ")
}

fn thousands(tokens: u64) -> String {
    match tokens {
        0..10_000 => tokens.to_string(),
        10_000..1_000_000 => format!("{}k", tokens / 1000),
        _ => format!("{}.{}M", tokens / 1_000_000, tokens / 100_000 % 10),
    }
}

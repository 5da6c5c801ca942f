//! `polytree models`: lists usable models with prices and abilities, and what is missing for the others.

use polytree_protocol::{
    methods::{ModelRefresh, ProviderList},
    provider::{CatalogSource, KeySource, Model, ModelRefreshParams, Provider, ProviderListParams, ProviderListResult},
};
use serde_json::json;

use crate::{
    cli::{
        args::ModelsArgs,
        client::{Daemon, Exit, Failure},
        render::{
            sanitize,
            style::{CODE, FAINT, GOOD, STRONG, WARNING, paint},
            table,
        },
        screen::Screen,
    },
    stdx::{human, nearest, paths::AbsPath},
};

/// Runs the command.
///
/// # Errors
/// Errors of the daemon.
pub async fn run(args: ModelsArgs, daemon: &Daemon, screen: &mut Screen, directory: &AbsPath) -> Result<Exit, Failure> {
    let here = Some(directory.to_string());
    if args.refresh {
        let fetched =
            daemon.request::<ModelRefresh>(&ModelRefreshParams { directory: here.clone(), ..ModelRefreshParams::default() }).await?;
        let skipped = if fetched.skipped > 0 { format!("; {} malformed entries were left out", fetched.skipped) } else { String::new() };
        screen.status(&format!(
            "fetched {} of {}{skipped}",
            human::count(fetched.models, "model"),
            human::count(fetched.providers, "provider")
        ));
    }
    let all = (!args.providers.is_empty()).then_some(true);
    let mut found = daemon.request::<ProviderList>(&ProviderListParams { all, directory: here, ..ProviderListParams::default() }).await?;
    for problem in &found.problems {
        screen.status(&format!("{} {}", paint(WARNING.bold(), "warning:"), sanitize::line(problem)));
    }
    for wanted in &args.providers {
        if !found.providers.iter().any(|provider| provider.id == *wanted) {
            let near = nearest::one(wanted, found.providers.iter().map(|provider| provider.id.as_str()));
            let near = near.map(|near| format!(", the nearest is `{}`", sanitize::line(near))).unwrap_or_default();
            return Err(Failure::Usage(format!("there is no provider `{}`{near}", sanitize::line(wanted))));
        }
    }
    found.providers.retain(|provider| args.providers.is_empty() || args.providers.contains(&provider.id));
    let open = args.all || !args.providers.is_empty();
    if args.json {
        for line in lines(&found, open) {
            screen.text(&format!("{line}\n"))?;
        }
    } else {
        screen.styled(&page(&found, open))?;
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
                "used": is_used(found, provider, id),
                "local": provider.local,
                "key": provider.key,
                "env": provider.env,
                "info": model,
            }));
        }
    }
    lines
}

fn page(found: &ProviderListResult, all: bool) -> String {
    let shown: Vec<_> = sorted(found).into_iter().map(|(provider, connected)| (provider, connected, connected || all)).collect();
    // One table for all models, so that the columns are aligned over all providers.
    let models = shown
        .iter()
        .filter(|(.., open)| *open)
        .flat_map(|(provider, ..)| provider.models.iter().map(|(id, model)| row(found, provider, id, model)));
    let table = table::render(&models.collect::<Vec<_>>());
    let mut lines = table.lines();
    let mut text = String::new();
    for (provider, connected, open) in shown {
        let state = match (connected, provider.local) {
            (true, true) => paint(GOOD, "runs on this machine; used when one of its models is named"),
            (true, false) => format!("{}{}", paint(GOOD, "connected"), paint(FAINT, by(provider))),
            (false, _) => paint(FAINT, &missing(provider)),
        };
        let name = paint(FAINT, &format!("({})", sanitize::line(&provider.name)));
        text.push_str(&format!("{} {name} {state}\n", paint(STRONG, &sanitize::line(&provider.id))));
        if open && provider.models.is_empty() {
            let why = if provider.local { "  it serves no model" } else { "  no models are named in the settings" };
            text.push_str(&(paint(FAINT, why) + "\n"));
        }
        if open {
            text.extend(lines.by_ref().take(provider.models.len()).flat_map(|line| [line, "\n"]));
        }
    }
    text.push_str(&(paint(FAINT, &origin(found)) + "\n"));
    text
}

/// How a provider can be connected.
fn by(provider: &Provider) -> &'static str {
    match provider.key {
        Some(KeySource::Settings) => " by the key in the settings",
        Some(KeySource::Environment) => " by a key in the environment",
        Some(KeySource::Stored) => " by the stored key",
        None => "",
    }
}

/// The origin of names, limits and prices.
fn origin(found: &ProviderListResult) -> String {
    let as_of = sanitize::line(&found.catalog.as_of);
    match (found.catalog.source, &found.catalog.url) {
        _ if as_of.is_empty() => "Prices in US dollars for a million tokens, read and written.".to_owned(),
        (CatalogSource::Fetched, Some(url)) => {
            format!("Prices in US dollars for a million tokens, read and written; fetched on {as_of} from {}.", sanitize::line(url))
        }
        _ => format!("Prices in US dollars for a million tokens, read and written, as of {as_of}; --refresh fetches newer ones."),
    }
}

/// Whether it is the default model.
fn is_used(found: &ProviderListResult, provider: &Provider, id: &str) -> bool {
    found.used.as_ref().is_some_and(|used| used.provider_id == provider.id && used.model_id == id)
}

fn row(found: &ProviderListResult, provider: &Provider, id: &str, model: &Model) -> Vec<String> {
    let is_default = found.default.get(&provider.id).is_some_and(|default| default == id) && !provider.local;
    let mark = match (is_used(found, provider, id), is_default) {
        (true, _) => paint(GOOD, "used"),
        (false, true) => paint(CODE, "default"),
        (false, false) => String::new(),
    };
    let limit = match (model.limit.context, model.limit.output) {
        (0, _) => String::new(),
        (context, 0) => format!("{} context", tokens(context)),
        (context, output) => format!("{} context, {} answer", tokens(context), tokens(output)),
    };
    let cost = &model.cost;
    let price = match (cost.input > 0.0 || cost.output > 0.0, cost.cache_read > 0.0) {
        (false, _) => String::new(),
        (true, false) => format!("${}/${}", cost.input, cost.output),
        (true, true) => format!("${}/${}, cached ${}", cost.input, cost.output, cost.cache_read),
    };
    let price = match cost.context_over_200k {
        Some(long) => format!("{price}; above 200k ${}/${}", long.input, long.output),
        None => price,
    };
    let name = format!("  {}", sanitize::line(&format!("{}/{id}", provider.id)));
    vec![name, paint(FAINT, &limit), paint(FAINT, &price), paint(FAINT, &abilities(model)), mark]
}

/// Why a provider cannot be used.
fn missing(provider: &Provider) -> String {
    let names: Vec<String> = provider.env.iter().map(|name| sanitize::line(name)).collect();
    let login = format!("`polytree auth login {}`", sanitize::line(&provider.id));
    match names.as_slice() {
        [] => format!("not connected: run {login}, or give it options.apiKey or options.baseURL in the settings"),
        [name] => format!("not connected: set {name}, or run {login}"),
        names => format!("not connected: set one of {}, or run {login}", names.join(", ")),
    }
}

fn abilities(model: &Model) -> String {
    let words = [(model.reasoning, "thinks"), (model.attachment, "images"), (model.documents, "documents"), (!model.tool_call, "no tools")];
    let mut words: Vec<String> = words.into_iter().filter(|(has, _)| *has).map(|(_, word)| word.to_owned()).collect();
    if !model.variants.is_empty() {
        words.push(format!("variants {}", sanitize::line(&model.variants.join(" "))));
    }
    words.join(", ")
}

fn tokens(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1000),
        _ => format!("{}.{}M", count / 1_000_000, count / 100_000 % 10),
    }
}

//! `polytree auth`: stores the key of a service, typed without echo or read from a pipe; lists the origins of keys; removes
//! one. A key is never shown, and kept only until it is sent.

use polytree_protocol::{
    auth::{AuthEntry, AuthKind, AuthListParams, AuthRemoveParams, AuthSetParams, KeyPlace, KeyText},
    methods::{AuthList, AuthRemove, AuthSet, ProviderList},
    provider::{KeySource, Provider, ProviderListParams},
};

use crate::{
    cli::{
        args::{AuthCommand, AuthListArgs},
        client::{Daemon, Exit, Failure},
        input::{Input, Piped},
        render::{
            sanitize,
            style::{FAINT, GOOD, STRONG, WARNING, paint},
            table,
        },
        screen::Screen,
    },
    stdx::{nearest, paths::AbsPath},
};

/// Runs the command.
///
/// # Errors
/// Usage errors, and errors of the daemon.
pub async fn run(
    command: AuthCommand,
    daemon: &Daemon,
    screen: &mut Screen,
    input: &mut Input,
    directory: &AbsPath,
) -> Result<Exit, Failure> {
    match command {
        AuthCommand::Login(args) => login(args.provider, daemon, screen, input, directory).await,
        AuthCommand::Logout(args) => logout(args.provider, daemon, screen, directory).await,
        AuthCommand::List(args) => list(&args, daemon, screen, directory).await,
    }
}

async fn login(
    given: Option<String>,
    daemon: &Daemon,
    screen: &mut Screen,
    input: &mut Input,
    directory: &AbsPath,
) -> Result<Exit, Failure> {
    let params = ProviderListParams { all: Some(true), directory: Some(directory.to_string()), ..ProviderListParams::default() };
    let mut providers = daemon.request::<ProviderList>(&params).await?.providers;
    providers.retain(|provider| provider.id != "offline");
    let id = match given {
        Some(id) => id,
        None => asked(&providers, screen, input).await?,
    };
    let Some(provider) = providers.iter().find(|provider| provider.id == id) else {
        let near = nearest::one(&id, providers.iter().map(|provider| provider.id.as_str()));
        return Err(Failure::Usage(format!(
            "there is no provider `{}`{}; `polytree models` lists them, and one of your own needs an entry under `provider` in the settings",
            sanitize::line(&id),
            near.map(|near| format!(", the nearest is `{}`", sanitize::line(near))).unwrap_or_default()
        )));
    };
    let name = sanitize::line(&provider.name);
    let key = key(&name, screen, input).await?;
    daemon.request::<AuthSet>(&AuthSetParams { provider_id: id.clone(), kind: AuthKind::Api, key, ..AuthSetParams::default() }).await?;
    screen.styled(&format!("{} the key for {name}; it is used from the next prompt on\n", paint(GOOD, "stored")))?;
    if let Some(other) = entries(daemon, directory).await?.iter().find(|entry| entry.provider_id == id).and_then(|entry| entry.keys.first())
        && other.source != KeySource::Stored
    {
        screen.status(&format!("{} {} is used before it", paint(WARNING.bold(), "note:"), place(other)));
    }
    Ok(Exit::Done)
}

/// The provider, if none was named.
async fn asked(providers: &[Provider], screen: &mut Screen, input: &mut Input) -> Result<String, Failure> {
    let Some(typed) = input.typed.as_mut().filter(|_| screen.can_ask() && matches!(input.piped, Piped::Nothing)) else {
        return Err(Failure::Usage("name the provider, such as `polytree auth login anthropic`; `polytree models` lists them".to_owned()));
    };
    let ids: Vec<String> = providers.iter().map(|provider| sanitize::line(&provider.id)).collect();
    screen.status(&paint(FAINT, &ids.join(", ")));
    typed.ready().await;
    screen.status_piece(&format!("{} Which provider? ", paint(STRONG, "?")));
    let line = tokio::select! {
        line = typed.line() => line,
        () = input.interrupts.next() => return Err(Failure::Interrupted),
    };
    screen.line_was_typed();
    match line.map(|line| line.trim().to_owned()) {
        Some(id) if !id.is_empty() => Ok(id),
        _ => Err(Failure::Interrupted),
    }
}

async fn key(name: &str, screen: &mut Screen, input: &mut Input) -> Result<KeyText, Failure> {
    let unreadable = |error: std::io::Error| Failure::Failed(format!("the key cannot be read from the standard input: {error}"), None);
    let key = match input.piped.read().await.map_err(unreadable)? {
        Some(text) => text,
        None => typed_key(name, screen, input).await?,
    };
    let key = key.trim();
    if key.is_empty() { Err(Failure::Usage("no key was given; nothing is stored".to_owned())) } else { Ok(KeyText::new(key.to_owned())) }
}

async fn typed_key(name: &str, screen: &mut Screen, input: &mut Input) -> Result<String, Failure> {
    let nowhere = || Failure::Usage("there is no terminal to type the key at; use a pipe".to_owned());
    let typed = input.typed.as_mut().filter(|_| screen.can_ask()).ok_or_else(nowhere)?;
    // An interrupt must not leave a terminal without echo.
    input.interrupts.listen();
    let hidden = typed.hide().ok_or_else(nowhere)?;
    typed.ready().await;
    screen.status_piece(&format!("{} Key for {name} (it is not shown): ", paint(STRONG, "?")));
    let line = tokio::select! {
        line = typed.line() => line,
        // Restores the terminal in any case.
        () = input.interrupts.next() => None,
    };
    drop(hidden);
    match line {
        Some(line) => {
            screen.line_was_typed();
            Ok(line)
        }
        None => Err(Failure::Interrupted),
    }
}

async fn logout(given: Option<String>, daemon: &Daemon, screen: &mut Screen, directory: &AbsPath) -> Result<Exit, Failure> {
    let is_stored = |entry: &&AuthEntry| entry.keys.iter().any(|key| key.source == KeySource::Stored);
    let id = match given {
        Some(id) => id,
        None => {
            let entries = entries(daemon, directory).await?;
            let stored: Vec<&str> = entries.iter().filter(is_stored).map(|entry| entry.provider_id.as_str()).collect();
            match stored.as_slice() {
                [] => return Err(Failure::Failed("no key is stored".to_owned(), None)),
                [only] => (*only).to_owned(),
                several => {
                    let ids: Vec<String> = several.iter().map(|id| sanitize::line(id)).collect();
                    return Err(Failure::Usage(format!("which one? Keys are stored for {}", ids.join(", "))));
                }
            }
        }
    };
    if !daemon.request::<AuthRemove>(&AuthRemoveParams { provider_id: id.clone(), ..AuthRemoveParams::default() }).await? {
        let hint = "`polytree auth list` shows where keys come from".to_owned();
        return Err(Failure::Failed(format!("no key is stored for `{}`", sanitize::line(&id)), Some(hint)));
    }
    screen.styled(&format!("removed the stored key for {}\n", sanitize::line(&id)))?;
    if let Some(left) = entries(daemon, directory).await?.iter().find(|entry| entry.provider_id == id).and_then(|entry| entry.keys.first())
    {
        screen.status(&format!("{} {} still gives one", paint(WARNING.bold(), "note:"), place(left)));
    }
    Ok(Exit::Done)
}

async fn list(args: &AuthListArgs, daemon: &Daemon, screen: &mut Screen, directory: &AbsPath) -> Result<Exit, Failure> {
    let entries = entries(daemon, directory).await?;
    if args.json {
        for entry in &entries {
            screen.text(&(serde_json::to_string(entry).map_err(Failure::Shape)? + "\n"))?;
        }
        return Ok(Exit::Done);
    }
    if entries.is_empty() {
        screen.styled("no provider has a key; `polytree auth login PROVIDER` stores one\n")?;
        return Ok(Exit::Done);
    }
    let row = |entry: &AuthEntry| {
        let mut places = entry.keys.iter().map(place);
        let used = places.next().unwrap_or_default();
        let others: Vec<String> = places.collect();
        let others = if others.is_empty() { String::new() } else { paint(FAINT, &format!("before {}", others.join(", "))) };
        vec![paint(STRONG, &sanitize::line(&entry.provider_id)), paint(FAINT, &sanitize::line(&entry.name)), paint(GOOD, &used), others]
    };
    screen.styled(&table::render(&entries.iter().map(row).collect::<Vec<_>>()))?;
    Ok(Exit::Done)
}

async fn entries(daemon: &Daemon, directory: &AbsPath) -> Result<Vec<AuthEntry>, Failure> {
    daemon.request::<AuthList>(&AuthListParams { directory: Some(directory.to_string()), ..AuthListParams::default() }).await
}

fn place(key: &KeyPlace) -> String {
    match (key.source, &key.variable) {
        (KeySource::Settings, _) => "the key in the settings".to_owned(),
        (KeySource::Environment, Some(name)) => format!("{} in the environment", sanitize::line(name)),
        (KeySource::Environment, None) => "the environment".to_owned(),
        (KeySource::Stored, _) => "the stored key".to_owned(),
    }
}

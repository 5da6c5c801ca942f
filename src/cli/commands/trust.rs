//! `polytree trust`: trusts the files of a project that can make the agent run commands; lists them; removes the trust.

use polytree_protocol::{
    daemon::PathGetParams,
    methods::{PathGet, ProjectCurrent, ProjectTrust},
    project::{Project, ProjectCurrentParams, ProjectTrustParams},
};

use crate::{
    cli::{
        args::TrustArgs,
        client::{Daemon, Exit, Failure},
        render::{
            sanitize,
            style::{BAD, FAINT, STRONG, paint},
        },
        screen::Screen,
    },
    stdx::paths::AbsPath,
};

/// The limit of shown lines of a file.
const MAX_LINES: usize = 200;
/// The limit of shown bytes of a file.
const MAX_BYTES: u64 = 64 * 1024;

/// Runs the command.
///
/// # Errors
/// Errors of the daemon.
pub async fn run(args: TrustArgs, daemon: &Daemon, screen: &mut Screen, directory: &AbsPath) -> Result<Exit, Failure> {
    let here = Some(directory.to_string());
    let before =
        daemon.request::<ProjectCurrent>(&ProjectCurrentParams { directory: here.clone(), ..ProjectCurrentParams::default() }).await?;
    if args.list {
        let paths = daemon.request::<PathGet>(&PathGetParams { directory: here, ..PathGetParams::default() }).await?;
        // Paths are relative to the top of the checkout.
        let top = AbsPath::new(&paths.worktree).unwrap_or_else(|| directory.clone());
        screen.styled(&listing(&before, &top))?;
        return Ok(Exit::Done);
    }
    let trusted = !args.remove;
    let after = daemon.request::<ProjectTrust>(&ProjectTrustParams { trusted, directory: here, ..ProjectTrustParams::default() }).await?;
    let project = sanitize::exact(&after.worktree);
    if args.remove {
        screen.styled(&format!("{project} is not trusted any more\n"))?;
        return Ok(Exit::Done);
    }
    let mut text = format!("{project} is trusted");
    let added: Vec<&String> = before.pending.iter().filter(|file| !after.pending.contains(file)).collect();
    text.push_str(if added.is_empty() { "; no file waited for it\n" } else { ", and with it:\n" });
    for file in added {
        text.push_str(&format!("  {}\n", sanitize::exact(file)));
    }
    screen.styled(&text)?;
    if !after.pending.is_empty() {
        screen.status(&format!("still waiting: {}", after.pending.iter().map(|file| sanitize::exact(file)).collect::<Vec<_>>().join(", ")));
    }
    Ok(Exit::Done)
}

fn listing(project: &Project, top: &AbsPath) -> String {
    let state = if project.trusted { "is trusted" } else { "is not trusted" };
    let mut text = format!("{} {state}\n", sanitize::exact(&project.worktree));
    if project.pending.is_empty() {
        text.push_str("no file waits for trust\n");
    }
    for file in &project.pending {
        text.push_str(&format!("\n{}\n", paint(STRONG, &sanitize::exact(file))));
        text.push_str(&content(&top.join(file)));
    }
    text
}

fn content(path: &AbsPath) -> String {
    let length = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return paint(BAD, "    is not a file") + "\n",
        Err(error) => return paint(BAD, &format!("    {error}")) + "\n",
    };
    if length > MAX_BYTES {
        return paint(FAINT, &format!("    {length} bytes")) + "\n";
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return paint(BAD, &format!("    {error}")) + "\n",
    };
    let text = sanitize::exact(&String::from_utf8_lossy(&bytes));
    let mut shown: String = text.lines().take(MAX_LINES).map(|line| format!("    {line}\n")).collect();
    let all = text.lines().count();
    if all > MAX_LINES {
        shown.push_str(&(paint(FAINT, &format!("    … {} more lines", all - MAX_LINES)) + "\n"));
    }
    shown
}

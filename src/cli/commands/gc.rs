//! `polytree gc`: removes what is over the limits of the settings.

use polytree_protocol::{
    gc::{GcKind, GcKindResult, ServerGcParams},
    methods::ServerGc,
};

use crate::{
    cli::{
        args::GcArgs,
        client::{Daemon, Exit, Failure},
        render::{
            sanitize,
            style::{BAD, FAINT, paint},
            table,
        },
        screen::Screen,
    },
    stdx::human::{count, size},
};

/// Runs the command; returns [`Exit::Failed`] if something could not be removed.
///
/// # Errors
/// What the daemon answers.
pub async fn run(args: GcArgs, daemon: &Daemon, screen: &mut Screen) -> Result<Exit, Failure> {
    let result = daemon.request::<ServerGc>(&ServerGcParams { dry_run: args.dry_run, ..Default::default() }).await?;
    let is_failed = result.kinds.iter().any(|kind| kind.error.is_some());
    if args.json {
        screen.text(&(serde_json::to_string(&result).map_err(Failure::Shape)? + "\n"))?;
    } else {
        let rows: Vec<Vec<String>> = result.kinds.iter().map(|kind| row(kind, args.dry_run)).collect();
        screen.styled(&table::render(&rows))?;
        for kind in &result.kinds {
            if let Some(error) = &kind.error {
                screen.status(&paint(BAD, &format!("{}: {}", name(kind.kind).0, sanitize::line(error))));
            }
        }
        let freed = result.database_before.saturating_sub(result.database_after);
        if freed > 0 {
            screen.status(&paint(FAINT, &format!("the database is {} smaller: {}", size(freed), size(result.database_after))));
        }
    }
    Ok(if is_failed { Exit::Failed } else { Exit::Done })
}

fn row(kind: &GcKindResult, is_dry: bool) -> Vec<String> {
    let (title, noun) = name(kind.kind);
    let verb = if is_dry { "would remove" } else { "removed" };
    let (removed, kept) = (kind.removed, kind.kept);
    vec![
        title.to_owned(),
        format!("{verb} {}, {}", count(removed.count, noun), size(removed.bytes)),
        paint(FAINT, &format!("keeps {}, {}", count(kept.count, noun), size(kept.bytes))),
    ]
}

/// The title of a kind, and the noun for one of it.
fn name(kind: GcKind) -> (&'static str, &'static str) {
    match kind {
        GcKind::Events => ("event log", "event"),
        GcKind::Outputs => ("tool outputs", "file"),
        GcKind::Snapshots => ("contents for undo", "file"),
        GcKind::Archived => ("archived sessions", "session"),
    }
}

//! What `bash` is asked to run, and the questions about it: places outside of the worktree first, then files, then the
//! commands. After the answers everything is checked again.

use polytree_protocol::permission::Action;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    bounds::{self, Bounds},
    commands::{Analysis, Anchor, PathUse},
    directories::{identity, outside, places},
    files::{Files, files},
    git_guard,
    git_uses::{self, GitCommand, Kind, Use},
    hidden::may_reach_private,
    places::Surroundings,
    sandbox::{self, Execution},
};
use crate::{
    git::settings::RepositorySettings,
    permission::{Pattern, rules::Rules},
    stdx::{paths::AbsPath, text::ellipsis, visible::exact},
    tool::{
        context::{Ask, ToolContext},
        definition::ToolError,
        path,
    },
};

/// A line with more commands than this is refused.
const MAX_PATTERNS: usize = 1_000;

/// Arguments of `bash`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BashArgs {
    /// The command line.
    pub(super) command: String,
    /// Milliseconds after which it is ended; 120000 if left out, at most 600000.
    #[serde(default)]
    pub(super) timeout: Option<u64>,
    /// What it does, in five to ten words, for the user.
    #[schemars(required)]
    pub(super) description: Option<String>,
    /// The directory to run in, absolute or relative to the session's directory, which it is if left out.
    #[serde(default)]
    pub(super) workdir: Option<String>,
    /// Run it in the background: the call returns soon, and the command goes on.
    #[serde(default)]
    pub(super) background: Option<bool>,
    /// Why it has to run outside the sandbox, after it has failed inside; the user is asked for it.
    #[serde(default)]
    pub(super) outside: Option<String>,
}

/// The command line in one line, where there is no description.
pub(super) fn title(context: &ToolContext, args: &BashArgs) -> String {
    let text = args.description.as_ref().filter(|text| !text.trim().is_empty()).unwrap_or(&args.command);
    // Before it is cut.
    let text = context.guard.secrets.redact(text);
    ellipsis(&text.split_whitespace().collect::<Vec<_>>().join(" "), 200)
}

pub(super) fn working_directory(context: &ToolContext, workdir: Option<&str>) -> Result<AbsPath, ToolError> {
    let Some(workdir) = workdir.filter(|workdir| !workdir.is_empty()) else { return Ok(context.directory.clone()) };
    let path = match workdir.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => home(context).map(|home| home.join(rest.trim_start_matches('/'))),
        _ => Some(context.directory.join(workdir)),
    };
    let real = path.and_then(|path| path.real().ok()).filter(|path| path.as_path().is_dir());
    real.ok_or_else(|| {
        ToolError::failed(format!(
            "The working directory {workdir} does not exist or is not a directory. Please name one that exists, or leave `workdir` out."
        ))
    })
}

fn home(context: &ToolContext) -> Option<AbsPath> {
    context.environment.get("HOME").and_then(AbsPath::new)
}

/// What may be run now.
#[derive(Debug)]
pub(super) struct Allowed {
    /// How it runs.
    pub how: Execution,
    /// What the git of the line is told.
    pub git: Vec<git_guard::Setting>,
}

/// Asks for the directories outside first, then for the commands.
pub(super) async fn ask(context: &ToolContext, args: &BashArgs, directory: &AbsPath, analysis: &Analysis) -> Result<Allowed, ToolError> {
    let patterns = analysis.patterns();
    if patterns.len() > MAX_PATTERNS {
        return Err(ToolError::failed(
            "The command line has too many commands in it to be checked. Please write it to a script file and run that, or split it.",
        ));
    }
    // What lies in the temporary directory is only outside where the command is not confined: there it has one of its own.
    let is_temporary = |usage: &&PathUse| context.sandbox.is_some() && usage.anchor == Anchor::Variable("TMPDIR".to_owned());
    let paths: Vec<PathUse> = analysis.paths.iter().filter(|usage| !is_temporary(usage)).cloned().collect();
    let directories = outside(context, home(context), directory, &paths);
    let everywhere = outside(context, home(context), directory, &analysis.paths);
    let title = title(context, args);
    let mut metadata = json!({ "command": args.command, "description": args.description, "workdir": directory.to_string() });
    let visible = exact(&args.command);
    if visible != args.command {
        metadata["shown"] = json!(visible);
    }
    if !directories.is_empty() {
        metadata["directories"] = json!(directories);
    }
    if analysis.needs_a_person() {
        metadata["understood"] = json!(false);
    }
    let place = identity(directory);
    let bounds = bound(context, directory, analysis).await?;
    ask_for_places(context, &directories, &title, &metadata).await?;
    let rules = context.host.rules();
    // What a program that is not known may run: a person decides where a rule denies it.
    let is_denied = |command: &String| rules.decide("bash", command).action == Action::Deny;
    let mut force = analysis.needs_a_person() || analysis.possible.iter().any(is_denied);
    let named = named_files(context, directory, analysis, rules).await?;
    force |= named.is_unclear || may_reach_private(&args.command, analysis, home(context).as_ref(), &context.guard.private);
    let files = named.clone();
    let granted = sandbox::Granted { directories: directories.clone(), read: named.read.clone(), edit: named.edit.clone() };
    for (kind, patterns) in [("read", named.read), ("edit", named.edit)] {
        if !patterns.is_empty() {
            let always = patterns.iter().map(|pattern| Pattern::literal(pattern)).collect();
            let (title, metadata) = (title.clone(), metadata.clone());
            context.ask(Ask { kind: kind.into(), patterns, always, title, metadata, ..Ask::default() }).await?;
        }
    }
    let git = Git::of(context, directory, analysis).await;
    let question = if context.guard.trusted { git_guard::Question::default() } else { git.question(context, analysis, &bounds).await };
    let mut title = title;
    if !question.reasons.is_empty() {
        title = format!("{title} ({})", question.reasons.join("; "));
        metadata["git"] = json!(question.reasons);
    }
    // What the rules allow without naming it can be granted; what is not known cannot.
    let always = if force || question.is_unclear { Vec::new() } else { bounds.always() };
    let names = bounds.names();
    if !names.is_empty() {
        metadata["bound"] = json!(names);
    }
    force |= !question.reasons.is_empty();
    let ask =
        Ask { kind: "bash".into(), patterns, always, quiet: analysis.quiet(), force, title: title.clone(), metadata: metadata.clone() };
    let how = sandbox::authorize(context, ask, args.outside.as_deref(), granted).await?;
    if !matches!(how, Execution::Confined(_)) {
        let temporary: Vec<String> = everywhere.iter().filter(|place| !directories.contains(place)).cloned().collect();
        ask_for_places(context, &temporary, &title, &metadata).await?;
    }
    // Between the answer and the act: what a person saw must still be what the line does.
    let now = working_directory(context, args.workdir.as_deref())?;
    let is_same = now == *directory && identity(directory) == place;
    let is_same = is_same && outside(context, home(context), directory, &analysis.paths).iter().all(|pattern| everywhere.contains(pattern));
    if let Some(changed) = bounds.changed(&bound(context, directory, analysis).await?).filter(|_| is_same) {
        return Err(ToolError::failed(format!(
            "The script that `{changed}` runs, or its directory, was changed while the question was open. The command was not run; look at it again, and call the tool again if it is still needed."
        )));
    }
    if context.host.was_answered() {
        let now = named_files(context, directory, analysis, context.host.rules()).await?;
        if now.read.iter().any(|file| !files.read.contains(file)) || now.edit.iter().any(|file| !files.edit.contains(file)) {
            return Err(ToolError::failed(
                "A file that the command names leads elsewhere than it did when permission was asked for. The command was not run; call the tool again if it is still needed.",
            ));
        }
    }
    if is_same {
        return Ok(Allowed { git: git.settings(context), how });
    }
    Err(ToolError::failed(format!(
        "The directory {directory}, or a link on the way to it, was replaced while the question was open. The command was not run; call the tool again if it is still needed."
    )))
}

/// Asks for the places outside of the worktree, and the private ones, that a line works in.
async fn ask_for_places(context: &ToolContext, places: &[String], title: &str, metadata: &Value) -> Result<(), ToolError> {
    if places.is_empty() {
        return Ok(());
    }
    let folder = |pattern: &str| AbsPath::new(pattern.trim_end_matches("/*"));
    let is_private = |pattern: &str| folder(pattern).is_some_and(|folder| context.guard.private.touches(&folder));
    // Only a place that is known can be granted for good.
    let broad = |pattern: &str| {
        folder(pattern).is_none_or(|folder| {
            folder.parent().is_none()
                || context.guard.private.touches(&folder)
                || context.worktree.is_within(&folder)
                || path::is_git_internal(&folder, &context.worktree)
                || path::is_wild(&folder.to_string())
        })
    };
    let always = places.iter().filter(|pattern| pattern.starts_with('/') && !broad(pattern)).cloned().collect();
    let force = places.iter().any(|pattern| is_private(pattern));
    let (kind, patterns, title, metadata) = ("external_directory".into(), places.to_vec(), title.to_owned(), metadata.clone());
    context.ask(Ask { kind, patterns, always, force, title, metadata, ..Ask::default() }).await
}

/// Where each command of the line runs, and what the scripts hold that it runs.
async fn bound(context: &ToolContext, directory: &AbsPath, analysis: &Analysis) -> Result<Bounds, ToolError> {
    let inside = [context.worktree.clone()];
    let (directory, home, analysis, guard) = (directory.clone(), home(context), analysis.clone(), context.guard.clone());
    let environment = context.environment.clone();
    path::blocking(move || {
        let inside: Vec<&AbsPath> = inside.iter().collect();
        let surroundings = Surroundings { directory: &directory, inside: &inside, home, private: &guard.private, variables: &environment };
        Ok(bounds::bounds(&analysis, &surroundings))
    })
    .await
}

/// How a line uses git, and in which repositories.
struct Git {
    commands: Vec<GitCommand>,
    usage: Use,
    repository: RepositorySettings,
}

impl Git {
    async fn of(context: &ToolContext, directory: &AbsPath, analysis: &Analysis) -> Self {
        let commands = git_uses::commands(analysis);
        let usage = git_uses::usage(analysis, &commands);
        let inside = [&context.worktree];
        let surroundings = Surroundings {
            directory,
            inside: &inside,
            home: home(context),
            private: &context.guard.private,
            variables: &context.environment,
        };
        let directories = [directory.clone()].into_iter().chain(places(&analysis.paths, &surroundings)).collect();
        let usage_here = if context.guard.trusted { Use::None } else { usage };
        let mut repository = git_guard::repositories(usage_here, directories).await;
        if !commands.is_empty() && git_uses::unpacks(analysis) {
            repository.doubts.push("the line also unpacks files, of which git may use some".to_owned());
        }
        Self { repository, commands, usage }
    }

    /// What has to be asked in a repository that is not trusted.
    async fn question(&self, context: &ToolContext, analysis: &Analysis, bounds: &Bounds) -> git_guard::Question {
        let (bounds, mut named) = (bounds.names(), Vec::new());
        for command in self.commands.iter().filter(|command| command.kind != Kind::Looks) {
            let granted = bounds.get(&command.text).map_or(&[][..], Vec::as_slice);
            named.push((&command.text, context.host.is_named(&command.text, granted, &command.words).await));
        }
        let is_named = |command: &GitCommand| named.iter().any(|(text, is_named)| *text == &command.text && *is_named);
        let is_known = self.commands.is_empty() || !analysis.paths.iter().any(PathUse::is_unknown_place);
        git_guard::question(&self.commands, &self.repository, is_known, is_named)
    }

    fn settings(&self, context: &ToolContext) -> Vec<git_guard::Setting> {
        let is_free = context.guard.trusted || context.host.was_answered();
        git_guard::settings(if is_free { Use::None } else { self.usage }, &self.repository, &context.worktree)
    }
}

/// The files that the line reads and writes, as far as rules have something to say about them.
async fn named_files(context: &ToolContext, directory: &AbsPath, analysis: &Analysis, rules: Rules) -> Result<Files, ToolError> {
    let inside = [context.worktree.clone(), context.directory.clone(), context.output_directory.clone()];
    let (directory, home, analysis, guard) = (directory.clone(), home(context), analysis.clone(), context.guard.clone());
    let environment = context.environment.clone();
    path::blocking(move || {
        let inside: Vec<&AbsPath> = inside.iter().collect();
        let surroundings = Surroundings { directory: &directory, inside: &inside, home, private: &guard.private, variables: &environment };
        Ok(files(&analysis, &surroundings, inside[0], &rules))
    })
    .await
}

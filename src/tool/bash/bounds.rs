//! Where what "always" grants for a command holds: the directory, and the file that the command runs with its content.

use std::{collections::BTreeMap, io::Read as _};

use super::{
    commands::{Access, Analysis, Bound, Change, PathUse, Rest},
    places::{Surroundings, targets},
};
use crate::{permission::Pattern, stdx::paths::AbsPath};

/// A longer script is not bound to its content, so it is not granted for good.
const MAX_SCRIPT_BYTES: u64 = 8 * 1024 * 1024;

/// What a line does that can be granted: its commands and what it writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// What the rules are asked about.
    text: String,
    /// What grants know it by.
    identity: String,
    /// The places for which it is granted, as they stand before the identity; `None` where only running would tell. Without
    /// any it is granted everywhere.
    places: Vec<Option<String>>,
    /// The pattern that "always" grants.
    always: Option<String>,
}

/// The places of all commands.
pub(super) fn bounds(analysis: &Analysis, surroundings: &Surroundings<'_>) -> Bounds {
    let mut programs = Programs { contents: BTreeMap::new(), changes: None };
    let mut entry = |text: &String, identity: &str, always: Option<String>, bounds: &[Bound]| Entry {
        text: text.clone(),
        identity: identity.to_owned(),
        places: bounds.iter().map(|bound| place(bound, analysis, surroundings, &mut programs)).collect(),
        always,
    };
    let quiet = analysis.needs_no_rule();
    let mut entries = Vec::new();
    for command in &analysis.commands {
        let always = command.always.clone().filter(|_| !quiet(command));
        entries.push(entry(&command.text, command.identity(), always, &command.bounds));
    }
    for write in &analysis.writes {
        // What only running would tell was not shown.
        let always = Some(Pattern::literal(&write.text)).filter(|_| !write.text.contains(['$', '`']));
        entries.push(entry(&write.text, &write.text, always, &write.bounds));
    }
    Bounds { entries }
}

impl Bounds {
    /// For what the rules are asked about the names by which grants know it, where these differ.
    pub(super) fn names(&self) -> BTreeMap<&String, Vec<String>> {
        let mut names = BTreeMap::<&String, Vec<String>>::new();
        for entry in &self.entries {
            names.entry(&entry.text).or_default().extend(entry.names());
        }
        names.retain(|text, names| names.iter().any(|name| name != *text));
        names
    }

    /// What "always" grants for the whole line; nothing for a command whose place is not known.
    pub(super) fn always(&self) -> Vec<String> {
        let mut always = Vec::new();
        for entry in &self.entries {
            let Some(pattern) = &entry.always else { continue };
            let bound = entry.places.iter().map(|place| place.as_ref().map(|place| format!("{} {pattern}", Pattern::literal(place))));
            let patterns: Option<Vec<String>> = if entry.places.is_empty() { Some(vec![pattern.clone()]) } else { bound.collect() };
            always.extend(patterns.into_iter().flatten().filter(|pattern| !always.contains(pattern)).collect::<Vec<_>>());
        }
        always
    }

    /// The command that is not what it was.
    pub(super) fn changed(&self, now: &Self) -> Option<&str> {
        let is_same = |entry: &&Entry| now.entries.contains(entry);
        if self == now { None } else { self.entries.iter().find(|entry| !is_same(entry)).map(|entry| entry.text.as_str()) }
    }
}

impl Entry {
    fn names(&self) -> Vec<String> {
        if self.places.is_empty() {
            return vec![self.identity.clone()];
        }
        self.places.iter().map(|place| format!("{} {}", place.as_deref().unwrap_or("[in ?]"), self.identity)).collect()
    }
}

/// The files that commands of a line run.
struct Programs {
    /// The names of what they hold.
    contents: BTreeMap<AbsPath, Option<String>>,
    /// What the line itself changes, once that is asked for.
    changes: Option<Vec<Changed>>,
}

/// What a change of the line leads to.
struct Changed {
    step: usize,
    brings_content: bool,
    /// Nothing where only running would tell.
    places: Option<Vec<AbsPath>>,
}

impl Programs {
    /// What may have been changed by the time the command runs.
    fn before<'a>(
        &'a mut self,
        bound: &Bound,
        analysis: &Analysis,
        surroundings: &Surroundings<'_>,
    ) -> impl Iterator<Item = &'a Changed> + use<'a> {
        let (step, until) = (bound.step, bound.until);
        let changes = self.changes.get_or_insert_with(|| changes(analysis, surroundings));
        changes.iter().filter(move |change| change.step < until && change.step != step)
    }

    /// A short name for what the file holds.
    fn content(&mut self, file: &AbsPath) -> Option<&String> {
        self.contents.entry(file.clone()).or_insert_with(|| content(file)).as_ref()
    }
}

fn changes(analysis: &Analysis, surroundings: &Surroundings<'_>) -> Vec<Changed> {
    let changed = |change: &Change| {
        let usage = &change.path;
        let found = targets(usage, surroundings);
        // A pattern that matches nothing removes nothing.
        let is_nothing = |is_below: bool| is_below && usage.access == Access::Destroy && matches!(usage.rest, Some(Rest::Pattern(_)));
        let is_known = !found.is_empty();
        let places = found.into_iter().filter(|target| !is_nothing(target.is_below)).map(|target| target.real).collect();
        Changed {
            step: change.step,
            brings_content: change.brings_content && usage.access == Access::Write,
            places: is_known.then_some(places),
        }
    };
    analysis.changes.iter().map(changed).collect()
}

/// Where a grant of the command holds, for what it runs there.
fn place(bound: &Bound, analysis: &Analysis, surroundings: &Surroundings<'_>, programs: &mut Programs) -> Option<String> {
    let directory = only(&bound.directory, surroundings)?;
    let here = if bound.is_exact { format!("[in {directory}, as shown]") } else { format!("[in {directory}]") };
    if !bound.runs_files {
        return Some(here);
    }
    let Some(program) = &bound.program else {
        // A tool may look for its files in the directories above too.
        let top = surroundings.inside.first().filter(|top| directory.is_within(top)).map_or(&directory, |top| *top);
        let is_run = |place: &AbsPath| top.is_within(place) || (place.is_within(top) && !is_inert(place));
        let mut before = programs.before(bound, analysis, surroundings).filter(|change| change.brings_content);
        let is_same = before.all(|change| change.places.as_ref().is_some_and(|places| !places.iter().any(is_run)));
        return is_same.then_some(here);
    };
    let file = only(program, surroundings)?;
    // What other programs do to the file is not in the line.
    if analysis.runs.iter().any(|step| *step < bound.until && *step != bound.step) {
        return None;
    }
    let is_kept = |change: &Changed| change.places.as_ref().is_some_and(|places| !places.iter().any(|place| file.is_within(place)));
    if !programs.before(bound, analysis, surroundings).all(is_kept) {
        return None;
    }
    let content = programs.content(&file)?;
    Some(format!("[in {directory}, {file} = {content}]"))
}

/// Whether no program runs what such a file holds: output and text for people. A new file without an ending is one of these
/// unless a tool looks for it.
fn is_inert(file: &AbsPath) -> bool {
    const ENDINGS: &[&str] = &["log", "out", "err", "txt", "md", "csv", "tmp", "diff", "patch", "html", "svg", "png", "jpg", "pdf"];
    const NAMES: &[&str] = &[
        "makefile",
        "gnumakefile",
        "bsdmakefile",
        "justfile",
        "rakefile",
        "gemfile",
        "dockerfile",
        "taskfile",
        "build",
        "workspace",
        "configure",
        "cmakelists.txt",
        "requirements.txt",
    ];
    let path = file.as_path();
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if NAMES.contains(&name.as_str()) || name.starts_with('.') {
        return false;
    }
    match path.extension() {
        Some(ending) => ENDINGS.contains(&ending.to_string_lossy().to_lowercase().as_str()),
        None => path.symlink_metadata().is_err(),
    }
}

/// The one path that this certainly is; none that could be mistaken for more of a grant than a path.
fn only(usage: &PathUse, surroundings: &Surroundings<'_>) -> Option<AbsPath> {
    let mut found = targets(usage, surroundings);
    let target = found.pop().filter(|target| found.is_empty() && !target.is_below)?;
    Some(target.real).filter(|path| !path.to_string().contains([']', ',']))
}

/// A short name for what the file holds.
fn content(file: &AbsPath) -> Option<String> {
    let metadata = file.as_path().metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() <= MAX_SCRIPT_BYTES)?;
    let mut text = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    std::fs::File::open(file).ok()?.take(MAX_SCRIPT_BYTES).read_to_end(&mut text).ok()?;
    Some(blake3::hash(&text).to_hex()[..16].to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink, sync::Arc};

    use serde_json::{Value, json};

    use crate::tool::{
        builtin,
        definition::ToolError,
        test_host::{Answer, Place},
    };

    async fn run(place: &Place, line: &str) -> Result<String, ToolError> {
        let bash = builtin().into_iter().find(|tool| tool.name() == "bash").unwrap();
        let input = json!({ "command": line, "description": "Test" });
        bash.call(&place.context, input).await.map(|output| output.output)
    }

    #[tokio::test]
    async fn a_script_that_changes_while_the_question_is_open_does_not_run() {
        for line in ["sh ./s.sh", "./s.sh a", "cd sub && sh ../s.sh", "timeout 5 bash -e s.sh", "sh -c 'sh ./s.sh'"] {
            let place = Place::new();
            place.write("s.sh", "#!/bin/sh\necho shown\n");
            place.write("sub/x", "");
            fs::set_permissions(place.worktree.join("s.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            assert_eq!(run(&place, line).await.unwrap(), "shown\n", "{line}");
            let script = place.worktree.join("s.sh");
            place.host.answer("bash", Answer::After(Arc::new(move || fs::write(&script, "#!/bin/sh\necho other\n").unwrap())));
            let error = run(&place, line).await.unwrap_err().to_string();
            assert!(error.contains("was changed while the question was open"), "{line}: {error}");
            // What was changed is what the next question is about.
            assert_eq!(run(&place, line).await.unwrap(), "other\n", "{line}");
        }
    }

    #[tokio::test]
    async fn a_file_that_becomes_another_while_the_question_is_open_is_not_read() {
        let place = Place::new();
        place.write("a.txt", "a");
        place.write(".env", "secret");
        symlink("a.txt", place.worktree.join("way")).unwrap();
        assert_eq!(run(&place, "cat way").await.unwrap(), "a");
        let way = place.worktree.join("way");
        place.host.answer(
            "bash",
            Answer::After(Arc::new(move || {
                fs::remove_file(&way).unwrap();
                symlink(".env", &way).unwrap();
            })),
        );
        let error = run(&place, "cat way").await.unwrap_err().to_string();
        assert!(error.contains("leads elsewhere"), "{error}");
    }

    #[tokio::test]
    async fn what_the_line_changes_is_not_granted_by_what_it_was() {
        let place = Place::new();
        place.write("sub/s.sh", "#!/bin/sh\n");
        for (line, is_bound) in [
            ("sh sub/s.sh > out", true),
            ("rm -f *.o; mkdir -p other; sh sub/s.sh", true),
            ("cp x sub/s.sh; sh sub/s.sh", false),
            ("mv sub old; mv other sub; sh sub/s.sh", false),
            ("cp x sub/; sh sub/s.sh", false),
            ("git checkout main -- .; sh sub/s.sh", false),
            ("f=sub/s.sh; cp x $f; sh sub/s.sh", false),
            ("cp x \"$(echo sub)/s.sh\"; sh sub/s.sh", false),
        ] {
            let _ = run(&place, line).await;
            let ask = place.host.asks().into_iter().rfind(|ask| ask.kind == "bash").unwrap();
            let bound = ask.metadata["bound"]["sh sub/s.sh"][0].as_str().unwrap().to_owned();
            assert_eq!(bound != "[in ?] sh sub/s.sh", is_bound, "{line}: {bound}");
        }
    }

    #[tokio::test]
    async fn a_line_that_changes_what_it_runs_has_no_grant_for_that() {
        let place = Place::new();
        for file in ["sub/x", "Makefile", "s.sh", "a.rs", "run"] {
            place.write(file, "x\n");
        }
        for (line, command, is_bound) in [
            ("make all", "make all", true),
            ("make all > build.log 2>&1", "make all", true),
            ("make all > out", "make all", true),
            ("make all 2>&1 | tee log.txt", "make all", true),
            ("mkdir -p build && touch stamp && make all", "make all", true),
            ("make all && cp a.rs b.rs", "make all", true),
            ("rm -rf build; make all", "make all", true),
            ("make all; make all", "make all", true),
            ("cp a /tmp/b; make all", "make all", true),
            ("echo x > Makefile && make all", "make all", false),
            ("echo x > makefile; make all", "make all", false),
            ("make all > run", "make all", false),
            ("cp x Makefile; make all", "make all", false),
            ("cp x .; make all", "make all", false),
            ("cp x \"$(pwd)/$y\"; make all", "make all", false),
            ("mv x sub/Makefile; make all", "make all", false),
            ("cd sub; cp ../x ../Makefile; make all", "make all", false),
            ("sed -i s/a/b/ a.rs && cargo test", "cargo test", false),
            ("echo x | tee a.rs | make all", "make all", false),
            ("for i in 1 2; do make all; cp x Makefile; done", "make all", false),
            ("bash -c 'cp x Makefile; make all'", "make all", false),
            ("make all & cp x Makefile", "make all", false),
            ("f() { cp x Makefile; }; make all; f", "make all", false),
            ("trap 'cp x Makefile' DEBUG; make all", "make all", false),
            ("patch -p1 < x; make all", "make all", false),
            ("git checkout other; make all", "make all", false),
            ("git pull; make all", "make all", false),
            ("tar xf x; make all", "make all", false),
            ("curl -o Makefile http://x/; make all", "make all", false),
            ("sh s.sh", "sh s.sh", true),
            ("ls; sh s.sh > out", "sh s.sh", true),
            ("make; sh s.sh", "sh s.sh", false),
            ("make | sh s.sh", "sh s.sh", false),
            ("python3 -c 'x'; sh s.sh", "sh s.sh", false),
            ("unknown-program; sh s.sh", "sh s.sh", false),
            ("sh sub/x; sh s.sh", "sh s.sh", false),
        ] {
            let _ = run(&place, line).await;
            let ask = place.host.asks().into_iter().rfind(|ask| ask.kind == "bash").unwrap_or_else(|| panic!("{line}"));
            let bound = ask.metadata["bound"][command][0].as_str().unwrap_or_else(|| panic!("{line}: {}", ask.metadata)).to_owned();
            assert_eq!(bound != format!("[in ?] {command}"), is_bound, "{line}: {bound}");
            let is_granted = ask.always.iter().any(|pattern| pattern.contains(&command[..7]));
            assert!(is_bound || !is_granted, "{line}: {:?}", ask.always);
        }
    }

    #[tokio::test]
    async fn a_redirection_is_granted_in_its_directory() {
        let place = Place::new();
        place.write("sub/x", "");
        run(&place, "cd sub && echo a > out.txt").await.unwrap();
        let ask = place.host.asks().pop().unwrap();
        assert!(ask.always.contains(&format!("[in {}] > out.txt", place.worktree.join("sub"))), "{:?}", ask.always);
    }

    #[tokio::test]
    async fn no_directory_is_called_like_a_grant_for_another() {
        let place = Place::new();
        place.write("sub/x", "");
        place.write("sub] make --version x/y", "");
        run(&place, "cd 'sub] make --version x' && touch z").await.unwrap();
        let ask = place.host.asks().pop().unwrap();
        assert_eq!((&ask.metadata["bound"]["touch z"], ask.always), (&json!(["[in ?] touch z"]), Vec::new()));
    }

    #[tokio::test]
    async fn questions_name_what_a_grant_is_bound_to() {
        let place = Place::new();
        place.write("sub/x", "");
        run(&place, "true && make --version >/dev/null; (cd sub && make --version >/dev/null)").await.unwrap();
        let metadata = place.host.asks().pop().unwrap().metadata;
        let (top, sub) = (&place.worktree, place.worktree.join("sub"));
        let names = json!([format!("[in {top}] make --version"), format!("[in {sub}] make --version")]);
        assert_eq!(metadata["bound"], json!({ "make --version": names }));
        run(&place, "ls").await.unwrap();
        assert_eq!(place.host.asks().pop().unwrap().metadata.get("bound"), None::<&Value>);
    }
}

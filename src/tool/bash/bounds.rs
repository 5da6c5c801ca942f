//! Where what "always" grants for a command holds: the directory, and the file that the command runs with its content.

use std::{collections::BTreeMap, io::Read as _};

use super::{
    commands::{Access, Analysis, Bound, PathUse, Rest},
    places::{Surroundings, targets},
};
use crate::{permission::Pattern, stdx::paths::AbsPath};

/// A longer script is not bound to its content, so it is not granted for good.
const LONGEST: u64 = 8 * 1024 * 1024;

/// For each command that is bound, the texts before it that name its places; `None` where only running would tell.
pub(super) type Bounds = BTreeMap<String, Vec<Option<String>>>;

/// The places of all commands.
pub(super) fn bounds(analysis: &Analysis, surroundings: &Surroundings<'_>) -> Bounds {
    let mut bounds = Bounds::new();
    let mut bound = analysis.commands.iter().filter(|command| !command.bounds.is_empty()).peekable();
    if bound.peek().is_none() {
        return bounds;
    }
    let mut programs = Programs { contents: BTreeMap::new(), changes: changes(analysis, surroundings) };
    for command in bound {
        let places = command.bounds.iter().map(|bound| place(bound, surroundings, &mut programs)).collect();
        bounds.insert(command.text.clone(), places);
    }
    bounds
}

/// The names by which grants know each command.
pub(super) fn names(bounds: &Bounds) -> BTreeMap<&String, Vec<String>> {
    let name = |command: &String, place: &Option<String>| format!("{} {command}", place.as_deref().unwrap_or("[in ?]"));
    bounds.iter().map(|(command, places)| (command, places.iter().map(|place| name(command, place)).collect())).collect()
}

/// What "always" grants for the whole line; nothing for a command whose place is not known.
pub(super) fn always(analysis: &Analysis, bounds: &Bounds) -> Vec<String> {
    let mut always = Vec::new();
    for (pattern, command) in analysis.always() {
        let places = command.and_then(|command| bounds.get(command)).map_or(&[][..], Vec::as_slice);
        let bound = places.iter().map(|place| place.as_ref().map(|place| format!("{} {pattern}", Pattern::literal(place))));
        let patterns: Option<Vec<String>> = if places.is_empty() { Some(vec![pattern.clone()]) } else { bound.collect() };
        always.extend(patterns.into_iter().flatten().filter(|pattern| !always.contains(pattern)).collect::<Vec<_>>());
    }
    always
}

/// The command that is not what it was.
pub(super) fn changed<'a>(before: &'a Bounds, now: &Bounds) -> Option<&'a str> {
    before.iter().find(|(command, places)| now.get(*command) != Some(*places)).map(|(command, _)| command.as_str())
}

/// The files that commands of a line run.
struct Programs {
    /// The names of what they hold.
    contents: BTreeMap<AbsPath, Option<String>>,
    /// The places that the line itself changes; `None` where only running would tell.
    changes: Option<Vec<AbsPath>>,
}

impl Programs {
    /// A short name for what the file holds, if it holds that when it runs.
    fn content(&mut self, file: &AbsPath) -> Option<&String> {
        let changes = self.changes.as_ref()?;
        if changes.iter().any(|place| file.is_within(place)) {
            return None;
        }
        self.contents.entry(file.clone()).or_insert_with(|| content(file)).as_ref()
    }
}

fn changes(analysis: &Analysis, surroundings: &Surroundings<'_>) -> Option<Vec<AbsPath>> {
    let mut changes = Vec::new();
    for usage in analysis.paths.iter().filter(|usage| usage.access.changes()) {
        let found = targets(usage, surroundings);
        if found.is_empty() {
            return None;
        }
        // A pattern that matches nothing removes nothing.
        let is_nothing = |is_below: bool| is_below && usage.access == Access::Destroy && matches!(usage.rest, Some(Rest::Pattern(_)));
        changes.extend(found.into_iter().filter(|target| !is_nothing(target.is_below)).map(|target| target.real));
    }
    Some(changes)
}

fn place(bound: &Bound, surroundings: &Surroundings<'_>, programs: &mut Programs) -> Option<String> {
    let directory = only(&bound.directory, surroundings)?;
    let Some(program) = &bound.program else { return Some(format!("[in {directory}]")) };
    let file = only(program, surroundings)?;
    let content = programs.content(&file)?;
    Some(format!("[in {directory}, {file} = {content}]"))
}

/// The one path that this certainly is; none that could be mistaken for more of a grant than a path.
fn only(usage: &PathUse, surroundings: &Surroundings<'_>) -> Option<AbsPath> {
    let mut found = targets(usage, surroundings);
    let target = found.pop().filter(|target| found.is_empty() && !target.is_below)?;
    Some(target.real).filter(|path| !path.to_string().contains([']', ',']))
}

/// A short name for what the file holds.
fn content(file: &AbsPath) -> Option<String> {
    let metadata = file.as_path().metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() <= LONGEST)?;
    let mut text = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    std::fs::File::open(file).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
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

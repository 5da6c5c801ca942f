//! Where what "always" grants for a command holds: the directory, and the file that the command runs with its content.

use std::{collections::BTreeMap, io::Read as _};

use super::{
    commands::{Analysis, Bound, PathUse},
    places::{Surroundings, targets},
};
use crate::{permission::Pattern, stdx::paths::AbsPath};

/// A longer script is not bound to its content, so it is not granted for good.
const LONGEST: u64 = 8 * 1024 * 1024;

/// For each command that is bound, the texts before it that name its places; `None` where only running would tell.
pub(super) type Bounds = BTreeMap<String, Vec<Option<String>>>;

/// The places of all commands.
pub(super) fn bounds(analysis: &Analysis, surroundings: &Surroundings<'_>) -> Bounds {
    let mut contents = Contents::new();
    let mut bounds = Bounds::new();
    for command in analysis.commands.iter().filter(|command| !command.bounds.is_empty()) {
        let places = command.bounds.iter().map(|bound| place(bound, surroundings, &mut contents)).collect();
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

/// The names of what files hold.
type Contents = BTreeMap<AbsPath, Option<String>>;

fn place(bound: &Bound, surroundings: &Surroundings<'_>, contents: &mut Contents) -> Option<String> {
    let directory = only(&bound.directory, surroundings)?;
    let Some(program) = &bound.program else { return Some(format!("[in {directory}]")) };
    let file = only(program, surroundings)?;
    let content = contents.entry(file.clone()).or_insert_with(|| content(&file)).as_ref()?;
    Some(format!("[in {directory}, {file} = {content}]"))
}

/// The one path that this certainly is.
fn only(usage: &PathUse, surroundings: &Surroundings<'_>) -> Option<AbsPath> {
    let mut found = targets(usage, surroundings);
    found.pop().filter(|target| found.is_empty() && !target.is_below).map(|target| target.real)
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

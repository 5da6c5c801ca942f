//! The README and the pages in `docs/` are correct: the conversation is run with the real executable, the settings are
//! accepted, and the named files and methods exist.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use polytree_protocol::{config::Config, methods::METHODS};
use serde_json::Value;

/// A generous timeout, which only a hang reaches.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The directory of the README's example.
const EXAMPLE: &str = "/home/ann/project";

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The README and the pages of the documentation.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let pages = docs.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.map(|path| fs::read_to_string(path).unwrap()).chain([readme()]).collect()
}

/// The code blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let blocks =
        |page: String| -> Vec<String> { page.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect() };
    pages().into_iter().flat_map(blocks).collect()
}

#[expect(clippy::disallowed_methods, reason = "tests start real programs")]
fn command(program: &str, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

#[test]
fn the_conversation_takes_place() {
    let [conversation] = blocks("text").into_iter().filter(|block| block.contains("\n← ")).collect::<Vec<_>>().try_into().unwrap();
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("project");
    fs::create_dir(&project).unwrap();
    let project = project.canonicalize().unwrap();
    assert!(command("git", &project).args(["init", "--quiet"]).status().unwrap().success());
    fs::write(project.join("notes.txt"), "a note\n").unwrap();

    let mut daemon = command(env!("CARGO_BIN_EXE_polytree"), &project)
        .args(["stdio", "--standalone"])
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = daemon.stdin.take().unwrap();
    let output = BufReader::new(daemon.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in output.lines() {
            let message: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let _ = sender.send(message);
        }
    });

    let mut names = BTreeMap::from([(EXAMPLE.to_owned(), project.to_str().unwrap().to_owned())]);
    let mut arrived = Vec::new();
    for line in conversation.lines() {
        if let Some(sent) = line.strip_prefix("→ ") {
            let sent = names.iter().fold(sent.to_owned(), |text, (example, real)| text.replace(example, real));
            writeln!(input, "{sent}").unwrap();
        } else if let Some(expected) = line.strip_prefix("← ") {
            let expected: Value = serde_json::from_str(expected).unwrap_or_else(|error| panic!("{error}: {line}"));
            wait_for(&expected, &mut arrived, &receiver, &mut names);
        } else {
            panic!("neither sent nor received: {line}");
        }
    }
    drop(input);
    assert!(daemon.wait().unwrap().success());
    reader.join().unwrap();
}

/// Reads messages until one is as expected. Answers and events may overtake each other; the README omits many events and
/// fields.
fn wait_for(expected: &Value, arrived: &mut Vec<Value>, receiver: &mpsc::Receiver<Value>, names: &mut BTreeMap<String, String>) {
    let mut next = 0;
    // In total, not for each message: heartbeats never end.
    let deadline = Instant::now() + TIMEOUT;
    loop {
        while next < arrived.len() {
            let mut found = names.clone();
            if fits(expected, &arrived[next], &mut found) {
                *names = found;
                let is_event = arrived.remove(next).get("id").is_none();
                // Events are ordered, so the README omits those before this one.
                let mut index = 0;
                arrived.retain(|message| {
                    index += 1;
                    !is_event || index > next || message.get("id").is_some()
                });
                return;
            }
            next += 1;
        }
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(message) => arrived.push(message),
            Err(_) => panic!("this did not come: {expected}\nbut: {}", Value::from(std::mem::take(arrived))),
        }
    }
}

/// Whether the message contains everything that is expected. A short id such as `ses_1` matches one id everywhere.
fn fits(expected: &Value, actual: &Value, names: &mut BTreeMap<String, String>) -> bool {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            expected.iter().all(|(key, value)| actual.get(key).is_some_and(|actual| fits(value, actual, names)))
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len() && expected.iter().zip(actual).all(|(expected, actual)| fits(expected, actual, names))
        }
        (Value::String(expected), Value::String(actual)) => {
            if let Some(real) = names.get(expected) {
                return real == actual;
            }
            let is_short_id = expected.split_once('_').is_some_and(|(prefix, number)| prefix.len() == 3 && number.parse::<u32>().is_ok());
            if is_short_id && actual.starts_with(&expected[..4]) {
                names.insert(expected.clone(), actual.clone());
                return true;
            }
            expected == actual
        }
        _ => expected == actual,
    }
}

#[test]
fn the_settings_are_accepted() {
    let blocks = blocks("jsonc");
    assert!(!blocks.is_empty());
    for block in blocks {
        let lines: Vec<&str> = block.lines().map(|line| line.split("  // ").next().unwrap()).collect();
        let settings: Config = serde_json::from_str(&lines.join("\n")).unwrap_or_else(|error| panic!("{error}: {block}"));
        assert_ne!(settings, Config::default(), "{block}");
    }
}

/// A home directory whose daemon is stopped at the end.
struct Home(tempfile::TempDir);

impl Home {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The command prints its own errors; they are not the subject of the test.
        let _ = command(env!("CARGO_BIN_EXE_polytree"), self.path()).args(["stop", "--now"]).env("HOME", self.path()).status();
    }
}

#[test]
fn the_explanation_needs_neither_key_nor_network() {
    let home = Home(tempfile::tempdir().unwrap());
    let project = home.path().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("README.md"), "# A small thing\n\nIt does little.\n").unwrap();
    assert!(readme().contains("run \"explain this project\""));
    let mut polytree = command(env!("CARGO_BIN_EXE_polytree"), &project);
    let output = polytree.args(["run", "explain this project"]).env("HOME", home.path()).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("It does little."), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Whether a name such as `buffer.unanswered` is a key of the settings.
fn is_setting(word: &str) -> bool {
    let schema = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/config.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let Some((object, key)) = word.split_once('.') else { return false };
    let property = &schema["properties"][object];
    let reference = property["$ref"].as_str().or(property["allOf"][0]["$ref"].as_str()).or(property["anyOf"][0]["$ref"].as_str());
    let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) else { return false };
    !schema["definitions"][name]["properties"][key].is_null()
}

#[test]
fn the_files_and_methods_that_they_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for page in pages() {
        // Code blocks contain other backticks.
        let prose: String = page.split("```").step_by(2).collect();
        for word in prose.split('`').skip(1).step_by(2) {
            let folders = ["src/", "protocol/", "schema/", "tests/", "docs/", "editors/", "clients/", "benches/"];
            let is_path = folders.iter().any(|folder| word.starts_with(folder));
            if is_path && !word.contains(['<', ' ', '*']) {
                assert!(root.join(word).exists(), "the documentation names {word}, which does not exist");
                seen += 1;
            }
            let is_method =
                word.split_once('.').is_some_and(|(noun, _)| METHODS.iter().any(|method| method.name.starts_with(&format!("{noun}."))));
            if is_method && !word.ends_with(".json") && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.') {
                let is_event = polytree_protocol::events::EVENTS.iter().any(|event| event.name == word);
                let exists = is_event || is_setting(word) || METHODS.iter().any(|method| method.name == word);
                assert!(exists, "the documentation names {word}, which is no method, event or setting");
            }
        }
    }
    assert!(seen > 40, "the documentation names only {seen} files");
}

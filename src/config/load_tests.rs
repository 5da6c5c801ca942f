//! Settings from real files: order, trust, references, caching, and masks.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, SystemTime},
};

use polytree_protocol::permission::Action;

use super::{
    Error, Loader, Places, Settings,
    places::Environment,
    trust::{TrustedFile, files_that_count},
};
use crate::stdx::paths::AbsPath;

struct Fixture {
    directory: tempfile::TempDir,
    environment: Environment,
    loader: Loader,
    distrusted: Vec<&'static str>,
    asked: RefCell<Vec<TrustedFile>>,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut fixture = Self {
            directory: tempfile::tempdir().unwrap(),
            environment: Environment::new(),
            loader: Loader::new(),
            distrusted: Vec::new(),
            asked: RefCell::default(),
        };
        fixture.set("HOME", &fixture.root().join("home").to_string());
        std::fs::create_dir_all(fixture.root().join("w/a/b").as_path()).unwrap();
        for (path, text) in files {
            fixture.write(path, text);
        }
        fixture
    }

    fn root(&self) -> AbsPath {
        AbsPath::new(self.directory.path()).unwrap().real().unwrap()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Writes a file with an old time, so that it can be cached.
    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap().as_path()).unwrap();
        std::fs::write(path.as_path(), text).unwrap();
        let long_ago = SystemTime::now() - Duration::from_mins(1);
        std::fs::File::options().write(true).open(path.as_path()).unwrap().set_modified(long_ago).unwrap();
    }

    fn places(&self) -> Places {
        Places { config: self.root().join("config"), data: self.root().join("data"), runtime: self.root().join("data") }
    }

    fn try_load(&self) -> Result<Arc<Settings>, Error> {
        let trust = |file: &TrustedFile| {
            self.asked.borrow_mut().push(file.clone());
            !self.distrusted.contains(&file.path.as_str())
        };
        self.loader.load(&self.places(), &self.root().join("w"), &self.root().join("w/a/b"), &trust, &self.environment)
    }

    fn load(&self) -> Arc<Settings> {
        self.try_load().unwrap()
    }

    fn model(&self) -> String {
        self.load().config.model.clone().unwrap_or_default()
    }

    fn error(&self) -> String {
        self.try_load().unwrap_err().to_string().replace(&self.root().to_string(), "ROOT")
    }
}

fn model(name: &str) -> String {
    format!(r#"{{"model": "p/{name}"}}"#)
}

#[test]
fn each_source_stands_above_the_one_before() {
    let mut fixture = Fixture::new(&[]);
    assert_eq!(fixture.model(), "");
    let order = [
        "config/polytree.json",
        "config/polytree.jsonc",
        "w/polytree.json",
        "w/polytree.jsonc",
        "w/a/polytree.json",
        "w/a/b/polytree.json",
        "w/a/b/polytree.jsonc",
    ];
    for path in order {
        fixture.write(path, &model(path));
        assert_eq!(fixture.model(), format!("p/{path}"));
    }
    fixture.write("w/a/b/c/polytree.json", &model("below"));
    fixture.write("polytree.json", &model("above"));
    assert_eq!(fixture.model(), "p/w/a/b/polytree.jsonc");
    fixture.write("named.json", &model("named"));
    let named = fixture.root().join("named.json").to_string();
    fixture.set("POLYTREE_CONFIG", &named);
    assert_eq!(fixture.model(), "p/named");
    fixture.set("POLYTREE_CONFIG_CONTENT", &model("content"));
    assert_eq!(fixture.model(), "p/content");
    let files: Vec<_> = fixture.load().files.iter().map(|path| path.relative_to(&fixture.root())).collect();
    assert_eq!(files, [order.as_slice(), &["named.json"]].concat());
    assert_eq!(fixture.loader.load_user(&fixture.places(), &fixture.environment).unwrap().layers.len(), 4);
}

#[test]
fn files_without_trust_are_not_parsed() {
    let mut fixture = Fixture::new(&[
        ("config/polytree.json", r#"{"model": "p/user"}"#),
        ("w/polytree.json", "{ broken"),
        ("w/a/polytree.jsonc", r#"{"model": "p/project"}"#),
    ]);
    fixture.distrusted = vec!["polytree.json", "a/polytree.jsonc"];
    assert_eq!(fixture.model(), "p/user");
    assert_eq!(*fixture.asked.borrow(), files_that_count(&fixture.root().join("w"), &fixture.root().join("w/a/b")));
    fixture.distrusted = vec!["polytree.json"];
    assert_eq!(fixture.model(), "p/project", "later trust takes effect immediately");
    fixture.distrusted.clear();
    assert!(fixture.error().starts_with("ROOT/w/polytree.json:1:3: "), "{}", fixture.error());
}

#[cfg(unix)]
#[test]
fn links_out_of_the_worktree_are_not_used() {
    let fixture = Fixture::new(&[("secret.json", r#"{"model": "p/secret"}"#)]);
    std::os::unix::fs::symlink("../secret.json", fixture.root().join("w/polytree.json").as_path()).unwrap();
    assert_eq!(fixture.model(), "");
    assert!(fixture.asked.borrow().is_empty());
}

#[test]
fn rules_are_kept_apart_by_source() {
    let mut fixture = Fixture::new(&[
        ("config/polytree.json", r#"{"permission": {"bash": {"rm *": "deny"}, "edit": "ask"}}"#),
        ("w/polytree.json", r#"{"permission": {"bash": {"rm *": "allow"}}}"#),
        ("w/a/polytree.json", r#"{"permission": "allow"}"#),
    ]);
    fixture.set("POLYTREE_CONFIG_CONTENT", r#"{"permission": {"webfetch": "deny"}}"#);
    let settings = fixture.load();
    let list = |rules: &[polytree_protocol::permission::Rule]| {
        rules.iter().map(|rule| format!("{} {} {:?}", rule.permission, rule.pattern, rule.action)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(list(&settings.user_rules), "bash rm * Deny, edit * Ask, webfetch * Deny");
    assert_eq!(list(&settings.project_rules), "bash rm * Allow, * * Allow");
    assert_eq!(settings.user_rules[0].action, Action::Deny);
}

#[test]
fn an_unchanged_directory_is_not_read_again_and_changes_show_at_once() {
    let mut fixture = Fixture::new(&[
        ("config/polytree.json", r#"{"username": "{env:NAME}", "agent": {"a": {"prompt": "{file:prompt.txt}"}}}"#),
        ("config/prompt.txt", "one"),
        ("w/polytree.json", "{}"),
    ]);
    let first = fixture.load();
    assert!(Arc::ptr_eq(&first, &fixture.load()));
    fixture.set("UNRELATED", "x");
    assert!(Arc::ptr_eq(&first, &fixture.load()));

    fixture.set("NAME", "u");
    assert_eq!(fixture.load().config.username.as_deref(), Some("u"));
    fixture.write("config/prompt.txt", "two");
    assert_eq!(fixture.load().config.agent["a"].prompt.as_deref(), Some("two"));
    fixture.write("w/a/b/polytree.json", &model("new"));
    assert_eq!(fixture.model(), "p/new");
    std::fs::remove_file(fixture.root().join("w/a/b/polytree.json").as_path()).unwrap();
    assert_eq!(fixture.model(), "");
}

#[test]
fn a_change_right_after_reading_shows_even_with_the_same_length() {
    let fixture = Fixture::new(&[]);
    let path = fixture.root().join("config/polytree.json");
    std::fs::create_dir_all(path.parent().unwrap().as_path()).unwrap();
    for round in 0..50 {
        let name = format!("{}", round % 2);
        std::fs::write(path.as_path(), model(&name)).unwrap();
        assert_eq!(fixture.model(), format!("p/{name}"));
    }
    // The time resolution could hide such a change, so the file is read each time.
    assert!(!Arc::ptr_eq(&fixture.load(), &fixture.load()));
}

#[test]
fn errors_are_not_remembered() {
    let fixture = Fixture::new(&[("config/polytree.json", "{\n  \"modle\": \"p/x\"\n}")]);
    assert_eq!(fixture.error(), r#"ROOT/config/polytree.json:2:3: unknown key "modle"; did you mean `model`?"#);
    let error = fixture.try_load().unwrap_err();
    assert_eq!(error.position(), Some((2, 3)));
    assert!(error.file().unwrap().ends_with("config/polytree.json"));
    fixture.write("config/polytree.json", &model("x"));
    assert_eq!(fixture.model(), "p/x");
}

#[test]
fn mistakes_have_a_place() {
    let check = |text: &str, expected: &str| assert_eq!(Fixture::new(&[("w/polytree.json", text)]).error(), expected);
    check("{\"model\": \"x\"}", "ROOT/w/polytree.json:1:2: `model`: expected a model as `provider/model`");
    check("{\n\"storage\": {\"log_days\": 1}}", "ROOT/w/polytree.json:2:1: `storage`: only allowed in the user's own settings");
    check(
        r#"{"agent": {"a": {"prompt": "{file:../secret}"}}}"#,
        "ROOT/w/polytree.json:1:28: {file:../secret} leads out of the worktree, which project settings must not",
    );
    let mut fixture = Fixture::new(&[]);
    fixture.set("POLYTREE_CONFIG_CONTENT", "{\"model\": }");
    assert!(fixture.error().starts_with("POLYTREE_CONFIG_CONTENT:1:"), "{}", fixture.error());
    fixture.set("POLYTREE_CONFIG", "relative.json");
    assert_eq!(fixture.error(), r#"POLYTREE_CONFIG must be an absolute path, not "relative.json""#);
    fixture.set("POLYTREE_CONFIG", "~/none.json");
    assert!(fixture.error().starts_with("cannot read the settings file ROOT/home/none.json: "), "{}", fixture.error());
}

#[test]
fn a_file_that_is_not_text_is_an_error_only_where_the_user_wrote_it() {
    let fixture = Fixture::new(&[]);
    std::fs::create_dir_all(fixture.root().join("w/polytree.json").as_path()).unwrap();
    assert_eq!(fixture.model(), "");
    fixture.write("config/polytree.json", "");
    std::fs::write(fixture.root().join("config/polytree.json").as_path(), [0xff, 0xfe]).unwrap();
    assert!(fixture.error().starts_with("cannot read the settings file ROOT/config/polytree.json: "), "{}", fixture.error());
}

#[test]
fn nothing_secret_is_shown() {
    let mut fixture = Fixture::new(&[
        (
            "config/polytree.json",
            r#"{
                "model": "p/{env:MODEL}",
                "provider": {"p": {"name": "{file:name.txt}", "options": {"apiKey": "literal", "region": "{env:REGION}", "zone": "z"}}},
                "permission": {"bash": "{env:BASH}"},
                "username": "me"
            }"#,
        ),
        ("config/name.txt", "hush-name"),
        ("w/polytree.json", r#"{"model": "p/open"}"#),
    ]);
    fixture.set("REGION", "hush-region");
    fixture.set("BASH", "deny");
    fixture.set("MODEL", "hush-model");
    let settings = fixture.load();
    assert_eq!(settings.config.provider["p"].options.options["region"], "hush-region");
    assert_eq!(settings.user_rules[0].action, Action::Deny);
    let shown = serde_json::to_string(&settings.shown()).unwrap();
    assert!(!shown.contains("hush") && !shown.contains("literal"), "{shown}");
    assert!(shown.contains("p/open") && shown.contains("\"zone\":\"z\"") && shown.contains("\"me\""), "{shown}");
}

#[test]
fn the_users_own_directory_needs_no_trust() {
    let mut fixture = Fixture::new(&[("w/a/polytree.json", r#"{"model": "p/own"}"#)]);
    fixture.distrusted = vec!["a/polytree.json"];
    assert_eq!(fixture.model(), "");
    let places = Places { config: fixture.root().join("w/a"), ..fixture.places() };
    let (worktree, directory) = (fixture.root().join("w"), fixture.root().join("w/a/b"));
    let settings = fixture.loader.load(&places, &worktree, &directory, &|_| false, &fixture.environment).unwrap();
    assert_eq!(settings.config.model.as_deref(), Some("p/own"));
    assert_eq!(settings.files.len(), 1);
}

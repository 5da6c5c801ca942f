//! Agents from real files: order, trust, what is merged and what is not.

use std::cell::Cell;

use polytree_protocol::agent::AgentMode;

use super::{Agents, Place, load};
use crate::{
    config::{Loader, Places, places::Environment},
    stdx::paths::AbsPath,
};

struct Fixture {
    directory: tempfile::TempDir,
    environment: Environment,
    trusts: Cell<bool>,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Self { directory: tempfile::tempdir().unwrap(), environment: Environment::new(), trusts: Cell::new(true) };
        std::fs::create_dir_all(fixture.root().join("w/a/b").as_path()).unwrap();
        for (path, text) in files {
            let path = fixture.root().join(path);
            std::fs::create_dir_all(path.parent().unwrap().as_path()).unwrap();
            std::fs::write(path.as_path(), text).unwrap();
        }
        fixture
    }

    fn root(&self) -> AbsPath {
        AbsPath::new(self.directory.path()).unwrap().real().unwrap()
    }

    fn load(&self) -> Agents {
        let places = Places { config: self.root().join("config"), data: self.root().join("data"), runtime: self.root().join("data") };
        let (worktree, directory) = (self.root().join("w"), self.root().join("w/a/b"));
        let trust = |_: &_| self.trusts.get();
        let settings = Loader::new().load(&places, &worktree, &directory, &trust, &self.environment).unwrap();
        load(Place { places: &places, worktree: &worktree, directory: &directory, settings: &settings, trust: &trust })
    }

    fn names(&self) -> String {
        self.load().list.iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn prompt(&self, name: &str) -> String {
        self.load().get(name).and_then(|agent| agent.prompt.clone()).unwrap_or_default()
    }
}

#[test]
fn the_order_is_fixed() {
    let fixture = Fixture::new(&[
        ("config/polytree.json", r#"{"agent": {"zeta": {}, "general": {"description": "g"}, "alpha": {}}}"#),
        ("config/agent/team/review.md", "Review."),
        ("w/.polytree/agent/beta.md", "---\nname: other\n---\nBeta."),
    ]);
    assert_eq!(fixture.names(), "build plan general alpha other team/review zeta");
    let agents = fixture.load();
    let review = agents.get("team/review").unwrap();
    assert_eq!((review.mode, review.built_in, review.prompt.as_deref()), (AgentMode::All, false, Some("Review.")));
    assert!(agents.get("general").unwrap().built_in);
}

#[test]
fn the_nearest_wins_and_markdown_stands_above_settings_of_its_place() {
    let json = |text: &str| format!(r#"{{"agent": {{"x": {{"prompt": "{text}"}}}}}}"#);
    let all = [
        ("config/polytree.json", json("1")),
        ("config/agent/x.md", "2".to_owned()),
        ("w/polytree.json", json("3")),
        ("w/.polytree/agent/x.md", "4".to_owned()),
        ("w/a/polytree.json", json("5")),
        ("w/a/b/polytree.json", json("6")),
        ("w/a/b/.polytree/agent/x.md", "7".to_owned()),
    ];
    for count in 1..=all.len() {
        let files: Vec<_> = all[..count].iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert_eq!(Fixture::new(&files).prompt("x"), count.to_string());
    }
    let files: Vec<_> = all.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let mut fixture = Fixture::new(&files);
    fixture.environment.insert("POLYTREE_CONFIG_CONTENT".to_owned(), json("8"));
    assert_eq!(fixture.prompt("x"), "8");
    fixture.environment.clear();
    fixture.trusts.set(false);
    assert_eq!(fixture.prompt("x"), "2");
}

#[test]
fn settings_change_shipped_agents() {
    let fixture = Fixture::new(&[
        (
            "config/polytree.json",
            r#"{
                "tools": {"webfetch": false, "todoread": true},
                "agent": {
                    "build": {"model": "p/m/x", "temperature": 0.5, "effort": {"level": "high", "keep": 1}},
                    "plan": {"disable": true},
                    "general": {"tools": {"todowrite": true}}
                }
            }"#,
        ),
        ("w/polytree.json", r#"{"agent": {"build": {"effort": {"level": "low"}, "steps": 9}}}"#),
    ]);
    let agents = fixture.load();
    assert_eq!(fixture.names(), "build general");
    let build = agents.get("build").unwrap();
    assert_eq!(build.model.as_ref().unwrap().to_string(), "p/m/x");
    assert_eq!((build.temperature, build.steps, build.mode), (Some(0.5), Some(9), AgentMode::Primary));
    assert_eq!(build.options["effort"], serde_json::json!({"level": "low", "keep": 1}));
    assert!(build.prompt.is_some());
    let tools: Vec<_> = agents.get("general").unwrap().tools.iter().map(|(name, on)| format!("{name} {on}")).collect();
    assert_eq!(tools, ["todoread false", "todowrite true", "webfetch false"]);
}

#[test]
fn a_disabled_agent_can_be_enabled_nearer() {
    let fixture = Fixture::new(&[
        ("config/polytree.json", r#"{"agent": {"plan": {"disable": true}}}"#),
        ("w/polytree.json", r#"{"agent": {"plan": {"disable": false}}}"#),
    ]);
    assert_eq!(fixture.names(), "build plan general");
}

#[test]
fn no_rule_is_merged_away() {
    let fixture = Fixture::new(&[
        ("config/polytree.json", r#"{"agent": {"plan": {"permission": {"bash": {"make *": "deny"}}}}}"#),
        ("w/.polytree/agent/plan.md", "---\npermission:\n  bash:\n    make *: allow\n---\n"),
    ]);
    let agents = fixture.load();
    let plan = agents.get("plan").unwrap();
    let text = |rules: &[polytree_protocol::permission::Rule]| {
        rules.iter().map(|rule| format!("{} {} {:?}", rule.permission, rule.pattern, rule.action)).collect::<Vec<_>>()
    };
    assert_eq!(text(&plan.permission)[0], "edit * Deny");
    let end = plan.permission.len() - 2;
    assert_eq!(text(&plan.permission[end..]), ["bash make * Deny", "bash make * Allow"]);
    assert_eq!(text(&agents.user_rules["plan"]), ["bash make * Deny"]);
    assert!(plan.prompt.as_ref().unwrap().contains("change nothing"), "an empty body replaces nothing");
}

#[test]
fn mistakes_in_front_matter_have_a_place() {
    let check = |text: &str, expected: &str| {
        let fixture = Fixture::new(&[("w/.polytree/agent/x.md", text)]);
        let [broken] = &fixture.load().broken[..] else { panic!() };
        assert_eq!(broken.names[0], "x");
        assert_eq!(
            broken.error.to_string().replace(&fixture.root().to_string(), "ROOT"),
            format!("ROOT/w/.polytree/agent/x.md:{expected}")
        );
        assert_eq!(fixture.names(), "build plan general", "the others work");
        fixture.trusts.set(false);
        assert!(fixture.load().broken.is_empty(), "a file without trust is not parsed");
    };
    check("---\nmode: both\n---\n", "2:7: `mode`: found \"both\", expected `primary`, `subagent` or `all`");
    check("---\ndescription: x\nmodel: opus\n---\n", "3:1: `model`: expected a model as `provider/model`");
    check("---\ntools:\n  bash: sometimes\n---\n", "3:9: `tools.bash`: found a string, expected true or false");
    check("---\npermission:\n  bsh: ask\n---\n", "3:3: `permission`: unknown key \"bsh\"; did you mean `bash`?");
    check("---\ntools:\n  baash: false\n---\n", "2:1: `tools`: there is no tool \"baash\"; did you mean `bash`?");
    check("---\nname: [x]\n---\n", "2:7: `name`: found a list, expected a string");
    check("---\nmode: all\n", "1:1: the fields that begin here are not closed by a line `---`");
}

#[test]
fn a_broken_file_disables_the_agents_that_it_is_about_and_no_other() {
    let fixture = Fixture::new(&[
        ("config/agent/good.md", "Good."),
        ("config/agent/strict.md", "---\nname: \"build\"\nmode: [\n---\n"),
        ("config/agents/plural.md", "Plural."),
        ("w/.polytree/agents/near.md", "Near."),
    ]);
    std::fs::write(fixture.root().join("config/agent/bytes.md").as_path(), b"\xff\xfe\xfa").unwrap();
    assert_eq!(fixture.names(), "plan general good near plural", "without the rules of the file `build` could do too much");
    let mut names: Vec<String> = fixture.load().broken.into_iter().flat_map(|broken| broken.names).collect();
    names.sort();
    assert_eq!(names, ["build", "bytes", "strict"]);
}

#[test]
fn each_agent_tells_what_it_comes_from() {
    let fixture = Fixture::new(&[
        ("config/polytree.json", r#"{"agent": {"x": {"prompt": "1"}}}"#),
        ("config/agent/x.md", "2"),
        ("w/a/.polytree/agent/x.md", "---\ndescription: d\n---\n"),
        ("w/.polytree/agent/x.md", "3"),
    ]);
    let agents = fixture.load();
    let sources: Vec<String> = agents.get("x").unwrap().sources.iter().map(|path| path.replace(&fixture.root().to_string(), "")).collect();
    assert_eq!(sources, ["/config/polytree.json", "/config/agent/x.md", "/w/.polytree/agent/x.md", "/w/a/.polytree/agent/x.md"]);
    assert_eq!(fixture.prompt("x"), "3");
    assert!(agents.get("build").unwrap().sources.is_empty());
}

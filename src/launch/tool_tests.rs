//! A tool that is known only at run time is offered, asks, runs and is shown as one that is built in.

use std::{collections::BTreeMap, fs, sync::Arc};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{LaunchContext, inside};
use crate::{
    cli::{
        Exit,
        tests::fake::{Person, Seen, perform},
    },
    config::Places,
    provider::RECORD,
    stdx::paths::AbsPath,
    tool::{
        context::{Ask, ToolContext},
        definition::{AnyTool, ToolError, ToolOutput},
    },
};

struct Weather;

#[async_trait]
impl AnyTool for Weather {
    fn name(&self) -> &str {
        "weather_today"
    }

    fn description(&self) -> &str {
        "Tells the weather of a city."
    }

    fn permission(&self) -> &str {
        "mcp"
    }

    fn parameters(&self) -> Value {
        json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] })
    }

    fn check(&self, input: &Value) -> Result<Value, String> {
        Ok(input.clone())
    }

    fn subject(&self, input: &Value, _: &AbsPath) -> Option<String> {
        Some(format!("in {}", input["city"].as_str()?))
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let pattern = self.name().to_owned();
        let kind = self.permission().to_owned().into();
        context
            .ask(Ask { kind, patterns: vec![pattern], title: "Look at the sky".to_owned(), metadata: json!({}), ..Ask::default() })
            .await?;
        Ok(ToolOutput::new("The sky", "It rains.", input))
    }
}

/// Runs a prompt at a terminal whose person says yes; gives what is seen, and the tools of the request.
async fn run(permission: Value) -> (Seen, Vec<String>) {
    let keep = tempfile::tempdir().unwrap();
    let root = AbsPath::new(keep.path()).unwrap().real().unwrap();
    let [directory, config, data, runtime] = ["work", "config", "data", "runtime"].map(|name| root.join(name));
    for made in [&directory, &config] {
        fs::create_dir(made).unwrap();
    }
    let script = root.join("script.json");
    let call = json!([{ "type": "tool", "name": "weather_today", "input": { "city": "Oslo" } }]);
    fs::write(&script, json!({ "calls": [call, [{ "type": "text", "text": "Take an umbrella." }]] }).to_string()).unwrap();
    let provider = json!({ "api": "scripted", "options": { "script": script.to_string() }, "models": { "demo": {} } });
    let settings = json!({ "model": "play/demo", "provider": { "play": provider }, "permission": permission });
    fs::write(config.join("polytree.json"), settings.to_string()).unwrap();

    let recording = root.join("recording.jsonl").to_string();
    let variables = [("HOME".to_owned(), root.to_string()), (RECORD.to_owned(), recording.clone())];
    let environment = Arc::new(BTreeMap::from(variables));
    let context = LaunchContext { environment, directory: directory.clone(), places: Places { config, data, runtime } };
    let (daemon, backing) = inside(&context).await.unwrap();
    backing.running.as_ref().unwrap().daemon.projects.add_tool(Arc::new(Weather));
    let person = Person { types: vec![Some("y")], ..Person::at_terminal() };
    let seen = perform(&["run", "what is the weather?"], person, daemon, &directory).await;
    backing.close().await;
    let recorded = fs::read_to_string(&recording).unwrap();
    let lines = recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let offers = |line: Value| line["request"]["tools"].as_array().filter(|tools| !tools.is_empty()).cloned();
    let tools = lines.into_iter().find_map(offers).unwrap_or_else(|| panic!("{}\n{recorded}", seen.out));
    (seen, tools.iter().map(|tool| tool.as_str().unwrap().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_comes_at_run_time_is_like_any_other() {
    let (seen, offered) = run(json!({})).await;
    assert!(offered.contains(&"weather_today".to_owned()), "{offered:?}");
    assert_eq!(seen.exit, Exit::Done, "{}", seen.out);
    for part in ["● weather_today in Oslo", "mcp: Look at the sky", "Take an umbrella."] {
        assert!(seen.out.contains(part), "{part}: {}", seen.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_about_its_permission_hold() {
    let (seen, offered) = run(json!({ "mcp": "deny" })).await;
    assert!(!offered.contains(&"weather_today".to_owned()) && offered.contains(&"read".to_owned()), "{offered:?}");
    assert!(!seen.out.contains("Look at the sky") && seen.out.contains("weather_today (bad call): There is no tool"), "{}", seen.out);
}

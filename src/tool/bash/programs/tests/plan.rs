//! The agent that only looks: its rules name commands, and what their options do is judged by the tables.

use polytree_protocol::permission::{Action, Rule};

use super::Place;

fn rules() -> Vec<Rule> {
    crate::agent::builtin::agents().into_iter().find(|agent| agent.name == "plan").unwrap().permission
}

#[tokio::test]
async fn commands_that_look_run_and_their_options_that_do_more_are_asked_or_denied() {
    let (place, rules) = (Place::new(), rules());
    for line in [
        "ls -la sub",
        "cat a.txt sub/b.txt | head -3",
        "find . -name '*.txt' -newer a.txt -print",
        "rg -n x sub",
        "grep -rn x sub",
        "git log --oneline -5",
        "git diff --stat HEAD",
        "git show --no-ext-diff HEAD:a.txt",
        "git status --short && git branch",
        "wc -l a.txt | sort",
        "echo a.environment",
        "stat a.txt; du -sh sub; df .",
    ] {
        assert_eq!(place.judge(&rules, line).await.action, Action::Allow, "{line}");
    }
    for line in [
        "sort a.txt",
        "wc -l a.txt | sort --compress-program=./run",
        "find . -delete",
        "find . -name x -exec rm {} +",
        "find . -execdir cat {} ';'",
        "find . -ok rm {} ';'",
        "find . -okdir rm {} ';'",
        "find . -fprint out",
        "find . -fprint0 out",
        "find . -fprintf out %p",
        "find . -fls out",
        "git diff --output=out",
        "git diff --outpu out",
        "git log --output out",
        "git show --output=out HEAD",
        "git diff --ext-diff",
        "git log -p --ext-diff",
        "git show --ext-d",
        "rg --pre zap x",
        "rg --pre=./run x",
        "rg --hostname-bin ./run x",
        "rg --hostname-bin=./run x",
        "cat .env",
        "cat sub/.env.local",
        "head -1 < .env",
        "cat .en?",
        "cat innocent",
        "grep -r x .env",
        "grep '' .e*",
        "diff a.txt .env",
        "git diff --no-index a.txt .env",
        "stat -c %n a.txt > out",
        "echo x > out",
    ] {
        assert_ne!(place.judge(&rules, line).await.action, Action::Allow, "{line}");
    }
}

//! What holds for every line of the tables: no option gets by under a shorter name or another spelling, and no wrapper
//! hides what it runs.

use polytree_protocol::permission::{Action, Rule};

use crate::{
    permission::rules::{Origin, Rules, stricter},
    tool::bash::{
        commands::{Access, Dialect, analyse},
        programs::table::{self, Kind, Takes, Trait},
    },
};

/// What is decided about the commands of a line when only `zap` is denied.
fn commands(line: &str) -> Action {
    let rule = |pattern: &str, action| Rule { permission: "bash".to_owned(), pattern: pattern.to_owned(), action };
    let rules = Rules::new(None).with(Origin::User, &[rule("*", Action::Allow), rule("zap *", Action::Deny)]);
    let analysis = analyse(line, Dialect::Bash);
    let may_run = analysis.possible.iter().any(|command| rules.evaluate("bash", command) == Action::Deny);
    let action = rules.evaluate_all("bash", analysis.patterns().iter().map(String::as_str), analysis.needs_a_person() || may_run);
    analysis.quiet().iter().map(|quiet| rules.evaluate_quiet("bash", quiet)).fold(action, stricter)
}

/// Whether the line is known to write the file, or not known to leave it alone.
fn may_write(line: &str, file: &str) -> bool {
    let analysis = analyse(line, Dialect::Bash);
    let writes =
        analysis.paths.iter().any(|path| path.path == file && matches!(path.access, Access::Write | Access::Destroy | Access::Unsure));
    writes || analysis.needs_a_person()
}

/// Every way in which an option can be given a value.
fn spellings(program: &table::Program, name: &str, takes: Takes, value: &str) -> Vec<String> {
    let mut spellings = Vec::new();
    if let Some(long) = name.strip_prefix("--").filter(|long| !long.contains('.')) {
        for end in (3..=long.len()).filter(|end| long.is_char_boundary(*end)) {
            let short = &long[..end];
            // A shorter name that is an option of its own means that one.
            if end < long.len() && program.exact(&format!("--{short}")).is_some() {
                continue;
            }
            spellings.push(format!("--{short}='{value}'"));
            if takes == Takes::Value {
                spellings.push(format!("--{short} '{value}'"));
            }
        }
    } else {
        // A word behind one dash is not joined to its value.
        if name.len() == 2 {
            spellings.push(format!("{name}'{value}'"));
        }
        if takes == Takes::Value {
            spellings.push(format!("{name} '{value}'"));
        }
    }
    spellings
}

/// The words before the place where options stand.
fn options_stand_behind(name: &str) -> bool {
    // `time` is a word of the shell.
    name != "time"
        && table::find(name)
            .is_some_and(|program| !program.is(Trait::Guess) && !program.traits.iter().any(|special| matches!(special, Trait::Special(_))))
}

#[test]
fn no_spelling_of_an_option_that_runs_something_gets_by() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (name, program) in table::all().filter(|(name, _)| options_stand_behind(name)) {
        for (option, meaning) in program.options().filter(|(_, option)| matches!(option.kind, Kind::Shell | Kind::Unseen)) {
            for spelling in spellings(program, option, meaning.takes, "zap x").into_iter().filter(|_| meaning.takes != Takes::Nothing) {
                for line in [format!("{name} {spelling} a"), format!("sudo {name} {spelling}"), format!("/usr/bin/{name} {spelling} a b")] {
                    wrong.extend((commands(&line) == Action::Allow).then_some(line));
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen > 2_000, "{seen}");
}

#[test]
fn no_spelling_of_an_option_that_writes_gets_by() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (name, program) in table::all().filter(|(name, _)| options_stand_behind(name)) {
        for (option, meaning) in program.options().filter(|(_, option)| option.kind == Kind::Write && option.takes == Takes::Value) {
            for spelling in spellings(program, option, meaning.takes, "witness") {
                let line = format!("{name} {spelling} a");
                wrong.extend((!may_write(&line, "witness")).then_some(line));
                seen += 1;
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen > 300, "{seen}");
}

#[test]
fn a_hole_is_an_option_for_every_program_that_has_options_which_run_or_write() {
    let mut wrong = Vec::new();
    for (name, program) in table::all().filter(|(name, program)| options_stand_behind(name) && program.is_risky()) {
        for line in [format!("{name} \"$A\" a"), format!("{name} $A"), format!("{name} a $A"), format!("{name} --x$A")] {
            // Where a program's own words end, what follows is no option of it.
            let ends = line.contains(" a ")
                && (program.is(Trait::Stops)
                    || program.runs_words()
                    || program.is(Trait::ShellTexts)
                    || program.first.first() == Some(&Kind::ScriptFile));
            wrong.extend((!ends && commands(&line) == Action::Allow).then_some(line));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_wrapper_hides_what_it_runs() {
    let runs = |program: &table::Program| program.runs_words() || program.is(Trait::Guess) || program.is(Trait::ShellTexts);
    let wrappers: Vec<String> = table::all()
        .filter(|(_, program)| runs(program))
        .map(|(name, program)| format!("{name} {}", "x ".repeat(program.first.len())).trim().to_owned())
        .collect();
    assert!(wrappers.len() > 250, "{}", wrappers.len());
    let mut wrong = Vec::new();
    for wrapper in &wrappers {
        for line in [
            format!("{wrapper} zap x"),
            format!("/opt/bin/{wrapper} zap"),
            format!("env A=1 {wrapper} zap x"),
            format!("{wrapper} sh -c 'zap x'"),
        ] {
            wrong.extend((commands(&line) == Action::Allow).then_some(line));
        }
    }
    for pair in wrappers.windows(2) {
        let line = format!("{} {} zap x", pair[0], pair[1]);
        wrong.extend((commands(&line) == Action::Allow).then_some(line));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

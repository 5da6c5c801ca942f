//! What holds for every line of the tables: no option gets by under a shorter name or another spelling, and no wrapper
//! hides what it runs.

use polytree_protocol::permission::{Action, Rule};

use crate::{
    permission::rules::{Origin, Rules, stricter},
    tool::bash::{
        commands::{Access, Dialect, SimpleCommand, analyse},
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

/// Words, each of which means something else to bash than all others.
const WORDS: &[&str] = &[
    "a",
    "b",
    "'a b'",
    "''",
    "\\'",
    "'\"'",
    "a\\'b",
    "'a'\\''b c'",
    "$x",
    "\"$x\"",
    "'$x'",
    "\"$x y\"",
    "\"$x\"' y z'",
    "a*",
    "'a*'",
    "a'*'*",
    "'a'**",
    "'a *'",
    "~/a",
    "'~/a'",
    "{}",
    "'{a,b}'",
    "'{a,b c}'",
    "$(ls 'a b')",
    "\"$(ls 'a b')\"",
    "'$(ls a b)'",
    "\\\\",
    "'…'",
    "...",
    "'a\nb'",
    "'#'",
    "'[in /x] a'",
    "-a",
    "--a='b c'",
    "'--a=b' c",
    "é",
    "' '",
    "'\t'",
];

/// The command of a line that is called `zap`.
fn zap(line: &str) -> SimpleCommand {
    analyse(line, Dialect::Bash).commands.into_iter().find(|command| command.words[0] == "zap").unwrap()
}

#[test]
fn commands_with_other_words_are_other_commands_for_a_grant() {
    let mut seen = std::collections::HashMap::new();
    let pairs = WORDS.iter().flat_map(|one| WORDS.iter().map(move |other| format!("{one} {other}")));
    for words in WORDS.iter().map(|word| (*word).to_owned()).chain(pairs).chain([String::new()]) {
        // `'--a=b' c` is two words.
        let line = format!("zap {words}").trim_end_matches(' ').to_owned();
        if let Some(before) = seen.insert(zap(&line).identity().to_owned(), line.clone()) {
            assert_eq!(before.replace("'--a=b' c", ""), line.replace("'--a=b' c", ""), "{before} and {line}");
        }
    }
    assert!(seen.len() > 1_000, "{}", seen.len());
}

#[test]
fn bash_reads_what_a_grant_shows_as_the_words_that_it_is_for() {
    let pairs = WORDS.iter().flat_map(|one| WORDS.iter().map(move |other| format!("zap {one} {other}")));
    for line in pairs {
        let command = zap(&line);
        let shown = zap(command.identity());
        assert_eq!((&shown.words, shown.identity()), (&command.words, command.identity()), "{line}");
    }
}

#[test]
fn a_grant_holds_for_the_command_that_was_shown() {
    let decided = |granted: &str, line: &str| {
        let patterns: Vec<String> = analyse(granted, Dialect::Bash).always().into_iter().map(|(pattern, _)| pattern).collect();
        let rule = |pattern: &String| Rule { permission: "bash".to_owned(), pattern: pattern.clone(), action: Action::Allow };
        let rules = Rules::new(None).with(Origin::Grants, &patterns.iter().map(rule).collect::<Vec<_>>());
        let analysis = analyse(line, Dialect::Bash);
        let names = |text: &String| {
            let known = analysis.commands.iter().filter(|command| command.text == *text);
            known.map(|command| command.identity().to_owned()).collect::<Vec<_>>()
        };
        analysis.patterns().iter().map(|text| rules.decide_bound("bash", text, &names(text)).action).fold(Action::Allow, stricter)
    };
    for (granted, line, expected) in [
        ("zap 'a b'", "zap 'a b'", Action::Allow),
        ("zap 'a b'", "zap \"a b\"", Action::Allow),
        ("zap 'a b'", "zap a\\ b", Action::Allow),
        ("zap 'a b'", "zap a b", Action::Ask),
        ("zap a b", "zap 'a b'", Action::Ask),
        ("zap a b", "zap a b; zap 'a b'", Action::Ask),
        ("zap a b; zap 'a b'", "zap 'a b'", Action::Allow),
        ("rm 'x y'", "rm x y", Action::Ask),
        ("rm x", "ls | xargs rm x", Action::Ask),
        ("rm '*'", "rm *", Action::Ask),
        ("rm *", "rm '*'", Action::Ask),
        ("rm *", "rm a", Action::Ask),
        ("rm *", "rm *", Action::Allow),
        ("rm '$x'", "rm $x", Action::Ask),
        ("git commit -m 'a b'", "git commit -m 'a b'", Action::Allow),
        ("git commit -m 'a b'", "git commit -m a b", Action::Ask),
        ("cargo test 'a b'", "cargo test a b", Action::Allow),
        ("git log 'a b'", "git log --format='%h %s' | head -3", Action::Allow),
    ] {
        assert_eq!(decided(granted, line), expected, "{granted} grants {line}");
    }
}

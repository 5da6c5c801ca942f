//! Typical command lines.

use super::*;
use crate::provider::{RECORD, REPLAY, REPLAY_TIMED};

fn parse(line: &str) -> Result<Args, String> {
    read(std::iter::once("polytree").chain(line.split_whitespace()).map(OsString::from).collect()).map_err(|error| error.to_string())
}

#[test]
fn the_definition_is_sound_and_its_page_names_every_command() {
    let mut command = Args::command();
    command.clone().debug_assert();
    let page = anstream::adapter::strip_str(&command.render_help().ansi().to_string()).to_string();
    for known in command.get_subcommands() {
        let line = page.lines().find(|line| line.trim_start().starts_with(&format!("{} ", known.get_name())));
        let about = known.get_about().unwrap().to_string();
        assert!(line.is_some_and(|line| line.trim_end().ends_with(about.as_str())), "{}: {about}\n{page}", known.get_name());
    }
    assert!(page.contains("--directory <DIR>") && page.contains("--version") && page.contains("Examples:"), "{page}");
}

#[test]
fn what_is_understood() {
    let Command::Client(ClientCommand::Run(run)) = parse("run fix the bug --yes --model local/a/b -f a:1-2 -f b").unwrap().command else {
        panic!()
    };
    assert_eq!((run.prompt.join(" "), run.yes, run.files.len()), ("fix the bug".to_owned(), true, 2));
    assert_eq!(run.model.unwrap().model_id, "a/b");
    let args = parse("sessions list --all -n 5 --directory /x").unwrap();
    assert_eq!(args.directory.as_deref(), Some(Path::new("/x")));
    assert!(matches!(
        args.command,
        Command::Client(ClientCommand::Sessions(SessionsCommand::List(SessionsListArgs { all: true, limit: 5, .. })))
    ));
    assert!(matches!(parse("stdio --standalone").unwrap().command, Command::Stdio(_)));
    for line in ["run x", "serve", "stdio"] {
        let args = parse(&format!("{line} --replay tape.jsonl --replay-timed")).unwrap();
        let variables: Vec<_> = args.command.recording().unwrap().variables(&AbsPath::new("/d").unwrap()).collect();
        let expected = [(REPLAY, "/d/tape.jsonl"), (REPLAY_TIMED, "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables, expected, "{line}");
    }
    let args = parse("run --record /t x").unwrap();
    let variables: Vec<_> = args.command.recording().unwrap().variables(&AbsPath::new("/d").unwrap()).collect();
    assert_eq!(variables, [(RECORD.to_owned(), "/t".to_owned())]);
    assert!(parse("models").unwrap().command.recording().is_none());
    let line = "serve --listen localhost:0 --listen [::1]:0 --allow-host a --certificate c.pem --key /k.pem --new-token";
    let Command::Serve(serve) = parse(line).unwrap().command else { panic!() };
    let [first, second] = serve.listeners(&AbsPath::new("/d").unwrap()).try_into().unwrap();
    assert_eq!((first.address.as_str(), second.address.as_str()), ("localhost:0", "[::1]:0"));
    assert_eq!((first.certificate.as_deref(), first.key.as_deref()), (Some("/d/c.pem"), Some("/k.pem")));
    assert_eq!((first.allow_hosts, first.allow_origins, serve.new_token), (Some(vec!["a".to_owned()]), None, true));
    assert!([parse("--standalone models"), parse("run --standalone x")].map(|args| args.unwrap().standalone) == [true; 2]);
    assert!(!parse("run x").unwrap().standalone);
    assert!(matches!(parse("stop --now").unwrap().command, Command::Stop(StopArgs { now: true, wait: false })));
    let Command::Client(ClientCommand::Models(models)) = parse("models groq --refresh xai").unwrap().command else { panic!() };
    assert!(models.refresh && models.providers == ["groq", "xai"]);
    let Command::Client(ClientCommand::Auth(AuthCommand::Login(login))) = parse("auth login groq").unwrap().command else { panic!() };
    assert_eq!(login.provider.as_deref(), Some("groq"));
    assert!(matches!(parse("serve --detached").unwrap().command, Command::Serve(ServeArgs { detached: true, .. })));
}

#[test]
fn what_is_refused_says_why() {
    for (line, reason) in [
        ("run --model small x", "expected PROVIDER/MODEL"),
        ("run --session x y", "invalid id"),
        ("run --continue --session ses_01ARZ3NDEKTSV4RRFFQ69G5FAV x", "cannot be used with"),
        ("run --continue --title a x", "cannot be used with"),
        ("serve --allow-origin https://a", "--listen"),
        ("serve --listen localhost:0 --certificate c.pem", "--key"),
        ("stop --now --wait", "cannot be used with"),
        ("run --record a --replay b x", "cannot be used with"),
        ("stdio --replay-timed", "--replay"),
        ("sessions list -n 0", "1..=1000"),
        ("sessions delete", "<ID>"),
        ("completions tcsh", "possible values: bash, zsh, fish"),
        ("frobnicate", "there is no command `polytree frobnicate`; did you mean `polytree run \"frobnicate\"`?"),
        ("rnu x", "did you mean `polytree run`?"),
        ("--standalone why does it fail --yes", "did you mean `polytree run \"why does it fail\"`?"),
        ("sessions lst", "there is no command `polytree sessions lst`; did you mean `polytree sessions list`?"),
        ("sessions frobnicate", "there is no command `polytree sessions frobnicate`\n"),
        ("help", "Exit codes"),
        ("help run", "What to ask"),
    ] {
        let error = parse(line).map(drop).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = String::from_utf8(completions(shell)).unwrap();
        assert!(script.contains("sessions") && script.contains("standalone"), "{shell:?}");
    }
}

#[test]
fn directories_are_meant_from_where_the_process_is() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("sub")).unwrap();
    let directory = |line: &str| parse(line).unwrap().directory(place.path()).map(|path| path.as_path().to_owned());
    assert_eq!(directory("models").unwrap(), place.path());
    assert_eq!(directory("models --directory sub").unwrap(), place.path().join("sub"));
    assert!(matches!(directory("models --directory none"), Err(Failure::Usage(_))));
}

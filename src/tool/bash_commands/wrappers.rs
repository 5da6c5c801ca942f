//! What a command runs that stands in its own arguments: `sudo rm x` runs `rm x`, `sh -c 'rm x'` runs a script.

use super::{
    Dialect,
    expand::Argument,
    wrapper_table::{BASH, OTHER_SHELLS, POSIX_SHELLS, Runs, UNRESOLVABLE, WRAPPERS, Wrapper},
};

/// What stands inside of a command.
#[derive(Debug)]
pub(super) enum Inner {
    /// A command; with `more`, words are added when it runs.
    Words { words: Vec<Argument>, more: bool },
    /// Perhaps a command: where the options end is not certain.
    Guess(Vec<Argument>),
    /// A text that a shell reads.
    Script { text: String, dialect: Dialect },
    /// Something that cannot be seen here.
    Unresolvable,
}

/// What the command runs. `input` is the known text of its standard input, `more` whether words are added when it runs.
pub(super) fn inner(arguments: &[Argument], input: Option<&str>, more: bool) -> Vec<Inner> {
    let Some(name) = arguments.first().and_then(Argument::literal).map(program_name) else { return Vec::new() };
    if let Some(dialect) = shell(name) {
        return shell_script(arguments, dialect, input, more);
    }
    if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name)) {
        return wrapped(name, wrapper, arguments, more);
    }
    match name {
        "eval" => evaluated(arguments, more),
        "trap" => trapped(arguments),
        "find" | "gfind" => found(arguments, more),
        "parallel" => parallel(arguments, more),
        "git" => git(arguments, more),
        "hash" if arguments.iter().any(|argument| argument.text.starts_with("-p")) => vec![Inner::Unresolvable],
        "mapfile" | "readarray" if arguments.iter().any(|argument| argument.text.starts_with("-C")) => vec![Inner::Unresolvable],
        "jobs" if arguments.iter().any(|argument| argument.text.starts_with("-x")) => guesses(&arguments[1..]),
        "ssh" | "scp" | "sftp" | "rsync" if arguments.iter().any(|argument| runs_locally(&argument.text)) => vec![Inner::Unresolvable],
        _ if UNRESOLVABLE.contains(&name) || name.starts_with("ld-linux") => guesses(&arguments[1..]),
        _ => Vec::new(),
    }
}

/// The last component of a program's path.
pub(super) fn program_name(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

fn shell(name: &str) -> Option<Dialect> {
    [(BASH, Dialect::Bash), (POSIX_SHELLS, Dialect::Posix), (OTHER_SHELLS, Dialect::Other)]
        .into_iter()
        .find(|(names, _)| names.contains(&name))
        .map(|(_, dialect)| dialect)
}

/// Options of ssh and its kin whose values run here.
fn runs_locally(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("proxycommand")
        || text.contains("localcommand")
        || text.starts_with("-e")
        || text.starts_with("--rsh")
        || text.starts_with("-s")
}

/// Every tail of the words might be a command; none is certain.
fn guesses(words: &[Argument]) -> Vec<Inner> {
    let tails = (0..words.len().min(40)).map(|from| Inner::Guess(words[from..].to_vec()));
    tails.chain([Inner::Unresolvable]).collect()
}

fn wrapped(name: &str, wrapper: &Wrapper, arguments: &[Argument], more: bool) -> Vec<Inner> {
    if name == "command" && arguments.get(1).is_some_and(|first| matches!(first.text.as_str(), "-v" | "-V")) {
        return Vec::new();
    }
    let start = match after_options(wrapper, arguments) {
        Ok(start) => start,
        Err(at) => return guesses(&arguments[at..]),
    };
    let mut words = arguments.get(start..).unwrap_or_default().to_vec();
    if name == "flock" && words.first().is_some_and(|word| matches!(word.text.as_str(), "-c" | "--command")) {
        return script(&words[1..], Dialect::Posix, more);
    }
    let mut adds = more || wrapper.runs == Runs::WordsAndMore;
    if wrapper.runs == Runs::WordsAndMore
        && let Some(mark) = replacement(&arguments[..start])
    {
        words = words.into_iter().map(|word| word.with_hole_at(&mark)).collect();
        adds = more;
    }
    match (words.is_empty(), wrapper.runs) {
        (true, _) if more => vec![Inner::Unresolvable],
        (true, _) => Vec::new(),
        (false, Runs::Script) => script(&words, Dialect::Posix, more),
        (false, _) => vec![Inner::Words { words, more: adds }],
    }
}

/// Where the command begins; the place of the first word that is not understood as an error.
fn after_options(wrapper: &Wrapper, arguments: &[Argument]) -> Result<usize, usize> {
    let mut at = 1;
    while let Some(argument) = arguments.get(at) {
        let text = argument.literal().ok_or(at)?;
        if text == "--" {
            at += 1;
            break;
        }
        if let Some(long) = text.strip_prefix("--") {
            let (option, has_value) = long.split_once('=').map_or((long, false), |(option, _)| (option, true));
            let is_valued = wrapper.long_valued.contains(&option);
            if !is_valued && !wrapper.long_flags.contains(&option) {
                return Err(at);
            }
            at += if is_valued && !has_value { 2 } else { 1 };
        } else if text.len() > 1 && text.starts_with('-') {
            at += short_options(wrapper, &text[1..]).ok_or(at)?;
        } else if text == "-" && wrapper.assignments {
            at += 1;
        } else {
            break;
        }
    }
    while wrapper.assignments && arguments.get(at).is_some_and(|argument| argument.text.contains('=')) {
        if !arguments[at].is_literal() && arguments[at].splits {
            return Err(at);
        }
        at += 1;
    }
    if wrapper.assignments && arguments.get(at).is_some_and(|argument| argument.text == "--") {
        at += 1;
    }
    for _ in 0..wrapper.operands {
        if let Some(operand) = arguments.get(at) {
            if operand.splits {
                return Err(at);
            }
            at += 1;
        }
    }
    Ok(at.min(arguments.len()))
}

/// How many words a cluster of short options takes; `None` if one is not known.
fn short_options(wrapper: &Wrapper, cluster: &str) -> Option<usize> {
    for (at, option) in cluster.char_indices() {
        if wrapper.valued.contains(option) {
            return Some(if at + option.len_utf8() == cluster.len() { 2 } else { 1 });
        }
        if !wrapper.flags.contains(option) {
            return None;
        }
    }
    Some(1)
}

/// What `xargs` replaces by a line, if it does.
fn replacement(options: &[Argument]) -> Option<String> {
    options.iter().enumerate().find_map(|(at, option)| {
        let text = option.text.as_str();
        match text.strip_prefix("-I").or_else(|| text.strip_prefix("-J")) {
            Some("") => options.get(at + 1).map(|next| next.text.clone()),
            Some(mark) => Some(mark.to_owned()),
            None if text == "--replace" => Some("{}".to_owned()),
            None => text.strip_prefix("--replace=").map(str::to_owned),
        }
    })
}

/// The words joined as the text of a script.
fn script(words: &[Argument], dialect: Dialect, more: bool) -> Vec<Inner> {
    let texts: Option<Vec<&str>> = words.iter().map(Argument::literal).collect();
    match texts {
        Some(texts) if !more => vec![Inner::Script { text: texts.join(" "), dialect }],
        _ => guesses(words),
    }
}

fn evaluated(arguments: &[Argument], more: bool) -> Vec<Inner> {
    let from = if arguments.get(1).is_some_and(|argument| argument.text == "--") { 2 } else { 1 };
    script(arguments.get(from..).unwrap_or_default(), Dialect::Bash, more)
}

fn trapped(arguments: &[Argument]) -> Vec<Inner> {
    let from = if arguments.get(1).is_some_and(|argument| argument.text == "--") { 2 } else { 1 };
    match arguments.get(from) {
        None => Vec::new(),
        Some(action) if matches!(action.text.as_str(), "-" | "" | "-p" | "-l") => Vec::new(),
        Some(action) => script(std::slice::from_ref(action), Dialect::Bash, false),
    }
}

fn shell_script(arguments: &[Argument], dialect: Dialect, input: Option<&str>, more: bool) -> Vec<Inner> {
    let mut at = 1;
    let mut takes_command = false;
    while let Some(argument) = arguments.get(at) {
        let Some(text) = argument.literal() else { return guesses(&arguments[at..]) };
        match text {
            "--" | "-" => {
                at += 1;
                break;
            }
            "--version" | "--help" => return Vec::new(),
            "--login" | "--norc" | "--noprofile" | "--posix" | "--verbose" => at += 1,
            _ if text.starts_with("--") => return guesses(&arguments[at..]),
            _ if text.starts_with(['-', '+']) => {
                let cluster = &text[1..];
                if cluster.contains(['s', 'i', 'O', 'D']) {
                    return guesses(&arguments[at..]);
                }
                takes_command |= text.starts_with('-') && cluster.contains('c');
                at += 1 + cluster.matches('o').count();
            }
            _ => break,
        }
    }
    let Some(operand) = arguments.get(at) else {
        let text = input.filter(|_| !takes_command && !more).map(|text| Inner::Script { text: text.to_owned(), dialect });
        return text.into_iter().chain([Inner::Unresolvable]).collect();
    };
    if takes_command {
        return script(std::slice::from_ref(operand), dialect, false);
    }
    let is_file = operand.literal().is_some_and(|file| !file.starts_with("/dev/") && !file.starts_with("/proc/"));
    if is_file { Vec::new() } else { guesses(&arguments[at..]) }
}

fn found(arguments: &[Argument], more: bool) -> Vec<Inner> {
    let mut inner = Vec::new();
    let mut at = 1;
    while at < arguments.len() {
        if !matches!(arguments[at].text.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir") {
            at += 1;
            continue;
        }
        let words: Vec<Argument> = arguments[at + 1..].iter().take_while(|word| word.text != ";").cloned().collect();
        let ends_in_plus = words.windows(2).position(|pair| pair[0].text == "{}" && pair[1].text == "+");
        let words = ends_in_plus.map_or(words.as_slice(), |end| &words[..=end]);
        at += words.len() + 1;
        inner.push(Inner::Words { words: words.iter().map(|word| word.clone().with_hole_at("{}")).collect(), more: false });
    }
    // A word that is known only later may be `-exec` itself.
    let has_end = arguments.iter().any(|argument| matches!(argument.text.as_str(), ";" | "+"));
    let may_be_action = |argument: &Argument| argument.splits || (has_end && argument.holes.first().is_some_and(|hole| hole.start == 0));
    if more || arguments[1..].iter().any(may_be_action) {
        inner.extend(guesses(&arguments[1..]));
    }
    inner
}

fn parallel(arguments: &[Argument], more: bool) -> Vec<Inner> {
    let words: Vec<Argument> = arguments[1..].iter().take_while(|word| !word.text.starts_with(":::")).cloned().collect();
    match words.first() {
        Some(first) if !first.text.starts_with('-') && first.is_literal() && !first.text.contains('{') => {
            script(&words, Dialect::Posix, more)
        }
        _ => guesses(&words),
    }
}

/// Settings of git whose values are commands.
const GIT_COMMAND_SETTINGS: [&str; 16] = [
    "alias.",
    "pager",
    "editor",
    "sshcommand",
    "fsmonitor",
    "hookspath",
    "external",
    "textconv",
    "command",
    ".cmd",
    "helper",
    "program",
    "filter.",
    "driver",
    "protocol.",
    "include",
];

fn git(arguments: &[Argument], more: bool) -> Vec<Inner> {
    let mut at = 1;
    while let Some(option) = arguments.get(at).filter(|argument| argument.text.starts_with('-')) {
        match option.text.as_str() {
            "-c" => {
                let setting = arguments.get(at + 1).and_then(Argument::literal).unwrap_or("alias.").to_ascii_lowercase();
                if setting.contains('!') || GIT_COMMAND_SETTINGS.iter().any(|word| setting.contains(word)) {
                    return guesses(&arguments[at..]);
                }
                at += 2;
            }
            "-C" | "--git-dir" | "--work-tree" | "--namespace" => at += 2,
            "-p"
            | "--paginate"
            | "-P"
            | "--no-pager"
            | "--bare"
            | "--no-replace-objects"
            | "--no-optional-locks"
            | "--literal-pathspecs"
            | "--version"
            | "--help"
            | "-v"
            | "-h"
            | "--html-path"
            | "--man-path"
            | "--info-path"
            | "--exec-path" => at += 1,
            text if text.starts_with("--git-dir=") || text.starts_with("--work-tree=") || text.starts_with("--namespace=") => at += 1,
            _ => return guesses(&arguments[at..]),
        }
    }
    let Some(command) = arguments.get(at..).filter(|rest| !rest.is_empty()) else { return Vec::new() };
    let mut inner = Vec::new();
    if at > 1 {
        let words = [&arguments[..1], command].concat();
        inner.push(Inner::Words { words, more });
        return inner;
    }
    let texts: Vec<&str> = command.iter().map(|argument| argument.text.as_str()).collect();
    match texts.as_slice() {
        ["bisect", "run", ..] => inner.push(Inner::Words { words: command[2..].to_vec(), more }),
        ["submodule", rest @ ..] if rest.contains(&"foreach") => {
            let from = texts.iter().position(|text| *text == "foreach").unwrap_or(0) + 1;
            let from = from + command[from..].iter().take_while(|word| word.text.starts_with('-')).count();
            inner.extend(script(&command[from..], Dialect::Posix, more));
        }
        ["rebase", rest @ ..] if rest.iter().any(|text| text.starts_with("-x") || text.starts_with("--exec")) => {
            for (position, word) in command.iter().enumerate() {
                let text = word.text.as_str();
                match text.strip_prefix("--exec=").or_else(|| text.strip_prefix("-x").filter(|rest| !rest.is_empty())) {
                    Some(value) if word.is_literal() => inner.push(Inner::Script { text: value.to_owned(), dialect: Dialect::Posix }),
                    Some(_) => inner.push(Inner::Unresolvable),
                    None if matches!(text, "-x" | "--exec") => {
                        inner.extend(script(command.get(position + 1..=position + 1).unwrap_or_default(), Dialect::Posix, more));
                    }
                    None => {}
                }
            }
        }
        ["filter-branch", ..] => inner.push(Inner::Unresolvable),
        _ => {}
    }
    inner
}

//! `find`: what its tests and actions read, write and run.

use super::{
    effects::{Effects, Given, Inner},
    inner::guesses,
    place::{Access, path_uses},
    word::{Argument, Found},
};

/// Tests and options that take a word, which is not a file that matters.
const VALUED: &[&str] = &[
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-iwholename",
    "-regex",
    "-iregex",
    "-lname",
    "-ilname",
    "-type",
    "-xtype",
    "-size",
    "-mtime",
    "-atime",
    "-ctime",
    "-mmin",
    "-amin",
    "-cmin",
    "-maxdepth",
    "-mindepth",
    "-user",
    "-group",
    "-uid",
    "-gid",
    "-perm",
    "-links",
    "-inum",
    "-fstype",
    "-used",
    "-printf",
    "-regextype",
    "-context",
];
/// Those whose word is a file that is looked at.
const REFERENCES: &[&str] = &["-newer", "-anewer", "-cnewer", "-samefile"];

/// What they do with the file that was found is the same in any directory.
const ANYWHERE: &[&str] = &[
    "basename",
    "cat",
    "chmod",
    "chown",
    "cp",
    "du",
    "echo",
    "file",
    "head",
    "ls",
    "md5sum",
    "mv",
    "rm",
    "sha256sum",
    "stat",
    "tail",
    "touch",
    "wc",
];

/// Whether the command of `-execdir` depends on nothing in the directory but the file.
fn is_same_anywhere(command: &[Argument]) -> bool {
    let Some(name) = command.first().and_then(Argument::literal) else { return false };
    let takes_mode = matches!(name, "chmod" | "chown");
    let is_known = |(at, word): (usize, &Argument)| {
        word.text.contains("{}")
            || word.literal().is_some_and(|text| text.starts_with('-') || text.parse::<u32>().is_ok() || takes_mode && at == 0)
    };
    ANYWHERE.contains(&name) && command[1..].iter().enumerate().all(is_known)
}

pub(super) fn find(words: &[Argument], given: Given<'_>, effects: &mut Effects) {
    effects.place = given.place.with_mark("{}");
    let begins_expression = |word: &Argument| word.text.starts_with(['-', '(', ')', '!', ',']);
    // Options of the program come before the places.
    let mut at = 1;
    while words.get(at).is_some_and(|word| matches!(word.text.as_str(), "-H" | "-L" | "-P" | "-D" | "--") || word.text.starts_with("-O")) {
        at += if words[at].text == "-D" { 2 } else { 1 };
    }
    let mut starts: Vec<Argument> =
        words.get(at..).unwrap_or_default().iter().take_while(|word| !begins_expression(word)).cloned().collect();
    at += starts.len();
    // A place that is known only later may be an action, if what an action needs stands behind it.
    let has_end = words.iter().any(|word| matches!(word.text.as_str(), ";" | "+"));
    for (index, word) in words.iter().enumerate().skip(1) {
        let is_value = index > 0 && VALUED.contains(&words[index - 1].text.as_str()) && !word.may_bring_words();
        if !is_value && word.may_be_hidden_option() {
            effects.is_unclear = true;
            if has_end {
                effects.inner.extend(guesses(&words[1..]));
            }
        } else if !is_value && word.may_match_option() {
            effects.option_globs.extend(path_uses(word, given.place, Access::List));
        }
    }
    if given.more {
        effects.is_unclear = true;
        effects.inner.extend(guesses(&words[1..]));
    }
    if starts.is_empty() {
        starts.push(Argument::plain("."));
    }
    for start in &starts {
        effects.paths.extend(path_uses(start, given.place, Access::List));
    }
    let what = Found { name: name_of_found(words), hidden: true, ignored: true, ..Found::default() };
    let found = || -> Vec<Argument> { starts.iter().map(|start| start.below(what.clone())).collect() };
    let follows_links = words.iter().any(|word| matches!(word.text.as_str(), "-L" | "-follow"));
    while let Some(word) = words.get(at) {
        at += 1;
        match word.text.as_str() {
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let command: Vec<Argument> = words[at..].iter().take_while(|word| word.text != ";").cloned().collect();
                let ends_in_plus = command.windows(2).position(|pair| pair[0].text == "{}" && pair[1].text == "+");
                let command = ends_in_plus.map_or(command.as_slice(), |end| &command[..=end]);
                at += command.len() + 1;
                let words = command.iter().map(|word| word.clone().with_hole_at("{}")).collect();
                effects.inner.push(Inner::Words { words, more: false });
                if command.iter().any(|word| word.text.contains("{}")) {
                    // What the command does with a file is done below these directories.
                    effects.found_in.extend(found());
                }
                // What a link to a directory leads to may be anywhere.
                effects.is_unclear |= follows_links || (word.text.ends_with("dir") && !is_same_anywhere(command));
            }
            "-delete" => {
                let words = [Argument::plain("rm"), Argument::plain("{}").with_hole_at("{}")].to_vec();
                effects.inner.push(Inner::Words { words, more: false });
                effects.found_in.extend(found());
            }
            "-fprint" | "-fprint0" | "-fls" | "-fprintf" => {
                // A search that writes is looked at each time.
                effects.is_unclear = true;
                if let Some(file) = words.get(at) {
                    effects.writes.push(format!("> {}", file.text));
                    effects.paths.extend(path_uses(file, given.place, Access::Write));
                }
                at += if word.text == "-fprintf" { 2 } else { 1 };
            }
            "-files0-from" => {
                effects.is_unclear = true;
                at += 1;
            }
            text if REFERENCES.contains(&text) || text.starts_with("-newer") => {
                if let Some(file) = words.get(at).filter(|_| !text.ends_with('t')) {
                    effects.paths.extend(path_uses(file, given.place, Access::List));
                }
                at += 1;
            }
            text if VALUED.contains(&text) => at += 1,
            _ => {}
        }
    }
}

/// What `find` with these words prints, if that is names: places and what is below them.
pub(super) fn printed(words: &[Argument]) -> Option<Vec<Argument>> {
    const OTHER: &[&str] = &["-L", "-follow", "-exec", "-execdir", "-ok", "-okdir", "-printf", "-ls", "-files0-from"];
    if words.iter().any(|word| OTHER.contains(&word.text.as_str()) || word.may_bring_words()) {
        return None;
    }
    let options = words[1..].iter().take_while(|word| matches!(word.text.as_str(), "-H" | "-P") || word.text.starts_with("-O"));
    let from = 1 + options.count();
    let is_start = |word: &&Argument| !word.text.starts_with(['-', '(', ')', '!', ',']);
    let mut starts: Vec<Argument> = words[from..].iter().take_while(is_start).cloned().collect();
    if starts.is_empty() {
        starts.push(Argument::plain("."));
    }
    let what = Found { name: name_of_found(words), hidden: true, ignored: true, ..Found::default() };
    Some(starts.iter().map(|start| start.below(what.clone())).collect())
}

/// The pattern that all that is found has in its name, if there is one for certain. `{a,b}` stands for two of them.
fn name_of_found(words: &[Argument]) -> Option<String> {
    let has = |signs: &[&str]| words.iter().any(|word| signs.contains(&word.text.as_str()));
    if has(&[","]) || (has(&["!", "-not"]) && has(&["(", "-o", "-or"])) {
        return None;
    }
    let choices = words.split(|word| matches!(word.text.as_str(), "-o" | "-or"));
    let names: Vec<String> = choices.map(name_in).collect::<Option<_>>()?;
    Some(if names.len() == 1 { names.concat() } else { format!("{{{}}}", names.join(",")) })
}

/// The same of what stands between two `-o`: a test behind an action comes too late.
fn name_in(words: &[Argument]) -> Option<String> {
    const ACTIONS: &[&str] = &["-exec", "-execdir", "-ok", "-okdir", "-delete", "-print", "-print0", "-ls"];
    let tests = words.iter().take_while(|word| !ACTIONS.contains(&word.text.as_str())).count();
    // Negated, or the value of another test.
    let is_other = |at: usize| {
        let before = if at > 0 { words[at - 1].text.as_str() } else { "" };
        matches!(before, "!" | "-not") || VALUED.contains(&before) || REFERENCES.contains(&before) || before.starts_with("-newer")
    };
    let at = (0..tests).find(|at| matches!(words[*at].text.as_str(), "-name" | "-iname") && !is_other(*at))?;
    // Sets and braces mean other things to other programs.
    let name = words[..tests].get(at + 1)?.literal().filter(|name| !name.contains(['[', '{', ',', '\\']) && !name.starts_with('-'))?;
    Some(name.to_lowercase())
}

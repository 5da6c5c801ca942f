//! `tar`: its letters may stand without a dash, and what a file is for depends on what is done.

use super::super::{
    inner::shell_text,
    place::{Access, Place, here, path_uses},
    walk::Walk,
    word::{Argument, Found},
};

/// Long options that take a word which says nothing about files or programs.
const VALUED: &[&str] = &[
    "--exclude",
    "--format",
    "--owner",
    "--group",
    "--mode",
    "--mtime",
    "--level",
    "--strip-components",
    "--transform",
    "--xform",
    "--sort",
    "--warning",
    "--blocking-factor",
    "--label",
    "--newer",
    "--after-date",
    "--checkpoint",
    "--record-size",
    "--tape-length",
    "--occurrence",
    "--quoting-style",
    "--suffix",
    "--pax-option",
    "--starting-file",
    "--one-top-level",
];
/// Those that take away nothing but a look at a file.
const READ: &[&str] = &["--files-from", "--exclude-from", "--newer-mtime-file", "--owner-map", "--group-map", "--add-file"];
/// Those whose value is a program.
const RUN: &[&str] = &["--to-command", "--use-compress-program", "--rsh-command", "--rmt-command", "--info-script", "--new-volume-script"];
/// Letters that take a word.
const LETTERS: &str = "bCfFgHIKLNTVX";

struct Tar {
    mode: char,
    archive: Option<Argument>,
    members: Vec<(Argument, Place)>,
    removes: bool,
    follows: bool,
    to_output: bool,
}

pub(super) fn tar(walk: &mut Walk<'_, '_>) {
    let mut words = spelled_out(&walk.words[1..]);
    if walk.given.more || words.iter().any(Argument::may_be_hidden_option) {
        walk.effects.is_unclear = true;
    }
    let globs = words.iter().filter(|word| word.may_match_option()).flat_map(|word| path_uses(word, &walk.place, Access::List));
    walk.effects.option_globs.extend(globs);
    let mut tar = Tar { mode: ' ', archive: None, members: Vec::new(), removes: false, follows: false, to_output: false };
    words.reverse();
    let mut ended = false;
    while let Some(word) = words.pop() {
        let text = word.text.clone();
        if ended || !text.starts_with('-') || text == "-" {
            tar.members.push((word, walk.place.clone()));
        } else if text == "--" {
            ended = true;
        } else if text.starts_with("--") {
            long(walk, &mut tar, &word, &mut words);
        } else {
            letters(walk, &mut tar, &word, &mut words);
        }
    }
    finish(walk, tar);
}

/// `czf x` as `-c -z -f x`: the letters of the first word take the words behind it in their order.
fn spelled_out(words: &[Argument]) -> Vec<Argument> {
    let Some(first) = words.first().filter(|first| first.is_literal() && !first.text.starts_with('-')) else { return words.to_vec() };
    let mut rest = words[1..].iter().cloned();
    let mut spelled = Vec::new();
    for letter in first.text.chars() {
        spelled.push(Argument::plain(&format!("-{letter}")));
        if LETTERS.contains(letter) {
            spelled.extend(rest.next());
        }
    }
    spelled.extend(rest);
    spelled
}

fn letters(walk: &mut Walk<'_, '_>, tar: &mut Tar, word: &Argument, words: &mut Vec<Argument>) {
    let text = word.text.clone();
    for (at, letter) in text.char_indices().skip(1) {
        if LETTERS.contains(letter) {
            let end = at + letter.len_utf8();
            let value = if end < text.len() { Some(word.behind(end)) } else { words.pop() };
            if let Some(value) = value {
                valued(walk, tar, letter, &value);
            }
            return;
        }
        match letter {
            'c' | 'x' | 't' | 'r' | 'u' | 'd' | 'A' => tar.mode = letter,
            'O' => tar.to_output = true,
            'h' => tar.follows = true,
            _ => {}
        }
    }
}

fn valued(walk: &mut Walk<'_, '_>, tar: &mut Tar, letter: char, value: &Argument) {
    match letter {
        'C' => {
            walk.file(value, Access::List);
            walk.place.enter(value);
        }
        'f' => tar.archive = Some(value.clone()),
        'F' | 'I' => run(walk, value),
        'g' => walk.file(value, Access::Write),
        // The list may hold options of its own.
        'T' => {
            walk.file(value, Access::Read);
            walk.effects.is_unclear = true;
        }
        'X' => walk.file(value, Access::Read),
        _ => {}
    }
}

fn long(walk: &mut Walk<'_, '_>, tar: &mut Tar, word: &Argument, words: &mut Vec<Argument>) {
    let equals = word.text.find('=');
    let name = &word.text[..equals.unwrap_or(word.text.len())];
    // A name may be cut short: `--to-c`, `--use`. What runs something counts first.
    let begins = |names: &[&str]| name.len() > 3 && names.iter().any(|long| long.starts_with(name));
    match name {
        "--create" => tar.mode = 'c',
        "--extract" | "--get" => tar.mode = 'x',
        "--list" => tar.mode = 't',
        "--append" | "--update" | "--concatenate" | "--catenate" => tar.mode = 'r',
        "--to-stdout" => tar.to_output = true,
        "--remove-files" => tar.removes = true,
        _ if name.len() > 4 && "--dereference".starts_with(name) => tar.follows = true,
        _ => long_valued(walk, tar, word, equals, words, begins(&["--checkpoint-action"]), begins(RUN)),
    }
}

fn long_valued(
    walk: &mut Walk<'_, '_>,
    tar: &mut Tar,
    word: &Argument,
    equals: Option<usize>,
    words: &mut Vec<Argument>,
    is_action: bool,
    is_run: bool,
) {
    let name = &word.text[..equals.unwrap_or(word.text.len())];
    let is = |long: &str| name.len() > 3 && long.starts_with(name);
    let takes = is_action
        || is_run
        || VALUED.contains(&name)
        || READ.iter().any(|long| is(long))
        || ["--file", "--directory", "--listed-incremental", "--index-file", "--volno-file"].iter().any(|long| is(long));
    if !takes || name == "--checkpoint" || name == "--one-top-level" {
        return;
    }
    let Some(value) = equals.map(|at| word.behind(at + 1)).or_else(|| words.pop()) else { return };
    if is_action && name != "--checkpoint" {
        match value.text.strip_prefix("exec=") {
            Some(_) => run(walk, &value.behind("exec=".len())),
            None => walk.effects.is_unclear |= !value.is_literal(),
        }
    } else if is_run {
        run(walk, &value);
    } else if is("--file") && name != "--files-from" {
        tar.archive = Some(value);
    } else if is("--directory") {
        valued(walk, tar, 'C', &value);
    } else if is("--files-from") {
        valued(walk, tar, 'T', &value);
    } else if READ.iter().any(|long| is(long)) {
        walk.file(&value, Access::Read);
    } else if !VALUED.contains(&name) {
        walk.write(&value);
    }
}

fn run(walk: &mut Walk<'_, '_>, value: &Argument) {
    walk.effects.inner.extend(shell_text(std::slice::from_ref(value), false, &mut walk.effects.is_unclear));
}

fn finish(walk: &mut Walk<'_, '_>, tar: Tar) {
    let makes = matches!(tar.mode, 'c' | 'r' | 'u' | 'A');
    let own = std::mem::take(&mut walk.place);
    walk.place = walk.given.place.clone();
    if let Some(archive) = &tar.archive {
        // `host:file` is reached by another program.
        walk.effects.is_unclear |= archive.text.contains(':');
        walk.file(archive, if makes { Access::Write } else { Access::Read });
    }
    walk.place = own;
    if makes {
        let access = if tar.removes { Access::Destroy } else { Access::Deep { hidden: true } };
        for (member, place) in &tar.members {
            walk.effects.paths.extend(path_uses(member, place, access));
            if tar.follows {
                let what = Found { hidden: true, ignored: true, follows: true, ..Found::default() };
                walk.effects.paths.extend(path_uses(&member.below(what), place, Access::Read));
            }
        }
    } else if tar.mode == 'x' && !tar.to_output {
        walk.effects.paths.push(here(&walk.place, Access::Write));
    }
}

//! Witnesses: the real programs, where they are installed, do what the tables say; and the judge does not let it pass.

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use polytree_protocol::permission::Action;

use super::{Place, rules};
use crate::stdx::{
    paths::AbsPath,
    process::{Group, SharedOutput, command, find_program},
};

/// Lines that run `zap`, by the program that has to be there.
const RUN: &[(&str, &str)] = &[
    ("env", "env -i PATH=$PATH zap x"),
    ("timeout", "timeout -k 1 5 zap x"),
    ("nice", "nice -n 5 zap x"),
    ("setpriv", "setpriv --no-new-privs zap x"),
    ("prlimit", "prlimit --nofile=100 zap x"),
    ("setarch", "setarch -R zap x"),
    ("linux64", "linux64 zap x"),
    ("choom", "choom -n 0 -- zap x"),
    ("flock", "flock lock -c 'zap x'"),
    ("script", "script -qc 'zap x' /dev/null"),
    ("stdbuf", "stdbuf -oL zap x"),
    ("setsid", "setsid -w zap x"),
    ("xargs", "xargs -I{} zap {} < a.txt"),
    ("ssh-agent", "ssh-agent zap x"),
    ("bash", "bash +c 'zap x'"),
    ("find", "find . -maxdepth 0 -exec zap {} +"),
    ("find", "find . -maxdepth 0 -execdir zap x ';'"),
    ("tar", "tar cf /dev/null -I 'zap x' a.txt"),
    ("tar", "tar cf /dev/null --use='zap x' a.txt"),
    ("tar", "tar cf /dev/null --checkpoint=1 --checkpoint-act=exec='zap x' a.txt"),
    ("tar", "tar cf x.tar a.txt; tar xf x.tar --to-c='zap x'"),
    ("split", "split --fil='zap x' a.txt"),
    ("sort", "seq 50000 | sort --comp=zap -S 1k -T . > /dev/null"),
    ("rg", "rg --pre zap x a.txt"),
    ("sed", "sed -n '1e zap x' a.txt"),
    ("sed", "echo zap x | sed s/a/a/e"),
    ("awk", "awk 'BEGIN { system(\"zap x\") }'"),
    ("awk", "awk 'BEGIN { print | \"zap x\" }'"),
    ("awk", "awk 'BEGIN { \"zap x\" | getline }'"),
    ("make", "make --ev='$(shell zap x)' -f /dev/null"),
    ("make", "printf 'a:\\n\\t@true a b\\n' > m.mk; make -f m.mk SHELL=zap"),
    ("vim", "vim -es -c '!zap x' -c q"),
    ("ed", "ed -s a.txt <<< '!zap x'"),
    ("ssh", "ssh -o ProxyCommand='zap x' h"),
    ("git", "git -c alias.y='!zap x' y"),
    ("git", "git bisect start HEAD HEAD~1; git bisect run zap x"),
    ("git", "git clone -u zap . y"),
    ("git", "git clone --uplo zap . y"),
    ("git", "git -c diff.external=zap diff"),
    ("git", "git grep -Ozap x"),
    ("git", "git stash -q; git rebase -x 'zap x' HEAD~1"),
    ("perf", "perf stat zap x"),
    ("gdb", "gdb -batch -ex 'shell zap x'"),
    ("zip", "zip -q x.zip a.txt -T -TT zap"),
    ("node", "node -e 'require(\"child_process\").spawnSync(\"zap\")'"),
    ("npx", "npx -c 'zap x'"),
    ("script", "script -q /dev/null <<< 'zap x'"),
    ("script", "echo 'zap x' | script -q out.log"),
    ("setarch", "setarch -R <<< '../bin/zap x'"),
    ("linux64", "echo ../bin/zap x | linux64"),
    ("make", "make -f - <<< 'a:;zap x'"),
    ("make", "make --makef=/dev/stdin <<< 'a:;zap x'"),
    ("sqlite3", "sqlite3 x.db <<< '.shell zap x'"),
    ("sqlite3", "echo '.system zap x' | sqlite3"),
    ("python3", "python3 <<< 'import os; os.system(\"zap x\")'"),
    ("python3", "echo 'import os; os.system(\"zap x\")' | python3 -"),
    ("python3", "python3 <(echo 'import os; os.system(\"zap x\")')"),
    ("python3", "echo 'import os; os.system(\"zap x\")' | python3 3<<< 'print(1)'"),
    ("perl", "echo 'system(\"zap x\")' | perl"),
    ("perl", "perl -ne 1 'zap x|'"),
    ("node", "echo 'require(\"child_process\").execSync(\"zap x\")' | node -"),
    ("tclsh", "tclsh <<< 'exec zap x'"),
    ("m4", "m4 <<< 'syscmd(zap x)'"),
    ("ed", "echo '!zap x' | ed -s a.txt"),
];

/// Lines that print what the home directory keeps.
const READ: &[&str] = &[
    "cat ~/.npmrc",
    "cat ~/.np?rc",
    "f=~/.npmrc; cat $f",
    "f=../home; cat \"$f\"/.npmrc",
    "for f in ~/.n*; do cat \"$f\"; done",
    "for f in a.txt ../home/.n*; do cat < $f; done",
    "show() { cat \"$1\"; }; show ~/.npmrc",
    "arr=(a.txt ../home/.npmrc); cat \"${arr[1]}\"",
    "f=~; f+=/.npmrc; cat $f",
    "read -r f <<< ~/.npmrc; cat \"$f\"",
    "printf -v f %s ~/.npmrc; cat \"$f\"",
    "cat \"$(echo ~/.npmrc)\"",
    "cat ${HOME%x}/.npmrc",
    "set -- ~/.npmrc; cat \"$@\"",
    "f() { cat \"${@:1}\"; }; f ~/.npmrc",
    "ls -d ~/.n* | while read -r f; do cat \"$f\"; done",
    "cd; cat \"$(ls -a | grep npm)\"",
    "cd $HOME; cat .npmrc",
    "d=~; cd \"$d\" && cat .npmrc",
    "d=a; false && d=..; cd $d 2>/dev/null || cd; cat .npmrc",
    "for f in ~/.{npmrc,netrc}; do cat \"$f\"; done",
    "cat $x$HOME/.npmrc; x=a",
    "bash -c 'cat \"$1\"' _ ~/.npmrc",
    "grep -rh K ~",
];

/// Lines that print `.env` of the directory, by the program that has to be there.
const SECRET: &[(&str, &str)] = &[
    ("rg", "rg -g '.env' KEY"),
    ("rg", "rg -g '*' KEY"),
    ("rg", "rg -g '**' KEY ."),
    ("rg", "rg --glob='.e*' KEY"),
    ("rg", "rg --iglob .ENV KEY"),
    ("rg", "rg -ig.env key"),
    ("rg", "rg -g '!*.txt' -g '*v' KEY"),
    ("rg", "rg -g '*.rs' KEY .env"),
    ("rg", "rg -g 'sub/.e*' KEY"),
    ("rg", "rg --type-add 'z:.env' -tz KEY"),
    ("rg", "rg --type-add='z:*nv' --type z KEY"),
    ("rg", "rg --files -g '.env' | xargs cat"),
    ("rg", "rg --files --glob=.env . | xargs cat"),
    ("rg", "rg -l KEY -g '.*' | xargs cat"),
    ("rg", "rg --hidden KEY"),
    ("rg", "rg -uu KEY"),
    ("rg", "echo '!.env' > .rgignore; rg KEY"),
    ("rg", "echo '!.env' > .ignore; rg KEY"),
    ("grep", "grep -r --exclude=z --include='*.rs' KEY ."),
    ("grep", "grep -r --exclude-from=a.txt --include='*.rs' KEY ."),
    ("grep", "grep -rh KEY --exclude=z --inclu='*.rs' --exclude=y --include=x"),
    ("grep", "grep -r --include='.e*' KEY ."),
    ("git", "git grep --no-index KEY"),
    ("git", "git add -f .env; git grep KEY"),
    ("git", "git add -f .env; git commit --dry-run -v"),
    ("git", "git add -f .env; git status -vv"),
    ("git", "git add -f .env; cat $(git unpack-file :.env)"),
    ("find", "find . -name '.env' -exec cat {} +"),
    ("find", "find . -name '*nv' | xargs cat"),
    ("zip", "zip -q - .env -0 | cat"),
    ("cat", "shopt -s dotglob; cat *"),
    ("cat", "shopt -s dotglob globstar; cat **/*v"),
    ("cat", "shopt -s nocaseglob; cat .E*"),
    ("cat", "shopt -s globstar; for f in **/.e*; do cat $f; done"),
    ("grep", "shopt -s dotglob\ngrep KEY ./*"),
];

/// Lines that list names outside of the worktree.
const NAMES: &[&str] = &[
    "echo ../home/*",
    "echo ~/*",
    "printf '%s\\n' ../home/n*",
    "for f in ../home/*; do echo \"$f\"; done",
    "for f in ~/n*; do printf '%s ' \"$f\"; done",
    "select f in ../home/*; do break; done < /dev/null",
    "a=(../home/*); echo \"${a[@]}\"",
    "a=(\"x\" ../home/*); echo \"${a[1]}\"",
    "x=../home/*; echo $x",
    "set -- ../home/*; echo \"$@\"",
    "f() { echo \"$@\"; }; f ../home/*",
    "cd .. && echo home/*",
    "ls -d ../home/*",
    "echo up/*",
];

/// Lines that write `out`.
const WRITE: &[(&str, &str)] = &[
    ("sort", "sort -o out a.txt"),
    ("sort", "sort a.txt --outp=out"),
    ("sed", "sed -n 'w out' a.txt"),
    ("sed", "sed -n 's/x/y/w out' a.txt"),
    ("sed", "cp a.txt out; sed -n -i p out"),
    ("sed", "cp a.txt out; sed s/x/y/ out --in-pl"),
    ("awk", "awk '{ print > \"out\" }' a.txt"),
    ("perl", "cp a.txt out; perl -pi -e 1 out"),
    ("find", "find a.txt -fprint out"),
    ("find", "find a.txt -fprintf out x"),
    ("git", "git diff --output=out"),
    ("git", "git log --output out"),
    ("git", "git archive -oout HEAD"),
    ("tar", "tar cfz out a.txt"),
    ("tar", "tar -c -fout a.txt"),
    ("uniq", "uniq a.txt out"),
    ("xxd", "xxd a.txt out"),
    ("dd", "dd if=a.txt of=out"),
    ("openssl", "openssl rand -out out 4"),
    ("curl", "curl -so out file://$PWD/a.txt"),
    ("curl", "curl -s --output out file://$PWD/a.txt"),
    ("shuf", "shuf -o out a.txt"),
    ("tee", "tee -a out < a.txt"),
    ("install", "install a.txt out"),
    ("ln", "ln -s a.txt out"),
    ("truncate", "truncate -s 3 out"),
    ("split", "split -l 1 a.txt out"),
    ("gcc", "gcc -E -x c a.txt -o out"),
    ("gcc", "gcc -E -x c a.txt -oout"),
];

fn prepare(place: &Place) -> AbsPath {
    let top = place.top.path();
    let bin = top.join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("zap"), format!("#!/bin/sh\n: > '{}'\n", top.join("trace").display())).unwrap();
    std::fs::set_permissions(bin.join("zap"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::remove_dir_all(top.join("work/.git")).unwrap();
    place.path("work")
}

async fn run(top: &Path, work: &AbsPath, line: &str) -> String {
    let mut command = command("bash", work);
    command.arg("-c").arg(line).env_clear();
    for (name, value) in [("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a"), ("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a")] {
        command.env(name, value);
    }
    command.env("PATH", format!("{}/bin:/usr/local/bin:/usr/bin:/bin", top.display())).env("HOME", top.join("home"));
    let mut output = SharedOutput::of(&mut command).unwrap();
    let mut group = Group::spawn(command).unwrap();
    let mut printed = Vec::new();
    let all = async {
        let mut buffer = [0; 4096];
        loop {
            match output.read(&mut buffer).await.unwrap() {
                0 => break,
                count => printed.extend_from_slice(&buffer[..count]),
            }
        }
        group.wait().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(20), all).await;
    group.kill();
    String::from_utf8_lossy(&printed).into_owned()
}

fn is_installed(program: &str) -> bool {
    find_program(program, Some("/usr/local/bin:/usr/bin:/bin".as_ref())).is_some()
}

#[tokio::test]
async fn what_an_option_runs_is_seen() {
    let denied = rules(r#"[["*","*","allow"],["bash","zap *","deny"]]"#);
    for (program, line) in RUN.iter().filter(|(program, _)| is_installed(program)) {
        let place = Place::new();
        let (top, work) = (place.top.path().to_owned(), prepare(&place));
        run(
            &top,
            &work,
            "git init -q . && git add a.txt && git commit -qm one && echo z >> a.txt && git commit -qam two && echo x >> a.txt",
        )
        .await;
        run(&top, &work, line).await;
        assert!(top.join("trace").exists(), "{program} did not run it: {line}");
        let verdict = place.judge(&denied, line).await;
        assert_ne!(verdict.action, Action::Allow, "{line}");
    }
}

#[tokio::test]
async fn what_an_option_writes_is_seen() {
    let denied = rules(r#"[["*","*","allow"],["edit","out*","deny"]]"#);
    for (program, line) in WRITE.iter().filter(|(program, _)| is_installed(program)) {
        let place = Place::new();
        let (top, work) = (place.top.path().to_owned(), prepare(&place));
        run(&top, &work, "git init -q . && git add a.txt && git commit -qm one && echo x >> a.txt").await;
        run(&top, &work, line).await;
        let wrote = std::fs::read_dir(&work).unwrap().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("out"));
        assert!(wrote, "{program} did not write it: {line}");
        let verdict = place.judge(&denied, line).await;
        assert_ne!(verdict.action, Action::Allow, "{line}");
    }
}

#[tokio::test]
async fn what_reads_a_secret_of_the_worktree_is_seen() {
    let denied = rules(r#"[["*","*","allow"],["read","*.env","deny"]]"#);
    for (_, line) in SECRET.iter().filter(|(program, _)| is_installed(program)) {
        let place = Place::new();
        let (top, work) = (place.top.path().to_owned(), prepare(&place));
        for file in [".env", "sub/.env"] {
            std::fs::write(work.join(file), "KEY\n").unwrap();
        }
        run(&top, &work, "git init -q . && git add a.txt && git commit -qm one").await;
        let before = place.judge(&denied, line).await;
        assert_ne!(before.action, Action::Allow, "{line}");
        let printed = run(&top, &work, line).await;
        assert!(printed.contains("KEY"), "{line} printed {printed}");
    }
}

#[tokio::test]
async fn names_outside_are_asked_about() {
    let everything = rules(r#"[["*","*","allow"],["external_directory","*","deny"]]"#);
    for line in NAMES {
        let place = Place::new();
        let (top, work) = (place.top.path().to_owned(), prepare(&place));
        std::os::unix::fs::symlink("../home", work.join("up")).unwrap();
        let printed = run(&top, &work, line).await;
        assert!(printed.contains("notes"), "{line} printed {printed}");
        let verdict = place.judge(&everything, line).await;
        assert_eq!((verdict.action, verdict.kinds), (Action::Deny, vec!["external_directory".to_owned()]), "{line}");
    }
}

#[tokio::test]
async fn what_reads_keys_is_asked_about() {
    let everything = rules(r#"[["*","*","allow"]]"#);
    for line in READ {
        let place = Place::new();
        let (top, work) = (place.top.path().to_owned(), prepare(&place));
        std::fs::write(top.join("home/.npmrc"), "KEY\n").unwrap();
        let printed = run(&top, &work, line).await;
        assert!(printed.contains("KEY"), "{line} printed {printed}");
        let verdict = place.judge(&everything, line).await;
        assert_eq!(verdict.action, Action::Ask, "{line}");
    }
}

//! Ways in which a command might slip by, and what is decided about each when everything but `zap` is allowed.

use polytree_protocol::permission::Action;

use super::{Dialect, all_but, analyse, judge};

#[track_caller]
fn check(expected: Action, lines: &[&str]) {
    let rules = all_but("zap");
    for line in lines {
        assert_eq!(judge(&rules, line), expected, "{line}\n{:#?}", analyse(line, Dialect::Bash));
    }
}

#[test]
fn spelling_does_not_get_round_a_deny() {
    check(
        Action::Deny,
        &[
            "zap",
            "z''ap x",
            "\\zap x",
            "\"zap\" x",
            "$'zap' x",
            "$'\\x7a'ap x",
            "/opt/bin/zap x",
            "./zap",
            "{zap,x}",
            "za\\\np x",
            "A=1 zap x",
            "> out zap x",
            "2>&1 zap",
            "{fd}> out zap x",
        ],
    );
}

#[test]
fn places_do_not_get_round_a_deny() {
    check(
        Action::Deny,
        &[
            "echo a; zap x",
            "echo a\nzap x",
            "echo a & zap x",
            "true && zap",
            "echo $(zap x)",
            "echo \"`zap x`\"",
            "cat <(zap)",
            "cat <<E\n$(zap)\nE",
            "A=$(zap)",
            "echo a > $(zap)",
            "echo $(( $(zap) + 1 ))",
            "[[ -n $(zap) ]]",
            "case $(zap) in x) ;; esac",
            "case x in x) zap ;; esac",
            "for i in $(zap); do :; done",
            "if zap; then :; fi",
            "f() { zap; }",
            "function f { zap; }",
            "coproc zap",
            "time -p zap",
            "! zap",
            "echo ${A:-$(zap)}",
            "a=($(zap))",
            "echo a # b\nzap",
            "echo a#; zap",
            "echo {#; zap",
            "select i in a; do zap; done",
            "echo \"a\\\" ; b\"; zap",
        ],
    );
}

#[test]
fn wrappers_do_not_get_round_a_deny() {
    check(
        Action::Deny,
        &[
            "env zap",
            "env -u A B=1 zap x",
            "sudo -u me zap x",
            "nohup nice -n 5 timeout -k 1 5 zap",
            "ls | xargs -n 1 zap",
            "find . -exec zap {} \\;",
            "find . -name a -execdir zap {} +",
            "bash -c 'zap x'",
            "sh -ec \"echo; zap\"",
            "eval 'echo; zap x'",
            "eval zap x",
            "command zap",
            "exec -a n zap",
            "trap 'zap' EXIT",
            "watch -n 1 zap x",
            "stdbuf -oL zap",
            "busybox zap",
            "bash -c \"bash -c 'zap'\"",
            "bash <<< 'zap x'",
            "bash <<'E'\nzap x\nE",
            "git submodule foreach 'zap x'",
            "git bisect run zap",
            "git rebase -x zap main",
            "PAGER=zap git log",
            "parallel zap ::: a",
            "flock f -c 'zap x'",
            "zsh -c 'zap x'",
        ],
    );
}

#[test]
fn what_only_running_would_tell_is_asked() {
    check(
        Action::Ask,
        &[
            "A=zap; $A x",
            "$(echo zap) x",
            "`echo zap`",
            "/opt/bin/z?p x",
            "git -c alias.x=!zap x",
            "alias g=git; g",
            "source x.sh",
            ". ./x.sh",
            "eval \"$A\"",
            "bash -c \"$A\"",
            "echo x | sh",
            "bash",
            "bash -s < x",
            "xargs -I{} {} x",
            "ls | xargs env",
            "find . -exec {} \\;",
            "env $A b",
            "trap \"$A\" EXIT",
            "git $A",
            "npm run $A",
            "PS4='$(x)'; set -x",
            "A='a[$(x)]'; echo $((A))",
            "echo ${A@P}",
            "shopt -s extglob; ls",
            "{z..z}ap",
            "env -S 'a b'",
            "bash /dev/stdin",
            "bash <(x)",
            "find . \"$A\" x \\;",
            "hash -p /x ls",
            "enable -f x y",
            "LD_PRELOAD=x ls",
            "sudo -s",
            "dash -c 'echo &> a b'",
            "fish -c ls",
        ],
    );
}

#[test]
fn what_cannot_be_read_is_asked_and_still_refused() {
    check(Action::Ask, &["echo \"a", "if true; then ls", "ls )", "echo $(ls", "cat <<E\na", "a() b", "ls ((", "for f in a; ls"]);
    check(Action::Deny, &["echo \"a; zap x", "if true; then zap x", "zap x )", "zap x\n)", "echo $(zap x", "(zap"]);
}

#[test]
fn the_name_in_other_places_is_no_command() {
    check(
        Action::Allow,
        &[
            "echo zap x",
            "echo 'a; zap x'",
            "grep -r zap .",
            "git commit -m 'zap it'",
            "cat zap",
            "ls # zap x",
            "cat <<'E'\nzap x\n$(zap)\nE",
            "A='zap x'",
            "echo \"zap\" > zap",
            "case zap in zap) ls;; esac",
            "for zap in zap; do ls; done",
            "[[ zap == zap ]]",
            "a=(zap x)",
            "zapper x",
            "echo $zap ${zap}",
            "echo '$(zap)'",
            "command -v zap",
            "printf '%s' '`zap`'",
            "awk '/zap/ { print }' f",
        ],
    );
}

#[test]
fn depth_and_length_have_an_end() {
    let rules = all_but("zap");
    for line in [
        "$(".repeat(5000) + "zap",
        "(".repeat(5000),
        format!("{}zap{}", "$(".repeat(100), ")".repeat(100)),
        "bash -c ".repeat(2000) + "zap",
        "env ".repeat(3000) + "zap",
        "$((".repeat(39) + "zap",
        "((".repeat(2000),
        "$(( ".repeat(30) + "zap" + &") ) ".repeat(30),
        "(( ".repeat(30) + "zap" + &") ) ".repeat(30),
        "${x:-$((".repeat(19),
        "$((".repeat(39) + "zap",
        "((".repeat(2000),
        "$(( ".repeat(30) + "zap" + &") ) ".repeat(30),
        "${x:-$((".repeat(19),
        "{a,b}".repeat(40),
        "\"${x:-".repeat(3000),
    ] {
        assert_ne!(judge(&rules, &line), Action::Allow, "{}", &line[..40]);
    }
}

#[test]
fn a_posix_shell_reads_some_things_in_another_way() {
    for line in ["echo &> a zap", "((zap))", "[[ a || zap ]]", "echo $'zap'"] {
        assert!(analyse(line, Dialect::Posix).needs_a_person(), "{line}");
    }
    assert!(!analyse("echo a > b && ls", Dialect::Posix).needs_a_person());
}

#[test]
fn always_grants_what_identifies_the_command() {
    for (line, expected) in [
        ("git status -s", &["git status *"][..]),
        ("git", &["git"]),
        ("npm run build -- -w", &["npm run build -- -w"]),
        ("ls && cargo test a", &["cargo test *"]),
        ("cat a && cargo test a", &["cat *", "cargo test *"]),
        ("git -C sub status", &["git status *"]),
        ("set -e; cd sub && git status", &["git status *"]),
        ("sudo rm x", &["sudo rm x", "rm x"]),
        ("ls *", &["ls *"]),
        ("$A x", &[]),
        ("ls; echo \"", &[]),
    ] {
        let analysis = analyse(line, Dialect::Bash);
        let patterns: Vec<String> = analysis.always().into_iter().map(|(pattern, _)| pattern).collect();
        assert_eq!(patterns, expected, "{line}");
    }
}

#[test]
fn more_words_than_a_person_would_read_are_asked_about() {
    let many = |piece: &str, count: usize| piece.repeat(count);
    for (line, is_understood) in [
        (format!("echo{}", many(" a", 3_000)), true),
        (format!("echo{}", many(" a", 5_000)), false),
        (format!("{}zap", many("ls; ", 5_000)), false),
        (many("echo \"$a\" 'b'; ", 1_500), false),
        (format!("bash -c '{}zap'", many("a=1; ", 5_000)), false),
        (format!("ls{}", many(" | cat", 1_500)), false),
        (format!("echo $((1{}))", many(" + 1", 1_500)), false),
        (many("echo {a,b}{c,d}{e,f}{g,h}{i,j}{k,l}; ", 100), false),
        (format!("cat <<'E'\n{}\nE", many("a $b `c`\n", 3_000)), true),
    ] {
        let analysis = analyse(&line, Dialect::Bash);
        let (begin, end) = (&line[..20], &line[line.len() - 20..]);
        assert_eq!(!analysis.needs_a_person(), is_understood, "{begin} … {end}");
        assert!(is_understood || analysis.always().is_empty(), "{begin} … {end}");
    }
}

#[test]
fn a_command_that_only_prints_needs_no_rule_beside_another() {
    let rules = |line: &str| {
        let analysis = analyse(line, Dialect::Bash);
        (analysis.patterns(), analysis.quiet())
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    for (line, asked, quiet) in [
        ("ls", &["ls"][..], &[][..]),
        ("ls; echo a", &["ls", "echo a"], &[]),
        ("ls | wc -l", &["ls"], &["wc -l"]),
        ("make; ls; echo $?", &["make"], &["ls", "echo $?"]),
        ("make; ls | xargs -n 1 echo", &["make", "echo"], &["ls", "xargs -n 1 echo"]),
        ("make; /tmp/ls", &["make", "/tmp/ls"], &[]),
        ("make; date -s 1", &["make", "date -s 1"], &[]),
        ("make; $x", &["make", "$x"], &[]),
    ] {
        assert_eq!(rules(line), (texts(asked), texts(quiet)), "{line}");
    }
    let deny = all_but("ls");
    assert_eq!(judge(&deny, "make; ls"), Action::Deny);
}

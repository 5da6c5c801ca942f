//! A grammar of lines that run a program without naming it as a command: through a text that is evaluated, a variable that
//! decides which program a name means, or an option that only running tells.
//!
//! ```text
//! line      = frame( hidden ) | a shell with hidden as a quoted text
//! hidden    = assembled evaluating | assigning | option
//! assembled = `C` gets a text with a command substitution in it, put together or read
//! ```

use proptest::{prelude::*, sample::select, strategy::Union};

use super::generator::{ANY_FRAMES, TEXT_FRAMES, around, quoted};

/// Ways to get a text into `C` that runs the denied command once it is evaluated; the file `payload` holds one.
const ASSEMBLED: &[&str] = &[
    "A='$'; C=\"a[$A(zap)]\"",
    "A='$'; C='a['$A'(zap)]'",
    "C='a[X(zap)]'; C=${C/X/\\$}",
    "printf -v C 'a[%s(zap)]' '$'",
    "C=$(cat payload)",
    "C=$(<payload)",
    "read -r C < payload",
    "mapfile -t C < payload",
    "declare C=\"$(cat payload)\"",
    "export C=$(cat payload)",
    "f() { C=$1; }; f \"$(cat payload)\"",
    "set -- \"$(cat payload)\"; C=$1",
    "C=a; C+='[$(zap)]'",
    "C=1; for C in \"$(cat payload)\"; do :; done",
    "B=([3]='a[$(zap)]'); C=${B[3]}",
    ": ${C:=a[\\$(zap)]}",
    "eval 'C=$(cat payload)'",
    "while read -r C; do break; done < payload",
    "D='a[$(zap)]'; C=D",
    "D=$(cat payload); C=${D}",
    "IFS= read -rd '' C < payload",
    "{ read -r C; } <<< \"$(cat payload)\"",
    "C=1; if true; then C=$(cat payload); fi",
];

/// What evaluates `C`.
const EVALUATING: &[&str] = &[
    "((C))",
    "echo $((C))",
    "echo $((1 + C))",
    "echo $[C]",
    "[[ C -eq 1 ]]",
    "[[ $C -gt 1 ]]",
    "B[C]=1",
    "B[$C]=1",
    "echo ${B[C]}",
    "echo \"${B[$C]}\"",
    "echo ${#B[C]}",
    "B=(1 2); echo \"${B[@]:C}\"",
    "x=abc; echo ${x:C}",
    "x=abc; echo ${x:0:C}",
    "echo ${!C}",
    "let C",
    "let \"x = C + 1\"",
    "test -v \"$C\"",
    "[ -v \"$C\" ]",
    "[ -n x -a -v \"$C\" ]",
    "v=-v; [ $v $C ]",
    "[[ -v $C ]]",
    "declare -i n=$C",
    "declare -i n; n=$C",
    "f() { local -i n=C; }; f",
    "declare \"$C=1\"",
    "declare -n r=$C; echo $r",
    "unset \"$C\"",
    "printf -v \"$C\" x",
    "read \"$C\" <<< 1",
    "B=([C]=1)",
    "declare -a B=([C]=1)",
    "for ((i = C; i < 0; i++)); do :; done",
    "while ((C)); do break; done",
    "RANDOM=$C",
    "echo x >&$C",
    "D=$C; ((D))",
    "D=C; ((D))",
    "true & wait -n -p \"$C\"",
    "env C=\"$C\" bash -c 'echo $((C))'",
    "export C; bash -c '((C))'",
    "f() { ((C)); }; f",
    "trap '((C))' EXIT",
    "i=0; ((i += C))",
    "case 1 in $((C))) :;; esac",
    "echo {$((C)),2}",
    "((x = C ? 1 : 2))",
];

/// Ways to let `cat` mean the program of the directory `ev`, `work` or `0` instead of the system's.
const ASSIGNING: &[&str] = &[
    "PATH=ev cat x",
    "PATH=ev; cat x",
    "PATH=ev:$PATH cat x",
    "PATH=$PWD/ev:$PATH\ncat x",
    "A=1 PATH=ev B=2 cat x",
    "PATH=; cat x",
    "unset PATH; cat x",
    "export PATH=ev; cat x",
    "export \"PATH=ev\"; cat x",
    "export P{ATH,X}=ev; cat x",
    "declare PATH=ev; cat x",
    "declare -x PATH=ev; cat x",
    "typeset PATH=ev; cat x",
    "readonly PATH=ev; cat x",
    "f() { local PATH=ev; cat x; }; f",
    "for PATH in ev; do cat x; done",
    "select PATH in ev; do cat x; break; done <<< 1",
    "printf -v PATH ev; cat x",
    "printf -v PATH %s ev; cat x",
    "read PATH <<< ev; cat x",
    "read -r A PATH <<< 'a ev'; cat x",
    "read -ra PATH <<< ev; cat x",
    "mapfile -t PATH <<< ev; cat x",
    "printf %n PATH; cat x",
    "((PATH = 0)); cat x",
    "echo $((PATH = 0)); cat x",
    "let PATH=0; cat x",
    "eval PATH=ev; cat x",
    "env PATH=ev cat x",
    "env -u A PATH=ev cat x",
    "A=PATH; env \"$A=ev\" cat x",
    "A=PATH; export \"$A=ev\"; cat x",
    "A=PATH; declare $A=ev; cat x",
    "A=PATH; printf -v $A ev; cat x",
    "A=PATH; read $A <<< ev; cat x",
    "declare -n r=PATH; r=ev; cat x",
    "set -k; cat x PATH=ev",
    "unset PATH; : ${PATH:=ev}; cat x",
    "{ PATH=ev; cat x; }",
    "if true; then PATH=ev; fi; cat x",
    "PATH=ev bash -c 'cat x'",
    "bash -c 'PATH=ev; cat x'",
    "bash -c 'cat x' PATH=ev; PATH=ev; cat",
    "getopts a PATH -a; PATH+=/../ev cat x",
    "BASH_CMDS[cat]=ev/cat; cat x",
    "hash -p ev/cat cat; cat x",
    "cd ev; PATH=.; cat x",
    "BASH_ENV=payload.sh bash -c :",
    "ENV=payload.sh; PATH=ev cat",
    "PS4='$(PATH=ev cat)'; set -x; :",
    "PATH[0]=ev; cat x",
    "PATH+=; PATH=ev; cat x",
    "{ :; } {PATH}> /dev/null; PATH=ev cat",
    "coproc PATH { :; }; PATH=ev; cat x",
    "command export PATH=ev; cat x",
    "\\export PATH=ev; cat x",
    "builtin declare PATH=ev; cat x",
    "function f { PATH=ev; }; f; cat x",
    "trap 'PATH=ev; cat x' EXIT",
];

/// Options that only running tells, and options that change how the line is read.
const OPTIONS: &[&str] = &[
    "A=-c; bash $A zap",
    "A=-S; env $A zap",
    "A='-I{}'; echo a | xargs $A zap",
    "A=-exec; find . -maxdepth 0 \"$A\" zap ';'",
    "A=-exec; find . -maxdepth 0 $A zap {} +",
    "A=-prune; B=-exec; find . $A $B zap ';'",
    "A=zap; find . -maxdepth 0 -exec $A ';'",
    "set -k; env A=1 zap",
    "shopt -s expand_aliases\nalias g=zap\ng",
    "shopt -s expand_aliases; eval 'alias g=zap'; eval g",
    "A=-p; hash $A ev/cat cat; cat x",
    "mapfile -c 1 -C zap B < payload",
    "A=-C; mapfile -c 1 $A zap B < payload",
    "A=-k; set $A; cat x PATH=ev",
    "A=-v; printf $A PATH ev; cat x",
    "A=-n; declare $A r=PATH; r=ev; cat x",
    "jobs -x zap",
    "A=-x; jobs $A zap",
    "enable -n echo; PATH=ev; cat x",
    "A=-i; declare $A n='a[$(zap)]'",
    "timeout 5 bash -c 'zap'",
    "exec -c zap",
    "command -p env zap",
];

/// Lines that evaluate what was put together, that set what decides which program runs, or that hide options.
pub(super) fn hidden() -> BoxedStrategy<String> {
    let evaluated = (select(ASSEMBLED), select(EVALUATING), select(&["; ", "\n", " && "][..]))
        .prop_map(|(assembled, sink, between)| format!("{assembled}{between}{sink}"));
    let line = Union::new_weighted(vec![
        (3, evaluated.boxed()),
        (2, select(ASSIGNING).prop_map(str::to_owned).boxed()),
        (1, select(OPTIONS).prop_map(str::to_owned).boxed()),
    ])
    .boxed();
    let framed = around(&line, ANY_FRAMES);
    let quoted = (line.clone(), 0..3_usize).prop_map(|(text, style)| quoted(&text, style)).boxed();
    Union::new_weighted(vec![(2, line), (3, framed), (1, around(&quoted, TEXT_FRAMES))]).boxed()
}

//! A grammar of command lines that contain one denied command somewhere.
//!
//! ```text
//! line    = any
//! any     = simple | any ; any | any && any | any || any | any '|' any | any & wait | '!' any | time any | coproc any
//!         | ( any ) | { any } | if while until for case with an any in each place | function with any as its body, called
//!         | a word, an assignment, a here-document, a redirection, [[ ]], (( )), an array with $(any), `any`, <(any)
//! simple  = spelled arguments | assignment simple | redirection simple | simple redirection | wrapper simple
//!         | eval, sh -c, bash -c, trap, here-string, pipe into a shell with any as a quoted text
//! spelled = the name plain, quoted in any way or part, escaped, by number, in braces, by its full path, over two lines
//! ```

use proptest::{prelude::*, sample::select, strategy::Union};

/// The command that must not run. It stands for any: nothing on a real machine has this name.
pub(super) const DENIED: &str = "zap";

/// Text put around a command; `%` is where it goes.
pub(super) fn around(inner: &BoxedStrategy<String>, frames: &'static [&'static str]) -> BoxedStrategy<String> {
    let put = |(inner, frame): (String, &str)| {
        // On the line that announces a here-document, all but the first line of a command would belong to the document.
        let announces = frame.starts_with("cat <<E") && frame.lines().next().is_some_and(|line| line.contains('%'));
        // Within single quotes, a quote of the command would end them.
        let (before, after) = frame.split_once('%').unwrap_or((frame, ""));
        let quotes = before.matches('\'').count() % 2 == 1 && after.contains('\'');
        // Two parentheses that stand together are arithmetic, and `&>` is a redirection.
        let doubles = before.ends_with('(') && inner.starts_with('(') || before.ends_with('&') && inner.starts_with('>');
        if announces && inner.contains('\n') || quotes && inner.contains('\'') || doubles {
            return inner;
        }
        // What stands inside of backticks has its own backticks escaped.
        let inner = if frame.contains('`') { inner.replace('\\', "\\\\").replace('`', "\\`") } else { inner };
        frame.replace('%', &inner)
    };
    (inner.clone(), select(frames)).prop_map(put).boxed()
}

fn spelled(directory: &str) -> BoxedStrategy<String> {
    let spellings = [
        "zap",
        "'zap'",
        "\"zap\"",
        "z''ap",
        "z\"\"ap",
        "\\zap",
        "z\\ap",
        "$'zap'",
        "$'\\x7aap'",
        "$'\\172ap'",
        "$'z\\u0061p'",
        "za\\\np",
        "\"za\"p",
        "'z'\"a\"p",
        "$\"zap\"",
        "{zap,}",
        "{,zap}",
        "z{ap,}",
        "\"z\\\nap\"",
        "z$'a'p",
        "$(echo zap)",
        "`echo zap`",
        "${NOTHING:-zap}",
        "z${NOTHING}ap",
    ];
    let mut spellings: Vec<String> = spellings.map(str::to_owned).to_vec();
    spellings.push(format!("{directory}/zap"));
    spellings.push(format!("'{directory}'/z\"\"ap"));
    spellings.push(format!("{directory}/../*/zap"));
    select(spellings).boxed()
}

fn called(directory: &str) -> BoxedStrategy<String> {
    let arguments = select(&["", " x", " -rf x", " 'a b' \"$HOME\"", " \\\n y", " *", " --", " $(echo z)", " # comment", " {a,b}"][..]);
    (spelled(directory), arguments).prop_map(|(name, arguments)| format!("{name}{arguments}")).boxed()
}

/// A text as one quoted word.
pub(super) fn quoted(text: &str, style: usize) -> String {
    match style {
        0 => format!("'{}'", text.replace('\'', "'\\''")),
        1 => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`")),
        _ => format!("$'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
    }
}

/// What may stand before the words of a command, but not after a wrapper.
const OUTER_FRAMES: &[&str] = &["A=1 %", "A=1 B=\"x y\" %", "time -p %", "coproc %\nwait", "A[1]=2 %", "A+=3 %", "{ %\n}", "%"];

const SIMPLE_FRAMES: &[&str] = &[
    "> out %",
    "2>&1 %",
    "% > out 2>&1",
    "% < /dev/null",
    "{fd}> out %",
    "env %",
    "env -i PATH=\"$PATH\" %",
    "env -- A=1 %",
    "nohup %",
    "nice %",
    "nice -n 5 %",
    "timeout 5 %",
    "timeout -k 1 --signal=KILL 5s %",
    "echo a | xargs %",
    "xargs -n 1 % < /dev/null",
    "echo a b | xargs -I{} % {}",
    "command %",
    "command -p -- %",
    "exec %",
    "exec -a name %",
    "stdbuf -oL %",
    "setsid -w %",
    "find . -maxdepth 0 -exec % \\;",
    "find . -maxdepth 0 -exec % {} +",
    "find . -maxdepth 0 -name . -execdir % ';'",
    "builtin eval %",
    "eval %",
    "nohup nice env %",
    "e\"nv\" %",
    "\\env %",
    "/usr/bin/env %",
    "env $NOTHING %",
    "$NOTHING %",
];

pub(super) const TEXT_FRAMES: &[&str] = &[
    "eval %",
    "eval -- %",
    "bash -c %",
    "sh -c %",
    "bash -ec % name",
    "bash --norc -o pipefail -c %",
    "sh -c -- %",
    "echo % | bash",
    "echo % | sh -s",
    "bash <<< %",
    "trap % EXIT",
    "A=%; eval \"$A\"",
    "A=%; bash -c \"$A\"",
    "bash -c \"$(echo %)\"",
    "echo a | xargs -n 1 sh -c %",
    "find . -maxdepth 0 -exec sh -c % \\;",
    "echo % > s; . ./s",
    "echo % > s; source ./s",
    "env bash -c %",
    "env -S \"bash -c\" %",
    "timeout 5 sh -c %",
    "command eval %",
    "bash /dev/stdin <<< %",
    "bash <(echo %)",
    "watch -g -n 1 true & kill $!; sh -c %",
    "PS4=%; eval set -x",
    "f() { eval \"$1\"; }; f %",
    "\"${BASH}\" -c %",
];

pub(super) const ANY_FRAMES: &[&str] = &[
    "%; echo a",
    "echo a; %",
    "% && echo a",
    "true && %",
    "false || %",
    "% | cat",
    "echo a | %",
    "echo a |& %",
    "% &\nwait",
    "(%)",
    "( (%) )",
    "((%); true)",
    "{ %; }",
    "{\n%\n}",
    "! %",
    "time %",
    "echo a\n%",
    "# echo\n%",
    "echo a # b\n%",
    "echo \\# ; %",
    "echo a#; %",
    "echo {#; %",
    "echo $#; %",
    "echo ${#A}; %",
    "if %; then :; fi",
    "if true; then %; fi",
    "if false; then :; elif %; then :; fi",
    "if false; then :; else %; fi",
    "while %; do break; done",
    "until %; do break; done",
    "while true; do %; break; done",
    "for i in 1; do %; done",
    "for i in $(%); do :; done",
    "for ((i = 0; i < 1; i++)); do %; done",
    "for ((i = $(%; echo 0); i < 0;)); do :; done",
    "for i in 1; { %; }",
    "case x in x) %;; esac",
    "case x in (y|x) %;& z) :; esac",
    "case $(%) in *) ;; esac",
    "case x in $(%)) ;; *) ;; esac",
    "f() { %; }; f",
    "function f { %; }\nf",
    "f() (%); f",
    "f ()\n{\n%\n}\nf",
    "coproc { %; }\nwait",
    "coproc N { %; }\nwait",
    "echo $(%)",
    "echo \"$(%)\"",
    "echo \"a ${A:-$(%)} b\"",
    "echo ${A:-$(%)}",
    "echo ${A:-\"$(%)\"}",
    "echo `%`",
    "echo \"`%`\"",
    "A=$(%)",
    "A=\"$(%)\" true",
    "export A=$(%)",
    "A=(1 $(%))",
    "declare -a A=($(%))",
    "A[$(%; echo 1)]=2",
    "cat <(%)",
    "echo a > >(%)",
    "cat < <(%)",
    "echo a > $(%; echo out)",
    "cat <<< $(%)",
    "cat <<< \"$(%)\"",
    "cat <<E\n$(%)\nE",
    "cat <<E\n`%`\nE",
    "cat <<-E\n\t$(%)\n\tE",
    "cat <<E; %\na\nE",
    "cat <<E && %\n'\nE",
    "cat <<'E'\n'\"\nE\n%",
    "cat <<E\na\\\nE\nE\n%",
    "bash <<'E'\n%\nE",
    "sh <<E\n%\nE",
    "[[ -n $(%) ]]",
    "[[ -n a && $(%) == b ]]",
    "[[ a =~ $(%) ]]; :",
    "[ -n \"$(%)\" ]",
    "(( $(%; echo 1) + 1 ))",
    "echo $(( $(%; echo 1) + 1 ))",
    "echo $[ $(%; echo 1) ]",
    "let \"a=$(%; echo 1)\"",
    "A='a[$(%)]'; echo $((A))",
    "A='x[$(%)]'; [[ $A -eq 1 ]]",
    "A='$(%)'; echo ${A@P}",
    "printf -v 'a[$(%)]' x",
    "unset 'a[$(%)]'",
    "read 'a[$(%)]' <<< 1",
    "test -v 'a[$(%)]'",
    "PS4='$(%)'; set -x; :",
    "env PS4='$(%)' bash -xc :",
    "alias g='%'",
    "shopt -s expand_aliases\nalias g='%'\ng",
    "select i in 1; do %; break; done <<< 1",
    "echo a > out; %",
    "cd . && %",
    "echo \"a\\\" ; b\"; %",
    "echo 'a'\\''b'; %",
    "echo $'a\\'b'; %",
    "echo \"$(echo \")\")\"; %",
    "echo $(echo \\)); %",
    "echo $(case x in x) echo;; esac); %",
    "echo ${A:-\\}}; %",
    "echo ${A:-\"}\"}; %",
    "echo \"${A:-'}\"; %",
    "echo a\\\n; %",
    "echo \\\\\n%",
    "echo '\\'; %",
    "true;%",
    "true&&%",
    "true\n\n  %",
    "\t%",
    "echo 2>&1; %",
    "echo a >&2 ; %",
    "echo a &> out; %",
    "echo a&%",
    "echo a 2>&1|%",
];

/// Command lines that contain the denied command, whose program stands in `directory`.
pub(super) fn lines(directory: &str) -> BoxedStrategy<String> {
    let directory = directory.to_owned();
    called(&directory)
        .prop_recursive(4, 16, 3, move |inner| {
            let simple = Union::new_weighted(vec![(1, called(&directory)), (2, around(&called(&directory), SIMPLE_FRAMES))]).boxed();
            let simple = Union::new_weighted(vec![(2, simple.clone()), (1, around(&simple, SIMPLE_FRAMES))]).boxed();
            let simple = around(&simple, OUTER_FRAMES);
            let any = Union::new_weighted(vec![(1, simple), (1, inner.boxed())]).boxed();
            let text = (any.clone(), 0..3_usize).prop_map(|(text, style)| quoted(&text, style)).boxed();
            Union::new_weighted(vec![(4, around(&any, ANY_FRAMES)), (1, around(&text, TEXT_FRAMES)), (1, any)])
        })
        .boxed()
}

const TOKENS: &[&str] = &[
    "zap x",
    "zap",
    "echo",
    "echo a",
    "cat",
    "true",
    "false",
    "x",
    "A=1",
    "A=",
    "$A",
    "${A}",
    "${A:-",
    "}",
    "{",
    "{ ",
    "; }",
    "(",
    ")",
    "((",
    "))",
    "$(",
    "$((",
    "`",
    "'",
    "\"",
    "\\",
    "\\\n",
    "\n",
    "\n",
    ";",
    ";;",
    "&",
    "&&",
    "||",
    "|",
    "|&",
    "<<E\n",
    "\nE\n",
    "<<'E'\n",
    "<<-E\n",
    "<<<",
    "<(",
    ">(",
    "> out",
    "2>",
    ">&",
    "&>",
    "<",
    "#",
    " #",
    "$'",
    "$\"",
    "$",
    "!",
    "! ",
    "if ",
    "; then ",
    "; fi",
    "else ",
    "while false; do ",
    "for i in ",
    "; do ",
    "; done",
    "case x in ",
    "x) ",
    ";; esac",
    "[[ ",
    " ]]",
    "[",
    "]",
    "=~",
    "==",
    "f() {",
    "function g {",
    "time ",
    "coproc ",
    "eval ",
    "env ",
    "command ",
    "exec ",
    "bash -c ",
    "sh -c ",
    "=(",
    "A[",
    "]=",
    "+=",
    ",",
    "..",
    "*",
    "?",
    "~",
    "-",
    "--",
    "1",
    "@P",
    " ",
    " ",
    " ",
    "\t",
    "é",
    "\u{a0}",
    "\r",
];

/// Any tokens in a row: mostly nonsense, of which bash may still run a part.
pub(super) fn soup() -> BoxedStrategy<String> {
    let token = prop_oneof![3 => select(TOKENS), 1 => Just("zap x"), 1 => Just(" ")];
    prop::collection::vec(token, 2..9).prop_map(|tokens| tokens.concat()).boxed()
}

//! The time to judge a command before it runs: its parts, and the files that it would access.
//!
//! ```text
//! cargo bench --profile dist --bench judge
//! ```
//!
//! Lines of many kinds, of 200 characters, 16 KiB, 28 KiB and 64 KiB, the slowest of which counts: those of medium length have as
//! many words as are read. Each is judged several times, and the median is its figure. With a build for release it fails
//! when a figure is worse than it should be.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use polytree::tool::bash::commands::{Dialect, analyse};

const SHORT: usize = 200;
const LONG: [usize; 3] = [16 * 1024, 28 * 1024, 64 * 1024];
/// The time limit for a line.
const SHORT_LIMIT: Duration = Duration::from_micros(200);
const LONG_LIMIT: Duration = Duration::from_millis(20);

/// Pieces of which lines are made, repeated to the length.
const PIECES: &[&str] = &[
    "ls -la src; ",
    "git status --short && cargo test --lib 2>&1 | tail -30; ",
    "echo \"$HOME ${USER:-nobody} $((1 + 2))\"; ",
    "i=0; i=$((i + 1)); [ $i -lt 3 ] && echo $i; ",
    "for f in *.rs; do wc -l \"$f\"; done; ",
    "find . -name '*.rs' -exec grep -n TODO {} +; ",
    "env RUST_LOG=debug timeout 60 cargo test; ",
    "a=x b=y ls; ",
    "cd sub; ",
    "echo $(wc -l < a.txt); ",
    "bash -c 'echo a; ls'; ",
    "f() { ls \"$1\"; }; f a; ",
    "cat a > b; ",
    "echo {a,b}{c,d}; ",
    "word ",
    "a[1]=2; ",
    "'quoted' ",
    "[[ -f a && $b == c* ]]; ",
    "x",
    "\n",
    "a|",
    "((i++)); ",
    "echo {a,b}{c,d}{e,f}{g,h}{i,j}{k,l}{m,n}{o,p}; ",
    "zap a b c d e f g h i j k l m n o p q r s t u v w x y z; ",
    "make > log; ",
    "!(a|b) ",
    "rg -n main -g '*.rs' -tpy src; ",
];

/// Texts with the pieces around them that make them whole.
const FRAMES: &[(&str, &str)] =
    &[("", ""), ("cat <<'E'\n", "\nE"), ("cat <<E\n", "\nE"), ("echo \"", "\""), ("echo $((1+", "1))"), ("bash -c '", "'"), ("x=(", ")")];

fn main() -> ExitCode {
    let mut all_hold = true;
    let long = LONG.map(|length| (length, LONG_LIMIT, 5));
    for (length, limit, runs) in [(SHORT, SHORT_LIMIT, 51)].into_iter().chain(long) {
        let mut slowest = (Duration::ZERO, String::new());
        for (before, after) in FRAMES {
            for piece in PIECES {
                let count = (length - before.len() - after.len()) / piece.len();
                let line = format!("{before}{}{after}", piece.repeat(count));
                let took = median(&line, runs);
                say(&format!("{length:>6} {:>9.3} ms  {before:?} {piece:?}", took.as_secs_f64() * 1e3));
                if took > slowest.0 {
                    slowest = (took, line);
                }
            }
        }
        let holds = slowest.0 <= limit;
        all_hold &= holds;
        let begin: String = slowest.1.chars().take(60).collect();
        say(&format!("{length} characters: at most {:?} of {limit:?}, {begin:?}", slowest.0));
    }
    if all_hold || cfg!(debug_assertions) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn median(line: &str, runs: usize) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(analyse(std::hint::black_box(line), Dialect::Bash));
            start.elapsed()
        })
        .collect();
    times.sort();
    times[runs / 2]
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

//! The cost of redacting known keys in complete results and in streamed output.
//!
//! ```text
//! cargo bench --profile dist --bench redact
//! ```
//!
//! With a build for release it fails when one MiB takes longer than it should. Pieces of 64 bytes are those of a program that
//! writes each line by itself.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use polytree::stdx::secrets::known::{KnownSecrets, Redactor};

const MIB: usize = 1024 * 1024;
/// The time limit for one MiB.
const LIMIT: Duration = Duration::from_millis(20);
const RUNS: usize = 21;

fn main() -> ExitCode {
    let keys: Vec<String> = (0..20).map(|number| format!("sk-proj-{number:04}ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghij")).collect();
    let secrets = KnownSecrets::new(keys.iter().map(String::as_str));
    let texts = [
        ("a log", "2026-01-01 12:00:00 INFO the build of sk-something took 12 s; see /usr/share/doc/skeleton\n".to_owned()),
        ("beginnings of keys", "sk-proj-0001ABCDEFGHIJKLMNOPQRSTUVWXYZ012345678 ".to_owned()),
        ("keys", format!("{} ", keys[7])),
        ("one byte", "s".to_owned()),
    ];
    let mut slowest = Duration::ZERO;
    for (name, piece) in texts {
        let text = piece.repeat(MIB.div_ceil(piece.len()));
        let whole = median(|| drop(secrets.redact(std::hint::black_box(&text))));
        let mut told = format!("{name:20} {:>8.3} ms", ms(whole));
        slowest = slowest.max(whole);
        for size in [64, 64 * 1024] {
            let pieces: Vec<&str> = text.as_bytes().chunks(size).map(|piece| str::from_utf8(piece).unwrap_or_default()).collect();
            let took = median(|| {
                let mut redactor = Redactor::default();
                let sum: usize = pieces.iter().map(|piece| redactor.push(&secrets, piece).len()).sum();
                std::hint::black_box(sum + redactor.finish(&secrets).len());
            });
            told += &format!(", in pieces of {size} {:>8.3} ms", ms(took));
            slowest = slowest.max(took);
        }
        say(&told);
    }
    say(&format!("1 MiB with {} keys: at most {slowest:?} of {LIMIT:?}", keys.len()));
    if slowest <= LIMIT || cfg!(debug_assertions) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

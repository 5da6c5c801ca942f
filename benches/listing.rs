//! The time to prepare the sandbox of a command in a large worktree: listing the files that rules hide from commands.
//!
//! ```text
//! cargo bench --profile dist --bench listing [-- DIRECTORIES]
//! ```
//!
//! The median of many commands counts, between which a file is written, as commands do. With a build for release it fails when
//! a command takes longer than it should.

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs,
        io::Write as _,
        path::Path,
        process::ExitCode,
        time::{Duration, Instant},
    };

    use polytree::{
        sandbox::{Abilities, Place, Sandbox, Settings, Verdict},
        stdx::paths::AbsPath,
    };
    use polytree_protocol::sandbox::SandboxPolicy;

    const DIRECTORIES: usize = 20_000;
    const FILES: usize = 4;
    const RUNS: usize = 101;
    const LIMIT: Duration = Duration::from_millis(3);
    const ABILITIES: Abilities = Abilities { landlock: 7, seccomp: true, namespaces: true, bubblewrap: false };

    pub fn main() -> ExitCode {
        let wanted = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(DIRECTORIES);
        let keep = tempfile::tempdir().expect("a directory for temporary files");
        let top = AbsPath::new(keep.path()).and_then(|top| top.real().ok()).expect("a real path");
        let [worktree, data] = ["tree", "data"].map(|name| top.join(name));
        make(worktree.as_path(), wanted);
        let sandbox = Sandbox::new(&data, &[]);
        let rules = |path: &str| Verdict { hidden: path.ends_with(".env"), fixed: false };
        let place = Place {
            policy: SandboxPolicy::Workspace,
            settings: &Settings::default(),
            worktree: &worktree,
            private: &[],
            home: None,
            search_path: None,
            outputs: &data,
            outside: &[],
            own_names: &[".polytree"],
            rules: &rules,
            rules_key: 0,
        };
        let mut times = Vec::new();
        for run in 0..RUNS + 2 {
            let file = worktree.join(format!("d0/made{run}"));
            fs::write(file, "").expect("a file");
            let begun = Instant::now();
            let confined = sandbox.confine(ABILITIES, &place).expect("a sandbox");
            let new = confined.new_repositories();
            let took = begun.elapsed();
            assert!(new.is_empty(), "no repository was made");
            if run < 2 {
                say(&format!("{:>9.3} ms  command {}", took.as_secs_f64() * 1e3, run + 1));
            } else {
                times.push(took);
            }
        }
        times.sort();
        let (median, most) = (times[RUNS / 2], times[RUNS - 1]);
        say(&format!("{wanted} directories: {median:?} of {LIMIT:?} a command, at most {most:?}"));
        if median <= LIMIT || cfg!(debug_assertions) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// So many directories, a hundred in each, with some files, and a secret in the first.
    fn make(top: &Path, wanted: usize) {
        for number in 0..wanted {
            let directory = if number < 100 { top.join(format!("d{number}")) } else { top.join(format!("d{}/e{number}", number % 100)) };
            fs::create_dir_all(&directory).expect("a directory");
            for file in 0..FILES {
                fs::write(directory.join(format!("file{file}.rs")), "").expect("a file");
            }
        }
        fs::write(top.join("d0/.env"), "").expect("a file");
    }

    fn say(text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

//! Writes the generated files, or with `--check` compares them and names those that are stale.

use std::{
    env, fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use polytree_protocol::generate::documents;

fn main() -> ExitCode {
    let check = match env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("unknown argument {other}; usage: generate [--check]");
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("run: cargo run -p polytree-protocol --bin generate");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all files are, or now are, as they should be.
fn run(check: bool) -> io::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut output = io::stdout().lock();
    let mut current = true;
    for document in documents() {
        let path = root.join(document.path);
        // Line ends as a checkout on Windows may have them are no difference.
        if fs::read_to_string(&path).is_ok_and(|text| text.replace("\r\n", "\n") == document.text) {
            continue;
        }
        if check {
            current = false;
            writeln!(output, "{} is stale", document.path)?;
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, document.text)?;
        writeln!(output, "{} written", document.path)?;
    }
    Ok(current)
}

//! The helper: the same executable, started in the place of a command. It confines itself as it is told on its standard
//! input and then becomes the command. It starts no thread and no runtime, and does nothing else.

mod capabilities;
mod files;
mod namespaces;
mod processes;
mod syscalls;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::ExitCode,
};

pub use self::files::open_real;
use self::processes::{FAILED, no_input};
use super::{
    policy::Abilities,
    spec::{Network, Spec},
};

/// The argument by which the executable is the helper.
pub const ARGUMENT: &str = "__sandbox";
/// The argument after it that has it try what it can do.
pub const PROBE: &str = "--probe";

/// Runs as the helper where the process was started as it; else nothing happens.
#[must_use]
pub fn enter() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return None;
    }
    let rest: Vec<OsString> = arguments.collect();
    if rest.first().is_some_and(|first| first == PROBE) {
        return Some(probe());
    }
    // It returns only where it has failed.
    let Err(error) = run(&rest);
    // Nobody is left to tell when that fails too.
    let _ = writeln!(io::stderr(), "polytree: the sandbox cannot be set up, so the command was not run: {error}");
    Some(ExitCode::from(FAILED))
}

fn run(command: &[OsString]) -> io::Result<std::convert::Infallible> {
    let (program, arguments) = command.split_first().ok_or_else(|| io::Error::other("no command is given"))?;
    let mut bytes = Vec::with_capacity(16 << 10);
    io::stdin().lock().read_to_end(&mut bytes)?;
    let spec = Spec::decode(&bytes)?;
    #[expect(clippy::disallowed_methods, reason = "it is no child: this process becomes it")]
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    let first = if spec.namespaces {
        let first = namespaces::enter(&spec)?;
        if spec.network == Network::Proxy {
            let port = namespaces::listen(rustix::stdio::stdin())?;
            let address = format!("http://127.0.0.1:{port}");
            for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "npm_config_proxy", "npm_config_https_proxy"] {
                command.env(name, &address);
            }
        }
        Some(first)
    } else if spec.network != Network::Off || !spec.covers.is_empty() {
        return Err(io::Error::other("what is asked for needs namespaces"));
    } else {
        None
    };
    no_input()?;
    let enforced = files::confine(&spec)?;
    if enforced < spec.landlock {
        return Err(io::Error::other(format!("Landlock has ABI {enforced}, and {} was found before", spec.landlock)));
    }
    capabilities::drop_all(&spec)?;
    syscalls::confine(&spec)?;
    Err(match first {
        Some(first) => first.run(command),
        None => command.exec(),
    })
}

/// Tries everything once, in this process that is for nothing else, and prints what works.
fn probe() -> ExitCode {
    let mut abilities = Abilities::default();
    let spec = Spec { namespaces: true, seals: true, network: Network::Own, ..Spec::default() };
    abilities.namespaces = namespaces::enter(&spec).is_ok() && File::open("/proc/self/exe").is_ok();
    if let Ok(abi) = files::confine(&spec)
        && File::open("/proc/self/exe").is_err()
    {
        abilities.landlock = abi;
    }
    abilities.seccomp = syscalls::confine(&Spec::default()).is_ok()
        && rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).is_err();
    let told = serde_json::to_vec(&abilities).unwrap_or_default();
    let _ = io::stdout().write_all(&told);
    ExitCode::SUCCESS
}

//! The executable: parses the command line, runs the command, and returns its exit code.

use std::{collections::BTreeMap, ffi::OsString, io::Write as _, process::ExitCode, sync::Arc};

use polytree::{
    cli::{self, Args, Command, DoctorContext, Exit, Failure, Input, Screen, ServeArgs},
    config::Places,
    daemon,
    launch::{
        self, Error, LaunchContext,
        network::{self, Network},
    },
    logging, sandbox,
    stdx::process::detach,
    tool::umask,
};
use polytree_protocol::daemon::StopMode;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    // The sandbox helper confines itself and executes the command; nothing else is started.
    if let Some(ended) = sandbox::enter() {
        return ended;
    }
    let args = cli::parse();
    let is_detached = matches!(args.command, Command::Serve(ServeArgs { detached: true, .. }));
    // Before anything is opened or started.
    if is_detached && let Err(error) = detach::detach() {
        return cli::fail(&Failure::Usage(format!("a detached daemon is only started by polytree itself: {error}"))).into();
    }
    let runtime = match runtime(&args) {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&Failure::Failed(format!("the runtime did not start: {error}"), None)).into(),
    };
    let exit = if is_detached { runtime.block_on(run_detached(args)) } else { runtime.block_on(run(args)) };
    let exit = exit.unwrap_or_else(|failure| cli::fail(&failure));
    // Threads that still block, such as in a read from a terminal, are not waited for.
    runtime.shutdown_background();
    exit.into()
}

/// Two workers are enough for a daemon, which mostly waits; a relay needs none. Blocking threads are started on demand;
/// the limit is high so that some are left if file systems hang.
fn runtime(args: &Args) -> std::io::Result<Runtime> {
    let mut builder = match args.command {
        Command::Stdio(_) if !args.standalone => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(2).max_blocking_threads(64).thread_stack_size(1 << 20).enable_all().build()
}

async fn run(args: Args) -> Result<Exit, Failure> {
    if let Command::Completions(wanted) = &args.command {
        let mut out = std::io::stdout().lock();
        out.write_all(&cli::completions(wanted.shell)).and_then(|()| out.flush())?;
        return Ok(Exit::Done);
    }
    if let Command::Schema(wanted) = &args.command {
        let mut out = std::io::stdout().lock();
        out.write_all(wanted.what.text().as_bytes()).and_then(|()| out.flush())?;
        return Ok(Exit::Done);
    }
    if let Command::Doctor(wanted) = &args.command {
        // Before directories are created or modes corrected: it reports the present state.
        let context = unprepared(&args)?;
        let running = launch::running(&context).await;
        let patient = DoctorContext { places: &context.places, environment: &context.environment, directory: &context.directory };
        return Ok(cli::doctor(wanted, running, patient, &mut Screen::standard()).await);
    }
    if args.standalone && !matches!(args.command, Command::Client(_) | Command::Stdio(_)) {
        return Err(Failure::Usage("--standalone is for commands that use a daemon, and for stdio".to_owned()));
    }
    let context = context(&args)?;
    let tell = |line: &str| Screen::standard().status(line);
    match args.command {
        Command::Client(command) => {
            let reached = if args.standalone { launch::inside(&context).await } else { launch::reach(&context, tell).await };
            let (daemon, backing) = reached.map_err(|error| unavailable(&error))?;
            let exit = cli::run_client(command, daemon, Screen::standard(), Input::standard(), &context.directory).await;
            backing.close().await;
            return Ok(exit);
        }
        Command::Serve(args) => {
            let network = Network { listeners: args.listeners(&context.directory), new_token: args.new_token };
            let ready = |daemon: &_| Screen::standard().status(&cli::serving(daemon));
            let opened = |opened: &network::Opened| Screen::standard().status(&cli::listening(&opened.urls, &opened.token));
            network::serve(context, network, ready, opened).await.map_err(not_listening)?;
            return Ok(Exit::Done);
        }
        Command::Stop(wanted) => launch::stop(&context, if wanted.now { StopMode::Now } else { StopMode::Wait }, tell).await,
        Command::Stdio(_) if args.standalone => launch::standalone(context).await,
        Command::Stdio(_) => launch::relay(context, tell).await,
        Command::Completions(_) | Command::Doctor(_) | Command::Schema(_) => Ok(()),
    }
    .map_err(|error| unavailable(&error))?;
    Ok(Exit::Done)
}

fn not_listening(error: network::Error) -> Failure {
    use polytree::daemon::listeners::Error as Listener;
    let told = error.to_string();
    match error {
        network::Error::Daemon(error) => unavailable(&error),
        network::Error::Peer(error) => error.into(),
        network::Error::Listener(error @ Listener::Unavailable { .. }) => Failure::Unavailable(told, error.hint().map(str::to_owned)),
        network::Error::Listener(error) => Failure::Failed(told, error.hint().map(str::to_owned)),
        network::Error::Token(_) => Failure::Unavailable(told, None),
    }
}

/// Runs a detached daemon. Its messages go to the process that waits for its start.
async fn run_detached(args: Args) -> Result<Exit, Failure> {
    let context = context(&args).inspect_err(|failure| launch::report_problem(&failure.to_string(), failure.hint()))?;
    if let Err(error) = launch::serve_detached(context).await {
        launch::report_failure(&error);
        return Ok(Exit::Unavailable);
    }
    Ok(Exit::Done)
}

fn context(args: &Args) -> Result<LaunchContext, Failure> {
    let context = unprepared(args)?;
    context.places.create().map_err(|error| unavailable(&daemon::Error::Places(error).into()))?;
    // The notices of a relay are its daemon's.
    if args.standalone || !matches!(args.command, Command::Stdio(_)) || args.log_level.is_some() {
        logging::start(&context.places.data, args.log_level.map(cli::LogLevel::word));
    }
    Ok(context)
}

/// The context before directories are created.
fn unprepared(args: &Args) -> Result<LaunchContext, Failure> {
    #[expect(clippy::disallowed_methods, reason = "the only place: the directory in which the user or the client started the process")]
    let process = std::env::current_dir().map_err(|error| Failure::Usage(format!("the current directory cannot be used: {error}")))?;
    let directory = args.directory(&process)?;
    // Variables that are not UTF-8 cannot be sent as JSON.
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let mut environment: BTreeMap<String, String> = std::env::vars_os().filter_map(text).collect();
    environment.extend(args.command.recording().into_iter().flat_map(|recording| recording.variables(&directory)));
    umask::enter(&mut environment);
    let environment = Arc::new(environment);
    let places = Places::discover(&environment).map_err(|error| unavailable(&daemon::Error::Places(error).into()))?;
    Ok(LaunchContext { environment, directory, places })
}

fn unavailable(error: &Error) -> Failure {
    Failure::Unavailable(error.with_causes(), error.hint())
}

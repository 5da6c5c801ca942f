//! The executable: reads the command line, starts what it asks for, and gives its exit code.

use std::{process::ExitCode, sync::Arc};

use polytree::{
    cli::{self, Args, Command, Exit, Failure, Input, Screen},
    config::Places,
    daemon::Error,
    launch::{
        self, Surroundings,
        network::{self, Network},
    },
    logging,
};

fn main() -> ExitCode {
    let args = cli::parse();
    // Two workers are enough for a daemon that mostly waits; more only cost memory.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&Failure::Failed(format!("the runtime does not start: {error}"), None)).into(),
    };
    let exit = runtime.block_on(run(args)).unwrap_or_else(|failure| cli::fail(&failure));
    // What still blocks, such as a read from a terminal, is no reason to stay.
    runtime.shutdown_background();
    exit.into()
}

async fn run(args: Args) -> Result<Exit, Failure> {
    if let Command::Completions(wanted) = &args.command {
        cli::completions(wanted.shell, &mut std::io::stdout());
        return Ok(Exit::Done);
    }
    #[expect(clippy::disallowed_methods, reason = "the one place: where the user or the client has started us")]
    let process = std::env::current_dir().map_err(|error| Failure::Usage(format!("the current directory cannot be used: {error}")))?;
    let directory = args.directory(&process)?;
    // Variables that are not text have no place in JSON.
    let environment =
        Arc::new(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect());
    let places = Places::discover(&environment).map_err(|error| unavailable(&Error::Places(error)))?;
    places.create().map_err(|error| unavailable(&Error::Places(error)))?;
    logging::start(&places.data, args.log_level.map(cli::LogLevel::word));
    let surroundings = Surroundings { environment, directory, places };
    match args.command {
        Command::Client(command) => {
            let (daemon, backing) = launch::reach(&surroundings).await.map_err(|error| unavailable(&error))?;
            let exit = cli::run_client(command, daemon, Screen::standard(), Input::standard(), &surroundings.directory).await;
            backing.close().await;
            return Ok(exit);
        }
        Command::Serve(args) => {
            let network = Network { listeners: args.listeners(&surroundings.directory), new_token: args.new_token };
            let ready = |daemon: &_| Screen::standard().status(&cli::serving(daemon));
            let opened = |opened: &network::Opened| Screen::standard().status(&cli::listening(&opened.urls, &opened.token));
            network::serve(surroundings, network, ready, opened).await.map_err(not_listening)?;
            return Ok(Exit::Done);
        }
        Command::Stdio(_) => launch::standalone(surroundings).await,
        Command::Completions(_) => Ok(()),
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

fn unavailable(error: &Error) -> Failure {
    Failure::Unavailable(error.to_string(), error.hint())
}

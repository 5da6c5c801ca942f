//! The executable: reads the command line, starts what it asks for, and gives its exit code.

use std::{process::ExitCode, sync::Arc};

use polytree::{
    cli::{self, Args, Command, Exit, Failure, Input, Patient, Screen},
    config::Places,
    daemon::Error,
    launch::{self, Surroundings},
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
    if let Command::Doctor(args) = &args.command {
        // Before anything is made or put right: it looks at things as they are.
        let surroundings = Surroundings { environment, directory, places };
        let (running, backing) = launch::find(&surroundings).await;
        let patient = Patient { places: &surroundings.places, environment: &surroundings.environment, directory: &surroundings.directory };
        let exit = cli::doctor(args, running, patient, &mut Screen::standard()).await;
        backing.close().await;
        return Ok(exit);
    }
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
        Command::Serve(_) => launch::serve(surroundings, |daemon| Screen::standard().status(&cli::serving(daemon))).await,
        Command::Stdio(_) => launch::standalone(surroundings).await,
        Command::Completions(_) | Command::Doctor(_) => Ok(()),
    }
    .map_err(|error| unavailable(&error))?;
    Ok(Exit::Done)
}

fn unavailable(error: &Error) -> Failure {
    Failure::Unavailable(error.to_string(), error.hint())
}

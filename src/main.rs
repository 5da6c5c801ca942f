//! The executable: reads the command line, starts what it asks for, and gives its exit code.

use std::{process::ExitCode, sync::Arc};

use polytree::{
    config::Places,
    daemon, launch::{self, Surroundings},
    logging,
    stdx::paths::AbsPath,
};

fn main() -> ExitCode {
    let environment: Arc<_> = Arc::new(std::env::vars().collect());
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(8).thread_stack_size(1 << 20).enable_all().build() else { return ExitCode::from(3) };
    let code = runtime.block_on(async {
        let places = match Places::discover(&environment) { Ok(places) => places, Err(error) => { eprintln!("{error}"); return 3 } };
        logging::start(&places.data, None);
        #[expect(clippy::disallowed_methods, reason = "the directory in which the client started us is its default")]
        let directory = std::env::current_dir().ok().and_then(AbsPath::new).unwrap();
        let surroundings = Surroundings { environment, directory, places };
        let result: Result<(), daemon::Error> = match std::env::args().nth(1).as_deref() { Some("serve") => launch::serve(surroundings, |_| ()).await, _ => launch::standalone(surroundings).await };
        match result { Ok(()) => 0, Err(error) => { eprintln!("{error}"); 3 } }
    });
    runtime.shutdown_background();
    ExitCode::from(code)
}

//! The executable: reads the command line, starts what it asks for, and gives its exit code.

use std::{collections::BTreeMap, sync::Arc};

use polytree::{
    api::connection::{Connection, Door},
    config::Places,
    daemon::{Daemon, Ending},
    logging,
    serve::{rpc::Rpc, stdio},
    stdx::{paths::AbsPath, tasks::Tasks},
};

fn main() {
    let environment: Arc<BTreeMap<String, String>> = Arc::new(std::env::vars().collect());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(8).thread_stack_size(1 << 20).enable_all().build().unwrap();
    runtime.block_on(async {
        let places = Places::discover(&environment).unwrap();
        logging::start(&places.data, None);
        let daemon = Daemon::start(places, &environment, None).await.unwrap();
        let doors = Tasks::new();
        let rpc = Rpc::new(Arc::clone(&daemon), &doors);
        #[expect(clippy::disallowed_methods, reason = "the directory in which the client started us is its default")]
        let directory = std::env::current_dir().ok().and_then(AbsPath::new);
        let connection = Arc::new(Connection::new(Door::Stdio, directory, environment));
        let interrupted = Arc::clone(&daemon);
        stdio::serve_stdio(&rpc, connection, &doors, async move { interrupted.interrupt(Ending::Abort).await }).await;
        daemon.close();
    });
    std::process::exit(0);
}

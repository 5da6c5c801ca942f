//! The handler of `server.diagnose`.

use polytree_protocol::{diagnose::Diagnosis, methods::ServerDiagnose};

use crate::{
    daemon::diagnose::{Requester, diagnose},
    project::directory,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
};

impl Handler for ServerDiagnose {
    async fn handle(context: Context, params: Self::Params) -> Result<Diagnosis, Error> {
        // A directory that is asked for must be there; the connection's own may have gone, which is no reason to fail.
        let directory = match &params.directory {
            Some(given) => Some(directory::resolved(given).await?),
            None => context.connection.default_directory().and_then(|directory| directory.real().ok()),
        };
        let requester = Requester {
            connection: Some(context.connection.id()),
            directory,
            environment: context.connection.environment(),
            stored: context.daemon.projects.stored_keys(),
        };
        Ok(diagnose(&context.daemon, &requester).await)
    }
}

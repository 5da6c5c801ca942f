//! The handler of `server.listen`: who may ask for a door to the network.

use crate::rpc::{
    connection::Door,
    error::Error,
    handler::{Context, Handler},
};
use polytree_protocol::{listen::ServerListenResult, methods::ServerListen};

impl Handler for ServerListen {
    async fn handle(context: Context, params: Self::Params) -> Result<ServerListenResult, Error> {
        // Whoever came over the network got a token for what is open, not leave to open more of the machine.
        if matches!(context.connection.door(), Door::WebSocket | Door::Http) {
            return Err(Error::denied("only a local client may open a listener")
                .hint("run `polytree serve --listen ADDRESS` on the machine itself"));
        }
        let environment = context.connection.environment();
        Ok(context.daemon.listeners.open(params, environment).await?)
    }
}

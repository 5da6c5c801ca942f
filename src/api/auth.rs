//! The handlers of `auth.*`. Whoever reached the daemon may store a key, over the network too: the token lets a client run
//! commands as the user anyway. A key goes in and never comes out.

use polytree_protocol::{
    auth::AuthEntry,
    methods::{AuthList, AuthRemove, AuthSet},
};

use super::select;
use crate::rpc::{
    error::Error,
    handler::{Context, Handler},
};

impl Handler for AuthSet {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        context.daemon.projects.store_key(params.provider_id, Some(params.key)).await?;
        context.daemon.followers.poke();
        tracing::info!(connection = context.connection.id(), "a key was stored");
        Ok(true)
    }
}

impl Handler for AuthRemove {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let was_stored = context.daemon.projects.store_key(params.provider_id, None).await?;
        context.daemon.followers.poke();
        Ok(was_stored)
    }
}

impl Handler for AuthList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<AuthEntry>, Error> {
        let instance = match (&params.directory, context.connection.default_directory()) {
            (None, None) => None,
            _ => Some(select::instance(&context, &params).await?),
        };
        Ok(context.daemon.projects.keys(instance, &context.connection.environment()).await?)
    }
}

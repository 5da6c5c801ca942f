//! Ending a stream of events.

use polytree_protocol::methods::EventUnsubscribe;

use super::{
    error::Error,
    handler::{Context, Handler},
};

impl<A: Send + Sync + 'static> Handler<A> for EventUnsubscribe {
    async fn handle(context: Context<A>, params: Self::Params) -> Result<bool, Error> {
        Ok(context.connection.unsubscribe(params.subscription))
    }
}

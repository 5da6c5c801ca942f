//! A service that is not called, because a key would go where it must not: every call fails with the reason.

use futures::{StreamExt as _, stream, stream::BoxStream};

use super::definition::{Delta, Error, ModelRequest, Provider};

/// Stands for a service whose address nobody trusts.
pub struct Refused(pub String);

impl Provider for Refused {
    fn stream(&self, _: ModelRequest) -> BoxStream<'static, Result<Delta, Error>> {
        stream::iter([Err(Error::Credentials { message: self.0.clone() })]).boxed()
    }
}

//! A placeholder for a service to which the key must not be sent: every request fails with the reason.

use futures::{StreamExt as _, stream, stream::BoxStream};

use super::definition::{Delta, Error, ModelRequest, Provider};

/// With the reason.
pub struct Refused(pub String);

impl Provider for Refused {
    fn stream(&self, _: ModelRequest) -> BoxStream<'static, Result<Delta, Error>> {
        stream::iter([Err(Error::Credentials { message: self.0.clone() })]).boxed()
    }
}

//! What a row of the method table means.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

use crate::id::ProjectId;

/// Whether a request may be sent again when its answer was lost with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// Changes nothing or is idempotent: always safe.
    Read,
    /// Safe when the client gave its own id in the params.
    Keyed,
    /// Not safe: the client is told that the outcome is unknown.
    Never,
}

/// The route of the specification that a method implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub verb: &'static str,
    /// The path template, with `:name` for path parameters.
    pub path: &'static str,
}

/// The selectors that every params type carries.
pub trait Selects {
    /// The `directory` of the request.
    fn directory(&self) -> Option<&str>;
    /// The `projectID` of the request.
    fn project_id(&self) -> Option<&ProjectId>;
}

/// One method of the contract; implemented by the uninhabited types that the table expands to.
pub trait Method: 'static {
    /// The name on the wire: `noun.verb`.
    const NAME: &'static str;
    /// One line for people.
    const SUMMARY: &'static str;
    /// The route of the specification, where it has one.
    const ROUTE: Option<Route>;
    /// Whether it may be sent again.
    const RETRY: Retry;
    /// What is asked.
    type Params: Selects + Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// What is answered.
    type Result: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
}

/// How a row of the table is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One request, one answer.
    Call,
    /// One request, one answer with the subscription's id, then notifications.
    Subscription,
}

/// A row of the table as data, for generators and clients.
pub struct MethodSpec {
    /// The name on the wire.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Call or subscription.
    pub kind: Kind,
    /// The route of the specification.
    pub route: Option<Route>,
    /// Whether it may be sent again.
    pub retry: Retry,
    /// The schema of the params type.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of the result type; for a subscription the schema of each notification's `result`.
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

impl MethodSpec {
    /// The method of the notifications of a subscription.
    #[must_use]
    pub fn notification(&self) -> Option<&'static str> {
        match (self.kind, self.name) {
            (Kind::Call, _) => None,
            (Kind::Subscription, "text.subscribe") => Some("text.match"),
            (Kind::Subscription, name) => Some(name.strip_suffix(".subscribe").unwrap_or(name)),
        }
    }
}

//! Stand-ins for handlers that do not exist yet: each answers `unavailable`.

use polytree_protocol::methods;

use super::{
    error::Error,
    handler::{Context, Handler, SubscriptionHandler},
    sink::Sink,
};

macro_rules! stand_ins {
    ($($name:ident)*) => {
        $(impl Handler for methods::$name {
            async fn handle(_: Context, _: Self::Params) -> Result<Self::Result, Error> {
                Err(Error::unavailable("this method is not there yet"))
            }
        })*
    };
}

stand_ins! {
    ServerInitialize ServerInfo LogWrite PathGet
    ProjectList ProjectCurrent ProjectInit ProjectUpdate ProjectTrust
    SessionCreate SessionList SessionGet SessionUpdate SessionDelete SessionChildren SessionMessages SessionMessage
    SessionPrompt SessionSubmit SessionAbort SessionStatusGet
    PermissionList PermissionReply PermissionGrants PermissionRevoke
    ProviderList ConfigGet AgentList ToolList EventList
}

use polytree_protocol::method::Method;

impl SubscriptionHandler for methods::EventSubscribe {
    const NOTIFICATION: &'static str = "event";
    type Feed = ();

    async fn open(_: Context, _: Self::Params) -> Result<Self::Feed, Error> {
        Err(Error::unavailable("this method is not there yet"))
    }

    async fn run((): Self::Feed, _: Sink) {}
}

const _: &str = methods::EventSubscribe::NAME;

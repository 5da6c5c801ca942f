//! The handlers of `server.*`, `path.*` and `log.*`.

use std::sync::OnceLock;

use polytree_protocol::{
    PROTOCOL_VERSION,
    daemon::{LogLevel, PathGetResult, ServerInfoResult, ServerInitializeResult, ServerName, ServerStopResult},
    gc::ServerGcResult,
    methods::{LogWrite, METHODS, PathGet, RpcDiscover, ServerGc, ServerInfo, ServerInitialize, ServerStop},
};
use serde_json::Value;

use super::select;
use crate::{
    project::directory,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    stdx::{paths, tasks::Tasks, version::version},
};

impl Handler for ServerInitialize {
    async fn handle(context: Context, params: Self::Params) -> Result<ServerInitializeResult, Error> {
        if let Some(version) = params.protocol_version
            && version != PROTOCOL_VERSION
        {
            return Err(Error::unsupported_version(version));
        }
        if let Some(given) = &params.directory {
            context.connection.set_default_directory(directory::resolved(given).await?);
        }
        if let Some(client) = params.client_info.clone() {
            tracing::info!(name = %client.name, version = ?client.version, "client");
            context.connection.set_client(client);
        }
        if let Some(capabilities) = params.capabilities {
            context.connection.set_capabilities(capabilities);
        }
        let directory = context.connection.default_directory();
        let project = match &directory {
            Some(_) => {
                let instance = select::instance(&context, &params).await?;
                Some(context.daemon.projects.describe(&instance).await?)
            }
            None => None,
        };
        Ok(ServerInitializeResult {
            server_info: ServerName { name: "polytree".into(), version: version().into() },
            protocol_version: PROTOCOL_VERSION,
            connection_id: context.connection.id(),
            directory: directory.map(|directory| directory.to_string()),
            project,
            cursor: context.daemon.events.newest(),
            methods: METHODS.iter().map(|method| method.name.to_owned()).collect(),
        })
    }
}

impl Handler for ServerInfo {
    async fn handle(context: Context, _: Self::Params) -> Result<ServerInfoResult, Error> {
        let daemon = &context.daemon;
        Ok(ServerInfoResult {
            version: version().into(),
            protocol_version: PROTOCOL_VERSION,
            pid: std::process::id(),
            started: daemon.started,
            data_directory: daemon.places.data.to_string(),
            listen: daemon
                .socket()
                .iter()
                .map(ToString::to_string)
                .chain(daemon.listeners.list().into_iter().map(|listener| listener.address))
                .collect(),
        })
    }
}

impl Handler for RpcDiscover {
    async fn handle(_: Context, _: Self::Params) -> Result<Value, Error> {
        // Made once: it is always the same.
        static DOCUMENT: OnceLock<Value> = OnceLock::new();
        let made = Tasks::spawn_blocking(|| DOCUMENT.get_or_init(polytree_protocol::generate::openrpc).clone());
        made.await.map_err(Error::internal)
    }
}

impl Handler for ServerStop {
    async fn handle(context: Context, params: Self::Params) -> Result<ServerStopResult, Error> {
        let mode = params.mode.unwrap_or_default();
        let running = context.daemon.life.stop(mode).ok_or_else(|| {
            Error::invalid_state("this daemon is part of another program and ends with it")
                .hint("end the input of the program that runs it, `polytree stdio --standalone` or a command with --standalone")
        })?;
        tracing::info!(?mode, running, connection = context.connection.id(), "told to stop");
        Ok(ServerStopResult { stopping: true, running })
    }
}

impl Handler for ServerGc {
    async fn handle(context: Context, params: Self::Params) -> Result<ServerGcResult, Error> {
        Ok(context.daemon.retention.collect(&context.connection.environment(), params.dry_run).await?)
    }
}

impl Handler for PathGet {
    async fn handle(context: Context, params: Self::Params) -> Result<PathGetResult, Error> {
        let instance = select::instance(&context, &params).await?;
        let places = &context.daemon.places;
        Ok(PathGetResult {
            home: paths::home().map(|home| home.to_string()).unwrap_or_default(),
            config: places.config.to_string(),
            data: places.data.to_string(),
            worktree: instance.worktree().to_string(),
            directory: instance.directory().to_string(),
        })
    }
}

impl Handler for LogWrite {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let connection = context.connection.id();
        let extra = params.extra.map(|extra| extra.to_string()).unwrap_or_default();
        // Line breaks would let a client forge lines of others.
        let (service, message) = (params.service.escape_debug().to_string(), params.message.escape_debug().to_string());
        match params.level {
            LogLevel::Debug => tracing::debug!(target: "client", connection, service, extra, "{message}"),
            LogLevel::Info => tracing::info!(target: "client", connection, service, extra, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "client", connection, service, extra, "{message}"),
            LogLevel::Error => tracing::error!(target: "client", connection, service, extra, "{message}"),
        }
        Ok(true)
    }
}

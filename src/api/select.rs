//! Which directory, project and session a request means: the rules of the contract, in one place.

use std::sync::Arc;

use polytree_protocol::{
    id::{ProjectId, SessionId},
    method::Selects,
    session::Session,
};

use crate::{
    project::{Instance, directory},
    rpc::{error::Error, handler::Context},
    stdx::{disk, paths::AbsPath},
};

/// The directory that a request means: its own, else the connection's.
pub(super) async fn directory(context: &Context, params: &impl Selects) -> Result<AbsPath, Error> {
    match params.directory() {
        Some(given) => Ok(directory::resolved(given).await?),
        None => context.connection.default_directory().ok_or_else(Error::directory_required),
    }
}

/// The open directory that a request means, whose project must be the one it names. Nothing is written to it.
pub(super) async fn instance(context: &Context, params: &impl Selects) -> Result<Arc<Instance>, Error> {
    let directory = directory(context, params).await?;
    let instance = context.daemon.projects.look(&directory).await?;
    belongs(&instance.project.id, params.project_id(), "directory")?;
    Ok(instance)
}

/// The open directory that a request means: that of the session it names, else as [`instance`] tells.
pub(super) async fn instance_or_session(context: &Context, params: &impl Selects, id: Option<&SessionId>) -> Result<Arc<Instance>, Error> {
    let Some(id) = id else { return instance(context, params).await };
    let session = session(context, params, id).await?;
    Ok(context.daemon.projects.look(&directory::resolved(&session.directory).await?).await?)
}

/// Like [`instance`], for a request that begins something there: the project's id is written into the repository.
pub(super) async fn claimed(context: &Context, params: &impl Selects) -> Result<Arc<Instance>, Error> {
    let directory = directory(context, params).await?;
    let instance = context.daemon.projects.look(&directory).await?;
    belongs(&instance.project.id, params.project_id(), "directory")?;
    Ok(context.daemon.projects.claim(&directory).await?)
}

/// The session that a request means. A `directory` or `projectID` beside it must be of the same project.
pub(super) async fn session(context: &Context, params: &impl Selects, id: &SessionId) -> Result<Session, Error> {
    let session = context.daemon.sessions.get(id).await?;
    belongs(&session.project_id, params.project_id(), "session")?;
    if let Some(given) = params.directory() {
        let directory = directory::resolved(given).await?;
        let other = context.daemon.projects.look(&directory).await?;
        if other.project.id != session.project_id {
            return Err(Error::not_found("session in this directory's project", id));
        }
    }
    Ok(session)
}

/// The directory of the session that a request means, where it names one, else the directory itself: for what only looks.
pub(super) async fn place(context: &Context, params: &impl Selects, id: Option<&SessionId>) -> Result<AbsPath, Error> {
    let Some(id) = id else { return Ok(instance(context, params).await?.directory().clone()) };
    let session = session(context, params, id).await?;
    // A directory that has gone since says so as any other does.
    Ok(directory::resolved(&session.directory).await?)
}

/// The directory that narrows a method which otherwise means the whole daemon. It may be gone by now.
pub(super) async fn narrowing(params: &impl Selects) -> Result<Option<String>, Error> {
    let Some(given) = params.directory() else { return Ok(None) };
    let path =
        AbsPath::expand(given).ok_or_else(|| Error::invalid_params(format!("`directory` must be an absolute path, not {given:?}")))?;
    let real = disk::run(path.clone(), move || path.real_or_nearest()).await;
    Ok(Some(real.to_string()))
}

fn belongs(found: &ProjectId, wanted: Option<&ProjectId>, what: &str) -> Result<(), Error> {
    match wanted {
        Some(wanted) if wanted != found => Err(Error::not_found("project", wanted).hint(format!("the {what} belongs to project {found}"))),
        _ => Ok(()),
    }
}

/// A digest of what a client asked for, to recognise the same request again. The selectors do not count: they only say
/// where the thing is that was asked for.
pub(super) fn digest(params: &impl serde::Serialize) -> String {
    let mut value = serde_json::to_value(params).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("directory");
        fields.remove("projectID");
        fields.remove("sessionID");
    }
    blake3::hash(value.to_string().as_bytes()).to_hex().to_string()
}

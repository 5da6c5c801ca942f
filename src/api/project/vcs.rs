//! The handlers of `vcs.get` and `project.forget`.

use polytree_protocol::{
    methods::{ProjectForget, VcsGet},
    project::{VcsCheckout, VcsInfo},
    session::SessionScope,
};

use crate::{
    api::select,
    git::standing::{Standing, standing},
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    session::SessionQuery,
};

impl Handler for VcsGet {
    async fn handle(context: Context, params: Self::Params) -> Result<VcsInfo, Error> {
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        let Some(layout) = instance.location.git() else { return Ok(VcsInfo::default()) };
        let Standing { branch, head, upstream, distance, checkouts } = standing(instance.directory(), layout).await?;
        Ok(VcsInfo {
            branch,
            head,
            upstream,
            ahead: distance.map(|(ahead, _)| ahead),
            behind: distance.map(|(_, behind)| behind),
            worktrees: checkouts.into_iter().map(|(directory, branch)| VcsCheckout { directory, branch }).collect(),
        })
    }
}

impl Handler for ProjectForget {
    async fn handle(context: Context, params: Self::Params) -> Result<bool, Error> {
        let Some(id) = params.project_id else {
            return Err(Error::invalid_params("missing field `projectID`"));
        };
        let daemon = &context.daemon;
        daemon.projects.get(&id).await?;
        if params.sessions == Some(true) {
            loop {
                let query = SessionQuery {
                    project_id: Some(id.clone()),
                    directory: None,
                    scope: SessionScope::Project,
                    search: None,
                    roots: false,
                    archived: None,
                    text: None,
                    hidden: true,
                    limit: 100,
                    before: None,
                };
                let found = daemon.sessions.list(query).await?;
                if found.is_empty() {
                    break;
                }
                for session in found {
                    // It may be gone with its parent.
                    match daemon.sessions.delete(&session.id).await {
                        Ok(()) | Err(crate::session::Error::UnknownSession(_)) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        match daemon.projects.forget(&id).await? {
            true => Ok(true),
            false => Err(Error::conflict(format!("the project {id} has sessions"))
                .hint("delete them first, or send `sessions: true` to have them deleted too")),
        }
    }
}

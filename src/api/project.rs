//! The handlers of `project.*`.

mod vcs;

use polytree_protocol::{
    methods::{ProjectCurrent, ProjectInit, ProjectList, ProjectTrust, ProjectUpdate},
    project::Project,
};

use super::{select, session::is_below};
use crate::{
    project::directory,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
};

impl Handler for ProjectList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Project>, Error> {
        let narrowing = select::narrowing(&params).await?;
        let mut projects = context.daemon.projects.list().await?;
        projects.retain(|project| {
            params.project_id.as_ref().is_none_or(|wanted| *wanted == project.id) && is_below(&project.worktree, narrowing.as_deref())
        });
        Ok(projects)
    }
}

impl Handler for ProjectCurrent {
    async fn handle(context: Context, params: Self::Params) -> Result<Project, Error> {
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.describe(&instance).await?)
    }
}

impl Handler for ProjectInit {
    async fn handle(context: Context, params: Self::Params) -> Result<Project, Error> {
        if let Some(given) = &params.directory {
            let directory = directory::resolved_or_created(given).await?;
            if params.git == Some(true) {
                context.daemon.projects.init_git(&directory).await?;
            }
        } else if params.git == Some(true) {
            let instance = select::instance(&context, &params).await?;
            context.daemon.projects.init_git(instance.directory()).await?;
        }
        let instance = select::claimed(&context, &params).await?;
        Ok(context.daemon.projects.describe(&instance).await?)
    }
}

impl Handler for ProjectUpdate {
    async fn handle(context: Context, params: Self::Params) -> Result<Project, Error> {
        let instance = select::instance(&context, &params).await?;
        context.daemon.projects.rename(&instance, params.name).await?;
        Ok(context.daemon.projects.describe(&instance).await?)
    }
}

impl Handler for ProjectTrust {
    async fn handle(context: Context, params: Self::Params) -> Result<Project, Error> {
        let instance = select::instance(&context, &params).await?;
        if params.digest.is_some() && !params.trusted {
            return Err(Error::invalid_params("`digest` belongs to `trusted: true`"));
        }
        context.daemon.projects.trust(&instance, params.trusted, params.digest.clone()).await?;
        context.daemon.followers.poke();
        let instance = select::instance(&context, &params).await?;
        Ok(context.daemon.projects.describe(&instance).await?)
    }
}

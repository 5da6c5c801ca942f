//! Projects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, SessionId};

params! {
    /// Params of `project.list`.
    ProjectListParams {}
}

params! {
    /// Params of `project.current`.
    ProjectCurrentParams {}
}

params! {
    /// Params of `project.init`.
    ProjectInitParams {
        /// Initialise a git repository if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        git: Option<bool>,
    }
}

params! {
    /// Params of `project.update`.
    ProjectUpdateParams {
        /// The new name, kept as one line of at most 500 characters without control characters; empty takes it away.
        name: String,
    }
}

params! {
    /// Params of `project.trust`.
    ProjectTrustParams {
        /// Whether the project's own settings and agents may be used.
        trusted: bool,
        /// With `trusted: true`: `digest` of `config.sources`. If a file has changed since, the error is `conflict`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    }
}

params! {
    /// Params of `project.forget`, which needs the `projectID`.
    ProjectForgetParams {
        /// Delete its sessions too; otherwise a project with sessions is not forgotten.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sessions: Option<bool>,
    }
}

params! {
    /// Params of `vcs.get`.
    VcsGetParams {
        /// The session whose directory is meant.
        #[serde(default, rename = "sessionID", skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    }
}

/// Where a checkout stands. Outside of a repository everything is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct VcsInfo {
    /// The branch; absent where `HEAD` is detached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The short name of the branch that this one follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Commits that the upstream lacks; absent where it is gone, or counting takes too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// Commits of the upstream that this branch lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// The checkouts of the repository, the main one first; at most 1,000.
    pub worktrees: Vec<VcsCheckout>,
}

/// A checkout of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VcsCheckout {
    /// Its absolute path.
    pub directory: String,
    /// Its branch; absent where `HEAD` is detached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// A repository with all its worktrees, or a directory outside git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// The project's id; the same for all worktrees of one clone.
    pub id: ProjectId,
    /// The main checkout, as an absolute real path.
    pub worktree: String,
    /// The version control system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcs: Option<Vcs>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The directory is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
    /// The project's own settings may be used.
    pub trusted: bool,
    /// Files that wait for trust: new or changed since it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
    /// When.
    pub time: ProjectTime,
}

/// A version control system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Vcs {
    /// git.
    Git,
}

/// Times of a project, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectTime {
    /// First seen.
    pub created: i64,
    /// Last used.
    pub updated: i64,
    /// When its AGENTS.md was written by `session.init`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized: Option<i64>,
}

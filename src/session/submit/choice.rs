//! Which agent, model and variant a prompt uses, and choosing those of the next prompts.

use polytree_protocol::{
    agent::Agent,
    id::SessionId,
    permission::Rule,
    provider::ModelRef,
    sandbox::Mode,
    session::{Session, SessionChoice},
    usage::{DefaultSource, SessionContext, SessionDefaults, SessionDefaultsSource},
};

use crate::{
    permission::rules,
    session::{Error, ResolvedModel, Sessions, Workspace, sampling, title},
    stdx::paths::AbsPath,
    store::{Scope, SessionChange},
    tool::context::Environment,
};

/// The longest name of an agent, a provider, a model or a variant, in bytes.
const MAX_NAME: usize = 500;

/// A change of a session; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct SessionEdit {
    pub title: Option<String>,
    pub archived: Option<bool>,
    pub agent: Option<String>,
    pub model: Option<ModelRef>,
    /// Empty: the agent's again.
    pub variant: Option<String>,
    pub mode: Option<Mode>,
    pub permission: Option<Vec<Rule>>,
}

/// What a prompt uses.
pub(super) struct Chosen<'a> {
    pub agent: &'a Agent,
    pub agent_source: DefaultSource,
    pub model: ModelRef,
    pub model_source: DefaultSource,
    /// The variant that was chosen for the session.
    session_variant: Option<String>,
}

/// What a prompt of a session, or of a new one, uses. `agent` and `model` are those that it names.
pub(super) fn choose<'a>(
    workspace: &'a Workspace,
    session: Option<&Session>,
    agent: Option<&str>,
    model: Option<&ModelRef>,
) -> Result<Chosen<'a>, Error> {
    let of_session = session.and_then(|session| session.agent.as_deref());
    let agent_source = match (agent.or(of_session), &workspace.default_agent) {
        (Some(_), _) => DefaultSource::Session,
        (None, Some(_)) => DefaultSource::Settings,
        (None, None) => DefaultSource::Default,
    };
    let agent = workspace.agent(agent.or(of_session))?;
    let choice = session.and_then(|session| session.choice.as_ref());
    let asked = model.or(choice.and_then(|choice| choice.model.as_ref()));
    let last = session.and_then(|session| session.model.as_ref());
    let model_source = match (asked, &agent.model, last, workspace.models.configured()) {
        (Some(_), ..) => DefaultSource::Session,
        (None, Some(_), ..) => DefaultSource::Agent,
        (None, None, Some(_), _) => DefaultSource::Session,
        (None, None, None, Some(_)) => DefaultSource::Settings,
        (None, None, None, None) => DefaultSource::Default,
    };
    let model = workspace.models.choose(asked, agent.model.as_ref(), last)?;
    let session_variant = choice.and_then(|choice| choice.variant.clone());
    Ok(Chosen { agent, agent_source, model, model_source, session_variant })
}

impl Chosen<'_> {
    pub async fn resolve(&self, workspace: &Workspace) -> Result<ResolvedModel, Error> {
        workspace.models.prepare(&self.model).await;
        workspace.models.resolve(&self.model)
    }

    /// The variant; `asked` is the one that the prompt names.
    pub fn variant(&self, asked: Option<&str>, model: &ResolvedModel) -> Result<Option<String>, Error> {
        sampling::variant(asked, self.session_variant.as_deref(), self.agent, model)
    }
}

impl Sessions {
    /// Changes a session's title or mode, or what its next prompts use, or archives it. An agent, model or variant that
    /// cannot be used is refused.
    pub async fn update(&self, id: &SessionId, update: SessionEdit, environment: &Environment) -> Result<Session, Error> {
        let session = self.get(id).await?;
        let SessionEdit { title, archived, agent, model, variant, mode, permission } = update;
        if let Some(rules) = &permission {
            rules::check(rules).map_err(|message| Error::Params { field: "permission", message })?;
        }
        if mode.is_some() && session.parent_id.is_some() {
            return Err(Error::Params { field: "mode", message: "a child has the mode of its root; change it there".to_owned() });
        }
        let choice = if agent.is_some() || model.is_some() || variant.is_some() {
            short("agent", agent.as_deref())?;
            short("model", model.as_ref().map(|model| model.provider_id.as_str()))?;
            short("model", model.as_ref().map(|model| model.model_id.as_str()))?;
            short("variant", variant.as_deref())?;
            Some(self.checked(&session, agent.as_deref(), model, variant, environment).await?)
        } else {
            None
        };
        let missing = session.missing;
        let title = title.map(|title| title::given(&title));
        let change = SessionChange { title, archived, mode, agent, choice, permission, missing, ..SessionChange::default() };
        let changed = self.shared.store.change_session(Scope::of(&session), change).await?;
        changed.ok_or_else(|| Error::UnknownSession(id.clone()))
    }

    /// What was chosen for the next prompts, after a change of it.
    async fn checked(
        &self,
        session: &Session,
        agent: Option<&str>,
        model: Option<ModelRef>,
        variant: Option<String>,
        environment: &Environment,
    ) -> Result<SessionChoice, Error> {
        let workspace = self.workspace(session, environment).await?;
        let before = session.choice.clone().unwrap_or_default();
        // A new agent or model begins with its own variant.
        let is_new = agent.is_some() || model.is_some();
        let asked = variant.as_deref().filter(|variant| !variant.is_empty());
        let kept = if is_new || variant.is_some() { None } else { before.variant };
        let choice = SessionChoice {
            model: if agent.is_some() { model } else { model.or(before.model) },
            variant: asked.map(str::to_owned).or(kept),
        };
        let next = Session { choice: Some(choice.clone()), ..session.clone() };
        let chosen = choose(&workspace, Some(&next), agent, None)?;
        if choice.model.is_some() || asked.is_some() {
            let resolved = chosen.resolve(&workspace).await?;
            chosen.variant(asked, &resolved)?;
        }
        Ok(choice)
    }

    /// What the next prompt of a session uses, or the first one of a new session in the directory.
    pub async fn defaults(
        &self,
        session: Option<&Session>,
        directory: &AbsPath,
        environment: &Environment,
    ) -> Result<SessionDefaults, Error> {
        let workspace = self.shared.workspaces.open(directory, environment).await?;
        let chosen = choose(&workspace, session, None, None)?;
        let (variant, problem) = match chosen.resolve(&workspace).await {
            Ok(resolved) => match chosen.variant(None, &resolved) {
                Ok(variant) => (variant, None),
                Err(error) => (None, Some(error.to_string())),
            },
            Err(error) => (None, Some(error.to_string())),
        };
        let mode = match session {
            Some(session) => self.shared.store.root_mode(session.id.clone()).await?,
            None => None,
        };
        let of_session = variant.is_some() && variant == chosen.session_variant;
        Ok(SessionDefaults {
            agent: chosen.agent.name.clone(),
            source: SessionDefaultsSource {
                agent: chosen.agent_source,
                model: chosen.model_source,
                variant: variant.as_ref().map(|_| if of_session { DefaultSource::Session } else { DefaultSource::Agent }),
                mode: if mode.is_some() { DefaultSource::Session } else { DefaultSource::Settings },
            },
            model: chosen.model,
            variant,
            mode: mode.unwrap_or(workspace.mode),
            problem,
        })
    }

    /// How full the context of the session's model is.
    pub async fn context(&self, session: &Session, environment: &Environment) -> Result<SessionContext, Error> {
        let workspace = self.workspace(session, environment).await?;
        let chosen = choose(&workspace, Some(session), None, None)?;
        // Of a model that cannot be used nothing is known.
        let (limit, reserved) = match chosen.resolve(&workspace).await {
            Ok(model) => {
                let limit = model.info.limit.context;
                let longest = sampling::longest_answer(None, chosen.agent, &model);
                (limit, if limit == 0 { 0 } else { longest.min(limit) })
            }
            Err(_) => (0, 0),
        };
        let before = session.revert.as_ref().map(|revert| revert.message_id.clone());
        let used = self.shared.store.context_used(session.id.clone(), before).await?;
        Ok(SessionContext { used, limit, reserved, model: chosen.model })
    }

    async fn workspace(&self, session: &Session, environment: &Environment) -> Result<std::sync::Arc<Workspace>, Error> {
        let Some(directory) = AbsPath::new(&session.directory).filter(|_| !session.missing) else {
            return Err(Error::DirectoryGone(session.directory.clone()));
        };
        self.shared.workspaces.open(&directory, environment).await
    }
}

fn short(field: &'static str, name: Option<&str>) -> Result<(), Error> {
    match name {
        Some(name) if name.len() > MAX_NAME => {
            Err(Error::Params { field, message: format!("must have at most {MAX_NAME} bytes, not {}", name.len()) })
        }
        _ => Ok(()),
    }
}

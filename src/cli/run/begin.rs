//! The start of a run: finds or creates the session, prints notices about it, and stores the prompt.

use polytree_protocol::{
    event::EventSubscribeParams,
    id::MessageId,
    message::{Message, MessageWithParts, PromptState, UserMessage},
    method::Method as _,
    methods::{
        EventSubscribe, PermissionList, ProjectCurrent, ProjectTrust, ProviderList, SessionCreate, SessionDelete, SessionGet, SessionList,
        SessionMessages, SessionSubmit,
    },
    part::{Part, SubtaskPart},
    permission::{Permission, PermissionListParams},
    project::{ProjectCurrentParams, ProjectTrustParams},
    provider::{ModelRef, Provider, ProviderListParams},
    session::{
        AgentInput, FileInput, PartInput, Session, SessionCreateParams, SessionDeleteParams, SessionGetParams, SessionListParams,
        SessionMessagesParams, SessionScope, SessionSubmitParams, SubtaskInput, TextInput,
    },
};

use super::report::Report;
use crate::{
    cli::{
        args::RunArgs,
        client::{Daemon, Failure},
        render::{
            sanitize,
            style::{WARNING, paint},
            table,
        },
        screen::Screen,
    },
    stdx::{paths::AbsPath, text::ellipsis, time::now_ms},
};

/// A stored prompt.
pub(crate) struct SubmittedPrompt {
    /// Its session.
    pub session: Session,
    /// Questions that were open before.
    pub questions: Vec<Permission>,
    /// It is queued behind another turn.
    pub queued: bool,
    /// Attachments that some models do not support.
    pub media: Media,
}

/// The images and documents of a prompt, and the models.
#[derive(Debug, Default)]
pub(crate) struct Media {
    image: bool,
    document: bool,
    providers: Vec<Provider>,
}

impl Media {
    async fn of(parts: &[PartInput], daemon: &Daemon, directory: &str) -> Self {
        let has = |is: fn(&str) -> bool| parts.iter().any(|part| matches!(part, PartInput::File(file) if is(&file.mime)));
        let (image, document) = (has(|mime| mime.starts_with("image/")), has(|mime| mime == "application/pdf"));
        if !image && !document {
            return Self::default();
        }
        let params = ProviderListParams { directory: Some(directory.to_owned()), ..ProviderListParams::default() };
        // Without the list of models there is no notice.
        let providers = daemon.request::<ProviderList>(&params).await.map(|found| found.providers).unwrap_or_default();
        Self { image, document, providers }
    }

    /// A notice about attachments that the model does not support.
    pub fn left_out(&self, model: &ModelRef) -> Option<String> {
        let provider = self.providers.iter().find(|provider| provider.id == model.provider_id)?;
        let known = provider.models.get(&model.model_id)?;
        let what = match (self.image && !known.attachment, self.document && !known.documents) {
            (true, true) => "images and documents",
            (true, false) => "images",
            (false, true) => "documents",
            (false, false) => return None,
        };
        let model = sanitize::line(&model.to_string());
        Some(format!("{model} does not support {what}: such attachments are not sent"))
    }
}

/// Everything up to the stored prompt. Subscribes before the prompt, so that no event of its turn is missed.
pub(crate) async fn begin(
    args: &RunArgs,
    daemon: &Daemon,
    screen: &mut Screen,
    directory: &AbsPath,
    prompt: &MessageId,
    parts: Vec<PartInput>,
    report: &mut Report,
) -> Result<SubmittedPrompt, Failure> {
    let here = Some(directory.to_string());
    if args.trust {
        daemon
            .request::<ProjectTrust>(&ProjectTrustParams { trusted: true, directory: here.clone(), ..ProjectTrustParams::default() })
            .await?;
    }
    let is_new = args.session.is_none() && !args.resume;
    if args.again && is_new {
        return Err(Failure::Usage("--again needs a session: --continue, or --session ID".to_owned()));
    }
    let session = match &args.session {
        Some(id) => daemon.request::<SessionGet>(&SessionGetParams { session_id: id.clone(), ..SessionGetParams::default() }).await?,
        None if args.resume => latest(daemon, directory).await?,
        None => {
            let params = SessionCreateParams { title: args.title.clone(), directory: here, ..SessionCreateParams::default() };
            daemon.request::<SessionCreate>(&params).await?
        }
    };
    report.session = Some(session.id.clone());
    tell_what_waits_for_trust(daemon, screen, &session.directory).await;
    let mut submit = SessionSubmitParams {
        session_id: Some(session.id.clone()),
        parts,
        message_id: Some(prompt.clone()),
        model: args.model.clone(),
        agent: args.agent.clone(),
        variant: args.variant.clone(),
        mode: args.mode,
        ..SessionSubmitParams::default()
    };
    if args.again {
        cancelled(daemon, &session).await?.into_params(&mut submit);
    }
    let media = Media::of(&submit.parts, daemon, &session.directory).await;
    let events = EventSubscribeParams { session_id: Some(session.id.clone()), ..EventSubscribeParams::default() };
    daemon.peer.call(EventSubscribe::NAME, &events).await?;
    let questions = if is_new {
        Vec::new()
    } else {
        let params = PermissionListParams { session_id: Some(session.id.clone()), ..PermissionListParams::default() };
        daemon.request::<PermissionList>(&params).await?
    };
    match daemon.request::<SessionSubmit>(&submit).await {
        Ok(submitted) => {
            report.message = Some(submitted.message_id);
            Ok(SubmittedPrompt { session, questions, queued: submitted.queued, media })
        }
        Err(failure) => {
            // Remove the empty session if the prompt fails.
            if is_new {
                let params = SessionDeleteParams { session_id: session.id.clone(), ..SessionDeleteParams::default() };
                if daemon.request::<SessionDelete>(&params).await.is_ok() {
                    report.session = None;
                }
            }
            Err(failure)
        }
    }
}

/// The most recently used session of the directory.
async fn latest(daemon: &Daemon, directory: &AbsPath) -> Result<Session, Failure> {
    let last = async |scope| {
        let params = SessionListParams { scope: Some(scope), directory: Some(directory.to_string()), ..SessionListParams::default() };
        let sessions = daemon.request::<SessionList>(&params).await?;
        Ok::<_, Failure>(sessions.into_iter().find(|session| session.time.archived.is_none() && session.parent_id.is_none()))
    };
    if let Some(found) = last(SessionScope::Directory).await? {
        return Ok(found);
    }
    let hint = match last(SessionScope::Project).await? {
        None => "leave out --continue to begin one".to_owned(),
        Some(session) => format!(
            "the last session of this project is {:?}, {}, in {}\n  polytree run -s {} …",
            ellipsis(&sanitize::line(&session.title), 60),
            table::ago(session.time.updated, now_ms()),
            session.directory,
            session.id
        ),
    };
    Err(Failure::Failed("there is no session in this directory to go on with".to_owned(), Some(hint)))
}

/// A notice about the project's files that are not trusted yet.
async fn tell_what_waits_for_trust(daemon: &Daemon, screen: &mut Screen, directory: &str) {
    let params = ProjectCurrentParams { directory: Some(directory.to_owned()), ..ProjectCurrentParams::default() };
    // If the directory cannot be read, the prompt fails with the reason.
    let Ok(project) = daemon.request::<ProjectCurrent>(&params).await else { return };
    let files: Vec<String> = project.pending.iter().map(|file| sanitize::exact(file)).collect();
    let waiting = match files.as_slice() {
        [] => return,
        [one] => format!("{one} waits"),
        [one, two] => format!("{one} and {two} wait"),
        [one, more @ ..] => format!("{one} and {} other files wait", more.len()),
    };
    screen.status(&format!("{} for trust: polytree trust --list", paint(WARNING, &waiting)));
}

/// A prompt to send again.
struct Again {
    message: UserMessage,
    parts: Vec<Part>,
}

/// The last prompt of the session that was cancelled before its turn began.
async fn cancelled(daemon: &Daemon, session: &Session) -> Result<Again, Failure> {
    let params = SessionMessagesParams { session_id: session.id.clone(), ..SessionMessagesParams::default() };
    let messages = daemon.request::<SessionMessages>(&params).await?;
    let last = messages.into_iter().rev().find_map(|MessageWithParts { info, parts, .. }| match info {
        Message::User(message) if message.state == PromptState::Cancelled => Some(Again { message, parts }),
        _ => None,
    });
    last.ok_or_else(|| Failure::Failed("no prompt of this session was cancelled".to_owned(), None))
}

impl Again {
    /// The same prompt with the options of this run.
    fn into_params(self, params: &mut SessionSubmitParams) {
        let UserMessage { agent, model, variant, system, tools, options, format, mode, .. } = self.message;
        // A variant belongs to its model.
        if params.model.is_none() && params.variant.is_none() {
            params.variant = variant;
        }
        params.model.get_or_insert(model);
        params.agent.get_or_insert(agent);
        params.mode = params.mode.or(mode);
        (params.system, params.tools, params.options, params.format) = (system, tools, options, format);
        params.parts = self.parts.into_iter().filter_map(again).collect();
    }
}

fn again(part: Part) -> Option<PartInput> {
    match part {
        // The daemon adds its own parts again.
        Part::Text(part) if part.synthetic => None,
        Part::Text(part) => Some(PartInput::Text(TextInput { text: part.text, ..TextInput::default() })),
        Part::File(part) => Some(PartInput::File(FileInput {
            mime: part.mime,
            filename: part.filename,
            url: part.url,
            source: part.source,
            ..FileInput::default()
        })),
        Part::Agent(part) => Some(PartInput::Agent(AgentInput { name: part.name, source: part.source, ..AgentInput::default() })),
        Part::Subtask(SubtaskPart { prompt, description, agent, model, .. }) => {
            Some(PartInput::Subtask(SubtaskInput { id: None, prompt, description, agent, model }))
        }
        _ => None,
    }
}

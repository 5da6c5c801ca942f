//! Watches a turn until it has ended: shows events, answers questions, and handles interrupts.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use polytree_protocol::{
    events::{EventPayload, MessageInfo},
    id::PermissionId,
    message::Message,
    methods::{PermissionReply, QuestionReject, QuestionReply, SessionAbort},
    permission::{Permission, PermissionOutcome, PermissionReplyParams},
    question::{Question, QuestionOutcome, QuestionRejectParams, QuestionReplyParams},
    session::SessionAbortParams,
};
use serde_json::Value;

use super::{
    ask::{self, Answer, Questions, Typed},
    begin::{Media, Open},
    form::{self, Form},
};
use crate::{
    cli::{
        args::RunArgs,
        client::{Daemon, Failure},
        decode::{self, Decoder},
        input::Input,
        render::{
            follow::{Follow, Stage},
            sanitize,
            style::{BAD, FAINT, GOOD, WARNING, paint},
            view::View,
        },
        screen::Screen,
    },
    jsonrpc::peer::ErrorObject,
};

/// The timeout of the end of an aborted turn.
const ABORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who answers questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// `--yes`.
    Yes,
    /// The user at the terminal.
    Person,
    /// Questions cannot be answered.
    Nobody,
}

/// A call that is not awaited.
enum Called {
    Reply(Result<(), Failure>),
    Abort(Result<bool, Failure>),
}

/// Watches one turn.
pub struct Watch<'a> {
    pub daemon: Daemon,
    /// The prompt of the turn.
    pub follow: Follow,
    /// A permission was refused without a message for the model.
    pub refused: bool,
    /// The user has interrupted the turn.
    pub interrupted: bool,
    /// Attachments that the model may not support.
    pub(crate) media: Media,
    json: bool,
    who: Who,
    screen: &'a mut Screen,
    input: &'a mut Input,
    view: View,
    decoder: Decoder,
    questions: Questions,
    /// What models ask; shown when no permission is asked for.
    forms: VecDeque<Form>,
    calls: FuturesUnordered<BoxFuture<'static, Called>>,
    give_up: Option<tokio::time::Instant>,
    /// The number of answers when another client refused a permission: the turn goes on after a further answer.
    refused_elsewhere: Option<usize>,
    told_queued: bool,
    /// Questions that this command has answered.
    answered: HashSet<PermissionId>,
}

impl<'a> Watch<'a> {
    /// Watches the turn of a prompt.
    pub fn new(args: &RunArgs, daemon: Daemon, screen: &'a mut Screen, input: &'a mut Input, follow: Follow) -> Self {
        let who = match &input.typed {
            _ if args.yes => Who::Yes,
            Some(_) if screen.can_ask() => Who::Person,
            _ => Who::Nobody,
        };
        Self {
            daemon,
            view: View::new(follow.session.clone(), screen.width),
            follow,
            refused: false,
            interrupted: false,
            media: Media::default(),
            json: args.json,
            who,
            screen,
            input,
            decoder: Decoder::default(),
            questions: Questions::default(),
            forms: VecDeque::new(),
            calls: FuturesUnordered::new(),
            give_up: None,
            refused_elsewhere: None,
            told_queued: false,
            answered: HashSet::new(),
        }
    }

    /// Watches until the turn has ended. `open` are questions that were open before.
    ///
    /// # Errors
    /// If the daemon disconnects, the output cannot be written, or the user interrupts a second time.
    pub async fn until_the_end(&mut self, open: Open) -> Result<(), Failure> {
        for question in open.permissions {
            self.asked(question)?;
        }
        for question in open.questions {
            self.form(question)?;
        }
        while !matches!(self.follow.stage, Stage::Ended | Stage::Deleted) || !self.calls.is_empty() {
            let is_asking = self.questions.current().is_some() || !self.forms.is_empty();
            let typed = match (&mut self.input.typed, self.who) {
                (Some(typed), Who::Person) if is_asking => typed.line().left_future(),
                _ => std::future::pending().right_future(),
            };
            let give_up = self.give_up.map_or(std::future::pending().right_future(), |at| tokio::time::sleep_until(at).left_future());
            tokio::select! {
                () = self.input.interrupts.next() => self.interrupt()?,
                notification = self.daemon.notifications.recv() => {
                    let notification = notification.ok_or(Failure::Closed)?;
                    if let Some(event) = decode::event(notification)? {
                        self.event(event).await?;
                    }
                }
                line = typed => self.typed(line)?,
                Some(called) = self.calls.next(), if !self.calls.is_empty() => Self::called(called)?,
                () = give_up => {
                    self.say(&paint(WARNING, "the daemon has not ended the turn yet"))?;
                    return Err(Failure::Interrupted);
                }
            }
        }
        self.refused |= self.refused_elsewhere == Some(self.follow.steps());
        if !self.json {
            self.view.finish(self.screen)?;
        }
        Ok(())
    }

    async fn event(&mut self, event: Value) -> Result<(), Failure> {
        if self.json && !event["type"].as_str().is_some_and(|kind| kind.starts_with("server.")) {
            self.screen.text(&format!("{event}\n"))?;
        }
        let Some(event) = self.decoder.decode(event, &self.daemon).await? else { return Ok(()) };
        self.follow.note(&event);
        if self.follow.stage == Stage::Queued && !self.told_queued {
            self.told_queued = true;
            self.say(&paint(FAINT, "the session is busy: the prompt waits for its turn"))?;
        }
        if !self.json {
            self.view.show(&event, &self.follow, self.screen)?;
        }
        match event {
            EventPayload::MessageUpdated(MessageInfo { info: Message::User(message) }) if message.id == self.follow.prompt => {
                if let Some(left_out) = std::mem::take(&mut self.media).left_out(&message.model) {
                    self.say(&format!("{} {left_out}", paint(WARNING, "warning:")))?;
                }
            }
            EventPayload::PermissionAsked(question) => self.asked(question)?,
            EventPayload::PermissionReplied(replied) => {
                let current = self.questions.current().map(ask::short);
                if replied.response == PermissionOutcome::Reject && !self.answered.contains(&replied.permission_id) {
                    self.refused_elsewhere = Some(self.follow.steps());
                }
                if self.questions.withdraw(&replied.permission_id) {
                    self.screen.end_error_line();
                    let outcome = match replied.response {
                        PermissionOutcome::Once | PermissionOutcome::Always => "allowed elsewhere",
                        PermissionOutcome::Reject => "refused elsewhere",
                        PermissionOutcome::Aborted | PermissionOutcome::Expired => "not needed any more",
                    };
                    self.say(&paint(FAINT, &format!("{outcome}: {}", current.unwrap_or_default())))?;
                    self.present()?;
                }
            }
            EventPayload::QuestionAsked(question) => self.form(question)?,
            EventPayload::QuestionReplied(replied) => {
                let is_shown =
                    self.questions.current().is_none() && self.forms.front().is_some_and(|form| form.question.id == replied.question_id);
                self.forms.retain(|form| form.question.id != replied.question_id);
                if is_shown {
                    self.screen.end_error_line();
                    let outcome = match replied.outcome {
                        QuestionOutcome::Answered => "answered elsewhere",
                        QuestionOutcome::Rejected => "rejected elsewhere",
                        QuestionOutcome::Aborted | QuestionOutcome::Expired => "not needed any more",
                    };
                    self.say(&paint(FAINT, outcome))?;
                    self.present()?;
                }
            }
            _ => {}
        }
        // Print the question again after other output.
        if self.who == Who::Person && !self.screen.is_asking() {
            match (self.questions.current(), self.forms.front()) {
                (Some(question), _) => self.screen.status_piece(&ask::choices(question)),
                (None, Some(form)) => self.screen.status_piece(&form.choices()),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// A model asks.
    fn form(&mut self, question: Question) -> Result<(), Failure> {
        if self.interrupted || self.forms.iter().any(|form| form.question.id == question.id) {
            return Ok(());
        }
        if self.who != Who::Person {
            let headers: Vec<String> = question.questions.iter().map(|item| sanitize::line(&item.header)).collect();
            let hint = paint(FAINT, "hint: there is no person to ask; the model is told so");
            self.say(&format!("{} question: {}\n{hint}", paint(WARNING, "not answered:"), headers.join(", ")))?;
            self.reject(question, Some(form::NOBODY.to_owned()));
            return Ok(());
        }
        self.forms.push_back(Form::new(question));
        if self.forms.len() == 1 && self.questions.current().is_none() {
            self.present()?;
        }
        Ok(())
    }

    /// There is nobody any more who could answer.
    fn reject_all(&mut self) -> Result<(), Failure> {
        while let Some(form) = self.forms.pop_front() {
            self.form(form.question)?;
        }
        Ok(())
    }

    fn form_typed(&mut self, line: &str) -> Result<(), Failure> {
        let Some(form) = self.forms.front_mut() else { return Ok(()) };
        match form.typed(line) {
            form::Typed::Next => {}
            form::Typed::Unclear(reason) => {
                let text = format!("  {reason}");
                let choices = form.choices();
                self.screen.status(&text);
                self.screen.status_piece(&choices);
                return Ok(());
            }
            form::Typed::Rejected => {
                if let Some(form) = self.forms.pop_front() {
                    self.reject(form.question, None);
                }
            }
            form::Typed::Done(answers) => {
                if let Some(form) = self.forms.pop_front() {
                    let Question { id, session_id, .. } = form.question;
                    let params = QuestionReplyParams { session_id, question_id: id, answers, ..QuestionReplyParams::default() };
                    let peer = self.daemon.peer.clone();
                    let call = async move { Called::Reply(peer.request::<QuestionReply>(&params).await.map(drop).map_err(Failure::from)) };
                    self.calls.push(call.boxed());
                }
            }
        }
        self.present()
    }

    fn reject(&mut self, question: Question, message: Option<String>) {
        let Question { id, session_id, .. } = question;
        let params = QuestionRejectParams { session_id, question_id: id, message, ..QuestionRejectParams::default() };
        let peer = self.daemon.peer.clone();
        let call = async move { Called::Reply(peer.request::<QuestionReject>(&params).await.map(drop).map_err(Failure::from)) };
        self.calls.push(call.boxed());
    }

    fn asked(&mut self, question: Permission) -> Result<(), Failure> {
        if self.interrupted {
            // It is withdrawn with its turn.
            return Ok(());
        }
        match self.who {
            Who::Yes | Who::Nobody if ask::is_plan(&question) => {
                self.say(&paint(FAINT, "the plan is not carried out: only a person at a terminal can approve it"))?;
                self.answer(question, Answer::Reject(Some(ask::ONLY_THE_PLAN.to_owned())));
            }
            Who::Yes if ask::may_be_denied(&question) => {
                let hint = paint(FAINT, "hint: it is not known what this runs, and --yes does not allow what a rule might deny");
                self.say(&format!("{} {}\n{hint}", paint(BAD, "refused:"), ask::short(&question)))?;
                self.answer(question, Answer::Reject(Some(ask::NOT_BY_YES.to_owned())));
            }
            Who::Yes => {
                self.say(&format!("{} {}", paint(GOOD, "allowed:"), ask::short(&question)))?;
                self.answer(question, Answer::Once);
            }
            Who::Nobody => {
                let rule = ask::rule(&question).map(|rule| format!(", or this in your settings:\n  {rule}")).unwrap_or_default();
                let hint = paint(FAINT, &format!("hint: there is no terminal to ask; to allow it, use --yes{rule}"));
                self.say(&format!("{} {}\n{hint}", paint(BAD, "refused:"), ask::short(&question)))?;
                self.answer(question, Answer::Reject(None));
            }
            Who::Person => {
                if self.questions.add(question) {
                    self.present()?;
                }
            }
        }
        Ok(())
    }

    /// Shows the next question.
    fn present(&mut self) -> Result<(), Failure> {
        let (text, choices) = match (self.questions.current(), self.forms.front()) {
            (Some(question), _) => (ask::question(question, self.view.child(&question.session_id)), ask::choices(question)),
            (None, Some(form)) => (form.text(self.view.child(&form.question.session_id)), form.choices()),
            (None, None) => return Ok(()),
        };
        // With --json, too: the user is at the terminal, the events are written elsewhere.
        self.view.status(&text, self.screen)?;
        self.screen.status_piece(&choices);
        Ok(())
    }

    fn typed(&mut self, line: Option<String>) -> Result<(), Failure> {
        self.screen.line_was_typed();
        let Some(question) = self.questions.current() else {
            let Some(line) = line else {
                self.who = Who::Nobody;
                self.screen.blank();
                return self.reject_all();
            };
            return self.form_typed(&line);
        };
        let typed = if let Some(line) = line {
            ask::parse(&line, question)
        } else {
            // The terminal is closed, or the user has ended the input.
            self.who = Who::Nobody;
            self.screen.blank();
            Typed::Answer(Answer::Reject(None))
        };
        let answer = match typed {
            Typed::Answer(answer) => answer,
            Typed::View | Typed::Unclear => {
                let child = self.view.child(&question.session_id);
                let text = if typed == Typed::View { ask::whole(question, child) } else { ask::help(question) };
                self.screen.status(&text);
                self.screen.status_piece(&ask::choices(question));
                return Ok(());
            }
        };
        if let Some(question) = self.questions.take() {
            self.answer(question, answer);
        }
        if self.who == Who::Nobody {
            while let Some(question) = self.questions.take() {
                self.asked(question)?;
            }
            self.reject_all()?;
        }
        self.present()
    }

    fn answer(&mut self, question: Permission, answer: Answer) {
        self.refused |= answer == Answer::Reject(None);
        self.answered.insert(question.id.clone());
        let response = answer.response();
        let message = match answer {
            Answer::Reject(message) => message,
            Answer::Once | Answer::Always => None,
        };
        let params = PermissionReplyParams {
            session_id: question.session_id,
            permission_id: question.id,
            response,
            message,
            ..PermissionReplyParams::default()
        };
        let peer = self.daemon.peer.clone();
        let call = async move { Called::Reply(peer.request::<PermissionReply>(&params).await.map(drop).map_err(Failure::from)) };
        self.calls.push(call.boxed());
    }

    fn called(called: Called) -> Result<(), Failure> {
        match called {
            // Another client has answered it.
            Called::Reply(Ok(()) | Err(Failure::Refused(ErrorObject { code: 1001 | 1003, .. }))) | Called::Abort(Ok(_)) => Ok(()),
            Called::Reply(Err(failure)) | Called::Abort(Err(failure)) => Err(failure),
        }
    }

    /// Handles an interrupt: the first one aborts the turn, the second one does not wait for its end.
    ///
    /// # Errors
    /// [`Failure::Interrupted`] if there is nothing to wait for.
    pub fn interrupt(&mut self) -> Result<(), Failure> {
        if self.interrupted {
            return Err(Failure::Interrupted);
        }
        self.interrupted = true;
        self.questions = Questions::default();
        self.forms.clear();
        self.screen.end_error_line();
        if self.follow.stage == Stage::Queued {
            // Aborting would end the turn of another prompt.
            let session = &self.follow.session;
            self.say(&format!("the prompt stays in the queue\nto see its result: polytree sessions show {session}"))?;
            return Err(Failure::Interrupted);
        }
        self.say(&paint(FAINT, "aborting (Ctrl-C again to exit at once)"))?;
        self.give_up = Some(tokio::time::Instant::now() + ABORT_TIMEOUT);
        let params = SessionAbortParams { session_id: self.follow.session.clone(), ..SessionAbortParams::default() };
        let peer = self.daemon.peer.clone();
        let call = async move { Called::Abort(peer.request::<SessionAbort>(&params).await.map_err(Failure::from)) };
        self.calls.push(call.boxed());
        Ok(())
    }

    /// A line for the user; programs that read `--json` use the events.
    fn say(&mut self, line: &str) -> Result<(), Failure> {
        if !self.json {
            self.view.status(line, self.screen)?;
        }
        Ok(())
    }
}

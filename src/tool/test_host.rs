//! A session for tests: it records what is asked and answers as told; and a place on disk with a worktree in it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use polytree_protocol::{
    id::{MessageId, SessionId},
    permission::Rule,
    question::QuestionItem,
    todo::Todo,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    builtin,
    context::{Ask, Host, ToolContext},
    default_rules,
    definition::{AnyTool, ToolError, ToolOutput},
    file_times::FileTimes,
};
use crate::{
    permission::rules::{Origin, Rules},
    stdx::paths::{self, AbsPath},
};

/// What the test host answers to a kind of question.
#[derive(Clone)]
pub enum Answer {
    /// A rule forbids it.
    Deny,
    /// The user says no.
    Reject,
    /// The user says yes, after this has happened.
    After(Arc<dyn Fn() + Send + Sync>),
    /// A rule forbids it where a pattern contains the text.
    DenyContaining(&'static str),
}

/// Records and answers; allows what no answer was set for.
#[derive(Default)]
pub struct TestHost {
    asks: Mutex<Vec<Ask>>,
    answers: Mutex<HashMap<&'static str, Answer>>,
    answered: AtomicBool,
    edited: Mutex<Vec<AbsPath>>,
    todos: Mutex<Vec<Todo>>,
    rules: Mutex<Vec<(Origin, Rule)>>,
    questions: Mutex<Option<Result<Vec<Vec<String>>, ToolError>>>,
}

impl TestHost {
    /// What was asked, in order.
    pub fn asks(&self) -> Vec<Ask> {
        self.asks.lock().unwrap().clone()
    }

    /// The kinds that were asked for, in order.
    pub fn kinds(&self) -> Vec<String> {
        self.asks().into_iter().map(|ask| ask.kind.into_owned()).collect()
    }

    /// Forgets what was asked.
    pub fn clear(&self) {
        self.asks.lock().unwrap().clear();
    }

    /// Answers questions of the kind so from now on.
    pub fn answer(&self, kind: &'static str, answer: Answer) {
        self.answers.lock().unwrap().insert(kind, answer);
    }

    /// Adds rules to those that hold before any settings. They decide nothing by themselves here.
    pub fn add_rules(&self, origin: Origin, rules: &[Rule]) {
        self.rules.lock().unwrap().extend(rules.iter().map(|rule| (origin, rule.clone())));
    }

    /// What the user answers to the model's questions.
    pub fn answer_questions(&self, answers: Result<Vec<Vec<String>>, ToolError>) {
        *self.questions.lock().unwrap() = Some(answers);
    }

    /// The files that were reported as edited.
    pub fn edited(&self) -> Vec<AbsPath> {
        self.edited.lock().unwrap().clone()
    }
}

#[async_trait]
impl Host for TestHost {
    async fn ask(&self, _: &ToolContext, ask: Ask) -> Result<(), ToolError> {
        let answer = self.answers.lock().unwrap().get(&*ask.kind).cloned();
        let patterns = ask.patterns.clone();
        self.asks.lock().unwrap().push(ask);
        // Waiting for a user lets others run.
        tokio::task::yield_now().await;
        let forbidden = match answer {
            Some(Answer::Reject) => return Err(ToolError::Rejected { message: None }),
            Some(Answer::Deny) => true,
            Some(Answer::DenyContaining(text)) => patterns.iter().any(|pattern| pattern.contains(text)),
            Some(Answer::After(event)) => {
                event();
                self.answered.store(true, Ordering::Relaxed);
                false
            }
            None => false,
        };
        if forbidden { Err(ToolError::Denied("a rule forbids it".to_owned())) } else { Ok(()) }
    }

    fn rules(&self) -> Rules {
        self.rules.lock().unwrap().iter().fold(shipped_rules(), |rules, (origin, rule)| rules.with(*origin, std::slice::from_ref(rule)))
    }

    fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    async fn file_edited(&self, _: &ToolContext, path: &AbsPath) {
        self.edited.lock().unwrap().push(path.clone());
    }

    async fn question(&self, _: &ToolContext, questions: Vec<QuestionItem>) -> Result<Vec<Vec<String>>, ToolError> {
        self.questions.lock().unwrap().clone().unwrap_or_else(|| Ok(vec![Vec::new(); questions.len()]))
    }

    async fn todos(&self) -> Result<Vec<Todo>, ToolError> {
        Ok(self.todos.lock().unwrap().clone())
    }

    async fn set_todos(&self, todos: Vec<Todo>) -> Result<(), ToolError> {
        *self.todos.lock().unwrap() = todos;
        Ok(())
    }
}

/// A temporary directory with a worktree, a place outside of it, and a context for calls.
pub struct Place {
    _keep: tempfile::TempDir,
    pub worktree: AbsPath,
    pub outside: AbsPath,
    pub host: Arc<TestHost>,
    pub context: ToolContext,
}

impl Place {
    /// A fresh one; the worktree is an empty git checkout by its looks.
    pub fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = AbsPath::new(keep.path()).unwrap().real().unwrap();
        let (worktree, outside, output_directory) = (root.join("worktree"), root.join("outside"), root.join("kept"));
        for directory in [&worktree, &outside, &output_directory] {
            fs::create_dir(directory).unwrap();
        }
        let host = Arc::new(TestHost::default());
        let context = ToolContext {
            session_id: SessionId::from_ulid(ulid::Ulid::generate()),
            message_id: MessageId::from_ulid(ulid::Ulid::generate()),
            call_id: "call_1".to_owned(),
            agent: "build".to_owned(),
            directory: worktree.clone(),
            worktree: worktree.clone(),
            output_directory,
            unfinished: root.join("unfinished"),
            device: paths::device(&worktree),
            output_limits: super::context::OutputLimits::default(),
            cancel: CancellationToken::new(),
            environment: Arc::new(BTreeMap::new()),
            guard: Arc::default(),
            file_times: Arc::new(FileTimes::default()),
            overlay: Arc::default(),
            buffers: crate::overlay::Policy::default(),
            recent: Arc::default(),
            sandbox: None,
            processes: None,
            host: host.clone(),
        };
        Self { _keep: keep, worktree, outside, host, context }
    }

    /// Writes a file in the worktree, with its parents.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.worktree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Reads a file of the worktree.
    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.worktree.join(path)).unwrap()
    }

    /// Calls the tool as a model would.
    pub async fn call(&self, tool: &Arc<dyn AnyTool>, input: Value) -> Result<ToolOutput, ToolError> {
        tool.call(&self.context, input).await
    }

    /// The text with this place's paths replaced by words.
    pub fn neutral(&self, text: &str) -> String {
        text.replace(self.worktree.as_path().to_str().unwrap(), "TREE").replace(self.outside.as_path().to_str().unwrap(), "OUT")
    }
}

/// The rules that hold before any settings.
pub fn shipped_rules() -> Rules {
    Rules::new(None).with(Origin::BuiltIn, &default_rules(&builtin()))
}

/// What a call of a built-in tool is about, in a session of the directory.
pub fn subject(name: &str, input: &Value, directory: &str) -> Option<String> {
    builtin().iter().find(|tool| tool.name() == name)?.subject(input, &AbsPath::new(directory)?)
}

//! Turns the input of a prompt into parts: text as it is; files are read at once, so that the model sees what the user saw.
//! Nothing is stored when one of them cannot be read. Attaching a file permits reading it.

use std::{future::Future, io::Read as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::Engine as _;
use polytree_protocol::{
    agent::AgentMode,
    id::{MessageId, PartId, SessionId},
    part::{AgentPart, FilePart, Part, SubtaskPart, TextPart},
    session::{FileInput, PartInput, SubtaskInput},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Error, Workspace, ids::part_id, shared::Shared, turn::NOT_SENT};
use crate::{
    file::{
        image::{self, ImageError},
        open,
    },
    overlay::diagnostics,
    stdx::{paths::AbsPath, tasks::Tasks},
    tool::{
        context::{Ask, Host, ToolContext},
        definition::{Tool as _, ToolError},
        read::Read,
    },
};

const MAX_ATTACHMENT_BYTES: u64 = 20 * 1024 * 1024;
/// All parts of a prompt together: a message must fit into one reply of any door.
const MAX_PROMPT_BYTES: u64 = 28 * 1024 * 1024;
/// More attachments than this were selected by accident.
const MAX_ATTACHMENTS: u64 = 1000;
const READ_TIMEOUT: Duration = Duration::from_secs(30);

struct Expander<'a> {
    workspace: &'a Workspace,
    context: ToolContext,
    parts: Vec<Part>,
    bytes: u64,
    files: u64,
}

/// The parts to store, in the order of the input.
pub(super) async fn expand(
    shared: &Arc<Shared>,
    workspace: &Workspace,
    session: &SessionId,
    message: &MessageId,
    inputs: Vec<PartInput>,
) -> Result<Vec<Part>, Error> {
    // Dropping the call stops reading.
    let cancel = CancellationToken::new();
    let _stop = cancel.clone().drop_guard();
    let context = workspace.tool_context(session, message, shared.file_times(session), cancel, Arc::new(Attaching));
    let mut expander = Expander { workspace, context, parts: Vec::new(), bytes: 0, files: 0 };
    for input in inputs {
        match input {
            PartInput::Text(input) => expander.text(input.id, input.text, input.synthetic)?,
            PartInput::Agent(input) => {
                let is_startable = workspace.agent(Some(&input.name))?.mode != AgentMode::Primary;
                let name = input.name.clone();
                expander.push_agent(input.id, input.name, input.source);
                let how = if is_startable { " Start it with the tool `task`, and give it what it must know." } else { "" };
                let text = format!("The user mentions the agent {name:?}: what stands above is meant for it.{how}");
                expander.text(None, text, true)?;
            }
            PartInput::File(input) => expander.file(input).await?,
            PartInput::Subtask(input) => expander.subtask(input)?,
        }
    }
    // Without anything new many services refuse the request.
    if expander.parts.iter().all(|part| matches!(part, Part::Text(text) if text.text.trim().is_empty())) {
        return Err(Error::Params { field: "parts", message: "the prompt is empty; write a text or attach something".to_owned() });
    }
    Ok(expander.parts)
}

impl Expander<'_> {
    /// Counts bytes that will be stored.
    fn count(&mut self, text: &str) -> Result<(), Error> {
        self.bytes += text.len() as u64;
        if self.bytes > MAX_PROMPT_BYTES {
            return Err(Error::TooLarge { what: "the parts of the prompt are too long together".into(), limit: MAX_PROMPT_BYTES });
        }
        Ok(())
    }

    fn text(&mut self, id: Option<PartId>, text: String, synthetic: bool) -> Result<(), Error> {
        self.count(&text)?;
        let (session_id, message_id) = (self.context.session_id.clone(), self.context.message_id.clone());
        self.parts.push(Part::Text(TextPart {
            id: id.unwrap_or_else(part_id),
            session_id,
            message_id,
            text,
            synthetic,
            time: None,
            metadata: None,
        }));
        Ok(())
    }

    fn subtask(&mut self, input: SubtaskInput) -> Result<(), Error> {
        let SubtaskInput { id, prompt, description, agent, model } = input;
        let known = self.workspace.agent(Some(&agent))?;
        if known.mode == AgentMode::Primary {
            return Err(Error::Input(format!(
                "the agent {agent:?} cannot work for another one: its `mode` is `primary`, not `subagent` or `all`"
            )));
        }
        if prompt.trim().is_empty() {
            return Err(Error::Input("the `prompt` of a subtask is empty; say what the agent shall do".into()));
        }
        self.count(&prompt)?;
        let (session_id, message_id) = (self.context.session_id.clone(), self.context.message_id.clone());
        let id = id.unwrap_or_else(part_id);
        self.parts.push(Part::Subtask(SubtaskPart { id, session_id, message_id, prompt, description, agent, model }));
        Ok(())
    }

    fn push_agent(&mut self, id: Option<PartId>, name: String, source: Option<Value>) {
        let (session_id, message_id) = (self.context.session_id.clone(), self.context.message_id.clone());
        self.parts.push(Part::Agent(AgentPart { id: id.unwrap_or_else(part_id), session_id, message_id, name, source }));
    }

    /// An image gets its real type. One that services refuse is stored, and a text beside it says that it is not sent: in
    /// the history it would make every later request fail.
    fn push_media(&mut self, mut input: FileInput, mut url: String, bytes: &[u8]) -> Result<(), Error> {
        let declared = input.mime.to_ascii_lowercase();
        let is_image = matches!(declared.as_str(), "image/png" | "image/jpeg" | "image/jpg" | "image/gif" | "image/webp")
            || declared.starts_with("image/") && image::check(bytes) != Err(ImageError::Unknown);
        let unfit = match image::check(bytes) {
            _ if !is_image => None,
            Ok(mime) => {
                if mime != input.mime {
                    mime.clone_into(&mut input.mime);
                    url = data_url(mime, bytes);
                }
                None
            }
            Err(unfit) => Some(unfit),
        };
        let name = input.filename.clone().unwrap_or_else(|| "attached".to_owned());
        let id = input.id.get_or_insert_with(part_id).clone();
        self.push_file(input, url)?;
        if let Some(unfit) = unfit {
            self.text(None, format!("The image {name:?} is not sent to the model: {unfit}."), true)?;
            if let Some(Part::Text(text)) = self.parts.last_mut() {
                text.metadata = Some(json!({ NOT_SENT: id }));
            }
        }
        Ok(())
    }

    fn push_file(&mut self, input: FileInput, url: String) -> Result<(), Error> {
        self.count(&url)?;
        let (session_id, message_id) = (self.context.session_id.clone(), self.context.message_id.clone());
        let id = input.id.unwrap_or_else(part_id);
        self.parts.push(Part::File(FilePart {
            id,
            session_id,
            message_id,
            mime: input.mime,
            filename: input.filename,
            url,
            source: input.source,
        }));
        Ok(())
    }

    async fn file(&mut self, input: FileInput) -> Result<(), Error> {
        self.files += 1;
        if self.files > MAX_ATTACHMENTS {
            return Err(Error::TooLarge { what: "too many files are attached".into(), limit: MAX_ATTACHMENTS });
        }
        if let Some(rest) = input.url.strip_prefix("data:") {
            let rest = rest.to_owned();
            return self.data(&rest, input);
        }
        let Some(rest) = input.url.strip_prefix("file://") else {
            if input.url.contains("://") {
                // Stored for clients; nothing is fetched.
                let url = input.url.clone();
                return self.push_file(input, url);
            }
            return Err(Error::Input(format!("{:?} is not an address; expected file:///absolute/path or data:", input.url)));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = percent_decode(path);
        let path = AbsPath::new(&path).ok_or_else(|| Error::Input(format!("{:?} is not an absolute path", input.url)))?;
        if input.mime.starts_with("text/") || input.mime == "application/x-directory" {
            let mut arguments = json!({ "filePath": path.to_string() });
            add_range(&mut arguments, query)?;
            let read = self
                .workspace
                .tools
                .iter()
                .find(|tool| tool.name() == Read::NAME)
                .ok_or_else(|| Error::Input("this daemon has no read tool".into()))?;
            let output = in_time(&path, read.call(&self.context, arguments.clone())).await?;
            let output = output.map_err(|error| Error::Input(format!("{path}: {error}")))?;
            self.text(None, format!("Called the read tool with {arguments}"), true)?;
            self.text(None, output.output, true)?;
            let real = path.real_or_nearest();
            if let Some(Ok(items)) = self.context.overlay.diagnostics(&real).filter(|_| !self.context.buffers.diagnostics.is_zero())
                && !items.is_empty()
            {
                let text = self.context.guard.secrets.redact(&diagnostics::shown(&items)).into_owned();
                self.text(None, format!("The editor's language servers say of {path}:\n{text}"), true)?;
            }
            let url = input.url.clone();
            return self.push_file(input, url);
        }
        let room = MAX_ATTACHMENT_BYTES.min((MAX_PROMPT_BYTES - self.bytes) / 4 * 3);
        let bytes = match self.announced(&path).await? {
            Some(text) if text.len() as u64 > room => {
                return Err(Error::TooLarge { what: format!("{path} has more bytes than may be attached"), limit: room });
            }
            Some(text) => text.as_bytes().to_vec(),
            None => {
                let (from, cancel) = (path.clone(), self.context.cancel.clone());
                let bytes = in_time(&path, Tasks::spawn_blocking(move || read_bytes(&from, room, &cancel))).await?;
                bytes.map_err(|_| Error::Closing)??
            }
        };
        self.text(None, format!("The user attached the file {path}"), true)?;
        let url = data_url(&input.mime, &bytes);
        self.push_media(input, url, &bytes)
    }

    /// The unsaved text of the file, if an editor has one.
    async fn announced(&self, path: &AbsPath) -> Result<Option<Arc<str>>, Error> {
        let real = path.real_or_nearest();
        let text = self.context.overlay.wait_for_text(&real, self.context.buffers.timeout).await;
        let text = text.map_err(|error| Error::Input(format!("{path}: {error}; announce it and send the prompt again")))?;
        Ok(text.map(|document| Arc::clone(&document.text)))
    }

    fn data(&mut self, rest: &str, input: FileInput) -> Result<(), Error> {
        let (head, body) = rest.split_once(',').ok_or_else(|| Error::Input("a data: address needs a comma before its content".into()))?;
        if input.mime.starts_with("text/") {
            let text = if head.ends_with(";base64") {
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(body)
                    .map_err(|error| Error::Input(format!("the content of the data: address is not base64: {error}")))?;
                String::from_utf8_lossy(&bytes).into_owned()
            } else {
                percent_decode(body)
            };
            let name = input.filename.clone().unwrap_or_else(|| "attachment".to_owned());
            self.text(None, format!("The user attached the text {name:?}:"), true)?;
            self.text(None, text, true)?;
        }
        if input.mime.to_ascii_lowercase().starts_with("image/") {
            let bytes = if head.ends_with(";base64") {
                // What cannot be decoded counts as an empty image.
                base64::engine::general_purpose::STANDARD.decode(body).unwrap_or_default()
            } else {
                percent_decode(body).into_bytes()
            };
            let url = if head.ends_with(";base64") { input.url.clone() } else { data_url(&input.mime, &bytes) };
            return self.push_media(input, url, &bytes);
        }
        let url = input.url.clone();
        self.push_file(input, url)
    }
}

fn data_url(mime: &str, bytes: &[u8]) -> String {
    format!("data:{mime};base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// `start` and `end` count lines from 1 and are both included.
fn add_range(arguments: &mut Value, query: &str) -> Result<(), Error> {
    let mut range = [None, None];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = match key {
            "start" => 0,
            "end" => 1,
            _ => continue,
        };
        let number = value.parse::<u64>().ok().filter(|number| *number > 0);
        range[slot] = Some(number.ok_or_else(|| Error::Input(format!("{key}={value:?} is not a line number from 1")))?);
    }
    let start = range[0].unwrap_or(1);
    if range[0].is_some() {
        arguments["offset"] = start.into();
    }
    if let Some(end) = range[1] {
        if end < start {
            return Err(Error::Input(format!("the line range {start} to {end} is empty")));
        }
        arguments["limit"] = (end - start + 1).into();
    }
    Ok(())
}

/// The result, unless it takes longer than the timeout.
async fn in_time<T>(path: &AbsPath, work: impl Future<Output = T>) -> Result<T, Error> {
    let late = || Error::Input(format!("{path} could not be read within {} seconds", READ_TIMEOUT.as_secs()));
    tokio::time::timeout(READ_TIMEOUT, work).await.map_err(|_| late())
}

fn read_bytes(path: &AbsPath, limit: u64, cancel: &CancellationToken) -> Result<Vec<u8>, Error> {
    let failed = |error: open::Error| Error::Input(format!("{path}: {error}"));
    let too_large = || Error::TooLarge { what: format!("{path} has more bytes than may be attached"), limit };
    // Never blocks on a pipe or a device.
    let (mut file, metadata) = path.real().map_err(open::Error::from).and_then(|real| open::regular(&real)).map_err(failed)?;
    if metadata.len() > limit {
        return Err(too_large());
    }
    // Some files in /proc have length 0 and never end.
    let mut bytes = Vec::new();
    loop {
        if cancel.is_cancelled() {
            return Err(Error::Input(format!("{path} was not read to its end")));
        }
        let read = file.by_ref().take(256 * 1024).read_to_end(&mut bytes).map_err(|error| failed(error.into()))?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        if read == 0 {
            return Ok(bytes);
        }
    }
}

fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Reading an attached file asks no questions.
struct Attaching;

#[async_trait]
impl Host for Attaching {
    async fn ask(&self, _: &ToolContext, _: Ask) -> Result<(), ToolError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_from_one_and_include_both_ends() {
        let range = |query| {
            let mut arguments = json!({});
            add_range(&mut arguments, query).map(|()| arguments.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(range("start=3&end=5").unwrap(), r#"{"offset":3,"limit":3}"#);
        assert_eq!(range("end=5").unwrap(), r#"{"limit":5}"#);
        assert_eq!(range("start=7").unwrap(), r#"{"offset":7}"#);
        assert!(range("start=0").is_err());
        assert!(range("start=5&end=4").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn attachments_are_regular_files_within_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| AbsPath::new(directory.path().join(name)).unwrap();
        let cancel = CancellationToken::new();
        let read = |name: &str, limit| read_bytes(&path(name), limit, &cancel);
        std::fs::write(path("file"), [7; 600_000]).unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe").as_path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::fs::File::create(path("sparse")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read("file", 600_000).unwrap().len(), 600_000);
        assert_eq!(read("link", 600_000).unwrap().len(), 600_000);
        assert!(matches!(read("file", 599_999), Err(Error::TooLarge { limit: 599_999, .. })));
        assert!(matches!(read("sparse", 1000), Err(Error::TooLarge { .. })));
        assert!(matches!(read("pipe", 1000), Err(Error::Input(_))), "nobody writes to it, and nobody waits");
        cancel.cancel();
        assert!(read_bytes(&path("file"), 600_000, &cancel).is_err());
    }

    #[test]
    fn percent_signs() {
        assert_eq!(percent_decode("/a%20b/%c3%a4%zz%"), "/a b/ä%zz%");
    }
}

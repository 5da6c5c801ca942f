//! The handlers of `file.*`.

use std::path::Path;

use base64::Engine as _;
use polytree_protocol::{
    file::{File, FileContent, FileContentType, FileEncoding, FileForm, FileNode, FileNodeType, FileReadParams, FileStatus},
    id::MessageId,
    methods::{FileList, FileRead, FileStatusGet},
};

use super::select;
use crate::{
    file::{
        self,
        list::{self, Entry},
        read::{self, Body, Content, Form},
        status::{self, Change, ChangeKind},
        text_file::Encoding,
    },
    project::Instance,
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    session::Before,
};

impl Handler for FileList {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<FileNode>, Error> {
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        Ok(list::list(&instance.checkout, &params.path).await?.into_iter().map(node).collect())
    }
}

impl Handler for FileRead {
    async fn handle(context: Context, params: Self::Params) -> Result<FileContent, Error> {
        let form = match (params.form.unwrap_or_default(), params.offset, params.limit) {
            (FileForm::Auto, None, None) => Form::Patch,
            (FileForm::Raw, None, None) => Form::Whole,
            (_, Some(0), _) => return Err(Error::invalid_params("`offset` must be at least 1, the first line")),
            (_, _, Some(0)) => return Err(Error::invalid_params("`limit` must be at least 1")),
            (_, first, limit) => Form::Lines { first: first.unwrap_or(1), limit: limit.unwrap_or(u64::MAX) },
        };
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        if let Some(at) = &params.at {
            return Ok(file_content(revision(&context, &params, &instance, at, form).await?));
        }
        let content = read::read(&instance.checkout, &context.daemon.overlay, &params.path, form).await?;
        let recent = context.daemon.finder.recent(&instance.project.id);
        recent.note(instance.worktree(), &instance.directory().join(&params.path));
        Ok(file_content(content))
    }
}

/// The file at `HEAD`, or before the changes of a message.
async fn revision(context: &Context, params: &FileReadParams, instance: &Instance, at: &str, form: Form) -> Result<Content, Error> {
    let form = if form == Form::Patch { Form::Whole } else { form };
    if at == "HEAD" {
        return Ok(read::at_head(&instance.checkout, &params.path, form).await?);
    }
    let message = MessageId::parse(at).map_err(|_| Error::invalid_params("`at` must be `HEAD` or the id of a message"))?;
    let Some(session) = &params.session_id else {
        return Err(Error::invalid_params("`at` with the id of a message needs the `sessionID` of its session"));
    };
    let session = select::session(context, params, session).await?;
    let real = read::resolve(&instance.checkout, &params.path).await?;
    match context.daemon.sessions.text_before(&session, message, &real).await? {
        Before::Content(bytes) => Ok(read::of_bytes(&real, &params.path, &bytes, form)?),
        Before::Absent => Err(file::Error::NotFound(format!("{} before that message", params.path)).into()),
        Before::Unchanged => Ok(read::read(&instance.checkout, &context.daemon.overlay, &params.path, form).await?),
    }
}

impl Handler for FileStatusGet {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<File>, Error> {
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        if instance.location.git().is_none() {
            return Ok(Vec::new());
        }
        Ok(status::status(instance.directory()).await?.into_iter().map(shown).collect())
    }
}

fn node(entry: Entry) -> FileNode {
    FileNode {
        name: entry.name,
        path: entry.shown,
        absolute: entry.path.to_string(),
        kind: if entry.is_directory { FileNodeType::Directory } else { FileNodeType::File },
        symlink: entry.is_symlink,
        ignored: entry.is_ignored,
    }
}

fn file_content(read: Content) -> FileContent {
    let mut content = FileContent {
        kind: FileContentType::Raw,
        content: String::new(),
        encoding: None,
        mime: None,
        charset: charset(read.encoding),
        lossy: read.is_lossy,
        more: read.more,
        version: read.version.to_hex().to_string(),
    };
    match read.body {
        Body::Text { text, mime } => {
            content.content = text;
            content.mime = mime;
        }
        Body::Bytes { bytes, mime } => {
            content.content = base64::engine::general_purpose::STANDARD.encode(bytes);
            content.encoding = Some(FileEncoding::Base64);
            content.mime = Some(mime);
        }
        Body::Patch(patch) => {
            content.kind = FileContentType::Patch;
            content.content = patch;
        }
    }
    content
}

fn charset(encoding: Encoding) -> Option<String> {
    match encoding {
        Encoding::Utf8 | Encoding::Utf8Mark => None,
        other => Some(other.name().to_ascii_lowercase()),
    }
}

fn shown(change: Change) -> File {
    let path = |path: &Path| path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
    let (status, from) = match &change.kind {
        ChangeKind::Added => (FileStatus::Added, None),
        ChangeKind::Deleted => (FileStatus::Deleted, None),
        ChangeKind::Modified => (FileStatus::Modified, None),
        ChangeKind::Renamed { from } => (FileStatus::Renamed, Some(path(from))),
    };
    let mark = if change.is_repository { "/" } else { "" };
    File { path: path(&change.path) + mark, added: change.added, removed: change.removed, status, from }
}

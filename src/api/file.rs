//! The handlers of `file.*`.

use std::path::Path;

use base64::Engine as _;
use polytree_protocol::{
    file::{File, FileContent, FileContentType, FileEncoding, FileForm, FileNode, FileNodeType, FileStatus},
    methods::{FileList, FileRead, FileStatusGet},
};

use super::select;
use crate::{
    file::{
        list::{self, Entry},
        read::{self, Body, Content, Form},
        status::{self, Change, ChangeKind},
        text_file::Encoding,
    },
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
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
        let content = read::read(&instance.checkout, &context.daemon.overlay, &params.path, form).await?;
        let recent = context.daemon.finder.recent(&instance.project.id);
        recent.note(instance.worktree(), &instance.directory().join(&params.path));
        Ok(file_content(content))
    }
}

impl Handler for FileStatusGet {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<File>, Error> {
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        if instance.location.git().is_none() {
            return Ok(Vec::new());
        }
        Ok(status::status(instance.directory()).await?.into_iter().map(file).collect())
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

fn file(change: Change) -> File {
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

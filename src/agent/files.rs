//! Where agents and commands are defined: in the settings and in Markdown files, of the user and of the project from its
//! root down, so that the nearest wins. A file that is wrong disables only what it is about.

use std::{io, sync::Arc};

use crate::{
    config::{
        Error, Origin, Places, Settings, files, folders,
        front_matter::Document,
        trust::{self, PROJECT_FOLDER, Trust},
    },
    stdx::paths::AbsPath,
};

/// The directory whose agents and commands are loaded.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub places: &'a Places,
    /// The worktree, a real path.
    pub worktree: &'a AbsPath,
    /// The directory, a real path.
    pub directory: &'a AbsPath,
    /// The settings in force there.
    pub settings: &'a Settings,
    /// Which files of the project are used.
    pub trust: &'a Trust<'a>,
}

/// A file that cannot be used.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The agents or commands that it defines: nobody can use them until it is corrected.
    pub names: Vec<String>,
    /// What is wrong with it.
    pub error: Arc<Error>,
}

/// What is defined in several places.
pub(super) trait Definitions {
    /// The name of the folders with its files.
    const KIND: &'static str;
    /// Takes what a source of settings says; `source` is its name.
    fn settings(&mut self, config: &polytree_protocol::config::Config, origin: &Origin, source: &str);
    /// Takes what a file says, under the name that its path gives it.
    fn document(&mut self, name: String, document: Document, origin: &Origin, source: &str) -> Result<(), Error>;
}

/// Shows the definitions to `into`, lowest first, and returns the files that cannot be used.
pub(super) fn visit<T: Definitions>(place: Place<'_>, into: &mut T) -> Vec<Broken> {
    let mut visit = Visit { place, into, broken: Vec::new() };
    visit.layers(&Origin::User);
    for (name, path) in folders::definitions(&place.places.config, T::KIND, None) {
        let read = files::read_regular(path.as_path(), files::MAX_BYTES).map(|(bytes, _)| bytes);
        visit.file(name, &path, read, &Origin::User);
    }
    for directory in folders::from_root(place.worktree, place.directory) {
        let origin = Origin::Project(directory.clone());
        visit.layers(&origin);
        for (name, path) in folders::definitions(&directory.join(PROJECT_FOLDER), T::KIND, Some(place.worktree)) {
            if let Some(bytes) = trusted(place, &path) {
                visit.file(name, &path, Ok(bytes), &origin);
            }
        }
    }
    visit.layers(&Origin::Environment);
    visit.broken
}

/// The content of a project's file, if the user trusts it.
fn trusted(place: Place<'_>, path: &AbsPath) -> Option<Vec<u8>> {
    let read = || -> io::Result<_> {
        let (bytes, _) = files::read_regular(path.as_path(), files::MAX_BYTES)?;
        Ok((trust::identify(place.worktree, path, bytes.as_slice())?, bytes))
    };
    let (file, bytes) =
        read().inspect_err(|error| tracing::warn!(%path, %error, "a project's file cannot be read and is not used")).ok()?;
    (place.trust)(&file).then_some(bytes)
}

struct Visit<'a, T> {
    place: Place<'a>,
    into: &'a mut T,
    broken: Vec<Broken>,
}

impl<T: Definitions> Visit<'_, T> {
    fn layers(&mut self, origin: &Origin) {
        for layer in self.place.settings.layers.iter().filter(|layer| layer.origin == *origin) {
            self.into.settings(&layer.config, origin, &layer.name);
        }
    }

    fn file(&mut self, name: String, path: &AbsPath, read: io::Result<Vec<u8>>, origin: &Origin) {
        let file = path.to_string();
        let unreadable = |source| Error::Unreadable { file: file.clone(), source };
        let not_text = |error: std::string::FromUtf8Error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error());
        let text = match read.and_then(|bytes| String::from_utf8(bytes).map_err(not_text)) {
            Ok(text) => text,
            Err(error) => return self.broken.push(Broken { names: vec![name], error: Arc::new(unreadable(error)) }),
        };
        let used = Document::parse(&file, &text).and_then(|document| self.into.document(name.clone(), document, origin, &file));
        if let Err(error) = used {
            // Its rules must not be lost for the agent that it was meant for.
            let names = std::iter::once(name).chain(declared(&text)).collect();
            self.broken.push(Broken { names, error: Arc::new(error) });
        }
    }
}

/// The name that a file gives itself, as far as that can be told of one that is not understood.
fn declared(text: &str) -> Option<String> {
    let name = text.lines().skip(1).take_while(|line| line.trim_end() != "---").find_map(|line| line.strip_prefix("name:"))?;
    let name = name.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

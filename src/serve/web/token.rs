//! The token: 256 bits in a file of the data directory that only its user can read. The file is what counts, at every
//! look: deleting or replacing it makes the old token worthless.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::stdx::paths::AbsPath;

/// The fewest characters that are taken for a token, if a person or a program wrote the file.
const SHORTEST: usize = 32;

/// The most bytes that are read of the file.
const LONGEST: u64 = 1024;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("cannot use the token file {path}: {source}")]
    File {
        /// The file.
        path: AbsPath,
        /// What the system said.
        source: io::Error,
    },
    /// Something else stands in it.
    #[error("the token file {path} holds no token: {SHORTEST} or more letters, digits, `-` and `_` are expected; delete it for a new one")]
    Content {
        /// The file.
        path: AbsPath,
    },
}

/// What a client must show. It never shows itself by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    fn new() -> io::Result<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(random)))
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let sound = text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        sound.then(|| Self(text.to_owned()))
    }

    /// Whether this is what was given. How long it takes says nothing about how much of it was right.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        // Hashes are compared in constant time.
        blake3::hash(self.0.as_bytes()) == blake3::hash(given.as_bytes())
    }

    /// The token itself, for the person who may know it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The file `token` of a data directory.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: AbsPath,
    directory: AbsPath,
}

impl TokenFile {
    /// The file of this data directory, whether it is there or not.
    #[must_use]
    pub fn new(data: &AbsPath) -> Self {
        Self { path: data.join("token"), directory: data.clone() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// The token of now; a new one where there is no file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn current(&self) -> Result<Token, Error> {
        loop {
            match self.read() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed(error)),
                Ok(text) => return Token::read(&text).ok_or_else(|| Error::Content { path: self.path.clone() }),
            }
            let token = Token::new().map_err(|error| self.failed(error))?;
            let file = self.write(&token).map_err(|error| self.failed(error))?;
            match file.persist_noclobber(&self.path) {
                Ok(_) => return Ok(token),
                // Somebody else was quicker: theirs is the token.
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.failed(error.error)),
            }
        }
    }

    /// A new token in the place of the old one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn replace(&self) -> Result<Token, Error> {
        let replaced = Token::new().and_then(|token| {
            self.write(&token)?.persist(&self.path).map_err(|error| error.error)?;
            Ok(token)
        });
        replaced.map_err(|error| self.failed(error))
    }

    fn read(&self) -> io::Result<String> {
        let file = std::fs::File::open(&self.path)?;
        #[cfg(unix)]
        close_to_others(&file)?;
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Writes beside it: at its place there is always a whole token. Such files have mode 0600 from the beginning.
    fn write(&self, token: &Token) -> io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(".token-").tempfile_in(&self.directory)?;
        writeln!(file, "{}", token.0)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::File { path: self.path.clone(), source }
    }
}

/// A file that was copied here by hand may be open to others.
#[cfg(unix)]
fn close_to_others(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, TokenFile) {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile::new(&AbsPath::new(directory.path()).unwrap());
        (directory, file)
    }

    #[test]
    fn it_is_made_once_and_again_when_it_was_deleted() {
        let (directory, file) = fixture();
        let token = file.current().unwrap();
        assert_eq!(file.current().unwrap(), token);
        assert_eq!(URL_SAFE_NO_PAD.decode(token.reveal()).unwrap().len(), 32);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
        std::fs::remove_file(file.path()).unwrap();
        assert_ne!(file.current().unwrap(), token);
        let replaced = file.replace().unwrap();
        assert_eq!(file.current().unwrap(), replaced);
    }

    #[test]
    fn it_is_compared_as_a_whole_and_shows_nothing() {
        let (_directory, file) = fixture();
        let token = file.current().unwrap();
        let text = token.reveal().to_owned();
        assert!(token.matches(&text));
        for other in ["", &text[1..], &text[..text.len() - 1], &format!("{text} "), &text.to_lowercase()] {
            assert!(!token.matches(other), "{other}");
        }
        assert!(!format!("{token:?}").contains(&text));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_user_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_directory, file) = fixture();
        let mode = || std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777;
        let token = file.current().unwrap();
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(file.current().unwrap(), token);
        assert_eq!(mode(), 0o600);
        file.replace().unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn what_is_no_token_lets_nobody_in() {
        let (_directory, file) = fixture();
        for odd in ["", "short", &"x y".repeat(20), &"\u{e9}".repeat(40)] {
            std::fs::write(file.path(), odd).unwrap();
            assert!(matches!(file.current(), Err(Error::Content { .. })), "{odd}");
        }
        std::fs::write(file.path(), format!("{}\n", "x".repeat(40))).unwrap();
        assert!(file.current().unwrap().matches(&"x".repeat(40)));
        std::fs::remove_file(file.path()).unwrap();
        std::fs::create_dir(file.path()).unwrap();
        assert!(matches!(file.current(), Err(Error::File { .. })));
    }

    #[test]
    fn all_who_make_one_at_once_have_the_same() {
        let (_directory, file) = fixture();
        let tokens: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| file.current().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(tokens.iter().all(|token| *token == tokens[0]));
    }
}

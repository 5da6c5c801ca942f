//! The token of network clients: 256 bits in a private file of the data directory. The file is read at each check:
//! deleting or replacing it revokes the old token.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::stdx::paths::AbsPath;

/// The minimum length of a token that a user or a program has written.
const MIN_CHARACTERS: usize = 32;

const MAX_FILE_BYTES: u64 = 1024;

/// Why the token is not available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("cannot use the token file {path}: {source}")]
    File { path: AbsPath, source: io::Error },
    /// The file does not contain a token.
    #[error(
        "the token file {path} holds no token: {MIN_CHARACTERS} or more letters, digits, `-` and `_` are expected; delete it for a new one"
    )]
    Content { path: AbsPath },
}

/// The token. Its `Debug` output does not contain it.
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
        let sound = text.len() >= MIN_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        sound.then(|| Self(text.to_owned()))
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        // Comparing hashes takes constant time.
        blake3::hash(self.0.as_bytes()) == blake3::hash(given.as_bytes())
    }

    /// The token itself, for the user.
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
    /// The file of this data directory, which may not exist.
    #[must_use]
    pub fn new(data: &AbsPath) -> Self {
        Self { path: data.join("token"), directory: data.clone() }
    }

    #[must_use]
    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// The current token; a new one if there is no file.
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
                // Another process has created it meanwhile.
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.failed(error.error)),
            }
        }
    }

    /// Replaces the token.
    ///
    /// # Errors
    /// If the file cannot be written.
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
        file.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Writes a temporary file beside it, with mode 0600, so that the file is always complete.
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

/// A file that was copied by hand may be open to other users.
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
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
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

//! What the language servers of editors say about the texts that these hold. It counts only for the version of the text
//! that it was said of, and ends with the connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use polytree_protocol::diagnostics::Diagnostic;

use super::document::Error;
use crate::stdx::paths::AbsPath;

/// The limit of the diagnostics of one file.
pub const MAX_ITEMS: usize = 1000;
/// The size limit of all diagnostics of one connection, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// The overhead of a diagnostic beside its texts, in bytes.
const ITEM_BYTES: usize = 64;

/// What was said of one text.
#[derive(Debug, Clone)]
struct Told {
    version: i64,
    items: Arc<[Diagnostic]>,
    bytes: usize,
}

/// The diagnostics of all connections, by connection and path.
#[derive(Debug, Default)]
pub(super) struct AllDiagnostics {
    // Held for a look-up or an insert.
    told: Mutex<HashMap<(u64, AbsPath), Told>>,
}

/// The diagnostics of a text did not arrive in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

impl AllDiagnostics {
    fn told(&self) -> MutexGuard<'_, HashMap<(u64, AbsPath), Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces those of a text.
    pub fn set(&self, connection: u64, path: &AbsPath, version: i64, items: Vec<Diagnostic>) -> Result<(), Error> {
        let size = |item: &Diagnostic| item.message.len() + item.source.as_ref().map_or(0, String::len) + ITEM_BYTES;
        let bytes = items.iter().map(size).sum();
        let key = (connection, path.clone());
        let mut told = self.told();
        let others: usize = told.iter().filter(|(other, _)| other.0 == connection && **other != key).map(|(_, told)| told.bytes).sum();
        if others + bytes > MAX_BYTES {
            told.remove(&key);
            return Err(Error::TooManyDiagnostics);
        }
        told.insert(key, Told { version, items: items.into(), bytes });
        Ok(())
    }

    /// Those of a connection's text, if any were said, with the version that they belong to.
    pub fn of(&self, connection: u64, path: &AbsPath) -> Option<(i64, Arc<[Diagnostic]>)> {
        let told = self.told();
        told.get(&(connection, path.clone())).map(|told| (told.version, Arc::clone(&told.items)))
    }

    /// Forgets those of a connection, or of one of its files.
    pub fn forget(&self, connection: u64, path: Option<&AbsPath>) {
        self.told().retain(|(other, of), _| *other != connection || path.is_some_and(|path| of != path));
    }
}

/// What the model reads of diagnostics, the gravest first, each with line and column from 1.
pub fn shown(items: &[Diagnostic]) -> String {
    const SHOWN: usize = 20;
    let grave = |item: &Diagnostic| item.severity.unwrap_or(1);
    let mut sorted: Vec<&Diagnostic> = items.iter().collect();
    sorted.sort_by_key(|item| (grave(item), item.range.start));
    let mut lines: Vec<String> = Vec::new();
    for item in sorted.iter().take(SHOWN) {
        let word = match grave(item) {
            1 => "ERROR",
            2 => "WARNING",
            3 => "INFO",
            _ => "HINT",
        };
        let start = item.range.start;
        let code = match &item.code {
            Some(serde_json::Value::String(code)) => format!(" {code}"),
            Some(serde_json::Value::Number(code)) => format!(" {code}"),
            _ => String::new(),
        };
        let source = item.source.as_ref().map(|source| format!(" ({source}{code})")).unwrap_or_default();
        let message = item.message.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.push(format!("{word} [{}:{}] {}{source}", start.line + 1, start.character + 1, crate::stdx::text::ellipsis(&message, 500)));
    }
    if items.len() > SHOWN {
        lines.push(format!("({} more)", items.len() - SHOWN));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use polytree_protocol::buffer::{TextPosition, TextRange};
    use serde_json::json;

    use super::*;
    use crate::overlay::Overlay;

    fn item(line: u32, severity: Option<u8>, message: &str) -> Diagnostic {
        let start = TextPosition { line, character: 4 };
        Diagnostic {
            range: TextRange { start, end: start },
            severity,
            code: Some(json!("E1")),
            source: Some("rustc".into()),
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_gravest_come_first_and_the_list_is_bounded() {
        let mut items: Vec<Diagnostic> = (0..30).map(|line| item(line, Some(2), "unused\n  variable")).collect();
        items.push(item(7, None, "wrong"));
        let text = shown(&items);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ERROR [8:5] wrong (rustc E1)");
        assert_eq!(lines[1], "WARNING [1:5] unused variable (rustc E1)");
        assert_eq!((lines.len(), lines[20]), (21, "(11 more)"));
        assert!(shown(&[item(0, Some(1), &"x".repeat(5000))]).len() < 600);
    }

    #[tokio::test]
    async fn only_those_of_the_newest_text_count() {
        let overlay = Overlay::default();
        let path = AbsPath::new("/w/a").unwrap();
        let now = Duration::ZERO;
        assert!(overlay.wait_for_diagnostics(&path, now).await.is_none());
        assert_eq!(overlay.set_diagnostics(1, &path, 1, vec![]), Err(Error::NotOpen(path.clone())));
        overlay.open(1, &path, &path, 1, Some("a".to_owned())).unwrap();
        assert!(overlay.wait_for_diagnostics(&path, now).await.is_none(), "this editor says nothing of this file");
        overlay.set_diagnostics(1, &path, 1, vec![item(0, None, "wrong")]).unwrap();
        assert_eq!(overlay.wait_for_diagnostics(&path, now).await.unwrap().unwrap().len(), 1);
        overlay.change(1, &path, 2, &[]).unwrap();
        assert_eq!(overlay.wait_for_diagnostics(&path, now).await, Some(Err(Unknown)), "never that all is well");
        let waited = overlay.wait_for_diagnostics(&path, Duration::from_secs(60));
        let told = async { overlay.set_diagnostics(1, &path, 2, vec![]).unwrap() };
        assert!(tokio::join!(waited, told).0.unwrap().unwrap().is_empty());
        // Another editor has the newest text.
        overlay.open(2, &path, &path, 1, Some("b".to_owned())).unwrap();
        assert!(overlay.diagnostics(&path).is_none());
        overlay.close(2, &path);
        assert!(overlay.diagnostics(&path).is_some());
        let long = vec![item(0, None, &"x".repeat(MAX_BYTES))];
        assert_eq!(overlay.set_diagnostics(1, &path, 2, long), Err(Error::TooManyDiagnostics));
        overlay.set_diagnostics(1, &path, 2, vec![]).unwrap();
        overlay.forget(1);
        assert!(overlay.diagnostics(&path).is_none());
        overlay.open(1, &path, &path, 1, Some("a".to_owned())).unwrap();
        assert!(overlay.diagnostics(&path).is_none());
    }
}

//! The last warnings and errors of the log, kept in memory for those who ask what went wrong. Bounded in lines and in
//! the length of each.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{text::ellipsis, time::now_ms};

/// How many lines are kept.
const LINES: usize = 50;
/// The most characters of a line.
const LENGTH: usize = 600;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// How grave: a warning or an error.
    pub level: Level,
    /// The module, or the target that the writer gave.
    pub target: String,
    /// The message, then its fields as `name=value`.
    pub message: String,
}

#[derive(Debug)]
pub struct Recent {
    // Held for a push or a copy.
    lines: Mutex<VecDeque<Line>>,
    errors: AtomicU64,
    warnings: AtomicU64,
}

/// The last lines of this process: as the log, there is one of it.
pub static LOG: Recent = Recent::new();

impl Recent {
    const fn new() -> Self {
        Self { lines: Mutex::new(VecDeque::new()), errors: AtomicU64::new(0), warnings: AtomicU64::new(0) }
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How many errors and how many warnings there have been.
    pub fn counts(&self) -> (u64, u64) {
        (self.errors.load(Ordering::Relaxed), self.warnings.load(Ordering::Relaxed))
    }

    fn push(&self, line: Line) {
        if line.level == Level::ERROR { &self.errors } else { &self.warnings }.fetch_add(1, Ordering::Relaxed);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// The layer of the log that keeps them.
#[derive(Debug, Clone, Copy)]
pub struct Keep(pub &'static Recent);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // Levels are ordered by how much they let through.
        if *metadata.level() > Level::WARN {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        self.0.push(Line {
            time: now_ms(),
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            message: ellipsis(&(text.message + &text.fields), LENGTH),
        });
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn the_last_warnings_and_errors_are_kept_and_counted() {
        static HERE: Recent = Recent::new();
        let subscriber = tracing_subscriber::registry().with(Keep(&HERE));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("not kept");
            for number in 0..60 {
                tracing::warn!(target: "place", number, why = "odd", "warning {}", "x".repeat(number * 20));
            }
            tracing::error!(error = %"broken", "last");
        });
        let lines = HERE.lines();
        assert_eq!((lines.len(), HERE.counts()), (LINES, (1, 60)));
        assert_eq!(
            (lines[0].message.as_str(), lines[0].target.as_str()),
            (format!("warning {} number=11 why=\"odd\"", "x".repeat(220)).as_str(), "place")
        );
        assert!(lines.iter().all(|line| line.message.chars().count() <= LENGTH));
        assert_eq!((lines[LINES - 1].message.as_str(), lines[LINES - 1].level), ("last error=broken", Level::ERROR));
    }
}

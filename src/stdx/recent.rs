//! The last warnings and errors of the log, kept in memory for diagnosis; limited in number and length.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use polytree_protocol::{daemon::LogLevel, diagnose::DiagnosisLogLine};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{text::ellipsis, time::now_ms};

const MAX_LINES: usize = 50;
const MAX_CHARACTERS: usize = 600;

#[derive(Debug)]
pub struct Recent {
    // Locked for a push or a copy.
    lines: Mutex<VecDeque<DiagnosisLogLine>>,
    errors: AtomicU64,
    warnings: AtomicU64,
}

/// The last lines of this process; there is one log per process, too.
pub static LOG: Recent = Recent::new();

impl Recent {
    const fn new() -> Self {
        Self { lines: Mutex::new(VecDeque::new()), errors: AtomicU64::new(0), warnings: AtomicU64::new(0) }
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<DiagnosisLogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The numbers of errors and warnings since the start.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.errors.load(Ordering::Relaxed), self.warnings.load(Ordering::Relaxed))
    }

    fn push(&self, line: DiagnosisLogLine) {
        if line.level == LogLevel::Error { &self.errors } else { &self.warnings }.fetch_add(1, Ordering::Relaxed);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// The log's layer that keeps them.
#[derive(Debug, Clone, Copy)]
pub struct Keep(pub &'static Recent);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // Levels are ordered by verbosity.
        if *metadata.level() > Level::WARN {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        self.0.push(DiagnosisLogLine {
            time: now_ms(),
            level: if *metadata.level() == Level::ERROR { LogLevel::Error } else { LogLevel::Warn },
            target: metadata.target().to_owned(),
            message: ellipsis(&(text.message + &text.fields), MAX_CHARACTERS),
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
        static TEST_LOG: Recent = Recent::new();
        let subscriber = tracing_subscriber::registry().with(Keep(&TEST_LOG));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("not kept");
            for number in 0..60 {
                tracing::warn!(target: "module", number, why = "odd", "warning {}", "x".repeat(number * 20));
            }
            tracing::error!(error = %"broken", "last");
        });
        let lines = TEST_LOG.lines();
        assert_eq!((lines.len(), TEST_LOG.counts()), (MAX_LINES, (1, 60)));
        assert_eq!(
            (lines[0].message.as_str(), lines[0].target.as_str()),
            (format!("warning {} number=11 why=\"odd\"", "x".repeat(220)).as_str(), "module")
        );
        assert!(lines.iter().all(|line| line.message.chars().count() <= MAX_CHARACTERS));
        assert_eq!((lines[MAX_LINES - 1].message.as_str(), lines[MAX_LINES - 1].level), ("last error=broken", LogLevel::Error));
    }
}

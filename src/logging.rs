//! The daemon's log: daily files below the data directory, kept for a week, and standard error on request. Never standard
//! output, which belongs to the protocol.

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::stdx::{
    paths::AbsPath,
    recent::{self, Keep},
    time::now_ms,
};

const MAX_FILES: usize = 7;

/// Starts logging to `log/` below the data directory, and with a `level` such as `debug` to standard error. If the file
/// cannot be written, the daemon runs without it. The last warnings and errors are also kept in memory.
pub fn start(data: &AbsPath, level: Option<&str>) {
    let directory = data.join("log");
    let file = private_directory(&directory)
        .then(|| {
            RollingFileAppender::builder()
                .rotation(Rotation::DAILY)
                .filename_prefix("polytree")
                .filename_suffix("log")
                .max_log_files(MAX_FILES)
                .build(&directory)
                .ok()
        })
        .flatten();
    // The HTTP client logs raw answers of services, which may contain keys.
    let filter = |level: &str| EnvFilter::new(format!("warn,polytree={level},client={level}"));
    restrict_modes(&directory);
    let file = file.map(|appender| {
        let file = Private { appender, directory: directory.clone(), day: now_ms() / (24 * 3600 * 1000) };
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(std::sync::Mutex::new(file))
            .with_filter(filter(level.unwrap_or("info")))
    });
    let console =
        level.map(|level| tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr).with_filter(filter(level)));
    // For `server.diagnose`.
    let recent = Keep(&recent::LOG).with_filter(filter("warn"));
    let _ = tracing_subscriber::registry().with(file).with(console).with(recent).try_init();
}

fn private_directory(directory: &AbsPath) -> bool {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).is_ok()
}

/// The appender creates files with the default mode; the mode of each is restricted at its first line. Until then the
/// mode of the directory protects it.
struct Private {
    appender: RollingFileAppender,
    directory: AbsPath,
    day: i64,
}

impl std::io::Write for Private {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.appender.write(bytes)?;
        let day = now_ms() / (24 * 3600 * 1000);
        if day != self.day {
            self.day = day;
            restrict_modes(&self.directory);
        }
        Ok(written)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.appender.flush()
    }
}

fn restrict_modes(directory: &AbsPath) {
    #[cfg(unix)]
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        use std::os::unix::fs::PermissionsExt as _;
        let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o600));
    }
    #[cfg(not(unix))]
    let _ = directory;
}

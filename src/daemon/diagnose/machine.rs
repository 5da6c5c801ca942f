//! The machine around the daemon: its directories, the disk, and the programs that it needs. Only looked at.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use polytree_protocol::diagnose_machine::{DiagnosisDisk, DiagnosisMachine, DiagnosisPlace, DiagnosisProgram};

use crate::{
    config::{Places, places},
    git::program,
    stdx::{
        paths::AbsPath,
        process::{self, find_program},
        tasks::Tasks,
    },
    tool::context::Environment,
};

/// How long git may take to tell its version.
const PATIENCE: Duration = Duration::from_millis(400);

/// Looks around with the variables of whoever asks.
pub(super) async fn look(places: Places, environment: Environment) -> Result<DiagnosisMachine, tokio::task::JoinError> {
    let git = git(&environment).await;
    Tasks::spawn_blocking(move || DiagnosisMachine {
        error: None,
        places: [("config", &places.config), ("data", &places.data), ("runtime", &places.runtime)]
            .map(|(name, path)| place(name, path))
            .into(),
        disk: disk(&places.data),
        git: Some(git),
        shell: Some(shell(&environment)),
        clock_moved_ms: None,
    })
    .await
}

fn search_path(environment: &Environment) -> Option<&std::ffi::OsStr> {
    environment.get("PATH").map(std::ffi::OsStr::new)
}

/// As the tool `bash` chooses.
fn shell(environment: &Environment) -> DiagnosisProgram {
    let path = search_path(environment);
    let find = |name| find_program(name, path).or_else(|| find_program(name, None));
    let found = find("bash").or_else(|| find("sh"));
    DiagnosisProgram { path: found.map(|path| path.to_string_lossy().into_owned()), version: None }
}

async fn git(environment: &Environment) -> DiagnosisProgram {
    let Some(path) = find_program("git", search_path(environment)) else { return DiagnosisProgram::default() };
    let version = version(&path).await;
    DiagnosisProgram { path: Some(path.to_string_lossy().into_owned()), version }
}

/// What `git --version` says, asked once for each state of the program.
async fn version(path: &Path) -> Option<String> {
    static KNOWN: Mutex<Option<(PathBuf, SystemTime, String)>> = Mutex::new(None);
    let changed = std::fs::metadata(path).and_then(|found| found.modified()).ok()?;
    if let Some((known, when, version)) = &*KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
        && (known.as_path(), *when) == (path, changed)
    {
        return Some(version.clone());
    }
    let mut command = program::command(path, &AbsPath::new("/")?);
    command.arg("--version");
    let output = tokio::time::timeout(PATIENCE, process::output(command)).await.ok()?.ok()?;
    let version = git_version(&String::from_utf8_lossy(&output))?;
    *KNOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some((path.to_owned(), changed, version.clone()));
    Some(version)
}

/// The version in what git prints.
fn git_version(text: &str) -> Option<String> {
    let version = text.strip_prefix("git version ")?.split_whitespace().next()?;
    version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
}

fn place(name: &str, path: &AbsPath) -> DiagnosisPlace {
    let mut place = DiagnosisPlace { name: name.to_owned(), path: path.to_string(), ..DiagnosisPlace::default() };
    let Ok(found) = std::fs::metadata(path) else { return place };
    place.exists = true;
    place.network = places::network_file_system(path).map(str::to_owned);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        place.mode = Some(format!("{:03o}", found.mode() & 0o7777));
        place.own = found.uid() == rustix::process::geteuid().as_raw();
        place.writable = rustix::fs::access(path.as_path(), rustix::fs::Access::WRITE_OK).is_ok();
    }
    #[cfg(not(unix))]
    {
        place.own = true;
        place.writable = !found.permissions().readonly();
    }
    place
}

/// The disk under a directory, or under the nearest one above it that is there.
#[cfg(unix)]
fn disk(path: &AbsPath) -> Option<DiagnosisDisk> {
    let there = path.ancestors().find(|path| path.as_path().is_dir())?;
    let found = rustix::fs::statvfs(there.as_path()).ok()?;
    Some(DiagnosisDisk { free: found.f_bavail.saturating_mul(found.f_frsize), total: found.f_blocks.saturating_mul(found.f_frsize) })
}

#[cfg(not(unix))]
fn disk(_: &AbsPath) -> Option<DiagnosisDisk> {
    None
}

/// The user's number and name.
#[cfg(unix)]
pub(super) fn user() -> (Option<u32>, Option<String>) {
    let id = rustix::process::geteuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    (Some(id), account(&accounts, id).map(str::to_owned))
}

/// The user's number and name.
#[cfg(not(unix))]
pub(super) fn user() -> (Option<u32>, Option<String>) {
    (None, std::env::var("USERNAME").ok())
}

#[cfg(unix)]
fn account(accounts: &str, id: u32) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, sync::Arc};

    use super::*;

    #[test]
    fn versions_and_accounts_are_read() {
        assert_eq!(git_version("git version 2.39.5\n").as_deref(), Some("2.39.5"));
        assert_eq!(git_version("git version 2.39.5 (Apple Git-154)\n").as_deref(), Some("2.39.5"));
        assert_eq!(git_version("hub version 2"), None);
        let accounts = "root:x:0:0:root:/root:/bin/sh\nodd\nann:x:1000:1000::/home/ann:/bin/bash\n";
        assert_eq!((account(accounts, 0), account(accounts, 1000), account(accounts, 7)), (Some("root"), Some("ann"), None));
    }

    #[tokio::test]
    async fn the_machine_is_looked_at_and_nothing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        let places = Places { config: root.join("config"), data: root.join("deep/data"), runtime: root.join("run") };
        std::fs::create_dir(places.config.as_path()).unwrap();
        std::fs::set_permissions(places.config.as_path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = look(places.clone(), Arc::default()).await.unwrap();
        let [config, data, runtime] = found.places.as_slice() else { panic!("{found:?}") };
        assert_eq!((config.mode.as_deref(), config.own, config.exists, config.writable), (Some("755"), true, true, true));
        assert_eq!((data.exists, &data.mode, runtime.exists), (false, &None, false));
        assert!(found.disk.is_some_and(|disk| disk.total > 0 && disk.total >= disk.free));
        assert!(found.shell.unwrap().path.is_some());
        assert!(found.git.unwrap().version.is_some_and(|version| version.contains('.')));
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);

        let nowhere: Environment = Arc::new(BTreeMap::from([("PATH".to_owned(), root.to_string())]));
        let found = look(places, nowhere).await.unwrap();
        assert_eq!(found.git, Some(DiagnosisProgram::default()), "git is looked for where the client would find it");
        assert!(found.shell.unwrap().path.is_some(), "the shell has a usual place");
    }
}

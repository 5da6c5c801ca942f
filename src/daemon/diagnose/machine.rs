//! The machine around the daemon: its directories, its file system, and the programs that it needs. Changes nothing.

use polytree_protocol::{
    diagnose::DiagnosisOwner,
    diagnose_machine::{DiagnosisDisk, DiagnosisMachine, DiagnosisPlace, DiagnosisProgram},
};

use super::requester::PART_TIMEOUT;
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

/// Programs are searched with the variables of the client.
pub(super) async fn look(places: Places, environment: Environment) -> Result<DiagnosisMachine, tokio::task::JoinError> {
    let path = environment.get("PATH").map(std::ffi::OsStr::new);
    let program = |found: Option<std::path::PathBuf>, version| DiagnosisProgram {
        path: found.map(|path| path.to_string_lossy().into_owned()),
        version,
    };
    let git = find_program("git", path);
    let version = tokio::time::timeout(PART_TIMEOUT, version(git.as_deref())).await.ok().flatten();
    // As the tool `bash` chooses.
    let find = |name| find_program(name, path).or_else(|| find_program(name, None));
    let (git, shell) = (program(git, version), program(find("bash").or_else(|| find("sh")), None));
    Tasks::spawn_blocking(move || DiagnosisMachine {
        places: [("config", &places.config), ("data", &places.data), ("runtime", &places.runtime)]
            .map(|(name, path)| place(name, path))
            .into(),
        disk: disk(&places.data),
        git: Some(git),
        shell: Some(shell),
        ..DiagnosisMachine::default()
    })
    .await
}

async fn version(git: Option<&std::path::Path>) -> Option<String> {
    let mut command = program::command(git?, &AbsPath::new("/")?);
    command.arg("--version");
    git_version(&String::from_utf8_lossy(&process::output(command).await.ok()?))
}

fn git_version(output: &str) -> Option<String> {
    let version = output.strip_prefix("git version ")?.split_whitespace().next()?;
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

/// The file system of a directory, or of its nearest existing ancestor.
#[cfg(unix)]
fn disk(path: &AbsPath) -> Option<DiagnosisDisk> {
    let existing = path.ancestors().find(|path| path.as_path().is_dir())?;
    let found = rustix::fs::statvfs(existing.as_path()).ok()?;
    Some(DiagnosisDisk { free: found.f_bavail.saturating_mul(found.f_frsize), total: found.f_blocks.saturating_mul(found.f_frsize) })
}

#[cfg(not(unix))]
fn disk(_: &AbsPath) -> Option<DiagnosisDisk> {
    None
}

/// The user that this process belongs to, and its data directory.
pub(super) fn owner(places: &Places) -> DiagnosisOwner {
    #[cfg(unix)]
    let user_id = Some(rustix::process::geteuid().as_raw());
    #[cfg(not(unix))]
    let user_id = None;
    let user_name = ["USER", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    DiagnosisOwner { user_id, user_name, data_directory: places.data.to_string(), ..DiagnosisOwner::default() }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, sync::Arc};

    use super::*;

    #[test]
    fn versions_of_git_are_parsed() {
        assert_eq!(git_version("git version 2.39.5\n").as_deref(), Some("2.39.5"));
        assert_eq!(git_version("git version 2.39.5 (Apple Git-154)\n").as_deref(), Some("2.39.5"));
        assert_eq!(git_version("hub version 2"), None);
    }

    #[tokio::test]
    async fn the_machine_is_inspected_and_nothing_is_created() {
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

        let empty_path: Environment = Arc::new(BTreeMap::from([("PATH".to_owned(), root.to_string())]));
        let found = look(places, empty_path).await.unwrap();
        assert_eq!(found.git, Some(DiagnosisProgram::default()), "git is searched in the client's PATH");
        assert!(found.shell.unwrap().path.is_some(), "the shell has default directories");
    }
}

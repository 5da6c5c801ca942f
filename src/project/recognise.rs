//! Identifies the project of a directory: `see` reads the file system, and the store finds the project. For work,
//! `remember` also writes the id into the repository, if possible.

use std::{
    collections::BTreeMap,
    fs, io,
    time::{Duration, UNIX_EPOCH},
};

use polytree_protocol::id::ProjectId;
use ulid::Ulid;

use super::{Error, id_file};
use crate::{
    git::layout::{self, CheckoutKind, GitLayout, Location, leads_to},
    stdx::{disk, paths::AbsPath},
    store::{Answer, Ask, Evidence, Known, LINKED, LinkedCheckout, PlaceKind, ProjectFacts, Seen, Sighting, Stamp, Store},
};

/// The limit of retries while another process writes an id.
const MAX_ATTEMPTS: usize = 4;
/// The timeout of checking the path of another project, which may be on a file system that hangs.
const OTHER_PROJECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The facts about a directory in the file system.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub location: Location,
    evidence: Evidence,
}

/// Identifies the directory that is at the path now.
fn stamp(path: &AbsPath) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let born = born.and_then(|since| i64::try_from(since.as_nanos()).ok()).filter(|nanoseconds| *nanoseconds != 0);
    #[cfg(unix)]
    let (device, inode) = {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let (device, inode) = (0, 0);
    Ok(Stamp { device, inode, born })
}

/// Reads the facts about a directory (a real path).
pub(super) async fn see(directory: &AbsPath) -> Result<Sight, Error> {
    let path = directory.clone();
    disk::run(directory, move || {
        let location = layout::locate(&path).map_err(|source| Error::Unseen { directory: path.clone(), source })?;
        let evidence = evidence(&location)?;
        Ok(Sight { location, evidence })
    })
    .await
}

fn evidence(location: &Location) -> Result<Evidence, Error> {
    let seen = |path: &AbsPath| stamp(path).map_err(|_| Error::Directory(format!("cannot look at {path}")));
    let worktree = location.worktree();
    // A directory that only claims to belong to a repository is a separate project, without the repository's grants and
    // trust.
    let repository = match location {
        Location::Git(layout) if !layout.is_foreign() => Some(layout),
        _ => None,
    };
    let (kind, place, file, main_worktree) = match repository {
        Some(layout) => {
            let file = id_file::read(&layout.common_dir).id().cloned();
            (PlaceKind::Git, &layout.common_dir, file, (layout.main_worktree.clone(), layout.main_known))
        }
        None => (PlaceKind::Plain, worktree, None, (worktree.clone(), true)),
    };
    // For a linked worktree: of git's record, which stays when the worktree moves; else of the top directory.
    let checkout = match repository {
        Some(layout) if layout.checkout != CheckoutKind::Main => &layout.git_dir,
        _ => worktree,
    };
    Ok(Evidence {
        kind,
        sighting: Sighting { path: place.clone(), stamp: seen(place)? },
        file,
        worktree: worktree.clone(),
        main_worktree,
        leads_back: repository.is_none_or(|layout| layout.checkout != CheckoutKind::Main || layout.main_leads_back()),
        is_broken: matches!(location, Location::Plain { broken: true, .. }),
        checkout: (key(repository), seen(checkout)?),
        new_id: ProjectId::from_ulid(Ulid::generate()),
        answers: BTreeMap::new(),
    })
}

/// Identifies a checkout in its project.
fn key(repository: Option<&GitLayout>) -> String {
    match repository {
        Some(GitLayout { checkout: CheckoutKind::Linked { name }, .. }) => format!("{LINKED}{name}"),
        Some(GitLayout { checkout: CheckoutKind::Other, worktree, .. }) => format!("path:{worktree}"),
        // Outside git: the key of the main checkout that it becomes by `git init`.
        Some(GitLayout { checkout: CheckoutKind::Main, .. }) | None => "main".to_owned(),
    }
}

impl Sight {
    /// The main checkout of the project, from the file system.
    pub fn main_worktree(&self) -> &AbsPath {
        &self.evidence.main_worktree.0
    }

    /// What the store knows about the directory.
    pub async fn find(&mut self, store: &Store) -> Result<Known, Error> {
        loop {
            match store.find_project(self.evidence.clone()).await? {
                Answer::Is(known) => return Ok(known),
                Answer::Needs(ask) => self.look_at(ask).await,
            }
        }
    }

    /// Stores the directory. `begins`: for work, so the id is written into the repository. If that is not writable, only the
    /// store has it.
    pub async fn remember(&mut self, store: &Store, begins: bool, now: i64, facts: ProjectFacts) -> Result<Seen, Error> {
        if begins {
            self.write_id(store).await?;
        }
        loop {
            match store.remember_project(self.evidence.clone(), begins, now, facts.clone()).await? {
                Answer::Is(seen) => return Ok(*seen),
                Answer::Needs(ask) => self.look_at(ask).await,
            }
        }
    }

    async fn write_id(&mut self, store: &Store) -> Result<(), Error> {
        let Location::Git(layout) = &self.location else { return Ok(()) };
        let common_dir = layout.common_dir.clone();
        for _ in 0..MAX_ATTEMPTS {
            let (project, kind) = match self.find(store).await? {
                Known::Exactly(seen) => (seen.project.id, seen.project.vcs.map_or(PlaceKind::Plain, |_| PlaceKind::Git)),
                Known::Changed(id, kind) => (id, kind),
            };
            if kind == PlaceKind::Plain || self.evidence.file.as_ref() == Some(&project) {
                break;
            }
            let (directory, file) = (common_dir.clone(), self.evidence.file.clone());
            let written = disk::run(&common_dir, move || match file {
                Some(file) => id_file::replace(&directory, &file, &project),
                None => id_file::create(&directory, &project),
            });
            match written.await {
                // If another daemon was first, its id is treated like any found id.
                Ok(id) => self.evidence.file = Some(id),
                Err(error) => {
                    tracing::debug!(%common_dir, %error, "the project's id cannot be written into the repository");
                    break;
                }
            }
        }
        Ok(())
    }

    async fn look_at(&mut self, ask: Ask) {
        let (path, common_dir, seen) = match &ask {
            Ask::IsElsewhere(path, _) | Ask::LeadsHere(path) => {
                (path.clone(), self.evidence.sighting.path.clone(), self.evidence.sighting.stamp)
            }
        };
        let question = ask.clone();
        let look = move || match question {
            Ask::IsElsewhere(path, id) => id_file::read(&path).id() == Some(&id) && stamp(&path).is_ok_and(|other| other != seen),
            Ask::LeadsHere(path) => leads_to(&path, &common_dir),
        };
        let answer = disk::run_within(&path, OTHER_PROJECT_TIMEOUT, look).await;
        // After a timeout: an additional project does less harm than two repositories that share one.
        let answer = answer.unwrap_or(matches!(ask, Ask::IsElsewhere(..)) || !self.evidence.leads_back);
        self.evidence.answers.insert(ask, answer);
    }
}

/// The new path of a moved linked worktree, from the repository's record. `None` if it was not moved, or is not found.
/// Reads the file system.
pub(super) fn moved(linked: &LinkedCheckout) -> Option<AbsPath> {
    let LinkedCheckout { checkout, name, common_dir } = linked;
    let found = layout::linked_worktree(common_dir, name).filter(|found| *found != checkout.path)?;
    // git reuses the name of a removed worktree; the new record is another directory.
    let record = stamp(&common_dir.join("worktrees").join(name)).ok()?;
    (record.inode == checkout.stamp.inode && record.born == checkout.stamp.born).then_some(found)
}

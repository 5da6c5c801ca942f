//! Which project a directory is, and what is remembered of it. No file system is looked at here: what was seen comes along
//! as [`Evidence`], and where a rule needs to know more it says what to look at.

use std::collections::BTreeMap;

use polytree_protocol::{
    events::{EventPayload, ProjectInfo},
    id::ProjectId,
    project::{Project, Vcs},
};

use super::{
    CheckoutId, Error, KnownProject, PlaceKind, ProjectPlace, Rows, Scope, SeenFiles, Store, StoredCheckout, Transaction,
    identity::{self, Decision, Remembered, Sighting, Stamp, decide},
};
use crate::stdx::{paths::AbsPath, text::one_line};

/// A project's name has at most this many characters.
const MAX_NAME: usize = 500;

/// What was seen of a directory on the disk.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What kind of place it is.
    pub kind: PlaceKind,
    /// The common git directory, or the directory itself outside git.
    pub sighting: Sighting,
    /// The id in the repository's id file.
    pub file: Option<ProjectId>,
    /// The top of the checkout.
    pub worktree: AbsPath,
    /// The main checkout, and whether that is certain.
    pub main_worktree: (AbsPath, bool),
    /// It is no main checkout of a git directory that stands apart and does not name it.
    pub leads_back: bool,
    /// There is a `.git` that leads nowhere.
    pub is_broken: bool,
    /// What identifies the checkout in its project, and which directory it is.
    pub checkout: (String, Stamp),
    /// The id of the project, should it be a new one.
    pub new_id: ProjectId,
    /// What was looked at because a rule had asked for it.
    pub answers: BTreeMap<Ask, bool>,
}

/// What a rule needs to know about the disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Whether another repository than the one seen is at this path, with this id in its id file.
    IsElsewhere(AbsPath, ProjectId),
    /// Whether this directory is a checkout of the repository seen.
    LeadsHere(AbsPath),
}

impl Evidence {
    fn answer(&self, ask: Ask) -> Result<bool, Interrupted> {
        self.answers.get(&ask).copied().ok_or(Interrupted::Ask(ask))
    }
}

/// Why a rule has no result.
enum Interrupted {
    Ask(Ask),
    Failed(Error),
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a rule has found, or what has to be looked at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// This.
    Is(T),
    /// Look at this, add the answer to the evidence, and ask again.
    Look(Ask),
}

fn answer<T>(result: Result<T, Interrupted>) -> Result<Answer<T>, Error> {
    match result {
        Ok(found) => Ok(Answer::Is(found)),
        Err(Interrupted::Ask(ask)) => Ok(Answer::Look(ask)),
        Err(Interrupted::Failed(error)) => Err(error),
    }
}

/// The project and checkout of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The project.
    pub project: KnownProject,
    /// The checkout that the directory is in.
    pub checkout: CheckoutId,
    /// Clients can see a difference to before: the project is new, or somewhere else.
    pub changed: bool,
    /// The files of the project that the user has seen and trusts.
    pub trusted: SeenFiles,
}

/// What is known of a directory as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// All of it.
    Exactly(Box<Seen>),
    /// Something is to be remembered; it is this project, at a place of this kind.
    Changed(ProjectId, PlaceKind),
}

/// What is told of a project when it has changed.
#[derive(Debug, Clone)]
pub struct Told {
    /// The directory where it was changed.
    pub directory: String,
    /// The files that count for it, each with a digest.
    pub files: Vec<(String, String)>,
    /// Its main checkout is not there.
    pub missing: bool,
}

/// How a project is changed.
#[derive(Debug, Clone)]
pub enum ProjectChange {
    /// It gets a name, as one line without control characters; an empty one takes it away.
    Name(String),
    /// Its files, as they are now, are trusted.
    Trust(Vec<(String, String)>),
    /// Nothing of it is trusted any more.
    Distrust,
}

/// A linked worktree, and where its repository keeps the record of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedCheckout {
    /// The checkout.
    pub checkout: StoredCheckout,
    /// The name that the repository knows it by.
    pub name: String,
    /// The repository's common git directory.
    pub common_dir: AbsPath,
}

/// How the key of a linked worktree begins.
pub const LINKED: &str = "linked:";

impl KnownProject {
    /// The project as clients see it. `pending` are the files that wait for trust; `missing`: its main checkout is not there.
    #[must_use]
    pub fn to_wire(&self, pending: Vec<String>, missing: bool) -> Project {
        Project {
            id: self.id.clone(),
            worktree: self.worktree.to_string(),
            vcs: self.vcs,
            name: self.name.clone(),
            missing: missing || !self.placed,
            trusted: self.trusted,
            pending,
            time: self.time,
        }
    }

    /// Whether clients can see a difference.
    fn differs_visibly(&self, other: &Self) -> bool {
        (Self { claimed: other.claimed, ..self.clone() }) != *other
    }
}

impl Store {
    /// The project of a directory, if it is known exactly as it is now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_project(&self, evidence: Evidence) -> Result<Answer<Known>, Error> {
        self.read(move |rows| answer(find(rows, &evidence))).await
    }

    /// Remembers what was seen. `claimed`: something begins there, so sessions may refer to the project.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn remember_project(&self, evidence: Evidence, claimed: bool, now: i64, told: Told) -> Result<Answer<Box<Seen>>, Error> {
        self.write(move |transaction| {
            // A rule that asks has changed nothing so far.
            let seen = match answer(remember(transaction.rows, &evidence, claimed, now))? {
                Answer::Is(seen) => seen,
                Answer::Look(ask) => return Ok(Answer::Look(ask)),
            };
            if seen.changed {
                transaction.tell_project(&seen.project, told)?;
            }
            Ok(Answer::Is(Box::new(seen)))
        })
        .await
    }

    /// Changes a project; false when there is no such project.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn change_project(&self, id: ProjectId, change: ProjectChange, now: i64, told: Told) -> Result<bool, Error> {
        self.write(move |transaction| {
            if transaction.rows.project(&id)?.is_none() {
                return Ok(false);
            }
            match change {
                ProjectChange::Name(name) => {
                    let name = Some(one_line(&name, MAX_NAME)).filter(|name| !name.is_empty());
                    transaction.rows.name_project(&id, name.as_deref(), now)?;
                }
                ProjectChange::Trust(files) => transaction.rows.trust_project(&id, &files)?,
                ProjectChange::Distrust => transaction.rows.distrust_project(&id)?,
            }
            let Some(project) = transaction.rows.project(&id)? else { return Ok(false) };
            transaction.tell_project(&project, told)?;
            Ok(true)
        })
        .await
    }

    /// Notes that a project was used.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn touch_project(&self, id: ProjectId, now: i64) -> Result<(), Error> {
        self.write(move |transaction| transaction.rows.touch_project(&id, now)).await
    }

    /// All projects, most recently used first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn projects(&self) -> Result<Vec<KnownProject>, Error> {
        self.read(|rows| rows.projects()).await
    }

    /// All projects with the files that are trusted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn projects_with_trust(&self) -> Result<Vec<(KnownProject, SeenFiles)>, Error> {
        self.read(|rows| {
            let with_trust =
                |project: KnownProject| Ok((rows.trusted_files(&project.id)?, project)).map(|(files, project)| (project, files));
            rows.projects()?.into_iter().map(with_trust).collect()
        })
        .await
    }

    /// A project.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn project(&self, id: ProjectId) -> Result<Option<KnownProject>, Error> {
        self.read(move |rows| rows.project(&id)).await
    }

    /// Those of the checkouts that are linked worktrees of a repository whose place is known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn linked_worktrees(&self, checkouts: Vec<CheckoutId>) -> Result<Vec<LinkedCheckout>, Error> {
        self.read(move |rows| {
            let mut found = Vec::new();
            for id in checkouts {
                let Some(checkout) = rows.checkout(id)? else { continue };
                let Some(name) = checkout.key.as_ref().and_then(|key| key.strip_prefix(LINKED)).map(str::to_owned) else { continue };
                let Some(place) = rows.git_place(&checkout.project)? else { continue };
                found.push(LinkedCheckout { checkout, name, common_dir: place.sighting.path });
            }
            Ok(found)
        })
        .await
    }

    /// Notes where git has moved these checkouts.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn move_checkouts(&self, moved: Vec<(CheckoutId, AbsPath)>) -> Result<(), Error> {
        self.write(move |transaction| moved.iter().try_for_each(|(id, path)| transaction.rows.move_checkout(*id, path, None))).await
    }
}

impl Transaction<'_> {
    fn tell_project(&mut self, project: &KnownProject, told: Told) -> Result<(), Error> {
        let Told { directory, files, missing } = told;
        let trusted = self.rows.trusted_files(&project.id)?;
        let pending = files.into_iter().filter(|file| !trusted.contains(file)).map(|(path, _)| path).collect();
        let scope = Scope { directory: Some(directory), project_id: Some(project.id.clone()), session_id: None };
        self.tell(&scope, &EventPayload::ProjectUpdated(ProjectInfo { info: project.to_wire(pending, missing) })).map(drop)
    }
}

/// What the evidence says, with the place as it should be remembered. `None` for a worktree of a known repository whose
/// `.git` leads nowhere: it stays what it was.
fn recognise(rows: &dyn Rows, evidence: &Evidence) -> Result<Option<ProjectPlace>, Interrupted> {
    if evidence.is_broken && rows.git_checkout_at(&evidence.worktree)?.is_some() {
        return Ok(None);
    }
    let Evidence { kind, sighting, file, new_id, .. } = evidence;
    let plain = |path| rows.place_at(PlaceKind::Plain, path).map(|place| place.map(|place| place.project));
    let project = match kind {
        PlaceKind::Plain => plain(&sighting.path)?.unwrap_or_else(|| new_id.clone()),
        PlaceKind::Git => {
            let here = rows.same_place(sighting)?.map(|place| Remembered { project: place.project, file: place.file });
            let owner = file.as_ref().map(|id| rows.git_place(id)).transpose()?.flatten();
            let file_is_taken = match owner.filter(|owner| owner.sighting.path != sighting.path) {
                Some(owner) => evidence.answer(Ask::IsElsewhere(owner.sighting.path, owner.project))?,
                None => false,
            };
            let plain = plain(&evidence.main_worktree.0)?;
            match decide(identity::Evidence { file: file.clone(), here, file_is_taken, plain }) {
                Decision::Keep(id) | Decision::Adopt(id) | Decision::Convert(id) => id,
                Decision::Mint => new_id.clone(),
            }
        }
    };
    Ok(Some(ProjectPlace { project, sighting: sighting.clone(), file: file.clone() }))
}

/// The evidence, or that of a plain directory where nothing of the repository leads back to this checkout. A git directory
/// that stands apart from its main checkout names none: then it is the one that was seen first, as long as that is there.
fn judged(rows: &dyn Rows, evidence: &Evidence) -> Result<Evidence, Interrupted> {
    let mut evidence = evidence.clone();
    if evidence.kind == PlaceKind::Git
        && !evidence.leads_back
        && let Some(place) = rows.same_place(&evidence.sighting)?
        && let Some(first) = rows.project(&place.project)?.map(|project| project.worktree)
        && first != evidence.worktree
        && evidence.answer(Ask::LeadsHere(first))?
    {
        evidence.kind = PlaceKind::Plain;
        evidence.sighting = Sighting { path: evidence.worktree.clone(), stamp: evidence.checkout.1 };
        evidence.file = None;
        evidence.main_worktree = (evidence.worktree.clone(), true);
    }
    Ok(evidence)
}

fn find(rows: &dyn Rows, evidence: &Evidence) -> Result<Known, Interrupted> {
    let evidence = &judged(rows, evidence)?;
    let Some(place) = recognise(rows, evidence)? else {
        return Ok(Known::Exactly(Box::new(known_but_broken(rows, evidence)?)));
    };
    Ok(match unchanged(rows, evidence, &place)? {
        Some(seen) => Known::Exactly(Box::new(seen)),
        None => Known::Changed(place.project, evidence.kind),
    })
}

fn unchanged(rows: &dyn Rows, evidence: &Evidence, place: &ProjectPlace) -> Result<Option<Seen>, Interrupted> {
    let Some(project) = rows.project(&place.project)? else { return Ok(None) };
    if rows.place_at(evidence.kind, &place.sighting.path)?.as_ref() != Some(place)
        || project.worktree != main_worktree(evidence, Some(&project))?
    {
        return Ok(None);
    }
    let (key, stamp) = &evidence.checkout;
    let stored = rows.checkout_of(&place.project, key)?;
    let Some(checkout) = stored.filter(|stored| stored.path == evidence.worktree && stored.stamp == *stamp) else { return Ok(None) };
    let trusted = rows.trusted_files(&project.id)?;
    Ok(Some(Seen { project, checkout: checkout.id, changed: false, trusted }))
}

fn remember(rows: &mut dyn Rows, evidence: &Evidence, claimed: bool, now: i64) -> Result<Seen, Interrupted> {
    let evidence = &judged(rows, evidence)?;
    let Some(place) = recognise(rows, evidence)? else { return Ok(known_but_broken(rows, evidence)?) };
    if let Some(seen) = unchanged(rows, evidence, &place)?
        && (seen.project.claimed || !claimed)
    {
        return Ok(seen);
    }
    let before = rows.project(&place.project)?;
    let worktree = main_worktree(evidence, before.as_ref())?;
    // Only what was seen is updated: name, trust and times are the project's own.
    rows.put_project(&place.project, &worktree, evidence.kind == PlaceKind::Git, claimed, now)?;
    take_place(rows, evidence.kind, &place)?;
    let checkout = note_checkout(rows, &place.project, evidence)?;
    let project = rows.project(&place.project)?.ok_or_else(|| gone(&place.project))?;
    let trusted = rows.trusted_files(&project.id)?;
    let changed = before.is_none_or(|before| before.differs_visibly(&project));
    Ok(Seen { project, checkout, changed, trusted })
}

/// The main checkout. Where the evidence can only guess it, one that was seen before and still is one is better.
fn main_worktree(evidence: &Evidence, known: Option<&KnownProject>) -> Result<AbsPath, Interrupted> {
    let (path, is_certain) = &evidence.main_worktree;
    if !is_certain
        && let Some(known) = known
        && known.worktree != *path
        && known.vcs == Some(Vcs::Git)
        && evidence.answer(Ask::LeadsHere(known.worktree.clone()))?
    {
        return Ok(known.worktree.clone());
    }
    Ok(path.clone())
}

/// Takes the place from any other project and gives it to this one, which leaves the one it had. A project that loses its
/// place and was only ever read is forgotten: nothing can refer to it.
fn take_place(rows: &mut dyn Rows, kind: PlaceKind, place: &ProjectPlace) -> Result<(), Error> {
    let mut losers = vec![rows.place_at(kind, &place.sighting.path)?];
    if kind == PlaceKind::Git {
        losers.push(rows.same_place(&place.sighting)?);
    }
    for loser in losers.into_iter().flatten().filter(|loser| loser.project != place.project) {
        rows.remove_place(&loser.project)?;
        rows.forget_project(&loser.project)?;
    }
    rows.put_place(kind, place)
}

/// Remembers the checkout where it is now, and gives its id.
fn note_checkout(rows: &mut dyn Rows, project: &ProjectId, evidence: &Evidence) -> Result<CheckoutId, Error> {
    let ((key, stamp), path) = (&evidence.checkout, &evidence.worktree);
    let mut known = rows.checkout_of(project, key)?;
    if let Some(stored) = &known
        && key.starts_with(LINKED)
        && stored.path != *path
        && !(stored.stamp.inode == stamp.inode && stored.stamp.born == stamp.born)
    {
        // git gives the name of a removed worktree to the next one: neither its place nor its record is the same.
        rows.retire_checkout(stored.id)?;
        known = None;
    }
    if let Some(stored) = known {
        rows.move_checkout(stored.id, path, Some(*stamp))?;
        return Ok(stored.id);
    }
    rows.insert_checkout(project, key, path, *stamp)
}

fn known_but_broken(rows: &dyn Rows, evidence: &Evidence) -> Result<Seen, Error> {
    let lost = || Error::Engine { fault: super::Fault::Other, message: format!("no checkout is known at {}", evidence.worktree) };
    let (checkout, id) = rows.git_checkout_at(&evidence.worktree)?.ok_or_else(lost)?;
    let project = rows.project(&id)?.ok_or_else(|| gone(&id))?;
    let trusted = rows.trusted_files(&id)?;
    Ok(Seen { project, checkout, changed: false, trusted })
}

fn gone(id: &ProjectId) -> Error {
    Error::Engine { fault: super::Fault::Other, message: format!("the project {id} is not there") }
}

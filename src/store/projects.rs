//! Which project a directory belongs to, and what is stored about it. Nothing here accesses the file system: callers
//! pass what they have found as [`Evidence`], and a rule that needs another fact returns what to check.

use std::collections::BTreeMap;

use polytree_protocol::{
    events::{EventPayload, ProjectInfo, ProjectOnly},
    id::ProjectId,
    project::{Project, Vcs},
};

use super::{
    CheckoutId, Error, KnownProject, PlaceKind, ProjectPlace, Rows, Scope, SeenFiles, Store, StoredCheckout, Transaction,
    identity::{self, Decision, Remembered, Sighting, Stamp, decide},
};
use crate::stdx::{paths::AbsPath, text::one_line};

/// The longest name of a project, in characters.
const MAX_NAME_CHARS: usize = 500;

/// What was found about a directory on disk.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub kind: PlaceKind,
    /// The common git directory, or the directory itself outside git.
    pub sighting: Sighting,
    /// The id in the repository's id file.
    pub file: Option<ProjectId>,
    /// The top of the checkout.
    pub worktree: AbsPath,
    /// The main checkout, and whether that is certain.
    pub main_worktree: (AbsPath, bool),
    /// False for a main checkout whose git directory is elsewhere and does not name this checkout.
    pub leads_back: bool,
    /// `.git` points to a directory that does not exist.
    pub is_broken: bool,
    /// The key of the checkout in its project, and its identity.
    pub checkout: (String, Stamp),
    /// The id to use if the project is new.
    pub new_id: ProjectId,
    /// The results of the checks that a rule has requested.
    pub answers: BTreeMap<Ask, bool>,
}

/// A fact about the file system that a rule needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Whether another repository with this id in its id file is at this path.
    IsElsewhere(AbsPath, ProjectId),
    /// Whether this directory is a checkout of the repository in question.
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

/// The result of a rule, or the check that it needs first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    Is(T),
    /// Check this, add the result to the evidence, and call again.
    Needs(Ask),
}

fn answer<T>(result: Result<T, Interrupted>) -> Result<Answer<T>, Error> {
    match result {
        Ok(found) => Ok(Answer::Is(found)),
        Err(Interrupted::Ask(ask)) => Ok(Answer::Needs(ask)),
        Err(Interrupted::Failed(error)) => Err(error),
    }
}

/// The project and checkout of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub project: KnownProject,
    /// The checkout that the directory is in.
    pub checkout: CheckoutId,
    /// Something that clients see has changed: the project is new, or was moved.
    pub changed: bool,
    /// The files of the project that the user has reviewed and trusts.
    pub trusted: SeenFiles,
}

/// What the store knows about a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    Exactly(Box<Seen>),
    /// It belongs to this project, but its stored data must be updated.
    Changed(ProjectId, PlaceKind),
}

/// What the event about a changed project contains beside stored data.
#[derive(Debug, Clone)]
pub struct ProjectFacts {
    /// The directory in which it was changed.
    pub directory: String,
    /// The files that need trust, each with a digest.
    pub files: Vec<(String, String)>,
    /// Its main checkout does not exist.
    pub missing: bool,
}

/// A change of a project.
#[derive(Debug, Clone)]
pub enum ProjectChange {
    /// AGENTS.md was written or improved.
    Initialized,
    /// Sets the name, reduced to one line without control characters; an empty one removes it.
    Name(String),
    /// Trusts these files with their current contents.
    Trust(Vec<(String, String)>),
    /// Withdraws all trust.
    Distrust,
}

/// A linked worktree, and where its repository stores its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedCheckout {
    pub checkout: StoredCheckout,
    /// Its name in the repository's `worktrees` directory.
    pub name: String,
    /// The repository's common git directory.
    pub common_dir: AbsPath,
}

/// The prefix of the keys of linked worktrees.
pub const LINKED: &str = "linked:";

impl KnownProject {
    /// The project in its wire form. `pending` are the files that wait for trust; `missing`: its main checkout does not
    /// exist.
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

    /// Whether something that clients see differs.
    fn differs_visibly(&self, other: &Self) -> bool {
        (Self { claimed: other.claimed, ..self.clone() }) != *other
    }
}

impl Store {
    /// The project of a directory.
    pub async fn find_project(&self, evidence: Evidence) -> Result<Answer<Known>, Error> {
        self.read(move |rows| answer(find(rows, &evidence))).await
    }

    /// Stores what was found. `claimed`: sessions may refer to the project from now on.
    pub async fn remember_project(
        &self,
        evidence: Evidence,
        claimed: bool,
        now: i64,
        facts: ProjectFacts,
    ) -> Result<Answer<Box<Seen>>, Error> {
        self.write(move |transaction| {
            // A rule that requests a check has changed nothing so far.
            let seen = match answer(remember(transaction.rows, &evidence, claimed, now))? {
                Answer::Is(seen) => seen,
                Answer::Needs(ask) => return Ok(Answer::Needs(ask)),
            };
            if seen.changed {
                transaction.emit_project(&seen.project, facts)?;
            }
            Ok(Answer::Is(Box::new(seen)))
        })
        .await
    }

    /// Changes a project; false if there is no such project.
    pub async fn change_project(&self, id: ProjectId, change: ProjectChange, now: i64, facts: ProjectFacts) -> Result<bool, Error> {
        self.write(move |transaction| {
            if transaction.rows.project(&id)?.is_none() {
                return Ok(false);
            }
            match change {
                ProjectChange::Name(name) => {
                    let name = Some(one_line(&name, MAX_NAME_CHARS)).filter(|name| !name.is_empty());
                    transaction.rows.name_project(&id, name.as_deref(), now)?;
                }
                ProjectChange::Initialized => transaction.rows.initialize_project(&id, now)?,
                ProjectChange::Trust(files) => transaction.rows.trust_project(&id, &files)?,
                ProjectChange::Distrust => transaction.rows.distrust_project(&id)?,
            }
            let Some(project) = transaction.rows.project(&id)? else { return Ok(false) };
            transaction.emit_project(&project, facts)?;
            Ok(true)
        })
        .await
    }

    /// Deletes a project with its trust and grants; `None` if there is none, false if it has sessions.
    pub async fn forget_project(&self, id: ProjectId) -> Result<Option<bool>, Error> {
        self.write(move |transaction| {
            let Some(project) = transaction.rows.project(&id)? else { return Ok(None) };
            if transaction.rows.has_sessions(&id)? {
                return Ok(Some(false));
            }
            transaction.rows.delete_project(&id)?;
            let scope = Scope { directory: Some(project.worktree.to_string()), project_id: Some(id.clone()), ..Scope::default() };
            transaction.emit(&scope, &EventPayload::ProjectForgotten(ProjectOnly { project_id: id }))?;
            Ok(Some(true))
        })
        .await
    }

    /// Updates the time of last use.
    pub async fn touch_project(&self, id: ProjectId, now: i64) -> Result<(), Error> {
        self.write(move |transaction| transaction.rows.touch_project(&id, now)).await
    }

    /// All projects, most recently used first.
    pub async fn projects(&self) -> Result<Vec<KnownProject>, Error> {
        self.read(|rows| rows.projects()).await
    }

    /// All projects with their trusted files.
    pub async fn projects_with_trust(&self) -> Result<Vec<(KnownProject, SeenFiles)>, Error> {
        self.read(|rows| {
            let with_trust =
                |project: KnownProject| Ok((rows.trusted_files(&project.id)?, project)).map(|(files, project)| (project, files));
            rows.projects()?.into_iter().map(with_trust).collect()
        })
        .await
    }

    /// A project.
    pub async fn project(&self, id: ProjectId) -> Result<Option<KnownProject>, Error> {
        self.read(move |rows| rows.project(&id)).await
    }

    /// The checkouts that are linked worktrees of a repository whose git directory is known.
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

    /// Stores the new paths of checkouts that git has moved.
    pub async fn move_checkouts(&self, moved: Vec<(CheckoutId, AbsPath)>) -> Result<(), Error> {
        self.write(move |transaction| moved.iter().try_for_each(|(id, path)| transaction.rows.move_checkout(*id, path, None))).await
    }
}

impl Transaction<'_> {
    fn emit_project(&mut self, project: &KnownProject, facts: ProjectFacts) -> Result<(), Error> {
        let ProjectFacts { directory, files, missing } = facts;
        let trusted = self.rows.trusted_files(&project.id)?;
        let pending = files.into_iter().filter(|file| !trusted.contains(file)).map(|(path, _)| path).collect();
        let scope = Scope { directory: Some(directory), project_id: Some(project.id.clone()), ..Scope::default() };
        self.emit(&scope, &EventPayload::ProjectUpdated(ProjectInfo { info: project.to_wire(pending, missing) })).map(drop)
    }
}

/// The project by the evidence, with the place to store. `None` for a worktree of a known repository whose `.git`
/// points nowhere: it keeps its project.
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

/// The evidence, or that of a plain directory if the repository does not lead back to this checkout. A git directory
/// outside its main checkout names none; then the main checkout is the one that was found first, as long as it exists.
fn effective_evidence(rows: &dyn Rows, evidence: &Evidence) -> Result<Evidence, Interrupted> {
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
    let evidence = &effective_evidence(rows, evidence)?;
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
    let evidence = &effective_evidence(rows, evidence)?;
    let Some(place) = recognise(rows, evidence)? else { return Ok(known_but_broken(rows, evidence)?) };
    if let Some(seen) = unchanged(rows, evidence, &place)?
        && (seen.project.claimed || !claimed)
    {
        return Ok(seen);
    }
    let before = rows.project(&place.project)?;
    let worktree = main_worktree(evidence, before.as_ref())?;
    // Updates only what was found: name, trust and times stay.
    rows.put_project(&place.project, &worktree, evidence.kind == PlaceKind::Git, claimed, now)?;
    assign_place(rows, evidence.kind, &place)?;
    let checkout = store_checkout(rows, &place.project, evidence)?;
    let project = rows.project(&place.project)?.ok_or_else(|| gone(&place.project))?;
    let trusted = rows.trusted_files(&project.id)?;
    let changed = before.is_none_or(|before| before.differs_visibly(&project));
    Ok(Seen { project, checkout, changed, trusted })
}

/// The main checkout. If the evidence can only guess it, a stored one that still is a checkout is better.
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

/// Assigns the place to this project, in exchange for its current one, and removes it from any other project. A project
/// that loses its place and was never claimed is deleted: nothing can refer to it.
fn assign_place(rows: &mut dyn Rows, kind: PlaceKind, place: &ProjectPlace) -> Result<(), Error> {
    let mut previous = vec![rows.place_at(kind, &place.sighting.path)?];
    if kind == PlaceKind::Git {
        previous.push(rows.same_place(&place.sighting)?);
    }
    for other in previous.into_iter().flatten().filter(|other| other.project != place.project) {
        rows.remove_place(&other.project)?;
        rows.forget_project(&other.project)?;
    }
    rows.put_place(kind, place)
}

/// Stores the checkout with its current path, and returns its id.
fn store_checkout(rows: &mut dyn Rows, project: &ProjectId, evidence: &Evidence) -> Result<CheckoutId, Error> {
    let ((key, stamp), path) = (&evidence.checkout, &evidence.worktree);
    let mut known = rows.checkout_of(project, key)?;
    if let Some(stored) = &known
        && key.starts_with(LINKED)
        && stored.path != *path
        && !(stored.stamp.inode == stamp.inode && stored.stamp.born == stamp.born)
    {
        // git reuses the name of a removed worktree: this one has neither the same path nor the same record.
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

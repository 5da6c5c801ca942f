//! Random sequences of operations on directories: all checkouts of one clone are one project, two clones never are, and
//! moving changes nothing.

use std::{collections::HashSet, fs};

use polytree_protocol::id::ProjectId;
use proptest::prelude::*;

use super::support::{Registry, Sandbox, git, id_file};

#[derive(Debug, Clone, Copy)]
enum Step {
    MakeDirectory,
    GitInit(usize),
    Clone(usize),
    Copy(usize),
    Move(usize),
    MovePlain(usize),
    AddWorktree(usize),
    MoveWorktree(usize, Mover),
    Look(usize, usize, How),
    LookPlain(usize, How),
}

#[derive(Debug, Clone, Copy)]
enum Mover {
    Git,
    Mv,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Read,
    Claim,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..8usize;
    let how = || prop_oneof![Just(How::Read), Just(How::Claim)];
    let mover = prop_oneof![Just(Mover::Git), Just(Mover::Mv)];
    prop_oneof![
        1 => Just(Step::MakeDirectory),
        2 => which.clone().prop_map(Step::GitInit),
        2 => which.clone().prop_map(Step::Clone),
        2 => which.clone().prop_map(Step::Copy),
        3 => which.clone().prop_map(Step::Move),
        1 => which.clone().prop_map(Step::MovePlain),
        2 => which.clone().prop_map(Step::AddWorktree),
        2 => (which.clone(), mover).prop_map(|(which, mover)| Step::MoveWorktree(which, mover)),
        4 => (which.clone(), which.clone(), how()).prop_map(|(which, tree, how)| Step::Look(which, tree, how)),
        2 => (which, how()).prop_map(|(which, how)| Step::LookPlain(which, how)),
    ]
}

/// The expected state of a repository or plain directory.
#[derive(Debug, Clone, Default)]
struct Thing {
    /// The main checkout, then the linked ones.
    checkouts: Vec<String>,
    /// The id from the registry.
    id: Option<ProjectId>,
}

struct World {
    sandbox: Sandbox,
    registry: Registry,
    repositories: Vec<Thing>,
    plain: Vec<Thing>,
    /// All ids so far.
    ids: HashSet<ProjectId>,
    names: usize,
    /// Whether the file system has creation times.
    tells_birth: bool,
}

fn look(world: &mut World, which: Which, tree: usize, how: How) {
    let thing = match which {
        Which::Repository(index) => &mut world.repositories[index],
        Which::Plain(index) => &mut world.plain[index],
    };
    let path = world.sandbox.path(&thing.checkouts[tree % thing.checkouts.len()]);
    let id = match how {
        How::Read => world.registry.peek_id(&path),
        How::Claim => world.registry.claim_id(&path),
    };
    match &thing.id {
        Some(known) => assert_eq!(*known, id, "{path} has changed its identity"),
        None => assert!(world.ids.insert(id.clone()), "{path} was given the identity of another"),
    }
    if let (How::Claim, Which::Repository(_)) = (how, which) {
        assert_eq!(id_file(&path), Some(format!("{id}\n")));
    }
    thing.id = Some(id);
}

#[derive(Debug, Clone, Copy)]
enum Which {
    Repository(usize),
    Plain(usize),
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.repository("first");
        let tells_birth = fs::metadata(sandbox.path("first/.git")).unwrap().created().is_ok();
        let first = Thing { checkouts: vec!["first".to_owned()], id: None };
        Self { sandbox, registry: Registry::new(), repositories: vec![first], plain: vec![], ids: HashSet::new(), names: 0, tells_birth }
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn look_at_all(&mut self) {
        for index in 0..self.repositories.len() {
            for tree in 0..self.repositories[index].checkouts.len() {
                look(self, Which::Repository(index), tree, How::Read);
            }
        }
        for index in 0..self.plain.len() {
            look(self, Which::Plain(index), 0, How::Read);
        }
    }

    fn take(&mut self, step: Step) {
        let name = self.new_name();
        let repository = |which: usize| which % self.repositories.len();
        let plain = |which: usize| (!self.plain.is_empty()).then(|| which % self.plain.len());
        match step {
            Step::MakeDirectory => {
                self.sandbox.make_directory(&name);
                self.plain.push(Thing { checkouts: vec![name], id: None });
            }
            Step::GitInit(which) => {
                let Some(index) = plain(which) else { return };
                let thing = self.plain.remove(index);
                self.sandbox.repository(&thing.checkouts[0]);
                self.repositories.push(thing);
                // Before it is known as a repository it is identified by its path only, which a move changes.
                look(self, Which::Repository(self.repositories.len() - 1), 0, How::Read);
            }
            Step::Clone(which) => {
                let from = self.repositories[repository(which)].checkouts[0].clone();
                git(&self.sandbox.root, &["clone", "--quiet", &from, &name]);
                self.repositories.push(Thing { checkouts: vec![name], id: None });
            }
            Step::Copy(which) => {
                let index = repository(which);
                // A copy cannot be distinguished from an original of which neither the path nor the directory is known.
                self.look_at_all();
                let copy = self.sandbox.copy(&self.repositories[index].checkouts[0], &name);
                // The records of linked worktrees belong to the original; git would "repair" them for the copy.
                let _ = fs::remove_dir_all(copy.join(".git/worktrees"));
                self.repositories.push(Thing { checkouts: vec![name], id: None });
                look(self, Which::Repository(self.repositories.len() - 1), 0, How::Read);
            }
            Step::Move(which) => {
                let index = repository(which);
                let claimed = id_file(&self.sandbox.path(&self.repositories[index].checkouts[0])).is_some();
                let thing = &mut self.repositories[index];
                let path = self.sandbox.rename(&thing.checkouts[0], &name);
                thing.checkouts[0] = name;
                if !claimed && !self.tells_birth {
                    thing.id = None;
                }
                let linked = thing.checkouts[1..].iter().map(|name| self.sandbox.path(name).to_string()).collect::<Vec<_>>();
                let args = ["worktree", "repair"].into_iter().chain(linked.iter().map(String::as_str)).collect::<Vec<_>>();
                git(&path, &args);
            }
            Step::MovePlain(which) => {
                let Some(index) = plain(which) else { return };
                self.sandbox.rename(&self.plain[index].checkouts[0], &name);
                self.plain[index] = Thing { checkouts: vec![name], id: None };
            }
            Step::AddWorktree(which) => {
                let index = repository(which);
                let main = self.sandbox.path(&self.repositories[index].checkouts[0]);
                self.sandbox.linked(&main, &name);
                self.repositories[index].checkouts.push(name);
            }
            Step::MoveWorktree(which, mover) => {
                let index = repository(which);
                let thing = &mut self.repositories[index];
                if thing.checkouts.len() < 2 {
                    return;
                }
                let tree = 1 + which % (thing.checkouts.len() - 1);
                let old = std::mem::replace(&mut thing.checkouts[tree], name.clone());
                match mover {
                    Mover::Mv => drop(self.sandbox.rename(&old, &name)),
                    Mover::Git => {
                        let (old, new) = (self.sandbox.path(&old).to_string(), self.sandbox.path(&name).to_string());
                        let main = self.sandbox.path(&thing.checkouts[0]);
                        git(&main, &["worktree", "repair", &old]);
                        git(&main, &["worktree", "move", &old, &new]);
                    }
                }
            }
            Step::Look(which, tree, how) => look(self, Which::Repository(repository(which)), tree, how),
            Step::LookPlain(which, how) => {
                let Some(index) = plain(which) else { return };
                look(self, Which::Plain(index), 0, how);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn identity_survives_whatever_people_do(steps in prop::collection::vec(step(), 4..20)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.look_at_all();
        // A second look gives the same result.
        world.look_at_all();
    }
}

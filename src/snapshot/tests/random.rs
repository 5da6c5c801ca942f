//! Random changes by tools, commands, editors and people, taken back and made again, with a process that may end anywhere
//! between. What is compared with is a plain map of contents: no file changes that the session did not write, no line that
//! somebody else has written is lost, and taking back a revert makes everything as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;

use super::support::{Client, Kind, Manner, World};
use crate::{
    snapshot::{Action, ChangeSet, Done, Error, FilePlan, State},
    stdx::paths::AbsPath,
};

/// The last one is ignored.
const PATHS: [&str; 9] = ["a", "b", "d/c", "d/e/f", "n", "x/y", "x", "link", "i.log"];
/// Those that commands write.
const OF_COMMANDS: usize = 8;
/// Where a file may stand in a directory's place.
const ODD: [&str; 2] = ["x/y", "x"];

#[derive(Debug, Clone)]
enum Op {
    Tool(usize, Edit),
    Command(Vec<Small>),
    Person(Small),
    Type(usize, Edit, bool),
    Close,
    Undo { from: usize, partial: bool, end: Option<usize>, meanwhile: Option<usize>, again: bool },
}

#[derive(Debug, Clone)]
enum Small {
    Write(usize, Edit),
    Delete(usize),
    Rename(usize, usize),
    Chmod(usize),
    Link(usize),
}

/// At a line: in its place, before it, or without it.
type Edit = (usize, usize);

/// What is at a path: content or target, and whether it is executable or a link.
type Entry = (String, &'static str);
type Files = BTreeMap<String, Entry>;

fn edit() -> impl Strategy<Value = Edit> {
    (0..8usize, 0..4usize)
}

fn small(paths: usize) -> impl Strategy<Value = Small> {
    prop_oneof![
        4 => (0..paths, edit()).prop_map(|(path, edit)| Small::Write(path, edit)),
        1 => (0..paths).prop_map(Small::Delete),
        1 => (0..paths, 0..paths).prop_map(|(from, to)| Small::Rename(from, to)),
        1 => (0..paths).prop_map(Small::Chmod),
        1 => (0..paths).prop_map(Small::Link),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let meanwhile = prop::option::weighted(0.3, 0..PATHS.len());
    let undo = (0..4usize, any::<bool>(), prop::option::weighted(0.5, 0..16usize), meanwhile, any::<bool>());
    prop_oneof![
        4 => (0..PATHS.len(), edit()).prop_map(|(path, edit)| Op::Tool(path, edit)),
        4 => prop::collection::vec(small(OF_COMMANDS), 1..4).prop_map(Op::Command),
        3 => small(PATHS.len()).prop_map(Op::Person),
        1 => (0..PATHS.len(), edit(), any::<bool>()).prop_map(|(path, edit, refuses)| Op::Type(path, edit, refuses)),
        1 => Just(Op::Close),
        3 => undo.prop_map(|(from, partial, end, meanwhile, again)| Op::Undo { from, partial, end, meanwhile, again }),
    ]
}

/// What was at a path before and after.
type Told = (Option<Entry>, Option<Entry>);

/// A set of changes, and what they were by the map.
struct Set {
    set: ChangeSet,
    told: BTreeMap<String, Told>,
}

struct Case {
    world: World,
    sets: Vec<Set>,
    editor: Option<(Arc<Client>, String)>,
    next: usize,
}

impl Case {
    async fn new(kind: Kind) -> Self {
        let text = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let files = [(".gitignore", "*.log\n"), ("a", text), ("b", text), ("d/c", text), ("d/e/f", text), ("x/y", text)];
        Self { world: World::new(kind, &files).await, sets: Vec::new(), editor: None, next: 0 }
    }

    fn disk(&self) -> Files {
        let mut files = Files::new();
        for (path, (text, mode)) in self.world.map() {
            let is_link = self.world.root.join(&path).as_path().is_symlink();
            let kind = if is_link {
                "link"
            } else if mode & 0o100 != 0 {
                "executable"
            } else {
                "plain"
            };
            if !path.ends_with('/') {
                files.insert(path, (text, kind));
            }
        }
        files
    }

    /// With what the editor holds.
    fn newest(&self) -> Files {
        let mut files = self.disk();
        if let Some((editor, path)) = &self.editor {
            files.entry(path.clone()).or_insert((String::new(), "plain")).0 = editor.text();
        }
        files
    }

    /// A text with one line changed, which nobody else has written.
    fn edited(&mut self, text: &str, (line, what): Edit, who: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        self.next += 1;
        let (line, new) = (line.min(lines.len()), format!("{who}{}", self.next));
        match what {
            0 if line < lines.len() => drop(lines.remove(line)),
            1 | 2 if line < lines.len() => lines[line] = new,
            _ => lines.insert(line, new),
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// What does not work does nothing, as in a shell.
    fn small(&mut self, small: &Small, who: &str) {
        let at = |path: usize| self.world.root.join(PATHS[path]);
        match small {
            Small::Write(path, edit) => {
                let path = at(*path);
                let text = fs::read_to_string(&path).unwrap_or_default();
                let _ = fs::create_dir_all(path.parent().unwrap());
                let _ = fs::write(path, self.edited(&text, *edit, who));
            }
            Small::Delete(path) => {
                let _ = fs::remove_file(at(*path));
                if PATHS[*path] == "x" {
                    let _ = fs::remove_dir_all(at(*path));
                }
            }
            Small::Rename(from, to) => drop(fs::rename(at(*from), at(*to))),
            Small::Chmod(path) => {
                let path = at(*path);
                if let Ok(metadata) = path.as_path().symlink_metadata()
                    && metadata.is_file()
                {
                    let mode = metadata.permissions().mode() ^ 0o111;
                    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
            Small::Link(path) => {
                let _ = fs::remove_file(at(*path));
                let _ = symlink("a", at(*path));
            }
        }
    }

    fn note(&mut self, set: ChangeSet, before: &Files, after: &Files) {
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let change = |path: &&String| (before.get(*path).cloned(), after.get(*path).cloned());
        let told: BTreeMap<_, _> =
            paths.iter().map(|path| ((*path).clone(), change(path))).filter(|(_, (before, after))| before != after).collect();
        let seen: BTreeSet<String> = set.changes.iter().map(|change| change.path.relative_to(&self.world.root)).collect();
        assert_eq!(seen, told.keys().cloned().collect(), "what the session wrote");
        assert_eq!(set.uncovered, []);
        self.sets.push(Set { set, told });
    }

    async fn run(&mut self, op: &Op) {
        match op {
            Op::Tool(path, edit) => self.tool(PATHS[*path], *edit).await,
            Op::Command(smalls) => {
                let before = self.disk();
                let running = self.world.following.begin(self.world.session.clone()).await;
                smalls.iter().for_each(|small| self.small(small, "s"));
                let set = running.end().await;
                let after = self.disk();
                self.note(set, &before, &after);
            }
            Op::Person(small) => self.small(small, "u"),
            Op::Type(path, edit, refuses) => {
                self.close();
                let path = PATHS[*path];
                let Some((text, _)) = self.disk().get(path).filter(|(_, kind)| *kind != "link").cloned() else { return };
                let text = self.edited(&text, *edit, "u");
                let manner = if *refuses { Manner::Refuses } else { Manner::Edits };
                self.editor = Some((Client::open(&self.world, 1, path, &text, manner), path.to_owned()));
            }
            Op::Close => self.close(),
            Op::Undo { from, partial, end, meanwhile, again } => {
                let from = *from % (self.sets.len() + 1);
                self.undo(from, *partial, *end, *meanwhile, *again).await;
            }
        }
    }

    fn close(&mut self) {
        if let Some((editor, _)) = self.editor.take() {
            editor.close();
        }
    }

    async fn tool(&mut self, path: &str, edit: Edit) {
        let at = self.world.root.join(path);
        let is_link = at.as_path().is_symlink() || at.as_path().is_dir();
        let has_room = at
            .ancestors()
            .skip(1)
            .find(|parent| parent.as_path().symlink_metadata().is_ok())
            .is_some_and(|parent| parent.as_path().is_dir() && parent.real().unwrap() == parent);
        // A tool names the real path, and an editor that refuses is asked by nobody.
        if is_link || !has_room || self.editor.as_ref().is_some_and(|(_, held)| held == path) {
            return;
        }
        let before = self.newest();
        let text = self.edited(before.get(path).map_or("", |(text, _)| text), edit, "s");
        let set = self.world.tool(path, &text).await;
        let after = self.newest();
        self.note(set, &before, &after);
    }

    /// Takes back all sets from one on, and may be make that again.
    async fn undo(&mut self, from: usize, partial: bool, end: Option<usize>, meanwhile: Option<usize>, again: bool) {
        if end.is_some() {
            // What it holds does not outlive the process.
            self.close();
        }
        let mut before = self.newest();
        let sets: Vec<ChangeSet> = self.sets[from..].iter().map(|set| set.set.clone()).collect();
        let plan = self.world.preview(&sets).await;
        assert_eq!(self.newest(), before, "a preview changes nothing");
        if let Some(end) = end {
            let passed = AtomicUsize::new(0);
            self.world.restart(move |_| passed.fetch_add(1, Ordering::SeqCst) == end).await;
        }
        let reverted = self.world.revert_part(&sets, partial).await;
        if end.is_some() && !matches!(reverted, Err(Error::Killed)) {
            // It has not come to where it was to end, and is not to end later.
            self.world.restart(|_| false).await;
        }
        let (done, journal) = match reverted {
            Ok(reverted) => (reverted.done, reverted.journal),
            Err(Error::Killed) => {
                let left = self.newest();
                if let Some(path) = meanwhile {
                    self.small(&Small::Write(path, (0, 3)), "u");
                }
                let now = self.newest();
                for path in now.keys().filter(|path| now.get(*path) != left.get(*path)) {
                    before.insert(path.clone(), now[path].clone());
                }
                self.world.restart(|_| false).await;
                let Some(recovered) = self.world.snapshots.recover().await.pop() else {
                    assert_eq!(self.newest(), before, "it had not begun");
                    return;
                };
                (recovered.done, recovered.journal)
            }
            Err(Error::Conflict(told)) => {
                assert!(told.conflicts().next().is_some());
                assert_eq!(self.newest(), before, "nothing was changed");
                return;
            }
            Err(Error::Nothing(_)) => {
                assert!(plan.is_empty());
                assert_eq!(self.newest(), before);
                return;
            }
            Err(error) => panic!("{error}"),
        };
        journal.finish();
        let was_killed = end.is_some() && meanwhile.is_some();
        self.check(from, &before, &done, was_killed);
        let Some(id) = done.changes else { return };
        let made = self.world.snapshots.changes(&self.world.root, id).await.unwrap();
        if !again {
            self.sets.truncate(from);
            return;
        }
        match self.world.revert(&[made]).await {
            Ok(reverted) => {
                reverted.journal.finish();
                if !was_killed {
                    assert_eq!(self.newest(), before, "made again it is as it was");
                }
            }
            Err(Error::Conflict(_)) if was_killed => self.sets.truncate(from),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn check(&self, from: usize, before: &Files, done: &Done, somebody_wrote_meanwhile: bool) {
        let after = self.newest();
        let root = &self.world.root;
        let told: BTreeMap<String, &FilePlan> = done.files.iter().map(|file| (file.path.relative_to(root), file)).collect();
        let mut chains: BTreeMap<&String, Vec<&Told>> = BTreeMap::new();
        for set in &self.sets[from..] {
            set.told.iter().for_each(|(path, change)| chains.entry(path).or_default().push(change));
        }
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for path in paths {
            let (was, is) = (before.get(path), after.get(path));
            let Some(chain) = chains.get(path) else {
                assert_eq!(is, was, "{path} is not the session's");
                continue;
            };
            let is_refused = told.get(path).is_none_or(|file| !file.is_change());
            if is_refused {
                assert_eq!(is, was, "{path} was to stay");
            }
            let is_untouched = chain.windows(2).all(|two| two[0].1 == two[1].0) && chain.last().unwrap().1.as_ref() == was;
            let is_held = self.editor.as_ref().is_some_and(|(_, held)| held == path);
            if is_untouched && !is_refused {
                assert_eq!(is, chain[0].0.as_ref(), "{path} is what it was before");
            }
            let is_moved = self.sets[from..]
                .iter()
                .flat_map(|set| &set.set.changes)
                .any(|change| change.path == root.join(path) && matches!(change.before, State::Unknown { .. }));
            let is_in_the_way = ODD.contains(&path.as_str()) || root.join(path).as_path().is_dir();
            if is_untouched && is_refused && !is_held && !is_moved && !somebody_wrote_meanwhile && !is_in_the_way {
                assert_eq!(chain[0].0.as_ref(), was, "{path} was refused: {:?}", told.get(path));
                assert!(told.get(path).is_some_and(|file| file.action == Action::Skip));
            }
        }
        let lost: Vec<String> = of_people(before).difference(&of_people(&after)).cloned().collect();
        assert_eq!(lost, Vec::<String>::new(), "lines of people");
    }
}

/// Every line that a person has written.
fn of_people(files: &Files) -> BTreeSet<String> {
    files.values().flat_map(|(text, _)| text.lines()).filter(|line| line.starts_with('u')).map(str::to_owned).collect()
}

fn run(kind: Kind, ops: &[Op]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut case = Case::new(kind).await;
        let of_git = case.of_git();
        for op in ops {
            case.run(op).await;
        }
        assert!(case.of_git() == of_git, "the repository was written");
    });
}

impl Case {
    /// Everything in the git directories.
    fn of_git(&self) -> Vec<super::support::Map> {
        let Some(git) = &self.world.checkout.git else { return Vec::new() };
        let read = |at: &AbsPath| super::support::map(at);
        vec![read(&git.own), read(&git.common)]
    }
}

#[test]
fn a_link_that_leads_nowhere_is_in_the_way() {
    let ops = [Op::Command(vec![Small::Delete(0), Small::Delete(6)]), Op::Command(vec![Small::Link(6)]), Op::Tool(5, (0, 0))];
    run(Kind::Plain, &ops);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn in_a_repository(ops in prop::collection::vec(op(), 1..14)) {
        run(Kind::Repository, &ops);
    }

    #[test]
    fn in_a_linked_worktree(ops in prop::collection::vec(op(), 1..14)) {
        run(Kind::Linked, &ops);
    }

    #[test]
    fn in_a_plain_directory(ops in prop::collection::vec(op(), 1..14)) {
        run(Kind::Plain, &ops);
    }
}

//! The hunks of one file, followed through the changes of its text. Pure.
//!
//! A text is a sequence of lines and pieces. A piece is what the session has changed, with the lines from before. A change by
//! the session makes new pieces. A change by others outside of the pieces changes lines, so an undo of a piece does not touch
//! it; inside of a piece it mixes with the session's change, and such a piece cannot be undone.

use std::ops::Range;

use polytree_protocol::{hunk::HunkState, id::HunkId};

use crate::overlay::{lines, regions};

/// A text with its pieces.
#[derive(Debug, Clone)]
pub struct Text<'a> {
    atoms: Vec<Atom<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom<'a> {
    Line(&'a str),
    Piece(Piece<'a>),
}

/// Lines that the session has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    pub id: HunkId,
    /// The number of the change that made it.
    pub origin: usize,
    pub state: HunkState,
    pub before: Vec<&'a str>,
    pub after: Vec<&'a str>,
    /// Somebody else has changed it since.
    pub is_mixed: bool,
}

impl<'a> Piece<'a> {
    /// The lines in the text.
    pub fn now(&self) -> &[&'a str] {
        if self.state == HunkState::Undone { &self.before } else { &self.after }
    }
}

impl<'a> Atom<'a> {
    fn now(&self) -> &[&'a str] {
        match self {
            Self::Line(line) => std::slice::from_ref(line),
            Self::Piece(piece) => piece.now(),
        }
    }

    /// What stands nowhere in the text now.
    fn without_lines(&self) -> Option<&Piece<'a>> {
        match self {
            Self::Piece(piece) if piece.now().is_empty() => Some(piece),
            _ => None,
        }
    }
}

/// Who changes a text.
#[derive(Debug, Clone, Copy)]
enum Author<'b> {
    /// The session, with the number of the change and what makes its ids unique.
    Session(usize, &'b str),
    Other,
}

/// Why a piece cannot get a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such piece.
    Unknown,
    /// Somebody else has changed its lines.
    Mixed,
}

/// Adjacent atoms that change together, and the regions of the change in them.
struct Group {
    atoms: Range<usize>,
    regions: Range<usize>,
}

impl<'a> Text<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { atoms: lines(text).into_iter().map(Atom::Line).collect() }
    }

    /// The lines of the text.
    pub fn lines(&self) -> Vec<&'a str> {
        self.atoms.iter().flat_map(Atom::now).copied().collect()
    }

    /// The pieces with their first lines.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, &Piece<'a>)> {
        let mut line = 0;
        self.atoms.iter().filter_map(move |atom| {
            let start = line;
            line += atom.now().len();
            if let Atom::Piece(piece) = atom { Some((start, piece)) } else { None }
        })
    }

    /// The session has changed the text, in the change with this number. `seed` differs for each change.
    pub fn by_session(&mut self, text: &'a str, origin: usize, seed: &str) {
        self.change(text, Author::Session(origin, seed));
    }

    /// Somebody else has changed the text.
    pub fn by_others(&mut self, text: &'a str) {
        self.change(text, Author::Other);
    }

    /// Gives a piece a state; the text changes where it is undone, or was.
    pub fn decide(&mut self, id: &HunkId, state: HunkState) -> Result<(), Refusal> {
        let found = self.atoms.iter_mut().find_map(|atom| match atom {
            Atom::Piece(piece) if piece.id == *id => Some(piece),
            _ => None,
        });
        let piece = found.ok_or(Refusal::Unknown)?;
        if piece.is_mixed && state == HunkState::Undone {
            return Err(Refusal::Mixed);
        }
        let old = std::mem::replace(&mut piece.state, state);
        // A last line without a line break would join with a line that somebody has added after it.
        let now = self.lines();
        if (old == HunkState::Undone) != (state == HunkState::Undone) && lines(&now.concat()) != now {
            self.set(id, old);
            return Err(Refusal::Mixed);
        }
        Ok(())
    }

    fn set(&mut self, id: &HunkId, state: HunkState) {
        for atom in &mut self.atoms {
            if let Atom::Piece(piece) = atom
                && piece.id == *id
            {
                piece.state = state;
            }
        }
    }

    fn change(&mut self, text: &'a str, author: Author<'_>) {
        let (old, new) = (self.lines(), lines(text));
        let regions = regions(&old, &new);
        let mut starts = Vec::with_capacity(self.atoms.len() + 1);
        let mut line = 0;
        for atom in &self.atoms {
            starts.push(line);
            line += atom.now().len();
        }
        starts.push(line);
        let mut groups: Vec<Group> = Vec::new();
        for (number, (from, to)) in regions.iter().enumerate() {
            let atoms = self.covered(&starts, from, &new[to.clone()]);
            match groups.last_mut() {
                Some(last) if atoms.start < last.atoms.end => {
                    last.atoms.end = last.atoms.end.max(atoms.end);
                    last.regions.end = number + 1;
                }
                _ => groups.push(Group { atoms, regions: number..number + 1 }),
            }
        }
        let old_atoms = std::mem::take(&mut self.atoms);
        let (mut at, mut made) = (0, 0);
        for group in groups {
            self.atoms.extend_from_slice(&old_atoms[at..group.atoms.start]);
            at = group.atoms.end;
            let inside = &regions[group.regions.clone()];
            let (first, last) = (&inside[0], &inside[inside.len() - 1]);
            // Before the first region and after the last one, the old and the new lines are the same.
            let (start, end) = (starts[group.atoms.start].min(first.0.start), starts[group.atoms.end].max(last.0.end));
            let lines = first.1.start - (first.0.start - start)..last.1.end + (end - last.0.end);
            let inside =
                inside.iter().map(|(from, to)| (from.start - start..from.end - start, to.start - lines.start..to.end - lines.start));
            let changed = Changed { atoms: &old_atoms[group.atoms], new: &new[lines.clone()], regions: inside.collect() };
            self.atoms.extend(changed.atoms_now(author, &mut made));
        }
        self.atoms.extend_from_slice(&old_atoms[at..]);
    }

    /// The atoms that change when these lines are replaced.
    fn covered(&self, starts: &[usize], from: &Range<usize>, new: &[&str]) -> Range<usize> {
        let (atoms, ends) = (&starts[..self.atoms.len()], &starts[1..]);
        let mut first = ends.partition_point(|end| *end <= from.start);
        if from.is_empty() {
            if atoms.get(first).is_some_and(|start| *start < from.start) {
                return first..first + 1;
            }
            // Lines that come in the place of removed ones.
            let here = atoms.partition_point(|start| *start < from.start);
            let is_met = |piece: &Piece<'_>| piece.state != HunkState::Undone || piece.after == new;
            let is_met = self.atoms[here..first].iter().any(|atom| atom.without_lines().is_some_and(is_met));
            return if is_met { here..first } else { first..first };
        }
        let mut end = atoms.partition_point(|start| *start < from.end);
        // Removed lines that are there again.
        let back = |atom: &Atom<'_>, is_back: &dyn Fn(&[&str]) -> bool| {
            atom.without_lines().is_some_and(|piece| piece.state != HunkState::Undone && is_back(&piece.before))
        };
        while first > 0 && back(&self.atoms[first - 1], &|before| new.starts_with(before)) {
            first -= 1;
        }
        while end < self.atoms.len() && back(&self.atoms[end], &|before| new.ends_with(before)) {
            end += 1;
        }
        first..end
    }
}

/// A group of atoms with its new lines.
struct Changed<'a, 'b> {
    atoms: &'b [Atom<'a>],
    new: &'b [&'a str],
    /// Where the lines differ, counted from the first line of the group.
    regions: Vec<(Range<usize>, Range<usize>)>,
}

impl<'a> Changed<'a, '_> {
    fn live(&self) -> impl Iterator<Item = &Piece<'a>> {
        self.atoms.iter().filter_map(|atom| match atom {
            Atom::Piece(piece) if piece.state != HunkState::Undone => Some(piece),
            _ => None,
        })
    }

    fn atoms_now(&self, author: Author<'_>, made: &mut usize) -> Vec<Atom<'a>> {
        let first = self.live().next();
        let ((Author::Session(..), _) | (Author::Other, Some(_))) = (author, first) else {
            return self.new.iter().copied().map(Atom::Line).collect();
        };
        let (base, is_of_session, inserted) = self.base(author);
        let mut atoms = Vec::new();
        let mut line = 0;
        for (from, to) in regions(&base, self.new) {
            atoms.extend(self.new[line..to.start].iter().copied().map(Atom::Line));
            line = to.end;
            let (before, after) = (base[from.clone()].to_vec(), self.new[to.clone()].to_vec());
            if let Some(same) = self.live().find(|piece| piece.before == before && piece.after == after) {
                atoms.push(Atom::Piece(same.clone()));
                continue;
            }
            *made += 1;
            let (seed, origin, is_mixed) = match (author, first) {
                (Author::Session(origin, seed), _) => (seed.to_owned(), origin, false),
                (Author::Other, Some(first))
                    if is_of_session[from.clone()].contains(&true) || inserted.contains(&from.start) || self.keeps_some(&to) =>
                {
                    let seed = format!("{}\n{}\n{}", first.id, before.concat(), after.concat());
                    (seed, first.origin, self.live().any(|piece| piece.is_mixed) || self.touches(&to))
                }
                (Author::Other, _) => {
                    atoms.extend(after.into_iter().map(Atom::Line));
                    continue;
                }
            };
            let id = id(&format!("{seed}\n{made}"));
            atoms.push(Atom::Piece(Piece { id, origin, state: HunkState::Open, before, after, is_mixed }));
        }
        atoms.extend(self.new[line..].iter().copied().map(Atom::Line));
        atoms
    }

    /// The lines without the session's changes, which of them belong to a piece, and before which of them the session has
    /// inserted lines. What was kept, or mixed with a change of others, stays when the session changes it again.
    fn base(&self, author: Author<'_>) -> (Vec<&'a str>, Vec<bool>, Vec<usize>) {
        let (mut base, mut is_of_session, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
        for atom in self.atoms {
            let (lines, is_piece): (&[&str], bool) = match atom {
                Atom::Line(line) => (std::slice::from_ref(line), false),
                Atom::Piece(piece) => {
                    let stays = matches!(author, Author::Session(..)) && (piece.is_mixed || piece.state == HunkState::Kept);
                    (if stays { piece.now() } else { &piece.before }, piece.state != HunkState::Undone)
                }
            };
            if is_piece && lines.is_empty() {
                inserted.push(base.len());
            }
            base.extend_from_slice(lines);
            is_of_session.resize(base.len(), is_piece);
        }
        (base, is_of_session, inserted)
    }

    /// Whether these new lines contain a line of a piece that others have not changed.
    fn keeps_some(&self, lines: &Range<usize>) -> bool {
        let mut line = 0;
        let mut old = Vec::new();
        for atom in self.atoms {
            line += atom.now().len();
            old.resize(line, matches!(atom, Atom::Piece(piece) if piece.state != HunkState::Undone));
        }
        let mut kept = vec![false; self.new.len()];
        let (mut from, mut to) = (0, 0);
        for (old_region, new_region) in self.regions.iter().cloned().chain([(old.len()..old.len(), self.new.len()..self.new.len())]) {
            kept[to..new_region.start].copy_from_slice(&old[from..old_region.start]);
            (from, to) = (old_region.end, new_region.end);
        }
        kept[lines.clone()].contains(&true)
    }

    /// Whether the change is inside of these new lines, or next to them.
    fn touches(&self, lines: &Range<usize>) -> bool {
        self.regions.iter().any(|(_, to)| to.start <= lines.end && to.end >= lines.start)
    }
}

/// The id of a hunk.
pub fn id(seed: &str) -> HunkId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(seed.as_bytes()).as_bytes()[..16]);
    HunkId::from_ulid(ulid::Ulid::from_bytes(bytes))
}

#[cfg(test)]
mod tests;

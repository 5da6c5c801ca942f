//! Which objects may be removed.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, PoisonError, Weak},
};

use super::{
    change::ChangeSet, follow::Following, journal::Journal, objects::Object, pending::Pending, snapshots::Snapshots, state::State,
};
use crate::{
    git::objects::Id,
    stdx::{paths::AbsPath, retention::Item, tasks::Tasks},
};

impl Snapshots {
    /// All objects. `changes`: the change sets that must stay usable. What running calls and unfinished reverts need
    /// stays too, and so does what was used after `since`, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn objects(&self, changes: HashSet<String>, since: i64) -> io::Result<Vec<Item<Object>>> {
        let (objects, journals, pending) = (Arc::clone(&self.objects), self.journals.clone(), self.pending.clone());
        let following: Vec<Arc<Following>> = {
            let all = self.following.lock().unwrap_or_else(PoisonError::into_inner);
            all.values().filter_map(Weak::upgrade).collect()
        };
        let listed = Tasks::spawn_blocking(move || {
            let mut needed: HashSet<Id> = following.iter().flat_map(|following| following.ids()).collect();
            needed.extend(Journal::all(&journals).iter().flat_map(Journal::ids));
            let states = |set: &ChangeSet| -> Vec<Id> {
                let states = set.changes.iter().flat_map(|change| [&change.before, &change.after]);
                states.filter_map(State::content).map(|(id, _)| id).collect()
            };
            needed.extend(Pending::all(&pending).iter().flat_map(|note| states(&note.set)));
            for id in changes.iter().filter_map(|change| change.parse::<Id>().ok()) {
                needed.insert(id);
                // Where the checkout is does not matter.
                let set = AbsPath::new("/").and_then(|root| ChangeSet::decode(&root, &objects.read(id)?));
                needed.extend(set.iter().flat_map(states));
            }
            objects.list(&needed, since)
        });
        listed.await.map_err(io::Error::other)?
    }

    /// The size of all objects in bytes, if they were listed before.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.objects.size()
    }

    /// Removes an object, unless it is needed now or was used since it was found; returns whether it did. Blocks.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, object: &Item<Object>) -> io::Result<bool> {
        self.objects.remove(&object.what, object.bytes)
    }
}

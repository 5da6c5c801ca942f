//! A pool of values that are dropped when they were not used for some time, or when there are too many. A value that is
//! held outside the pool is in use.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::time::now_ms;

/// A pool of values by key.
#[derive(Debug)]
pub struct IdlePool<K, V> {
    capacity: usize,
    // Held for a look-up, an insert, or a look at all entries; never across an await.
    entries: Mutex<HashMap<K, Entry<V>>>,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    used: i64,
}

impl<V> Entry<V> {
    /// Whether the value is held outside the pool.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.value) > 1
    }

    fn used(&self) -> i64 {
        if self.is_held() { now_ms() } else { self.used }
    }

    fn touch(&mut self) -> Arc<V> {
        self.used = now_ms();
        Arc::clone(&self.value)
    }
}

/// A value of a pool, as a list shows it.
#[derive(Debug, Clone)]
pub struct Pooled<V> {
    pub value: Arc<V>,
    /// When it was last used, in milliseconds since 1970; now while it is held.
    pub used: i64,
}

impl<K: Eq + Hash + Clone, V> IdlePool<K, V> {
    /// An empty pool. Beyond `capacity` the value that was not used for longest is dropped.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    /// The value of a key, which counts as used now.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.lock().get_mut(key).map(Entry::touch)
    }

    /// The value of a key, which does not count as used by this.
    pub fn peek<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.lock().get(key).map(|entry| Arc::clone(&entry.value))
    }

    /// The value of a key. It is made, from the other values, where there is none or the one that is there does not fit.
    pub fn get_or_insert(&self, key: &K, fits: impl FnOnce(&V) -> bool, make: impl FnOnce(&[Arc<V>]) -> Arc<V>) -> Arc<V> {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(key).filter(|entry| fits(&entry.value)) {
            return entry.touch();
        }
        let dropped = self.make_room(&mut entries, key);
        let others: Vec<Arc<V>> = entries.iter().filter(|(other, _)| *other != key).map(|(_, entry)| Arc::clone(&entry.value)).collect();
        let value = make(&others);
        let before = entries.insert(key.clone(), Entry { value: Arc::clone(&value), used: now_ms() });
        drop(entries);
        // Without the lock: to drop a value may take its time.
        drop((dropped, before));
        value
    }

    /// Puts a value in place of the one that the key had.
    pub fn insert(&self, key: K, value: Arc<V>) {
        self.get_or_insert(&key, |_| false, |_| value);
    }

    /// Drops the value of a key.
    pub fn remove<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let removed = self.lock().remove(key);
        drop(removed);
    }

    /// All values, in no order.
    pub fn list(&self) -> Vec<Pooled<V>> {
        self.lock().values().map(|entry| Pooled { used: entry.used(), value: Arc::clone(&entry.value) }).collect()
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Drops the values that were not used since this time, in milliseconds since 1970; gives how many these are.
    pub fn drop_idle(&self, since: i64) -> usize {
        let mut entries = self.lock();
        // What is held now is known to have been used until now.
        entries.values_mut().for_each(|entry| entry.used = entry.used());
        let idle: Vec<K> = entries.iter().filter(|(_, entry)| entry.used < since && !entry.is_held()).map(|(key, _)| key.clone()).collect();
        let dropped: Vec<_> = idle.iter().filter_map(|key| entries.remove(key)).collect();
        drop(entries);
        dropped.len()
    }

    /// Drops values, those first that were not used for longest, until all weigh at most `limit` together. Values that
    /// are held stay.
    pub fn shrink_to(&self, limit: usize, weight: impl Fn(&V) -> usize) {
        let mut entries = self.lock();
        let mut total: usize = entries.values().map(|entry| weight(&entry.value)).sum();
        let mut dropped = Vec::new();
        while total > limit
            && let Some(key) = oldest(entries.iter().filter(|(_, entry)| !entry.is_held()))
        {
            let removed = entries.remove(&key);
            total -= removed.as_ref().map_or(0, |entry| weight(&entry.value)).min(total);
            dropped.extend(removed);
        }
        drop(entries);
        drop(dropped);
    }

    fn make_room(&self, entries: &mut HashMap<K, Entry<V>>, key: &K) -> Option<Entry<V>> {
        if entries.len() < self.capacity || entries.contains_key(key) {
            return None;
        }
        // What is held goes last: it lives on with its holder, but the next to ask would get another.
        let key = oldest(entries.iter())?;
        entries.remove(&key)
    }

    // Every change is a single step, so a panic elsewhere leaves the map sound.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn oldest<'a, K: Clone + 'a, V: 'a>(entries: impl Iterator<Item = (&'a K, &'a Entry<V>)>) -> Option<K> {
    entries.min_by_key(|(_, entry)| (entry.is_held(), entry.used)).map(|(key, _)| key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(capacity: usize, values: &[u32]) -> IdlePool<u32, u32> {
        let pool = IdlePool::new(capacity);
        for (age, value) in values.iter().enumerate() {
            pool.insert(*value, Arc::new(*value));
            // The first ones are the oldest, whatever the clock says.
            pool.lock().get_mut(value).unwrap().used = i64::try_from(age).unwrap();
        }
        pool
    }

    fn keys(pool: &IdlePool<u32, u32>) -> Vec<u32> {
        let mut keys: Vec<u32> = pool.list().iter().map(|pooled| *pooled.value).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let pool = pool(3, &[1, 2, 3]);
        pool.get(&1);
        pool.insert(4, Arc::new(4));
        assert_eq!(keys(&pool), [1, 3, 4]);
        pool.insert(3, Arc::new(3));
        assert_eq!(pool.count(), 3, "its own place is room enough");
    }

    #[test]
    fn what_is_held_is_in_use() {
        let pool = pool(2, &[1, 2]);
        let held = pool.peek(&1).unwrap();
        assert_eq!(pool.drop_idle(now_ms() + 1), 1);
        assert_eq!(keys(&pool), [1]);
        drop(held);
        assert_eq!(pool.drop_idle(now_ms() - 60_000), 0, "it was in use a moment ago");
        assert_eq!(pool.drop_idle(now_ms() + 1), 1);
        assert_eq!(pool.count(), 0);
    }

    #[test]
    fn a_look_is_no_use() {
        let pool = pool(2, &[1, 2]);
        pool.peek(&1);
        pool.insert(3, Arc::new(3));
        assert_eq!(keys(&pool), [2, 3]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_made_again() {
        let pool = pool(5, &[1, 2]);
        let same = pool.get_or_insert(&1, |value| *value == 1, |_| Arc::new(9));
        let other = pool.get_or_insert(&1, |value| *value == 9, |others| Arc::new(others.iter().map(|value| **value).sum()));
        assert_eq!((*same, *other, pool.count()), (1, 2, 2));
    }

    #[test]
    fn weight_is_bounded() {
        let pool = pool(9, &[4, 5, 6]);
        let held = pool.peek(&4);
        pool.shrink_to(10, |value| usize::try_from(*value).unwrap());
        assert_eq!(keys(&pool), [4, 6]);
        pool.shrink_to(0, |value| usize::try_from(*value).unwrap());
        assert_eq!((keys(&pool), held), (vec![4], Some(Arc::new(4))));
    }
}

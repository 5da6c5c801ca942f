//! The texts that clients have announced lately, to recognise what an editor has saved while a command ran.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use crate::stdx::paths::AbsPath;

/// The number of texts that are remembered.
const CAPACITY: usize = 4096;

/// The texts of each file, oldest first.
#[derive(Debug, Default)]
pub struct Announced(Mutex<Texts>);

#[derive(Debug, Default)]
struct Texts {
    files: HashMap<AbsPath, VecDeque<(SystemTime, blake3::Hash)>>,
    /// The files in the order of their texts.
    order: VecDeque<AbsPath>,
}

impl Announced {
    pub fn add(&self, path: &AbsPath, text: &str) {
        let entry = (SystemTime::now(), blake3::hash(text.as_bytes()));
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.files.entry(path.clone()).or_default().push_back(entry);
        texts.order.push_back(path.clone());
        if texts.order.len() > CAPACITY
            && let Some(oldest) = texts.order.pop_front()
            && let Some(file) = texts.files.get_mut(&oldest)
        {
            file.pop_front();
            if file.is_empty() {
                texts.files.remove(&oldest);
            }
        }
    }

    /// The texts of a file that were announced since then, and the one that it had at that time.
    pub fn since(&self, path: &AbsPath, time: SystemTime) -> Vec<(SystemTime, blake3::Hash)> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = texts.files.get(path) else { return Vec::new() };
        let at_first = file.iter().rposition(|(announced, _)| *announced < time).unwrap_or(0);
        file.range(at_first..).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_texts_are_forgotten() {
        let announced = Announced::default();
        let paths = ["/a", "/b"].map(|path| AbsPath::new(path).unwrap());
        let time = SystemTime::now();
        announced.add(&paths[0], "first");
        for number in 0..CAPACITY {
            announced.add(&paths[1], &number.to_string());
        }
        assert_eq!(announced.since(&paths[0], time), []);
        assert_eq!(announced.since(&paths[1], time).len(), CAPACITY);
        let later = announced.since(&paths[1], SystemTime::now() + std::time::Duration::from_secs(1));
        assert_eq!(later.iter().map(|(_, text)| *text).collect::<Vec<_>>(), [blake3::hash((CAPACITY - 1).to_string().as_bytes())]);
    }
}

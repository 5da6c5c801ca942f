//! Monotonic ULIDs: those of this process are ordered by their creation.

use std::sync::{Mutex, PoisonError};

use ulid::{Generator, Ulid};

static GENERATOR: Mutex<Generator> = Mutex::new(Generator::new());

pub fn next() -> Ulid {
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    // Fails only after 2^80 in one millisecond; then a random one is used.
    generator.generate().unwrap_or_else(|_| Ulid::generate())
}

//! ULIDs that grow: two made by this process are in the order in which they were made.

use std::sync::{Mutex, PoisonError};

use ulid::{Generator, Ulid};

static GENERATOR: Mutex<Generator> = Mutex::new(Generator::new());

pub fn next() -> Ulid {
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    // Only fails after 2^80 of them in one millisecond; a random one is as good then.
    generator.generate().unwrap_or_else(|_| Ulid::generate())
}

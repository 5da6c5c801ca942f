//! What a command may touch. The daemon works out what a policy means for a place (`prepare`), and a helper, which is the
//! same executable, confines itself so and becomes the command (`helper`): by Landlock for files, by seccomp for sockets,
//! and by namespaces where they can be had. What can be enforced is found by trying it once.
//!
//! Only Linux has any of it; elsewhere nothing can be enforced, and that is told.

mod error;
mod key_stores;
mod place;
mod policy;
mod settings;

// The tests compile it everywhere.
#[cfg(any(test, not(target_os = "linux")))]
mod absent;
#[cfg(target_os = "linux")]
mod blank;
#[cfg(target_os = "linux")]
mod confined;
#[cfg(target_os = "linux")]
mod daemon;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod entries;
#[cfg(target_os = "linux")]
mod git_files;
#[cfg(target_os = "linux")]
mod git_shape;
#[cfg(target_os = "linux")]
mod helper;
#[cfg(target_os = "linux")]
mod listing;
#[cfg(target_os = "linux")]
mod nested;
#[cfg(target_os = "linux")]
mod places;
#[cfg(target_os = "linux")]
mod prepare;
#[cfg(target_os = "linux")]
mod proxy;
#[cfg(target_os = "linux")]
mod repository;
#[cfg(target_os = "linux")]
mod spec;

#[cfg(not(target_os = "linux"))]
pub use self::absent::{Confined, Sandbox, SpecSender, enter};
#[cfg(target_os = "linux")]
pub use self::{
    confined::{Confined, SpecSender},
    daemon::Sandbox,
    helper::enter,
};
pub use self::{
    error::Unconfined,
    key_stores::key_stores,
    place::{Place, Verdict},
    policy::{Abilities, Wants, diagnosis},
    settings::Settings,
};

//! Which version this program is, in one place, so that tests can let it pretend to be another one.

use std::sync::OnceLock;

use semver::Version;

/// In debug builds: the version to pretend.
pub const PRETENDED: &str = "POLYTREE_PRETEND_VERSION";

/// The version of this program.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let pretended = if cfg!(debug_assertions) { std::env::var(PRETENDED).ok() } else { None };
        pretended.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned())
    })
}

/// Whether `one` is newer than `other`. What is no version is newer than nothing, and nothing is newer than it.
pub fn is_newer(one: &str, other: &str) -> bool {
    match (Version::parse(one), Version::parse(other)) {
        // What was built differently from the same source is not newer.
        (Ok(one), Ok(other)) => one.cmp_precedence(&other).is_gt(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_is_what_semver_says() {
        for (one, other) in [("0.2.0", "0.1.9"), ("0.10.0", "0.9.0"), ("1.0.0", "1.0.0-rc.1"), ("1.0.0-rc.10", "1.0.0-rc.9")] {
            assert!(is_newer(one, other) && !is_newer(other, one), "{one} {other}");
        }
        for (one, other) in [("1.0.0", "1.0.0"), ("1.0.0+b", "1.0.0+a"), ("", "1.0.0"), ("2", "1.0.0"), ("1.0.0", "nightly")] {
            assert!(!is_newer(one, other) && !is_newer(other, one), "{one} {other}");
        }
    }
}

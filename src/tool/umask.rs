//! Which permissions new files do not get. One daemon works for clients with different masks, so a client's mask travels
//! with its variables, under a name of its own, and holds for the commands and the new files of its turns.

use std::collections::BTreeMap;

/// The variable that carries the mask, in octal digits.
pub const VARIABLE: &str = "POLYTREE_UMASK";

/// Enters the mask of this process, in the place of whatever a process before it has entered. Where the system does not
/// tell it, nothing is entered, and the daemon's own mask holds.
pub fn enter(environment: &mut BTreeMap<String, String>) {
    environment.remove(VARIABLE);
    if let Some(mask) = own() {
        environment.insert(VARIABLE.to_owned(), format!("{mask:04o}"));
    }
}

/// The mask that a client's variables carry.
#[must_use]
pub fn of(environment: &BTreeMap<String, String>) -> Option<u32> {
    environment.get(VARIABLE).and_then(|text| u32::from_str_radix(text, 8).ok()).map(|mask| mask & 0o777)
}

/// Asking the system changes the mask, for all threads; Linux also tells it without.
fn own() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_this_process_replaces_what_was_there() {
        let mut environment = BTreeMap::from([(VARIABLE.to_owned(), "7777".to_owned())]);
        assert_eq!(of(&environment), Some(0o777));
        enter(&mut environment);
        assert_eq!(of(&environment), own());
        assert!(own().is_some());
        environment.insert(VARIABLE.to_owned(), "rwx".to_owned());
        assert_eq!(of(&environment), None);
    }
}

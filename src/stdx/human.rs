//! Sizes and durations as people read them.

/// A size in bytes: `812 B`, `1.5 KiB`, `23 MiB`.
pub fn size(bytes: u64) -> String {
    let (mut unit, mut names) = (1u64, ["KiB", "MiB", "GiB", "TiB"].into_iter());
    let mut name = "B";
    while bytes / unit >= 1024
        && let Some(next) = names.next()
    {
        (unit, name) = (unit * 1024, next);
    }
    let whole = bytes / unit;
    match bytes % unit * 10 / unit {
        tenths if whole < 10 && unit > 1 => format!("{whole}.{tenths} {name}"),
        _ => format!("{whole} {name}"),
    }
}

/// A duration in milliseconds: `12 ms`, `3 s`, `5 min`, `2 h`, `4 days`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A duration between two times in milliseconds since 1970; never negative.
pub fn between(then: i64, now: i64) -> String {
    duration(u64::try_from(now - then).unwrap_or(0))
}

/// A count with its noun, which gets an `s` unless there is one.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        let sizes: Vec<String> = [0, 1023, 1024, 1536, 10 * 1024, 1 << 20, 5 << 30, 1 << 40, 1 << 53].map(size).into();
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10 KiB", "1.0 MiB", "5.0 GiB", "1.0 TiB", "8192 TiB"]);
        let durations: Vec<String> = [0, 999, 1000, 119_999, 120_000, 7_200_000, 172_800_000].map(duration).into();
        assert_eq!(durations, ["0 ms", "999 ms", "1 s", "119 s", "2 min", "2 h", "2 days"]);
        assert_eq!((between(5, 3), between(0, 61_000)), ("0 ms".to_owned(), "61 s".to_owned()));
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
    }
}

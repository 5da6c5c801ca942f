//! `file://` URIs.

use super::paths::AbsPath;

/// Percent-encodes everything but letters, digits, `-`, `_`, `.`, `~` and `/`.
#[must_use]
pub fn percent_encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            // Writing into a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The `file://` URI of a path. Names that are not UTF-8 keep their bytes.
#[must_use]
pub fn file_uri(path: &AbsPath) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        format!("file://{}", percent_encode(path.as_path().as_os_str().as_bytes()))
    }
    #[cfg(not(unix))]
    {
        let text = path.to_string().replace('\\', "/");
        let text = text.strip_prefix("//?/").unwrap_or(&text);
        format!("file:///{}", percent_encode(text.trim_start_matches('/').as_bytes()))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use super::*;

    #[test]
    fn addresses_of_odd_names() {
        let uri = |bytes: &[u8]| file_uri(&AbsPath::new(OsStr::from_bytes(bytes)).unwrap());
        assert_eq!(uri(b"/a/b.rs"), "file:///a/b.rs");
        assert_eq!(uri("/ä b/[id]#?%.ts".as_bytes()), "file:///%C3%A4%20b/%5Bid%5D%23%3F%25.ts");
        assert_eq!(uri(b"/\xFF"), "file:///%FF");
    }
}

//! Addresses of files.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::paths::AbsPath;

/// All but letters, digits and `/-_.~`.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Everything but letters, digits, `-`, `_`, `.`, `~` and `/` as its bytes in hexadecimal.
pub fn percent_encode(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, &ENCODED).to_string()
}

/// The `file://` address of a path. Names that are not text keep their bytes.
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

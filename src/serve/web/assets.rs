//! The files of the page, as they are inside the executable. They are public and hold no secret: whoever can reach a
//! listener gets them without a token.

/// What the page may load and whom it may talk to: its own files, and the listener that it came from.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// The value of the `Content-Type` header.
    pub content_type: &'static str,
    /// The bytes.
    pub body: &'static [u8],
}

/// The file at a path below the base path, such as `/` or `/app.js`.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    match path {
        "/" => Some(Asset { content_type: "text/html; charset=utf-8", body: INDEX.as_bytes() }),
        _ => None,
    }
}

const INDEX: &str = "<!doctype html><meta charset=\"utf-8\"><title>polytree</title><p>polytree listens here.\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_and_nothing_else_is() {
        assert!(asset("/").is_some_and(|page| page.content_type.starts_with("text/html")));
        assert_eq!(asset("/../Cargo.toml"), None);
    }
}

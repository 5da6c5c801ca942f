//! The files of the page, embedded in the executable. They are public and contain no secrets: a listener serves them
//! without a token.

/// The page may load its own files and connect to the listener that it came from. The browser refuses to create markup or
/// code from strings, so texts of models can never become either.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

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
    let wanted = if path == "/" { "/index.html" } else { path };
    let &(name, body) = FILES.iter().find(|(name, _)| wanted.strip_prefix('/') == Some(name))?;
    Some(Asset { content_type: content_type(name), body })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../clients/web/", $name)))),*]
    };
}

const FILES: &[(&str, &[u8])] = files![
    "index.html",
    "style.css",
    "icon.svg",
    "app.js",
    "asks.js",
    "connection.js",
    "dialogs.js",
    "dom.js",
    "follow.js",
    "format.js",
    "history.js",
    "markdown.js",
    "menu.js",
    "modal.js",
    "model.js",
    "parts.js",
    "prompt.js",
    "session/actions.js",
    "session/changes.js",
    "session/compaction.js",
    "session/diff.js",
    "session/exports.js",
    "session/inputs.js",
    "session/order.js",
    "session/outbox.js",
    "session/queue.js",
    "session/revert.js",
    "session/todos.js",
    "sessions.js",
    "transcript.js",
    "visible.js",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_and_nothing_else_is() {
        assert!(asset("/").is_some_and(|page| page.content_type.starts_with("text/html")));
        assert_eq!(asset("/"), asset("/index.html"));
        for path in ["", "index.html", "//index.html", "/../Cargo.toml", "/app.ts", "/page/app.js"] {
            assert_eq!(asset(path), None, "{path}");
        }
    }

    /// Without this test, only a browser would find a file that is imported but not listed.
    #[test]
    fn every_file_that_a_file_names_is_there() {
        for (name, body) in FILES {
            let text = std::str::from_utf8(body).expect("the page's files are text");
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let imports = text.split("from '").skip(1).filter_map(|rest| rest.split('\'').next()).filter(|file| file.starts_with('.'));
            let imports = imports.map(|file| match file.strip_prefix("../") {
                Some(above) => above.to_owned(),
                None => format!("{folder}/{}", &file[2..]).trim_start_matches('/').to_owned(),
            });
            let links = text.split([' ', '\n']).filter_map(|word| word.strip_prefix("href=\"").or(word.strip_prefix("src=\"")));
            let links = links.filter_map(|rest| rest.split('"').next()).filter(|link| name.ends_with(".html") && *link != "#");
            for file in imports.chain(links.map(str::to_owned)) {
                assert!(asset(&format!("/{file}")).is_some(), "{name} names {file}");
            }
        }
    }

    /// The policy forbids these; without this test, only a browser would find them.
    #[test]
    fn nothing_is_inline() {
        for (name, body) in FILES {
            let text = std::str::from_utf8(body).expect("the page's files are text");
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\"", "onclick=\"", "javascript:"]
            {
                assert!(!text.contains(forbidden), "{name} has {forbidden}");
            }
        }
    }
}

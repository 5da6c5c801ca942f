//! Reading files for clients.

use std::{fs, sync::Arc};

use super::support::{Sandbox, checkout, git, read, read_as, wait};
use crate::{
    file::{
        Error,
        read::{self, Body, Form},
        text_file::Encoding,
    },
    overlay::{Document, Overlay},
    stdx::paths::AbsPath,
};

fn lines(root: &AbsPath, path: &str, first: u64, limit: u64) -> (String, bool) {
    let content = read_as(root, path, Form::Lines { first, limit }).unwrap();
    let Body::Text { text, .. } = content.body else { panic!("{content:?}") };
    assert!(content.encoding != Encoding::Utf8 || content.version == blake3::hash(text.as_bytes()));
    (text, content.more)
}

#[test]
fn text_is_returned_and_a_patch_if_it_differs() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    assert_eq!(read(&root, "file"), "text\n");
    fs::write(root.join("blank"), "\n  x \n\n").unwrap();
    assert_eq!(read(&root, "blank"), "\n  x \n\n", "not tracked, not trimmed");
    git(&root, &["add", "blank"]);
    assert_eq!(read(&root, "blank").lines().skip(5).collect::<Vec<_>>(), ["@@ -0,0 +1,3 @@", "+", "+  x ", "+"], "staged");
    fs::write(root.join("file"), "text\nmore").unwrap();
    let patch = read(&root, "file");
    assert!(patch.starts_with("Pdiff --git a/file b/file\n"), "{patch}");
    assert!(patch.ends_with("@@ -1 +1,2 @@\n text\n+more\n\\ No newline at end of file\n"), "{patch}");
    git(&root, &["add", "file"]);
    assert_eq!(read(&root, "file"), patch, "staged");
    let raw = read_as(&root, "file", Form::Whole).unwrap();
    assert_eq!(raw.body, Body::Text { text: "text\nmore".into(), mime: None });
    assert_eq!(raw.version, blake3::hash(b"text\nmore"));
    git(&root, &["rm", "--quiet", "--cached", "file"]);
    assert!(read(&root, "file").contains("\n+more"), "removed from the index and still on disk");
    fs::remove_file(root.join("file")).unwrap();
    assert!(matches!(read_as(&root, "file", Form::Patch), Err(Error::NotFound(_))));
}

#[test]
fn a_file_that_replaces_a_link_has_no_patch() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    std::os::unix::fs::symlink("file", root.join("link")).unwrap();
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    fs::remove_file(root.join("link")).unwrap();
    fs::write(root.join("link"), "now text\n").unwrap();
    git(&root, &["rm", "--quiet", "--cached", "link"]);
    assert_eq!(read(&root, "link"), "now text\n", "the link's target is no older text of the file");
}

#[test]
fn a_renamed_file_is_compared_with_its_old_path() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    let text: String = (0..20).map(|number| format!("line {number}\n")).collect();
    fs::write(root.join("old"), &text).unwrap();
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    fs::create_dir(root.join("deep")).unwrap();
    git(&root, &["mv", "old", "deep/new"]);
    assert_eq!(read(&root, "deep/new"), text, "only moved");
    fs::write(root.join("deep/new"), format!("{text}end\n")).unwrap();
    let patch = read(&root.join("deep"), "new");
    assert!(patch.contains("rename from old\nrename to deep/new\n") && patch.ends_with("\n line 19\n+end\n"), "{patch}");
    assert_eq!(patch.matches("\n line").count(), 20);
}

#[test]
fn encodings_and_binary_files() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let cases: [(&str, &[u8], Option<&str>, Encoding); 8] = [
        ("utf8", "gr\u{fc}n\r\n".as_bytes(), Some("gr\u{fc}n\r\n"), Encoding::Utf8),
        ("mark", b"\xEF\xBB\xBFa\n", Some("\u{feff}a\n"), Encoding::Utf8Mark),
        ("latin", b"gr\xFCn\n", Some("gr\u{fc}n\n"), Encoding::Legacy(encoding_rs::WINDOWS_1252)),
        ("wide", b"\xFF\xFEa\0\n\0b\0", Some("\u{feff}a\nb"), Encoding::Utf16Le),
        ("gbk", b"\xd6\xd0\xce\xc4\xd7\xa2\xca\xcd\n", Some("中文注释\n"), Encoding::Legacy(encoding_rs::GBK)),
        ("stray", b"\xC3\xA9\xC3\xA8\xFF\n", Some("éè\u{fffd}\n"), Encoding::Utf8),
        ("image.bin", png, None, Encoding::Utf8),
        ("empty", b"", Some(""), Encoding::Utf8),
    ];
    for (name, bytes, text, encoding) in cases {
        fs::write(root.join(name), bytes).unwrap();
        let content = read_as(&root, name, Form::Patch).unwrap();
        let expected = match text {
            Some(text) => Body::Text { text: text.into(), mime: None },
            None => Body::Bytes { bytes: bytes.to_vec(), mime: "image/png".into() },
        };
        assert_eq!((content.body, content.encoding, content.version), (expected, encoding, blake3::hash(bytes)), "{name}");
        assert_eq!(content.is_lossy, name == "stray", "{name}");
    }
    assert_eq!(lines(&root, "wide", 2, 5), ("b".into(), false));
    fs::write(root.join("picture.svg"), "<svg/>").unwrap();
    assert_eq!(
        read_as(&root, "picture.svg", Form::Patch).unwrap().body,
        Body::Text { text: "<svg/>".into(), mime: Some("image/svg+xml".into()) }
    );
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    for (name, bytes, ..) in cases.iter().take(6) {
        let more: &[u8] = if *name == "wide" { b"\n\0c\0" } else { b"c" };
        fs::write(root.join(name), [bytes, more].concat()).unwrap();
        let patch = read(&root, name);
        assert!(patch.starts_with("Pdiff") && patch.contains("\n+c"), "{name}: {patch}");
    }
    fs::write(root.join("image.bin"), [&png[..], b"x"].concat()).unwrap();
    assert_eq!(read(&root, "image.bin"), "Bimage/png", "changed binary");
}

#[test]
fn ranges_of_lines() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    fs::write(root.join("file"), "1\n2\r\n3\n4").unwrap();
    assert_eq!(lines(&root, "file", 1, 2), ("1\n2\r\n".into(), true));
    assert_eq!(lines(&root, "file", 4, 9), ("4".into(), false));
    assert_eq!(lines(&root, "file", 9, 9), (String::new(), false));
    let large = fs::File::create(root.join("large")).unwrap();
    std::io::Write::write_all(&mut &large, "a line\n".repeat(3000).as_bytes()).unwrap();
    large.set_len(1 << 40).unwrap();
    assert_eq!(lines(&root, "large", 2, 2), ("a line\na line\n".into(), true));
    for form in [Form::Whole, Form::Patch, Form::Lines { first: 2999, limit: 9 }] {
        let error = read_as(&root, "large", form).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{form:?}: {error}");
    }
}

#[test]
fn unsaved_text_takes_precedence_over_the_disk() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    let overlay = Overlay::default();
    let announce = |name: &str, text: &str| {
        overlay.announce(Document { path: root.join(name), version: 1, text: Arc::from(text), connection: 1 });
    };
    let read = |name: &str, form| wait(read::read(&checkout(&root, &root), &overlay, name, form)).unwrap();
    announce("file", "text\nunsaved\n");
    let content = read("file", Form::Patch);
    assert_eq!(content.version, blake3::hash(b"text\nunsaved\n"));
    let Body::Patch(patch) = content.body else { panic!("{content:?}") };
    assert!(patch.starts_with("diff --git a/file b/file\n") && patch.ends_with("@@ -1 +1,2 @@\n text\n+unsaved\n"), "{patch}");
    assert_eq!(read("file", Form::Whole).body, Body::Text { text: "text\nunsaved\n".into(), mime: None });
    assert_eq!(read("file", Form::Lines { first: 2, limit: 1 }).body, Body::Text { text: "unsaved\n".into(), mime: None });
    announce("not/there/yet", "new\n");
    assert_eq!(read("not/there/yet", Form::Patch).body, Body::Text { text: "new\n".into(), mime: None });
    announce("file", "text\n");
    assert_eq!(read("file", Form::Patch).body, Body::Text { text: "text\n".into(), mime: None }, "as in the last commit");
    // Line endings that git converts are not a difference.
    git(&root, &["config", "core.autocrlf", "true"]);
    fs::write(root.join("file"), "text\r\n").unwrap();
    announce("file", "text\r\n");
    assert_eq!(read("file", Form::Patch).body, Body::Text { text: "text\r\n".into(), mime: None });
    announce("file", "text\r\nx\r\n");
    assert!(matches!(read("file", Form::Patch).body, Body::Patch(patch) if patch.ends_with("@@ -1 +1,2 @@\n text\n+x\n")));
}

#[test]
fn a_broken_link_is_reported() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    for (link, target) in [("dangling", "nowhere"), ("circle", "circle"), ("directory", "gone/away"), ("outside", "/nowhere/at/all")] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        for given in [link.to_owned(), format!("{link}/file")] {
            for form in [Form::Patch, Form::Whole, Form::Lines { first: 1, limit: 9 }] {
                let error = read_as(&root, &given, form).unwrap_err();
                assert!(matches!(&error, Error::Dangling { link: named, .. } if *named == root.join(link).to_string()), "{given}: {error}");
                assert!(error.to_string().contains(&format!("whose target {target} does not exist")), "{given}: {error}");
            }
        }
    }
    assert!(matches!(read_as(&root, "nothing", Form::Patch).unwrap_err(), Error::NotFound(_)));
}

//! The parts of a prompt: the words of the command line, text from a pipe, and attached files with line ranges.

use polytree_protocol::session::{CommandInput, FileInput, PartInput, TextInput};

use crate::{
    cli::client::Failure,
    stdx::{paths::AbsPath, uri::file_uri},
};

/// The parts of a prompt, or of a call of a command. File paths are relative to `directory`.
///
/// # Errors
/// If there is no text, or a file does not exist.
pub fn parts(
    command: Option<&str>,
    words: &[String],
    piped: Option<&str>,
    files: &[String],
    directory: &AbsPath,
) -> Result<Vec<PartInput>, Failure> {
    let typed = words.join(" ");
    let piped = piped.filter(|text| !text.trim().is_empty());
    let text = match (typed.trim().is_empty(), piped) {
        (true, None) if command.is_some() => String::new(),
        (true, None) => {
            return Err(Failure::Usage("nothing to ask: give a prompt, or text through a pipe (see `polytree run --help`)".to_owned()));
        }
        (true, Some(piped)) => piped.to_owned(),
        (false, None) => typed,
        (false, Some(piped)) => format!("{typed}\n\n{piped}"),
    };
    let mut parts = vec![match command {
        Some(name) => PartInput::Command(CommandInput { name: name.to_owned(), arguments: text, ..CommandInput::default() }),
        None => PartInput::Text(TextInput { text, ..TextInput::default() }),
    }];
    for file in files {
        parts.push(PartInput::File(attachment(file, directory)?));
    }
    Ok(parts)
}

fn attachment(given: &str, directory: &AbsPath) -> Result<FileInput, Failure> {
    // If a file with this name exists, the end of its name is not a range.
    let whole = directory.join(given);
    let (path, lines) = match given.rsplit_once(':').and_then(|(path, lines)| Some((directory.join(path), range(lines)?))) {
        Some((path, lines)) if !whole.as_path().exists() => (path, Some(lines)),
        _ => (whole, None),
    };
    let metadata = std::fs::metadata(&path).map_err(|error| Failure::Usage(format!("--file {given}: {error}")))?;
    let mime = if metadata.is_dir() { "application/x-directory".to_owned() } else { mime(&path) };
    let query = match lines {
        None => String::new(),
        Some((start, end)) if start > end => return Err(Failure::Usage(format!("--file {given}: the lines {start} to {end} are none"))),
        Some((start, end)) => format!("?start={start}&end={end}"),
    };
    Ok(FileInput { mime, filename: Some(path.relative_to(directory)), url: format!("{}{query}", file_uri(&path)), ..FileInput::default() })
}

/// `10` or `10-20`, from 1.
fn range(text: &str) -> Option<(u64, u64)> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0 && !text.starts_with('+'));
    match text.split_once('-') {
        Some((start, end)) => Some((number(start)?, number(end)?)),
        None => number(text).map(|line| (line, line)),
    }
}

/// The media type of images and documents by their names; everything else is text, which the daemon checks. A guess by
/// name would mistake TypeScript (`.ts`) for video.
fn mime(path: &AbsPath) -> String {
    let guess = mime_guess::from_path(path).first_raw().unwrap_or("text/plain");
    let is_known = (guess.starts_with("image/") && guess != "image/svg+xml") || guess == "application/pdf";
    if is_known { guess.to_owned() } else { "text/plain".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, AbsPath) {
        let place = tempfile::tempdir().unwrap();
        let path = AbsPath::new(place.path()).unwrap();
        for name in ["a b.ts", "odd:7", "ä.png"] {
            std::fs::write(place.path().join(name), "x").unwrap();
        }
        (place, path)
    }

    fn text(words: &[&str], piped: Option<&str>) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let parts = parts(None, &words, piped, &[], &AbsPath::new("/").unwrap()).map_err(|failure| failure.to_string())?;
        let [PartInput::Text(input)] = parts.as_slice() else { panic!("{parts:?}") };
        Ok(input.text.clone())
    }

    #[test]
    fn words_and_the_pipe() {
        assert_eq!(text(&["fix", "it"], None).unwrap(), "fix it");
        assert_eq!(text(&["review"], Some(" diff\n")).unwrap(), "review\n\n diff\n");
        assert_eq!(text(&[], Some("do it\n")).unwrap(), "do it\n");
        assert_eq!(text(&["go"], Some(" \n")).unwrap(), "go");
        assert!(text(&[" "], None).unwrap_err().contains("nothing to ask"));
    }

    #[test]
    fn files_and_their_lines() {
        let (_guard, directory) = place();
        let attach = |given: &str| {
            let url =
                |file: FileInput| (file.mime, file.filename.unwrap(), file.url.strip_prefix(&file_uri(&directory)).unwrap().to_owned());
            attachment(given, &directory).map(url).map_err(|failure| failure.to_string())
        };
        let ok = |mime: &str, name: &str, url: &str| Ok((mime.to_owned(), name.to_owned(), url.to_owned()));
        assert_eq!(attach("a b.ts"), ok("text/plain", "a b.ts", "/a%20b.ts"));
        assert_eq!(attach("./a b.ts:3-5"), ok("text/plain", "a b.ts", "/a%20b.ts?start=3&end=5"));
        assert_eq!(attach("a b.ts:3"), ok("text/plain", "a b.ts", "/a%20b.ts?start=3&end=3"));
        assert_eq!(attach("odd:7"), ok("text/plain", "odd:7", "/odd%3A7"));
        assert_eq!(attach("odd:7:1-2"), ok("text/plain", "odd:7", "/odd%3A7?start=1&end=2"));
        assert_eq!(attach("ä.png"), ok("image/png", "ä.png", "/%C3%A4.png"));
        assert_eq!(attach("."), ok("application/x-directory", ".", ""));
        assert!(attach("none").unwrap_err().contains("--file none"));
        assert!(attach("a b.ts:5-3").unwrap_err().contains("5 to 3"));
        assert!(attach("a b.ts:0").is_err());
    }
}

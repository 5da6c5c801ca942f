//! Prepares HTML of anybody for the conversion: what is not to be read is left out, and what is left is nested properly and not
//! deeply, so that neither the parser nor the walk over its tree can be made to run away. Linear in the length of the page.

/// The deepest nesting; tags below it are left out, their text stays.
const MAX_DEPTH: usize = 128;
/// The longest cleaned page.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Elements whose content is no text for people, with everything in them.
const SKIPPED: &[&str] = &[
    "script", "style", "noscript", "iframe", "template", "svg", "math", "object", "embed", "canvas", "audio", "video", "map", "head",
    "select", "textarea", "noembed", "noframes", "xmp", "dialog",
];
/// Those of them in which a parser sees no tags: they end at their own end tag.
const RAW: &[&str] = &["script", "style", "noscript", "iframe", "textarea", "noembed", "noframes", "xmp", "title"];
/// Elements that are kept, beside those that only set text apart.
const INLINE: &[&str] = &["a", "b", "strong", "i", "em", "code", "kbd", "samp", "del", "s", "sub", "sup", "mark", "q", "cite", "span"];
const BLOCKS: &[&str] = &[
    "p",
    "div",
    "section",
    "article",
    "main",
    "header",
    "footer",
    "aside",
    "nav",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "dl",
    "dt",
    "dd",
    "blockquote",
    "pre",
    "table",
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "td",
    "th",
    "caption",
    "figure",
    "figcaption",
    "details",
    "summary",
    "form",
    "fieldset",
    "address",
    "hr",
    "center",
];
const VOID: &[&str] = &["br", "hr", "img"];

/// A page without what is not to be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub html: String,
    pub text: String,
    pub title: Option<String>,
}

/// A tag, as far as it matters.
struct Tag<'a> {
    name: String,
    is_end: bool,
    attributes: &'a str,
}

pub fn clean(page: &str) -> Cleaned {
    let mut cleaner = Cleaner::default();
    // Behind the last `>` there is no tag, and none is looked for again and again.
    let (mut rest, tail) = page.split_at(page.rfind('>').map_or(0, |at| at + 1));
    while let Some(at) = rest.find('<') {
        cleaner.text(&rest[..at]);
        rest = &rest[at..];
        if cleaner.out.html.len() >= MAX_BYTES {
            break;
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = cleaner.after(comment.find("-->").map(|end| &comment[end + 3..]));
        } else if rest.starts_with("<!") || rest.starts_with("<?") {
            rest = rest.find('>').map_or("", |end| &rest[end + 1..]);
        } else if let Some((tag, after)) = tag(rest) {
            rest = if tag.is_end { cleaner.end(&tag.name, after) } else { cleaner.start(&tag, after) };
        } else {
            cleaner.text("<");
            rest = &rest[1..];
        }
    }
    if cleaner.out.html.len() < MAX_BYTES && !cleaner.is_unended {
        cleaner.text(rest);
        cleaner.text(tail);
    }
    cleaner.finish()
}

/// The tag at the beginning, and what follows it.
fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let is_end = text.starts_with("</");
    let body = &text[if is_end { 2 } else { 1 }..];
    if !body.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let length = body.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>')).unwrap_or(body.len());
    // A `>` within quotes does not end the tag.
    let mut quote = None;
    let end = body[length..].bytes().position(|byte| match (quote, byte) {
        (None, b'>') => true,
        (None, b'"' | b'\'') => {
            quote = Some(byte);
            false
        }
        (Some(open), _) if open == byte => {
            quote = None;
            false
        }
        _ => false,
    });
    // Where a quote is never closed, the next `>` has to do.
    let end = end.or_else(|| body[length..].find('>'))? + length;
    let tag = Tag { name: body[..length].to_ascii_lowercase(), is_end, attributes: &body[length..end] };
    Some((tag, &body[end + 1..]))
}

/// The value of an attribute.
fn attribute<'a>(attributes: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        let length = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '/')).unwrap_or(rest.len()).max(1);
        let length = (length..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let name = &rest[..length];
        rest = rest[length..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let (found, left) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                _ => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
            };
            (value, rest) = (found, left);
        }
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
    }
}

#[derive(Default)]
struct Cleaner {
    out: Cleaned,
    open: Vec<String>,
    /// What is left out has no end: so is all that follows.
    is_unended: bool,
}

impl Cleaner {
    /// What follows something that is left out; nothing where it has no end.
    fn after<'a>(&mut self, rest: Option<&'a str>) -> &'a str {
        self.is_unended |= rest.is_none();
        rest.unwrap_or_default()
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.out.html.push_str(&text.replace('<', "&lt;"));
        let decoded = decode(text);
        if self.open.iter().any(|name| name == "pre") {
            self.out.text.push_str(&decoded);
            return;
        }
        for (index, word) in decoded.split(|c: char| c.is_ascii_whitespace()).enumerate() {
            if index > 0 && !self.out.text.ends_with([' ', '\n']) && !self.out.text.is_empty() {
                self.out.text.push(' ');
            }
            self.out.text.push_str(word);
        }
    }

    /// Text after this stands on a line of its own.
    fn line(&mut self) {
        let end = self.out.text.trim_end_matches(' ').len();
        self.out.text.truncate(end);
        if !self.out.text.is_empty() && !self.out.text.ends_with('\n') {
            self.out.text.push('\n');
        }
    }

    fn start<'a>(&mut self, tag: &Tag<'_>, after: &'a str) -> &'a str {
        let name = tag.name.as_str();
        if name == "title" {
            let (title, rest) = until_end(after, name);
            let rest = self.after(rest);
            if self.out.title.is_none() {
                self.out.title = Some(decode(title).split_whitespace().collect::<Vec<_>>().join(" ")).filter(|title| !title.is_empty());
            }
            return rest;
        }
        if name == "head" {
            // Its title is wanted, and what else it has is skipped by itself.
            return after;
        }
        if SKIPPED.contains(&name) {
            let rest = if RAW.contains(&name) { until_end(after, name).1 } else { skip(after, name) };
            return self.after(rest);
        }
        let is_block = BLOCKS.contains(&name);
        if is_block {
            // A block ends a paragraph, and an entry the one before it.
            let ends = |open: &str| open == "p" || (open == name && matches!(name, "li" | "dt" | "dd" | "tr" | "td" | "th"));
            let own = self.open.iter().rposition(|open| matches!(open.as_str(), "ul" | "ol" | "dl" | "table")).map_or(0, |at| at + 1);
            if let Some(at) = self.open[own..].iter().position(|open| ends(open)) {
                self.close_to(own + at);
            }
            self.line();
        }
        if name == "br" {
            self.line();
        }
        if VOID.contains(&name) {
            let kept = match name {
                "img" => {
                    attribute(tag.attributes, "alt").filter(|alt| !alt.trim().is_empty()).map(|alt| format!("<em>{}</em>", escaped(alt)))
                }
                _ => Some(format!("<{name}>")),
            };
            self.out.html.push_str(&kept.unwrap_or_default());
            return after;
        }
        // What is in itself already would say nothing more.
        let is_again = INLINE.contains(&name) && self.open.iter().any(|open| open == name);
        if (is_block || INLINE.contains(&name)) && !is_again && self.open.len() < MAX_DEPTH {
            let wanted = if name == "a" { "href" } else { "class" };
            // Of classes only the language of a listing is read.
            let value = attribute(tag.attributes, wanted).filter(|value| name == "a" || (name == "code" && value.contains("language-")));
            let value = value.filter(|value| value.len() < 2048).map(|value| format!(" {wanted}=\"{}\"", escaped(value)));
            self.out.html.push_str(&format!("<{name}{}>", value.unwrap_or_default()));
            self.open.push(name.to_owned());
        }
        after
    }

    fn end<'a>(&mut self, name: &str, after: &'a str) -> &'a str {
        if let Some(at) = self.open.iter().rposition(|open| open == name) {
            self.close_to(at);
            if BLOCKS.contains(&name) {
                self.line();
            }
        }
        after
    }

    /// Closes the open elements from this one on, the innermost first.
    fn close_to(&mut self, at: usize) {
        for name in self.open.drain(at..).rev() {
            self.out.html.push_str(&format!("</{name}>"));
        }
    }

    fn finish(mut self) -> Cleaned {
        self.close_to(0);
        self.out.text = self.out.text.trim().to_owned();
        self.out
    }
}

/// The content of a raw element, and what follows its end tag.
fn until_end<'a>(text: &'a str, name: &str) -> (&'a str, Option<&'a str>) {
    let mut from = 0;
    while let Some(at) = text[from..].find("</") {
        let at = from + at;
        let is_it = text.as_bytes()[at + 2..].get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
        if is_it {
            let rest = &text[at + 2 + name.len()..];
            return (&text[..at], rest.find('>').map(|end| &rest[end + 1..]));
        }
        from = at + 2;
    }
    (text, None)
}

/// What follows an element that may be nested in itself.
fn skip<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (mut rest, mut depth) = (text, 1_usize);
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let Some((tag, after)) = tag(rest) else {
            rest = &rest[1..];
            continue;
        };
        rest = after;
        if tag.name == name {
            depth = if tag.is_end { depth - 1 } else { depth + usize::from(!tag.attributes.ends_with('/')) };
            if depth == 0 {
                return Some(rest);
            }
        }
    }
    None
}

fn escaped(value: &str) -> String {
    value.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The text with the usual character references replaced.
fn decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = rest[1..].bytes().take(12).position(|byte| byte == b';').and_then(|end| Some((reference(&rest[1..=end])?, end + 2)));
        match found {
            Some((character, length)) => {
                decoded.push(character);
                rest = &rest[length..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded + rest
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hexadecimal = number.strip_prefix(['x', 'X']);
        let code = hexadecimal.map_or_else(|| number.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok())?;
        return char::from_u32(code).filter(|character| *character != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "copy" => '©',
        "reg" => '®',
        "hellip" => '…',
        "mdash" => '—',
        "ndash" => '–',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "bull" => '•',
        "middot" => '·',
        "times" => '×',
        "rarr" => '→',
        "larr" => '←',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_for_people_is_left_out() {
        let page = "<!doctype html><html><head><title>A &amp; B</title><style>p{}</style></head><body onload=x><!-- <p>no</p> -->\
            <h1 id=t>Title</h1><p>One <b>two</b><script>if (a < b) { '</p>' }</script> three<svg><svg></svg><text>no</text></svg>\
            <ul><li>a<li>b <a href='/x?a=1&amp;b=2' onclick=\"steal()\">link</a></ul><img src=x alt=\"a picture\"></body>";
        let cleaned = clean(page);
        assert_eq!(cleaned.title.as_deref(), Some("A & B"));
        assert_eq!(
            cleaned.html,
            "<h1>Title</h1><p>One <b>two</b> three</p><ul><li>a</li><li>b <a href=\"/x?a=1&amp;b=2\">link</a></li></ul><em>a picture</em>"
        );
        assert_eq!(cleaned.text, "Title\nOne two three\na\nb link");
        assert_eq!(clean("1 < 2 & 3 &gt; 2 <3 </ x>").text, "1 < 2 & 3 > 2 <3 </ x>");
        assert_eq!(clean("<pre>a\n  b</pre> c   d").text, "a\n  b\nc d");
        assert_eq!(clean("<p title=\"a>b\">x<p title='unclosed>y").text, "x\ny");
    }

    #[test]
    fn pages_that_are_made_to_hurt_stay_small() {
        let deep = "<div>".repeat(200_000) + "x";
        assert!(clean(&deep).html.len() < MAX_DEPTH * 20);
        let formats = (0..50_000).map(|number| format!("<b><font color={number}><i>")).collect::<String>() + &"<p>x".repeat(50_000);
        let cleaned = clean(&formats);
        assert!(cleaned.html.len() < 2 * formats.len(), "{}", cleaned.html.len());
        assert!(clean(&"<".repeat(1_000_000)).html.len() < 2 * MAX_BYTES + 100);
        assert_eq!(clean(&("<script>".to_owned() + &"</scrip".repeat(100_000))).html, "");
        assert!(clean(&"<p>&".repeat(100_000)).html.len() < 1_000_000);
        // Tags that never end.
        assert!(clean(&"<a ".repeat(300_000)).html.len() < 2 * MAX_BYTES + 100);
        assert!(clean(&("<a '\"".repeat(200_000) + ">")).html.len() < 2 * MAX_BYTES + 100);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_nested_properly(pieces in prop::collection::vec(prop_oneof![
            Just("<p>"), Just("</p>"), Just("<b>"), Just("</b>"), Just("<li>"), Just("<ul>"), Just("</ul>"), Just("<a href=\"x"), Just("\">"), Just("<table>"),
            Just("<td>"), Just("</table>"), Just("<script>"), Just("</script>"), Just("<!--"), Just("-->"), Just("é&#x41;"), Just("<"), Just("&"), Just("<svg>"),
        ], 0..40)) {
            let cleaned = clean(&pieces.concat());
            let mut open: Vec<String> = Vec::new();
            let mut rest = cleaned.html.as_str();
            while let Some(at) = rest.find('<') {
                let (tag, after) = tag(&rest[at..]).unwrap();
                rest = after;
                if tag.is_end {
                    prop_assert_eq!(open.pop(), Some(tag.name));
                } else if !VOID.contains(&tag.name.as_str()) {
                    open.push(tag.name);
                }
            }
            prop_assert!(open.is_empty());
        }
    }
}

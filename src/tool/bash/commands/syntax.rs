//! A shell script as a tree, with just enough in it to tell which commands it would run and with which words.

/// Where a word stands, which decides what an opening bracket means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Before the command's name: `a[1]=x` may be an assignment.
    Front,
    /// Anywhere else.
    Argument,
    /// After `=~` in `[[ ]]`.
    Regex,
}

/// A sequence of pipelines.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    pub items: Vec<Item>,
}

/// One pipeline of a script.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// How it hangs on the pipeline before it.
    pub joined: Joined,
    /// Ended by `&`.
    pub background: bool,
    /// At least one.
    pub commands: Vec<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// Runs in any case.
    Next,
    /// After `&&`.
    And,
    /// After `||`.
    Or,
}

#[derive(Debug, Clone)]
pub(super) enum Command {
    Simple(Simple),
    Compound(Compound),
}

/// Assignments, words and redirections.
#[derive(Debug, Clone, Default)]
pub(super) struct Simple {
    pub assignments: Vec<Assignment>,
    pub words: Vec<Word>,
    pub redirects: Vec<Redirect>,
}

#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub name: String,
    /// What stands between the brackets of `name[...]=`.
    pub subscript: Option<Word>,
    /// The value; for an array one hole with all its elements.
    pub value: Word,
    /// It is added to what is there.
    pub extends: bool,
}

/// Everything with keywords or brackets, functions included.
#[derive(Debug, Clone)]
pub(super) struct Compound {
    pub scope: Scope,
    /// The name of the function, where it defines one: nothing of it runs yet.
    pub defines: Option<String>,
    /// Conditions, bodies, in order.
    pub scripts: Vec<Script>,
    /// Words that are expanded but are no command: those of `for`, `case`, `[[`, `((`.
    pub words: Vec<Word>,
    /// The words become names of files, as those of `for` do.
    pub lists: bool,
    pub redirects: Vec<Redirect>,
}

/// What a `cd` inside means for what comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `{ }`: as if written there.
    Same,
    /// `( )`: nothing.
    Subshell,
    /// It may have happened or not.
    Maybe,
}

#[derive(Debug, Clone)]
pub(super) struct Redirect {
    /// Such as `>`, `2>` without the number, `<<<`.
    pub operator: String,
    pub target: Word,
    /// Index into [`Parsed::bodies`].
    pub body: Option<usize>,
    /// It is one of the standard input.
    pub is_input: bool,
}

impl Redirect {
    /// `2>&1`, for which `|&` is short.
    pub(super) fn of_errors() -> Self {
        let target = Word { start: 0, pieces: vec![Piece::Text { text: "1".to_owned(), quoted: false }] };
        Self { operator: ">&".to_owned(), target, body: None, is_input: false }
    }
}

/// One word before expansion.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    /// Byte offset in the source.
    pub start: usize,
    pub pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// Text without its quotes.
    Text { text: String, quoted: bool },
    /// What is known only when it runs, as written, with the scripts that run to know it.
    Hole { raw: String, quoted: bool, scripts: Vec<Script> },
}

/// A piece of a text or a value: what is known, and what only running would tell, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Hole(String),
}

/// What bash evaluates after it was expanded: a command substitution in a value runs then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Evaluated {
    /// A text, as arithmetic.
    Arithmetic(Vec<Part>),
    /// A subscript of this array: as arithmetic, unless the array is an associative one.
    Subscript { array: String, key: Vec<Part> },
    /// A value that is evaluated only if this variable is an array.
    IfArray { name: String, value: Vec<Part> },
    /// Nothing that could be known: `${!x}`, `${x@P}`, a nameref.
    Unknown,
}

/// What a variable is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number,
    Text(Vec<Part>),
    Unknown,
}

/// What reading a script gives.
#[derive(Debug, Clone, Default)]
pub(super) struct Parsed {
    pub script: Script,
    /// Bodies of here-documents.
    pub bodies: Vec<Word>,
    pub findings: Findings,
}

/// What was noticed on the way.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    /// Something whose reading differs between versions or is too odd to be sure of.
    pub doubtful: bool,
    /// Something that a plain POSIX shell reads differently.
    pub beyond_posix: bool,
    /// A function is defined.
    pub has_functions: bool,
    /// What is evaluated once more after it was expanded, which can run commands.
    pub evaluated: Vec<Evaluated>,
    /// Variables that get a value elsewhere than in an assignment before a command: in `for`, `${x:=y}`, `{fd}>`.
    pub assigned: Vec<(String, Value)>,
    /// Byte offsets at which a command or a keyword begins.
    pub starts: Vec<usize>,
}

impl Word {
    /// Adds a character, joined to the piece before where it is of the same kind.
    pub(super) fn push(&mut self, character: char, is_quoted: bool) {
        if let Some(Piece::Text { text, quoted }) = self.pieces.last_mut()
            && *quoted == is_quoted
        {
            text.push(character);
        } else {
            self.pieces.push(Piece::Text { text: character.to_string(), quoted: is_quoted });
        }
    }

    /// The text, if nothing in it is quoted or known only later.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text { text, quoted: false }] => Some(text),
            _ => None,
        }
    }

    /// The text without quotes, if all of it is known.
    pub(super) fn literal(&self) -> Option<String> {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text { text, .. } => Some(text.as_str()),
                Piece::Hole { .. } => None,
            })
            .collect()
    }

    /// The word without quotes, as the pieces of a value.
    pub(super) fn parts(&self) -> Vec<Part> {
        let part = |piece: &Piece| match piece {
            Piece::Text { text, .. } => Part::Text(text.clone()),
            Piece::Hole { raw, .. } => Part::Hole(raw.clone()),
        };
        self.pieces.iter().map(part).collect()
    }

    /// Splits at the first unquoted occurrence of one of these characters outside of brackets, which belongs to neither side.
    pub(super) fn split_at(&self, ends: &[char]) -> Option<(Self, Self)> {
        let mut depth = 0_usize;
        for (index, piece) in self.pieces.iter().enumerate() {
            let Piece::Text { text, quoted: false } = piece else { continue };
            for (at, character) in text.char_indices() {
                if depth == 0 && ends.contains(&character) {
                    let side = |text: &str| Piece::Text { text: text.to_owned(), quoted: false };
                    let before = self.pieces[..index].iter().cloned().chain([side(&text[..at])]).collect();
                    let after = [side(&text[at + character.len_utf8()..])].into_iter().chain(self.pieces[index + 1..].iter().cloned());
                    let after = Self { start: self.start, pieces: after.collect() };
                    return Some((Self { start: self.start, pieces: before }, after));
                }
                match character {
                    '[' => depth += 1,
                    ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        None
    }

    /// The unquoted text at the beginning.
    pub(super) fn front(&self) -> &str {
        let is_empty = |piece: &&Piece| matches!(piece, Piece::Text { text, quoted: false } if text.is_empty());
        match self.pieces.iter().find(|piece| !is_empty(piece)) {
            Some(Piece::Text { text, quoted: false }) => text,
            _ => "",
        }
    }

    /// The rest behind a prefix of the unquoted text at the beginning.
    pub(super) fn without(&self, prefix: &str) -> Self {
        let mut rest = self.clone();
        for piece in &mut rest.pieces {
            if let Piece::Text { text, quoted: false } = piece
                && !text.is_empty()
            {
                *text = text.strip_prefix(prefix).unwrap_or(text).to_owned();
                break;
            }
        }
        rest
    }

    /// Whether any part was quoted.
    pub(super) fn has_quotes(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Text { quoted: true, .. } | Piece::Hole { quoted: true, .. }))
    }

    /// The scripts that run when the word is expanded.
    pub(super) fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.pieces.iter().flat_map(|piece| match piece {
            Piece::Hole { scripts, .. } => scripts.as_slice(),
            Piece::Text { .. } => &[],
        })
    }
}

/// Whether this is the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.chars().enumerate().all(|(at, c)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit())) && !text.is_empty()
}

//! A shell script as a tree, with just enough in it to tell which commands it would run and with which words.

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
    /// The value; for an array its elements.
    pub words: Vec<Word>,
}

/// Everything with keywords or brackets, functions included.
#[derive(Debug, Clone)]
pub(super) struct Compound {
    pub scope: Scope,
    /// Conditions, bodies, in order.
    pub scripts: Vec<Script>,
    /// Words that are expanded but are no command: those of `for`, `case`, `[[`, `((`.
    pub words: Vec<Word>,
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
    /// Values of variables are evaluated as arithmetic or subscripts, which can run commands.
    pub evaluates: bool,
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

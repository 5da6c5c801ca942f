//! The output of commands: answers to the standard output, everything else to the standard error. If both are the same
//! terminal, their lines are kept separate.

use std::io::{self, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};

/// One of the two streams.
pub struct Output {
    writer: Box<dyn Write + Send>,
    /// It is a terminal.
    pub terminal: bool,
    /// It supports styles.
    pub colour: bool,
    /// Its last line is not empty.
    open: bool,
}

impl Output {
    /// A stream over any writer.
    #[must_use]
    pub fn new(writer: Box<dyn Write + Send>, terminal: bool, colour: bool) -> Self {
        Self { writer, terminal, colour, open: false }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.open = !text.ends_with('\n');
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }

    fn write_styled(&mut self, text: &str) -> io::Result<()> {
        if self.colour { self.write(text) } else { self.write(&strip_str(text).to_string()) }
    }
}

/// Both streams.
pub struct Screen {
    pub out: Output,
    err: Output,
    /// The width of the terminal in columns.
    pub width: usize,
}

impl Screen {
    /// The streams of this process; styles depend on `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM`.
    #[must_use]
    pub fn standard() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        let (out_colour, err_colour) = (AutoStream::choice(&out) != ColorChoice::Never, AutoStream::choice(&err) != ColorChoice::Never);
        // Text for a stream without colour is not stripped: output to a file must be unchanged.
        let writer = |colour: bool| -> Box<dyn Write + Send> {
            if colour { Box::new(AutoStream::always(io::stdout())) } else { Box::new(io::stdout()) }
        };
        let out = Output::new(writer(out_colour), out_terminal, out_colour);
        let writer: Box<dyn Write + Send> = if err_colour { Box::new(AutoStream::always(io::stderr())) } else { Box::new(io::stderr()) };
        Self::new(out, Output::new(writer, err_terminal, err_colour), width())
    }

    /// Both over any writers.
    #[must_use]
    pub fn new(out: Output, err: Output, width: usize) -> Self {
        Self { out, err, width }
    }

    /// Whether both are the same terminal.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.out.terminal && self.err.terminal
    }

    /// Whether the user sees questions.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.err.terminal
    }

    /// Appends to the standard output, unchanged.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        if !text.is_empty() && self.is_shared() {
            self.end_error_line();
        }
        self.out.write(text)
    }

    /// Appends styled text to the standard output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn styled(&mut self, text: &str) -> io::Result<()> {
        if self.out.colour { self.text(text) } else { self.text(&strip_str(text).to_string()) }
    }

    /// Ends the line of the standard output, if it is not empty.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn end_text(&mut self) -> io::Result<()> {
        if self.out.open { self.text("\n") } else { Ok(()) }
    }

    /// Writes complete lines to the standard error. Ignores errors.
    pub fn status(&mut self, lines: &str) {
        self.begin_error_line();
        self.end_error_line();
        let _ = self.err.write_styled(lines);
        self.end_error_line();
    }

    /// Writes an empty line to the standard error.
    pub fn blank(&mut self) {
        self.begin_error_line();
        self.end_error_line();
        let _ = self.err.write("\n");
    }

    /// Appends to the line of the standard error.
    pub fn status_piece(&mut self, text: &str) {
        if !text.is_empty() {
            self.begin_error_line();
            let _ = self.err.write_styled(text);
        }
    }

    /// Whether the last line of the standard error is not empty, such as a question.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.err.open
    }

    /// The user's line end has ended the line.
    pub fn line_was_typed(&mut self) {
        self.err.open = false;
    }

    /// Ends the line of the standard error, if it is not empty.
    pub fn end_error_line(&mut self) {
        if self.err.open {
            let _ = self.err.write("\n");
        }
    }

    /// On a shared terminal, ends the line of the other stream first.
    fn begin_error_line(&mut self) {
        if self.is_shared() && self.out.open {
            self.out.open = false;
            let _ = self.err.write("\n");
        }
    }
}

/// The terminal's width; 80 if it is unknown.
fn width() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stderr())
        && size.ws_col > 0
    {
        return size.ws_col.into();
    }
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0).unwrap_or(80)
}

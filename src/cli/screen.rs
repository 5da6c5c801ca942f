//! Where commands write: answers to the standard output, everything about them to the standard error. When both are
//! the same terminal their lines do not run into each other.

use std::io::{self, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};

/// One of the two streams.
pub struct Output {
    writer: Box<dyn Write + Send>,
    /// A person looks at it.
    pub terminal: bool,
    /// It shows styles.
    pub colour: bool,
    /// Something stands on its last line.
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
    /// The standard output.
    pub out: Output,
    err: Output,
    /// How many columns the terminal has.
    pub width: usize,
}

impl Screen {
    /// The streams of this process; styles as `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM` say.
    #[must_use]
    pub fn standard() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        let (out_colour, err_colour) = (AutoStream::choice(&out) != ColorChoice::Never, AutoStream::choice(&err) != ColorChoice::Never);
        // A stream without colour is written as it is: what goes into a file is not ours to change.
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

    /// Whether a person sees what is asked.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.err.terminal
    }

    /// Appends to the standard output, as it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        if !text.is_empty() && self.is_shared() {
            self.end_error_line();
        }
        self.out.write(text)
    }

    /// Appends styled text to the standard output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn styled(&mut self, text: &str) -> io::Result<()> {
        if self.out.colour { self.text(text) } else { self.text(&strip_str(text).to_string()) }
    }

    /// Ends the line of the standard output, if something stands on it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_text(&mut self) -> io::Result<()> {
        if self.out.open { self.text("\n") } else { Ok(()) }
    }

    /// Writes whole lines to the standard error. Nobody can be told when that fails.
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

    /// Whether a question stands on the last line of the standard error.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.err.open
    }

    /// The terminal's echo has ended the line.
    pub fn line_was_typed(&mut self) {
        self.err.open = false;
    }

    /// Ends the line of the standard error, if something stands on it.
    pub fn end_error_line(&mut self) {
        if self.err.open {
            let _ = self.err.write("\n");
        }
    }

    /// On a shared terminal the text's line ends before another one begins.
    fn begin_error_line(&mut self) {
        if self.is_shared() && self.out.open {
            self.out.open = false;
            let _ = self.err.write("\n");
        }
    }
}

/// The terminal's columns; 80 where that cannot be known.
fn width() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stderr())
        && size.ws_col > 0
    {
        return size.ws_col.into();
    }
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0).unwrap_or(80)
}

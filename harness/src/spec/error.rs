//! What is wrong with an experiment file: every problem with its place, its key path and its cure.

use std::fmt;
use std::io;

/// A place in a file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, characters.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, if that is known.
    pub position: Option<Position>,
    /// Key path: `links.up`; empty for the file as a whole.
    pub path: String,
    /// What, with the offending values.
    pub message: String,
    /// The cure, if there is an obvious one.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of the file as a whole.
    #[must_use]
    pub fn of_file(message: impl Into<String>) -> Self {
        Self { position: None, path: String::new(), message: message.into(), hint: None }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.position = position;
        self
    }

    /// The same with its cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The problem as one line: `error: x.yaml:12:9: links.up: … (hint: …)`. What the file holds is quoted, never obeyed.
    #[must_use]
    pub fn line(&self, file: &str) -> String {
        let mut line = format!("error: {file}");
        if let Some(Position { line: row, column }) = self.position {
            line.push_str(&format!(":{row}:{column}"));
        }
        if !self.path.is_empty() {
            line.push_str(&format!(": {}", self.path));
        }
        line.push_str(&format!(": {}", self.message));
        if let Some(hint) = &self.hint {
            line.push_str(&format!(" (hint: {hint})"));
        }
        let escaped = |c: char| if is_control(c) { Err(c.escape_unicode()) } else { Ok(c) };
        line.chars().map(escaped).fold(String::new(), |mut line, c| {
            match c {
                Ok(c) => line.push(c),
                Err(escaped) => line.extend(escaped),
            }
            line
        })
    }
}

/// Why a file gives no [`super::Spec`]. Shown as whole lines that begin with `error:`, one for each problem.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It could not be read.
    #[error("error: {file}: cannot be read: {source}")]
    Read {
        /// As given.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It was read, and is wrong.
    #[error("{}", Lines(file, problems, *more))]
    Wrong {
        /// As given.
        file: String,
        /// What is wrong, in the file's order; at least one.
        problems: Vec<Problem>,
        /// Whether the search was given up after so many.
        more: bool,
    },
}

struct Lines<'a>(&'a str, &'a [Problem], bool);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(file, problems, more) = self;
        for (index, problem) in problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            f.write_str(&problem.line(file))?;
        }
        if *more {
            write!(f, "\nerror: {file}: there are more than {} problems; the rest is not shown", problems.len())?;
        }
        Ok(())
    }
}

/// Whether a character is a command to whatever shows it: a control character, or one that turns the direction of writing.
pub(super) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The words as a message shows them.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

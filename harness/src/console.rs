//! What a command says: lines on standard output and on standard error.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::OnceLock;

/// Why standard output could not be written, the first time.
pub(crate) static UNSAID: OnceLock<String> = OnceLock::new();

/// A line on standard output.
pub(crate) fn say(line: impl Display) {
    note(writeln!(io::stdout(), "{line}"));
}

/// Remembers that something could not be written that somebody wants. That nobody reads it any more (`| head`) is no reason
/// to end otherwise than well.
pub(crate) fn note(written: io::Result<()>) {
    if let Some(why) = unsaid(written) {
        UNSAID.get_or_init(|| why);
    }
}

pub(crate) fn unsaid(written: io::Result<()>) -> Option<String> {
    written.err().filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map(|error| error.to_string())
}

/// Columns of the terminal that reads standard output, as many as there can be where none does.
pub(crate) fn columns() -> usize {
    console::Term::stdout().size_checked().map_or(usize::MAX, |(_, columns)| columns.into())
}

/// A line on standard error, in the same way.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_failure_to_speak_and_a_reader_that_left_is_none() {
        assert_eq!(unsaid(Ok(())), None);
        assert_eq!(unsaid(Err(io::ErrorKind::BrokenPipe.into())), None);
        assert_eq!(unsaid(Err(io::ErrorKind::StorageFull.into())).as_deref(), Some("no storage space"));
    }
}

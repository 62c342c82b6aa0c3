//! One container's output as lines, and its end, each told once and in order.
//!
//! The engine keeps a container's whole output, over all of its lives, and can give it again from the first byte. So
//! whoever follows counts the bytes that it has told, and after a broken stream or a new life skips as many: no line
//! is lost or told twice. The stream of a running container ends when its process does; what the engine wrote in the
//! meantime is read once more without following, and only then is the end told.
//!
//! It knows nothing of what a line means.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::client::{Client, ClientError};
use crate::runtime::Notice;
use crate::runtime::lines::Lines;

/// How often in a row a stream may break without a new byte before the node counts as lost.
const PATIENCE: u32 = 5;
/// Wait after the first break; it grows with each further one, because the engine is busy or restarting.
const BACK_OFF: Duration = Duration::from_millis(200);

/// How far a container's output has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    stdout: Half,
    stderr: Half,
}

/// One of the two streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Half {
    /// Bytes taken in, over all readings.
    taken: u64,
    /// Bytes that the present reading has passed.
    passed: u64,
    lines: Lines,
}

impl Half {
    fn feed(&mut self, bytes: &[u8], tell: impl FnMut(String)) {
        let known = usize::try_from(self.taken.saturating_sub(self.passed)).unwrap_or(usize::MAX);
        self.passed += bytes.len() as u64;
        let fresh = bytes.get(known..).unwrap_or_default();
        self.taken += fresh.len() as u64;
        self.lines.feed(fresh, tell);
    }
}

/// Follows a container from `position` until its process ends, and returns how far it came.
///
/// Tells of its lines and then of [`Notice::Exited`], or of [`Notice::Lost`] if the engine does not let it.
pub(super) async fn follow(
    client: &Client,
    container: &str,
    node: &str,
    notices: &mpsc::UnboundedSender<Notice>,
    mut position: Position,
) -> Position {
    // Nobody listens any more once the receiver is gone: then there is nothing to do about it either.
    let tell = |notice| drop(notices.send(notice));
    let mut broken = 0;
    let reason = loop {
        let before = (position.stdout.taken, position.stderr.taken);
        let read = read(client, container, node, notices, true, &mut position).await;
        let state = client.inspect(container).await;
        let problem = match (read, state) {
            (_, Ok(Some(state))) if !state.running => {
                // The last lines may have been written after the stream ended.
                if let Err(error) = self::read(client, container, node, notices, false, &mut position).await {
                    tell(Notice::Lost { node: node.to_owned(), reason: format!("its last lines: {error}") });
                }
                for (half, stderr) in [(&mut position.stdout, false), (&mut position.stderr, true)] {
                    half.lines.end(|line| tell(Notice::Line { node: node.to_owned(), stderr, line }));
                }
                tell(Notice::Exited { node: node.to_owned(), code: state.code, oom: state.oom });
                return position;
            }
            (_, Ok(None)) => break "its container is gone".to_owned(),
            (Ok(()), Ok(Some(_))) => "the stream ends, but the container runs".to_owned(),
            (Err(error), Ok(Some(_))) | (_, Err(error)) => error.to_string(),
        };
        if (position.stdout.taken, position.stderr.taken) != before {
            broken = 0;
        }
        broken += 1;
        if broken > PATIENCE {
            break problem;
        }
        tokio::time::sleep(BACK_OFF * broken).await;
    };
    tell(Notice::Lost { node: node.to_owned(), reason });
    position
}

/// Reads the output once from its first byte and tells of what lies beyond `position`.
async fn read(
    client: &Client,
    container: &str,
    node: &str,
    notices: &mpsc::UnboundedSender<Notice>,
    follow: bool,
    position: &mut Position,
) -> Result<(), ClientError> {
    position.stdout.passed = 0;
    position.stderr.passed = 0;
    let mut chunks = Box::pin(client.logs(container, follow));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let half = if chunk.stderr { &mut position.stderr } else { &mut position.stdout };
        half.feed(&chunk.bytes, |line| {
            drop(notices.send(Notice::Line { node: node.to_owned(), stderr: chunk.stderr, line }));
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(half: &mut Half, chunks: &[&str]) -> Vec<String> {
        let mut told = Vec::new();
        half.passed = 0;
        for chunk in chunks {
            half.feed(chunk.as_bytes(), |line| told.push(line));
        }
        told
    }

    #[test]
    fn reading_again_from_the_start_tells_only_what_is_new() {
        let mut half = Half::default();
        assert_eq!(feed(&mut half, &["one\ntwo\nthr"]), ["one", "two"]);
        assert_eq!(feed(&mut half, &["one\ntw", "o\nthree\nfo"]), ["three"]);
        assert_eq!(feed(&mut half, &["one\n", "two\n", "three\n", "four\n"]), ["four"]);
        assert_eq!(feed(&mut half, &["one\n", "two\n"]), Vec::<String>::new());
    }

    #[test]
    fn a_reading_may_break_anywhere_without_loss_or_repetition() {
        let whole = "first\nsecond line\nthird\n";
        for cut in 0..=whole.len() {
            let mut half = Half::default();
            let mut told = feed(&mut half, &[&whole[..cut]]);
            told.extend(feed(&mut half, &[whole]));
            assert_eq!(told, ["first", "second line", "third"], "cut at {cut}");
        }
    }
}

//! Files of log lines: `events.jsonl`, one for each trial, and its compressed form `events.jsonl.gz`.
//!
//! [`Writer`] only ever appends, and hands what it was given to the kernel at least each second, so that a run
//! that is killed leaves what it saw. [`Reader`] yields the lines in the order in which they were written, and
//! takes nothing on trust: what it cannot read is an error that names file and line. Neither knows what a line means.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::record::{self, Event, Line, Record};

/// Name of a trial's log in the trial's directory.
pub const FILE: &str = "events.jsonl";
/// Name of a compressed log.
pub const FILE_GZ: &str = "events.jsonl.gz";

/// Longest that a line stays in memory while lines are being written.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Longest line that is read, bytes: the longest that a node writes is its specification, with a plan of a hundred thousand
/// stays.
const LINE_MAX: u64 = 64 << 20;

/// A log could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is one already: logs are never overwritten.
    #[error("`{}` exists already (hint: a log is never overwritten: remove it, or write elsewhere)", path.display())]
    Exists {
        /// The log.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("no space left for `{}` (hint: free some space on that disk, or write to another with `--out`)", path.display())]
    Full {
        /// The log.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot write `{}`: {source}", path.display())]
    Io {
        /// The log or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl WriteError {
    fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::AlreadyExists => Self::Exists { path },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, source },
        }
    }
}

/// Writes the log of one trial.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
    seq: u64,
    flushed: Instant,
}

impl Writer {
    /// Begins the log of the trial whose directory is `dir`, and makes that directory.
    ///
    /// # Errors
    /// If there is a log already, or the directory or the file cannot be made.
    pub fn create(dir: &Path) -> Result<Self, WriteError> {
        std::fs::create_dir_all(dir).map_err(|source| match source.kind() {
            // Some component of the path is a file.
            ErrorKind::AlreadyExists => WriteError::Io { path: dir.to_owned(), source },
            _ => WriteError::new(dir, source),
        })?;
        let path = dir.join(FILE);
        let file = File::options()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(|source| WriteError::new(&path, source))?;
        Ok(Self { path, out: BufWriter::new(file), seq: 0, flushed: Instant::now() })
    }

    /// Where the log is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends what a node reported.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn node(&mut self, record: peer_image::event::Record) -> Result<(), WriteError> {
        self.append(&Line::Node(record))
    }

    /// Appends what the controller saw or did at `mono` (`CLOCK_MONOTONIC`, ns).
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn controller(&mut self, mono: u64, event: Event) -> Result<(), WriteError> {
        let seq = self.seq;
        self.seq += 1;
        self.append(&Line::Controller(Record { v: record::VERSION, seq, mono, event }))
    }

    fn append(&mut self, line: &Line) -> Result<(), WriteError> {
        serde_json::to_writer(&mut self.out, line)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(|source| WriteError::new(&self.path, source))?;
        if self.flushed.elapsed() >= FLUSH_EVERY { self.flush() } else { Ok(()) }
    }

    /// Hands everything that was appended to the kernel. To be called each second while nothing is appended.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.flushed = Instant::now();
        self.out.flush().map_err(|source| WriteError::new(&self.path, source))
    }

    /// Ends the log: everything is on the disk when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.flush()?;
        self.out.get_ref().sync_all().map_err(|source| WriteError::new(&self.path, source))
    }
}

/// A log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("no log in `{}`: neither `{FILE}` nor `{FILE_GZ}`", dir.display())]
    Missing {
        /// The trial's directory.
        dir: PathBuf,
    },
    /// The file could not be opened or read, or a compressed one is damaged or cut off.
    #[error("{}:{line}: cannot read: {source}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// From 1; 0 if it could not be opened.
        line: u64,
        /// What the system or the decompressor said.
        source: io::Error,
    },
    /// The last line is only a part of one: whoever wrote it was killed.
    #[error("{}:{line}: cut off", path.display())]
    CutOff {
        /// The log.
        path: PathBuf,
        /// From 1.
        line: u64,
    },
    /// A line is longer than any that is written.
    #[error("{}:{line}: longer than {LINE_MAX} bytes", path.display())]
    TooLong {
        /// The log.
        path: PathBuf,
        /// From 1.
        line: u64,
    },
    /// A line is no log line.
    #[error("{}:{line}: damaged: {source}", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A newer harness wrote it.
    #[error(
        "{}:{line}: {what} in version {found}, this harness reads up to {known} (hint: read it with the harness that wrote it, or a newer one)",
        path.display()
    )]
    Newer {
        /// The log.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// Whose schema: `node events` or `controller events`.
        what: &'static str,
        /// The line's version.
        found: u64,
        /// The newest that this harness knows.
        known: u32,
    },
}

impl ReadError {
    /// Whether the log ends within a line, or within compressed data; what comes before is as it was written.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        match self {
            Self::CutOff { .. } => true,
            Self::Io { source, .. } => source.kind() == ErrorKind::UnexpectedEof,
            Self::Missing { .. } | Self::TooLong { .. } | Self::Damaged { .. } | Self::Newer { .. } => false,
        }
    }
}

/// Reads the log of one trial: an iterator over its lines. It ends after the first error.
pub struct Reader {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    line: u64,
    failed: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).field("line", &self.line).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens the log of the trial whose directory is `dir`, compressed or not.
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    pub fn open(dir: &Path) -> Result<Self, ReadError> {
        for name in [FILE, FILE_GZ] {
            let path = dir.join(name);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(source) if source.kind() == ErrorKind::NotFound => continue,
                Err(source) => return Err(ReadError::Io { path, line: 0, source }),
            };
            let input: Box<dyn BufRead + Send> = if name == FILE_GZ {
                Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file)))
            } else {
                Box::new(BufReader::new(file))
            };
            return Ok(Self { path, input, line: 0, failed: false });
        }
        Err(ReadError::Missing { dir: dir.to_owned() })
    }

    fn next_line(&mut self) -> Result<Option<Line>, ReadError> {
        let mut text = Vec::new();
        self.line += 1;
        let read = (&mut self.input).take(LINE_MAX).read_until(b'\n', &mut text);
        let (path, line) = (&self.path, self.line);
        match read {
            Ok(0) => return Ok(None),
            Ok(read) if read as u64 == LINE_MAX && !text.ends_with(b"\n") => {
                return Err(ReadError::TooLong { path: path.clone(), line });
            }
            Ok(_) => {}
            Err(source) => return Err(ReadError::Io { path: path.clone(), line, source }),
        }
        let parsed = serde_json::from_slice::<Line>(&text);
        // A newer line may parse as ours and mean something else, or not parse: its version decides either way.
        let newer = match &parsed {
            Ok(Line::Node(record)) => newer_node(record.v.into()),
            Ok(Line::Controller(record)) => newer_controller(record.v.into()),
            Err(_) => match serde_json::from_slice(&text) {
                Ok(AnyVersion::Node(Versioned { v })) => newer_node(v),
                Ok(AnyVersion::Controller(Versioned { v })) => newer_controller(v),
                Err(_) => None,
            },
        };
        if let Some((what, found, known)) = newer {
            return Err(ReadError::Newer { path: path.clone(), line, what, found, known });
        }
        parsed.map(Some).map_err(|source| {
            let path = path.clone();
            if text.ends_with(b"\n") {
                ReadError::Damaged { path, line, source }
            } else {
                ReadError::CutOff { path, line }
            }
        })
    }
}

impl Iterator for Reader {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let line = self.next_line().transpose();
        self.failed = matches!(line, Some(Err(_)));
        line
    }
}

/// As much of a line as every version has.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AnyVersion {
    Node(Versioned),
    Controller(Versioned),
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

/// Whose schema is newer than ours, its version and ours.
type Newer = (&'static str, u64, u32);

fn newer_node(found: u64) -> Option<Newer> {
    let known = peer_image::event::VERSION;
    (found > known.into()).then_some(("node events", found, known))
}

fn newer_controller(found: u64) -> Option<Newer> {
    (found > record::VERSION.into()).then_some(("controller events", found, record::VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::record::{Outcome, Phase};

    fn completed(seq: u64) -> peer_image::event::Record {
        peer_image::event::Record {
            v: peer_image::event::VERSION,
            node: "peer-01".into(),
            seq,
            mono: 7,
            event: peer_image::event::Event::Completed { bytes: 5 },
        }
    }

    fn written() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("p2p-n10").join("1");
        let mut writer = Writer::create(&dir).unwrap();
        writer.controller(1, Event::Phase { phase: Phase::Launch }).unwrap();
        writer.node(completed(0)).unwrap();
        writer.controller(3, Event::End { outcome: Outcome::Completed }).unwrap();
        writer.finish().unwrap();
        (root, dir)
    }

    fn first_error(dir: &Path) -> String {
        let mut reader = Reader::open(dir).unwrap();
        let error = reader.find_map(Result::err).expect("a damaged log is an error").to_string();
        assert!(reader.next().is_none(), "nothing is read past an error");
        error.replace(&format!("{}/", dir.display()), "")
    }

    #[test]
    fn what_was_written_is_read_back_in_order() {
        let (_root, dir) = written();
        let lines: Vec<Line> = Reader::open(&dir).unwrap().map(Result::unwrap).collect();
        let v = record::VERSION;
        let expected = [
            Line::Controller(Record { v, seq: 0, mono: 1, event: Event::Phase { phase: Phase::Launch } }),
            Line::Node(completed(0)),
            Line::Controller(Record { v, seq: 1, mono: 3, event: Event::End { outcome: Outcome::Completed } }),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_compressed_log_reads_the_same_and_a_cut_one_is_an_error() {
        let (_root, dir) = written();
        let plain: Vec<Line> = Reader::open(&dir).unwrap().map(Result::unwrap).collect();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&std::fs::read(dir.join(FILE)).unwrap()).unwrap();
        let gz = gz.finish().unwrap();
        std::fs::remove_file(dir.join(FILE)).unwrap();
        std::fs::write(dir.join(FILE_GZ), &gz).unwrap();
        assert_eq!(Reader::open(&dir).unwrap().map(Result::unwrap).collect::<Vec<_>>(), plain);
        std::fs::write(dir.join(FILE_GZ), &gz[..gz.len() - 12]).unwrap();
        assert!(first_error(&dir).starts_with("events.jsonl.gz:"));
    }

    #[test]
    fn a_cut_line_is_an_error_with_file_and_line() {
        let (_root, dir) = written();
        let text = std::fs::read(dir.join(FILE)).unwrap();
        std::fs::write(dir.join(FILE), &text[..text.len() - 4]).unwrap();
        let error = first_error(&dir);
        assert!(error.starts_with("events.jsonl:3: cut off"), "{error}");
    }

    #[test]
    fn what_was_cut_off_is_told_from_what_is_damaged() {
        let (_root, dir) = written();
        let text = std::fs::read_to_string(dir.join(FILE)).unwrap();
        let last = |text: &str| {
            std::fs::write(dir.join(FILE), text).unwrap();
            Reader::open(&dir).unwrap().find_map(Result::err).expect("an error").is_cut_off()
        };
        assert!(last(&text[..text.len() - 4]));
        assert!(last(&format!("{text}\0\0\0\0")), "a machine that lost its power leaves zeros");
        assert!(!last(&text.replacen("\"node\":{", "\"node\":[", 1)), "good lines come after it");
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let (_root, dir) = written();
        std::fs::remove_file(dir.join(FILE)).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::copy(&mut io::repeat(b'x').take(LINE_MAX + 1), &mut gz).unwrap();
        std::fs::write(dir.join(FILE_GZ), gz.finish().unwrap()).unwrap();
        assert_eq!(first_error(&dir), "events.jsonl.gz:1: longer than 67108864 bytes");
    }

    #[test]
    fn a_newer_version_is_refused_by_name_even_if_it_does_not_parse() {
        let (_root, dir) = written();
        std::fs::write(dir.join(FILE), "{\"node\":{\"v\":9,\"who\":\"peer-01\"}}\n").unwrap();
        assert_eq!(
            first_error(&dir),
            "events.jsonl:1: node events in version 9, this harness reads up to 3 \
             (hint: read it with the harness that wrote it, or a newer one)"
        );
        std::fs::write(dir.join(FILE), "{\"controller\":{\"v\":4}}\n").unwrap();
        assert!(first_error(&dir).contains("controller events in version 4"));
    }

    #[test]
    fn a_log_is_never_overwritten() {
        let (_root, dir) = written();
        assert!(matches!(Writer::create(&dir), Err(WriteError::Exists { .. })));
    }

    #[test]
    fn a_missing_log_names_the_directory() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(Reader::open(root.path()), Err(ReadError::Missing { .. })));
    }

    #[test]
    fn a_full_disk_is_named_with_the_path() {
        let error = WriteError::new(Path::new("reports/x"), io::Error::from(ErrorKind::StorageFull));
        assert_eq!(
            error.to_string(),
            "no space left for `reports/x` (hint: free some space on that disk, or write to another with `--out`)"
        );
    }
}

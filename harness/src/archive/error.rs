//! Why the directory of a run cannot be made, read or gone on with.

use std::io;
use std::path::PathBuf;

use crate::events::log::ReadError;

/// What can go wrong with a run's directory.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// It cannot be written.
    #[error("cannot write `{path}`: {source} (hint: {})", cure(source))]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be told whether another process has it.
    #[error("cannot lock `{path}`: {source} (hint: choose another directory with --out, on another file system)")]
    Lock {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of it cannot be read.
    #[error(
        "cannot read `{path}`: {source} (hint: is this the directory of a run, reports/<experiment>/<time>-<hash>?)"
    )]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of it is damaged.
    #[error("`{path}` is damaged: {source}")]
    Damaged {
        /// What.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another process has it.
    #[error("`{path}` is under way in another process (hint: wait until it ends; without --resume a new run begins)")]
    Held {
        /// The run's directory.
        path: PathBuf,
    },
    /// A log is not that of the trial in whose place it lies.
    #[error("`{path}` is the log of {found}, not of {wanted} (hint: put it back where it belongs)")]
    Misplaced {
        /// The directory that it lies in.
        path: PathBuf,
        /// Which trial it is of.
        found: String,
        /// Which it was to be of.
        wanted: String,
    },
    /// A file is not the one that the run was made of.
    #[error(
        "`{path}` is not what the run was made of (hint: `harness run` runs it as a new experiment; to repeat the run, \
         restore the file)"
    )]
    Edited {
        /// What.
        path: PathBuf,
    },
    /// What the run was compared with is gone.
    #[error(
        "`{path}` is gone: the run was compared with the baseline `{name}`, and without it nothing says whether it was slower \
         (hint: restore the file)"
    )]
    Uncompared {
        /// What.
        path: PathBuf,
        /// The baseline.
        name: String,
    },
    /// A file that its report is rebuilt from is gone.
    #[error(
        "`{path}` was removed while the run was under way, so its report cannot be rebuilt (hint: nothing else may change the \
         directory of a run)"
    )]
    Gone {
        /// What.
        path: PathBuf,
    },
    /// A newer harness wrote it.
    #[error("`{path}` has version {found}, this harness knows {known} (hint: use the newer harness)")]
    Newer {
        /// What.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
}

pub(crate) fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "choose another directory with --out",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room, or choose another directory with --out"
        }
        io::ErrorKind::FileTooLarge => "`ulimit -f` limits the size of files",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "a file stands where a directory is to be",
        _ => "choose another directory with --out",
    }
}

//! Exit codes of the `harness` command.

/// How the command ended. Reports are written before the exit in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// A mistake of ours.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The experiment file is wrong; nothing was started.
    Spec = 3,
    /// The machine cannot run it: no engine, no qdisc, no space.
    Machine = 4,
    /// A trial failed.
    Trial = 10,
    /// A trial is INVALID: something beside the swarm decided its time.
    Invalid = 11,
    /// Stopped by SIGINT, after cleaning up.
    Interrupted = 130,
    /// Stopped by SIGTERM, after cleaning up.
    Terminated = 143,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

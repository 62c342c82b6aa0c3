//! Why a run could not go on.

use crate::archive::baselines::StoreError;
use crate::archive::run_dir::ResultsError;
use crate::exit::Exit;
use crate::runtime::RuntimeError;
use crate::runtime::trial::Signal;

/// Why a run could not go on. A trial that failed is none of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Log(#[from] crate::events::log::WriteError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[error("stopped before the first trial")]
    Stopped(Signal),
}

impl RunError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Store(StoreError::Taken { .. } | StoreError::Twice { .. } | StoreError::Name { .. })
            | Self::Results(ResultsError::Held { .. }) => Exit::Usage,
            Self::Stopped(signal) => (*signal).into(),
            Self::Store(StoreError::NoBaseline { .. } | StoreError::Damaged { .. } | StoreError::Newer { .. }) => {
                Exit::NotComparable
            }
            // A trial that fails is an outcome: what ends the run is the machine's doing, whatever the engine says.
            Self::Runtime(_) | Self::Results(_) | Self::Log(_) | Self::Store(_) | Self::Signals(_) => Exit::Machine,
        }
    }
}

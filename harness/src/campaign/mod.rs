//! Trials one after the other: what `run`, `compare` and `rerun` share.
//!
//! | | |
//! | --- | --- |
//! | `experiment` | a file to what is run |
//! | `run` | experiments, each in its own directory |
//! | `sweep` | the trials of one experiment |
//! | `resume` | what an earlier process did of them |
//! | `runtimes` | where trials run |
//! | `observer` | what a person sees of a trial while it runs |
//! | `ci_environment` | what a CI gets to see beside the run's directory |
//! | `signals` | who asks for the end |
//! | `error` | why a run could not go on |

mod ci_environment;
pub(crate) mod error;
pub(crate) mod experiment;
mod observer;
mod resume;
pub(crate) mod run;
mod runtimes;
pub(crate) mod signals;
mod sweep;

//! What outlives a process.
//!
//! | | |
//! | --- | --- |
//! | [`run_dir`] | the directory of a run, raw before derived |
//! | `error` | why it cannot be made, read or gone on with |
//! | `baselines` | what later runs are compared with: baselines, the history of nights, acknowledgements |

pub(crate) mod baselines;
mod error;
pub mod run_dir;

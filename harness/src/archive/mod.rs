//! What outlives a process.
//!
//! | | |
//! | --- | --- |
//! | [`run_dir`] | the directory of a run, raw before derived |
//! | `baselines` | what later runs are compared with: baselines, the history of nights, acknowledgements |

pub(crate) mod baselines;
pub mod run_dir;

//! Commands: a file for each verb.
//!
//! | module | command |
//! | --- | --- |
//! | `dispatch` | from the command line to the command, and to its exit code |
//! | [`run`] | `harness run FILE…` |
//! | [`compare`] | `harness compare FILE` |
//! | [`baseline`] | `harness baseline …` |
//! | [`mod@plan`] | `harness plan FILE` |
//! | [`report`] | `harness report DIR` |
//! | [`rerun`] | `harness rerun DIR` |
//! | [`doctor`] | `harness doctor` |
//! | [`schema`] | `harness schema WHAT` |
//! | [`clean`] | `harness clean` |

pub mod baseline;
pub mod clean;
pub mod compare;
mod dispatch;
pub mod doctor;
pub mod plan;
pub mod report;
pub mod rerun;
pub mod run;
pub mod schema;

pub use dispatch::main;

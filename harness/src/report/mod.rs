//! What people read: tables, figures and words, from an [`Analysis`](crate::analysis::summary::Analysis). It recomputes
//! nothing and reads no clock and no file; equal results give equal bytes.
//!
//! | module | what it makes |
//! | --- | --- |
//! | `files` | all derived files of a run, by name |
//! | [`ci`] | what a CI reads: `summary.json`, `junit.xml`, `metrics.txt`, words for a job's page |
//! | [`csv`] | tidy tables, and `columns.json`, which names their types and units |
//! | [`markdown`] | `report.md` |
//! | [`mod@plan`] | what `harness plan` prints |
//! | [`settings`] | every setting under its key in the experiment file |
//! | [`svg`] | the figures |
//! | [`terminal`] | the summary that a command ends with |
//! | [`progress`] | what a command says while it runs |

pub mod ci;
pub mod csv;
mod facts;
mod files;
pub mod markdown;
pub mod plan;
pub mod progress;
pub mod settings;
pub mod svg;
pub mod terminal;

pub use facts::Facts;
pub use files::files;

//! What a CI reads of a run: a summary as JSON, test cases, metrics, and words for the job's page. All of it follows from
//! the results alone; where a CI wants to find it is the commands' to know.
//!
//! | function | what it makes |
//! | --- | --- |
//! | [`summary`] | `summary.json`: the run in one document, whose schema is in `schemas/summary.json` |
//! | [`junit`] | `junit.xml`: a test case per cell, comparison, threshold and assertion |
//! | [`metrics`] | `metrics.txt`: OpenMetrics text, for whoever keeps time series |
//! | [`digest`] | the verdict as Markdown, short enough for a job's page |
//! | [`annotations`] | one per verdict that asks for attention, with the line of the experiment file |

mod digest;
mod metrics;
mod summary;
mod testcases;
#[cfg(test)]
mod tests;

pub use digest::{Annotation, annotations, broken_off, digest};
pub use metrics::metrics;
pub use summary::{Summary, VERSION, summary};
pub use testcases::junit;

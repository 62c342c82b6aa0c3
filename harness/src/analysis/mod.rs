//! From a plan and the log of its trials to what can be concluded: pure, and equal bytes for equal input.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`bounds`] | the formulas: the lower limit on the distribution time, and which term binds |
//! | [`presence`] | the same for peers that come and go, and links that change |
//! | [`lives`] | a trial's log, folded into the lives of its nodes |
//! | [`metrics`] | the rows: every heading of a table of results is a field here |
//! | [`conclude`] | a trial's rows from its plan and its log |
//! | [`distribution`] | when the peers of a cell completed, as a distribution function |
//! | [`flows`] | who sent how much to whom, and how full links were over time |
//! | [`estimate`] | what the formulas allow each cell, before anything runs |
//! | `invalid` | the reasons for which a trial is not to be believed |
//! | [`validity`] | whether it is; with `identity` (who took part), `processes` (who ran all the time), `load` (what room there was) and `conservation` (whether all that was sent came) |
//! | [`findings`] | warnings as values, with the number that caused them |
//! | [`compare`] | arms against each other: ratios, their intervals, verdicts |
//! | [`completed`] | how many of the peers that were to complete did, and what that means for a comparison |
//! | [`checks`] | thresholds and assertions |
//! | [`outcome`] | what a run comes to, in one word |
//! | [`history`] | a run beside its baseline and the last nights |
//! | [`changes`] | when a series of nights changed its level |
//! | [`summary`] | a run as a whole |
//! | [`statistics`] | quantiles, the interval of a median, outliers, fairness |
//!
//! This stage reads no clock, no file and no engine; it knows nothing of how results are shown.

pub mod bounds;
pub mod changes;
pub mod checks;
mod churn;
pub mod compare;
pub mod completed;
pub mod conclude;
mod conservation;
pub mod distribution;
pub mod estimate;
pub mod findings;
pub mod flows;
pub mod history;
mod identity;
mod invalid;
pub mod lives;
mod load;
pub mod metrics;
pub mod outcome;
mod peers;
pub mod population;
pub mod presence;
mod processes;
pub mod statistics;
pub mod summary;
pub mod theory;
pub mod validity;

#[cfg(test)]
pub(crate) mod fixture;

//! What a report knows besides the results: facts of the run, and the names of the figures that lie beside it.

/// Name of the figure of D over N.
pub(super) const OVER_N: &str = "distribution-time.svg";

/// Name of the figure of completions.
pub(super) const COMPLETIONS: &str = "completions.svg";

/// Name of the figure of how full the links were.
pub(super) const UTILISATION: &str = "utilisation.svg";

/// Name of the figure of who was there.
pub(super) const POPULATION: &str = "population.svg";

/// Name of the figure of arms against their base.
pub(super) const RATIOS: &str = "ratios.svg";

/// Name of the figure of the nights.
pub(super) const HISTORY: &str = "history.svg";

/// What is known of a run besides its results: where, when and how it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What and its value, in the order in which a report shows them: when, engine, kernel, image, …
    pub rows: Vec<(String, String)>,
    /// The run's id.
    pub run: String,
    /// The command that repeats the run.
    pub command: String,
}

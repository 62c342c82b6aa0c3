//! The labels on what a run makes, by which it is found again.

/// Label with the run's ID, on everything that a run makes.
pub const LABEL_RUN: &str = "harness.run";
/// Label with the trial: `<cell>/<repeat>`.
pub const LABEL_TRIAL: &str = "harness.trial";
/// Label with the node's name, on its container.
pub const LABEL_NODE: &str = "harness.node";
/// Label with what one attempt at a trial has to itself: the name of its network.
pub(super) const LABEL_DEPLOYMENT: &str = "harness.deployment";
/// Label with the moment by which the trial is over, whatever becomes of it: seconds since 1970.
pub(super) const LABEL_UNTIL: &str = "harness.until";

//! Cells and trials.

use super::Plan;
use crate::spec::Spec;

/// Every combination of levels as a cell with its trials.
pub(super) fn expand(_spec: &Spec) -> Plan {
    todo!()
}

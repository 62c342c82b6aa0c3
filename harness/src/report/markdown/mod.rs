//! `report.md` and its parts.
//!
//! | | |
//! | --- | --- |
//! | `report` | the whole, with the answer, the tables of cells and of trials |
//! | `churn`, `gate` | the parts about who came and went, and about what results are held to |
//! | `page` | how numbers and words are written |

mod churn;
mod gate;
mod page;
mod report;
#[cfg(test)]
mod tests;

pub(super) use gate::verdict;
pub(super) use page::{Page, escaped, number, plain};
pub use report::report;

//! The figures: the distribution time over N beside its bound, when the peers of each cell completed, how full the links
//! were meanwhile, who was there, arms against each other, and the nights.
//!
//! Equal results give equal bytes. Text stays text, so that it can be read, searched and copied; the background is
//! white, so that a dark page shows the same figure; the colours are those of Okabe & Ito, which people with any
//! kind of colour vision can tell apart. Nothing is computed here that a table does not show.
//!
//! `canvas` is what they are drawn with; each other module is a figure.

mod canvas;
mod completions;
mod history;
mod over_n;
mod population;
mod ratios;
#[cfg(test)]
mod tests;
mod utilisation;

pub use completions::completions;
pub use history::history;
pub use over_n::over_n;
pub use population::population;
pub use ratios::ratios;
pub use utilisation::utilisation;

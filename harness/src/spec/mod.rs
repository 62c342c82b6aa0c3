//! An experiment file to a checked [`Spec`]: defaults filled, units read, factors multiplied out, and every
//! problem reported at once with its file, line, key path and cure.
//!
//! | | |
//! | --- | --- |
//! | `load` | a path or a text to a [`Spec`] |
//! | `model` | what a checked experiment is: the types that later stages know |
//! | `read` | the text to the model, key by key |
//! | [`error`] | what goes wrong |
//! | [`schema`] | what a file may say, for editors |
//!
//! This stage knows nothing of plans, engines or results.

pub mod error;
mod load;
mod model;
mod read;
pub mod schema;

pub use error::SpecError;
pub use load::{is_stdin, load, load_with_text, parse, shown, wrong};
pub use model::*;

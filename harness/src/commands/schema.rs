//! `harness schema WHAT`: the JSON Schemas of what is read and written. The same are in `schemas/` of the repository.

use serde_json::Value;

use crate::archive::run_dir::Manifest;
use crate::cli::Schema;
use crate::console::say;
use crate::events::record::Line;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::spec;

/// Prints one.
#[must_use]
pub fn schema(which: Schema) -> Exit {
    say(text(which).trim_end());
    Exit::Fine
}

/// One, as it stands in its file.
#[must_use]
pub fn text(which: Schema) -> String {
    let schema = match which {
        Schema::Experiment => spec::schema::experiment(),
        Schema::Plan => derived::<Plan>(),
        Schema::Events => derived::<Line>(),
        Schema::Manifest => derived::<Manifest>(),
        Schema::Summary => derived::<crate::report::ci::Summary>(),
    };
    format!("{schema:#}\n")
}

fn derived<T: schemars::JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

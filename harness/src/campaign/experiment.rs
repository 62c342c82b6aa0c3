//! An experiment file to what is run: read, planned, with what the command line says instead of it.

use std::path::{Path, PathBuf};

use crate::plan::gate::PAIRS_MIN;
use crate::plan::{self, Plan, RuntimeName};
use crate::spec::{self, Spec, SpecError};

/// An experiment that is ready to run.
pub(crate) struct Experiment {
    /// The file as given.
    pub(crate) text: String,
    /// What it comes to.
    pub(crate) plan: Plan,
    /// The file, as it was named.
    pub(crate) file: PathBuf,
}

/// Why a file does not become a plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("error: {file}: {why}")]
    Option { file: String, why: String },
}

/// Reads and plans one file, with repeats, seed and runtime of the command line where it has them.
pub(crate) fn load(
    file: &Path,
    repeats: Option<u32>,
    seed: Option<u64>,
    runtime: Option<RuntimeName>,
) -> Result<Experiment, LoadError> {
    let (text, spec) = spec::load_with_text(file)?;
    of_spec(file, text, spec, repeats, seed, runtime)
}

/// Plans what a file's text came to.
pub(crate) fn of_spec(
    file: &Path,
    text: String,
    mut spec: Spec,
    repeats: Option<u32>,
    seed: Option<u64>,
    runtime: Option<RuntimeName>,
) -> Result<Experiment, LoadError> {
    spec.repeats = repeats.unwrap_or(spec.repeats);
    if !spec.gate.arms.is_empty() && spec.repeats < PAIRS_MIN {
        let why = format!(
            "with arms each repeat is a pair, and fewer than {PAIRS_MIN} decide nothing (hint: --repeats {PAIRS_MIN})"
        );
        return Err(LoadError::Option { file: spec::shown(file), why });
    }
    spec.seed = seed.unwrap_or(spec.seed);
    if let Some(runtime) = runtime {
        let refused = |why| LoadError::Option { file: spec::shown(file), why };
        spec.set_runtime(runtime).map_err(refused)?;
    }
    let plan = plan::plan(&spec);
    for threshold in &plan.gate.thresholds {
        if !plan.cells.iter().any(|cell| threshold.means(&cell.id)) {
            let cells = plan.cells.iter().map(|cell| cell.id.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("`{}`, line {}, is about no cell", threshold.text, threshold.line);
            return Err(
                spec::wrong(&spec::shown(file), &text, "thresholds", message, &format!("cells are {cells}")).into()
            );
        }
    }
    if let Some(late) = plan::latecomer(&plan) {
        return Err(spec::wrong(
            &spec::shown(file),
            &text,
            "arrivals",
            late,
            "a longer `timeout`, fewer peers or denser arrivals",
        )
        .into());
    }
    Ok(Experiment { text, plan, file: file.to_owned() })
}

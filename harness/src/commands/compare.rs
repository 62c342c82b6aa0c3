//! `harness compare FILE`: arms against each other, those of the file or two builds of the peer.

use std::path::Path;

use crate::campaign::experiment::{Experiment, LoadError, of_spec};
use crate::campaign::run::new_or_resumed;
use crate::cli;
use crate::console::complain;
use crate::exit::Exit;
use crate::spec::{self, SpecError};

/// Runs the arms of a file in pairs, or makes two of the builds that are named.
pub async fn compare(arguments: &cli::Compare) -> Exit {
    let cli::Compare { file, base, head, how } = arguments;
    match load(file, base.as_deref(), head.as_deref(), how) {
        Ok(experiment) => new_or_resumed(&[experiment], how).await,
        Err(error) => {
            complain(error);
            Exit::Spec
        }
    }
}

fn load(file: &Path, base: Option<&str>, head: Option<&str>, how: &cli::How) -> Result<Experiment, LoadError> {
    let (mut text, mut spec) = spec::load_with_text(file)?;
    let name = spec::shown(file);
    let wrong =
        |message: &str, hint: &str| -> SpecError { spec::wrong(&name, &text, "arms", message.to_owned(), hint) };
    match (base.or(head).is_some(), spec.gate.arms.is_empty()) {
        (true, true) => {
            let refused = |why| LoadError::Option { file: name.clone(), why };
            if [base, head].iter().flatten().any(|which| which.contains(char::is_whitespace)) {
                return Err(refused("--base and --head take no path with a space (hint: a link to it)".to_owned()));
            }
            let arm = |which: Option<&str>| which.map_or("{}".to_owned(), client);
            text.push_str(&format!(
                "\n# Added by `harness compare`.\narms:\n  base: {}\n  head: {}\n",
                arm(base),
                arm(head)
            ));
            // A place in what was added is none in the file.
            spec = spec::parse(&name, &text).map_err(|error| {
                let hint = "repeats of 6 at least, and plain YAML that begins at the margin; or write `arms` into it";
                refused(format!("--base and --head make no arms of it (hint: {hint}):\n{error}"))
            })?;
        }
        (false, false) => {}
        (true, false) => {
            return Err(wrong("the file has arms of its own", "leave out --base and --head").into());
        }
        (false, true) => {
            let hint = "--base IMAGE, --head IMAGE or both, or `arms: { base: {}, head: { policy: { slots: 8 } } }`";
            return Err(wrong("there is nothing to compare", hint).into());
        }
    }
    of_spec(file, text, spec, how.repeats, how.seed, how.runtime)
}

/// What an arm has of its own that runs this image or program. A program begins as paths do and images do not.
fn client(which: &str) -> String {
    let (key, value) = if which.starts_with(['.', '/']) {
        // The run may be repeated from another directory.
        let path = std::path::absolute(which).map_or_else(|_| which.to_owned(), |path| path.display().to_string());
        ("command", path)
    } else {
        ("image", which.to_owned())
    };
    // A JSON string is a YAML one.
    format!("{{ client: {{ {key}: {} }} }}", serde_json::Value::String(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_begins_as_a_path_does() {
        assert_eq!(client("my/peer:1"), "{ client: { image: \"my/peer:1\" } }");
        assert_eq!(client("/opt/\"x\""), "{ client: { command: \"/opt/\\\"x\\\"\" } }");
        assert!(client("./x").starts_with("{ client: { command: \"/"));
    }
}

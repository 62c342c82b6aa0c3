//! When peers come, as the file has it.

use super::document::Value;
use super::reader::{Fault, Section, View};
use super::values;
use crate::quantity::seconds;
use crate::spec::error::listed;
use crate::spec::model::Arrivals;

const KINDS: [&str; 5] = ["poisson", "stagger", "uniform", "waves", "decaying"];

/// The arrivals of the file; nothing if, noted, they are wrong.
pub(super) fn arrivals<'a>(view: &mut View<'a, '_>, root: &Section<'a>) -> Option<Arrivals> {
    let Some(found) = view.find(root, "arrivals") else { return Some(Arrivals::AtOnce) };
    if !matches!(found.node.value, Value::Map(_)) {
        return view.read(root, "arrivals", |value| {
            values::word(value, &[("at-once", Arrivals::AtOnce)]).map_err(|fault| fault.hint(examples()))
        });
    }
    let section = view.section(root, "arrivals", &KINDS)?;
    let given: Vec<&str> =
        KINDS.into_iter().filter(|kind| section.entries.iter().any(|entry| entry.key == *kind)).collect();
    let [kind] = given[..] else {
        let fault = Fault::new(format!("{} kinds of arrivals", given.len()));
        view.fault(root, "arrivals", fault.hint(format!("one of {}, or `at-once`", listed(&KINDS))));
        return None;
    };
    let known: &[&str] = match kind {
        "waves" => &["size", "every"],
        "uniform" => &["within"],
        "decaying" => &["mean"],
        _ => &["every"],
    };
    let inner = view.section(&section, kind, known)?;
    let mut time = |key: &str| view.need(&inner, key, values::time).map(seconds);
    Some(match kind {
        "poisson" => Arrivals::Poisson { every: time("every")? },
        "stagger" => Arrivals::Stagger { every: time("every")? },
        "uniform" => Arrivals::Uniform { within: time("within")? },
        "decaying" => Arrivals::Decaying { mean: time("mean")? },
        _ => {
            let every = time("every");
            let size = view.need(&inner, "size", |value| values::whole(value, 1..=10_000));
            Arrivals::Waves { size: size?, every: every? }
        }
    })
}

fn examples() -> String {
    format!("`at-once`, or such as `{{ poisson: {{ every: 4 s }} }}`; kinds are {}", listed(&KINDS))
}

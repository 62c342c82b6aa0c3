//! When a trial is not to be believed, as the file has it.

use std::time::Duration;

use super::document::Value;
use super::reader::{Fault, Section, View};
use super::values;
use crate::quantity::{fraction, seconds, show_time};
use crate::spec::model::Validity;

pub(in crate::spec) const KEYS: [&str; 11] = [
    "calibrate",
    "link_rate",
    "host_busy",
    "host_softirq",
    "host_steal",
    "memory_pressure",
    "run_delay",
    "start_skew",
    "churn_late",
    "clock_step",
    "stall",
];

/// Shortest and longest time for which a link is tried in each direction.
const CALIBRATE: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(30)];

/// The validity section: defaults where the file says nothing; nothing if, noted, something is wrong.
pub(super) fn validity<'a>(view: &mut View<'a, '_>, root: &Section<'a>) -> Option<Validity> {
    let default = Validity::default();
    if !root.entries.iter().any(|entry| entry.key == "validity") {
        return Some(default);
    }
    let section = view.section(root, "validity", &KEYS)?;
    let calibrate = limit(view, &section, "calibrate", default.calibrate, calibrate);
    let mut share = |key, default| limit(view, &section, key, default, |value| values::share(value).map(fraction));
    let link_rate = share("link_rate", default.link_rate);
    let host_busy = share("host_busy", default.host_busy);
    let host_softirq = share("host_softirq", default.host_softirq);
    let host_steal = share("host_steal", default.host_steal);
    let memory_pressure = share("memory_pressure", default.memory_pressure);
    let run_delay = share("run_delay", default.run_delay);
    let mut time = |key, default| limit(view, &section, key, default, |value| values::time(value).map(seconds));
    Some(Validity {
        start_skew: time("start_skew", default.start_skew)?,
        churn_late: time("churn_late", default.churn_late)?,
        clock_step: time("clock_step", default.clock_step)?,
        stall: time("stall", default.stall)?,
        calibrate: calibrate?,
        link_rate: link_rate?,
        host_busy: host_busy?,
        host_softirq: host_softirq?,
        host_steal: host_steal?,
        memory_pressure: memory_pressure?,
        run_delay: run_delay?,
    })
}

fn limit<'a>(
    view: &mut View<'a, '_>,
    section: &Section<'a>,
    key: &str,
    default: f64,
    parse: impl FnOnce(&Value) -> Result<f64, Fault>,
) -> Option<f64> {
    if section.entries.iter().any(|entry| entry.key == key) { view.read(section, key, parse) } else { Some(default) }
}

/// How long each direction of a link is tried, seconds; `off` is 0.
fn calibrate(value: &Value) -> Result<f64, Fault> {
    if let Value::Text(text) = value
        && text.trim() == "off"
    {
        return Ok(0.0);
    }
    let nanoseconds = values::time(value)?;
    let [least, most] = CALIBRATE;
    if (least..=most).contains(&Duration::from_nanos(nanoseconds)) {
        return Ok(seconds(nanoseconds));
    }
    let fault = Fault::new(format!("`{}` is out of range", show_time(nanoseconds)));
    Err(fault.hint("`off`, or a time from `300 ms` to `30 s`"))
}

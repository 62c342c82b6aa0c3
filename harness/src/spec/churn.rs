//! Who comes and goes, as the file has it.

use super::file::Value;
use super::reader::{Fault, Section, View};
use super::{Churn, Keeps, Rejoin, Session, values};
use crate::quantity::{WHOLE, show_share, show_time};
use peer_image::node::Storage;

const SESSIONS: [&str; 3] = ["exponential", "fixed", "uniform"];

/// The churn section: nothing if, noted, it is wrong; `Some(None)` if there is none.
pub(super) fn churn<'a>(
    view: &mut View<'a, '_>,
    root: &Section<'a>,
    timeout: Option<u64>,
    storage: Option<Storage>,
) -> Option<Option<Churn>> {
    if !root.entries.iter().any(|entry| entry.key == "churn") {
        return Some(None);
    }
    let section = view.section(root, "churn", &["session", "share", "leave", "rejoin"])?;
    let session = session(view, &section, timeout);
    let share = view.read(&section, "share", values::share).unwrap_or(WHOLE);
    let crash = crash(view, &section);
    let rejoin = rejoin(view, &section, timeout, storage);
    Some(Some(Churn { session: session?, share: fraction(share), crash: fraction(crash?), rejoin: rejoin? }))
}

fn session<'a>(view: &mut View<'a, '_>, churn: &Section<'a>, timeout: Option<u64>) -> Option<Session> {
    let section = view.need_section(churn, "session", &SESSIONS)?;
    let given: Vec<&str> =
        SESSIONS.into_iter().filter(|kind| section.entries.iter().any(|entry| entry.key == *kind)).collect();
    let [kind] = given[..] else {
        let fault = match given.len() {
            0 => Fault::new("no distribution"),
            _ => Fault::new(format!("{} distributions", given.len())),
        };
        view.fault(churn, "session", fault.hint("one of `exponential`, `fixed`, `uniform`"));
        return None;
    };
    match kind {
        "exponential" => {
            let inner = view.section(&section, kind, &["mean"])?;
            let mean = view.need(&inner, "mean", values::time)?;
            Some(Session::Exponential { mean: seconds(mean) })
        }
        "fixed" => {
            let inner = view.section(&section, kind, &["after"])?;
            let after = view.need(&inner, "after", values::time)?;
            within_timeout(view, &inner, "after", after, timeout);
            Some(Session::Fixed { after: seconds(after) })
        }
        _ => {
            let inner = view.section(&section, kind, &["from", "to"])?;
            let from = view.need(&inner, "from", values::time);
            let to = view.need(&inner, "to", values::time);
            let (from, to) = (from?, to?);
            if from > to {
                let fault = Fault::new(format!("a session from `{}` to `{}`", show_time(from), show_time(to)));
                view.fault(&inner, "from", fault.hint("`from` is the shortest session, `to` the longest"));
            }
            within_timeout(view, &inner, "to", to, timeout);
            Some(Session::Uniform { from: seconds(from), to: seconds(to) })
        }
    }
}

/// A session that outlasts every trial would never end: the file says something else than what would happen.
fn within_timeout<'a>(view: &mut View<'a, '_>, within: &Section<'a>, key: &str, time: u64, timeout: Option<u64>) {
    if let Some(timeout) = timeout
        && time >= timeout
    {
        let fault = Fault::new(format!("`{}` is not before the timeout of `{}`", show_time(time), show_time(timeout)))
            .hint("shorter sessions or a longer `timeout`");
        view.fault(within, key, fault);
    }
}

/// The share of departures that are crashes; of two that must add up to 100 % one may be left out.
fn crash<'a>(view: &mut View<'a, '_>, churn: &Section<'a>) -> Option<u64> {
    if !churn.entries.iter().any(|entry| entry.key == "leave") {
        return Some(0);
    }
    let section = view.section(churn, "leave", &["graceful", "crash"])?;
    let has = |key: &str| section.entries.iter().any(|entry| entry.key == key);
    let graceful = view.read(&section, "graceful", values::share);
    let crash = view.read(&section, "crash", values::share);
    match (has("graceful"), has("crash")) {
        (false, false) => {
            view.fault(churn, "leave", Fault::new("neither `graceful` nor `crash`").hint("add `crash: 30 %`"));
            None
        }
        (true, false) => Some(WHOLE - graceful?),
        (false, true) => crash,
        (true, true) => {
            let (graceful, crash) = (graceful?, crash?);
            if graceful + crash != WHOLE {
                let fault = Fault::new(format!("the shares add up to {}", show_share(graceful + crash)));
                view.fault(churn, "leave", fault.hint("they must add up to 100 %; one of them may be left out"));
            }
            Some(crash)
        }
    }
}

fn rejoin<'a>(
    view: &mut View<'a, '_>,
    churn: &Section<'a>,
    timeout: Option<u64>,
    storage: Option<Storage>,
) -> Option<Option<Rejoin>> {
    if !churn.entries.iter().any(|entry| entry.key == "rejoin") {
        return Some(None);
    }
    let section = view.section(churn, "rejoin", &["after", "share", "keeps"])?;
    let after = view.need(&section, "after", values::time);
    let share = view.read(&section, "share", values::share).unwrap_or(WHOLE);
    let keeps = |value: &Value| values::word(value, &[("pieces", Keeps::Pieces), ("nothing", Keeps::Nothing)]);
    let keeps = view.need(&section, "keeps", keeps);
    if let Some(after) = after {
        within_timeout(view, &section, "after", after, timeout);
    }
    if keeps == Some(Keeps::Pieces) && storage == Some(Storage::Memory) {
        let fault = Fault::new("`pieces` in memory end with the process that holds them");
        view.fault(&section, "keeps", fault.hint("`storage: none` or `storage: disk`, or `keeps: nothing`"));
    }
    Some(Some(Rejoin { after: seconds(after?), share: fraction(share), keeps: keeps? }))
}

/// Nanoseconds to seconds.
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

/// Parts of [`WHOLE`] to a fraction of 1.
#[expect(clippy::cast_precision_loss, reason = "a thousand million parts fit a double exactly")]
pub(super) fn fraction(parts: u64) -> f64 {
    parts as f64 / WHOLE as f64
}

//! Who comes and goes, as the file has it.

use peer_image::node::Storage;

use super::distribution::{self, TIME};
use super::document::Value;
use super::reader::{Fault, Section, View, kept_in_memory};
use super::values;
use crate::quantity::{WHOLE, fraction, seconds, show_share, show_time};
use crate::spec::model::{Churn, Distribution, Keeps, Rejoin};

/// Most departures of a trial, by the median cycle: more than any runtime could carry out, and a plan holds them all.
const DEPARTURES_MAX: f64 = 100_000.0;
/// A plan's moments are whole milliseconds.
const SHORTEST: f64 = 0.001;

/// The churn section: nothing if, noted, it is wrong; `Some(None)` if there is none.
pub(super) fn churn<'a>(
    view: &mut View<'a, '_>,
    root: &Section<'a>,
    timeout: Option<u64>,
    storage: Option<Storage>,
    peers: Option<u32>,
) -> Option<Option<Churn>> {
    if !root.entries.iter().any(|entry| entry.key == "churn") {
        return Some(None);
    }
    let section = view.section(root, "churn", &["session", "share", "leave", "rejoin", "warm_up", "at_most"])?;
    let has = |key: &str| section.entries.iter().any(|entry| entry.key == key);
    let session = distribution::section(view, &section, "session", &TIME);
    if let Some(session) = session {
        within_timeout(view, &section, "session", session, timeout);
    }
    let share = view.read(&section, "share", values::share).unwrap_or(WHOLE);
    let leave = leave(view, &section);
    let rejoin = rejoin(view, &section, timeout, storage);
    let warm_up = if has("warm_up") { view.read(&section, "warm_up", values::time)? } else { 0 };
    let at_most =
        if has("at_most") { Some(view.read(&section, "at_most", |v| values::whole(v, 1..=10_000))?) } else { None };
    if let (Some(session), Some(Some(rejoin)), Some(timeout), Some(peers)) = (session, rejoin, timeout, peers)
        && rejoin.again
    {
        let cycle = session.median().max(SHORTEST) + seconds(warm_up) + rejoin.after.median().max(SHORTEST);
        let departures = seconds(timeout) / cycle * f64::from(peers);
        if departures > DEPARTURES_MAX {
            let fault = Fault::new(format!("so short that some {departures:.0} departures come before the timeout"));
            let cure =
                format!("longer sessions or absences, or a shorter `timeout`: at most {DEPARTURES_MAX} in a trial");
            view.fault(&section, "session", fault.hint(cure));
        }
    }
    let [crash, freeze, cut_off] = leave?;
    Some(Some(Churn {
        session: session?,
        share: fraction(share),
        crash: fraction(crash),
        freeze: fraction(freeze),
        cut_off: fraction(cut_off),
        warm_up: seconds(warm_up),
        at_most,
        rejoin: rejoin?,
    }))
}

/// Sessions of which most outlast every trial would never end: the file says something else than what would happen.
pub(super) fn within_timeout<'a>(
    view: &mut View<'a, '_>,
    within: &Section<'a>,
    key: &str,
    time: Distribution,
    timeout: Option<u64>,
) {
    let Some(timeout) = timeout else { return };
    let (value, what) = match time {
        Distribution::Fixed { after } => (after, "time"),
        // Whatever is drawn is at most that.
        Distribution::Uniform { to, .. } => (to, "longest time"),
        other => (other.median(), "median"),
    };
    if value >= seconds(timeout) {
        let fault =
            Fault::new(format!("its {what} of {} is not before the timeout of `{}`", long(value), show_time(timeout)))
                .hint("shorter times or a longer `timeout`");
        view.fault(within, key, fault);
    }
}

/// Seconds as they are read, also where a distribution with a heavy tail comes to more than any clock counts.
fn long(seconds: f64) -> String {
    const YEAR: f64 = 365.25 * 86_400.0;
    if seconds < YEAR { format!("{seconds:.0} s") } else { "more than a year".to_owned() }
}

/// The shares of departures that are crashes, freezes and cuts; of all that must add up to 100 % graceful ones, or one
/// other, may be left out.
fn leave<'a>(view: &mut View<'a, '_>, churn: &Section<'a>) -> Option<[u64; 3]> {
    const KINDS: [&str; 4] = ["graceful", "crash", "freeze", "cut_off"];
    if !churn.entries.iter().any(|entry| entry.key == "leave") {
        return Some([0; 3]);
    }
    let section = view.section(churn, "leave", &KINDS)?;
    let has = |key: &str| section.entries.iter().any(|entry| entry.key == key);
    let mut shares: [Option<u64>; 4] = [None; 4];
    let mut all_read = true;
    for (share, kind) in shares.iter_mut().zip(KINDS) {
        if has(kind) {
            *share = view.read(&section, kind, values::share);
            all_read &= share.is_some();
        }
    }
    if !all_read {
        return None;
    }
    let given: u64 = shares.iter().flatten().sum();
    if shares.iter().all(Option::is_none) {
        let fault = Fault::new("no share").hint("such as `{ graceful: 70 %, crash: 30 % }`");
        view.fault(churn, "leave", fault);
        return None;
    }
    // What is left belongs to the graceful ones, or to the crashes if those are given and these are not.
    let rest = WHOLE.checked_sub(given);
    let filled = match rest {
        Some(rest) if shares[0].is_none() => shares[0].replace(rest).is_none(),
        Some(rest) if rest > 0 && shares[1].is_none() => shares[1].replace(rest).is_none(),
        Some(0) => true,
        _ => false,
    };
    if !filled {
        let fault = Fault::new(format!("the shares add up to {}", show_share(given)));
        view.fault(churn, "leave", fault.hint("they must add up to 100 %; one of them may be left out"));
        return None;
    }
    Some([shares[1].unwrap_or(0), shares[2].unwrap_or(0), shares[3].unwrap_or(0)])
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
    let section = view.section(churn, "rejoin", &["after", "share", "keeps", "again"])?;
    let after = distribution::read(view, &section, "after", &TIME);
    let share = view.read(&section, "share", values::share).unwrap_or(WHOLE);
    let keeps = |value: &Value| values::word(value, &[("pieces", Keeps::Pieces), ("nothing", Keeps::Nothing)]);
    let keeps = view.need(&section, "keeps", keeps);
    let again = view.read(&section, "again", values::flag).unwrap_or(false);
    if let Some(after) = after {
        within_timeout(view, &section, "after", after, timeout);
    }
    if keeps == Some(Keeps::Pieces) && storage == Some(Storage::Memory) {
        view.fault(&section, "keeps", kept_in_memory());
    }
    Some(Some(Rejoin { after: after?, share: fraction(share), keeps: keeps?, again }))
}

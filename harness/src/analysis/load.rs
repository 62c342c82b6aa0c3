//! What room a trial had: what the host did over its transfer, and how long its nodes waited for a processor.

use peer_image::event::Host;

use super::lives::{Life, NodeLog, Observed};

/// Load is judged over stretches of this length, seconds; over the whole transfer if that is shorter.
pub(super) const STRETCH_S: f64 = 5.0;
/// Looks come a little early or late, seconds.
const LOOK_S: f64 = 0.05;

/// A host's load over a transfer: shares of processor time and of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct HostLoad {
    pub(super) busy: Option<f64>,
    pub(super) busy_max: Option<f64>,
    pub(super) softirq_max: Option<f64>,
    pub(super) steal: Option<f64>,
    pub(super) cpu_pressure: Option<f64>,
    pub(super) memory_pressure: Option<f64>,
    pub(super) memory_available_min: Option<u64>,
}

/// What the host did from the common start until `horizon` seconds later.
pub(super) fn host_load(observed: &Observed, horizon: f64) -> HostLoad {
    let Some(go) = observed.gate_open else { return HostLoad::default() };
    let end = go.saturating_add((horizon * 1e9) as u64);
    let from = observed.host.partition_point(|(at, _)| *at <= go).saturating_sub(1);
    let to = observed.host.partition_point(|(at, _)| *at <= end);
    let looks = observed.host.get(from..to).unwrap_or_default();
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else { return HostLoad::default() };
    let time = |a: &(u64, Host), b: &(u64, Host)| b.0.saturating_sub(a.0) as f64 / 1e9;
    let of_processors = |a: &(u64, Host), b: &(u64, Host), part: fn(&Host) -> u64| {
        let all = b.1.total.saturating_sub(a.1.total);
        (all > 0).then(|| part(&b.1).saturating_sub(part(&a.1)) as f64 / all as f64)
    };
    let busy: fn(&Host) -> u64 = |host| host.total - host.idle.min(host.total);
    let waited = |part: fn(&Host) -> Option<u64>| {
        let us = part(&last.1)?.saturating_sub(part(&first.1)?);
        let seconds = time(first, last);
        (seconds > 0.0).then(|| us as f64 / 1e6 / seconds)
    };
    let stretch = STRETCH_S.min(time(first, last));
    let most = |part: fn(&Host) -> u64| {
        let shares = looks.iter().enumerate().filter_map(|(i, a)| {
            let b = looks[i + 1..].iter().find(|b| time(a, b) >= stretch - LOOK_S)?;
            of_processors(a, b, part)
        });
        shares.reduce(f64::max)
    };
    HostLoad {
        busy: of_processors(first, last, busy),
        busy_max: most(busy),
        softirq_max: most(|host| host.softirq),
        steal: of_processors(first, last, |host| host.steal),
        cpu_pressure: waited(|host| host.pressure_cpu),
        memory_pressure: waited(|host| host.pressure_memory),
        memory_available_min: looks.iter().map(|(_, host)| host.memory_available).min(),
    }
}

/// The largest share of a stretch of the transfer in which a node was ready to run and waited for a processor, over its lives.
pub(super) fn run_delay(observed: &Observed, node: &str, horizon: f64) -> Option<f64> {
    let of_life = |life: &Life| {
        let go = observed.go(node, life)?;
        let end = go.saturating_add((horizon * 1e9) as u64);
        // The first look is from just before the start of its role, and the last one from just after D.
        let to = life.waited.partition_point(|(at, _)| *at <= end) + 1;
        let looks = &life.waited[..to.min(life.waited.len())];
        let seconds = |a: &(u64, u64), b: &(u64, u64)| b.0.saturating_sub(a.0) as f64 / 1e9;
        let stretch = STRETCH_S.min(seconds(looks.first()?, looks.last()?));
        let shares = looks.iter().enumerate().filter_map(|(i, a)| {
            let b = looks[i + 1..].iter().find(|b| seconds(a, b) >= stretch - LOOK_S)?;
            Some(b.1.saturating_sub(a.1) as f64 / 1e9 / seconds(a, b))
        });
        shares.filter(|share| share.is_finite()).reduce(f64::max)
    };
    let NodeLog { lives, .. } = observed.node(node);
    lives.iter().filter_map(of_life).reduce(f64::max)
}

//! What other theory says beside the bound, where its assumptions hold, next to what was measured.
//!
//! - **Mundinger, Weber and Weiss** (Journal of Scheduling 11, 2008): the time of the best schedule that gives a file of M
//!   equal pieces to N peers, if a piece comes whole, from one uploader, and can be passed on only then. Assumes that the
//!   server and all peers have the same upload rate u, that nobody is slower in receiving, that all are there from the start
//!   to the end, and that all pass on: (F/u)·(1 + ⌊log₂N⌋/M). At payload rate, as our bounds. It is **no limit** on what a
//!   swarm can do that takes the blocks of a piece from several uploaders: with one piece for eight peers that beats it.
//!   So it is given only where the pieces are equal and not few (`ROUNDS_SHARE`), and a measured time below it says so.
//! - **Qiu and Srikant** (SIGCOMM 2004): the steady state of peers that arrive in a Poisson process of rate λ, give up with
//!   rate θ, and leave with rate γ once they have the file. With μ = u/F, c = d/F and η, the share of a leecher's upload
//!   that is used, the number x of leechers and y of seeds satisfy
//!   λ − θx = min{c·x, μ(η·x + y)} = γ·y, and a download takes T = x/λ. Ours has a server beside the peers, so
//!   its rate μ_s = u_s/F, as far as it was used, is added to the capacity: with C = λ − θx, y = C/γ,
//!   x = max{λ/(c + θ), (λ(1 − μ/γ) − μ_s)/(μη + θ(1 − μ/γ))}. Without a server that is the paper's
//!   1/β = max{1/c, (1/η)(1/μ − 1/γ)}, T = 1/(β + θ).

use peer_image::event::is_to_complete;
use peer_image::node::{Behaviour, OnComplete, Role};

use super::bounds::PAYLOAD_SHARE;
use super::lives::Observed;
use super::metrics::PeerRow;
use super::peers;
use super::population::PopulationRow;
use super::statistics::mean;
use crate::plan::{Architecture, Arrivals, Cell, Distribution, Node, Settings, Trial};

/// One quantity of one trial, by a theory and as measured.
#[derive(Debug, Clone, PartialEq)]
pub struct TheoryRow {
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// Whose.
    pub theory: String,
    /// Of what.
    pub quantity: String,
    /// By the theory: seconds, or peers.
    pub predicted: Option<f64>,
    /// As measured, in the same unit.
    pub measured: Option<f64>,
    /// Measured over predicted.
    pub ratio: Option<f64>,
    /// What it was computed from, and the part of the trial in which it was measured.
    pub given: String,
}

/// Largest ⌊log₂N⌋/M: what the last rounds of whole pieces take, as a part of F/u. Where it is more, pieces are so few that the
/// time is that of taking one from several uploaders at once, which the theory does not have.
const ROUNDS_SHARE: f64 = 0.5;

/// The time of the best schedule of whole pieces, seconds at payload rate, if the theory's assumptions hold.
#[must_use]
pub fn mundinger(settings: &Settings) -> Option<f64> {
    let up = settings.server.up;
    let alike = |link: peer_image::node::Link| link.up == up && link.down >= up;
    let classes = &settings.classes;
    let holds = settings.architecture == Architecture::P2p
        && is_undisturbed(settings)
        && settings.arrivals == Arrivals::AtOnce
        && classes.iter().all(|class| {
            alike(class.link)
                && class.spread.is_none()
                && class.behaviour == Behaviour::Honest
                && class.on_complete == OnComplete::Stay
                && class.give_up.is_none()
        });
    let piece = u64::from(settings.piece.max(1));
    let rounds = f64::from(settings.peers().checked_ilog2()?) / (settings.size / piece) as f64;
    let copy = settings.size as f64 * 8.0 / (up as f64 * PAYLOAD_SHARE);
    let equal = settings.size.is_multiple_of(piece);
    (holds && equal && rounds <= ROUNDS_SHARE).then_some(copy * (1.0 + rounds))
}

fn is_undisturbed(settings: &Settings) -> bool {
    settings.churn.is_none() && settings.trace.is_none() && settings.events.is_empty()
}

/// What Qiu and Srikant's steady state is computed from. Rates are per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steady {
    /// λ: arrivals.
    pub arrivals: f64,
    /// μ: files that a peer can upload.
    pub upload: f64,
    /// c: files that a peer can download.
    pub download: f64,
    /// η: the share of a leecher's upload that is used.
    pub leechers_use: f64,
    /// The share of a seed's upload that is used; 1 in the paper.
    pub seeds_use: f64,
    /// Files that the server uploads; 0 in the paper.
    pub server: f64,
    /// 1/γ: mean time for which a seed stays, seconds.
    pub linger: f64,
    /// θ: giving up.
    pub give_up: f64,
}

/// Leechers, seeds and the mean download time, seconds, in the steady state; `None` where there is none.
#[must_use]
pub fn steady_state(given: Steady) -> Option<(f64, f64, f64)> {
    let Steady { arrivals, upload, download, leechers_use, seeds_use, server, linger, give_up } = given;
    // Of each completed download so much is left for others than its own seeding.
    let left = 1.0 - seeds_use * upload * linger;
    let by_download = arrivals / (download + give_up);
    let by_upload = (arrivals * left - server) / (upload * leechers_use + give_up * left);
    let leechers = if left > 0.0 { by_download.max(by_upload) } else { by_download };
    let seeds = (arrivals - give_up * leechers) * linger;
    (leechers.is_finite() && arrivals > 0.0).then(|| (leechers, seeds, leechers / arrivals))
}

/// What theory says of one trial.
pub(super) fn rows(
    cell: &Cell,
    trial: &Trial,
    observed: &Observed,
    all: &[PeerRow],
    population: &[PopulationRow],
    distribution_time_s: Option<f64>,
) -> Vec<TheoryRow> {
    let mut rows = Vec::new();
    let mut add = |theory: &str, quantity: &str, predicted: f64, measured: Option<f64>, given: &str| {
        rows.push(TheoryRow {
            cell: cell.id.clone(),
            repeat: trial.repeat,
            attempt: observed.attempt,
            theory: theory.to_owned(),
            quantity: quantity.to_owned(),
            predicted: Some(predicted),
            measured,
            ratio: measured.map(|measured| measured / predicted),
            given: given.to_owned(),
        });
    };
    if let Some(best) = mundinger(&cell.settings) {
        let mut given = "whole pieces of one uploader each, equal uploads, all there throughout".to_owned();
        if distribution_time_s.is_some_and(|measured| measured < best) {
            given.push_str("; measured below it, which is no mistake: blocks of a piece came from several");
        }
        add("Mundinger, Weber and Weiss", "distribution time, s", best, distribution_time_s, &given);
    }
    if let Some(seen) = steady(cell, trial, observed, all, population) {
        let given = |it: Steady| {
            format!(
                "λ = {:.3}/s, μ = {:.4}/s, c = {:.4}/s, η = {:.2}, seeds' use {:.2}, server {:.4}/s, 1/γ = {:.1} s, \
                 θ = {:.4}/s; {} peers that arrived from {:.0} to {:.0} s",
                it.arrivals,
                it.upload,
                it.download,
                it.leechers_use,
                it.seeds_use,
                it.server,
                it.linger,
                it.give_up,
                seen.peers,
                seen.window.0,
                seen.window.1
            )
        };
        let as_used = seen.given;
        let as_assumed = Steady { seeds_use: 1.0, ..as_used };
        let theories = [("Qiu and Srikant", as_assumed), ("Qiu and Srikant, seeds as far as they were used", as_used)];
        for (theory, it) in theories {
            let Some((leechers, seeds, time)) = steady_state(it) else { continue };
            add(theory, "mean download time, s", time, seen.download, &given(it));
            add(theory, "leechers", leechers, seen.leechers, &given(it));
            add(theory, "seeds", seeds, seen.seeds, &given(it));
        }
    }
    rows
}

/// A trial's steady part as measured.
struct Seen {
    given: Steady,
    /// Arrivals from and to which moment, seconds after the common start.
    window: (f64, f64),
    peers: usize,
    download: Option<f64>,
    leechers: Option<f64>,
    seeds: Option<f64>,
}

/// Measures the part of a trial that can be steady: after a third of the time of the arrivals, until the last one. `None` if
/// the theory's assumptions do not hold.
fn steady(
    cell: &Cell,
    trial: &Trial,
    observed: &Observed,
    all: &[PeerRow],
    population: &[PopulationRow],
) -> Option<Seen> {
    let settings = &cell.settings;
    let [class] = &settings.classes[..] else { return None };
    let give_up = match class.give_up {
        None => 0.0,
        Some(Distribution::Exponential { mean }) => 1.0 / mean,
        Some(_) => return None,
    };
    let holds = settings.architecture == Architecture::P2p
        && is_undisturbed(settings)
        && matches!(settings.arrivals, Arrivals::Poisson { .. })
        && class.spread.is_none()
        && class.behaviour == Behaviour::Honest
        && class.on_complete != OnComplete::Stay;
    if !holds {
        return None;
    }
    let last = all.iter().filter_map(|peer| peer.arrived_s).fold(0.0, f64::max);
    let window = (last / 3.0, last);
    let long = window.1 - window.0;
    let within = |at: f64| at > window.0 && at <= window.1;
    let peer_of = |node: &Node| all.iter().find(|peer| peer.node == node.name);
    let nodes = trial.nodes.iter().filter(|node| is_to_complete(node.role));
    let own: Vec<(&Node, &PeerRow)> = nodes
        .filter_map(|node| Some((node, peer_of(node)?)))
        .filter(|(_, peer)| peer.arrived_s.is_some_and(within))
        .collect();
    if own.len() < 2 || long <= 0.0 {
        return None;
    }
    let rate = |bits: u64| bits as f64 * PAYLOAD_SHARE / (settings.size as f64 * 8.0);
    let capacity = class.link.up as f64 * PAYLOAD_SHARE / 8.0;
    // Bytes and seconds as a leecher, and as a seed.
    let mut used = [(0.0, 0.0); 2];
    let mut linger = Vec::new();
    for (node, peer) in &own {
        let log = observed.node(&node.name);
        let Some(time) = peer.download_s else { continue };
        let as_leecher: u64 = log.lives.iter().map(|life| life.sent_by_completion).sum();
        let as_seed = peers::sent(log).saturating_sub(as_leecher);
        used[0] = (used[0].0 + as_leecher as f64, used[0].1 + time);
        used[1] = (used[1].0 + as_seed as f64, used[1].1 + (peer.present_s - time).max(0.0));
        linger.push(match node.on_complete {
            OnComplete::Linger(ns) => ns as f64 / 1e9,
            OnComplete::Leave | OnComplete::Stay => 0.0,
        });
    }
    let share = |(bytes, time): (f64, f64)| if time > 0.0 { bytes / (capacity * time) } else { 1.0 };
    let server = trial.nodes.iter().find(|node| node.role == Role::InitialSeed)?;
    let end = all.iter().filter_map(|peer| peer.completed_at_s).fold(0.0, f64::max);
    let sent = peers::sent(observed.node(&server.name)) as f64 / settings.size as f64;
    let downloads: Vec<f64> = own.iter().filter_map(|(_, peer)| peer.download_s).collect();
    let seconds: Vec<&PopulationRow> = population.iter().filter(|row| within(f64::from(row.at_s))).collect();
    let average =
        |of: fn(&PopulationRow) -> u32| mean(&seconds.iter().map(|row| f64::from(of(row))).collect::<Vec<_>>());
    Some(Seen {
        given: Steady {
            arrivals: own.len() as f64 / long,
            upload: rate(class.link.up),
            download: rate(class.link.down),
            leechers_use: share(used[0]),
            seeds_use: share(used[1]).min(1.0),
            server: if end > 0.0 { sent / end } else { 0.0 },
            linger: mean(&linger)?,
            give_up,
        },
        window,
        peers: own.len(),
        download: mean(&downloads),
        leechers: average(|row| row.leechers),
        seeds: average(|row| row.seeds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    const PAPER: Steady = Steady {
        arrivals: 0.5,
        upload: 0.02,
        download: 0.2,
        leechers_use: 0.8,
        seeds_use: 1.0,
        server: 0.0,
        linger: 20.0,
        give_up: 0.01,
    };

    /// T = 1/(β + θ) with 1/β = max{1/c, (1/η)(1/μ − 1/γ)}.
    fn by_the_paper(it: Steady) -> f64 {
        let least = (1.0 / it.download).max((1.0 / it.upload - it.linger) / it.leechers_use);
        1.0 / (1.0 / least + it.give_up)
    }

    #[test]
    fn without_a_server_it_is_the_papers_formula() {
        for it in [
            PAPER,
            Steady { give_up: 0.0, ..PAPER },
            Steady { linger: 0.0, ..PAPER },
            // Seeds that stay long enough: downloads are limited by the downlink.
            Steady { linger: 60.0, give_up: 0.0, ..PAPER },
        ] {
            let (leechers, seeds, time) = steady_state(it).unwrap();
            assert!((time / by_the_paper(it) - 1.0).abs() < 1e-12, "{it:?}: {time}");
            assert!((leechers - it.arrivals * time).abs() < 1e-12);
            assert!((seeds - (it.arrivals - it.give_up * leechers) * it.linger).abs() < 1e-12);
        }
    }

    #[test]
    fn with_a_server_the_flows_still_agree() {
        let it = Steady { server: 0.1, ..PAPER };
        let (leechers, seeds, _) = steady_state(it).unwrap();
        let completions = it.arrivals - it.give_up * leechers;
        let uploaded = it.upload * (it.leechers_use * leechers + seeds) + it.server;
        assert!((completions - uploaded).abs() < 1e-12);
        assert!(leechers < steady_state(PAPER).unwrap().0);
    }

    #[test]
    fn whole_pieces_take_as_long_as_the_last_of_their_rounds() {
        let mut settings = fixture::cell(Architecture::P2p, 10, 1).settings;
        assert_eq!(mundinger(&settings), None, "the server is faster than the peers");
        settings.server.up = settings.classes[0].link.up;
        let copy = settings.size as f64 * 8.0 / (settings.server.up as f64 * PAYLOAD_SHARE);
        let pieces = settings.size as f64 / f64::from(settings.piece);
        assert_eq!(mundinger(&settings), Some(copy * (1.0 + 3.0 / pieces)));
        let few = Settings { piece: 8 << 20, ..settings.clone() };
        assert_eq!(mundinger(&few), None, "3 rounds beside 4 pieces");
        let unequal = Settings { size: settings.size - 1, ..settings.clone() };
        assert_eq!(mundinger(&unequal), None, "the last piece is shorter");
        settings.arrivals = Arrivals::Poisson { every: 1.0 };
        assert_eq!(mundinger(&settings), None);
    }

    #[test]
    fn what_is_below_it_is_remarked_and_what_is_no_limit_is_not_called_one() {
        let mut cell = fixture::cell(Architecture::P2p, 8, 1);
        cell.settings.server.up = cell.settings.classes[0].link.up;
        let best = mundinger(&cell.settings).unwrap();
        let given = |seconds| {
            let rows = rows(&cell, &cell.trials[0], &Observed::new(), &[], &[], Some(seconds));
            rows[0].given.clone()
        };
        assert!(given(best * 0.98).contains("measured below it"), "{}", given(best * 0.98));
        assert!(!given(best * 1.02).contains("below"), "{}", given(best * 1.02));
        // One piece for two to eight peers: D = 6.06 s was below its 6.58 s.
        cell.settings.size = 1 << 20;
        cell.settings.piece = 1 << 20;
        assert_eq!(mundinger(&cell.settings), None);
    }
}

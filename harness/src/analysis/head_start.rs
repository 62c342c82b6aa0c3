//! What the token buckets allow beyond the links' rates.
//!
//! A link of rate u with a bucket of b carries at most b + u·D in a time D, whatever it did in between: after a silence
//! it may send its bucket at once. So each term of a bound, bits ≤ Σu·D, is bits ≤ Σb + Σu·D on shaped links, and D may
//! be shorter than the term by Σb/Σu, summed over the links of that term. The formulas know no buckets: on a file
//! that is small beside them a ratio may be a little below 1 without a mistake anywhere.

use peer_image::event::Shape;
use peer_image::node::Role;

use super::bounds::{Term, useful_upload};
use super::lives::{Life, Observed};
use crate::plan::{Node, Trial};

/// How much shorter than `term` D may be, seconds, for the buckets that the kernels reported. A node that came back
/// came with a full bucket: each of its lives counts.
pub(super) fn head_start(term: Term, trial: &Trial, observed: &Observed) -> f64 {
    let bucket = |node: &Node, of: fn(&Life) -> Option<&Shape>| -> f64 {
        observed.node(&node.name).lives.iter().filter_map(of).map(|shape| shape.burst as f64 * 8.0).sum()
    };
    let uplink = |node: &Node| (bucket(node, up), node.link.map_or(0, |link| useful_upload(link, node.behaviour)));
    let servers = || trial.nodes.iter().filter(|node| is_server(node)).map(uplink);
    let peers = || trial.nodes.iter().filter(|node| is_peer(node));
    match term {
        Term::ServerUpload | Term::ServerCopy => seconds(servers().map(|(bits, rate)| (bits, rate as f64))),
        Term::PeerDownload => {
            let downlinks = || peers().filter(|peer| peer.to_complete).filter_map(|peer| Some((peer, peer.link?.down)));
            let slowest = downlinks().map(|(_, rate)| rate).min();
            let slow = downlinks().filter(|(_, rate)| Some(*rate) == slowest);
            slow.map(|(peer, rate)| bucket(peer, down) / rate as f64).fold(0.0, f64::max)
        }
        Term::TotalUpload => {
            let completing = peers().filter(|peer| peer.to_complete).count() as f64;
            // As in the bound: what a helper passes on it has first taken from somebody.
            let gain = |peer: &Node| if peer.to_complete { 1.0 } else { 1.0 - 1.0 / completing };
            let useful = peers().map(|peer| (uplink(peer), gain(peer))).filter(|((_, rate), _)| *rate > 0);
            let useful = useful.map(|((bits, rate), gain)| (bits * gain, rate as f64 * gain));
            seconds(servers().map(|(bits, rate)| (bits, rate as f64)).chain(useful))
        }
    }
}

fn up(life: &Life) -> Option<&Shape> {
    life.shaped.as_ref()?.up.as_ref()
}

fn down(life: &Life) -> Option<&Shape> {
    life.shaped.as_ref()?.down.as_ref()
}

fn is_server(node: &Node) -> bool {
    matches!(node.role, Role::HttpServer | Role::InitialSeed)
}

fn is_peer(node: &Node) -> bool {
    matches!(node.role, Role::HttpClient | Role::Leecher)
}

/// Of links' (bits, bit/s): Σb/Σu.
fn seconds(links: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (bits, rate) = links.fold((0.0, 0.0), |(bits, rate), link| (bits + link.0, rate + link.1));
    if rate > 0.0 { bits / rate } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{Log, cell};
    use crate::analysis::lives::fold;
    use crate::plan::Architecture;

    #[track_caller]
    fn is(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "{actual} is not {expected}");
    }

    // The fixture's buckets hold 16,000 bytes, its links are 4/40 mbit and the server's 40 mbit.
    const BITS: f64 = 16_000.0 * 8.0;

    #[test]
    fn each_term_has_the_buckets_of_its_own_links() {
        let cell = cell(Architecture::P2p, 10, 1);
        let trial = &cell.trials[0];
        let observed = fold(&Log::complete(trial, 39.0).lines);
        is(head_start(Term::ServerCopy, trial, &observed), BITS / 40e6);
        is(head_start(Term::PeerDownload, trial, &observed), BITS / 40e6);
        is(head_start(Term::TotalUpload, trial, &observed), 11.0 * BITS / 80e6);
    }

    #[test]
    fn who_cannot_help_has_no_bucket_and_who_leaves_helps_a_little_less() {
        let mut cell = cell(Architecture::P2p, 10, 1);
        let trial = &mut cell.trials[0];
        let observed = fold(&Log::complete(trial, 39.0).lines);
        let mut peers = trial.nodes.iter_mut().filter(|node| node.role == Role::Leecher);
        peers.next().unwrap().behaviour = peer_image::node::Behaviour::FreeRider;
        peers.next().unwrap().to_complete = false;
        drop(peers);
        let gain = 8.0 / 9.0;
        is(head_start(Term::TotalUpload, trial, &observed), (9.0 + gain) * BITS / (72e6 + gain * 4e6));
    }

    #[test]
    fn an_unshaped_link_has_none() {
        let cell = cell(Architecture::ClientServer, 2, 1);
        let trial = &cell.trials[0];
        is(head_start(Term::ServerUpload, trial, &Observed::default()), 0.0);
    }
}

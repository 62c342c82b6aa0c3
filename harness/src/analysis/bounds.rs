//! The formulas: the least time in which a file can get to all peers, and which link sets it.
//!
//! Source: Kurose & Ross, *Computer Networking*, 8e, §2.5, for peers that all want the file:
//!
//! - client-server: D ≥ max{N·F/u_s, F/d_min}
//! - P2P: D ≥ max{F/u_s, F/d_min, N·F/(u_s + Σu_i)}
//!
//! Three extensions keep them true limits for what an experiment can ask for:
//!
//! - **Peers that do not upload.** A free rider has u_i = 0 in the sum. So has a corrupting peer: every piece with a
//!   block of its fails verification, so nothing that it sends counts. Both still want the file, so both are in N.
//! - **Peers that the schedule removes for good.** D does not wait for them, so they are not in N, nor in d_min.
//!   While they stay they help: what a helper sends it must first have received from somebody, and it can pass a
//!   bit on to at most N peers, so at most 1 − 1/N of its upload is a gain:
//!   N·F/(u_s + Σu_i + (1 − 1/N)·Σu_h). Without helpers this is the textbook's term.
//! - **Peers that come late, or are away for a while,** and links that change are [`super::presence`]'s: there each rate
//!   counts while its node was there.
//!
//! F counts file bits only, but a link also carries headers. A bound at **link rate** takes the link's rate as if
//! all of it were payload: the textbook's figure. A bound at **payload rate** lowers every rate to its payload
//! share, [`PAYLOAD_SHARE`]; all terms scale alike, so it is the link-rate bound divided by that share. (Where nodes come
//! late or go, [`super::presence`] has it: headers do not make anybody come later.)

use peer_image::node::{Behaviour, Link};

use crate::plan::{Architecture, Settings};

/// Bytes of file in a full segment: MTU 1500 less 20 (IPv4) less 20 (TCP) less 12 (TCP timestamps, RFC 7323).
pub const SEGMENT_PAYLOAD: f64 = 1448.0;
/// Bytes that the shaper counts for it: MTU 1500 and the 14-byte Ethernet header (tbf counts the frame, without its
/// check sequence, preamble and gap).
pub const SEGMENT_FRAME: f64 = 1514.0;
/// Share of a link's rate that is left for the file: 0.9564.
pub const PAYLOAD_SHARE: f64 = SEGMENT_PAYLOAD / SEGMENT_FRAME;

/// What the formulas need to know of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Swarm {
    /// F, bytes.
    pub size: u64,
    /// u_s, bit/s.
    pub server_up: u64,
    /// The peers, those that are alike together.
    pub groups: Vec<Group>,
}

/// Peers that are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// How many; a curve may need parts of a peer to keep the classes' shares.
    pub count: f64,
    /// u_i, bit/s: what it can upload that helps somebody, 0 for free riders and corrupting peers.
    pub up: u64,
    /// d_i, bit/s.
    pub down: u64,
    /// Whether D waits for it; otherwise it is a helper.
    pub to_complete: bool,
}

/// A term of a formula, named after what limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// The server sends each peer a copy of its own.
    ServerUpload,
    /// The server sends each bit at least once.
    ServerCopy,
    /// The slowest download takes the whole file.
    PeerDownload,
    /// All uploads together carry N copies.
    TotalUpload,
}

impl Term {
    /// The term as the textbook writes it.
    #[must_use]
    pub fn formula(self) -> &'static str {
        match self {
            Self::ServerUpload => "N·F/u_s",
            Self::ServerCopy => "F/u_s",
            Self::PeerDownload => "F/d_min",
            Self::TotalUpload => "N·F/(u_s + Σu_i)",
        }
    }

    /// What limits, in words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ServerUpload => "the server's upload carries N copies",
            Self::ServerCopy => "the server's upload carries each bit once",
            Self::PeerDownload => "the slowest peer's download carries one copy",
            Self::TotalUpload => "all uploads together carry N copies",
        }
    }
}

/// The lower limit on D.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// At link rate, seconds: the largest of [`Bound::terms`].
    pub seconds: f64,
    /// At payload rate, seconds.
    pub payload_seconds: f64,
    /// The term that binds; the first in the formula's order if several do.
    pub term: Term,
    /// Every term at link rate, seconds, in the formula's order.
    pub terms: Vec<(Term, f64)>,
}

impl Swarm {
    /// The swarm that a cell asks for, as if nobody left it for good.
    #[must_use]
    pub fn of_settings(settings: &Settings) -> Self {
        Self::of_settings_with(settings, f64::from(settings.peers()))
    }

    /// The same with another number of peers, the classes' shares kept.
    #[must_use]
    pub fn of_settings_with(settings: &Settings, peers: f64) -> Self {
        let scale = peers / f64::from(settings.peers().max(1));
        let groups = settings.classes.iter().map(|class| Group {
            count: f64::from(class.count) * scale,
            up: useful_upload(class.link, class.behaviour),
            down: class.link.down,
            to_complete: true,
        });
        Self { size: settings.size, server_up: settings.server.up, groups: groups.collect() }
    }

    /// N: peers that D waits for.
    fn completing(&self) -> f64 {
        self.groups.iter().filter(|group| group.to_complete).map(|group| group.count).sum()
    }

    fn upload(&self, to_complete: bool) -> f64 {
        let groups = self.groups.iter().filter(|group| group.to_complete == to_complete);
        groups.map(|group| group.count * rate(group.up)).sum()
    }

    fn slowest_download(&self) -> Option<u64> {
        let wanting = self.groups.iter().filter(|group| group.to_complete && group.count > 0.0);
        wanting.map(|group| group.down).min()
    }
}

/// What of a peer's upload can help others, bit/s: nothing, unless it is honest.
#[must_use]
pub fn useful_upload(link: Link, behaviour: Behaviour) -> u64 {
    match behaviour {
        Behaviour::Honest => link.up,
        Behaviour::FreeRider | Behaviour::Corrupting => 0,
    }
}

/// The lower limit on D for a swarm. `None` if nobody is to complete, or a rate that a term divides by is 0.
#[must_use]
pub fn bound(architecture: Architecture, swarm: &Swarm) -> Option<Bound> {
    let bits = swarm.size as f64 * 8.0;
    let (peers, server) = (swarm.completing(), rate(swarm.server_up));
    let download = (Term::PeerDownload, bits / rate(swarm.slowest_download()?));
    let terms = match architecture {
        Architecture::ClientServer => vec![(Term::ServerUpload, peers * bits / server), download],
        Architecture::P2p => {
            // Part of a peer, as a curve may have it, passes nothing on: no gain below one.
            let gain = (1.0 - 1.0 / peers).max(0.0);
            let upload = server + swarm.upload(true) + gain * swarm.upload(false);
            vec![(Term::ServerCopy, bits / server), download, (Term::TotalUpload, peers * bits / upload)]
        }
    };
    let largest = |best: (Term, f64), next: (Term, f64)| if next.1 > best.1 { next } else { best };
    let (term, seconds) = terms.iter().copied().reduce(largest)?;
    seconds.is_finite().then(|| Bound { seconds, payload_seconds: seconds / PAYLOAD_SHARE, term, terms })
}

/// The bound over N from 1 to `peers` for a cell's links, classes in the same shares: at most about 200 points,
/// at whole numbers of peers.
#[must_use]
pub fn curve(settings: &Settings, peers: u32) -> Vec<(u32, Bound)> {
    let step = (peers / 200).max(1);
    let at = (1..=peers).filter(|n| *n == 1 || *n == peers || n % step == 0);
    at.filter_map(|n| {
        let swarm = Swarm::of_settings_with(settings, f64::from(n));
        Some((n, bound(settings.architecture, &swarm)?))
    })
    .collect()
}

fn rate(bits_per_second: u64) -> f64 {
    bits_per_second as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alike(size: u64, server_up: u64, count: u32, up: u64, down: u64) -> Swarm {
        Swarm { size, server_up, groups: vec![Group { count: f64::from(count), up, down, to_complete: true }] }
    }

    fn seconds(architecture: Architecture, swarm: &Swarm) -> f64 {
        bound(architecture, swarm).unwrap().seconds
    }

    #[track_caller]
    fn close(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} ± {tolerance}");
    }

    #[test]
    fn the_textbooks_figure_comes_out() {
        // F/u = 1 h, u_s = 10u, d_min = u_s; hours.
        let hours =
            [(1, 0.1, 0.1), (5, 0.5, 0.333), (10, 1.0, 0.5), (20, 2.0, 0.667), (30, 3.0, 0.75), (35, 3.5, 0.778)];
        let up = 1_000_000;
        let size = up * 3600 / 8;
        for (peers, client_server, p2p) in hours {
            let swarm = alike(size, 10 * up, peers, up, 10 * up);
            close(seconds(Architecture::ClientServer, &swarm) / 3600.0, client_server, 0.0005);
            close(seconds(Architecture::P2p, &swarm) / 3600.0, p2p, 0.0005);
        }
    }

    #[test]
    fn the_end_of_chapter_table_comes_out() {
        let (size, server, down) = (15_000_000_000 / 8, 30_000_000, 2_000_000);
        for (peers, expected) in [(10, 7500.0), (100, 50000.0), (1000, 500_000.0)] {
            close(seconds(Architecture::ClientServer, &alike(size, server, peers, 0, down)), expected, 0.5);
        }
        let table = [
            (300_000, [7500.0, 25000.0, 45455.0]),
            (700_000, [7500.0, 15000.0, 20548.0]),
            (2_000_000, [7500.0, 7500.0, 7500.0]),
        ];
        for (up, expected) in table {
            for (peers, expected) in [10, 100, 1000].into_iter().zip(expected) {
                close(seconds(Architecture::P2p, &alike(size, server, peers, up, down)), expected, 0.5);
            }
        }
    }

    #[test]
    fn the_binding_term_is_named() {
        let swarm = |peers, up, down| alike(1 << 20, 40_000_000, peers, up, down);
        let term = |architecture, swarm: &Swarm| bound(architecture, swarm).unwrap().term;
        assert_eq!(term(Architecture::ClientServer, &swarm(2, 0, 40_000_000)), Term::ServerUpload);
        assert_eq!(term(Architecture::ClientServer, &swarm(2, 0, 10_000_000)), Term::PeerDownload);
        assert_eq!(term(Architecture::P2p, &swarm(10, 4_000_000, 40_000_000)), Term::TotalUpload);
        assert_eq!(term(Architecture::P2p, &swarm(10, 40_000_000, 80_000_000)), Term::ServerCopy);
        assert_eq!(term(Architecture::P2p, &swarm(2, 40_000_000, 4_000_000)), Term::PeerDownload);
    }

    #[test]
    fn the_payload_bound_is_the_link_bound_over_the_payload_share() {
        let bound = bound(Architecture::P2p, &alike(32 << 20, 40_000_000, 10, 4_000_000, 40_000_000)).unwrap();
        close(bound.seconds, 33.55, 0.01);
        close(bound.payload_seconds, 33.55 * 1514.0 / 1448.0, 0.01);
        close(PAYLOAD_SHARE, 0.9564, 0.00005);
    }

    #[test]
    fn free_riders_and_corrupting_peers_add_no_upload() {
        let link = Link { up: 5, down: 7 };
        assert_eq!(useful_upload(link, Behaviour::Honest), 5);
        assert_eq!(useful_upload(link, Behaviour::FreeRider), 0);
        assert_eq!(useful_upload(link, Behaviour::Corrupting), 0);
    }

    #[test]
    fn a_peer_that_leaves_for_good_is_a_helper_and_not_in_n() {
        let (up, down) = (4_000_000, 40_000_000);
        let mut swarm = alike(32 << 20, 40_000_000, 8, up, down);
        swarm.groups.push(Group { count: 2.0, up, down: 1_000, to_complete: false });
        let bits = f64::from(32 << 20) * 8.0;
        close(seconds(Architecture::ClientServer, &swarm), 8.0 * bits / 40e6, 1e-9);
        close(seconds(Architecture::P2p, &swarm), 8.0 * bits / (40e6 + 32e6 + 8e6 * 7.0 / 8.0), 1e-9);
    }

    #[test]
    fn without_anybody_to_complete_there_is_no_bound() {
        let mut swarm = alike(1 << 20, 1_000_000, 3, 1_000, 1_000);
        swarm.groups[0].to_complete = false;
        assert_eq!(bound(Architecture::P2p, &swarm), None);
        assert_eq!(bound(Architecture::ClientServer, &alike(1 << 20, 0, 3, 1, 1)), None);
    }

    proptest! {
        #[test]
        fn bounds_grow_with_n_and_f_and_p2p_is_never_the_larger(
            size in 1_u64..1 << 40, server in 1_u64..1 << 36, up in 0_u64..1 << 36, down in 1_u64..1 << 36,
            peers in 1_u32..2000,
        ) {
            let at = |architecture, size, peers| seconds(architecture, &alike(size, server, peers, up, down));
            for architecture in [Architecture::ClientServer, Architecture::P2p] {
                let here = at(architecture, size, peers);
                let slack = 1.0 - 1e-12;
                prop_assert!(at(architecture, size, peers + 1) >= here * slack);
                prop_assert!(at(architecture, size + 1, peers) >= here);
            }
            let (client_server, p2p) =
                (at(Architecture::ClientServer, size, peers), at(Architecture::P2p, size, peers));
            prop_assert!(p2p <= client_server * (1.0 + 1e-12));
        }
    }
}

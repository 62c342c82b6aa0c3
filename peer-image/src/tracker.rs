//! Who is in the swarm, sans-IO: the caller brings the clock, the randomness and where a request came from.
//!
//! It must not know HTTP; [`crate::wire::announce`] reads requests and writes replies. Two invariants stand
//! whatever is announced: nobody is listed twice, neither an address nor a peer id; and nobody beyond
//! [`Limits::members`] is listed at all, so that memory is bounded.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::seeds::Stream;
use crate::wire::announce::{Event, Peer, PeerList, Reply, Request};
use crate::wire::handshake::{InfoHash, PeerId};

/// How many peers a reply names if the request does not say (as common trackers do).
pub const NUMWANT: u32 = 50;

/// After so many intervals without an announce a peer is taken to be gone …
const PATIENCE: u64 = 3;

/// … but not within so many seconds: libtorrent and qBittorrent announce every 300 s, whatever interval they are told.
const PATIENCE_LEAST: u64 = 600;

/// So many whom a peer was named are remembered, and then it may be named them again.
const NAMED_MAX: usize = 256;

/// What the tracker allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// When a peer is to announce again, seconds; at least 1.
    pub interval: u32,
    /// Most peers that one reply names.
    pub reply: u32,
    /// Most peers that are listed.
    pub members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { interval: 60, reply: 200, members: 10_000 }
    }
}

/// The tracker of one file.
///
/// The same announces at the same times, with an equal stream, give the same replies.
#[derive(Debug)]
pub struct Tracker {
    info_hash: InfoHash,
    limits: Limits,
    members: BTreeMap<SocketAddr, Member>,
    /// Where each peer id is: the other way round of `members`.
    addresses: BTreeMap<PeerId, SocketAddr>,
}

#[derive(Debug, Clone)]
struct Member {
    id: PeerId,
    complete: bool,
    /// When it last announced, nanoseconds on the caller's clock.
    seen: u64,
    /// Whom it was named since it started, or since it had been named all of them: who asks again wants others.
    named: BTreeSet<SocketAddr>,
}

impl Tracker {
    /// An empty swarm for that file.
    #[must_use]
    pub fn new(info_hash: InfoHash, limits: Limits) -> Self {
        Self { info_hash, limits, members: BTreeMap::new(), addresses: BTreeMap::new() }
    }

    /// Takes note of a request that came from the address `from` at the time `now`, and answers it. `now` is in
    /// nanoseconds on any clock that does not go back.
    ///
    /// A peer that comes back under its old id or its old address replaces what it was.
    pub fn announce(&mut self, now: u64, from: IpAddr, request: &Request, random: &mut Stream) -> Reply {
        if request.info_hash != self.info_hash {
            return Reply::Failure(format!("this tracker does not have `{}`", request.info_hash));
        }
        self.expire(now);
        // A socket that takes both families sees IPv4 mapped into IPv6; nobody else could connect to that.
        let address = SocketAddr::new(from.to_canonical(), request.port);
        let before = self.remove_address(address).filter(|before| before.id == request.peer_id);
        self.remove_id(request.peer_id);
        let peers = if request.event == Some(Event::Stopped) {
            Vec::new()
        } else {
            if self.members.len() >= self.limits.members {
                return Reply::Failure(format!(
                    "this tracker has no room for more than `{}` peers",
                    self.members.len()
                ));
            }
            let complete = request.left == 0;
            let wanted = request.numwant.unwrap_or(NUMWANT).min(self.limits.reply);
            // Who starts knows nobody.
            let before = before.filter(|_| request.event != Some(Event::Started));
            let mut named = before.map(|before| before.named).unwrap_or_default();
            let peers = self.choose(wanted as usize, complete, &mut named, random);
            self.members.insert(address, Member { id: request.peer_id, complete, seen: now, named });
            self.addresses.insert(request.peer_id, address);
            peers
        };
        let (complete, incomplete) = self.counts();
        let interval = self.limits.interval;
        Reply::Peers(PeerList { interval, complete: Some(complete), incomplete: Some(incomplete), peers })
    }

    /// How many listed peers have the whole file, and how many do not.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        let count = |complete| {
            let number = self.members.values().filter(|member| member.complete == complete).count();
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        (count(true), count(false))
    }

    /// Up to `wanted` members, uniformly at random of those that were not `named` before, and then of the others; a seed
    /// has no use for other seeds.
    fn choose(
        &self,
        wanted: usize,
        no_seeds: bool,
        named: &mut BTreeSet<SocketAddr>,
        random: &mut Stream,
    ) -> Vec<Peer> {
        let useful = self.members.iter().filter(|(_, member)| !(no_seeds && member.complete));
        let useful = useful.map(|(&address, member)| Peer { address, id: Some(member.id) });
        let (mut others, mut peers): (Vec<Peer>, Vec<Peer>) = useful.partition(|peer| named.contains(&peer.address));
        draw(&mut peers, wanted, random);
        if peers.len() < wanted || named.len() + peers.len() > NAMED_MAX {
            named.clear();
        }
        draw(&mut others, wanted - peers.len(), random);
        peers.extend(others);
        named.extend(peers.iter().map(|peer| peer.address));
        peers
    }

    fn expire(&mut self, now: u64) {
        let patience = (PATIENCE * u64::from(self.limits.interval)).max(PATIENCE_LEAST) * 1_000_000_000;
        let gone = |member: &Member| now.saturating_sub(member.seen) > patience;
        self.members.retain(|_, member| !gone(member));
        self.addresses.retain(|_, address| self.members.contains_key(address));
    }

    fn remove_address(&mut self, address: SocketAddr) -> Option<Member> {
        let member = self.members.remove(&address)?;
        self.addresses.remove(&member.id);
        Some(member)
    }

    fn remove_id(&mut self, id: PeerId) {
        if let Entry::Occupied(entry) = self.addresses.entry(id) {
            self.members.remove(&entry.remove());
        }
    }
}

/// Keeps up to `wanted` of them, uniformly at random.
fn draw(peers: &mut Vec<Peer>, wanted: usize, random: &mut Stream) {
    let wanted = wanted.min(peers.len());
    // The first steps of a shuffle, as many as are wanted.
    for to in 0..wanted {
        let rest = (peers.len() - to) as u64;
        let from = to + usize::try_from(random.below(rest)).expect("below a length");
        peers.swap(to, from);
    }
    peers.truncate(wanted);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seeds::stream;

    const FILE: InfoHash = InfoHash([7; 20]);
    const SECOND: u64 = 1_000_000_000;

    fn host(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    fn request(id: u8, left: u64) -> Request {
        Request {
            info_hash: FILE,
            peer_id: PeerId([id; 20]),
            port: 6881,
            uploaded: 0,
            downloaded: 0,
            left,
            event: None,
            numwant: None,
            compact: true,
        }
    }

    fn list(reply: Reply) -> PeerList {
        match reply {
            Reply::Peers(list) => list,
            Reply::Failure(reason) => panic!("{reason}"),
        }
    }

    fn hosts(reply: Reply) -> BTreeSet<u8> {
        let last = |peer: &Peer| match peer.address.ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(ip) => panic!("{ip}"),
        };
        list(reply).peers.iter().map(last).collect()
    }

    /// A tracker that knows the hosts 1 to `leechers`, and 100 to 99 + `seeds` that are complete.
    fn tracker(leechers: u8, seeds: u8) -> (Tracker, Stream) {
        let mut tracker = Tracker::new(FILE, Limits::default());
        let mut random = stream(1, "tracker");
        for (number, left) in (1..=leechers).map(|n| (n, 1)).chain((100..100 + seeds).map(|n| (n, 0))) {
            tracker.announce(0, host(number), &request(number, left), &mut random);
        }
        (tracker, random)
    }

    #[test]
    fn a_leecher_gets_everybody_but_itself_and_a_seed_only_leechers() {
        let (mut tracker, mut random) = tracker(3, 2);
        let reply = tracker.announce(0, host(2), &request(2, 1), &mut random);
        assert_eq!(hosts(reply), [1, 3, 100, 101].into());
        let reply = tracker.announce(0, host(100), &request(100, 0), &mut random);
        assert_eq!(hosts(reply), [1, 2, 3].into());
        assert_eq!(tracker.counts(), (2, 3));
        let reply = tracker.announce(0, host(3), &request(3, 0), &mut random);
        assert_eq!(hosts(reply), [1, 2].into(), "complete by now, so it counts as a seed");
        assert_eq!(tracker.counts(), (3, 2));
    }

    #[test]
    fn a_reply_names_as_many_as_wanted_up_to_the_limit_and_each_as_often_as_others() {
        let (mut tracker, mut random) = tracker(80, 0);
        assert_eq!(hosts(tracker.announce(0, host(1), &request(1, 1), &mut random)).len(), NUMWANT as usize);
        let wants = |numwant| Request { numwant: Some(numwant), ..request(1, 1) };
        assert_eq!(hosts(tracker.announce(0, host(1), &wants(u32::MAX), &mut random)).len(), 79);
        assert_eq!(hosts(tracker.announce(0, host(1), &wants(0), &mut random)).len(), 0);
        tracker.limits.reply = 5;
        let mut named = [0; 81];
        for _ in 0..1580 {
            let hosts = hosts(tracker.announce(0, host(1), &wants(10), &mut random));
            assert_eq!(hosts.len(), 5);
            hosts.iter().for_each(|&host| named[usize::from(host)] += 1);
        }
        // Each is named 100 times on average, with a standard deviation of 10.
        assert!(named[2..].iter().all(|times| (60..140).contains(times)), "{named:?}");
    }

    #[test]
    fn who_asks_again_is_named_others_until_it_was_named_all_and_who_starts_anew_knows_nobody() {
        for wanted in [1, 2, 3, 7] {
            let (mut tracker, mut random) = tracker(12, 0);
            let ask = Request { numwant: Some(wanted), ..request(20, 1) };
            let mut told = BTreeSet::new();
            for _ in 0..12_u32.div_ceil(wanted) {
                told.extend(hosts(tracker.announce(0, host(20), &ask, &mut random)));
            }
            assert_eq!(told, (1..=12).collect(), "{wanted} at a time");
            let start = Request { event: Some(Event::Started), ..ask };
            let named = hosts(tracker.announce(0, host(20), &start, &mut random));
            assert_eq!(named.len(), wanted as usize);
            assert_eq!(tracker.members[&SocketAddr::new(host(20), 6881)].named.len(), wanted as usize);
        }
    }

    #[test]
    fn who_stops_or_is_silent_for_ten_minutes_or_three_intervals_is_gone() {
        let (mut tracker, mut random) = tracker(3, 0);
        let stop = Request { event: Some(Event::Stopped), ..request(1, 1) };
        let reply = list(tracker.announce(0, host(1), &stop, &mut random));
        assert_eq!((reply.peers.len(), reply.incomplete), (0, Some(2)));
        let reply = tracker.announce(600 * SECOND, host(2), &request(2, 1), &mut random);
        assert_eq!(hosts(reply), [3].into(), "exactly ten minutes are not too many");
        let reply = tracker.announce(600 * SECOND + 1, host(2), &request(2, 1), &mut random);
        assert_eq!(hosts(reply), [].into());
        assert_eq!(tracker.counts(), (0, 1));
        tracker.limits.interval = 300;
        let reply = tracker.announce(1500 * SECOND, host(3), &request(3, 1), &mut random);
        assert_eq!(hosts(reply), [2].into(), "three intervals of five minutes are not over");
    }

    #[test]
    fn who_comes_back_under_its_address_or_its_id_is_listed_once() {
        let (mut tracker, mut random) = tracker(3, 0);
        tracker.announce(0, host(3), &request(33, 1), &mut random);
        assert_eq!(tracker.counts(), (0, 3), "a new id at an old address");
        tracker.announce(0, host(4), &request(33, 1), &mut random);
        let reply = tracker.announce(0, host(1), &request(1, 1), &mut random);
        assert_eq!(hosts(reply), [2, 4].into(), "an old id at a new address");
        let mapped = "::ffff:10.0.0.4".parse().unwrap();
        tracker.announce(0, mapped, &request(33, 1), &mut random);
        assert_eq!(hosts(tracker.announce(0, host(1), &request(1, 1), &mut random)), [2, 4].into());
    }

    #[test]
    fn another_file_and_one_peer_too_many_are_refused() {
        let (mut tracker, mut random) = tracker(3, 0);
        let other = Request { info_hash: InfoHash([8; 20]), ..request(4, 1) };
        let refused = Reply::Failure(format!("this tracker does not have `{}`", "08".repeat(20)));
        assert_eq!(tracker.announce(0, host(4), &other, &mut random), refused);
        tracker.limits.members = 3;
        let refused = Reply::Failure("this tracker has no room for more than `3` peers".to_owned());
        assert_eq!(tracker.announce(0, host(4), &request(4, 1), &mut random), refused);
        assert_eq!(list(tracker.announce(0, host(3), &request(3, 1), &mut random)).peers.len(), 2);
    }

    proptest! {
        #[test]
        fn whatever_is_announced_the_lists_agree_stay_bounded_and_never_name_the_asker(
            announces in prop::collection::vec((0_u64..90, 0_u8..12, 0_u8..12, 0_u64..2, 0_u8..8), 0..80)
        ) {
            let limits = Limits { members: 8, ..Limits::default() };
            let mut trackers = [Tracker::new(FILE, limits), Tracker::new(FILE, limits)];
            let mut streams = [stream(1, "tracker"), stream(1, "tracker")];
            let mut now = 0;
            for (later, from, id, left, event) in announces {
                now += later * SECOND;
                let event = (event == 0).then_some(Event::Stopped);
                let request = Request { event, ..request(id, left) };
                let [reply, again] = [0, 1].map(|n| trackers[n].announce(now, host(from), &request, &mut streams[n]));
                prop_assert_eq!(&reply, &again, "deterministic");
                if let Reply::Peers(list) = reply {
                    let addresses: BTreeSet<SocketAddr> = list.peers.iter().map(|peer| peer.address).collect();
                    prop_assert_eq!(addresses.len(), list.peers.len());
                    prop_assert!(list.peers.iter().all(|peer| peer.id != Some(request.peer_id)));
                    prop_assert!(!addresses.contains(&SocketAddr::new(host(from), 6881)));
                }
                let tracker = &trackers[0];
                prop_assert!(tracker.members.len() <= 8);
                let there: BTreeMap<PeerId, SocketAddr> =
                    tracker.members.iter().map(|(&address, member)| (member.id, address)).collect();
                prop_assert_eq!(&there, &tracker.addresses);
                prop_assert_eq!(there.len(), tracker.members.len());
            }
        }
    }
}

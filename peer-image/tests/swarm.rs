//! The core's rules, tried in virtual time: swarms of all kinds run under the eyes of a referee.

#[expect(dead_code, reason = "the benchmark uses what the tests do not")]
mod network;
mod referee;

use network::{Network, Peer};
use peer_image::node::{Choker, Picker, Pipeline, Policy};
use peer_image::wire::geometry::{BLOCK, Geometry};
use proptest::prelude::*;
use referee::refereed;

const SECOND: u64 = 1_000_000_000;

/// Every swarm here is done long before, ns.
const DEADLINE: u64 = 3_600 * SECOND;

fn policies() -> impl Strategy<Value = Policy> {
    let picker = prop_oneof![
        3 => Just(Picker::RarestFirst),
        1 => Just(Picker::Random),
        1 => Just(Picker::Sequential)
    ];
    let choker = prop_oneof![2 => Just(Choker::TitForTat), 1 => Just(Choker::RoundRobin), 1 => Just(Choker::Unlimited)];
    let pipeline = prop_oneof![Just(Pipeline::Auto), (1_u32..20).prop_map(Pipeline::Blocks)];
    (picker, choker, 1_u32..6, pipeline, any::<bool>(), any::<bool>()).prop_map(
        |(picker, choker, slots, pipeline, endgame, super_seeding)| Policy {
            picker,
            choker,
            slots,
            pipeline,
            endgame,
            super_seeding,
            neighbours: 50,
        },
    )
}

/// Some pieces of one to four blocks; the last may be short.
fn files() -> impl Strategy<Value = Geometry> {
    (1_u32..5, 1_u64..24, 0_u64..40_000).prop_map(|(blocks, pieces, short)| {
        let piece = blocks * BLOCK;
        let size = (pieces * u64::from(piece)).saturating_sub(short).max(1);
        Geometry::new(size, piece).expect("it is not empty")
    })
}

/// A link from slow to fast, down at least as fast as up, bit/s.
fn links() -> impl Strategy<Value = (u64, u64)> {
    (200_u64..10_000, 1_u64..10).prop_map(|(kbit, factor)| (kbit * 1000, kbit * 1000 * factor))
}

/// An honest seed, and leechers with a number from 0 to 9 each that decides what they are like.
fn swarms(leechers: std::ops::Range<usize>, like: fn(Peer, u8) -> Peer) -> impl Strategy<Value = Vec<Peer>> {
    (policies(), links(), prop::collection::vec((links(), 0_u8..10), leechers)).prop_map(
        move |(policy, seed, leechers)| {
            let peer =
                |(up, down), seed| Peer { up, down, seed, uploads: true, corrupts: false, policy: policy.clone() };
            let leechers = leechers.into_iter().map(|(link, what)| like(peer(link, false), what));
            std::iter::once(peer(seed, true)).chain(leechers).collect()
        },
    )
}

fn honest(peer: Peer, _: u8) -> Peer {
    peer
}

fn every_third_rides_free(peer: Peer, what: u8) -> Peer {
    Peer { uploads: what > 2, ..peer }
}

fn every_fifth_corrupts(peer: Peer, what: u8) -> Peer {
    Peer { corrupts: what < 2, ..peer }
}

/// As many as a debug build runs in a second; `PROPTEST_CASES` asks for more.
fn few_cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases / 4, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn everybody_completes_and_keeps_the_rules(file in files(), peers in swarms(1..9, honest), seed: u64) {
        let (mut network, referee) = refereed(file, peers, seed);
        let done = network.run(DEADLINE);
        prop_assert!(referee.borrow().all_complete(), "{:?}", done);
        prop_assert_eq!(&network.banned, &[]);
    }

    #[test]
    fn a_free_rider_unchokes_nobody_and_everybody_completes(
        file in files(), peers in swarms(1..9, every_third_rides_free), seed: u64
    ) {
        let riders: Vec<usize> = (0..peers.len()).filter(|&node| !peers[node].uploads).collect();
        let (mut network, referee) = refereed(file, peers, seed);
        let done = network.run(DEADLINE);
        prop_assert!(referee.borrow().all_complete(), "{:?}", done);
        prop_assert!(riders.iter().all(|&rider| network.sent[rider] == 0));
    }

    #[test]
    fn whoever_took_a_bad_block_bans_its_sender_and_everybody_completes(
        file in files(), peers in swarms(2..9, every_fifth_corrupts), seed: u64
    ) {
        let corrupts: Vec<bool> = peers.iter().map(|peer| peer.corrupts).collect();
        let (mut network, referee) = refereed(file, peers, seed);
        let done = network.run(DEADLINE);
        let referee = referee.borrow();
        prop_assert!(referee.all_complete(), "{:?}", done);
        for &(node, sender) in referee.served.iter().filter(|(node, sender)| corrupts[*sender] && !corrupts[*node]) {
            prop_assert!(network.banned.contains(&(node, sender)), "{} took bad blocks of {}", node, sender);
        }
    }

    #[test]
    fn whoever_is_left_completes_when_others_are_killed(
        file in files(), peers in swarms(2..9, honest), seed: u64,
        kills in prop::collection::vec((any::<prop::sample::Index>(), 0..60 * SECOND), 1..5)
    ) {
        let count = peers.len();
        let (mut network, referee) = refereed(file, peers, seed);
        let mut killed = Vec::new();
        for (victim, at) in kills {
            let victim = victim.index(count - 1) + 1;
            network.kill_at(victim, at);
            killed.push(victim);
        }
        let done = network.run(DEADLINE);
        for node in (1..count).filter(|node| !killed.contains(node)) {
            prop_assert!(referee.borrow().is_complete(node), "{} of {:?}, killed {:?}", node, done, killed);
        }
    }

    #[test]
    fn leechers_that_have_every_piece_between_them_need_no_seed(
        file in files(), peers in swarms(2..9, honest), seed: u64
    ) {
        let (mut network, referee) = refereed(file, peers.clone(), seed);
        network.run(DEADLINE);
        let spread_at = referee.borrow().spread_at.expect("they completed");
        let (mut network, referee) = refereed(file, peers, seed);
        network.kill_at(0, spread_at + 1);
        let done = network.run(DEADLINE);
        prop_assert_eq!(referee.borrow().spread_at, Some(spread_at));
        prop_assert!(referee.borrow().all_complete(), "{:?} after {}", done, spread_at);
    }
}

/// The textbook's proportions.
fn textbook(leechers: usize, policy: &Policy) -> Vec<Peer> {
    let peer = |up, seed| Peer { up, down: 40_000_000, seed, uploads: true, corrupts: false, policy: policy.clone() };
    std::iter::once(peer(40_000_000, true)).chain((0..leechers).map(|_| peer(4_000_000, false))).collect()
}

#[test]
fn in_endgame_blocks_are_asked_of_several_and_otherwise_they_are_not() {
    let file = Geometry::new(40 * u64::from(BLOCK), 2 * BLOCK).expect("a file");
    for endgame in [true, false] {
        let policy = Policy { endgame, ..Policy::default() };
        let (mut network, referee) = refereed(file, textbook(8, &policy), 1);
        network.run(DEADLINE);
        assert!(referee.borrow().all_complete());
        assert_eq!(referee.borrow().copies > 0, endgame, "{} copies", referee.borrow().copies);
    }
}

/// Runs 50 peers under each policy with that choker.
fn fifty_peers_complete(choker: Choker) {
    let file = Geometry::new(8 * u64::from(BLOCK), 2 * BLOCK).expect("a file");
    for picker in [Picker::RarestFirst, Picker::Random, Picker::Sequential] {
        for (super_seeding, endgame) in [(false, false), (false, true), (true, false), (true, true)] {
            for pipeline in [Pipeline::Auto, Pipeline::Blocks(4)] {
                let policy = Policy { picker, choker, super_seeding, endgame, pipeline, ..Policy::default() };
                let times = |seed| {
                    let mut network = Network::new(file, textbook(49, &policy), seed, Box::new(|_, _, _, _| {}));
                    let done = network.run(DEADLINE);
                    assert!(done[1..].iter().all(Option::is_some), "{policy:?}: {done:?}");
                    done
                };
                let first = times(1);
                assert_eq!(first, times(1), "{policy:?} with the same seed");
                // Where everybody is served and pieces come in order, little is left to chance.
                let by_chance = choker != Choker::Unlimited || picker != Picker::Sequential || super_seeding;
                if by_chance && endgame && pipeline == Pipeline::Auto {
                    assert_ne!(first, times(2), "{policy:?} with another seed");
                }
            }
        }
    }
}

#[test]
fn fifty_peers_complete_under_tit_for_tat_at_the_same_times_for_the_same_seed() {
    fifty_peers_complete(Choker::TitForTat);
}

#[test]
fn fifty_peers_complete_under_round_robin_at_the_same_times_for_the_same_seed() {
    fifty_peers_complete(Choker::RoundRobin);
}

#[test]
fn fifty_peers_complete_unlimited_at_the_same_times_for_the_same_seed() {
    fifty_peers_complete(Choker::Unlimited);
}

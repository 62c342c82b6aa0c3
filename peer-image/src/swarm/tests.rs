//! The core against neighbours that say anything in any order: it must not panic, its books must balance after
//! each input, and an honest seed must still get the file through.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use super::lookout::Need;
use super::neighbour::Neighbour;
use super::pieces::BlockState;
use super::time::Timestamp;
use super::*;
use crate::node::{Choker as ChokerKind, Picker, Pipeline, Policy};
use crate::seeds;
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{BLOCK, Block, Geometry, PieceIndex};
use crate::wire::message::Message;

/// What a block is made of here: one byte.
const GOOD: u8 = 0;
const BAD: u8 = 1;

/// A swarm and the shell around it.
struct Shell {
    swarm: Swarm,
    geometry: Geometry,
    limit: usize,
    now: u64,
    connected: BTreeSet<NeighbourId>,
    /// Neighbours ever; the next one's number.
    count: u32,
    stored: BTreeMap<Block, u8>,
    to_verify: VecDeque<PieceIndex>,
    /// Requests that were sent, in order.
    requests: VecDeque<(NeighbourId, Block)>,
    /// Uploads that no [`Input::Sent`] answered yet.
    uploads: VecDeque<NeighbourId>,
    banned: BTreeSet<NeighbourId>,
    completions: u32,
}

impl Shell {
    fn new(geometry: Geometry, policy: Policy, have: Bitfield, uploads: bool, seed: u64) -> Self {
        Self::on_uplink(4_000_000, geometry, policy, have, uploads, seed)
    }

    fn on_uplink(rate: u64, geometry: Geometry, policy: Policy, have: Bitfield, uploads: bool, seed: u64) -> Self {
        let limit = match policy.choker {
            ChokerKind::Unlimited => usize::MAX,
            ChokerKind::TitForTat | ChokerKind::RoundRobin => policy.slots as usize + 1,
        };
        let random = seeds::stream(seed, "swarm");
        let config = Config { geometry, have, policy, uploads, upload_rate: Some(rate), random };
        Self {
            swarm: Swarm::new(config, Timestamp(0)),
            geometry,
            limit,
            now: 0,
            connected: BTreeSet::new(),
            count: 0,
            stored: BTreeMap::new(),
            to_verify: VecDeque::new(),
            requests: VecDeque::new(),
            uploads: VecDeque::new(),
            banned: BTreeSet::new(),
            completions: 0,
        }
    }

    fn connect(&mut self) -> NeighbourId {
        let id = NeighbourId(self.count);
        self.count += 1;
        self.connected.insert(id);
        self.tell(Input::Connected(id));
        id
    }

    fn disconnect(&mut self, id: NeighbourId) {
        self.connected.remove(&id);
        self.uploads.retain(|&to| to != id);
        self.tell(Input::Disconnected(id));
    }

    /// Answers the oldest open [`Output::Verify`].
    fn verify(&mut self) {
        let Some(piece) = self.to_verify.pop_front() else { return };
        let blocks: Vec<u8> = self.geometry.blocks(piece).map(|block| self.stored[&block]).collect();
        let ok = blocks.iter().all(|&block| block == GOOD);
        if !ok {
            self.stored.retain(|block, _| block.piece() != piece);
        }
        self.tell(Input::Verified { piece, ok, digests: blocks.iter().map(|&block| [block; 20]).collect() });
    }

    /// Tells the swarm something and looks at its books; if it wants to be woken at once, it is, but it must not
    /// want that for ever.
    fn tell(&mut self, input: Input) {
        self.hand(input);
        for _ in 0..10 {
            let (at, reason) = self.swarm.next_wake().expect("there is always a next round");
            if at > self.swarm.now {
                return;
            }
            self.hand(Input::Wake);
            let again = self.swarm.next_wake();
            assert!(
                again != Some((at, reason)),
                "{reason:?} is due at {at:?} after it was done at {:?}",
                self.swarm.now
            );
        }
        panic!("{:?} is always due at once", self.swarm.next_wake());
    }

    /// Takes note of what the swarm does about an input.
    fn hand(&mut self, input: Input) {
        self.swarm.handle(Timestamp(self.now), input);
        while let Some(output) = self.swarm.poll() {
            match output {
                Output::Send(to, message) => {
                    assert!(self.connected.contains(&to), "{message:?} to {to:?}, who is not there");
                    if let Message::Request(block) = message {
                        self.requests.push_back((to, block));
                    }
                }
                Output::Upload(to, _) => {
                    assert!(self.connected.contains(&to), "an upload to {to:?}, who is not there");
                    self.uploads.push_back(to);
                }
                Output::Store(block, data) => {
                    assert!(self.stored.insert(block, data[0]).is_none(), "{block} is stored twice");
                }
                Output::Verify { piece, .. } => self.to_verify.push_back(piece),
                Output::Complete => self.completions += 1,
                Output::Ban(id, _) => {
                    self.banned.insert(id);
                }
            }
        }
        self.audit();
    }

    /// The invariants of the core's modules.
    fn audit(&self) {
        let (swarm, geometry) = (&self.swarm, self.geometry);
        let have = swarm.have();
        assert!(swarm.neighbours.keys().eq(&self.connected), "the swarm's neighbours are those connected");

        // `pieces`: every block of a begun piece is in one state, and whoever was asked knows it.
        let mut asked_of: BTreeMap<NeighbourId, BTreeSet<Block>> = BTreeMap::new();
        for (&piece, partial) in swarm.pieces.begun() {
            assert!(!have.has(piece), "piece {piece} is begun and had");
            assert_eq!(partial.blocks.len(), geometry.blocks_in(piece));
            let count = |wanted: fn(&BlockState) -> bool| partial.blocks.iter().filter(|state| wanted(state)).count();
            assert_eq!(partial.open(), count(|state| matches!(state, BlockState::Open)));
            assert_eq!(partial.received(), count(|state| matches!(state, BlockState::Received(_))));
            for (block, state) in geometry.blocks(piece).zip(&partial.blocks) {
                match state {
                    BlockState::Open => {}
                    BlockState::Asked(asked) => {
                        assert!(!asked.is_empty(), "{block} is asked of nobody");
                        assert!(asked.len() == 1 || swarm.policy.endgame, "{block} is asked of {asked:?}");
                        for &id in asked {
                            assert!(asked_of.entry(id).or_default().insert(block), "{block} twice of {id:?}");
                        }
                    }
                    BlockState::Received(_) => assert!(self.stored.contains_key(&block), "{block} is not stored"),
                }
            }
        }
        let open = swarm.pieces.begun().values().any(|partial| partial.open() > 0);
        let untouched = geometry.all().any(|piece| swarm.pieces.is_untouched(piece));
        assert_eq!(swarm.pieces.all_asked(), !open && !untouched, "endgame is when nothing is open or untouched");

        let mut availability = vec![0; geometry.pieces() as usize];
        for (id, neighbour) in &swarm.neighbours {
            let outstanding: BTreeSet<Block> = neighbour.outstanding.iter().copied().collect();
            assert_eq!(outstanding.len(), neighbour.outstanding.len(), "{id:?} was asked twice for the same");
            assert_eq!(outstanding, asked_of.remove(id).unwrap_or_default(), "what {id:?} was asked for");
            assert!(!neighbour.is_choking || outstanding.is_empty(), "{id:?} chokes and was asked");
            assert!(outstanding.iter().all(|block| neighbour.has.has(block.piece())), "{id:?} has not what it owes");
            let wanted = geometry.all().filter(|&piece| neighbour.has.has(piece) && !have.has(piece)).count();
            assert_eq!(neighbour.wanted as usize, wanted, "pieces wanted of {id:?}");
            assert_eq!(neighbour.am_interested, wanted > 0, "interest in {id:?}");
            assert!(!neighbour.am_choking || neighbour.queue.is_empty(), "{id:?} is choked and has a queue");
            assert!(neighbour.queue.iter().all(|block| have.has(block.piece())), "{id:?} asked for what is not had");
            for piece in geometry.all().filter(|&piece| neighbour.has.has(piece)) {
                availability[piece.index()] += 1;
            }
        }
        assert!(asked_of.is_empty(), "{asked_of:?} were asked and are not there");
        assert_eq!(swarm.availability, availability);

        // `choker`
        assert!(swarm.unchoked() <= self.limit, "{} are unchoked", swarm.unchoked());
        assert!(swarm.uploads || swarm.unchoked() == 0, "a free-rider unchokes");

        assert_eq!(swarm.complete, have.is_full());
        assert!(self.completions <= 1, "complete more than once");
    }

    /// The step that an honest seed `id` takes: it serves one request. Whether there was one.
    fn serve_one(&mut self, id: NeighbourId) -> bool {
        let Some(position) = self.requests.iter().position(|&(to, _)| to == id) else { return false };
        let (_, block) = self.requests.remove(position).expect("it is there");
        self.tell(Input::Message(id, Message::Piece(block, Bytes::from_static(&[GOOD]))));
        true
    }

    /// Whether the file comes through once an honest seed is there.
    fn is_rescued(&mut self) -> bool {
        let honest = self.connect();
        self.tell(Input::Message(honest, Message::Bitfield(Bitfield::full(self.geometry))));
        self.tell(Input::Message(honest, Message::Unchoke));
        let end = self.now + 3_600_000_000_000;
        while self.now < end {
            while self.serve_one(honest) || !self.to_verify.is_empty() {
                self.verify();
            }
            assert!(!self.banned.contains(&honest), "an honest neighbour is banned");
            if self.swarm.have().is_full() {
                return true;
            }
            self.now += 1_000_000_000;
            self.tell(Input::Wake);
        }
        false
    }
}

/// What a hostile neighbour, or the shell beside it, does next.
#[derive(Debug, Clone)]
enum Deed {
    Connect,
    Disconnect(Index),
    Say(Index, Saying),
    /// Over a connection that is gone, or never was.
    SayFromNowhere(u32, Saying),
    /// Sends a block that it was asked for.
    Answer(Index, u8),
    Sent(Index),
    SentToNobody(u32),
    Verify,
    Wake,
    /// So many ms pass.
    Wait(u64),
    /// The clock that the shell reads goes back by so many ms.
    GoBack(u64),
}

#[derive(Debug, Clone)]
enum Saying {
    KeepAlive,
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Have(Index),
    Bitfield(u64),
    Request(Index, u32, u32),
    /// One of the blocks that clients ask for.
    RequestBlock(Index, Index),
    Cancel(Index, Index),
    Piece(Index, u32, u32, u8),
    PieceBlock(Index, Index, u8),
}

impl Saying {
    /// The message, if there is such a one in this file.
    fn message(&self, geometry: Geometry) -> Option<Message> {
        let piece = |index: &Index| {
            geometry.piece(u32::try_from(index.index(geometry.pieces() as usize)).expect("few pieces")).ok()
        };
        let nth = |index: &Index, number: &Index| {
            let piece = piece(index)?;
            geometry.nth_block(piece, number.index(geometry.blocks_in(piece)))
        };
        Some(match self {
            Self::KeepAlive => Message::KeepAlive,
            Self::Choke => Message::Choke,
            Self::Unchoke => Message::Unchoke,
            Self::Interested => Message::Interested,
            Self::NotInterested => Message::NotInterested,
            Self::Have(index) => Message::Have(piece(index)?),
            Self::Bitfield(bits) => {
                let mut field = Bitfield::empty(geometry);
                for piece in geometry.all().filter(|piece| bits >> piece.number() & 1 == 1) {
                    field.set(piece);
                }
                Message::Bitfield(field)
            }
            Self::Request(index, begin, length) => {
                Message::Request(geometry.block(piece(index)?.number(), *begin, *length).ok()?)
            }
            Self::RequestBlock(index, number) => Message::Request(nth(index, number)?),
            Self::Cancel(index, number) => Message::Cancel(nth(index, number)?),
            Self::Piece(index, begin, length, data) => {
                let block = geometry.block(piece(index)?.number(), *begin, *length).ok()?;
                Message::Piece(block, Bytes::from(vec![*data]))
            }
            Self::PieceBlock(index, number, data) => Message::Piece(nth(index, number)?, Bytes::from(vec![*data])),
        })
    }
}

impl Shell {
    fn suffer(&mut self, deed: &Deed) {
        let ids: Vec<NeighbourId> = self.connected.iter().copied().collect();
        let pick = |index: &Index| (!ids.is_empty()).then(|| ids[index.index(ids.len())]);
        match deed {
            Deed::Connect => {
                if ids.len() < 8 {
                    self.connect();
                }
            }
            Deed::Disconnect(index) => {
                if let Some(id) = pick(index) {
                    self.disconnect(id);
                }
            }
            Deed::Say(index, saying) => {
                if let (Some(id), Some(message)) = (pick(index), saying.message(self.geometry)) {
                    self.tell(Input::Message(id, message));
                }
            }
            Deed::SayFromNowhere(number, saying) => {
                let id = NeighbourId(number | 1 << 31);
                if let Some(message) = saying.message(self.geometry) {
                    self.tell(Input::Message(id, message));
                    self.tell(Input::Disconnected(id));
                }
            }
            Deed::Answer(index, data) => {
                self.requests.retain(|(id, _)| self.connected.contains(id));
                if !self.requests.is_empty() {
                    let (id, block) = self.requests.remove(index.index(self.requests.len())).expect("an index within");
                    self.tell(Input::Message(id, Message::Piece(block, Bytes::from(vec![*data]))));
                }
            }
            Deed::Sent(index) => {
                if !self.uploads.is_empty() {
                    let to = self.uploads.remove(index.index(self.uploads.len())).expect("an index within");
                    self.tell(Input::Sent(to));
                }
            }
            Deed::SentToNobody(number) => {
                self.tell(Input::Sent(NeighbourId(number | 1 << 31)));
                if let Some(&id) = ids.first() {
                    self.tell(Input::Sent(id));
                }
            }
            Deed::Verify => self.verify(),
            Deed::Wake => self.tell(Input::Wake),
            Deed::Wait(ms) => self.now += ms * 1_000_000,
            Deed::GoBack(ms) => self.now = self.now.saturating_sub(ms * 1_000_000),
        }
    }
}

fn sayings() -> impl Strategy<Value = Saying> {
    let index = any::<Index>;
    let data = || prop_oneof![Just(GOOD), Just(BAD)];
    prop_oneof![
        1 => Just(Saying::KeepAlive),
        2 => Just(Saying::Choke),
        6 => Just(Saying::Unchoke),
        4 => Just(Saying::Interested),
        2 => Just(Saying::NotInterested),
        4 => index().prop_map(Saying::Have),
        4 => any::<u64>().prop_map(Saying::Bitfield),
        1 => (index(), 0..50_000_u32, 1..20_000_u32).prop_map(|(i, begin, length)| Saying::Request(i, begin, length)),
        6 => (index(), index()).prop_map(|(i, n)| Saying::RequestBlock(i, n)),
        2 => (index(), index()).prop_map(|(i, n)| Saying::Cancel(i, n)),
        1 => (index(), 0..50_000_u32, 1..20_000_u32, data()).prop_map(|(i, b, l, d)| Saying::Piece(i, b, l, d)),
        4 => (index(), index(), data()).prop_map(|(i, n, d)| Saying::PieceBlock(i, n, d)),
    ]
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let index = any::<Index>;
    let deed = prop_oneof![
        2 => Just(Deed::Connect),
        1 => index().prop_map(Deed::Disconnect),
        24 => (index(), sayings()).prop_map(|(i, saying)| Deed::Say(i, saying)),
        1 => (any::<u32>(), sayings()).prop_map(|(n, saying)| Deed::SayFromNowhere(n, saying)),
        12 => (index(), prop_oneof![2 => Just(GOOD), 1 => Just(BAD)]).prop_map(|(i, d)| Deed::Answer(i, d)),
        4 => index().prop_map(Deed::Sent),
        1 => any::<u32>().prop_map(Deed::SentToNobody),
        4 => Just(Deed::Verify),
        2 => Just(Deed::Wake),
        4 => (0_u64..40_000).prop_map(Deed::Wait),
        1 => (0_u64..40_000).prop_map(Deed::GoBack),
    ];
    prop::collection::vec(deed, 1..150)
}

fn policies() -> impl Strategy<Value = Policy> {
    let picker = prop_oneof![Just(Picker::RarestFirst), Just(Picker::Random), Just(Picker::Sequential)];
    let choker = prop_oneof![Just(ChokerKind::TitForTat), Just(ChokerKind::RoundRobin), Just(ChokerKind::Unlimited)];
    let pipeline = prop_oneof![Just(Pipeline::Auto), (0_u32..8).prop_map(Pipeline::Blocks)];
    (picker, choker, 0_u32..4, pipeline, any::<bool>(), any::<bool>()).prop_map(
        |(picker, choker, slots, pipeline, endgame, super_seeding)| Policy {
            picker,
            choker,
            slots,
            pipeline,
            endgame,
            super_seeding,
            ..Policy::default()
        },
    )
}

/// A peer that has some, none or all of a small file, and uploads or not.
fn shells() -> impl Strategy<Value = Shell> {
    let have = prop_oneof![2 => Just(0), 2 => any::<u64>(), 1 => Just(u64::MAX)];
    (policies(), have, prop::bool::weighted(0.8), any::<u64>()).prop_map(|(policy, bits, uploads, seed)| {
        let geometry = Geometry::new(5 * 40_000 - 30_000, 40_000).expect("a file");
        let mut have = Bitfield::empty(geometry);
        for piece in geometry.all().filter(|piece| bits >> piece.number() & 1 == 1) {
            have.set(piece);
        }
        Shell::new(geometry, policy, have, uploads, seed)
    })
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} with {:?}, uploads: {}", self.swarm.policy, self.swarm.have(), self.swarm.uploads)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_neighbours_do_the_books_balance_and_an_honest_seed_gets_the_file_through(
        mut shell in shells(), deeds in deeds()
    ) {
        for deed in &deeds {
            shell.suffer(deed);
        }
        for id in shell.connected.clone() {
            shell.disconnect(id);
        }
        shell.requests.clear();
        prop_assert!(shell.is_rescued());
    }
}

/// Seeds of which all but the last are gone without a word while they owe blocks: in endgame the last one is asked for them
/// within seconds, not once connections break or the others count as snubbing; however many others were asked before.
#[test]
fn what_silent_neighbours_owe_is_soon_asked_of_another() {
    for gone in [1, 2, 3] {
        let geometry = Geometry::new(4 * u64::from(BLOCK), BLOCK).expect("a small file");
        let mut shell = Shell::new(geometry, Policy::default(), Bitfield::empty(geometry), true, 1);
        let seeds: Vec<NeighbourId> = (0..gone).map(|_| shell.connect()).collect();
        for &seed in &seeds {
            shell.tell(Input::Message(seed, Message::Bitfield(Bitfield::full(geometry))));
            shell.tell(Input::Message(seed, Message::Unchoke));
        }
        let wake = |shell: &mut Shell| {
            let (wake, _) = shell.swarm.next_wake().expect("a choke round is always next");
            shell.now = shell.now.max(wake.0);
            shell.tell(Input::Wake);
            shell.now / 1_000_000_000
        };
        // Until all of them were asked for what the first ones owe.
        while wake(&mut shell) < 8 {}
        let other = shell.connect();
        shell.tell(Input::Message(other, Message::Bitfield(Bitfield::full(geometry))));
        shell.tell(Input::Message(other, Message::Unchoke));
        let mut waited = 0;
        while !shell.swarm.have().is_full() {
            while shell.serve_one(other) || !shell.to_verify.is_empty() {
                shell.verify();
            }
            assert!(waited < 18, "nobody else was asked for what {gone} silent seeds owe");
            waited = wake(&mut shell);
        }
    }
}

/// Four pieces of one block each.
fn small() -> Geometry {
    Geometry::new(4 * u64::from(BLOCK), BLOCK).expect("a file")
}

#[test]
fn who_lacks_a_source_knows_it_whether_neighbours_have_nothing_or_give_nothing() {
    let geometry = small();
    let mut shell = Shell::new(geometry, Policy::default(), Bitfield::empty(geometry), true, 1);
    let need = |shell: &Shell| shell.swarm.need(Timestamp(shell.now));
    assert_eq!(need(&shell), Need::Source, "nobody is there");
    let empty = shell.connect();
    assert_eq!(need(&shell), Need::Source, "who is there has nothing");
    let seed = shell.connect();
    shell.tell(Input::Message(seed, Message::Bitfield(Bitfield::full(geometry))));
    assert_eq!(need(&shell), Need::Nothing);
    shell.now += 10 * 1_000_000_000;
    assert_eq!(need(&shell), Need::Source, "who has something gives nothing");
    assert_eq!(shell.swarm.of_no_use(Timestamp(shell.now)), Some(empty));
    shell.tell(Input::Message(empty, Message::Interested));
    assert_eq!(shell.swarm.of_no_use(Timestamp(shell.now)), None, "each wants something of one that is there");

    let mut complete = Shell::new(geometry, Policy::default(), Bitfield::full(geometry), true, 1);
    assert_eq!(need(&complete), Need::Company);
    let other = complete.connect();
    assert_eq!(need(&complete), Need::Company, "who is there wants nothing");
    assert_eq!(complete.swarm.of_no_use(Timestamp(1)), None, "it may want something yet");
    assert_eq!(complete.swarm.of_no_use(Timestamp(2_000_000_000)), Some(other));
    complete.tell(Input::Message(other, Message::Interested));
    assert_eq!(need(&complete), Need::Nothing);
    complete.tell(Input::Message(other, Message::NotInterested));
    assert_eq!(need(&complete), Need::Company);

    let free_rider = Shell::new(geometry, Policy::default(), Bitfield::full(geometry), false, 1);
    assert_eq!(need(&free_rider), Need::Nothing, "it uploads to nobody");
}

/// A leecher of 256 blocks on an uplink of so many bit/s with two seeds that have unchoked it.
fn between_two_seeds(uplink: u64) -> (Shell, [NeighbourId; 2]) {
    let geometry = Geometry::new(256 * u64::from(BLOCK), 16 * BLOCK).expect("a file");
    let have = Bitfield::empty(geometry);
    let mut shell = Shell::on_uplink(uplink, geometry, Policy::default(), have, true, 1);
    let seeds = [(); 2].map(|()| {
        let seed = shell.connect();
        shell.tell(Input::Message(seed, Message::Bitfield(Bitfield::full(geometry))));
        shell.tell(Input::Message(seed, Message::Unchoke));
        seed
    });
    (shell, seeds)
}

#[test]
fn who_uploads_slowly_asks_so_far_ahead_that_requests_may_wait_behind_a_block() {
    let outstanding = |uplink| {
        let (mut shell, [seed, _]) = between_two_seeds(uplink);
        for _ in 0..60 {
            shell.now += 50_000_000;
            assert!(shell.serve_one(seed));
            shell.verify();
        }
        shell.swarm.neighbours[&seed].outstanding.len()
    };
    // 16, and at 20 blocks a second those of one second, or of 1.3 where a block takes 0.3 s on the uplink. The third second
    // of the window has only begun.
    assert_eq!([4_000_000, 400_000].map(outstanding), [34, 40]);
    // As many as it can acknowledge in time.
    assert_eq!(outstanding(32_000), 7);
}

#[test]
fn who_cannot_acknowledge_more_asks_everybody_for_a_block_and_nobody_for_two() {
    let asked = |uplink| {
        let (shell, seeds) = between_two_seeds(uplink);
        seeds.map(|seed| shell.swarm.neighbours[&seed].outstanding.len())
    };
    assert_eq!(asked(4_000_000), [16, 16]);
    assert_eq!(asked(32_000), [8, 7], "nothing is known of them: all that was asked of one may come at once");
    assert_eq!(asked(6_000), [1, 1]);
}

#[test]
fn what_a_silent_neighbour_owes_is_asked_of_one_that_sends_however_slow_ones_own_uplink_is() {
    let (mut shell, [seed, silent]) = between_two_seeds(32_000);
    assert!(!shell.swarm.neighbours[&silent].outstanding.is_empty());
    for _ in 0..400 {
        shell.now += 50_000_000;
        shell.tell(Input::Wake);
        shell.serve_one(seed);
        shell.verify();
    }
    assert!(shell.swarm.have().is_full(), "{} pieces after 20 s", shell.swarm.have().count());
}

#[test]
fn in_endgame_a_block_is_not_waited_for_behind_one_that_goes_to_who_owes_it() {
    let (mut shell, [seed, owes]) = between_two_seeds(32_000);
    // One block is left at `owes`, all others have come, and a block is on its way to it.
    let first = shell.requests.iter().find(|(to, _)| *to == owes).expect("it was asked").1;
    shell.requests.retain(|(_, block)| *block != first);
    for _ in 0..2_000 {
        shell.now += 1_000_000;
        while shell.serve_one(seed) || shell.serve_one(owes) {}
        shell.verify();
        if shell.swarm.pieces.begun().len() == 1 && shell.swarm.neighbours[&seed].outstanding.is_empty() {
            break;
        }
    }
    shell.swarm.neighbours.get_mut(&owes).expect("it is there").sending = 1;
    shell.now += 1_100_000_000;
    shell.tell(Input::Wake);
    assert!(shell.requests.contains(&(seed, first)), "{:?}", shell.requests);
}

#[test]
fn on_a_slow_uplink_one_block_is_under_way_at_a_time() {
    let geometry = small();
    let under_way = |uplink| {
        let have = Bitfield::full(geometry);
        let mut shell = Shell::on_uplink(uplink, geometry, Policy::default(), have, true, 1);
        for _ in 0..2 {
            let leecher = shell.connect();
            shell.tell(Input::Message(leecher, Message::Interested));
            for block in geometry.all().filter_map(|piece| geometry.nth_block(piece, 0)) {
                shell.tell(Input::Message(leecher, Message::Request(block)));
            }
        }
        shell.uploads.len()
    };
    assert_eq!([4_000_000, 132_000, 130_000].map(under_way), [3, 3, 1]);
}

#[test]
fn a_block_that_was_withdrawn_twice_was_asked_for_both_times() {
    let mut neighbour = Neighbour::new(small(), 1, Timestamp(0));
    let block = small().nth_block(small().all().next().expect("a piece"), 0).expect("a block");
    neighbour.withdraw(block);
    neighbour.withdraw(block);
    assert_eq!([(); 3].map(|()| neighbour.was_withdrawn(block)), [true, true, false]);
}

#[test]
fn requests_for_what_was_not_offered_are_ignored_until_they_are_more_than_any_pipeline_holds() {
    let geometry = small();
    let block = geometry.nth_block(geometry.all().next().expect("a piece"), 0).expect("a block");
    let mut shell = Shell::new(geometry, Policy::default(), Bitfield::empty(geometry), true, 1);
    let eager = shell.connect();
    for _ in 0..512 {
        shell.tell(Input::Message(eager, Message::Request(block)));
    }
    assert!(shell.banned.is_empty(), "it is an honest client that does not look");
    shell.tell(Input::Message(eager, Message::Request(block)));
    assert_eq!(shell.banned, [eager].into());
}

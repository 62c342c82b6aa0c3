//! One trial over an in-memory runtime, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future;
use peer_image::event as node_event;
use peer_image::event::{Counters, ErrorKind, Leave, Shaped};
use peer_image::node::{Behaviour, FileSpec, Gate, Link, NodeSpec, OnComplete, Policy, Role, Storage};
use tokio::sync::{mpsc, watch};

use super::driver::run;
use super::{Identity, Signal, Update};
use crate::events::log::{Reader, Writer};
use crate::events::record::{Event, Line, Outcome, Phase};
use crate::plan::{self, Action, Architecture, Cell, Class, Keeps, Node, Settings, Trial};
use crate::runtime::{Deployment, Notice, Runtime, RuntimeError, Scope};

/// How far ahead of its own line the gate names the start, ms.
const AHEAD: u64 = 250;

/// What a node does in one life, in ms after the common start, or after its own start if that is later.
#[derive(Debug, Clone)]
enum Part {
    /// Completes, and stays.
    Completes(u64),
    /// Completes, and leaves.
    CompletesAndLeaves(u64),
    /// Leaves as planned.
    Leaves(u64),
    /// Ends with a code after a word on standard error.
    Dies(u64, i64),
    /// Is killed for its memory.
    RunsOutOfMemory(u64),
    /// Its output is lost.
    IsLost(u64),
    /// Stays, and never has the file.
    Stays,
    /// Ends at once, without a word.
    IsMute,
    /// Does not come to the gate.
    IsNotReady,
    /// Reports an error instead of coming to the gate.
    Fails(ErrorKind),
    /// Skips some sequence numbers, says something that is no event, speaks for another node, then completes.
    Garbles(u64),
    /// Completes, and does not heed SIGTERM.
    IgnoresStop(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Kill,
    Stop,
}

#[derive(Debug, Default)]
struct Board {
    ready: BTreeSet<String>,
    expect: usize,
    orders: BTreeMap<String, watch::Sender<Option<Order>>>,
    lives: BTreeMap<String, usize>,
    starting: usize,
    most_starting: usize,
    torn_down: u32,
}

#[derive(Debug, Clone, Default)]
struct Fake {
    parts: BTreeMap<String, Vec<Part>>,
    board: Arc<Mutex<Board>>,
    facts: BTreeMap<String, String>,
    refuses_deploy: bool,
    refuses_start: Option<String>,
    refuses_restart: bool,
    stays_behind: bool,
}

#[derive(Debug)]
struct FakeDeployment {
    fake: Fake,
    notices: mpsc::UnboundedSender<Notice>,
    go: watch::Sender<bool>,
}

impl Runtime for Fake {
    type Deployment = FakeDeployment;

    fn facts(&self) -> &BTreeMap<String, String> {
        &self.facts
    }

    fn parallel_starts(&self) -> usize {
        2
    }

    async fn deploy(
        &self,
        _: &Scope,
        _: &crate::plan::Client,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<FakeDeployment, RuntimeError> {
        if self.refuses_deploy {
            return Err(RuntimeError::Machine("no networks left (hint: remove some)".into()));
        }
        Ok(FakeDeployment { fake: self.clone(), notices, go: watch::Sender::new(false) })
    }
}

impl FakeDeployment {
    fn live(&self, spec: &NodeSpec) {
        let (orders, order) = watch::channel(None);
        let mut board = self.fake.board.lock().unwrap();
        board.orders.insert(spec.name.clone(), orders);
        let life = board.lives.entry(spec.name.clone()).or_default();
        let parts = self.fake.parts.get(&spec.name);
        let part = parts.and_then(|parts| parts.get(*life)).cloned().unwrap_or(Part::Stays);
        *life += 1;
        if let Gate::Keep { expect, .. } = spec.gate {
            board.expect = expect as usize;
        }
        let voice = Voice { name: spec.name.clone(), seq: 0, notices: self.notices.clone() };
        tokio::spawn(live(spec.clone(), part, voice, Arc::clone(&self.fake.board), self.go.clone(), order));
    }

    fn order(&self, name: &str, order: Order) {
        if let Some(orders) = self.fake.board.lock().unwrap().orders.get(name) {
            orders.send_replace(Some(order));
        }
    }
}

impl Deployment for FakeDeployment {
    async fn start(&self, node: &NodeSpec) -> Result<IpAddr, RuntimeError> {
        {
            let mut board = self.fake.board.lock().unwrap();
            board.starting += 1;
            board.most_starting = board.most_starting.max(board.starting);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.fake.board.lock().unwrap().starting -= 1;
        if self.fake.refuses_start.as_ref() == Some(&node.name) {
            return Err(RuntimeError::Machine(format!("cannot start `{}`", node.name)));
        }
        self.live(node);
        Ok(Ipv4Addr::new(10, 0, 0, 2).into())
    }

    async fn kill(&self, name: &str) -> Result<(), RuntimeError> {
        self.order(name, Order::Kill);
        Ok(())
    }

    async fn freeze(&self, _name: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn thaw(&self, _name: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn restart(&self, node: &NodeSpec, _fresh: bool) -> Result<(), RuntimeError> {
        if self.fake.refuses_restart {
            return Err(RuntimeError::Trial("no".into()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.live(node);
        Ok(())
    }

    async fn stop(&self) -> Result<(), RuntimeError> {
        let names: Vec<String> = self.fake.board.lock().unwrap().orders.keys().cloned().collect();
        for name in names {
            self.order(&name, Order::Stop);
        }
        Ok(())
    }

    async fn teardown(&self) -> Result<(), RuntimeError> {
        self.fake.board.lock().unwrap().torn_down += 1;
        if self.fake.stays_behind { Err(RuntimeError::Trial("a network stays".into())) } else { Ok(()) }
    }
}

struct Voice {
    name: String,
    seq: u64,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Voice {
    fn tell(&self, notice: Notice) {
        drop(self.notices.send(notice));
    }

    fn say(&mut self, event: node_event::Event) {
        let v = node_event::VERSION;
        let record = node_event::Record { v, node: self.name.clone(), seq: self.seq, mono: 0, event };
        self.seq += 1;
        self.line(false, &serde_json::to_string(&record).unwrap());
    }

    fn line(&self, stderr: bool, line: &str) {
        self.tell(Notice::Line { node: self.name.clone(), stderr, line: line.into() });
    }

    fn exit(&self, code: i64, oom: bool) {
        self.tell(Notice::Exited { node: self.name.clone(), code, oom });
    }
}

/// A node's life, from its first line to its end.
async fn live(
    spec: NodeSpec,
    part: Part,
    mut voice: Voice,
    board: Arc<Mutex<Board>>,
    go: watch::Sender<bool>,
    mut orders: watch::Receiver<Option<Order>>,
) {
    let heeded = |order: &Option<Order>| match part {
        Part::IgnoresStop(_) => *order == Some(Order::Kill),
        _ => order.is_some(),
    };
    let order = async { *orders.wait_for(heeded).await.unwrap() };
    let (code, oom) = tokio::select! {
        biased;
        order = order => {
            if order == Some(Order::Stop) {
                voice.say(node_event::Event::Counters(Counters::default()));
                voice.say(node_event::Event::Left { why: Leave::Stopped });
                (0, false)
            } else {
                (137, false)
            }
        }
        end = play(&spec, &part, &mut voice, &board, &go) => end,
    };
    voice.exit(code, oom);
}

/// What a node does of its own accord; returns its exit code and whether it was killed for its memory.
async fn play(
    spec: &NodeSpec,
    part: &Part,
    voice: &mut Voice,
    board: &Mutex<Board>,
    go: &watch::Sender<bool>,
) -> (i64, bool) {
    use node_event::Event as E;
    if matches!(part, Part::IsMute) {
        return (0, false);
    }
    voice.say(E::Boot {
        agent: "0".into(),
        spec: Box::new(spec.clone()),
        boot_id: "far away".into(),
        kernel: "k".into(),
        time_namespace: String::new(),
        processors: Some(2),
    });
    if let Part::Fails(kind) = part {
        voice.say(E::Error { kind: *kind, message: "no tbf here".into() });
        return (4, false);
    }
    let shaped = Shaped { interface: "eth0".into(), mtu: 1500, congestion: "cubic".into(), up: None, down: None };
    voice.say(E::Shaped(shaped));
    if matches!(part, Part::IsNotReady) {
        return future::pending().await;
    }
    voice.say(E::Ready { offset: 0, offset_error: 0 });
    if spec.role != Role::Tracker {
        let mut board = board.lock().unwrap();
        board.ready.insert(spec.name.clone());
        if board.ready.len() == board.expect {
            go.send_replace(true);
        }
    }
    go.subscribe().wait_for(|go| *go).await.unwrap();
    if spec.role == Role::Tracker {
        voice.say(E::GateOpen { at: AHEAD * 1_000_000, nodes: 0 });
    }
    tokio::time::sleep(Duration::from_millis(AHEAD)).await;
    let after = |ms| tokio::time::sleep(Duration::from_millis(ms));
    let completed = E::Completed { bytes: spec.file.size };
    match *part {
        Part::Completes(ms) | Part::IgnoresStop(ms) => {
            after(ms).await;
            voice.say(completed);
        }
        Part::Garbles(ms) => {
            after(ms).await;
            voice.seq += 2;
            voice.line(false, "what is this?");
            let other = r#"{"v":1,"node":"peer-02","seq":0,"mono":0,"event":{"completed":{"bytes":1}}}"#;
            voice.line(false, other);
            voice.say(completed);
        }
        Part::CompletesAndLeaves(ms) => {
            after(ms).await;
            voice.say(completed);
            voice.say(E::Left { why: Leave::Completed });
            return (0, false);
        }
        Part::Leaves(ms) => {
            after(ms).await;
            voice.say(E::Left { why: Leave::Planned });
            return (0, false);
        }
        Part::Dies(ms, code) => {
            after(ms).await;
            voice.line(true, "thread panicked");
            return (code, false);
        }
        Part::RunsOutOfMemory(ms) => {
            after(ms).await;
            return (137, true);
        }
        Part::IsLost(ms) => {
            after(ms).await;
            voice.tell(Notice::Lost { node: spec.name.clone(), reason: "its container is gone".into() });
        }
        Part::Stays | Part::IsNotReady | Part::Fails(_) | Part::IsMute => {}
    }
    future::pending().await
}

fn node(name: &str, role: Role, to_complete: bool) -> Node {
    Node {
        name: name.into(),
        role,
        class: String::new(),
        link: None,
        on_complete: OnComplete::Stay,
        behaviour: Behaviour::Honest,
        to_complete,
        keeps_state: false,
        patience: None,
    }
}

pub(in crate::runtime) fn cell(schedule: Vec<plan::Event>) -> Cell {
    let link = Link { up: 1_000_000, down: 1_000_000 };
    let class = Class {
        name: "peers".into(),
        count: 2,
        link,
        spread: crate::plan::LinkSpread::default(),
        on_complete: OnComplete::Stay,
        linger: None,
        give_up: None,
        behaviour: Behaviour::Honest,
    };
    let trial = Trial {
        repeat: 1,
        seed: 1,
        file: FileSpec { name: "f".into(), size: 1 << 20, piece: 1 << 18, seed: 1 },
        nodes: vec![
            node("tracker", Role::Tracker, false),
            node("server", Role::InitialSeed, false),
            node("peer-01", Role::Leecher, true),
            node("peer-02", Role::Leecher, true),
        ],
        schedule,
        lengthened: 0,
    };
    Cell {
        id: "p2p-n2".into(),
        levels: Vec::new(),
        settings: Settings {
            runtime: crate::plan::RuntimeName::Docker,
            architecture: Architecture::P2p,
            size: 1 << 20,
            piece: 1 << 18,
            server: link,
            classes: vec![class],
            policy: Policy::default(),
            client: plan::Client::default(),
            storage: Storage::None,
            congestion: "cubic".into(),
            arrivals: crate::plan::Arrivals::AtOnce,
            churn: None,
            events: Vec::new(),
            trace: None,
            start_timeout: 30.0,
            timeout: 60.0,
            validity: plan::Validity::default(),
        },
        trials: vec![trial],
    }
}

fn at(seconds: u64, node: &str, action: Action) -> plan::Event {
    plan::Event { at: seconds * 1_000_000_000, node: node.into(), action }
}

/// What a trial came to.
struct Told {
    result: Result<Outcome, RuntimeError>,
    events: Vec<Event>,
    lines: Vec<Line>,
    updates: Vec<Update>,
    torn_down: u32,
    most_starting: usize,
}

impl Told {
    fn failed(&self) -> &str {
        match &self.result {
            Ok(Outcome::Failed { reason }) => reason,
            other => panic!("not failed: {other:?}"),
        }
    }

    fn exits(&self) -> Vec<(&str, i64, bool)> {
        let exit = |event| match event {
            &Event::Exited { ref node, code, expected, .. } => Some((node.as_str(), code, expected)),
            _ => None,
        };
        self.events.iter().filter_map(exit).collect()
    }

    fn skipped(&self) -> Vec<(&str, Action, &str)> {
        let skipped = |event| match event {
            &Event::Skipped { ref node, action, ref why, .. } => Some((node.as_str(), action, why.as_str())),
            _ => None,
        };
        self.events.iter().filter_map(skipped).collect()
    }

    fn warnings(&self) -> Vec<&str> {
        let warnings = self.events.iter();
        warnings
            .filter_map(|event| if let Event::Warning { message } = event { Some(message.as_str()) } else { None })
            .collect()
    }
}

fn fake<const N: usize>(parts: [(&str, Vec<Part>); N]) -> Fake {
    let parts = parts.into_iter().map(|(name, parts)| (name.to_owned(), parts)).collect();
    Fake { parts, ..Fake::default() }
}

async fn told(fake: Fake, schedule: Vec<plan::Event>) -> Told {
    told_until(fake, schedule, watch::channel(None).1).await
}

async fn told_until(fake: Fake, schedule: Vec<plan::Event>, stop: watch::Receiver<Option<Signal>>) -> Told {
    told_of(fake, cell(schedule), stop).await
}

async fn told_of(fake: Fake, cell: Cell, stop: watch::Receiver<Option<Signal>>) -> Told {
    let scope = Scope::new("run".into(), "p2p-n2/1".into(), &cell);
    let root = tempfile::tempdir().unwrap();
    let dir: PathBuf = root.path().join("1");
    let mut log = Writer::create(&dir).unwrap();
    let mut updates = Vec::new();
    let mut observer = |update| updates.push(update);
    let identity = Identity { scope, repeat: 1, attempt: 1, key: String::new() };
    let result = run(&fake, &cell, &cell.trials[0], identity, &mut log, &mut observer, stop).await;
    log.finish().unwrap();
    let lines: Vec<Line> = Reader::open(&dir).unwrap().map(Result::unwrap).collect();
    let event = |line: &Line| match line {
        Line::Controller(record) => Some(record.event.clone()),
        Line::Node(_) => None,
    };
    let events: Vec<Event> = lines.iter().filter_map(event).collect();
    assert!(matches!(events.first(), Some(Event::Trial { .. })), "a log begins with what trial it is of");
    assert!(matches!(events.last(), Some(Event::End { .. })), "a log ends with how the trial ended");
    assert!(matches!(updates.last(), Some(Update::Over(_))));
    let board = fake.board.lock().unwrap();
    Told { result, events, lines, updates, torn_down: board.torn_down, most_starting: board.most_starting }
}

#[tokio::test(start_paused = true)]
async fn a_trial_is_completed_when_every_peer_that_was_to_complete_has() {
    let fake = fake([("peer-01", vec![Part::Completes(5_000)]), ("peer-02", vec![Part::CompletesAndLeaves(3_000)])]);
    let told = told(fake, Vec::new()).await;
    assert_eq!(told.result.as_ref().unwrap(), &Outcome::Completed);
    let phases: Vec<Phase> = told
        .events
        .iter()
        .filter_map(|event| if let Event::Phase { phase } = event { Some(*phase) } else { None })
        .collect();
    assert_eq!(phases, [Phase::Launch, Phase::Ready, Phase::Transfer, Phase::Teardown]);
    assert_eq!(told.exits().len(), 4);
    assert!(told.exits().iter().all(|(_, code, expected)| *code == 0 && *expected));
    let counters = |line: &&Line| matches!(line, Line::Node(r) if matches!(r.event, node_event::Event::Counters(_)));
    assert_eq!(told.lines.iter().filter(counters).count(), 3, "the last counters of those that stayed");
    assert_eq!((told.torn_down, told.most_starting), (1, 2));
    assert!(told.updates.contains(&Update::Completed { node: "peer-01".into() }));
    assert_eq!(told.warnings(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_dies_fails_the_trial_but_the_others_go_on() {
    let fake = fake([("peer-01", vec![Part::Dies(1_000, 101)]), ("peer-02", vec![Part::Completes(9_000)])]);
    let told = told(fake, Vec::new()).await;
    assert_eq!(told.failed(), "not all completed: `peer-01` ended with exit code 101: thread panicked");
    assert!(told.updates.contains(&Update::Completed { node: "peer-02".into() }));
    assert_eq!(told.exits()[0], ("peer-01", 101, false));
    assert_eq!(told.torn_down, 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_schedule_removes_every_peer_the_trial_goes_on_until_all_have_gone() {
    let mut cell = cell(vec![at(5, "peer-01", Action::Crash), at(8, "peer-02", Action::Crash)]);
    for node in &mut cell.trials[0].nodes {
        node.to_complete = false;
    }
    let told = told_of(fake([]), cell.clone(), watch::channel(None).1).await;
    assert_eq!(told.result.as_ref().unwrap(), &Outcome::Completed);
    let acted = told.events.iter().filter(|event| matches!(event, Event::Acted { .. })).count();
    assert_eq!(acted, 2, "both were killed: {:?}", told.events);
    // One that has the file is waited for no longer.
    let fake = fake([("peer-02", vec![Part::Completes(6_000)])]);
    let told = told_of(fake, cell, watch::channel(None).1).await;
    let acted = told.events.iter().filter(|event| matches!(event, Event::Acted { .. })).count();
    assert_eq!((told.result.unwrap(), acted), (Outcome::Completed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_says_nothing_ends_the_run_if_it_is_not_ours() {
    let mut cell = cell(Vec::new());
    let mute = || fake([("peer-01", vec![Part::IsMute])]);
    let told = told_of(mute(), cell.clone(), watch::channel(None).1).await;
    assert_eq!(told.failed(), "`peer-01` ended with exit code 0", "ours may have met anything");
    cell.settings.client.command = vec!["/bin/true".to_owned()];
    let told = told_of(mute(), cell, watch::channel(None).1).await;
    let error = told.result.unwrap_err();
    assert!(matches!(&error, RuntimeError::Machine(why) if why.contains("`/bin/true` is no client")), "{error}");
    assert_eq!(told.torn_down, 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_runs_out_of_memory_is_named() {
    let fake = fake([("peer-01", vec![Part::RunsOutOfMemory(10)]), ("peer-02", vec![Part::Completes(20)])]);
    assert_eq!(told(fake, Vec::new()).await.failed(), "not all completed: `peer-01` was killed for its memory");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_not_ready_in_time_are_named_with_how_far_they_came() {
    let told = told(fake([("peer-02", vec![Part::IsNotReady])]), Vec::new()).await;
    assert_eq!(told.failed(), "not ready within 30s: `peer-02` (shaped, but not at the gate) (hint: `start_timeout`)");
    assert_eq!(told.torn_down, 1);
}

#[tokio::test(start_paused = true)]
async fn a_trial_whose_time_is_up_names_who_is_missing() {
    let told = told(fake([("peer-01", vec![Part::Completes(5)])]), Vec::new()).await;
    assert_eq!(told.result.unwrap(), Outcome::Timeout { missing: vec!["peer-02".into()] });
    assert_eq!(told.torn_down, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_trial_still_collects_counters_and_is_torn_down() {
    let (signal, stop) = watch::channel(None);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        signal.send_replace(Some(Signal::Interrupt));
    });
    let told = told_until(fake([]), Vec::new(), stop).await;
    assert_eq!(told.exits().len(), 4);
    assert_eq!((told.result.unwrap(), told.torn_down), (Outcome::Interrupted, 1));
}

#[tokio::test(start_paused = true)]
async fn a_trial_stopped_before_its_gate_is_torn_down_at_once() {
    let (signal, stop) = watch::channel(None);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        signal.send_replace(Some(Signal::Terminate));
    });
    let told = told_until(fake([]), Vec::new(), stop).await;
    assert_eq!((told.result.unwrap(), told.torn_down), (Outcome::Interrupted, 1));
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_crashed_and_brought_back_on_schedule() {
    let back = Action::Rejoin(Keeps::Pieces);
    let schedule = vec![at(2, "peer-01", Action::Crash), at(7, "peer-01", back)];
    let parts = [("peer-01", vec![Part::Stays, Part::Completes(4_000)]), ("peer-02", vec![Part::Completes(1_000)])];
    let told = told(fake(parts), schedule).await;
    assert_eq!(told.result.as_ref().unwrap(), &Outcome::Completed);
    let acted = |event: &Event| match *event {
        Event::Acted { action, planned, actual, done, ref error, .. } => {
            assert_eq!(*error, None);
            Some((action, planned / 1_000_000, actual / 1_000_000, done / 1_000_000))
        }
        _ => None,
    };
    let acted: Vec<_> = told.events.iter().filter_map(acted).collect();
    // tokio's clock has a resolution of a millisecond. A node that is to return is started three seconds ahead.
    assert_eq!(acted.len(), 2);
    for ((action, planned, actual, done), (expected, at, begins, took)) in
        acted.into_iter().zip([(Action::Crash, 2_000, 2_000, 0), (back, 7_000, 4_000, 100)])
    {
        assert_eq!((action, planned), (expected, at));
        assert!((begins..=begins + 2).contains(&actual), "{actual}");
        assert!((begins + took..=begins + took + 3).contains(&done), "{done}");
    }
    assert_eq!(told.exits()[0], ("peer-01", 137, true));
    assert_eq!(told.skipped(), []);
}

#[tokio::test(start_paused = true)]
async fn the_start_of_a_gate_with_another_clock_is_as_far_ahead_as_it_says() {
    let told = told(fake([("peer-02", vec![Part::Completes(5_000)])]), vec![at(2, "peer-01", Action::Crash)]).await;
    let moment = |wanted: fn(&Event) -> bool| {
        let mut moments = told.lines.iter().filter_map(|line| match line {
            Line::Controller(record) if wanted(&record.event) => Some(record.mono / 1_000_000),
            _ => None,
        });
        moments.next().expect("it is in the log")
    };
    let heard = moment(|event| matches!(event, Event::Phase { phase: Phase::Transfer }));
    let crashed = moment(|event| matches!(event, Event::Acted { .. }));
    assert!((2_000 + AHEAD..=2_000 + AHEAD + 3).contains(&(crashed - heard)), "{} ms", crashed - heard);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_left_as_planned_is_brought_back() {
    let schedule = vec![at(2, "peer-01", Action::Leave), at(4, "peer-01", Action::Rejoin(Keeps::Nothing))];
    let parts = [("peer-01", vec![Part::Leaves(2_000), Part::Completes(1)]), ("peer-02", vec![Part::Completes(1)])];
    let told = told(fake(parts), schedule).await;
    assert_eq!(told.result.as_ref().unwrap(), &Outcome::Completed);
    assert_eq!(told.skipped(), []);
    assert_eq!(told.exits()[0], ("peer-01", 0, true));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_return_fails_the_trial_at_its_end() {
    let schedule = vec![at(1, "peer-01", Action::Crash), at(2, "peer-01", Action::Rejoin(Keeps::Nothing))];
    let fake = Fake { refuses_restart: true, ..fake([("peer-02", vec![Part::Completes(3_000)])]) };
    let told = told(fake, schedule).await;
    assert_eq!(told.failed(), "not all completed: `peer-01` could not return: no");
    assert!(told.updates.contains(&Update::Completed { node: "peer-02".into() }));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_left_on_completion_is_neither_crashed_nor_brought_back() {
    let back = Action::Rejoin(Keeps::Pieces);
    let schedule = vec![
        at(2, "peer-01", Action::Crash),
        at(3, "peer-01", back),
        at(4, "peer-02", Action::Leave),
        at(50, "peer-02", Action::Crash),
    ];
    let parts = [("peer-01", vec![Part::CompletesAndLeaves(1_000)]), ("peer-02", vec![Part::Completes(3_500)])];
    let told = told(fake(parts), schedule).await;
    assert_eq!(told.result.as_ref().unwrap(), &Outcome::Completed);
    assert_eq!(
        told.skipped(),
        [
            ("peer-01", Action::Crash, "complete"),
            ("peer-01", back, "complete"),
            ("peer-02", Action::Crash, "trial over"),
            ("peer-02", Action::Leave, "trial over"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_death_that_was_not_planned_is_not_followed_by_a_return() {
    let back = Action::Rejoin(Keeps::Pieces);
    let schedule = vec![at(2, "peer-01", Action::Crash), at(3, "peer-01", back)];
    let parts = [("peer-01", vec![Part::Dies(1_000, 1)]), ("peer-02", vec![Part::Completes(9_000)])];
    let told = told(fake(parts), schedule).await;
    assert!(told.failed().contains("`peer-01` ended with exit code 1"));
    assert_eq!(told.skipped(), [("peer-01", Action::Crash, "it had ended"), ("peer-01", back, "it had ended")]);
}

#[tokio::test(start_paused = true)]
async fn lost_lines_foreign_lines_and_nonsense_are_noted() {
    let fake = fake([("peer-01", vec![Part::Garbles(1_000)]), ("peer-02", vec![Part::Completes(2_000)])]);
    let told = told(fake, Vec::new()).await;
    assert_eq!(told.result.as_ref().unwrap(), &Outcome::Completed);
    assert_eq!(told.warnings(), ["lines 3 to 4 of `peer-01` were lost"]);
    let unreadable = told.events.iter().filter(|event| matches!(event, Event::Unreadable { .. }));
    assert_eq!(unreadable.count(), 2, "a node speaks for itself only");
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_output_is_lost_fails_the_trial_at_its_end() {
    let fake = fake([("peer-01", vec![Part::IsLost(1_000)]), ("peer-02", vec![Part::Completes(2_000)])]);
    let told = told(fake, Vec::new()).await;
    let why = "the output of `peer-01` can no longer be followed: its container is gone";
    assert_eq!(told.failed(), format!("not all completed: {why}"));
    assert!(told.updates.contains(&Update::Completed { node: "peer-02".into() }));
}

#[tokio::test(start_paused = true)]
async fn without_its_tracker_or_its_server_a_trial_fails_at_once() {
    for name in ["tracker", "server"] {
        let told = told(fake([(name, vec![Part::Dies(1_000, 1)])]), Vec::new()).await;
        assert_eq!(told.failed(), format!("`{name}` ended with exit code 1: thread panicked"));
        assert_eq!(told.torn_down, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_machine_lacks_ends_the_run_and_not_only_the_trial() {
    let told = told(fake([("peer-02", vec![Part::Fails(ErrorKind::Machine)])]), Vec::new()).await;
    assert!(matches!(&told.result, Err(RuntimeError::Machine(why)) if why == "`peer-02`: no tbf here"));
    assert_eq!(told.torn_down, 1);
    assert!(matches!(told.events.last(), Some(Event::End { outcome: Outcome::Failed { .. } })));
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_gate_fails_the_trial_with_its_message() {
    let told = told(fake([("peer-02", vec![Part::Fails(ErrorKind::Internal)])]), Vec::new()).await;
    assert_eq!(told.failed(), "`peer-02`: no tbf here");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deployed_or_started_ends_the_run_and_is_torn_down() {
    let no_network = Fake { refuses_deploy: true, ..fake([]) };
    assert!(matches!(told(no_network, Vec::new()).await.result, Err(RuntimeError::Machine(_))));
    let no_start = Fake { refuses_start: Some("peer-01".into()), ..fake([]) };
    let told = told(no_start, Vec::new()).await;
    assert!(matches!(told.result, Err(RuntimeError::Machine(_))));
    assert_eq!(told.torn_down, 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stopped_or_removed_is_said_and_changes_no_outcome() {
    let parts = [("peer-01", vec![Part::IgnoresStop(1)]), ("peer-02", vec![Part::Completes(1)])];
    let told = told(Fake { stays_behind: true, ..fake(parts) }, Vec::new()).await;
    assert_eq!(told.result.as_ref().unwrap(), &Outcome::Completed);
    assert_eq!(told.warnings(), ["not all nodes told of their end", "a network stays"]);
}

//! The bound of a trial as it ran beside that of its schedule: where nodes go by kill or cut alone they agree.

use std::collections::BTreeMap;

use harness::analysis::lives::fold;
use harness::analysis::presence;
use harness::events::record::{self, Event, Line, Record};
use harness::plan::{self, Action, Architecture, Cell, Trial};
use harness::spec;
use peer_image::event::{self, Counters, Event as NodeEvent, Leave, Queue};
use peer_image::node::Alteration;
use peer_image::seeds;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;
/// The common start, ns.
const GO: u64 = 100 * S;

/// How late each thing is done, ns: drawn below so much.
#[derive(Clone, Copy)]
struct Late {
    /// A node that begins, a change of its link.
    node: u64,
    /// What netlink takes.
    netlink: u64,
    /// The call that kills; and the engine's answer after it.
    call: u64,
    answer: u64,
}

const EXACTLY: Late = Late { node: 0, netlink: 0, call: 0, answer: 0 };
const IN_NAMESPACES: Late = Late { node: 3 * MS, netlink: 2 * MS, call: 3 * MS, answer: 5 * MS };

/// Writes down a trial whose schedule is carried out so late.
struct Writer<'t> {
    lines: Vec<Line>,
    seq: BTreeMap<&'t str, u64>,
    random: seeds::Stream,
    late: Late,
}

impl<'t> Writer<'t> {
    fn draw(&mut self, below: u64) -> u64 {
        if below == 0 { 0 } else { self.random.below(below) }
    }

    fn node(&mut self, node: &'t str, mono: u64, event: NodeEvent) {
        let seq = self.seq.entry(node).or_default();
        self.lines.push(Line::Node(event::Record { v: event::VERSION, node: node.to_owned(), seq: *seq, mono, event }));
        *seq += 1;
    }

    fn begins(&mut self, node: &'t str, planned: u64, rejoined: bool) {
        let late = self.draw(self.late.node);
        self.seq.insert(node, 0);
        let started = NodeEvent::Started { go: GO, planned, late, rejoined, pieces: 0 };
        self.node(node, GO + planned + late, started);
    }

    fn acted(&mut self, node: &str, action: Action, planned: u64) -> u64 {
        let actual = planned + self.draw(self.late.call);
        let done = actual + self.draw(self.late.answer);
        let event = Event::Acted { node: node.to_owned(), action, planned, actual, done, error: None };
        let seq = 0;
        self.lines.push(Line::Controller(Record { v: record::VERSION, seq, mono: GO + done, event }));
        done
    }

    fn changed(&mut self, node: &'t str, planned: u64, what: Alteration) {
        let (late, took) = (self.draw(self.late.node), self.draw(self.late.netlink));
        let changed = NodeEvent::Changed { planned, late, took: Some(took), what, error: None };
        self.node(node, GO + planned + late + took, changed);
    }
}

fn log(trial: &Trial, late: Late, name: &str) -> Vec<Line> {
    let random = seeds::stream(trial.seed, name);
    let mut log = Writer { lines: Vec::new(), seq: BTreeMap::new(), random, late };
    for node in trial.nodes.iter().filter(|node| node.link.is_some()) {
        log.begins(&node.name, trial.fate(&node.name).arrives, false);
    }
    for event in &trial.schedule {
        let (node, at) = (event.node.as_str(), event.at);
        match event.action {
            Action::Crash => drop(log.acted(node, Action::Crash, at)),
            Action::Rejoin(_) => {
                log.acted(node, event.action, at);
                log.begins(node, at, true);
            }
            Action::CutOff => log.changed(node, at, Alteration::Cut),
            Action::Reconnect => log.changed(node, at, Alteration::Mend),
            Action::Links(link) => log.changed(node, at, Alteration::Rates(link)),
            Action::Leave => {
                let left = GO + at + log.draw(late.node);
                log.node(node, left, NodeEvent::Left { why: Leave::Planned });
            }
            Action::Arrive | Action::Freeze | Action::Thaw => {}
        }
    }
    log.lines
}

/// An experiment whose peers go by kills and cuts: everything else is drawn.
fn experiment(number: u64) -> String {
    let mut random = seeds::stream(number, "kills and cuts");
    let mut of = |from: u64, to: u64| from + random.below(to - from + 1);
    let (peers, size) = (of(1, 12), of(1, 16));
    let (server, up, down) = (of(2, 20), of(1, 8), of(4, 40));
    let (session, kills, away, returns) = (of(3, 40), of(0, 100), of(1, 8), of(5, 10) * 10);
    let (incident, lasts, rates) = (of(1, 9), of(500, 5000), of(1, 8));
    let again = of(0, 1) == 1;
    let what = if of(0, 1) == 0 { "crash" } else { "cut-off" };
    let architecture = if of(0, 1) == 0 { "p2p" } else { "client-server" };
    format!(
        "name: x\nquestion: x?\nseed: {number}\narchitecture: {architecture}\npeers: {peers}\n\
         file: {{ size: {size} MiB }}\nserver: {{ up: {server} mbit, down: {server} mbit }}\n\
         links: {{ up: {up} mbit, down: {down} mbit }}\n\
         churn:\n  session: {{ exponential: {{ mean: {session} s }} }}\n  \
         leave: {{ crash: {kills} %, cut_off: {cuts} % }}\n  \
         rejoin: {{ after: {{ exponential: {{ mean: {away} s }} }}, share: {returns} %, keeps: pieces, again: {again} }}\n\
         events:\n  gone: {{ at: {incident} s, who: server, what: {what}, for: {lasts} ms }}\n  \
         other: {{ at: {later} s, who: 50 %, links: {{ up: {rates} mbit, down: {down} mbit }}, for: 4 s }}\n\
         timeout: 10 min\n",
        cuts = 100 - kills,
        later = incident + 1,
    )
}

fn only_cell(text: &str) -> Cell {
    let spec = spec::parse("x.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    plan::plan(&spec).cells.remove(0)
}

/// The plan's bound, and that of the trial as it ran, seconds.
fn bounds(cell: &Cell, late: Late) -> (Option<f64>, Option<f64>) {
    let trial = &cell.trials[0];
    let observed = fold(&log(trial, late, "late"));
    let of = |swarm| presence::bound(cell.settings.architecture, &swarm).map(|(bound, _)| bound.seconds);
    (presence::planned(trial).and_then(of), presence::realised(trial, &observed).and_then(of))
}

#[test]
fn where_nodes_go_by_kill_or_cut_the_realised_bound_is_the_plans() {
    let (mut judged, mut worst): (u32, f64) = (0, 0.0);
    for number in 0.. {
        let cell = only_cell(&experiment(number));
        let (planned, exactly) = bounds(&cell, EXACTLY);
        let Some(planned) = planned else {
            assert_eq!(exactly, None, "{number}: nobody is waited for, or no time is long enough");
            continue;
        };
        let exactly = exactly.unwrap_or(f64::INFINITY);
        assert!((exactly / planned - 1.0).abs() < 1e-9, "{number}: planned {planned}, carried out exactly {exactly}");
        let late = bounds(&cell, IN_NAMESPACES).1.unwrap_or(f64::INFINITY);
        assert!((late / planned - 1.0).abs() < 0.01, "{number}: planned {planned}, with some ms of lateness {late}");
        worst = worst.max((late / planned - 1.0).abs());
        judged += 1;
        if judged == 50 {
            break;
        }
    }
    println!("50 schedules: with lateness off by at most {:.3} %", worst * 100.0);
}

/// A server that is cut off from 1 to 3 s, and whose link carries 2 mbit/s of its 8 from 2 to 6 s.
const CUT: &str = "name: x\nquestion: x?\narchitecture: client-server\npeers: 1\nfile: { size: 4 MiB }\n\
                   server: { up: 8 mbit, down: 8 mbit }\nlinks: { up: 8 mbit, down: 8 mbit }\nevents:\n  \
                   gone: { at: 1 s, who: server, what: cut-off, for: 2 s }\n  \
                   slow: { at: 2 s, who: server, links: { up: 2 mbit, down: 8 mbit }, for: 4 s }\ntimeout: 60 s\n";

#[test]
fn a_cut_link_carries_nothing_and_then_what_its_new_rate_allows() {
    let cell = only_cell(CUT);
    // By hand: 8 mbit in the first second, 6 from 3 to 6 s, and the other 19.55 at 8 mbit/s.
    let by_hand = 6.0 + (4.0 * 1_048_576.0 * 8.0 - 14e6) / 8e6;
    let (planned, exactly) = bounds(&cell, EXACTLY);
    assert!((planned.expect("there is one") - by_hand).abs() < 1e-9);
    assert!((exactly.expect("there is one") - by_hand).abs() < 1e-9);
    let late = bounds(&cell, IN_NAMESPACES).1.expect("there is one");
    assert!((late / by_hand - 1.0).abs() < 0.002, "{late}");
}

/// Of a trial with these events, which took that long where they changed a link, the bound, seconds, and the server's buckets,
/// bits.
fn with_changes_that_take(text: &str, took: u64) -> (f64, (f64, f64)) {
    let cell = only_cell(text);
    let mut lines = log(&cell.trials[0], EXACTLY, "");
    for line in &mut lines {
        if let Line::Node(record) = line
            && let NodeEvent::Changed { took: told, .. } = &mut record.event
        {
            *told = Some(took);
        }
    }
    let swarm = presence::realised(&cell.trials[0], &fold(&lines)).expect("there is a server");
    let bound = presence::bound(cell.settings.architecture, &swarm).expect("there is one").0.seconds;
    (bound, swarm.server.buckets)
}

#[test]
fn until_a_change_is_done_the_larger_of_both_rates_counts_and_a_mended_link_from_its_begin() {
    const BITS: f64 = 4.0 * 1_048_576.0 * 8.0;
    // 8 mbit/s until 2 s, then 2 until 6 s; each change takes half a second.
    let slower = "  slow: { at: 2 s, who: server, links: { up: 2 mbit, down: 8 mbit }, for: 4 s }\n";
    let text = |events: &str| format!("{}events:\n{events}timeout: 60 s\n", CUT.split("events:").next().unwrap_or(""));
    let by_hand = 6.0 + (BITS - 2.5 * 8e6 - 3.5 * 2e6) / 8e6;
    let (bound, _) = with_changes_that_take(&text(slower), S / 2);
    assert!((bound - by_hand).abs() < 1e-9, "{bound}, by hand {by_hand}");
    // Cut from 1 to 3 s: it carries until that is done, and again as soon as it is begun to be mended.
    let cut = "  gone: { at: 1 s, who: server, what: cut-off, for: 2 s }\n";
    let (bound, _) = with_changes_that_take(&text(cut), S / 2);
    let by_hand = 3.0 + (BITS - 1.5 * 8e6) / 8e6;
    assert!((bound - by_hand).abs() < 1e-9, "{bound}, by hand {by_hand}");
}

#[test]
fn buckets_are_full_again_after_each_change_and_after_a_cut() {
    let full = |rate| peer_image::node::bucket_bytes(rate) as f64 * 8.0;
    // Slower, its own rate again, and mended; the cut leaves what four uploaders had handed on.
    let (_, (up, down)) = with_changes_that_take(CUT, 0);
    assert_eq!(up, full(2_000_000) + 2.0 * full(8_000_000));
    assert_eq!(down, 3.0 * full(8_000_000) + 4.0 * 6.0 * 16_384.0 * 8.0);
}

/// A server that is killed at 2 s and comes back at 3 s.
const KILL: &str = "name: x\nquestion: x?\narchitecture: client-server\npeers: 1\nfile: { size: 4 MiB }\n\
                    server: { up: 8 mbit, down: 8 mbit }\nlinks: { up: 8 mbit, down: 80 mbit }\nevents:\n  \
                    gone: { at: 2 s, who: server, what: crash, for: 1 s }\ntimeout: 60 s\n";

#[test]
fn a_kill_that_failed_ends_nothing_and_one_that_is_told_of_late_ends_the_life_that_it_was_for() {
    let cell = only_cell(KILL);
    let trial = &cell.trials[0];
    let always = 4.0 * 1_048_576.0 * 8.0 / 8e6;
    let bound = |change: fn(&mut Event)| {
        let mut lines = log(trial, EXACTLY, "");
        for line in &mut lines {
            if let Line::Controller(record) = line
                && matches!(record.event, Event::Acted { action: Action::Crash, .. })
            {
                change(&mut record.event);
            }
        }
        let swarm = presence::realised(trial, &fold(&lines)).expect("there is a server");
        presence::bound(cell.settings.architecture, &swarm).map(|it| it.0.seconds)
    };
    let close = |found: Option<f64>, expected: f64| {
        assert!(found.is_some_and(|it| (it - expected).abs() < 1e-9), "{found:?}, by hand {expected}");
    };
    close(bound(|_| {}), always + 1.0);
    // The engine was done with it when the next life had begun: there was never more than one of them.
    close(
        bound(|event| {
            if let Event::Acted { done, .. } = event {
                *done = 4 * S;
            }
        }),
        always,
    );
    let failed = |event: &mut Event| {
        if let Event::Acted { error, .. } = event {
            *error = Some("no such container".to_owned());
        }
    };
    close(bound(failed), always);
}

#[test]
fn nobody_receives_what_comes_after_it_left() {
    // The peer's download binds: 33.6 s, and 1.5 s in which it is away.
    let text = "name: x\nquestion: x?\narchitecture: client-server\npeers: 1\nfile: { size: 4 MiB }\n\
                server: { up: 8 mbit, down: 8 mbit }\nlinks: { up: 1 mbit, down: 1 mbit }\nevents:\n  \
                gone: { at: 2 s, who: peers, what: leave, for: 1500 ms, keeps: pieces }\ntimeout: 60 s\n";
    let (planned, exactly) = bounds(&only_cell(text), EXACTLY);
    assert!((planned.expect("there is one") - (4.0 * 1_048_576.0 * 8.0 / 1e6 + 1.5)).abs() < 1e-9, "{planned:?}");
    assert_eq!(exactly, planned);
}

#[test]
fn who_left_by_itself_uploads_what_its_sockets_held_and_no_more() {
    // The server leaves after 2 of the 33.6 s that it takes and comes back a second later.
    let text = "name: x\nquestion: x?\narchitecture: client-server\npeers: 1\nfile: { size: 4 MiB }\n\
                server: { up: 1 mbit, down: 1 mbit }\nlinks: { up: 1 mbit, down: 8 mbit }\nevents:\n  \
                gone: { at: 2 s, who: server, what: leave, for: 1500 ms, keeps: pieces }\ntimeout: 60 s\n";
    let cell = only_cell(text);
    assert_eq!(cell.settings.architecture, Architecture::ClientServer);
    let trial = &cell.trials[0];
    let planned = bounds(&cell, EXACTLY).0.expect("there is one");
    let sooner = |counters: &[(u64, u64)]| {
        let mut lines = log(trial, EXACTLY, "");
        let is_left = |line: &Line| matches!(line, Line::Node(it) if matches!(it.event, NodeEvent::Left { .. }));
        let at = lines.iter().position(is_left).expect("the server leaves");
        let Line::Node(left) = lines[at].clone() else { unreachable!("it is a node's") };
        let count = |seq: u64, mono: u64, bytes: u64| {
            let queue = Queue { bytes, packets: 1, drops: 0, backlog: 0, rate: 0 };
            let event = NodeEvent::Counters(Counters { up: queue, down: queue, ..Counters::default() });
            Line::Node(event::Record { seq, mono, event, ..left.clone() })
        };
        // The look just before it said that it left, and the last one.
        let told = counters.iter().zip(0..).map(|((after, bytes), i)| count(left.seq + i, left.mono + after, *bytes));
        let mut told: Vec<Line> = told.collect();
        if !told.is_empty() {
            let seq = left.seq + 1;
            told.insert(1, Line::Node(event::Record { seq, ..left.clone() }));
            if let Some(Line::Node(last)) = told.last_mut() {
                last.seq = seq + 1;
            }
            lines.splice(at..=at, told);
        }
        let observed = fold(&lines);
        let swarm = presence::realised(trial, &observed).expect("there is a server");
        planned - presence::bound(cell.settings.architecture, &swarm).expect("there is one").0.seconds
    };
    // 10,000 bytes in half a second: 80 ms of its rate.
    assert!((sooner(&[(0, 300_000), (S / 2, 310_000)]) - 0.08).abs() < 1e-9);
    // More than its link can carry in 100 ms is not believed.
    assert!((sooner(&[(0, 300_000), (S / 10, 340_000)]) - 0.1).abs() < 1e-9);
    // A log that does not say: a second.
    assert!((sooner(&[]) - 1.0).abs() < 1e-9);
}

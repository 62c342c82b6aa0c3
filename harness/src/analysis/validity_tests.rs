//! Faults that are planted in a good trial's log, each of which must make it INVALID for its own reason alone.

use peer_image::event::{Calibration, Carried, Counters, Event as NodeEvent, Host, Leave, Progress, Queue};

use super::*;
use crate::analysis::bounds::PAYLOAD_SHARE;
use crate::analysis::conclude::measure;
use crate::analysis::fixture::{GO, Log, S, cell};
use crate::analysis::metrics::{Measured, Verdict};
use crate::plan::{Action, Architecture, Cell, Keeps};

/// What a link of so many mbit carries in a second, as a share of its rate.
fn carried(mbit: f64, share: f64) -> Carried {
    Carried { bytes: (mbit * 1e6 / 8.0 * PAYLOAD_SHARE * share) as u64, ns: S }
}

/// A look at a host of two processors, 100 ticks a second each: so many of them busy.
fn look(second: u64, busy: u64) -> Host {
    Host {
        cpus: 2,
        total: second * 200,
        idle: second * 200 - busy,
        memory_available: 1 << 30,
        memory_total: 4 << 30,
        pressure_cpu: Some(second * 10_000),
        pressure_memory: Some(0),
        ..Host::default()
    }
}

/// A trial of two peers in 40 s, above its bound of 26.8 s, with all that a log can hold to be judged by.
fn good() -> (Cell, Log) {
    let cell = cell(Architecture::ClientServer, 2, 1);
    let mut log = Log::complete(&cell.trials[0], 40.0);
    let mut tracker = log.life("tracker", GO - S);
    tracker.event(NodeEvent::GateOpen { at: GO, nodes: 3 });
    for second in 0..=41 {
        tracker.at(GO - S / 2 + second * S, NodeEvent::Host(look(second, second * 40)));
    }
    (cell, log)
}

fn judged(cell: &Cell, log: &Log) -> Measured {
    measure(cell, &cell.trials[0], &log.lines)
}

/// The reasons, which must be exactly one.
fn reason(cell: &Cell, log: &Log) -> String {
    let measured = judged(cell, log);
    assert_eq!(measured.trial.verdict, Verdict::Invalid);
    assert!(measured.trial.distribution_time_s.is_some(), "what was measured is shown");
    assert!(!measured.trial.invalid.contains(';'), "{}", measured.trial.invalid);
    measured.trial.invalid
}

/// Puts more events into the life of a node, before its last one.
fn plant(log: &mut Log, node: &str, events: Vec<(u64, NodeEvent)>) {
    let is_its = |line: &crate::events::record::Line| matches!(line, crate::events::record::Line::Node(record) if record.node == node);
    let position = log.lines.iter().rposition(is_its).expect("it has a life");
    let mut tail = log.lines.split_off(position);
    let crate::events::record::Line::Node(last) = &mut tail[0] else { unreachable!("it is the node's") };
    let seq = last.seq;
    last.seq += events.len() as u64;
    for (i, (mono, event)) in events.into_iter().enumerate() {
        let (v, node) = (peer_image::event::VERSION, node.to_owned());
        let record = peer_image::event::Record { v, node, seq: seq + i as u64, mono, event };
        log.lines.push(crate::events::record::Line::Node(record));
    }
    log.lines.append(&mut tail);
}

/// A link that carried more than the file.
fn plenty() -> Queue {
    Queue { bytes: 1 << 30, ..Queue::default() }
}

/// The same in both directions.
fn all_of_it() -> Counters {
    Counters { up: plenty(), down: plenty(), ..Counters::default() }
}

/// Whether it is the controller's last line.
fn is_end(line: &crate::events::record::Line) -> bool {
    matches!(line, crate::events::record::Line::Controller(it) if matches!(it.event, crate::events::record::Event::End { .. }))
}

#[test]
fn a_calm_trial_is_valid_and_its_load_is_told() {
    let (cell, mut log) = good();
    let calibration = Calibration { up: carried(4.0, 0.99), down: carried(40.0, 1.0), link: None };
    plant(&mut log, "peer-1", vec![(GO + 39 * S, NodeEvent::Calibrated(calibration))]);
    let measured = judged(&cell, &log);
    assert_eq!((measured.trial.verdict, measured.trial.invalid.as_str()), (Verdict::Valid, ""));
    assert_eq!(measured.trial.host_busy_share, Some(0.2));
    assert_eq!(measured.trial.host_busy_max_share, Some(0.2));
    assert!((measured.trial.link_error_max_share.unwrap() - 0.01).abs() < 1e-4);
    assert_eq!(measured.trial.memory_available_min_bytes, Some(1 << 30));
    assert!((measured.trial.cpu_pressure_share.unwrap() - 0.01).abs() < 1e-9);
}

#[test]
fn a_link_that_was_off_its_rate_when_it_was_tried() {
    for (up, expected) in
        [(carried(4.0, 1.04), "+4.0 %"), (carried(4.0, 0.9), "-10.0 %"), (Carried::default(), "-100.0 %")]
    {
        let (cell, mut log) = good();
        let calibration = Calibration { up, down: carried(40.0, 1.0), link: None };
        plant(&mut log, "peer-1", vec![(GO + 39 * S, NodeEvent::Calibrated(calibration))]);
        let reason = reason(&cell, &log);
        assert!(reason.starts_with("`peer-1`'s upload carried ") && reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_link_that_was_changed_behind_our_back() {
    let (cell, mut log) = good();
    let counters = |up, down| {
        let queue = |rate| Queue { rate, ..plenty() };
        NodeEvent::Counters(Counters { up: queue(up), down: queue(down), ..Counters::default() })
    };
    let events = vec![(GO + 38 * S, counters(4_000_000, 40_000_000)), (GO + 39 * S, counters(4_000_000, 80_000_000))];
    plant(&mut log, "peer-2", events);
    let reason = reason(&cell, &log);
    assert_eq!(reason, "`peer-2`'s download was 80000000 bit/s in the kernel, the plan says 40000000 bit/s");
}

/// Rates of a link as its kernel says them.
fn rates(up: u64, down: u64) -> NodeEvent {
    let queue = |rate| Queue { rate, ..plenty() };
    NodeEvent::Counters(Counters { up: queue(up), down: queue(down), ..Counters::default() })
}

#[test]
fn a_link_that_had_the_rates_of_another_moment_of_the_plan() {
    const FAST: [u64; 2] = [4_000_000, 80_000_000];
    const OWN: [u64; 2] = [4_000_000, 40_000_000];
    let planted = |looks: &[(u64, [u64; 2])]| {
        let (mut cell, mut log) = good();
        let events = looks.iter().map(|(at, [up, down])| (GO + at, rates(*up, *down))).collect();
        plant(&mut log, "peer-2", events);
        for (at, [up, down]) in [(10 * S, FAST), (20 * S, OWN)] {
            let what = peer_image::node::Alteration::Rates(Link { up, down });
            let action = Action::Links(Link { up, down });
            cell.trials[0].schedule.push(crate::plan::Event { at, node: "peer-2".to_owned(), action });
            plant(
                &mut log,
                "peer-2",
                vec![(GO + at, NodeEvent::Changed { planned: at, late: 0, took: None, what, error: None })],
            );
        }
        (cell, log)
    };
    let (cell, log) = planted(&[(9 * S, OWN), (11 * S, FAST), (19 * S, FAST), (21 * S, OWN)]);
    assert_eq!(judged(&cell, &log).trial.invalid, "");
    // As late as a change may be, and as early as clocks differ.
    let (cell, log) = planted(&[(9 * S + S * 95 / 100, FAST), (10 * S + S * 95 / 100, OWN), (21 * S - S / 10, FAST)]);
    assert_eq!(judged(&cell, &log).trial.invalid, "");
    let (cell, log) = planted(&[(11 * S, FAST), (15 * S, OWN)]);
    assert_eq!(
        reason(&cell, &log),
        "`peer-2`'s download was 40000000 bit/s in the kernel, the plan says 80000000 bit/s"
    );
    let (cell, log) = planted(&[(5 * S, FAST), (15 * S, FAST)]);
    assert_eq!(
        reason(&cell, &log),
        "`peer-2`'s download was 80000000 bit/s in the kernel, the plan says 40000000 bit/s"
    );
}

#[test]
fn a_later_rate_that_is_not_to_be_had() {
    let (cell, mut log) = good();
    let own = Calibration { up: carried(4.0, 1.0), down: carried(40.0, 1.0), link: None };
    let link = Some(Link { up: 4_000_000, down: 40_000_000_000 });
    let later = Calibration { up: carried(4.0, 1.0), down: carried(4400.0, 1.0), link };
    let tried = [own, later].map(|it| (GO + 39 * S, NodeEvent::Calibrated(it)));
    plant(&mut log, "peer-1", tried.into());
    let expected = "`peer-1`'s download carried 4400.000 mbit/s when it was tried, the plan says 40000.000 (-89.0 %)";
    assert_eq!(reason(&cell, &log), expected);
    assert!((judged(&cell, &log).trial.link_error_max_share.unwrap() - 0.89).abs() < 1e-6);
}

#[test]
fn a_node_that_waited_for_a_processor() {
    let waits = |share: f64| {
        let (cell, mut log) = good();
        let waited = |ms: u64| NodeEvent::Counters(Counters { waited: Some(ms * 1_000_000), ..all_of_it() });
        // It waits in five seconds of forty, and hardly in all others.
        let total = |second: u64| (second as f64 + 1000.0 * share * second.saturating_sub(20).min(5) as f64) as u64;
        let looks = (0..40).map(|second| (GO + second * S, waited(total(second)))).collect();
        plant(&mut log, "peer-1", looks);
        (cell, log)
    };
    let limit = Validity::default().run_delay;
    let (cell, log) = waits(limit - 0.01);
    let measured = judged(&cell, &log);
    assert_eq!(measured.trial.invalid, "");
    assert!((measured.trial.run_delay_max_share.unwrap() - limit).abs() < 0.01);
    let (cell, log) = waits(0.62);
    let reason = reason(&cell, &log);
    let expected = "`peer-1` was ready and waited for a processor in 62 % of 5 s, the limit is ";
    assert!(reason.starts_with(expected), "{reason}");
}

#[test]
fn a_stranger_who_took_part() {
    let (cell, mut log) = good();
    let size = cell.trials[0].file.size;
    let exchanged = Progress {
        down: [("server".to_owned(), size), ("172.18.0.1:6881".to_owned(), 5_000)].into(),
        up: [("172.18.0.1:41000".to_owned(), 700), ("172.18.0.9".to_owned(), 0)].into(),
        ..Progress::default()
    };
    plant(&mut log, "peer-2", vec![(GO + 40 * S, NodeEvent::Progress(exchanged))]);
    let expected =
        "`172.18.0.1` is no node of the plan, and nodes sent 700 bytes of the file to it and received 5000 from it";
    assert_eq!(reason(&cell, &log), expected);
}

/// The boot of a node, and how its clock is off from the gate's, ns.
fn clocked(log: &mut Log, node: &str, time_namespace: &str, ready: Option<(i64, u64)>) {
    for line in &mut log.lines {
        let crate::events::record::Line::Node(record) = line else { continue };
        if record.node != node {
            continue;
        }
        match &mut record.event {
            NodeEvent::Boot { time_namespace: name, .. } => time_namespace.clone_into(name),
            NodeEvent::Ready { offset, offset_error } => (*offset, *offset_error) = ready.unwrap_or_default(),
            _ => {}
        }
    }
}

/// A good trial whose gate says what its clock is called.
fn clocks() -> (Cell, Log) {
    let (cell, mut log) = good();
    log.life("tracker", 0).boot();
    // Its first line comes before the others.
    log.lines.rotate_right(1);
    for node in ["tracker", "server", "peer-1", "peer-2"] {
        clocked(&mut log, node, "time:[1]", None);
    }
    for line in &mut log.lines {
        if let crate::events::record::Line::Node(record) = line
            && record.node == "tracker"
            && !matches!(record.event, NodeEvent::Boot { .. })
        {
            record.seq += 1;
        }
    }
    (cell, log)
}

#[test]
fn two_clocks_of_one_name_and_one_that_is_not_known() {
    let (cell, log) = clocks();
    assert_eq!(judged(&cell, &log).trial.invalid, "");
    let (cell, mut log) = clocks();
    let apart = 1_000_000 * S.cast_signed();
    clocked(&mut log, "peer-1", "time:[1]", Some((apart, 20_000)));
    let expected = "`peer-1`'s clock and the gate's are both called `one-host time:[1]`, and are 1000000.000 s apart";
    assert_eq!(reason(&cell, &log), expected);
    // A clock of its own may be anywhere, if that is known well enough.
    let (cell, mut log) = clocks();
    clocked(&mut log, "peer-1", "time:[2]", Some((apart, 9_000_000)));
    assert_eq!(judged(&cell, &log).trial.invalid, "");
    let (cell, mut log) = clocks();
    clocked(&mut log, "peer-1", "time:[2]", Some((apart, 12_500_000)));
    assert_eq!(reason(&cell, &log), "`peer-1`'s clock is known to within 12.5 ms only, the limit is 10 ms");
}

#[test]
fn a_planned_event_that_left_no_trace() {
    let (mut cell, log) = good();
    let event = crate::plan::Event { at: 10 * S, node: "peer-2".to_owned(), action: Action::Crash };
    cell.trials[0].schedule.push(event);
    assert_eq!(reason(&cell, &log), "1 event of the schedule could not be carried out (`churn.csv` has why)");
    // Of one that did not come to its end that is no surprise.
    let mut timeout = Log::new();
    timeout.lines = log.lines.into_iter().filter(|line| !is_end(line)).collect();
    timeout.end(Outcome::Timeout { missing: vec!["peer-2".to_owned()] });
    let row = judged(&cell, &timeout).trial;
    assert_eq!((row.churn_missing, row.verdict, row.invalid.as_str()), (1, Verdict::Failed, ""));
}

#[test]
fn a_link_that_carried_more_than_it_can() {
    let (cell, mut log) = good();
    let counters = |bytes| {
        let queue = Queue { bytes, ..Queue::default() };
        NodeEvent::Counters(Counters { up: queue, ..Counters::default() })
    };
    // 100 MB in 20 s are 40 mbit/s, which is its rate; 200 MB are twice as much.
    let events = |bytes| vec![(GO + 10 * S, counters(0)), (GO + 30 * S, counters(bytes))];
    plant(&mut log, "server", events(100_000_000));
    assert_eq!(judged(&cell, &log).trial.verdict, Verdict::Valid);
    let (cell, mut log) = good();
    plant(&mut log, "server", events(200_000_000));
    assert_eq!(reason(&cell, &log), "`server`'s upload carried 80.000 mbit/s on average, more than its 40.000");
}

#[test]
fn a_host_that_was_too_busy_for_five_seconds() {
    let (cell, mut log) = good();
    let busy = |second: u64| if second < 20 { second * 40 } else { 800 + (second - 20).min(6) * 198 };
    for line in &mut log.lines {
        if let crate::events::record::Line::Node(record) = line
            && let NodeEvent::Host(host) = &mut record.event
        {
            *host = look(host.total / 200, busy(host.total / 200));
        }
    }
    assert_eq!(reason(&cell, &log), "the host's processors were 99 % busy for 5 s, the limit is 95 %");
}

#[test]
fn a_host_whose_time_was_taken_or_whose_memory_was_short() {
    type Plant = (fn(&mut Host, u64), &'static str);
    let plants: [Plant; 3] = [
        (
            |host, second| host.steal = second * 20,
            "the hypervisor took 10.0 % of the host's processors, the limit is 5 %",
        ),
        (
            |host, second| host.pressure_memory = Some(second * 200_000),
            "processes waited for memory in 20.0 % of the time",
        ),
        (|host, second| host.softirq = second * 120, "soft interrupts took 60 % of the host's processors"),
    ];
    for (change, expected) in plants {
        let (cell, mut log) = good();
        for line in &mut log.lines {
            if let crate::events::record::Line::Node(record) = line
                && let NodeEvent::Host(host) = &mut record.event
            {
                let second = host.total / 200;
                change(host, second);
            }
        }
        let reason = reason(&cell, &log);
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[test]
fn a_clock_that_was_stepped() {
    let (cell, mut log) = good();
    for line in &mut log.lines {
        if let crate::events::record::Line::Node(record) = line
            && let NodeEvent::Host(host) = &mut record.event
        {
            // It drifts by 5 ms a second, which is no step, and jumps once.
            host.wall =
                (host.total / 200 * 5_000_000).cast_signed() - if host.total / 200 > 20 { 1_500_000_000 } else { 0 };
        }
    }
    assert_eq!(reason(&cell, &log), "the host's clock jumped by -1.495 s");
}

#[test]
fn a_table_of_neighbours_that_had_no_room_meanwhile_makes_it_invalid() {
    use crate::events::record::Line;
    let (cell, mut log) = good();
    let mut set = |fulls: fn(u64) -> Option<u64>| {
        let mut second = 0;
        for line in &mut log.lines {
            if let Line::Node(record) = line
                && let NodeEvent::Host(host) = &mut record.event
            {
                host.neighbours_full = fulls(second);
                second += 1;
            }
        }
        judged(&cell, &log).trial.invalid
    };
    // So often before this trial; and an older log does not say.
    assert_eq!(set(|_| Some(7)), "");
    assert_eq!(set(|_| None), "");
    let full = set(|second| Some(if second < 20 { 7 } else { 9 }));
    assert!(
        full.starts_with("the host's table of Ethernet neighbours, which all on it share, had no room 2 times"),
        "{full}"
    );
}

#[test]
fn a_node_that_stood_still_or_was_kept_off_the_processors() {
    for node in ["peer-1", "server", "tracker"] {
        let (cell, mut log) = good();
        plant(&mut log, node, vec![(GO + 20 * S, NodeEvent::Stalled { ns: 2 * S })]);
        assert_eq!(reason(&cell, &log), format!("`{node}` stood still for 2.00 s"));
    }
    let stood = |node: &str, seconds| Invalid::Stalled { node: node.to_owned(), seconds };
    let row =
        ["a", "b", "c", "d", "e"].iter().zip([2.0, 3.0, 6.0, 5.0, 4.0]).map(|(node, seconds)| stood(node, seconds));
    let found = shortened(row.chain([Invalid::LinesLost { lines: 1 }]).collect());
    let longest = [stood("c", 6.0), stood("d", 5.0), stood("e", 4.0), Invalid::More { reasons: 2 }];
    assert_eq!(found, longest.into_iter().chain([Invalid::LinesLost { lines: 1 }]).collect::<Vec<_>>());
    let (cell, mut log) = good();
    let throttled = |ns| NodeEvent::Counters(Counters { throttled: Some(ns), ..all_of_it() });
    plant(&mut log, "server", vec![(GO + S, throttled(5 * S)), (GO + 20 * S, throttled(5 * S + S / 4))]);
    assert_eq!(reason(&cell, &log), "the kernel kept `server` off the processors for 0.250 s");
}

#[test]
fn a_link_that_carried_what_only_its_later_rate_can() {
    let carried = |bytes| {
        let (mut cell, mut log) = good();
        let link = Link { up: 80_000_000, down: 40_000_000 };
        let (at, action) = (10 * S, Action::Links(link));
        cell.trials[0].schedule.push(crate::plan::Event { at, node: "server".to_owned(), action });
        let what = peer_image::node::Alteration::Rates(link);
        let changed = NodeEvent::Changed { planned: at, late: 0, took: Some(0), what, error: None };
        let counters =
            |bytes| NodeEvent::Counters(Counters { up: Queue { bytes, ..Queue::default() }, ..Counters::default() });
        let events = [(10 * S, changed), (10 * S, counters(0)), (30 * S, counters(bytes))];
        plant(&mut log, "server", events.map(|(at, event)| (GO + at, event)).into());
        (cell, log)
    };
    let (cell, log) = carried(200_000_000);
    assert_eq!(judged(&cell, &log).trial.invalid, "");
    let (cell, log) = carried(400_000_000);
    assert_eq!(reason(&cell, &log), "`server`'s upload carried 160.000 mbit/s on average, more than its 80.000");
}

#[test]
fn a_start_and_a_churn_event_that_came_late() {
    let (mut cell, log) = good();
    cell.settings.validity.start_skew = 0.000_9;
    assert_eq!(reason(&cell, &log), "the last node began 1.0 ms after the common start, the limit is 1 ms");
    let (mut cell, mut log) = good();
    let rejoin = Action::Rejoin(Keeps::Pieces);
    for (at, action) in [(10 * S, Action::Crash), (12 * S, rejoin)] {
        cell.trials[0].schedule.push(crate::plan::Event { at, node: "peer-2".to_owned(), action });
        log.acted("peer-2", action, at, at + 1_200_000_000, None);
    }
    assert_eq!(reason(&cell, &log), "a planned departure or return came 1.20 s late, the limit is 1 s");
}

#[test]
fn a_log_that_is_not_whole() {
    let (cell, mut log) = good();
    log.life("peer-1", GO + 50 * S).lose(3).event(NodeEvent::Warning { message: "late".to_owned() });
    let measured = judged(&cell, &log);
    assert!(measured.trial.invalid.contains("3 lines are missing from the log"), "{}", measured.trial.invalid);
    let (cell, mut log) = good();
    let (node, reason_) = ("peer-1".to_owned(), "its container is gone".to_owned());
    log.controller(crate::events::record::Event::Lost { node, reason: reason_ });
    assert_eq!(reason(&cell, &log), "the output of `peer-1` was lost: its container is gone");
    // Of the controller's own lines, too.
    let (cell, mut log) = good();
    let controllers = log.lines.iter_mut().rev().find_map(|line| match line {
        crate::events::record::Line::Controller(record) => Some(record),
        crate::events::record::Line::Node(_) => None,
    });
    controllers.unwrap().seq += 2;
    assert_eq!(reason(&cell, &log), "2 lines are missing from the log");
}

#[test]
fn books_that_do_not_balance() {
    let (cell, mut log) = good();
    let size = cell.trials[0].file.size;
    let short = Progress { down: [("server".to_owned(), size - (2 << 20))].into(), ..Progress::default() };
    plant(&mut log, "peer-2", vec![(GO + 40 * S, NodeEvent::Progress(short))]);
    let expected = format!("`server` sent {size} bytes to `peer-2`, which received {}", size - (2 << 20));
    assert_eq!(reason(&cell, &log), expected);
}

#[test]
fn what_was_under_way_when_a_connection_ended_is_not_missing() {
    let lacking = |bytes: u64, parted: u64| {
        let (cell, mut log) = good();
        let size = cell.trials[0].file.size;
        let down = [("server".to_owned(), size - bytes)].into();
        let parted = [("server".to_owned(), parted)].into();
        let short = Progress { down, parted, ..Progress::default() };
        // Both were there to the end, and said so.
        let stopped = || NodeEvent::Left { why: Leave::Stopped };
        plant(&mut log, "peer-2", vec![(GO + 41 * S, NodeEvent::Progress(short)), (GO + 42 * S, stopped())]);
        plant(&mut log, "server", vec![(GO + 42 * S, stopped())]);
        judged(&cell, &log).trial.verdict
    };
    // 64 KiB may be on the way at the end of each connection, and the last one ends with the trial.
    assert_eq!(lacking(64 << 10, 0), Verdict::Valid);
    assert_eq!(lacking((64 << 10) + 1, 0), Verdict::Invalid);
    assert_eq!(lacking(128 << 10, 1), Verdict::Valid);
    assert_eq!(lacking((128 << 10) + 1, 1), Verdict::Invalid);
}

#[test]
fn what_lay_in_the_queues_between_two_nodes_at_the_end_is_not_missing() {
    const MORE: u64 = 196_608 - (64 << 10);
    // In the receiver's queue, and in the sender's.
    let lacking = |bytes: u64, download: u64, upload: u64| {
        let (cell, mut log) = good();
        let size = cell.trials[0].file.size;
        let short = Progress { down: [("server".to_owned(), size - bytes)].into(), ..Progress::default() };
        let stopped = || NodeEvent::Left { why: Leave::Stopped };
        let looked = |down, up| {
            let queue = |backlog, bytes| Queue { backlog, bytes, ..Queue::default() };
            let (down, up) = (queue(down, 40_000_000), queue(up, 0));
            NodeEvent::Counters(Counters { down, up, ..Counters::default() })
        };
        // What lay there in the middle is long gone, and what lies on their other links is not between them.
        let last = |down, up| [stopped(), looked(down, up)].map(|event| (GO + 62 * S, event));
        let before = [(GO + 61 * S, looked(1 << 20, 1 << 20)), (GO + 62 * S, NodeEvent::Progress(short))];
        plant(&mut log, "peer-2", before.into_iter().chain(last(download, 1 << 20)).collect());
        plant(&mut log, "server", last(1 << 20, upload).into());
        judged(&cell, &log).trial.verdict
    };
    assert_eq!(lacking(196_608, 0, 0), Verdict::Invalid);
    for (download, upload) in [(MORE, 0), (0, MORE), (MORE / 2, MORE / 2)] {
        assert_eq!(lacking(196_608, download, upload), Verdict::Valid);
        assert_eq!(lacking(196_609, download, upload), Verdict::Invalid);
    }
}

#[test]
fn what_a_node_that_went_could_not_tell_of_is_not_missing() {
    /// Two seconds of the link of who was killed: 40 mbit/s, of the server's upload and of the peer's download.
    const UNTOLD: i64 = 10_000_000;
    /// What `server` sent and `peer-2` did not receive, or the other way round if it is negative.
    fn missing(bytes: i64, server: Option<Leave>, peer: Option<Leave>) -> Verdict {
        let (cell, mut log) = good();
        let size = cell.trials[0].file.size;
        let received = size.checked_add_signed(-bytes).unwrap();
        let down = [("server".to_owned(), received)].into();
        let told = NodeEvent::Progress(Progress { down, ..Progress::default() });
        let left = |why: Option<Leave>| why.map(|why| (GO + 42 * S, NodeEvent::Left { why }));
        let is_its_end = |line: &crate::events::record::Line| matches!(line, crate::events::record::Line::Node(it) if it.node == "peer-2" && matches!(it.event, NodeEvent::Left { .. }));
        log.lines.retain(|line| !is_its_end(line));
        plant(&mut log, "peer-2", [(GO + 41 * S, told)].into_iter().chain(left(peer)).collect());
        plant(&mut log, "server", left(server).into_iter().collect());
        judged(&cell, &log).trial.verdict
    }
    #[track_caller]
    fn at_most(bytes: i64, server: Option<Leave>, peer: Option<Leave>) {
        assert_eq!(missing(bytes, server, peer), Verdict::Valid);
        assert_eq!(missing(bytes + bytes.signum(), server, peer), Verdict::Invalid);
    }
    let stopped = Some(Leave::Stopped);
    // Where one was killed, a mebibyte is lost with the connection.
    at_most(1 << 20, None, stopped);
    at_most((1 << 20) + UNTOLD, stopped, None);
    // Who was killed may have sent more than it told of, and who left by itself what its sockets held: a second of its link.
    at_most(-(64 << 10), stopped, stopped);
    at_most(-(64 << 10) - UNTOLD, None, stopped);
    at_most(-(64 << 10) - UNTOLD / 2, Some(Leave::Completed), stopped);
}

#[test]
fn what_failed_or_was_stopped_is_not_called_invalid() {
    let (cell, mut log) = good();
    log.lines.retain(|line| !is_end(line));
    plant(&mut log, "peer-1", vec![(GO + 20 * S, NodeEvent::Stalled { ns: 2 * S })]);
    let mut failed = Log::new();
    failed.lines = log.lines.clone();
    failed.controller(crate::events::record::Event::End { outcome: Outcome::Failed { reason: "it broke".to_owned() } });
    let measured = judged(&cell, &failed);
    assert_eq!(measured.trial.verdict, Verdict::Failed);
    let told: Vec<String> = measured.findings.iter().map(|finding| finding.what.to_string()).collect();
    assert!(told.iter().any(|line| line == "`peer-1` stood still for 2.00 s"), "{told:?}");
    assert!(told.iter().all(|line| !line.contains("INVALID")), "{told:?}");
    assert_eq!(judged(&cell, &log).trial.verdict, Verdict::BrokenOff);
}

#[test]
fn a_time_below_the_bound_by_more_than_the_buckets_give() {
    let cell = cell(Architecture::P2p, 10, 1);
    // Eleven buckets of 16,000 bytes on 80 mbit: 17.6 ms.
    let bound = 32.0 * 1024.0 * 1024.0 * 8.0 * 10.0 / 80e6;
    let log = Log::complete(&cell.trials[0], bound - 0.017);
    assert_eq!(judged(&cell, &log).trial.verdict, Verdict::Valid);
    let log = Log::complete(&cell.trials[0], bound - 0.018);
    let reason = reason(&cell, &log);
    assert!(
        reason.starts_with("measured 33.536 s is below the bound of 33.554 s, by more than the 17.6 ms"),
        "{reason}"
    );
}

#[test]
fn a_file_that_is_small_beside_the_buckets_is_told() {
    let mut cell = cell(Architecture::P2p, 10, 1);
    let told = |cell: &Cell, seconds| {
        let log = Log::complete(&cell.trials[0], seconds);
        judged(cell, &log).findings.iter().any(|finding| finding.what.to_string().contains("1.3 % of the bound"))
    };
    assert!(!told(&cell, 40.0));
    cell.trials[0].file.size = 1_310_720;
    assert!(told(&cell, 2.0));
}

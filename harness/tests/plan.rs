//! What a plan keeps to, whatever the spec.

use std::collections::{BTreeMap, BTreeSet};

use harness::plan::{self, Action, Plan};
use harness::spec::{self, Keeps};
use peer_image::node::{NAME_MAX, Role};
use proptest::prelude::*;

fn planned(text: &str) -> Plan {
    plan::plan(&spec::parse("x.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// An experiment with churn: N peers, mean session in seconds, seed.
fn churned(peers: u32, mean: u32, seed: u64) -> String {
    format!(
        "name: x\nquestion: x?\nseed: {seed}\nrepeats: 2\narchitecture: [client-server, p2p]\npeers: {peers}\n\
         file: {{ size: 1 MiB }}\nserver: {{ up: 40 mbit, down: 40 mbit }}\nlinks: {{ up: 4 mbit, down: 40 mbit }}\n\
         churn:\n  session: {{ exponential: {{ mean: {mean} s }} }}\n  share: 80 %\n  leave: {{ crash: 30 % }}\n  \
         rejoin: {{ after: 5 s, share: 50 %, keeps: pieces }}\ntimeout: 4 min\n"
    )
}

/// What happens to each peer, by its number: names are padded to the width of N.
fn fates(plan: &Plan, cell: usize) -> BTreeMap<u32, Vec<(u64, Action)>> {
    let mut fates: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for event in &plan.cells[cell].trials[0].schedule {
        let number = event.node.strip_prefix("peer-").and_then(|n| n.parse().ok()).expect("only peers churn");
        fates.entry(number).or_default().push((event.at, event.action));
    }
    fates
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_spec_gives_the_same_bytes(peers in 1..120_u32, mean in 1..200_u32, seed: u64) {
        let text = churned(peers, mean, seed);
        let bytes = || serde_json::to_vec(&planned(&text)).expect("a plan is JSON");
        prop_assert_eq!(bytes(), bytes());
        let read: Plan = serde_json::from_slice(&bytes()).expect("readable");
        prop_assert_eq!(read, planned(&text));
    }

    #[test]
    fn one_more_peer_changes_nobody_elses_schedule(peers in 1..120_u32, seed: u64) {
        let (mut fewer, mut more) = (fates(&planned(&churned(peers, 30, seed)), 0), fates(&planned(&churned(peers + 1, 30, seed)), 0));
        fewer.remove(&(peers + 1));
        more.remove(&(peers + 1));
        prop_assert_eq!(fewer, more);
    }

    #[test]
    fn a_peer_has_the_same_fate_in_every_architecture(peers in 1..120_u32, seed: u64) {
        let plan = planned(&churned(peers, 30, seed));
        prop_assert_eq!(fates(&plan, 0), fates(&plan, 1));
    }

    #[test]
    fn schedules_are_sorted_and_end_before_the_timeout(peers in 1..120_u32, mean in 1..200_u32, seed: u64) {
        for cell in planned(&churned(peers, mean, seed)).cells {
            for trial in cell.trials {
                prop_assert!(trial.schedule.is_sorted_by_key(|event| (event.at, event.node.clone())));
                prop_assert!(trial.schedule.iter().all(|event| 0 < event.at && event.at < 240_000_000_000));
            }
        }
    }

    #[test]
    fn who_is_gone_for_good_need_not_complete(peers in 1..120_u32, seed: u64) {
        for trial in planned(&churned(peers, 40, seed)).cells.into_iter().flat_map(|cell| cell.trials) {
            for node in &trial.nodes {
                let own: Vec<Action> =
                    trial.schedule.iter().filter(|event| event.node == node.name).map(|event| event.action).collect();
                prop_assert!(own.len() <= 2);
                prop_assert!(own.first().is_none_or(|action| matches!(action, Action::Leave | Action::Crash)));
                prop_assert!(own.get(1).is_none_or(|action| *action == Action::Rejoin(Keeps::Pieces)));
                let is_peer = node.name.starts_with("peer-");
                prop_assert_eq!(node.to_complete, is_peer && own.len() != 1);
                prop_assert_eq!(node.keeps_state, own.len() == 2);
            }
        }
    }

    #[test]
    fn classes_are_spread_and_their_counts_add_up(peers in 10..=200_u32, share in 10..=90_u32, seed: u64) {
        let text = format!(
            "name: x\nquestion: x?\nseed: {seed}\narchitecture: p2p\npeers: {peers}\nfile: {{ size: 1 MiB }}\n\
             server: {{ up: 40 mbit, down: 40 mbit }}\nlinks: {{ up: 4 mbit, down: 40 mbit }}\n\
             classes: {{ fast: {{ share: {share} %, up: 8 mbit }}, slow: {{ share: {} % }} }}\n",
            100 - share
        );
        let plan = planned(&text);
        let cell = &plan.cells[0];
        let nodes = &cell.trials[0].nodes;
        prop_assert_eq!(nodes.len(), peers as usize + 2);
        for class in &cell.settings.classes {
            let own: Vec<_> = nodes.iter().filter(|node| node.class == class.name).collect();
            prop_assert_eq!(own.len(), class.count as usize);
            prop_assert!(own.iter().all(|node| node.link == Some(class.link)));
        }
        prop_assert!(nodes[2..].is_sorted_by_key(|node| node.name.clone()));
        prop_assert!(nodes.iter().all(|node| node.name.len() <= NAME_MAX));
    }
}

#[test]
fn the_arms_of_a_cell_run_one_right_after_the_other_in_either_order() {
    let text = churned(3, 30, 1).replace("repeats: 2\n", "") + "arms: { base: {}, head: { policy: { slots: 2 } } }\n";
    let plan = planned(&text);
    assert_eq!((plan.cells.len(), plan.cells[0].trials.len(), plan.order.len()), (4, 7, 28));
    let arm =
        |cell: &str| cell.rsplit_once("-arm-").map(|(cell, arm)| (cell.to_owned(), arm.to_owned())).expect("an arm");
    let mut first = BTreeSet::new();
    for pair in plan.order.chunks(2) {
        let ((cell, one), (same, other)) = (arm(&pair[0].cell), arm(&pair[1].cell));
        assert_eq!((cell, pair[0].repeat), (same, pair[1].repeat));
        assert_ne!(one, other);
        first.insert(one);
    }
    assert_eq!(first.len(), 2, "not always the same arm first");
    assert_eq!(plan.contests().count(), 2);
    // Both arms of a pair have the same fates.
    let seeds = |cell: usize| plan.cells[cell].trials.iter().map(|trial| trial.seed).collect::<Vec<_>>();
    assert_eq!(seeds(0), seeds(1));
}

#[test]
fn roles_follow_the_architecture() {
    let plan = planned(&churned(3, 30, 1));
    let roles = |cell: usize| plan.cells[cell].trials[0].nodes.iter().map(|node| node.role).collect::<Vec<_>>();
    assert_eq!(roles(0), [Role::Tracker, Role::HttpServer, Role::HttpClient, Role::HttpClient, Role::HttpClient]);
    assert_eq!(roles(1), [Role::Tracker, Role::InitialSeed, Role::Leecher, Role::Leecher, Role::Leecher]);
    let names: Vec<&str> = plan.cells[0].trials[0].nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["tracker", "server", "peer-1", "peer-2", "peer-3"]);
}

#[test]
fn the_shares_of_churn_are_those_that_were_asked_for() {
    let plan = planned(&churned(998, 1, 1));
    let fates = fates(&plan, 0);
    let share = |n: usize, of: usize| n as f64 / of as f64;
    let crashed = fates.values().filter(|fate| fate[0].1 == Action::Crash).count();
    let back = fates.values().filter(|fate| fate.len() == 2).count();
    assert!((share(fates.len(), 998) - 0.8).abs() < 0.05, "{}", fates.len());
    assert!((share(crashed, fates.len()) - 0.3).abs() < 0.05, "{crashed}");
    assert!((share(back, fates.len()) - 0.5).abs() < 0.05, "{back}");
}

#[test]
fn all_trials_share_the_file_and_repeats_differ() {
    let plan = planned(&churned(20, 30, 1));
    let trials: Vec<_> = plan.cells.iter().flat_map(|cell| &cell.trials).collect();
    assert_eq!(trials.len(), 4);
    assert!(trials.iter().all(|trial| trial.file == trials[0].file));
    assert_eq!(trials.iter().map(|trial| trial.seed).collect::<BTreeSet<_>>().len(), 2);
    assert_ne!(trials[0].schedule, trials[1].schedule);
}

#[test]
fn cell_ids_are_unique_and_say_what_varies() {
    let text = churned(5, 30, 1)
        .replace("peers: 5", "peers: [5, 10]")
        .replace("mean: 30 s", "mean: [30 s, 1 min]")
        .replace("up: 40 mbit", "up: [40 mbit, 1.5 mbit]")
        .replace("crash: 30 %", "crash: [0 %, 30 %]");
    let plan = planned(&text);
    let ids: BTreeSet<&str> = plan.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids.len(), 32);
    assert_eq!(plan.cells[0].id, "client-server-n5-up-40mbit-mean-30s-crash-0pct");
    assert_eq!(plan.cells[31].id, "p2p-n10-up-1.5mbit-mean-1min-crash-30pct");
}

#[test]
fn cell_ids_stay_unique_where_their_names_are_cut_off() {
    let long = "a".repeat(48);
    let slots: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
    let text = format!(
        "{}classes:\n  {long}: {{ share: 100 %, up: [1 mbit, 2 mbit], down: [1 mbit, 2 mbit] }}\n\
         policy: {{ slots: [{}], neighbours: [10, 20], pipeline: [10, 20], picker: [rarest-first, sequential] }}\n\
         storage: [none, disk]\n",
        churned(5, 30, 1),
        slots.join(", ")
    );
    let plan = planned(&text);
    let ids: BTreeSet<&str> = plan.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids.len(), plan.cells.len());
    assert!(ids.iter().all(|id| id.len() < 120));
}

/// The order of trials: cell and repeat.
fn turns(text: &str) -> Vec<(String, u32)> {
    planned(text).order.into_iter().map(|turn| (turn.cell, turn.repeat)).collect()
}

#[test]
fn trials_are_interleaved_in_blocks_that_the_seed_shuffles() {
    let text = |more: &str| churned(4, 30, 1).replace("peers: 4", "peers: [2, 4, 6, 8]") + more;
    let order = turns(&text(""));
    assert_eq!(order.len(), 16);
    for (block, repeat) in order.chunks(8).zip(1..) {
        let cells: BTreeSet<&String> = block.iter().map(|(cell, _)| cell).collect();
        assert!(cells.len() == 8 && block.iter().all(|(_, k)| *k == repeat), "each cell once in a block: {block:?}");
    }
    let cells = |block: &[(String, u32)]| block.iter().map(|(cell, _)| cell.clone()).collect::<Vec<_>>();
    assert_ne!(cells(&order[..8]), cells(&order[8..]), "each block has an order of its own");
    assert_ne!(order, turns(&text("").replace("seed: 1", "seed: 2")));
    let sequential = turns(&text("order: sequential\n"));
    assert!(sequential.chunks(2).all(|pair| pair[0].0 == pair[1].0 && (pair[0].1, pair[1].1) == (1, 2)));
}

#[test]
fn the_warm_up_comes_first_is_of_the_smallest_cell_and_changes_no_other_turn() {
    let text = churned(4, 30, 1).replace("peers: 4", "peers: [8, 2]");
    let (without, with) = (turns(&text), turns(&format!("{text}warm_up: true\n")));
    assert_eq!(with[0], ("client-server-n2".to_owned(), 0));
    assert_eq!(with[1..], without);
}

/// A timeline that is printed and read back as a trace is the same, byte for byte, and so is the schedule.
#[test]
fn a_timeline_is_a_trace_that_replays_it() {
    let text = churned(40, 60, 9)
        .replace("repeats: 2", "repeats: 1")
        .replace("churn:", "arrivals: { uniform: { within: 9 s } }\nchurn:");
    let drawn = planned(&text);
    let timeline = harness::plan::timeline::csv(&drawn.cells[1].trials[0]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("fates.csv"), &timeline).unwrap();
    let (before, _) = text.split_once("arrivals:").unwrap();
    let replayed = format!("{before}trace: fates.csv\ntimeout: 4 min\n");
    let file = directory.path().join("x.yaml");
    let replayed =
        plan::plan(&spec::parse(&file.display().to_string(), &replayed).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(harness::plan::timeline::csv(&replayed.cells[1].trials[0]), timeline);
    assert_eq!(replayed.cells[1].trials[0].schedule, drawn.cells[1].trials[0].schedule);
}

/// Sessions and absences with heavy tails: many are shorter than any runtime can carry out.
fn restless(peers: u32, seed: u64, runtime: &str) -> String {
    format!(
        "name: x\nquestion: x?\nseed: {seed}\nruntime: {runtime}\narchitecture: p2p\npeers: {peers}\n\
         file: {{ size: 2 MiB }}\nserver: {{ up: 4 mbit, down: 8 mbit }}\nlinks: {{ up: 2 mbit, down: 8 mbit }}\n\
         churn:\n  session: {{ weibull: {{ shape: 0.5, scale: 12 s }} }}\n  leave: {{ crash: 40 %, freeze: 10 % }}\n  \
         rejoin: {{ after: {{ weibull: {{ shape: 0.5, scale: 3 s }} }}, keeps: pieces, again: true }}\n\
         events:\n  quake: {{ at: 10 s, who: 50 %, what: crash, for: 100 ms }}\ntimeout: 90 s\n"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_planned_that_no_runtime_could_carry_out(peers in 1..40_u32, seed: u64) {
        let text = restless(peers, seed, "netns");
        let plan = planned(&text);
        let trial = &plan.cells[0].trials[0];
        for fate in trial.fates().into_values() {
            let mut there_from = 0;
            for absence in &fate.absences {
                prop_assert!(absence.from >= there_from, "{fate:?}");
                let Some(until) = absence.until else { continue };
                prop_assert!(until - absence.from >= absence.how.shortest(), "{fate:?}");
                there_from = until + if absence.how.ends_the_process() { plan::RESTART } else { 0 };
            }
        }
        // It is counted, and the same whatever runs it.
        prop_assert!(peers < 8 || trial.lengthened > 0);
        let docker = planned(&text.replace("netns", "docker"));
        prop_assert_eq!(&docker.cells[0].trials[0], trial);
    }

    #[test]
    fn one_more_restless_peer_changes_nobody_elses_schedule(peers in 1..40_u32, seed: u64) {
        let of = |peers| fates(&planned(&restless(peers, seed, "auto")), 0);
        let (fewer, mut more) = (of(peers), of(peers + 1));
        more.remove(&(peers + 1));
        prop_assert_eq!(fewer, more);
    }
}

#[test]
fn all_is_everybody_with_a_link_and_peers_are_the_peers_whatever_their_classes() {
    let struck = |who: &str, classes: &str, what: &str| {
        let text = format!(
            "name: x\nquestion: x?\narchitecture: p2p\npeers: 2\nfile: {{ size: 4 MiB }}\n\
             server: {{ up: 8 mbit, down: 8 mbit }}\nlinks: {{ up: 8 mbit, down: 8 mbit }}\n{classes}\
             events: {{ evening: {{ at: 1 s, who: {who}, {what} }} }}\n"
        );
        let plan = planned(&text);
        plan.cells[0].trials[0].schedule.iter().map(|event| event.node.clone()).collect::<BTreeSet<String>>()
    };
    let slower = "links: { up: 1 mbit, down: 1 mbit }";
    let classes = "classes: { a: { count: 1 }, b: { count: 1 } }\n";
    for classes in ["", classes] {
        for what in [slower, "what: crash, for: 5 s", "what: cut-off", "what: leave"] {
            assert!(struck("all", classes, what).iter().eq(["peer-1", "peer-2", "server"]), "{what}");
            assert!(struck("peers", classes, what).iter().eq(["peer-1", "peer-2"]), "{what}");
        }
    }
}

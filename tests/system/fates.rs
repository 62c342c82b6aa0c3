//! Arrivals, freezes, cuts, changing links, a silent tracker, a dead file: that what the plan says comes to pass, and that
//! every peer is accounted for whatever happens to it.

use peer_image::event::Event;
use peer_image::node::Alteration;

use crate::bench::{Bench, Done, Experiment};
use crate::engine::Engine;

/// Every event of the schedule came to pass, or did not for a reason that is no failure.
fn every_event_is_accounted_for(done: &Done) {
    for row in done.table("churn.csv") {
        let is_told = row["status"] == "executed" || (row["status"] == "skipped" && !row["why"].is_empty());
        assert!(is_told, "{row:?}");
    }
}

#[tokio::test]
async fn whatever_happens_to_a_peer_it_is_accounted_for() {
    let bench = Bench::new(&include_str!("random-churn.yaml"));
    let done = bench.run().await;
    every_event_is_accounted_for(&done);
    let trials = done.table("trials.csv");
    assert_eq!(trials.iter().filter(|row| row["attempt"] == "1").count(), 3, "{trials:?}");
    for trial in &trials {
        let ends = ["completed", "unfinishable", "timeout"];
        assert!(ends.contains(&trial["outcome"].as_str()), "no failure, and no end but these: {trial:?}");
        assert!(!trial["invalid"].contains("bound"), "no time is below its bound: {trial:?}");
    }
    let peers = done.table("peers.csv");
    assert_eq!(peers.len(), trials.len() * 30);
    for peer in &peers {
        let outcomes = [
            "completed",
            "left",
            "crashed",
            "frozen",
            "cut-off",
            "gave-up",
            "unfinishable",
            "unfinished",
            "never-started",
        ];
        assert!(outcomes.contains(&peer["outcome"].as_str()), "{peer:?}");
        assert_eq!(peer["reason"].is_empty(), peer["outcome"] == "completed", "{peer:?}");
        let ended = trials.iter().find(|it| it["repeat"] == peer["repeat"] && it["attempt"] == peer["attempt"]);
        let died = ended.is_some_and(|it| it["outcome"] == "unfinishable");
        let was_late = ended.is_some_and(|it| it["outcome"] == "timeout") && peer["reason"].contains("was up");
        // Who was waited for and is only unfinished would be one that nobody can explain.
        let is_explained = peer["outcome"] != "unfinished" || peer["to_complete"] == "false" || died || was_late;
        assert!(is_explained, "{peer:?}");
    }
}

#[tokio::test]
async fn in_containers_peers_arrive_freeze_are_cut_off_and_get_other_links() {
    let engine = Engine::shared().await;
    let more = "arrivals: { stagger: { every: 500 ms } }
events:
  frozen: { at: 4 s, who: 50 %, what: freeze, for: 1 s }
  cut: { at: 6 s, who: all, what: cut-off, for: 1 s }
  slow: { at: 2 s, who: all, links: { up: 1 mbit, down: 8 mbit }, for: 1500 ms }
  silence: { at: 1 s, who: tracker, what: leave, for: 2 s }
";
    let bench = Bench::new(&Experiment {
        name: "fates",
        who: "peers: 4",
        size: "8 MiB",
        server: "6 mbit",
        up: "4 mbit",
        more: more.to_owned(),
        ..Experiment::default()
    });
    let done = bench.run().await;
    done.ended_with(0);
    engine.assert_nothing_left(&done.id()).await;
    every_event_is_accounted_for(&done);
    let churn = done.table("churn.csv");
    for action in ["arrive", "freeze", "thaw", "cut off", "reconnect", "links", "leave"] {
        assert!(churn.iter().any(|row| row["action"] == action && row["status"] == "executed"), "{action}: {churn:?}");
    }
    let peers = done.table("peers.csv");
    assert_eq!(peers.iter().map(|row| row["arrived_s"].as_str()).collect::<Vec<_>>(), ["0", "0.5", "1", "1.5"]);
    assert!(peers.iter().all(|row| row["outcome"] == "completed"), "{peers:?}");
    let rates = done.reported("p2p-n4").into_iter().filter_map(|(_, event)| match event {
        Event::Changed { what: Alteration::Rates(link), error: None, .. } => Some(link.up),
        _ => None,
    });
    let rates: Vec<u64> = rates.collect();
    let given = |rate: u64| rates.iter().filter(|up| **up == rate).count();
    assert_eq!(given(1_000_000), 5, "all are the server, too");
    assert_eq!((given(4_000_000), given(6_000_000)), (4, 1), "they get their own back");
}

#[tokio::test]
async fn a_file_of_which_a_piece_is_nowhere_ends_its_trial_and_is_named_so() {
    let more = "runtime: netns\nevents: { gone: { at: 1 s, who: server, what: leave } }\n";
    let bench = Bench::new(&Experiment {
        name: "dead",
        architecture: "[client-server, p2p]",
        server: "4 mbit",
        more: more.to_owned(),
        ..Experiment::default()
    });
    let done = bench.run().await;
    done.ended_with(10);
    for trial in done.table("trials.csv") {
        assert_eq!((trial["outcome"].as_str(), trial["verdict"].as_str()), ("unfinishable", "failed"), "{trial:?}");
        let lost_at: f64 = trial["file_lost_at_s"].parse().unwrap_or_else(|_| panic!("{trial:?}"));
        assert!((1.0..1.5).contains(&lost_at), "when the server left: {trial:?}");
        assert_ne!(trial["pieces_lost"], "0", "{trial:?}");
    }
    for peer in done.table("peers.csv") {
        assert_eq!(peer["outcome"], "unfinishable", "{peer:?}");
        assert!(peer["reason"].contains("nowhere any more"), "{peer:?}");
    }
}

#[tokio::test]
async fn a_peer_that_would_arrive_after_the_timeout_is_refused_before_anything_starts() {
    let bench = Bench::new(&Experiment {
        name: "late",
        more: "arrivals: { stagger: { every: 10 min } }\n".to_owned(),
        ..Experiment::default()
    });
    let done = bench.run().await;
    done.ended_with(3);
    assert!(done.stderr.contains("arrivals") && done.stderr.contains("after the timeout"), "{}", done.stderr);
    assert!(done.dirs().is_empty(), "nothing is made");
}

//! Peers that do not play by the rules, that leave when they are done, and that keep what they have in other places.

use std::collections::BTreeMap;

use peer_image::event::{Event, Leave};

use crate::bench::{Bench, Experiment};
use crate::engine::Engine;

/// The name of the one peer of a class.
fn only_one(done: &crate::bench::Done, class: &str) -> String {
    let rows: Vec<_> = done.table("peers.csv").into_iter().filter(|row| row["class"] == class).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0]["node"].clone()
}

#[tokio::test]
async fn a_peer_that_uploads_damaged_blocks_is_banned_and_all_others_complete() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment {
        name: "corrupting",
        who: "classes:\n  honest: { count: 2 }\n  bad: { count: 1, behaviour: corrupting }",
        // Far less than the peers have to give each other, and for long: whoever the server serves last, and whenever
        // the bad one gets its first pieces, what it has is wanted.
        server: "2 mbit",
        ..Experiment::default()
    });
    let done = bench.run().await;
    done.ended_with(0);
    engine.assert_nothing_left(&done.id()).await;
    let bad = only_one(&done, "bad");
    let rows = done.table("peers.csv");
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["outcome"] == "completed" && row["pieces"] == "32"), "{rows:?}");
    let discarded = rows.iter().any(|row| row["discarded_bytes"] != "0");
    assert!(discarded, "what was damaged was discarded: {rows:?}");
    let banned = done.reported("p2p-n3").into_iter().filter_map(|(node, event)| match event {
        Event::Banned { neighbour, .. } => Some((node, neighbour)),
        _ => None,
    });
    let banned: Vec<(String, String)> = banned.collect();
    assert!(!banned.is_empty() && banned.iter().all(|(_, who)| *who == bad), "`{bad}` and no other: {banned:?}");
}

#[tokio::test]
async fn who_is_banned_does_not_come_back() {
    let bench = Bench::new(&Experiment {
        name: "ban",
        who: "classes:\n  honest: { count: 2 }\n  bad: { count: 5, behaviour: corrupting }",
        size: "512 KiB",
        server: "2 mbit",
        more: "runtime: netns\n".to_owned(),
        ..Experiment::default()
    });
    let done = bench.run().await;
    let mut banned: BTreeMap<(String, String), u32> = BTreeMap::new();
    for (node, event) in done.reported("p2p-n7") {
        if let Event::Banned { neighbour, .. } = event {
            *banned.entry((node, neighbour)).or_default() += 1;
        }
    }
    assert!(!banned.is_empty() && banned.values().all(|&times| times == 1), "{banned:?}");
}

#[tokio::test]
async fn a_free_rider_gives_nothing_and_still_completes() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment {
        name: "free-rider",
        who: "classes:\n  honest: { count: 3 }\n  rider: { count: 1, behaviour: free-rider }",
        ..Experiment::default()
    });
    let done = bench.run().await;
    done.ended_with(0);
    engine.assert_nothing_left(&done.id()).await;
    let rider = done.peer(&only_one(&done, "rider"));
    assert_eq!((rider["outcome"].as_str(), rider["up_bytes"].as_str()), ("completed", "0"), "{rider:?}");
    let rows = done.table("peers.csv");
    assert!(rows.iter().all(|row| row["outcome"] == "completed"), "{rows:?}");
    assert!(rows.iter().any(|row| row["class"] == "honest" && row["up_bytes"] != "0"), "{rows:?}");
}

#[tokio::test]
async fn selfish_peers_complete_and_leave_wherever_they_keep_what_they_have() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment {
        name: "selfish",
        architecture: "[client-server, p2p]",
        who: "peers: 3",
        size: "1 MiB",
        more: "storage: [none, memory, disk]\non_complete: leave".to_owned(),
        ..Experiment::default()
    });
    let done = bench.run().await;
    done.ended_with(0);
    // What was on disk was in volumes: these too are gone.
    engine.assert_nothing_left(&done.id()).await;
    let trials = done.table("trials.csv");
    assert_eq!(trials.len(), 6);
    for row in &trials {
        assert_eq!((row["outcome"].as_str(), row["completed"].as_str()), ("completed", "3"), "{row:?}");
        let reported = done.reported(&row["cell"]);
        let count = |wanted: &Event| reported.iter().filter(|(_, event)| event == wanted).count();
        assert_eq!(count(&Event::Completed { bytes: 1 << 20 }), 3, "{}", row["cell"]);
        assert!(
            count(&Event::Left { why: Leave::Completed }) >= 2,
            "all but the last have time to leave: {reported:?}"
        );
    }
}

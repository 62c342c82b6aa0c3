//! Peers that leave, are killed and come back: what was planned, what happened, and what became of each.

use std::collections::BTreeMap;

use harness::plan::{Action, Keeps, Plan};
use peer_image::event::{Event, Leave};

use crate::bench::{Bench, Done, Experiment, Row};
use crate::engine::Engine;

/// Under this seed one peer leaves and comes back, one leaves for good, two are killed and come back, and two are
/// killed for good; none has the whole file by then.
const CHURN: &str = "seed: 4
churn:
  session: { uniform: { from: 3 s, to: 5 s } }
  leave: { graceful: 50 %, crash: 50 % }
  rejoin: { after: 1 s, share: 50 %, keeps: ";

/// What is planned for each peer.
fn fates(plan: &Plan, cell: &str) -> BTreeMap<String, Vec<Action>> {
    let mut fates = BTreeMap::<String, Vec<Action>>::new();
    let cell = plan.cells.iter().find(|it| it.id == cell).expect("the cell is planned");
    for event in &cell.trials[0].schedule {
        fates.entry(event.node.clone()).or_default().push(event.action);
    }
    fates
}

/// Each peer is a row, and each row tells what the plan had for it.
fn every_peer_is_accounted_for(done: &Done, cell: &str, keeps: Keeps) {
    let fates = fates(&done.plan(), cell);
    let kinds: [&[Action]; 4] = [
        &[Action::Leave],
        &[Action::Crash],
        &[Action::Leave, Action::Rejoin(keeps)],
        &[Action::Crash, Action::Rejoin(keeps)],
    ];
    for kind in kinds {
        assert!(fates.values().any(|fate| fate == kind), "the seed gives one peer {kind:?}: {fates:?}");
    }

    let rows: Vec<Row> = done.table("peers.csv").into_iter().filter(|row| row["cell"] == cell).collect();
    assert_eq!(rows.len(), 6, "{rows:?}");
    for row in &rows {
        let fate = &fates[&row["node"]];
        let (outcome, departure) = match fate[..] {
            [Action::Leave] => ("left", "leave"),
            [Action::Crash] => ("crashed", "crash"),
            [Action::Leave, ..] => ("completed", "leave"),
            [Action::Crash, ..] => ("completed", "crash"),
            _ => panic!("{fate:?}"),
        };
        assert_eq!((row["outcome"].as_str(), row["departure"].as_str()), (outcome, departure), "{row:?}");
        assert_eq!(row["reason"].is_empty(), outcome == "completed", "who did not complete has a reason: {row:?}");
        assert_eq!(row["to_complete"] == "true", outcome == "completed", "{row:?}");
        assert_eq!(row["rejoins"], if outcome == "completed" { "1" } else { "0" }, "{row:?}");
    }

    let schedule: Vec<Row> = done.table("churn.csv").into_iter().filter(|row| row["cell"] == cell).collect();
    assert_eq!(schedule.len(), fates.values().map(Vec::len).sum::<usize>(), "{schedule:?}");
    for row in &schedule {
        assert_eq!(row["status"], "executed", "{row:?}");
        let seconds = |heading: &str| row[heading].parse::<f64>().unwrap_or_else(|_| panic!("{heading}: {row:?}"));
        assert!(seconds("actual_s") >= seconds("planned_s"), "nobody goes before it is due: {row:?}");
    }
}

/// Who came back, with how many pieces.
fn returns(done: &Done, cell: &str) -> Vec<(String, u32)> {
    let started = done.reported(cell).into_iter().filter_map(|(node, event)| match event {
        Event::Started { rejoined: true, pieces, .. } => Some((node, pieces)),
        _ => None,
    });
    started.collect()
}

#[tokio::test]
async fn in_a_swarm_who_comes_back_has_what_it_kept_and_who_keeps_nothing_begins_anew() {
    let engine = Engine::shared().await;
    let more = format!("runtime: [docker, netns]\n{CHURN}[pieces, nothing] }}");
    let bench = Bench::new(&Experiment {
        name: "churn",
        who: "peers: 6",
        size: "4 MiB",
        server: "10 mbit",
        up: "2 mbit",
        more,
        ..Experiment::default()
    });
    let done = bench.run().await;
    done.ended_with(0);
    engine.assert_nothing_left(&done.id()).await;
    for (runtime, keeps) in
        [("docker", Keeps::Pieces), ("docker", Keeps::Nothing), ("netns", Keeps::Pieces), ("netns", Keeps::Nothing)]
    {
        let kept = if keeps == Keeps::Pieces { "pieces" } else { "nothing" };
        let cell = &format!("p2p-n6-runtime-{runtime}-keeps-{kept}");
        every_peer_is_accounted_for(&done, cell, keeps);
        let returns = returns(&done, cell);
        assert_eq!(returns.len(), 3, "{returns:?}");
        let right = returns.iter().all(|(_, pieces)| (*pieces > 0) == (keeps == Keeps::Pieces));
        assert!(right, "{keeps:?}: {returns:?}");
        let goodbyes =
            done.reported(cell).into_iter().filter(|(_, event)| *event == Event::Left { why: Leave::Planned });
        assert_eq!(goodbyes.count(), 2, "who leaves says goodbye, who is killed does not");
    }
}

#[tokio::test]
async fn in_client_server_who_comes_back_goes_on_with_what_it_kept() {
    let engine = Engine::shared().await;
    let more = format!("{CHURN}pieces }}");
    let bench = Bench::new(&Experiment {
        name: "churn-cs",
        architecture: "client-server",
        who: "peers: 6",
        size: "4 MiB",
        server: "20 mbit",
        more,
        ..Experiment::default()
    });
    let done = bench.run().await;
    done.ended_with(0);
    engine.assert_nothing_left(&done.id()).await;
    every_peer_is_accounted_for(&done, "client-server-n6", Keeps::Pieces);
    let returns = returns(&done, "client-server-n6");
    assert!(returns.len() == 3 && returns.iter().all(|(_, pieces)| *pieces > 0), "{returns:?}");
}

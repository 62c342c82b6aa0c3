//! Reports, as they are read.

use super::*;
use crate::analysis::compare::Change;
use crate::analysis::fixture::{churned, plan, textbook};
use crate::analysis::summary::analyse;
use crate::plan::Architecture;
use crate::report::facts::Facts;

fn facts() -> Facts {
    let rows = [("started", "2026-11-21T04:00:00Z"), ("engine", "Docker 20.10.5"), ("kernel", "6.18.0")];
    Facts {
        rows: rows.map(|(what, value)| (what.to_owned(), value.to_owned())).into(),
        command: "harness run experiments/textbook.yaml --seed 1".to_owned(),
        ..Facts::default()
    }
}

#[test]
fn a_complete_run_is_reported() {
    insta::assert_snapshot!(report(&textbook(), &facts()));
}

#[test]
fn a_churned_run_is_reported_with_who_did_not_complete_and_why() {
    let text = report(&churned(), &facts());
    assert!(text.contains("the time (300 s) was up; it had 99 of 128 pieces"));
    insta::assert_snapshot!(text);
}

#[test]
fn a_run_without_results_says_so() {
    let text = report(&analyse(&plan(Vec::new()), []), &Facts::default());
    assert!(text.contains("No valid trial has a distribution time"));
}

#[test]
fn what_is_not_decided_is_not_ranked() {
    use crate::analysis::fixture::compared;
    let mut analysis = compared();
    assert!(report(&analysis, &facts()).contains("- quickest of 2: "));
    for row in &mut analysis.comparisons {
        row.verdict = Change::Inconclusive;
    }
    let text = report(&analysis, &facts());
    assert!(!text.contains("quickest of") && text.contains("- `p2p-n10-arm-head` (N = 10)"), "{text}");
}

#[test]
fn runtimes_are_compared_where_all_else_is_equal() {
    use crate::analysis::fixture::cell;
    use crate::plan::RuntimeName;
    let on = |runtime, peers: u32| {
        let mut cell = cell(Architecture::P2p, peers, 1);
        cell.settings.runtime = runtime;
        cell.levels = vec![format!("{runtime:?}").to_lowercase(), peers.to_string()];
        cell.id = format!("p2p-n{peers}-runtime-{}", cell.levels[0]);
        cell
    };
    let cells = vec![on(RuntimeName::Docker, 4), on(RuntimeName::Netns, 4), on(RuntimeName::Netns, 8)];
    let mut plan = plan(cells);
    plan.factors = ["runtime", "peers"].map(str::to_owned).into();
    let mut analysis = analyse(&plan, []);
    assert_eq!(analysis.parities.len(), 1, "{:?}", analysis.parities);
    analysis.parities[0].medians = Some((10.0, 10.15));
    let text = report(&analysis, &Facts::default());
    assert!(text.contains("| `p2p-n4-runtime-docker` | `p2p-n4-runtime-netns` | 10.00 | 10.15 | +1.50 % |"), "{text}");
}

#[test]
fn times_of_different_peers_are_told_to_be_that() {
    use crate::analysis::conclude::measure;
    use crate::analysis::fixture::{Log, cell};
    use crate::plan::RuntimeName;
    let mut cells = vec![cell(Architecture::ClientServer, 4, 1), cell(Architecture::P2p, 4, 1)];
    let measured = |plan: &crate::plan::Plan| {
        let of = |cell: &crate::plan::Cell| measure(cell, &cell.trials[0], &Log::complete(&cell.trials[0], 60.0).lines);
        plan.cells.iter().map(of).collect::<Vec<_>>()
    };
    let said = |plan: &crate::plan::Plan, completed| {
        let mut all = measured(plan);
        all[1].trial.completed = completed;
        let text = report(&analyse(plan, all), &Facts::default());
        let line = text.lines().find(|line| line.starts_with("- Not of the same peers")).map(str::to_owned);
        (line, text.contains("(of different peers: "))
    };
    assert_eq!(said(&plan(cells.clone()), 4), (None, false));
    let expected = |one: &str, other: &str| {
        Some(format!("- Not of the same peers: in `{one}` 100.0 % of them completed, in `{other}` 75.0 %."))
    };
    assert_eq!(said(&plan(cells.clone()), 3), (expected("client-server-n4", "p2p-n4"), true));
    for (cell, runtime) in cells.iter_mut().zip([RuntimeName::Docker, RuntimeName::Netns]) {
        *cell = fixture_on(runtime);
    }
    let mut parity = plan(cells);
    parity.factors = vec!["runtime".to_owned()];
    assert_eq!(said(&parity, 4).0, None);
    assert_eq!(said(&parity, 3).0, expected("p2p-n4-docker", "p2p-n4-netns"));
}

/// A cell that differs from others in its runtime alone.
fn fixture_on(runtime: crate::plan::RuntimeName) -> crate::plan::Cell {
    let mut cell = crate::analysis::fixture::cell(Architecture::P2p, 4, 1);
    cell.settings.runtime = runtime;
    cell.levels = vec![format!("{runtime:?}").to_lowercase()];
    cell.id = format!("p2p-n4-{}", cell.levels[0]);
    cell
}

#[test]
fn how_many_are_to_complete_is_a_range_where_repeats_differ() {
    let mut cell = crate::analysis::fixture::cell(Architecture::P2p, 4, 3);
    let row = |cell: &crate::plan::Cell| {
        let text = report(&analyse(&plan(vec![cell.clone()]), []), &Facts::default());
        text.lines().find(|line| line.starts_with("| `p2p-n4` | 4 | ")).map(str::to_owned).unwrap_or_default()
    };
    assert!(row(&cell).starts_with("| `p2p-n4` | 4 | 4 | "), "{}", row(&cell));
    cell.trials[1].nodes[2].to_complete = false;
    assert!(row(&cell).starts_with("| `p2p-n4` | 4 | 3 – 4 | "), "{}", row(&cell));
}

#[test]
fn what_is_invalid_is_in_no_table_or_figure_of_what_was_measured() {
    use crate::analysis::metrics::Verdict;
    use crate::analysis::theory::TheoryRow;
    let mut analysis = churned();
    let theory = |repeat, measured| TheoryRow {
        cell: analysis.trials[0].cell.clone(),
        repeat,
        attempt: 1,
        theory: "a theory".to_owned(),
        quantity: "leechers".to_owned(),
        predicted: Some(4.0),
        measured: Some(measured),
        ratio: Some(measured / 4.0),
        given: String::new(),
    };
    analysis.theory = vec![theory(1, 4.25), theory(2, 4.75)];
    assert!(analysis.trials[1].repeat == 2 && report(&analysis, &Facts::default()).contains("4.75"));
    let trial = &mut analysis.trials[1];
    trial.verdict = Verdict::Invalid;
    (trial.lost_bytes, trial.file_lost_at_s, trial.completion_max_s) = (77_777 << 20, Some(77_777.0), Some(77_777.0));
    (trial.churn_late_p50_s, trial.churn_late_max_s) = (Some(77.777), Some(77.777));
    // What the report derives is the same if the INVALID attempt had left no rows, but for its row among the trials.
    let mut without = analysis.clone();
    without.theory.truncate(1);
    without.churn.retain(|row| row.repeat == 1);
    without.peers.retain(|row| row.repeat == 1);
    without.population.retain(|row| row.repeat == 1);
    let text = report(&analysis, &Facts::default());
    assert!(text.contains("4.25") && !text.contains("4.75") && !text.contains("77777"), "{text}");
    assert_eq!(text, report(&without, &Facts::default()));
    assert_eq!(crate::report::svg::population(&analysis), crate::report::svg::population(&without));
}

#[test]
fn what_a_node_says_cannot_break_a_table() {
    assert_eq!(plain("Is `a_b` *that* <b>\n| slow?"), "Is \\`a\\_b\\` \\*that\\* \\<b\\> \\| slow?");
    assert_eq!(escaped("a | b\n<script>"), "a \\| b &lt;script>");
}

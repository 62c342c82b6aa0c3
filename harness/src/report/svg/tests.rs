//! The figures, as they are drawn.

use super::canvas::{INK, Label, ceiling, in_lines, spread, step};
use super::*;
use crate::analysis::fixture::{cell, churned, plan, textbook};
use crate::analysis::summary::analyse;
use crate::plan::Architecture;

#[test]
fn the_figure_over_n_shows_every_trial_and_both_bounds() {
    let figure = over_n(&textbook()).unwrap();
    insta::assert_snapshot!(figure);
}

#[test]
fn the_figure_of_completions_tells_who_did_not_complete() {
    let figure = completions(&churned()).unwrap();
    assert!(figure.contains("1 peer did not complete"), "{figure}");
    insta::assert_snapshot!(figure);
}

#[test]
fn the_same_results_give_the_same_bytes() {
    assert_eq!(over_n(&textbook()), over_n(&textbook()));
    assert_eq!(completions(&churned()), completions(&churned()));
}

#[test]
fn without_another_n_there_is_no_figure_over_n() {
    assert_eq!(over_n(&churned()), None);
}

#[test]
fn a_run_without_any_completion_still_has_figures() {
    let cells = [5, 10].map(|n| cell(Architecture::P2p, n, 1));
    let analysis = analyse(&plan(cells.into()), []);
    assert!(over_n(&analysis).unwrap().contains("no valid time"));
    assert!(completions(&analysis).unwrap().contains("no valid time"));
}

#[test]
fn a_long_name_is_broken_and_never_cut() {
    assert_eq!(in_lines("p2p-n10"), ["p2p-n10"]);
    let name = "client-server-n2-picker-rarest-first-choker-tit-for-tat";
    let lines = in_lines(name);
    assert_eq!(lines, ["client-server-n2-picker-rarest-first-", "choker-tit-for-tat"]);
    assert_eq!(lines.concat(), name);
}

#[test]
fn under_churn_the_curve_is_the_cells_own_bounds() {
    let mut cells = [4, 8].map(|n| cell(Architecture::P2p, n, 1));
    for cell in &mut cells {
        let trial = &mut cell.trials[0];
        trial.nodes[2].to_complete = false;
        let (at, node) = (1_000_000_000, trial.nodes[2].name.clone());
        trial.schedule.push(crate::plan::Event { at, node, action: crate::plan::Action::Leave });
    }
    let analysis = analyse(&plan(cells.into()), []);
    let bounds: Vec<Option<f64>> = analysis.summary.iter().map(|row| row.bound_s).collect();
    assert_eq!(analysis.over_n[0].curve.iter().map(|(_, link, _)| Some(*link)).collect::<Vec<_>>(), bounds);
}

#[test]
fn steps_are_round() {
    assert_eq!([step(35.0, 8), step(232.0, 6), step(0.07, 6)], [5.0, 50.0, 0.02]);
    assert_eq!(ceiling(232.0, 6), 250.0);
}

#[test]
fn labels_never_lie_on_each_other() {
    let label = |y| Label { y, title: String::new(), detail: String::new(), colour: INK };
    let ys: Vec<f64> = spread([400.0, 405.0, 402.0].map(label).into(), 0.0, 410.0).iter().map(|it| it.y).collect();
    assert!(ys.windows(2).all(|pair| pair[1] - pair[0] >= 38.0), "{ys:?}");
    assert!(ys[2] <= 410.0);
}

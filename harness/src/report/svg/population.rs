//! Who was there in each cell, second by second, and how many copies there were of the rarest piece.

use std::collections::BTreeSet;

use kuva::render::color::Color;
use kuva::render::layout::ComputedLayout;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use super::canvas::{
    COLOURS, FADED, INK, KEY_Y, SMALL_SIZE, TOP, WIDTH, document, heading, line, row_name, rows_frame, rows_plot, text,
};
use crate::analysis::metrics::{TrialRow, Verdict};
use crate::analysis::population::PopulationRow;
use crate::analysis::summary::{Analysis, SummaryRow};

/// Height of a cell's row, and how much of it is the scale.
const ROW: f64 = 92.0;
const SCALE: f64 = 72.0;

/// What is drawn: its colour, its width, its dashes, its name, and how to get it.
type Line = (&'static str, f64, Option<&'static str>, &'static str, fn(&PopulationRow) -> Option<f64>);

const LINES: [Line; 3] = [
    (COLOURS[0], 1.6, None, "leechers", |row| Some(f64::from(row.leechers))),
    (COLOURS[2], 1.6, None, "seeds", |row| Some(f64::from(row.seeds))),
    (INK, 1.2, Some("3 3"), "copies of the rarest piece, with the server's", |row| {
        row.rarest_piece_copies.map(f64::from)
    }),
];

/// Each trial that is not INVALID of each cell. `None` if peers come and go in no trial, so that there is nothing to see
/// that the completions do not show.
#[must_use]
pub fn population(analysis: &Analysis) -> Option<String> {
    let counts = |trial: &&TrialRow| matches!(trial.verdict, Verdict::Valid | Verdict::Failed);
    let trials: Vec<&TrialRow> = analysis.trials.iter().filter(counts).collect();
    let is_moving = |cell: &SummaryRow| {
        trials
            .iter()
            .any(|trial| trial.cell == cell.cell && (trial.churn_planned > 0 || trial.file_lost_at_s.is_some()))
    };
    let cells: Vec<SummaryRow> = analysis.summary.iter().filter(|cell| is_moving(cell)).cloned().collect();
    let standing: BTreeSet<(&str, u32, u32)> =
        trials.iter().map(|trial| (trial.cell.as_str(), trial.repeat, trial.attempt)).collect();
    let is_shown = |row: &&PopulationRow| {
        cells.iter().any(|cell| cell.cell == row.cell)
            && standing.contains(&(row.cell.as_str(), row.repeat, row.attempt))
    };
    let shown: Vec<&PopulationRow> = analysis.population.iter().filter(is_shown).collect();
    let end = f64::from(shown.iter().map(|row| row.at_s + 1).max()?);
    let frame = rows_frame(&cells, ROW);
    let (mut scene, computed) = rows_plot(&frame, &cells, end);
    heading(&mut scene, "Who was there");
    key(&mut scene, frame.left);
    let right = WIDTH - frame.right;
    for (i, cell) in cells.iter().enumerate() {
        let middle = computed.map_y(cells.len() as f64 - i as f64 - 0.5);
        row_name(&mut scene, &frame, &cell.cell, middle);
        let own: Vec<&PopulationRow> = shown.iter().filter(|row| row.cell == cell.cell).copied().collect();
        let values = own.iter().flat_map(|row| LINES.iter().filter_map(|line| line.4(row)));
        let top = values.fold(1.0, f64::max);
        let at = |value: f64| middle + SCALE / 2.0 - SCALE * value / top;
        for value in [0.0, top] {
            line(&mut scene, (frame.left, at(value)), (right, at(value)), "#e4e4e4", 1.0, None);
            let label = format!("{value:.0}");
            text(&mut scene, (right + 4.0, at(value) + 4.0), &label, SMALL_SIZE, false, FADED, TextAnchor::Start);
        }
        for trial in trials.iter().filter(|trial| trial.cell == cell.cell) {
            let rows: Vec<&&PopulationRow> =
                own.iter().filter(|row| (row.repeat, row.attempt) == (trial.repeat, trial.attempt)).collect();
            for shape in &LINES {
                curve(&mut scene, &rows, shape, at, &computed);
            }
        }
        let (x, y) = (right + 30.0, middle + 4.0);
        let time = cell.download_mean_s.map_or("nobody completed".to_owned(), |time| format!("download {time:.1} s"));
        text(&mut scene, (x, y), &time, SMALL_SIZE, false, INK, TextAnchor::Start);
    }
    Some(document(&scene, "How many leechers and seeds were there over time, and how many copies of the rarest piece"))
}

fn curve(
    scene: &mut Scene,
    rows: &[&&PopulationRow],
    (colour, width, dashes, _, value): &Line,
    at: impl Fn(f64) -> f64,
    computed: &ComputedLayout,
) {
    // A count stays what it is until the next second.
    let values = rows.iter().filter_map(|row| Some((row.at_s, value(row)?)));
    let points: Vec<(f64, f64)> = values
        .flat_map(|(second, value)| [0, 1].map(|more| (computed.map_x(f64::from(second + more)), at(value))))
        .collect();
    if !points.is_empty() {
        let stroke_dasharray = dashes.map(str::to_owned);
        scene.add(Primitive::PolyLine { points, stroke: Color::from(*colour), stroke_width: *width, stroke_dasharray });
    }
}

fn key(scene: &mut Scene, left: f64) {
    let (mut x, y) = (left, KEY_Y);
    for (colour, width, dashes, name, _) in &LINES {
        line(scene, (x, y - 4.0), (x + 20.0, y - 4.0), colour, *width, *dashes);
        text(scene, (x + 26.0, y), name, SMALL_SIZE, false, INK, TextAnchor::Start);
        x += 48.0 + 6.6 * name.chars().count() as f64;
    }
    text(scene, (WIDTH - 140.0, TOP - 8.0), "mean, own arrival", SMALL_SIZE, false, FADED, TextAnchor::Start);
}

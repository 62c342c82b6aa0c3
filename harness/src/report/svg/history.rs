//! The nights of each cell: how long it took in each, the level that they keep, and when that changed.

use std::sync::Arc;

use kuva::render::layout::{ComputedLayout, TickFormat};
use kuva::render::render::{Scene, TextAnchor};

use super::canvas::{
    COLOURS, FADED, Frame, INK, KEY_Y, SMALL_SIZE, TOP, WARNING, WIDTH, axes, document, dot, heading, line, plot,
    row_name, rows_frame_of, text,
};
use crate::analysis::changes::WINDOW;
use crate::analysis::history::NightRow;
use crate::analysis::summary::Analysis;

/// Height of a cell's row, and how much of it is the scale.
const ROW: f64 = 118.0;
const SCALE: f64 = 78.0;
/// The least that a row's scale spans, of the level: noise is not to look like news.
const SPAN: f64 = 0.1;
const BASELINE: &str = "3 3";

/// Every cell that has at least two nights. `None` if none has.
#[must_use]
pub fn history(analysis: &Analysis) -> Option<String> {
    let of_cell = |cell: &str| analysis.nights.iter().filter(|row| row.cell == cell).collect::<Vec<_>>();
    let mut cells: Vec<&str> = analysis.nights.iter().map(|row| row.cell.as_str()).collect();
    cells.dedup();
    let cells: Vec<(&str, Vec<&NightRow>)> =
        cells.into_iter().map(|cell| (cell, of_cell(cell))).filter(|(_, nights)| nights.len() > 1).collect();
    if cells.is_empty() {
        return None;
    }
    // Cells need not have the same nights: the axis has every night of any cell, in their order.
    let mut all: Vec<(&str, &str)> =
        cells.iter().flat_map(|(_, nights)| nights).map(|row| (row.at.as_str(), row.run.as_str())).collect();
    all.sort_unstable();
    all.dedup();
    let shown = &all[all.len().saturating_sub(WINDOW)..];

    let frame = Frame { right: 210.0, ..rows_frame_of(&cells.iter().map(|(cell, _)| *cell).collect::<Vec<_>>(), ROW) };
    let days: Vec<String> = shown.iter().map(|(at, _)| at.get(5..10).unwrap_or_default().to_owned()).collect();
    let day = move |x: f64| match x.fract() == 0.0 && x >= 0.0 {
        true => days.get(x as usize).cloned().unwrap_or_default(),
        false => String::new(),
    };
    let layout = axes(&frame, (-0.7, shown.len() as f64 - 0.3), cells.len() as f64)
        .with_x_label("nights, by month and day; the last is this one")
        .with_x_tick_step((shown.len() as f64 / 10.0).ceil())
        .with_x_tick_format(TickFormat::Custom(Arc::new(day)))
        .with_y_tick_step(1.0)
        .with_y_tick_format(TickFormat::Custom(Arc::new(|_| String::new())));
    let (mut scene, computed) = plot(&layout);
    heading(&mut scene, "The nights, and when they changed");
    key(&mut scene, frame.left);
    for (i, (cell, nights)) in cells.iter().enumerate() {
        let middle = computed.map_y(cells.len() as f64 - i as f64 - 0.5);
        row_name(&mut scene, &frame, cell, middle);
        let placed: Vec<(f64, &NightRow)> = nights
            .iter()
            .filter_map(|row| {
                let at = shown.iter().position(|night| *night == (row.at.as_str(), row.run.as_str()))?;
                Some((at as f64, *row))
            })
            .collect();
        row(&mut scene, &placed, middle, &frame, &computed);
    }
    Some(document(&scene, "How long each cell took night by night, with the level of the nights and its changes"))
}

fn row(scene: &mut Scene, nights: &[(f64, &NightRow)], middle: f64, frame: &Frame, computed: &ComputedLayout) {
    let Some((_, tonight)) = nights.last() else { return };
    let right = WIDTH - frame.right;
    let times = nights.iter().flat_map(|(_, row)| [row.least_s, row.most_s, row.baseline_s.unwrap_or(row.level_s)]);
    let (least, most) = times.fold((f64::INFINITY, 0.0_f64), |(least, most), it| (least.min(it), most.max(it)));
    let missing = ((tonight.level_s * SPAN - (most - least)) / 2.0).max(0.0);
    let (least, most) = (least - missing, most + missing);
    let at = |seconds: f64| middle + SCALE / 2.0 - SCALE * (seconds - least) / (most - least);
    for value in [least, most] {
        line(scene, (frame.left, at(value)), (right, at(value)), "#e4e4e4", 1.0, None);
        let label = format!("{value:.2} s");
        text(scene, (right + 4.0, at(value) + 4.0), &label, SMALL_SIZE, false, FADED, TextAnchor::Start);
    }
    if let Some(baseline) = tonight.baseline_s {
        line(scene, (frame.left, at(baseline)), (right, at(baseline)), INK, 1.2, Some(BASELINE));
    }
    // The last night of a level reaches halfway to the next one, where the change is.
    for (i, (x, row)) in nights.iter().enumerate() {
        let halfway =
            |other: Option<&(f64, &NightRow)>, end: f64| other.map_or(x + end, |(there, _)| (x + there) / 2.0);
        let before = i.checked_sub(1).map(|before| &nights[before]);
        let from = halfway(before, -0.5);
        let to = halfway(nights.get(i + 1), 0.5);
        let y = at(row.level_s);
        line(scene, (computed.map_x(from), y), (computed.map_x(to), y), COLOURS[1], 2.0, None);
        if let Some((_, before)) = before.filter(|(_, before)| before.level_s != row.level_s) {
            change(scene, computed.map_x(from), frame, middle, before, row);
        }
    }
    for (x, row) in nights {
        let x = computed.map_x(*x);
        line(scene, (x, at(row.least_s)), (x, at(row.most_s)), FADED, 1.0, None);
        dot(scene, (x, at(row.median_s)), 3.0, COLOURS[0], 1.0);
    }
    let x = right + 72.0;
    let now = format!("{:.2} s", tonight.median_s);
    text(scene, (x, middle - 3.0), &now, SMALL_SIZE, true, INK, TextAnchor::Start);
    if let Some(baseline) = tonight.baseline_s {
        let against = format!("{} vs baseline", signed(tonight.median_s / baseline));
        text(scene, (x, middle + 13.0), &against, SMALL_SIZE, false, INK, TextAnchor::Start);
    }
}

/// Where the level changed, by how much, and the first commit that has it.
fn change(scene: &mut Scene, x: f64, frame: &Frame, middle: f64, before: &NightRow, after: &NightRow) {
    const HALF: f64 = 72.0;
    let (top, bottom) = (middle - SCALE / 2.0, middle + SCALE / 2.0);
    let ratio = after.level_s / before.level_s;
    let colour = if ratio > 1.0 { WARNING } else { COLOURS[2] };
    line(scene, (x, top - 6.0), (x, bottom + 6.0), colour, 1.6, Some("2 2"));
    let commit = after.commit.get(..7).map(|commit| format!(" at {commit}")).unwrap_or_default();
    let label = format!("{}{commit}", signed(ratio));
    let at = x.clamp(frame.left + HALF, WIDTH - frame.right - HALF);
    text(scene, (at, top - 9.0), &label, SMALL_SIZE, true, colour, TextAnchor::Middle);
}

fn signed(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

fn key(scene: &mut Scene, left: f64) {
    let (x, y) = (left, KEY_Y);
    line(scene, (x + 6.0, y - 13.0), (x + 6.0, y + 5.0), FADED, 1.0, None);
    dot(scene, (x + 6.0, y - 4.0), 3.0, COLOURS[0], 1.0);
    text(scene, (x + 16.0, y), "median, least to largest", SMALL_SIZE, false, INK, TextAnchor::Start);
    let x = x + 176.0;
    line(scene, (x, y - 4.0), (x + 22.0, y - 4.0), COLOURS[1], 2.0, None);
    text(scene, (x + 28.0, y), "level", SMALL_SIZE, false, INK, TextAnchor::Start);
    let x = x + 78.0;
    line(scene, (x + 4.0, y - 13.0), (x + 4.0, y + 5.0), WARNING, 1.6, Some("2 2"));
    text(scene, (x + 14.0, y), "change of level", SMALL_SIZE, false, INK, TextAnchor::Start);
    let x = x + 122.0;
    line(scene, (x, y - 4.0), (x + 22.0, y - 4.0), INK, 1.2, Some(BASELINE));
    text(scene, (x + 28.0, y), "baseline", SMALL_SIZE, false, INK, TextAnchor::Start);
    text(scene, (WIDTH - 138.0, TOP - 8.0), "this night", SMALL_SIZE, false, FADED, TextAnchor::Start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{nightly, textbook};

    #[test]
    fn every_night_is_shown_and_when_it_changed() {
        let figure = history(&nightly()).unwrap();
        assert!(figure.contains("+10.0 % at c800000"), "{figure}");
        insta::assert_snapshot!(figure);
    }

    #[test]
    fn one_night_is_no_history() {
        assert_eq!(history(&textbook()), None);
        let mut one = nightly();
        one.nights.drain(1..);
        assert_eq!(history(&one), None);
    }

    #[test]
    fn an_older_night_than_the_window_is_left_out() {
        let mut long = nightly();
        let first = long.nights[0].clone();
        for i in 0..WINDOW {
            let at = format!("2027-01-01T00:{i:02}:00Z");
            long.nights.push(NightRow { run: format!("later-{i}"), at, ..first.clone() });
        }
        let figure = history(&long).unwrap();
        assert!(!figure.contains(">11-02<") && figure.contains(">01-01<"), "{figure}");
    }
}

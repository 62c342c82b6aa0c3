//! Each arm against its base: by how much longer it takes, and how sure that is, beside what would be a regression.

use kuva::render::color::Color;
use kuva::render::layout::TickFormat;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use super::canvas::{
    COLOURS, FADED, Frame, INK, KEY_Y, SMALL_SIZE, TOP, WARNING, WIDTH, axes, document, heading, line, plot, row_name,
    rows_frame_of, square, step, text,
};
use crate::analysis::compare::{Change, ComparisonRow};
use crate::analysis::summary::Analysis;

const ROW: f64 = 46.0;
/// What lies between the margins.
const EQUAL: &str = "#e8f1ec";

/// The ratios of all comparisons as a forest of intervals. `None` if nothing could be compared.
#[must_use]
pub fn ratios(analysis: &Analysis) -> Option<String> {
    let rows = &analysis.comparisons;
    rows.iter().find(|row| row.ratio.is_some())?;
    let names: Vec<String> = rows.iter().map(name).collect();
    let frame = Frame { right: 250.0, ..rows_frame_of(&names.iter().map(String::as_str).collect::<Vec<_>>(), ROW) };
    let margin = rows.iter().map(|row| row.max_worse_share).fold(0.0, f64::max);
    let ends = rows.iter().flat_map(|row| [row.low_ratio, row.high_ratio, row.ratio]).flatten();
    let farthest = ends.map(|ratio| (ratio - 1.0).abs()).fold(margin, f64::max) * 100.0;
    let tick = step(farthest, 4);
    let end = (farthest * 1.08 / tick).ceil() * tick;
    let layout = axes(&frame, (-end, end), rows.len() as f64)
        .with_x_label("how much longer than the base, %")
        .with_x_tick_step(tick)
        .with_y_tick_step(1.0)
        .with_y_tick_format(TickFormat::Custom(std::sync::Arc::new(|_| String::new())));
    let (mut scene, computed) = plot(&layout);
    heading(&mut scene, "How much longer it takes");
    key(&mut scene, frame.left);
    let percent = |ratio: f64| computed.map_x((ratio - 1.0) * 100.0);
    for (i, row) in rows.iter().enumerate() {
        let middle = computed.map_y(rows.len() as f64 - i as f64 - 0.5);
        let (from, to) = (percent(1.0 / (1.0 + row.max_worse_share)), percent(1.0 + row.max_worse_share));
        area(&mut scene, (from, middle - ROW / 2.0), (to - from, ROW), EQUAL);
        for x in [from, to] {
            line(&mut scene, (x, middle - ROW / 2.0), (x, middle + ROW / 2.0), FADED, 1.0, Some("3 3"));
        }
        line(&mut scene, (percent(1.0), middle - ROW / 2.0), (percent(1.0), middle + ROW / 2.0), INK, 1.0, None);
        row_name(&mut scene, &frame, &names[i], middle);
        let colour = colour(row.verdict);
        if let Some((low, high)) = row.low_ratio.zip(row.high_ratio) {
            line(&mut scene, (percent(low), middle), (percent(high), middle), colour, 2.2, None);
            for x in [percent(low), percent(high)] {
                line(&mut scene, (x, middle - 6.0), (x, middle + 6.0), colour, 2.2, None);
            }
        }
        if let Some(ratio) = row.ratio {
            square(&mut scene, (percent(ratio), middle), colour);
        }
        let x = WIDTH - frame.right + 12.0;
        text(&mut scene, (x, middle - 3.0), &row.verdict.to_string(), SMALL_SIZE, true, colour, TextAnchor::Start);
        text(&mut scene, (x, middle + 13.0), &told(row), SMALL_SIZE, false, INK, TextAnchor::Start);
    }
    Some(document(&scene, "By how much longer each arm takes than its base, with the interval of that ratio"))
}

/// The cell; and what it is compared with, if that is no other arm.
fn name(row: &ComparisonRow) -> String {
    match row.is_of_arms() {
        true => row.cell.clone(),
        false => format!("{}, {}", row.cell, row.base.to_string().replace('`', "")),
    }
}

/// `+9.8 % [+9.1, +10.5], 7 pairs`.
fn told(row: &ComparisonRow) -> String {
    let signed = |ratio: f64| format!("{:+.1}", (ratio - 1.0) * 100.0);
    let what = if row.pairs == 1 { row.counted().trim_end_matches('s') } else { row.counted() };
    let pairs = format!("{} {what}", row.pairs);
    match (row.ratio, row.low_ratio.zip(row.high_ratio)) {
        (Some(ratio), Some((low, high))) => {
            format!("{} % [{}, {}], {pairs}", signed(ratio), signed(low), signed(high))
        }
        _ => pairs,
    }
}

fn colour(change: Change) -> &'static str {
    match change {
        Change::Regressed | Change::NoData => WARNING,
        Change::Improved => COLOURS[1],
        Change::Equivalent => COLOURS[2],
        Change::Inconclusive => FADED,
        Change::Acknowledged => COLOURS[4],
    }
}

fn area(scene: &mut Scene, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
    let fill = Color::from(fill);
    scene.add(Primitive::Rect { x, y, width, height, fill, stroke: None, stroke_width: None, opacity: None });
}

fn key(scene: &mut Scene, left: f64) {
    let (x, y) = (left, KEY_Y);
    square(scene, (x + 6.0, y - 4.0), INK);
    line(scene, (x - 8.0, y - 4.0), (x + 20.0, y - 4.0), INK, 2.2, None);
    text(scene, (x + 28.0, y), "mean ratio, and where it lies", SMALL_SIZE, false, INK, TextAnchor::Start);
    let x = x + 262.0;
    area(scene, (x, y - 12.0), (26.0, 14.0), EQUAL);
    text(scene, (x + 32.0, y), "no change that matters", SMALL_SIZE, false, INK, TextAnchor::Start);
    text(scene, (WIDTH - 238.0, TOP - 8.0), "verdict", SMALL_SIZE, false, FADED, TextAnchor::Start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{compared, textbook};

    #[test]
    fn every_comparison_has_its_row_and_its_verdict() {
        let figure = ratios(&compared()).unwrap();
        assert!(figure.contains("regressed") && figure.contains("p2p-n10-arm-head"), "{figure}");
        insta::assert_snapshot!(figure);
        assert_eq!(ratios(&textbook()), None);
    }
}

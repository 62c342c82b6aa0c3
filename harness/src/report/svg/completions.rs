//! When the peers of each cell completed.

use kuva::render::render::TextAnchor;

use super::canvas::{
    FADED, INK, KEY_Y, SMALL_SIZE, TOP, WIDTH, bound_key, colour_of, document, heading, rows_frame, rows_plot, steps,
    strip, text,
};
use crate::analysis::summary::Analysis;

/// When the peers of each cell completed: its distribution function as a row of steps, all repeats together, beside the
/// cell's bound. `None` if there is no cell.
#[must_use]
pub fn completions(analysis: &Analysis) -> Option<String> {
    const ROW: f64 = 52.0;
    let cells = &analysis.summary;
    let times = analysis.distribution.iter().map(|step| step.completed_at_s);
    let end = times.chain(cells.iter().filter_map(|cell| cell.bound_payload_s)).fold(0.0, f64::max);
    if cells.is_empty() || end <= 0.0 {
        return None;
    }
    let frame = rows_frame(cells, ROW);
    let (mut scene, computed) = rows_plot(&frame, cells, end);
    heading(&mut scene, "When the peers had the whole file");
    let (x, y) = (frame.left, KEY_Y);
    let stair = vec![(x, y + 2.0), (x + 9.0, y + 2.0), (x + 9.0, y - 10.0), (x + 20.0, y - 10.0)];
    steps(&mut scene, stair, INK);
    text(&mut scene, (x + 26.0, y), "share of the peers, 0 to 1", SMALL_SIZE, false, INK, TextAnchor::Start);
    bound_key(&mut scene, x + 210.0, y);
    let column = (WIDTH - frame.right + 12.0, TOP - 8.0);
    text(&mut scene, column, "last peer, median", SMALL_SIZE, false, FADED, TextAnchor::Start);
    for (i, cell) in cells.iter().enumerate() {
        let middle = computed.map_y(cells.len() as f64 - i as f64 - 0.5);
        strip(&mut scene, analysis, cell, colour_of(cells, cell), middle, &frame, &computed);
    }
    Some(document(&scene, "When the peers of each cell had the whole file, as a distribution, beside the cell's bound"))
}

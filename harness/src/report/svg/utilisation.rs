//! How full the upload links of each cell were, second by second, and why the peers' were not.

use kuva::render::color::Color;
use kuva::render::layout::ComputedLayout;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use super::canvas::{
    COLOURS, FADED, INK, KEY_Y, SMALL_SIZE, TOP, WIDTH, document, heading, line, row_name, rows_frame, rows_plot, text,
};
use crate::analysis::flows::UtilisationRow;
use crate::analysis::summary::Analysis;

/// Height of a cell's row, and how much of it is the scale from 0 to 1.
const ROW: f64 = 92.0;
const SCALE: f64 = 72.0;
const SERVER: &str = COLOURS[0];
const PEERS: &str = COLOURS[5];
/// Idle upload time, by cause: nobody wanted anything, all who did were choked, nobody asked.
const IDLE: [(&str, &str); 3] =
    [("#e3e3e3", "idle: nobody wants it"), ("#bdbdbd", "idle: choked"), ("#8c8c8c", "idle: not asked")];

/// The mean over a cell's valid trials, one row per cell. `None` if no trial is valid.
#[must_use]
pub fn utilisation(analysis: &Analysis) -> Option<String> {
    let has = |cell: &&crate::analysis::summary::SummaryRow| analysis.usual.iter().any(|row| row.cell == cell.cell);
    let cells: Vec<_> = analysis.summary.iter().filter(has).cloned().collect();
    let end = f64::from(analysis.usual.iter().map(|row| row.from_s + 1).max()?);
    let frame = rows_frame(&cells, ROW);
    let (mut scene, computed) = rows_plot(&frame, &cells, end);
    heading(&mut scene, "How full the upload links were");
    key(&mut scene, frame.left);
    for (i, cell) in cells.iter().enumerate() {
        let middle = computed.map_y(cells.len() as f64 - i as f64 - 0.5);
        row_name(&mut scene, &frame, &cell.cell, middle);
        let seconds: Vec<&UtilisationRow> = analysis.usual.iter().filter(|row| row.cell == cell.cell).collect();
        let right = WIDTH - frame.right;
        for (share, label) in [(0.0, "0"), (1.0, "1")] {
            let y = at(middle, share);
            line(&mut scene, (frame.left, y), (right, y), "#e4e4e4", 1.0, None);
            text(&mut scene, (right + 4.0, y + 4.0), label, SMALL_SIZE, false, FADED, TextAnchor::Start);
        }
        // The last second ends with the longest trial.
        let end = cell.distribution_time_max_s.unwrap_or(f64::INFINITY);
        peers(&mut scene, &seconds, end, middle, &computed);
        server(&mut scene, &seconds, end, middle, &computed);
        let words = means(&seconds, end);
        for (i, words) in words.iter().enumerate() {
            let y = middle + 4.0 + (i as f64 - (words.len().min(2) - 1) as f64 / 2.0) * 16.0;
            text(&mut scene, (right + 20.0, y), words, SMALL_SIZE, false, INK, TextAnchor::Start);
        }
    }
    Some(document(&scene, "How full the upload links of each cell were over time, and why those of the peers were not"))
}

/// Where a share lies in a row.
fn at(middle: f64, share: f64) -> f64 {
    middle + SCALE / 2.0 - SCALE * share.clamp(0.0, 1.1)
}

/// When the second of a row ends.
fn until(row: &UtilisationRow, end: f64) -> f64 {
    f64::from(row.from_s + 1).min(end)
}

/// What the peers sent, from below, and why they did not, from above: one bar per second.
fn peers(scene: &mut Scene, seconds: &[&UtilisationRow], end: f64, middle: f64, computed: &ComputedLayout) {
    let mut bars = Bars::default();
    for row in seconds {
        let (left, right) = (computed.map_x(f64::from(row.from_s)), computed.map_x(until(row, end)));
        bars.add(left, right, at(middle, row.peers_up_share.unwrap_or(0.0)), at(middle, 0.0), PEERS);
        let causes = [row.peers_idle_uninterested_share, row.peers_idle_choked_share, row.peers_idle_unrequested_share];
        let mut top = 1.0;
        for (share, (colour, _)) in causes.into_iter().zip(IDLE) {
            let share = share.unwrap_or(0.0);
            bars.add(left, right, at(middle, top), at(middle, top - share), colour);
            top -= share;
        }
    }
    bars.draw(scene);
}

fn server(scene: &mut Scene, seconds: &[&UtilisationRow], end: f64, middle: f64, computed: &ComputedLayout) {
    let mut points = Vec::new();
    for row in seconds {
        let y = at(middle, row.server_up_share.unwrap_or(0.0));
        points.extend([f64::from(row.from_s), until(row, end)].map(|at| (computed.map_x(at), y)));
    }
    scene.add(Primitive::PolyLine { points, stroke: Color::from(SERVER), stroke_width: 1.6, stroke_dasharray: None });
}

/// The shares over the whole time, in words.
fn means(seconds: &[&UtilisationRow], end: f64) -> [String; 2] {
    let mean = |of: fn(&UtilisationRow) -> Option<f64>| {
        // Who was not there sent nothing.
        let parts = seconds.iter().map(|row| (of(row).unwrap_or(0.0), until(row, end) - f64::from(row.from_s)));
        let (carried, time) = parts.fold((0.0, 0.0), |sum, (share, time)| (sum.0 + share * time, sum.1 + time));
        if time > 0.0 { carried / time } else { 0.0 }
    };
    [
        format!("server {:.0} %", mean(|row| row.server_up_share) * 100.0),
        format!("peers {:.0} %", mean(|row| row.peers_up_share) * 100.0),
    ]
}

fn key(scene: &mut Scene, left: f64) {
    let y = KEY_Y;
    line(scene, (left, y - 4.0), (left + 20.0, y - 4.0), SERVER, 1.6, None);
    text(scene, (left + 26.0, y), "server", SMALL_SIZE, false, INK, TextAnchor::Start);
    let mut x = left + 84.0;
    for (colour, words) in [(PEERS, "peers")].into_iter().chain(IDLE) {
        let mut bar = Bars::default();
        bar.add(x, x + 12.0, y - 10.0, y + 2.0, colour);
        bar.draw(scene);
        text(scene, (x + 17.0, y), words, SMALL_SIZE, false, INK, TextAnchor::Start);
        x += 34.0 + 6.6 * words.chars().count() as f64;
    }
    let column = (WIDTH - 170.0 + 20.0, TOP - 8.0);
    text(scene, column, "over the whole time", SMALL_SIZE, false, FADED, TextAnchor::Start);
}

/// Rectangles that are drawn together.
#[derive(Default)]
struct Bars {
    x: Vec<f64>,
    y: Vec<f64>,
    w: Vec<f64>,
    h: Vec<f64>,
    fills: Vec<Color>,
}

impl Bars {
    fn add(&mut self, left: f64, right: f64, top: f64, bottom: f64, colour: &str) {
        if bottom - top > 0.05 {
            self.x.push(left);
            self.y.push(top);
            // Without a gap, and without a seam where a viewer blends the edges.
            self.w.push(right - left + 0.2);
            self.h.push(bottom - top);
            self.fills.push(Color::from(colour));
        }
    }

    fn draw(self, scene: &mut Scene) {
        let Self { x, y, w, h, fills } = self;
        scene.add(Primitive::RectBatch { x, y, w, h, fills });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{churned, textbook};

    #[test]
    fn part_of_a_second_counts_as_part_of_one() {
        let row = |from_s, share| UtilisationRow {
            from_s,
            server_up_share: Some(share),
            ..textbook().usual.first().expect("it has seconds").clone()
        };
        let words = means(&[&row(0, 1.0), &row(1, 1.0), &row(2, 0.0)], 2.5);
        assert_eq!(words[0], "server 80 %");
    }

    #[test]
    fn a_row_per_cell_with_a_valid_trial() {
        let figure = utilisation(&textbook()).expect("its trials are valid");
        for cell in textbook().summary {
            assert!(figure.contains(&cell.cell), "{}", cell.cell);
        }
        let mut none = churned();
        none.usual.clear();
        assert_eq!(utilisation(&none), None);
    }

    #[test]
    fn a_share_lies_on_the_rows_scale() {
        assert_eq!([0.0, 0.5, 1.0].map(|share| at(100.0, share)), [136.0, 100.0, 64.0]);
    }
}

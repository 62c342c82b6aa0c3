//! The textbook's figure, measured: the distribution time over N beside its bound.

use kuva::render::color::Color;
use kuva::render::layout::ComputedLayout;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use super::canvas::{
    BOTTOM, COLOURS, DASHES, DOT, FADED, Frame, INK, KEY_Y, SMALL_SIZE, TEXT_SIZE, TOP, WIDTH, axes, bound_key,
    ceiling, document, dot, end_label, heading, line, plot, ring, spread, square, step, text,
};
use crate::analysis::summary::{Analysis, Series};

/// The textbook's figure, measured: D over N. `None` if N does not vary.
#[must_use]
pub fn over_n(analysis: &Analysis) -> Option<String> {
    let series = &analysis.over_n;
    let largest = series.iter().flat_map(|one| &one.points).map(|point| point.peers).max()?;
    let times = series.iter().flat_map(|one| &one.points).flat_map(|point| &point.times).copied();
    let bounds = series.iter().flat_map(|one| &one.curve).map(|(.., payload)| *payload);
    let top = times.chain(bounds).fold(0.0, f64::max);
    let longest = series.iter().map(|one| one.label.chars().count()).max().unwrap_or(0);
    let right = (28.0 + 8.4 * longest as f64).clamp(190.0, 400.0);
    let frame = Frame { height: 520.0, left: 72.0, right, top: TOP, bottom: BOTTOM };
    let layout = axes(&frame, (0.0, f64::from(largest) * 1.03), ceiling(top, 6))
        .with_x_label("N, peers")
        .with_y_label("distribution time, s")
        .with_x_tick_step(step(f64::from(largest), 8).max(1.0))
        .with_y_tick_step(step(top, 6));
    let (mut scene, computed) = plot(&layout);
    for (i, one) in series.iter().enumerate() {
        curves(&mut scene, one, i, &computed);
    }
    for (i, one) in series.iter().enumerate() {
        measured(&mut scene, one, i, &computed);
    }

    heading(&mut scene, "Distribution time over the number of peers");
    key_over_n(&mut scene, &frame);
    let labels = series.iter().enumerate().filter_map(|(i, one)| end_label(one, i, &computed)).collect();
    for label in spread(labels, frame.top, frame.height - frame.bottom) {
        let x = WIDTH - frame.right + 12.0;
        text(&mut scene, (x, label.y - 2.0), &label.title, TEXT_SIZE, true, label.colour, TextAnchor::Start);
        text(&mut scene, (x, label.y + 14.0), &label.detail, SMALL_SIZE, false, FADED, TextAnchor::Start);
    }
    Some(document(&scene, "Distribution time over the number of peers, measured points over bound curves"))
}

/// The two bounds of one series.
pub(super) fn curves(scene: &mut Scene, series: &Series, index: usize, computed: &ComputedLayout) {
    let stroke = || Color::from(COLOURS[index % COLOURS.len()]);
    let points = |of: fn(&(u32, f64, f64)) -> f64| -> Vec<(f64, f64)> {
        let place = |point: &(u32, f64, f64)| (computed.map_x(f64::from(point.0)), computed.map_y(of(point)));
        series.curve.iter().map(place).collect()
    };
    let (link, payload) = (points(|it| it.1), points(|it| it.2));
    let stroke_dasharray = Some(DASHES.to_owned());
    scene.add(Primitive::PolyLine { points: link, stroke: stroke(), stroke_width: 1.0, stroke_dasharray });
    scene.add(Primitive::PolyLine { points: payload, stroke: stroke(), stroke_width: 1.8, stroke_dasharray: None });
}

/// The measured points of one series: whiskers, the median as a ring, each trial as a dot in it or beside it.
pub(super) fn measured(scene: &mut Scene, series: &Series, index: usize, computed: &ComputedLayout) {
    let colour = COLOURS[index % COLOURS.len()];
    for point in &series.points {
        let Some((least, median, most)) = point.spread() else { continue };
        let x = computed.map_x(f64::from(point.peers));
        whisker(scene, x, computed.map_y(least), computed.map_y(most), colour);
        // Where the colours begin anew, another shape tells the series apart.
        match index / COLOURS.len() {
            0 => ring(scene, (x, computed.map_y(median)), colour),
            _ => square(scene, (x, computed.map_y(median)), colour),
        }
        for time in &point.times {
            dot(scene, (x, computed.map_y(*time)), DOT, colour, 0.6);
        }
    }
}

pub(super) fn whisker(scene: &mut Scene, x: f64, low: f64, high: f64, colour: &str) {
    line(scene, (x, low), (x, high), colour, 1.2, None);
    for end in [low, high] {
        line(scene, (x - 4.0, end), (x + 4.0, end), colour, 1.2, None);
    }
}

pub(super) fn key_over_n(scene: &mut Scene, frame: &Frame) {
    let (x, y) = (frame.left, KEY_Y);
    whisker(scene, x + 6.0, y - 13.0, y + 5.0, INK);
    ring(scene, (x + 6.0, y - 4.0), INK);
    text(scene, (x + 18.0, y), "measured: median, least to largest", SMALL_SIZE, false, INK, TextAnchor::Start);
    let x = x + 246.0;
    dot(scene, (x + 6.0, y - 4.0), DOT, INK, 0.6);
    text(scene, (x + 14.0, y), "one trial", SMALL_SIZE, false, INK, TextAnchor::Start);
    bound_key(scene, x + 92.0, y);
}

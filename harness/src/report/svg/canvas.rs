//! What all figures are drawn with: the canvas, its axes, colours and marks.

use kuva::backend::svg::SvgBackend;
use kuva::render::axis::{add_axes_and_grid, add_labels_and_title};
use kuva::render::color::Color;
use kuva::render::layout::{ComputedLayout, Layout, TickFormat};
use kuva::render::render::{Primitive, Scene, TextAnchor};
use kuva::render::theme::Theme;

use crate::analysis::metrics::Verdict;
use crate::analysis::summary::{Analysis, Series, SummaryRow};

/// Okabe & Ito 2008, those with enough contrast on white first.
pub(super) const COLOURS: [&str; 7] = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444"];
pub(super) const INK: &str = "#222222";
pub(super) const FADED: &str = "#666666";
pub(super) const WARNING: &str = "#b00020";
pub(super) const FONT: &str = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";
pub(super) const WIDTH: f64 = 880.0;
pub(super) const TITLE_SIZE: u32 = 18;
pub(super) const TEXT_SIZE: u32 = 13;
pub(super) const SMALL_SIZE: u32 = 12;
pub(super) const KEY_Y: f64 = 60.0;
pub(super) const TOP: f64 = 88.0;
pub(super) const BOTTOM: f64 = 58.0;
pub(super) const DOT: f64 = 2.4;
/// Letters of a cell's name on one line.
pub(super) const NAME: usize = 38;
pub(super) const DASHES: &str = "4 4";

/// Where the plot lies on the canvas.
pub(super) struct Frame {
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// A label beside the end of a curve.
pub(super) struct Label {
    pub(super) y: f64,
    pub(super) title: String,
    pub(super) detail: String,
    pub(super) colour: &'static str,
}

/// Names a series where its curve ends, with its last measured point.
pub(super) fn end_label(series: &Series, index: usize, computed: &ComputedLayout) -> Option<Label> {
    let (.., bound) = series.curve.last()?;
    let last = series.points.iter().rev().find_map(|point| Some((point, point.spread()?)));
    let detail = match last {
        Some((point, (_, median, _))) => {
            let ratio = point.payload_ratio.map(|ratio| format!(", {ratio:.2} × bound")).unwrap_or_default();
            let (ends_at, ..) = series.curve.last()?;
            let place = if point.peers == *ends_at { String::new() } else { format!(" at N = {}", point.peers) };
            format!("{median:.1} s{place}{ratio}")
        }
        None => "no valid time".to_owned(),
    };
    let y = computed.map_y(last.map_or(*bound, |(_, (_, median, _))| median.max(*bound)));
    Some(Label { y, title: series.label.clone(), detail, colour: COLOURS[index % COLOURS.len()] })
}

/// Pushes labels apart that would lie on each other, and into the plot's height.
pub(super) fn spread(mut labels: Vec<Label>, top: f64, bottom: f64) -> Vec<Label> {
    const APART: f64 = 38.0;
    labels.sort_by(|a, b| a.y.total_cmp(&b.y));
    let mut least = top + 4.0;
    for label in &mut labels {
        label.y = label.y.max(least);
        least = label.y + APART;
    }
    let mut most = bottom - 14.0;
    for label in labels.iter_mut().rev() {
        label.y = label.y.min(most);
        most = label.y - APART;
    }
    labels
}

pub(super) fn bound_key(scene: &mut Scene, x: f64, y: f64) {
    line(scene, (x, y - 4.0), (x + 26.0, y - 4.0), INK, 1.8, None);
    text(scene, (x + 32.0, y), "bound at payload rate", SMALL_SIZE, false, INK, TextAnchor::Start);
    let x = x + 182.0;
    line(scene, (x, y - 4.0), (x + 26.0, y - 4.0), INK, 1.0, Some(DASHES));
    text(scene, (x + 32.0, y), "bound at link rate", SMALL_SIZE, false, INK, TextAnchor::Start);
}

/// A figure with one row per cell: its name to the left, room for a word to the right.
pub(super) fn rows_frame(cells: &[SummaryRow], row: f64) -> Frame {
    rows_frame_of(&cells.iter().map(|cell| cell.cell.as_str()).collect::<Vec<_>>(), row)
}

/// The same with one row per name.
pub(super) fn rows_frame_of(names: &[&str], row: f64) -> Frame {
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    Frame {
        height: TOP + BOTTOM + row * names.len() as f64,
        left: (28.0 + 7.2 * widest.min(NAME) as f64).max(72.0),
        right: 170.0,
        top: TOP,
        bottom: BOTTOM,
    }
}

/// Its canvas, with time to the right and one unit of height per cell.
pub(super) fn rows_plot(frame: &Frame, cells: &[SummaryRow], end: f64) -> (Scene, ComputedLayout) {
    let layout = axes(frame, (0.0, ceiling(end, 8)), cells.len() as f64)
        .with_x_label("time after the common start, s")
        .with_x_tick_step(step(end, 8))
        .with_y_tick_step(1.0)
        .with_y_tick_format(TickFormat::Custom(std::sync::Arc::new(|_| String::new())));
    plot(&layout)
}

/// A cell's name at the left of its row.
pub(super) fn row_name(scene: &mut Scene, frame: &Frame, cell: &str, middle: f64) {
    let names = in_lines(cell);
    for (i, name) in names.iter().enumerate() {
        let y = middle + 4.0 + (i as f64 - (names.len() - 1) as f64 / 2.0) * 14.0;
        text(scene, (frame.left - 10.0, y), name, TEXT_SIZE, false, INK, TextAnchor::End);
    }
}

/// The colour of a cell: its architecture's.
pub(super) fn colour_of(cells: &[SummaryRow], cell: &SummaryRow) -> &'static str {
    let mut architectures: Vec<_> = cells.iter().map(|cell| cell.architecture).collect();
    architectures.sort();
    architectures.dedup();
    let colour = architectures.iter().position(|it| *it == cell.architecture).unwrap_or(0);
    COLOURS[if architectures.len() > 1 { colour } else { 1 } % COLOURS.len()]
}

pub(super) fn steps(scene: &mut Scene, points: Vec<(f64, f64)>, colour: &str) {
    scene.add(Primitive::PolyLine { points, stroke: Color::from(colour), stroke_width: 1.8, stroke_dasharray: None });
}

/// A cell's name in lines of at most [`NAME`] letters, broken after a `-`.
pub(super) fn in_lines(name: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in name.split_inclusive('-') {
        let line = lines.last_mut().expect("it has one from the start");
        if line.len() + part.len() > NAME && !line.is_empty() {
            lines.push(part.to_owned());
        } else {
            line.push_str(part);
        }
    }
    lines
}

pub(super) fn strip(
    scene: &mut Scene,
    analysis: &Analysis,
    cell: &SummaryRow,
    colour: &str,
    middle: f64,
    frame: &Frame,
    computed: &ComputedLayout,
) {
    const HALF: f64 = 18.0;
    row_name(scene, frame, &cell.cell, middle);
    for (bound, width, dash) in [(cell.bound_s, 1.2, Some("3 3")), (cell.bound_payload_s, 2.0, None)] {
        if let Some(x) = bound.map(|bound| computed.map_x(bound)) {
            line(scene, (x, middle - HALF - 5.0), (x, middle + HALF + 5.0), INK, width, dash);
        }
    }
    let height = |share: f64| middle + HALF - 2.0 * HALF * share;
    let mut stair = vec![(frame.left, height(0.0))];
    let mut before = 0.0;
    for step in analysis.distribution.iter().filter(|step| step.cell == cell.cell) {
        let x = computed.map_x(step.completed_at_s);
        stair.extend([(x, height(before)), (x, height(step.completed_share))]);
        before = step.completed_share;
    }
    if before > 0.0 {
        stair.push((WIDTH - frame.right, height(before)));
        steps(scene, stair, colour);
    }
    let own = analysis.trials.iter().filter(|trial| trial.cell == cell.cell && trial.verdict != Verdict::Invalid);
    let missing: u32 = own.map(|trial| trial.to_complete - trial.completed.min(trial.to_complete)).sum();
    let x = WIDTH - frame.right + 12.0;
    let measured = match (cell.distribution_time_median_s, cell.payload_ratio) {
        (Some(time), Some(ratio)) => format!("{time:.1} s, {ratio:.2} × bound"),
        _ => "no valid time".to_owned(),
    };
    if missing == 0 {
        text(scene, (x, middle + 4.0), &measured, SMALL_SIZE, false, INK, TextAnchor::Start);
    } else {
        text(scene, (x, middle - 3.0), &measured, SMALL_SIZE, false, INK, TextAnchor::Start);
        let missing = format!("{missing} {} not complete", if missing == 1 { "peer did" } else { "peers did" });
        text(scene, (x, middle + 12.0), &missing, SMALL_SIZE, false, WARNING, TextAnchor::Start);
    }
}

/// Axes, upwards from 0, with margins that do not depend on any font.
pub(super) fn axes(frame: &Frame, (x_min, x_max): (f64, f64), y_max: f64) -> Layout {
    let theme = Theme {
        axis_color: FADED.to_owned(),
        grid_color: "#e4e4e4".to_owned(),
        tick_color: FADED.to_owned(),
        text_color: INK.to_owned(),
        ..Theme::light()
    };
    Layout::new((x_min, x_max), (0.0, y_max))
        .with_theme(theme)
        .with_width(WIDTH)
        .with_height(frame.height)
        .with_force_margins(frame.left, frame.right)
        .with_force_margins_y(frame.top, frame.bottom)
        .with_x_axis_min(x_min)
        .with_x_axis_max(x_max)
        .with_y_axis_min(0.0)
        .with_y_axis_max(y_max)
        .with_x_label_offset(0.0, -8.0)
        .with_label_size(TEXT_SIZE)
        .with_tick_size(SMALL_SIZE)
}

/// The canvas with its axes. The library's own renderer would number its clip paths across all figures of the
/// process, so that the same figure would differ from one call to the next.
pub(super) fn plot(layout: &Layout) -> (Scene, ComputedLayout) {
    let computed = ComputedLayout::from_layout(layout);
    let mut scene = Scene::new(computed.width, computed.height);
    scene.font_family = Some(FONT.to_owned());
    scene.text_color = Some(INK.to_owned());
    add_axes_and_grid(&mut scene, &computed, layout);
    add_labels_and_title(&mut scene, &computed, layout);
    (scene, computed)
}

/// A round step that makes about so many of a range from 0.
pub(super) fn step(most: f64, steps: u32) -> f64 {
    let rough = most.max(f64::MIN_POSITIVE) / f64::from(steps);
    let power = 10_f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0].into_iter().find(|it| rough <= it * power * 1.000_001);
    round.unwrap_or(10.0) * power
}

/// The first multiple of the step that holds the range.
pub(super) fn ceiling(most: f64, steps: u32) -> f64 {
    let step = step(most, steps);
    (most / step).ceil() * step
}

pub(super) fn heading(scene: &mut Scene, title: &str) {
    text(scene, (24.0, 34.0), title, TITLE_SIZE, true, INK, TextAnchor::Start);
}

pub(super) fn text(
    scene: &mut Scene,
    (x, y): (f64, f64),
    content: &str,
    size: u32,
    bold: bool,
    colour: &str,
    anchor: TextAnchor,
) {
    // The library reads `$…$` as mathematics.
    let content = content.replace('$', "\\$");
    scene.add(Primitive::Text { x, y, content, size, anchor, rotate: None, bold, color: Some(Color::from(colour)) });
}

pub(super) fn line(
    scene: &mut Scene,
    from: (f64, f64),
    to: (f64, f64),
    colour: &str,
    width: f64,
    dashes: Option<&str>,
) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let (stroke, stroke_dasharray) = (Color::from(colour), dashes.map(str::to_owned));
    scene.add(Primitive::Line { x1, y1, x2, y2, stroke, stroke_width: width, stroke_dasharray });
}

pub(super) fn dot(scene: &mut Scene, (cx, cy): (f64, f64), r: f64, colour: &str, opacity: f64) {
    let (fill, fill_opacity) = (Color::from(colour), Some(opacity));
    scene.add(Primitive::Circle { cx, cy, r, fill, fill_opacity, stroke: None, stroke_width: None });
}

pub(super) fn ring(scene: &mut Scene, (cx, cy): (f64, f64), colour: &str) {
    let (fill, stroke) = (Color::from("#ffffff"), Some(Color::from(colour)));
    scene.add(Primitive::Circle { cx, cy, r: 5.0, fill, fill_opacity: None, stroke, stroke_width: Some(1.8) });
}

pub(super) fn square(scene: &mut Scene, (x, y): (f64, f64), colour: &str) {
    const SIDE: f64 = 9.0;
    let (fill, stroke) = (Color::from("#ffffff"), Some(Color::from(colour)));
    let (x, y) = (x - SIDE / 2.0, y - SIDE / 2.0);
    let (width, height, stroke_width) = (SIDE, SIDE, Some(1.8));
    scene.add(Primitive::Rect { x, y, width, height, fill, stroke, stroke_width, opacity: None });
}

/// The file: scalable, and with words for who cannot see it.
pub(super) fn document(scene: &Scene, description: &str) -> String {
    let drawn = SvgBackend::new().with_pretty(true).render_scene(scene);
    let (width, height) = (scene.width, scene.height);
    let head = format!(r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{description}" "#);
    drawn.replacen("<svg ", &head, 1)
}

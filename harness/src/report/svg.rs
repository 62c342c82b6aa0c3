//! The figures: the distribution time over N beside its bound, when the peers of each cell completed, how full the links
//! were meanwhile, who was there, arms against each other, and the nights.
//!
//! Equal results give equal bytes. Text stays text, so that it can be read, searched and copied; the background is
//! white, so that a dark page shows the same figure; the colours are those of Okabe & Ito, which people with any
//! kind of colour vision can tell apart. Nothing is computed here that a table does not show.

mod history;
mod population;
mod ratios;
mod utilisation;

use kuva::backend::svg::SvgBackend;
use kuva::render::axis::{add_axes_and_grid, add_labels_and_title};
use kuva::render::color::Color;
use kuva::render::layout::{ComputedLayout, Layout, TickFormat};
use kuva::render::render::{Primitive, Scene, TextAnchor};
use kuva::render::theme::Theme;

use crate::analysis::metrics::Verdict;
use crate::analysis::summary::{Analysis, Series, SummaryRow};

pub use self::history::history;
pub use self::population::population;
pub use self::ratios::ratios;
pub use self::utilisation::utilisation;

/// Okabe & Ito 2008, those with enough contrast on white first.
const COLOURS: [&str; 7] = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444"];
const INK: &str = "#222222";
const FADED: &str = "#666666";
const WARNING: &str = "#b00020";
const FONT: &str = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";
const WIDTH: f64 = 880.0;
const TITLE_SIZE: u32 = 18;
const TEXT_SIZE: u32 = 13;
const SMALL_SIZE: u32 = 12;
const KEY_Y: f64 = 60.0;
const TOP: f64 = 88.0;
const BOTTOM: f64 = 58.0;
const DOT: f64 = 2.4;
/// Letters of a cell's name on one line.
const NAME: usize = 38;
const DASHES: &str = "4 4";

/// Where the plot lies on the canvas.
struct Frame {
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

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
fn curves(scene: &mut Scene, series: &Series, index: usize, computed: &ComputedLayout) {
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
fn measured(scene: &mut Scene, series: &Series, index: usize, computed: &ComputedLayout) {
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

fn whisker(scene: &mut Scene, x: f64, low: f64, high: f64, colour: &str) {
    line(scene, (x, low), (x, high), colour, 1.2, None);
    for end in [low, high] {
        line(scene, (x - 4.0, end), (x + 4.0, end), colour, 1.2, None);
    }
}

/// A label beside the end of a curve.
struct Label {
    y: f64,
    title: String,
    detail: String,
    colour: &'static str,
}

/// Names a series where its curve ends, with its last measured point.
fn end_label(series: &Series, index: usize, computed: &ComputedLayout) -> Option<Label> {
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
fn spread(mut labels: Vec<Label>, top: f64, bottom: f64) -> Vec<Label> {
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

fn key_over_n(scene: &mut Scene, frame: &Frame) {
    let (x, y) = (frame.left, KEY_Y);
    whisker(scene, x + 6.0, y - 13.0, y + 5.0, INK);
    ring(scene, (x + 6.0, y - 4.0), INK);
    text(scene, (x + 18.0, y), "measured: median, least to largest", SMALL_SIZE, false, INK, TextAnchor::Start);
    let x = x + 246.0;
    dot(scene, (x + 6.0, y - 4.0), DOT, INK, 0.6);
    text(scene, (x + 14.0, y), "one trial", SMALL_SIZE, false, INK, TextAnchor::Start);
    bound_key(scene, x + 92.0, y);
}

fn bound_key(scene: &mut Scene, x: f64, y: f64) {
    line(scene, (x, y - 4.0), (x + 26.0, y - 4.0), INK, 1.8, None);
    text(scene, (x + 32.0, y), "bound at payload rate", SMALL_SIZE, false, INK, TextAnchor::Start);
    let x = x + 182.0;
    line(scene, (x, y - 4.0), (x + 26.0, y - 4.0), INK, 1.0, Some(DASHES));
    text(scene, (x + 32.0, y), "bound at link rate", SMALL_SIZE, false, INK, TextAnchor::Start);
}

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

/// A figure with one row per cell: its name to the left, room for a word to the right.
fn rows_frame(cells: &[SummaryRow], row: f64) -> Frame {
    rows_frame_of(&cells.iter().map(|cell| cell.cell.as_str()).collect::<Vec<_>>(), row)
}

/// The same with one row per name.
fn rows_frame_of(names: &[&str], row: f64) -> Frame {
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
fn rows_plot(frame: &Frame, cells: &[SummaryRow], end: f64) -> (Scene, ComputedLayout) {
    let layout = axes(frame, (0.0, ceiling(end, 8)), cells.len() as f64)
        .with_x_label("time after the common start, s")
        .with_x_tick_step(step(end, 8))
        .with_y_tick_step(1.0)
        .with_y_tick_format(TickFormat::Custom(std::sync::Arc::new(|_| String::new())));
    plot(&layout)
}

/// A cell's name at the left of its row.
fn row_name(scene: &mut Scene, frame: &Frame, cell: &str, middle: f64) {
    let names = in_lines(cell);
    for (i, name) in names.iter().enumerate() {
        let y = middle + 4.0 + (i as f64 - (names.len() - 1) as f64 / 2.0) * 14.0;
        text(scene, (frame.left - 10.0, y), name, TEXT_SIZE, false, INK, TextAnchor::End);
    }
}

/// The colour of a cell: its architecture's.
fn colour_of(cells: &[SummaryRow], cell: &SummaryRow) -> &'static str {
    let mut architectures: Vec<_> = cells.iter().map(|cell| cell.architecture).collect();
    architectures.sort();
    architectures.dedup();
    let colour = architectures.iter().position(|it| *it == cell.architecture).unwrap_or(0);
    COLOURS[if architectures.len() > 1 { colour } else { 1 } % COLOURS.len()]
}

fn steps(scene: &mut Scene, points: Vec<(f64, f64)>, colour: &str) {
    scene.add(Primitive::PolyLine { points, stroke: Color::from(colour), stroke_width: 1.8, stroke_dasharray: None });
}

/// A cell's name in lines of at most [`NAME`] letters, broken after a `-`.
fn in_lines(name: &str) -> Vec<String> {
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

fn strip(
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
fn axes(frame: &Frame, (x_min, x_max): (f64, f64), y_max: f64) -> Layout {
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
fn plot(layout: &Layout) -> (Scene, ComputedLayout) {
    let computed = ComputedLayout::from_layout(layout);
    let mut scene = Scene::new(computed.width, computed.height);
    scene.font_family = Some(FONT.to_owned());
    scene.text_color = Some(INK.to_owned());
    add_axes_and_grid(&mut scene, &computed, layout);
    add_labels_and_title(&mut scene, &computed, layout);
    (scene, computed)
}

/// A round step that makes about so many of a range from 0.
fn step(most: f64, steps: u32) -> f64 {
    let rough = most.max(f64::MIN_POSITIVE) / f64::from(steps);
    let power = 10_f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0].into_iter().find(|it| rough <= it * power * 1.000_001);
    round.unwrap_or(10.0) * power
}

/// The first multiple of the step that holds the range.
fn ceiling(most: f64, steps: u32) -> f64 {
    let step = step(most, steps);
    (most / step).ceil() * step
}

fn heading(scene: &mut Scene, title: &str) {
    text(scene, (24.0, 34.0), title, TITLE_SIZE, true, INK, TextAnchor::Start);
}

fn text(scene: &mut Scene, (x, y): (f64, f64), content: &str, size: u32, bold: bool, colour: &str, anchor: TextAnchor) {
    // The library reads `$…$` as mathematics.
    let content = content.replace('$', "\\$");
    scene.add(Primitive::Text { x, y, content, size, anchor, rotate: None, bold, color: Some(Color::from(colour)) });
}

fn line(scene: &mut Scene, from: (f64, f64), to: (f64, f64), colour: &str, width: f64, dashes: Option<&str>) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let (stroke, stroke_dasharray) = (Color::from(colour), dashes.map(str::to_owned));
    scene.add(Primitive::Line { x1, y1, x2, y2, stroke, stroke_width: width, stroke_dasharray });
}

fn dot(scene: &mut Scene, (cx, cy): (f64, f64), r: f64, colour: &str, opacity: f64) {
    let (fill, fill_opacity) = (Color::from(colour), Some(opacity));
    scene.add(Primitive::Circle { cx, cy, r, fill, fill_opacity, stroke: None, stroke_width: None });
}

fn ring(scene: &mut Scene, (cx, cy): (f64, f64), colour: &str) {
    let (fill, stroke) = (Color::from("#ffffff"), Some(Color::from(colour)));
    scene.add(Primitive::Circle { cx, cy, r: 5.0, fill, fill_opacity: None, stroke, stroke_width: Some(1.8) });
}

fn square(scene: &mut Scene, (x, y): (f64, f64), colour: &str) {
    const SIDE: f64 = 9.0;
    let (fill, stroke) = (Color::from("#ffffff"), Some(Color::from(colour)));
    let (x, y) = (x - SIDE / 2.0, y - SIDE / 2.0);
    let (width, height, stroke_width) = (SIDE, SIDE, Some(1.8));
    scene.add(Primitive::Rect { x, y, width, height, fill, stroke, stroke_width, opacity: None });
}

/// The file: scalable, and with words for who cannot see it.
fn document(scene: &Scene, description: &str) -> String {
    let drawn = SvgBackend::new().with_pretty(true).render_scene(scene);
    let (width, height) = (scene.width, scene.height);
    let head = format!(r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{description}" "#);
    drawn.replacen("<svg ", &head, 1)
}

#[cfg(test)]
mod tests {
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
}

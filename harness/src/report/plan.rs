//! What a plan would do, as `harness plan` prints it: cells with their bounds, nodes with their links, what happens
//! to them and when, and what it costs.
//!
//! Bounds come as plain numbers from whoever joins the stages; this module computes none, and touches nothing.

use std::fmt::Write as _;
use std::time::Duration;

use peer_image::node::{Behaviour, OnComplete, Role, carries_in, tried_for};

use super::settings::time;
use crate::analysis::estimate::CellEstimate;
use crate::plan::schedule::{Struck, struck};
use crate::plan::{Action, Architecture, Cell, How, Node, Plan, RESTART, RuntimeName, Trial};
use crate::quantity::{decimal, seconds, show_rate, show_size, show_time};

/// Columns that the text keeps to, except where a single name is longer.
const COLUMNS: usize = 100;
/// Events of a cell that are shown.
const EVENTS: usize = 40;
/// Widest cell id that stands on one line with its numbers.
const ID_COLUMNS: usize = 33;
/// What a trial takes over its payload bound, for the estimate of wall time.
const OVER_BOUND: f64 = 1.1;
/// Starting and removing one container, and one process in a namespace, seconds.
const PER_CONTAINER: f64 = 0.2;
const PER_PROCESS: f64 = 0.005;
/// Network, gate and teardown of one trial, seconds.
const PER_TRIAL: f64 = 2.0;

/// The text of `harness plan`. `estimates` has one entry for each cell of the plan, in its order.
#[must_use]
pub fn render(plan: &Plan, estimates: &[CellEstimate]) -> String {
    debug_assert_eq!(plan.cells.len(), estimates.len(), "one estimate for each cell");
    let mut text = String::new();
    let line = |text: &mut String, line: &str| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    for part in wrap(&format!("{}: {}", plan.name, plan.question), COLUMNS) {
        line(&mut text, &part);
    }
    let trials: usize = plan.cells.iter().map(|cell| cell.trials.len()).sum();
    let repeats = plan.cells.first().map_or(0, |cell| cell.trials.len());
    let sum = format!(
        "{} × {} = {}, seed {}",
        counted(plan.cells.len(), "cell"),
        counted(repeats, "repeat"),
        counted(trials, "trial"),
        plan.seed
    );
    line(&mut text, &sum);
    for part in held_to(plan).iter().flat_map(|it| wrap(it, COLUMNS)) {
        line(&mut text, &part);
    }

    line(&mut text, "");
    for row in table(plan, estimates) {
        line(&mut text, &row);
    }
    for cell in &plan.cells {
        line(&mut text, "");
        for row in details(cell) {
            line(&mut text, &row);
        }
    }

    line(&mut text, "");
    for warning in warnings(plan, estimates) {
        for (index, part) in wrap(&warning, COLUMNS - 2).iter().enumerate() {
            line(&mut text, &if index == 0 { part.clone() } else { format!("  {part}") });
        }
    }
    let peak = plan.cells.iter().flat_map(|cell| &cell.trials).map(|trial| trial.nodes.len()).max().unwrap_or(0);
    line(&mut text, &format!("estimated wall time: {}", rough(wall_seconds(plan, estimates))));
    let what = if plan.cells.iter().all(|cell| node(cell) == NAMESPACE) { NAMESPACE } else { CONTAINER };
    line(&mut text, &format!("at most {} at once", counted(peak, what)));
    line(&mut text, "this is a plan: nothing was started, built or written");
    text
}

/// What the results are held to, a line each.
fn held_to(plan: &Plan) -> Vec<String> {
    let gate = &plan.gate;
    let mut lines = Vec::new();
    if !gate.arms.is_empty() {
        let others: Vec<&str> = gate.arms.iter().filter(|arm| **arm != gate.compare.base).map(String::as_str).collect();
        let repeats = plan.cells.first().map_or(0, |cell| cell.trials.len());
        lines.push(format!(
            "{} against {} by {}: at most {repeats} pairs, {} % is too much",
            others.join(", "),
            gate.compare.base,
            gate.compare.metric,
            (gate.compare.max_worse * 1e4).round() / 1e2
        ));
    }
    lines.extend(gate.thresholds.iter().map(|it| format!("held to {} {}", it.metric, it.text)));
    lines.extend(gate.assertions.iter().map(|it| format!("held to {}", it.what)));
    lines
}

/// Estimated time for all trials, one after the other, seconds.
#[must_use]
pub fn wall_seconds(plan: &Plan, estimates: &[CellEstimate]) -> f64 {
    let of = |cell: &Cell| plan.cells.iter().zip(estimates).find(|(it, _)| it.id == cell.id).map(|(_, it)| it);
    plan.turns().map(|(_, cell, trial)| of(cell).map_or(0.0, |estimate| trial_seconds(cell, estimate, trial))).sum()
}

/// Estimated time for one trial, seconds.
#[must_use]
pub fn trial_seconds(cell: &Cell, estimate: &CellEstimate, trial: &Trial) -> f64 {
    let transfer = (estimate.payload_bound_seconds * OVER_BOUND).min(cell.settings.timeout);
    #[expect(clippy::cast_precision_loss, reason = "a thousand nodes")]
    let nodes = trial.nodes.len() as f64;
    let per_node = if cell.settings.runtime == RuntimeName::Netns { PER_PROCESS } else { PER_CONTAINER };
    transfer + calibration_seconds(cell, trial) + per_node * nodes + PER_TRIAL
}

/// About how long the nodes take that try their links, which they do at the same time, seconds; 0 if none does.
fn calibration_seconds(cell: &Cell, trial: &Trial) -> f64 {
    /// Full frames that a sender may have ahead: they are waited for.
    const AHEAD: u64 = 2 * 1514;
    let wanted = cell.settings.validity.calibrate;
    if wanted <= 0.0 {
        return 0.0;
    }
    let wanted =
        Duration::try_from_secs_f64(wanted).map_or(u64::MAX, |it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
    let of = |rate| tried_for(wanted, rate).saturating_add(carries_in(AHEAD, rate));
    let links = trial.nodes.iter().filter_map(|node| node.link);
    let longest = links.map(|link| of(link.up).saturating_add(of(link.down))).max().unwrap_or(0);
    seconds(longest)
}

fn table(plan: &Plan, estimates: &[CellEstimate]) -> Vec<String> {
    let wide = plan.cells.iter().map(|cell| cell.id.len()).max().unwrap_or(0).clamp(4, ID_COLUMNS);
    let row = |id: &str, n: &str, f: &str, bound: &str, payload: &str, binding: &str, timeout: &str| {
        format!("{id:<wide$}  {n:>4}  {f:>8}  {bound:>9}  {payload:>9}  {binding:<17}  {timeout}")
    };
    let mut rows = vec![row("cell", "N", "F", "bound", "payload", "set by", "timeout")];
    for (cell, estimate) in plan.cells.iter().zip(estimates) {
        let mut id = cell.id.as_str();
        if id.len() > wide {
            rows.push(id.to_owned());
            id = "";
        }
        rows.push(row(
            id,
            &cell.settings.peers().to_string(),
            &show_size(cell.settings.size),
            &format!("{} s", decimal(estimate.bound_seconds, 1)),
            &format!("{} s", decimal(estimate.payload_bound_seconds, 1)),
            &estimate.binding,
            &time(cell.settings.timeout),
        ));
    }
    rows
}

const CONTAINER: &str = "container";
const NAMESPACE: &str = "namespace";

/// What a node of a cell is, as far as its file says.
fn node(cell: &Cell) -> &'static str {
    if cell.settings.runtime == RuntimeName::Netns { NAMESPACE } else { CONTAINER }
}

/// The nodes and the schedule of a cell's first trial.
fn details(cell: &Cell) -> Vec<String> {
    let Some(trial) = cell.trials.first() else { return Vec::new() };
    let peers = cell.settings.peers();
    let to_complete = trial.nodes.iter().filter(|node| node.to_complete).count();
    let head = format!(
        "{}, repeat {}: {}, {to_complete} of {} to complete",
        cell.id,
        trial.repeat,
        counted(trial.nodes.len(), node(cell)),
        counted(peers as usize, "peer"),
    );
    let mut rows = wrap(&head, COLUMNS);
    let groups = groups(trial);
    let label = |group: &Group<'_>| match group.first.class.as_str() {
        "" => group.first.name.clone(),
        class => format!("{class} × {}", group.nodes.len()),
    };
    let wide = groups.iter().map(|group| label(group).chars().count()).max().unwrap_or(0);
    let link = |group: &Group<'_>| match group.first.link {
        Some(_) => {
            let links = group.nodes.iter().filter_map(|node| node.link);
            let (up, down) = (links.clone().map(|link| link.up), links.map(|link| link.down));
            (format!("up {}", range(up, show_rate)), format!("down {}", range(down, show_rate)))
        }
        None => ("unshaped".to_owned(), String::new()),
    };
    let wide_up = groups.iter().map(|group| link(group).0.len()).max().unwrap_or(0);
    let wide_down = groups.iter().map(|group| link(group).1.len()).max().unwrap_or(0);
    let wide_conduct = groups.iter().map(|group| conduct(group).chars().count()).max().unwrap_or(0);
    for group in &groups {
        let (up, down) = link(group);
        let head = format!(
            "  {:<wide$}  {up:<wide_up$}  {down:<wide_down$}  {:<wide_conduct$}  ",
            label(group),
            conduct(group)
        );
        if group.first.class.is_empty() {
            rows.push(head);
            continue;
        }
        let names = runs(&group.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>());
        if head.chars().count() + names.chars().count() <= COLUMNS {
            rows.push(head + &wrap(&names, COLUMNS)[0]);
        } else {
            rows.push(head);
            rows.extend(wrap(&names, COLUMNS - 6).into_iter().map(|part| format!("      {part}")));
        }
    }
    if cell.settings.churn.is_some() && trial.schedule.is_empty() {
        rows.push("  nobody leaves before the timeout".to_owned());
    }
    for event in trial.schedule.iter().take(EVENTS) {
        let at = seconds(event.at);
        let is_trackers = trial.nodes.iter().any(|node| node.name == event.node && node.role == Role::Tracker);
        let what = match event.action {
            Action::Leave if is_trackers => "falls silent".to_owned(),
            Action::Rejoin(_) if is_trackers => "answers again".to_owned(),
            action => action.to_string(),
        };
        rows.push(format!("  {at:>9.3} s  {}  {what}", event.node));
    }
    if let Some(more) = trial.schedule.len().checked_sub(EVENTS).filter(|more| *more > 0) {
        rows.push(format!(
            "  … and {} more: `--timeline={}/{}` has all",
            counted(more, "event"),
            cell.id,
            trial.repeat
        ));
    }
    rows
}

/// The least and the largest of a group's values, as one word if they are the same.
fn range(values: impl Iterator<Item = u64> + Clone, show: impl Fn(u64) -> String) -> String {
    match (values.clone().min(), values.max()) {
        (Some(least), Some(most)) if least < most => format!("{} – {}", show(least), show(most)),
        (Some(least), _) => show(least),
        (None, _) => String::new(),
    }
}

/// Nodes of a trial that are alike.
struct Group<'a> {
    first: &'a Node,
    nodes: Vec<&'a Node>,
}

fn groups(trial: &Trial) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for node in &trial.nodes {
        match groups.iter_mut().find(|group| !node.class.is_empty() && group.first.class == node.class) {
            Some(group) => group.nodes.push(node),
            None => groups.push(Group { first: node, nodes: vec![node] }),
        }
    }
    groups
}

/// What a peer does that its link does not say.
fn conduct(group: &Group<'_>) -> String {
    let node = group.first;
    if node.class.is_empty() {
        return String::new();
    }
    let after = match node.on_complete {
        OnComplete::Stay => "stays".to_owned(),
        OnComplete::Leave => "leaves when done".to_owned(),
        OnComplete::Linger(_) => {
            let times = group.nodes.iter().filter_map(|node| match node.on_complete {
                OnComplete::Linger(ns) => Some(ns),
                OnComplete::Stay | OnComplete::Leave => None,
            });
            format!("lingers {}", range(times, show_time))
        }
    };
    let patience = range(group.nodes.iter().filter_map(|node| node.patience), show_time);
    let after = if patience.is_empty() { after } else { format!("{after}, gives up after {patience}") };
    match node.behaviour {
        Behaviour::Honest => after,
        Behaviour::Corrupting => format!("corrupts, {after}"),
        Behaviour::FreeRider => format!("rides free, {after}"),
    }
}

/// Names in order, neighbours in number as `first … last`.
fn runs(names: &[&str]) -> String {
    let number = |name: &str| name.rsplit('-').next().and_then(|digits| digits.parse::<u32>().ok());
    let mut runs: Vec<(&str, &str)> = Vec::new();
    for name in names {
        match runs.last_mut() {
            Some((_, last)) if number(last).and_then(|n| n.checked_add(1)) == number(name) => *last = name,
            _ => runs.push((name, name)),
        }
    }
    let shown = runs.into_iter().map(|(first, last)| {
        // Spaces that must not be broken stand as no-break spaces until the text is wrapped.
        if first == last { first.to_owned() } else { format!("{first}\u{a0}…\u{a0}{last}") }
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Lines of at most so many columns, broken at spaces.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.into_iter().map(|line| line.replace('\u{a0}', " ")).collect()
}

fn warnings(plan: &Plan, estimates: &[CellEstimate]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (cell, estimate) in plan.cells.iter().zip(estimates) {
        if estimate.payload_bound_seconds >= cell.settings.timeout {
            warnings.push(format!(
                "warning: {}: the timeout of {} is below the {} s that the links need at least (hint: a longer `timeout`)",
                cell.id,
                time(cell.settings.timeout),
                decimal(estimate.payload_bound_seconds, 1),
            ));
        }
        warnings.extend(slow_start(cell));
        warnings.extend(idle(cell));
        let is_swarm = cell.settings.architecture == Architecture::P2p && cell.settings.peers() > 1;
        if is_swarm && cell.settings.policy.neighbours == 1 {
            warnings.push(format!(
                "warning: {}: with `policy.neighbours: 1` each peer hangs on one that came before it: who is between two \
                 others uploads all that they exchange, and cuts them off when it goes (hint: 2 or more)",
                cell.id
            ));
        }
        let hasty = |trial: &Trial| {
            let patience = trial.nodes.iter().filter(|node| node.to_complete).filter_map(|node| node.patience);
            patience.filter(|ns| seconds(*ns) < estimate.payload_bound_seconds).count()
        };
        if let Some(trial) = cell.trials.first().filter(|trial| hasty(trial) > 0) {
            warnings.push(format!(
                "warning: {}: {} of those who are to complete give up before the {} s that all of them need at least",
                cell.id,
                hasty(trial),
                decimal(estimate.payload_bound_seconds, 1),
            ));
        }
        for trial in &cell.trials {
            if !trial.nodes.iter().any(|node| node.to_complete) {
                warnings.push(format!(
                    "warning: {}, repeat {}: the schedule removes every peer for good, so there is no distribution time \
                     (hint: longer sessions, a smaller `share`, or `rejoin`)",
                    cell.id, trial.repeat,
                ));
            }
        }
    }
    warnings.extend(lengthened(plan));
    warnings
}

/// Links that cannot be tried, and tried again if that was disturbed, before all nodes must be ready.
fn slow_start(cell: &Cell) -> Option<String> {
    let seconds = cell.trials.iter().map(|trial| calibration_seconds(cell, trial)).fold(0.0, f64::max) * 2.0;
    let start_timeout = cell.settings.start_timeout;
    (seconds + PER_TRIAL >= start_timeout && seconds > 0.0).then(|| {
        format!(
            "warning: {}: to try links that slow may take {seconds:.0} s, and `start_timeout` is {} (hint: \
             `start_timeout: {:.0} s`, or `validity: {{ calibrate: off }}`)",
            cell.id,
            time(start_timeout),
            (seconds * 1.25 / 10.0).ceil() * 10.0 + 10.0,
        )
    })
}

/// Events of the file that strike nobody in any trial of a cell, each with the reason.
fn idle(cell: &Cell) -> Vec<String> {
    if cell.settings.events.is_empty() {
        return Vec::new();
    }
    let struck: Vec<Vec<Struck>> = cell.trials.iter().map(|trial| struck(&cell.settings, trial)).collect();
    let of = |index: usize| struck.iter().filter_map(move |trial| trial.get(index));
    let idle = |(index, event): (usize, &crate::plan::Incident)| {
        let sum = |count: fn(&Struck) -> u32| of(index).map(count).map(u64::from).sum::<u64>();
        if sum(|it| it.at_once + it.later) > 0 {
            return None;
        }
        let why = if sum(|it| it.meant) == 0 {
            "strikes nobody: it means none of the nodes (hint: a larger share)"
        } else if sum(|it| it.unchanged) > 0 {
            "changes nothing: the links have these rates already (hint: others)"
        } else {
            "strikes nobody: none of those that it means is there (hint: a time at which they are)"
        };
        Some(format!("warning: {}: `events.{}` {why}", cell.id, event.name))
    };
    cell.settings.events.iter().enumerate().filter_map(idle).collect()
}

/// What was drawn or written too short to be carried out: once for all cells, which mostly share their fates.
fn lengthened(plan: &Plan) -> Option<String> {
    let of = |cell: &Cell| cell.trials.iter().map(|trial| u64::from(trial.lengthened)).sum::<u64>();
    let mut cells = plan.cells.iter().filter(|cell| of(cell) > 0);
    let cell = cells.next()?;
    let (moments, others) = (of(cell), cells.count());
    let others = if others > 0 { format!(", and of {others} cells more") } else { String::new() };
    let (crash, leave) = (show_time(How::Crash.shortest()), show_time(How::Leave.shortest()));
    let rule = format!(
        "(a process is away for {crash} at least, for {leave} if it leaves by itself, and then there for {} at least)",
        show_time(RESTART)
    );
    let places = cell.settings.trace.as_ref().map_or(String::new(), |trace| {
        let lines: Vec<String> = trace.short.iter().take(LINES).map(u64::to_string).collect();
        let more = trace.short.len().checked_sub(LINES).filter(|more| *more > 0);
        let more = more.map_or(String::new(), |more| format!(" and {more} more"));
        let s = if trace.short.len() == 1 { "" } else { "s" };
        if lines.is_empty() {
            String::new()
        } else {
            format!(", line{s} {}{more} of `{}`", lines.join(", "), trace.file)
        }
    });
    let what = counted(usize::try_from(moments).unwrap_or(usize::MAX), "moment");
    Some(format!(
        "warning: {}{others}: {what} of the schedule come later, because sessions or absences were too short for any \
         runtime{places} {rule}",
        cell.id
    ))
}

/// Lines of a trace that are named, at most.
const LINES: usize = 10;

fn counted(n: usize, what: &str) -> String {
    let mut text = format!("{n} {what}");
    if n != 1 {
        text.push('s');
    }
    text
}

/// A time as one would say it.
#[must_use]
pub fn rough(seconds: f64) -> String {
    let mut text = "about ".to_owned();
    let written = match seconds {
        s if s < 99.5 => write!(text, "{s:.0} s"),
        s if s < 99.5 * 60.0 => write!(text, "{:.0} min", s / 60.0),
        s => write!(text, "{:.1} h", s / 3600.0),
    };
    written.expect("writing to a string does not fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_number_are_shown_as_a_range() {
        assert_eq!(runs(&["peer-1"]), "peer-1");
        assert_eq!(
            runs(&["peer-08", "peer-09", "peer-10", "peer-12"]).replace('\u{a0}', " "),
            "peer-08 … peer-10, peer-12"
        );
    }

    #[test]
    fn times_are_said_roughly() {
        assert_eq!(rough(12.3), "about 12 s");
        assert_eq!(rough(150.0), "about 2 min");
        assert_eq!(rough(40_000.0), "about 11.1 h");
    }

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
    }
}

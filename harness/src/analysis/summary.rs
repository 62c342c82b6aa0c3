//! A run as a whole: one row per cell over its repeats, and what its figures show.

use std::collections::{BTreeMap, BTreeSet};

use super::bounds::{self, Term};
use super::checks::{self, CheckRow};
use super::compare::{self, ComparisonRow};
use super::completed::{Completed, is_ended};
use super::distribution::{self, DistributionRow};
use super::findings::{self, Finding, What};
use super::flows::{self, TransferRow, UtilisationRow};
use super::history::{ChangeRow, NightRow};
use super::metrics::{ChurnRow, Measured, PeerRow, TrialOutcome, TrialRow, Verdict};
use super::population::PopulationRow;
use super::presence;
use super::statistics::{least, mean, median, median_interval, most, outliers, variation};
use super::theory::TheoryRow;
use crate::plan::{Architecture, Cell, Gate, Plan, RuntimeName, Settings, Trial};

/// One cell over its repeats. Times and ratios are those of its completed trials.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    /// The cell's id.
    pub cell: String,
    /// The cell's level of each factor, in the plan's order.
    pub levels: Vec<String>,
    /// How the bytes travel.
    pub architecture: Architecture,
    /// N.
    pub peers: u32,
    /// Peers that are to complete by the schedule: all but those that it removes for good. Of several repeats the fewest.
    pub to_complete: u32,
    /// The same, of several repeats the most: repeats draw schedules of their own.
    pub to_complete_max: u32,
    /// Trials that the plan has, without those that a comparison no longer needed when it was decided.
    pub planned: u32,
    /// Valid trials with a distribution time: what the columns below are over.
    pub completed: u32,
    /// Attempts that are INVALID: they count for nothing.
    pub invalid: u32,
    /// Trials whose time was up.
    pub timeout: u32,
    /// Trials in which a piece was nowhere any more.
    pub unfinishable: u32,
    /// Trials in which nobody completed, although they came to their end.
    pub nothing_measured: u32,
    /// Trials that could not go on.
    pub failed: u32,
    /// Trials that the user stopped, or whose log is cut short.
    pub broken_off: u32,
    /// Trials that were never run.
    pub not_run: u32,
    /// Of the peers that were to complete, the share that did, over all trials that are not INVALID and came to an end.
    pub completed_share: Option<f64>,
    /// Of the peers that were to complete, those whose patience ended first, over the same trials.
    pub gave_up: u32,
    /// Standard deviation of the distribution times over their mean: from 2 trials on.
    pub distribution_time_cv: Option<f64>,
    /// Trials whose time is far from the others' ([`outliers`]): flagged, and counted all the same.
    pub outliers: u32,
    /// Median of `distribution_time_s` in `trials.csv`.
    pub distribution_time_median_s: Option<f64>,
    /// The least of them.
    pub distribution_time_min_s: Option<f64>,
    /// The largest of them.
    pub distribution_time_max_s: Option<f64>,
    /// Where the median lies with 95 % confidence (order statistics), lower end: from 6 trials on.
    pub distribution_time_low_s: Option<f64>,
    /// The same, upper end.
    pub distribution_time_high_s: Option<f64>,
    /// Median of `download_mean_s` in `trials.csv`, of all trials that are not INVALID: a peer's mean time from its own
    /// arrival.
    pub download_mean_s: Option<f64>,
    /// Median of `bound_s` in `trials.csv` over all trials: they differ only where the schedule removes peers for good.
    pub bound_s: Option<f64>,
    /// The same at payload rate.
    pub bound_payload_s: Option<f64>,
    /// The term that binds in most trials.
    pub binding_term: Option<Term>,
    /// Median of `ratio` in `trials.csv`.
    pub ratio: Option<f64>,
    /// Median of `payload_ratio` in `trials.csv`.
    pub payload_ratio: Option<f64>,
    /// Median of `efficiency` in `trials.csv`.
    pub efficiency: Option<f64>,
    /// Median of `offload_share` in `trials.csv`.
    pub offload_share: Option<f64>,
    /// Median of `duplicate_share` in `trials.csv`.
    pub duplicate_share: Option<f64>,
    /// Median of `idle_uninterested_share` in `trials.csv`.
    pub idle_uninterested_share: Option<f64>,
    /// Median of `idle_choked_share` in `trials.csv`.
    pub idle_choked_share: Option<f64>,
    /// Median of `idle_unrequested_share` in `trials.csv`.
    pub idle_unrequested_share: Option<f64>,
    /// Median of `absent_share` in `trials.csv`.
    pub absent_share: Option<f64>,
    /// Median of `fairness_jain` in `trials.csv`.
    pub fairness_jain: Option<f64>,
    /// Median of `overhead_share` in `trials.csv`.
    pub overhead_share: Option<f64>,
    /// The largest `link_error_max_share` in `trials.csv`.
    pub link_error_max_share: Option<f64>,
    /// The largest `host_busy_max_share` in `trials.csv`.
    pub host_busy_max_share: Option<f64>,
    /// The largest `start_skew_max_s` in `trials.csv`.
    pub start_skew_max_s: Option<f64>,
}

/// The peers of one class of one cell, over its valid trials.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRow {
    /// The cell's id.
    pub cell: String,
    /// The class.
    pub class: String,
    /// Peers of the class, over all valid trials.
    pub peers: u32,
    /// Those of them that completed.
    pub completed: u32,
    /// Median of `completed_at_s` in `peers.csv`.
    pub completion_median_s: Option<f64>,
    /// The largest of them.
    pub completion_max_s: Option<f64>,
    /// Median time from a peer's own arrival to its completion.
    pub download_median_s: Option<f64>,
    /// Mean of the same.
    pub download_mean_s: Option<f64>,
    /// File bytes that they sent, over those that they received.
    pub contribution_ratio: Option<f64>,
}

/// A run as a whole: what a report shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// The experiment's name.
    pub name: String,
    /// Its question.
    pub question: String,
    /// Its seed.
    pub seed: u64,
    /// Key paths of its factors.
    pub factors: Vec<String>,
    /// What each cell was run with, in the plan's order.
    pub settings: Vec<Settings>,
    /// One row per cell, in the plan's order.
    pub summary: Vec<SummaryRow>,
    /// One row per trial, in the order in which they were given.
    pub trials: Vec<TrialRow>,
    /// One row per peer and trial.
    pub peers: Vec<PeerRow>,
    /// One row per planned departure or return.
    pub churn: Vec<ChurnRow>,
    /// One row per class and cell, in the plan's order.
    pub classes: Vec<ClassRow>,
    /// One row per pair of nodes and trial.
    pub transfers: Vec<TransferRow>,
    /// One row per second and trial.
    pub utilisation: Vec<UtilisationRow>,
    /// Who was there, second by second, in each trial.
    pub population: Vec<PopulationRow>,
    /// What other theory says of each trial.
    pub theory: Vec<TheoryRow>,
    /// The same over all valid trials of a cell: one row per second and cell, of repeat 0.
    pub usual: Vec<UtilisationRow>,
    /// One row per step of each cell's distribution of completion times.
    pub distribution: Vec<DistributionRow>,
    /// What to be wary of.
    pub findings: Vec<Finding>,
    /// How long the attempts of each cell took by the controller's clock, all together, as far as their logs tell, seconds.
    pub wall_s: BTreeMap<String, f64>,
    /// D over N; empty if N does not vary.
    pub over_n: Vec<Series>,
    /// Client-server against p2p, where all else is equal.
    pub contrasts: Vec<Contrast>,
    /// Containers against network namespaces, where all else is equal.
    pub parities: Vec<Parity>,
    /// What the results are held to.
    pub gate: Gate,
    /// Arms against the base.
    pub comparisons: Vec<ComparisonRow>,
    /// Thresholds and assertions, in the file's order.
    pub checks: Vec<CheckRow>,
    /// Each cell's nights, if the run is compared with any.
    pub nights: Vec<NightRow>,
    /// When the history changed its level.
    pub changes: Vec<ChangeRow>,
}

/// Cells that differ in N alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What they have in common: the architecture, and further levels as far as they vary.
    pub label: String,
    /// How the bytes travel.
    pub architecture: Architecture,
    /// The measured cells, ascending by N.
    pub points: Vec<Point>,
    /// The bound over N, from 1 to the largest N of the run: (N, link rate, payload rate), seconds. Under churn, where
    /// it depends on who leaves, the cells' own bounds.
    pub curve: Vec<(u32, f64, f64)>,
}

/// One cell in a figure over N.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// N.
    pub peers: u32,
    /// D of each completed trial, seconds, ascending.
    pub times: Vec<f64>,
    /// Median of `payload_ratio` in `trials.csv`.
    pub payload_ratio: Option<f64>,
}

/// Two cells that differ in architecture alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Contrast {
    /// The client-server cell's id.
    pub client_server: String,
    /// The p2p cell's id.
    pub p2p: String,
    /// N.
    pub peers: u32,
    /// How many times as long the median of client-server is.
    pub measured: Option<f64>,
    /// How many times as long its bound is.
    pub bound: Option<f64>,
    /// The shares of the peers that completed, of client-server and of p2p, where they differ: then the times are of
    /// different peers.
    pub completed_shares: Option<(f64, f64)>,
}

/// Two cells that differ in their runtime alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Parity {
    /// The id of the cell in containers.
    pub docker: String,
    /// The id of the cell in network namespaces.
    pub netns: String,
    /// Medians of D, seconds: in containers, in namespaces.
    pub medians: Option<(f64, f64)>,
    /// The shares of the peers that completed, where they differ.
    pub completed_shares: Option<(f64, f64)>,
}

impl Parity {
    /// By which share of the time in containers that in namespaces is longer.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        self.medians.map(|(docker, netns)| netns / docker - 1.0)
    }
}

impl Point {
    /// (least, median, largest); `None` if no trial completed.
    #[must_use]
    pub fn spread(&self) -> Option<(f64, f64, f64)> {
        Some((least(&self.times)?, median(&self.times)?, most(&self.times)?))
    }
}

impl Analysis {
    /// The attempts that are not INVALID: (cell, repeat, attempt). What is told of several attempts together is told of these;
    /// tables with a row for each attempt have all of them.
    #[must_use]
    pub fn standing(&self) -> BTreeSet<(&str, u32, u32)> {
        let standing = self.trials.iter().filter(|trial| trial.verdict != Verdict::Invalid);
        standing.map(|trial| (trial.cell.as_str(), trial.repeat, trial.attempt)).collect()
    }

    /// D of each valid trial of a cell, seconds, in the trials' order.
    #[must_use]
    pub fn times(&self, cell: &str) -> Vec<f64> {
        let own = self.trials.iter().filter(|trial| trial.cell == cell && counts(trial));
        own.filter_map(|trial| trial.distribution_time_s).collect()
    }
}

/// Concludes a run from its plan and its trials. Cells of the plan without a trial keep their row.
#[must_use]
pub fn analyse(plan: &Plan, measured: impl IntoIterator<Item = Measured>) -> Analysis {
    let mut analysis = Analysis {
        name: plan.name.clone(),
        question: plan.question.clone(),
        seed: plan.seed,
        factors: plan.factors.clone(),
        settings: plan.cells.iter().map(|cell| cell.settings.clone()).collect(),
        summary: Vec::new(),
        trials: Vec::new(),
        peers: Vec::new(),
        churn: Vec::new(),
        classes: Vec::new(),
        transfers: Vec::new(),
        utilisation: Vec::new(),
        population: Vec::new(),
        theory: Vec::new(),
        usual: Vec::new(),
        distribution: Vec::new(),
        findings: Vec::new(),
        wall_s: BTreeMap::new(),
        over_n: Vec::new(),
        contrasts: Vec::new(),
        parities: Vec::new(),
        gate: plan.gate.clone(),
        comparisons: Vec::new(),
        checks: Vec::new(),
        nights: Vec::new(),
        changes: Vec::new(),
    };
    for measured in measured {
        if let Some(seconds) = measured.wall_s {
            *analysis.wall_s.entry(measured.trial.cell.clone()).or_default() += seconds;
        }
        analysis.trials.push(measured.trial);
        analysis.peers.extend(measured.peers);
        analysis.churn.extend(measured.churn);
        analysis.transfers.extend(measured.transfers);
        analysis.utilisation.extend(measured.utilisation);
        analysis.population.extend(measured.population);
        analysis.theory.extend(measured.theory);
        analysis.findings.extend(measured.findings);
    }
    analysis.comparisons = compare::comparisons(plan, &analysis.trials);
    analysis.checks = checks::checks(plan, &analysis.trials, &analysis.peers);
    let decided = compare::decided(plan, &analysis.comparisons);
    let row = |cell: &Cell| summary_row(cell, &analysis.trials, decided.contains(cell.id.as_str()));
    analysis.summary = plan.cells.iter().map(row).collect();
    analysis.classes = plan.cells.iter().flat_map(|cell| classes(cell, &analysis)).collect();
    for cell in &plan.cells {
        analysis.usual.extend(flows::usual(&cell.id, &analysis.trials, &analysis.utilisation));
        analysis.distribution.extend(distribution::steps(&cell.id, &analysis.trials, &analysis.peers));
    }
    for row in &analysis.summary {
        scatter(row, &analysis.trials, &mut analysis.findings);
    }
    analysis.over_n = over_n(plan, &analysis.trials, &analysis.summary);
    analysis.contrasts = contrasts(plan, &analysis.summary);
    analysis.parities = parities(plan, &analysis.summary);
    analysis
}

fn classes(cell: &Cell, analysis: &Analysis) -> Vec<ClassRow> {
    let valid: BTreeSet<(u32, u32)> = analysis
        .trials
        .iter()
        .filter(|trial| trial.cell == cell.id && is_ended(trial))
        .map(|trial| (trial.repeat, trial.attempt))
        .collect();
    let of_class = |class: &str| {
        let is_its = |peer: &&PeerRow| {
            peer.cell == cell.id && peer.class == class && valid.contains(&(peer.repeat, peer.attempt))
        };
        let peers: Vec<&PeerRow> = analysis.peers.iter().filter(is_its).collect();
        let times: Vec<f64> = peers.iter().filter_map(|peer| peer.completed_at_s).collect();
        let downloads: Vec<f64> = peers.iter().filter_map(|peer| peer.download_s).collect();
        let (up, down) = peers.iter().fold((0, 0), |sum, peer| (sum.0 + peer.up_bytes, sum.1 + peer.down_bytes));
        ClassRow {
            cell: cell.id.clone(),
            class: class.to_owned(),
            peers: count(peers.len()),
            completed: count(times.len()),
            completion_median_s: median(&times),
            completion_max_s: most(&times),
            download_median_s: median(&downloads),
            download_mean_s: mean(&downloads),
            contribution_ratio: (down > 0).then(|| up as f64 / down as f64),
        }
    };
    cell.settings.classes.iter().map(|class| of_class(&class.name)).collect()
}

/// Whether a trial enters medians and comparisons.
fn counts(trial: &TrialRow) -> bool {
    trial.verdict == Verdict::Valid && trial.distribution_time_s.is_some()
}

/// What the repeats of a cell have to say of each other.
fn scatter(row: &SummaryRow, trials: &[TrialRow], found: &mut Vec<Finding>) {
    let own: Vec<&TrialRow> = trials.iter().filter(|trial| trial.cell == row.cell && counts(trial)).collect();
    let times: Vec<f64> = own.iter().filter_map(|trial| trial.distribution_time_s).collect();
    for (trial, _) in own.iter().zip(outliers(&times)).filter(|(_, is)| *is) {
        let what = What::Outlier {
            seconds: trial.distribution_time_s.unwrap_or_default(),
            median: median(&times).unwrap_or_default(),
        };
        found.push(Finding { cell: row.cell.clone(), repeat: trial.repeat, attempt: trial.attempt, what });
    }
    if let Some(cv) = row.distribution_time_cv.filter(|cv| *cv > findings::VARIATION) {
        found.push(Finding { cell: row.cell.clone(), repeat: 0, attempt: 0, what: What::Scattered { cv } });
    }
}

fn summary_row(cell: &Cell, trials: &[TrialRow], is_decided: bool) -> SummaryRow {
    let all: Vec<&TrialRow> = trials.iter().filter(|trial| trial.cell == cell.id).collect();
    let of = |field: fn(&TrialRow) -> Option<f64>| -> Vec<f64> {
        let completed = all.iter().filter(|trial| counts(trial));
        completed.filter_map(|trial| field(trial)).collect()
    };
    // What is INVALID is not what it ended as.
    let own = || all.iter().filter(|trial| trial.verdict != Verdict::Invalid);
    let ended = |how: &[TrialOutcome]| count(own().filter(|trial| how.contains(&trial.outcome)).count());
    let every = |field: fn(&TrialRow) -> Option<f64>| -> Vec<f64> { all.iter().filter_map(|it| field(it)).collect() };
    let completed = Completed::of(all.iter().copied());
    // The bound of a cell of which nothing stands is that of what was tried.
    let bound_of = |field: fn(&TrialRow) -> Option<f64>| {
        let standing: Vec<f64> = own().filter_map(|trial| field(trial)).collect();
        median(&standing).or_else(|| median(&every(field)))
    };
    let times = of(|trial| trial.distribution_time_s);
    let interval = median_interval(&times);
    let run: BTreeSet<u32> = all.iter().map(|trial| trial.repeat).collect();
    let planned = count(if is_decided { run.len() } else { cell.trials.len() });
    let never_run = planned.saturating_sub(count(run.len()));
    // A cell that never ran still has its bound.
    let unrun = || {
        let swarm = cell.trials.first().and_then(presence::planned)?;
        presence::bound(cell.settings.architecture, &swarm).map(|(bound, _)| bound)
    };
    SummaryRow {
        cell: cell.id.clone(),
        levels: cell.levels.clone(),
        architecture: cell.settings.architecture,
        peers: cell.settings.peers(),
        to_complete: count(cell.trials.iter().map(waited_for).min().unwrap_or(0)),
        to_complete_max: count(cell.trials.iter().map(waited_for).max().unwrap_or(0)),
        planned,
        completed: count(times.len()),
        invalid: count(all.iter().filter(|trial| trial.verdict == Verdict::Invalid).count()),
        timeout: ended(&[TrialOutcome::Timeout]),
        unfinishable: ended(&[TrialOutcome::Unfinishable]),
        nothing_measured: ended(&[TrialOutcome::NothingMeasured]),
        failed: ended(&[TrialOutcome::Failed]),
        broken_off: ended(&[TrialOutcome::Interrupted, TrialOutcome::LogIncomplete]),
        not_run: never_run,
        completed_share: completed.share(),
        gave_up: all.iter().filter(|trial| is_ended(trial)).map(|trial| trial.gave_up).sum(),
        distribution_time_cv: variation(&times),
        outliers: count(outliers(&times).into_iter().filter(|is| *is).count()),
        distribution_time_median_s: median(&times),
        distribution_time_min_s: least(&times),
        distribution_time_max_s: most(&times),
        distribution_time_low_s: interval.map(|interval| interval.low),
        distribution_time_high_s: interval.map(|interval| interval.high),
        download_mean_s: median(&own().filter_map(|trial| trial.download_mean_s).collect::<Vec<_>>()),
        bound_s: bound_of(|trial| trial.bound_s).or_else(|| Some(unrun()?.seconds)),
        bound_payload_s: bound_of(|trial| trial.bound_payload_s).or_else(|| Some(unrun()?.payload_seconds)),
        binding_term: most_frequent(own().filter_map(|trial| trial.binding_term))
            .or_else(|| most_frequent(all.iter().filter_map(|trial| trial.binding_term)))
            .or_else(|| Some(unrun()?.term)),
        ratio: median(&of(|trial| trial.ratio)),
        payload_ratio: median(&of(|trial| trial.payload_ratio)),
        efficiency: median(&of(|trial| trial.efficiency)),
        offload_share: median(&of(|trial| trial.offload_share)),
        duplicate_share: median(&of(|trial| trial.duplicate_share)),
        idle_uninterested_share: median(&of(|trial| trial.idle_uninterested_share)),
        idle_choked_share: median(&of(|trial| trial.idle_choked_share)),
        idle_unrequested_share: median(&of(|trial| trial.idle_unrequested_share)),
        absent_share: median(&of(|trial| trial.absent_share)),
        fairness_jain: median(&of(|trial| trial.fairness_jain)),
        overhead_share: median(&of(|trial| trial.overhead_share)),
        link_error_max_share: most(&every(|trial| trial.link_error_max_share)),
        host_busy_max_share: most(&every(|trial| trial.host_busy_max_share)),
        start_skew_max_s: most(&every(|trial| trial.start_skew_max_s)),
    }
}

fn churns(cell: &Cell) -> bool {
    cell.trials.iter().any(|trial| !trial.schedule.is_empty())
}

fn waited_for(trial: &Trial) -> usize {
    trial.nodes.iter().filter(|node| node.to_complete).count()
}

fn over_n(plan: &Plan, trials: &[TrialRow], summary: &[SummaryRow]) -> Vec<Series> {
    let largest = plan.cells.iter().map(|cell| cell.settings.peers()).max().unwrap_or(0);
    if plan.cells.iter().all(|cell| cell.settings.peers() == largest) {
        return Vec::new();
    }
    let mut series: Vec<(Vec<&String>, Series)> = Vec::new();
    for (cell, row) in plan.cells.iter().zip(summary) {
        let architecture = cell.settings.architecture;
        let others = plan.factors.iter().zip(&cell.levels).filter(|(key, _)| *key != "peers" && *key != "architecture");
        let others: Vec<&String> = others.map(|(_, level)| level).collect();
        let same = |it: &(Vec<&String>, Series)| it.0 == others && it.1.architecture == architecture;
        let position = series.iter().position(same).unwrap_or_else(|| {
            let label = std::iter::once(name(architecture)).chain(others.iter().map(|it| it.as_str()));
            let label = label.collect::<Vec<_>>().join(", ");
            let curve = if churns(cell) { Vec::new() } else { bounds::curve(&cell.settings, largest) };
            let curve = curve.into_iter().map(|(n, bound)| (n, bound.seconds, bound.payload_seconds)).collect();
            series.push((others, Series { label, architecture, points: Vec::new(), curve }));
            series.len() - 1
        });
        let mut times: Vec<f64> = trials
            .iter()
            .filter(|it| it.cell == cell.id && counts(it))
            .filter_map(|it| it.distribution_time_s)
            .collect();
        times.sort_by(f64::total_cmp);
        if churns(cell) {
            series[position]
                .1
                .curve
                .extend(row.bound_s.zip(row.bound_payload_s).map(|(link, payload)| (row.peers, link, payload)));
        }
        series[position].1.points.push(Point { peers: row.peers, times, payload_ratio: row.payload_ratio });
    }
    let mut series: Vec<Series> = series.into_iter().map(|(_, series)| series).collect();
    for one in &mut series {
        one.points.sort_by_key(|point| point.peers);
        one.curve.sort_by_key(|(n, ..)| *n);
    }
    series
}

/// A cell's levels of all factors but one.
fn levels_but(plan: &Plan, row: &SummaryRow, factor: &str) -> Vec<String> {
    let levels = plan.factors.iter().zip(&row.levels).filter(|(key, _)| *key != factor);
    levels.map(|(_, level)| level.clone()).collect()
}

fn parities(plan: &Plan, summary: &[SummaryRow]) -> Vec<Parity> {
    let on = |name| plan.cells.iter().zip(summary).filter(move |(cell, _)| cell.settings.runtime == name);
    let others = |row: &SummaryRow| levels_but(plan, row, "runtime");
    let pairs = on(RuntimeName::Docker).filter_map(|(_, docker)| {
        Some((docker, on(RuntimeName::Netns).find(|(_, netns)| others(netns) == others(docker))?.1))
    });
    pairs
        .map(|(docker, netns)| Parity {
            docker: docker.cell.clone(),
            netns: netns.cell.clone(),
            medians: docker.distribution_time_median_s.zip(netns.distribution_time_median_s),
            completed_shares: unequal(docker, netns),
        })
        .collect()
}

/// The shares of the peers that completed in two cells, where they differ.
fn unequal(a: &SummaryRow, b: &SummaryRow) -> Option<(f64, f64)> {
    a.completed_share.zip(b.completed_share).filter(|(a, b)| a != b)
}

fn contrasts(plan: &Plan, summary: &[SummaryRow]) -> Vec<Contrast> {
    let others = |row: &SummaryRow| levels_but(plan, row, "architecture");
    let of = |architecture| summary.iter().filter(move |row| row.architecture == architecture);
    let pairs = of(Architecture::ClientServer).filter_map(|client_server| {
        let same = |p2p: &&SummaryRow| others(p2p) == others(client_server) && p2p.peers == client_server.peers;
        Some((client_server, of(Architecture::P2p).find(same)?))
    });
    let times = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a / b);
    pairs
        .map(|(client_server, p2p)| Contrast {
            client_server: client_server.cell.clone(),
            p2p: p2p.cell.clone(),
            peers: p2p.peers,
            measured: times(client_server.distribution_time_median_s, p2p.distribution_time_median_s),
            bound: times(client_server.bound_s, p2p.bound_s),
            completed_shares: unequal(client_server, p2p),
        })
        .collect()
}

/// An architecture's name, as in the experiment file.
#[must_use]
pub fn name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::ClientServer => "client-server",
        Architecture::P2p => "p2p",
    }
}

/// The value that comes most often, the smallest of several.
fn most_frequent<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut times: BTreeMap<T, u32> = BTreeMap::new();
    for value in values {
        *times.entry(value).or_default() += 1;
    }
    times.into_iter().rev().max_by_key(|(_, times)| *times).map(|(value, _)| value)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("a run has fewer than 2^32 trials")
}

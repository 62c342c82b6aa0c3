//! A [`Document`] to a [`Spec`]: defaults filled, factors multiplied out, and every problem noted before giving up.
//!
//! This file knows the keys and what they mean together; what one value may be is in `values`, how keys are read
//! one by one in `reader`. It computes no bounds: whether a timeout leaves time enough is the plan command's to say.

use std::path::Path;

use peer_image::node::{Choker, Link, PIECES_MAX, Picker, Pipeline, Policy, Storage};

use super::arms::{Arm, arms, placed};
use super::arrivals::arrivals;
use super::churn::churn;
use super::client::client;
use super::document::Document;
use super::factors::{self, CELLS_MAX};
use super::faults::incidents;
use super::gate::gate;
use super::keys::KEYS;
use super::peers::classes;
use super::reader::{Fault, Findings, Section, Varying, View};
use super::trace::trace;
use super::validity::validity;
use super::values;
use crate::quantity::{seconds, show_size};
use crate::spec::error::Problem;
use crate::spec::model::gate::{PAIRS, PAIRS_MIN};
use crate::spec::model::{ARM, Architecture, Combination, Factor, Order, RuntimeName, Settings, Spec, room};

/// Congestion control unless the file names another: plain Reno (RFC 5681). CUBIC leaves slow start when its HyStart
/// sees delay grow (RFC 9406), which on an access link that carries its own acknowledgements, on a host that is busy
/// with a whole swarm, happens by accident: a trial's time would hang on the host's jitter.
pub(crate) const CONGESTION: &str = "reno";

/// The seed of an experiment that gives none: a constant, so that no result depends on an unprinted one.
pub(crate) const SEED: u64 = 1;

/// Most trials of a cell.
const REPEATS_MAX: u32 = 1_000;
/// How often a trial that is INVALID is run again, unless the file says otherwise, and at most.
const RETRIES: u32 = 2;
const RETRIES_MAX: u32 = 20;
/// Most nodes of all trials together: what a plan in memory, and a year, can hold.
const NODES_MAX: u64 = 2_000_000;

/// Default piece length, bytes.
const PIECE: u64 = 256 << 10;
const PIECE_MIN: u64 = 16 << 10;
const PIECE_MAX: u64 = 16 << 20;
/// Files are shorter than that, bytes.
const FILE_END: u64 = 256 << 30;

/// Default of `timeout`, nanoseconds.
const TIMEOUT: u64 = 600 * 1_000_000_000;
/// Default of `start_timeout`, nanoseconds.
const START_TIMEOUT: u64 = 60 * 1_000_000_000;

const ARCHITECTURES: &[(&str, Architecture)] =
    &[("client-server", Architecture::ClientServer), ("p2p", Architecture::P2p)];
const RUNTIMES: &[(&str, RuntimeName)] =
    &[("auto", RuntimeName::Auto), ("docker", RuntimeName::Docker), ("netns", RuntimeName::Netns)];
const ORDERS: &[(&str, Order)] = &[("interleaved", Order::Interleaved), ("sequential", Order::Sequential)];
const STORAGES: &[(&str, Storage)] = &[("none", Storage::None), ("memory", Storage::Memory), ("disk", Storage::Disk)];
const PICKERS: &[(&str, Picker)] =
    &[("rarest-first", Picker::RarestFirst), ("random", Picker::Random), ("sequential", Picker::Sequential)];
const CHOKERS: &[(&str, Choker)] =
    &[("tit-for-tat", Choker::TitForTat), ("round-robin", Choker::RoundRobin), ("unlimited", Choker::Unlimited)];

/// What the file means; files that it names are in `directory`.
///
/// # Errors
/// All problems in the file's order, and whether the search was given up for their number.
pub(crate) fn check(document: &Document, directory: &Path) -> Result<Spec, (Vec<Problem>, bool)> {
    let mut findings = Findings::default();
    let varying = factors::factors(document, &mut findings);
    let arms = arms(document, &mut findings);
    let spec = examine(document, &arms, &varying, &mut findings, directory);
    let full = findings.is_full();
    match spec {
        Some(spec) if findings.is_empty() => Ok(spec),
        _ => Err((findings.problems(document, |id, problem| placed(&arms, id, problem)), full)),
    }
}

fn examine(
    document: &Document,
    arms: &[Arm],
    varying: &[Varying<'_>],
    findings: &mut Findings,
    directory: &Path,
) -> Option<Spec> {
    let too_many = factors::cells(varying).saturating_mul(arms.len()) > CELLS_MAX;
    if too_many {
        let sizes: Vec<String> =
            varying.iter().map(|factor| format!("{} of `{}`", factor.levels.len(), factor.path)).collect();
        let fault = Fault::new(format!("the factors come to more than {CELLS_MAX} cells: {}", sizes.join(" × ")));
        findings.add(document.root.id, "", fault.hint("fewer levels, or several experiments"));
    }
    let singles = factors::one_at_a_time(varying);
    let (mut head, mut held_to) = (None, None);
    for (index, choice) in singles.iter().enumerate() {
        for (number, arm) in arms.iter().enumerate() {
            let mut view = View::new(findings, varying, choice, index == 0, directory);
            let root = view.root(&arm.root, &KEYS)?;
            if (index, number) == (0, 0) {
                head = describe(&mut view, &root, arms.len() > 1);
                held_to = gate(&mut view, &root, document, arms);
            }
            settings(&mut view, &root);
            if findings.is_full() {
                return None;
            }
        }
    }
    if too_many {
        return None;
    }

    let mut combinations = Vec::new();
    for choice in factors::product(varying) {
        for arm in arms {
            let mut view = View::new(findings, varying, &choice, false, directory);
            let root = view.root(&arm.root, &KEYS)?;
            let settings = settings(&mut view, &root);
            if findings.is_full() {
                return None;
            }
            let levels = varying.iter().zip(&choice).map(|(factor, level)| as_written(factor, *level));
            let levels = levels.chain(arm.name.clone()).collect();
            combinations.extend(settings.map(|settings| Combination { levels, settings }));
        }
    }
    if !findings.is_empty() {
        return None;
    }
    same_levels(varying, &combinations, findings);

    let Head { name, question, seed, repeats, warm_up, order, retries } = head?;
    let gate = held_to?;
    let nodes: u64 = combinations.iter().map(|combination| u64::from(combination.settings.peers()) + 2).sum::<u64>()
        * u64::from(repeats);
    if nodes > NODES_MAX {
        let fault = Fault::new(format!("all trials together come to {nodes} nodes, more than {NODES_MAX}"));
        findings.add(document.root.id, "", fault.hint("fewer levels, repeats or peers, or several experiments"));
    }
    let factors = varying
        .iter()
        .map(|factor| Factor {
            key: factor.path.clone(),
            levels: (0..factor.levels.len()).map(|level| as_written(factor, level)).collect(),
        })
        .chain((!gate.arms.is_empty()).then(|| Factor { key: ARM.to_owned(), levels: gate.arms.clone() }))
        .collect();
    Some(Spec { name, question, seed, repeats, warm_up, order, retries, factors, combinations, gate })
}

fn as_written(factor: &Varying<'_>, level: usize) -> String {
    factor.levels[level].value.scalar().unwrap_or_default()
}

/// Notes levels of one factor that are written differently and mean the same: their cells would be the same.
fn same_levels(varying: &[Varying<'_>], combinations: &[Combination], findings: &mut Findings) {
    let mut stride = combinations.len();
    for factor in varying {
        let size = factor.levels.len();
        stride /= size;
        let alone = |level: usize| &combinations[level * stride].settings;
        for level in 1..size {
            if let Some(earlier) = (0..level).find(|earlier| alone(*earlier) == alone(level)) {
                let (this, other) = (as_written(factor, level), as_written(factor, earlier));
                let fault = Fault::new(format!("the level `{this}` means the same as `{other}`"));
                findings.add(factor.levels[level].id, &factor.path, fault.hint("each level once"));
            }
        }
    }
}

/// What describes the experiment as a whole.
struct Head {
    name: String,
    question: String,
    seed: u64,
    repeats: u32,
    warm_up: bool,
    order: Order,
    retries: u32,
}

fn describe<'a>(view: &mut View<'a, '_>, root: &Section<'a>, has_arms: bool) -> Option<Head> {
    let name = view.need(root, "name", values::name);
    let question = view.need(root, "question", values::text);
    let seed = view.read(root, "seed", |v| values::whole(v, 0..=u64::MAX)).unwrap_or(SEED);
    // With arms each repeat is a pair, and fewer than so many pairs decide nothing.
    let (least, usual) = if has_arms { (PAIRS_MIN, PAIRS) } else { (1, 1) };
    let repeats = view.read(root, "repeats", |v| values::whole(v, least..=REPEATS_MAX)).unwrap_or(usual);
    let warm_up = view.read(root, "warm_up", values::flag).unwrap_or(false);
    let order = view.read(root, "order", |v| values::word(v, ORDERS)).unwrap_or(Order::Interleaved);
    let retries = view.read(root, "retries", |v| values::whole(v, 0..=RETRIES_MAX)).unwrap_or(RETRIES);
    Some(Head { name: name?, question: question?, seed, repeats, warm_up, order, retries })
}

/// Everything that one cell is run with; nothing if something, noted, is wrong.
fn settings<'a>(view: &mut View<'a, '_>, root: &Section<'a>) -> Option<Settings> {
    let architecture = view.need(root, "architecture", |v| values::word(v, ARCHITECTURES));
    let file = file(view, root);
    let server = server(view, root);
    let runtime = or_default(view, root, "runtime", RuntimeName::Auto, |v| values::word(v, RUNTIMES));
    let classes = classes(view, root, room(runtime.unwrap_or_default()));
    let policy = policy(view, root);
    let client = client(view, root, runtime);
    let storage = or_default(view, root, "storage", Storage::None, |v| values::word(v, STORAGES));
    let congestion = or_default(view, root, "congestion", CONGESTION.to_owned(), values::congestion);
    let timeout = or_default(view, root, "timeout", TIMEOUT, values::time);
    let start_timeout = or_default(view, root, "start_timeout", START_TIMEOUT, values::time);
    let arrivals = arrivals(view, root);
    let peers = classes.as_ref().map(|classes| classes.iter().map(|class| class.count).sum());
    let churn = churn(view, root, timeout, storage, peers);
    let events = incidents(view, root, timeout, storage, classes.as_deref());
    let trace = trace(view, root, peers, timeout, storage);
    let validity = validity(view, root);
    let (size, piece) = file?;
    Some(Settings {
        runtime: runtime?,
        architecture: architecture?,
        size,
        piece,
        server: server?,
        classes: classes?,
        policy: policy?,
        client: client?,
        storage: storage?,
        congestion: congestion?,
        arrivals: arrivals?,
        churn: churn?,
        events: events?,
        trace: trace?,
        start_timeout: seconds(start_timeout?),
        timeout: seconds(timeout?),
        validity: validity?,
    })
}

/// The value at a key, the default if it is absent, nothing if it is, noted, wrong.
fn or_default<'a, T>(
    view: &mut View<'a, '_>,
    within: &Section<'a>,
    key: &str,
    default: T,
    parse: impl FnOnce(&super::document::Value) -> Result<T, Fault>,
) -> Option<T> {
    if within.entries.iter().any(|entry| entry.key == key) { view.read(within, key, parse) } else { Some(default) }
}

fn file<'a>(view: &mut View<'a, '_>, root: &Section<'a>) -> Option<(u64, u32)> {
    let section = view.need_section(root, "file", &["size", "piece"])?;
    let size = view.need(&section, "size", values::size);
    let piece = or_default(view, &section, "piece", PIECE, |value| {
        let piece = values::size(value)?;
        if piece.is_power_of_two() && (PIECE_MIN..=PIECE_MAX).contains(&piece) {
            return Ok(piece);
        }
        let near = piece.checked_next_power_of_two().unwrap_or(PIECE_MAX).clamp(PIECE_MIN, PIECE_MAX);
        let fault = if piece.is_power_of_two() {
            Fault::new(format!("`{}` is out of range", show_size(piece)))
        } else {
            Fault::new(format!("`{}` is not a power of two", show_size(piece)))
        };
        let range = format!("a power of two from {} to {}", show_size(PIECE_MIN), show_size(PIECE_MAX));
        Err(fault.hint(format!("{range}, such as `{}`", show_size(near))))
    });
    let (size, piece) = (size?, piece?);
    if size >= FILE_END {
        let fault = Fault::new(format!("`{}` is too large", show_size(size)));
        view.fault(&section, "size", fault.hint(format!("less than {}", show_size(FILE_END))));
    }
    if size < piece {
        let fault = Fault::new(format!("`{}` is smaller than a piece of `{}`", show_size(size), show_size(piece)));
        view.fault(&section, "size", fault.hint("a larger `size` or a smaller `piece`"));
    }
    if size < FILE_END && size.div_ceil(piece) > PIECES_MAX {
        let fault = Fault::new(format!("{} pieces are too many for a torrent", size.div_ceil(piece)));
        let enough = size.div_ceil(PIECES_MAX).next_power_of_two();
        view.fault(&section, "piece", fault.hint(format!("at most {PIECES_MAX}: `{}` or more", show_size(enough))));
    }
    Some((size, u32::try_from(piece).expect("a piece is at most 16 MiB")))
}

fn server<'a>(view: &mut View<'a, '_>, root: &Section<'a>) -> Option<Link> {
    let section = view.need_section(root, "server", &["up", "down"])?;
    let up = view.need(&section, "up", values::rate);
    let down = view.need(&section, "down", values::rate);
    Some(Link { up: up?, down: down? })
}

fn policy<'a>(view: &mut View<'a, '_>, root: &Section<'a>) -> Option<Policy> {
    let default = Policy::default();
    if !root.entries.iter().any(|entry| entry.key == "policy") {
        return Some(default);
    }
    let known = ["picker", "choker", "slots", "neighbours", "pipeline", "endgame", "super_seeding"];
    let section = view.section(root, "policy", &known)?;
    let picker = or_default(view, &section, "picker", default.picker, |v| values::word(v, PICKERS));
    let choker = or_default(view, &section, "choker", default.choker, |v| values::word(v, CHOKERS));
    let slots = or_default(view, &section, "slots", default.slots, |v| values::whole(v, 1..=1_000));
    let neighbours = or_default(view, &section, "neighbours", default.neighbours, |v| values::whole(v, 1..=1_000));
    let pipeline: Option<Pipeline> = or_default(view, &section, "pipeline", default.pipeline, values::pipeline);
    let endgame = or_default(view, &section, "endgame", default.endgame, values::flag);
    let super_seeding = or_default(view, &section, "super_seeding", default.super_seeding, values::flag);
    Some(Policy {
        picker: picker?,
        choker: choker?,
        slots: slots?,
        neighbours: neighbours?,
        pipeline: pipeline?,
        endgame: endgame?,
        super_seeding: super_seeding?,
    })
}

//! A trace: a CSV file that says when each peer is there.
//!
//! One row is one stay, as `harness plan --timeline` prints them:
//!
//! ```text
//! peer,arrive_s,leave_s,how,keeps
//! peer-1,0,12.5,crash,
//! peer-1,17.5,,,pieces
//! server,0,60,leave,
//! ```
//!
//! `how` is how it goes (`leave`, `crash`, `freeze`, `cut-off`), `keeps` what it comes with if it was there before
//! (`pieces`, `nothing`). Without `leave_s` it stays to the end. A peer without a row is there from start to end.

use std::collections::BTreeMap;

use peer_image::node::Storage;

use super::reader::{Fault, Section, View, kept_in_memory, meant};
use super::values;
use crate::quantity;
use crate::spec::error::listed;
use crate::spec::model::trace::{COLUMNS, RESULTS};
use crate::spec::model::{Absence, Fate, HOWS, How, Keeps, Trace, Whom};

/// After so many mistakes the rest of a trace is not read.
const FAULTS_MAX: usize = 20;
/// Longest trace, bytes.
const LENGTH_MAX: u64 = 64 << 20;

/// The trace that the file names; nothing if, noted, it is wrong, `Some(None)` if there is none.
pub(super) fn trace<'a>(
    view: &mut View<'a, '_>,
    root: &Section<'a>,
    peers: Option<u32>,
    timeout: Option<u64>,
    storage: Option<Storage>,
) -> Option<Option<Trace>> {
    if view.find(root, "trace").is_none() {
        return Some(None);
    }
    for other in ["arrivals", "churn"] {
        if root.entries.iter().any(|entry| entry.key == other) {
            let fault = Fault::new(format!("both `trace` and `{other}`: the trace says who comes and goes"));
            view.fault(root, "trace", fault.hint("keep one of them"));
        }
    }
    let file = view.read(root, "trace", values::text)?;
    if file.contains(['/', '\\']) || file.starts_with('.') {
        let fault = Fault::new(format!("`{file}` is not the name of a file beside this one"));
        view.fault(root, "trace", fault.hint("put the trace beside the experiment file, and write its name alone"));
        return None;
    }
    let name = file.strip_suffix(".csv");
    if name.is_none_or(|name| RESULTS.contains(&name)) {
        let fault = Fault::new(match name {
            Some(_) => format!("`{file}` is the name of a table of results, and would lie beside it"),
            None => format!("`{file}` is not called `.csv`"),
        });
        view.fault(root, "trace", fault.hint("another name, such as `sessions.csv`"));
        return None;
    }
    let read = view.beside(&file, LENGTH_MAX);
    let fates = match read {
        Ok(text) => fates(&text, peers, timeout, storage),
        Err(why) => Err(vec![Fault::new(format!("cannot be read: {why}")).hint("a CSV file beside this one")]),
    };
    match fates {
        Ok((fates, short)) => Some(Some(Trace { file, fates, short })),
        Err(faults) => {
            for fault in faults {
                view.fault(root, "trace", fault.within(&file));
            }
            None
        }
    }
}

/// A row, read.
struct Stay {
    line: u64,
    arrive: u64,
    leave: Option<u64>,
    how: How,
    /// None if nothing is said.
    keeps: Option<Keeps>,
}

/// Whom a trace tells of, and its lines that are too short to be carried out.
type Told = (BTreeMap<Whom, Fate>, Vec<u64>);

/// What a trace's text says, or everything that is wrong with it.
fn fates(text: &str, peers: Option<u32>, timeout: Option<u64>, storage: Option<Storage>) -> Result<Told, Vec<Fault>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| vec![Fault::new(error.to_string())])?.clone();
    let mut faults = Vec::new();
    for name in &header {
        if !COLUMNS.contains(&name) {
            let fault = Fault::new(format!("line 1: unknown column `{name}`"));
            faults.push(match meant(name, &COLUMNS) {
                Some(column) => fault.hint(format!("did you mean `{column}`?")),
                None => fault.hint(format!("columns are {}", listed(&COLUMNS))),
            });
        }
    }
    for (index, name) in header.iter().enumerate() {
        if header.iter().take(index).any(|before| before == name) {
            faults.push(Fault::new(format!("line 1: column `{name}` twice")).hint("each column once"));
        }
    }
    let column = |name: &str| header.iter().position(|it| it == name);
    for needed in ["peer", "arrive_s"] {
        if column(needed).is_none() {
            let first = format!("the first line names the columns: {}", COLUMNS.join(","));
            faults.push(Fault::new(format!("line 1: no column `{needed}`")).hint(first));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut stays: BTreeMap<Whom, Vec<Stay>> = BTreeMap::new();
    for record in reader.records() {
        let row = record.map_err(|error| vec![Fault::new(error.to_string())])?;
        let line = row.position().map_or(0, csv::Position::line);
        let field = |name: &str| column(name).and_then(|index| row.get(index)).filter(|text| !text.is_empty());
        if row.len() > header.len() {
            let what = format!("line {line}: {} fields, and the first line names {}", row.len(), header.len());
            faults.push(Fault::new(what).hint("a comma too many?"));
            continue;
        }
        match stay(line, &field, peers, timeout) {
            Ok((whom, stay)) => stays.entry(whom).or_default().push(stay),
            Err(fault) => faults.push(fault),
        }
        if faults.len() >= FAULTS_MAX {
            faults.push(
                Fault::new(format!("after {FAULTS_MAX} mistakes the rest was not read")).hint("mend these first"),
            );
            return Err(faults);
        }
    }
    let (mut fates, mut short) = (BTreeMap::new(), Vec::new());
    for (whom, stays) in stays {
        match fate(whom, &stays, storage) {
            Ok(fate) => {
                if whom != Whom::Tracker {
                    short.extend(too_short(&stays, &fate));
                }
                fates.insert(whom, fate);
            }
            Err(fault) => faults.push(fault),
        }
    }
    short.sort_unstable();
    if faults.is_empty() { Ok((fates, short)) } else { Err(faults) }
}

/// The lines of stays of which a moment has to be later for all to be carried out.
fn too_short(stays: &[Stay], fate: &Fate) -> Vec<u64> {
    let mut able = fate.clone();
    able.lengthen();
    let mut lines = Vec::new();
    for (index, (written, able)) in fate.absences.iter().zip(&able.absences).enumerate() {
        // An absence stands between two lines: the later one says when it ends.
        let line = |index: usize| stays.get(index).map(|stay: &Stay| stay.line);
        lines.extend(line(index).filter(|_| written.from != able.from));
        lines.extend(line(index + 1).filter(|_| written.until != able.until));
    }
    lines.dedup();
    lines
}

fn wrong(line: u64, field: &str, what: impl std::fmt::Display) -> Fault {
    Fault::new(format!("line {line}, field `{field}`: {what}"))
}

fn stay<'r>(
    line: u64,
    field: &dyn Fn(&str) -> Option<&'r str>,
    peers: Option<u32>,
    timeout: Option<u64>,
) -> Result<(Whom, Stay), Fault> {
    let name = field("peer").ok_or_else(|| wrong(line, "peer", "empty").hint("such as `peer-1` or `server`"))?;
    let most = peers.unwrap_or(u32::MAX);
    let whom = match name.parse() {
        Ok(Whom::Peer(number)) if number < 1 || number > most => {
            return Err(wrong(line, "peer", format!("`{name}` is none of the {most} peers"))
                .hint("more `peers`, or another name"));
        }
        Ok(whom) => whom,
        Err(()) => {
            return Err(wrong(line, "peer", format!("`{name}` is no peer"))
                .hint("such as `peer-1`, `1`, `server` or `tracker`"));
        }
    };
    let time = |name: &str| field(name).map(|text| seconds(line, name, text)).transpose();
    let arrive =
        time("arrive_s")?.ok_or_else(|| wrong(line, "arrive_s", "empty").hint("seconds after the common start"))?;
    let leave = time("leave_s")?;
    let how = match field("how") {
        Some(text) => word(line, "how", text, &HOWS)?,
        None => How::Leave,
    };
    let keeps = match field("keeps") {
        Some(text) => Some(word(line, "keeps", text, &[("pieces", Keeps::Pieces), ("nothing", Keeps::Nothing)])?),
        None => None,
    };
    if leave.is_some_and(|leave| leave <= arrive) {
        let what = if leave == Some(arrive) {
            "it leaves at the moment of its arrival"
        } else {
            "it leaves before it arrives"
        };
        return Err(wrong(line, "leave_s", what).hint("a later `leave_s`, or none"));
    }
    if leave.is_none() && field("how").is_some() {
        return Err(wrong(line, "how", "it does not leave").hint("`leave_s` says when, or leave `how` empty"));
    }
    if timeout.is_some_and(|timeout| arrive >= timeout) {
        return Err(wrong(line, "arrive_s", "it arrives after the timeout").hint("a longer `timeout`"));
    }
    if whom == Whom::Tracker && leave.is_some() && how != How::Leave {
        return Err(wrong(line, "how", "the tracker can only leave").hint("`leave`"));
    }
    Ok((whom, Stay { line, arrive, leave, how, keeps }))
}

/// Seconds to ns.
fn seconds(line: u64, field: &str, text: &str) -> Result<u64, Fault> {
    if text.parse::<f64>() == Ok(0.0) {
        return Ok(0);
    }
    quantity::time(&format!("{text} s")).map_err(|_| {
        let what = match text.parse::<f64>() {
            Ok(number) if number < 0.0 => format!("`{text}` is negative"),
            Ok(number) if !number.is_finite() => format!("`{text}` is not finite"),
            _ => format!("`{text}` is no time"),
        };
        wrong(line, field, what).hint("seconds after the common start, at most nine decimals, such as `12.5`")
    })
}

fn word<T: Copy>(line: u64, field: &str, text: &str, words: &[(&str, T)]) -> Result<T, Fault> {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| wrong(line, field, format!("`{text}` is not one of {}", listed(&known))))
}

/// Stays in the file's order to what happens between them.
fn fate(whom: Whom, stays: &[Stay], storage: Option<Storage>) -> Result<Fate, Fault> {
    let mut fate = Fate::default();
    for (index, stay) in stays.iter().enumerate() {
        if index == 0 {
            fate.arrives = stay.arrive;
            if stay.keeps.is_some() {
                let what = format!("{whom} was not there before");
                return Err(wrong(stay.line, "keeps", what).hint("leave it empty"));
            }
            if stay.arrive > 0 && !matches!(whom, Whom::Peer(_)) {
                return Err(wrong(stay.line, "arrive_s", format!("the {whom} is there from the start")).hint("`0`"));
            }
        } else {
            let apart =
                fate.absences.last_mut().filter(|absence| absence.until.is_none() && stay.arrive > absence.from);
            let Some(absence) = apart else {
                let before = &stays[index - 1];
                let what = if stay.arrive < before.arrive {
                    format!("{whom} was there later in line {}", before.line)
                } else {
                    format!("{whom} is there already: the stay of line {} has not ended", before.line)
                };
                return Err(
                    wrong(stay.line, "arrive_s", what).hint("stays in order of time, each after the one before")
                );
            };
            absence.until = Some(stay.arrive);
            if !absence.how.ends_the_process() && stay.keeps.is_some() {
                let what = format!("{whom} loses nothing by a {}", absence.how.word());
                return Err(wrong(stay.line, "keeps", what).hint("leave it empty"));
            }
            absence.keeps = stay.keeps.unwrap_or(Keeps::Pieces);
            let in_memory = storage == Some(Storage::Memory) && matches!(whom, Whom::Peer(_));
            if in_memory && absence.how.ends_the_process() && absence.keeps == Keeps::Pieces {
                return Err(kept_in_memory().prefixed(&format!("line {}, field `keeps`: ", stay.line)));
            }
        }
        if let Some(from) = stay.leave {
            fate.absences.push(Absence { from, until: None, how: stay.how, keeps: Keeps::Pieces });
        }
    }
    Ok(fate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &str) -> Result<BTreeMap<Whom, Fate>, Vec<Fault>> {
        let fates = fates(&format!("peer,arrive_s,leave_s,how,keeps\n{rows}"), Some(3), Some(60_000_000_000), None);
        fates.map(|(fates, _)| fates)
    }

    #[test]
    fn what_no_runtime_can_carry_out_is_told_by_its_line() {
        let short = |rows: &str| {
            fates(&format!("peer,arrive_s,leave_s,how\n{rows}"), Some(3), Some(60_000_000_000), None).unwrap().1
        };
        assert_eq!(short("1,0,5,crash\n1,5.5,9,\n1,10.5,,\n2,0,0.001,crash\n"), [0; 0], "all of that can be");
        assert_eq!(short("1,0,5,crash\n2,0,9,\n1,5.499,9,\n2,10.499,,\n1,10.5,10.999,\n"), [4, 5, 6]);
        assert_eq!(short("1,0,5,cut-off\n1,5.001,5.002,freeze\n1,5.003,,\ntracker,0,5,\ntracker,5.1,,\n"), [0; 0]);
    }

    #[test]
    fn stays_become_absences() {
        let fates = read("peer-1,0.5,12.5,crash,\n1,17.5,,,nothing\nserver,0,60,leave,\n").unwrap();
        let absence =
            Absence { from: 12_500_000_000, until: Some(17_500_000_000), how: How::Crash, keeps: Keeps::Nothing };
        assert_eq!(fates[&Whom::Peer(1)], Fate { arrives: 500_000_000, absences: vec![absence] });
        assert!(fates[&Whom::Server].is_gone());
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let rows = "peer-1,0.5,12.5,crash,\npeer-1,17.000000001,20,cut-off,nothing\npeer-1,25,,,\npeer-3,0,9,leave,\n";
        let fates = read(rows).unwrap();
        let text = crate::spec::model::trace::write(fates.iter().map(|(whom, fate)| (whom.to_string(), fate.clone())));
        assert_eq!(text, format!("{}\n{rows}", COLUMNS.join(",")));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_field() {
        for (rows, said) in [
            ("peer-4,0,,,\n", "line 2, field `peer`: `peer-4` is none of the 3 peers"),
            ("bob,0,,,\n", "line 2, field `peer`: `bob` is no peer"),
            ("1,0,,,\n1,5,,,\n", "line 3, field `arrive_s`: peer-1 is there already: the stay of line 2 has not ended"),
            (
                "1,0,9,,\n1,5,,,\n",
                "line 3, field `arrive_s`: peer-1 is there already: the stay of line 2 has not ended",
            ),
            ("1,5,4,,\n", "line 2, field `leave_s`: it leaves before it arrives"),
            ("1,5,5,,\n", "line 2, field `leave_s`: it leaves at the moment of its arrival"),
            ("1,5,,crash,\n", "line 2, field `how`: it does not leave"),
            ("1,5,,,pieces\n", "line 2, field `keeps`: peer-1 was not there before"),
            ("1,0,5,freeze,\n1,7,,,nothing\n", "line 3, field `keeps`: peer-1 loses nothing by a freeze"),
            ("1,6,9,,\n1,0,5,,\n", "line 3, field `arrive_s`: peer-1 was there later in line 2"),
            ("1,0,5,crash,,\n", "line 2: 6 fields, and the first line names 5"),
            ("peer-+1,0,,,\n", "line 2, field `peer`: `peer-+1` is no peer"),
            ("1,-5,,,\n", "line 2, field `arrive_s`: `-5` is negative"),
            ("1,inf,,,\n", "line 2, field `arrive_s`: `inf` is not finite"),
            ("1,NaN,,,\n", "line 2, field `arrive_s`: `NaN` is not finite"),
            ("1,,,,\n", "line 2, field `arrive_s`: empty"),
            ("1,61,,,\n", "line 2, field `arrive_s`: it arrives after the timeout"),
            (
                "1,0,5,explodes,\n",
                "line 2, field `how`: `explodes` is not one of `leave`, `crash`, `freeze`, `cut-off`",
            ),
            ("tracker,0,5,crash,\n", "line 2, field `how`: the tracker can only leave"),
            ("server,1,,,\n", "line 2, field `arrive_s`: the server is there from the start"),
        ] {
            let faults = read(rows).unwrap_err();
            assert_eq!(faults.len(), 1, "{rows}: {faults:?}");
            assert_eq!(faults[0].message(), said);
        }
    }
}

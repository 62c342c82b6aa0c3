//! Every setting that a run was in effect made with, defaults too, under the key that the experiment file has for it.

use serde::Serialize;

use crate::plan::{Architecture, Class, Settings, Validity};
use crate::quantity::{show_rate, show_size, show_time};
use peer_image::node::{Link, OnComplete, Pipeline, Policy};

/// Keys and values of all cells. Where cells differ, the values in the cells' order, each once, parted by commas.
#[must_use]
pub fn settings(cells: &[Settings]) -> Vec<(String, String)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (key, value) in cells.iter().flat_map(of_cell) {
        match rows.iter_mut().find(|(it, _)| *it == key) {
            Some((_, values)) if values.contains(&value) => {}
            Some((_, values)) => values.push(value),
            None => rows.push((key, vec![value])),
        }
    }
    rows.into_iter().map(|(key, values)| (key, values.join(", "))).collect()
}

fn of_cell(settings: &Settings) -> Vec<(String, String)> {
    // Taken apart, so that a new setting cannot be forgotten here.
    let Settings {
        runtime,
        architecture,
        size,
        piece,
        server,
        classes,
        policy,
        client,
        storage,
        congestion,
        arrivals,
        churn,
        events,
        trace,
        start_timeout,
        timeout,
        validity,
    } = settings;
    let mut rows = vec![
        row("runtime", word(runtime)),
        row("architecture", word(architecture)),
        row("peers", settings.peers()),
        row("file.size", show_size(*size)),
        row("file.piece", show_size(u64::from(*piece))),
    ];
    rows.extend(link("server", *server));
    match &classes[..] {
        [one] if one.name == "peers" => rows.extend(class("links", "", one)),
        several => rows.extend(several.iter().flat_map(|it| {
            let prefix = format!("classes.{}", it.name);
            [row(&format!("{prefix}.count"), it.count)].into_iter().chain(class(&prefix, &format!("{prefix}."), it))
        })),
    }
    if *architecture == Architecture::P2p {
        rows.extend(of_policy(policy));
    }
    if !client.image.is_empty() {
        rows.push(row("client.image", &client.image));
    }
    if !client.command.is_empty() {
        rows.push(row("client.command", client.command.join(" ")));
    }
    rows.extend([row("storage", word(storage)), row("congestion", congestion)]);
    // As in `plan.json`: their parts have names of their own.
    rows.push(row("arrivals", parts(arrivals)));
    rows.push(row("churn", churn.as_ref().map_or("none".to_owned(), parts)));
    rows.extend(events.iter().map(|it| row(&format!("events.{}", it.name), parts(it))));
    rows.extend(trace.as_ref().map(|trace| row("trace", &trace.file)));
    rows.extend([row("start_timeout", time(*start_timeout)), row("timeout", time(*timeout))]);
    rows.extend(of_validity(validity));
    rows
}

fn class(links: &str, prefix: &str, class: &Class) -> Vec<(String, String)> {
    let Class { name: _, count: _, link: rates, spread, on_complete, linger, give_up, behaviour } = class;
    let then = match on_complete {
        OnComplete::Stay => "stay".to_owned(),
        OnComplete::Leave => "leave".to_owned(),
        OnComplete::Linger(ns) => format!("linger {}", linger.as_ref().map_or_else(|| show_time(*ns), parts)),
    };
    let mut rows = link(links, *rates);
    for (row, spread) in rows.iter_mut().zip([spread.up, spread.down]) {
        if let Some(spread) = spread {
            row.1 = format!("{} (median), {}", row.1, parts(&spread));
        }
    }
    rows.push(row(&format!("{prefix}on_complete"), then));
    rows.push(row(&format!("{prefix}give_up"), give_up.as_ref().map_or("never".to_owned(), parts)));
    if !prefix.is_empty() {
        rows.push(row(&format!("{prefix}behaviour"), word(behaviour)));
    }
    rows
}

fn link(prefix: &str, link: Link) -> Vec<(String, String)> {
    vec![row(&format!("{prefix}.up"), show_rate(link.up)), row(&format!("{prefix}.down"), show_rate(link.down))]
}

fn of_policy(policy: &Policy) -> Vec<(String, String)> {
    let Policy { picker, choker, slots, neighbours, pipeline, endgame, super_seeding } = policy;
    let blocks = match pipeline {
        Pipeline::Auto => "auto".to_owned(),
        Pipeline::Blocks(blocks) => blocks.to_string(),
    };
    vec![
        row("policy.picker", word(picker)),
        row("policy.choker", word(choker)),
        row("policy.slots", slots),
        row("policy.neighbours", neighbours),
        row("policy.pipeline", blocks),
        row("policy.endgame", endgame),
        row("policy.super_seeding", super_seeding),
    ]
}

fn of_validity(validity: &Validity) -> Vec<(String, String)> {
    let Validity {
        calibrate,
        link_rate,
        host_busy,
        host_softirq,
        host_steal,
        memory_pressure,
        run_delay,
        start_skew,
        churn_late,
        clock_step,
        stall,
    } = validity;
    vec![
        row("validity.calibrate", if *calibrate > 0.0 { time(*calibrate) } else { "off".to_owned() }),
        row("validity.link_rate", share(*link_rate)),
        row("validity.host_busy", share(*host_busy)),
        row("validity.host_softirq", share(*host_softirq)),
        row("validity.host_steal", share(*host_steal)),
        row("validity.memory_pressure", share(*memory_pressure)),
        row("validity.run_delay", share(*run_delay)),
        row("validity.start_skew", time(*start_skew)),
        row("validity.churn_late", time(*churn_late)),
        row("validity.clock_step", time(*clock_step)),
        row("validity.stall", time(*stall)),
    ]
}

#[expect(clippy::needless_pass_by_value, reason = "most values are made for it")]
fn row(key: &str, value: impl ToString) -> (String, String) {
    (key.to_owned(), value.to_string())
}

/// A value that has parts, as `plan.json` has it.
fn parts(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The word that stands for it in the file.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

fn share(share: f64) -> String {
    format!("{} %", (share * 1e9).round() / 1e7)
}

/// Seconds, in the unit that suits them.
pub(super) fn time(seconds: f64) -> String {
    match std::time::Duration::try_from_secs_f64(seconds).ok().and_then(|time| u64::try_from(time.as_nanos()).ok()) {
        Some(nanoseconds) => show_time(nanoseconds),
        None => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::cell;

    fn told() -> Vec<(String, String)> {
        let cells = [cell(Architecture::ClientServer, 2, 1), cell(Architecture::P2p, 3, 1)];
        settings(&cells.map(|cell| cell.settings))
    }

    #[test]
    fn every_setting_is_told_and_what_varies_is_listed() {
        let rows = told();
        let value = |key: &str| rows.iter().find(|(it, _)| it == key).map(|(_, value)| value.as_str());
        for (key, expected) in [
            ("architecture", "client-server, p2p"),
            ("peers", "2, 3"),
            ("file.piece", "256 KiB"),
            ("links.up", "4 mbit"),
            ("on_complete", "stay"),
            ("policy.picker", "rarest-first"),
            ("congestion", "cubic"),
            ("churn", "none"),
            ("validity.link_rate", "3 %"),
            ("validity.calibrate", "400 ms"),
        ] {
            assert_eq!(value(key), Some(expected), "{key}");
        }
    }

    #[test]
    fn every_key_is_one_that_the_file_takes() {
        let schema = include_str!("../../../schemas/experiment.json");
        for (key, _) in told() {
            let last = key.rsplit('.').next().unwrap_or_default();
            assert!(schema.contains(&format!("\"{last}\":")), "{key}");
        }
    }
}

//! Who is there when, from a file instead of a model; and the same written as such a file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::availability::{Fate, Keeps};

/// What a trace tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// The file's name, beside the experiment's.
    pub file: String,
    /// Whom it tells of, and what.
    pub fates: BTreeMap<Whom, Fate>,
    /// Its lines by which somebody is there, or away, for a shorter time than any runtime can carry out: that is lengthened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub short: Vec<u64>,
}

/// Whom a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub enum Whom {
    /// The tracker.
    Tracker,
    /// The server.
    Server,
    /// A peer, by its number from 1.
    Peer(u32),
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tracker => f.write_str("tracker"),
            Self::Server => f.write_str("server"),
            Self::Peer(number) => write!(f, "peer-{number}"),
        }
    }
}

impl std::str::FromStr for Whom {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "tracker" => Ok(Self::Tracker),
            "server" => Ok(Self::Server),
            other => match other.strip_prefix("peer-").unwrap_or(other) {
                digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    digits.parse().map(Self::Peer).map_err(drop)
                }
                _ => Err(()),
            },
        }
    }
}

// As a key of a JSON object it is its name.
impl Serialize for Whom {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Whom {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom(format!("`{text}` is no node")))
    }
}

/// The columns, in the order in which they are written.
pub const COLUMNS: [&str; 5] = ["peer", "arrive_s", "leave_s", "how", "keeps"];
/// Tables that a run's directory, where the trace is kept, has of its own.
pub const RESULTS: [&str; 14] = [
    "history",
    "changes",
    "comparisons",
    "checks",
    "summary",
    "trials",
    "peers",
    "churn",
    "classes",
    "transfers",
    "distribution",
    "utilisation",
    "population",
    "theory",
];

/// Nodes and what happens to them as a trace, which reads back as the same.
#[must_use]
pub fn write(fates: impl IntoIterator<Item = (String, Fate)>) -> String {
    let mut text = COLUMNS.join(",");
    text.push('\n');
    for (name, fate) in fates {
        let mut arrive = (fate.arrives, "");
        for absence in &fate.absences {
            let (from, how) = (decimal(absence.from), absence.how.word());
            text.push_str(&format!("{name},{},{from},{how},{}\n", decimal(arrive.0), arrive.1));
            let keeps = match absence.keeps {
                _ if !absence.how.ends_the_process() => "",
                Keeps::Pieces => "pieces",
                Keeps::Nothing => "nothing",
            };
            match absence.until {
                Some(until) => arrive = (until, keeps),
                None => break,
            }
        }
        if !fate.is_gone() {
            text.push_str(&format!("{name},{},,,{}\n", decimal(arrive.0), arrive.1));
        }
    }
    text
}

/// Nanoseconds as seconds, exactly.
fn decimal(ns: u64) -> String {
    let text = format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

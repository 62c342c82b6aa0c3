//! What strikes several nodes at once.

use peer_image::node::Link;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::availability::{How, Keeps};

/// Something that the file has happen to several nodes at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Its name in the file.
    pub name: String,
    /// When, ns after the common start.
    pub at: u64,
    /// To whom.
    pub who: Who,
    /// What.
    pub what: What,
    /// How long it lasts, ns; none for good.
    pub lasts: Option<u64>,
}

/// Whom an incident strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The server: HTTP server or initial seed.
    Server,
    /// The tracker.
    Tracker,
    /// Every peer. In plans it is `all`, which once was the word for it in files, too.
    #[serde(rename = "all")]
    Peers,
    /// Everybody who has a link: the server and every peer; `all` in files.
    #[serde(rename = "linked")]
    All,
    /// Each peer with that chance, 0 to 1.
    Share(f64),
    /// Every peer of a class.
    Class(String),
}

/// What an incident does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// They go; back again with what.
    Go(How, Keeps),
    /// Their links have other rates.
    Links(Link),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_plans_mean_by_all_what_they_meant() {
        assert_eq!(serde_json::from_str::<Who>("\"all\"").unwrap(), Who::Peers);
        for who in [Who::Server, Who::Tracker, Who::Peers, Who::All, Who::Share(0.5), Who::Class("a".to_owned())] {
            let text = serde_json::to_string(&who).unwrap();
            assert_eq!(serde_json::from_str::<Who>(&text).unwrap(), who, "{text}");
        }
    }
}

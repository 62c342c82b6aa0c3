//! The peers: classes that are alike, their links, and the program that they run.

use peer_image::node::{Behaviour, Link, OnComplete};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::distribution::Distribution;

/// Peers that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Class {
    /// Its name; `peers` where the file has no classes.
    pub name: String,
    /// How many there are, at least 1.
    pub count: u32,
    /// Their links; of rates that are drawn, the medians.
    pub link: Link,
    /// How their rates are spread, if they differ from peer to peer.
    #[serde(default, skip_serializing_if = "LinkSpread::is_none")]
    pub spread: LinkSpread,
    /// What they do once they have the file.
    pub on_complete: OnComplete,
    /// How the time is spread for which they linger then, if it differs from peer to peer; 1/γ is its mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linger: Option<Distribution>,
    /// Their patience: who lacks part of the file so long after its arrival gives up; 1/θ is its mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give_up: Option<Distribution>,
    /// Whether they play by the rules.
    pub behaviour: Behaviour,
}

/// How rates are spread, bit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkSpread {
    /// Upload.
    pub up: Option<Distribution>,
    /// Download.
    pub down: Option<Distribution>,
}

impl LinkSpread {
    /// Whether all rates are the same.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.up.is_none() && self.down.is_none()
    }
}

/// A rate that was drawn: whole kilobits, which are whole bytes, so that people can read it.
#[must_use]
pub(crate) fn whole_kilobits(bits: f64) -> u64 {
    whole_bytes((bits / 1_000.0).round() * 1_000.0)
}

/// A rate as the kernel takes it: whole bytes per second, at least the lowest that is shaped.
pub(in crate::spec) fn whole_bytes(bits: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what is shaped")]
    let whole = bits.clamp(RATE_MIN as f64, RATE_MAX as f64) as u64;
    whole / 8 * 8
}

/// Which program peers and server run: another build of the agent. Nothing in it is our own.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Client {
    /// An image that the engine has; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The program and its arguments: in the image if there is one, else a file of this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

impl Client {
    /// Whether it is our own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.image.is_empty() && self.command.is_empty()
    }

    /// What it is called in a report.
    #[must_use]
    pub fn label(&self) -> String {
        let parts = std::iter::once(&self.image).chain(&self.command).filter(|part| !part.is_empty());
        parts.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// Lowest rate that is shaped, bit/s: below it a single full frame takes more than ten seconds.
pub(in crate::spec) const RATE_MIN: u64 = 1_000;

/// Highest rate that is shaped, bit/s.
pub(in crate::spec) const RATE_MAX: u64 = 100_000_000_000;

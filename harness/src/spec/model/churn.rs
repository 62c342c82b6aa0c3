//! Who comes, goes and comes back, as a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::availability::Keeps;
use super::distribution::{self, Distribution};

/// Who goes, and comes back: each churning peer has a session, drawn from a distribution, and then goes; some come back,
/// to stay or for another session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Churn {
    /// How long a peer stays, from its arrival or return.
    pub session: Distribution,
    /// Share of all peers that churn, 0 to 1.
    pub share: f64,
    /// Share of departures that are crashes (SIGKILL), 0 to 1.
    pub crash: f64,
    /// Share that are freezes.
    #[serde(default)]
    pub freeze: f64,
    /// Share that are cuts of the link; the rest say goodbye.
    #[serde(default)]
    pub cut_off: f64,
    /// Sessions begin so long after the arrival, seconds: nobody goes before.
    #[serde(default)]
    pub warm_up: f64,
    /// Most peers that may be away at once: who would be one too many stays.
    #[serde(default)]
    pub at_most: Option<u32>,
    /// Who comes back, and how.
    pub rejoin: Option<Rejoin>,
}

/// Who comes back, and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejoin {
    /// Time away.
    #[serde(deserialize_with = "distribution::or_seconds")]
    pub after: Distribution,
    /// Share of departures that are followed by a return, 0 to 1; the others are for good.
    pub share: f64,
    /// What they come back with.
    pub keeps: Keeps,
    /// Whether another session follows, and so on; otherwise who came back stays.
    #[serde(default)]
    pub again: bool,
}

/// When peers arrive, by their number. Times are seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// All at the common start: a flash crowd.
    #[default]
    AtOnce,
    /// A Poisson process: gaps are exponential with that mean, 1/λ.
    Poisson {
        /// Mean gap, seconds.
        every: f64,
    },
    /// One after the other at equal distances, the first at the common start.
    Stagger {
        /// Distance, seconds.
        every: f64,
    },
    /// Each at a moment of its own, uniform from the common start on.
    Uniform {
        /// Until when, seconds.
        within: f64,
    },
    /// So many at once, again and again, the first at the common start.
    Waves {
        /// How many.
        size: u32,
        /// Distance, seconds.
        every: f64,
    },
    /// A Poisson process whose rate decays as e^(−t/τ), given how many come in all: each arrives at an exponential time
    /// of its own (Guo et al., IMC 2005, found torrents' request rates to fall so).
    Decaying {
        /// τ, seconds.
        mean: f64,
    },
}

//! Keys and words of the file that more than one reader knows.

/// Keys that say what results are held to, and nothing of how they are measured.
pub(super) const GATE_KEYS: [&str; 4] = ["arms", "compare", "thresholds", "assert"];

pub(in crate::spec) const KEYS: [&str; 31] = [
    "name",
    "question",
    "seed",
    "repeats",
    "warm_up",
    "order",
    "retries",
    "runtime",
    "architecture",
    "peers",
    "file",
    "server",
    "links",
    "classes",
    "policy",
    "client",
    "storage",
    "congestion",
    "on_complete",
    "give_up",
    "arrivals",
    "churn",
    "events",
    "trace",
    "timeout",
    "start_timeout",
    "validity",
    "arms",
    "compare",
    "thresholds",
    "assert",
];

/// Words of `who` that are no class.
pub(super) const EVERYBODY: [&str; 4] = ["server", "tracker", "peers", "all"];

/// Keys that describe the experiment as a whole.
pub(super) const CONSTANT: [&str; 7] = ["name", "question", "seed", "repeats", "warm_up", "order", "retries"];

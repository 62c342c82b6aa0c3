//! The JSON Schema of an experiment file, for editors: which keys there are, what they mean, what one value looks like.
//!
//! It is looser than the reading of a file, which alone decides: sums, ranges between keys and units' sizes are beyond
//! a schema. Tests hold it to the keys that the check knows and to the experiments of this repository.

use serde_json::{Value, json};

const RATE: &str = r"^\s*[0-9]+(\.[0-9]+)?\s*(bit|kbit|mbit|gbit)\s*$";
const SIZE: &str = r"^\s*[0-9]+(\.[0-9]+)?\s*(B|KiB|MiB|GiB)\s*$";
const TIME: &str = r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|min|h)\s*$";
const SHARE: &str = r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$";

/// The schema, draft 2020-12.
#[must_use]
pub fn experiment() -> Value {
    let mut schema = section(
        "An experiment: a question, its factors, its repeats. Any single value may be a list: it becomes a factor.",
        &["name", "question", "architecture", "file", "server"],
        json!({
            "name": { "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,47}$", "description": "directory of the results" },
            "question": { "type": "string", "description": "what the experiment is to answer; heads the report" },
            "seed": { "type": "integer", "minimum": 0, "description": "all random choices follow from it" },
            "repeats": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "trials of each cell; with arms pairs, at least 6, and 7 if not said" },
            "warm_up": { "type": "boolean", "description": "one trial more before all others, thrown away" },
            "order": words(&["interleaved", "sequential"], "the order of trials"),
            "retries": { "type": "integer", "minimum": 0, "maximum": 20, "description": "how often an INVALID trial is run again" },
            "runtime": varying(words(&["auto", "docker", "netns"], "where nodes run: containers, or network namespaces of this machine")),
            "architecture": varying(words(&["client-server", "p2p"], "how the bytes travel")),
            "peers": varying(whole("N", 1, 10_000)),
            "file": section("what is distributed", &["size"], json!({
                "size": varying(text(SIZE, "F, such as `32 MiB`")),
                "piece": varying(text(SIZE, "piece length, a power of two from 16 KiB to 16 MiB")),
            })),
            "server": link("the link of the HTTP server or initial seed"),
            "links": section("the link of each peer", &["up", "down"], json!({
                "up": value_or_distribution(RATE, "upload"),
                "down": value_or_distribution(RATE, "download"),
            })),
            "on_complete": on_complete(),
            "give_up": value_or_distribution(TIME, "who lacks part of the file so long after its arrival leaves"),
            "classes": {
                "type": "object",
                "description": "unequal peers, with shares of N or counts",
                "additionalProperties": section("peers that are alike", &[], json!({
                    "share": varying(text(SHARE, "of N, 100 % in all")),
                    "count": varying(whole("how many", 1, 10_000)),
                    "up": value_or_distribution(RATE, "upload"),
                    "down": value_or_distribution(RATE, "download"),
                    "on_complete": on_complete(),
                    "give_up": value_or_distribution(TIME, "who lacks part of the file so long after its arrival leaves"),
                    "behaviour": varying(words(&["honest", "free-rider", "corrupting"], "whether they play by the rules")),
                })),
            },
            "policy": section("how peers pick, choke and request (p2p)", &[], json!({
                "picker": varying(words(&["rarest-first", "random", "sequential"], "which piece next")),
                "choker": varying(words(&["tit-for-tat", "round-robin", "unlimited"], "whom to upload to")),
                "slots": varying(whole("upload slots; one optimistic slot comes on top", 1, 1000)),
                "neighbours": varying(whole("how many peers the tracker names to each", 1, 1000)),
                "pipeline": varying(json!({ "anyOf": [{ "const": "auto" }, whole("blocks asked ahead", 1, 1000)] })),
                "endgame": varying(json!({ "type": "boolean", "description": "may the last blocks be asked of several neighbours?" })),
                "super_seeding": varying(json!({ "type": "boolean", "description": "does the initial seed reveal its pieces one by one?" })),
            })),
            "arrivals": {
                "description": "when peers come",
                "anyOf": [
                    { "const": "at-once" },
                    one_of(json!({
                        "poisson": section("a Poisson process", &["every"], json!({ "every": varying(time("mean gap, 1/λ")) })),
                        "stagger": section("one after the other", &["every"], json!({ "every": varying(time("distance")) })),
                        "uniform": section("each at a moment of its own", &["within"], json!({ "within": varying(time("until when")) })),
                        "waves": section("so many at once, again and again", &["size", "every"], json!({
                            "size": varying(whole("how many", 1, 10_000)),
                            "every": varying(time("distance")),
                        })),
                        "decaying": section("at a rate that decays as e^(−t/τ)", &["mean"], json!({ "mean": varying(time("τ")) })),
                    })),
                ],
            },
            "churn": section("who goes, and comes back", &["session"], json!({
                "session": distribution(TIME, "how long a peer stays"),
                "share": varying(text(SHARE, "the chance of each peer to churn at all")),
                "leave": section("how they go", &[], json!({
                    "graceful": varying(text(SHARE, "with a goodbye")),
                    "crash": varying(text(SHARE, "killed")),
                    "freeze": varying(text(SHARE, "their processes stand still")),
                    "cut_off": varying(text(SHARE, "their links carry nothing")),
                })),
                "rejoin": section("who comes back", &["after", "keeps"], json!({
                    "after": value_or_distribution(TIME, "time away"),
                    "share": varying(text(SHARE, "of departures that are followed by a return")),
                    "keeps": varying(words(&["pieces", "nothing"], "what they come back with")),
                    "again": varying(json!({ "type": "boolean", "description": "does another session follow, and so on?" })),
                })),
                "warm_up": varying(time("nobody goes so soon after its arrival")),
                "at_most": varying(whole("most peers that may be away at once", 1, 10_000)),
            })),
            "events": {
                "type": "object",
                "description": "what happens to several nodes at once, by names that you give",
                "additionalProperties": section("something that happens", &["at", "who"], json!({
                    "at": varying(time("when, after the common start")),
                    "who": varying(json!({ "type": "string", "description": "`server`, `tracker`, `peers`, `all` (server and peers), a class, or a share such as `30 %`" })),
                    "what": varying(words(&["leave", "crash", "freeze", "cut-off"], "how they go")),
                    "links": link("the rates that their links get"),
                    "for": varying(time("how long it lasts; without it, for good")),
                    "keeps": varying(words(&["pieces", "nothing"], "what they come back with")),
                })),
            },
            "trace": varying(json!({ "type": "string", "description": "a CSV file beside this one that says who is there when, instead of `arrivals` and `churn`" })),
            "client": section("which program peers and server run, instead of our own", &[], json!({
                "image": varying(json!({ "type": "string", "description": "an image that the engine has" })),
                "command": varying(json!({ "type": "string", "description": "program and arguments: in the image, or a file of this machine" })),
            })),
            "storage": varying(words(&["none", "memory", "disk"], "where peers keep the file")),
            "congestion": varying(json!({ "type": "string", "description": "TCP congestion control, or `system`" })),
            "timeout": varying(time("longest distribution time")),
            "start_timeout": varying(time("longest time until all nodes are ready")),
            "validity": section("limits beyond which a trial is INVALID", &[], json!({
                "calibrate": varying(json!({ "anyOf": [{ "const": "off" }, time("how long a link is tried in each direction")] })),
                "link_rate": varying(text(SHARE, "largest deviation of a link from its rate")),
                "host_busy": varying(text(SHARE, "largest share of the host's processors in use over five seconds")),
                "host_softirq": varying(text(SHARE, "the same in soft interrupts")),
                "host_steal": varying(text(SHARE, "largest share that the hypervisor took")),
                "memory_pressure": varying(text(SHARE, "largest share of time in which processes waited for memory")),
                "run_delay": varying(text(SHARE, "largest share of five seconds in which a node waited for a processor")),
                "start_skew": varying(time("latest start of a node")),
                "churn_late": varying(time("latest planned departure or return")),
                "clock_step": varying(time("largest jump of the host's clock")),
                "stall": varying(time("longest that a node may stand still")),
            })),
            "arms": {
                "type": "object",
                "description": "variants that are compared in pairs: of each the keys in which it differs, and nothing for the base",
                "minProperties": 2,
                "additionalProperties": { "type": ["object", "null"] },
            },
            "compare": section("how arms are compared, and a run with its baseline", &[], json!({
                "base": { "type": "string", "description": "the arm that the others are compared with; the first if not said" },
                "metric": words(&["distribution_time", "completion", "download"], "what is compared"),
                "max_worse": text(SHARE, "largest change for the worse that is none yet"),
                "inconclusive": words(&["pass", "fail"], "is it a failure that nothing could be decided?"),
            })),
            "thresholds": {
                "type": "object",
                "description": "what the results of each cell must be: `median < 90 s`, `ratio p(95) <= 1.15`, `max < 2 min in p2p-*`",
                "propertyNames": { "enum": super::gate::METRICS.map(|(name, _)| name) },
                "additionalProperties": varying(json!({ "type": "string" })),
            },
            "assert": varying(words(&["all_completed", "all_valid"], "what must hold of each trial")),
        }),
    );
    schema["patternProperties"] = json!({ "^x-": { "description": "your own, for YAML anchors: not read" } });
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("harness experiment");
    schema
}

#[expect(clippy::needless_pass_by_value, reason = "a schema is written as one nested expression")]
fn section(description: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

/// One value, or a list: of levels, or of what all counts.
#[expect(clippy::needless_pass_by_value, reason = "a schema is written as one nested expression")]
fn varying(value: Value) -> Value {
    json!({ "anyOf": [value, { "type": "array", "minItems": 1, "items": value }] })
}

fn text(pattern: &str, description: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "description": description })
}

fn time(description: &str) -> Value {
    text(TIME, description)
}

fn rate(description: &str) -> Value {
    text(RATE, description)
}

fn whole(description: &str, minimum: u32, maximum: u32) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": maximum, "description": description })
}

fn words(words: &[&str], description: &str) -> Value {
    json!({ "enum": words, "description": description })
}

/// A mapping with one of several keys.
#[expect(clippy::needless_pass_by_value, reason = "a schema is written as one nested expression")]
fn one_of(properties: Value) -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
        "properties": properties,
    })
}

/// How something is spread whose values look like `pattern`.
fn distribution(pattern: &str, description: &str) -> Value {
    let value = |description: &str| varying(text(pattern, description));
    let number =
        |description: &str| varying(json!({ "type": "number", "exclusiveMinimum": 0, "description": description }));
    let mut all = one_of(json!({
        "exponential": section("exponential", &["mean"], json!({ "mean": value("mean") })),
        "fixed": section("always the same", &["after"], json!({ "after": value("how much") })),
        "uniform": section("uniform", &["from", "to"], json!({ "from": value("smallest"), "to": value("largest") })),
        "weibull": section("Weibull", &["shape", "scale"], json!({ "shape": number("k"), "scale": value("λ") })),
        "lognormal": section("log-normal", &["median", "sigma"], json!({ "median": value("e^μ"), "sigma": number("σ") })),
        "pareto": section("Pareto", &["shape", "minimum"], json!({ "shape": number("α"), "minimum": value("x_m") })),
    }));
    all["description"] = json!(description);
    all
}

fn value_or_distribution(pattern: &str, description: &str) -> Value {
    json!({ "anyOf": [varying(text(pattern, description)), distribution(pattern, description)] })
}

fn on_complete() -> Value {
    let drawn = section(
        "serves on, each for a time of its own",
        &["linger"],
        json!({
            "linger": value_or_distribution(TIME, "for how long; 1/γ is the mean"),
        }),
    );
    json!({ "anyOf": [varying(on_complete_word()), drawn] })
}

fn on_complete_word() -> Value {
    let linger = text(r"^\s*linger\s+[0-9]+(\.[0-9]+)?\s*(ms|s|min|h)\s*$", "serves on for a while, then leaves");
    json!({ "anyOf": [words(&["stay", "leave"], "what a peer does with the whole file"), linger] })
}

fn link(description: &str) -> Value {
    section(description, &["up", "down"], json!({ "up": varying(rate("upload")), "down": varying(rate("download")) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_keys_that_the_check_knows() {
        let schema = experiment();
        let keys = |value: &Value| -> Vec<String> {
            let mut keys: Vec<String> = value.as_object().expect("properties").keys().cloned().collect();
            keys.sort();
            keys
        };
        let sorted = |keys: &[&str]| -> Vec<String> {
            let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&schema["properties"]), sorted(&super::super::read::keys::KEYS));
        assert_eq!(keys(&schema["properties"]["validity"]["properties"]), sorted(&super::super::read::validity::KEYS));
    }
}

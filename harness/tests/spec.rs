//! What the experiment file may say, and what is said about one that is wrong: one snapshot for each mistake.

use harness::spec::{self, Architecture, Churn, Distribution, Keeps, Rejoin, Spec};
use peer_image::node::{Behaviour, Choker, Link, OnComplete, Picker, Pipeline, Policy, Storage};

const VALID: &str = "\
name: sample
question: How long?
architecture: p2p
peers: 10
file: { size: 32 MiB }
server: { up: 40 mbit, down: 40 mbit }
links: { up: 4 mbit, down: 40 mbit }
";

/// The sample with a line replaced by another (or more), or with lines added where `from` is empty.
fn with(from: &str, to: &str) -> String {
    if from.is_empty() {
        return format!("{VALID}{to}\n");
    }
    assert!(VALID.contains(from), "the sample has no `{from}`");
    VALID.replace(from, to)
}

fn read(text: &str) -> Spec {
    spec::parse("x.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn settings(text: &str) -> spec::Settings {
    let spec = read(text);
    assert_eq!(spec.combinations.len(), 1, "one cell");
    spec.combinations[0].settings.clone()
}

#[test]
fn what_a_file_leaves_out_has_its_default() {
    let spec = read(VALID);
    assert_eq!((spec.name.as_str(), spec.question.as_str(), spec.seed, spec.repeats), ("sample", "How long?", 1, 1));
    assert_eq!(spec.factors, []);
    let settings = &spec.combinations[0].settings;
    assert_eq!(settings.architecture, Architecture::P2p);
    assert_eq!((settings.size, settings.piece), (32 << 20, 256 << 10));
    assert_eq!(settings.server, Link { up: 40_000_000, down: 40_000_000 });
    assert_eq!(settings.peers(), 10);
    assert_eq!(settings.classes.len(), 1);
    assert_eq!(settings.classes[0].name, "peers");
    assert_eq!(settings.classes[0].link, Link { up: 4_000_000, down: 40_000_000 });
    assert_eq!(settings.classes[0].on_complete, OnComplete::Stay);
    assert_eq!(settings.classes[0].behaviour, Behaviour::Honest);
    assert_eq!(settings.policy, Policy::default());
    assert_eq!(settings.storage, Storage::None);
    assert_eq!(settings.congestion, "reno");
    assert_eq!(settings.churn, None);
    assert_eq!((settings.start_timeout, settings.timeout), (60.0, 600.0));
}

#[test]
fn every_key_is_taken_as_written() {
    let text = "\
name: full
question: Everything?
seed: 18446744073709551615
repeats: 5
architecture: client-server
peers: 10
file: { size: 100 MiB, piece: 1 MiB }
server: { up: 10 mbit, down: 20 mbit }
links: { up: 1.5 mbit, down: 16 mbit }
classes:
  fast: { share: 30 %, up: 8 mbit, down: 80 mbit, on_complete: leave }
  slow: { share: 60 % }
  bad:  { share: 10 %, behaviour: corrupting }
policy:
  picker: sequential
  choker: round-robin
  slots: 7
  neighbours: 20
  pipeline: 12
  endgame: false
  super_seeding: true
storage: disk
congestion: bbr
on_complete: linger 30 s
churn:
  session: { uniform: { from: 10 s, to: 1 min } }
  share: 50 %
  leave: { graceful: 70 %, crash: 30 % }
  rejoin: { after: 5 s, share: 25 %, keeps: pieces }
timeout: 2 min
start_timeout: 30 s
";
    let spec = read(text);
    assert_eq!((spec.seed, spec.repeats), (u64::MAX, 5));
    let settings = &spec.combinations[0].settings;
    assert_eq!(settings.architecture, Architecture::ClientServer);
    assert_eq!((settings.size, settings.piece), (100 << 20, 1 << 20));
    let classes: Vec<_> = settings.classes.iter().map(|c| (c.name.as_str(), c.count, c.link.up, c.behaviour)).collect();
    assert_eq!(
        classes,
        [
            ("fast", 3, 8_000_000, Behaviour::Honest),
            ("slow", 6, 1_500_000, Behaviour::Honest),
            ("bad", 1, 1_500_000, Behaviour::Corrupting)
        ]
    );
    assert_eq!(settings.classes[0].on_complete, OnComplete::Leave);
    assert_eq!(settings.classes[1].on_complete, OnComplete::Linger(30_000_000_000));
    let policy = Policy {
        picker: Picker::Sequential,
        choker: Choker::RoundRobin,
        slots: 7,
        neighbours: 20,
        pipeline: Pipeline::Blocks(12),
        endgame: false,
        super_seeding: true,
    };
    assert_eq!(settings.policy, policy);
    assert_eq!((settings.storage, settings.congestion.as_str()), (Storage::Disk, "bbr"));
    let churn = Churn {
        session: Distribution::Uniform { from: 10.0, to: 60.0 },
        share: 0.5,
        crash: 0.3,
        freeze: 0.0,
        cut_off: 0.0,
        warm_up: 0.0,
        at_most: None,
        rejoin: Some(Rejoin {
            after: Distribution::Fixed { after: 5.0 },
            share: 0.25,
            keeps: Keeps::Pieces,
            again: false,
        }),
    };
    assert_eq!(settings.churn, Some(churn));
    assert_eq!((settings.start_timeout, settings.timeout), (30.0, 120.0));
}

#[test]
fn classes_by_count_need_no_peers_and_no_common_links() {
    let text = with("peers: 10\n", "").replace(
        "links: { up: 4 mbit, down: 40 mbit }",
        "classes: { a: { count: 3, up: 1 mbit, down: 1 mbit }, b: { count: 4, up: 2 mbit, down: 2 mbit } }",
    );
    assert_eq!(settings(&text).peers(), 7);
}

#[test]
fn one_of_graceful_and_crash_may_be_left_out() {
    let churned = |leave: &str| {
        let text = with("", &format!("churn: {{ session: {{ fixed: {{ after: 9 s }} }}{leave} }}"));
        settings(&text).churn.expect("churn").crash
    };
    assert_eq!(churned(""), 0.0);
    assert_eq!(churned(", leave: { crash: 30 % }"), 0.3);
    assert_eq!(churned(", leave: { graceful: 70 % }"), 0.3);
}

#[test]
fn lists_anywhere_are_factors_and_the_last_varies_fastest() {
    let text = VALID
        .replace("architecture: p2p", "architecture: [client-server, p2p]")
        .replace("peers: 10", "peers: [5, 10]")
        + "churn: { session: { exponential: { mean: [30 s, 1 min, 90 s] } } }\npolicy: { endgame: [true, false] }\n";
    let spec = read(&text);
    let keys: Vec<&str> = spec.factors.iter().map(|factor| factor.key.as_str()).collect();
    assert_eq!(keys, ["architecture", "peers", "churn.session.exponential.mean", "policy.endgame"]);
    assert_eq!(spec.factors[2].levels, ["30 s", "1 min", "90 s"]);
    assert_eq!(spec.combinations.len(), 24);
    assert_eq!(spec.combinations[0].levels, ["client-server", "5", "30 s", "true"]);
    assert_eq!(spec.combinations[1].levels, ["client-server", "5", "30 s", "false"]);
    assert_eq!(spec.combinations[2].levels, ["client-server", "5", "1 min", "true"]);
    assert_eq!(spec.combinations[23].levels, ["p2p", "10", "90 s", "false"]);
    let last = &spec.combinations[23].settings;
    assert_eq!((last.architecture, last.peers(), last.policy.endgame), (Architecture::P2p, 10, false));
    assert_eq!(last.churn.as_ref().map(|churn| churn.session), Some(Distribution::Exponential { mean: 90.0 }));
}

#[test]
fn ten_thousand_cells_are_not_too_many() {
    let seconds: Vec<String> = (1..=100).map(|n| format!("{n} s")).collect();
    let numbers: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
    let lists = format!("start_timeout: [{}]\npolicy: {{ slots: [{}] }}", seconds.join(", "), numbers.join(", "));
    assert_eq!(read(&with("", &lists)).combinations.len(), 10_000);
}

/// Name of the snapshot, what of the sample is replaced, by what.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("unknown key", "links: {", "linsk: {"),
    ("unknown key within", "down: 40 mbit }\nlinks", "dwon: 40 mbit }\nlinks"),
    ("unknown key near nothing", "", "colour: blue"),
    ("wrong type", "peers: 10", "peers: ten"),
    ("mapping where a scalar belongs", "peers: 10", "peers: { min: 1 }"),
    ("scalar where a mapping belongs", "file: { size: 32 MiB }", "file: 32 MiB"),
    ("nothing where a value belongs", "architecture: p2p", "architecture:"),
    ("missing unit", "up: 4 mbit", "up: 4"),
    ("foreign unit", "up: 4 mbit", "up: 4 Mbps"),
    ("ambiguous size", "32 MiB", "32 MB"),
    ("duplicate key", "peers: 10", "peers: 10\npeers: 20"),
    ("duplicate key within", "up: 4 mbit", "up: 4 mbit, up: 5 mbit"),
    ("missing keys", "server: { up: 40 mbit, down: 40 mbit }\nlinks", "classes: { a: { share: 100 % } }\nlink"),
    ("missing key within", "server: { up: 40 mbit, down: 40 mbit }", "server: { up: 40 mbit }"),
    ("no peers", "peers: 10", "peers: 0"),
    ("negative peers", "peers: 10", "peers: -3"),
    ("more peers than a bridge holds", "peers: 10", "peers: [998, 999]"),
    ("zero rate", "up: 4 mbit", "up: 0 mbit"),
    ("negative rate", "up: 4 mbit", "up: -4 mbit"),
    ("rate that is not a number", "up: 4 mbit", "up: .nan"),
    ("rate out of range", "up: 4 mbit", "up: [1 bit, 200 gbit]"),
    ("rate that is not whole bytes", "up: 4 mbit", "up: 1001 bit"),
    ("file smaller than a piece", "32 MiB", "100 KiB"),
    ("piece not a power of two", "32 MiB", "32 MiB, piece: 300 KiB"),
    ("piece out of range", "32 MiB", "1 GiB, piece: [8 KiB, 32 MiB]"),
    ("file too large", "32 MiB", "256 GiB"),
    ("shares that do not add up", "", "classes: { a: { share: 30 % }, b: { share: 60 % } }"),
    ("counts that do not add up", "", "classes: { a: { count: 3 }, b: { count: 6 } }"),
    ("shares and counts mixed", "", "classes: { a: { share: 30 % }, b: { count: 7 } }"),
    ("share and count in one class", "", "classes: { a: { share: 30 %, count: 3 }, b: { share: 70 % } }"),
    ("neither share nor count", "", "classes: { a: { up: 1 mbit } }"),
    ("class that comes to no peer", "", "classes: { a: { share: 2 % }, b: { share: 98 % } }"),
    ("class name", "", "classes: { Fast Ones: { share: 100 % } }"),
    ("no class", "", "classes: {}"),
    ("class without a link", "links: { up: 4 mbit, down: 40 mbit }", "classes: { a: { share: 100 %, up: 1 mbit } }"),
    ("session that ends before it begins", "", "churn: { session: { uniform: { from: 60 s, to: 30 s } } }"),
    ("session of no time", "", "churn: { session: { exponential: { mean: 0 s } } }"),
    ("session beyond the timeout", "", "churn: { session: { fixed: { after: 10 min } } }"),
    ("two sessions", "", "churn: { session: { fixed: { after: 1 s }, exponential: { mean: 3 s } } }"),
    ("session of no kind", "", "churn: { session: { normal: { mean: 3 s } } }"),
    ("session without a mapping", "", "churn: { session: 30 s }"),
    ("leave shares", "", "churn: { session: { fixed: { after: 9 s } }, leave: { graceful: 70 %, crash: 40 % } }"),
    (
        "pieces kept in memory",
        "",
        "storage: memory\nchurn: { session: { fixed: { after: 9 s } }, rejoin: { after: 1 s, keeps: pieces } }",
    ),
    ("session of a negative shape", "", "churn: { session: { weibull: { shape: -0.5, scale: 30 s } } }"),
    ("session of an infinite shape", "", "churn: { session: { pareto: { shape: .inf, minimum: 30 s } } }"),
    (
        "session that is mostly beyond the timeout",
        "",
        "churn: { session: { lognormal: { median: 20 min, sigma: 1 } } }",
    ),
    ("arrivals of no kind", "", "arrivals: { gamma: { every: 3 s } }"),
    ("arrivals without their mapping", "", "arrivals: poisson"),
    ("negative gap", "", "arrivals: { poisson: { every: -3 s } }"),
    ("wave of nobody", "", "arrivals: { waves: { size: 0, every: 3 s } }"),
    ("event to nobody", "", "events: { quake: { at: 3 s, who: riders, what: crash } }"),
    ("event after the timeout", "", "events: { quake: { at: 10 min, who: all, what: crash } }"),
    ("event of no kind", "", "events: { quake: { at: 3 s, who: all, what: explode } }"),
    (
        "event of two kinds",
        "",
        "events: { a: { at: 3 s, who: all, what: crash, links: { up: 1 mbit, down: 1 mbit } } }",
    ),
    ("tracker that is to crash", "", "events: { quake: { at: 3 s, who: tracker, what: crash } }"),
    (
        "event that keeps pieces in memory",
        "",
        "storage: memory\nevents: { a: { at: 3 s, who: all, what: crash, for: 1 s } }",
    ),
    (
        "event that keeps and does not end",
        "",
        "events: { a: { at: 3 s, who: all, what: freeze, for: 1 s, keeps: nothing } }",
    ),
    ("event that does nothing", "", "events: { a: { at: 3 s, who: all } }"),
    ("class named as everybody", "", "classes: { all: { share: 50 % }, server: { share: 50 % } }"),
    (
        "sessions without number",
        "",
        "churn: { session: { fixed: { after: 1 ms } }, rejoin: { after: 1 ms, keeps: nothing, again: true } }",
    ),
    (
        "several shares of leave",
        "",
        "churn: { session: { fixed: { after: 9 s } }, leave: { crash: 0.5, graceful: 0.5 } }",
    ),
    ("trace that is not there", "", "trace: nowhere.csv"),
    ("trace and churn", "", "trace: nowhere.csv\nchurn: { session: { fixed: { after: 9 s } } }"),
    ("patience of no time", "", "give_up: { exponential: { mean: 0 s } }"),
    (
        "rates of two distributions",
        "up: 4 mbit",
        "up: { uniform: { from: 1 mbit, to: 2 mbit }, fixed: { after: 3 mbit } }",
    ),
    ("rate drawn as a time", "up: 4 mbit", "up: { exponential: { mean: 4 s } }"),
    ("unknown word", "architecture: p2p", "architecture: [p2p, client_server]"),
    ("word near nothing", "", "storage: tape"),
    ("yes for true", "", "policy: { endgame: yes }"),
    ("zero slots", "", "policy: { slots: 0, neighbours: 2.5, pipeline: deep }"),
    ("on complete", "", "on_complete: linger 30"),
    ("congestion", "", "congestion: TCP Cubic"),
    ("name that is no directory", "name: sample", "name: My Sample/1"),
    ("empty list", "peers: 10", "peers: []"),
    ("duplicate levels", "peers: 10", "peers: [5, 10, 5]"),
    ("levels that mean the same", "up: 4 mbit", "up: [4 mbit, 8 mbit, 4000 kbit]"),
    ("list of lists", "peers: 10", "peers: [[5, 10]]"),
    ("repeats as a factor", "", "repeats: [1, 2]"),
    ("repeats out of range", "", "repeats: 0"),
    ("seed out of range", "", "seed: -1"),
    ("too many nodes", "peers: 10", "peers: [900, 901, 902]\nrepeats: 1000"),
    ("not yaml", "peers: 10", "peers: [10"),
    ("unknown metric", "", "thresholds: { distribution_tim: [median < 90 s], speed: max < 3 s }"),
    ("threshold without its unit", "", "thresholds: { distribution_time: median < 90 }"),
    ("threshold of another unit", "", "thresholds: { duplicates: median < 90 s, lost_bytes: max < 3 MB }"),
    ("threshold that is no condition", "", "thresholds: { distribution_time: [90 s, median = 90 s, < 90 s, 7] }"),
    ("threshold of no number", "", "thresholds: { distribution_time: [p95 < 90 s, p(101) < 90 s, medain < 1 s] }"),
    ("threshold of a ratio that there is not", "", "thresholds: { download: ratio median < 1.1 }"),
    ("threshold with a unit too many", "", "thresholds: { distribution_time: ratio median < 1.1 s }"),
    ("no conditions", "", "thresholds: { distribution_time: [] }"),
    ("condition twice", "", "thresholds: { distribution_time: [median < 9 s, max < 9 s, median  <  9 s] }"),
    ("unknown assertion", "", "assert: [all_complete, all_valid, all_valid]"),
    ("no assertion", "", "assert: []"),
    ("fairness above all", "", "thresholds: { fairness: max > 2 }"),
    ("bytes without their unit", "size: 32 MiB", "size: 33554432"),
    ("one arm", "", "arms: { base: {} }"),
    ("arms that are a list", "", "arms: [base, head]"),
    ("arm with an unknown key", "", "arms: { base: {}, head: { policy: { slot: 8 }, links: { up: 3 mb } } }"),
    ("arm with a list", "", "arms: { base: {}, head: { policy: { slots: [4, 8] } } }"),
    ("arm with keys of the whole", "", "arms: { base: {}, head: { seed: 3, runtime: netns, thresholds: {} } }"),
    ("arm of what varies already", "peers: 10", "peers: [5, 10]\narms: { base: {}, head: { peers: 7 } }"),
    ("arm that is no mapping", "", "arms: { base: {}, head: fast, Third One: {} }"),
    ("too few pairs", "", "repeats: 5\narms: { base: {}, head: {} }"),
    ("comparison without arms", "", "compare: { base: head, max_worse: 0 % }"),
    ("comparison of what is no time", "", "compare: { metric: fairness, pairs: 3, inconclusive: maybe }"),
    ("base that is no arm", "", "arms: { old: {}, new: {} }\ncompare: { base: newer }"),
    ("client of nothing", "", "client: {}"),
    ("image in namespaces", "", "runtime: netns\nclient: { image: peer }"),
    ("name of no image", "", "client: { image: -x y }"),
    ("question that turns terminals red", "question: How long?", "question: \"How \\e[31mlong?\""),
    ("word with a control character", "", "storage: \"ta\\u202Epe\\a\""),
    ("merge of what is no mapping", "", "x-rate: &rate 4 mbit\npolicy: { <<: *rate }"),
    ("class named as all peers", "", "classes: { peers: { share: 50 % }, others: { share: 50 % } }"),
];

#[test]
fn arms_are_the_last_factor_and_have_the_files_keys_but_for_their_own() {
    let arms = "arms:\n  base:\n  head: { links: { up: 3 mbit }, policy: { slots: 8 }, churn: { session: { fixed: { after: 1 min } } } }";
    let churn = "churn: { session: { exponential: { mean: 3 s } }, share: 50 % }";
    let spec = read(&with("peers: 10\n", &format!("peers: [5, 10]\n{arms}\n{churn}\n")));
    assert_eq!(spec.gate.arms, ["base", "head"]);
    assert_eq!((spec.gate.compare.base.as_str(), spec.repeats), ("base", 7));
    assert_eq!(spec.factors.last().map(|factor| factor.key.as_str()), Some("arm"));
    let levels: Vec<String> = spec.combinations.iter().map(|it| it.levels.join(" ")).collect();
    assert_eq!(levels, ["5 base", "5 head", "10 base", "10 head"]);
    let [base, head, ..] = &spec.combinations[..] else { panic!("four cells") };
    assert_eq!((base.settings.classes[0].link.up, head.settings.classes[0].link.up), (4_000_000, 3_000_000));
    assert_eq!((base.settings.classes[0].link.down, head.settings.classes[0].link.down), (40_000_000, 40_000_000));
    assert_eq!((base.settings.policy.slots, head.settings.policy.slots), (4, 8));
    // A distribution takes the place of another one, and what stands beside it stays.
    let churn = |it: &spec::Combination| it.settings.churn.clone().expect("churn");
    assert_eq!(churn(head).session, Distribution::Fixed { after: 60.0 });
    assert_eq!((churn(base).share, churn(head).share), (0.5, 0.5));
}

#[test]
fn what_results_are_held_to_is_no_factor() {
    let text = "thresholds:\n  distribution_time: [median < 90 s, ratio p(95) <= 1.15 in p2p-*]\n  offload: min > 50 %\nassert: [all_completed, all_valid]\ncompare: { max_worse: 3 %, metric: completion, inconclusive: fail }";
    let spec = read(&with("", text));
    assert_eq!((spec.combinations.len(), spec.gate.thresholds.len(), spec.gate.assertions.len()), (1, 3, 2));
    let lines: Vec<usize> = spec.gate.thresholds.iter().map(|it| it.line).collect();
    assert_eq!(lines, [9, 9, 10]);
    assert_eq!((spec.gate.compare.max_worse, spec.gate.compare.strict, spec.gate.compare.line), (0.03, true, 12));
    assert!(read(VALID).gate.is_none());
}

#[test]
fn each_mistake_is_reported_with_its_place_its_key_path_and_its_cure() {
    for (name, from, to) in MISTAKES {
        let error = spec::parse("x.yaml", &with(from, to)).expect_err(name);
        insta::assert_snapshot!(name.replace(' ', "_"), error, to);
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_files_order() {
    let text = "\
name: All Wrong
architecture: [p2p, pigeon]
peers: [0, 10]
file: { size: 32, piece: 300 KiB, pice: 1 MiB }
server: { up: -1 mbit, up: 40 mbit }
links: { up: 4 Mb, down: 40 mbit }
churn:
  session: { uniform: { from: 2 min, to: 1 min } }
  leave: { graceful: 70 %, crash: 31 % }
timeout: 10
";
    insta::assert_snapshot!(spec::parse("experiments/x.yaml", text).expect_err("all wrong"));
}

#[test]
fn too_many_cells_are_refused_and_their_levels_checked_all_the_same() {
    let seconds: Vec<String> = (0..=100).map(|n| format!("{n} s")).collect();
    let numbers: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
    let lists = format!("start_timeout: [{}]\npolicy: {{ slots: [{}] }}", seconds.join(", "), numbers.join(", "));
    insta::assert_snapshot!(spec::parse("x.yaml", &with("", &lists)).expect_err("10,100 cells"));
}

#[test]
fn the_search_is_given_up_after_a_hundred_problems() {
    let keys: Vec<String> = (0..500).map(|n| format!("key{n}: 1")).collect();
    let error = spec::parse("x.yaml", &with("", &keys.join("\n"))).expect_err("500 unknown keys").to_string();
    assert_eq!(error.lines().count(), 101);
    assert!(error.ends_with("more than 100 problems; the rest is not shown"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_or_is_no_text_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let absent = directory.path().join("absent.yaml");
    let error = spec::load(&absent).expect_err("absent").to_string();
    assert!(error.starts_with("error: ") && error.contains("absent.yaml: cannot be read"), "{error}");
    let binary = directory.path().join("binary.yaml");
    std::fs::write(&binary, b"name: \xff\n").expect("written");
    let error = spec::load(&binary).expect_err("binary").to_string();
    assert!(error.contains("binary.yaml: the file is not UTF-8 from byte 6 on"), "{error}");
}

#[test]
fn a_file_may_have_anchors_of_its_own_and_take_in_mappings() {
    let text = with(
        "links: { up: 4 mbit, down: 40 mbit }",
        "x-usual: &usual { up: [1 mbit, 4 mbit], down: 40 mbit }\nlinks: { <<: *usual, up: 2 mbit }",
    );
    // A list in what nobody reads makes nothing vary.
    assert_eq!(settings(&text).classes[0].link, Link { up: 2_000_000, down: 40_000_000 });
    assert_eq!(read(&format!("\u{feff}{VALID}")), read(VALID));
}

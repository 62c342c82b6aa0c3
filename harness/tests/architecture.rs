//! What `ARCHITECTURE.md` promises of the sources: who may name whom, and how large a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod house;

/// What one stage may name: modules of this crate, and modules of `peer_image`.
type Allowed = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a text of the repository")
}

/// All Rust files below `dir`, with their text, sorted.
fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of sources") {
            let path = entry.expect("a directory can be listed").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), read(&path)));
            }
        }
    }
    found.sort();
    found
}

/// The text without its comments: those name what they like.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules that `text` names right after `prefix` (`crate::`, say), be it `crate::a::b` or `crate::{a::b, c}`.
fn named(text: &str, prefix: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let mut depth = 0_u32;
        let mut begins = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && !c.is_whitespace() => {
                    names.insert(word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// The table of imports in `ARCHITECTURE.md`.
fn allowed() -> Allowed {
    let text = read(&root().join("ARCHITECTURE.md"));
    let table = text.split_once("| stage | may name | of `peer-image` |").expect("the table is there").1;
    let words = |cell: &str| -> BTreeSet<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(|word| word.split_once("::").map_or(word, |(first, _)| first).to_owned()).collect()
    };
    let mut allowed = Allowed::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').collect();
        let stage = words(cells[1]).pop_first().expect("a stage has a name");
        allowed.insert(stage, (words(cells[2]), words(cells[3])));
    }
    let all: Vec<String> = allowed.keys().cloned().collect();
    for last in ["campaign", "commands"] {
        let (modules, _) = allowed.get_mut(last).expect("the last rows are in the table");
        modules.extend(all.iter().filter(|stage| *stage != "commands").cloned());
    }
    allowed
}

#[test]
fn each_stage_names_only_what_the_table_of_imports_allows() {
    let source = root().join("harness/src");
    let allowed = allowed();
    let mut wrong = Vec::new();
    let mut checked = BTreeSet::new();
    for (path, text) in sources(&source) {
        let path = path.strip_prefix(&source).expect("it is below");
        let first = path.components().next().expect("a file has a name").as_os_str().to_string_lossy();
        let stage = first.trim_end_matches(".rs");
        let Some((modules, vocabulary)) = allowed.get(stage) else {
            assert!(["cli", "exit", "lib", "main"].contains(&stage), "`{stage}` is not in the table");
            continue;
        };
        checked.insert(stage.to_owned());
        // Tests make what they need of any stage.
        if path.to_string_lossy().ends_with("tests.rs") {
            continue;
        }
        let code = code(text.split("\nmod tests {").next().unwrap_or_default());
        for name in named(&code, "crate::") {
            if name != stage && !modules.contains(&name) {
                wrong.push(format!("{}: crate::{name}", path.display()));
            }
        }
        for name in named(&code, "peer_image::") {
            if !vocabulary.contains(&name) {
                wrong.push(format!("{}: peer_image::{name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "named against the arrows:\n{}", wrong.join("\n"));
    assert_eq!(checked, allowed.keys().cloned().collect(), "every stage of the table has sources");
}

#[test]
fn the_image_knows_nothing_of_the_controller_and_each_foreign_crate_has_its_one_place() {
    for (path, text) in sources(&root().join("peer-image/src")) {
        let code = code(&text);
        assert!(!code.contains("harness::"), "{} names the controller", path.display());
    }
    for (path, text) in sources(&root().join("harness/src")) {
        let code = code(&text);
        let names = |word: &str| code.contains(&format!("{word}::"));
        assert!(!names("bollard") || path.ends_with("runtime/docker/client.rs"), "{} names bollard", path.display());
        assert!(!names("serde_yaml") || path.ends_with("spec/read/document.rs"), "{} names serde_yaml", path.display());
    }
}

#[test]
fn files_are_short_and_say_at_their_top_what_they_are_for() {
    for dir in ["harness/src", "peer-image/src", "tests/system", "harness/tests", "peer-image/tests"] {
        for (path, text) in sources(&root().join(dir)) {
            let before_tests = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            let is_test = dir != "harness/src" && dir != "peer-image/src" || path.ends_with("tests.rs");
            assert!(before_tests <= 600 || is_test, "{}: {before_tests} lines", path.display());
            assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
        }
    }
    let main = read(&root().join("harness/src/main.rs"));
    assert!(main.lines().count() <= 40, "main.rs is a door, not a room");
}

#[test]
fn names_are_found_in_paths_and_in_groups() {
    let names = |text| named(text, "crate::").into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names("use crate::plan::{Cell, Trial};"), "plan");
    assert_eq!(names("use crate::{plan::{self, Cell},\n    spec};"), "plan spec");
    assert_eq!(names("crate::events::log::x(crate::spec::y)"), "events spec");
    assert_eq!(code("// crate::a\n  /// crate::b\nuse c;"), "use c;");
}

/// Files that still import each other in a circle, the names of each circle sorted. The list only shrinks.
const CIRCLES: &[&str] = &[
    "analysis/checks.rs analysis/churn.rs analysis/compare.rs analysis/completed.rs analysis/conclude.rs analysis/conservation.rs analysis/findings.rs analysis/flows.rs analysis/identity.rs analysis/invalid.rs analysis/lives.rs analysis/load.rs analysis/metrics.rs analysis/peers.rs analysis/population.rs analysis/presence.rs analysis/processes.rs analysis/theory.rs analysis/validity.rs",
    "analysis/history.rs analysis/summary.rs",
];

/// The files of these circles, and for people what ties each.
fn described(graph: &house::Graph) -> (Vec<String>, String) {
    let (mut circles, mut ties) = (Vec::new(), String::new());
    for circle in house::circles(graph) {
        for (from, tos) in graph.iter().filter(|(from, _)| circle.contains(*from)) {
            for (to, names) in tos.iter().filter(|(to, _)| circle.contains(*to)) {
                ties.push_str(&format!("{from} names {names:?} of {to}\n"));
            }
        }
        circles.push(circle.into_iter().collect::<Vec<_>>().join(" "));
    }
    (circles, ties)
}

#[test]
fn imports_between_files_go_in_no_circle() {
    let (mut found, mut ties) = (Vec::new(), String::new());
    for sources in ["harness/src", "peer-image/src"] {
        let (circles, its) = described(&house::House::read(&root().join(sources)).imports());
        found.extend(circles);
        ties.push_str(&its);
    }
    assert!(found == CIRCLES, "circles:\n{}\n{ties}", found.join("\n"));
}

/// The lines of a `mod.rs` that are neither comment, module nor re-export.
fn furniture(text: &str) -> Vec<&str> {
    let door = ["//", "mod ", "pub mod ", "pub use ", "#[cfg(test)]", "}", " "];
    // `pub(super) use` and the like.
    let restricted = |line: &str| {
        let rest = line.strip_prefix("pub(").and_then(|line| line.split_once(") "));
        rest.is_some_and(|(_, rest)| rest.starts_with("use ") || rest.starts_with("mod "))
    };
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.filter(|line| !door.iter().any(|prefix| line.starts_with(prefix)) && !restricted(line)).collect()
}

#[test]
fn a_mod_file_holds_modules_re_exports_and_their_map_alone() {
    let mut found = Vec::new();
    for dir in ["harness/src", "peer-image/src"] {
        for (path, text) in sources(&root().join(dir)) {
            if path.ends_with("mod.rs") && !furniture(&text).is_empty() {
                found.push(path.strip_prefix(root()).expect("it is below").display().to_string());
            }
        }
    }
    assert_eq!(found, [""; 0]);
    let door = "//! Map.\n\nmod a;\n#[cfg(test)]\nmod tests;\n\npub(super) use a::{\n    B,\n};\npub use a::C;\n";
    assert_eq!(furniture(door), [""; 0]);
    let room = "use a::B;\nconst D: u32 = 1;\nimpl B {\n}\npub(super) fn e() {}\n";
    assert_eq!(furniture(room), ["use a::B;", "const D: u32 = 1;", "impl B {", "pub(super) fn e() {}"]);
}

/// Rooms of one house, each of which may name those before it and none after it.
const ROOMS: [(&str, &[&str]); 2] =
    [("harness/src", &["spec/model/", "spec/read/"]), ("peer-image/src", &["wire/", "swarm/", "agent/"])];

#[test]
fn a_room_names_none_above_it() {
    for (sources, rooms) in ROOMS {
        let at = |file: &str| rooms.iter().position(|room| file.starts_with(room));
        for (from, tos) in house::House::read(&root().join(sources)).imports() {
            for (to, names) in tos {
                assert!(at(&from).zip(at(&to)).is_none_or(|(from, to)| to <= from), "{from} names {names:?} of {to}");
            }
        }
    }
}

#[test]
fn circles_are_found_through_re_exports_aliases_and_macros() {
    let sources = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = sources.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(path, text).expect("a file");
    };
    write("lib.rs", "pub mod a; pub mod b; mod room; #[cfg(test)] mod tests;");
    write("tests.rs", "use crate::a::first;");
    write("a.rs", "use crate::b as other;\npub fn first() { println!(\"{}\", other::SECOND) }");
    write(
        "b.rs",
        "pub use crate::a::first;\npub const SECOND: u32 = 2;\n#[cfg(test)]\nmod tests { use crate::a::first; }",
    );
    write("room/mod.rs", "mod c;\nmod d;\npub use c::Third;\npub(crate) use d::fourth;");
    write("room/c.rs", "pub struct Third;\nimpl Third { fn it() { super::fourth() } }");
    write("room/d.rs", "pub(crate) fn fourth() {}");
    let circles = || described(&house::House::read(sources.path()).imports()).0;
    assert!(circles().is_empty(), "a re-export and a test tie nothing: {:?}", circles());
    write("room/d.rs", "pub(crate) fn fourth() { let _ = vec![super::Third]; }");
    assert_eq!(circles(), ["room/c.rs room/d.rs"]);
    write("b.rs", "pub const SECOND: u32 = 2;\nfn third() { use super::a::{self}; a::first(); }");
    assert_eq!(circles(), ["a.rs b.rs", "room/c.rs room/d.rs"]);
}

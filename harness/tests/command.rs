//! The command itself, where it starts nothing: what it reads, and what it says of arguments that are none.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SMALL: &str = "\
name: small
question: Is it read?
architecture: p2p
peers: 3
file: { size: 4 MiB }
server: { up: 8 mbit, down: 8 mbit }
links: { up: 8 mbit, down: 8 mbit }
";

fn harness() -> Command {
    Command::new(env!("CARGO_BIN_EXE_harness"))
}

fn planned(text: &str, directory: &Path) -> Output {
    let mut command = harness();
    command.args(["plan", "-"]).current_dir(directory).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_dash_is_standard_input_with_files_in_the_working_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("stays.csv"), "peer,arrive_s,leave_s\n1,0,5\n").expect("written");
    let output = planned(&format!("\u{feff}{SMALL}trace: stays.csv\n"), dir.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("5.000 s  peer-1  leaves"), "{}", text(&output.stdout));
    let output = planned(&format!("{SMALL}piers: 3\n"), dir.path());
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).starts_with("error: <stdin>:8:1: piers: unknown key"), "{}", text(&output.stderr));
}

#[test]
fn what_is_too_short_in_a_trace_is_told_by_its_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = "1,0,5,crash\n2,0,9,crash\n1,5.1,20,leave\n2,9.6,,\n1,20.5,,\n";
    std::fs::write(dir.path().join("stays.csv"), format!("peer,arrive_s,leave_s,how\n{rows}")).expect("written");
    let output = planned(&format!("{SMALL}trace: stays.csv\n"), dir.path());
    let words = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "warning: p2p-n3: 2 moments of the schedule come later, because sessions or absences were too short for \
                    any runtime, lines 4, 6 of `stays.csv` (a process is away for 500 ms at least";
    assert!(words.contains(expected), "{words}");
}

#[test]
fn arguments_that_are_no_utf_8_are_taken_or_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = OsStr::from_bytes(b"sm\xffll.yaml");
    std::fs::write(dir.path().join(name), SMALL).expect("written");
    let run = |command: &mut Command| command.current_dir(dir.path()).output().expect("it starts");
    let output = run(harness().arg("plan").arg(name));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = run(harness().arg("plan").arg(OsStr::from_bytes(b"no\xffthing.yaml")));
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("no\u{fffd}thing.yaml: cannot be read"), "{}", text(&output.stderr));
    let output = run(harness().args(["run", "x.yaml", "--baseline"]).arg(OsStr::from_bytes(b"\xff")));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    // As the agent, it is told what it is by one argument.
    let output = run(harness().arg0("peer").arg(OsStr::from_bytes(b"{\xff}")));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the node specification cannot be read"), "{}", text(&output.stderr));
}

#[test]
fn a_file_without_an_end_is_refused_by_its_size() {
    let output = harness().args(["plan", "/dev/zero"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("an experiment file has at most"), "{}", text(&output.stderr));
}

#[test]
fn more_pieces_than_a_torrent_holds_are_refused_with_the_piece_that_is_enough() {
    let dir = tempfile::tempdir().expect("a directory");
    let of = |size: &str| SMALL.replace("size: 4 MiB", &format!("size: {size}, piece: 16 KiB"));
    let output = planned(&of("12 GiB"), dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = planned(&of("13 GiB"), dir.path());
    assert_eq!(output.status.code(), Some(3));
    let words = text(&output.stderr);
    assert!(words.contains("851968 pieces are too many for a torrent"), "{words}");
    assert!(words.contains("`32 KiB` or more"), "{words}");
}

#[test]
fn a_report_is_made_of_a_run_whose_last_log_was_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../reports/textbook/reference");
    let copied = Command::new("cp").args(["-r", reference]).arg(dir.path()).status().expect("it starts");
    assert!(copied.success());
    let run = dir.path().join("reference");
    let log = run.join("trials/p2p-n35/1/events.jsonl.gz");
    let bytes = std::fs::read(&log).expect("the log is there");
    std::fs::write(&log, &bytes[..bytes.len() / 2]).expect("written");
    let output = harness().arg("report").arg(&run).output().expect("it starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report = std::fs::read_to_string(run.join("report.md")).expect("a report");
    assert!(report.contains("the log stops before the trial's end"), "{report}");
}

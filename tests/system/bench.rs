//! A directory of its own with an experiment in it, and the command at work there: what it says, how it ends, and
//! what it leaves.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use harness::events::log::Reader;
use harness::events::record::Line;
use harness::plan::Plan;
use peer_image::event::Event;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::binary;
use crate::engine::Engine;

/// Longest wait for anything that is to happen; far beyond what it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Limits that no machine on which tests run at all will exceed.
const FORGIVING: &str = "validity: { link_rate: 50 %, host_busy: 100 %, host_softirq: 100 %, host_steal: 100 %, \
                         memory_pressure: 100 %, run_delay: 100 %, start_skew: 1 min, churn_late: 1 min, stall: 1 min }\n";

/// An experiment in words: what differs from a small swarm on fast links.
#[derive(Debug, Clone)]
pub(crate) struct Experiment {
    pub(crate) name: &'static str,
    pub(crate) architecture: &'static str,
    /// `peers:`, or classes.
    pub(crate) who: &'static str,
    pub(crate) size: &'static str,
    pub(crate) server: &'static str,
    pub(crate) up: &'static str,
    /// Further lines.
    pub(crate) more: String,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            name: "small",
            architecture: "p2p",
            who: "peers: 4",
            size: "2 MiB",
            server: "20 mbit",
            up: "10 mbit",
            more: String::new(),
        }
    }
}

impl Display for Experiment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, architecture, who, size, server, up, more } = self;
        // More than any of these trials needs on a machine that is busy with others.
        let timeout = "timeout: 2 min\nstart_timeout: 2 min";
        writeln!(f, "name: {name}\nquestion: Does it work?\narchitecture: {architecture}\n{who}")?;
        writeln!(f, "file: {{ size: {size}, piece: 64 KiB }}\nserver: {{ up: {server}, down: 40 mbit }}")?;
        // What these tests are about does not hang on how busy the machine is; `validity.rs` has tests of that.
        let validity = if more.contains("validity:") { "" } else { FORGIVING };
        writeln!(f, "links: {{ up: {up}, down: 20 mbit }}\n{timeout}\n{validity}{more}")
    }
}

/// A directory with `experiment.yaml` in it.
#[derive(Debug)]
pub(crate) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new(experiment: &impl Display) -> Self {
        let dir = tempfile::Builder::new().prefix("harness-system-").tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("experiment.yaml"), experiment.to_string()).expect("it can be written to");
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `harness run experiment.yaml`.
    pub(crate) fn start(&self) -> Running {
        self.command(["run", "experiment.yaml"])
    }

    /// `harness run experiment.yaml`, to its end.
    pub(crate) async fn run(&self) -> Done {
        self.start().end().await
    }

    /// `harness` with these arguments.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        let mut command = Command::new(binary::harness());
        command.args(arguments);
        self.spawn(command)
    }

    /// Any command, in this directory.
    pub(crate) fn spawn(&self, mut command: Command) -> Running {
        command.current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = mpsc::unbounded_channel();
        listen(false, child.stdout.take().expect("it is piped"), sender.clone());
        listen(true, child.stderr.take().expect("it is piped"), sender);
        Running { bench: self.path().to_owned(), child, lines, stdout: String::new(), stderr: String::new() }
    }
}

fn listen(stderr: bool, stream: impl AsyncRead + Unpin + Send + 'static, to: mpsc::UnboundedSender<(bool, String)>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if to.send((stderr, line)).is_err() {
                return;
            }
        }
    });
}

/// A command at work.
pub(crate) struct Running {
    bench: PathBuf,
    child: Child,
    lines: mpsc::UnboundedReceiver<(bool, String)>,
    stdout: String,
    stderr: String,
}

impl Running {
    fn said(&self) -> String {
        format!("standard output:\n{}\nstandard error:\n{}", self.stdout, self.stderr)
    }

    async fn next(&mut self) -> Option<String> {
        let (stderr, line) = self.lines.recv().await?;
        let text = if stderr { &mut self.stderr } else { &mut self.stdout };
        text.push_str(&line);
        text.push('\n');
        Some(line)
    }

    /// Waits until it says a line with this in it, and returns that line.
    pub(crate) async fn says(&mut self, what: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(Some(line)) if line.contains(what) => return line,
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended and did not say `{what}`: {}", self.said()),
                Err(_) => panic!("it did not say `{what}` within {PATIENCE:?}: {}", self.said()),
            }
        }
    }

    /// Waits until all nodes have begun, and returns the run's id.
    pub(crate) async fn transfers(&mut self, engine: &Engine) -> String {
        let run = self.begins().await;
        self.says(" transfer").await;
        engine.all_started(&run).await;
        run
    }

    /// Waits until it says where the results go, and returns the run's id.
    pub(crate) async fn begins(&mut self) -> String {
        let line = self.says(" → ").await;
        line.rsplit('/').next().expect("splitting gives at least one part").to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("it runs");
        kill_process(pid, signal).expect("a child can be sent a signal");
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(mut self) -> Done {
        let all = async {
            while self.next().await.is_some() {}
            self.child.wait().await
        };
        match tokio::time::timeout(PATIENCE, all).await {
            Ok(status) => {
                let status = status.expect("a child can be waited for");
                Done { bench: self.bench, code: status.code(), stdout: self.stdout, stderr: self.stderr }
            }
            Err(_) => panic!("it did not end within {PATIENCE:?}: {}", self.said()),
        }
    }

    /// Kills it: no time to clean up.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("a child can be killed");
    }
}

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Done {
    bench: PathBuf,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A row of a table, by its headings.
pub(crate) type Row = BTreeMap<String, String>;

impl Done {
    /// Fails, with all that was said, unless it ended with this code.
    #[track_caller]
    pub(crate) fn ended_with(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{self}");
    }

    /// Fails, with all that was said, unless this was said, on however many lines.
    #[track_caller]
    pub(crate) fn said(&self, what: &str) {
        let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = [&self.stdout, &self.stderr].into_iter().any(|text| joined(text).contains(&joined(what)));
        assert!(said, "it did not say `{what}`\n{self}");
    }

    /// The directory of the run's results, whether or not it named it.
    pub(crate) fn dir(&self) -> PathBuf {
        let mut dirs = self.dirs();
        assert_eq!(dirs.len(), 1, "one run has one directory: {dirs:?}\n{self}");
        dirs.remove(0)
    }

    /// The directories of all runs, in the order in which they began.
    pub(crate) fn dirs(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> =
            entries(&self.bench.join("reports")).iter().flat_map(|experiment| entries(experiment)).collect();
        // Baselines and history lie beside the runs.
        dirs.retain(|dir| dir.is_dir() && !dir.ends_with("baselines"));
        dirs.sort();
        dirs
    }

    /// The run's id.
    pub(crate) fn id(&self) -> String {
        let dir = self.dir();
        let name = dir.file_name().and_then(|name| name.to_str());
        name.expect("a run's directory has a name").to_owned()
    }

    /// A table of the run's results.
    pub(crate) fn table(&self, name: &str) -> Vec<Row> {
        let path = self.dir().join(name);
        let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
        reader.deserialize().map(|row| row.expect("a table has one field per heading")).collect()
    }

    /// The row of a peer in `peers.csv`, for a run of one trial.
    pub(crate) fn peer(&self, name: &str) -> Row {
        let found = self.table("peers.csv").into_iter().find(|row| row["node"] == name);
        found.unwrap_or_else(|| panic!("`peers.csv` has no row of `{name}`\n{self}"))
    }

    pub(crate) fn plan(&self) -> Plan {
        serde_json::from_value(self.json("plan.json")).expect("a plan can be read")
    }

    /// One text of the manifest, by its JSON pointer.
    pub(crate) fn manifest(&self, key: &str) -> String {
        let manifest = self.json("manifest.json");
        let value = manifest.pointer(key).and_then(serde_json::Value::as_str);
        value.unwrap_or_else(|| panic!("`{key}` in {manifest:#}")).to_owned()
    }

    fn json(&self, name: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(self.dir().join(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{name}`: {error}"))
    }

    /// All lines of the first trial of a cell.
    pub(crate) fn log(&self, cell: &str) -> Vec<Line> {
        let lines = Reader::open(&self.dir().join("trials").join(cell).join("1")).expect("a trial has a log");
        lines.map(|line| line.expect("a log can be read")).collect()
    }

    /// What the nodes reported in the first trial of a cell: who, what.
    pub(crate) fn reported(&self, cell: &str) -> Vec<(String, Event)> {
        let nodes = self.log(cell).into_iter().filter_map(|line| match line {
            Line::Node(record) => Some((record.node, record.event)),
            Line::Controller(_) => None,
        });
        nodes.collect()
    }
}

impl Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, .. } = self;
        write!(f, "exit code {code:?}\nstandard output:\n{stdout}\nstandard error:\n{stderr}")
    }
}

/// What a directory holds; nothing if there is none.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(dir).into_iter().flatten();
    found.map(|entry| entry.expect("a directory can be read").path()).collect()
}

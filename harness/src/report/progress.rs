//! What a command says while it runs: one live line on a terminal, else a plain line per phase and one about every
//! ten seconds. Driven by calls alone; it knows nothing of engines and logs.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::WIDTH;
use crate::quantity::decimal;

/// Time between plain lines while nothing else is to be told.
const EVERY: Duration = Duration::from_secs(10);
/// Share of the pieces from which on a rest can be estimated.
const ESTIMATE_FROM: f64 = 0.05;

/// Tells how a run goes on.
pub struct Progress {
    began: Instant,
    state: State,
    place: Place,
}

enum Place {
    Terminal(ProgressBar),
    Lines { out: Box<dyn Write + Send>, next: Duration },
}

/// What is known of the trial that runs.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    trial: String,
    trial_began: Duration,
    phase: String,
    phase_began: Duration,
    ready: (u32, u32),
    pieces: (u64, u64),
    completed: (u32, u32),
}

impl Progress {
    /// On standard error: live if it is a terminal that can be drawn on, else plain lines.
    #[must_use]
    pub fn new() -> Self {
        let place = if is_live(std::io::stderr().is_terminal(), std::env::var_os("TERM").as_deref()) {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {prefix} {bar:10} {wide_msg}");
            bar.set_style(style.expect("the template is right").progress_chars("█▉▊▋▌▍▎▏ "));
            bar.enable_steady_tick(Duration::from_millis(120));
            Place::Terminal(bar)
        } else {
            Place::Lines { out: Box::new(std::io::stderr()), next: EVERY }
        };
        Self { began: Instant::now(), state: State::default(), place }
    }

    /// A trial begins: which cell, that it is the `k`th of the run's `of`, and how long this and the rest may take.
    pub fn trial_begins(&mut self, cell: &str, k: u32, of: u32, left: &str) {
        let now = self.began.elapsed();
        if of > 1 {
            self.note(&format!("[{k}/{of}] {cell}: {left} left in all"));
        }
        self.state = State { trial: format!("[{k}/{of}] {cell}"), trial_began: now, ..State::default() };
        self.show(now, of == 1);
    }

    /// A phase of the trial begins: `launch`, `ready`, `transfer`, `teardown`.
    pub fn phase(&mut self, name: &str) {
        let now = self.began.elapsed();
        name.clone_into(&mut self.state.phase);
        self.state.phase_began = now;
        self.show(now, true);
    }

    /// What the trial is waiting for: so many nodes to be ready, so many peers to complete.
    pub fn expect(&mut self, nodes: u32, to_complete: u32) {
        self.state.ready = (0, nodes);
        self.state.completed = (0, to_complete);
        self.show(self.began.elapsed(), false);
    }

    /// So many nodes are ready.
    pub fn ready(&mut self, n: u32, of: u32) {
        self.state.ready = (n, of);
        self.show(self.began.elapsed(), false);
    }

    /// So many pieces are verified, of those that all peers together need.
    pub fn pieces(&mut self, done: u64, total: u64) {
        self.state.pieces = (done, total);
        self.show(self.began.elapsed(), false);
    }

    /// So many peers have the whole file, of those that are to complete.
    pub fn completed(&mut self, n: u32, of: u32) {
        self.state.completed = (n, of);
        self.show(self.began.elapsed(), false);
    }

    /// The trial ended, with its distribution time in seconds if it has one.
    pub fn trial_ends(&mut self, distribution_time: Option<f64>) {
        let line = self.state.ended(distribution_time, self.began.elapsed());
        self.note(&line);
    }

    /// A line to keep, above the live one.
    pub fn note(&mut self, line: &str) {
        match &mut self.place {
            Place::Terminal(bar) => bar.println(line),
            Place::Lines { out, .. } => write_line(out, line),
        }
    }

    /// Takes the live line away.
    pub fn finish(&mut self) {
        if let Place::Terminal(bar) = &self.place {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self, now: Duration, always: bool) {
        match &mut self.place {
            Place::Terminal(bar) => {
                let (done, total) = self.state.share();
                bar.set_length(total.max(1));
                bar.set_position(done);
                bar.set_prefix(shortened(&self.state.trial));
                bar.set_message(self.state.live(now));
            }
            Place::Lines { out, next } => {
                if always || now >= *next {
                    write_line(out, &self.state.line(now));
                    *next = now + EVERY;
                }
            }
        }
    }
}

/// Whether a line can be drawn again and again: a terminal without a name, or a dumb one, only takes lines.
fn is_live(is_terminal: bool, name: Option<&OsStr>) -> bool {
    is_terminal && name.is_some_and(|name| !name.is_empty() && name != "dumb")
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// A trial's name in so few columns that a live line fits into 80; of a long one both ends.
fn shortened(trial: &str) -> String {
    const COLUMNS: usize = 32;
    let letters: Vec<char> = trial.chars().collect();
    if letters.len() <= COLUMNS {
        return trial.to_owned();
    }
    let (head, tail) = (COLUMNS / 2, COLUMNS - COLUMNS / 2 - 1);
    letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}

/// Progress that cannot be told must not end a run: a closed standard error is no reason.
fn write_line(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

impl State {
    /// What the bar shows: pieces once there are any, before that nodes.
    fn share(&self) -> (u64, u64) {
        if self.pieces.1 > 0 { self.pieces } else { (self.ready.0.into(), self.ready.1.into()) }
    }

    /// What fits beside the bar: that bytes flow is seen from their share.
    fn live(&self, now: Duration) -> String {
        let words = self.words(now);
        match words.strip_prefix("transfer, ") {
            Some(rest) if self.pieces.1 > 0 => rest.to_owned(),
            _ => words,
        }
    }

    fn words(&self, now: Duration) -> String {
        let mut words: Vec<String> = Some(self.phase.clone()).into_iter().filter(|it| !it.is_empty()).collect();
        if let Some(percent) = (self.pieces.0 * 100).checked_div(self.pieces.1) {
            // Of all pieces that all peers need.
            words.push(format!("{percent} %"));
            words.push(format!("{} of {} complete", self.completed.0, self.completed.1));
            words.extend(self.rest(now).map(|rest| format!("{} s left", rest.as_secs().max(1))));
        } else if self.ready.1 > 0 {
            words.push(format!("{} of {} nodes ready", self.ready.0, self.ready.1));
        }
        words.join(", ")
    }

    /// How long the transfer will go on, if pieces keep coming as they did so far.
    fn rest(&self, now: Duration) -> Option<Duration> {
        if self.phase != "transfer" {
            return None;
        }
        let share = self.pieces.0 as f64 / self.pieces.1 as f64;
        let spent = now.checked_sub(self.phase_began)?;
        (ESTIMATE_FROM..1.0).contains(&share).then(|| spent.mul_f64((1.0 - share) / share))
    }

    fn line(&self, now: Duration) -> String {
        let line = format!("{} {}", self.trial, self.words(now));
        line.trim_end().chars().take(WIDTH).collect()
    }

    fn ended(&self, distribution_time: Option<f64>, now: Duration) -> String {
        let wall = now.saturating_sub(self.trial_began).as_secs_f64();
        match distribution_time {
            Some(time) => format!("{}: distributed in {} s ({wall:.0} s in all)", self.trial, decimal(time, 2)),
            None => format!("{}: no distribution time ({wall:.0} s in all)", self.trial),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Progress, Shared) {
        let out = Shared::default();
        let place = Place::Lines { out: Box::new(out.clone()), next: EVERY };
        (Progress { began: Instant::now(), state: State::default(), place }, out)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn without_a_terminal_each_phase_is_a_line_and_the_rest_waits() {
        let (mut progress, out) = lines();
        progress.trial_begins("p2p-n10", 2, 24, "about 9 min");
        progress.phase("ready");
        for n in 1..=11 {
            progress.ready(n, 11);
        }
        progress.phase("transfer");
        progress.pieces(10, 1280);
        progress.trial_ends(Some(39.01));
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            written,
            "[2/24] p2p-n10: about 9 min left in all\n[2/24] p2p-n10 ready\n[2/24] p2p-n10 transfer, 11 of 11 nodes ready\n\
             [2/24] p2p-n10: distributed in 39.01 s (0 s in all)\n"
        );
    }

    #[test]
    fn a_dumb_terminal_gets_plain_lines() {
        let named = |name: &'static str| Some(OsStr::new(name));
        assert!(is_live(true, named("xterm-256color")) && !is_live(false, named("xterm-256color")));
        assert!(!is_live(true, named("dumb")) && !is_live(true, named("")) && !is_live(true, None));
    }

    #[test]
    fn a_live_line_fits_into_eighty_columns() {
        let state = State {
            trial: "[12/16] client-server-n4-picker-rarest-first #1".to_owned(),
            phase: "transfer".to_owned(),
            pieces: (760, 1000),
            completed: (10, 35),
            phase_began: seconds(5),
            ..State::default()
        };
        assert_eq!(shortened(&state.trial), "[12/16] client-s…rarest-first #1");
        assert_eq!(state.live(seconds(305)), "76 %, 10 of 35 complete, 94 s left");
        // Spinner, name, bar and words, with a space between them.
        let columns = 1 + shortened(&state.trial).chars().count() + 10 + state.live(seconds(305)).len() + 3;
        assert!(columns <= 80, "{columns}");
    }

    #[test]
    fn a_line_comes_when_ten_seconds_have_passed() {
        let (mut progress, out) = lines();
        progress.state = State { trial: "[1/1] p2p-n4".to_owned(), phase: "transfer".to_owned(), ..State::default() };
        progress.state.pieces = (1, 4);
        progress.state.completed = (0, 4);
        for now in [3, 9, 10, 15, 19, 21] {
            progress.show(seconds(now), false);
        }
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let expected = [
            "[1/1] p2p-n4 transfer, 25 %, 0 of 4 complete, 30 s left",
            "[1/1] p2p-n4 transfer, 25 %, 0 of 4 complete, 63 s left",
        ];
        assert_eq!(written.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_rest_is_estimated_from_the_pieces_so_far() {
        let state = |phase: &str, done| State {
            phase: phase.to_owned(),
            pieces: (done, 100),
            phase_began: seconds(5),
            ..State::default()
        };
        assert_eq!(state("transfer", 25).rest(seconds(15)), Some(seconds(30)));
        assert_eq!(state("transfer", 1).rest(seconds(15)), None);
        assert_eq!(state("transfer", 100).rest(seconds(15)), None);
        assert_eq!(state("teardown", 25).rest(seconds(15)), None);
    }
}

//! One trial over any runtime, from its launch to its teardown.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{StreamExt, future};
use peer_image::node::{GATE_PORT, Gate, NodeSpec, Role};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::clock::{Clock, nanos, seconds};
use super::due::{Acted, Due, act};
use super::roster::{self, Roster};
use super::survival::{Survival, serves_by_plan};
use super::update::{Identity, Signal, Update};
use crate::events::log::{WriteError, Writer};
use crate::events::record::{Event, Outcome, Phase};
use crate::plan::{self, Action, Cell, Fate, Trial};
use crate::runtime::node_specs::{node_spec, samples};
use crate::runtime::{Deployment, Notice, Runtime, RuntimeError};

/// Longest wait for what a node that ended at once has to say about it.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);
/// Longest wait for the ends of nodes that were asked to stop, once the runtime says that they were.
pub(super) const DRAIN: Duration = Duration::from_secs(5);
/// Longest that stopping or removing all nodes may take before the trial goes on without.
pub(super) const TEARDOWN: Duration = Duration::from_secs(600);
/// How often it is looked, at most, whether the file is dead.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// Runs one trial and writes its log, up to its last line.
///
/// `observer` is told of what happens; `stop` ends the trial early, in order. Whatever happens, the deployment is taken
/// down before this returns. Not to be dropped before it is ready.
///
/// # Errors
/// If the machine cannot run it or the log cannot be written. A trial that went wrong is an [`Outcome`], no error.
pub async fn run<R: Runtime>(
    runtime: &R,
    cell: &Cell,
    trial: &Trial,
    identity: Identity,
    log: &mut Writer,
    observer: &mut (dyn FnMut(Update) + Send),
    stop: watch::Receiver<Option<Signal>>,
) -> Result<Outcome, RuntimeError> {
    let (sender, notices) = mpsc::unbounded_channel();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    let time_namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default().to_string_lossy().into_owned();
    let mut driver = Driver {
        cell,
        trial,
        log,
        log_error: None,
        observer,
        stop,
        notices,
        tick,
        clock: Clock::new(),
        roster: Roster::new(trial),
        survival: Survival::new(cell, trial),
        fates: trial.fates(),
        looked: None,
        boot_id,
        time_namespace,
        gate: None,
        gate_shares_clock: false,
        over: false,
    };
    driver.note(Event::Trial {
        cell: cell.id.clone(),
        repeat: identity.repeat,
        attempt: identity.attempt,
        key: identity.key,
        run: identity.scope.run.clone(),
        utc: jiff::Timestamp::now().to_string(),
        boot_id: driver.boot_id.clone(),
        time_namespace: driver.time_namespace.clone(),
    });
    driver.phase(Phase::Launch);
    let ended = if driver.stop.borrow().is_some() {
        Err(Cut::Over(Outcome::Interrupted))
    } else {
        match runtime.deploy(&identity.scope, &cell.settings.client, sender).await {
            Ok(deployment) => {
                let ended = driver.drive(&deployment, runtime.parallel_starts()).await;
                driver.take_down(&deployment).await;
                ended
            }
            Err(error) => Err(Cut::Error(error)),
        }
    };
    let (outcome, error) = match ended {
        Ok(outcome) | Err(Cut::Over(outcome)) => (outcome, None),
        Err(Cut::Error(error)) => (Outcome::Failed { reason: error.to_string() }, Some(error)),
        Err(Cut::Deadline) => (Outcome::Failed { reason: "a deadline passed".to_owned() }, None),
    };
    driver.note(Event::End { outcome: outcome.clone() });
    driver.flush();
    (driver.observer)(Update::Over(outcome.clone()));
    match (error, driver.log_error) {
        (Some(error), _) => Err(error),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Ok(outcome),
    }
}

/// Why a phase ended before its work was done.
#[derive(Debug)]
pub(super) enum Cut {
    /// The phase's deadline passed.
    Deadline,
    /// The trial is over.
    Over(Outcome),
    /// The run is over.
    Error(RuntimeError),
}

/// One trial under way.
pub(super) struct Driver<'a> {
    pub(super) cell: &'a Cell,
    pub(super) trial: &'a Trial,
    pub(super) log: &'a mut Writer,
    /// Why the log ends here, if it does.
    pub(super) log_error: Option<WriteError>,
    pub(super) observer: &'a mut (dyn FnMut(Update) + Send),
    stop: watch::Receiver<Option<Signal>>,
    notices: mpsc::UnboundedReceiver<Notice>,
    tick: tokio::time::Interval,
    pub(super) clock: Clock,
    pub(super) roster: Roster,
    pub(super) survival: Survival,
    /// When each node is there, by the schedule.
    pub(super) fates: BTreeMap<String, Fate>,
    /// When it was last looked whether the file is dead.
    looked: Option<Instant>,
    pub(super) boot_id: String,
    pub(super) time_namespace: String,
    /// The common start on the controller's clock, ns, once the gate opened.
    pub(super) gate: Option<u64>,
    pub(super) gate_shares_clock: bool,
    /// Whether the trial has ended: ends of nodes are expected, and nothing cuts what remains to be done.
    pub(super) over: bool,
}

/// What is next in a transfer.
pub(super) enum Turn {
    Due,
    Acted(Acted),
}

impl Driver<'_> {
    pub(super) fn note(&mut self, event: Event) {
        if self.log_error.is_none() {
            self.log_error = self.log.controller(self.clock.mono(), event).err();
        }
    }

    fn flush(&mut self) {
        if self.log_error.is_none() {
            self.log_error = self.log.flush().err();
        }
    }

    fn phase(&mut self, phase: Phase) {
        self.note(Event::Phase { phase });
        (self.observer)(Update::Phase(phase));
    }

    pub(super) fn warn(&mut self, message: String) {
        self.note(Event::Warning { message: message.clone() });
        (self.observer)(Update::Warning(message));
    }

    /// Waits for `work`, a notice, the deadline or a stop, whichever is first. `None`: a notice was taken in.
    async fn wake<F: Future>(&mut self, work: Pin<&mut F>, deadline: Instant) -> Result<Option<F::Output>, Cut> {
        let (over, Self { notices, stop, tick, .. }) = (self.over, &mut *self);
        let stopped = async {
            // Once the sender is gone, nobody can stop us any more.
            if stop.wait_for(Option::is_some).await.is_err() {
                future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = stopped, if !over => return Err(Cut::Over(Outcome::Interrupted)),
            Some(notice) = notices.recv() => self.take(notice)?,
            output = work => return Ok(Some(output)),
            _ = tick.tick() => self.flush(),
            () = tokio::time::sleep_until(deadline) => return Err(Cut::Deadline),
        }
        match self.log_error.take() {
            Some(error) if !over => Err(Cut::Error(error.into())),
            error => {
                self.log_error = error;
                Ok(None)
            }
        }
    }

    /// Waits for `work` and takes in what is noticed meanwhile.
    pub(super) async fn during<F: Future>(&mut self, work: F, deadline: Instant) -> Result<F::Output, Cut> {
        let mut work = pin!(work);
        loop {
            if let Some(output) = self.wake(work.as_mut(), deadline).await? {
                return Ok(output);
            }
        }
    }

    /// From nothing to the last peer's completion.
    async fn drive<D: Deployment>(&mut self, deployment: &D, parallel: usize) -> Result<Outcome, Cut> {
        let patience = seconds(self.cell.settings.start_timeout);
        let deadline = Instant::now() + patience;
        let opened = match self.launch(deployment, parallel, deadline).await {
            Ok(specs) => self.gate(deadline).await.map(|go| (specs, go)),
            Err(cut) => Err(cut),
        };
        let (specs, go) = opened.map_err(|cut| match cut {
            Cut::Deadline => {
                if let Some(name) = self.roster.silent().filter(|_| !self.cell.settings.client.is_own()) {
                    return Cut::Error(self.no_client(&format!("`{name}` ran for {patience:?}")));
                }
                let waiting = self.roster.not_ready();
                let who = if waiting.is_empty() { "the gate did not open".to_owned() } else { waiting.join(", ") };
                let reason = format!("not ready within {patience:?}: {who} (hint: `start_timeout`)");
                Cut::Over(Outcome::Failed { reason })
            }
            cut => cut,
        })?;
        self.phase(Phase::Transfer);
        let timeout = seconds(self.cell.settings.timeout);
        (self.observer)(Update::Open { timeout });
        let mut due = self.due();
        let turns: BTreeMap<String, Mutex<()>> =
            self.trial.nodes.iter().map(|node| (node.name.clone(), Mutex::new(()))).collect();
        let mut acting = FuturesUnordered::new();
        let clock = self.clock;
        let act = |event: plan::Event| {
            let (spec, turn) = (specs.get(&event.node), turns.get(&event.node));
            act(deployment, clock, go, spec, event, turn)
        };
        let deadline = clock.instant(go.saturating_add(nanos(timeout)));
        let ended = self.transfer(go, &mut due, &mut acting, act, deadline).await;
        self.over = true;
        self.wind_up(due, acting).await;
        match ended {
            Err(Cut::Deadline) => {
                let missing = self.roster.missing().map(|(name, _)| name.to_owned()).collect();
                Ok(Outcome::Timeout { missing })
            }
            ended => ended,
        }
    }

    /// Starts the tracker, then all others; returns what each was told.
    async fn launch<D: Deployment>(
        &mut self,
        deployment: &D,
        parallel: usize,
        deadline: Instant,
    ) -> Result<BTreeMap<String, NodeSpec>, Cut> {
        let failed = |reason: &str| Cut::Over(Outcome::Failed { reason: reason.to_owned() });
        let Some((tracker, others)) = self.trial.nodes.split_first().filter(|(first, _)| first.role == Role::Tracker)
        else {
            return Err(failed("the plan does not begin with a tracker"));
        };
        let samples = samples(self.cell, self.trial, others);
        let expect = u32::try_from(others.len()).map_err(|_| failed("the plan has too many nodes"))?;
        let tracker = node_spec(
            self.cell,
            self.trial,
            tracker,
            Gate::Keep {
                expect,
                calibrate: nanos(seconds(self.cell.settings.validity.calibrate)),
                samples: samples.clone(),
            },
        );
        self.begin(&tracker.name);
        let started = self.during(deployment.start(&tracker), deadline).await?;
        let address = self.started(&tracker.name, started).await?;
        let gate = Gate::At { address: std::net::SocketAddr::new(address, GATE_PORT).to_string() };
        let mut specs: Vec<NodeSpec> =
            others.iter().map(|node| node_spec(self.cell, self.trial, node, gate.clone())).collect();
        // Those that try their links first: they do so while the others start.
        specs.sort_by_key(|spec| !samples.contains(&spec.name));
        let mut starts = pin!(
            stream::iter(specs.clone())
                .map(async |spec| {
                    let started = deployment.start(&spec).await;
                    (spec.name, started)
                })
                .buffer_unordered(parallel.max(1))
        );
        for spec in &specs {
            self.begin(&spec.name);
        }
        while let Some((name, started)) = self.during(starts.next(), deadline).await? {
            self.started(&name, started).await?;
        }
        let all = specs.into_iter().chain([tracker]);
        Ok(all.map(|spec| (spec.name.clone(), spec)).collect())
    }

    fn begin(&mut self, name: &str) {
        if let Some(known) = self.roster.node_mut(name) {
            known.begin();
        }
    }

    async fn started<T>(&mut self, name: &str, started: Result<T, RuntimeError>) -> Result<T, Cut> {
        match started {
            Ok(value) => {
                (self.observer)(Update::Started { node: name.to_owned() });
                Ok(value)
            }
            Err(RuntimeError::Trial(reason)) => {
                // Its own words say more than its exit code, if they come: taking in its end cuts the wait.
                match self.during(future::pending::<()>(), Instant::now() + LAST_WORDS).await {
                    Err(Cut::Deadline) | Ok(()) => Err(Cut::Over(Outcome::Failed { reason })),
                    Err(cut) => Err(cut),
                }
            }
            Err(error) => Err(Cut::Error(error)),
        }
    }

    /// Waits until the gate opened; returns the common start on the controller's clock, ns.
    async fn gate(&mut self, deadline: Instant) -> Result<u64, Cut> {
        self.phase(Phase::Ready);
        loop {
            if let Some(go) = self.gate {
                return Ok(go);
            }
            self.wake(pin!(future::pending::<()>()), deadline).await?;
        }
    }

    /// Acts on the schedule until every peer that is to complete did, or none of those that did not still can.
    async fn transfer<F: Future<Output = Acted>>(
        &mut self,
        go: u64,
        due: &mut Due,
        acting: &mut FuturesUnordered<F>,
        act: impl Fn(plan::Event) -> F,
        deadline: Instant,
    ) -> Result<Outcome, Cut> {
        loop {
            if let Some(outcome) = self.verdict(due, go).or_else(|| self.death(go)) {
                return Ok(outcome);
            }
            let next = due.front().map(|(at, _)| self.clock.instant(go.saturating_add(*at)));
            let turn = self.turn(next, acting, deadline).await?;
            match turn {
                Some(Turn::Due) => {
                    let Some((_, event)) = due.pop_front() else { continue };
                    if let Some(later) = self.awaits_goodbye(&event, go) {
                        let at = due.partition_point(|(at, _)| *at <= later);
                        due.insert(at, (later, event));
                    } else if let Some(event) = self.decide(event) {
                        acting.push(act(event));
                    }
                }
                Some(Turn::Acted(acted)) => self.acted(acted),
                None => {}
            }
        }
    }

    /// Waits for the next action that is due or done, or for a notice (`None`).
    async fn turn<F: Future<Output = Acted>>(
        &mut self,
        next: Option<Instant>,
        acting: &mut FuturesUnordered<F>,
        deadline: Instant,
    ) -> Result<Option<Turn>, Cut> {
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => future::pending().await,
            }
        };
        let turn = async {
            tokio::select! {
                Some(acted) = acting.next() => Turn::Acted(acted),
                () = due => Turn::Due,
            }
        };
        self.wake(pin!(turn), deadline).await
    }

    /// How the trial ended, if it has.
    fn verdict(&self, due: &Due, go: u64) -> Option<Outcome> {
        if self.roster.nobody_is_to_complete() && !self.all_went(go) {
            return None;
        }
        let returns = |name: &str| due.iter().any(|(_, e)| e.node == name && matches!(e.action, Action::Rejoin(_)));
        if self.roster.missing().any(|(name, known)| known.has_hope(returns(name))) {
            return None;
        }
        let reasons: Vec<String> = self
            .roster
            .missing()
            .map(|(name, known)| known.death.clone().unwrap_or_else(|| format!("`{name}` left and did not return")))
            .collect();
        Some(if reasons.is_empty() {
            Outcome::Completed
        } else {
            Outcome::Failed { reason: format!("not all completed: {}", reasons.join("; ")) }
        })
    }

    /// Whether every peer has the file, or went for good as planned: where the schedule removes all, that is the end.
    fn all_went(&self, go: u64) -> bool {
        let elapsed = self.clock.mono().saturating_sub(go);
        let went = |name: &str| {
            let last = self.fates.get(name).and_then(|fate| fate.absences.last());
            last.is_some_and(|last| last.until.is_none() && last.from <= elapsed)
        };
        self.roster.peers().all(|(name, known)| known.completed || known.is_gone_for_good() || went(name))
    }

    /// Whether nobody who is waited for can complete any more, because of what is nowhere.
    fn death(&mut self, go: u64) -> Option<Outcome> {
        // It costs something in a large swarm, where a line comes every millisecond.
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now.duration_since(looked) < LOOK) {
            return None;
        }
        self.looked = Some(now);
        let elapsed = self.clock.mono().saturating_sub(go);
        let (roster, fates) = (&self.roster, &self.fates);
        let will_serve = |name: &str| {
            let known = roster.node(name);
            let (is_alive, is_server) =
                (known.is_some_and(roster::Known::is_alive), !known.is_none_or(roster::Known::is_peer));
            fates.get(name).map_or(is_alive, |fate| serves_by_plan(fate, is_server, is_alive, elapsed))
        };
        let missing = roster.missing().map(|(name, _)| name);
        let missing = self.survival.doomed(missing, will_serve, now)?;
        Some(Outcome::Unfinishable { missing })
    }

    /// Collects the last counters, if there was a transfer, and removes everything.
    async fn take_down<D: Deployment>(&mut self, deployment: &D) {
        self.over = true;
        self.phase(Phase::Teardown);
        if self.gate.is_some() {
            // What stands still could not say goodbye.
            for name in self.roster.frozen() {
                // A node that cannot be thawed is ended as one that does not heed.
                drop(self.during(deployment.thaw(&name), Instant::now() + DRAIN).await);
            }
            match self.during(deployment.stop(), Instant::now() + TEARDOWN).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.warn(format!("not all nodes could be stopped: {error}")),
                Err(_) => self.warn(format!("the nodes did not stop within {TEARDOWN:?}")),
            }
            let deadline = Instant::now() + DRAIN;
            while self.roster.any_alive() {
                if self.wake(pin!(future::pending::<()>()), deadline).await.is_err() {
                    self.warn("not all nodes told of their end".to_owned());
                    break;
                }
            }
        }
        match self.during(deployment.teardown(), Instant::now() + TEARDOWN).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.warn(error.to_string()),
            Err(_) => self.warn(format!("the teardown took longer than {TEARDOWN:?} (hint: `harness clean`)")),
        }
        while let Ok(notice) = self.notices.try_recv() {
            // Nothing cuts a trial that is over.
            drop(self.take(notice));
        }
    }
}

//! Planned changes of a node's link, at their moments.
//!
//! They need NET_ADMIN, which the node itself gives up before it hears from anybody. So a thread of its own keeps that one
//! capability; it acts on nothing but the plan, and it is there only for nodes whose plan has such changes.

use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::clock::{self, Epoch};
use super::report::Reporter;
use super::{Failure, privileges};
use crate::event::{Event, Shaped};
use crate::link::{self, LinkError, Ways};
use crate::node::{Alteration, Change, Link};

/// Rates that the link is to have at once, and whom to tell what went wrong.
type Trial = (Link, oneshot::Sender<Option<String>>);

/// What the thread did: how much later than planned it began, and how long it took, ns; and what went wrong.
type Done = (Change, u64, u64, Option<String>);

/// The thread that changes the link, waiting for the common start.
#[derive(Debug)]
pub struct Surroundings {
    go: Option<oneshot::Sender<(Epoch, u64)>>,
    /// Rates to try before the common start.
    trials: mpsc::UnboundedSender<Trial>,
    /// The thread ends when this is gone, after what it is about.
    on: oneshot::Sender<()>,
    done: mpsc::UnboundedReceiver<Done>,
}

impl Surroundings {
    /// Starts the thread, which keeps NET_ADMIN; `nodes` is how many the network has. To be called before the caller's own
    /// capabilities are dropped.
    ///
    /// # Errors
    /// If there can be no thread, or it cannot give up the other capabilities.
    pub fn new(shaped: Shaped, nodes: u32, changes: Vec<Change>) -> Result<Self, Failure> {
        let (go, start) = oneshot::channel();
        let (on, over) = oneshot::channel();
        let (tell, done) = mpsc::unbounded_channel();
        let (trials, asked) = mpsc::unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let body = move || {
            let prepared = privileges::keep_net_admin().map_err(|e| e.to_string()).and_then(|()| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|e| format!("no event loop: {e}"))
            });
            match prepared {
                Ok(runtime) => {
                    drop(ready.send(Ok(())));
                    runtime.block_on(follow(&shaped, nodes, changes, asked, start, over, tell));
                }
                Err(why) => drop(ready.send(Err(why))),
            }
        };
        let failed = |why: String| Failure::machine(format!("the link cannot be changed later: {why}"));
        thread::Builder::new().name("link".to_owned()).spawn(body).map_err(|e| failed(e.to_string()))?;
        is_ready.recv().map_err(|e| failed(e.to_string()))?.map_err(failed)?;
        Ok(Self { go: Some(go), trials, on, done })
    }

    /// Gives the link other rates for a while, before the thread may act as planned.
    ///
    /// # Errors
    /// If the kernel does not take them.
    pub async fn retune(&self, link: Link) -> Result<(), Failure> {
        let failed = |why: String| Failure::machine(format!("the link's later rates cannot be tried: {why}"));
        let (tell, told) = oneshot::channel();
        // If the thread is gone, its answer does not come.
        let _ = self.trials.send((link, tell));
        told.await.map_err(|e| failed(e.to_string()))?.map_or(Ok(()), |why| Err(failed(why)))
    }

    /// Lets the thread act, and reports for ever what it did from `from` ns after the common start on: what was planned before
    /// is only how this life finds its link.
    pub async fn run(&mut self, epoch: Epoch, from: u64, reporter: &Reporter) {
        // If it is gone, nothing comes.
        let _ = self.go.take().map(|go| go.send((epoch, from)));
        while let Some(done) = self.done.recv().await {
            tell_of(done, reporter);
        }
        std::future::pending::<()>().await;
    }

    /// Ends the thread, and reports what it did until then: a node may end at the very moment at which its link changes.
    pub async fn end(self, reporter: &Reporter) {
        let Self { go, trials, on, mut done } = self;
        drop((go, trials, on));
        while let Some(done) = done.recv().await {
            tell_of(done, reporter);
        }
    }
}

fn tell_of((Change { at, what }, late, took, error): Done, reporter: &Reporter) {
    reporter.emit(Event::Changed { planned: at, late, took: Some(took), what, error });
}

async fn follow(
    shaped: &Shaped,
    nodes: u32,
    changes: Vec<Change>,
    mut trials: mpsc::UnboundedReceiver<Trial>,
    mut start: oneshot::Receiver<(Epoch, u64)>,
    mut over: oneshot::Receiver<()>,
    tell: mpsc::UnboundedSender<Done>,
) {
    let (epoch, from) = loop {
        tokio::select! {
            biased;
            started = &mut start => match started {
                Ok(started) => break started,
                Err(_) => return,
            },
            Some((link, tell)) = trials.recv() => {
                // Who asked may be gone.
                let _ = tell.send(link::retune(shaped, link).await.err().map(|error| error.to_string()));
            }
        }
    };
    let mut ways = Ways::default();
    for change in changes {
        // Of a life that begins later, what is past is how it finds its link: an earlier life told of it.
        let is_past = change.at < from;
        if !is_past {
            tokio::select! {
                biased;
                () = clock::wait_exactly(epoch.go.saturating_add(change.at), clock::EARLY) => {}
                _ = &mut over => return,
            }
        }
        let begun = epoch.now().0;
        let error = alter(shaped, nodes, &mut ways, change.what).await.err().map(|error| error.to_string());
        let (late, took) = (begun.saturating_sub(change.at), epoch.now().0.saturating_sub(begun));
        if !is_past && tell.send((change, late, took, error)).is_err() {
            return;
        }
    }
}

async fn alter(shaped: &Shaped, nodes: u32, ways: &mut Ways, what: Alteration) -> Result<(), LinkError> {
    match what {
        Alteration::Rates(link) => link::retune(shaped, link).await,
        Alteration::Cut => {
            *ways = link::cut(shaped).await?;
            Ok(())
        }
        Alteration::Mend => link::mend(shaped, nodes, ways).await,
        // The tracker's own.
        Alteration::Silent | Alteration::Answering => Ok(()),
    }
}

//! The nodes of one trial as processes in network namespaces: the controller's side.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peer_image::node::NodeSpec;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::namespaces::{ENTER, PROGRAM};
use super::protocol::{Answer, Request, Signal};
use crate::runtime::{Deployment, Notice, RuntimeError};

/// Longest wait for the switch's first word.
const UP: Duration = Duration::from_secs(20);
/// Longest wait for all nodes to end after SIGTERM, and more for each of them.
const STOP: Duration = Duration::from_secs(3);
const STOP_EACH: Duration = Duration::from_millis(20);
/// Longest wait for the kernel to end and clear away everything.
const GONE: Duration = Duration::from_secs(60);
/// How much of what the switch says on standard error is kept, bytes.
const LAST_WORDS: u64 = 4096;

/// The nodes of one trial.
#[derive(Debug)]
pub struct NetnsDeployment {
    shared: Arc<Shared>,
    switch: tokio::sync::Mutex<Child>,
}

#[derive(Debug)]
struct Shared {
    /// To the switch, until the teardown.
    requests: Mutex<Option<mpsc::UnboundedSender<Request>>>,
    state: Mutex<State>,
    /// Told whenever a request was answered.
    answered: watch::Sender<()>,
    notices: mpsc::UnboundedSender<Notice>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Who waits for which answer.
    waiting: BTreeMap<u64, Waiting>,
    /// Nodes that were started, and whether their latest life has ended.
    lives: BTreeMap<String, watch::Sender<bool>>,
    /// Why there is no switch any more.
    gone: Option<String>,
    /// Whether nothing is started any more, because all is about to be stopped or removed.
    closed: bool,
    /// Whether the switch is asked to end: what still runs then is taken down, and not lost.
    ending: bool,
}

#[derive(Debug)]
struct Waiting {
    /// The node that is to start, if one is.
    starts: Option<String>,
    answer: oneshot::Sender<Result<Option<IpAddr>, RuntimeError>>,
}

impl NetnsDeployment {
    /// Starts the switch of a trial, in which all nodes but the tracker run `client`, if it is not empty.
    pub(super) async fn create(
        client: &[String],
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<Self, RuntimeError> {
        let mut command = std::process::Command::new(PROGRAM);
        // A process group of its own: Ctrl-C is for the controller, which ends the trial in order.
        command.arg0(ENTER).args(client).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut switch = Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| RuntimeError::Machine(format!("the namespaces' process cannot be started: {error}")))?;
        let (Some(input), Some(output), Some(errors)) =
            (switch.stdin.take(), switch.stdout.take(), switch.stderr.take())
        else {
            return Err(RuntimeError::Machine("the namespaces' process has no pipes".to_owned()));
        };
        let mut output = BufReader::new(output);
        let mut first = String::new();
        let said = tokio::time::timeout(UP, output.read_line(&mut first)).await;
        match (said, serde_json::from_str::<Answer>(&first)) {
            (Ok(Ok(_)), Ok(Answer::Up)) => {}
            (Ok(Ok(_)), Ok(Answer::Refused { why })) => return Err(RuntimeError::Machine(why)),
            (Err(_), _) => return Err(RuntimeError::Machine(format!("no word from the switch within {UP:?}"))),
            _ => {
                let words = last_words(errors).await;
                return Err(RuntimeError::Machine(format!("the switch did not come up: {first}{words}")));
            }
        }
        let (requests, to_send) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            requests: Mutex::new(Some(requests)),
            state: Mutex::default(),
            answered: watch::channel(()).0,
            notices,
        });
        tokio::spawn(ask(to_send, input));
        tokio::spawn(listen(Arc::clone(&shared), output, errors));
        Ok(Self { shared, switch: tokio::sync::Mutex::new(switch) })
    }
}

/// Passes requests on; at their end the switch's input ends, and with it the switch.
async fn ask(mut requests: mpsc::UnboundedReceiver<Request>, mut input: ChildStdin) {
    while let Some(request) = requests.recv().await {
        let mut text = serde_json::to_vec(&request).expect("a request has string keys");
        text.push(b'\n');
        // A switch that is gone is noticed by who listens to it.
        if input.write_all(&text).await.is_err() {
            return;
        }
    }
}

/// Takes in what the switch says, to its end.
async fn listen(shared: Arc<Shared>, output: BufReader<ChildStdout>, errors: ChildStderr) {
    let mut lines = output.lines();
    let why = loop {
        match lines.next_line().await {
            Ok(Some(line)) => match serde_json::from_str::<Answer>(&line) {
                Ok(Answer::Refused { why }) => break why,
                Ok(answer) => shared.take(answer),
                Err(error) => break format!("it said what cannot be read: {error}"),
            },
            Ok(None) => break format!("it ended {}", last_words(errors).await).trim_end().to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    shared.lose(&format!("the switch of the namespaces is gone: {why}"));
}

async fn last_words(errors: ChildStderr) -> String {
    let mut text = String::new();
    // What cannot be read is not there.
    drop(errors.take(LAST_WORDS).read_to_string(&mut text).await);
    text.trim().to_owned()
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a single insertion or removal: it is right even if a holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, notice: Notice) {
        // Nobody listens any more once the trial is over.
        drop(self.notices.send(notice));
    }

    fn take(&self, answer: Answer) {
        let answered = match answer {
            Answer::Done { id, address } => (id, Ok(address.map(IpAddr::from))),
            Answer::Failed { id, why, machine: true } => (id, Err(RuntimeError::Machine(why))),
            Answer::Failed { id, why, machine: false } => (id, Err(RuntimeError::Trial(why))),
            Answer::Notice(notice) => {
                if let Notice::Exited { node, .. } = &notice
                    && let Some(life) = self.state().lives.get(node)
                {
                    life.send_replace(true);
                }
                return self.tell(notice);
            }
            Answer::Up | Answer::Refused { .. } => return,
        };
        let mut state = self.state();
        let Some(Waiting { starts, answer }) = state.waiting.remove(&answered.0) else { return };
        // In the order in which the switch says it: its earlier life has ended, and this one has not.
        if let Some(node) = starts.filter(|_| answered.1.is_ok()) {
            state.lives.entry(node).or_insert_with(|| watch::channel(false).0).send_replace(false);
        }
        drop(state);
        self.answered.send_replace(());
        // Who asked may have given up.
        drop(answer.send(answered.1));
    }

    /// There is no switch any more, and no node.
    fn lose(&self, why: &str) {
        let (waiting, lost, ending) = {
            let mut state = self.state();
            state.gone = Some(why.to_owned());
            let alive = state.lives.iter().filter(|(_, ended)| !*ended.borrow());
            let alive: Vec<String> = alive.map(|(name, _)| name.clone()).collect();
            (std::mem::take(&mut state.waiting), alive, state.ending)
        };
        self.answered.send_replace(());
        for (_, waiting) in waiting {
            drop(waiting.answer.send(Err(RuntimeError::Trial(why.to_owned()))));
        }
        for node in lost {
            if !ending {
                self.tell(Notice::Lost { node: node.clone(), reason: why.to_owned() });
            }
            if let Some(life) = self.state().lives.get(&node) {
                life.send_replace(true);
            }
        }
    }

    async fn request(
        &self,
        starts: Option<String>,
        make: impl FnOnce(u64) -> Request,
    ) -> Result<Option<IpAddr>, RuntimeError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.state();
            if let Some(why) = &state.gone {
                return Err(RuntimeError::Trial(why.clone()));
            }
            if state.closed && starts.is_some() {
                return Err(RuntimeError::Trial("the trial is being taken down".to_owned()));
            }
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(requests) = &*requests else {
                return Err(RuntimeError::Trial("the trial is being taken down".to_owned()));
            };
            let id = state.next;
            state.next += 1;
            state.waiting.insert(id, Waiting { starts, answer });
            // If the switch is gone, whoever waits is told by `lose`.
            drop(requests.send(make(id)));
        }
        answered.await.map_err(|_| RuntimeError::Trial("the switch gave no answer".to_owned()))?
    }

    async fn start(&self, node: &NodeSpec, fresh: bool) -> Result<Option<IpAddr>, RuntimeError> {
        let make = |id| Request::Start { id, node: Box::new(node.clone()), fresh };
        self.request(Some(node.name.clone()), make).await
    }

    async fn signal(&self, node: &str, signal: Signal) -> Result<(), RuntimeError> {
        self.request(None, |id| Request::Signal { id, node: node.to_owned(), signal }).await.map(drop)
    }

    /// Sends a signal to every node that runs and waits for their ends, at most until then.
    async fn end_all(&self, signal: Signal, deadline: Instant) -> Result<(), RuntimeError> {
        let alive: Vec<_> = {
            let state = self.state();
            let alive = state.lives.iter().filter(|(_, ended)| !*ended.borrow());
            alive.map(|(name, ended)| (name.clone(), ended.subscribe())).collect()
        };
        let sent = futures_util::future::join_all(alive.iter().map(|(name, _)| self.signal(name, signal))).await;
        let first = sent.into_iter().collect();
        for (_, mut ended) in alive {
            // A timeout means that it does not heed the signal.
            drop(tokio::time::timeout_at(deadline, ended.wait_for(|ended| *ended)).await);
        }
        first
    }

    /// Lets nothing be started any more, and waits for starts that are under way, at most until then.
    async fn close(&self, deadline: Instant) {
        let mut answered = self.answered.subscribe();
        self.state().closed = true;
        let none_under_way = answered.wait_for(|()| self.state().waiting.values().all(|it| it.starts.is_none()));
        // A timeout means that the switch does not answer: then it is ended, and they with it.
        drop(tokio::time::timeout_at(deadline, none_under_way).await);
    }

    fn alive(&self) -> usize {
        self.state().lives.values().filter(|ended| !*ended.borrow()).count()
    }
}

impl Deployment for NetnsDeployment {
    async fn start(&self, node: &NodeSpec) -> Result<IpAddr, RuntimeError> {
        let address = self.shared.start(node, true).await?;
        address.ok_or_else(|| RuntimeError::Trial(format!("`{}` has no address", node.name)))
    }

    async fn kill(&self, name: &str) -> Result<(), RuntimeError> {
        self.shared.signal(name, Signal::Kill).await
    }

    async fn freeze(&self, name: &str) -> Result<(), RuntimeError> {
        self.shared.signal(name, Signal::Stop).await
    }

    async fn thaw(&self, name: &str) -> Result<(), RuntimeError> {
        self.shared.signal(name, Signal::Continue).await
    }

    async fn restart(&self, node: &NodeSpec, fresh: bool) -> Result<(), RuntimeError> {
        self.shared.start(node, fresh).await.map(drop)
    }

    async fn stop(&self) -> Result<(), RuntimeError> {
        self.shared.close(Instant::now() + STOP).await;
        let count = u32::try_from(self.shared.alive()).unwrap_or(u32::MAX);
        let stopped = self.shared.end_all(Signal::Terminate, Instant::now() + STOP + STOP_EACH * count).await;
        if self.shared.alive() == 0 {
            return stopped;
        }
        self.shared.end_all(Signal::Kill, Instant::now() + STOP + STOP_EACH * count).await
    }

    async fn teardown(&self) -> Result<(), RuntimeError> {
        self.shared.close(Instant::now() + STOP).await;
        // Without an order to stop before this, nobody waits for what nodes still have to say.
        self.shared.state().ending = true;
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut switch = self.switch.lock().await;
        match tokio::time::timeout(GONE, switch.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(RuntimeError::Trial(format!("the end of the namespaces is not known: {error}"))),
            Err(_) => {
                // Its namespaces end with it.
                drop(switch.kill().await);
                Err(RuntimeError::Trial(format!("the namespaces did not end within {GONE:?} and were killed")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> (Arc<Shared>, mpsc::UnboundedReceiver<Notice>, mpsc::UnboundedReceiver<Request>) {
        let (notices, noticed) = mpsc::unbounded_channel();
        let (requests, asked) = mpsc::unbounded_channel();
        let state = State { lives: [("peer-1".to_owned(), watch::channel(false).0)].into(), ..State::default() };
        let requests = Mutex::new(Some(requests));
        let shared = Shared { requests, state: Mutex::new(state), answered: watch::channel(()).0, notices };
        (Arc::new(shared), noticed, asked)
    }

    #[test]
    fn who_is_taken_down_is_not_lost_and_who_loses_the_switch_is() {
        for (ending, lost) in [(true, 0), (false, 1)] {
            let (shared, mut noticed, _asked) = shared();
            shared.state().ending = ending;
            shared.lose("the switch of the namespaces is gone: it ended");
            let mut told = Vec::new();
            while let Ok(notice) = noticed.try_recv() {
                told.push(notice);
            }
            assert_eq!(told.len(), lost, "{told:?}");
            assert_eq!(shared.alive(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_starts_that_are_under_way_and_lets_no_further_one_begin() {
        let (shared, _noticed, _asked) = shared();
        let begun = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                shared
                    .request(Some("peer-2".to_owned()), |id| Request::Signal {
                        id,
                        node: "peer-2".to_owned(),
                        signal: Signal::Continue,
                    })
                    .await
            })
        };
        tokio::task::yield_now().await;
        let mut closed = std::pin::pin!(shared.close(Instant::now() + STOP));
        assert!(futures_util::poll!(closed.as_mut()).is_pending(), "a start is under way");
        shared.take(Answer::Done { id: 0, address: None });
        closed.await;
        assert!(begun.await.unwrap().is_ok());
        assert_eq!(shared.alive(), 2, "who began before is known, and is stopped with the others");
        let refused = shared.request(Some("peer-3".to_owned()), |_| unreachable!("it is not asked")).await;
        assert!(matches!(refused, Err(RuntimeError::Trial(_))));
    }
}

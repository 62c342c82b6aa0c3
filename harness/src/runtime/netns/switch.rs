//! The switch: process 1 of its namespaces. It lays cables, starts nodes in namespaces of their own, and passes on what
//! they write and how they end, as the controller asks.
//!
//! Invariant: when the controller is gone, so is the switch, and with process 1 the kernel ends all others in its process
//! namespace; with the last of them, the namespaces go.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::rc::Rc;
use std::time::Duration;

use peer_image::node::{ARGUMENT_MAX, NodeSpec, Role};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::mount::MountFlags;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use super::namespaces::{PROGRAM, refuse};
use super::network::{Cable, MOST, Network};
use super::protocol::{Answer, Request, Signal};
use crate::runtime::Notice;
use crate::runtime::lines::Lines;

/// Longest wait for the end of a node that is to start again.
const END: Duration = Duration::from_secs(10);

/// Runs the switch until the controller has nothing more to ask.
#[must_use]
pub fn switch() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            refuse(&format!("no event loop: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let local = tokio::task::LocalSet::new();
    match local.block_on(&runtime, async { serve(Program::of_client(std::env::args().skip(1))?).await }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            refuse(&why);
            ExitCode::FAILURE
        }
    }
}

/// What a node runs.
struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    /// Keeps its file within reach: a place for what nodes keep may come to lie over it.
    _file: Option<std::fs::File>,
}

impl Program {
    /// This program.
    fn own() -> Self {
        Self { path: PROGRAM.into(), arguments: Vec::new(), _file: None }
    }

    /// The program and its arguments, if there are any.
    fn of_client(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let Some(path) = words.next() else { return Ok(Self::own()) };
        let file = std::fs::File::open(&path)
            .map_err(|error| format!("the client's program `{path}` cannot be opened: {error}"))?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        Ok(Self { path, arguments: words.collect(), _file: Some(file) })
    }
}

struct Switch {
    /// What all nodes but the tracker run.
    client: Program,
    network: RefCell<Network>,
    nodes: RefCell<BTreeMap<String, Node>>,
    answers: mpsc::UnboundedSender<Answer>,
    /// Where nodes keep what outlives their processes, once one of them does.
    states: RefCell<Option<PathBuf>>,
}

/// A node that was started, perhaps several times.
struct Node {
    address: Ipv4Addr,
    /// The present or latest life.
    life: Option<Life>,
}

struct Life {
    /// Its process, while it runs.
    pid: Option<rustix::process::Pid>,
    ended: watch::Receiver<bool>,
}

/// Why a request could not be carried out.
struct Failed {
    why: String,
    machine: bool,
}

impl Failed {
    fn trial(why: String) -> Self {
        Self { why, machine: false }
    }

    fn machine(why: String) -> Self {
        Self { why, machine: true }
    }
}

async fn serve(client: Program) -> Result<(), String> {
    let network = Network::new().await.map_err(|error| format!("{error}{}", cure(&error.to_string())))?;
    let duplicate = |fd: &dyn AsFd| -> io::Result<OwnedFd> { fd.as_fd().try_clone_to_owned() };
    // As pipes, not as tokio's standard streams, which would need threads.
    let requests = duplicate(&io::stdin()).and_then(pipe::Receiver::from_owned_fd);
    let requests = requests.map_err(|error| format!("standard input is no pipe: {error}"))?;
    let output = duplicate(&io::stdout()).and_then(pipe::Sender::from_owned_fd);
    let mut output = output.map_err(|error| format!("standard output is no pipe: {error}"))?;
    let (answers, mut waiting) = mpsc::unbounded_channel::<Answer>();
    let switch = Rc::new(Switch {
        client,
        network: RefCell::new(network),
        nodes: RefCell::default(),
        answers,
        states: RefCell::default(),
    });
    switch.tell(Answer::Up);
    let speak = async {
        while let Some(answer) = waiting.recv().await {
            let mut text = serde_json::to_vec(&answer).expect("an answer has string keys");
            text.push(b'\n');
            // Whatever else waits goes with it.
            while let Ok(next) = waiting.try_recv() {
                serde_json::to_writer(&mut text, &next).expect("an answer has string keys");
                text.push(b'\n');
            }
            if output.write_all(&text).await.is_err() {
                return;
            }
        }
    };
    let listen = async {
        let mut lines = BufReader::new(requests).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str::<Request>(&line) {
                Ok(request) => drop(tokio::task::spawn_local(Rc::clone(&switch).attend(request))),
                // Controller and switch are one program: this cannot be, and is not to pass in silence.
                Err(error) => return Err(format!("a request that cannot be read: {error}")),
            }
        }
        Ok(())
    };
    tokio::select! {
        () = speak => Ok(()),
        ended = listen => ended,
    }
}

/// Whether this machine takes the rights out of the user namespaces that ordinary users make.
fn is_restricted() -> bool {
    let switch = std::fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    switch.is_ok_and(|text| text.trim() != "0")
}

/// What may help where a right is lacking in namespaces of one's own.
fn forbidden(is_restricted: bool) -> &'static str {
    if is_restricted {
        " (hint: this system takes the rights out of user namespaces: \
         `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, run as root, or use a Docker engine)"
    } else {
        " (hint: something forbids it even in namespaces of one's own, such as a container's filter or a security module: \
         run outside of any container, as root, or use a Docker engine)"
    }
}

/// What may help where the kernel refuses a part of the network.
fn cure(why: &str) -> &'static str {
    if why.contains("Read-only file system") {
        " (hint: `/proc/sys` is read-only here, as in a container: run outside of it)"
    } else if why.contains("Operation not permitted") || why.contains("Permission denied") {
        forbidden(is_restricted())
    } else if why.contains("not supported") {
        " (hint: `sudo modprobe veth`)"
    } else if why.contains("No space left") {
        " (hint: `sudo sysctl -w user.max_net_namespaces=10000`)"
    } else if why.contains("Too many open files") {
        " (hint: raise the limit on open files, `ulimit -n`)"
    } else {
        ""
    }
}

impl Switch {
    fn tell(&self, answer: Answer) {
        // Without a controller the switch ends.
        drop(self.answers.send(answer));
    }

    async fn attend(self: Rc<Self>, request: Request) {
        let (id, done) = match request {
            Request::Start { id, node, fresh } => (id, Rc::clone(&self).start(*node, fresh).await.map(Some)),
            Request::Signal { id, node, signal } => (id, self.signal(&node, signal).map(|()| None)),
        };
        self.tell(match done {
            Ok(address) => Answer::Done { id, address },
            Err(Failed { why, machine }) => Answer::Failed { id, why, machine },
        });
    }

    fn signal(&self, node: &str, signal: Signal) -> Result<(), Failed> {
        let pid = self.nodes.borrow().get(node).and_then(|node| node.life.as_ref()?.pid);
        // What has ended needs no signal.
        let Some(pid) = pid else { return Ok(()) };
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Continue => rustix::process::Signal::CONT,
        };
        rustix::process::kill_process(pid, signal)
            .map_err(|error| Failed::trial(format!("`{node}` cannot be sent {signal:?}: {error}")))
    }

    async fn start(self: Rc<Self>, mut spec: NodeSpec, fresh: bool) -> Result<Ipv4Addr, Failed> {
        let name = spec.name.clone();
        let address = self.address(&name)?;
        let before = self.nodes.borrow().get(&name).and_then(|node| Some(node.life.as_ref()?.ended.clone()));
        if let Some(mut ended) = before
            && tokio::time::timeout(END, ended.wait_for(|ended| *ended)).await.is_err()
        {
            return Err(Failed::trial(format!("`{name}` still runs and cannot return")));
        }
        if spec.state_dir.is_some() {
            let state = self.state(&name, fresh).map_err(|error| {
                Failed::machine(format!("no place for what `{name}` keeps: {error} (hint: `storage: none`)"))
            })?;
            spec.state_dir = Some(state);
        }
        let no_network = |error: super::network::NetworkError| {
            let why = error.to_string();
            Failed::machine(format!("{why}{}", cure(&why)))
        };
        let cabling = self.network.borrow_mut().begin().map_err(no_network)?;
        let cable = cabling.lay(address).await.map_err(no_network)?;
        let child = self.spawn(&cable, &spec);
        let child = child.map_err(|error| {
            let hint = "hint: are processes or memory used up? `ulimit -u`";
            Failed::machine(format!("`{name}` cannot be started: {error} ({hint})"))
        })?;
        let (end, ended) = watch::channel(false);
        let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        if let Some(node) = self.nodes.borrow_mut().get_mut(&name) {
            node.life = Some(Life { pid, ended });
        }
        tokio::task::spawn_local(Rc::clone(&self).follow(name, cable, child, end));
        Ok(address)
    }

    /// A node's address: the same in all of its lives.
    fn address(&self, name: &str) -> Result<Ipv4Addr, Failed> {
        let mut nodes = self.nodes.borrow_mut();
        let number = u32::try_from(nodes.len()).ok().filter(|number| *number < MOST);
        let number = number.ok_or_else(|| Failed::machine(format!("there are addresses for {MOST} nodes only")))?;
        Ok(nodes
            .entry(name.to_owned())
            .or_insert_with(|| Node { address: Network::address(number), life: None })
            .address)
    }

    /// The directory of what a node keeps. It lies in memory, in a file system that only these processes see, so that it
    /// goes with them.
    fn state(&self, name: &str, fresh: bool) -> io::Result<String> {
        let mut states = self.states.borrow_mut();
        let root = match &*states {
            Some(root) => root.clone(),
            None => {
                let root =
                    place([std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/run".into(), "/mnt".into()])?;
                rustix::mount::mount("tmpfs", &root, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)?;
                states.insert(root).clone()
            }
        };
        let own = root.join(name);
        if fresh && own.exists() {
            std::fs::remove_dir_all(&own)?;
        }
        std::fs::create_dir_all(&own)?;
        own.into_os_string().into_string().map_err(|path| io::Error::other(format!("{}: no UTF-8", path.display())))
    }

    fn spawn(&self, cable: &Cable, spec: &NodeSpec) -> io::Result<Child> {
        let own = Program::own();
        let program = if spec.role == Role::Tracker { &own } else { &self.client };
        let mut command = Command::new(&program.path);
        let (argument, stdin) = told(serde_json::to_string(spec)?)?;
        command.arg0("peer").args(&program.arguments).arg(argument);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.network.borrow().within(cable, || command.spawn())
    }

    /// Passes on what a node writes, and then how it ended.
    async fn follow(self: Rc<Self>, name: String, cable: Cable, mut child: Child, end: watch::Sender<bool>) {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // At its end its link is dead at once, and not when its namespace has been cleared away.
        let ending = async {
            let status = child.wait().await;
            if let Some(life) = self.nodes.borrow_mut().get_mut(&name).and_then(|node| node.life.as_mut()) {
                life.pid = None;
            }
            let pulled = self.network.borrow().unplug(&cable);
            pulled.await;
            status
        };
        let (status, (), ()) =
            tokio::join!(ending, self.pass_on(&name, stdout, false), self.pass_on(&name, stderr, true));
        let code = match status {
            Ok(status) => status.code().or_else(|| Some(128 + status.signal()?)).map_or(-1, i64::from),
            Err(_) => -1,
        };
        // Nobody but the kernel says when it was for its memory, and it says so to root alone.
        self.tell(Answer::Notice(Notice::Exited { node: name, code, oom: false }));
        end.send_replace(true);
    }

    async fn pass_on(&self, name: &str, from: Option<impl AsyncRead + Unpin>, stderr: bool) {
        let Some(mut from) = from else { return };
        let mut lines = Lines::default();
        let mut buffer = vec![0; 4096];
        let tell = |line| self.tell(Answer::Notice(Notice::Line { node: name.to_owned(), stderr, line }));
        while let Ok(read) = from.read(&mut buffer).await
            && read > 0
        {
            lines.feed(&buffer[..read], tell);
        }
        lines.end(tell);
    }
}

/// The first directory that there is: whatever is in it is hidden from these processes alone.
fn place(candidates: impl IntoIterator<Item = PathBuf>) -> io::Result<PathBuf> {
    let mut tried = Vec::new();
    for candidate in candidates {
        if candidate.is_dir() {
            return Ok(candidate);
        }
        tried.push(candidate.display().to_string());
    }
    let why = format!("none of these is a directory: {} (TMPDIR names the first)", tried.join(", "));
    Err(io::Error::new(io::ErrorKind::NotFound, why))
}

/// How a node is told its specification: as an argument, or if it is too long for one in a file without a name, which is
/// its standard input.
fn told(spec: String) -> io::Result<(String, Stdio)> {
    if spec.len() <= ARGUMENT_MAX {
        return Ok((spec, Stdio::null()));
    }
    let mut file = std::fs::File::from(memfd_create("specification", MemfdFlags::CLOEXEC)?);
    file.write_all(spec.as_bytes())?;
    Ok(("@/proc/self/fd/0".to_owned(), file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_that_is_not_there_is_named_and_another_is_taken() {
        let nowhere = PathBuf::from("/nowhere/tmp");
        assert_eq!(place([nowhere.clone(), "/proc".into()]).unwrap(), PathBuf::from("/proc"));
        let error = place([nowhere]).unwrap_err().to_string();
        assert!(error.contains("/nowhere/tmp") && error.contains("TMPDIR"), "{error}");
    }

    #[test]
    fn what_a_node_is_told_reaches_it_whatever_its_length() {
        for length in [1, ARGUMENT_MAX, ARGUMENT_MAX + 1, 5 << 20] {
            let spec = "x".repeat(length);
            let (argument, stdin) = told(spec.clone()).unwrap();
            assert!(argument.len() <= ARGUMENT_MAX);
            let read = match argument.strip_prefix('@') {
                Some(path) => std::process::Command::new("cat").arg(path).stdin(stdin).output().unwrap().stdout,
                None => argument.into_bytes(),
            };
            assert!(read == spec.as_bytes(), "{length}");
        }
    }

    #[test]
    fn what_a_kernel_refuses_has_a_cure() {
        for why in ["Operation not permitted (os error 1)", "Read-only file system (os error 30)", "No space left on"] {
            assert!(cure(why).contains("(hint: "), "{why}");
        }
        // A switch of the kernel that is not there, or off, is not blamed.
        assert!(forbidden(true).contains("apparmor_restrict_unprivileged_userns"));
        assert!(!forbidden(false).contains("sysctl"));
    }
}

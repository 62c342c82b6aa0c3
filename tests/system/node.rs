//! One container of the peer's image: what it does when it is started wrongly, what it gives up before it begins, and
//! that nothing that comes in from the network ends it.

use std::net::IpAddr;
use std::time::Duration;

use peer_image::content;
use peer_image::event::{ErrorKind, Event, Record, Shape};
use peer_image::node::{GATE_PORT, Gate, HTTP_PORT, Link, NodeSpec, PEER_PORT, Role, TRACKER_PORT};
use peer_image::wire::handshake::{Handshake, InfoHash, PeerId};
use testcontainers::core::WaitFor;
use testcontainers::core::wait::ExitWaitStrategy;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt as _};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::bench::{Bench, Experiment, PATIENCE};
use crate::engine::{Engine, specification, tracker};

/// The image that the harness builds: `harness-peer:<hash>`. The engine has it.
pub(crate) async fn image() -> String {
    static IMAGE: OnceCell<String> = OnceCell::const_new();
    let build = async || {
        let bench =
            Bench::new(&Experiment { name: "image", who: "peers: 1", size: "256 KiB", ..Experiment::default() });
        let done = bench.run().await;
        done.ended_with(0);
        done.manifest("/facts/image")
    };
    IMAGE.get_or_init(build).await.clone()
}

async fn request(wait: WaitFor) -> ContainerRequest<GenericImage> {
    let image = image().await;
    let (name, tag) = image.split_once(':').expect("an image has a tag");
    let image = GenericImage::new(name, tag).with_wait_for(wait);
    image.with_startup_timeout(PATIENCE).with_cap_drop("ALL").with_readonly_rootfs(true)
}

fn json(spec: &NodeSpec) -> String {
    serde_json::to_string(spec).expect("a specification is JSON")
}

/// A node that is to end at once.
async fn ended(arguments: &[&str]) -> (Option<i64>, String, String) {
    let request = request(WaitFor::exit(ExitWaitStrategy::new())).await;
    let container = request.with_cmd(arguments.iter().copied()).start().await.expect("the container starts");
    let code = container.exit_code().await.expect("the engine tells");
    let stdout = container.stdout_to_vec().await.expect("the engine keeps it");
    let stderr = container.stderr_to_vec().await.expect("the engine keeps it");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (code, text(stdout), text(stderr))
}

fn records(stdout: &str) -> Vec<Record> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("`{line}`: {e}"))).collect()
}

#[tokio::test]
async fn without_a_specification_it_says_who_starts_it() {
    let _engine = Engine::shared().await;
    let (code, stdout, stderr) = ended(&[]).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("no node specification (hint: the harness starts this program"), "{stderr}");
}

#[tokio::test]
async fn a_specification_that_cannot_be_read_is_said_so() {
    let _engine = Engine::shared().await;
    for argument in ["", "{", "{\"name\": 1}", "tracker"] {
        let (code, stdout, stderr) = ended(&[argument]).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "`{argument}`: {stderr}");
        assert!(stderr.contains("the node specification cannot be read: "), "`{argument}`: {stderr}");
    }
}

#[tokio::test]
async fn without_net_admin_it_names_the_capability_and_the_cure() {
    let _engine = Engine::shared().await;
    let spec = specification("peer-1", Role::Leecher, Gate::At { address: format!("192.0.2.1:{GATE_PORT}") });
    let (code, stdout, stderr) = ended(&[&json(&spec)]).await;
    assert_eq!(code, Some(4), "{stdout}{stderr}");
    let records = records(&stdout);
    let Some(Event::Error { kind: ErrorKind::Machine, message }) = records.last().map(|record| &record.event) else {
        panic!("its last word is why: {stdout}");
    };
    assert!(message.contains("NET_ADMIN") && message.contains("(hint: "), "{message}");
}

/// A node that runs, and its events as they come.
struct Node {
    container: ContainerAsync<GenericImage>,
    address: IpAddr,
    events: tokio::io::Lines<std::pin::Pin<Box<dyn AsyncBufRead + Send>>>,
}

impl Node {
    async fn start(engine: &Engine, spec: &NodeSpec) -> Self {
        let request = request(WaitFor::message_on_stdout("\"ready\"")).await;
        let request = request.with_cmd([json(spec)]).with_cap_add("NET_ADMIN");
        let container = request.with_security_opt("no-new-privileges").start().await.expect("the node gets ready");
        let found = engine.docker.inspect_container(container.id(), None).await.expect("it is there");
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let address = networks.values().find_map(|network| network.ip_address.as_ref()?.parse().ok());
        let address = address.expect("it has an address on the engine's default network");
        let events = container.stdout(true).lines();
        Self { container, address, events }
    }

    /// Waits for an event that means something.
    async fn tells<T>(&mut self, what: &str, meaning: impl Fn(Event) -> Option<T>) -> T {
        let wait = async {
            while let Some(line) = self.events.next_line().await.expect("the engine lets it be followed") {
                let record: Record = serde_json::from_str(&line).unwrap_or_else(|e| panic!("`{line}`: {e}"));
                if let Some(found) = meaning(record.event) {
                    return found;
                }
            }
            panic!("the node ended and did not tell of {what}");
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("the node did not tell of {what} within {PATIENCE:?}"))
    }

    /// Waits until it tells of bytes that it rejected, and returns why.
    async fn rejects(&mut self) -> String {
        let rejected = |event| match event {
            Event::Rejected { reason, .. } => Some(reason),
            _ => None,
        };
        self.tells("a rejection", rejected).await
    }

    async fn connect(&self, port: u16) -> TcpStream {
        let to = (self.address, port);
        let stream = tokio::time::timeout(Duration::from_secs(20), TcpStream::connect(to)).await;
        stream.ok().and_then(Result::ok).unwrap_or_else(|| {
            panic!("no connection to a container at {to:?} (hint: these tests need an engine on this host)")
        })
    }

    /// Sends bytes and reads until the node closes the connection; returns its last words.
    async fn is_closed_after(&self, port: u16, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect(port).await;
        stream.write_all(bytes).await.expect("the connection takes a few bytes");
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        // Reset or orderly: closed.
        drop(closed.unwrap_or_else(|_| panic!("the node does not close the connection after {bytes:?}")));
        answer
    }

    async fn get(&self, port: u16, target: &str) -> Vec<u8> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        let answer = self.is_closed_after(port, request.as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head ends");
        answer[head + 4..].to_vec()
    }

    async fn assert_runs(&self) {
        assert!(self.container.is_running().await.expect("the engine tells"), "it goes on");
    }
}

/// A tracker, and a node that passes its gate.
async fn pair(engine: &Engine, name: &str, role: Role) -> (Node, Node) {
    let tracker = Node::start(engine, &tracker(1, None)).await;
    let gate = Gate::At { address: format!("{}:{GATE_PORT}", tracker.address) };
    let mut node = Node::start(engine, &specification(name, role, gate)).await;
    node.tells("its start", |event| matches!(event, Event::Started { .. }).then_some(())).await;
    (tracker, node)
}

#[tokio::test]
async fn it_shapes_its_link_and_has_no_capability_left_when_it_is_ready() {
    let engine = Engine::shared().await;
    let mut node = Node::start(&engine, &tracker(1, Some(Link { up: 3_000_000, down: 5_000_000 }))).await;
    let shaped = |event| match event {
        Event::Shaped(shaped) => Some(shaped),
        _ => None,
    };
    let shaped = node.tells("its link", shaped).await;
    let rates = |shape: Option<Shape>| shape.map(|shape| (shape.asked, shape.rate));
    assert_eq!(rates(shaped.up), Some((3_000_000, 3_000_000)));
    assert_eq!(rates(shaped.down), Some((5_000_000, 5_000_000)));
    node.tells("being ready", |event| matches!(event, Event::Ready { .. }).then_some(())).await;

    let found = engine.docker.inspect_container(node.container.id(), None).await.expect("it is there");
    let pid = found.state.and_then(|state| state.pid).expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_else(|error| panic!("process {pid}: {error} (hint: these tests need an engine on this host)"));
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(value(set), Some("0000000000000000"), "{set} {status}");
    }
    assert_eq!(value("NoNewPrivs:"), Some("1"), "{status}");
}

#[tokio::test]
async fn a_tracker_rejects_what_is_malformed_and_goes_on() {
    let engine = Engine::shared().await;
    let mut node = Node::start(&engine, &tracker(1_000, None)).await;
    node.is_closed_after(TRACKER_PORT, b"\x16\x03\x01 this is no HTTP\r\n\r\n").await;
    assert!(node.rejects().await.starts_with("to the tracker: "));
    node.is_closed_after(GATE_PORT, b"{\"hello\": 7}\n").await;
    assert!(node.rejects().await.starts_with("at the gate: "));
    node.is_closed_after(GATE_PORT, &[b'x'; 10_000]).await;
    assert!(node.rejects().await.starts_with("at the gate: "));
    let answer = node.get(TRACKER_PORT, "/announce?info_hash=short&port=99999999").await;
    assert!(answer.starts_with(b"d14:failure reason"), "{}", String::from_utf8_lossy(&answer));
    assert!(!node.rejects().await.is_empty());

    let metainfo = content::metainfo(&tracker(1, None).file, &format!("http://tracker:{TRACKER_PORT}/announce"));
    assert_eq!(node.get(TRACKER_PORT, "/file.torrent").await, metainfo.encode());
    node.assert_runs().await;
}

#[tokio::test]
async fn a_seed_rejects_what_is_malformed_and_goes_on() {
    let engine = Engine::shared().await;
    let (_tracker, mut seed) = pair(&engine, "server", Role::InitialSeed).await;
    let info_hash = content::metainfo(&tracker(1, None).file, "http://tracker/announce").info_hash();
    let peer_id = PeerId::for_node("stranger").expect("a short name");
    let greeting = |info_hash| Handshake { info_hash, peer_id }.encode().to_vec();

    seed.is_closed_after(PEER_PORT, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(!seed.rejects().await.is_empty());
    seed.is_closed_after(PEER_PORT, &greeting(InfoHash([7; 20]))).await;
    assert!(seed.rejects().await.starts_with("handshake for "));
    // After a right handshake: a message that is far too long, one that is too short, one about no piece.
    let messages: [&[u8]; 3] =
        [&[0xff, 0xff, 0xff, 0xff, 7], &[0, 0, 0, 2, 4, 1], &[0, 0, 0, 5, 4, 0xff, 0xff, 0xff, 0xff]];
    for message in messages {
        let answer = seed.is_closed_after(PEER_PORT, &[&greeting(info_hash), message].concat()).await;
        assert!(answer.starts_with(b"\x13BitTorrent protocol"), "it shook hands: {answer:?}");
        assert!(!seed.rejects().await.is_empty());
    }

    let mut stream = seed.connect(PEER_PORT).await;
    stream.write_all(&greeting(info_hash)).await.expect("the connection takes a handshake");
    // Its handshake, and then that it has all four pieces: a bitfield.
    let mut answer = [0; 68 + 6];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("it answers").expect("it shakes hands");
    assert_eq!(answer[68..], [0, 0, 0, 2, 5, 0b1111_0000]);
    seed.assert_runs().await;
}

#[tokio::test]
async fn a_file_server_rejects_what_is_malformed_and_goes_on() {
    let engine = Engine::shared().await;
    let (_tracker, mut server) = pair(&engine, "server", Role::HttpServer).await;
    server.is_closed_after(HTTP_PORT, b"\x13BitTorrent protocol........\r\n\r\n").await;
    assert!(!server.rejects().await.is_empty());
    let file = server.get(HTTP_PORT, "/file").await;
    assert_eq!(file.len(), 256 << 10);
    server.assert_runs().await;
}

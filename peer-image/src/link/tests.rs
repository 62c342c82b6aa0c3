//! Links in network namespaces of their own, made and shaped by an ordinary user.
//!
//! Each test runs this test binary again under `unshare`, since a namespace belongs to a process; nothing here touches
//! the host's network. They fail where user namespaces are forbidden: there is no shaping to test then.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use netlink_packet_route::tc::TcHandle;
use rtnetlink::{Handle, LinkUnspec, LinkVeth};
use socket2::SockRef;

use super::interface::Interface;
use super::shape::{MIRROR, queues, signed};
use super::tbf::Bucket;
use super::*;
use crate::agent::privileges;
use crate::event::Counters;
use crate::node::Link;

/// Tells the second process which part it plays; absent in the first.
const ROLE: &str = "HARNESS_LINK_TEST_ROLE";
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const PORT: u16 = 5001;
const SENT: usize = 400_000;
const LINK: Link = Link { up: 40_000_000, down: 20_000_000 };

fn again(test: &str, unshare: &str, role: &str) -> Command {
    let mut command = Command::new("unshare");
    command.arg(unshare).arg(std::env::current_exe().expect("a running test has a file"));
    command.args([&format!("link::tests::{test}"), "--exact", "--nocapture"]).env(ROLE, role);
    command
}

/// Runs `inside` in a new user and network namespace, where it may do what it likes.
fn in_namespace(test: &str, inside: impl AsyncFnOnce(Handle)) {
    if std::env::var(ROLE).is_err() {
        let output = again(test, "-Urn", "near").output().expect("`unshare` of util-linux is installed");
        assert!(
            output.status.success(),
            "failed in its namespace, or user namespaces are forbidden here \
             (see `sysctl kernel.unprivileged_userns_clone user.max_user_namespaces`):\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { inside(netlink::connect().unwrap()).await });
}

/// A pair of interfaces, `near` up with an address.
async fn make_pair(handle: &Handle) {
    handle.link().add(LinkVeth::new("near", "far").build()).execute().await.unwrap();
    give_address(handle, "near", NEAR).await;
    let far = LinkUnspec::new_with_name("far").up().build();
    handle.link().change(far).execute().await.unwrap();
}

async fn give_address(handle: &Handle, name: &str, address: Ipv4Addr) {
    let index = interface::index_of(handle, name).await.unwrap().unwrap();
    handle.address().add(index, IpAddr::V4(address), 24).execute().await.unwrap();
    handle.link().change(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
}

async fn kinds(handle: &Handle) -> Vec<String> {
    let mut kinds: Vec<String> = queues(handle)
        .await
        .unwrap()
        .iter()
        .filter_map(tbf::kind)
        .filter(|k| *k != "noqueue")
        .map(str::to_owned)
        .collect();
    kinds.sort();
    kinds
}

async fn offload(handle: &Handle) -> u32 {
    interface::find(handle, Some("near")).await.unwrap().offload
}

#[test]
fn the_kernel_takes_every_rate_as_asked() {
    in_namespace("the_kernel_takes_every_rate_as_asked", async |handle| {
        make_pair(&handle).await;
        // The last ones need the 64-bit attribute, the one before is the last that does not.
        for rate in
            [1_000, 1_000_000, 4_000_000, 10_000_000, 100_000_000, 34_359_738_352, 34_359_738_360, 400_000_000_000]
        {
            let link = Link { up: rate, down: rate + 4 };
            let shaped = shape(None, Some(link), SYSTEM_CONGESTION).await.unwrap();
            assert_eq!((shaped.interface.as_str(), shaped.mtu), ("near", 1500));
            for (found, asked) in [(shaped.up.unwrap(), link.up), (shaped.down.unwrap(), link.down)] {
                let bucket = Bucket::new(asked, 1500).unwrap();
                assert_eq!((found.asked, found.rate), (asked, asked / 8 * 8));
                assert_eq!(found.limit, u64::from(bucket.limit));
                // A tick of 64 ns at the highest rate is 3.2 kB.
                let tick = asked / 8 * 64 / 1_000_000_000 + 1;
                assert!(found.burst.abs_diff(u64::from(bucket.burst)) <= tick, "{found:?} for {bucket:?}");
            }
        }
    });
}

#[test]
fn shaping_again_replaces_and_shaping_with_no_link_removes() {
    in_namespace("shaping_again_replaces_and_shaping_with_no_link_removes", async |handle| {
        make_pair(&handle).await;
        let system = shape(None, None, SYSTEM_CONGESTION).await.unwrap();
        assert!(kinds(&handle).await.is_empty() && system.up.is_none() && system.down.is_none());
        assert_eq!(Gauge::new(&system).await.unwrap().read().await.unwrap(), Counters::default());

        for link in [LINK, Link { up: 1_000_000, down: 2_000_000 }, LINK] {
            let shaped = shape(Some("near"), Some(link), "reno").await.unwrap();
            assert_eq!(kinds(&handle).await, ["ingress", "tbf", "tbf"]);
            assert_eq!((shaped.up.unwrap().rate, shaped.down.unwrap().rate), (link.up, link.down));
            assert_eq!(shaped.congestion, "reno");
            assert_eq!(offload(&handle).await, 16_384);
        }

        let unshaped = shape(None, None, SYSTEM_CONGESTION).await.unwrap();
        assert!(kinds(&handle).await.is_empty());
        assert_eq!(interface::index_of(&handle, MIRROR).await.unwrap(), None);
        assert_eq!(offload(&handle).await, tbf::OFFLOAD_KERNEL);
        assert_eq!(unshaped.congestion, system.congestion, "the route's metric is gone");
    });
}

#[test]
fn what_cannot_be_had_is_an_error_that_says_why() {
    in_namespace("what_cannot_be_had_is_an_error_that_says_why", async |handle| {
        let error = shape(None, Some(LINK), SYSTEM_CONGESTION).await.unwrap_err();
        assert!(matches!(error, LinkError::NoInterface { wanted: None }), "{error}");
        make_pair(&handle).await;
        let error = shape(Some("eth7"), Some(LINK), SYSTEM_CONGESTION).await.unwrap_err();
        assert!(matches!(&error, LinkError::NoInterface { wanted: Some(name) } if name == "eth7"), "{error}");
        let error = shape(Some("far"), None, "reno").await.unwrap_err();
        assert!(matches!(&error, LinkError::NoRoute { interface } if interface == "far"), "{error}");
        let error = shape(None, Some(Link { up: 999, down: 1_000 }), SYSTEM_CONGESTION).await.unwrap_err();
        assert!(matches!(error, LinkError::Rate { rate: 999 }), "{error}");
        for unknown in ["nosuch", "", "a-name-that-is-longer-than-any-can-be"] {
            let error = shape(None, Some(LINK), unknown).await.unwrap_err();
            let LinkError::Congestion { asked, available } = &error else { panic!("{error}") };
            assert_eq!(asked, unknown);
            assert!(available.contains(&"reno".to_owned()), "every kernel has reno: {error}");
        }

        let shaped = shape(None, Some(LINK), SYSTEM_CONGESTION).await.unwrap();
        let root = interface::index_of(&handle, "near").await.unwrap().unwrap();
        let mut removal = handle.qdisc().del(signed(root).unwrap());
        removal.message_mut().header.parent = TcHandle::ROOT;
        removal.execute().await.unwrap();
        let error = Gauge::new(&shaped).await.unwrap().read().await.unwrap_err();
        assert!(matches!(&error, LinkError::Unshaped { interface } if interface == "near"), "{error}");

        privileges::drop_of_thread().unwrap();
        let error = shape(None, Some(LINK), SYSTEM_CONGESTION).await.unwrap_err();
        assert!(matches!(error, LinkError::NotPermitted { .. }), "{error}");
    });
}

#[test]
fn an_unshaped_node_with_the_systems_congestion_control_needs_no_capability() {
    in_namespace("an_unshaped_node_with_the_systems_congestion_control_needs_no_capability", async |handle| {
        make_pair(&handle).await;
        privileges::drop_of_thread().unwrap();
        let shaped = shape(None, None, SYSTEM_CONGESTION).await.unwrap();
        assert!(!shaped.congestion.is_empty());
        let error = shape(None, None, "reno").await.unwrap_err();
        assert!(matches!(error, LinkError::NotPermitted { doing: Doing::Congestion }), "{error}");
    });
}

#[test]
fn a_transfer_crosses_both_queues_and_is_counted_without_capabilities() {
    const TEST: &str = "a_transfer_crosses_both_queues_and_is_counted_without_capabilities";
    // Not the kernel's default, so that only the route can be its cause.
    in_namespace(TEST, async |handle| {
        let default = shape_default_of(&handle).await;
        let congestion = if default == "reno" { "cubic" } else { "reno" };
        if std::env::var(ROLE).is_ok_and(|role| role.starts_with("far")) {
            return far(&handle, congestion).await;
        }
        handle.link().add(LinkVeth::new("near", "far").build()).execute().await.unwrap();
        give_address(&handle, "near", NEAR).await;
        let mut other = Other::start(TEST);
        other.wait_for("far:here");
        let moved = LinkUnspec::new_with_name("far").setns_by_pid(other.child.id()).build();
        handle.link().change(moved).execute().await.unwrap();
        other.say("moved");
        other.wait_for("far:listening");

        let shaped = shape(None, Some(LINK), congestion).await.unwrap();
        assert_eq!(shaped.congestion, congestion);
        privileges::drop_of_thread().unwrap();

        let before = Gauge::new(&shaped).await.unwrap().read().await.unwrap();
        let mut stream = TcpStream::connect(SocketAddr::from((FAR, PORT))).unwrap();
        assert_eq!(congestion_of(&stream), congestion, "a socket that connects");
        stream.write_all(&vec![7; SENT]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_eq!(back.len(), SENT);
        let after = Gauge::new(&shaped).await.unwrap().read().await.unwrap();
        other.end();

        let payload = SENT as u64;
        for (name, before, after) in [("up", before.up, after.up), ("down", before.down, after.down)] {
            let bytes = after.bytes - before.bytes;
            // 66 bytes of headers to at most 1448 of payload.
            assert!(bytes >= payload * 1514 / 1448, "{name}: {bytes} bytes for {payload} of payload");
            // Acknowledgements, and a packet of 16 KiB or two that TCP's probes repeat; but nothing is counted twice.
            assert!(bytes < payload * 3 / 2, "{name}: {bytes} bytes for {payload} of payload");
            assert!(after.packets > before.packets, "{name}: {after:?}");
            assert_eq!(after.drops, 0, "{name}");
        }
    });
}

#[test]
fn whom_a_node_was_told_of_it_knows_after_its_address_was_set_and_after_a_cut() {
    in_namespace("whom_a_node_was_told_of_it_knows_after_its_address_was_set_and_after_a_cut", async |handle| {
        make_pair(&handle).await;
        // As who makes a namespace enters the way out of it, before a node begins.
        let way_out = (Ipv4Addr::new(10, 77, 0, 200), vec![2, 0, 0, 0, 0, 1]);
        let interface = interface::find(&handle, Some("near")).await.unwrap();
        pin::enter(&handle, &interface, [way_out.clone()]).await.unwrap();
        let knows = async || pin::entries(&handle, &interface).await.unwrap().contains(&way_out);
        let shaped = shape(None, Some(LINK), "reno").await.unwrap();
        // The first time it gets another Ethernet address, the second time it has it.
        for _ in 0..2 {
            pin_neighbours(&shaped, 3).await.unwrap();
            assert!(knows().await);
        }
        let ways = cut(&shaped).await.unwrap();
        assert!(!knows().await, "the kernel forgets it");
        mend(&shaped, 3, &ways).await.unwrap();
        assert!(knows().await);
    });
}

/// The kernel's default, before anything was set.
async fn shape_default_of(handle: &Handle) -> String {
    let none = Interface {
        index: 0,
        name: String::new(),
        mtu: 0,
        offload: 0,
        ethernet: Vec::new(),
        address: Ipv4Addr::UNSPECIFIED,
        prefix: 32,
    };
    congestion::apply(handle, &none, SYSTEM_CONGESTION).await.unwrap()
}

/// The other end: takes all that comes, then sends as much back.
async fn far(handle: &Handle, congestion: &str) {
    println!("far:here");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    give_address(handle, "far", FAR).await;
    assert_eq!(shape(None, None, congestion).await.unwrap().congestion, congestion);
    let listener = TcpListener::bind(SocketAddr::from((FAR, PORT))).unwrap();
    println!("far:listening");
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(congestion_of(&stream), congestion, "a socket that was accepted");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    stream.write_all(&all).unwrap();
    drop(stream);
    // Its namespace ends with it, and the pair with that: it waits until the other end has counted.
    std::io::stdin().read_line(&mut line).unwrap();
}

fn congestion_of(stream: &TcpStream) -> String {
    let name = SockRef::from(stream).tcp_congestion().unwrap();
    String::from_utf8(name).unwrap().trim_end_matches('\0').to_owned()
}

/// The process in the other namespace.
struct Other {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Other {
    fn start(test: &str) -> Self {
        let mut child =
            again(test, "-n", "far").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`unshare` runs");
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.to, "{line}").unwrap();
    }

    /// Reads on to a line that has `sign`; the test harness writes there too.
    fn wait_for(&mut self, sign: &str) {
        let mut line = String::new();
        while !line.contains(sign) {
            line.clear();
            assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "it ended before `{sign}`");
        }
    }

    fn end(mut self) {
        self.say("counted");
        assert!(self.child.wait().unwrap().success(), "the other end failed");
    }
}

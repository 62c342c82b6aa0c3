//! The network between the nodes: each has one cable (a veth pair) into the switch's namespace, which forwards.
//!
//! ```text
//! node's namespace                       switch's namespace
//! eth0 10.64.0.2/32 ═════ veth ═════ n2      route 10.64.0.2 → n2
//!   default via 169.254.0.1                  169.254.0.1 on lo, forwarding on
//! ```
//!
//! It routes instead of bridging, because that has no limit near the sizes that we want: a bridge has 1,024 ports, floods
//! each request for an address to all of them, and makes every node know the Ethernet address of every other, in a table
//! that the whole host shares (1,024 entries by default). Here a node knows one, the switch's, and the switch one per
//! node, all entered by hand, and those do not count. What lies between is unshaped either way.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd as _};

use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::RouteScope;
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

/// The switch's address, to all nodes.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
/// Where nodes' addresses begin; the first two stay free, as in any network.
const NODES: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 2);
/// How many there are.
pub(super) const MOST: u32 = (1 << 22) - 2;
/// The switch's Ethernet address, on each cable: nobody else is there.
const GATEWAY_ETHERNET: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
/// The loopback's number in any namespace.
const LOOPBACK: u32 = 1;
/// Numbers of cables' ends begin here, beyond what a kernel may put into a new namespace by itself.
const FIRST: u32 = 1000;
/// This thread's network namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// The switch's side of all cables.
pub(super) struct Network {
    /// The switch's own namespace.
    home: File,
    handle: Handle,
    cables: u32,
}

/// A cable with a node's namespace at its end.
pub(super) struct Cable {
    /// The namespace. It lasts as long as this, or a process in it.
    namespace: File,
    /// The switch's end.
    end: u32,
}

/// Why the network is not to be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {why}")]
pub(super) struct NetworkError {
    doing: &'static str,
    why: String,
}

fn failed<E: std::fmt::Display>(doing: &'static str) -> impl FnOnce(E) -> NetworkError {
    move |why| NetworkError { doing, why: why.to_string() }
}

impl Network {
    /// Makes a switch of the calling thread's network namespace. To be called in a runtime of one thread: namespaces
    /// belong to threads.
    pub(super) async fn new() -> Result<Self, NetworkError> {
        let home = File::open(OWN).map_err(failed("open the switch's namespace"))?;
        let handle = connect()?;
        no_ipv6();
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").map_err(failed("forward between nodes"))?;
        let address = handle.address().add(LOOPBACK, GATEWAY.into(), 32).execute().await;
        address.map_err(failed("give the switch its address"))?;
        up(&handle, LOOPBACK).await?;
        Ok(Self { home, handle, cables: 0 })
    }

    /// The address of the node of that number, from 0.
    pub(super) fn address(number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(NODES) + number)
    }

    /// Begins a cable: a namespace whose cable is to be [`Cabling::lay`]ed.
    pub(super) fn begin(&mut self) -> Result<Cabling, NetworkError> {
        let new = || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(failed("make a network namespace"))?;
            no_ipv6();
            let namespace = File::open(OWN).map_err(failed("open a node's namespace"))?;
            Ok((namespace, connect()?))
        };
        let made = new();
        enter(&self.home).map_err(failed("return to the switch's namespace"))?;
        let (namespace, inside) = made?;
        self.cables += 1;
        let home = self.home.try_clone().map_err(failed("hold the switch's namespace"))?;
        let cable = Cable { namespace, end: FIRST + self.cables };
        Ok(Cabling { cable, inside, outside: self.handle.clone(), home })
    }

    /// Does something in a node's namespace: whatever process is started there stays there.
    pub(super) fn within<T>(&self, cable: &Cable, doing: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        enter(&cable.namespace)?;
        let done = doing();
        // A switch that is not where it belongs can do nothing right any more.
        enter(&self.home).expect("a namespace that is held open can be entered");
        done
    }

    /// Pulls a cable out, at once, whatever still runs at its end.
    pub(super) fn unplug(&self, cable: &Cable) -> impl Future<Output = ()> + 'static {
        let request = self.handle.link().del(cable.end);
        // It may have gone with its namespace.
        async move { drop(request.execute().await) }
    }
}

/// A namespace that has no cable yet.
pub(super) struct Cabling {
    cable: Cable,
    /// Netlink in the node's namespace and in the switch's.
    inside: Handle,
    outside: Handle,
    home: File,
}

impl Cabling {
    /// Lays the cable and gives the node its address.
    pub(super) async fn lay(self, address: Ipv4Addr) -> Result<Cable, NetworkError> {
        let Self { cable, inside, outside, home } = self;
        // As the agent would give itself: the address follows from the IPv4 address.
        let [a, b, c, d] = address.octets();
        let ethernet = [0x02, 0x42, a, b, c, d];
        let (node, switch) = (FIRST, cable.end);
        let mut far = end(switch, &format!("n{switch}"), GATEWAY_ETHERNET);
        far.attributes.push(LinkAttribute::NetNsFd(home.as_fd().as_raw_fd()));
        let mut near = end(node, "eth0", ethernet);
        let veth = [LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far)))];
        near.attributes.push(LinkAttribute::LinkInfo(veth.into()));
        up(&inside, LOOPBACK).await?;
        near.header.flags = LinkFlags::Up;
        near.header.change_mask = LinkFlags::Up;
        inside.link().add(near).execute().await.map_err(failed("lay a cable to a node"))?;
        // Not before there is the other end.
        up(&outside, switch).await?;

        let own = inside.address().add(node, address.into(), 32).execute().await;
        own.map_err(failed("give a node its address"))?;
        let gateway = inside.neighbours().add(node, GATEWAY.into()).link_layer_address(&GATEWAY_ETHERNET);
        gateway.execute().await.map_err(failed("tell a node the switch's Ethernet address"))?;
        let default = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(node).gateway(GATEWAY).onlink().build();
        inside.route().add(default).execute().await.map_err(failed("tell a node its way out"))?;

        let neighbour = outside.neighbours().add(switch, address.into()).link_layer_address(&ethernet);
        neighbour.execute().await.map_err(failed("tell the switch a node's Ethernet address"))?;
        let way = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).output_interface(switch);
        let way = outside.route().add(way.scope(RouteScope::Link).build()).replace();
        way.execute().await.map_err(failed("tell the switch the way to a node"))?;
        Ok(cable)
    }
}

/// One end of a cable.
fn end(index: u32, name: &str, ethernet: [u8; 6]) -> LinkMessage {
    let mut end = LinkMessage::default();
    end.header.index = index;
    end.attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::Address(ethernet.to_vec())];
    end
}

async fn up(handle: &Handle, index: u32) -> Result<(), NetworkError> {
    let change = LinkUnspec::new_with_index(index).up().build();
    handle.link().change(change).execute().await.map_err(failed("take an interface up"))
}

/// A connection to the kernel in the calling thread's network namespace, wherever the thread goes afterwards.
fn connect() -> Result<Handle, NetworkError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(failed("speak netlink"))?;
    tokio::spawn(connection);
    Ok(handle)
}

fn enter(namespace: &File) -> io::Result<()> {
    Ok(setns(namespace, CloneFlags::CLONE_NEWNET)?)
}

/// Nodes speak IPv4 alone; what IPv6 says of its own accord would cross the shaped links. A kernel without it has no such
/// file.
fn no_ipv6() {
    for of in ["all", "default"] {
        drop(fs::write(format!("/proc/sys/net/ipv6/conf/{of}/disable_ipv6"), "1"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_one_another() {
        assert_eq!(Network::address(0), Ipv4Addr::new(10, 64, 0, 2));
        assert_eq!(Network::address(254), Ipv4Addr::new(10, 64, 1, 0));
        assert_eq!(Network::address(MOST - 1), Ipv4Addr::new(10, 127, 255, 255));
    }
}

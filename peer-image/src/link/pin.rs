//! The other nodes' Ethernet addresses, entered by hand, so that nobody has to ask for them.
//!
//! The kernel's table of neighbours has one limit for all network namespaces of a host together
//! (`net.ipv4.neigh.default.gc_thresh3`, 1,024 by default). A swarm of 35 in which everybody knows everybody needs
//! 37 × 36 entries at once and finds itself without a route. Permanent entries do not count against the limit. They
//! can be made before the other nodes exist, because every node gives itself the Ethernet address that follows from
//! its IPv4 address, as Docker did up to version 27.
//!
//! The kernel forgets an interface's entries, permanent ones too, when its Ethernet address is set or it goes down: what was
//! entered before by whoever made the network (the way out of a namespace) is entered again.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::{Handle, LinkUnspec};

use super::error::{Doing, LinkError};
use super::interface::Interface;
use super::netlink::collect;
use crate::node::KNOWN_MAX;

/// A permanent entry: who, and at which Ethernet address.
pub(super) type Entry = (Ipv4Addr, Vec<u8>);

/// Addresses beyond the number of nodes that are entered too: nodes that come back may get new ones.
const SPARE: u32 = 8;

/// The Ethernet address of the node with that IPv4 address: locally administered, as Docker makes it.
pub(super) fn ethernet(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// The addresses that so many nodes are given in a network where addresses are handed out from the second on (the
/// first is the gateway's), without the node's own.
fn others(own: Ipv4Addr, prefix: u8, nodes: u32) -> Vec<Ipv4Addr> {
    let size = 1_u64 << (32 - u32::from(prefix.min(32)));
    let network = u32::from(own) & u32::try_from(!(size - 1) & u64::from(u32::MAX)).expect("it was masked");
    let last = u64::from(nodes + SPARE + 1).min(size.saturating_sub(2));
    (2..=last)
        .map(|host| Ipv4Addr::from(network + u32::try_from(host).expect("below 2^32")))
        .filter(|&address| address != own)
        .collect()
}

/// Gives the interface its Ethernet address, unless it has it, and enters those of the other nodes.
pub(super) async fn pin(handle: &Handle, interface: &Interface, nodes: u32) -> Result<(), LinkError> {
    if nodes == 0 || nodes > KNOWN_MAX || interface.address.is_unspecified() {
        return Ok(());
    }
    let own = ethernet(interface.address).to_vec();
    if interface.ethernet != own {
        let known = entries(handle, interface).await?;
        let change = LinkUnspec::new_with_index(interface.index).address(own).build();
        handle.link().change(change).execute().await.map_err(|error| LinkError::netlink(Doing::Pin, &error))?;
        enter(handle, interface, known).await?;
    }
    let others = others(interface.address, interface.prefix, nodes);
    enter(handle, interface, others.into_iter().map(|address| (address, ethernet(address).to_vec()))).await
}

/// The permanent entries of an interface.
pub(super) async fn entries(handle: &Handle, interface: &Interface) -> Result<Vec<Entry>, LinkError> {
    let all: Vec<NeighbourMessage> = collect(Doing::Pin, handle.neighbours().get().execute()).await?;
    let own = all.iter().filter(|it| it.header.ifindex == interface.index);
    Ok(own.filter(|it| it.header.state == NeighbourState::Permanent).filter_map(entry).collect())
}

/// Makes entries of an interface, or makes them anew.
pub(super) async fn enter(
    handle: &Handle,
    interface: &Interface,
    entries: impl IntoIterator<Item = Entry>,
) -> Result<(), LinkError> {
    for (address, ethernet) in entries {
        let entry = handle.neighbours().add(interface.index, address.into());
        let entered = entry.link_layer_address(&ethernet).replace().execute().await;
        entered.map_err(|error| LinkError::netlink(Doing::Pin, &error))?;
    }
    Ok(())
}

fn entry(message: &NeighbourMessage) -> Option<Entry> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
        _ => None,
    })?;
    let ethernet = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(ethernet) => Some(ethernet.clone()),
        _ => None,
    })?;
    Some((address, ethernet))
}

/// Where a node is in its network: from it follows which addresses other nodes can have.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub(super) address: Ipv4Addr,
    pub(super) prefix: u8,
}

impl Place {
    /// Whether a node can have that address. The first one of a network is its gateway's, and the last one nobody's; where
    /// each node is a network of its own, the gateway's is link-local. Whoever calls from there, or from another network, is
    /// no node, whatever it says.
    #[must_use]
    pub fn can_be_a_nodes(self, other: IpAddr) -> bool {
        let IpAddr::V4(other) = other.to_canonical() else { return false };
        if self.address.is_unspecified() || self.prefix >= 31 {
            return !other.is_link_local();
        }
        let hosts = u32::MAX >> self.prefix.min(31);
        let (own, host) = (u32::from(self.address), u32::from(other) & hosts);
        own & !hosts == u32::from(other) & !hosts && (2..hosts).contains(&host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_handed_out_from_the_second_on_and_stay_in_the_network() {
        let own = Ipv4Addr::new(172, 18, 0, 3);
        let all = others(own, 16, 3);
        assert_eq!(all.first(), Some(&Ipv4Addr::new(172, 18, 0, 2)));
        assert_eq!(all.last(), Some(&Ipv4Addr::new(172, 18, 0, 12)));
        assert!(!all.contains(&own));
        assert_eq!(others(Ipv4Addr::new(10, 0, 0, 130), 29, 100).last(), Some(&Ipv4Addr::new(10, 0, 0, 134)));
        assert!(others(own, 32, 3).is_empty());
        assert_eq!(ethernet(own), [0x02, 0x42, 172, 18, 0, 3]);
    }

    #[test]
    fn the_gateway_and_other_networks_are_no_nodes() {
        let is_node = |own: [u8; 4], prefix, other: [u8; 4]| {
            Place { address: own.into(), prefix }.can_be_a_nodes(Ipv4Addr::from(other).into())
        };
        for (other, expected) in [
            ([172, 18, 0, 2], true),
            ([172, 18, 200, 9], true),
            ([172, 18, 0, 1], false),
            ([172, 18, 255, 255], false),
            ([172, 19, 0, 2], false),
            ([127, 0, 0, 1], false),
        ] {
            assert_eq!(is_node([172, 18, 0, 3], 16, other), expected, "{other:?}");
        }
        // In namespaces each node has a network of its own, and the switch a link-local address.
        assert!(is_node([10, 64, 0, 3], 32, [10, 64, 1, 0]));
        assert!(!is_node([10, 64, 0, 3], 32, [169, 254, 0, 1]));
        let mapped = Ipv4Addr::new(172, 18, 0, 2).to_ipv6_mapped();
        assert!(Place { address: [172, 18, 0, 3].into(), prefix: 16 }.can_be_a_nodes(mapped.into()));
    }
}

//! The other nodes' Ethernet addresses, entered by hand, so that nobody has to ask for them.
//!
//! The kernel's table of neighbours has one limit for all network namespaces of a host together
//! (`net.ipv4.neigh.default.gc_thresh3`, 1,024 by default). A swarm of 35 in which everybody knows everybody needs
//! 37 × 36 entries at once and finds itself without a route. Permanent entries do not count against the limit. They
//! can be made before the other nodes exist, because every node gives itself the Ethernet address that follows from
//! its IPv4 address, as Docker did up to version 27.

use std::net::Ipv4Addr;

use rtnetlink::{Handle, LinkUnspec};

use super::error::{Doing, LinkError};
use super::interface::Interface;

/// Entries per node at most: so many nodes may know each other without asking. Beyond, the table would take more
/// kernel memory than the swarm itself.
const MOST: u32 = 256;

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

/// Gives the interface its Ethernet address and enters those of the other nodes.
pub(super) async fn pin(handle: &Handle, interface: &Interface, nodes: u32) -> Result<(), LinkError> {
    if nodes == 0 || nodes > MOST || interface.address.is_unspecified() {
        return Ok(());
    }
    let failed = |error: rtnetlink::Error| LinkError::netlink(Doing::Pin, &error);
    let own = LinkUnspec::new_with_index(interface.index).address(ethernet(interface.address).to_vec()).build();
    handle.link().change(own).execute().await.map_err(failed)?;
    for address in others(interface.address, interface.prefix, nodes) {
        let entry = handle.neighbours().add(interface.index, address.into());
        entry.link_layer_address(&ethernet(address)).replace().execute().await.map_err(failed)?;
    }
    Ok(())
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
}

//! Which interface is the node's link.
//!
//! It must not know what is done to it.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::Handle;

use super::error::{Doing, LinkError};
use super::netlink::collect;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    /// The kernel's number for it.
    pub(super) index: u32,
    /// Its name.
    pub(super) name: String,
    /// Largest packet, Ethernet header not counted, bytes.
    pub(super) mtu: u32,
    /// Largest offload packet that sockets hand to it, bytes.
    pub(super) offload: u32,
    /// Its Ethernet address; empty if it has none.
    pub(super) ethernet: Vec<u8>,
    /// Its first IPv4 address; unspecified if it has none.
    pub(super) address: Ipv4Addr,
    /// Length of the address's network prefix, bits.
    pub(super) prefix: u8,
}

/// The interface of that name, or else the first one but loopback that has an IPv4 address.
pub(super) async fn find(handle: &Handle, wanted: Option<&str>) -> Result<Interface, LinkError> {
    let links: Vec<LinkMessage> = collect(Doing::List, handle.link().get().execute()).await?;
    let addresses: Vec<AddressMessage> = collect(Doing::List, handle.address().get().execute()).await?;
    choose(&links, &addresses, wanted).ok_or_else(|| LinkError::NoInterface { wanted: wanted.map(str::to_owned) })
}

/// The number of the interface of that name, if there is one.
pub(super) async fn index_of(handle: &Handle, name: &str) -> Result<Option<u32>, LinkError> {
    let links: Vec<LinkMessage> = collect(Doing::List, handle.link().get().execute()).await?;
    Ok(links.iter().find(|link| name_of(link) == Some(name)).map(|link| link.header.index))
}

fn choose(links: &[LinkMessage], addresses: &[AddressMessage], wanted: Option<&str>) -> Option<Interface> {
    links.iter().find_map(|link| {
        let name = name_of(link)?;
        let address = addresses.iter().filter(|a| a.header.index == link.header.index).find_map(ipv4);
        let chosen = match wanted {
            Some(wanted) => name == wanted,
            None => address.is_some() && !link.header.flags.contains(LinkFlags::Loopback),
        };
        chosen.then(|| Interface {
            index: link.header.index,
            name: name.to_owned(),
            mtu: number(link, |a| if let LinkAttribute::Mtu(n) = a { Some(*n) } else { None }),
            offload: number(link, |a| if let LinkAttribute::GsoMaxSize(n) = a { Some(*n) } else { None }),
            ethernet: link.attributes.iter().find_map(ethernet).unwrap_or_default(),
            address: address.map_or(Ipv4Addr::UNSPECIFIED, |(address, _)| address),
            prefix: address.map_or(32, |(_, prefix)| prefix),
        })
    })
}

fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn ethernet(attribute: &LinkAttribute) -> Option<Vec<u8>> {
    if let LinkAttribute::Address(address) = attribute { Some(address.clone()) } else { None }
}

/// An attribute that every kernel tells of every interface: 0 stands for one that did not.
fn number(link: &LinkMessage, wanted: fn(&LinkAttribute) -> Option<u32>) -> u32 {
    link.attributes.iter().find_map(wanted).unwrap_or_default()
}

/// An interface's own IPv4 address and its prefix length; on a point-to-point link `Address` is the other end's.
fn ipv4(message: &AddressMessage) -> Option<(Ipv4Addr, u8)> {
    if message.header.family != AddressFamily::Inet {
        return None;
    }
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some((*address, message.header.prefix_len)),
        _ => None,
    })
}

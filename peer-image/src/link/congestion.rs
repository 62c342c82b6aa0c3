//! Which congestion control every later connection of this node gets.
//!
//! It must not know of rates and queues.
//!
//! # How, and why so
//!
//! It is set as a metric (`RTAX_CC_ALGO`, `congctl` in `ip route`) of each IPv4 route over the interface. A socket
//! takes it from its route when it connects, and an accepted one when it is made (`tcp_ca_dst_init` and
//! `tcp_ca_openreq_child` in the kernel), so it reaches every connection in the namespace, in whatever program,
//! without that program's help and long after the capabilities were dropped. The other ways fall short:
//!
//! * the sysctl `tcp_congestion_control` is read-only in a container, and inside a network namespace the kernel takes
//!   only what `tcp_allowed_congestion_control` of the host lists;
//! * the socket option `TCP_CONGESTION` has the same limit for whoever lacks NET_ADMIN, and each program would have
//!   to set it on each socket.
//!
//! The route's metric has no such limit: whatever is in `tcp_available_congestion_control` can be had.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteScope, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};
use socket2::{Domain, Protocol, Socket, Type};

use super::error::{Doing, LinkError};
use super::interface::Interface;
use super::netlink::collect;

/// The name that leaves the kernel's default in effect.
pub const SYSTEM: &str = "system";

/// The kernel's list of those that it has, which includes those that an ordinary process may not choose.
const AVAILABLE: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";
/// `EINVAL`: what the kernel answers to a name that it does not know.
const EINVAL: i32 = 22;
/// `EINPROGRESS`: a connection was begun.
const EINPROGRESS: i32 = 115;
/// TCP `discard`: nobody listens there. The probe's connection is given up before an answer matters.
const DISCARD: u16 = 9;

/// Sets congestion control `asked` for what goes over `interface`; returns the one that a connection really gets.
pub(super) async fn apply(handle: &Handle, interface: &Interface, asked: &str) -> Result<String, LinkError> {
    let wanted = (asked != SYSTEM).then_some(asked);
    let mut probe = None;
    for route in routes(handle, interface).await? {
        if probe.is_none() {
            probe = target(&route, interface.address);
        }
        if algorithm(&route) == wanted {
            continue;
        }
        let replaced = handle.route().add(with_algorithm(route, wanted)).replace().execute().await;
        if let Err(error) = replaced {
            return Err(match LinkError::netlink(Doing::Congestion, &error) {
                LinkError::Kernel { source, .. } if source.raw_os_error() == Some(EINVAL) && wanted.is_some() => {
                    LinkError::Congestion { asked: asked.to_owned(), available: available() }
                }
                other => other,
            });
        }
    }
    let no_route = || LinkError::NoRoute { interface: interface.name.clone() };
    if probe.is_none() && wanted.is_some() {
        return Err(no_route());
    }
    let found = in_effect(probe).map_err(|source| LinkError::Probe { interface: interface.name.clone(), source })?;
    match wanted {
        Some(wanted) if wanted != found => {
            Err(LinkError::CongestionNotTaken { asked: wanted.to_owned(), found, available: available() })
        }
        _ => Ok(found),
    }
}

/// The IPv4 routes over `interface` that carry TCP: to others, and to its own address.
async fn routes(handle: &Handle, interface: &Interface) -> Result<Vec<RouteMessage>, LinkError> {
    let all = handle.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
    let all: Vec<RouteMessage> = collect(Doing::List, all).await?;
    Ok(all
        .into_iter()
        .filter(|route| {
            matches!(route.header.kind, RouteType::Unicast | RouteType::Local)
                && route.attributes.contains(&RouteAttribute::Oif(interface.index))
        })
        .collect())
}

/// The routes over the interface that somebody made and not the kernel, as they can be made again: those to neighbours first,
/// because those through a gateway need them.
pub(super) async fn ways(handle: &Handle, interface: &Interface) -> Result<Vec<RouteMessage>, LinkError> {
    let mut ways = routes(handle, interface).await?;
    ways.retain(|route| route.header.kind == RouteType::Unicast);
    let has_gateway = |route: &RouteMessage| route.attributes.iter().any(|it| matches!(it, RouteAttribute::Gateway(_)));
    ways.sort_by_key(has_gateway);
    Ok(ways
        .into_iter()
        .map(|route| {
            let name = algorithm(&route).map(ToOwned::to_owned);
            with_algorithm(route, name.as_deref())
        })
        .collect())
}

/// The congestion control that a route asks for.
fn algorithm(route: &RouteMessage) -> Option<&str> {
    metrics(route).iter().find_map(|metric| match metric {
        RouteMetric::CcAlgo(name) => Some(name.as_str()),
        _ => None,
    })
}

fn metrics(route: &RouteMessage) -> &[RouteMetric] {
    route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Metrics(metrics) => Some(metrics.as_slice()),
            _ => None,
        })
        .unwrap_or_default()
}

/// The same route with that congestion control, or none, and all its other metrics.
fn with_algorithm(mut route: RouteMessage, name: Option<&str>) -> RouteMessage {
    let mut kept: Vec<RouteMetric> =
        metrics(&route).iter().filter(|metric| !matches!(metric, RouteMetric::CcAlgo(_))).cloned().collect();
    kept.extend(name.map(|name| RouteMetric::CcAlgo(name.to_owned())));
    route.attributes.retain(|a| !matches!(a, RouteAttribute::Metrics(_) | RouteAttribute::CacheInfo(_)));
    if !kept.is_empty() {
        route.attributes.push(RouteAttribute::Metrics(kept));
    }
    // The others (dead, link down, offloaded) are the kernel's to tell, and it refuses to be told them.
    route.header.flags &= RouteFlags::Onlink;
    route
}

/// An address that is reached over this route: its gateway, or the first host of its network but `own`.
fn target(route: &RouteMessage, own: Ipv4Addr) -> Option<Ipv4Addr> {
    if route.header.kind != RouteType::Unicast {
        return None;
    }
    let address = |wanted: fn(&RouteAttribute) -> Option<&RouteAddress>| {
        route.attributes.iter().find_map(wanted).and_then(|address| match address {
            RouteAddress::Inet(address) => Some(*address),
            _ => None,
        })
    };
    let gateway = address(|a| if let RouteAttribute::Gateway(to) = a { Some(to) } else { None });
    let network = address(|a| if let RouteAttribute::Destination(to) = a { Some(to) } else { None });
    match (gateway, network, route.header.scope) {
        (Some(gateway), _, _) => Some(gateway),
        (None, Some(network), RouteScope::Link) => neighbour(network, route.header.destination_prefix_length, own),
        _ => None,
    }
}

/// The first host of `network`/`prefix` that is not `own`; `None` if there is no other.
fn neighbour(network: Ipv4Addr, prefix: u8, own: Ipv4Addr) -> Option<Ipv4Addr> {
    let hosts = match prefix {
        32.. => return (network != own).then_some(network),
        // Two hosts and no network or broadcast address (RFC 3021).
        31 => 0..=1,
        _ => 1..=2_u32,
    };
    hosts.map(|host| Ipv4Addr::from(u32::from(network).wrapping_add(host))).find(|host| *host != own)
}

/// The congestion control of a connection to `target`, or of a socket that goes nowhere.
///
/// The kernel takes the route's when a connection is begun, so it need not come about; one packet leaves.
fn in_effect(target: Option<Ipv4Addr>) -> io::Result<String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    if let Some(target) = target {
        socket.set_nonblocking(true)?;
        match socket.connect(&SocketAddr::from((target, DISCARD)).into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
    }
    let name = socket.tcp_congestion()?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

/// What the kernel has; empty where it cannot be read, since it only serves a hint.
#[must_use]
pub fn available() -> Vec<String> {
    std::fs::read_to_string(AVAILABLE).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(attributes: Vec<RouteAttribute>, prefix: u8, scope: RouteScope) -> RouteMessage {
        let mut route = RouteMessage::default();
        route.header.kind = RouteType::Unicast;
        route.header.scope = scope;
        route.header.destination_prefix_length = prefix;
        route.attributes = attributes;
        route
    }

    fn to(address: [u8; 4]) -> RouteAttribute {
        RouteAttribute::Destination(RouteAddress::Inet(address.into()))
    }

    fn via(address: [u8; 4]) -> RouteAttribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address.into()))
    }

    #[test]
    fn the_probe_goes_to_the_first_host_that_is_not_the_node_itself() {
        let network = Ipv4Addr::new(172, 18, 0, 0);
        for (prefix, own, expected) in [
            (16, [172, 18, 0, 7], Some([172, 18, 0, 1])),
            (16, [172, 18, 0, 1], Some([172, 18, 0, 2])),
            (31, [172, 18, 0, 0], Some([172, 18, 0, 1])),
            (32, [172, 18, 0, 7], Some([172, 18, 0, 0])),
            (32, [172, 18, 0, 0], None),
        ] {
            assert_eq!(neighbour(network, prefix, own.into()), expected.map(Ipv4Addr::from), "/{prefix}");
        }
    }

    #[test]
    fn the_probe_uses_a_gateway_where_the_route_has_one() {
        let own = Ipv4Addr::new(10, 0, 0, 9);
        let default = route(vec![via([10, 0, 0, 254])], 0, RouteScope::Universe);
        assert_eq!(target(&default, own), Some(Ipv4Addr::new(10, 0, 0, 254)));
        let on_link = route(vec![to([10, 0, 0, 0])], 24, RouteScope::Link);
        assert_eq!(target(&on_link, own), Some(Ipv4Addr::new(10, 0, 0, 1)));
        let mut local = route(vec![to([10, 0, 0, 9])], 32, RouteScope::Host);
        local.header.kind = RouteType::Local;
        assert_eq!(target(&local, own), None);
    }

    #[test]
    fn setting_and_clearing_congestion_control_keeps_the_routes_other_metrics() {
        let before = route(
            vec![to([10, 0, 0, 0]), RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]), RouteAttribute::Oif(2)],
            24,
            RouteScope::Link,
        );
        let set = with_algorithm(before.clone(), Some("cubic"));
        assert_eq!(algorithm(&set), Some("cubic"));
        assert_eq!(metrics(&set), [RouteMetric::Mtu(1400), RouteMetric::CcAlgo("cubic".to_owned())]);
        let other = with_algorithm(set, Some("reno"));
        assert_eq!(algorithm(&other), Some("reno"));
        let cleared = with_algorithm(other, None);
        assert_eq!(metrics(&cleared), metrics(&before));
        assert_eq!(cleared.attributes.len(), before.attributes.len());
    }

    #[test]
    fn flags_that_only_the_kernel_may_set_are_left_out() {
        let mut before = route(vec![via([10, 0, 0, 254])], 0, RouteScope::Universe);
        before.header.flags = RouteFlags::Onlink | RouteFlags::Linkdown;
        assert_eq!(with_algorithm(before, None).header.flags, RouteFlags::Onlink);
    }
}

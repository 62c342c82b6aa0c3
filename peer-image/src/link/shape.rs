//! Shapes the node's interface, reads back what the kernel took, changes it, and counts.

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use rtnetlink::{Handle, LinkIfb, LinkUnspec};

use super::error::{Doing, LinkError};
use super::interface::{self, Interface};
use super::pin::{self, Place};
use super::tbf::{self, Bucket};
use super::{congestion, netlink};
use crate::event::{Counters, Queue, Shape, Shaped};
use crate::node::Link;

/// The interface that downloads pass through.
pub(super) const MIRROR: &str = "ifb-down";
/// Where ingress filters hang: the handle that the kernel gives every ingress queue.
pub(super) const INGRESS_HANDLE: u32 = 0xffff_0000;
/// `ETH_P_ALL` in network byte order, as the kernel wants it: any other order is accepted and matches nothing.
pub(super) const EVERY_PROTOCOL: u16 = 0x0003_u16.to_be();
/// The kind of the ingress queue.
pub(super) const INGRESS: &str = "ingress";

/// Shapes the node's link, and says what the kernel took.
///
/// * `interface`: its name, or `None` for the first one but loopback that has an IPv4 address.
/// * `link`: rates in bit/s on the link, Ethernet headers included; `None` leaves it unshaped.
/// * `congestion`: congestion control of all later connections, of this and any other process in the namespace, or
///   [`SYSTEM_CONGESTION`](super::SYSTEM_CONGESTION).
///
/// Connections that were made before keep their congestion control and the size of their offload packets: call it
/// first. A second call in the same namespace replaces what the first one made, and counts from zero. Must be called
/// within a tokio runtime that drives sockets.
///
/// # Errors
///
/// [`LinkError`]: NET_ADMIN or a part of the kernel is missing, the congestion control is unknown, there is no such
/// interface, or the kernel took another rate. With no link and the system's congestion control nothing is changed
/// and NET_ADMIN is not needed.
pub async fn shape(interface: Option<&str>, link: Option<Link>, congestion: &str) -> Result<Shaped, LinkError> {
    let handle = netlink::connect()?;
    let interface = interface::find(&handle, interface).await?;
    let buckets = match link {
        Some(link) => Some((bucket(link.up, &interface)?, bucket(link.down, &interface)?)),
        None => None,
    };

    clear(&handle, &interface).await?;
    // Before the queues, so that the probe's packet is in nobody's count.
    let congestion = congestion::apply(&handle, &interface, congestion).await?;
    let (up, down) = match (link, buckets) {
        (Some(link), Some((up, down))) => {
            limit_offload(&handle, &interface, tbf::offload_limit(link.up)).await?;
            let mirror = make_mirror(&handle).await?;
            put_bucket(&handle, mirror, &down).await?;
            redirect(&handle, interface.index, mirror).await?;
            put_bucket(&handle, interface.index, &up).await?;
            let queues = queues(&handle).await?;
            (
                Some(taken(&queues, interface.index, &interface.name, link.up, &up)?),
                Some(taken(&queues, mirror, MIRROR, link.down, &down)?),
            )
        }
        _ => (None, None),
    };
    Ok(Shaped { interface: interface.name, mtu: interface.mtu, congestion, up, down })
}

/// Enters the Ethernet addresses of the other nodes of a network of `nodes`, so that a large swarm does not overflow
/// the kernel's table of neighbours (see the module `pin`). Needs NET_ADMIN.
///
/// # Errors
///
/// Netlink's own.
pub async fn pin_neighbours(shaped: &Shaped, nodes: u32) -> Result<(), LinkError> {
    let handle = netlink::connect()?;
    let interface = interface::find(&handle, Some(&shaped.interface)).await?;
    pin::pin(&handle, &interface, nodes).await
}

/// Where the node is in its network.
///
/// # Errors
///
/// Netlink's own.
pub async fn place(shaped: &Shaped) -> Result<Place, LinkError> {
    let handle = netlink::connect()?;
    let Interface { address, prefix, .. } = interface::find(&handle, Some(&shaped.interface)).await?;
    Ok(Place { address, prefix })
}

/// Gives a shaped link other rates: its queues keep what waits in them and what they counted. Needs NET_ADMIN.
///
/// # Errors
///
/// As [`shape`].
pub async fn retune(shaped: &Shaped, link: Link) -> Result<(), LinkError> {
    let handle = netlink::connect()?;
    let interface = interface::find(&handle, Some(&shaped.interface)).await?;
    let (up, down) = (bucket(link.up, &interface)?, bucket(link.down, &interface)?);
    let mirror = interface::index_of(&handle, MIRROR).await?;
    let mirror = mirror.ok_or_else(|| LinkError::Unshaped { interface: MIRROR.to_owned() })?;
    limit_offload(&handle, &interface, tbf::offload_limit(link.up)).await?;
    // A queue of that kind that is there already is changed, not replaced.
    put_bucket(&handle, mirror, &down).await?;
    put_bucket(&handle, interface.index, &up).await
}

/// The ways out that a node had before it was cut off, and whom it knew there: the kernel forgets them with the interface.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    routes: Vec<RouteMessage>,
    neighbours: Vec<pin::Entry>,
}

/// Cuts the node off, as if its cable were pulled, until [`mend`]: its interface is down. Needs NET_ADMIN.
///
/// # Errors
///
/// Netlink's own.
pub async fn cut(shaped: &Shaped) -> Result<Ways, LinkError> {
    let handle = netlink::connect()?;
    let interface = interface::find(&handle, Some(&shaped.interface)).await?;
    let routes = congestion::ways(&handle, &interface).await?;
    let neighbours = pin::entries(&handle, &interface).await?;
    let change = LinkUnspec::new_with_index(interface.index).down().build();
    handle.link().change(change).execute().await.map_err(|error| LinkError::netlink(Doing::Cut, &error))?;
    Ok(Ways { routes, neighbours })
}

/// Undoes [`cut`] in a network of `nodes`. Needs NET_ADMIN.
///
/// # Errors
///
/// Netlink's own.
pub async fn mend(shaped: &Shaped, nodes: u32, ways: &Ways) -> Result<(), LinkError> {
    let handle = netlink::connect()?;
    let interface = interface::find(&handle, Some(&shaped.interface)).await?;
    let change = LinkUnspec::new_with_index(interface.index).up().build();
    handle.link().change(change).execute().await.map_err(|error| LinkError::netlink(Doing::Cut, &error))?;
    // With the interface the kernel forgot its routes and its neighbours. What it made anew by itself is there already.
    pin::enter(&handle, &interface, ways.neighbours.iter().cloned()).await?;
    for way in &ways.routes {
        let put = handle.route().add(way.clone()).replace().execute().await;
        put.map_err(|error| LinkError::netlink(Doing::Cut, &error))?;
    }
    congestion::apply(&handle, &interface, &shaped.congestion).await?;
    pin::pin(&handle, &interface, nodes).await
}

/// What the queues of a shaped link counted since they were made, and the rates that they have now; zeros for an
/// unshaped one. A look at them is cheap enough for each second of a node that is one of a thousand: one list of queues.
#[derive(Debug)]
pub struct Gauge {
    /// The interface and the number of its link, and of the mirror; none for an unshaped link.
    looks_at: Option<(Handle, String, u32, u32)>,
}

impl Gauge {
    /// A gauge of the link that was shaped so. Needs no capability. Must be called within a tokio runtime that drives
    /// sockets.
    ///
    /// # Errors
    ///
    /// [`LinkError::Unshaped`] if somebody removed an interface; otherwise netlink's own.
    pub async fn new(shaped: &Shaped) -> Result<Self, LinkError> {
        if shaped.up.is_none() && shaped.down.is_none() {
            return Ok(Self { looks_at: None });
        }
        let handle = netlink::connect()?;
        let number = async |interface: &str| {
            let index = interface::index_of(&handle, interface).await?;
            index.ok_or_else(|| LinkError::Unshaped { interface: interface.to_owned() })
        };
        let (up, down) = (number(&shaped.interface).await?, number(MIRROR).await?);
        Ok(Self { looks_at: Some((handle, shaped.interface.clone(), up, down)) })
    }

    /// What the queues have counted.
    ///
    /// # Errors
    ///
    /// [`LinkError::Unshaped`] if somebody removed a queue; otherwise netlink's own.
    pub async fn read(&self) -> Result<Counters, LinkError> {
        let Some((handle, interface, up, down)) = &self.looks_at else { return Ok(Counters::default()) };
        let queues = queues(handle).await?;
        if let Ok(counters) = count(&queues, (*up, interface), *down) {
            return Ok(counters);
        }
        // Somebody may have put others in their place: what these do is what the link does now.
        let up = interface::index_of(handle, interface).await?.unwrap_or(*up);
        let down = interface::index_of(handle, MIRROR).await?.unwrap_or(*down);
        count(&queues, (up, interface), down)
    }
}

/// What the buckets of both directions counted.
pub(super) fn count(queues: &[TcMessage], (up, interface): (u32, &str), down: u32) -> Result<Counters, LinkError> {
    let one = |index: u32, interface: &str| -> Result<Queue, LinkError> {
        root(queues, index)
            .filter(|queue| tbf::kind(queue) == Some(tbf::KIND))
            .and_then(|queue| Some(Queue { rate: bits(Bucket::read(queue)?.bytes_per_s), ..tbf::count(queue)? }))
            .ok_or_else(|| LinkError::Unshaped { interface: interface.to_owned() })
    };
    Ok(Counters { up: one(up, interface)?, down: one(down, MIRROR)?, ..Counters::default() })
}

pub(super) fn bucket(rate: u64, interface: &Interface) -> Result<Bucket, LinkError> {
    Bucket::new(rate, interface.mtu).ok_or(LinkError::Rate { rate })
}

/// Removes what an earlier call made; asks for nothing where there is nothing.
pub(super) async fn clear(handle: &Handle, interface: &Interface) -> Result<(), LinkError> {
    let clearing = |error: rtnetlink::Error| LinkError::netlink(Doing::Clear, &error);
    for queue in queues(handle).await?.iter().filter(|queue| is_of(queue, interface.index)) {
        let ours = match tbf::kind(queue) {
            Some(tbf::KIND) => queue.header.parent == TcHandle::ROOT,
            Some(INGRESS) => true,
            _ => false,
        };
        if ours {
            let mut request = handle.qdisc().del(queue.header.index);
            request.message_mut().header.parent = queue.header.parent;
            request.execute().await.map_err(clearing)?;
        }
    }
    if let Some(mirror) = interface::index_of(handle, MIRROR).await? {
        handle.link().del(mirror).execute().await.map_err(clearing)?;
        // The limit on offload packets came with it.
        limit_offload(handle, interface, tbf::OFFLOAD_KERNEL).await?;
    }
    Ok(())
}

/// Lets sockets hand at most `bytes` at once to the interface.
pub(super) async fn limit_offload(handle: &Handle, interface: &Interface, bytes: u32) -> Result<(), LinkError> {
    let change =
        LinkUnspec::new_with_index(interface.index).append_extra_attribute(LinkAttribute::GsoMaxSize(bytes)).build();
    handle.link().change(change).execute().await.map_err(|error| LinkError::netlink(Doing::Offload, &error))
}

/// Makes the interface that downloads pass through, up; returns its number.
pub(super) async fn make_mirror(handle: &Handle) -> Result<u32, LinkError> {
    let made = handle.link().add(LinkIfb::new(MIRROR).up().build()).execute().await;
    made.map_err(|error| LinkError::netlink(Doing::Mirror, &error))?;
    interface::index_of(handle, MIRROR)
        .await?
        .ok_or_else(|| LinkError::Protocol { doing: Doing::Mirror, what: format!("`{MIRROR}` is not there") })
}

/// Sends all that arrives at `from` through `to`.
pub(super) async fn redirect(handle: &Handle, from: u32, to: u32) -> Result<(), LinkError> {
    let from = signed(from)?;
    let made = handle.qdisc().add(from).ingress().execute().await;
    made.map_err(|error| LinkError::netlink(Doing::Ingress, &error))?;
    let refused = |error: rtnetlink::Error| LinkError::netlink(Doing::Redirect, &error);
    let filter = handle.traffic_filter(from).add().parent(INGRESS_HANDLE).protocol(EVERY_PROTOCOL);
    filter.redirect(to).map_err(refused)?.execute().await.map_err(refused)
}

/// Puts a `tbf` at the root of an interface.
pub(super) async fn put_bucket(handle: &Handle, index: u32, bucket: &Bucket) -> Result<(), LinkError> {
    let mut message = TcMessage::with_index(signed(index)?);
    message.header.parent = TcHandle::ROOT;
    message.attributes = vec![TcAttribute::Kind(tbf::KIND.to_owned()), bucket.options()];
    // The library's own request for a queue cannot carry options of a kind that it does not know.
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewQueueDiscipline(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let answer = handle.clone().request(request).map_err(|error| LinkError::netlink(Doing::Bucket, &error))?;
    let refusals = futures_util::StreamExt::map(answer, |part| match part.payload {
        NetlinkPayload::Error(error) => Err(rtnetlink::Error::NetlinkError(error)),
        _ => Ok(()),
    });
    netlink::collect(Doing::Bucket, refusals).await.map(drop)
}

/// All queues in the namespace: the kernel does not choose by interface.
pub(super) async fn queues(handle: &Handle) -> Result<Vec<TcMessage>, LinkError> {
    netlink::collect(Doing::List, handle.qdisc().get().execute()).await
}

pub(super) fn is_of(queue: &TcMessage, index: u32) -> bool {
    u32::try_from(queue.header.index) == Ok(index)
}

pub(super) fn root(queues: &[TcMessage], index: u32) -> Option<&TcMessage> {
    queues.iter().find(|queue| is_of(queue, index) && queue.header.parent == TcHandle::ROOT)
}

/// What the kernel took, if that is what was asked for.
pub(super) fn taken(
    queues: &[TcMessage],
    index: u32,
    name: &str,
    asked: u64,
    bucket: &Bucket,
) -> Result<Shape, LinkError> {
    let found =
        root(queues, index).and_then(Bucket::read).ok_or_else(|| LinkError::Unshaped { interface: name.to_owned() })?;
    if found.bytes_per_s != bucket.bytes_per_s {
        return Err(LinkError::Mismatch {
            interface: name.to_owned(),
            asked: bits(bucket.bytes_per_s),
            took: bits(found.bytes_per_s),
        });
    }
    Ok(Shape { asked, rate: bits(found.bytes_per_s), burst: u64::from(found.burst), limit: u64::from(found.limit) })
}

pub(super) fn bits(bytes_per_s: u64) -> u64 {
    bytes_per_s.saturating_mul(8)
}

/// Traffic control writes interfaces' numbers as signed.
pub(super) fn signed(index: u32) -> Result<i32, LinkError> {
    i32::try_from(index)
        .map_err(|error| LinkError::Protocol { doing: Doing::List, what: format!("interface number {index}: {error}") })
}

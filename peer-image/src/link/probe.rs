//! What the kernel can do for links, found out by trying it on an interface that is made for it and removed.
//!
//! A queueing discipline or filter of an unknown kind is refused with `ENOENT`, before the kernel looks at its options;
//! one that is known is taken, or refused for what is wrong with them. So nothing needs to be known of the options.

use std::collections::BTreeMap;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use rtnetlink::{Handle, LinkIfb};

use super::error::{Doing, LinkError};
use super::shape::{EVERY_PROTOCOL, INGRESS_HANDLE, redirect, signed};
use super::{interface, netlink};

/// The interface on which things are tried.
const GROUND: &str = "ifb-probe";
/// `ENOENT`: no such kind.
const ENOENT: i32 = 2;
/// Queueing disciplines that links need or could use.
const QUEUES: [&str; 6] = ["tbf", "htb", "netem", "fq", "fq_codel", "prio"];
/// Filters, likewise.
const FILTERS: [&str; 2] = ["bpf", "matchall"];

/// Which parts the kernel has, by the names that `tc` knows them by. Needs NET_ADMIN, and a tokio runtime.
///
/// # Errors
/// If there is no netlink, or what was made cannot be removed.
pub async fn probe() -> Result<BTreeMap<String, bool>, LinkError> {
    let handle = netlink::connect()?;
    let mut parts = BTreeMap::new();
    let made = handle.link().add(LinkIfb::new(GROUND).up().build()).execute().await.is_ok();
    parts.insert("ifb".to_owned(), made);
    let Some(ground) = interface::index_of(&handle, GROUND).await? else { return Ok(parts) };
    for kind in QUEUES {
        let known = is_known(&handle, queue(kind, ground)?).await;
        parts.insert(kind.to_owned(), known);
    }
    // The loopback is there in every namespace, and nothing is sent.
    let redirects = redirect(&handle, ground, 1).await;
    parts.insert("ingress".to_owned(), !matches!(&redirects, Err(LinkError::Missing { doing: Doing::Ingress, .. })));
    parts.insert("u32 and mirred".to_owned(), redirects.is_ok());
    for kind in FILTERS {
        let known = is_known(&handle, filter(kind, ground)?).await;
        parts.insert(kind.to_owned(), known);
    }
    let removed = handle.link().del(ground).execute().await;
    removed.map_err(|error| LinkError::netlink(Doing::Clear, &error))?;
    Ok(parts)
}

fn queue(kind: &str, index: u32) -> Result<RouteNetlinkMessage, LinkError> {
    let mut message = TcMessage::with_index(signed(index)?);
    message.header.parent = TcHandle::ROOT;
    message.attributes = vec![TcAttribute::Kind(kind.to_owned())];
    Ok(RouteNetlinkMessage::NewQueueDiscipline(message))
}

fn filter(kind: &str, index: u32) -> Result<RouteNetlinkMessage, LinkError> {
    let mut message = TcMessage::with_index(signed(index)?);
    message.header.parent = TcHandle::from(INGRESS_HANDLE);
    // Priority 7 and every protocol.
    message.header.info = 7 << 16 | u32::from(EVERY_PROTOCOL);
    message.attributes = vec![TcAttribute::Kind(kind.to_owned())];
    Ok(RouteNetlinkMessage::NewTrafficFilter(message))
}

async fn is_known(handle: &Handle, message: RouteNetlinkMessage) -> bool {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let Ok(mut answer) = handle.clone().request(request) else { return false };
    let mut known = true;
    while let Some(part) = futures_util::StreamExt::next(&mut answer).await {
        if let NetlinkPayload::Error(error) = part.payload {
            known &= error.raw_code().abs() != ENOENT;
        }
    }
    known
}

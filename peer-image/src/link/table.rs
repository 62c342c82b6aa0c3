//! The kernel's table of neighbours, which all network namespaces of a host share: how much it holds, and how often it had no
//! room. Everybody may look, from any namespace.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::neighbour_table::{NeighbourTableAttribute, NeighbourTableMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::Handle;

use super::error::{Doing, LinkError};
use super::netlink;

/// The table of Ethernet neighbours of IPv4 addresses, by the kernel's name for it.
const ETHERNET: &str = "arp_cache";

/// How the table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbours {
    /// Entries, of all namespaces; permanent ones among them.
    pub entries: u32,
    /// Most entries that are not permanent (`gc_thresh3`).
    pub room: u32,
    /// How often there was no room for one, since the boot.
    pub fulls: u64,
}

/// A connection to ask on.
#[derive(Debug)]
pub struct Table(Handle);

impl Table {
    /// Needs no capability. Must be called within a tokio runtime that drives sockets.
    ///
    /// # Errors
    /// If there is no netlink.
    pub fn new() -> Result<Self, LinkError> {
        Ok(Self(netlink::connect()?))
    }

    /// How the table stands; `None` if the kernel does not say.
    ///
    /// # Errors
    /// Netlink's own.
    pub async fn read(&self) -> Result<Option<Neighbours>, LinkError> {
        let mut asked = NeighbourTableMessage::default();
        asked.header.family = AddressFamily::Inet;
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNeighbourTable(asked));
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let answer = self.0.clone().request(request).map_err(|error| LinkError::netlink(Doing::List, &error))?;
        let parts = futures_util::StreamExt::map(answer, |part| match part.payload {
            NetlinkPayload::Error(error) => Err(rtnetlink::Error::NetlinkError(error)),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbourTable(table)) => Ok(stand(&table)),
            _ => Ok(None),
        });
        Ok(netlink::collect(Doing::List, parts).await?.into_iter().flatten().next())
    }
}

/// What the kernel says of the table; `None` of another one, and of an interface's parameters.
fn stand(table: &NeighbourTableMessage) -> Option<Neighbours> {
    use NeighbourTableAttribute as Of;
    let find = |wanted: fn(&Of) -> Option<u64>| table.attributes.iter().find_map(wanted);
    table.attributes.iter().find(|it| matches!(it, Of::Name(name) if name == ETHERNET))?;
    Some(Neighbours {
        entries: find(|it| if let Of::Config(config) = it { Some(config.entries.into()) } else { None })
            .and_then(|entries| u32::try_from(entries).ok())?,
        room: find(|it| if let Of::Threshold3(most) = it { Some((*most).into()) } else { None })
            .and_then(|most| u32::try_from(most).ok())?,
        fulls: find(|it| if let Of::Stats(stats) = it { Some(stats.table_fulls) } else { None })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_says_how_the_table_stands() {
        let table = Table::new().unwrap().read().await.unwrap().expect("every kernel has the table");
        assert!(table.room > 0, "{table:?}");
    }
}

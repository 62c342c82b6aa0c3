//! Reports what the link has carried so far.

use super::host;
use super::report::Reporter;
use super::uplink::Uplink;
use crate::event::{Counters, Event};

/// Time between two looks at the link's counters: what a link did over time, and what a node that is killed leaves.
pub(super) const COUNT_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

pub(super) async fn count_on(reporter: &Reporter, uplink: &Uplink) {
    loop {
        tokio::time::sleep(COUNT_EVERY).await;
        count(reporter, uplink).await;
    }
}

pub(super) async fn count(reporter: &Reporter, uplink: &Uplink) {
    match uplink.read().await {
        Ok(counters) => {
            let (throttled, waited) = (host::throttled(), host::waited());
            reporter.emit(Event::Counters(Counters { throttled, waited, ..counters }));
        }
        Err(error) => reporter.emit(Event::Warning { message: format!("the link's counters cannot be read: {error}") }),
    }
}

//! Keeps the queue of a slow upload link short: blocks go into the kernel no faster than the link carries them, so that
//! requests, and acknowledgements of what is downloaded, do not wait behind them.
//!
//! What waits is read from the link's own queue, which holds what the kernel sends by itself too. The bytes that a socket
//! has sent and nobody acknowledged would say less: most of them may have left long ago, and wait for an
//! acknowledgement in the other side's queue.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Mutex;

use super::web;
use crate::event::{Counters, Shaped};
use crate::link::{Gauge, LinkError};

/// Rates below it are slow, bit/s: the few blocks that the core hands over at a time, 48 KiB, and what the kernel takes
/// beyond what is on the wire, 16 KiB, would wait for longer than [`QUEUE`].
const FAST: u64 = 3_000_000;
/// The queue is watched only where the download is at least so many times as fast as the upload. There acknowledgements take
/// up to a third of the upload (66 bytes for every second segment), and a download stops when they wait behind blocks. Each
/// look costs processor time: a thousand peers at 40 kbit kept two processors 88 % busy with it and 74 % without.
const UNEVEN: u64 = 16;
/// A queue is filled up to what the link carries in so long, ms, and at least with one segment.
const QUEUE: u64 = 200;
/// It is filled again when it is down to what the link carries in so long, ms: more than a timer is late.
const LOW: u64 = 50;
/// TCP payload of one segment, bytes, at the usual MTU of 1,500.
const SEGMENT: u64 = 1448;

/// What to do about more of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowance {
    /// Write so many bytes.
    Write(u64),
    /// Look again after so many ns.
    Wait(u64),
}

/// Whether what waits in the upload queue of such a link is to be kept short.
fn is_slow(up: u64, down: u64) -> bool {
    up < FAST && down >= up.saturating_mul(UNEVEN)
}

/// What may be written while `backlog` bytes wait on a link of `rate` bit/s.
fn allowance(rate: u64, backlog: u64) -> Allowance {
    let carries = |ms: u64| rate * ms / 8_000;
    match backlog.checked_sub(carries(LOW)) {
        None | Some(0) => Allowance::Write(carries(QUEUE).saturating_sub(backlog).max(SEGMENT)),
        Some(above) => Allowance::Wait((above * 8_000_000_000 / rate.max(1)).max(1_000_000)),
    }
}

/// A node's upload link.
#[derive(Debug)]
pub struct Uplink {
    gauge: Gauge,
    /// Rates at the last look, upload and download, bit/s; none where the link is not shaped.
    rates: Cell<Option<(u64, u64)>>,
    /// Whoever writes part of a block. Others wait their turn.
    turn: Mutex<()>,
}

impl Uplink {
    /// The link that was shaped so.
    #[must_use]
    pub fn new(gauge: Gauge, shaped: &Shaped) -> Self {
        let rates = shaped.up.as_ref().zip(shaped.down.as_ref()).map(|(up, down)| (up.rate, down.rate));
        Self { gauge, rates: Cell::new(rates), turn: Mutex::new(()) }
    }

    /// What the link's queues counted.
    ///
    /// # Errors
    /// The gauge's.
    pub async fn read(&self) -> Result<Counters, LinkError> {
        let counters = self.gauge.read().await?;
        // An event may have changed it.
        if self.rates.get().is_some() {
            self.rates.set(Some((counters.up.rate, counters.down.rate)));
        }
        Ok(counters)
    }

    /// Whether blocks are to go out by [`Uplink::write`].
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.rates.get().is_some_and(|(up, down)| is_slow(up, down))
    }

    /// Writes a block in parts, each when the link's queue is short.
    ///
    /// # Errors
    /// If the connection broke.
    pub async fn write(&self, socket: &OwnedWriteHalf, mut block: &[u8]) -> io::Result<()> {
        let stream: &TcpStream = socket.as_ref();
        // What the socket holds back would come on top, all at once, when its window opens.
        SockRef::from(stream).set_tcp_notsent_lowat(u32::try_from(SEGMENT).expect("a segment is small"))?;
        while !block.is_empty() {
            socket.writable().await?;
            let _turn = self.turn.lock().await;
            let room = usize::try_from(self.room().await).unwrap_or(usize::MAX);
            match socket.try_write(&block[..room.min(block.len())]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => block = &block[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        SockRef::from(stream).set_tcp_notsent_lowat(web::UNSENT_MAX)
    }

    /// Waits until the queue is short; how many bytes it has room for then.
    async fn room(&self) -> u64 {
        loop {
            // A queue that cannot be read is reported each second; blocks go on.
            let Ok(counters) = self.read().await else { return SEGMENT };
            match allowance(counters.up.rate, counters.up.backlog) {
                Allowance::Write(bytes) => return bytes,
                Allowance::Wait(ns) => tokio::time::sleep(Duration::from_nanos(ns)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How long a link of `rate` bit/s needs for that, ms.
    fn ms(rate: u64, bytes: u64) -> u64 {
        bytes * 8_000 / rate
    }

    #[test]
    fn a_queue_is_watched_where_a_download_hangs_on_it() {
        assert!(is_slow(32_000, 20_000_000) && is_slow(256_000, 20_000_000));
        // The textbook's links, a thousand slow peers', and fast ones.
        assert!(!is_slow(4_000_000, 40_000_000) && !is_slow(40_000, 400_000) && !is_slow(10_000_000, 400_000_000));
    }

    proptest! {
        #[test]
        fn the_queue_stays_below_half_a_second_and_never_runs_dry(rate in 32_000_u64..FAST, full in 0_u64..100_000) {
            let mut backlog = full;
            for _ in 0..20 {
                match allowance(rate, backlog) {
                    Allowance::Write(bytes) => {
                        prop_assert!(ms(rate, backlog) <= LOW);
                        backlog += bytes;
                        prop_assert!(ms(rate, backlog) < 500, "{} bytes", backlog);
                    }
                    Allowance::Wait(ns) => {
                        let carried = rate * (ns / 1_000) / 8_000_000;
                        prop_assert!(carried <= backlog.max(rate / 8_000), "it waits until nothing is left");
                        backlog = backlog.saturating_sub(carried);
                    }
                }
            }
        }
    }

    #[test]
    fn a_block_goes_out_segment_by_segment_where_one_takes_long() {
        assert_eq!(allowance(32_000, 0), Allowance::Write(1448));
        assert_eq!(allowance(32_000, 1514), Allowance::Wait(328_500_000));
        assert_eq!(allowance(256_000, 0), Allowance::Write(6400));
        assert_eq!(allowance(256_000, 1514), Allowance::Write(4886));
        assert_eq!(allowance(256_000, 6400), Allowance::Wait(150_000_000));
    }
}

//! Keeps the queue of a slow upload link short: blocks go into the kernel no faster than the link carries them, so that
//! requests, and acknowledgements of what is downloaded, do not wait behind them.
//!
//! What waits is read from the link's own queue, which holds what the kernel sends by itself too, each second, and
//! reckoned in between from what was written since. The bytes that a socket has sent and nobody acknowledged would say
//! less: most of them may have left long ago, and wait for an acknowledgement in the other side's queue.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::web;
use crate::event::{Counters, Shaped};
use crate::link::{Gauge, LinkError};

/// Rates below it are slow, bit/s: the few blocks that the core hands over at a time, 48 KiB, and what the kernel takes
/// beyond what is on the wire, 16 KiB, would wait for longer than [`QUEUE`].
const FAST: u64 = 3_000_000;
/// Where the download is so many times as fast as the upload, acknowledgements take up to a third of the upload (66 bytes
/// for every second segment), and the queue is read before each write. Each look costs processor time: a thousand peers
/// at 40 kbit kept two processors 88 % busy with looks before each write, and 74 % without any.
const UNEVEN: u64 = 16;
/// A queue is filled up to what the link carries in so long, ms, and at least with [`PART`].
const QUEUE: u64 = 200;
/// It is filled again when it is down to what the link carries in so long, ms: more than a timer and a busy host are late.
const LOW: u64 = 100;
/// TCP payload of one segment, bytes, at the usual MTU of 1,500.
const SEGMENT: u64 = 1448;
/// Part of a segment that goes out by itself where a whole one takes too long, bytes: every acknowledgement of what is
/// downloaded waits behind it, and its headers are an eighth of it.
const PART: u64 = 512;
/// A segment with its headers, as the link counts it.
const FRAME: u64 = 1514;

/// What to do about more of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowance {
    /// Write so many bytes.
    Write(u64),
    /// Look again after so many ns.
    Wait(u64),
}

/// What may be written while `backlog` bytes wait on a link of `rate` bit/s.
fn allowance(rate: u64, backlog: u64) -> Allowance {
    let carries = |ms: u64| rate * ms / 8_000;
    match backlog.checked_sub(carries(LOW)) {
        None | Some(0) => Allowance::Write(carries(QUEUE).saturating_sub(backlog).max(PART)),
        Some(above) => Allowance::Wait((above * 8_000_000_000 / rate.max(1)).max(1_000_000)),
    }
}

/// What waits on a link, as far as is known.
#[derive(Debug, Clone, Copy)]
struct Queue {
    /// When that was so.
    at: Instant,
    /// So many bytes waited, headers included.
    bytes: u64,
}

impl Queue {
    /// What is left of it by `now` on a link of `rate` bit/s.
    fn by(self, now: Instant, rate: u64) -> Self {
        let carried = now.saturating_duration_since(self.at).as_micros() * u128::from(rate) / 8_000_000;
        Self { at: now, bytes: self.bytes.saturating_sub(u64::try_from(carried).unwrap_or(u64::MAX)) }
    }

    /// The same with `written` bytes of payload more.
    fn and(self, written: u64) -> Self {
        Self { bytes: self.bytes + written + written.div_ceil(SEGMENT) * (FRAME - SEGMENT), ..self }
    }
}

/// A node's upload link.
#[derive(Debug)]
pub struct Uplink {
    gauge: Gauge,
    /// Rates at the last look, upload and download, bit/s; none where the link is not shaped.
    rates: Cell<Option<(u64, u64)>>,
    queue: Cell<Queue>,
    /// Whoever writes part of a block. Others wait their turn.
    turn: Mutex<()>,
}

impl Uplink {
    /// The link that was shaped so.
    #[must_use]
    pub fn new(gauge: Gauge, shaped: &Shaped) -> Self {
        let rates = shaped.up.as_ref().zip(shaped.down.as_ref()).map(|(up, down)| (up.rate, down.rate));
        let queue = Queue { at: Instant::now(), bytes: 0 };
        Self { gauge, rates: Cell::new(rates), queue: Cell::new(queue), turn: Mutex::new(()) }
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
        self.queue.set(Queue { at: Instant::now(), bytes: counters.up.backlog });
        Ok(counters)
    }

    /// Whether blocks are to go out by [`Uplink::write`].
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.rates.get().is_some_and(|(up, _)| up < FAST)
    }

    /// Whether acknowledgements may fill the queue between two looks.
    fn is_uneven(&self) -> bool {
        self.rates.get().is_some_and(|(up, down)| down >= up.saturating_mul(UNEVEN))
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
            if stream.try_io(Interest::WRITABLE, || takes_more(stream)).is_err() {
                continue;
            }
            let _turn = self.turn.lock().await;
            let room = usize::try_from(self.room().await).unwrap_or(usize::MAX);
            match socket.try_write(&block[..room.min(block.len())]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.queue.set(self.queue.get().and(written as u64));
                    block = &block[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        SockRef::from(stream).set_tcp_notsent_lowat(web::UNSENT_MAX)
    }

    /// Waits until the queue is short; how many bytes it has room for then.
    async fn room(&self) -> u64 {
        while let Some((up, _)) = self.rates.get() {
            // A queue that cannot be read is reported each second; blocks go on.
            if self.is_uneven() && self.read().await.is_err() {
                return SEGMENT;
            }
            let queue = self.queue.get().by(Instant::now(), up);
            self.queue.set(queue);
            match allowance(up, queue.bytes) {
                Allowance::Write(bytes) => return bytes,
                Allowance::Wait(ns) => tokio::time::sleep(Duration::from_nanos(ns)).await,
            }
        }
        SEGMENT
    }
}

/// Whether little of what was written to a socket is still to be sent, as the kernel says now: the event loop remembers
/// that it once did, and then a whole block would lie in a socket whose window is closed, and go out in one packet, behind
/// which all else waits.
fn takes_more(stream: &TcpStream) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&now))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
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
    fn what_waits_is_what_was_written_less_what_the_link_carried_since() {
        let at = Instant::now();
        let later = |ms: u64| at + Duration::from_millis(ms);
        let queue = Queue { at, bytes: 1000 };
        assert_eq!(queue.and(1448).bytes, 2514);
        assert_eq!(queue.and(1449).bytes, 2581, "two segments");
        assert_eq!(queue.by(later(100), 32_000).bytes, 600);
        assert_eq!(queue.by(later(50), 32_000).by(later(100), 32_000).bytes, 600, "in two steps");
        assert_eq!(queue.by(later(300), 32_000).bytes, 0);
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

    #[tokio::test]
    async fn a_socket_whose_other_end_takes_nothing_gets_no_more_though_there_is_room_in_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_end, _) = listener.accept().await.unwrap();
        SockRef::from(&stream).set_tcp_notsent_lowat(1448).unwrap();
        for _ in 0..1000 {
            stream.writable().await.unwrap();
            if stream.try_io(Interest::WRITABLE, || takes_more(&stream)).is_err() {
                let raw = rustix::net::send(&stream, &[0; 512], rustix::net::SendFlags::DONTWAIT);
                assert_eq!(raw, Ok(512), "the kernel would take it");
                return;
            }
            stream.try_write(&[0; 512]).unwrap();
        }
        panic!("it took half a megabyte that nobody read");
    }

    #[test]
    fn a_block_goes_out_in_parts_of_segments_where_one_takes_long() {
        assert_eq!(allowance(32_000, 0), Allowance::Write(800));
        assert_eq!(allowance(32_000, 400), Allowance::Write(512));
        assert_eq!(allowance(32_000, 1514), Allowance::Wait(278_500_000));
        assert_eq!(allowance(256_000, 0), Allowance::Write(6400));
        assert_eq!(allowance(256_000, 1514), Allowance::Write(4886));
        assert_eq!(allowance(256_000, 6400), Allowance::Wait(100_000_000));
    }
}

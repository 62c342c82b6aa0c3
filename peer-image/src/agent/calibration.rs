//! What a link carries while nothing else is on it, in both directions, agent to agent.
//!
//! A node asks the tracker's node, which is unshaped, to take or to send for a while. The side that receives counts:
//! payload from the first arrival after a short while to the last one. By then the token bucket, which begins full, is
//! empty, so that what arrives is the link's rate and nothing else. Both ends stop with an empty queue: the receiver
//! reads to the end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::report::Reporter;
use super::{Failure, clock, web};
use crate::event::{Calibration, Carried};
use crate::node::{CALIBRATION_PORT, Link, carries_in, settles_in, tried_for};

/// Payload of a full segment at MTU 1500 (IPv4, TCP with timestamps). Whole segments are written, because what is
/// carried is told from payload alone.
const SEGMENT: u64 = 1448;
/// Segments written at a time, at most: one offload packet.
const SEGMENTS_MAX: u64 = 11;
/// Bytes read at a time.
const READ: usize = 64 * 1024;
/// A sender holds what its link carries in so many milliseconds, within these limits, bytes: enough to keep the link
/// busy, and little, because the receiver waits for it in the end, and because on a slow link TCP takes what waits in a
/// long queue for lost and sends it again.
const AHEAD_MS: u64 = 50;
const AHEAD_MIN: u64 = 2 * SEGMENT;
const AHEAD_MAX: u64 = 4 << 20;
/// Longest time that anybody may ask for, ns: the slowest link that is shaped, of 1 kbit/s, needs six minutes.
const LONGEST: u64 = 600_000_000_000;
/// Longest silence on a connection, and longer by the time for so many bytes: what sockets hold, and what TCP sends again
/// while a packet is on its way.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENCE_BYTES: u64 = 16 * 1024;

/// The request for an upload, and for a download: the letter, then how long (ns) and the link's rate (bit/s).
const UP: u8 = b'u';
const DOWN: u8 = b'd';

/// Tries a link of these rates for `ns` in each direction, longer if it is slow, against the tracker's node.
///
/// # Errors
/// If that node cannot be reached or breaks off.
pub async fn calibrate(tracker: IpAddr, link: Link, ns: u64) -> Result<Calibration, Failure> {
    let broken = |e: io::Error| Failure::trial(format!("the link could not be tried against `{tracker}`: {e}"));
    let up = async {
        let ns = tried_for(ns, link.up);
        let mut stream = begin(tracker, UP, ns, link.up).await?;
        send(&mut stream, ns, link.up).await?;
        Ok(Carried { bytes: stream.read_u64().await?, ns: stream.read_u64().await? })
    };
    let up = up.await.map_err(broken)?;
    let down = async {
        let mut stream = begin(tracker, DOWN, tried_for(ns, link.down), link.down).await?;
        receive(&mut stream, link.down).await
    };
    Ok(Calibration { up, down: down.await.map_err(broken)?, link: None })
}

/// Longest silence on a connection over a link of that rate.
fn patience(rate: u64) -> Duration {
    PATIENCE + Duration::from_nanos(carries_in(PATIENCE_BYTES, rate))
}

async fn begin(tracker: IpAddr, letter: u8, ns: u64, rate: u64) -> io::Result<TcpStream> {
    let mut stream = web::connect(SocketAddr::new(tracker, CALIBRATION_PORT)).await?;
    stream.write_u8(letter).await?;
    stream.write_u64(ns).await?;
    stream.write_u64(rate).await?;
    Ok(stream)
}

/// Takes and sends for whoever asks, until it is dropped.
pub async fn serve(listener: TcpListener, reporter: Rc<Reporter>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Whoever asked sees that it broke off, and says so.
                tokio::task::spawn_local(async { attend(stream).await.ok() });
            }
            Err(error) => web::accept_failed(&reporter, &error).await,
        }
    }
}

async fn attend(mut stream: TcpStream) -> io::Result<()> {
    let letter = stream.read_u8().await?;
    let ns = stream.read_u64().await?.min(LONGEST);
    let rate = stream.read_u64().await?;
    match letter {
        UP => {
            let carried = receive(&mut stream, rate).await?;
            stream.write_u64(carried.bytes).await?;
            stream.write_u64(carried.ns).await
        }
        DOWN => send(&mut stream, ns, rate).await,
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Keeps a link of that rate busy for so long, then says that this was all.
async fn send(stream: &mut TcpStream, ns: u64, rate: u64) -> io::Result<()> {
    web::tune(stream)?;
    SockRef::from(&*stream).set_tcp_user_timeout(Some(patience(rate)))?;
    let ahead = (rate / 8 * AHEAD_MS / 1000).clamp(AHEAD_MIN, AHEAD_MAX);
    SockRef::from(&*stream).set_send_buffer_size(usize::try_from(ahead).unwrap_or(usize::MAX))?;
    let end = clock::monotonic() + ns;
    let segments = (ahead / 2 / SEGMENT).clamp(1, SEGMENTS_MAX);
    let chunk = vec![0; usize::try_from(segments * SEGMENT).unwrap_or(READ)];
    while clock::monotonic() < end {
        stream.write_all(&chunk).await?;
    }
    stream.shutdown().await
}

/// Counts what arrives until the other side has no more.
async fn receive(stream: &mut TcpStream, rate: u64) -> io::Result<Carried> {
    let mut buffer = vec![0; READ];
    let mut count = Count::new(settles_in(rate));
    loop {
        let read = tokio::time::timeout(patience(rate), stream.read(&mut buffer));
        match read.await.map_err(|_| io::ErrorKind::TimedOut)?? {
            0 => return Ok(count.carried()),
            bytes => count.arrived(clock::monotonic(), bytes as u64),
        }
    }
}

/// Arrivals, and from which on they count.
#[derive(Debug)]
struct Count {
    /// How long arrivals do not count, ns.
    settle: u64,
    first: Option<u64>,
    from: Option<u64>,
    last: u64,
    bytes: u64,
}

impl Count {
    fn new(settle: u64) -> Self {
        Self { settle, first: None, from: None, last: 0, bytes: 0 }
    }

    fn arrived(&mut self, now: u64, bytes: u64) {
        let first = *self.first.get_or_insert(now);
        if self.from.is_some() {
            self.bytes += bytes;
            self.last = now;
        } else if now - first >= self.settle {
            self.from = Some(now);
            self.last = now;
        }
    }

    fn carried(&self) -> Carried {
        Carried { bytes: self.bytes, ns: self.from.map_or(0, |from| self.last - from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_arrives_after_the_head_start_counts() {
        let settle = 150_000_000;
        let mut count = Count::new(settle);
        // A bucket of 18 kB at once, then 1,448 bytes each 3 ms.
        count.arrived(0, 18_000);
        for packet in 1..=200 {
            count.arrived(packet * 3_000_000, 1448);
        }
        assert_eq!(count.carried(), Carried { bytes: 150 * 1448, ns: 450_000_000 });
        assert_eq!(Count::new(settle).carried(), Carried::default());
    }

    #[test]
    fn the_slowest_link_may_be_tried_to_its_end() {
        const SLOWEST: u64 = 1_000;
        assert!(tried_for(0, SLOWEST) <= LONGEST);
        // A full frame alone is on it for twelve seconds, and a few of them are ahead of it.
        assert!(patience(SLOWEST).as_nanos() > u128::from(carries_in(8 * 1514, SLOWEST)));
        assert!(patience(1_000_000_000) < PATIENCE * 2);
    }
}

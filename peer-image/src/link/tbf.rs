//! The token bucket: how large it and its queue are for a rate, and how `tbf` is written and read on netlink.
//!
//! Pure: it must not know of sockets, interfaces or the order in which things are set up. The layouts are those of
//! `include/uapi/linux/pkt_sched.h`; `netlink-packet-route` has no type for them.
//!
//! # Why the bucket and the queue have the size that they have
//!
//! **The bucket** is what a link that has been silent may send at once, so it is a head start of `burst / rate` on the
//! wire, and it must be small. It must also be large enough for three things:
//!
//! * a whole segmentation-offload packet ([`offload_limit`]): the kernel cuts one that does not fit into frames,
//!   and then the receiver acknowledges every second frame. Measured: acknowledgements of 2.4 % of the bytes with
//!   cut packets, 0.4 % with whole ones of 16 KiB, and that comes out of the receiver's upload;
//! * the lateness of the timer that refills it: what does not fit in while the processor is busy is lost. With three
//!   busy loops for each core, 1 ms of rate lost up to 3.6 %, 2 ms up to 0.9 % and 4 ms up to 0.2 %; idle, even two frames
//!   lost only 0.6 % at 500 mbit. It holds 2 ms of its rate ([`bucket_bytes`]), which is also the head start on a fast link;
//! * two frames: what is larger than the bucket and cannot be cut is dropped.
//!
//! **The queue** is counted in bytes, and it is large enough not to overflow. What is lost at a download queue has
//! already crossed its sender's link and has to cross it again, so a loss there takes from the bound's upload capacity.
//! Measured, 35 flows into 40 mbit: 256 KiB cost 8 % of the senders' bytes, 1 MiB 3 %, 4 MiB nothing, and the flows'
//! shares went from uneven (Jain's index 0.3 to 0.9) to equal (0.999); cubic, reno and bbr alike. On the upload side what
//! would overflow is refused to the local socket, so it costs no bytes, but 35 flows then share as unevenly.
//!
//! A large queue does not mean a long one: the kernel lets a socket have about two offload packets below it (TCP small
//! queues), and on one host that reaches through `veth` and bridge into the receiver's `ifb`. So the wait is about
//! 32 KiB for each flow that sends: 67 ms for one and 0.45 s for eight at 4 mbit, 0.23 s for 35 at 40 mbit. More than
//! some 120 flows at once overflow 4 MiB. Between hosts only the congestion control keeps the download queue short.

use netlink_packet_core::{DefaultNla, Nla as _, NlasIterator};
use netlink_packet_route::tc::{TcAttribute, TcMessage, TcOption, TcStats2};

use crate::event::Queue;
use crate::node::bucket_bytes;

/// Name of the queueing discipline.
pub(super) const KIND: &str = "tbf";

/// `TCA_TBF_PARMS`: a `struct tc_tbf_qopt`.
const PARMS: u16 = 1;
/// `TCA_TBF_RATE64`: bytes/s, where 32 bits do not hold it.
const RATE64: u16 = 4;
/// `TCA_TBF_BURST`: bytes; makes the kernel take the bucket as bytes and need no rate table.
const BURST: u16 = 6;
/// `TCA_STATS_PKT64`: packets, where 32 bits do not hold them.
const PACKETS64: u16 = 8;
/// `TC_LINKLAYER_ETHERNET`: a frame costs its length; without it the kernel asks for a rate table.
const ETHERNET: u8 = 1;
/// Length of `struct tc_tbf_qopt`: two `tc_ratespec` of 12, then limit, buffer and mtu.
const QOPT: usize = 36;
/// `PSCHED_SHIFT` is 6: the kernel counts times of packets in ticks of 64 ns.
const TICK: u128 = 64;

/// Lowest rate, bit/s: below, the time to send the bucket does not fit the kernel's 32 bits of ticks.
const SLOWEST: u64 = 1_000;
/// Bytes of an Ethernet header, which `tbf` counts and an MTU does not.
const ETHERNET_HEADER: u64 = 14;
/// Largest offload packet below [`FAST`], bytes: one BitTorrent block.
const OFFLOAD: u32 = 16 * 1024;
/// Largest offload packet of the kernel's choice, bytes (`GSO_LEGACY_MAX_SIZE`).
pub(super) const OFFLOAD_KERNEL: u32 = 65_536;
/// Bit/s from which the kernel's own offload packet fits the bucket.
const FAST: u64 = 1_000_000_000;
/// A queue holds so many ns of its rate, at the least.
const WAIT: u64 = 400_000_000;
/// A queue holds so many bytes, at the least.
const QUEUE_FLOOR: u64 = 4 << 20;

/// A token bucket with its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Bytes/s: the kernel's unit, so a rate that is no multiple of 8 bit/s is rounded down to one.
    pub(super) bytes_per_s: u64,
    /// Bytes.
    pub(super) burst: u32,
    /// Bytes.
    pub(super) limit: u32,
}

impl Bucket {
    /// The bucket for `rate` bit/s on a link of `mtu` bytes; `None` below [`SLOWEST`].
    ///
    /// Bucket: 18 kB, or 2 ms of the rate, or two frames, whichever is most. That is 36 ms at 4 mbit and 3.6 ms at
    /// 40 mbit: below 0.06 % of the time that 32 MiB take.
    pub(super) fn new(rate: u64, mtu: u32) -> Option<Self> {
        if rate < SLOWEST {
            return None;
        }
        let bytes_per_s = rate / 8;
        let held = |ns: u64| u128::from(bytes_per_s) * u128::from(ns) / 1_000_000_000;
        let frames = 2 * (u64::from(mtu) + ETHERNET_HEADER);
        let burst = u128::from(bucket_bytes(rate).max(frames));
        let limit = held(WAIT).max(u128::from(QUEUE_FLOOR));
        let clamp = |bytes: u128| u32::try_from(bytes).unwrap_or(u32::MAX);
        Some(Self { bytes_per_s, burst: clamp(burst), limit: clamp(limit) })
    }

    /// `TCA_OPTIONS` of a request that makes it.
    pub(super) fn options(&self) -> TcAttribute {
        // The kernel reads RATE64 only where the 32-bit rate says that it does not fit.
        let short = u32::try_from(self.bytes_per_s).unwrap_or(u32::MAX);
        let mut qopt = [0_u8; QOPT];
        qopt[1] = ETHERNET;
        qopt[8..12].copy_from_slice(&short.to_ne_bytes());
        qopt[24..28].copy_from_slice(&self.limit.to_ne_bytes());
        qopt[28..32].copy_from_slice(&self.ticks().to_ne_bytes());
        let mut options = vec![
            TcOption::Other(DefaultNla::new(PARMS, qopt.to_vec())),
            TcOption::Other(DefaultNla::new(BURST, self.burst.to_ne_bytes().to_vec())),
        ];
        if short == u32::MAX {
            options.push(TcOption::Other(DefaultNla::new(RATE64, self.bytes_per_s.to_ne_bytes().to_vec())));
        }
        TcAttribute::Options(options)
    }

    /// Time to send the whole bucket, in the kernel's ticks.
    fn ticks(&self) -> u32 {
        let ns = u128::from(self.burst) * 1_000_000_000 / u128::from(self.bytes_per_s);
        u32::try_from(ns / TICK).unwrap_or(u32::MAX)
    }

    /// What the kernel says that it took; `None` if the message is not of a `tbf` or not whole.
    pub(super) fn read(message: &TcMessage) -> Option<Self> {
        if kind(message) != Some(KIND) {
            return None;
        }
        let nested = message.attributes.iter().find_map(|a| match a {
            // For a kind that it does not know the crate keeps the whole of TCA_OPTIONS as one attribute.
            TcAttribute::Options(options) => options.first(),
            _ => None,
        })?;
        let TcOption::Other(nested) = nested else { return None };
        Self::decode(&nla_value(nested))
    }

    /// From the attributes inside `TCA_OPTIONS`.
    fn decode(nested: &[u8]) -> Option<Self> {
        let (mut short, mut rate64, mut limit, mut ticks) = (None, None, 0, 0);
        for attribute in NlasIterator::new(nested) {
            let attribute = attribute.ok()?;
            let value = attribute.value();
            match attribute.kind() {
                PARMS => {
                    short = Some(u32_at(value, 8)?);
                    limit = u32_at(value, 24)?;
                    ticks = u32_at(value, 28)?;
                }
                RATE64 => rate64 = Some(u64::from_ne_bytes(value.get(..8)?.try_into().ok()?)),
                _ => {}
            }
        }
        let bytes_per_s = rate64.unwrap_or(u64::from(short?));
        // The kernel tells the bucket in ticks, rounded down: to the nearest byte that is what it was told.
        let scaled = u128::from(ticks) * TICK * u128::from(bytes_per_s);
        let burst = u32::try_from((scaled + 500_000_000) / 1_000_000_000).unwrap_or(u32::MAX);
        Some(Self { bytes_per_s, burst, limit })
    }
}

/// Largest offload packet for a link that sends at `up` bit/s, bytes, headers included.
///
/// Below 1 gbit it is 16 KiB, so that it fits the bucket of every other node too, and so that few of them wait: at
/// 4 mbit one flow's own packets wait 67 ms in front of its link, and 237 ms with the kernel's 64 KiB.
pub(super) fn offload_limit(up: u64) -> u32 {
    if up < FAST { OFFLOAD } else { OFFLOAD_KERNEL }
}

/// The kind of a queueing discipline or filter.
pub(super) fn kind(message: &TcMessage) -> Option<&str> {
    message.attributes.iter().find_map(|a| match a {
        TcAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    })
}

/// What the kernel counted on a queueing discipline; `None` if the message carries no `TCA_STATS2`.
pub(super) fn count(message: &TcMessage) -> Option<Queue> {
    let stats = message.attributes.iter().find_map(|a| match a {
        TcAttribute::Stats2(stats) => Some(stats),
        _ => None,
    })?;
    let mut queue = Queue::default();
    for stat in stats {
        match stat {
            TcStats2::Basic(basic) => {
                queue.bytes = basic.bytes;
                // The 64-bit count comes after this one and only where it differs.
                queue.packets = u64::from(basic.packets);
            }
            TcStats2::Queue(waiting) => {
                queue.drops = u64::from(waiting.drops);
                queue.backlog = u64::from(waiting.backlog);
            }
            TcStats2::Other(other) => {
                if let Some(packets) = packets64(other) {
                    queue.packets = packets;
                }
            }
            _ => {}
        }
    }
    Some(queue)
}

fn packets64(attribute: &DefaultNla) -> Option<u64> {
    if attribute.kind() != PACKETS64 {
        return None;
    }
    Some(u64::from_ne_bytes(nla_value(attribute).get(..8)?.try_into().ok()?))
}

/// The value of an attribute that the crate does not know: it shows it only by writing it out.
fn nla_value(attribute: &DefaultNla) -> Vec<u8> {
    let mut value = vec![0; attribute.value_len()];
    attribute.emit_value(&mut value);
    value
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{Emitable as _, Parseable as _};
    use netlink_packet_route::tc::TcHandle;

    use super::*;

    const MTU: u32 = 1500;

    /// What `tc qdisc add … tbf rate 4mbit burst 16384 limit 262144` sends as `TCA_OPTIONS`, without the rate table
    /// and with the `cell_log` and `cell_align` that belong to one cleared.
    const TC_4MBIT: [u8; 48] = [
        0x28, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x20, 0xa1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0,
        0xd0, 7, 0, 0, 0, 0, 0, 8, 0, 6, 0, 0, 0x40, 0, 0,
    ];

    /// What `tc qdisc show` receives for it.
    const KERNEL_4MBIT: [u8; 40] = [
        0x28, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x20, 0xa1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0,
        0xd0, 7, 0, 0, 0, 0, 0,
    ];

    fn written(bucket: Bucket) -> Vec<u8> {
        let TcAttribute::Options(options) = bucket.options() else { panic!("no options") };
        let mut bytes = vec![0; options.as_slice().buffer_len()];
        options.as_slice().emit(&mut bytes);
        bytes
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn options_are_the_bytes_that_tc_sends() {
        let bucket = Bucket { bytes_per_s: 500_000, burst: 16_384, limit: 262_144 };
        assert_eq!(written(bucket), TC_4MBIT);
        assert_eq!(Bucket::decode(&KERNEL_4MBIT), Some(bucket));
    }

    #[test]
    fn a_rate_that_32_bits_do_not_hold_goes_into_the_64_bit_attribute() {
        let bucket = Bucket { bytes_per_s: 5_000_000_000, burst: 10_000_000, limit: 4 << 20 };
        let bytes = written(bucket);
        assert_eq!(bytes[12..16], [0xff; 4], "the 32-bit rate must say that it does not fit");
        assert_eq!(bytes[48..52], [12, 0, RATE64.to_ne_bytes()[0], RATE64.to_ne_bytes()[1]]);
        assert_eq!(bytes[52..60], 5_000_000_000_u64.to_ne_bytes());
        assert_eq!(Bucket::decode(&bytes).map(|b| b.bytes_per_s), Some(5_000_000_000));
        // The largest that fits does without.
        let fits = Bucket { bytes_per_s: u64::from(u32::MAX) - 1, ..bucket };
        assert_eq!(written(fits).len(), TC_4MBIT.len());
    }

    #[test]
    fn the_burst_survives_the_kernels_ticks() {
        for rate in [1_000_000, 4_000_000, 10_000_000, 40_000_000, 100_000_000, 500_000_000] {
            let bucket = Bucket::new(rate, MTU).unwrap();
            let found = Bucket::decode(&written(bucket)).unwrap();
            assert_eq!(found.bytes_per_s, bucket.bytes_per_s);
            assert_eq!(found.limit, bucket.limit);
            assert!(found.burst.abs_diff(bucket.burst) <= 4, "{} for {} at {rate}", found.burst, bucket.burst);
        }
    }

    #[test]
    fn truncated_or_foreign_options_are_not_read_as_a_bucket() {
        for length in 0..KERNEL_4MBIT.len() {
            assert_eq!(Bucket::decode(&KERNEL_4MBIT[..length]), None, "{length} bytes");
        }
        let mut other = TcMessage::with_index(1);
        other.attributes = vec![TcAttribute::Kind("pfifo_fast".to_owned())];
        assert_eq!(Bucket::read(&other), None);
    }

    #[test]
    fn the_bucket_is_small_and_yet_holds_an_offload_packet_and_two_milliseconds() {
        for (rate, burst) in [
            (1_000, 18_000),
            (1_000_000, 18_000),
            (4_000_000, 18_000),
            (40_000_000, 18_000),
            (100_000_000, 25_000),
            (500_000_000, 125_000),
            (1_000_000_000, 250_000),
        ] {
            let bucket = Bucket::new(rate, MTU).unwrap();
            assert_eq!(bucket.burst, burst, "at {rate} bit/s");
            // TCP/IPv4 with timestamps: 66 bytes of headers on each frame's 1448 bytes.
            let frames = offload_limit(rate).div_ceil(1448);
            assert!(offload_limit(rate) + frames * 66 <= bucket.burst, "at {rate} bit/s");
        }
        assert_eq!(Bucket::new(4_000_000, 9_000).unwrap().burst, 18_028, "two jumbo frames");
        assert!(Bucket::new(4_000_000, MTU).unwrap().burst < 33_554, "below 0.1 % of 32 MiB");
    }

    #[test]
    fn the_queue_holds_400_ms_and_at_least_4_mib() {
        assert_eq!(Bucket::new(4_000_000, MTU).unwrap().limit, 4 << 20);
        assert_eq!(Bucket::new(500_000_000, MTU).unwrap().limit, 25_000_000);
        assert_eq!(Bucket::new(u64::MAX, MTU).unwrap().limit, u32::MAX);
    }

    #[test]
    fn a_rate_below_a_kilobit_a_second_has_no_bucket() {
        assert_eq!(Bucket::new(0, MTU), None);
        assert_eq!(Bucket::new(999, MTU), None);
        let slowest = Bucket::new(1_000, MTU).unwrap();
        assert_eq!(slowest.bytes_per_s, 125);
        assert_eq!(Bucket::decode(&written(slowest)).unwrap().burst, slowest.burst);
    }

    #[test]
    fn counts_are_read_from_the_kernels_bytes() {
        // `struct tcmsg` of a root queue, TCA_KIND `tbf`, then TCA_STATS2 with 0x0102 bytes, 3 packets, 4 waiting with
        // 5 bytes, 6 dropped, and 7 << 32 packets in the 64-bit count.
        let mut bytes = vec![0; 12];
        bytes.extend([0xff; 4]);
        bytes.extend([0; 4]);
        bytes.extend([8, 0, 1, 0, b't', b'b', b'f', 0]);
        bytes.extend([60, 0, 7, 0]);
        bytes.extend([20, 0, 1, 0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([12, 0, 8, 0, 0, 0, 0, 0, 7, 0, 0, 0]);
        bytes.extend([24, 0, 3, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let message = TcMessage::parse(&bytes).unwrap();
        assert_eq!(message.header.parent, TcHandle::ROOT);
        assert_eq!(kind(&message), Some(KIND));
        assert_eq!(count(&message), Some(Queue { bytes: 0x0102, packets: 7 << 32, drops: 6, backlog: 5, rate: 0 }));
        assert_eq!(count(&TcMessage::with_index(1)), None);
    }
}

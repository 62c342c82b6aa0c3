//! Why a trial is not to be believed, with the number that says so.

use std::fmt;

use super::checks::apart;
use super::findings::Direction;
use super::identity;
use super::load::STRETCH_S;

/// Why a trial is not to be believed.
#[derive(Debug, Clone, PartialEq)]
pub enum Invalid {
    /// D is below the bound: a mistake until shown otherwise.
    BelowBound {
        /// D, seconds.
        measured: f64,
        /// The bound at link rate, seconds.
        bound: f64,
        /// How much sooner the links' token buckets let it be, seconds.
        head_start: f64,
    },
    /// A link carried something else than its rate when it was tried.
    LinkOff {
        /// The node.
        node: String,
        /// Which direction.
        direction: Direction,
        /// What the plan says, bit/s.
        planned: u64,
        /// What it carried, headers included, bit/s.
        carried: f64,
    },
    /// A link's rate in the kernel is not the plan's, or did not stay it.
    LinkChanged {
        /// The node.
        node: String,
        /// Which direction.
        direction: Direction,
        /// What the plan says, bit/s; `None`: it was to be unshaped.
        planned: Option<u64>,
        /// What the kernel said, bit/s; `None`: unshaped.
        kernel: Option<u64>,
    },
    /// A link carried more than its rate allows.
    CarriedMore {
        /// The node.
        node: String,
        /// Which direction.
        direction: Direction,
        /// What the plan says, bit/s.
        planned: u64,
        /// What it carried on average, bit/s.
        carried: f64,
    },
    /// More of the file came or went than passed the link: some of it was not shaped.
    Bypassed {
        /// The node.
        node: String,
        /// Which direction.
        direction: Direction,
        /// File bytes that it sent or received.
        file: u64,
        /// Bytes that its link carried meanwhile, headers included.
        link: u64,
    },
    /// The host had too little of something.
    Host {
        /// Of what.
        what: Load,
        /// The share.
        share: f64,
        /// Its limit.
        limit: f64,
    },
    /// The kernel kept a node off the processors.
    Throttled {
        /// The node.
        node: String,
        /// For so long, seconds.
        seconds: f64,
    },
    /// A node was ready to run and waited for a processor.
    Waited {
        /// The node.
        node: String,
        /// In this share of a stretch.
        share: f64,
        /// Its limit.
        limit: f64,
    },
    /// A node's process stood still.
    Stalled {
        /// The node.
        node: String,
        /// For so long, seconds.
        seconds: f64,
    },
    /// A node's process stood still several times in a short while.
    StalledOften {
        /// The node.
        node: String,
        /// For so long together, seconds.
        seconds: f64,
    },
    /// A node that was to be there to the end was not heard of any more.
    Silent {
        /// The node.
        node: String,
        /// Its last line, seconds after the common start.
        last: f64,
    },
    /// A node's process ended that nobody had planned to end, and the others went on without it.
    Died {
        /// The node.
        node: String,
        /// How, with its last line.
        how: String,
    },
    /// More of the reason before.
    More {
        /// How many.
        reasons: usize,
    },
    /// Nodes did not begin together.
    StartSkew {
        /// Lateness of the last, seconds.
        seconds: f64,
        /// Its limit, seconds.
        limit: f64,
    },
    /// Events of the schedule could not be carried out.
    ChurnFailed {
        /// How many.
        events: u32,
    },
    /// An event of the schedule came too late.
    ChurnLate {
        /// The largest lateness, seconds.
        seconds: f64,
        /// Its limit, seconds.
        limit: f64,
    },
    /// The host's wall clock jumped.
    ClockStepped {
        /// By so much, seconds.
        seconds: f64,
    },
    /// The trial failed before its common start: nothing of the swarm was seen.
    NotStarted {
        /// Why, with the nodes' names.
        reason: String,
    },
    /// The kernel killed a node for its memory.
    OutOfMemory {
        /// The node.
        node: String,
    },
    /// The host's table of Ethernet neighbours had no room.
    NeighboursFull {
        /// How often.
        times: u64,
    },
    /// Two clocks have one name.
    ClocksDiffer {
        /// Whose clock is not the gate's, though it is called the same.
        node: String,
        /// The gate's clock minus the node's, seconds.
        apart: f64,
        /// What both are called: boot id and time namespace.
        name: String,
    },
    /// A node's clock is not known well enough.
    ClockUnsure {
        /// The node.
        node: String,
        /// The error of its offset, seconds.
        error: f64,
    },
    /// Somebody took part who is no node of the plan.
    Stranger {
        /// Where from.
        address: String,
        /// File bytes that nodes sent there.
        sent: u64,
        /// File bytes that nodes received from there.
        received: u64,
    },
    /// The log is not whole.
    LinesLost {
        /// Lines that are missing.
        lines: u64,
    },
    /// A node's output could no longer be followed.
    Unfollowed {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// What one node says it sent is not what the other says it received.
    NotConserved {
        /// Who sent.
        from: String,
        /// Who received.
        to: String,
        /// File bytes sent, as the sender says.
        sent: u64,
        /// File bytes received, as the receiver says.
        received: u64,
    },
}

/// What a host can have too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Load {
    /// Processor time.
    Busy,
    /// Processor time in soft interrupts.
    Softirq,
    /// Processor time that the hypervisor took.
    Steal,
    /// Memory: time in which some process waited for it.
    Memory,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mbit = |rate: f64| rate / 1e6;
        match self {
            Self::BelowBound { measured, bound, head_start } => write!(
                f,
                "measured {measured:.3} s is below the bound of {bound:.3} s, by more than the {:.1} ms that full \
                 token buckets give: no link can do that, so it is a mistake until shown otherwise",
                head_start * 1e3
            ),
            Self::LinkOff { node, direction, planned, carried } => {
                let (planned, carried) = (mbit(*planned as f64), mbit(*carried));
                let off = (carried / planned - 1.0) * 100.0;
                write!(
                    f,
                    "`{node}`'s {direction} carried {carried:.3} mbit/s when it was tried, the plan says \
                     {planned:.3} ({off:+.1} %)"
                )
            }
            Self::LinkChanged { node, direction, planned, kernel } => {
                let words = |rate: &Option<u64>| rate.map_or("unshaped".to_owned(), |rate| format!("{rate} bit/s"));
                let (planned, kernel) = (words(planned), words(kernel));
                write!(f, "`{node}`'s {direction} was {kernel} in the kernel, the plan says {planned}")
            }
            Self::Bypassed { node, direction, file, link } => {
                let did = match direction {
                    Direction::Up => "sent",
                    Direction::Down => "received",
                };
                write!(
                    f,
                    "`{node}` {did} {file} bytes of the file, and its {direction} link carried only {link}: the rest \
                     bypassed it"
                )
            }
            Self::CarriedMore { node, direction, planned, carried } => write!(
                f,
                "`{node}`'s {direction} carried {:.3} mbit/s on average, more than its {:.3}",
                mbit(*carried),
                mbit(*planned as f64)
            ),
            Self::Host { what, share, limit } => {
                let (share, limit) = (share * 100.0, limit * 100.0);
                let (whole, tenths) = (apart(share, limit, 0), apart(share, limit, 1));
                match what {
                    Load::Busy => write!(f, "the host's processors were {whole} % busy for {STRETCH_S} s")?,
                    Load::Softirq => {
                        write!(f, "soft interrupts took {whole} % of the host's processors for {STRETCH_S} s")?;
                    }
                    Load::Steal => write!(f, "the hypervisor took {tenths} % of the host's processors")?,
                    Load::Memory => write!(f, "processes waited for memory in {tenths} % of the time")?,
                }
                write!(f, ", the limit is {limit:.0} %")
            }
            Self::Throttled { node, seconds } => {
                write!(f, "the kernel kept `{node}` off the processors for {seconds:.3} s")
            }
            Self::Waited { node, share, limit } => write!(
                f,
                "`{node}` was ready and waited for a processor in {:.0} % of {STRETCH_S} s, the limit is {:.0} %",
                share * 100.0,
                limit * 100.0
            ),
            Self::Stalled { node, seconds } => write!(f, "`{node}` stood still for {seconds:.2} s"),
            Self::StalledOften { node, seconds } => {
                write!(f, "`{node}` stood still for {seconds:.2} s of {STRETCH_S} s, in several stops")
            }
            Self::Silent { node, last } => {
                write!(f, "`{node}` was not heard of after {last:.2} s, and was to be there to the end")
            }
            Self::Died { node, how } => write!(f, "`{node}` died, and the others went on without it: {how}"),
            Self::StartSkew { seconds, limit } => write!(
                f,
                "the last node began {} ms after the common start, the limit is {:.0} ms",
                apart(seconds * 1e3, limit * 1e3, 1),
                limit * 1e3
            ),
            Self::More { reasons } => write!(f, "the same {reasons} times more"),
            Self::ChurnFailed { events } => {
                let what = if *events == 1 { "event of the schedule" } else { "events of the schedule" };
                write!(f, "{events} {what} could not be carried out (`churn.csv` has why)")
            }
            Self::ChurnLate { seconds, limit } => {
                let late = apart(*seconds, *limit, 2);
                write!(f, "a planned departure or return came {late} s late, the limit is {limit} s")
            }
            Self::ClockStepped { seconds } => write!(f, "the host's clock jumped by {seconds:+.3} s"),
            Self::NotStarted { reason } => write!(f, "it never came to the common start: {reason}"),
            Self::OutOfMemory { node } => write!(f, "the kernel killed `{node}` for its memory"),
            Self::NeighboursFull { times } => write!(
                f,
                "the host's table of Ethernet neighbours, which all on it share, had no room {times} times (hint: \
                 `sudo sysctl -w net.ipv4.neigh.default.gc_thresh3=16384`)"
            ),
            Self::ClocksDiffer { node, apart, name } => {
                write!(f, "`{node}`'s clock and the gate's are both called {name}, and are {apart:.3} s apart")
            }
            Self::ClockUnsure { node, error } => {
                let limit = identity::CLOCK_ERROR_S * 1e3;
                write!(f, "`{node}`'s clock is known to within {:.1} ms only, the limit is {limit:.0} ms", error * 1e3)
            }
            Self::Stranger { address, sent, received } => write!(
                f,
                "`{address}` is no node of the plan, and nodes sent {sent} bytes of the file to it and received {received} \
                 from it"
            ),
            Self::LinesLost { lines } => write!(f, "{lines} lines are missing from the log"),
            Self::Unfollowed { node, reason } => write!(f, "the output of `{node}` was lost: {reason}"),
            Self::NotConserved { from, to, sent, received } => {
                write!(f, "`{from}` sent {sent} bytes to `{to}`, which received {received}")
            }
        }
    }
}

impl Invalid {
    /// Whether it is why a trial failed, and not merely what was wrong beside: then not the swarm failed.
    pub(super) fn is_of_the_infrastructure(&self) -> bool {
        matches!(self, Self::NotStarted { .. } | Self::OutOfMemory { .. })
    }
}

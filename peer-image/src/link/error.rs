//! What can go wrong with a link, and the cure.
//!
//! The kernel answers with a number; [`LinkError::refused`] turns it, with what was being done, into what is missing.
//! It must not know how a request is made.

use std::fmt;
use std::io;

/// `EPERM`: the capability is missing.
const EPERM: i32 = 1;
/// `ENOENT`: no such kind of queueing discipline, filter or action.
const ENOENT: i32 = 2;
/// `EACCES`: as [`EPERM`], from a security module.
const EACCES: i32 = 13;
/// `EOPNOTSUPP`: no such kind of interface, or a feature that was left out of the kernel.
const EOPNOTSUPP: i32 = 95;

/// Why a link could not be shaped or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The process lacks the capability NET_ADMIN.
    #[error(
        "not permitted to {doing} (hint: the engine refuses NET_ADMIN; start the container with `--cap-add NET_ADMIN`, \
         and look for a security profile or a rootless engine that takes it away)"
    )]
    NotPermitted {
        /// What was refused.
        doing: Doing,
    },
    /// The kernel was built without a part, or its module is not loaded.
    #[error("the kernel has no {part}: it cannot {doing} (hint: on the engine's host run `{cure}`)")]
    Missing {
        /// What is missing.
        part: Part,
        /// What it was needed for.
        doing: Doing,
        /// The command that loads it.
        cure: &'static str,
    },
    /// The kernel refused for another reason.
    #[error("the kernel refuses to {doing}")]
    Kernel {
        /// What was refused.
        doing: Doing,
        /// Its error number.
        source: io::Error,
    },
    /// An answer that is no answer to what was asked.
    #[error("cannot {doing}: {what}")]
    Protocol {
        /// What was being done.
        doing: Doing,
        /// What came instead.
        what: String,
    },
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Socket(#[source] io::Error),
    /// There is no such interface, or none with an IPv4 address.
    #[error("no interface {} (hint: is the container attached to a network?)", described(.wanted.as_deref()))]
    NoInterface {
        /// The name that was asked for, if any was.
        wanted: Option<String>,
    },
    /// A rate that is too low to be shaped.
    #[error("a link of {rate} bit/s is too slow to be shaped (hint: at least `1 kbit`)")]
    Rate {
        /// The rate, bit/s.
        rate: u64,
    },
    /// The kernel took another rate than the one that was asked for.
    #[error("asked `{interface}` for {asked} bit/s and the kernel took {took} bit/s")]
    Mismatch {
        /// The interface whose bucket it is.
        interface: String,
        /// Rate that was asked for, bit/s, in whole bytes.
        asked: u64,
        /// Rate that was read back, bit/s.
        took: u64,
    },
    /// The queue that was made, or that is to be counted, is not there.
    #[error("`{interface}` has no token bucket: somebody removed or replaced it")]
    Unshaped {
        /// The interface.
        interface: String,
    },
    /// No IPv4 route leads over the interface, so congestion control cannot be set on it.
    #[error("no IPv4 route leads over `{interface}`: its congestion control cannot be set (hint: use `system`)")]
    NoRoute {
        /// The interface.
        interface: String,
    },
    /// The kernel does not know the congestion control.
    #[error("unknown congestion control `{asked}` (hint: this kernel has {}, or `system` for its default)", listed(.available))]
    Congestion {
        /// What was asked for.
        asked: String,
        /// What the kernel has.
        available: Vec<String>,
    },
    /// Set, but a connection got another one.
    #[error("asked for congestion control `{asked}` and a connection got `{found}` (hint: this kernel has {})", listed(.available))]
    CongestionNotTaken {
        /// What was asked for.
        asked: String,
        /// What the socket says.
        found: String,
        /// What the kernel has.
        available: Vec<String>,
    },
    /// Congestion control could not be read from a socket.
    #[error("cannot read the congestion control of a connection over `{interface}`")]
    Probe {
        /// The interface.
        interface: String,
        /// Why.
        source: io::Error,
    },
}

/// What was being done when something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// Reading interfaces, addresses, routes or queues.
    List,
    /// Removing what an earlier run left.
    Clear,
    /// Limiting the interface's offload packets.
    Offload,
    /// Making the `tbf`.
    Bucket,
    /// Making the `ifb` interface.
    Mirror,
    /// Making the ingress queue.
    Ingress,
    /// Making the filter that redirects what arrives.
    Redirect,
    /// Setting congestion control on a route.
    Congestion,
    /// Naming the other nodes' Ethernet addresses.
    Pin,
    /// Taking the interface down or up.
    Cut,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "read the interface's state",
            Self::Clear => "remove an earlier shaping",
            Self::Offload => "limit the interface's offload packets",
            Self::Bucket => "shape with `tbf`",
            Self::Mirror => "make an `ifb` interface for downloads",
            Self::Ingress => "queue what arrives with `ingress`",
            Self::Redirect => "redirect what arrives with `u32` and `mirred`",
            Self::Congestion => "set congestion control on a route",
            Self::Pin => "enter the other nodes' Ethernet addresses",
            Self::Cut => "take the interface down or up",
        })
    }
}

/// A part of the kernel that shaping needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Token bucket filter.
    Tbf,
    /// Intermediate functional block, the interface that downloads pass through.
    Ifb,
    /// Ingress queueing discipline.
    Ingress,
    /// The classifier or the action: the kernel's answer does not say which.
    U32OrMirred,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tbf => "`tbf`",
            Self::Ifb => "`ifb`",
            Self::Ingress => "`ingress`",
            Self::U32OrMirred => "`u32` or no `mirred`",
        })
    }
}

impl LinkError {
    /// What the kernel's `errno` (positive) means for what was being done.
    pub(super) fn refused(doing: Doing, errno: i32) -> Self {
        match errno {
            EPERM | EACCES => Self::NotPermitted { doing },
            ENOENT | EOPNOTSUPP => match lacking(doing) {
                Some((part, cure)) => Self::Missing { part, doing, cure },
                None => Self::Kernel { doing, source: io::Error::from_raw_os_error(errno) },
            },
            _ => Self::Kernel { doing, source: io::Error::from_raw_os_error(errno) },
        }
    }

    /// The same, from the netlink library's error.
    pub(super) fn netlink(doing: Doing, error: &rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(message) => Self::refused(doing, message.raw_code().abs()),
            other => Self::Protocol { doing, what: other.to_string() },
        }
    }
}

/// Which part of the kernel is not there when that fails for want of something, and what loads it.
fn lacking(doing: Doing) -> Option<(Part, &'static str)> {
    match doing {
        Doing::Bucket => Some((Part::Tbf, "modprobe sch_tbf")),
        Doing::Mirror => Some((Part::Ifb, "modprobe ifb numifbs=0")),
        Doing::Ingress => Some((Part::Ingress, "modprobe sch_ingress")),
        Doing::Redirect => Some((Part::U32OrMirred, "modprobe -a cls_u32 act_mirred")),
        Doing::List | Doing::Clear | Doing::Offload | Doing::Congestion | Doing::Pin | Doing::Cut => None,
    }
}

fn described(name: Option<&str>) -> String {
    name.map_or_else(|| "with an IPv4 address".to_owned(), |name| format!("`{name}`"))
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EINVAL: i32 = 22;

    #[test]
    fn a_missing_capability_is_told_from_a_missing_module() {
        for doing in [Doing::Bucket, Doing::Mirror, Doing::Ingress, Doing::Redirect, Doing::Congestion, Doing::Clear] {
            let error = LinkError::refused(doing, EPERM);
            assert!(matches!(error, LinkError::NotPermitted { doing: d } if d == doing), "{error}");
            assert!(error.to_string().contains("NET_ADMIN"), "{error}");
        }
    }

    #[test]
    fn a_missing_part_is_named_with_the_command_that_loads_it() {
        for (doing, errno, name, cure) in [
            (Doing::Bucket, ENOENT, "`tbf`", "modprobe sch_tbf"),
            (Doing::Mirror, EOPNOTSUPP, "`ifb`", "modprobe ifb numifbs=0"),
            (Doing::Ingress, ENOENT, "`ingress`", "modprobe sch_ingress"),
            (Doing::Ingress, EOPNOTSUPP, "`ingress`", "modprobe sch_ingress"),
            (Doing::Redirect, ENOENT, "`u32`", "modprobe -a cls_u32 act_mirred"),
        ] {
            let error = LinkError::refused(doing, errno);
            assert!(matches!(error, LinkError::Missing { .. }), "{error}");
            let message = error.to_string();
            assert!(message.contains(name) && message.contains(cure), "{message}");
        }
    }

    #[test]
    fn any_other_refusal_keeps_the_kernels_number() {
        for (doing, errno) in [(Doing::Bucket, EINVAL), (Doing::List, ENOENT), (Doing::Congestion, EINVAL)] {
            let error = LinkError::refused(doing, errno);
            let LinkError::Kernel { source, .. } = error else { panic!("{error}") };
            assert_eq!(source.raw_os_error(), Some(errno));
        }
    }

    #[test]
    fn an_unknown_congestion_control_is_refused_with_those_that_there_are() {
        let error =
            LinkError::Congestion { asked: "vegas".to_owned(), available: vec!["reno".to_owned(), "bbr".to_owned()] };
        assert_eq!(
            error.to_string(),
            "unknown congestion control `vegas` (hint: this kernel has `reno`, `bbr`, or `system` for its default)"
        );
    }
}

//! Giving up every capability, for good, once the link is shaped.
//!
//! It must not know what they were needed for.
//!
//! The process stays uid 0 of its container: to become another user it would need CAP_SETUID, and it is given
//! NET_ADMIN alone. Uid 0 without capabilities is an ordinary user who owns root's files, and `no_new_privs` keeps
//! whatever it executes from gaining any back.

use std::io;

use caps::CapSet;
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

/// This thread's sets, as the kernel tells them.
const STATUS: &str = "/proc/thread-self/status";
/// Highest number that a capability can have: they are bits of 64.
const MOST: u32 = 63;

/// Why the capabilities could not be given up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// Other threads would keep theirs.
    #[error("cannot drop capabilities: {threads} threads run, and each has its own")]
    Threads {
        /// How many.
        threads: u64,
    },
    /// The kernel refused to clear a set.
    #[error("cannot clear the {set} capabilities")]
    Clear {
        /// Which set.
        set: &'static str,
        /// Why.
        source: caps::errors::CapsError,
    },
    /// The kernel refused a request about the bounding set or `no_new_privs`.
    #[error("cannot {doing}")]
    Kernel {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// `/proc` cannot be read.
    #[error("cannot read `{STATUS}`")]
    Read(#[source] io::Error),
    /// A line that every kernel writes is not there or is no number.
    #[error("`{STATUS}` has no readable `{field}`")]
    Status {
        /// Which line.
        field: &'static str,
    },
    /// They were cleared, and are still there.
    #[error("capabilities are left after dropping them: `{field}` is {value:#x}")]
    Left {
        /// Which set, as `/proc` names it.
        field: &'static str,
        /// Its bits.
        value: u64,
    },
}

/// What could not be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The bounding set that is left, as bits. To shrink it needs CAP_SETPCAP, which a container with NET_ADMIN alone
    /// lacks. It is a ceiling for what `execve` may give, and `no_new_privs` lets that give nothing.
    pub bounding: u64,
}

/// Gives up all capabilities of the process: effective, permitted, inheritable, ambient and, where it may, bounding;
/// and forbids itself and its children to gain any. Verified against `/proc`.
///
/// Capabilities belong to threads, and this reaches the calling one alone, so call it while there is no other: before a
/// runtime with workers is built, and before anything blocking was handed to one.
///
/// # Errors
///
/// [`PrivilegeError::Threads`] if there are other threads (then nothing was changed); the others if the kernel refused or
/// something is left.
pub fn drop_all() -> Result<Dropped, PrivilegeError> {
    let threads = decimal(&status()?, "Threads")?;
    if threads != 1 {
        return Err(PrivilegeError::Threads { threads });
    }
    drop_of_thread()
}

/// The same for the calling thread, whatever others there are: for a process in which one keeps what it needs.
///
/// # Errors
///
/// As [`drop_all`], but for [`PrivilegeError::Threads`].
pub fn drop_of_thread() -> Result<Dropped, PrivilegeError> {
    // First, while CAP_SETPCAP may still be there.
    shrink_bounding()?;
    // Emptying the permitted set empties the effective one with it.
    for (set, name) in
        [(CapSet::Ambient, "ambient"), (CapSet::Inheritable, "inheritable"), (CapSet::Permitted, "permitted")]
    {
        caps::clear(None, set).map_err(|source| PrivilegeError::Clear { set: name, source })?;
    }
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| PrivilegeError::Kernel { doing: "set `no_new_privs`", source: errno.into() })?;
    verify(&status()?)
}

/// Gives up all capabilities of the calling thread but NET_ADMIN, and forbids it to gain any.
///
/// # Errors
///
/// If the kernel refused.
pub fn keep_net_admin() -> Result<(), PrivilegeError> {
    shrink_bounding()?;
    for (set, name) in [(CapSet::Ambient, "ambient"), (CapSet::Inheritable, "inheritable")] {
        caps::clear(None, set).map_err(|source| PrivilegeError::Clear { set: name, source })?;
    }
    let kept = caps::CapsHashSet::from([caps::Capability::CAP_NET_ADMIN]);
    for (set, name) in [(CapSet::Effective, "effective"), (CapSet::Permitted, "permitted")] {
        caps::set(None, set, &kept).map_err(|source| PrivilegeError::Clear { set: name, source })?;
    }
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| PrivilegeError::Kernel { doing: "set `no_new_privs`", source: errno.into() })
}

/// Takes what it may out of the bounding set: all with CAP_SETPCAP, nothing without.
fn shrink_bounding() -> Result<(), PrivilegeError> {
    let refused = |errno: Errno| PrivilegeError::Kernel { doing: "shrink the bounding set", source: errno.into() };
    // By number, so that capabilities which no library knows yet go too.
    for capability in (0..=MOST).map(|n| CapabilitySet::from_bits_retain(1 << n)) {
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => {}
            Ok(false) => continue,
            // Past the last one that this kernel has.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(refused(errno)),
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(Errno::PERM) => break,
            Err(errno) => return Err(refused(errno)),
        }
    }
    Ok(())
}

/// Whether a `/proc/…/status` shows that nothing is left.
fn verify(status: &str) -> Result<Dropped, PrivilegeError> {
    for field in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        let value = hexadecimal(status, field)?;
        if value != 0 {
            return Err(PrivilegeError::Left { field, value });
        }
    }
    if decimal(status, "NoNewPrivs")? != 1 {
        return Err(PrivilegeError::Status { field: "NoNewPrivs" });
    }
    Ok(Dropped { bounding: hexadecimal(status, "CapBnd")? })
}

fn status() -> Result<String, PrivilegeError> {
    std::fs::read_to_string(STATUS).map_err(PrivilegeError::Read)
}

fn decimal(status: &str, field: &'static str) -> Result<u64, PrivilegeError> {
    value(status, field).and_then(|text| text.parse().ok()).ok_or(PrivilegeError::Status { field })
}

fn hexadecimal(status: &str, field: &'static str) -> Result<u64, PrivilegeError> {
    value(status, field).and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(PrivilegeError::Status { field })
}

fn value<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "Name:\tagent\nThreads:\t1\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
        CapEff:\t0000000000000000\nCapBnd:\t0000000000001000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

    #[test]
    fn a_process_without_capabilities_passes_and_its_bounding_set_is_told() {
        assert_eq!(verify(CLEAN).unwrap(), Dropped { bounding: 1 << 12 });
        assert_eq!(decimal(CLEAN, "Threads").unwrap(), 1);
    }

    #[test]
    fn one_capability_left_in_any_set_is_an_error_that_names_the_set() {
        for field in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            let status = CLEAN.replace(&format!("{field}:\t0000000000000000"), &format!("{field}:\t0000000000001000"));
            let error = verify(&status).unwrap_err();
            assert!(matches!(error, PrivilegeError::Left { field: f, value: 0x1000 } if f == field), "{error}");
        }
    }

    #[test]
    fn a_status_without_the_sets_is_an_error_not_a_pass() {
        assert!(matches!(verify("Name:\tagent\n"), Err(PrivilegeError::Status { field: "CapEff" })));
        assert!(matches!(
            verify(&CLEAN.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0")),
            Err(PrivilegeError::Status { field: "NoNewPrivs" })
        ));
    }

    #[test]
    fn a_process_with_threads_is_refused_and_keeps_what_it_has() {
        // The test harness has a main thread beside this one.
        let before = value(&status().unwrap(), "CapEff").map(str::to_owned);
        let error = drop_all().unwrap_err();
        assert!(matches!(error, PrivilegeError::Threads { threads } if threads > 1), "{error}");
        assert_eq!(value(&status().unwrap(), "CapEff").map(str::to_owned), before);
    }

    #[test]
    fn a_thread_that_dropped_all_has_none_and_its_children_gain_none() {
        // Capabilities belong to threads: the harness's others keep theirs.
        let child = std::thread::spawn(|| {
            drop_of_thread().unwrap();
            drop_of_thread().unwrap();
            std::process::Command::new("cat").arg("/proc/self/status").output().unwrap()
        });
        let output = child.join().unwrap();
        verify(&String::from_utf8(output.stdout).unwrap()).unwrap();
    }
}

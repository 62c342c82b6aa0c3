//! Who made a container or a network, and whether that process still lives: the label `harness.owner`.
//!
//! A run that is still alive must not lose what it made to another run's cleaning. A process is named by the boot of
//! its machine, its PID namespace, its PID and its start time, so that no reused PID passes for it.

use std::path::Path;

/// The label's key.
pub(super) const LABEL: &str = "harness.owner";

/// A process on some machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    boot: String,
    namespace: String,
    pid: u32,
    started: u64,
}

/// What can be said of an owner from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It runs.
    Alive,
    /// It ended.
    Dead,
    /// It is, or was, on another machine or before this machine's last boot, or in another PID namespace.
    Elsewhere,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}:{}", self.boot, self.namespace, self.pid, self.started)
    }
}

impl Owner {
    /// This process.
    pub(super) fn this_process() -> Self {
        let pid = std::process::id();
        Self {
            boot: read("/proc/sys/kernel/random/boot_id"),
            namespace: namespace(),
            pid,
            started: started(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default()).unwrap_or_default(),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the owner that a label names still lives, seen from `self`.
    pub(super) fn standing(&self, label: &str) -> Standing {
        let Some(owner) = parse(label) else { return Standing::Elsewhere };
        // A machine that cannot say which boot this is can vouch for nobody.
        if self.boot.is_empty() || owner.boot != self.boot || owner.namespace != self.namespace {
            return Standing::Elsewhere;
        }
        let stat = Path::new("/proc").join(owner.pid.to_string()).join("stat");
        match std::fs::read_to_string(stat) {
            Ok(stat) if started(&stat) == Some(owner.started) => Standing::Alive,
            Ok(_) => Standing::Dead,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Standing::Dead,
            Err(_) => Standing::Elsewhere,
        }
    }
}

fn parse(label: &str) -> Option<Owner> {
    let mut parts = label.split(':');
    let owner = Owner {
        boot: parts.next()?.to_owned(),
        namespace: parts.next()?.to_owned(),
        pid: parts.next()?.parse().ok()?,
        started: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(owner)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The inode of this process's PID namespace: `pid:[4026531836]` without what surrounds the number.
fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

/// When a process started, in clock ticks after the boot: the 22nd field of `/proc/PID/stat`. The second, its name, is
/// in parentheses and may hold anything, so counting begins after the last of them.
fn started(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive() {
        let me = Owner::this_process();
        assert_eq!(parse(&me.to_string()), Some(me.clone()));
        assert_eq!(me.standing(&me.to_string()), Standing::Alive);
    }

    #[test]
    fn a_reused_pid_is_somebody_else() {
        let me = Owner::this_process();
        let before = Owner { started: me.started - 1, ..me.clone() };
        assert_eq!(me.standing(&before.to_string()), Standing::Dead);
        let gone = Owner { pid: u32::MAX, ..me.clone() };
        assert_eq!(me.standing(&gone.to_string()), Standing::Dead);
    }

    #[test]
    fn another_machine_and_nonsense_are_elsewhere() {
        let me = Owner::this_process();
        let other = Owner { boot: "0c6c8d1e".into(), ..me.clone() };
        for label in [other.to_string().as_str(), "", "a:b", "a:b:c:d", "a:b:1:2:3"] {
            assert_eq!(me.standing(label), Standing::Elsewhere, "{label}");
        }
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_start_time() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(started(stat), Some(4242));
    }
}

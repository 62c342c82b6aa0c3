//! Who made a container or a network, and whether that process still lives: the label `harness.owner`.
//!
//! A run that is still alive must not lose what it made to another run's cleaning. A process is named by the boot of
//! its machine, its PID namespace, its PID and its start time, so that no reused PID passes for it. Two controllers may be
//! process 1 of different containers: from one of them the other cannot be seen, but from the machine both can.

use std::path::Path;

/// The label's key.
pub(super) const LABEL: &str = "harness.owner";
/// Number of the PID namespace that a machine boots with (`PROC_PID_INIT_INO` of the kernel): all processes are in it.
const WHOLE_MACHINE: &str = "4026531836";

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
    /// It is, or was, on another machine or before this machine's last boot, or in a PID namespace that cannot be seen
    /// from here.
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

    /// Whether the owner that a label names still lives, seen from `self`.
    pub(super) fn standing(&self, label: &str) -> Standing {
        let Some(owner) = parse(label) else { return Standing::Elsewhere };
        // A machine that cannot say which boot this is can vouch for nobody.
        if self.boot.is_empty() || owner.boot != self.boot {
            return Standing::Elsewhere;
        }
        // A `/proc` of another PID namespace shows other processes under these numbers.
        let shown = std::fs::read_link("/proc/self").ok();
        if shown.as_deref() != Some(Path::new(&self.pid.to_string())) {
            return if owner == *self { Standing::Alive } else { Standing::Elsewhere };
        }
        if owner.namespace != self.namespace {
            return match seen(Path::new("/proc"), &owner) {
                Some(true) => Standing::Alive,
                Some(false) if self.namespace == WHOLE_MACHINE => Standing::Dead,
                Some(false) | None => Standing::Elsewhere,
            };
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

/// Whether a process of another PID namespace is among those that this `/proc` shows, which are those of its own namespace
/// and of all below it; `None` if it may be one that nobody lets us look at.
fn seen(proc: &Path, owner: &Owner) -> Option<bool> {
    // A `/proc` that hides others' processes hides the first one too.
    let mut hidden = !proc.join("1/stat").exists();
    for entry in std::fs::read_dir(proc).ok()?.flatten() {
        let (name, dir) = (entry.file_name(), entry.path());
        if !name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        // These two everybody may read; which namespace it is in, only who might trace it.
        let read = |file: &str| std::fs::read_to_string(dir.join(file));
        match read("status").and_then(|status| Ok((status, read("stat")?))) {
            Ok((status, stat)) if innermost(&status) == Some(owner.pid) && started(&stat) == Some(owner.started) => {}
            Ok(_) => continue,
            Err(error) => {
                hidden |= !has_gone(&error);
                continue;
            }
        }
        match std::fs::read_link(dir.join("ns/pid")) {
            Ok(link) if number(&link) == owner.namespace => return Some(true),
            Ok(_) => {}
            Err(error) => hidden |= !has_gone(&error),
        }
    }
    if hidden { None } else { Some(false) }
}

/// Whether a process ended before it could be looked at.
fn has_gone(error: &std::io::Error) -> bool {
    let gone = [rustix::io::Errno::NOENT, rustix::io::Errno::SRCH];
    gone.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A process's number in its own PID namespace: the last of the line `NSpid` of `/proc/PID/status`.
fn innermost(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
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
    number(&std::fs::read_link("/proc/self/ns/pid").unwrap_or_default())
}

fn number(link: &Path) -> String {
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

    /// Puts a process into a `/proc`.
    fn put(proc: &Path, owner: &Owner, number: u32) {
        let dir = proc.join(number.to_string());
        std::fs::create_dir_all(dir.join("ns")).unwrap();
        std::os::unix::fs::symlink(format!("pid:[{}]", owner.namespace), dir.join("ns/pid")).unwrap();
        std::fs::write(dir.join("status"), format!("Pid:\t{number}\nNSpid:\t{number}\t{}\n", owner.pid)).unwrap();
        let fields = "0 ".repeat(18);
        std::fs::write(dir.join("stat"), format!("{number} (harness) S {fields}{} 0 0\n", owner.started)).unwrap();
    }

    #[test]
    fn process_1_of_a_container_is_found_from_the_machine_and_told_from_process_1_of_another() {
        let owner = Owner { boot: "b".into(), namespace: "4026532299".into(), pid: 1, started: 4242 };
        let root = tempfile::tempdir().unwrap();
        put(root.path(), &Owner { namespace: WHOLE_MACHINE.into(), started: 1, ..owner.clone() }, 1);
        put(root.path(), &owner, 777);
        assert_eq!(seen(root.path(), &owner), Some(true));
        let other = Owner { namespace: "4026532300".into(), ..owner.clone() };
        assert_eq!(seen(root.path(), &other), Some(false));
        // The number of a namespace that is gone is given again.
        assert_eq!(seen(root.path(), &Owner { started: 4241, ..owner.clone() }), Some(false));
        // Who may not be looked at may be the one, unless it began at another time.
        std::fs::remove_file(root.path().join("777/ns/pid")).unwrap();
        std::fs::write(root.path().join("777/ns/pid"), "no link").unwrap();
        assert_eq!(seen(root.path(), &owner), None);
        assert_eq!(seen(root.path(), &Owner { started: 4241, ..owner.clone() }), Some(false));
        // Where others' processes are hidden, nothing is told from their absence.
        std::fs::remove_dir_all(root.path().join("1")).unwrap();
        assert_eq!(seen(root.path(), &Owner { started: 4241, ..owner }), None);
    }

    #[test]
    fn who_cannot_be_seen_from_here_is_not_dead() {
        let me = Owner { namespace: "1".into(), ..Owner::this_process() };
        let other = Owner { namespace: "2".into(), pid: 1, ..me.clone() };
        assert_eq!(me.standing(&other.to_string()), Standing::Elsewhere);
        // A `/proc` that shows another process under this one's number.
        let blind = Owner { pid: 1, ..me.clone() };
        let unseen = Owner { pid: u32::MAX, ..me };
        assert_eq!(blind.standing(&unseen.to_string()), Standing::Elsewhere);
        assert_eq!(blind.standing(&blind.to_string()), Standing::Alive);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_start_time() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(started(stat), Some(4242));
    }
}

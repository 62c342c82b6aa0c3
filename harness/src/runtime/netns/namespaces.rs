//! Entering the namespaces, in a process of their own: first this program under the name [`ENTER`], which makes them, then
//! its child under the name [`SWITCH`], which is process 1 in them.
//!
//! A user namespace gives an ordinary user the capabilities for the others that are made with it: a network in which
//! switch and nodes live, a process namespace whose end ends all of them, and mounts of its own for what nodes keep. All
//! of it belongs to these processes, so nothing is left when they are gone, whatever way that comes about.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use super::protocol::Answer;
use crate::runtime::raise_file_limit;

/// Name under which this program makes the namespaces.
pub const ENTER: &str = "harness-namespaces";
/// Name under which it is the switch.
pub const SWITCH: &str = "harness-switch";
/// This program, whatever became of its file.
pub(super) const PROGRAM: &str = "/proc/self/exe";

/// Makes the namespaces and runs the switch in them, to its end.
#[must_use]
pub fn enter() -> ExitCode {
    close_inherited();
    let entered = own_namespaces().and_then(|()| {
        let mut switch = Command::new(PROGRAM);
        switch
            .arg0(SWITCH)
            .args(std::env::args_os().skip(1))
            .stdin(Stdio::inherit())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        switch.status().map_err(|error| format!("the switch cannot be started: {error}"))
    });
    match entered {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(why) => {
            refuse(&why);
            ExitCode::FAILURE
        }
    }
}

/// Tells the controller that there will be no switch.
pub(super) fn refuse(why: &str) {
    let answer = serde_json::to_string(&Answer::Refused { why: why.to_owned() }).expect("an answer has string keys");
    // Nobody listens any more: then nobody is to be told.
    drop(writeln!(io::stdout(), "{answer}"));
}

fn own_namespaces() -> Result<(), String> {
    raise_file_limit();
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let others = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    match unshare(CloneFlags::CLONE_NEWUSER | others) {
        Ok(()) => {
            // A member of other groups could gain by leaving them, so the kernel wants this first.
            let map = |file: &str, text: String| {
                fs::write(file, text).map_err(|error| format!("`{file}` cannot be written: {error}"))
            };
            map("/proc/self/setgroups", "deny".to_owned())?;
            map("/proc/self/uid_map", format!("0 {} 1", user.as_raw()))?;
            map("/proc/self/gid_map", format!("0 {} 1", group.as_raw()))
        }
        // Root has what it takes without a user namespace.
        Err(refusal) if user.is_root() => unshare(others).map_err(|error| refused(refusal, Some(error))),
        Err(refusal) => Err(refused(refusal, None)),
    }
}

/// Why there are no namespaces, with the cure.
fn refused(user: Errno, others: Option<Errno>) -> String {
    let limit = |file: &str| fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let hint = if limit("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        "`sudo sysctl -w kernel.unprivileged_userns_clone=1`, run as root, or use a Docker engine"
    } else if limit("/proc/sys/user/max_user_namespaces") == Some(0) || user == Errno::ENOSPC || user == Errno::EUSERS {
        "`sudo sysctl -w user.max_user_namespaces=1000 user.max_net_namespaces=10000`, or use a Docker engine"
    } else {
        "run as root, outside of any container, or use a Docker engine"
    };
    let others = others.map(|error| format!("; without one: {error}")).unwrap_or_default();
    format!("no namespaces of one's own are to be had here: {user}{others} (hint: {hint})")
}

/// Closes what the harness was started with and its nodes are not to have: whatever is open beside the three streams. To be
/// called while this process has opened nothing itself.
fn close_inherited() {
    let open = fs::read_dir("/proc/self/fd").map(|entries| entries.flatten().map(|entry| entry.file_name()).collect());
    let open: Vec<std::ffi::OsString> = open.unwrap_or_default();
    for number in open.iter().filter_map(|name| name.to_str()?.parse::<i32>().ok()).filter(|number| *number > 2) {
        // The list's own is closed already.
        let _ = nix::unistd::close(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_cure() {
        for errno in [Errno::EPERM, Errno::ENOSPC, Errno::EUSERS, Errno::ENOSYS] {
            assert!(refused(errno, Some(Errno::EPERM)).contains("(hint: "), "{errno}");
        }
        assert!(refused(Errno::EUSERS, None).contains("max_user_namespaces"));
    }
}

//! The signals that ask for the end.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::runtime::trial::Signal;

/// The signal that asks for the end, once there is one. SIGHUP, when the terminal is closed, asks as SIGTERM does, unless
/// whoever started this command has it ignored (`nohup`).
pub(crate) fn watch_signals() -> std::io::Result<watch::Receiver<Option<Signal>>> {
    let (sender, receiver) = watch::channel(None);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut hangup = if is_ignored(&status, SignalKind::hangup()) { None } else { Some(signal(SignalKind::hangup())?) };
    // With a handler, whatever it does, a file that grows beyond `ulimit -f` is an error and not the end.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    tokio::spawn(async move {
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let signal = tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
                _ = hung_up => Signal::Terminate,
            };
            sender.send_if_modified(|first| {
                let is_first = first.is_none();
                if is_first {
                    *first = Some(signal);
                }
                is_first
            });
        }
    });
    Ok(receiver)
}

/// Whether a process with this `/proc/PID/status` was started with a signal ignored.
pub(crate) fn is_ignored(status: &str, signal: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_ignored_from_the_start_is_told_from_the_others() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004003\n";
        assert!(is_ignored(status, SignalKind::hangup()));
        assert!(!is_ignored(status, SignalKind::interrupt()));
        assert!(!is_ignored("", SignalKind::hangup()));
    }
}

//! What the node's host has done so far, read from `/proc`: whether it had room for the trial.

use std::rc::Rc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::report::Reporter;
use crate::event::{Event, Host, Kernel};
use crate::link::{self, LinkError};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at the node's own wakefulness …
const DOZE: Duration = Duration::from_millis(500);
/// … and how late one may come before it is worth a word.
const OVERSLEPT: Duration = Duration::from_millis(250);

/// What this kernel can do for links and for the one who watches them. Needs NET_ADMIN.
///
/// # Errors
/// If it cannot be asked.
pub async fn kernel() -> Result<Kernel, LinkError> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let neighbours = link::Table::new()?.read().await?;
    Ok(Kernel {
        parts: link::probe().await?,
        congestion: link::available_congestion(),
        open_files: limit.current.unwrap_or(u64::MAX),
        pressure: std::path::Path::new("/proc/pressure/cpu").exists(),
        neighbours: neighbours.map(|table| (table.room, table.entries)),
    })
}

/// Reports what the host does, each second, for ever.
pub async fn watch(reporter: Rc<Reporter>) {
    let table = link::Table::new().ok();
    loop {
        match look() {
            Some(host) => {
                let neighbours = match &table {
                    Some(table) => table.read().await.ok().flatten(),
                    None => None,
                };
                reporter.emit(Event::Host(Host { neighbours_full: neighbours.map(|it| it.fulls), ..host }));
            }
            None => {
                let message = "the host's load cannot be read from `/proc/stat` and `/proc/meminfo`".to_owned();
                reporter.emit(Event::Warning { message });
                return std::future::pending().await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reports when this process stood still (it was stopped, frozen or starved), for ever.
pub async fn stay_awake(reporter: &Reporter) {
    loop {
        let before = tokio::time::Instant::now();
        tokio::time::sleep(DOZE).await;
        let late = before.elapsed().saturating_sub(DOZE);
        if late >= OVERSLEPT {
            reporter.emit(Event::Stalled { ns: u64::try_from(late.as_nanos()).unwrap_or(u64::MAX) });
        }
    }
}

/// Time for which the kernel kept this node's control group off the processors, ns.
#[must_use]
pub fn throttled() -> Option<u64> {
    let v2 = || {
        let text = std::fs::read_to_string("/sys/fs/cgroup/cpu.stat").ok()?;
        Some(field(&text, "throttled_usec")? * 1000)
    };
    let v1 =
        |dir: &str| field(&std::fs::read_to_string(format!("/sys/fs/cgroup/{dir}/cpu.stat")).ok()?, "throttled_time");
    v2().or_else(|| v1("cpu")).or_else(|| v1("cpu,cpuacct"))
}

fn look() -> Option<Host> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    let pressure = |what| std::fs::read_to_string(format!("/proc/pressure/{what}")).ok().and_then(|text| some(&text));
    let mut host = processors(&stat)?;
    host.memory_total = field(&memory, "MemTotal:")? * 1024;
    host.memory_available = field(&memory, "MemAvailable:")? * 1024;
    host.pressure_cpu = pressure("cpu");
    host.pressure_memory = pressure("memory");
    host.wall = nanos(ClockId::Realtime) - nanos(ClockId::Monotonic);
    Some(host)
}

fn nanos(clock: ClockId) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the two clocks are compared, and no time is taken from them")]
    let now = clock_gettime(clock);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// The line `cpu` of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
fn processors(stat: &str) -> Option<Host> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    let [_, _, _, idle, wait, _, softirq, steal] = ticks[..] else { return None };
    let is_one =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let cpus = u32::try_from(stat.lines().filter(is_one).count()).ok()?;
    Some(Host { cpus, total: ticks.iter().sum(), idle: idle + wait, softirq, steal, ..Host::default() })
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// `some … total=N` of a file of `/proc/pressure`, µs.
fn some(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.rsplit_once("total=")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_load_is_read_from_what_the_kernel_writes() {
        let stat = "cpu  10 1 20 300 5 1 7 2 9 9\ncpu0 5 1 10 150 3 1 3 1 0 0\ncpu1 5 0 10 150 2 0 4 1 0 0\nintr 5\n";
        let host = processors(stat).expect("a line of all processors");
        assert_eq!((host.cpus, host.total, host.idle, host.softirq, host.steal), (2, 346, 305, 7, 2));
        assert!(processors("cpu 1 2").is_none());
        assert_eq!(
            some("some avg10=3.63 avg60=5.28 avg300=3.90 total=61568755\nfull avg10=0 total=0\n"),
            Some(61_568_755)
        );
        assert_eq!(field("MemTotal:  100 kB\nMemAvailable:   40 kB\n", "MemAvailable:"), Some(40));
        assert_eq!(field("nr_throttled 0\nthrottled_time 12\n", "throttled_time"), Some(12));
        assert!(look().is_some_and(|host| host.cpus > 0 && host.memory_available > 0 && host.total > host.idle));
    }
}

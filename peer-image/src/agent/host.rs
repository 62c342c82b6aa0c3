//! What the node's host has done so far, read from `/proc`: whether it had room for the trial.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::thread::CpuSet;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::report::Reporter;
use crate::event::{Event, Host, Kernel};
use crate::link::{self, LinkError};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at the node's own wakefulness, for each node of the trial: all share the host's processors …
const DOZE: Duration = Duration::from_millis(1);
/// … within these limits.
const DOZES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];
/// How late a look must come to count, …
const LATE: Duration = Duration::from_millis(20);
/// … how much that must be, all together, to be worth a word, …
const OVERSLEPT: Duration = Duration::from_millis(250);
/// … and within how long: what a busy host adds up to over minutes is no standstill.
const TOGETHER: Duration = Duration::from_secs(5);

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
        pressure: Path::new("/proc/pressure/cpu").exists(),
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

/// Reports when this process stood still (it was stopped, frozen or starved), for ever: once for a long time, or once for
/// several short ones within five seconds. `nodes` is how many share the host.
pub async fn stay_awake(reporter: &Reporter, nodes: u32) {
    let doze = (DOZE * nodes).clamp(DOZES[0], DOZES[1]);
    let mut overslept = Overslept::default();
    loop {
        let before = Instant::now();
        tokio::time::sleep(doze).await;
        let now = Instant::now();
        if let Some(all) = overslept.take(now, (now - before).saturating_sub(doze)) {
            reporter.emit(Event::Stalled { ns: u64::try_from(all.as_nanos()).unwrap_or(u64::MAX) });
        }
    }
}

/// Looks that came late and are not reported yet.
#[derive(Debug, Default)]
struct Overslept {
    /// When the first of them came, and how late all were together.
    late: Option<(Instant, Duration)>,
}

impl Overslept {
    /// Takes in a look that came so late; what is to be reported, if it is enough.
    fn take(&mut self, now: Instant, late: Duration) -> Option<Duration> {
        if late < LATE {
            return None;
        }
        let (first, before) = self.late.filter(|(first, _)| now - *first <= TOGETHER).unwrap_or((now, Duration::ZERO));
        let all = before + late;
        self.late = (all < OVERSLEPT).then_some((first, all));
        (all >= OVERSLEPT).then_some(all)
    }
}

/// Time for which the kernel kept this node's control group off the processors, and those above it as far as they can be
/// seen from here, added up, ns.
#[must_use]
pub fn throttled() -> Option<u64> {
    /// What tells it, found once: a node stays in its group.
    static TOLD_BY: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let groups = TOLD_BY.get_or_init(|| {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        groups(&own).into_iter().filter(|path| kept_off(path).is_some()).collect()
    });
    groups.iter().map(|path| kept_off(path)).sum::<Option<u64>>().filter(|_| !groups.is_empty())
}

/// The `cpu.stat` of a process's control group and of those above it, by its `/proc/self/cgroup`. In a container the group
/// itself is what is mounted, whatever its path is called outside.
fn groups(own: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let mounted: &[&str] = match controllers {
            "" => &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
            _ if controllers.split(',').any(|it| it == "cpu") => &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"],
            _ => continue,
        };
        for mount in mounted {
            let above = Path::new(path.trim_start_matches('/')).ancestors();
            found.extend(above.map(|group| Path::new(mount).join(group).join("cpu.stat")));
        }
    }
    found
}

/// Time in a `cpu.stat`, of either version of control groups, ns.
fn kept_off(path: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    field(&text, "throttled_usec").map(|us| us * 1000).or_else(|| field(&text, "throttled_time"))
}

/// Time for which this process's threads were ready to run and waited for a processor, ns; `None` if the kernel does not count
/// it.
#[must_use]
pub fn waited() -> Option<u64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    // A thread that ends while they are looked at has none.
    let told = threads.flatten().filter_map(|it| std::fs::read_to_string(it.path().join("schedstat")).ok());
    told.map(|schedstat| waiting(&schedstat)).reduce(|sum, more| Some(sum? + more?)).flatten()
}

/// The second number of a `schedstat`: time on a run queue, ns.
fn waiting(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

/// The processors that this process may use; `None` if the kernel does not say.
fn usable() -> Option<CpuSet> {
    rustix::thread::sched_getaffinity(None).ok()
}

/// How many processors this process may use.
#[must_use]
pub fn usable_processors() -> Option<u32> {
    usable().map(|set| set.count())
}

fn look() -> Option<Host> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    let pressure = |what| std::fs::read_to_string(format!("/proc/pressure/{what}")).ok().and_then(|text| some(&text));
    let mut host = processors(&stat, usable().as_ref())?;
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

/// The lines of `/proc/stat` of those processors, or of all: user, nice, system, idle, iowait, irq, softirq, steal; guests are
/// in user already.
fn processors(stat: &str, usable: Option<&CpuSet>) -> Option<Host> {
    let (mut host, mut used) = (Host::default(), 0);
    for line in stat.lines() {
        let Some((name, ticks)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' ')) else { continue };
        // The line of all of them has no number.
        let Ok(number) = name.parse::<usize>() else { continue };
        host.cpus += 1;
        if usable.is_some_and(|set| number < CpuSet::MAX_CPU && !set.is_set(number)) {
            continue;
        }
        used += 1;
        let ticks: Vec<u64> = ticks.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
        let [_, _, _, idle, wait, _, softirq, steal] = ticks[..] else { return None };
        host.total += ticks.iter().sum::<u64>();
        host.idle += idle + wait;
        host.softirq += softirq;
        host.steal += steal;
    }
    host.usable = (used < host.cpus).then_some(used);
    (used > 0).then_some(host)
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
    fn short_standstills_add_up_within_five_seconds_and_no_longer() {
        let start = Instant::now();
        let told = |looks: &[(u64, u64)]| -> Vec<u64> {
            let mut overslept = Overslept::default();
            let ms = Duration::from_millis;
            let told = looks.iter().filter_map(|(at, late)| overslept.take(start + ms(*at), ms(*late)));
            told.map(|all| u64::try_from(all.as_millis()).unwrap()).collect()
        };
        assert_eq!(told(&[(0, 2_000)]), [2_000]);
        assert_eq!(told(&[(0, 100), (1_000, 100), (5_000, 100), (6_000, 100)]), [300], "and then anew");
        assert_eq!(told(&[(0, 100), (1_000, 100), (5_100, 100), (6_000, 100)]), [0; 0], "none in any five seconds");
        assert_eq!(told(&[(0, 19); 100]), [0; 0], "a timer may be so late");
    }

    #[test]
    fn the_hosts_load_is_read_from_what_the_kernel_writes() {
        let stat = "cpu  10 1 20 300 5 1 7 2 9 9\ncpu0 5 1 10 150 3 1 3 1 0 0\ncpu1 5 0 10 150 2 0 4 1 0 0\nintr 5\n";
        let host = processors(stat, None).expect("a line of each processor");
        assert_eq!((host.cpus, host.total, host.idle, host.softirq, host.steal), (2, 346, 305, 7, 2));
        assert_eq!(host.usable, None);
        assert!(processors("cpu 1 2\ncpu0 1 2", None).is_none());
        // Of a process that may use the second one alone.
        let mut second = CpuSet::new();
        second.set(1);
        let host = processors(stat, Some(&second)).expect("a line of that processor");
        assert_eq!((host.cpus, host.usable, host.total, host.idle, host.softirq), (2, Some(1), 172, 152, 4));
        assert_eq!(
            some("some avg10=3.63 avg60=5.28 avg300=3.90 total=61568755\nfull avg10=0 total=0\n"),
            Some(61_568_755)
        );
        assert_eq!(field("MemTotal:  100 kB\nMemAvailable:   40 kB\n", "MemAvailable:"), Some(40));
        assert_eq!(field("nr_throttled 0\nthrottled_time 12\n", "throttled_time"), Some(12));
        assert_eq!(waiting("59143 1200 7\n"), Some(1200));
        assert!(look().is_some_and(|host| host.cpus > 0 && host.memory_available > 0 && host.total > host.idle));
    }
    #[test]
    fn a_quota_is_looked_for_in_the_own_group_and_in_all_above_it() {
        let told = |own: &str| -> Vec<String> {
            groups(own).iter().map(|path| path.to_string_lossy().into_owned()).filter(|it| !it.contains(',')).collect()
        };
        let v1 = "3:cpuset:/x\n1:cpu,cpuacct:/outer/inner\n";
        let all = ["outer/inner/", "outer/", ""].map(|group| format!("/sys/fs/cgroup/cpu/{group}cpu.stat"));
        assert_eq!(told(v1), all);
        let unified = told("0::/slice\n");
        assert!(unified.contains(&"/sys/fs/cgroup/slice/cpu.stat".to_owned()), "{unified:?}");
        assert!(unified.contains(&"/sys/fs/cgroup/unified/cpu.stat".to_owned()), "{unified:?}");
        assert!(told("nonsense").is_empty());
    }

    #[test]
    fn a_quota_is_read_of_either_version_of_control_groups() {
        let path = std::env::temp_dir().join(format!("harness-cpu-stat-{}", std::process::id()));
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            kept_off(&path)
        };
        let v1 = told("nr_periods 9\nnr_throttled 2\nthrottled_time 12000\n");
        let v2 = told("usage_usec 5\nnr_periods 9\nnr_throttled 2\nthrottled_usec 12\n");
        let without = told("usage_usec 5\nuser_usec 4\n");
        std::fs::remove_file(&path).unwrap();
        assert_eq!((v1, v2, without, kept_off(&path)), (Some(12_000), Some(12_000), None, None));
    }

    #[test]
    fn a_process_knows_how_long_it_waited_and_what_it_may_use() {
        assert!(usable_processors().is_some_and(|processors| processors > 0));
        // A kernel that does not count it has no such file.
        assert_eq!(waited().is_some(), Path::new("/proc/self/schedstat").exists());
    }

    #[test]
    fn each_thread_of_a_process_may_have_waited() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let told = |thread: &str| waiting(&std::fs::read_to_string(format!("/proc/{thread}/schedstat")).ok()?);
        let over = AtomicBool::new(false);
        let spin = || {
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        std::thread::scope(|scope| {
            // More than there are processors, so that some wait.
            let processors = usable_processors().unwrap_or(1);
            (0..2 * processors).for_each(|_| drop(scope.spawn(spin)));
            let one = scope.spawn(|| {
                for _ in 0..5_000 {
                    let _ = told("thread-self");
                }
                let least = told("thread-self").zip(told(&format!("self/task/{}", std::process::id())));
                (least, waited())
            });
            let (least, all) = one.join().unwrap();
            over.store(true, Ordering::Relaxed);
            assert!(least.is_none_or(|(own, first)| all >= Some(own + first)), "{least:?}, {all:?}");
        });
    }
}

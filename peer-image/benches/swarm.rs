//! How close the core comes to the fluid bound, in virtual time: the textbook's links, payload ratio.
//!
//! `cargo bench -p peer-image --bench swarm -- [N …]`; other links and files than the textbook's by `UP`, `SERVER` (bit/s),
//! `SIZE` and `PIECE` (bytes) in the environment.

#[expect(dead_code, reason = "the tests use what the benchmark does not")]
#[path = "../tests/network/mod.rs"]
mod network;

use network::{Network, Peer};
use peer_image::node::Policy;
use peer_image::wire::geometry::Geometry;

fn main() {
    let counts: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![5, 10, 20, 35] } else { counts };
    let piece = u32::try_from(set("PIECE", 256 << 10)).expect("a piece");
    let geometry = Geometry::new(set("SIZE", 32 << 20), piece).expect("a file");
    println!(
        "{:>3} {:>4} {:>8} {:>8} {:>6}  peers' idle upload: uninterested choked unrequested; first/last done, dup",
        "N", "seed", "D", "bound", "ratio"
    );
    for n in counts {
        for seed in 1..=3 {
            run(geometry, n, seed);
        }
    }
}

/// A number from the environment.
fn set(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run(geometry: Geometry, n: u64, seed: u64) {
    let (server, up) = (set("SERVER", 40_000_000), set("UP", 4_000_000));
    let peer = |up, seed| Peer { up, down: server, seed, uploads: true, corrupts: false, policy: Policy::default() };
    let mut peers = vec![peer(server, true)];
    peers.extend((0..n).map(|_| peer(up, false)));
    let mut network = Network::new(geometry, peers, seed, Box::new(|_, _, _, _| {}));
    let done = network.run(600_000_000_000);
    let done: Vec<f64> = done[1..].iter().map(|t| t.expect("it completes") as f64 / 1e9).collect();
    let last = done.iter().copied().fold(0.0, f64::max);
    let first = done.iter().copied().fold(f64::INFINITY, f64::min);
    let f = geometry.size() as f64 * 8.0;
    let bound = (f / server as f64).max(n as f64 * f / (server + n * up) as f64);
    let mut idle = [0.0; 3];
    let mut duplicate = 0;
    for node in 1..=n as usize {
        let spent = network.idle(node);
        for (sum, part) in idle.iter_mut().zip([spent.uninterested, spent.choked, spent.unrequested]) {
            *sum += part as f64 / 1e9 / n as f64;
        }
        duplicate += network.waste(node).duplicate + network.waste(node).unrequested;
    }
    let server = network.idle(0);
    if std::env::var_os("IDLE").is_some() {
        let line: Vec<String> = network
            .idle_by_second
            .windows(2)
            .map(|w| {
                (0..3)
                    .map(|i| format!("{:.0}", (w[1][i] - w[0][i]) as f64 / 1e7 / n as f64))
                    .collect::<Vec<_>>()
                    .join("/")
            })
            .collect();
        let busy: Vec<String> =
            network.busy_by_second.iter().map(|[s, p]| format!("{:.0}/{:.0}", s * 100.0, p * 100.0)).collect();
        println!("busy % by second, seed/peers: {}", busy.join(" "));
        println!("idle % by second: {}", line.join(" "));
    }
    println!(
        "{n:>3} {seed:>4} {last:>8.2} {bound:>8.2} {:>6.3}  {:.2} {:.2} {:.2}; server {:.2} {:.2} {:.2}; {first:.2}/{last:.2}; {} KiB",
        last * 1448.0 / 1514.0 / bound,
        idle[0],
        idle[1],
        idle[2],
        server.uninterested as f64 / 1e9,
        server.choked as f64 / 1e9,
        server.unrequested as f64 / 1e9,
        duplicate >> 10,
    );
}

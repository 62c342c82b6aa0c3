//! A relay between the harness and the engine that can spoil what passes: for what a healthy engine does not do.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// Listens on a socket of its own and passes everything on to the engine.
pub(crate) struct Intermediary {
    dir: TempDir,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    accepting: JoinHandle<()>,
}

impl Intermediary {
    /// One that writes `other` wherever the harness says `word`; they must be equally long.
    pub(crate) fn new(word: &'static str, other: &'static str) -> Self {
        assert_eq!(word.len(), other.len(), "requests say how long they are");
        let dir = tempfile::Builder::new().prefix("harness-system-").tempdir().expect("a temporary directory");
        let listener = UnixListener::bind(dir.path().join("engine.sock")).expect("a socket in it");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move {
                while let Ok((harness, _)) = listener.accept().await {
                    let relay = tokio::spawn(relay(harness, word, other));
                    connections.lock().expect("nobody panics with it").push(relay);
                }
            }
        });
        Self { dir, connections, accepting }
    }

    /// One that passes everything on as it is.
    pub(crate) fn honest() -> Self {
        Self::new("", "")
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.dir.path().join("engine.sock").display())
    }

    /// Breaks every connection that there is; new ones are taken.
    pub(crate) fn cut(&self) {
        for relay in self.connections.lock().expect("nobody panics with it").drain(..) {
            relay.abort();
        }
    }
}

impl Drop for Intermediary {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn relay(harness: UnixStream, word: &'static str, other: &'static str) {
    let (from, to) = harness.into_split();
    match engine() {
        Place::Unix(path) => {
            let engine = UnixStream::connect(&path).await.expect("the engine answered before");
            let (answers, requests) = engine.into_split();
            tokio::join!(pass(from, requests, word, other), pass(answers, to, "", ""));
        }
        Place::Tcp(address) => {
            let engine = TcpStream::connect(&address).await.expect("the engine answered before");
            let (answers, requests) = engine.into_split();
            tokio::join!(pass(from, requests, word, other), pass(answers, to, "", ""));
        }
    }
}

/// Passes bytes on until either side ends. A word that is split between two readings passes unseen: requests are
/// short and come whole.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    word: &'static str,
    other: &'static str,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &mut buffer[..read];
        if !word.is_empty() {
            while let Some(at) = bytes.windows(word.len()).position(|window| window == word.as_bytes()) {
                bytes[at..at + word.len()].copy_from_slice(other.as_bytes());
            }
        }
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    // The other side is told; that it is gone already is no matter.
    let _ = to.shutdown().await;
}

enum Place {
    Unix(PathBuf),
    Tcp(String),
}

/// Where the engine is, as the tests themselves find it.
fn engine() -> Place {
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    match host.split_once("://") {
        Some(("unix", path)) => Place::Unix(path.into()),
        Some(("tcp" | "http", address)) => Place::Tcp(address.to_owned()),
        _ => panic!("cannot stand between the harness and `{host}` (hint: an engine at unix:// or tcp://)"),
    }
}

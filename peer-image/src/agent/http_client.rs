//! Client-server: a peer that downloads the file from the server, piece by piece verified.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::MissedTickBehavior;

use super::ending::Ending;
use super::http_server::{AGENT_PREFIX, FILE_PATH};
use super::progress::Ledger;
use super::report::Reporter;
use super::storage::Storage;
use super::web::WebError;
use super::{Failure, Started, peer, web};
use crate::event::{Event, Leave};
use crate::node::{HTTP_PORT, NodeSpec};
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{Geometry, PieceIndex};

/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Time between two attempts to reach the server.
const RETRY: Duration = Duration::from_millis(500);

/// A client that has the metainfo and waits for the gate.
#[derive(Debug)]
pub struct Prepared {
    geometry: Geometry,
    storage: Storage,
    have: Bitfield,
}

/// Fetches the metainfo (the hashes of the pieces) and opens the storage.
///
/// # Errors
/// If the tracker has no metainfo, or the storage cannot be opened.
pub async fn prepare(spec: &NodeSpec, reporter: &Reporter) -> Result<Prepared, Failure> {
    let (metainfo, _) = peer::fetch_metainfo(spec, reporter).await?;
    let geometry = metainfo.geometry().map_err(|e| Failure::trial(e.to_string()))?;
    let (storage, have) = Storage::open(spec, &metainfo)?;
    Ok(Prepared { geometry, storage, have })
}

impl Prepared {
    /// Pieces that it has already.
    #[must_use]
    pub fn pieces(&self) -> u32 {
        self.have.count()
    }

    /// Downloads, then stays or leaves as told.
    ///
    /// # Errors
    /// If the gate knows no server, or the storage fails.
    pub async fn run(self, started: Started, ending: &mut Ending) -> Result<(), Failure> {
        let server = started.server.ok_or_else(|| Failure::trial("the gate knows no server"))?;
        let mut client = Client {
            geometry: self.geometry,
            storage: self.storage,
            ledger: Ledger::new(Rc::clone(&started.reporter)),
            have: self.have,
            server: SocketAddr::new(server, HTTP_PORT),
            agent: format!("{AGENT_PREFIX}{}", started.spec.name),
            reporter: Rc::clone(&started.reporter),
        };
        client.ledger.have(&client.have, client.geometry);
        let mut why = None;
        if !client.have.is_full() {
            tokio::select! {
                ended = ending.wait() => why = Some(ended),
                outcome = client.download() => outcome?,
            }
        }
        client.ledger.report_at_last();
        let why: Leave = match why {
            Some(why) => why,
            None => {
                started.reporter.emit(Event::Completed { bytes: client.geometry.size() });
                ending.completed(started.spec.on_complete);
                ending.wait().await
            }
        };
        ending.last_look().await;
        started.reporter.emit(Event::Left { why });
        Ok(())
    }
}

#[derive(Debug)]
struct Client {
    geometry: Geometry,
    storage: Storage,
    have: Bitfield,
    ledger: Ledger,
    server: SocketAddr,
    agent: String,
    reporter: Rc<Reporter>,
}

/// Why a download has to go on in another way.
enum Interruption {
    Node(Failure),
    Server(String),
}

impl From<WebError> for Interruption {
    fn from(error: WebError) -> Self {
        Self::Server(error.to_string())
    }
}

impl Client {
    /// Fetches what is missing until nothing is.
    async fn download(&mut self) -> Result<(), Failure> {
        while !self.have.is_full() {
            match self.fetch_missing().await {
                Ok(()) => {}
                Err(Interruption::Node(failure)) => return Err(failure),
                Err(Interruption::Server(reason)) => {
                    let message = format!("the server at `{}` broke off: {reason}", self.server);
                    self.reporter.emit(Event::Warning { message });
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        Ok(())
    }

    /// Fetches the first run of pieces that are missing, in one request.
    async fn fetch_missing(&mut self) -> Result<(), Interruption> {
        let missing = |piece: &PieceIndex| !self.have.has(*piece);
        let Some(first) = self.geometry.all().find(missing) else { return Ok(()) };
        let last = self.geometry.all().skip(first.index()).take_while(missing).last().unwrap_or(first);
        let start = self.geometry.offset(first);
        let end = self.geometry.offset(last) + u64::from(self.geometry.piece_length(last));
        let range = format!("bytes={start}-{}", end - 1);
        let headers = [("range", range.as_str()), ("user-agent", self.agent.as_str())];
        let response = web::request(self.server, FILE_PATH, &headers).await?;
        if response.status() != 206 {
            return Err(Interruption::Server(WebError::Status(response.status().as_u16()).to_string()));
        }
        let mut body = response.into_body();
        if body.size_hint().exact() != Some(end - start) {
            return Err(Interruption::Server(format!("the answer to `{range}` has another length")));
        }
        let mut tick = tokio::time::interval(REPORT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = BytesMut::new();
        let mut piece = first;
        let mut number = 0;
        loop {
            tokio::select! {
                _ = tick.tick() => self.ledger.report(),
                frame = body.frame() => {
                    let Some(frame) = frame else { break };
                    let frame = frame.map_err(|e| Interruption::Server(e.to_string()))?;
                    let Ok(data) = frame.into_data() else { continue };
                    self.ledger.received("server", data.len() as u64);
                    buffer.extend_from_slice(&data);
                    (piece, number) = self.store(&mut buffer, piece, number).map_err(Interruption::Node)?;
                }
            }
        }
        if buffer.is_empty() { Ok(()) } else { Err(Interruption::Server("the answer ended within a block".into())) }
    }

    /// Stores the whole blocks at the front of `buffer`, which begins at that block of that piece, and verifies
    /// pieces as they become whole. Gives the block at which the rest begins.
    fn store(
        &mut self,
        buffer: &mut BytesMut,
        mut piece: PieceIndex,
        mut number: usize,
    ) -> Result<(PieceIndex, usize), Failure> {
        let disk = |e: std::io::Error| Failure::machine(format!("the file cannot be kept: {e} (hint: is there room?)"));
        while let Some(block) = self.geometry.nth_block(piece, number)
            && buffer.len() >= block.length() as usize
        {
            let data = buffer.split_to(block.length() as usize);
            self.storage.write(block, &data).map_err(disk)?;
            number += 1;
            if number == self.geometry.blocks_in(piece) {
                if self.storage.verify(piece).map_err(disk)? {
                    self.have.set(piece);
                    self.ledger.got(piece, self.have.count());
                } else {
                    self.storage.discard(piece);
                    self.ledger.discarded(u64::from(self.geometry.piece_length(piece)));
                    let reason = format!("sent a bad piece `{piece}`");
                    self.reporter.emit(Event::Rejected { from: "server".to_owned(), reason });
                }
                number = 0;
                match self.geometry.piece(piece.number() + 1) {
                    Ok(next) => piece = next,
                    Err(_) => break,
                }
            }
        }
        Ok((piece, number))
    }
}

//! One BitTorrent connection on a real socket: handshake, a task that reads, a task that writes.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::uplink::Uplink;
use super::web;
use crate::swarm::NeighbourId;
use crate::wire::geometry::{BLOCK, Block, Geometry};
use crate::wire::handshake::{self, Handshake, InfoHash, NotBitTorrent, PeerId};
use crate::wire::message::{self, Decoder, Message};

/// Longest that a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Silence after which a connection is given up (BEP 3: keep-alives come every two minutes).
const SILENCE_MAX: Duration = Duration::from_secs(180);
/// Bytes gathered into one write.
const WRITE_MAX: usize = 64 * 1024;

/// What happens on connections.
#[derive(Debug)]
pub enum Incoming {
    /// A handshake is done.
    Handshaken {
        /// The connection.
        stream: TcpStream,
        /// Bytes that came after the handshake.
        rest: BytesMut,
        /// Who the other side says it is.
        peer_id: PeerId,
        /// Where it is.
        address: SocketAddr,
        /// Whether this side called.
        outgoing: bool,
    },
    /// An attempt to connect, or a handshake, failed.
    Refused {
        /// Who.
        address: SocketAddr,
        /// Whether this side called.
        outgoing: bool,
        /// What was malformed, if that was the reason.
        malformed: Option<String>,
    },
    /// A message came.
    Message(NeighbourId, Message),
    /// The kernel took a block of that many bytes.
    Sent(NeighbourId, u32),
    /// The connection is over; what was malformed, if that was the reason.
    Closed(NeighbourId, Option<String>),
}

/// What to write.
#[derive(Debug)]
pub enum Outgoing {
    /// A message without data.
    Message(Message),
    /// A block.
    Block(Block, Bytes),
}

/// A running connection; dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    to: mpsc::UnboundedSender<Outgoing>,
    tasks: [tokio::task::AbortHandle; 2],
}

impl Connection {
    /// Starts reading and writing.
    #[must_use]
    pub fn start(
        id: NeighbourId,
        stream: TcpStream,
        rest: BytesMut,
        geometry: Geometry,
        incoming: &mpsc::Sender<Incoming>,
        uplink: Rc<Uplink>,
    ) -> Self {
        let (from, socket) = stream.into_split();
        // Bounded by the protocol: the core hands over a few blocks at a time, and answers what comes in.
        let (to, queue) = mpsc::unbounded_channel();
        let read = tokio::task::spawn_local(read(id, from, rest, Decoder::new(geometry), incoming.clone()));
        let write = tokio::task::spawn_local(write(id, socket, queue, incoming.clone(), uplink));
        Self { to, tasks: [read.abort_handle(), write.abort_handle()] }
    }

    /// Queues something. After the connection broke this does nothing; [`Incoming::Closed`] tells.
    pub fn send(&self, outgoing: Outgoing) {
        let _ = self.to.send(outgoing);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn read(
    id: NeighbourId,
    mut from: OwnedReadHalf,
    mut buffer: BytesMut,
    mut decoder: Decoder,
    incoming: mpsc::Sender<Incoming>,
) {
    let malformed = loop {
        match decoder.decode(&mut buffer) {
            Ok(Some(message)) => {
                if incoming.send(Incoming::Message(id, message)).await.is_err() {
                    return;
                }
            }
            Ok(None) => {
                buffer.reserve(2 * BLOCK as usize);
                match tokio::time::timeout(SILENCE_MAX, from.read_buf(&mut buffer)).await {
                    Ok(Ok(1..)) => {}
                    Ok(Ok(0) | Err(_)) | Err(_) => break None,
                }
            }
            Err(error) => break Some(error.to_string()),
        }
    };
    let _ = incoming.send(Incoming::Closed(id, malformed)).await;
}

async fn write(
    id: NeighbourId,
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    incoming: mpsc::Sender<Incoming>,
    uplink: Rc<Uplink>,
) {
    let mut buffer = BytesMut::new();
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Some(first) = queue.recv().await else { return };
            waiting.push_back(first);
        }
        while let Ok(more) = queue.try_recv() {
            waiting.push_back(more);
        }
        let is_slow = uplink.is_slow();
        if is_slow {
            hasten(&mut waiting);
        }
        let mut blocks = Vec::new();
        let mut messages = 0;
        // On a slow link one block at a time, so that the next request does not wait for a second one.
        while (blocks.is_empty() || !is_slow)
            && buffer.len() < WRITE_MAX
            && let Some(outgoing) = waiting.pop_front()
        {
            match outgoing {
                Outgoing::Message(message) => message::encode(&message, &mut buffer),
                Outgoing::Block(block, data) => {
                    messages = buffer.len();
                    buffer.extend_from_slice(&message::encode_piece_header(block));
                    buffer.extend_from_slice(&data);
                    blocks.push(block.length());
                }
            }
        }
        let written = if is_slow && !blocks.is_empty() {
            match socket.write_all(&buffer[..messages]).await {
                Ok(()) => uplink.write(&socket, &buffer[messages..]).await,
                Err(error) => Err(error),
            }
        } else {
            socket.write_all(&buffer).await
        };
        if written.is_err() {
            // The reading side sees the end too, and reports it.
            return;
        }
        buffer.clear();
        for length in blocks {
            if incoming.send(Incoming::Sent(id, length)).await.is_err() {
                return;
            }
        }
    }
}

/// Puts what is small and does not depend on blocks before those that wait: requests above all.
fn hasten(waiting: &mut VecDeque<Outgoing>) {
    let (small, rest): (Vec<Outgoing>, Vec<Outgoing>) = waiting.drain(..).partition(|outgoing| match outgoing {
        Outgoing::Message(message) => match message {
            Message::KeepAlive
            | Message::Interested
            | Message::NotInterested
            | Message::Have(_)
            | Message::Bitfield(_)
            | Message::Request(_)
            | Message::Cancel(_) => true,
            // What was sent before a choke was asked for; what comes after an unchoke is new.
            Message::Choke | Message::Unchoke | Message::Piece(..) => false,
        },
        Outgoing::Block(..) => false,
    });
    waiting.extend(small);
    waiting.extend(rest);
}

/// Calls a peer and shakes hands.
pub async fn call(address: SocketAddr, own: Handshake, incoming: mpsc::Sender<Incoming>) {
    let attempt = async {
        let mut stream = web::connect(address).await?;
        web::tune(&stream)?;
        stream.write_all(&own.encode()).await?;
        let (theirs, rest) = receive(&mut stream, own.info_hash).await?;
        Ok((stream, theirs, rest))
    };
    conclude(address, true, tokio::time::timeout(PATIENCE, attempt).await, &incoming).await;
}

/// Shakes hands with a peer that called.
pub async fn answer(mut stream: TcpStream, address: SocketAddr, own: Handshake, incoming: mpsc::Sender<Incoming>) {
    let attempt = async {
        web::tune(&stream)?;
        let (theirs, rest) = receive(&mut stream, own.info_hash).await?;
        stream.write_all(&own.encode()).await?;
        Ok((stream, theirs, rest))
    };
    conclude(address, false, tokio::time::timeout(PATIENCE, attempt).await, &incoming).await;
}

type Shaken = (TcpStream, Handshake, BytesMut);

async fn conclude(
    address: SocketAddr,
    outgoing: bool,
    result: Result<Result<Shaken, Refusal>, tokio::time::error::Elapsed>,
    incoming: &mpsc::Sender<Incoming>,
) {
    let message = match result {
        Ok(Ok((stream, theirs, rest))) => {
            Incoming::Handshaken { stream, rest, peer_id: theirs.peer_id, address, outgoing }
        }
        Ok(Err(Refusal::Malformed(reason))) => Incoming::Refused { address, outgoing, malformed: Some(reason) },
        Ok(Err(Refusal::Io)) | Err(_) => Incoming::Refused { address, outgoing, malformed: None },
    };
    // If nobody listens any more, the node is about to end.
    let _ = incoming.send(message).await;
}

/// Why no handshake came about.
enum Refusal {
    Io,
    Malformed(String),
}

impl From<io::Error> for Refusal {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

impl From<NotBitTorrent> for Refusal {
    fn from(error: NotBitTorrent) -> Self {
        Self::Malformed(error.to_string())
    }
}

async fn receive(stream: &mut TcpStream, expected: InfoHash) -> Result<(Handshake, BytesMut), Refusal> {
    let mut buffer = BytesMut::with_capacity(handshake::LENGTH);
    while buffer.len() < handshake::LENGTH {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Refusal::Io);
        }
        handshake::check_opening(&buffer)?;
    }
    let rest = buffer.split_off(handshake::LENGTH);
    let bytes = buffer.first_chunk::<{ handshake::LENGTH }>().expect("it was read to that length");
    let theirs = Handshake::decode(bytes)?;
    if theirs.info_hash != expected {
        return Err(Refusal::Malformed(format!("handshake for `{}` instead of `{expected}`", theirs.info_hash)));
    }
    Ok((theirs, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_before_blocks_that_wait_and_choke_and_unchoke_stay_where_they_are() {
        let geometry = Geometry::new(u64::from(BLOCK) * 4, BLOCK).unwrap();
        let block = |number| {
            let piece = geometry.all().nth(number).unwrap();
            geometry.nth_block(piece, 0).unwrap()
        };
        let data = || Outgoing::Block(block(0), Bytes::from_static(&[0; 4]));
        let message = Outgoing::Message;
        let mut waiting = VecDeque::from([
            message(Message::Unchoke),
            data(),
            message(Message::Interested),
            message(Message::Choke),
            data(),
            message(Message::Request(block(1))),
            message(Message::Cancel(block(1))),
        ]);
        hasten(&mut waiting);
        let kinds: Vec<String> = waiting
            .iter()
            .map(|outgoing| match outgoing {
                Outgoing::Message(message) => format!("{message:?}").split('(').next().unwrap_or("").to_owned(),
                Outgoing::Block(..) => "block".to_owned(),
            })
            .collect();
        assert_eq!(kinds, ["Interested", "Request", "Cancel", "Unchoke", "block", "Choke", "block"]);
    }
}

//! The little of HTTP and TCP that tracker, server and clients share.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::Failure;
use super::report::Reporter;
use crate::event::Event;

/// Longest that a connection attempt or an answer's head may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Data that the kernel takes beyond what is on the wire: little, so that what is queued can still be changed and
/// what is counted as sent has nearly left.
pub const UNSENT_MAX: u32 = 16 * 1024;

/// Sent data that nobody acknowledges for so long means that the other side is gone.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// A listening socket on every address.
///
/// # Errors
/// If the port is taken.
pub async fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port))
        .await
        .map_err(|e| Failure::machine(format!("cannot listen on port `{port}`: {e}")))
}

/// Sets what every connection that carries the file needs.
///
/// # Errors
/// If the socket is gone.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    socket.set_tcp_user_timeout(Some(SILENCE_MAX))?;
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(PATIENCE))
}

/// Connects, again and again while nobody listens there yet, for a minute.
///
/// # Errors
/// The last attempt's.
pub async fn connect_patiently(to: SocketAddr) -> io::Result<TcpStream> {
    let mut attempts = 0;
    loop {
        match connect(to).await {
            Ok(stream) => return Ok(stream),
            Err(error) if attempts >= 60 => return Err(error),
            Err(_) => {
                attempts += 1;
                // Nobody listens yet: the other container may still be starting.
                tokio::time::sleep(Duration::from_millis(20 * attempts.min(50))).await;
            }
        }
    }
}

/// Connects, within [`PATIENCE`].
///
/// # Errors
/// If nobody answers.
pub async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    tokio::time::timeout(PATIENCE, TcpStream::connect(to)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Says that a connection could not be accepted, and waits a little: out of descriptors, say.
pub async fn accept_failed(reporter: &Reporter, error: &io::Error) {
    reporter.emit(Event::Warning { message: format!("a connection could not be accepted: {error}") });
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// A request for `target` (path and query) of the node at `address`, over a connection of its own.
///
/// # Errors
/// If it cannot be reached, or does not speak HTTP.
pub async fn request(
    address: SocketAddr,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Response<Incoming>, WebError> {
    let stream = connect(address).await?;
    tune(&stream)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The connection ends with the response's body; its errors show there.
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    let mut request = Request::get(target).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new())?;
    tokio::time::timeout(PATIENCE, sender.send_request(request)).await.map_err(|_| WebError::Slow)?.map_err(Into::into)
}

/// The whole answer to such a request, at most `limit` bytes, status 200 only.
///
/// # Errors
/// As [`request`], and for other statuses and longer answers.
pub async fn fetch(address: SocketAddr, target: &str, limit: usize) -> Result<Bytes, WebError> {
    let response = request(address, target, &[]).await?;
    if response.status() != 200 {
        return Err(WebError::Status(response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), limit).collect();
    let body = tokio::time::timeout(PATIENCE, body).await.map_err(|_| WebError::Slow)?;
    Ok(body.map_err(|e| WebError::Body(e.to_string()))?.to_bytes())
}

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The protocol.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The request itself.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    /// No answer in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// Another status than was wanted.
    #[error("status `{0}`")]
    Status(u16),
    /// The body broke off or is too long.
    #[error("{0}")]
    Body(String),
}

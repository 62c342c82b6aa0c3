//! Client-server: the server. It sends the file, or a range of it (RFC 9110 §14), to whoever asks.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::ending::Ending;
use super::progress::Ledger;
use super::report::Reporter;
use super::{Failure, Started, web};
use crate::content::Content;
use crate::event::Event;
use crate::link::Place;
use crate::node::HTTP_PORT;

/// Where the file is.
pub const FILE_PATH: &str = "/file";
/// What our clients put before their name.
pub const AGENT_PREFIX: &str = "harness/";

/// Bytes generated at a time.
const CHUNK: u64 = 16 * 1024;

/// Not `Send`: the node has one thread.
type Body = Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = Infallible>>>;

/// A server that listens and waits for the gate.
#[derive(Debug)]
pub struct Prepared {
    listener: TcpListener,
}

/// Listens.
///
/// # Errors
/// If the port is taken.
pub async fn prepare() -> Result<Prepared, Failure> {
    Ok(Prepared { listener: web::listen(HTTP_PORT).await? })
}

#[derive(Debug)]
struct Shop {
    content: Content,
    size: u64,
    ledger: RefCell<Ledger>,
    reporter: Rc<Reporter>,
    place: Place,
}

impl Prepared {
    /// Serves until the node is to stop.
    ///
    /// # Errors
    /// Never so far.
    pub async fn run(self, started: Started, ending: &mut Ending) -> Result<(), Failure> {
        let shop = Rc::new(Shop {
            content: Content::new(started.spec.file.seed),
            size: started.spec.file.size,
            ledger: RefCell::new(Ledger::new(Rc::clone(&started.reporter))),
            reporter: Rc::clone(&started.reporter),
            place: started.place,
        });
        let why = tokio::select! {
            why = ending.wait() => why,
            () = Rc::clone(&shop).serve(self.listener) => unreachable!("it serves for ever"),
            () = Rc::clone(&shop).report() => unreachable!("it reports for ever"),
        };
        shop.ledger.borrow_mut().report_anyway();
        ending.last_look().await;
        started.reporter.emit(Event::Left { why });
        Ok(())
    }
}

impl Shop {
    async fn serve(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    tokio::task::spawn_local(Rc::clone(&self).attend(stream, from));
                }
                Err(error) => web::accept_failed(&self.reporter, &error).await,
            }
        }
    }

    async fn report(self: Rc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.ledger.borrow_mut().report();
        }
    }

    async fn attend(self: Rc<Self>, stream: TcpStream, from: SocketAddr) {
        if web::tune(&stream).is_err() {
            return; // it is gone already
        }
        let service = service_fn(|request| {
            let response = Rc::clone(&self).answer(&request, from);
            async move { Ok::<_, Infallible>(response) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(web::PATIENCE)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served
            && error.is_parse()
        {
            let reason = format!("to the file server: {error}");
            self.reporter.emit(Event::Rejected { from: from.to_string(), reason });
        }
    }

    fn answer(self: Rc<Self>, request: &Request<Incoming>, from: SocketAddr) -> Response<Body> {
        if request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        if request.uri().path() != FILE_PATH {
            return plain(StatusCode::NOT_FOUND, "only /file is here\n");
        }
        let (status, range) = match request.headers().get(RANGE) {
            None => (StatusCode::OK, 0..self.size),
            Some(value) => match parse_range(value, self.size) {
                Some(range) => (StatusCode::PARTIAL_CONTENT, range),
                None => {
                    let reason = format!("range `{}` of a file of {} bytes", excerpt(value), self.size);
                    self.reporter.emit(Event::Rejected { from: from.to_string(), reason });
                    return plain(StatusCode::RANGE_NOT_SATISFIABLE, "one range: bytes=first-last\n");
                }
            },
        };
        let name = client_name(request).filter(|_| self.place.can_be_a_nodes(from.ip()));
        let client = name.unwrap_or_else(|| from.ip().to_string());
        let size = self.size;
        let mut response = Response::new(self.stream(range.clone(), client));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        if status == StatusCode::PARTIAL_CONTENT {
            let value = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            headers.insert(CONTENT_RANGE, HeaderValue::try_from(value).expect("digits are a header value"));
        }
        response
    }

    /// The bytes of a range, generated when the connection has room for them.
    fn stream(self: Rc<Self>, range: Range<u64>, client: String) -> Body {
        let chunks = stream::unfold(range.start, move |from| {
            let (shop, client, end) = (Rc::clone(&self), client.clone(), range.end);
            async move {
                let length = CHUNK.min(end - from);
                if length == 0 {
                    return None;
                }
                let mut data = vec![0; usize::try_from(length).expect("a chunk is small")];
                shop.content.read(from, &mut data);
                shop.ledger.borrow_mut().sent(&client, length);
                Some((Ok(Frame::data(Bytes::from(data))), from + length))
            }
        });
        Box::pin(StreamBody::new(chunks))
    }
}

/// The name of one of our nodes, from its user agent.
fn client_name(request: &Request<Incoming>) -> Option<String> {
    let name = request.headers().get(USER_AGENT)?.to_str().ok()?.strip_prefix(AGENT_PREFIX)?;
    let is_name = !name.is_empty()
        && name.len() <= crate::node::NAME_MAX
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    is_name.then(|| name.to_owned())
}

/// One range of the form `bytes=first-last` or `bytes=first-`, inside a file of `size` bytes.
fn parse_range(value: &HeaderValue, size: u64) -> Option<Range<u64>> {
    let (first, last) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.checked_add(1)?.min(size) };
    (first < end).then_some(first..end)
}

fn excerpt(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().take(80).collect()
}

fn plain(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Box::pin(Full::new(Bytes::from_static(body.as_bytes()))) as Body);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_range_inside_the_file_is_served() {
        let range = |text: &'static str| parse_range(&HeaderValue::from_static(text), 100);
        assert_eq!(range("bytes=0-9"), Some(0..10));
        assert_eq!(range("bytes=90-"), Some(90..100));
        assert_eq!(range("bytes=90-1000"), Some(90..100));
        for bad in ["bytes=100-", "bytes=5-4", "bytes=-5", "bytes=a-b", "0-9", "bytes=0-18446744073709551615x"] {
            assert_eq!(range(bad), None, "{bad}");
        }
        assert_eq!(range("bytes=0-18446744073709551615"), None);
    }
}

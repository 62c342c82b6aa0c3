//! The tracker's node: gate, HTTP tracker (BEP 3, BEP 23), the metainfo for whoever asks (`/file.torrent`), the other
//! end of calibrations, and a look at the host each second.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::ending::Ending;
use super::gate::Keeper;
use super::report::Reporter;
use super::{Failure, calibration, clock, host, web};
use crate::content;
use crate::event::Event;
use crate::node::{Alteration, CALIBRATION_PORT, Change, GATE_PORT, NodeSpec, TRACKER_PORT};
use crate::seeds::{self, Stream};
use crate::tracker::{Limits, Tracker};
use crate::wire::announce;

/// Where the metainfo is.
pub const METAINFO_PATH: &str = "/file.torrent";

#[derive(Debug)]
struct Office {
    tracker: RefCell<Tracker>,
    random: RefCell<Stream>,
    metainfo: Bytes,
    reporter: Rc<Reporter>,
    /// Gone for the peers: it answers no announce. The metainfo stays to be had, as it would be from elsewhere.
    silent: Cell<bool>,
}

/// Keeps gate and tracker until it is told to stop.
///
/// # Errors
/// If its ports are taken.
pub async fn run(
    spec: &NodeSpec,
    reporter: Rc<Reporter>,
    expect: u32,
    calibrate: u64,
    samples: BTreeSet<String>,
    clock: clock::Name,
    ending: &mut Ending,
) -> Result<(), Failure> {
    // The gate first: nodes may come while the metainfo is made.
    let gate = web::listen(GATE_PORT).await?;
    let listener = web::listen(TRACKER_PORT).await?;
    let other_end = web::listen(CALIBRATION_PORT).await?;
    reporter.emit(Event::Ready { offset: 0, offset_error: 0 });
    let metainfo = content::metainfo(&spec.file, &format!("http://tracker:{TRACKER_PORT}/announce"));
    let limits = Limits { reply: spec.policy.neighbours, ..Limits::default() };
    let office = Rc::new(Office {
        tracker: RefCell::new(Tracker::new(metainfo.info_hash(), limits)),
        random: RefCell::new(seeds::stream(spec.seed, "tracker")),
        metainfo: metainfo.encode().into(),
        reporter: Rc::clone(&reporter),
        silent: Cell::new(false),
    });
    let keeper = Rc::new(Keeper::new(expect, calibrate, samples, clock, Rc::clone(&reporter)));
    let why = tokio::select! {
        why = ending.wait() => why,
        () = Rc::clone(&office).change(&spec.changes, &keeper) => unreachable!("it waits for ever"),
        () = Rc::clone(&keeper).serve(gate) => unreachable!("it serves for ever"),
        () = serve(office, listener) => unreachable!("it serves for ever"),
        () = calibration::serve(other_end, Rc::clone(&reporter)) => unreachable!("it serves for ever"),
        () = host::watch(Rc::clone(&reporter)) => unreachable!("it watches for ever"),
        () = async {
            // What came before the start delays nobody.
            keeper.opened().await;
            host::stay_awake(&reporter, spec.nodes).await;
        } => unreachable!("it watches for ever"),
    };
    reporter.emit(Event::Left { why });
    Ok(())
}

async fn serve(office: Rc<Office>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                tokio::task::spawn_local(Rc::clone(&office).attend(stream, from));
            }
            Err(error) => web::accept_failed(&office.reporter, &error).await,
        }
    }
}

impl Office {
    /// Falls silent and answers again as planned.
    async fn change(self: Rc<Self>, changes: &[Change], keeper: &Keeper) {
        let go = keeper.opened().await;
        for change in changes {
            clock::wait_exactly(go.saturating_add(change.at), clock::EARLY).await;
            self.silent.set(change.what == Alteration::Silent);
            let late = clock::monotonic().saturating_sub(go).saturating_sub(change.at);
            self.reporter.emit(Event::Changed { planned: change.at, late, took: None, what: change.what, error: None });
        }
        std::future::pending::<()>().await;
    }

    async fn attend(self: Rc<Self>, stream: TcpStream, from: SocketAddr) {
        let service = service_fn(|request| {
            let response = self.answer(&request, from);
            async move { Ok::<_, Infallible>(response) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(web::PATIENCE)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served
            && error.is_parse()
        {
            let reason = format!("to the tracker: {error}");
            self.reporter.emit(Event::Rejected { from: from.to_string(), reason });
        }
    }

    fn answer(&self, request: &Request<Incoming>, from: SocketAddr) -> Response<Full<Bytes>> {
        let plain = |status: StatusCode, body: Bytes| {
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = status;
            response
        };
        if request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, Bytes::from_static(b"GET only\n"));
        }
        match request.uri().path() {
            METAINFO_PATH => plain(StatusCode::OK, self.metainfo.clone()),
            "/announce" if self.silent.get() => plain(StatusCode::SERVICE_UNAVAILABLE, Bytes::new()),
            "/announce" => plain(StatusCode::OK, self.announce(request.uri().query().unwrap_or(""), from)),
            _ => plain(StatusCode::NOT_FOUND, Bytes::from_static(b"/announce or /file.torrent\n")),
        }
    }

    fn announce(&self, query: &str, from: SocketAddr) -> Bytes {
        match announce::Request::parse(query) {
            Ok(request) => {
                let reply = self.tracker.borrow_mut().announce(
                    clock::monotonic(),
                    from.ip(),
                    &request,
                    &mut self.random.borrow_mut(),
                );
                reply.encode(request.compact).into()
            }
            Err(error) => {
                self.reporter.emit(Event::Rejected { from: from.to_string(), reason: error.to_string() });
                announce::Reply::Failure(error.to_string()).encode(true).into()
            }
        }
    }
}

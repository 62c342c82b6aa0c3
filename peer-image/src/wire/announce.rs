//! A tracker's requests and replies (BEP 3, compact replies BEP 23, IPv6 in them BEP 7), as text and bytes.
//!
//! It must not know HTTP beyond a query string, nor who is in the swarm. Parameters that it does not know are ignored,
//! and so is `ip`: a peer is where its request came from.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::bencode::{BadField, BencodeError, Dict, Value, excerpt};
use super::handshake::{InfoHash, PeerId};

/// Longest query string that is read, bytes; clients send some 400.
pub const QUERY_MAX: usize = 4096;

/// Longest reply that is read, bytes: 2,000 peers in the long form.
pub const REPLY_MAX: usize = 256 * 1024;

/// Longest failure reason that is sent or kept, bytes.
pub const FAILURE_MAX: usize = 1024;

/// Why a peer announces now and not at its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It begins.
    Started,
    /// It has just got the whole file.
    Completed,
    /// It leaves.
    Stopped,
}

impl Event {
    const ALL: [Self; 3] = [Self::Started, Self::Completed, Self::Stopped];

    fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
        }
    }
}

/// What a peer tells the tracker about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The file.
    pub info_hash: InfoHash,
    /// The peer.
    pub peer_id: PeerId,
    /// TCP port on which it listens; never 0 when parsed.
    pub port: u16,
    /// Sent to other peers so far, bytes.
    pub uploaded: u64,
    /// Received so far, bytes.
    pub downloaded: u64,
    /// Still lacking, bytes; 0 is a seed.
    pub left: u64,
    /// Why now; `None` at its interval.
    pub event: Option<Event>,
    /// How many peers it would like; `None` leaves it to the tracker.
    pub numwant: Option<u32>,
    /// Whether it takes the compact reply. Unsaid, it does (BEP 23).
    pub compact: bool,
}

/// An announce that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Longer than [`QUERY_MAX`].
    #[error("a query of `{length}` bytes, at most {QUERY_MAX} are read")]
    TooLong {
        /// Its length, bytes.
        length: usize,
    },
    /// A parameter is missing.
    #[error("parameter `{key}` is missing")]
    Missing {
        /// Its name.
        key: &'static str,
    },
    /// A parameter is there twice.
    #[error("parameter `{key}` is there twice")]
    Twice {
        /// Its name.
        key: &'static str,
    },
    /// A value that the parameter cannot have.
    #[error("parameter `{key}` is `{got}`, not {want}")]
    Value {
        /// The parameter's name.
        key: &'static str,
        /// Its value as it came, shortened.
        got: String,
        /// What it should be.
        want: &'static str,
    },
}

/// The parameters that are read.
const KEYS: [&str; 9] =
    ["info_hash", "peer_id", "port", "uploaded", "downloaded", "left", "event", "numwant", "compact"];

/// Values as they came, of those parameters that are read.
struct Parameters<'a>(BTreeMap<&'static str, &'a str>);

impl<'a> Parameters<'a> {
    fn split(query: &'a str) -> Result<Self, BadRequest> {
        let mut found = BTreeMap::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(&key) = KEYS.iter().find(|&&key| key == name) else { continue };
            if found.insert(key, value).is_some() {
                return Err(BadRequest::Twice { key });
            }
        }
        Ok(Self(found))
    }

    fn required(&self, key: &'static str) -> Result<&'a str, BadRequest> {
        self.0.get(key).copied().ok_or(BadRequest::Missing { key })
    }

    fn twenty(&self, key: &'static str) -> Result<[u8; 20], BadRequest> {
        let text = self.required(key)?;
        let bytes = percent_decoded(text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| bad_value(key, text, "20 bytes, percent-encoded"))
    }

    fn number<T: FromStr>(&self, key: &'static str, want: &'static str) -> Result<T, BadRequest> {
        number(key, self.required(key)?, want)
    }
}

fn bad_value(key: &'static str, text: &str, want: &'static str) -> BadRequest {
    BadRequest::Value { key, got: excerpt(text.as_bytes()), want }
}

/// Digits only: Rust's own parser would take a sign too.
fn number<T: FromStr>(key: &'static str, text: &str, want: &'static str) -> Result<T, BadRequest> {
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| bad_value(key, text, want))
}

/// `None` if a `%` is not followed by two hexadecimal digits. A `+` is a space, as HTML forms send it.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => u8::try_from(hex(bytes.next())? * 16 + hex(bytes.next())?).ok()?,
            b'+' => b' ',
            other => other,
        });
    }
    Some(out)
}

/// All but RFC 3986's unreserved characters become `%XX`.
fn percent_encode(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes what is written to it");
        }
    }
}

impl Request {
    /// Reads the query string of an announce, without its `?`.
    ///
    /// # Errors
    /// If it is too long, or a parameter that is read is missing, there twice or malformed.
    pub fn parse(query: &str) -> Result<Self, BadRequest> {
        if query.len() > QUERY_MAX {
            return Err(BadRequest::TooLong { length: query.len() });
        }
        let parameters = Parameters::split(query)?;
        let optional = |key| parameters.0.get(key).copied();
        let port = match parameters.number("port", "a TCP port")? {
            0 => return Err(bad_value("port", "0", "a TCP port")),
            port => port,
        };
        Ok(Self {
            info_hash: InfoHash(parameters.twenty("info_hash")?),
            peer_id: PeerId(parameters.twenty("peer_id")?),
            port,
            uploaded: parameters.number("uploaded", "a number of bytes")?,
            downloaded: parameters.number("downloaded", "a number of bytes")?,
            left: parameters.number("left", "a number of bytes")?,
            event: match optional("event") {
                // `empty` is BEP 3's own word for none; `paused` is BEP 21's, from a peer that wants no more.
                None | Some("" | "empty" | "paused") => None,
                Some(text) => {
                    let event = Event::ALL.into_iter().find(|event| event.name() == text);
                    Some(event.ok_or_else(|| bad_value("event", text, "`started`, `completed` or `stopped`"))?)
                }
            },
            numwant: optional("numwant").map(|text| number("numwant", text, "a number of peers")).transpose()?,
            compact: match optional("compact") {
                None | Some("1") => true,
                Some("0") => false,
                Some(text) => return Err(bad_value("compact", text, "0 or 1")),
            },
        })
    }

    /// The query string that says this, without its `?`.
    #[must_use]
    pub fn to_query(&self) -> String {
        let mut query = String::from("info_hash=");
        percent_encode(&self.info_hash.0, &mut query);
        query.push_str("&peer_id=");
        percent_encode(&self.peer_id.0, &mut query);
        let Self { port, uploaded, downloaded, left, .. } = self;
        let compact = u8::from(self.compact);
        query.push_str(&format!(
            "&port={port}&uploaded={uploaded}&downloaded={downloaded}&left={left}&compact={compact}"
        ));
        if let Some(event) = self.event {
            query.push_str(&format!("&event={}", event.name()));
        }
        if let Some(numwant) = self.numwant {
            query.push_str(&format!("&numwant={numwant}"));
        }
        query
    }
}

/// What the tracker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It refuses, for that reason.
    Failure(String),
    /// It knows the file.
    Peers(PeerList),
}

/// Some of those who are in the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerList {
    /// When to announce again, seconds from now; never 0 when decoded.
    pub interval: u32,
    /// How many have the whole file, if the tracker says.
    pub complete: Option<u32>,
    /// How many lack some of it, if the tracker says.
    pub incomplete: Option<u32>,
    /// Whom to connect to.
    pub peers: Vec<Peer>,
}

/// One who is in the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens; never port 0 when decoded.
    pub address: SocketAddr,
    /// Its id: only the long form has it.
    pub id: Option<PeerId>,
}

/// A reply that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// Longer than [`REPLY_MAX`].
    #[error("a tracker's reply of `{length}` bytes, at most {REPLY_MAX} are read")]
    TooLong {
        /// Its length, bytes.
        length: usize,
    },
    /// Not bencoded.
    #[error("the tracker's reply is not bencoded: {0}")]
    Bencode(#[from] BencodeError),
    /// A key is missing or has the wrong type or value.
    #[error("in the tracker's reply, {0}")]
    Field(#[from] BadField),
    /// A compact list that is not a whole number of peers.
    #[error("`{key}` has `{length}` bytes in the tracker's reply, not a multiple of {each}")]
    Compact {
        /// `peers` or `peers6`.
        key: &'static str,
        /// Its length, bytes.
        length: usize,
        /// What one peer takes, bytes.
        each: usize,
    },
    /// A peer that nobody can connect to.
    #[error("peer `{address}` has no port in the tracker's reply")]
    Port {
        /// Its address.
        address: IpAddr,
    },
}

impl Reply {
    /// As it is sent: `compact` is what the request said.
    #[must_use]
    pub fn encode(&self, compact: bool) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Failure(reason) => {
                let reason = &reason[..reason.floor_char_boundary(FAILURE_MAX)];
                Dict::of([("failure reason", Value::Bytes(reason.as_bytes()))]).encode(&mut out);
            }
            Self::Peers(list) if compact => list.encode_compact(&mut out),
            Self::Peers(list) => list.encode_long(&mut out),
        }
        out
    }

    /// Reads a reply in either form.
    ///
    /// # Errors
    /// If it is too long, not bencoded, or neither a failure nor a list of peers with an interval.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadReply> {
        if bytes.len() > REPLY_MAX {
            return Err(BadReply::TooLong { length: bytes.len() });
        }
        let value = Value::parse(bytes)?;
        let reply = value.as_dict("reply")?;
        if reply.find("failure reason").is_some() {
            let reason = reply.bytes("failure reason")?;
            let mut reason = String::from_utf8_lossy(reason).into_owned();
            reason.truncate(reason.floor_char_boundary(FAILURE_MAX));
            return Ok(Self::Failure(reason));
        }
        let interval = match reply.unsigned("interval", SECONDS)? {
            0 => return Err(BadField::Value { key: "interval", got: "0".to_owned(), want: SECONDS }.into()),
            seconds => seconds,
        };
        let count = |key| reply.find(key).map(|_| reply.unsigned(key, "a number of peers")).transpose();
        Ok(Self::Peers(PeerList {
            interval,
            complete: count("complete")?,
            incomplete: count("incomplete")?,
            peers: peers(reply)?,
        }))
    }
}

const SECONDS: &str = "a number of seconds";

impl PeerList {
    /// What both forms have in common.
    fn head<'a>(&self) -> Vec<(&'static str, Value<'a>)> {
        let counts = [("complete", self.complete), ("incomplete", self.incomplete), ("interval", Some(self.interval))];
        let integer = |number| Value::Integer(i64::from(number));
        counts.into_iter().filter_map(|(key, number)| Some((key, integer(number?)))).collect()
    }

    fn encode_compact(&self, out: &mut Vec<u8>) {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for Peer { address, .. } in &self.peers {
            let list = match address.ip() {
                IpAddr::V4(ip) => {
                    v4.extend_from_slice(&ip.octets());
                    &mut v4
                }
                IpAddr::V6(ip) => {
                    v6.extend_from_slice(&ip.octets());
                    &mut v6
                }
            };
            list.extend_from_slice(&address.port().to_be_bytes());
        }
        let mut entries = self.head();
        entries.push(("peers", Value::Bytes(&v4)));
        if !v6.is_empty() {
            entries.push(("peers6", Value::Bytes(&v6)));
        }
        Dict::of(entries).encode(out);
    }

    fn encode_long(&self, out: &mut Vec<u8>) {
        let addresses: Vec<String> = self.peers.iter().map(|peer| peer.address.ip().to_string()).collect();
        let peers = self.peers.iter().zip(&addresses).map(|(peer, ip)| {
            let id = peer.id.as_ref().map(|id| ("peer id", Value::Bytes(&id.0)));
            let address =
                [("ip", Value::Bytes(ip.as_bytes())), ("port", Value::Integer(i64::from(peer.address.port())))];
            Value::Dict(Dict::of(address.into_iter().chain(id)))
        });
        let mut entries = self.head();
        entries.push(("peers", Value::List(peers.collect())));
        Dict::of(entries).encode(out);
    }
}

/// The peers of a reply: `peers` in either form and `peers6`, of which one must be there.
fn peers(reply: &Dict<'_>) -> Result<Vec<Peer>, BadReply> {
    let mut peers = match (reply.find("peers"), reply.find("peers6")) {
        (Some(Value::List(list)), _) => list.iter().map(long_peer).collect::<Result<_, _>>()?,
        (None, Some(_)) => Vec::new(),
        _ => compact_peers::<4, 6>("peers", reply)?,
    };
    if reply.find("peers6").is_some() {
        peers.extend(compact_peers::<16, 18>("peers6", reply)?);
    }
    match peers.iter().find(|peer: &&Peer| peer.address.port() == 0) {
        None => Ok(peers),
        Some(peer) => Err(BadReply::Port { address: peer.address.ip() }),
    }
}

/// Peers of `EACH` bytes: an address of `IP` bytes and a port.
fn compact_peers<const IP: usize, const EACH: usize>(key: &'static str, reply: &Dict<'_>) -> Result<Vec<Peer>, BadReply>
where
    IpAddr: From<[u8; IP]>,
{
    let bytes = reply.bytes(key)?;
    let (peers, rest) = bytes.as_chunks::<EACH>();
    if !rest.is_empty() {
        return Err(BadReply::Compact { key, length: bytes.len(), each: EACH });
    }
    let peer = |bytes: &[u8; EACH]| {
        let (ip, port) = bytes.split_first_chunk::<IP>().expect("a peer is longer than its address");
        let port = u16::from_be_bytes(port.try_into().expect("a peer is an address and a port"));
        Peer { address: SocketAddr::new(IpAddr::from(*ip), port), id: None }
    };
    Ok(peers.iter().map(peer).collect())
}

fn long_peer(value: &Value<'_>) -> Result<Peer, BadField> {
    let peer = value.as_dict("peers")?;
    let ip = peer.text("ip")?;
    let bad = |key, got: &[u8], want| BadField::Value { key, got: excerpt(got), want };
    // BEP 3 allows a DNS name here; nothing in a swarm of ours resolves one.
    let ip: IpAddr = ip.parse().ok().ok_or_else(|| bad("ip", ip.as_bytes(), "an IP address"))?;
    let port = peer.unsigned("port", "a TCP port")?;
    let id = match peer.find("peer id") {
        None => None,
        Some(_) => {
            let id = peer.bytes("peer id")?;
            Some(PeerId(id.try_into().ok().ok_or_else(|| bad("peer id", id, "20 bytes"))?))
        }
    };
    Ok(Peer { address: SocketAddr::new(ip, port), id })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> impl Strategy<Value = Request> {
        let event = prop::option::of(prop::sample::select(Event::ALL.as_slice()));
        (any::<([u8; 20], [u8; 20], u64, u64, u64, Option<u32>, bool)>(), 1_u16.., event).prop_map(
            |((hash, id, uploaded, downloaded, left, numwant, compact), port, event)| Request {
                info_hash: InfoHash(hash),
                peer_id: PeerId(id),
                port,
                uploaded,
                downloaded,
                left,
                event,
                numwant,
                compact,
            },
        )
    }

    fn list(v6: bool) -> impl Strategy<Value = PeerList> {
        let peer = (any::<(IpAddr, Option<[u8; 20]>)>(), 1_u16..)
            .prop_map(|((ip, id), port)| Peer { address: SocketAddr::new(ip, port), id: id.map(PeerId) });
        let peer = peer.prop_filter("the address family", move |peer| v6 || peer.address.is_ipv4());
        (1_u32.., any::<(Option<u32>, Option<u32>)>(), prop::collection::vec(peer, 0..10))
            .prop_map(|(interval, (complete, incomplete), peers)| PeerList { interval, complete, incomplete, peers })
    }

    proptest! {
        #[test]
        fn a_request_is_read_as_it_was_written(request in request()) {
            let query = request.to_query();
            prop_assert!(query.len() < QUERY_MAX && query.is_ascii());
            prop_assert_eq!(Request::parse(&query), Ok(request));
        }

        #[test]
        fn an_arbitrary_query_is_a_request_or_an_error(
            request in request(), at in any::<prop::sample::Index>(), put in "[&=%+a-f0-9é]{0,4}", free in ".{0,80}"
        ) {
            let mut query = request.to_query();
            let at = at.index(query.len());
            query.replace_range(at..=at, &put);
            let _ = Request::parse(&query);
            let _ = Request::parse(&free);
        }

        #[test]
        fn the_long_form_is_read_as_it_was_written(list in list(true)) {
            let reply = Reply::Peers(list);
            prop_assert_eq!(Reply::decode(&reply.encode(false)), Ok(reply));
        }

        #[test]
        fn the_compact_form_loses_the_ids_only(list in list(false)) {
            let bytes = Reply::Peers(list.clone()).encode(true);
            let peers = list.peers.iter().map(|peer| Peer { id: None, ..*peer }).collect();
            prop_assert_eq!(Reply::decode(&bytes), Ok(Reply::Peers(PeerList { peers, ..list })));
        }

        #[test]
        fn the_compact_form_keeps_peers_of_both_families(list in list(true)) {
            let Ok(Reply::Peers(decoded)) = Reply::decode(&Reply::Peers(list.clone()).encode(true)) else {
                return Err(TestCaseError::fail("a list"));
            };
            let sorted = |list: PeerList| {
                let mut addresses: Vec<SocketAddr> = list.peers.iter().map(|peer| peer.address).collect();
                addresses.sort();
                addresses
            };
            prop_assert_eq!(sorted(decoded), sorted(list));
        }

        #[test]
        fn a_failure_is_read_as_it_was_written(reason in ".{0,80}") {
            let reply = Reply::Failure(reason);
            prop_assert_eq!(Reply::decode(&reply.encode(true)), Ok(reply));
        }

        #[test]
        fn a_damaged_reply_is_a_reply_or_an_error(
            list in list(true), compact: bool, at in any::<prop::sample::Index>(), byte: u8,
            free in prop::collection::vec(any::<u8>(), 0..100)
        ) {
            let mut bytes = Reply::Peers(list).encode(compact);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(Reply::Peers(list)) = Reply::decode(&bytes) {
                prop_assert!(list.interval > 0 && list.peers.iter().all(|peer| peer.address.port() > 0));
            }
            prop_assert!(Reply::decode(&free).is_err());
        }
    }

    const QUERY: &str = "info_hash=aaaaaaaaaaaaaaaaaaa%ff&peer_id=-HN0001-p-7.........&port=6881\
        &uploaded=0&downloaded=0&left=5";

    #[test]
    fn what_clients_leave_out_or_add_is_taken() {
        let request = Request::parse(QUERY).unwrap();
        assert_eq!(request.info_hash.0, *b"aaaaaaaaaaaaaaaaaaa\xff");
        assert_eq!(request.peer_id.node_name(), Some("p-7"));
        assert_eq!((request.event, request.numwant, request.compact), (None, None, true));
        let more = format!("{QUERY}&key=1&ipv6=::1&ipv6=::2&supportcrypto=1&no_peer_id=1&ip=1.2.3.4&event=&&x");
        assert_eq!(Request::parse(&more), Ok(request.clone()));
        assert_eq!(Request::parse(&format!("{QUERY}&event=paused&compact=1")), Ok(request));
        let plus = QUERY.replace("aaa%ff", "a+a%20");
        assert_eq!(Request::parse(&plus).unwrap().info_hash.0, *b"aaaaaaaaaaaaaaaaa a ");
    }

    #[test]
    fn each_bad_parameter_is_named_with_its_value() {
        let error = |from: &str, to: &str| {
            assert!(QUERY.contains(from), "{from}");
            Request::parse(&QUERY.replace(from, to)).unwrap_err().to_string()
        };
        assert_eq!(error("&port=6881", ""), "parameter `port` is missing");
        assert_eq!(error("port=6881", "port=0"), "parameter `port` is `0`, not a TCP port");
        assert_eq!(error("port=6881", "port=65536"), "parameter `port` is `65536`, not a TCP port");
        assert_eq!(error("left=5", "left=+5"), "parameter `left` is `+5`, not a number of bytes");
        assert_eq!(error("left=5", "left=-5"), "parameter `left` is `-5`, not a number of bytes");
        assert_eq!(error("left=5", "left=5&left=5"), "parameter `left` is there twice");
        assert_eq!(error("left=5", "left=5&compact=2"), "parameter `compact` is `2`, not 0 or 1");
        assert_eq!(
            error("left=5", "left=5&event=gone"),
            "parameter `event` is `gone`, not `started`, `completed` or `stopped`"
        );
        for hash in ["%f", "%", "%fg", "%+1", "", "aa"] {
            assert!(error("%ff", hash).contains("`info_hash`"), "{hash}");
        }
        assert!(error("left=5", &format!("left={}", "0".repeat(QUERY_MAX))).contains("at most 4096"));
    }

    #[test]
    fn the_bytes_are_those_of_the_specifications() {
        let peer = |ip: [u8; 4]| Peer { address: (ip, 6881).into(), id: Some(PeerId([b'x'; 20])) };
        let reply = Reply::Peers(PeerList {
            interval: 60,
            complete: Some(1),
            incomplete: Some(2),
            peers: vec![peer([10, 0, 0, 1])],
        });
        assert_eq!(
            reply.encode(true).escape_ascii().to_string(),
            r"d8:completei1e10:incompletei2e8:intervali60e5:peers6:\n\x00\x00\x01\x1a\xe1e"
        );
        assert_eq!(
            reply.encode(false).escape_ascii().to_string(),
            "d8:completei1e10:incompletei2e8:intervali60e\
             5:peersld2:ip8:10.0.0.17:peer id20:xxxxxxxxxxxxxxxxxxxx4:porti6881eeee"
        );
    }

    #[test]
    fn each_bad_reply_is_named_with_its_value() {
        let error = |reply: &str| Reply::decode(reply.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("de"), "in the tracker's reply, key `interval` is missing");
        assert_eq!(error("d8:intervali9ee"), "in the tracker's reply, key `peers` is missing");
        assert_eq!(error("d8:intervali0ee"), "in the tracker's reply, key `interval` is `0`, not a number of seconds");
        assert_eq!(
            error("d8:intervali9e5:peers5:abcdee"),
            "`peers` has `5` bytes in the tracker's reply, not a multiple of 6"
        );
        assert_eq!(error("d8:intervali9e5:peers6:1234\0\0e"), "peer `49.50.51.52` has no port in the tracker's reply");
        assert_eq!(
            error("d8:intervali9e5:peersld2:ip4:a.b.4:porti1eeee"),
            "in the tracker's reply, key `ip` is `a.b.`, not an IP address"
        );
        assert_eq!(
            error("d8:intervali9e5:peersld2:ip3:::14:porti65536eeee"),
            "in the tracker's reply, key `port` is `65536`, not a TCP port"
        );
        assert_eq!(
            error("d14:failure reasoni1ee"),
            "in the tracker's reply, key `failure reason` is an integer, not a string"
        );
        assert!(error(&"0".repeat(REPLY_MAX + 1)).contains("at most 262144"));
    }

    #[test]
    fn a_long_failure_reason_is_cut_between_characters() {
        let reply = Reply::Failure("é".repeat(FAILURE_MAX));
        let Ok(Reply::Failure(reason)) = Reply::decode(&reply.encode(true)) else { panic!("a failure") };
        assert_eq!(reason, "é".repeat(FAILURE_MAX / 2));
    }
}

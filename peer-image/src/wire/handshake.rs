//! The handshake (BEP 3), and the two 20-byte names that it carries.
//!
//! It must not know what follows on the connection. Reserved bits are ignored and sent as zero:
//! no extension is spoken here.

use std::fmt;

use crate::node::NAME_MAX;

/// Length of a handshake, bytes.
pub const LENGTH: usize = 68;

/// What every handshake begins with.
const OPENING: [u8; 20] = *b"\x13BitTorrent protocol";

/// How our peer ids begin (the convention of Azureus: client and version between dashes).
const PREFIX: [u8; 8] = *b"-HN0001-";

/// Fills a peer id behind a short node name; no node name contains it.
const PADDING: u8 = b'.';

const _: () = assert!(PREFIX.len() + NAME_MAX == 20, "prefix and name make a peer id");

/// Names one file: SHA-1 of the metainfo's `info` dictionary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

/// Hexadecimal, as clients show it.
impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHash({self})")
    }
}

/// Names one client on one host, as it chose itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

/// Printable characters as they are, others escaped.
impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// A node name that does not go into a peer id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node name `{name}` is not 1 to {NAME_MAX} characters of `[a-z0-9-]`")]
pub struct BadName {
    /// The name.
    pub name: String,
}

impl PeerId {
    /// The peer id of our node `name`, from which [`PeerId::node_name`] gives it back.
    ///
    /// # Errors
    /// If `name` is empty, longer than [`NAME_MAX`] or has other characters than `[a-z0-9-]`.
    pub fn for_node(name: &str) -> Result<Self, BadName> {
        if name.len() > NAME_MAX || !is_node_name(name.as_bytes()) {
            return Err(BadName { name: name.to_owned() });
        }
        let mut id = [PADDING; 20];
        let (prefix, rest) = id.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(&PREFIX);
        rest[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self(id))
    }

    /// The name of our node with this id; `None` if it is another client's.
    #[must_use]
    pub fn node_name(&self) -> Option<&str> {
        let padded = self.0.strip_prefix(&PREFIX)?;
        let length = padded.iter().position(|&byte| byte == PADDING).unwrap_or(padded.len());
        let (name, padding) = padded.split_at(length);
        if !is_node_name(name) || padding.iter().any(|&byte| byte != PADDING) {
            return None;
        }
        std::str::from_utf8(name).ok()
    }
}

fn is_node_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// What the first 68 bytes of a connection say, from either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// The file that the sender wants to talk about.
    pub info_hash: InfoHash,
    /// Who the sender says it is.
    pub peer_id: PeerId,
}

/// A connection that does not open with BitTorrent's handshake: perhaps an encrypted one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{opening}` is not the opening of a BitTorrent handshake (hint: encrypted handshakes are not supported)")]
pub struct NotBitTorrent {
    /// What came, up to 20 bytes, escaped.
    pub opening: String,
}

/// Checks as much of a connection's opening as has come, so that another protocol is noticed at its first bytes.
///
/// # Errors
/// If `received` cannot become a handshake.
pub fn check_opening(received: &[u8]) -> Result<(), NotBitTorrent> {
    let opening = &received[..received.len().min(OPENING.len())];
    if OPENING.starts_with(opening) {
        Ok(())
    } else {
        Err(NotBitTorrent { opening: opening.escape_ascii().to_string() })
    }
}

impl Handshake {
    /// As it is sent.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..20].copy_from_slice(&OPENING);
        bytes[28..48].copy_from_slice(&self.info_hash.0);
        bytes[48..].copy_from_slice(&self.peer_id.0);
        bytes
    }

    /// The handshake that came as `bytes`.
    ///
    /// # Errors
    /// If its opening is another protocol's.
    pub fn decode(bytes: &[u8; LENGTH]) -> Result<Self, NotBitTorrent> {
        check_opening(bytes)?;
        let twenty = |from: usize| {
            let mut out = [0; 20];
            out.copy_from_slice(&bytes[from..from + 20]);
            out
        };
        Ok(Self { info_hash: InfoHash(twenty(28)), peer_id: PeerId(twenty(48)) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same_whatever_the_reserved_bits(
            hash in any::<[u8; 20]>(), id in any::<[u8; 20]>(), reserved in any::<[u8; 8]>()
        ) {
            let handshake = Handshake { info_hash: InfoHash(hash), peer_id: PeerId(id) };
            let mut bytes = handshake.encode();
            prop_assert_eq!(&bytes[20..28], &[0; 8]);
            bytes[20..28].copy_from_slice(&reserved);
            prop_assert_eq!(Handshake::decode(&bytes), Ok(handshake));
        }

        #[test]
        fn a_changed_opening_is_refused_at_its_first_wrong_byte(at in 0_usize..20, flip in 1_u8..) {
            let mut bytes = Handshake { info_hash: InfoHash([1; 20]), peer_id: PeerId([2; 20]) }.encode();
            bytes[at] ^= flip;
            prop_assert!(Handshake::decode(&bytes).is_err());
            prop_assert!(check_opening(&bytes[..at]).is_ok());
            prop_assert!(check_opening(&bytes[..=at]).is_err());
        }

        #[test]
        fn a_node_is_found_again_in_its_peer_id(name in "[a-z0-9-]{1,12}") {
            let id = PeerId::for_node(&name).unwrap();
            prop_assert_eq!(id.node_name(), Some(name.as_str()));
        }

        #[test]
        fn an_arbitrary_peer_id_has_a_name_only_if_it_is_the_id_of_that_name(tail in any::<[u8; 12]>()) {
            let mut bytes = *b"-HN0001-............";
            bytes[8..].copy_from_slice(&tail);
            let id = PeerId(bytes);
            if let Some(name) = id.node_name() {
                prop_assert_eq!(PeerId::for_node(name), Ok(id));
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_bep_3() {
        let id = PeerId::for_node("p-7").unwrap();
        assert_eq!(&id.0, b"-HN0001-p-7.........");
        let bytes = Handshake { info_hash: InfoHash([0xab; 20]), peer_id: id }.encode();
        assert_eq!(&bytes[..28], b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0");
        assert_eq!(InfoHash([0xab; 20]).to_string(), "ab".repeat(20));
    }

    #[test]
    fn names_that_are_not_ours_are_refused_both_ways() {
        for bad in ["", "thirteen-long", "Upper", "dot.", "ü"] {
            assert!(PeerId::for_node(bad).is_err(), "{bad}");
        }
        for bad in [b"-HN0001-............", b"-HN0001-a..b........", b"-HN0001-A...........", b"-LT2080-abcdefghijkl"]
        {
            assert_eq!(PeerId(*bad).node_name(), None);
        }
    }

    #[test]
    fn another_protocol_is_quoted() {
        let error = check_opening(b"GET / HTTP/1.1\r\nHost: x").unwrap_err();
        assert!(error.to_string().starts_with("`GET / HTTP/1.1\\r\\nHost` is not"), "{error}");
    }
}

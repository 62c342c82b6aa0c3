//! Metainfo (BEP 3), single file, private (BEP 27).
//!
//! It must not know where a `.torrent` is kept or who downloads it.

use sha1::{Digest, Sha1};

use super::bencode::{BadField, BencodeError, Dict, Value, excerpt};
use super::geometry::Geometry;
use super::handshake::InfoHash;

/// Longest `.torrent` that is read, bytes: enough for 800 GiB in pieces of 1 MiB.
pub const LENGTH_MAX: usize = 16 << 20;

/// Most pieces of a file: their digests, 20 bytes each, and 64 KiB for all else make up a torrent of [`LENGTH_MAX`].
pub const PIECES_MAX: u64 = (LENGTH_MAX as u64 - (64 << 10)) / 20;

/// Longest file name, bytes (Linux's `NAME_MAX`).
const FILE_NAME_MAX: usize = 255;

/// What a `.torrent` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    /// The tracker's announce URL.
    pub announce: String,
    /// Suggested file name.
    pub name: String,
    /// Length of the file, bytes.
    pub length: u64,
    /// Length of a piece, bytes.
    pub piece_length: u32,
    /// Peers only from the tracker (BEP 27).
    pub private: bool,
    /// SHA-1 of each piece.
    pub pieces: Vec<PieceHash>,
}

/// A `.torrent` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// Longer than [`LENGTH_MAX`].
    #[error("a torrent of `{length}` bytes, at most {LENGTH_MAX} are read")]
    TooLong {
        /// Its length, bytes.
        length: usize,
    },
    /// Not bencoded.
    #[error("the torrent is not bencoded: {0}")]
    Bencode(#[from] BencodeError),
    /// A key is missing or has the wrong type.
    #[error("in the torrent, {0}")]
    Field(#[from] BadField),
    /// A torrent of several files.
    #[error("the torrent has `files` (hint: only single-file torrents are supported)")]
    SeveralFiles,
    /// A name that is a path, or none.
    #[error("`{name}` is no file name")]
    Name {
        /// The name, shortened.
        name: String,
    },
    /// A length of 0, or a file of 2³² pieces or more.
    #[error("a file of `{length}` bytes cannot be cut into pieces of `{piece_length}`")]
    Geometry {
        /// Length of the file, bytes.
        length: u64,
        /// Length of a piece, bytes.
        piece_length: u32,
    },
    /// `pieces` has another length than the file needs.
    #[error("`pieces` has {got} bytes where a file of {want} pieces needs 20 each")]
    Pieces {
        /// Length of `pieces`, bytes.
        got: usize,
        /// Pieces that the file has.
        want: u32,
    },
}

impl Metainfo {
    /// The `.torrent`.
    ///
    /// # Panics
    /// If the file is longer than 2⁶³ bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let pieces = self.pieces.concat();
        let info = self.info(&pieces);
        let mut out = Vec::with_capacity(pieces.len() + 256);
        let announce = Value::Bytes(self.announce.as_bytes());
        Dict::of([("announce", announce), ("info", Value::Dict(info))]).encode(&mut out);
        out
    }

    /// The hash of the `info` dictionary as [`Metainfo::encode`] writes it. A torrent that came from elsewhere
    /// may have more in it: there, the hash that [`Metainfo::decode`] returns is the one that counts.
    ///
    /// # Panics
    /// If the file is longer than 2⁶³ bytes.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        let pieces = self.pieces.concat();
        let mut out = Vec::with_capacity(pieces.len() + 128);
        self.info(&pieces).encode(&mut out);
        InfoHash(Sha1::digest(&out).into())
    }

    fn info<'a>(&'a self, pieces: &'a [u8]) -> Dict<'a> {
        let length = i64::try_from(self.length).expect("a file is shorter than 2^63 bytes");
        let mut entries = vec![
            ("length", Value::Integer(length)),
            ("name", Value::Bytes(self.name.as_bytes())),
            ("piece length", Value::Integer(i64::from(self.piece_length))),
            ("pieces", Value::Bytes(pieces)),
        ];
        if self.private {
            entries.push(("private", Value::Integer(1)));
        }
        Dict::of(entries)
    }

    /// Reads a `.torrent`, and the hash of its `info` dictionary as it stands there.
    ///
    /// # Errors
    /// If it is not a well-formed single-file torrent with an announce URL.
    pub fn decode(bytes: &[u8]) -> Result<(Self, InfoHash), MetainfoError> {
        if bytes.len() > LENGTH_MAX {
            return Err(MetainfoError::TooLong { length: bytes.len() });
        }
        let value = Value::parse(bytes)?;
        let torrent = value.as_dict("torrent")?;
        let info = torrent.dict("info")?;
        if info.find("files").is_some() {
            return Err(MetainfoError::SeveralFiles);
        }
        let metainfo = Self {
            announce: torrent.text("announce")?.to_owned(),
            name: file_name(info.text("name")?)?.to_owned(),
            length: info.unsigned("length", "a length in bytes")?,
            piece_length: info.unsigned("piece length", "a length in bytes below 2^32")?,
            private: match info.find("private") {
                None => false,
                Some(_) => info.unsigned::<u8>("private", "0 or 1").and_then(is_private)?,
            },
            pieces: info.bytes("pieces")?.as_chunks().0.to_vec(),
        };
        let got = info.bytes("pieces")?.len();
        let want = metainfo.geometry()?.pieces();
        if got as u64 != u64::from(want) * 20 {
            return Err(MetainfoError::Pieces { got, want });
        }
        Ok((metainfo, InfoHash(Sha1::digest(info.raw()).into())))
    }

    /// How the file is cut.
    ///
    /// # Errors
    /// If it is empty, its piece length is 0, or it has 2³² pieces or more.
    pub fn geometry(&self) -> Result<Geometry, MetainfoError> {
        let Self { length, piece_length, .. } = *self;
        Geometry::new(length, piece_length).ok_or(MetainfoError::Geometry { length, piece_length })
    }
}

/// A name that names a file in whatever directory it is put, and nothing outside.
fn file_name(name: &str) -> Result<&str, MetainfoError> {
    if matches!(name, "" | "." | "..") || name.len() > FILE_NAME_MAX || name.contains(['/', '\\', '\0']) {
        return Err(MetainfoError::Name { name: excerpt(name.as_bytes()) });
    }
    Ok(name)
}

fn is_private(number: u8) -> Result<bool, BadField> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(BadField::Value { key: "private", got: other.to_string(), want: "0 or 1" }),
    }
}

/// SHA-1 of a piece.
pub type PieceHash = [u8; 20];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metainfo() -> impl Strategy<Value = Metainfo> {
        let name = "[^/\\\\\0]{1,30}".prop_filter("a file name", |name| file_name(name).is_ok());
        (".{0,40}", name, 1_u32.., any::<bool>(), prop::collection::vec(any::<PieceHash>(), 1..20), any::<u32>())
            .prop_map(|(announce, name, piece_length, private, pieces, short)| {
                let length = pieces.len() as u64 * u64::from(piece_length) - u64::from(short % piece_length);
                Metainfo { announce, name, length, piece_length, private, pieces }
            })
    }

    fn small() -> Metainfo {
        Metainfo {
            announce: "http://10.0.0.2:6969/announce".to_owned(),
            name: "f".to_owned(),
            length: 40_000,
            piece_length: 32_768,
            private: true,
            pieces: vec![[1; 20], [2; 20]],
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(metainfo in metainfo()) {
            let (decoded, hash) = Metainfo::decode(&metainfo.encode()).unwrap();
            prop_assert_eq!(hash, metainfo.info_hash());
            prop_assert_eq!(decoded, metainfo);
        }

        #[test]
        fn a_damaged_torrent_is_an_error_or_another_torrent(
            metainfo in metainfo(), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut bytes = metainfo.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok((decoded, _)) = Metainfo::decode(&bytes) {
                prop_assert_eq!(decoded.pieces.len(), decoded.geometry().unwrap().pieces() as usize);
            }
        }

        #[test]
        fn arbitrary_bytes_are_no_torrent(input in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Metainfo::decode(&input).is_err());
        }
    }

    #[test]
    fn the_bytes_and_the_hash_are_pinned() {
        let mut want = b"d8:announce29:http://10.0.0.2:6969/announce4:infod6:lengthi40000e4:name1:f\
            12:piece lengthi32768e6:pieces40:"
            .to_vec();
        want.extend([1; 20].iter().chain(&[2; 20]));
        want.extend(b"7:privatei1eee");
        assert_eq!(small().encode(), want);
        let info = &want[want.windows(6).position(|w| w == b"4:info").unwrap() + 6..want.len() - 1];
        assert_eq!(small().info_hash().0, <[u8; 20]>::from(Sha1::digest(info)));
    }

    #[test]
    fn the_hash_of_a_foreign_torrent_covers_what_we_do_not_know() {
        let ours = small().encode();
        let text: Vec<u8> = ours.strip_suffix(b"7:privatei1eee").unwrap().to_vec();
        let foreign = [text.as_slice(), b"7:privatei1e6:source3:xyzee"].concat();
        let (decoded, hash) = Metainfo::decode(&foreign).unwrap();
        assert_eq!(decoded, small());
        assert_ne!(hash, small().info_hash());
    }

    #[test]
    fn each_fault_is_named_with_its_value() {
        let message = |change: &dyn Fn(&mut Metainfo)| {
            let mut metainfo = small();
            change(&mut metainfo);
            Metainfo::decode(&metainfo.encode()).unwrap_err().to_string()
        };
        assert_eq!(message(&|m| m.name = "../etc".into()), "`../etc` is no file name");
        assert_eq!(message(&|m| m.pieces.truncate(1)), "`pieces` has 20 bytes where a file of 2 pieces needs 20 each");
        assert_eq!(message(&|m| m.length = 0), "a file of `0` bytes cannot be cut into pieces of `32768`");
        assert_eq!(message(&|m| m.piece_length = 0), "a file of `40000` bytes cannot be cut into pieces of `0`");
        let error = |torrent: &[u8]| Metainfo::decode(torrent).unwrap_err().to_string();
        assert_eq!(error(b"de"), "in the torrent, key `info` is missing");
        assert_eq!(error(b"le"), "in the torrent, key `torrent` is a list, not a dictionary");
        assert!(error(b"d4:infod5:fileslee1:xe").contains("where a value should be"));
        assert!(error(b"d4:infod5:fileslee").contains("the input ends"));
        assert!(error(b"d4:infod5:filesleee").contains("single-file"));
        assert!(error(&vec![b'i'; LENGTH_MAX + 1]).contains("16777217"));
    }
}

//! The file's bytes: generated from a seed, any range at any time, so that no node needs the file on disk.
//!
//! Byte i of the file is byte i of the ChaCha8 key stream of `stream(seed, "content")`; it neither compresses
//! nor repeats, and a range costs its length.

use chacha20::ChaCha8;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use sha1::{Digest, Sha1};

use crate::node::FileSpec;
use crate::wire::metainfo::{Metainfo, PieceHash};

/// Any range of the file that belongs to a seed.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    seed: u64,
}

impl Content {
    /// The content that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Fills `out` with the bytes from `offset` on.
    pub fn read(&self, offset: u64, out: &mut [u8]) {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..15].copy_from_slice(b"content");
        let mut cipher = ChaCha8::new(&key.into(), &[0; 12].into());
        cipher.seek(offset);
        out.fill(0);
        cipher.apply_keystream(out);
    }
}

/// SHA-1 of each piece of `file`, in order: what the metainfo carries.
#[must_use]
pub fn piece_hashes(file: &FileSpec) -> Vec<PieceHash> {
    let content = Content::new(file.seed);
    let mut buffer = vec![0; file.piece as usize];
    let mut offset = 0;
    let mut hashes = Vec::new();
    while offset < file.size {
        let length = u64::from(file.piece).min(file.size - offset);
        let piece = &mut buffer[..usize::try_from(length).expect("a piece fits memory")];
        content.read(offset, piece);
        hashes.push(Sha1::digest(&*piece).into());
        offset += length;
    }
    hashes
}

/// The metainfo of `file` with its tracker's announce URL.
#[must_use]
pub fn metainfo(file: &FileSpec, announce: &str) -> Metainfo {
    Metainfo {
        announce: announce.to_owned(),
        name: file.name.clone(),
        length: file.size,
        piece_length: file.piece,
        private: true,
        pieces: piece_hashes(file),
    }
}

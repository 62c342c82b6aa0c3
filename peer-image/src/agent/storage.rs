//! Keeps what came, verifies pieces by their SHA-1, gives blocks out again.
//!
//! `none` keeps no bytes: a block that equals what the seed generates there is remembered as such and generated
//! again when it is needed; any other block of a piece that is under way is kept as it came. The hash of a piece is
//! thus always that of the bytes that were received.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::Failure;
use crate::content::Content;
use crate::node::{NodeSpec, Storage as Kind};
use crate::swarm::BlockDigest;
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{Block, Geometry, PieceIndex};
use crate::wire::metainfo::{Metainfo, PieceHash};

/// The file, as far as this node has it.
#[derive(Debug)]
pub struct Storage {
    geometry: Geometry,
    hashes: Vec<PieceHash>,
    place: Place,
    /// Where the numbers of verified pieces are appended, if they are to outlive the process.
    journal: Option<File>,
}

#[derive(Debug)]
enum Place {
    /// Blocks of pieces under way that are not what the content has there.
    Nowhere {
        content: Content,
        odd: BTreeMap<Block, Bytes>,
    },
    Memory(Vec<u8>),
    Disk(File),
}

impl Storage {
    /// The storage of a node, with the pieces that an earlier life left (checked again where their bytes are kept).
    ///
    /// # Errors
    /// If the state directory cannot be written, or there is no room.
    pub fn open(spec: &NodeSpec, metainfo: &Metainfo) -> Result<(Self, Bitfield), Failure> {
        let geometry = metainfo.geometry().map_err(|e| Failure::trial(e.to_string()))?;
        let directory = spec.state_dir.as_ref().map(PathBuf::from);
        let at = |e: io::Error, path: &Path| {
            Failure::machine(format!("cannot keep the file in `{}`: {e} (hint: is there room?)", path.display()))
        };
        let place = match spec.storage {
            Kind::None => Place::Nowhere { content: Content::new(spec.file.seed), odd: BTreeMap::new() },
            Kind::Memory => {
                let size = usize::try_from(geometry.size()).map_err(|e| Failure::machine(e.to_string()))?;
                Place::Memory(vec![0; size])
            }
            Kind::Disk => {
                let directory = directory
                    .as_ref()
                    .ok_or_else(|| Failure::trial("`storage: disk` without a state directory".to_owned()))?;
                let path = directory.join("file");
                let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
                let file = open.map_err(|e| at(e, &path))?;
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, geometry.size())
                    .map_err(|e| at(e.into(), &path))?;
                Place::Disk(file)
            }
        };
        let mut storage = Self { geometry, hashes: metainfo.pieces.clone(), place, journal: None };
        let mut have = Bitfield::empty(geometry);
        if let Some(directory) = directory {
            let path = directory.join("pieces");
            for piece in read_journal(&path).map_err(|e| at(e, &path))? {
                if let Ok(piece) = geometry.piece(piece)
                    && storage.still_has(piece)
                {
                    have.set(piece);
                }
            }
            let open = OpenOptions::new().append(true).create(true).open(&path);
            let journal = open.map_err(|e| at(e, &path))?;
            // A number cut short by a crash must not shift those that follow.
            let whole = journal.metadata().map(|m| m.len() / 4 * 4).and_then(|length| journal.set_len(length));
            whole.map_err(|e| at(e, &path))?;
            storage.journal = Some(journal);
        }
        Ok((storage, have))
    }

    /// Whether a piece that the journal names is really there.
    fn still_has(&self, piece: PieceIndex) -> bool {
        match self.place {
            Place::Nowhere { .. } => true,
            Place::Memory(_) => false,
            Place::Disk(_) => self.hash(piece).is_ok_and(|hash| hash == self.hashes[piece.index()]),
        }
    }

    /// Keeps a block.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn write(&mut self, block: Block, data: &[u8]) -> io::Result<()> {
        let offset = self.geometry.offset(block.piece()) + u64::from(block.begin());
        match &mut self.place {
            Place::Nowhere { content, odd } => {
                let mut right = vec![0; data.len()];
                content.read(offset, &mut right);
                if right == data {
                    odd.remove(&block);
                } else {
                    // A copy: a slice would keep the whole receive buffer alive.
                    odd.insert(block, Bytes::copy_from_slice(data));
                }
                Ok(())
            }
            Place::Memory(bytes) => {
                let start = usize::try_from(offset).expect("the file fits memory");
                bytes[start..start + data.len()].copy_from_slice(data);
                Ok(())
            }
            Place::Disk(file) => file.write_all_at(data, offset),
        }
    }

    /// A block of a piece whose blocks were all written.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn read(&self, block: Block) -> io::Result<Vec<u8>> {
        let offset = self.geometry.offset(block.piece()) + u64::from(block.begin());
        let length = block.length() as usize;
        match &self.place {
            Place::Nowhere { content, odd } => Ok(match odd.get(&block) {
                Some(data) => data.to_vec(),
                None => {
                    let mut data = vec![0; length];
                    content.read(offset, &mut data);
                    data
                }
            }),
            Place::Memory(bytes) => {
                let start = usize::try_from(offset).expect("the file fits memory");
                Ok(bytes[start..start + length].to_vec())
            }
            Place::Disk(file) => {
                let mut data = vec![0; length];
                file.read_exact_at(&mut data, offset)?;
                Ok(data)
            }
        }
    }

    /// Whether the SHA-1 of a piece is right. A right piece goes into the journal, a wrong one is forgotten.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn verify(&mut self, piece: PieceIndex) -> io::Result<bool> {
        let ok = self.hash(piece)? == self.hashes[piece.index()];
        if ok && let Some(journal) = &mut self.journal {
            journal.write_all(&piece.number().to_be_bytes())?;
        }
        Ok(ok)
    }

    /// SHA-1 of each block of a piece.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn digests(&self, piece: PieceIndex) -> io::Result<Vec<BlockDigest>> {
        self.geometry.blocks(piece).map(|block| Ok(Sha1::digest(self.read(block)?).into())).collect()
    }

    /// Forgets what came of a piece.
    pub fn discard(&mut self, piece: PieceIndex) {
        if let Place::Nowhere { odd, .. } = &mut self.place {
            odd.retain(|block, _| block.piece() != piece);
        }
    }

    fn hash(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        let mut hash = Sha1::new();
        for block in self.geometry.blocks(piece) {
            hash.update(self.read(block)?);
        }
        Ok(hash.finalize().into())
    }
}

/// The piece numbers that an earlier life appended; a last one cut short by a crash is left out.
fn read_journal(path: &Path) -> io::Result<Vec<u32>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes.as_chunks::<4>().0.iter().map(|&number| u32::from_be_bytes(number)).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

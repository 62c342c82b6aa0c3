//! Peer messages (BEP 3), and as much of the fast extension (BEP 6) as peers send unasked.
//!
//! It must not know what a peer does about a message. What a [`Decoder`] yields lies within the file;
//! a message of a kind that it does not know is skipped, since extensions must not end a connection.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::bitfield::{BadBitfield, Bitfield};
use super::geometry::{BLOCK_MAX, Block, Geometry, OutOfFile, PieceIndex};

/// One peer message, checked against the file that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Nothing, so that the connection lives.
    KeepAlive,
    /// The sender will not serve.
    Choke,
    /// The sender will serve.
    Unchoke,
    /// The sender wants something that the receiver has.
    Interested,
    /// It no longer does.
    NotInterested,
    /// The sender has that piece.
    Have(PieceIndex),
    /// All that the sender has.
    Bitfield(Bitfield),
    /// Please send that block.
    Request(Block),
    /// That block.
    Piece(Block, Bytes),
    /// That block is no longer wanted.
    Cancel(Block),
}

/// Bytes from a peer that are not the peer protocol, or not about this file: the connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A length prefix above what any message for this file needs.
    #[error("a message of `{length}` bytes, at most {limit} are taken")]
    TooLong {
        /// The length prefix.
        length: u32,
        /// The limit.
        limit: u32,
    },
    /// A message of a known kind with a length that it cannot have.
    #[error("a {kind} message of `{length}` bytes, where it has {want}")]
    Length {
        /// Its kind.
        kind: &'static str,
        /// The length prefix.
        length: u32,
        /// The lengths that it may have.
        want: String,
    },
    /// A piece or block that the file does not have.
    #[error("a {kind} message for a {what}")]
    OutOfFile {
        /// The message's kind.
        kind: &'static str,
        /// What was named.
        what: OutOfFile,
    },
    /// A bitfield that does not fit the file.
    #[error(transparent)]
    Bitfield(#[from] BadBitfield),
}

/// The kinds of message that are not skipped. [`Kind::HaveAll`] and [`Kind::HaveNone`] are BEP 6's short bitfields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Choke = 0,
    Unchoke = 1,
    Interested = 2,
    NotInterested = 3,
    Have = 4,
    Bitfield = 5,
    Request = 6,
    Piece = 7,
    Cancel = 8,
    HaveAll = 14,
    HaveNone = 15,
}

impl Kind {
    /// The kind with that id on the wire.
    fn of(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::Choke,
            1 => Self::Unchoke,
            2 => Self::Interested,
            3 => Self::NotInterested,
            4 => Self::Have,
            5 => Self::Bitfield,
            6 => Self::Request,
            7 => Self::Piece,
            8 => Self::Cancel,
            14 => Self::HaveAll,
            15 => Self::HaveNone,
            _ => return None,
        })
    }

    /// Its name in an error.
    fn name(self) -> &'static str {
        match self {
            Self::Choke => "choke",
            Self::Unchoke => "unchoke",
            Self::Interested => "interested",
            Self::NotInterested => "not-interested",
            Self::Have => "have",
            Self::Bitfield => "bitfield",
            Self::Request => "request",
            Self::Piece => "piece",
            Self::Cancel => "cancel",
            Self::HaveAll => "have-all",
            Self::HaveNone => "have-none",
        }
    }
}

/// Length of the prefix that gives a message's length, bytes.
const PREFIX: usize = 4;

/// Bytes of a piece message that are not the block: id, index, begin.
const PIECE_HEAD: u32 = 9;

/// Length of what [`encode_piece_header`] makes, bytes.
pub const PIECE_HEADER: usize = PREFIX + PIECE_HEAD as usize;

/// What is sent before the bytes of `block`, for a sender that has them elsewhere and need not copy them.
#[must_use]
pub fn encode_piece_header(block: Block) -> [u8; PIECE_HEADER] {
    let mut header = [0; PIECE_HEADER];
    let mut out = header.as_mut_slice();
    out.put_u32(PIECE_HEAD + block.length());
    out.put_u8(Kind::Piece as u8);
    out.put_u32(block.piece().number());
    out.put_u32(block.begin());
    header
}

/// Appends `message` to `out`.
///
/// # Panics
/// If a piece message's data has another length than its block.
pub fn encode(message: &Message, out: &mut BytesMut) {
    match message {
        Message::KeepAlive => out.put_u32(0),
        Message::Choke => bare(Kind::Choke, out),
        Message::Unchoke => bare(Kind::Unchoke, out),
        Message::Interested => bare(Kind::Interested, out),
        Message::NotInterested => bare(Kind::NotInterested, out),
        Message::Have(piece) => {
            out.put_u32(5);
            out.put_u8(Kind::Have as u8);
            out.put_u32(piece.number());
        }
        Message::Bitfield(field) => {
            let bytes = field.as_bytes();
            out.put_u32(u32::try_from(bytes.len() + 1).expect("below 2^29 bytes for below 2^32 pieces"));
            out.put_u8(Kind::Bitfield as u8);
            out.put_slice(bytes);
        }
        Message::Request(block) => range(Kind::Request, *block, out),
        Message::Piece(block, data) => {
            assert_eq!(data.len(), block.length() as usize, "the data of {block}");
            out.put_slice(&encode_piece_header(*block));
            out.put_slice(data);
        }
        Message::Cancel(block) => range(Kind::Cancel, *block, out),
    }
}

fn bare(kind: Kind, out: &mut BytesMut) {
    out.put_u32(1);
    out.put_u8(kind as u8);
}

fn range(kind: Kind, block: Block, out: &mut BytesMut) {
    out.put_u32(13);
    out.put_u8(kind as u8);
    out.put_u32(block.piece().number());
    out.put_u32(block.begin());
    out.put_u32(block.length());
}

/// Cuts one peer's bytes, after its handshake, into messages.
///
/// However the bytes are divided among calls, the messages are the same.
#[derive(Debug)]
pub struct Decoder {
    geometry: Geometry,
    limit: u32,
    /// What is still to come of a message that is skipped, bytes.
    skip: usize,
}

impl Decoder {
    /// For a connection that is about the file of that geometry.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let limit = (1 + geometry.pieces().div_ceil(8)).max(PIECE_HEAD + BLOCK_MAX);
        Self { geometry, limit, skip: 0 }
    }

    /// Takes the next message off the front of `buffer`; `None` if it is not all there yet.
    /// The data of a piece message is not copied.
    ///
    /// To be called again until it yields `None`. After an error the connection cannot go on:
    /// further calls give the same error.
    ///
    /// # Errors
    /// If what came cannot be a message about this file; its length is judged before its rest has come.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, WireError> {
        loop {
            let skipped = self.skip.min(buffer.len());
            buffer.advance(skipped);
            self.skip -= skipped;
            let Some((prefix, rest)) = buffer.split_first_chunk::<PREFIX>() else { return Ok(None) };
            let length = u32::from_be_bytes(*prefix);
            if length == 0 {
                buffer.advance(PREFIX);
                return Ok(Some(Message::KeepAlive));
            }
            if length > self.limit {
                return Err(WireError::TooLong { length, limit: self.limit });
            }
            let Some(&id) = rest.first() else { return Ok(None) };
            let whole = PREFIX + length as usize;
            let Some(kind) = Kind::of(id) else {
                self.skip = whole;
                continue;
            };
            self.check_length(kind, length)?;
            if buffer.len() < whole {
                buffer.reserve(whole - buffer.len());
                return Ok(None);
            }
            // Judged before it is cut off, so that after an error the buffer, and with it the next answer, is the same.
            let checked = self.check(kind, &buffer[PREFIX + 1..whole])?;
            let mut frame = buffer.split_to(whole);
            return Ok(Some(match checked {
                Checked::Whole(message) => message,
                Checked::DataOf(block) => {
                    frame.advance(PIECE_HEADER);
                    Message::Piece(block, frame.freeze())
                }
            }));
        }
    }

    /// Whether a message of that kind can have that length: all that is known before its body has come.
    fn check_length(&self, kind: Kind, length: u32) -> Result<(), WireError> {
        let (least, most) = match kind {
            Kind::Have => (5, 5),
            Kind::Bitfield => {
                let bytes = 1 + self.geometry.pieces().div_ceil(8);
                (bytes, bytes)
            }
            Kind::Request | Kind::Cancel => (13, 13),
            Kind::Piece => (PIECE_HEAD + 1, PIECE_HEAD + BLOCK_MAX),
            _ => (1, 1),
        };
        if (least..=most).contains(&length) {
            return Ok(());
        }
        let want = if least == most { least.to_string() } else { format!("{least} to {most}") };
        Err(WireError::Length { kind: kind.name(), length, want })
    }

    /// The message of that kind with that body, which has a length that fits the kind.
    fn check(&self, kind: Kind, body: &[u8]) -> Result<Checked, WireError> {
        let out_of_file = |what| WireError::OutOfFile { kind: kind.name(), what };
        let block = |length| self.geometry.block(word(body, 0), word(body, 1), length).map_err(out_of_file);
        Ok(Checked::Whole(match kind {
            Kind::Choke => Message::Choke,
            Kind::Unchoke => Message::Unchoke,
            Kind::Interested => Message::Interested,
            Kind::NotInterested => Message::NotInterested,
            Kind::Have => Message::Have(self.geometry.piece(word(body, 0)).map_err(out_of_file)?),
            Kind::Bitfield => Message::Bitfield(Bitfield::from_bytes(self.geometry, body)?),
            Kind::Request => Message::Request(block(word(body, 2))?),
            Kind::Cancel => Message::Cancel(block(word(body, 2))?),
            Kind::HaveAll => Message::Bitfield(Bitfield::full(self.geometry)),
            Kind::HaveNone => Message::Bitfield(Bitfield::empty(self.geometry)),
            Kind::Piece => {
                let length = u32::try_from(body.len() - 8).expect("below the limit, which has 32 bits");
                return Ok(Checked::DataOf(block(length)?));
            }
        }))
    }
}

/// A body that was judged.
enum Checked {
    Whole(Message),
    /// A piece message's head: its data are still in the buffer.
    DataOf(Block),
}

/// The `number`th 32-bit word of a body whose length was checked.
fn word(body: &[u8], number: usize) -> u32 {
    let (words, _) = body.as_chunks();
    u32::from_be_bytes(words[number])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::geometry::BLOCK;

    /// Ten pieces of two blocks and a bit, the last one short.
    fn geometry() -> Geometry {
        Geometry::new(9 * 40_000 + 20_001, 40_000).unwrap()
    }

    fn decode_all(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> (Vec<Message>, Option<WireError>) {
        let mut decoder = Decoder::new(geometry());
        let mut buffer = BytesMut::new();
        let mut messages = Vec::new();
        for chunk in chunks {
            buffer.extend_from_slice(chunk.as_ref());
            loop {
                match decoder.decode(&mut buffer) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
            }
        }
        (messages, None)
    }

    fn encoded(messages: &[Message]) -> Vec<u8> {
        let mut out = BytesMut::new();
        messages.iter().for_each(|message| encode(message, &mut out));
        out.to_vec()
    }

    fn block() -> impl Strategy<Value = Block> {
        (0_u32..10, any::<u32>(), any::<u32>()).prop_map(|(piece, begin, length)| {
            let of = geometry().piece_length(geometry().piece(piece).unwrap());
            let begin = begin % of;
            geometry().block(piece, begin, 1 + length % (of - begin).min(300)).unwrap()
        })
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            Just(Message::KeepAlive),
            Just(Message::Choke),
            Just(Message::Unchoke),
            Just(Message::Interested),
            Just(Message::NotInterested),
            (0_u32..10).prop_map(|piece| Message::Have(geometry().piece(piece).unwrap())),
            any::<u16>().prop_map(|bits| {
                let bytes = (bits & 0xffc0).to_be_bytes();
                Message::Bitfield(Bitfield::from_bytes(geometry(), &bytes).unwrap())
            }),
            block().prop_map(Message::Request),
            block().prop_map(Message::Cancel),
            (block(), any::<u8>())
                .prop_map(|(block, byte)| Message::Piece(block, vec![byte; block.length() as usize].into())),
        ]
    }

    /// Bytes that look like messages often enough to get past the length prefix.
    fn nearly_messages() -> impl Strategy<Value = Vec<u8>> {
        let frame = (0_u32..20, 0_u8..22, prop::collection::vec(0_u8..12, 0..20))
            .prop_map(|(length, id, body)| [length.to_be_bytes().as_slice(), &[id], &body].concat());
        prop::collection::vec(frame, 0..8).prop_map(|frames| frames.concat())
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(messages in prop::collection::vec(message(), 0..10)) {
            prop_assert_eq!(decode_all([encoded(&messages)]), (messages, None));
        }

        #[test]
        fn the_messages_do_not_depend_on_how_the_bytes_are_divided(
            messages in prop::collection::vec(message(), 0..6),
            tail in nearly_messages(),
            size in 1_usize..50,
        ) {
            let bytes = [encoded(&messages), tail].concat();
            prop_assert_eq!(decode_all(bytes.chunks(size)), decode_all([&bytes]));
            prop_assert_eq!(decode_all(bytes.chunks(1)), decode_all([&bytes]));
        }

        #[test]
        fn arbitrary_bytes_are_messages_or_an_error_that_stays(input in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::new(geometry());
            let mut buffer = BytesMut::from(input.as_slice());
            while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
            let mut left = buffer.clone();
            prop_assert_eq!(decoder.decode(&mut buffer), decoder.decode(&mut left));
        }

        #[test]
        fn a_header_and_the_data_are_a_piece_message(block in block()) {
            let data = vec![7; block.length() as usize];
            let whole = encoded(&[Message::Piece(block, data.clone().into())]);
            prop_assert_eq!([encode_piece_header(block).as_slice(), &data].concat(), whole);
        }
    }

    fn frame(id: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 1).unwrap();
        [length.to_be_bytes().as_slice(), &[id], body].concat()
    }

    #[test]
    fn the_bytes_are_those_of_bep_3() {
        let block = geometry().block(1, 0x4000, 0x1000).unwrap();
        let have = Message::Have(geometry().piece(9).unwrap());
        assert_eq!(encoded(&[have]), [0, 0, 0, 5, 4, 0, 0, 0, 9]);
        let request = [0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 0x10, 0];
        assert_eq!(encoded(&[Message::Request(block)]), request);
        assert_eq!(encode_piece_header(block), [0, 0, 0x10, 9, 7, 0, 0, 0, 1, 0, 0, 0x40, 0]);
        assert_eq!(encoded(&[Message::KeepAlive, Message::NotInterested]), [0, 0, 0, 0, 0, 0, 0, 1, 3]);
    }

    #[test]
    fn a_message_that_is_not_known_is_skipped_without_being_kept() {
        let long = vec![0; BLOCK_MAX as usize];
        for id in [9, 13, 16, 17, 20, 255] {
            let bytes = [frame(id, &long), frame(1, &[])].concat();
            assert_eq!(decode_all([&bytes]), (vec![Message::Unchoke], None));
            assert_eq!(decode_all(bytes.chunks(1000)), (vec![Message::Unchoke], None));
        }
        let mut decoder = Decoder::new(geometry());
        let mut buffer = BytesMut::from(&frame(20, &long)[..5]);
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        assert!(buffer.is_empty());
    }

    #[test]
    fn have_all_and_have_none_are_bitfields_and_one_may_come_late() {
        let bytes = [frame(2, &[]), frame(15, &[]), frame(14, &[])].concat();
        let want = vec![
            Message::Interested,
            Message::Bitfield(Bitfield::empty(geometry())),
            Message::Bitfield(Bitfield::full(geometry())),
        ];
        assert_eq!(decode_all([bytes]), (want, None));
    }

    #[test]
    fn each_fault_is_named_with_its_values() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let message = |bytes: &[u8]| decode_all([bytes]).1.map(|error| error.to_string());
        let error = |id, body: &[u8]| message(&frame(id, body)).unwrap();
        assert_eq!(error(0, b"x"), "a choke message of `2` bytes, where it has 1");
        assert_eq!(error(14, b"x"), "a have-all message of `2` bytes, where it has 1");
        assert_eq!(error(4, &words(&[10])), "a have message for a piece `10` of a file of 10 pieces");
        assert_eq!(error(5, &[0]), "a bitfield message of `2` bytes, where it has 3");
        assert_eq!(error(5, &[0, 1]), "a spare bit is set in a bitfield's last byte `0b00000001`");
        assert_eq!(
            error(6, &words(&[9, 16_384, BLOCK])),
            "a request message for a block at `16384` of length `16384` in piece 9 of 20001 bytes"
        );
        assert_eq!(error(7, &words(&[0, 0])), "a piece message of `9` bytes, where it has 10 to 131081");
        assert!(error(7, &[words(&[0, 39_999]), vec![0; 2]].concat()).contains("block at `39999` of length `2`"));
        assert!(error(8, &words(&[0, 0, 0])).contains("a cancel message for a block"));
        assert_eq!(
            message(b"\xff\xff\xff\xff").unwrap(),
            "a message of `4294967295` bytes, at most 131081 are taken",
            "before anything of it has come"
        );
        assert_eq!(message(b"\0\x01\0\0\x04").unwrap(), "a have message of `65536` bytes, where it has 5");
    }

    #[test]
    fn the_data_of_a_piece_are_not_copied() {
        let block = geometry().block(0, 0, BLOCK).unwrap();
        let mut buffer = BytesMut::new();
        encode(&Message::Piece(block, vec![5; BLOCK as usize].into()), &mut buffer);
        let at = buffer[PIECE_HEADER..].as_ptr();
        let Ok(Some(Message::Piece(_, data))) = Decoder::new(geometry()).decode(&mut buffer) else {
            panic!("a piece message")
        };
        assert_eq!(data.as_ptr(), at);
    }
}

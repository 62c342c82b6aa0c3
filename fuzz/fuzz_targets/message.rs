//! Peer messages: however the bytes are divided, the messages and the error are the same, and what was decoded
//! is decoded as the same when it is written again.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peer_image::wire::geometry::Geometry;
use peer_image::wire::message::{Decoder, Message, WireError, encode};

fn decode<'a>(geometry: Geometry, chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, Option<WireError>) {
    let mut decoder = Decoder::new(geometry);
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
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

// The first three bytes choose the file and how the rest is divided.
fuzz_target!(|input: &[u8]| {
    let &[size, piece, chunk, ref bytes @ ..] = input else { return };
    let Some(geometry) = Geometry::new(u64::from(size) * 97, u32::from(piece)) else { return };
    let (messages, error) = decode(geometry, [bytes].into_iter());
    let divided = decode(geometry, bytes.chunks(usize::from(chunk).max(1)));
    assert_eq!(divided, (messages.clone(), error));
    let mut again = BytesMut::new();
    messages.iter().for_each(|message| encode(message, &mut again));
    assert_eq!(decode(geometry, [&again[..]].into_iter()), (messages, None));
});

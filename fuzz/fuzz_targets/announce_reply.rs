//! Tracker replies: what is read can be written in the long form, and is then read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer_image::wire::announce::Reply;

fuzz_target!(|input: &[u8]| {
    let Ok(reply) = Reply::decode(input) else { return };
    assert_eq!(Reply::decode(&reply.encode(false)), Ok(reply.clone()));
    let compact = Reply::decode(&reply.encode(true)).expect("what was read can be sent");
    match (reply, compact) {
        (Reply::Peers(long), Reply::Peers(compact)) => assert_eq!(long.peers.len(), compact.peers.len()),
        (long, compact) => assert_eq!(long, compact),
    }
});

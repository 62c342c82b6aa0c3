//! Handshakes: an opening is refused early exactly if the whole is refused, and a node's name is that of its id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer_image::wire::handshake::{Handshake, LENGTH, PeerId, check_opening};

fuzz_target!(|input: &[u8]| {
    let opening = check_opening(input);
    let Some(bytes) = input.first_chunk::<LENGTH>() else { return };
    let handshake = Handshake::decode(bytes);
    assert_eq!(handshake.is_ok(), opening.is_ok());
    let Ok(handshake) = handshake else { return };
    assert_eq!(Handshake::decode(&handshake.encode()), Ok(handshake));
    if let Some(name) = handshake.peer_id.node_name() {
        assert_eq!(PeerId::for_node(name), Ok(handshake.peer_id));
    }
});

//! Metainfo: what decodes has one hash per piece, and decodes to the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer_image::wire::metainfo::Metainfo;

fuzz_target!(|input: &[u8]| {
    let Ok((metainfo, _)) = Metainfo::decode(input) else { return };
    let geometry = metainfo.geometry().expect("a decoded torrent can be cut");
    assert_eq!(metainfo.pieces.len(), geometry.pieces() as usize);
    let hash = metainfo.info_hash();
    assert_eq!(Metainfo::decode(&metainfo.encode()), Ok((metainfo, hash)));
});

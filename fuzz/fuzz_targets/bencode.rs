//! Bencode: what parses is spelt again with the same bytes, but for the order of keys, and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer_image::wire::bencode::Value;

fuzz_target!(|input: &[u8]| {
    let Ok(value) = Value::parse(input) else { return };
    let mut canonical = Vec::new();
    value.encode(&mut canonical);
    assert_eq!(canonical.len(), input.len());
    assert_eq!(Value::parse(&canonical), Ok(value));
});

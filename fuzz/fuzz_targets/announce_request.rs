//! Announce queries: what is read can be written, and is then read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer_image::wire::announce::Request;

fuzz_target!(|query: &str| {
    let Ok(request) = Request::parse(query) else { return };
    assert_ne!(request.port, 0);
    assert_eq!(Request::parse(&request.to_query()), Ok(request));
});

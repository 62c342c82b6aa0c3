//! Where the program is: built with these tests, in their profile, by whatever builds them.

use std::path::PathBuf;

/// Names another executable to test: one that was shipped, say.
const OVERRIDE: &str = "HARNESS_UNDER_TEST";

/// The program.
pub(crate) fn harness() -> PathBuf {
    let named = std::env::var_os(OVERRIDE).filter(|path| !path.is_empty());
    named.map_or_else(|| env!("CARGO_BIN_EXE_harness-under-test").into(), PathBuf::from)
}

//! events/log

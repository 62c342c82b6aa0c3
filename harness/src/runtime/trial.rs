//! runtime/trial

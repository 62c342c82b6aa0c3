//! plan/schedule

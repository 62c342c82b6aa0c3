//! spec/check

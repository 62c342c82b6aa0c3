//! spec/error

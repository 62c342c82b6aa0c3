//! spec/file

//! runtime/docker/mod

//! plan/topology

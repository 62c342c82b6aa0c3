//! System tests only; see `main.rs`.

//! agent

pub mod privileges;

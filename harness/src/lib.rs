//! The controller: how long it takes to distribute a file to N peers, beside what the formulas allow.
//!
//! Data runs one way: `spec → plan → runtime → events → analysis → report`; [`campaign`] joins the stages, and
//! [`commands`] are its verbs.
//!
//! | module | stage |
//! | --- | --- |
//! | [`spec`] | an experiment file to a checked [`spec::Spec`] |
//! | [`plan`] | a spec to every cell, trial, node and scheduled event |
//! | [`runtime`] | a planned trial on real links |
//! | [`events`] | the log: the only link from what ran to what is concluded |
//! | [`analysis`] | pure: bounds, metrics, findings |
//! | [`report`] | what people read: terminal, CSV, Markdown, SVG |
//! | [`archive`] | what outlives a process: a run's directory, baselines |
//! | [`campaign`] | trials one after the other |

pub mod analysis;
pub mod archive;
pub mod campaign;
pub mod cli;
pub mod commands;
mod console;
pub mod events;
pub mod exit;
pub mod plan;
pub mod quantity;
pub mod report;
pub mod runtime;
pub mod spec;

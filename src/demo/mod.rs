//! The simulated lake.

pub mod broker;

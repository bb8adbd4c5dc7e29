//! The simulated lake.

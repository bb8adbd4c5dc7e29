//! Every computation from the shell.

pub mod rain;

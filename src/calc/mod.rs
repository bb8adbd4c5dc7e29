//! Every computation from the shell.

pub mod place;
pub mod rain;

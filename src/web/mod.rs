//! The route table, the API and the pages.

pub mod assets;
pub mod pages;

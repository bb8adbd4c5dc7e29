//! One binary: every test against the real thing through the front door.

mod import;
mod store;

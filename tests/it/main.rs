//! One binary: every test against the real thing through the front door.

#[cfg(test)]
mod import;
mod store;

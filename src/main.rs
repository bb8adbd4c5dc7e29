//! The commands. (Being written.)

fn main() {}

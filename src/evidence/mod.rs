//! Evidence: entries, the Merkle tree over them, the timeline. Tiles, checkpoints, proofs and bundles come here.

pub mod entry;
pub mod merkle;
pub mod overview;
pub mod timeline;

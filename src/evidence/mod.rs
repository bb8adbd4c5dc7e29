//! Evidence: entries, the Merkle tree over them, the timeline; the tree as tiles, its signed head, the proofs that a
//! third party checks without us. Bundles come here.

pub mod checkpoint;
pub mod edge;
pub mod entry;
pub mod merkle;
pub mod note;
pub mod overview;
pub mod proof;
pub mod tile;
pub mod timeline;
pub mod tlog_proof;
pub mod witness;

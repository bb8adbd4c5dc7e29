//! Evidence: entries, the Merkle tree over them, the timeline; the tree as tiles, its signed head, the proofs that a
//! third party checks without us; the bundle that carries them, and its verifier.

pub mod bundle;
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
pub mod verify;
pub mod witness;

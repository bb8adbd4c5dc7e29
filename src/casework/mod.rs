//! Casework: what a sighting may claim. Cases, meetings, decisions and actions come here.

mod level;

pub use level::{EvidenceLevel, SewageSigns, level_of};

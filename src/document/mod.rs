//! Documents from a timeline: Word, Excel, CSV, GeoJSON. One content model ([`brief::Brief`]) is laid out by Word
//! and PDF, one ledger ([`table`]) by Excel and CSV, so the same words and numbers stand in all of them.

pub mod brief;
pub mod plates;
mod words;

/// A picture that is already drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The PNG file.
    pub png: Vec<u8>,
    /// Width, pixels.
    pub width_px: u32,
    /// Height, pixels.
    pub height_px: u32,
}

/// The pictures a brief shows. What is not there is said in words, never left out silently.
pub struct Pictures<'a> {
    /// The map of the place.
    pub map: Option<Picture>,
    /// The chart of series and rain.
    pub chart: Option<Picture>,
    /// The viewers' copy of a photo (JPEG without EXIF, long edge ≤ 1000 pixels) by SHA-256 in hex.
    pub photo: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

//! Maps and charts as SVG text: one drawing for page, PDF and Word.
//!
//! The text is safe to put into a page under a strict content policy: presentation attributes only, no `style`, no
//! script; everything that comes from people is escaped; ids carry [`Canvas::id`]. What it says survives
//! black-and-white print: solid or dotted, filled by quarters, hatched; colour only repeats it.

mod axis;
mod chart;
pub mod fonts;
mod labels;
mod legend;
mod map;
mod marks;
mod names;
mod png;
mod shore;
mod svg;

pub use chart::{Chart, chart, chart_height};
pub use map::map;
pub use marks::{HyacinthPatch, MapMarks, OutfallMark, SectorMark, SightingMark, StationMark};
pub use png::to_png;

/// What a picture is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas<'a> {
    /// Prefix of the ids inside; two pictures of one page need two.
    pub id: &'a str,
    /// Pixels of CSS. Letters are 12 to 13 of them high, so 640 fit the width of an A4 page.
    pub width: u32,
    /// Pixels of CSS.
    pub height: u32,
}

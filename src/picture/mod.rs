//! Maps and charts as SVG text: one drawing for page, PDF and Word.
//!
//! The text is safe to put into a page under a strict content policy: presentation attributes only, no `style`, no
//! script; everything that comes from people is escaped; ids carry [`Canvas::id`]. What it says survives
//! black-and-white print: solid or dotted, filled by quarters, hatched; colour only repeats it.

mod axis;
mod chart;
mod code;
pub mod fonts;
mod labels;
mod legend;
mod map;
mod marks;
mod names;
mod png;
#[cfg(test)]
pub(crate) mod sample;
mod shore;
mod signs;
mod svg;
mod watermark;

use jiff::Timestamp;

use crate::evidence::timeline::{Row, Timeline};
use crate::lake::{Place, Wgs84};
use crate::patrol::ReportKind;

pub use chart::{Chart, chart, chart_height};
pub use code::{code, code_in_blocks};
pub use map::{map, map_height};
pub use marks::{HyacinthPatch, MapMarks, OutfallMark, SectorMark, SightingMark, StationMark, patches};
pub use png::{to_png, to_rgb};
pub use watermark::{Stamp, watermark};

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

/// The two pictures of a timeline in the size of a document, 640 pixels wide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelinePictures {
    /// The place with the timeline's marks, as SVG.
    pub map_svg: String,
    /// Series, rain and sightings, as SVG.
    pub chart_svg: String,
}

/// Panels of a timeline's chart: it is then about as high as the map beside it, and both fit on one page of paper.
const MAX_PANELS: usize = 4;

impl TimelinePictures {
    /// Draws them, with the pieces of one patrol's way. The chart runs over the filter's period, or from the first row to the cut-off.
    #[must_use]
    pub fn of(place: &Place, timeline: &Timeline, tracks: Vec<Vec<Wgs84>>) -> Self {
        let canvas = |id, height| Canvas { id, width: 640, height };
        let shown = |row: &Row| match row {
            Row::Sighting(s) if s.kind != ReportKind::NothingFound && s.withdrawn.is_none() => {
                Some(s.observed_at)
            }
            _ => None,
        };
        let sightings: Vec<Timestamp> = timeline.rows.iter().filter_map(shown).collect();
        let series = &timeline.series[..timeline.series.len().min(MAX_PANELS)];
        let first = timeline.rows.first().map_or(timeline.cut_off, Row::at);
        let drawn = Chart {
            series,
            rain: &timeline.rain_days,
            sightings: &sightings,
            from: timeline.filter.from.unwrap_or(first),
            to: timeline.filter.to.map_or(timeline.cut_off, |to| to.min(timeline.cut_off)),
            omitted: timeline.series.len() - series.len(),
        };
        Self {
            map_svg: map(
                place,
                &MapMarks { tracks, ..MapMarks::of(timeline) },
                canvas("map", map_height(place, 640)),
            ),
            chart_svg: chart(&drawn, canvas("chart", chart_height(series.len()))),
        }
    }
}

//! The signs of the map, drawn alike on it and in its legend.

use super::svg::{INK, Pt, SURFACE, TRACK, esc};
use crate::casework::EvidenceLevel;

/// Where a piece of a track begins or ends.
pub fn track_end(at: &Pt) -> String {
    format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{TRACK}\"/>", at.x, at.y)
}

/// A white square with a drop; hatched with a dash while silent.
pub fn station_shape(at: Pt, silent: bool, title: &str, id: &str) -> String {
    let (fill, sign) = if silent {
        (format!("url(#{id}-silent)"), "M-5 0H5")
    } else {
        (SURFACE.to_owned(), "M-6 -1.5q3 -3 6 0t6 0M-6 3.5q3 -3 6 0t6 0")
    };
    format!(
        "<g transform=\"translate({:.1} {:.1})\"><path d=\"M-11 -7a3 3 0 0 1 3 -3H8a3 3 0 0 1 3 3V7a3 3 0 0 1 -3 3\
         H-8a3 3 0 0 1 -3 -3Z\" fill=\"{fill}\" stroke=\"{INK}\" stroke-width=\"1.5\"/><path d=\"{sign}\" \
         fill=\"none\" stroke=\"{INK}\" stroke-width=\"1.8\"/><title>{}</title></g>",
        at.x,
        at.y,
        esc(title)
    )
}

/// A disc filled by quarters, clockwise from the top; the subject larger in a dotted ring.
pub fn outfall_shape(at: Pt, level: Option<EvidenceLevel>, subject: bool, title: &str) -> String {
    let r = if subject { 10.0 } else { 7.5 };
    let quarters = match level {
        None | Some(EvidenceLevel::E0) => 0,
        Some(EvidenceLevel::E1) => 1,
        Some(EvidenceLevel::E2) => 2,
    };
    let fill = match quarters {
        0 => String::new(),
        1 => format!("<path d=\"M0 0V-{r}A{r} {r} 0 0 1 {r} 0Z\" fill=\"{INK}\"/>"),
        _ => format!("<path d=\"M0 0V-{r}A{r} {r} 0 0 1 0 {r}Z\" fill=\"{INK}\"/>"),
    };
    let ring = if subject {
        format!(
            "<circle r=\"16\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"1.5\" stroke-dasharray=\"2 3\"/>"
        )
    } else {
        String::new()
    };
    format!(
        "<g transform=\"translate({:.1} {:.1})\">{ring}<circle r=\"{r}\" fill=\"{SURFACE}\" stroke=\"{INK}\" \
         stroke-width=\"1.75\"/>{fill}<title>{}</title></g>",
        at.x,
        at.y,
        esc(title)
    )
}

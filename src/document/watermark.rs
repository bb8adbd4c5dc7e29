//! The watermarked copy (水印图) of a photo: its words are those of the documents, the drawing is `picture`'s.

use super::words;
use crate::clock::beijing;
use crate::error::Result;
use crate::evidence::timeline::{PhotoRef, Sighting};
use crate::patrol::photo::{self, Limits};
use crate::picture::{Stamp, watermark};

/// Long edge of the copy, pixels.
const LONG_EDGE: u32 = 2048;

/// What is said beside the sighting itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// 吉家湖.
    pub place: &'a str,
    /// `示意, 非测绘`, or empty.
    pub place_notice: &'a str,
    /// From a demo data directory.
    pub demo: bool,
    /// Name of who reported it, for those alone who may see names.
    pub person: Option<&'a str>,
}

/// Draws what is known of `sighting` on an upright copy of its photo, of whose sealed bytes `original` are: JPEG without
/// any metadata. `None` for HEIC, of which no copy can be made.
///
/// # Errors
/// As [`photo::inspect`], by the limits of today; `Internal` if it cannot be drawn.
pub fn copy(
    original: &[u8],
    limits: &Limits,
    sighting: &Sighting,
    photo: &PhotoRef,
    about: &About<'_>,
) -> Result<Option<Vec<u8>>> {
    let Some(mut picture) = photo::copy(original, limits, LONG_EDGE)? else { return Ok(None) };
    watermark(&mut picture, &stamp(sighting, photo, about))?;
    photo::to_jpeg(&picture).map(Some)
}

/// When and where it was seen, in which weather, and by what the original is found: the first eight digits of its hash
/// and of the report's id.
fn stamp(s: &Sighting, photo: &PhotoRef, about: &About<'_>) -> Stamp {
    let mut title = beijing(s.observed_at).strftime("%Y-%m-%d %H:%M:%S").to_string();
    for (said, so) in [("　演示数据", about.demo), ("　上报已撤回", s.withdrawn.is_some())] {
        title.push_str(if so { said } else { "" });
    }
    let sector = s.sector.as_ref().map(|n| n.name.as_str()).unwrap_or("岸段之外");
    let outfall = s.outfall.as_ref().map(|n| format!(" {}", n.name)).unwrap_or_default();
    let notice = match about.place_notice {
        "" => String::new(),
        notice => format!("（{}）", words::notice(notice)),
    };
    let person = about.person.map(|name| format!("{name} ")).unwrap_or_default();
    let report = s.id.to_string();
    Stamp {
        title,
        lines: vec![
            format!("{} {sector}{outfall}{notice}", about.place),
            words::position_or_reason(s),
            format!("{person}{} {}", s.kind.zh(), words::weather(s)),
        ],
        code: format!("{}-{}", words::short_hash(&photo.sha256), report.get(..8).unwrap_or(&report)),
    }
}

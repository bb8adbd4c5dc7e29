//! What a map shows beside the place itself.

use std::collections::BTreeMap;

use geo::{LineString, Polygon};

use crate::casework::EvidenceLevel;
use crate::evidence::timeline::{Row, Sighting, Timeline};
use crate::lake::Wgs84;
use crate::patrol::ReportKind;

/// Outlines of hyacinth on one map.
const PATCHES_SHOWN: usize = 8;

/// The marks of one map. The place's sectors, outfalls and stations are drawn in any case; a mark says more of one.
/// Codes that the place does not have are left out.
#[derive(Clone, Debug, Default)]
pub struct MapMarks {
    /// Walked or not.
    pub sectors: Vec<SectorMark>,
    /// Evidence at outfalls.
    pub outfalls: Vec<OutfallMark>,
    /// Words and silence of stations.
    pub stations: Vec<StationMark>,
    /// Where something was seen.
    pub sightings: Vec<SightingMark>,
    /// Hyacinth with an outline.
    pub patches: Vec<HyacinthPatch>,
    /// A patrol's way in pieces; between two of them nothing is known and nothing is drawn.
    pub tracks: Vec<Vec<Wgs84>>,
}

/// A sector's state.
#[derive(Clone, Debug, PartialEq)]
pub struct SectorMark {
    /// The sector's code.
    pub code: String,
    /// Solid shore line or dotted.
    pub walked: bool,
    /// Behind its name: `已巡 07:41`.
    pub words: String,
    /// Where a click leads.
    pub href: Option<String>,
}

/// An outfall's evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct OutfallMark {
    /// The outfall's code.
    pub code: String,
    /// The disc is filled by as many quarters; E0 and none are empty.
    pub level: Option<EvidenceLevel>,
    /// The map is about this one.
    pub subject: bool,
    /// Where a click leads.
    pub href: Option<String>,
}

/// A station's state.
#[derive(Clone, Debug, PartialEq)]
pub struct StationMark {
    /// The station's code.
    pub code: String,
    /// Behind its name: `溶解氧 2.6 mg/L`.
    pub words: String,
    /// Nothing has come for three intervals.
    pub silent: bool,
    /// Where a click leads.
    pub href: Option<String>,
}

/// A sighting's place.
#[derive(Clone, Debug, PartialEq)]
pub struct SightingMark {
    /// Where.
    pub at: Wgs84,
    /// What; "nothing found" is not drawn.
    pub kind: ReportKind,
    /// For the tooltip: `7月14日 05:20 污水直排`.
    pub words: String,
    /// Where a click leads.
    pub href: Option<String>,
}

/// Hyacinth with an outline.
#[derive(Clone, Debug, PartialEq)]
pub struct HyacinthPatch {
    /// Its outline, WGS-84.
    pub outline: Polygon<f64>,
    /// For the tooltip: `7月14日 05:20 水葫芦`.
    pub words: String,
}

impl MapMarks {
    /// What a timeline's map shows: its sightings, and each outfall's highest level in it. Withdrawn sightings
    /// are not drawn.
    #[must_use]
    pub fn of(timeline: &Timeline) -> Self {
        let standing = || timeline.rows.iter().filter_map(standing_sighting);
        let mut levels: BTreeMap<&str, Option<EvidenceLevel>> = BTreeMap::new();
        for s in standing() {
            if let Some(outfall) = &s.outfall {
                let level = levels.entry(&outfall.code).or_default();
                *level = (*level).max(s.level);
            }
        }
        let subject = timeline.filter.outfall.as_deref();
        if let Some(code) = subject {
            levels.entry(code).or_default();
        }
        let outfalls = levels.into_iter().map(|(code, level)| OutfallMark {
            code: code.to_owned(),
            level,
            subject: Some(code) == subject,
            href: None,
        });
        Self {
            outfalls: outfalls.collect(),
            sightings: standing().filter_map(mark).collect(),
            patches: patches(standing()),
            ..Self::default()
        }
    }
}

fn standing_sighting(row: &Row) -> Option<&Sighting> {
    match row {
        Row::Sighting(s) if s.withdrawn.is_none() => Some(s),
        _ => None,
    }
}

/// The newest patches among `sightings`; more would hide each other.
#[must_use]
pub fn patches<'a>(sightings: impl Iterator<Item = &'a Sighting>) -> Vec<HyacinthPatch> {
    let mut drawn: Vec<_> = sightings.filter_map(|s| Some((s.observed_at, s.patch.as_ref()?))).collect();
    drawn.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let patch = |(at, ring): (jiff::Timestamp, &Vec<[f64; 2]>)| HyacinthPatch {
        outline: Polygon::new(LineString::from(ring.clone()), Vec::new()),
        words: format!("{} {}", crate::clock::beijing_words(at), ReportKind::WaterHyacinth.zh()),
    };
    drawn.into_iter().take(PATCHES_SHOWN).map(patch).collect()
}

fn mark(s: &Sighting) -> Option<SightingMark> {
    let p = s.position.as_ref()?;
    Some(SightingMark {
        at: Wgs84 { lng: p.lng, lat: p.lat },
        kind: s.kind,
        words: format!("{} {}", crate::clock::beijing_words(s.observed_at), s.kind.zh()),
        href: None,
    })
}

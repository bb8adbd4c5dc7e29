//! Sightings as GeoJSON (RFC 7946), WGS-84: points, the outline where a patch was drawn, `null` where no position was given. What every export states
//! (cut-off, filter, log, notice) and the gaps are foreign members (section 6.1).

use std::io::Write;

use geo::orient::{Direction, Orient};
use geo::{LineString, Polygon};
use geojson::{Feature, FeatureCollection, Geometry, JsonObject, feature::Id};
use serde_json::{Value, json};

use crate::document::{table, words};
use crate::error::{Error, Result};
use crate::evidence::timeline::{Gap, Row, Sighting, Timeline};

/// Writes the reports of a timeline as a `FeatureCollection`.
///
/// # Errors
/// Those of `out`.
pub fn write(timeline: &Timeline, out: impl Write) -> Result<()> {
    let features = timeline.rows.iter().filter_map(|row| match row {
        Row::Sighting(s) => Some(feature(s)),
        _ => None,
    });
    let collection = FeatureCollection {
        bbox: None,
        features: features.collect(),
        foreign_members: Some(foreign_members(timeline)),
    };
    serde_json::to_writer(out, &collection).map_err(|e| match e.io_error_kind() {
        Some(kind) => std::io::Error::from(kind).into(),
        None => Error::Internal(format!("geojson: {e}")),
    })
}

fn feature(s: &Sighting) -> Feature {
    let point = || s.position.as_ref().map(|at| Geometry::new_point([at.lng, at.lat]));
    // The outline counter-clockwise (RFC 7946, 3.1.6), however it was drawn.
    let outline = |ring: &Vec<[f64; 2]>| Polygon::new(LineString::from(ring.clone()), Vec::new());
    let patch = s.patch.as_ref().map(|ring| Geometry::from(&outline(ring).orient(Direction::Default)));
    Feature {
        bbox: None,
        geometry: patch.or_else(point),
        id: Some(Id::String(s.id.to_string())),
        properties: Some(properties(s)),
        foreign_members: None,
    }
}

/// The person is not among them: an opaque id is still one person's.
fn properties(s: &Sighting) -> JsonObject {
    let at = s.position.as_ref();
    let photos: Vec<Value> = s
        .photos
        .iter()
        .map(|p| json!({"sha256": p.sha256, "stored": p.stored, "erased": p.erased}))
        .collect();
    let mut properties = object(json!({
        "kind": s.kind,
        "kind_zh": s.kind.zh(),
        "observed_at": s.observed_at,
        "received_at": s.received_at,
        "late": s.late,
        "accuracy_m": at.and_then(|at| at.accuracy_m),
        "given": at.map(|at| json!({"crs": at.crs, "lng": at.given_lng, "lat": at.given_lat})),
        "shore_m": at.and_then(|at| at.shore_m),
        "in_lake": at.and_then(|at| at.in_lake),
        "no_position": s.no_position,
        "outfall": s.outfall,
        "same_as": s.same_as,
        "sector": s.sector,
        "unit": s.unit,
        "evidence_level": s.level,
        "evidence_wording": s.level.map(crate::casework::EvidenceLevel::wording),
        "weather": s.weather,
        "rain_mm": s.rain_mm,
        "facts": s.facts,
        "note": s.note,
        "erased": s.erased,
        "withdrawn": s.withdrawn,
        "flags": s.flags,
        "photos": photos,
        "entry": s.entry,
    }));
    if let Some(voice) = &s.voice {
        let said = json!({"sha256": voice.sha256, "stored": voice.stored, "erased": voice.erased});
        properties.insert("voice".to_owned(), said);
    }
    properties
}

fn foreign_members(timeline: &Timeline) -> JsonObject {
    let gaps: Vec<&Gap> = timeline
        .rows
        .iter()
        .filter_map(|row| if let Row::Gap(gap) = row { Some(gap) } else { None })
        .collect();
    object(json!({
        "place": timeline.place,
        "subject": timeline.subject,
        "cut_off": timeline.cut_off,
        "filter": timeline.filter,
        "filter_words": timeline.filter_words,
        "log": {"size": timeline.log_size, "root": timeline.log_root},
        "notice": table::notice(timeline),
        "place_notice": words::notice(&timeline.place_notice),
        "demo": timeline.demo,
        "summary": timeline.summary,
        "gaps": gaps,
    }))
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}

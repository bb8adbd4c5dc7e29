//! What the files must say together: codes, units, windows, and how everything lies to the shore.

use std::collections::HashSet;

use geo::{Area, BooleanOps, BoundingRect, Distance, Euclidean, Intersects, Line, Polygon, Validation};
use rstar::{AABB, PointDistance, RTree};

use super::{LAKE, OUTFALLS, PLACE, Problems, SECTORS, STATIONS, WAYPOINTS, suggestion};
use crate::lake::plane::{Plane, Segment, segments};
use crate::lake::{Place, Station};
use crate::water::property;

/// Borders drawn twice never fit exactly; two sectors may share this much, square metres.
const SLIVER_M2: f64 = 100.0;
/// An outfall farther from the shore than this cannot be one of this lake, metres.
const OUTFALL_FROM_SHORE_M: f64 = 100.0;

/// Adds every problem of a place whose files could be read.
pub(super) fn place(place: &Place, problems: &mut Problems) {
    limits(place, problems);
    windows(place, problems);
    codes(PLACE, place.units.iter().map(|u| &u.code), problems);
    codes(PLACE, place.windows.iter().map(|w| &w.code), problems);
    codes(SECTORS, place.sectors.iter().map(|s| &s.code), problems);
    codes(OUTFALLS, place.outfalls.iter().map(|o| &o.code), problems);
    codes(STATIONS, place.stations.iter().map(|s| &s.code), problems);
    units(place, problems);
    for station in &place.stations {
        channels(station, problems);
    }
    water(place, problems);
    if !place.lake.0.is_empty() {
        let plane = Plane::of_lake(&place.lake);
        let shore = RTree::bulk_load(segments(&plane.project_shape(&place.lake)));
        sectors(place, plane, &shore, problems);
        outfalls(place, plane, &shore, problems);
    }
}

/// Adds every problem of waypoints that were drawn.
pub(super) fn waypoints(place: &Place, problems: &mut Problems) {
    codes(WAYPOINTS, place.waypoints.iter().map(|w| &w.code), problems);
    for waypoint in place.waypoints.iter().filter(|w| w.sector.is_none()) {
        let message = "lies in no sector, so no patrol would have to reach it; move it or widen the sector";
        problems.add(WAYPOINTS, &waypoint.code, message);
    }
}

fn limits(place: &Place, problems: &mut Problems) {
    let metres = [
        ("neighbourhood_m", place.neighbourhood_m),
        ("match_m", place.match_m),
        ("waypoint_m", place.waypoint_m),
    ];
    for (key, metres) in metres {
        if !(1.0..=100_000.0).contains(&metres) {
            problems.add(PLACE, key, format!("{metres}: metres from 1 to 100000 are allowed"));
        }
    }
    if place.name.trim().is_empty() {
        problems.add(PLACE, "name", "is empty; write the name of the lake");
    }
    if place.windows.is_empty() {
        problems.add(PLACE, "window", "there is no duty window; add one as [[window]]");
    }
}

fn windows(place: &Place, problems: &mut Problems) {
    for w in place.windows.iter().filter(|w| w.from >= w.to) {
        let (from, to) = (w.from.strftime("%H:%M"), w.to.strftime("%H:%M"));
        problems.add(
            PLACE,
            &w.code,
            format!("from {from} is not before to {to}; a window lies within one day"),
        );
    }
    for (i, a) in place.windows.iter().enumerate() {
        for b in place.windows[i + 1..].iter().filter(|b| a.from <= b.to && b.from <= a.to) {
            problems.add(
                PLACE,
                &b.code,
                format!("overlaps window {}; end one before the other begins", a.code),
            );
        }
    }
}

fn codes<'a>(file: &'static str, codes: impl Iterator<Item = &'a String>, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for (i, code) in codes.enumerate() {
        if code.trim().is_empty() {
            problems.add(file, format!("feature {}", i + 1), "its code is empty; give it a code of its own");
        } else if !seen.insert(code) {
            problems.add(file, code, "this code is used twice; give each its own");
        }
    }
}

fn units(place: &Place, problems: &mut Problems) {
    let known: Vec<&str> = place.units.iter().map(|u| u.code.as_str()).collect();
    for outfall in &place.outfalls {
        if let Some(unit) = outfall.unit.as_deref().filter(|unit| !known.contains(unit)) {
            let near = suggestion(unit, &known);
            let message = format!("unknown unit `{unit}`{near}; units in place.toml: {}", known.join(", "));
            problems.add(OUTFALLS, &outfall.code, message);
        }
    }
}

fn channels(station: &Station, problems: &mut Problems) {
    if station.channels.is_empty() {
        problems.add(STATIONS, &station.code, "has no channels; name at least one property it delivers");
    }
    let known: Vec<&str> = property::PROPERTIES.iter().map(|p| p.key).collect();
    let mut seen = HashSet::new();
    for channel in &station.channels {
        let key = channel.property.as_str();
        if property::find(key).is_none() {
            let near = suggestion(key, &known);
            let message = format!("unknown property `{key}`{near}; known: {}", known.join(", "));
            problems.add(STATIONS, &station.code, message);
        } else if !seen.insert(key) {
            problems.add(STATIONS, &station.code, format!("property `{key}` stands twice; keep one"));
        }
        if !(1..=86_400).contains(&channel.every_s) {
            let message = format!("{key}: every_s {}: seconds from 1 to 86400 are allowed", channel.every_s);
            problems.add(STATIONS, &station.code, message);
        }
    }
}

fn water(place: &Place, problems: &mut Problems) {
    if place.lake.0.is_empty() {
        if !problems.0.iter().any(|p| p.file == LAKE) {
            problems.add(LAKE, "", "holds no polygon; draw the outline of the water");
        }
    } else if let Err(error) = place.lake.check_validation() {
        problems.add(LAKE, "", format!("{error}; draw touching waters as one polygon"));
    }
}

fn sectors(place: &Place, plane: Plane, shore: &RTree<Segment>, problems: &mut Problems) {
    let polygons: Vec<_> = place.sectors.iter().map(|s| plane.project_shape(&s.polygon)).collect();
    for (i, (a, sector)) in polygons.iter().zip(&place.sectors).enumerate() {
        if let Some(gap_m) = gap_to_shore_m(a, shore) {
            let message =
                format!("does not touch the shore ({gap_m:.0} m away); draw it across the shore line");
            problems.add(SECTORS, &sector.code, message);
        }
        for (b, other) in polygons.iter().zip(&place.sectors).skip(i + 1) {
            if !a.bounding_rect().zip(b.bounding_rect()).is_some_and(|(a, b)| a.intersects(&b)) {
                continue;
            }
            let shared_m2 = a.intersection(b).unsigned_area();
            if shared_m2 > SLIVER_M2 {
                let message = format!(
                    "overlaps {} by {shared_m2:.0} m²; move the border so that they only touch",
                    other.code
                );
                problems.add(SECTORS, &sector.code, message);
            }
        }
    }
}

/// Metres between a sector and the shore line; none when the line runs through or along it.
fn gap_to_shore_m(polygon: &Polygon<f64>, shore: &RTree<Segment>) -> Option<f64> {
    let line = |s: &Segment| Line::new(s.a, s.b);
    let area = polygon.bounding_rect()?;
    let envelope = AABB::from_corners(area.min().into(), area.max().into());
    if shore.locate_in_envelope_intersecting(&envelope).any(|s| polygon.intersects(&line(s))) {
        return None;
    }
    Some(shore.iter().map(|s| Euclidean.distance(polygon, &line(s))).fold(f64::INFINITY, f64::min))
}

fn outfalls(place: &Place, plane: Plane, shore: &RTree<Segment>, problems: &mut Problems) {
    for outfall in &place.outfalls {
        let p = plane.project(outfall.position);
        let shore_m = shore.nearest_neighbor(&p).map_or(f64::INFINITY, |s| s.distance_2(&p).sqrt());
        if shore_m > OUTFALL_FROM_SHORE_M {
            let message = format!(
                "lies {shore_m:.0} m from the shore, {OUTFALL_FROM_SHORE_M} m are allowed; mend its position, the \
                 outline or `crs`"
            );
            problems.add(OUTFALLS, &outfall.code, message);
        }
    }
}

//! From GeoJSON coordinates to WGS-84 shapes that are sound in themselves.

use geo::algorithm::validation::{InvalidPolygon, RingRole};
use geo::line_intersection::{LineIntersection, line_intersection};
use geo::{Coord, LineString, Polygon, Validation};
use geojson::{GeometryValue, Position};

use crate::lake::crs::{self, CHINA_BOX};
use crate::lake::{Crs, Wgs84};

/// A point feature; the error says what to do.
pub(super) fn point(geometry: &GeometryValue, crs: Crs) -> Result<Wgs84, String> {
    match geometry {
        GeometryValue::Point { coordinates } => position(coordinates, crs),
        other => Err(format!("is a {}; a Point is needed", other.type_name())),
    }
}

/// The polygons of a Polygon or MultiPolygon feature.
pub(super) fn polygons(geometry: &GeometryValue, crs: Crs) -> Result<Vec<Polygon<f64>>, String> {
    match geometry {
        GeometryValue::Polygon { coordinates } => Ok(vec![polygon(coordinates, crs)?]),
        GeometryValue::MultiPolygon { coordinates } => {
            coordinates.iter().map(|rings| polygon(rings, crs)).collect()
        }
        other => Err(format!("is a {}; a Polygon is needed", other.type_name())),
    }
}

/// A sector is one piece of land and water.
pub(super) fn single(mut polygons: Vec<Polygon<f64>>) -> Result<Polygon<f64>, String> {
    match (polygons.pop(), polygons.len()) {
        (Some(polygon), 0) => Ok(polygon),
        (_, others) => Err(format!("has {} polygons; give each its own feature and code", others + 1)),
    }
}

fn polygon(rings: &[Vec<Position>], crs: Crs) -> Result<Polygon<f64>, String> {
    let mut lines = rings.iter().enumerate().map(|(i, positions)| ring(i, positions, crs));
    let outer = lines.next().ok_or("has no ring; draw its outline")??;
    let polygon = Polygon::new(outer, lines.collect::<Result<_, _>>()?);
    match polygon.validation_errors().first() {
        Some(error) => Err(unsound(&polygon, error)),
        None => Ok(polygon),
    }
}

fn ring(index: usize, positions: &[Position], crs: Crs) -> Result<LineString<f64>, String> {
    let name = ring_name(index);
    if positions.len() < 4 {
        return Err(format!("{name} has {} points; a closed ring needs at least 4", positions.len()));
    }
    if positions.first() != positions.last() {
        return Err(format!("{name} is not closed; repeat its first point at the end"));
    }
    let coords = positions.iter().map(|p| position(p, crs).map(|at| Coord { x: at.lng, y: at.lat }));
    Ok(LineString::new(coords.collect::<Result<_, _>>()?))
}

fn ring_name(index: usize) -> String {
    if index == 0 { "the outline".to_owned() } else { format!("hole {index}") }
}

fn position(position: &Position, crs: Crs) -> Result<Wgs84, String> {
    let [lng, lat, ..] = *position.as_slice() else {
        return Err("a position has fewer than two numbers; write [longitude, latitude]".to_owned());
    };
    if lng.abs() > 1000.0 || lat.abs() > 1000.0 {
        return Err(format!(
            "[{lng}, {lat}] looks like projected metres; export in degrees (EPSG:4326, WGS-84)"
        ));
    }
    if !in_china(lng, lat) && in_china(lat, lng) {
        return Err(format!("[{lng}, {lat}]: longitude and latitude are swapped; write [{lat}, {lng}]"));
    }
    let [west, east, south, north] = CHINA_BOX;
    if !in_china(lng, lat) {
        return Err(format!(
            "[{lng}, {lat}] is outside the range of the reference system: longitude {west} to {east}, latitude \
             {south} to {north} degrees; export in degrees, and name the system as `crs` in place.toml"
        ));
    }
    crs::to_wgs84(crs, lng, lat).map_err(|e| e.to_string())
}

fn in_china(lng: f64, lat: f64) -> bool {
    let [west, east, south, north] = CHINA_BOX;
    (west..=east).contains(&lng) && (south..=north).contains(&lat)
}

fn unsound(polygon: &Polygon<f64>, error: &InvalidPolygon) -> String {
    let index = |role: &RingRole| match role {
        RingRole::Exterior => 0,
        RingRole::Interior(i) => i + 1,
    };
    match error {
        InvalidPolygon::TooFewPointsInRing(role) => {
            format!("{} has fewer than 4 different points; a closed ring needs 4", ring_name(index(role)))
        }
        InvalidPolygon::SelfIntersection(role) => {
            let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
            let place = rings.into_iter().nth(index(role)).and_then(crossing);
            let place = place.map_or_else(String::new, |c| format!(" near [{:.6}, {:.6}]", c.x, c.y));
            format!("{} crosses itself{place}; redraw it there", ring_name(index(role)))
        }
        InvalidPolygon::InteriorRingNotContainedInExteriorRing(role) => {
            format!("{} does not lie inside the outline; move it or take it out", ring_name(index(role)))
        }
        InvalidPolygon::IntersectingRingsOnALine(a, b) | InvalidPolygon::IntersectingRingsOnAnArea(a, b) => {
            let (a, b) = (ring_name(index(a)), ring_name(index(b)));
            format!("{a} and {b} overlap; draw them apart or as one")
        }
        InvalidPolygon::NonFiniteCoord(role, _) => {
            format!("{} has a coordinate that is no number; mend it", ring_name(index(role)))
        }
    }
}

/// Where two pieces of a ring that are no neighbours meet.
fn crossing(ring: &LineString<f64>) -> Option<Coord<f64>> {
    let lines: Vec<_> = ring.lines().collect();
    for (i, a) in lines.iter().enumerate() {
        for b in &lines[i + 1..] {
            if a.end == b.start || b.end == a.start {
                continue;
            }
            match line_intersection(*a, *b) {
                Some(LineIntersection::SinglePoint { intersection, .. }) => return Some(intersection),
                Some(LineIntersection::Collinear { intersection }) => return Some(intersection.start),
                None => {}
            }
        }
    }
    None
}

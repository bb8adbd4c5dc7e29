//! The local plane in which distances are compared, and the shore as segments in it.

use geo::{BoundingRect, Coord, LinesIter, MapCoords, MultiPolygon};
use rstar::{AABB, PointDistance, RTreeObject};

use super::Wgs84;

/// Semi-major axis of WGS-84, metres.
const A_M: f64 = 6_378_137.0;
/// Its squared eccentricity.
const E2: f64 = 0.006_694_379_990_141_316;

/// Metres east and north of an origin, by the ellipsoid's two radii there. From the origin within 5 cm of the
/// geodesic at 1 km and 10 m at 15 km (tested); far away only an order of magnitude.
#[derive(Clone, Copy, Debug)]
pub struct Plane {
    origin: Wgs84,
    east_m_per_deg: f64,
    north_m_per_deg: f64,
}

impl Plane {
    /// The plane that touches the ellipsoid at `origin`.
    #[must_use]
    pub fn new(origin: Wgs84) -> Self {
        let (sin, cos) = origin.lat.to_radians().sin_cos();
        let w2 = 1.0 - E2 * sin * sin;
        Self {
            origin,
            east_m_per_deg: (A_M / w2.sqrt() * cos).to_radians(),
            north_m_per_deg: (A_M * (1.0 - E2) / (w2 * w2.sqrt())).to_radians(),
        }
    }

    /// The plane at the centre of the lake's bounding box.
    #[must_use]
    pub fn of_lake(lake: &MultiPolygon<f64>) -> Self {
        let centre = lake.bounding_rect().map_or(Coord { x: 0.0, y: 0.0 }, geo::Rect::center);
        Self::new(Wgs84 { lng: centre.x, lat: centre.y })
    }

    /// Metres east and north of the origin.
    #[must_use]
    pub fn project(&self, at: Wgs84) -> [f64; 2] {
        [(at.lng - self.origin.lng) * self.east_m_per_deg, (at.lat - self.origin.lat) * self.north_m_per_deg]
    }

    /// A whole shape, from degrees to metres.
    #[must_use]
    pub fn project_shape<G: MapCoords<f64, f64>>(&self, shape: &G) -> G::Output {
        shape.map_coords(|c| {
            let [x, y] = self.project(Wgs84 { lng: c.x, lat: c.y });
            Coord { x, y }
        })
    }
}

/// A straight piece of shore, metres in the plane; never of length 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Segment {
    pub(super) a: [f64; 2],
    pub(super) b: [f64; 2],
}

/// All rings of a projected shape, islands too.
pub(super) fn segments(shape: &MultiPolygon<f64>) -> Vec<Segment> {
    shape
        .lines_iter()
        // Repeated points are allowed in the files; a segment of length 0 has no direction.
        .filter(|line| line.start != line.end)
        .map(|line| Segment { a: line.start.into(), b: line.end.into() })
        .collect()
}

impl RTreeObject for Segment {
    type Envelope = AABB<[f64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        AABB::from_corners(self.a, self.b)
    }
}

impl PointDistance for Segment {
    fn distance_2(&self, p: &[f64; 2]) -> f64 {
        let (dx, dy) = (self.b[0] - self.a[0], self.b[1] - self.a[1]);
        let (px, py) = (p[0] - self.a[0], p[1] - self.a[1]);
        let along = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        let (ex, ey) = (px - along * dx, py - along * dy);
        ex * ex + ey * ey
    }
}

#[cfg(test)]
mod tests {
    use geo::{Destination, Geodesic, Point};

    use super::*;

    #[test]
    fn agrees_with_the_geodesic_near_its_origin() {
        let origin = Point::new(113.11, 29.40);
        let plane = Plane::new(Wgs84 { lng: origin.x(), lat: origin.y() });
        for bearing in 0..36 {
            for (distance_m, within_m) in [(1.0, 1e-6), (250.0, 0.004), (1000.0, 0.05), (15_000.0, 10.0)] {
                let p = Geodesic.destination(origin, f64::from(bearing) * 10.0, distance_m);
                let [x, y] = plane.project(Wgs84 { lng: p.x(), lat: p.y() });
                let off_m = (x.hypot(y) - distance_m).abs();
                assert!(off_m < within_m, "{bearing} {distance_m}: {off_m}");
            }
        }
    }

    #[test]
    fn a_segment_is_near_by_its_body_and_its_ends() {
        let s = Segment { a: [0.0, 0.0], b: [10.0, 0.0] };
        for (p, d2) in [([5.0, 3.0], 9.0), ([-3.0, 4.0], 25.0), ([13.0, -4.0], 25.0), ([7.0, 0.0], 0.0)] {
            assert!((s.distance_2(&p) - d2).abs() < 1e-12, "{p:?}");
        }
    }
}

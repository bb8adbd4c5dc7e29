//! Where a position lies: in the water or not, in which sector, how far from the shore, at which outfall.
//! For single positions; a file of them goes faster through [`super::grid::Grid`], with the same answers.

use geo::indexed::IntervalTreeMultiPolygon;
use geo::orient::Direction;
use geo::{Contains, Coord, Distance, Geodesic, Intersects, Orient, Point, Polygon};
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, PointDistance, RTree, RTreeObject};

use super::plane::{Plane, Segment, segments};
use super::{Geotag, Match, NearOutfall, Place, Wgs84};

/// A worse accuracy counts as this, metres: a hopeless fix must not match every outfall of the lake.
pub const MAX_ACCURACY_M: f64 = 100.0;
/// As many outfalls are listed when there is nothing to choose among.
const LISTED: usize = 3;
/// As many candidates are listed at most when there is.
pub(super) const MAX_CANDIDATES: usize = 5;

/// The place, prepared for questions about single positions. Distances to the shore are taken in a plane at the
/// lake's centre ([`Plane`] says how exact), distances to outfalls are geodesic.
pub struct Locator {
    pub(super) plane: Plane,
    pub(super) shore: RTree<Segment>,
    pub(super) sectors: Vec<Polygon<f64>>,
    pub(super) outfalls: Vec<[f64; 2]>,
    water: IntervalTreeMultiPolygon<f64>,
    sector_boxes: RTree<GeomWithData<Rectangle<geo::Point>, usize>>,
    outfall_tree: RTree<GeomWithData<[f64; 2], usize>>,
    sector_codes: Vec<String>,
    outfall_marks: Vec<(String, Point)>,
    neighbourhood_m: f64,
    match_m: f64,
}

/// What was found about a position before the outfalls are weighed; outfalls and sectors by index.
pub(super) struct Finding {
    pub(super) in_lake: bool,
    pub(super) sector: Option<usize>,
    pub(super) shore_m: f64,
    pub(super) nearest: Vec<usize>,
}

impl Locator {
    /// Prepares a place.
    #[must_use]
    pub fn new(place: &Place) -> Self {
        let plane = Plane::of_lake(&place.lake);
        // The interval tree counts windings, so holes must run against their outer ring.
        let lake = plane.project_shape(&place.lake).orient(Direction::Default);
        let sectors: Vec<_> = place.sectors.iter().map(|s| plane.project_shape(&s.polygon)).collect();
        let outfalls: Vec<_> = place.outfalls.iter().map(|o| plane.project(o.position)).collect();
        let boxes = sectors.iter().map(|polygon| Rectangle::from_aabb(polygon.envelope())).enumerate();
        Self {
            shore: RTree::bulk_load(segments(&lake)),
            water: IntervalTreeMultiPolygon::new(&lake),
            sector_boxes: RTree::bulk_load(boxes.map(|(i, r)| GeomWithData::new(r, i)).collect()),
            outfall_tree: RTree::bulk_load(
                outfalls.iter().enumerate().map(|(i, p)| GeomWithData::new(*p, i)).collect(),
            ),
            sector_codes: place.sectors.iter().map(|s| s.code.clone()).collect(),
            outfall_marks: place
                .outfalls
                .iter()
                .map(|o| (o.code.clone(), Point::new(o.position.lng, o.position.lat)))
                .collect(),
            neighbourhood_m: place.neighbourhood_m,
            match_m: place.match_m,
            plane,
            sectors,
            outfalls,
        }
    }

    /// Judges a position that came through [`super::crs::to_wgs84`].
    ///
    /// An outfall is a candidate when the accuracy circle (at most [`MAX_ACCURACY_M`]) comes within `match_m` of
    /// it. `One`: a single candidate, or the nearest is nearer than the second wherever in the circle the truth
    /// lies. `Several`: `outfalls` are the candidates, at most five. Otherwise `outfalls` are simply the nearest
    /// three, however far. Without an accuracy the circle is a point, and two candidates are never told apart:
    /// how good the fix was is not known.
    #[must_use]
    pub fn geotag(&self, at: Wgs84, accuracy_m: Option<f64>) -> Geotag {
        let p = self.plane.project(at);
        let finding = Finding {
            in_lake: self.is_water(p),
            sector: self.find_sector(p),
            shore_m: self.shore_m(p),
            nearest: self.nearest_outfalls(p),
        };
        self.judge(at, accuracy_m, finding)
    }

    /// Distance to the shore line, islands included, metres, from the water or from land.
    #[must_use]
    pub fn distance_to_shore_m(&self, at: Wgs84) -> f64 {
        self.shore_m(self.plane.project(at))
    }

    /// In the lake, or within the place's `neighbourhood_m` of its shore.
    #[must_use]
    pub fn in_neighbourhood(&self, at: Wgs84) -> bool {
        let p = self.plane.project(at);
        self.shore_m(p) <= self.neighbourhood_m || self.is_water(p)
    }

    pub(super) fn is_water(&self, [x, y]: [f64; 2]) -> bool {
        self.water.contains(&Coord { x, y })
    }

    /// Borders belong to both neighbours; the first by code wins.
    pub(super) fn sector_holds(&self, index: usize, [x, y]: [f64; 2]) -> bool {
        self.sectors[index].intersects(&Coord { x, y })
    }

    fn find_sector(&self, p: [f64; 2]) -> Option<usize> {
        self.sector_boxes
            .locate_in_envelope_intersecting(&AABB::from_point(geo::Point::from(p)))
            .map(|found| found.data)
            .filter(|i| self.sector_holds(*i, p))
            .min()
    }

    fn shore_m(&self, p: [f64; 2]) -> f64 {
        self.shore.nearest_neighbor(&p).map_or(f64::INFINITY, |s| s.distance_2(&p).sqrt())
    }

    fn nearest_outfalls(&self, p: [f64; 2]) -> Vec<usize> {
        let mut found: Vec<(f64, usize)> = Vec::with_capacity(MAX_CANDIDATES);
        for (outfall, d2) in self.outfall_tree.nearest_neighbor_iter_with_distance_2(&p) {
            // Equals of the last one go on into the sort, so that ties fall by code and not by the tree.
            if found.len() >= MAX_CANDIDATES && found.last().is_some_and(|last| d2 > last.0) {
                break;
            }
            found.push((d2, outfall.data));
        }
        nearest_first(found)
    }

    /// Weighs the outfalls that were nearest in the plane by their geodesic distance.
    pub(super) fn judge(&self, at: Wgs84, accuracy_m: Option<f64>, finding: Finding) -> Geotag {
        let here = Point::new(at.lng, at.lat);
        let mut near: Vec<(f64, &str)> = finding
            .nearest
            .iter()
            .map(|i| &self.outfall_marks[*i])
            .map(|(code, position)| (Geodesic.distance(here, *position), code.as_str()))
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        let (matched, listed) = self.weigh(&near, accuracy_m);
        near.truncate(listed);
        Geotag {
            wgs84: at,
            in_lake: finding.in_lake,
            sector: finding.sector.map(|i| self.sector_codes[i].clone()),
            shore_m: finding.shore_m,
            outfalls: near
                .into_iter()
                .map(|(distance_m, code)| NearOutfall { code: code.to_owned(), distance_m })
                .collect(),
            matched,
        }
    }

    /// How clear the match is, and how many of `near` are to be listed.
    fn weigh(&self, near: &[(f64, &str)], accuracy_m: Option<f64>) -> (Match, usize) {
        let accuracy_m = accuracy_m.filter(|m| !m.is_nan()).map(|m| m.clamp(0.0, MAX_ACCURACY_M));
        let circle_m = accuracy_m.unwrap_or(0.0);
        let candidates = near.iter().take_while(|(d_m, _)| d_m - circle_m <= self.match_m).count();
        let clear = || accuracy_m.is_some() && near[0].0 + circle_m < near[1].0 - circle_m;
        match candidates {
            0 => (Match::None, LISTED),
            1 => (Match::One, LISTED),
            _ if clear() => (Match::One, LISTED),
            _ => (Match::Several, candidates),
        }
    }
}

/// The indices of the nearest outfalls from squared distances, ties by index (outfalls stand by code).
pub(super) fn nearest_first(mut found: Vec<(f64, usize)>) -> Vec<usize> {
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.truncate(MAX_CANDIDATES);
    found.into_iter().map(|(_, i)| i).collect()
}

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
/// More than the plane can be wrong where an outfall is a candidate, metres.
const PLANE_SLACK_M: f64 = 20.0;

/// The place, prepared for questions about single positions. Distances to the shore are taken in a plane at the
/// lake's centre ([`Plane`] says how exact), distances to outfalls are geodesic.
pub struct Locator {
    pub(super) plane: Plane,
    pub(super) shore: RTree<Segment>,
    pub(super) sectors: Vec<Polygon<f64>>,
    pub(super) outfalls: Vec<[f64; 2]>,
    water: IntervalTreeMultiPolygon<f64>,
    sector_boxes: RTree<GeomWithData<Rectangle<Point>, usize>>,
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
    /// Squared distance in the plane and outfall, nearest first.
    pub(super) nearest: Vec<(f64, usize)>,
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
        self.judge(at, accuracy_m, &finding)
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
            .locate_in_envelope_intersecting(&AABB::from_point(p.into()))
            .map(|found| found.data)
            .filter(|i| self.sector_holds(*i, p))
            .min()
    }

    fn shore_m(&self, p: [f64; 2]) -> f64 {
        self.shore.nearest_neighbor(&p).map_or(f64::INFINITY, |s| s.distance_2(&p).sqrt())
    }

    fn nearest_outfalls(&self, p: [f64; 2]) -> Vec<(f64, usize)> {
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
    pub(super) fn judge(&self, at: Wgs84, accuracy_m: Option<f64>, finding: &Finding) -> Geotag {
        let here = Point::new(at.lng, at.lat);
        let accuracy_m = accuracy_m.filter(|m| !m.is_nan()).map(|m| m.clamp(0.0, MAX_ACCURACY_M));
        // A geodesic costs as much as all the rest, so it is taken only where it can show in the answer.
        let reach_m = self.match_m + accuracy_m.unwrap_or(0.0) + PLANE_SLACK_M;
        let mut near: Vec<(f64, &str)> = finding
            .nearest
            .iter()
            .enumerate()
            .take_while(|(rank, (d2, _))| *rank < LISTED || *d2 <= reach_m * reach_m)
            .map(|(_, (_, outfall))| &self.outfall_marks[*outfall])
            .map(|(code, position)| (Geodesic.distance(here, *position), code.as_str()))
            .collect();
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
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

/// The nearest outfalls by squared distance, ties by index (outfalls stand by code).
pub(super) fn nearest_first(mut found: Vec<(f64, usize)>) -> Vec<(f64, usize)> {
    found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.truncate(MAX_CANDIDATES);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::load::embedded;
    use crate::lake::{Outfall, crs};

    fn at(lng: f64, lat: f64) -> Wgs84 {
        crs::to_wgs84(crate::lake::Crs::Wgs84, lng, lat).unwrap()
    }

    /// The shipped place with outfalls at these metres east of its first one.
    fn place_with_outfalls(east_m: &[f64]) -> (Place, Wgs84) {
        let mut place = embedded();
        let origin = place.outfalls[0].position;
        let m_per_deg = Plane::of_lake(&place.lake).project(at(114.0, 29.4))[0]
            - Plane::of_lake(&place.lake).project(at(113.0, 29.4))[0];
        let model = place.outfalls[0].clone();
        let outfall = |(i, m): (usize, &f64)| Outfall {
            code: format!("JJH-PK-{:04}", i + 1),
            position: at(origin.lng + m / m_per_deg, origin.lat),
            ..model.clone()
        };
        place.outfalls = east_m.iter().enumerate().map(outfall).collect();
        (place, origin)
    }

    fn tag(east_m: &[f64], accuracy_m: Option<f64>) -> Geotag {
        let (place, origin) = place_with_outfalls(east_m);
        Locator::new(&place).geotag(origin, accuracy_m)
    }

    #[test]
    fn one_outfall_in_reach_is_clear() {
        let tag = tag(&[4.0, 200.0, 300.0, 400.0], Some(12.0));
        assert_eq!(tag.matched, Match::One);
        assert_eq!(tag.outfalls.len(), 3);
        assert_eq!(tag.outfalls[0].code, "JJH-PK-0001");
        assert!((tag.outfalls[0].distance_m - 4.0).abs() < 0.05, "{}", tag.outfalls[0].distance_m);
    }

    #[test]
    fn the_accuracy_circle_makes_candidates() {
        assert_eq!(tag(&[35.0, 500.0], None).matched, Match::None);
        assert_eq!(tag(&[35.0, 500.0], Some(4.0)).matched, Match::None);
        assert_eq!(tag(&[35.0, 500.0], Some(6.0)).matched, Match::One);
    }

    #[test]
    fn two_in_reach_are_told_apart_only_by_a_good_fix() {
        assert_eq!(tag(&[2.0, -28.0], Some(5.0)).matched, Match::One);
        let unclear = tag(&[2.0, -28.0, 400.0], Some(15.0));
        assert_eq!(unclear.matched, Match::Several);
        assert_eq!(unclear.outfalls.len(), 2, "candidates only, not the far one");
        assert_eq!(tag(&[2.0, -28.0], None).matched, Match::Several, "how good the fix was is not known");
    }

    #[test]
    fn a_hopeless_fix_does_not_match_the_whole_lake() {
        let tag = tag(&[0.0, 90.0, 120.0, 140.0, 300.0, 400.0], Some(5000.0));
        assert_eq!(tag.matched, Match::Several);
        assert_eq!(tag.outfalls.len(), 3, "those within match_m + 100 m");
        assert_eq!(self::tag(&[140.0], Some(f64::INFINITY)).matched, Match::None);
    }

    #[test]
    fn many_candidates_are_cut_at_five() {
        let tag = tag(&[0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 28.0], Some(10.0));
        assert_eq!(tag.matched, Match::Several);
        let codes: Vec<_> = tag.outfalls.iter().map(|o| o.code.as_str()).collect();
        assert_eq!(codes, ["JJH-PK-0001", "JJH-PK-0002", "JJH-PK-0003", "JJH-PK-0004", "JJH-PK-0005"]);
    }

    #[test]
    fn equal_distances_fall_by_code() {
        let tag = tag(&[10.0; 7], Some(5.0));
        assert_eq!(tag.matched, Match::Several);
        assert_eq!(tag.outfalls[0].code, "JJH-PK-0001");
        assert_eq!(tag.outfalls[4].code, "JJH-PK-0005");
    }

    #[test]
    fn a_place_without_outfalls_or_accuracy_still_answers() {
        let tag = tag(&[], Some(f64::NAN));
        assert_eq!((tag.matched, tag.outfalls.len()), (Match::None, 0));
        assert!(tag.shore_m < 10.0);
    }

    #[test]
    fn water_island_and_land_are_told_apart() {
        let place = embedded();
        let locator = Locator::new(&place);
        let island = &place.lake.0[0].interiors()[0];
        let on_island = at(island.0[0].x, island.0[13].y);
        assert!(!locator.geotag(on_island, None).in_lake);
        assert!(locator.distance_to_shore_m(on_island) < 60.0);
        let middle = at(113.1100, 29.4000);
        let tag = locator.geotag(middle, None);
        assert!(tag.in_lake);
        assert_eq!(tag.sector, None, "open water belongs to no stretch of shore");
        assert!(tag.shore_m > 100.0);
        let land = at(113.1200, 29.4050);
        assert!(!locator.geotag(land, None).in_lake);
    }

    #[test]
    fn a_hole_drawn_in_either_direction_is_no_water() {
        let mut place = embedded();
        let polygon = &place.lake.0[0];
        let island = polygon.interiors()[0].clone();
        let mut turned = island.clone();
        turned.0.reverse();
        let middle = at((island.0[0].x + island.0[13].x) / 2.0, (island.0[0].y + island.0[13].y) / 2.0);
        for hole in [island, turned] {
            place.lake = Polygon::new(place.lake.0[0].exterior().clone(), vec![hole]).into();
            assert!(!Locator::new(&place).geotag(middle, None).in_lake);
        }
    }

    #[test]
    fn shore_distance_agrees_with_the_geodesic() {
        let place = embedded();
        let locator = Locator::new(&place);
        for point in [at(113.1100, 29.4000), at(113.1203, 29.4021), at(113.1033, 29.3951)] {
            let here = Point::new(point.lng, point.lat);
            let ring = place.lake.0[0].exterior();
            // Every metre or so of the shore, by the geodesic: an oracle that shares nothing with the plane.
            let geodesic_m = ring
                .lines()
                .chain(place.lake.0[0].interiors()[0].lines())
                .flat_map(|l| (0..=40).map(move |i| l.start + l.delta() * (f64::from(i) / 40.0)))
                .map(|c| Geodesic.distance(here, Point::from(c)))
                .fold(f64::INFINITY, f64::min);
            let shore_m = locator.distance_to_shore_m(point);
            assert!((shore_m - geodesic_m).abs() < 0.05, "{shore_m} {geodesic_m}");
        }
    }

    #[test]
    fn neighbourhood_is_the_lake_and_its_surroundings() {
        let mut place = embedded();
        let locator = Locator::new(&place);
        assert!(locator.in_neighbourhood(at(113.1100, 29.4000)));
        assert!(locator.in_neighbourhood(at(113.1200, 29.4000)));
        assert!(!locator.in_neighbourhood(at(113.1400, 29.4000)));
        assert!(!locator.in_neighbourhood(at(29.4, 29.4)));
        place.neighbourhood_m = 10.0;
        assert!(
            Locator::new(&place).in_neighbourhood(at(113.1100, 29.4000)),
            "open water, far from any shore"
        );
    }
}

//! Geotags in bulk: a grid over the place whose cells know beforehand what can matter inside them.
//! The answers are the [`Locator`]'s, number for number.

use geo::{BoundingRect, Coord, Distance, Euclidean, Intersects, Line, Polygon, Rect};
use rstar::PointDistance;

use super::geotag::{Finding, Locator, MAX_CANDIDATES, nearest_first};
use super::plane::Segment;
use super::{Geotag, Place, Wgs84};

/// Side of a cell, metres; larger only for a place of more than [`MAX_SIDE`] cells a side.
const CELL_M: f64 = 25.0;
const MAX_SIDE: f64 = 250.0;
/// Cells lie this far around everything; positions outside go to the [`Locator`].
const MARGIN_M: f64 = 250.0;
/// A position that rounding puts into the neighbour cell must still find its own there.
const ROUNDING_M: f64 = 0.001;

/// A place prepared for many positions.
pub struct Grid {
    locator: Locator,
    bounds: Rect<f64>,
    cell_m: f64,
    columns: usize,
    cells: Vec<Cell>,
}

/// What can matter in one cell.
struct Cell {
    /// All water, all land, or (`None`) the shore goes through.
    in_lake: Option<bool>,
    /// Every segment that is nearest to some point of the cell.
    shore: Vec<Segment>,
    /// Every outfall that is among the nearest of some point of the cell.
    outfalls: Vec<usize>,
    /// Every sector that reaches in, by index, and whether it holds the whole cell.
    sectors: Vec<(usize, bool)>,
}

impl Grid {
    /// Prepares a place; some tenths of a second for a shore of 2,000 vertices.
    #[must_use]
    pub fn new(place: &Place) -> Self {
        let locator = Locator::new(place);
        let bounds = bounds(&locator);
        let cell_m = (bounds.width().max(bounds.height()) / MAX_SIDE).max(CELL_M);
        let columns = count(bounds.width(), cell_m);
        let rows = count(bounds.height(), cell_m);
        let cells = (0..rows * columns)
            .map(|i| {
                let west = bounds.min().x + (i % columns) as f64 * cell_m;
                let south = bounds.min().y + (i / columns) as f64 * cell_m;
                let min = Coord { x: west - ROUNDING_M, y: south - ROUNDING_M };
                let side = cell_m + 2.0 * ROUNDING_M;
                Cell::new(&locator, Rect::new(min, Coord { x: min.x + side, y: min.y + side }))
            })
            .collect();
        Self { locator, bounds, cell_m, columns, cells }
    }

    /// As [`Locator::geotag`].
    #[must_use]
    pub fn geotag(&self, at: Wgs84, accuracy_m: Option<f64>) -> Geotag {
        let p = self.locator.plane.project(at);
        match self.cell_of(p) {
            Some(cell) => self.locator.judge(at, accuracy_m, &cell.find(&self.locator, p)),
            None => self.locator.geotag(at, accuracy_m),
        }
    }

    fn cell_of(&self, [x, y]: [f64; 2]) -> Option<&Cell> {
        if !self.bounds.intersects(&Coord { x, y }) {
            return None;
        }
        let column = ((x - self.bounds.min().x) / self.cell_m) as usize;
        let row = ((y - self.bounds.min().y) / self.cell_m) as usize;
        if column >= self.columns {
            return None;
        }
        self.cells.get(row * self.columns + column)
    }
}

fn count(length_m: f64, cell_m: f64) -> usize {
    (length_m / cell_m).ceil() as usize
}

/// Everything of the place, with a margin.
fn bounds(locator: &Locator) -> Rect<f64> {
    let (mut min, mut max) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    let shore = locator.shore.iter().flat_map(|s| [s.a, s.b]);
    let sectors = locator.sectors.iter().filter_map(BoundingRect::bounding_rect);
    let corners = sectors.flat_map(|r: Rect<f64>| [r.min().into(), r.max().into()]);
    for p in shore.chain(corners).chain(locator.outfalls.iter().copied()) {
        for axis in 0..2 {
            min[axis] = min[axis].min(p[axis] - MARGIN_M);
            max[axis] = max[axis].max(p[axis] + MARGIN_M);
        }
    }
    Rect::new(min, max)
}

impl Cell {
    fn new(locator: &Locator, area: Rect<f64>) -> Self {
        let shore = shore_of(locator, area);
        let crossed = shore.iter().any(|s| area.intersects(&Line::new(s.a, s.b)));
        Self {
            in_lake: (!crossed).then(|| locator.is_water(area.center().into())),
            outfalls: outfalls_of(locator, area),
            sectors: sectors_of(locator, area),
            shore,
        }
    }

    fn find(&self, locator: &Locator, p: [f64; 2]) -> Finding {
        let squares = self.shore.iter().map(|s| s.distance_2(&p));
        let outfalls = self.outfalls.iter().map(|i| (locator.outfalls[*i].distance_2(&p), *i));
        Finding {
            in_lake: self.in_lake.unwrap_or_else(|| locator.is_water(p)),
            sector: self
                .sectors
                .iter()
                .find(|(i, whole)| *whole || locator.sector_holds(*i, p))
                .map(|(i, _)| *i),
            shore_m: squares.fold(f64::INFINITY, f64::min).sqrt(),
            nearest: nearest_first(outfalls.collect()),
        }
    }
}

/// The segments that are nearest to some point of `area`: those not farther from it than the segment whose
/// farthest corner is nearest (a distance to a segment is convex, so its maximum stands at a corner).
fn shore_of(locator: &Locator, area: Rect<f64>) -> Vec<Segment> {
    let centre: [f64; 2] = area.center().into();
    let Some(nearest) = locator.shore.nearest_neighbor(&centre) else { return Vec::new() };
    let half_diagonal_m = half_diagonal_m(area);
    let reach_m = nearest.distance_2(&centre).sqrt() + 2.0 * half_diagonal_m + ROUNDING_M;
    let within: Vec<Segment> =
        locator.shore.locate_within_distance(centre, reach_m * reach_m).copied().collect();
    let corners = [[0, 0], [0, 1], [1, 0], [1, 1]]
        .map(|[i, j]| [[area.min().x, area.max().x][i], [area.min().y, area.max().y][j]]);
    let farthest = |s: &Segment| corners.iter().map(|c| s.distance_2(c)).fold(0.0, f64::max);
    let limit_m = within.iter().map(farthest).fold(f64::INFINITY, f64::min).sqrt() + ROUNDING_M;
    let polygon = area.to_polygon();
    within.into_iter().filter(|s| Euclidean.distance(&polygon, &Line::new(s.a, s.b)) <= limit_m).collect()
}

/// The outfalls that are among the nearest of some point of `area`: by the triangle inequality none of them is
/// farther from its centre than the last listed one there, by more than a diagonal.
fn outfalls_of(locator: &Locator, area: Rect<f64>) -> Vec<usize> {
    let centre: [f64; 2] = area.center().into();
    let distances_m: Vec<f64> = locator.outfalls.iter().map(|p| p.distance_2(&centre).sqrt()).collect();
    let mut sorted = distances_m.clone();
    sorted.sort_by(f64::total_cmp);
    let last_m = sorted.get(MAX_CANDIDATES - 1).copied().unwrap_or(f64::INFINITY);
    let reach_m = last_m + 2.0 * half_diagonal_m(area) + ROUNDING_M;
    (0..distances_m.len()).filter(|i| distances_m[*i] <= reach_m).collect()
}

fn sectors_of(locator: &Locator, area: Rect<f64>) -> Vec<(usize, bool)> {
    let whole = |polygon: &Polygon<f64>| {
        let crossed = polygon.exterior().lines().any(|l| area.intersects(&l))
            || polygon.interiors().iter().any(|ring| ring.lines().any(|l| area.intersects(&l)));
        !crossed && polygon.intersects(&area.center())
    };
    let reaches_in = |polygon: &Polygon<f64>| {
        polygon.bounding_rect().is_some_and(|r| r.intersects(&area)) && polygon.intersects(&area)
    };
    let sectors = locator.sectors.iter().enumerate();
    sectors.filter(|(_, polygon)| reaches_in(polygon)).map(|(i, polygon)| (i, whole(polygon))).collect()
}

fn half_diagonal_m(area: Rect<f64>) -> f64 {
    area.width().hypot(area.height()) / 2.0
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use geo::LineString;

    use super::*;
    use crate::lake::load::embedded;
    use crate::lake::{Outfall, Sector};

    fn same(grid: &Grid, lng: f64, lat: f64, accuracy_m: Option<f64>) {
        let at = Wgs84 { lng, lat };
        assert_eq!(grid.geotag(at, accuracy_m), grid.locator.geotag(at, accuracy_m));
    }

    /// SplitMix64: the same positions in every run.
    struct Random(u64);

    impl Random {
        fn between(&mut self, low: f64, high: f64) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            low + (high - low) * ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// Mostly near (inside the grid and around its edge), some in the city, some anywhere on Earth.
        fn position(&mut self) -> (f64, f64) {
            match self.between(0.0, 20.0) as u8 {
                0 => (self.between(-180.0, 180.0), self.between(-90.0, 90.0)),
                1 | 2 => (self.between(113.05, 113.17), self.between(29.34, 29.46)),
                _ => (self.between(113.1000, 113.1200), self.between(29.3915, 29.4095)),
            }
        }
    }

    fn compare(place: &Place, positions: u32) {
        let grid = Grid::new(place);
        let mut random = Random(7);
        for _ in 0..positions {
            let (lng, lat) = random.position();
            let accuracy_m = Some(random.between(-50.0, 150.0)).filter(|m| *m >= 0.0);
            same(&grid, lng, lat, accuracy_m);
        }
    }

    #[test]
    fn answers_are_the_locators_on_random_positions() {
        compare(&embedded(), 20_000);
    }

    /// Many outfalls (some on the same spot) and sectors with holes, where candidate lists really cut.
    #[test]
    fn answers_are_the_locators_on_a_crowded_place() {
        let mut place = embedded();
        let shore = place.lake.0[0].exterior().clone();
        let (outfall, sector) = (place.outfalls[0].clone(), place.sectors[0].clone());
        place.outfalls = (0..300)
            .map(|i| {
                let c = shore.0[(i * 7) % 240];
                let position = Wgs84 { lng: c.x + 1e-5 * (i / 240) as f64, lat: c.y };
                Outfall { code: format!("JJH-PK-{i:04}"), position, ..outfall.clone() }
            })
            .collect();
        let ring = |x: f64, y: f64, r: f64| {
            LineString::from_iter((0..=24).map(|i| {
                let (sin, cos) = (TAU * f64::from(i % 24) / 24.0).sin_cos();
                Coord { x: x + r * cos, y: y + r * sin }
            }))
        };
        place.sectors = (0..40)
            .map(|i| {
                let (x, y) = (113.103 + 0.002 * f64::from(i % 8), 29.394 + 0.003 * f64::from(i / 8));
                let polygon = Polygon::new(ring(x, y, 0.0014), vec![ring(x, y, 0.0004)]);
                Sector { code: format!("S{i:02}"), polygon, ..sector.clone() }
            })
            .collect();
        compare(&place, 5_000);
    }

    #[test]
    fn answers_are_the_locators_on_the_marks_themselves_and_at_the_edge() {
        let place = embedded();
        let grid = Grid::new(&place);
        for c in place.lake.0[0].exterior().coords() {
            same(&grid, c.x, c.y, Some(5.0));
        }
        for c in place.sectors.iter().flat_map(|s| s.polygon.exterior().coords()) {
            same(&grid, c.x, c.y, None);
        }
        for o in &place.outfalls {
            same(&grid, o.position.lng, o.position.lat, None);
        }
        assert!(grid.cell_of(grid.bounds.min().into()).is_some());
        assert!(grid.cell_of([grid.bounds.min().x - 1.0, grid.bounds.min().y]).is_none());
        assert!(grid.cell_of([grid.bounds.max().x + 1.0, grid.bounds.max().y]).is_none());
        assert!(grid.cell_of([f64::NAN, 0.0]).is_none());
    }

    /// Otherwise the comparison above would hold by the fallback alone.
    #[test]
    fn most_of_the_near_positions_are_answered_by_a_cell_that_knows() {
        let grid = Grid::new(&embedded());
        assert!(grid.cells.len() > 3_000, "{}", grid.cells.len());
        assert!(grid.cells.iter().filter(|c| c.in_lake.is_some()).count() * 10 > grid.cells.len() * 8);
        let whole = grid.cells.iter().filter(|c| c.sectors.first().is_some_and(|s| s.1)).count();
        assert!(whole > 300, "{whole}");
        let mean = grid.cells.iter().map(|c| c.shore.len()).sum::<usize>() / grid.cells.len();
        assert!(mean < 30, "{mean} of 266 segments in a cell");
    }
}

//! From degrees to pixels, and the shore line cut by sector.

use geo::{BoundingRect, Contains, Coord, Distance, Euclidean, LineString, MultiPolygon, Point, Polygon};

use super::labels::Rect;
use super::svg::Pt;
use crate::lake::{Place, Wgs84};

/// Metres in a degree of latitude on the sphere of mean radius 6,371,008.8 m (IUGG).
const METRES_PER_DEGREE: f64 = 111_195.08;

/// A plane picture of the place: equirectangular about its middle, true to shape within 0.1 % over a few kilometres.
pub struct View {
    west: f64,
    north: f64,
    degree_x: f64,
    degree_y: f64,
    origin: Pt,
    /// Pixels per metre.
    pub scale: f64,
    area: Rect,
}

impl View {
    /// The lake and its outfalls as large as `area` allows, in its middle.
    pub fn of(place: &Place, area: Rect) -> Self {
        let mut seen: Vec<Coord<f64>> =
            place.outfalls.iter().map(|o| Coord { x: o.position.lng, y: o.position.lat }).collect();
        if let Some(lake) = place.lake.bounding_rect() {
            seen.extend([lake.min(), lake.max()]);
        }
        let (west, east) = extent(seen.iter().map(|c| c.x));
        let (south, north) = extent(seen.iter().map(|c| c.y));
        let degree_x = METRES_PER_DEGREE * ((south + north) / 2.0).to_radians().cos();
        // One metre at least: a place of one point is still drawn.
        let width_m = ((east - west) * degree_x).max(1.0);
        let height_m = ((north - south) * METRES_PER_DEGREE).max(1.0);
        let scale = (area.w / width_m).min(area.h / height_m);
        let origin = Pt {
            x: area.x + (area.w - width_m * scale) / 2.0,
            y: area.y + (area.h - height_m * scale) / 2.0,
        };
        Self {
            west,
            north,
            degree_x: degree_x * scale,
            degree_y: METRES_PER_DEGREE * scale,
            origin,
            scale,
            area,
        }
    }

    /// Where degrees lie on the canvas.
    pub fn at(&self, c: Coord<f64>) -> Pt {
        self.origin.to((c.x - self.west) * self.degree_x, (self.north - c.y) * self.degree_y)
    }

    /// The degrees of a point on the canvas.
    pub fn degrees(&self, p: Pt) -> Coord<f64> {
        Coord {
            x: self.west + (p.x - self.origin.x) / self.degree_x,
            y: self.north - (p.y - self.origin.y) / self.degree_y,
        }
    }

    /// Where a position lies, if it is on the map (with a rim around the lake).
    pub fn shown(&self, p: Wgs84) -> Option<Pt> {
        let at = self.at(Coord { x: p.lng, y: p.lat });
        let Rect { x, y, w, h } = self.area;
        Rect { x: x - 30.0, y: y - 14.0, w: w + 60.0, h: h + 28.0 }.holds(at).then_some(at)
    }

    /// The box around a polygon on the canvas.
    pub fn bounds(&self, polygon: &Polygon<f64>) -> Rect {
        let points: Vec<Pt> = polygon.exterior().coords().map(|&c| self.at(c)).collect();
        let (x, x2) = extent(points.iter().map(|p| p.x));
        let (y, y2) = extent(points.iter().map(|p| p.y));
        Rect { x, y, w: x2 - x, h: y2 - y }
    }

    /// Path data of polygons with their holes.
    pub fn path(&self, polygons: &MultiPolygon<f64>) -> String {
        polygons.iter().map(|p| self.polygon_path(p)).collect()
    }

    /// Path data of a polygon with its holes.
    pub fn polygon_path(&self, polygon: &Polygon<f64>) -> String {
        rings(polygon).map(|ring| super::svg::polyline(ring.coords().map(|&c| self.at(c))) + "Z").collect()
    }
}

fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .fold(None, |acc, v| Some(acc.map_or((v, v), |(a, b): (f64, f64)| (a.min(v), b.max(v)))))
        .unwrap_or_default()
}

fn rings(polygon: &Polygon<f64>) -> impl Iterator<Item = &LineString<f64>> {
    std::iter::once(polygon.exterior()).chain(polygon.interiors())
}

/// A stretch of shore within one sector.
pub struct Run {
    /// Index into the place's sectors.
    pub sector: Option<usize>,
    /// Through these points.
    pub points: Vec<Pt>,
}

impl Run {
    /// Where it begins, and the unit vector across the shore there.
    pub fn start(&self) -> (Pt, Pt) {
        (self.points[0], across(self.points[0], self.points[1]))
    }

    /// The point `share` of its way along, and the unit vector across the shore there.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and their number")]
    pub fn along(&self, share: f64) -> (Pt, Pt) {
        let last = self.points.len() - 1;
        let i = ((last as f64 * share.clamp(0.0, 1.0)) as usize).min(last);
        (self.points[i], across(self.points[i.saturating_sub(3)], self.points[(i + 3).min(last)]))
    }
}

fn across(a: Pt, b: Pt) -> Pt {
    let length = (b.x - a.x).hypot(b.y - a.y).max(1e-9);
    Pt { x: (b.y - a.y) / length, y: (a.x - b.x) / length }
}

/// The outer shore cut where the sector changes, in steps of at most 5 pixels. Runs of one point do not occur.
pub fn runs(place: &Place, view: &View) -> Vec<Run> {
    place.lake.iter().flat_map(|p| ring_runs(place, view, p.exterior())).collect()
}

fn ring_runs(place: &Place, view: &View, ring: &LineString<f64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for segment in ring.lines() {
        let (a, b) = (view.at(segment.start), view.at(segment.end));
        let steps = ((b.x - a.x).hypot(b.y - a.y) / 5.0).ceil().clamp(1.0, 1000.0);
        let mut done = 0.0;
        while done < steps {
            let along = |t: f64| segment.start + segment.delta() * (t / steps);
            let sector = sector_at(place, along(done + 0.5));
            if runs.last().is_none_or(|run| run.sector != sector) {
                runs.push(Run { sector, points: vec![view.at(along(done))] });
            }
            done += 1.0;
            if let Some(run) = runs.last_mut() {
                run.points.push(view.at(along(done)));
            }
        }
    }
    join_ends(&mut runs);
    runs
}

/// A ring begins anywhere: its last run goes on in the first where both lie in one sector.
fn join_ends(runs: &mut Vec<Run>) {
    if runs.len() > 1 && runs.first().map(|r| r.sector) == runs.last().map(|r| r.sector) {
        let mut joined = runs.remove(runs.len() - 1);
        joined.points.extend(runs[0].points.drain(..).skip(1));
        runs[0] = joined;
    }
}

/// A sector whose edge is the shore itself contains no point of it, so the nearest within 30 m counts too.
fn sector_at(place: &Place, c: Coord<f64>) -> Option<usize> {
    let point = Point::from(c);
    let inside = place.sectors.iter().position(|s| s.polygon.contains(&point));
    inside.or_else(|| {
        let distance = |i: usize| Euclidean.distance(&point, &place.sectors[i].polygon) * METRES_PER_DEGREE;
        let near = (0..place.sectors.len()).map(|i| (distance(i), i)).min_by(|a, b| a.0.total_cmp(&b.0));
        near.filter(|&(metres, _)| metres <= 30.0).map(|(_, i)| i)
    })
}

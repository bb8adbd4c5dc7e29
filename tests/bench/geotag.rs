//! Geotags per second on one core, by the grid and by the trees, beside shapely's STRtree doing the same work:
//! sector of 40, in the lake or not, distance to a shore of 2,000 vertices, nearest of 300 outfalls.
//! Needs shapely: `python3` on the PATH must have it (`tests/run` puts it there). The rounds take turns.

use std::f64::consts::TAU;
use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use geo::{Coord, LineString, Polygon};
use jijia::lake::geotag::Locator;
use jijia::lake::grid::Grid;
use jijia::lake::load::embedded;
use jijia::lake::plane::Plane;
use jijia::lake::{Geotag, Outfall, Place, Sector, Wgs84};
use serde_json::{Value, json};

use crate::figures::{Figure, median, thousands};
use crate::{Fault, Outcome, Session};

const VERTICES: usize = 2_000;
const SECTORS: usize = 40;
const OUTFALLS: usize = 300;
const POSITIONS: usize = 200_000;
/// Issue: geotag on one core ≥ 2 × shapely.
const TARGET: f64 = 2.0;
const ORIGIN: Wgs84 = Wgs84 { lng: 113.11, lat: 29.40 };
const RADIUS_DEG: f64 = 0.005;

/// Prints both rates and their ratio.
pub fn run(session: &mut Session) -> Result<Outcome, Fault> {
    let rounds = if session.long { 7 } else { 3 };
    let (place, positions) = (place(), positions());
    let (grid, locator) = (Grid::new(&place), Locator::new(&place));
    let (mut by_grid, mut by_trees, mut theirs) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        let Some(found) = shapely(&place, &positions)? else {
            return Ok(Outcome::Skipped("python3 on the PATH has no shapely (tests/run installs it)".into()));
        };
        theirs.push(POSITIONS as f64 / found["seconds"].as_f64().ok_or("no seconds")?);
        by_grid.push(rate(&positions, &found, |at| grid.geotag(at, None))?);
        by_trees.push(rate(&positions, &found, |at| locator.geotag(at, None))?);
    }
    let (by_grid, by_trees, theirs) = (median(&by_grid), median(&by_trees), median(&theirs));
    let figure = |what: &str, ours: f64, met| Figure {
        what: what.into(),
        ours: format!("{}/s", thousands(ours)),
        beside: format!("shapely STRtree: {}/s", thousands(theirs)),
        ratio: Some(ours / theirs),
        target: if met { "≥ 2" } else { "–" },
        met: met.then_some(ours / theirs >= TARGET),
    };
    Ok(Outcome::Ran(vec![
        figure("Geotags on one core, grid (bulk)", by_grid, true),
        figure("Geotags on one core, trees (single reports)", by_trees, false),
    ]))
}

/// Positions per second, after making sure that both sides found the same.
fn rate(positions: &[Wgs84], theirs: &Value, geotag: impl Fn(Wgs84) -> Geotag) -> Result<f64, Fault> {
    let started = Instant::now();
    for at in positions {
        black_box(geotag(*at));
    }
    let seconds = started.elapsed().as_secs_f64();
    let (mut in_lake, mut with_sector, mut shore_m, mut nearest_m) = (0_u64, 0_u64, 0.0, 0.0);
    for tag in positions.iter().map(|at| geotag(*at)) {
        in_lake += u64::from(tag.in_lake);
        with_sector += u64::from(tag.sector.is_some());
        shore_m += tag.shore_m;
        nearest_m += tag.outfalls[0].distance_m;
    }
    let found = [("in_lake", in_lake as f64), ("with_sector", with_sector as f64), ("shore_m", shore_m)];
    for (key, ours) in found.into_iter().chain([("nearest_m", nearest_m)]) {
        let theirs = theirs[key].as_f64().ok_or(key)?;
        // Plane against geodesic: centimetres in hundreds of metres.
        if (ours - theirs).abs() > 1e-4 * theirs {
            return Err(format!("not the same work: {key} is {ours} here and {theirs} there").into());
        }
    }
    Ok(positions.len() as f64 / seconds)
}

fn shapely(place: &Place, positions: &[Wgs84]) -> Result<Option<Value>, Fault> {
    let pairs = |ring: &LineString<f64>| ring.coords().map(|c| [c.x, c.y]).collect::<Vec<_>>();
    let plane = Plane::of_lake(&place.lake);
    let (zero, one) = (Wgs84 { lng: 0.0, lat: 0.0 }, Wgs84 { lng: 1.0, lat: 1.0 });
    let (from, to) = (plane.project(zero), plane.project(one));
    let input = json!({
        "m_per_deg": [to[0] - from[0], to[1] - from[1]],
        "lake": pairs(place.lake.0[0].exterior()),
        "sectors": place.sectors.iter().map(|s| pairs(s.polygon.exterior())).collect::<Vec<_>>(),
        "outfalls": place.outfalls.iter().map(|o| [o.position.lng, o.position.lat]).collect::<Vec<_>>(),
        "positions": positions.iter().map(|at| [at.lng, at.lat]).collect::<Vec<_>>(),
    });
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(input.to_string().as_bytes())?;
    if !Command::new("python3").args(["-c", "import shapely"]).stderr(Stdio::null()).status()?.success() {
        return Ok(None);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/geotag/strtree.py");
    let output = Command::new("python3").arg(script).arg(file.path()).output()?;
    if !output.status.success() {
        return Err(format!("strtree.py: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

/// Distance of the shore from the origin in a direction, degrees.
fn shore(angle: f64) -> f64 {
    let bays = 0.18 * (3.0 * angle).sin() + 0.09 * (7.0 * angle + 1.0).sin();
    RADIUS_DEG * (1.0 + bays + 0.02 * (31.0 * angle).sin())
}

fn towards(angle: f64, factor: f64) -> Coord<f64> {
    let r = shore(angle) * factor;
    Coord { x: ORIGIN.lng + r * angle.cos(), y: ORIGIN.lat + r * angle.sin() }
}

fn place() -> Place {
    let mut place = embedded();
    let (outfall, sector) = (place.outfalls[0].clone(), place.sectors[0].clone());
    let angle = |i: usize, of: usize| TAU * (i % of) as f64 / of as f64;
    let outline = (0..=VERTICES).map(|i| towards(angle(i, VERTICES), 1.0));
    place.lake = Polygon::new(outline.collect(), vec![]).into();
    place.sectors = (0..SECTORS)
        .map(|i| {
            let arc = |j: usize| angle(i * 20 + j, SECTORS * 20);
            let outer = (0..=20).map(|j| towards(arc(j), 1.25));
            let inner = (0..=20).rev().map(|j| towards(arc(j), 0.75));
            let polygon = Polygon::new(outer.chain(inner).collect(), vec![]);
            Sector { code: format!("AD-{i:02}"), polygon, ..sector.clone() }
        })
        .collect();
    place.outfalls = (0..OUTFALLS)
        .map(|i| {
            let c = towards(angle(i, OUTFALLS) + 0.003, 1.005);
            let position = Wgs84 { lng: c.x, lat: c.y };
            Outfall { code: format!("PK-{i:04}"), position, ..outfall.clone() }
        })
        .collect();
    place
}

/// Spread evenly over the lake and its banks by the golden ratios of the plane (R2 sequence): no seed, no clock.
fn positions() -> Vec<Wgs84> {
    let spread = |i: usize, step: f64| ((i as f64 * step).fract() - 0.5) * 3.2 * RADIUS_DEG;
    (1..=POSITIONS)
        .map(|i| Wgs84 {
            lng: ORIGIN.lng + spread(i, 0.754_877_666_246_692_7),
            lat: ORIGIN.lat + spread(i, 0.569_840_290_998_053_3),
        })
        .collect()
}

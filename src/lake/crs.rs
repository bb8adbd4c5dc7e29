//! Conversions between reference systems: WGS-84, GCJ-02 (高德, 腾讯), BD-09 (百度), CGCS2000 (天地图).
//!
//! Formulas and constants as published by gcoord, coordtransform and eviltransform, which agree to 1e-9 degrees
//! (domain notes, section 7). The inverses are exact: the one-step inverse in common use is up to 2.4 m wrong near
//! Yueyang, so both steps are iterated.

use std::f64::consts::PI;

use super::{Crs, Wgs84};
use crate::error::{Error, Result};

/// Semi-major axis of the ellipsoid of Krasovsky 1940, metres, as GCJ-02 uses it.
const A_M: f64 = 6_378_245.0;
/// Its squared eccentricity.
const EE: f64 = 0.006_693_421_622_965_943;
/// Baidu's angle factor. Some libraries write plain π here: up to 77 m wrong near Yueyang.
const BD_K: f64 = PI * 3000.0 / 180.0;
/// The inverses stop when a step is smaller than this, degrees (0.1 mm).
const PRECISION_DEG: f64 = 1e-9;
/// Four or five steps are enough in China; the cap is for the edge of the box, where the offset jumps.
const MAX_STEPS: usize = 30;
/// GCJ-02 offsets apply inside this box (gcoord, eviltransform): west, east, south, north, degrees.
pub(super) const CHINA_BOX: [f64; 4] = [72.004, 137.8347, 0.8293, 55.8271];

impl Crs {
    /// All of them, in the order they are listed to users.
    pub const ALL: [Self; 4] = [Self::Wgs84, Self::Gcj02, Self::Bd09, Self::Cgcs2000];

    /// As it stands in JSON and in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wgs84 => "wgs84",
            Self::Gcj02 => "gcj02",
            Self::Bd09 => "bd09",
            Self::Cgcs2000 => "cgcs2000",
        }
    }
}

impl std::str::FromStr for Crs {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|crs| crs.as_str() == s).ok_or_else(|| {
            Error::invalid("crs", format!("`{s}` is not known; allowed: wgs84, gcj02, bd09, cgcs2000"))
        })
    }
}

/// The only way from foreign numbers to a [`Wgs84`], degrees.
///
/// # Errors
/// `Invalid` at `lng` or `lat` when it is not a finite number within ±180 or ±90.
pub fn to_wgs84(crs: Crs, lng: f64, lat: f64) -> Result<Wgs84> {
    check(lng, lat)?;
    let (lng, lat) = match crs {
        // CGCS2000 and WGS-84 differ by centimetres.
        Crs::Wgs84 | Crs::Cgcs2000 => (lng, lat),
        Crs::Gcj02 => gcj02_to_wgs84(lng, lat),
        Crs::Bd09 => {
            let (lng, lat) = bd09_to_gcj02(lng, lat);
            gcj02_to_wgs84(lng, lat)
        }
    };
    Ok(Wgs84 { lng, lat })
}

/// Degrees in `from` to degrees in `to`, as (lng, lat).
///
/// # Errors
/// As [`to_wgs84`].
pub fn convert(lng: f64, lat: f64, from: Crs, to: Crs) -> Result<(f64, f64)> {
    check(lng, lat)?;
    if from == to {
        return Ok((lng, lat));
    }
    let at = to_wgs84(from, lng, lat)?;
    Ok(match to {
        Crs::Wgs84 | Crs::Cgcs2000 => (at.lng, at.lat),
        Crs::Gcj02 => wgs84_to_gcj02(at.lng, at.lat),
        Crs::Bd09 => {
            let (lng, lat) = wgs84_to_gcj02(at.lng, at.lat);
            gcj02_to_bd09(lng, lat)
        }
    })
}

fn check(lng: f64, lat: f64) -> Result<()> {
    if !(-180.0..=180.0).contains(&lng) {
        return Err(Error::invalid("lng", format!("{lng}: degrees east from -180 to 180 are allowed")));
    }
    if !(-90.0..=90.0).contains(&lat) {
        let swapped =
            if lng.abs() <= 90.0 && lat.abs() <= 180.0 { "; lng and lat seem to be swapped" } else { "" };
        return Err(Error::invalid(
            "lat",
            format!("{lat}: degrees north from -90 to 90 are allowed{swapped}"),
        ));
    }
    Ok(())
}

fn wgs84_to_gcj02(lng: f64, lat: f64) -> (f64, f64) {
    let [west, east, south, north] = CHINA_BOX;
    if !(west..=east).contains(&lng) || !(south..=north).contains(&lat) {
        return (lng, lat);
    }
    let (x, y) = (lng - 105.0, lat - 35.0);
    let m = 1.0 - EE * lat.to_radians().sin().powi(2);
    let d_lat = offset_lat(x, y).to_degrees() / (A_M * (1.0 - EE) / (m * m.sqrt()));
    let d_lng = offset_lng(x, y).to_degrees() / (A_M / m.sqrt() * lat.to_radians().cos());
    (lng + d_lng, lat + d_lat)
}

fn offset_lat(x: f64, y: f64) -> f64 {
    -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * x.abs().sqrt()
        + (20.0 * (6.0 * x * PI).sin() + 20.0 * (2.0 * x * PI).sin()) * 2.0 / 3.0
        + (20.0 * (y * PI).sin() + 40.0 * (y / 3.0 * PI).sin()) * 2.0 / 3.0
        + (160.0 * (y / 12.0 * PI).sin() + 320.0 * (y / 30.0 * PI).sin()) * 2.0 / 3.0
}

fn offset_lng(x: f64, y: f64) -> f64 {
    300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * x.abs().sqrt()
        + (20.0 * (6.0 * x * PI).sin() + 20.0 * (2.0 * x * PI).sin()) * 2.0 / 3.0
        + (20.0 * (x * PI).sin() + 40.0 * (x / 3.0 * PI).sin()) * 2.0 / 3.0
        + (150.0 * (x / 12.0 * PI).sin() + 300.0 * (x / 30.0 * PI).sin()) * 2.0 / 3.0
}

fn gcj02_to_bd09(lng: f64, lat: f64) -> (f64, f64) {
    let z = lng.hypot(lat) + 0.000_02 * (lat * BD_K).sin();
    let theta = lat.atan2(lng) + 0.000_003 * (lng * BD_K).cos();
    (z * theta.cos() + 0.0065, z * theta.sin() + 0.006)
}

fn gcj02_to_wgs84(lng: f64, lat: f64) -> (f64, f64) {
    invert(wgs84_to_gcj02, (lng, lat), (lng, lat))
}

fn bd09_to_gcj02(lng: f64, lat: f64) -> (f64, f64) {
    invert(gcj02_to_bd09, (lng, lat), (lng - 0.0065, lat - 0.006))
}

/// Fixed-point iteration: moves `guess` by what `forward` still misses `target` by.
fn invert(forward: fn(f64, f64) -> (f64, f64), target: (f64, f64), guess: (f64, f64)) -> (f64, f64) {
    let (mut lng, mut lat) = guess;
    for _ in 0..MAX_STEPS {
        let (at_lng, at_lat) = forward(lng, lat);
        let (d_lng, d_lat) = (target.0 - at_lng, target.1 - at_lat);
        lng += d_lng;
        lat += d_lat;
        if d_lng.abs() < PRECISION_DEG && d_lat.abs() < PRECISION_DEG {
            break;
        }
    }
    (lng, lat)
}

#[cfg(test)]
mod tests {
    use geo::{Distance, Geodesic, Point};

    use super::*;

    const VECTORS: &str = include_str!("../../tests/fixtures/domain/gcj02_vectors.csv");

    struct Vector {
        id: String,
        input: Crs,
        positions: [(Crs, Option<(f64, f64)>); 3],
        tolerance_deg: f64,
    }

    fn vectors() -> Vec<Vector> {
        let mut reader = csv::Reader::from_reader(VECTORS.as_bytes());
        reader
            .records()
            .map(|row| {
                let row = row.unwrap();
                let pair = |i: usize| row[i].parse().ok().zip(row[i + 1].parse().ok());
                Vector {
                    id: row[0].to_owned(),
                    input: row[2].parse().unwrap(),
                    positions: [(Crs::Wgs84, pair(3)), (Crs::Gcj02, pair(5)), (Crs::Bd09, pair(7))],
                    tolerance_deg: row[9].parse().unwrap(),
                }
            })
            .collect()
    }

    fn differs_deg(a: (f64, f64), b: (f64, f64)) -> f64 {
        (a.0 - b.0).abs().max((a.1 - b.1).abs())
    }

    #[test]
    fn published_vectors_both_ways() {
        let all = vectors();
        assert_eq!(all.len(), 12);
        for v in all.iter().filter(|v| v.id != "readme_bd2gcj") {
            assert_eq!(v.input, Crs::Wgs84, "{}", v.id);
            let known = || v.positions.into_iter().filter_map(|(crs, at)| Some((crs, at?)));
            for (from, a) in known() {
                for (to, b) in known() {
                    let got = convert(a.0, a.1, from, to).unwrap();
                    let off = differs_deg(got, b);
                    // An inverse stops within PRECISION_DEG of a value that is itself printed to 1e-13.
                    assert!(off <= v.tolerance_deg + 1e-9, "{}: {from:?} to {to:?} off by {off}", v.id);
                }
            }
        }
    }

    /// Its printed value is the one-step formula's, not the exact inverse: ours is within that formula's known error
    /// (0.12 m), and unlike it comes back to where it started.
    #[test]
    fn baidu_inverse_is_exact_where_the_formula_is_not() {
        let all = vectors();
        let v = all.iter().find(|v| v.id == "readme_bd2gcj").unwrap();
        let (formula, bd) = (v.positions[1].1.unwrap(), v.positions[2].1.unwrap());
        let exact = convert(bd.0, bd.1, Crs::Bd09, Crs::Gcj02).unwrap();
        let metres = Geodesic.distance(Point::from(exact), Point::from(formula));
        assert!(metres < 0.12, "{metres}");
        assert!(differs_deg(gcj02_to_bd09(exact.0, exact.1), bd) < 1e-9);
        assert!(differs_deg(gcj02_to_bd09(formula.0, formula.1), bd) > 1e-7);
    }

    #[test]
    fn round_trips_around_yueyang_within_a_centimetre() {
        let mut worst_m = 0.0_f64;
        for i in 0..=40 {
            for j in 0..=40 {
                let at = (112.91 + f64::from(i) * 0.01, 29.20 + f64::from(j) * 0.01);
                for crs in [Crs::Gcj02, Crs::Bd09] {
                    let there = convert(at.0, at.1, Crs::Wgs84, crs).unwrap();
                    let back = to_wgs84(crs, there.0, there.1).unwrap();
                    let back_m = Geodesic.distance(Point::from(at), Point::new(back.lng, back.lat));
                    let offset_m = Geodesic.distance(Point::from(at), Point::from(there));
                    assert!(offset_m > 600.0, "{crs:?} moved only {offset_m} m");
                    worst_m = worst_m.max(back_m);
                }
            }
        }
        assert!(worst_m < 0.01, "{worst_m} m");
        assert!(worst_m < 0.001, "the iteration should do far better than asked: {worst_m} m");
    }

    #[test]
    fn between_two_foreign_systems() {
        let wgs = (113.12, 29.41);
        let gcj = convert(wgs.0, wgs.1, Crs::Wgs84, Crs::Gcj02).unwrap();
        let bd = convert(wgs.0, wgs.1, Crs::Cgcs2000, Crs::Bd09).unwrap();
        assert!(differs_deg(convert(gcj.0, gcj.1, Crs::Gcj02, Crs::Bd09).unwrap(), bd) < 2e-9);
        assert!(differs_deg(convert(bd.0, bd.1, Crs::Bd09, Crs::Gcj02).unwrap(), gcj) < 2e-9);
    }

    #[test]
    fn equal_systems_keep_the_numbers() {
        for crs in Crs::ALL {
            assert_eq!(convert(113.1, 29.4, crs, crs).unwrap(), (113.1, 29.4));
        }
        assert_eq!(to_wgs84(Crs::Cgcs2000, 113.1, 29.4).unwrap(), Wgs84 { lng: 113.1, lat: 29.4 });
    }

    #[test]
    fn no_offset_outside_china_and_no_endless_loop_at_its_edge() {
        assert_eq!(convert(2.35, 48.85, Crs::Wgs84, Crs::Gcj02).unwrap(), (2.35, 48.85));
        let at = to_wgs84(Crs::Gcj02, 137.8347, 35.0).unwrap();
        assert!((at.lng - 137.8347).abs() < 0.02);
    }

    #[test]
    fn refuses_what_is_no_position_and_names_the_field() {
        let field = |lng, lat| match to_wgs84(Crs::Gcj02, lng, lat) {
            Err(Error::Invalid { field, message }) => (field, message),
            other => panic!("{other:?}"),
        };
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 180.1, -180.1] {
            let (name, message) = field(bad, 29.4);
            assert_eq!(name, "lng");
            assert!(message.contains("-180 to 180"), "{message}");
        }
        for bad in [f64::NAN, f64::INFINITY, 90.1, -90.1] {
            let (name, message) = field(113.1, bad);
            assert_eq!(name, "lat");
            assert!(message.contains("-90 to 90"), "{message}");
            assert!(!message.contains("swapped"), "{message}");
        }
        assert!(field(29.4, 113.1).1.contains("swapped"));
    }

    #[test]
    fn names_are_read_as_written() {
        for crs in Crs::ALL {
            assert_eq!(crs.as_str().parse::<Crs>().unwrap(), crs);
            assert_eq!(serde_json::to_value(crs).unwrap(), crs.as_str());
        }
        assert!(matches!("wgs-84".parse::<Crs>(), Err(Error::Invalid { field, .. }) if field == "crs"));
    }
}

//! A made-up lake for tests of pictures and documents.

use geo::{Coord, LineString, MultiPolygon, Polygon};
use jiff::{Timestamp, ToSpan};

use super::marks::{HyacinthPatch, MapMarks, OutfallMark, SectorMark, SightingMark, StationMark};
use crate::casework::EvidenceLevel;
use crate::evidence::timeline::{Bucket, Named, RainDay, Series};
use crate::lake::{Outfall, Place, Sector, Station, Wgs84};
use crate::patrol::ReportKind;

/// The shore at an angle, 0 to the east, counter-clockwise; `out` 1 is the shore itself.
pub fn shore(degrees: f64, out: f64) -> Coord<f64> {
    let a = degrees.to_radians();
    let bay = 1.0 + 0.13 * (3.0 * a).sin() + 0.07 * (5.0 * a + 1.0).cos();
    Coord { x: 113.11 + 0.0088 * bay * out * a.cos(), y: 29.40 + 0.0038 * bay * out * a.sin() }
}

fn ring(from: f64, to: f64, out: f64) -> impl Iterator<Item = Coord<f64>> {
    (0..=60).map(move |i| shore(from + (to - from) * f64::from(i) / 60.0, out))
}

fn position(degrees: f64, out: f64) -> Wgs84 {
    let c = shore(degrees, out);
    Wgs84 { lng: c.x, lat: c.y }
}

pub fn place() -> Place {
    let sectors = [("甲", 60.0, 190.0), ("乙", -40.0, 60.0), ("丙", 190.0, 320.0)];
    let sector = |(i, (name, from, to)): (usize, (&str, f64, f64))| {
        let line: Vec<_> = ring(from, to, 1.3).chain(ring(to, from, 0.7)).collect();
        Sector {
            code: format!("JJH-AD-0{}", i + 1),
            name: format!("岸段{name}"),
            community: "吉家湖社区".into(),
            polygon: Polygon::new(LineString::new(line), vec![]),
        }
    };
    let outfalls = [20.0, 48.0, 75.0, 118.0, 150.0, 205.0, 255.0, 300.0];
    let stations = [(165.0, 0.55), (110.0, 0.25), (40.0, 0.6), (10.0, 0.45), (285.0, 0.45)];
    Place {
        name: "吉家湖".into(),
        notice: "示意，非测绘".into(),
        hash: [0; 32],
        lake: MultiPolygon(vec![Polygon::new(LineString::new(ring(0.0, 360.0, 1.0).collect()), vec![])]),
        neighbourhood_m: 500.0,
        match_m: 30.0,
        waypoint_m: 30.0,
        sectors: sectors.into_iter().enumerate().map(sector).collect(),
        outfalls: (1..).zip(outfalls).map(|(i, a)| outfall(i, a)).collect(),
        waypoints: vec![],
        units: vec![],
        stations: (1..).zip(stations).map(|(i, (a, out))| station(i, position(a, out))).collect(),
        windows: vec![],
    }
}

fn outfall(number: u32, degrees: f64) -> Outfall {
    Outfall {
        code: format!("JJH-PK-{number:04}"),
        name: format!("{number}号排口"),
        kind: "城镇雨洪排口".into(),
        position: position(degrees, 1.0),
        official_codes: vec![],
        unit: None,
        sector: None,
    }
}

fn station(number: u32, position: Wgs84) -> Station {
    Station { code: format!("JJH-S{number}"), name: format!("{number}号点"), position, channels: vec![] }
}

pub fn marks() -> MapMarks {
    let sector = |code: &str, walked, words: &str| SectorMark {
        code: code.into(),
        walked,
        words: words.into(),
        href: None,
    };
    let outfall = |n: u32, level| OutfallMark {
        code: format!("JJH-PK-{n:04}"),
        level: Some(level),
        subject: n == 3,
        href: None,
    };
    let patch: Vec<_> = (0..24)
        .map(|i| {
            let a = f64::from(i) * 15.0;
            let c = shore(a, 0.1);
            Coord { x: c.x - 0.0042, y: c.y + 0.0012 }
        })
        .collect();
    let sighting = |i: u32, kind| SightingMark {
        at: position(75.0 + f64::from(i) * 0.7, 0.97 - f64::from(i) * 0.02),
        kind,
        words: "7月14日 05:20".into(),
        href: None,
    };
    MapMarks {
        sectors: vec![
            sector("JJH-AD-01", true, "已巡 07:41"),
            sector("JJH-AD-02", false, "未巡"),
            sector("JJH-AD-03", true, "已巡 08:47"),
        ],
        outfalls: vec![
            outfall(3, EvidenceLevel::E2),
            outfall(5, EvidenceLevel::E1),
            outfall(7, EvidenceLevel::E2),
        ],
        stations: vec![StationMark {
            code: "JJH-S4".into(), words: "离线".into(), silent: true, href: None
        }],
        sightings: vec![
            sighting(1, ReportKind::SewageOutflow),
            sighting(3, ReportKind::SewageOutflow),
            sighting(9, ReportKind::WaterHyacinth),
            sighting(14, ReportKind::Other),
        ],
        patches: vec![HyacinthPatch {
            outline: Polygon::new(LineString::new(patch), vec![]),
            words: "水葫芦 1,240 m²".into(),
        }],
        tracks: vec![
            (0..12).map(|i| position(20.0 + f64::from(i) * 3.0, 0.98)).collect(),
            (0..9).map(|i| position(70.0 + f64::from(i) * 3.0, 0.97)).collect(),
        ],
    }
}

/// Every six hours over thirty days, silent for the days named.
pub fn series(property_zh: &str, unit: &str, level: f64, silent: std::ops::Range<i64>) -> Series {
    let point = |i: i64| {
        #[expect(clippy::cast_precision_loss, reason = "a hundred")]
        let mean = level * (1.0 + 0.2 * (i as f64 * 0.7).sin() - 0.004 * i as f64);
        Bucket { at: start() + (6 * i + 3).hours(), min: mean * 0.93, max: mean * 1.09, mean }
    };
    Series {
        station: Named { code: "JJH-S3".into(), name: "3号点".into() },
        property: "do".into(),
        property_zh: property_zh.into(),
        unit: unit.into(),
        points: (0..120).filter(|i| !silent.contains(&(i / 4))).map(point).collect(),
    }
}

pub fn start() -> Timestamp {
    "2026-06-30T16:00:00Z".parse().unwrap()
}

pub fn rain() -> Vec<RainDay> {
    let mm = |i: i64| [3.2, 18.5, 0.4, 0.0, 41.0, 0.0, 0.0, 7.5][usize::try_from(i % 8).unwrap()];
    (0..30)
        .filter(|i| !(20..24).contains(i))
        .map(|i| RainDay {
            from: start() + (24 * i).hours(),
            mm: mm(i),
            coverage: 1.0,
            source: "JJH-R1".into(),
        })
        .collect()
}

pub fn sightings() -> Vec<Timestamp> {
    (0..26).map(|i| start() + (i * 27 + 7).hours()).collect()
}

//! The place: the lake, its sectors, outfalls, units and stations, and where a position lies in it.

pub mod crs;
pub mod geotag;
pub mod grid;
pub mod load;
pub mod plane;

use geo::{Distance, Geodesic, MultiPolygon, Point, Polygon};
use jiff::civil;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A WGS-84 position in degrees. The only frame the service computes in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wgs84 {
    /// Degrees east.
    pub lng: f64,
    /// Degrees north.
    pub lat: f64,
}

impl Wgs84 {
    /// Length of the geodesic between the two, metres.
    #[must_use]
    pub fn distance_m(self, other: Self) -> f64 {
        Geodesic.distance(Point::new(self.lng, self.lat), Point::new(other.lng, other.lat))
    }
}

/// The reference system a position was given in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Crs {
    /// Browsers, GPS chips.
    #[default]
    Wgs84,
    /// 高德, 腾讯.
    Gcj02,
    /// 百度.
    Bd09,
    /// 天地图; equal to WGS-84 within centimetres, the label is kept.
    Cgcs2000,
}

/// A stretch of shore with its community and duty (岸段).
#[derive(Clone, Debug)]
pub struct Sector {
    /// Own code, `JJH-AD-01`.
    pub code: String,
    /// 岸段甲.
    pub name: String,
    /// 社区.
    pub community: String,
    /// What it covers, WGS-84.
    pub polygon: Polygon<f64>,
}

/// An outlet into the lake (排口).
#[derive(Clone, Debug)]
pub struct Outfall {
    /// Own code, `JJH-PK-0001`.
    pub code: String,
    /// 3号排口.
    pub name: String,
    /// Classification as in HJ 1312-2023, opaque text (城镇雨洪排口).
    pub kind: String,
    /// Where.
    pub position: Wgs84,
    /// 国家统一赋码 and others, opaque text, may be empty.
    pub official_codes: Vec<String>,
    /// Code of the responsible unit, if known.
    pub unit: Option<String>,
    /// Code of its sector, derived from its position at loading.
    pub sector: Option<String>,
}

/// A place that every patrol of its sector has to reach (打卡点).
#[derive(Clone, Debug)]
pub struct Waypoint {
    /// Own code; that of an outfall where the place draws no waypoints of its own.
    pub code: String,
    /// 3号排口.
    pub name: String,
    /// Where.
    pub position: Wgs84,
    /// Code of its sector, derived from its position at loading.
    pub sector: Option<String>,
}

/// A body that can be made responsible (责任单位).
#[derive(Clone, Debug)]
pub struct Unit {
    /// Own code, `CT`.
    pub code: String,
    /// 市城投.
    pub name: String,
}

/// What a station is expected to deliver.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Property key of `water::property` (`do`, `nh3n`, `rain`).
    pub property: String,
    /// Seconds between two values; silent after three of them.
    pub every_s: u32,
}

/// Where a sensor or a sampler stands (监测点).
#[derive(Clone, Debug)]
pub struct Station {
    /// Own code, `JJH-S1`, also the device name of its messages.
    pub code: String,
    /// 1号点.
    pub name: String,
    /// Where; a rain gauge may stand away from the lake.
    pub position: Wgs84,
    /// What it delivers.
    pub channels: Vec<Channel>,
}

/// One of the two daily patrols (一日双巡).
#[derive(Clone, Debug)]
pub struct DutyWindow {
    /// `morning`, `evening`.
    pub code: String,
    /// 早巡.
    pub name: String,
    /// First minute, 北京时间.
    pub from: civil::Time,
    /// Last minute, 北京时间.
    pub to: civil::Time,
}

/// Everything about the place, immutable once loaded; replaced as a whole.
#[derive(Clone, Debug)]
pub struct Place {
    /// 吉家湖.
    pub name: String,
    /// Shown wherever the place is drawn: `示意, 非测绘`; empty once surveyed data are configured.
    pub notice: String,
    /// SHA-256 over the place's files, the mark that every geotag carries.
    pub hash: [u8; 32],
    /// Open water.
    pub lake: MultiPolygon<f64>,
    /// A typed or imported position farther than this from the shore is refused, metres.
    pub neighbourhood_m: f64,
    /// An outfall within this distance (after the accuracy circle) can be the sighting's, metres.
    pub match_m: f64,
    /// A waypoint is reached within this distance (after the accuracy circle), metres.
    pub waypoint_m: f64,
    /// Sectors, by code.
    pub sectors: Vec<Sector>,
    /// Outfalls, by code.
    pub outfalls: Vec<Outfall>,
    /// What a patrol has to reach, by code: those drawn in `waypoints.geojson`, else every outfall.
    pub waypoints: Vec<Waypoint>,
    /// Units, by code.
    pub units: Vec<Unit>,
    /// Stations, by code.
    pub stations: Vec<Station>,
    /// The duty windows, in the order of the day.
    pub windows: Vec<DutyWindow>,
}

/// An outfall near a position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NearOutfall {
    /// The outfall's code.
    pub code: String,
    /// Geodesic distance, metres.
    pub distance_m: f64,
}

/// How a position met the outfalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// One clear candidate.
    One,
    /// Several fit within the accuracy: ask.
    Several,
    /// None near: perhaps a new outfall (疑似新增排口).
    None,
}

/// Where a position lies, judged by one version of the place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Geotag {
    /// The position judged.
    pub wgs84: Wgs84,
    /// In the water (holes are not).
    pub in_lake: bool,
    /// Code of the sector that holds it.
    pub sector: Option<String>,
    /// Distance to the shore line, metres, in the water or out of it.
    pub shore_m: f64,
    /// Candidates, nearest first.
    pub outfalls: Vec<NearOutfall>,
    /// How clear they are.
    #[serde(rename = "match")]
    pub matched: Match,
}

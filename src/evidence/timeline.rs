//! The evidence timeline (证据时间线): one plain model that the page, the API and every document are made from,
//! so their numbers agree. Built by `store::timeline`; nothing here reads a database.

mod sighting;
mod summary;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::patrol::ReportKind;
use crate::water::rain::DryRule;

pub use sighting::{
    CorrectionRef, ERASED, EntryRef, Fact, Located, PhotoRef, Reading, ReportNow, Sighting, Version, VoiceRef,
};
pub use summary::Summary;

/// What to show. Every field narrows; all empty shows everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Filter {
    /// Outfall code.
    pub outfall: Option<String>,
    /// Sector code.
    pub sector: Option<String>,
    /// Unit code: sightings at its outfalls.
    pub unit: Option<String>,
    /// Kind of report.
    pub kind: Option<ReportKind>,
    /// One patrol.
    pub patrol: Option<Uuid>,
    /// First instant, inclusive.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// Last instant, exclusive.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
    /// West, south, east, north, WGS-84 degrees.
    pub bbox: Option<[f64; 4]>,
}

/// By what a timeline is judged; the numbers stand in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// Dry or wet.
    pub dry: DryRule,
    /// Rapid test of ammonia nitrogen that counts as a sign of sewage, mg/L.
    pub nh3n_limit_mg_l: f64,
    /// Station whose rain decides.
    pub rain_station: String,
    /// Stations within this distance of a sighting are shown with it, metres.
    pub nearby_m: f64,
    /// Received later than this after it was seen, it is late, seconds.
    pub late_s: i64,
}

/// Where the next page begins: after this sighting, in the page's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// Its time, milliseconds since 1970.
    pub observed_ms: i64,
    /// Index of its first entry, which decides among equal times.
    pub first_entry: u64,
}

/// One page of a timeline, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page {
    /// 演示数据: from a demo data directory.
    pub demo: bool,
    /// What had been received by this instant is in it.
    #[schema(value_type = String, format = DateTime)]
    pub cut_off: Timestamp,
    /// Entries in the log at the cut-off.
    pub log_size: u64,
    /// Merkle root (RFC 6962) over them, hex.
    pub log_root: String,
    /// The filter.
    pub filter: Filter,
    /// Sightings with the gaps and the rain days between them, newest first.
    pub rows: Vec<Row>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl After {
    /// As it stands in an address.
    #[must_use]
    pub fn to_cursor(self) -> String {
        format!("{}.{}", self.observed_ms, self.first_entry)
    }
}

impl std::str::FromStr for After {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let parts = s.split_once('.').and_then(|(ms, entry)| Some((ms.parse().ok()?, entry.parse().ok()?)));
        let (observed_ms, first_entry) =
            parts.ok_or_else(|| Error::invalid("cursor", "is not one that a page gave as `next`"))?;
        Ok(Self { observed_ms, first_entry })
    }
}

/// A code with the name people know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Named {
    /// `JJH-PK-0003`.
    pub code: String,
    /// 3号排口.
    pub name: String,
}

/// The whole answer.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// 吉家湖.
    pub place: String,
    /// `示意, 非测绘`, or empty.
    pub place_notice: String,
    /// 演示数据: from a demo data directory.
    pub demo: bool,
    /// What it is about, for a heading: `3号排口（JJH-PK-0003）`.
    pub subject: String,
    /// The filter.
    pub filter: Filter,
    /// The filter in Chinese words, `排口 JJH-PK-0003；2026-07-01 至 2026-07-31`.
    pub filter_words: String,
    /// What had been received by this instant is in it.
    pub cut_off: Timestamp,
    /// Entries in the log at the cut-off.
    pub log_size: u64,
    /// Merkle root (RFC 6962) over them, hex.
    pub log_root: String,
    /// The newest signed head of the log at the cut-off; every document shows it, so that each print is a witness.
    #[serde(skip)]
    pub checkpoint: Option<Checkpoint>,
    /// Who had compared a head of the log within [`WATCHED`] before the cut-off.
    #[serde(skip)]
    pub seen_heads: Option<SeenHeads>,
    /// The limits that weather and levels were judged by; every document states them.
    pub rules: Rules,
    /// The counts under the heading.
    pub summary: Summary,
    /// In time order, oldest first.
    pub rows: Vec<Row>,
    /// Water quality series for the chart, thinned; one per station and property.
    pub series: Vec<Series>,
    /// Rain by day for the chart.
    pub rain_days: Vec<RainDay>,
}

/// Within this somebody outside should have compared the log's head: a witness, a phone, a desk.
pub const WATCHED: SignedDuration = SignedDuration::from_hours(24);

/// Who keeps heads of the log, by what they said themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenHeads {
    /// Phones.
    pub phones: u64,
    /// Accounts at desks.
    pub desks: u64,
    /// Entries under the largest of their heads.
    pub size: u64,
    /// When one of them last compared.
    pub at: Timestamp,
}

/// One line of the timeline.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum Row {
    /// Something a person reported.
    Sighting(Box<Sighting>),
    /// Something that should be there and is not (derived, no entry).
    Gap(Gap),
    /// A day with rain (derived from the rain observations, no entry).
    Rain(RainDay),
}

impl Row {
    /// The instant it is ordered by.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Sighting(s) => s.observed_at,
            Self::Gap(g) => g.from,
            Self::Rain(r) => r.from,
        }
    }
}

/// Something that should be there and is not.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Gap {
    /// Which.
    pub kind: GapKind,
    /// From.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// To; the cut-off if it goes on.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// The sector not walked or the station silent.
    pub subject: Named,
    /// In Chinese words: `早巡 岸段乙 未巡`.
    pub words: String,
}

/// The kinds of gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// A duty window passed without a patrol of the sector.
    NotPatrolled,
    /// A station delivered nothing for three intervals or more.
    SensorSilent,
}

/// Rain of one day, 北京时间.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RainDay {
    /// Start of the day.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Sum, mm.
    pub mm: f64,
    /// Share of the day that the source covers, 0 to 1.
    pub coverage: f64,
    /// Station code of the source.
    pub source: String,
}

/// A thinned series for drawing: per bucket the lowest, highest and mean value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// The station.
    pub station: Named,
    /// Property key.
    pub property: String,
    /// 溶解氧.
    pub property_zh: String,
    /// Unit.
    pub unit: String,
    /// In time order; a hole between buckets is a hole in the data and is not joined.
    pub points: Vec<Bucket>,
}

/// One bucket of a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// Middle of the bucket.
    pub at: Timestamp,
    /// Lowest.
    pub min: f64,
    /// Highest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
}

//! The evidence timeline (证据时间线): one plain model that the page, the API and every document are made from,
//! so their numbers agree. Built by `store::timeline`; nothing here reads a database.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use crate::casework::{EvidenceLevel, SewageSigns};
use crate::error::{Error, Result};
use crate::lake::{Crs, Match, NearOutfall};
use crate::patrol::ReportKind;
use crate::patrol::report::Record;
use crate::water::rain::{DryRule, Weather};

/// What to show. Every field narrows; all empty shows everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    pub from: Option<Timestamp>,
    /// Last instant, exclusive.
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
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// What had been received by this instant is in it.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// The counts that a reader asks for first. All are over the whole filter, not one page of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Sightings (not "nothing found").
    pub sightings: u32,
    /// Sewage outflows.
    pub outflows: u32,
    /// Hyacinth sightings.
    pub hyacinth: u32,
    /// Patrol reports "walked, nothing found".
    pub nothing_found: u32,
    /// Days (北京时间) with an outflow seen in dry weather.
    pub dry_flow_days: u32,
    /// Days (北京时间) with an outflow seen in wet weather.
    pub wet_flow_days: u32,
    /// Days (北京时间) with an outflow seen, rain unknown.
    pub unknown_flow_days: u32,
    /// Sightings per evidence level E0, E1, E2.
    pub levels: [u32; 3],
    /// Photos stored.
    pub photos: u32,
    /// Photos named by a report that have not come.
    pub photos_missing: u32,
    /// Gap rows.
    pub gaps: u32,
}

impl Summary {
    /// The counts over `rows`; a withdrawn sighting counts for nothing.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let mut s = Self::default();
        let mut days: [BTreeSet<Date>; 3] = Default::default();
        for row in rows {
            match row {
                Row::Gap(_) => s.gaps += 1,
                Row::Rain(_) => {}
                Row::Sighting(x) if x.withdrawn.is_some() => {}
                Row::Sighting(x) => s.count(x, &mut days),
            }
        }
        let [dry, wet, unknown] = days.map(|d| u32::try_from(d.len()).unwrap_or(u32::MAX));
        Self { dry_flow_days: dry, wet_flow_days: wet, unknown_flow_days: unknown, ..s }
    }

    fn count(&mut self, x: &Sighting, days: &mut [BTreeSet<Date>; 3]) {
        match x.kind {
            ReportKind::NothingFound => self.nothing_found += 1,
            ReportKind::SewageOutflow => self.outflows += 1,
            ReportKind::WaterHyacinth => self.hyacinth += 1,
            ReportKind::Other => {}
        }
        self.sightings += u32::from(x.kind != ReportKind::NothingFound);
        if x.kind == ReportKind::SewageOutflow && x.flow_seen {
            let [dry, wet, unknown] = days;
            let set = match x.weather {
                Weather::Dry => dry,
                Weather::Wet => wet,
                Weather::Unknown => unknown,
            };
            set.insert(crate::clock::beijing(x.observed_at).date());
        }
        let [e0, e1, e2] = &mut self.levels;
        match x.level {
            Some(EvidenceLevel::E0) => *e0 += 1,
            Some(EvidenceLevel::E1) => *e1 += 1,
            Some(EvidenceLevel::E2) => *e2 += 1,
            None => {}
        }
        if x.kind == ReportKind::NothingFound || x.erased {
            return;
        }
        let stored = x.photos.iter().filter(|p| p.stored).count();
        self.photos += u32::try_from(stored).unwrap_or(u32::MAX);
        let missing = x.photos.iter().filter(|p| p.is_missing()).count();
        self.photos_missing += u32::try_from(missing).unwrap_or(u32::MAX);
    }
}

/// One line of the timeline.
#[derive(Clone, Debug, Serialize)]
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

/// A report with all that is known about it now.
#[derive(Clone, Debug, Serialize)]
pub struct Sighting {
    /// The report's UUID.
    pub id: Uuid,
    /// Index of its first entry: its number for people.
    pub first_entry: u64,
    /// What.
    pub kind: ReportKind,
    /// When seen; the phone's clock with its known offset taken off.
    pub observed_at: Timestamp,
    /// When the server had it.
    pub received_at: Timestamp,
    /// Phone clock minus server clock at sending, seconds, where known and over two minutes.
    pub clock_offset_s: Option<i64>,
    /// Received more than an hour after it was seen (补报).
    pub late: bool,
    /// Opaque person id; the name is never in a timeline.
    pub person: String,
    /// The patrol it belongs to.
    pub patrol: Option<Uuid>,
    /// Where, if a position was given.
    pub position: Option<Located>,
    /// Why there is none.
    pub no_position: Option<String>,
    /// Outline of the hyacinth patch as drawn: a closed ring of WGS-84 `[lng, lat]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Vec<[f64; 2]>>,
    /// Sector by geotag.
    pub sector: Option<Named>,
    /// The outfall it counts for: one clear candidate, or chosen by a person.
    pub outfall: Option<Named>,
    /// Code and name of the unit responsible for that outfall.
    pub unit: Option<Named>,
    /// Chosen by a person rather than by distance.
    pub outfall_chosen: bool,
    /// How clear the distance was.
    pub outfall_match: Option<Match>,
    /// The candidates.
    pub candidates: Vec<NearOutfall>,
    /// What it may claim; `None` without any photo or for kinds that have no level.
    pub level: Option<EvidenceLevel>,
    /// Dry, wet or unknown.
    pub weather: Weather,
    /// Water was seen to flow (an outflow whose form does not say otherwise).
    pub flow_seen: bool,
    /// Rain in the window before it, mm, where known.
    pub rain_mm: Option<f64>,
    /// The observed facts of the form, in the form's order.
    pub facts: Vec<Fact>,
    /// The note; [`ERASED`] where it was erased, `None` if there was none or all of the record was erased.
    pub note: Option<String>,
    /// The payload was erased by law (已依法删除).
    pub erased: bool,
    /// Its photos, in the report's order.
    pub photos: Vec<PhotoRef>,
    /// Values of the stations nearby within the hour.
    pub readings: Vec<Reading>,
    /// Doubts that are shown, in Chinese words (`定位精度差`, `手机时钟偏差 3 天`).
    pub flags: Vec<String>,
    /// Corrections in order.
    pub corrections: Vec<CorrectionRef>,
    /// Withdrawn, with the reason.
    pub withdrawn: Option<String>,
    /// The newest version's place in the log.
    pub entry: EntryRef,
    /// What its level is judged by.
    #[serde(skip)]
    pub signs: SewageSigns,
}

/// A position as given and as judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Located {
    /// WGS-84 degrees east.
    pub lng: f64,
    /// WGS-84 degrees north.
    pub lat: f64,
    /// As given.
    pub given_lng: f64,
    /// As given.
    pub given_lat: f64,
    /// As given.
    pub crs: Crs,
    /// Radius of the accuracy circle, metres.
    pub accuracy_m: Option<f64>,
    /// Distance to the shore line, metres.
    pub shore_m: Option<f64>,
    /// In the water.
    pub in_lake: Option<bool>,
}

/// A line of the form: `水流` `中`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Heading as in the patrol form.
    pub label: String,
    /// Value in words, with its unit.
    pub value: String,
}

/// A photo named by a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhotoRef {
    /// SHA-256 of the original, hex.
    pub sha256: String,
    /// The bytes have come and are there.
    pub stored: bool,
    /// The bytes had come and were erased by law (已依法删除).
    pub erased: bool,
    /// There is a re-encoded copy to show (not for HEIC).
    pub preview: bool,
    /// Width of the original, pixels, where known.
    pub width: Option<u32>,
    /// Height of the original, pixels, where known.
    pub height: Option<u32>,
}

impl PhotoRef {
    /// The bytes have not come yet.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        !self.stored && !self.erased
    }
}

/// A station's value near a sighting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reading {
    /// The station.
    pub station: Named,
    /// Property key, `do`.
    pub property: String,
    /// 溶解氧.
    pub property_zh: String,
    /// The value as received.
    pub value: String,
    /// `mg/L`.
    pub unit: String,
    /// When measured.
    pub observed_at: Timestamp,
    /// Distance from the sighting, metres.
    pub distance_m: f64,
    /// Its place in the log: index of its batch's entry, and its place in the batch.
    #[serde(skip)]
    pub place: (u64, u64),
}

/// A correction of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CorrectionRef {
    /// When the server had it.
    pub received_at: Timestamp,
    /// What it changed, in Chinese words.
    pub words: String,
    /// Its place in the log.
    pub entry: EntryRef,
}

/// What stands where something was erased.
pub const ERASED: &str = "已依法删除";

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryRef {
    /// Leaf index from 0.
    pub index: u64,
    /// RFC 6962 leaf hash, hex.
    pub leaf_hash: String,
}

/// One version of a report: the original, or a correction, a choice of outfall, a withdrawal, an erasure.
#[derive(Clone, Debug, Serialize)]
pub struct Version {
    /// When the server had it.
    pub received_at: Timestamp,
    /// What it did, in Chinese words: `上报`, `更正：水流 中 → 大`, `撤回：拍错地方`.
    pub words: String,
    /// Its receipt.
    pub entry: EntryRef,
    /// The entry's canonical bytes as text; the leaf hash is SHA-256 over a zero byte and these bytes (RFC 6962).
    pub canonical: String,
    /// What the report said from then on; `None` if it was erased.
    pub record: Option<Record>,
    /// The note given with this version, [`ERASED`] where it was erased; a correction without one leaves the note before it.
    pub note: Option<String>,
}

/// Something that should be there and is not.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    /// Which.
    pub kind: GapKind,
    /// From.
    pub from: Timestamp,
    /// To; the cut-off if it goes on.
    pub to: Timestamp,
    /// The sector not walked or the station silent.
    pub subject: Named,
    /// In Chinese words: `早巡 岸段乙 未巡`.
    pub words: String,
}

/// The kinds of gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// A duty window passed without a patrol of the sector.
    NotPatrolled,
    /// A station delivered nothing for three intervals or more.
    SensorSilent,
}

/// Rain of one day, 北京时间.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RainDay {
    /// Start of the day.
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

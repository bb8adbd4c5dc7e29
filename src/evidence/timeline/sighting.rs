//! One report in the timeline, and all that hangs on it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Named;
use crate::casework::{EvidenceLevel, SewageSigns};
use crate::lake::{Crs, Match, NearOutfall};
use crate::patrol::ReportKind;
use crate::patrol::report::{PositionHint, Record};
use crate::water::rain::Weather;

/// A report with all that is known about it now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sighting {
    /// The report's UUID.
    pub id: Uuid,
    /// Index of its first entry: its number for people.
    pub first_entry: u64,
    /// What.
    pub kind: ReportKind,
    /// When seen; the phone's clock with its known offset taken off.
    #[schema(value_type = String, format = DateTime)]
    pub observed_at: Timestamp,
    /// When the server had it.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// Phone clock minus server clock at sending, seconds, where known and over two minutes.
    pub clock_offset_s: Option<i64>,
    /// Seconds by which an entry of this report was received before the entry that stands before it in the log, where that is
    /// more than a minute: the server's clock was behind, and `received_at` may be too early.
    pub clock_behind_s: Option<u64>,
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
    /// 同一处: the earlier report that its person says it is the same as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<Uuid>,
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
    /// Its voice note (语音), where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<VoiceRef>,
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
    /// Signs of a position that was made, not measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<PositionHint>,
}

/// A line of the form: `水流` `中`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fact {
    /// Heading as in the patrol form.
    pub label: String,
    /// Value in words, with its unit.
    pub value: String,
}

/// A photo named by a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PhotoRef {
    /// SHA-256 of the original, hex.
    pub sha256: String,
    /// The bytes have come and are there.
    pub stored: bool,
    /// The bytes had come and were erased by law (已依法删除).
    pub erased: bool,
    /// 同一照片: another person's report brought it first, so here it proves nothing.
    pub duplicate: bool,
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

/// A voice note named by a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct VoiceRef {
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// The bytes have come and are there.
    pub stored: bool,
    /// The bytes had come and were erased by law (已依法删除).
    pub erased: bool,
    /// Their length, once they have come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long it is, whole seconds, where its container says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u64>,
}

impl VoiceRef {
    /// One of which no byte has come yet.
    #[must_use]
    pub fn named(sha256: &str) -> Self {
        Self { sha256: sha256.to_owned(), stored: false, erased: false, bytes: None, duration_s: None }
    }
}

/// A station's value near a sighting.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
    #[schema(value_type = String, format = DateTime)]
    pub observed_at: Timestamp,
    /// Distance from the sighting, metres.
    pub distance_m: f64,
    /// Its place in the log: index of its batch's entry, and its place in the batch.
    #[serde(skip)]
    pub place: (u64, u64),
}

/// A correction of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CorrectionRef {
    /// When the server had it.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// What it changed, in Chinese words.
    pub words: String,
    /// Its place in the log.
    pub entry: EntryRef,
}

/// What stands where something was erased.
pub const ERASED: &str = "已依法删除";

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryRef {
    /// Leaf index from 0.
    pub index: u64,
    /// RFC 6962 leaf hash, hex.
    pub leaf_hash: String,
}

/// One version of a report: the original, or a correction, a choice of outfall, a withdrawal, an erasure.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Version {
    /// When the server had it.
    #[schema(value_type = String, format = DateTime)]
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

/// A report as it stands, with all that it ever said.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportNow {
    /// As the timeline shows it.
    #[serde(flatten)]
    pub sighting: Sighting,
    /// Every version in order, the original first. Never empty.
    pub versions: Vec<Version>,
    /// 演示数据: from a demo data directory.
    pub demo: bool,
    /// What had been received by this instant is in it.
    #[schema(value_type = String, format = DateTime)]
    pub cut_off: Timestamp,
    /// Entries in the log at the cut-off.
    pub log_size: u64,
}

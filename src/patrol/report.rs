//! A report: what the phone, an import or a script sends, and the record it becomes. Parsed once, then trusted.

mod checks;
mod clock;
mod position;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::ReportKind;
use super::form::{HyacinthForm, SewageForm};
use crate::error::{Error, Result};
use crate::evidence::entry::SHELL;
use crate::evidence::merkle::Hash;
use crate::lake::geotag::Locator;
use crate::lake::{Geotag, Place};

pub use checks::{check_id, check_person, check_photos, check_sha256, check_text};
use clock::settle_time;
pub(super) use clock::{DRIFT_SHOWN, check_seen, clock_offset};
pub use position::{
    Position, PositionHint, PositionSource, check_position, check_ring, check_whereabouts, locate,
    settle_position,
};

/// Longest note, characters.
pub(super) const NOTE_MAX: usize = 4000;

/// Who: an opaque id for the log, and the name, which is kept apart under a salt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Opaque, stable: 1 to 64 letters, digits, `-`, `_`, `.`.
    pub id: String,
    /// Goes into a payload that can be erased, never into the log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
}

/// `POST /api/v1/reports`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportBody {
    /// Made on the phone; the key for ever.
    pub id: Uuid,
    /// What.
    pub kind: ReportKind,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// Why there is no position, when there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub no_position: Option<String>,
    /// When seen, by the phone's clock; RFC 3339 with an offset.
    #[schema(value_type = String, format = DateTime)]
    pub observed_at: Timestamp,
    /// The phone's clock when this body was written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub device_at: Option<Timestamp>,
    /// Who.
    pub person: Person,
    /// The patrol it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub patrol: Option<Uuid>,
    /// The outfall, where the person chose one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outfall: Option<String>,
    /// 同一处: the earlier report that the person says this is the same as.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub same_as: Option<Uuid>,
    /// The form 巡查记录(污水).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sewage: Option<SewageForm>,
    /// The form 巡查记录(水葫芦).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hyacinth: Option<HyacinthForm>,
    /// Free text, at most 4,000 characters. Kept apart under a salt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// SHA-256 of the photos' original bytes, hex, at most 20.
    #[serde(default)]
    pub photos: Vec<String>,
    /// SHA-256 of the voice note's bytes (语音), hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub voice: Option<String>,
}

/// What the log commits to as `record`: the report without name and note, with what the server made of its clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// What.
    pub kind: ReportKind,
    /// Where, as given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub no_position: Option<String>,
    /// When seen, as given.
    #[schema(value_type = String, format = DateTime)]
    pub observed_at: Timestamp,
    /// When seen, with the phone clock's known offset taken off; what everything is ordered by.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
    /// The phone's clock when the body was written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub device_at: Option<Timestamp>,
    /// Phone clock minus server clock, seconds, where known and over two minutes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_offset_s: Option<i64>,
    /// The outfall the person chose.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outfall: Option<String>,
    /// 同一处: the earlier report that the person says this is the same as.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub same_as: Option<Uuid>,
    /// Form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sewage: Option<SewageForm>,
    /// Form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hyacinth: Option<HyacinthForm>,
    /// Photos, hex.
    pub photos: Vec<String>,
    /// Voice note, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub voice: Option<String>,
}

/// A report that has passed every check.
#[derive(Clone, Debug)]
pub struct NewReport {
    /// The client's UUID.
    pub id: Uuid,
    /// SHA-256 of the body as sent.
    pub body_sha256: Hash,
    /// When the server had it.
    pub received_at: Timestamp,
    /// Opaque person id.
    pub person: String,
    /// Its patrol.
    pub patrol: Option<Uuid>,
    /// What the log commits to.
    pub record: Record,
    /// Note, kept apart.
    pub note: Option<String>,
    /// Name, kept apart.
    pub name: Option<String>,
    /// Where it lies.
    pub geotag: Option<Geotag>,
    /// Hash of the place it was judged by.
    pub place_hash: Hash,
    /// Who sent it: the account, phone or token that was signed in, or `shell`.
    pub by: String,
}

/// The circumstances a submission arrives in.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// The server's clock.
    pub received_at: Timestamp,
    /// The phone's clock at sending, from the header `Device-Time`: the only way to know a phone that is behind.
    pub sent_at: Option<Timestamp>,
    /// The place.
    pub place: &'a Place,
    /// Its index.
    pub locator: &'a Locator,
}

/// Reads a JSON body; an error names the field and what is allowed.
///
/// # Errors
/// `Invalid` with the path of the offending field.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let mut de = serde_json::Deserializer::from_slice(body);
    let value = read_json(&mut de)?;
    de.end().map_err(|e| Error::invalid("", format!("one JSON object is allowed: {e}")))?;
    Ok(value)
}

/// The same from JSON that is being read, or has been.
///
/// # Errors
/// As [`parse_json`].
pub fn read_json<'de, T: Deserialize<'de>>(
    json: impl Deserializer<'de, Error = serde_json::Error>,
) -> Result<T> {
    serde_path_to_error::deserialize(json).map_err(|e| {
        let path = e.path().to_string();
        // `?` is where JSON itself ends, between the names.
        let at = path.trim_end_matches(['.', '?']);
        let said = e.into_inner().to_string();
        // serde's path ends at the object that lacks the field.
        let missing = said.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
        match missing {
            Some((name, _)) => Error::invalid(name, "is missing").under(at),
            None => Error::invalid(at, said),
        }
    })
}

/// Reads and checks a report.
///
/// # Errors
/// `Invalid` naming the field and what is allowed; nothing of the report is kept then.
pub fn parse_report(body: &[u8], arrival: &Arrival<'_>) -> Result<NewReport> {
    let ReportBody {
        id,
        kind,
        position,
        no_position,
        observed_at,
        device_at,
        person,
        patrol,
        outfall,
        same_as,
        sewage,
        hyacinth,
        note,
        photos,
        voice,
    } = parse_json(body)?;
    check_id(id)?;
    if same_as == Some(id) {
        return Err(Error::invalid("same_as", "names this report; allowed: an earlier one"));
    }
    check_person(&person)?;
    check_text("note", note.as_deref(), NOTE_MAX)?;
    let (seen_at, clock_offset_s) = settle_time(observed_at, device_at, arrival)?;
    let record = Record {
        kind,
        position,
        no_position,
        observed_at,
        seen_at,
        device_at,
        clock_offset_s,
        outfall,
        same_as,
        sewage,
        hyacinth,
        photos,
        voice,
    };
    let geotag = check_record(&record, arrival.place, arrival.locator)?;
    Ok(NewReport {
        id,
        body_sha256: Sha256::digest(body).into(),
        received_at: arrival.received_at,
        person: person.id,
        patrol,
        record,
        note: note.filter(|n| !n.is_empty()),
        name: person.name.filter(|n| !n.is_empty()),
        geotag,
        place_hash: arrival.place.hash,
        by: SHELL.into(),
    })
}

/// Checks what a record says and finds where it lies.
fn check_record(record: &Record, place: &Place, locator: &Locator) -> Result<Option<Geotag>> {
    check_whereabouts(record)?;
    let at = |p| check_position(p, locator).map_err(|e| e.under("position"));
    let geotag = record.position.as_ref().map(at).transpose()?;
    if let Some(code) = &record.outfall {
        check_outfall(code, place)?;
    }
    check_forms(record)?;
    check_ring(record, locator)?;
    check_photos("photos", &record.photos)?;
    record.voice.as_deref().map_or(Ok(()), check_sha256).map_err(|e| e.under("voice"))?;
    Ok(geotag)
}

/// Checks the forms: at most one, of the kind that it belongs to, and what it says.
///
/// # Errors
/// `Invalid` naming the field.
pub fn check_forms(record: &Record) -> Result<()> {
    match (record.kind, &record.sewage, &record.hyacinth) {
        (_, Some(_), Some(_)) => {
            Err(Error::invalid("hyacinth", "is given beside `sewage`; allowed: one form"))
        }
        (ReportKind::WaterHyacinth | ReportKind::NothingFound, Some(_), _) => {
            Err(Error::invalid("sewage", "belongs to kind sewage_outflow or other"))
        }
        (ReportKind::SewageOutflow | ReportKind::NothingFound, _, Some(_)) => {
            Err(Error::invalid("hyacinth", "belongs to kind water_hyacinth or other"))
        }
        (_, sewage, hyacinth) => {
            sewage.as_ref().map_or(Ok(()), SewageForm::check)?;
            hyacinth.as_ref().map_or(Ok(()), HyacinthForm::check)
        }
    }
}

/// A code of the place's outfalls.
///
/// # Errors
/// `Invalid` on `outfall` with the codes that are allowed.
pub fn check_outfall(code: &str, place: &Place) -> Result<()> {
    if place.outfalls.iter().any(|o| o.code == code) {
        return Ok(());
    }
    let known: Vec<&str> = place.outfalls.iter().take(20).map(|o| o.code.as_str()).collect();
    Err(Error::invalid("outfall", format!("`{code}` is not known; allowed: {}", known.join(", "))))
}

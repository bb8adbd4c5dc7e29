//! A report: what the phone, an import or a script sends, and the record it becomes. Parsed once, then trusted.

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::ReportKind;
use super::form::{HyacinthForm, SewageForm};
use crate::clock::EARLIEST_MS;
use crate::error::{Error, Result};
use crate::evidence::merkle::Hash;
use crate::lake::geotag::Locator;
use crate::lake::{Crs, Geotag, Place, Wgs84, crs};

/// Longest note, characters.
pub(super) const NOTE_MAX: usize = 4000;
/// Most photos of one report.
const PHOTOS_MAX: usize = 20;
/// A phone clock this far off is kept and flagged; beyond it nothing can be said about when it was seen.
const DRIFT_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Less than this is the ordinary error of a phone clock and is not taken off.
pub(super) const DRIFT_SHOWN: SignedDuration = SignedDuration::from_mins(2);

/// Where a position came from; decides whether a wild one is refused or kept and flagged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PositionSource {
    /// The phone's own fix: kept whatever it says.
    #[default]
    Device,
    /// Picked on a map.
    Map,
    /// Typed.
    Typed,
    /// From a file.
    Imported,
}

/// A position as given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Degrees east, in `crs`.
    pub lng: f64,
    /// Degrees north, in `crs`.
    pub lat: f64,
    /// Reference system; never guessed.
    #[schema(value_type = String)]
    pub crs: Crs,
    /// Radius of the accuracy circle, metres.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy_m: Option<f64>,
    /// Where it came from.
    #[serde(default)]
    pub source: PositionSource,
    /// Age of the fix when the shutter was pressed, seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fix_age_s: Option<f64>,
}

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
    /// Form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sewage: Option<SewageForm>,
    /// Form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hyacinth: Option<HyacinthForm>,
    /// Photos, hex.
    pub photos: Vec<String>,
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
    let value = serde_path_to_error::deserialize(&mut de).map_err(|e| {
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
    })?;
    de.end().map_err(|e| Error::invalid("", format!("one JSON object is allowed: {e}")))?;
    Ok(value)
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
        sewage,
        hyacinth,
        note,
        photos,
    } = parse_json(body)?;
    check_id(id)?;
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
        sewage,
        hyacinth,
        photos,
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
    })
}

/// Checks what a record says and finds where it lies.
fn check_record(record: &Record, place: &Place, locator: &Locator) -> Result<Option<Geotag>> {
    let geotag = match (&record.position, &record.no_position) {
        (Some(position), None) => Some(check_position(position, locator).map_err(|e| e.under("position"))?),
        (None, Some(reason)) if !reason.trim().is_empty() => {
            check_text("no_position", Some(reason), 200)?;
            None
        }
        (Some(_), Some(_)) => {
            return Err(Error::invalid("no_position", "is given beside `position`; allowed: one of the two"));
        }
        (None, _) => {
            return Err(Error::invalid(
                "position",
                "is missing; give it, or the reason for none in `no_position`",
            ));
        }
    };
    if let Some(code) = &record.outfall {
        check_outfall(code, place)?;
    }
    check_forms(record)?;
    check_photos("photos", &record.photos)?;
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

/// Where an accepted record lies by a place, however far from it: what was taken once is not refused later.
#[must_use]
pub fn locate(record: &Record, locator: &Locator) -> Option<Geotag> {
    let given = record.position.as_ref()?;
    let at = crs::to_wgs84(given.crs, given.lng, given.lat).ok()?;
    Some(locator.geotag(at, given.accuracy_m))
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

/// What a position says, in WGS-84.
///
/// # Errors
/// `Invalid` without the prefix `position`; the caller says where it stands.
pub fn read_position(given: &Position) -> Result<Wgs84> {
    for (field, value) in [("accuracy_m", given.accuracy_m), ("fix_age_s", given.fix_age_s)] {
        if value.is_some_and(|v| !v.is_finite() || v < 0.0) {
            return Err(Error::invalid(field, "must be a number from 0"));
        }
    }
    crs::to_wgs84(given.crs, given.lng, given.lat)
}

/// Checks a position and finds where it lies.
///
/// # Errors
/// `Invalid` without the prefix `position`; a device's own fix is refused only where it is no position at all.
pub fn check_position(given: &Position, locator: &Locator) -> Result<Geotag> {
    let swapped =
        || crs::to_wgs84(given.crs, given.lat, given.lng).is_ok_and(|s| locator.in_neighbourhood(s));
    let hint = || if swapped() { "; latitude and longitude are swapped?" } else { "" };
    let at = read_position(given).map_err(|e| match e {
        Error::Invalid { field, message } => Error::Invalid { field, message: message + hint() },
        other => other,
    })?;
    // A device's own fix is evidence of what the device said, however wild; a typed one is a slip to be mended now.
    if given.source != PositionSource::Device && !locator.in_neighbourhood(at) {
        return Err(Error::invalid(
            "lat",
            format!(
                "{}, {} lies outside the neighbourhood of the lake{}; allowed: within the place's \
                 neighbourhood, in the reference system that `crs` names",
                given.lat,
                given.lng,
                hint()
            ),
        ));
    }
    Ok(locator.geotag(at, given.accuracy_m))
}

/// Phone clock minus server clock, where it is known and over two minutes.
///
/// With the clock at sending the offset is plain. Without it only a phone that is ahead betrays itself: its body was
/// written "later" than it arrived. A phone that is behind cannot be told from a report that waited for a network.
pub(super) fn clock_offset(
    device_at: Option<Timestamp>,
    arrival: &Arrival<'_>,
) -> Result<Option<SignedDuration>> {
    let now = arrival.received_at;
    let clock = arrival.sent_at.or(device_at.filter(|d| *d > now));
    let offset = clock.map(|clock| clock.duration_since(now)).filter(|o| o.abs() >= DRIFT_SHOWN);
    if let Some(drift) = offset.filter(|o| o.abs() > DRIFT_MAX) {
        return Err(Error::invalid(
            "device_at",
            format!("the device clock is off by {} days; allowed: up to 30 days", drift.as_hours() / 24),
        ));
    }
    Ok(offset)
}

/// Takes the phone clock's offset off, where it is known.
fn settle_time(
    observed_at: Timestamp,
    device_at: Option<Timestamp>,
    arrival: &Arrival<'_>,
) -> Result<(Timestamp, Option<i64>)> {
    let now = arrival.received_at;
    let offset = clock_offset(device_at, arrival)?;
    let seen_at = match offset {
        Some(o) => observed_at.checked_sub(o).map_err(|e| Error::invalid("observed_at", e.to_string()))?,
        None => observed_at,
    };
    if seen_at.duration_since(now) > DRIFT_SHOWN {
        return Err(Error::invalid(
            "observed_at",
            format!("{observed_at} is in the future; allowed: up to the server's time, {now}"),
        ));
    }
    if seen_at.as_millisecond() < EARLIEST_MS {
        return Err(Error::invalid(
            "observed_at",
            format!("{observed_at} is before 2000-01-01; is the clock set?"),
        ));
    }
    Ok((seen_at, offset.map(|o| o.as_secs())))
}

/// Checks the id of a submission: a client that forgot to make one sends the nil UUID.
///
/// # Errors
/// `Invalid` on `id`.
pub fn check_id(id: Uuid) -> Result<()> {
    if id.is_nil() {
        return Err(Error::invalid("id", "is nil; a random UUID made by the client is required"));
    }
    Ok(())
}

/// Checks an opaque person id and the name.
///
/// # Errors
/// `Invalid` on `person.id` or `person.name`.
pub fn check_person(person: &Person) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if person.id.is_empty() || person.id.len() > 64 || !person.id.chars().all(plain) {
        return Err(Error::invalid(
            "person.id",
            "must be 1 to 64 letters, digits, `-`, `_` or `.`: an opaque id, not a name",
        ));
    }
    check_text("person.name", person.name.as_deref(), 60)
}

/// Checks the length of a free text.
///
/// # Errors
/// `TooLarge` past `max` characters, `Invalid` for control characters.
pub fn check_text(field: &str, text: Option<&str>, max: usize) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let length = text.chars().count();
    if length > max {
        return Err(Error::TooLarge {
            field: field.to_owned(),
            message: format!("{length} characters; allowed: {max}"),
        });
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Error::invalid(field, "holds control characters; allowed: text, tabs and line ends"));
    }
    Ok(())
}

/// Checks the photos that `field` names.
///
/// # Errors
/// `Invalid` on `field` or one of it.
pub fn check_photos(field: &str, photos: &[String]) -> Result<()> {
    if photos.len() > PHOTOS_MAX {
        return Err(Error::invalid(field, format!("{} photos; allowed: {PHOTOS_MAX}", photos.len())));
    }
    for (i, hash) in photos.iter().enumerate() {
        check_sha256(hash).map_err(|e| e.under(&format!("{field}[{i}]")))?;
        if photos.iter().take(i).any(|other| other == hash) {
            return Err(Error::invalid(format!("{field}[{i}]"), "is named twice"));
        }
    }
    Ok(())
}

/// Checks a SHA-256 written as 64 lower-case hex digits.
///
/// # Errors
/// `Invalid` without a field name; the caller says where.
pub fn check_sha256(hash: &str) -> Result<()> {
    let hex = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex {
        Ok(())
    } else {
        Err(Error::invalid("", "must be 64 lower-case hex digits: the SHA-256 of the bytes"))
    }
}

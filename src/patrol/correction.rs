//! Corrections: another version of a report beside the old one. Parsed once, then trusted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::ReportKind;
use super::form::{HyacinthForm, SewageForm};
use super::report::{
    NOTE_MAX, Person, Position, Record, check_forms, check_id, check_outfall, check_person, check_photos,
    check_position, check_text, locate, parse_json,
};
use crate::clock::EARLIEST_MS;
use crate::error::{Error, Result};
use crate::lake::geotag::Locator;
use crate::lake::{Geotag, Place};

/// What a correction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionAction {
    /// Gives other values for some fields.
    Amend,
    /// Takes the report back; it stays, struck through.
    Withdraw,
    /// Chooses among the outfalls, or says that it is none of them.
    ChooseOutfall,
}

impl CorrectionAction {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amend => "amend",
            Self::Withdraw => "withdraw",
            Self::ChooseOutfall => "choose_outfall",
        }
    }
}

/// The fields a correction may change; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amendment {
    /// Another kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<ReportKind>,
    /// Another position.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// Another time; the true one, nothing is taken off it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub observed_at: Option<Timestamp>,
    /// The form, whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sewage: Option<SewageForm>,
    /// The form, whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hyacinth: Option<HyacinthForm>,
    /// The note, whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// Photos to add.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub add_photos: Vec<String>,
}

/// `POST /api/v1/reports/{id}/corrections`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectionBody {
    /// The correction's own UUID.
    pub id: Uuid,
    /// What it does.
    pub action: CorrectionAction,
    /// Why; kept apart under a salt.
    pub reason: String,
    /// Who.
    pub person: Person,
    /// For `choose_outfall`: a code, or `none`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outfall: Option<String>,
    /// For `amend`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amend: Option<Amendment>,
}

/// The word that says: none of the known outfalls.
pub const NO_OUTFALL: &str = "none";

/// Checks what can be checked without the report.
///
/// # Errors
/// `Invalid` naming the field.
pub fn parse_correction(body: &[u8], place: &Place) -> Result<CorrectionBody> {
    let c: CorrectionBody = parse_json(body)?;
    check_id(c.id)?;
    check_person(&c.person)?;
    if c.reason.trim().is_empty() {
        return Err(Error::invalid("reason", "is empty; a correction says why"));
    }
    check_text("reason", Some(&c.reason), 1000)?;
    match (c.action, &c.outfall, &c.amend) {
        (CorrectionAction::ChooseOutfall, Some(code), None) if code == NO_OUTFALL => {}
        (CorrectionAction::ChooseOutfall, Some(code), None) => check_outfall(code, place)?,
        (CorrectionAction::ChooseOutfall, ..) => {
            return Err(Error::invalid("outfall", "choose_outfall needs a code, or `none`, and no `amend`"));
        }
        (CorrectionAction::Amend, None, Some(a)) if *a != Amendment::default() => {
            check_text("amend.note", a.note.as_deref(), NOTE_MAX)?;
            check_photos("amend.add_photos", &a.add_photos)?;
        }
        (CorrectionAction::Amend, ..) => {
            return Err(Error::invalid(
                "amend",
                "amend needs at least one field to change, and no `outfall`",
            ));
        }
        (CorrectionAction::Withdraw, None, None) => {}
        (CorrectionAction::Withdraw, ..) => {
            return Err(Error::invalid("action", "withdraw takes a reason and nothing else"));
        }
    }
    Ok(c)
}

/// What a correction makes of a record: the new one, the names of the fields that changed, and where it lies. Only
/// what the correction itself says is checked: a place that was replaced must not stand between a report and its
/// withdrawal.
///
/// # Errors
/// `Invalid` under `amend` for what a report with that field would be refused for.
pub fn apply(
    c: &CorrectionBody,
    old: &Record,
    received_at: Timestamp,
    locator: &Locator,
) -> Result<(Record, Vec<String>, Option<Geotag>)> {
    let (record, changed) = match (c.action, &c.amend) {
        (CorrectionAction::Amend, Some(a)) => {
            amended(old, a, received_at, locator).map_err(|e| e.under("amend"))?
        }
        (CorrectionAction::ChooseOutfall, _) => {
            (Record { outfall: c.outfall.clone(), ..old.clone() }, vec!["outfall"])
        }
        _ => (old.clone(), Vec::new()),
    };
    let geotag = locate(&record, locator);
    Ok((record, changed.into_iter().map(str::to_owned).collect(), geotag))
}

fn amended(
    old: &Record,
    a: &Amendment,
    received_at: Timestamp,
    locator: &Locator,
) -> Result<(Record, Vec<&'static str>)> {
    let mut new = old.clone();
    let mut changed = Vec::new();
    if let Some(kind) = a.kind {
        new.kind = kind;
        changed.push("kind");
    }
    if let Some(position) = &a.position {
        check_position(position, locator).map_err(|e| e.under("position"))?;
        new.position = Some(position.clone());
        new.no_position = None;
        changed.push("position");
    }
    if let Some(at) = a.observed_at {
        if at > received_at || at.as_millisecond() < EARLIEST_MS {
            return Err(Error::invalid("observed_at", "must lie between 2000 and now"));
        }
        (new.observed_at, new.seen_at, new.clock_offset_s) = (at, at, None);
        changed.push("observed_at");
    }
    if let Some(form) = &a.sewage {
        (new.sewage, new.hyacinth) = (Some(form.clone()), None);
        changed.push("sewage");
    }
    if let Some(form) = &a.hyacinth {
        (new.hyacinth, new.sewage) = (Some(form.clone()), None);
        changed.push("hyacinth");
    }
    if a.note.is_some() {
        changed.push("note");
    }
    if !a.add_photos.is_empty() {
        new.photos.extend(a.add_photos.iter().cloned());
        check_photos("photos", &new.photos)?;
        changed.push("photos");
    }
    check_forms(&new)?;
    Ok((new, changed))
}

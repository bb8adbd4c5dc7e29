//! Corrections: another version of a report beside the old one. Parsed once, then trusted.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::ReportKind;
use super::form::{HyacinthForm, SewageForm};
use super::report::{
    NOTE_MAX, Person, Position, Record, check_forms, check_id, check_outfall, check_person, check_photos,
    check_position, check_ring, check_seen, check_text, check_whereabouts, locate, parse_json,
};
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

/// What a correction does to a field that a report may be without.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Change<T> {
    /// Absent: it stays.
    #[default]
    Keep,
    /// `null`: it is taken away.
    Clear,
    /// Another value.
    To(T),
}

impl<T> Change<T> {
    fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    fn as_value(&self) -> Option<&T> {
        match self {
            Self::To(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

impl<T: Clone> Change<T> {
    /// Makes the change, and says whether it is one: what is not there cannot be taken away.
    fn make(&self, field: &mut Option<T>) -> bool {
        match self {
            Self::Keep => false,
            Self::Clear => field.take().is_some(),
            Self::To(value) => {
                *field = Some(value.clone());
                true
            }
        }
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_value().serialize(to)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.map_or(Self::Clear, Self::To))
    }
}

/// The fields a correction may change; what is absent stays. `null` takes away a position, the reason for none, or a
/// form; elsewhere it is as absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amendment {
    /// Another kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<ReportKind>,
    /// Another position, in place of the one before or of the reason for none; `null`, with `no_position`: none can be
    /// said after all. With another reference system the drawn patch has to be given anew.
    #[serde(skip_serializing_if = "Change::is_keep", default)]
    #[schema(value_type = Option<Position>)]
    pub position: Change<Position>,
    /// Why there is no position; where there is one it goes with `position: null`. `null`, with `position`, takes the
    /// reason away; a position alone does so, too.
    #[serde(skip_serializing_if = "Change::is_keep", default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub no_position: Change<String>,
    /// Another time; the true one, nothing is taken off it. As in a report, up to two minutes ahead of the server.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub observed_at: Option<Timestamp>,
    /// The form, whole, in place of the other one; `null` takes it away.
    #[serde(skip_serializing_if = "Change::is_keep", default)]
    #[schema(value_type = Option<SewageForm>)]
    pub sewage: Change<SewageForm>,
    /// The form, whole, in place of the other one; `null` takes it away.
    #[serde(skip_serializing_if = "Change::is_keep", default)]
    #[schema(value_type = Option<HyacinthForm>)]
    pub hyacinth: Change<HyacinthForm>,
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
    let moved = move_to(&mut new, a, locator)?;
    changed.extend(moved.then_some("position"));
    if let Some(at) = a.observed_at {
        check_seen(at, at, received_at)?;
        (new.observed_at, new.seen_at, new.clock_offset_s) = (at, at, None);
        changed.push("observed_at");
    }
    changed.extend(fill_in(&mut new, a));
    if a.note.is_some() {
        changed.push("note");
    }
    if !a.add_photos.is_empty() {
        new.photos.extend(a.add_photos.iter().cloned());
        check_photos("photos", &new.photos)?;
        changed.push("photos");
    }
    if changed.is_empty() {
        return Err(Error::invalid("", "takes away what is not there; allowed: at least one change"));
    }
    check_forms(&new)?;
    // A patch that this correction does not touch stays, whatever place it would be held to today.
    if a.hyacinth.as_value().is_some() || (moved && new.position.is_none()) {
        check_ring(&new, locator)?;
    }
    Ok((new, changed))
}

/// Gives the record another position, or the reason for none.
fn move_to(new: &mut Record, a: &Amendment, locator: &Locator) -> Result<bool> {
    let before = new.position.as_ref().map(|p| p.crs);
    let (moved, said) = (a.position.make(&mut new.position), a.no_position.make(&mut new.no_position));
    if let Some(position) = a.position.as_value() {
        check_position(position, locator).map_err(|e| e.under("position"))?;
        if a.no_position.is_keep() {
            new.no_position = None;
        }
        let ring = new.hyacinth.as_ref().is_some_and(|form| form.polygon.is_some());
        if ring && a.hyacinth.is_keep() && before.unwrap_or_default() != position.crs {
            return Err(Error::invalid(
                "position.crs",
                "is another one than that of the drawn patch; allowed: the same, or `hyacinth` with its polygon anew",
            ));
        }
    }
    if moved || said {
        check_whereabouts(new)?;
    }
    Ok(moved || said)
}

/// Fills in or takes away the forms; one that is given alone stands in place of the other.
fn fill_in(new: &mut Record, a: &Amendment) -> Vec<&'static str> {
    let mut changed = Vec::new();
    if a.sewage.make(&mut new.sewage) {
        changed.push("sewage");
        if a.sewage.as_value().is_some() && a.hyacinth.is_keep() {
            new.hyacinth = None;
        }
    }
    if a.hyacinth.make(&mut new.hyacinth) {
        changed.push("hyacinth");
        if a.hyacinth.as_value().is_some() && a.sewage.is_keep() {
            new.sewage = None;
        }
    }
    changed
}

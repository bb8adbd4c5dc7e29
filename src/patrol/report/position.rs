//! Where something was seen: the position as given, and whether it can be meant.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Record, check_text};
use crate::error::{Error, Result};
use crate::lake::geotag::Locator;
use crate::lake::{Crs, Geotag, Wgs84, crs};

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

/// What speaks against a fix: signs of a position that was made, not measured. Kept and shown, never a reason to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PositionHint {
    /// An accuracy of nothing, which no receiver claims.
    ZeroAccuracy,
    /// Fix after fix the same to the last digit.
    Motionless,
    /// Farther from the fix before than anybody gets in that time.
    Jump,
}

impl PositionHint {
    /// In words.
    #[must_use]
    pub const fn zh(self) -> &'static str {
        match self {
            Self::ZeroAccuracy => "精度为零",
            Self::Motionless => "多次定位完全相同",
            Self::Jump => "位置跳变",
        }
    }
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
    /// What the phone saw speak against it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hints: Vec<PositionHint>,
}

/// Where an accepted record lies by a place, however far from it: what was taken once is not refused later.
#[must_use]
pub fn locate(record: &Record, locator: &Locator) -> Option<Geotag> {
    let given = record.position.as_ref()?;
    let at = crs::to_wgs84(given.crs, given.lng, given.lat).ok()?;
    Some(locator.geotag(at, given.accuracy_m))
}

/// Checks a position, and says it in WGS-84.
///
/// # Errors
/// `Invalid` without the prefix `position`; a device's own fix is refused only where it is no position at all.
pub fn settle_position(given: &Position, locator: &Locator) -> Result<Wgs84> {
    for (field, value) in [("accuracy_m", given.accuracy_m), ("fix_age_s", given.fix_age_s)] {
        if value.is_some_and(|v| !v.is_finite() || v < 0.0) {
            return Err(Error::invalid(field, "must be a number from 0"));
        }
    }
    if given.hints.iter().enumerate().any(|(i, hint)| given.hints[..i].contains(hint)) {
        return Err(Error::invalid("hints", "names one twice; allowed: each once"));
    }
    settle_point(given.crs, [given.lng, given.lat], given.source, locator)
}

fn settle_point(from: Crs, [lng, lat]: [f64; 2], source: PositionSource, locator: &Locator) -> Result<Wgs84> {
    let swapped = || crs::to_wgs84(from, lat, lng).is_ok_and(|s| locator.in_neighbourhood(s));
    let hint = || if swapped() { "; latitude and longitude are swapped?" } else { "" };
    let at = crs::to_wgs84(from, lng, lat).map_err(|e| match e {
        Error::Invalid { field, message } => Error::Invalid { field, message: message + hint() },
        other => other,
    })?;
    // A device's own fix is evidence of what the device said, however wild; a typed one is a slip to be mended now.
    if source != PositionSource::Device && !locator.in_neighbourhood(at) {
        return Err(Error::invalid(
            "lat",
            format!(
                "{lat}, {lng} lies outside the neighbourhood of the lake{}; allowed: within the place's \
                 neighbourhood, in the reference system that `crs` names",
                hint()
            ),
        ));
    }
    Ok(at)
}

/// Checks a position and finds where it lies.
///
/// # Errors
/// As [`settle_position`].
pub fn check_position(given: &Position, locator: &Locator) -> Result<Geotag> {
    Ok(locator.geotag(settle_position(given, locator)?, given.accuracy_m))
}

/// Checks that there is a position or the reason for none, and not both.
///
/// # Errors
/// `Invalid` on `position` or `no_position`.
pub fn check_whereabouts(record: &Record) -> Result<()> {
    match (&record.position, &record.no_position) {
        (Some(_), None) => Ok(()),
        (None, Some(reason)) if !reason.trim().is_empty() => check_text("no_position", Some(reason), 200),
        (Some(_), Some(_)) => {
            Err(Error::invalid("no_position", "is given beside `position`; allowed: one of the two"))
        }
        (None, _) => {
            Err(Error::invalid("position", "is missing; give it, or the reason for none in `no_position`"))
        }
    }
}

/// Checks where the drawn patch lies: it has the reference system of the position, and was drawn by a person.
///
/// # Errors
/// `Invalid` on `hyacinth.polygon` without a position, on its vertex (`hyacinth.polygon[3]`) outside the neighbourhood.
pub fn check_ring(record: &Record, locator: &Locator) -> Result<()> {
    let Some(ring) = record.hyacinth.as_ref().and_then(|form| form.polygon.as_ref()) else { return Ok(()) };
    let Some(position) = &record.position else {
        return Err(Error::invalid(
            "hyacinth.polygon",
            "has the reference system of `position`, which is not there; allowed: a ring beside a position",
        ));
    };
    for (i, point) in ring.iter().enumerate() {
        settle_point(position.crs, *point, PositionSource::Map, locator).map_err(|e| match e {
            Error::Invalid { message, .. } => Error::invalid(format!("hyacinth.polygon[{i}]"), message),
            other => other,
        })?;
    }
    Ok(())
}

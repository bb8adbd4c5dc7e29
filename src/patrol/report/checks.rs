//! What every submission is held to: ids, people, texts, photos.

use uuid::Uuid;

use super::Person;
use crate::error::{Error, Result};

/// Most photos of one report.
const PHOTOS_MAX: usize = 20;

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

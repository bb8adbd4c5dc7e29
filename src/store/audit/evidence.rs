//! What an entry names, looked up in the tables of evidence: payloads, submission, version, geotag, photo, voice,
//! patrol, erasure. Rows that no entry names are `stray`'s.

use std::collections::BTreeSet;

use rusqlite::OptionalExtension;
use uuid::Uuid;

use super::log::Stored;
use super::{Audit, text};
use crate::evidence::entry::{Entry, Kind, commitment};
use crate::evidence::merkle::Hash;
use crate::lake::Geotag;
use crate::patrol::report::{Record, locate};
use crate::patrol::walk::PatrolBody;

/// Salts have one length: otherwise a byte could move from the salt to the text under the same commitment.
const SALT_BYTES: usize = 16;

pub(super) fn check(audit: &mut Audit<'_>, stored: &Stored, entry: &Entry) -> rusqlite::Result<()> {
    let index = stored.index;
    let record = payloads(audit, index, entry)?;
    match &entry.kind {
        Kind::Report { id, .. } => {
            submission(audit, *id, index)?;
            version(audit, *id, index, "report")?;
            geotags(audit, index, record.as_deref())
        }
        Kind::Correction { id, report, action, .. } => {
            submission(audit, *id, index)?;
            version(audit, *report, index, action)?;
            geotags(audit, index, record.as_deref())
        }
        Kind::Patrol { id } => {
            submission(audit, *id, index)?;
            let person = named(audit, index, entry, "person")?;
            patrol(audit, index, *id, person, record.as_deref())
        }
        Kind::Observations { id: Some(id), .. } => submission(audit, *id, index),
        Kind::Photo { .. } => photo(audit, index, &entry.kind),
        Kind::Voice { .. } => voice(audit, index, &entry.kind),
        Kind::Erasure { target, name } => erasure(audit, index, *target, name),
        Kind::Disclosure { report } => disclosure(audit, index, *report),
        Kind::Observations { id: None, .. }
        | Kind::Demo
        | Kind::Export { .. }
        | Kind::Place { .. }
        | Kind::Rules
        | Kind::Account { .. }
        | Kind::Access { .. }
        | Kind::Origin { .. }
        | Kind::Key { .. } => Ok(()),
    }
}

/// What an entry says of somebody: in the clear in version 1, as a payload since; `None` where that was erased by law.
pub(super) fn named(
    audit: &Audit<'_>,
    index: i64,
    entry: &Entry,
    name: &str,
) -> rusqlite::Result<Option<String>> {
    if let Some(clear) = entry.clear.get(name) {
        return Ok(Some(clear.clone()));
    }
    audit
        .conn
        .prepare_cached("select body from payload where entry = ?1 and name = ?2")?
        .query_row((index, name), |r| text(r, 0))
        .optional()
}

/// Checks the payloads against the commitments and gives the bytes of `record`.
fn payloads(audit: &mut Audit<'_>, index: i64, entry: &Entry) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = audit.conn.prepare_cached("select name, salt, body from payload where entry = ?1")?;
    let mut rows = statement.query([index])?;
    let mut there = BTreeSet::new();
    let mut record = None;
    while let Some(row) = rows.next()? {
        let (name, salt, body): (String, Vec<u8>, Vec<u8>) = (text(row, 0)?, row.get(1)?, row.get(2)?);
        audit.pace.take(body.len());
        let key = format!("{index} {name}");
        match entry.commit.get(&name) {
            None => audit.find("payload", key, "the entry does not commit to it"),
            Some(_) if is_erased(audit, index, &name)? => {
                audit.find("payload", key, "is there although its erasure is in the log");
            }
            Some(wanted) => {
                if salt.len() != SALT_BYTES || hex::encode(commitment(&salt, &body)) != *wanted {
                    audit.find("payload", key, "is not what the entry commits to");
                }
            }
        }
        if name == "record" {
            record = Some(body);
        }
        there.insert(name);
    }
    for name in entry.commit.keys().filter(|n| !there.contains(*n)) {
        if !is_erased(audit, index, name)? {
            audit.find(
                "payload",
                format!("{index} {name}"),
                "is missing, and no entry says that it was erased",
            );
        }
    }
    Ok(record)
}

pub(super) fn is_erased(audit: &Audit<'_>, target: i64, name: &str) -> rusqlite::Result<bool> {
    audit
        .conn
        .prepare_cached("select exists (select 1 from erasure where target = ?1 and name = ?2)")?
        .query_row((target, name), |r| r.get(0))
}

fn submission(audit: &mut Audit<'_>, id: Uuid, index: i64) -> rusqlite::Result<()> {
    let found: Option<i64> = audit
        .conn
        .prepare_cached("select entry from submission where id = ?1")?
        .query_row([id.as_bytes()], |r| r.get(0))
        .optional()?;
    match found {
        None => audit.find("submission", id, format!("is missing; entry {index} has it")),
        Some(other) if other != index => {
            audit.find("submission", id, format!("names entry {other}; its entry is {index}"));
        }
        Some(_) => {}
    }
    Ok(())
}

fn version(audit: &mut Audit<'_>, report: Uuid, index: i64, action: &str) -> rusqlite::Result<()> {
    let found = audit
        .conn
        .prepare_cached("select action from report_version where report = ?1 and entry = ?2")?
        .query_row((report.as_bytes(), index), |r| text(r, 0))
        .optional()?;
    let key = || format!("{report} {index}");
    match found {
        None => audit.find("report_version", key(), "is missing; its entry is in the log"),
        Some(other) if other != action => {
            audit.find("report_version", key(), format!("action is `{other}`, its entry says `{action}`"));
        }
        Some(_) => {}
    }
    Ok(())
}

/// Where a version lies: recomputed by the place in use; by another place only that the log knows that place.
fn geotags(audit: &mut Audit<'_>, index: i64, record: Option<&[u8]>) -> rusqlite::Result<()> {
    let mut statement =
        audit.conn.prepare_cached("select place_hash, result from geotag where entry = ?1")?;
    let rows = statement.query_map([index], |r| Ok((r.get(0)?, text(r, 1)?)))?;
    let rows: Vec<(Vec<u8>, String)> = rows.collect::<rusqlite::Result<_>>()?;
    // A record that does not read was found as a payload already, unless the entry commits to nonsense.
    let record: Option<Record> = record.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let here = record.as_ref().and_then(|r| locate(r, &audit.locator));
    if here.is_some() && rows.is_empty() {
        audit.find("geotag", index, "is missing; the record has a position");
    }
    for (place, result) in rows {
        let key = format!("{index} {}", hex::encode(&place));
        let known = Hash::try_from(place.as_slice()).is_ok_and(|p| audit.places.contains(&p));
        match &here {
            None => audit.find("geotag", key, "there is no record with a position"),
            Some(_) if !known => {
                audit.find("geotag", key, "the log knows no such place");
            }
            Some(here) if place == audit.place.hash => {
                let wanted = serde_json::to_string(here).unwrap_or_default();
                if wanted != result {
                    audit.find("geotag", key, format!("is not what the place gives: {wanted}"));
                }
            }
            Some(_) => {
                if serde_json::from_str::<Geotag>(&result).is_err() {
                    audit.find("geotag", key, "does not read");
                }
            }
        }
    }
    Ok(())
}

fn photo(audit: &mut Audit<'_>, index: i64, kind: &Kind) -> rusqlite::Result<()> {
    let Kind::Photo { sha256, bytes, media_type, width, height, copy } = kind else { return Ok(()) };
    type Row = (i64, String, i64, Option<u32>, Option<u32>, i64);
    let found: Option<Row> = audit
        .conn
        .prepare_cached(
            "select entry, media_type, bytes, width, height, preview from photo where sha256 = ?1",
        )?
        .query_row([hex::decode(sha256).unwrap_or_default()], |r| {
            Ok((r.get(0)?, text(r, 1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
        })
        .optional()?;
    let Some(found) = found else {
        audit.find("photo", sha256, format!("is missing; entry {index} has it"));
        return Ok(());
    };
    // An entry from before it said so knows no size and no copy; then the row is all there is.
    let says_size = width.is_some() || copy.is_some();
    let (w, h) = if says_size { (*width, *height) } else { (found.3, found.4) };
    let preview = if says_size { i64::from(copy.is_some()) } else { found.5 };
    let wanted: Row = (index, media_type.clone(), i64::try_from(*bytes).unwrap_or(i64::MAX), w, h, preview);
    if found != wanted {
        audit.find("photo", sha256, format!("is {found:?}, its entry says {wanted:?}"));
    }
    Ok(())
}

fn voice(audit: &mut Audit<'_>, index: i64, kind: &Kind) -> rusqlite::Result<()> {
    let Kind::Voice { sha256, bytes, media_type, duration_s } = kind else { return Ok(()) };
    type Row = (i64, String, i64, Option<i64>);
    let found: Option<Row> = audit
        .conn
        .prepare_cached("select entry, media_type, bytes, duration_s from voice where sha256 = ?1")?
        .query_row([hex::decode(sha256).unwrap_or_default()], |r| {
            Ok((r.get(0)?, text(r, 1)?, r.get(2)?, r.get(3)?))
        })
        .optional()?;
    let Some(found) = found else {
        audit.find("voice", sha256, format!("is missing; entry {index} has it"));
        return Ok(());
    };
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let wanted: Row = (index, media_type.clone(), number(*bytes), duration_s.map(number));
    if found != wanted {
        audit.find("voice", sha256, format!("is {found:?}, its entry says {wanted:?}"));
    }
    Ok(())
}

fn patrol(
    audit: &mut Audit<'_>,
    index: i64,
    id: Uuid,
    person: Option<String>,
    record: Option<&[u8]>,
) -> rusqlite::Result<()> {
    type Row = (i64, String, i64, i64);
    let found: Option<Row> = audit
        .conn
        .prepare_cached("select entry, person, started_ms, ended_ms from patrol where id = ?1")?
        .query_row([id.as_bytes()], |r| Ok((r.get(0)?, text(r, 1)?, r.get(2)?, r.get(3)?)))
        .optional()?;
    let Some(found) = found else {
        audit.find("patrol", id, format!("is missing; entry {index} has it"));
        return Ok(());
    };
    let record: Option<PatrolBody> = record.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let (started, ended) = record
        .as_ref()
        .map_or((found.2, found.3), |r| (r.started_at.as_millisecond(), r.ended_at.as_millisecond()));
    let wanted: Row = (index, person.unwrap_or_default(), started, ended);
    if found != wanted {
        audit.find("patrol", id, format!("is {found:?}, the log says {wanted:?}"));
    }
    let mut statement = audit.conn.prepare_cached("select sector from patrol_sector where patrol = ?1")?;
    let found: BTreeSet<String> =
        statement.query_map([id.as_bytes()], |r| text(r, 0))?.collect::<rusqlite::Result<_>>()?;
    // Of an erased record the times and sectors of the duty stay: without them it would read as not walked.
    let Some(record) = record else { return Ok(()) };
    let wanted: BTreeSet<String> = record.sectors.into_iter().collect();
    for sector in wanted.symmetric_difference(&found) {
        let what = if found.contains(sector) { "the record does not name it" } else { "is missing" };
        audit.find("patrol_sector", format!("{id} {sector}"), what);
    }
    Ok(())
}

fn disclosure(audit: &mut Audit<'_>, index: i64, report: Uuid) -> rusqlite::Result<()> {
    let found: Option<i64> = audit
        .conn
        .prepare_cached("select entry from disclosure where report = ?1")?
        .query_row([report.as_bytes()], |r| r.get(0))
        .optional()?;
    if found != Some(index) {
        audit.find("disclosure", report, format!("is {found:?}; its entry is {index}"));
    }
    Ok(())
}

fn erasure(audit: &mut Audit<'_>, index: i64, target: u64, name: &str) -> rusqlite::Result<()> {
    let found: Option<(i64, String)> = audit
        .conn
        .prepare_cached("select target, name from erasure where entry = ?1")?
        .query_row([index], |r| Ok((r.get(0)?, text(r, 1)?)))
        .optional()?;
    let target = i64::try_from(target).unwrap_or(i64::MAX);
    match found {
        None => audit.find("erasure", index, "is missing; its entry is in the log"),
        Some(found) if found != (target, name.to_owned()) => {
            audit.find("erasure", index, format!("is of {found:?}, its entry says {:?}", (target, name)));
        }
        Some(_) => {}
    }
    let commits = audit
        .conn
        .prepare_cached("select body from entry where idx = ?1")?
        .query_row([target], |r| r.get::<_, Vec<u8>>(0))
        .optional()?
        .and_then(|body| Entry::parse(&body).ok())
        .is_some_and(|entry| {
            let file = matches!(entry.kind, Kind::Photo { .. } | Kind::Voice { .. });
            entry.commit.contains_key(name) || (file && name == entry.kind.as_str())
        });
    if !commits {
        audit.find("erasure", index, format!("entry {target} has no `{name}`"));
    }
    Ok(())
}

//! What vouches for the log from outside, and how far: the guard file, the witnesses, heads that phones and desks have shown.
//! Asked of a log that is in use; an old backup is compared with the heads that others hold, and with nothing else.

use jiff::{SignedDuration, Timestamp};
use rusqlite::OptionalExtension;

use super::{Audit, GuardFile, text};
use crate::clock::{Clock, from_ms};
use crate::evidence::checkpoint::SignedCheckpoint;

/// A service that runs signs within seconds.
const UNSIGNED_MAX: SignedDuration = SignedDuration::from_hours(1);
/// A witness that is only out of reach for a night is no finding.
const UNWATCHED_MAX: SignedDuration = SignedDuration::from_hours(24);

/// `published`: entries under the largest stored checkpoint.
pub(super) fn check(audit: &mut Audit<'_>, published: u64) -> rusqlite::Result<()> {
    match audit.guard {
        GuardFile::NotAsked => return Ok(()),
        GuardFile::Missing if published > 0 => {
            audit.find("log", "guard file", "is missing: without it an old database could be signed again");
        }
        GuardFile::Holds(head) if head.size > published => {
            let what = format!(
                "is in the guard file and not kept here; the largest that is has {published} entries"
            );
            audit.find("checkpoint", head.size, what);
        }
        GuardFile::Missing | GuardFile::Holds(_) => {}
    }
    check_forked(audit)?;
    if let Some(since) = waiting(audit, published, UNSIGNED_MAX)? {
        let what =
            format!("the entries from {published} on, received since {since}, are under no checkpoint");
        match published {
            0 => audit.find("checkpoint", "newest", "is missing: nothing of this log is signed"),
            _ => audit.remark("checkpoint", published, what + "; `jijia serve` signs them"),
        }
    }
    for (name, key) in audit.witnesses {
        let line = format!("{}+{:08x}", key.name(), key.id());
        let stored: Option<(String, String)> = audit
            .conn
            .prepare_cached(
                "select c.note, s.line from cosignature s join checkpoint c on c.size = s.size where s.witness = ?1",
            )?
            .query_row([line], |r| Ok((text(r, 0)?, text(r, 1)?)))
            .optional()?;
        let cosigned = stored.as_ref().and_then(|(note, line)| {
            let mut checkpoint: SignedCheckpoint = note.parse().ok()?;
            checkpoint.add(line.parse().ok()?);
            checkpoint.verify_cosigned(key).ok().map(|_| checkpoint.checkpoint().size)
        });
        if stored.is_some() && cosigned.is_none() {
            audit.find("cosignature", name, "is not by this witness's key over its checkpoint");
        }
        let size = cosigned.unwrap_or(0);
        if let Some(since) = waiting(audit, size, UNWATCHED_MAX)? {
            let what = format!(
                "covers the first {size} entries; those received since {since} are not covered: the witness refuses, or \
                 cannot be reached (`/readyz` says which)"
            );
            audit.find("cosignature", name, what);
        }
    }
    Ok(())
}

/// When the entry at `index` was received, if that is longer ago than `most`.
fn waiting(audit: &Audit<'_>, index: u64, most: SignedDuration) -> rusqlite::Result<Option<Timestamp>> {
    let index = i64::try_from(index).unwrap_or(i64::MAX);
    let mut statement = audit.conn.prepare_cached("select received_ms from entry where idx = ?1")?;
    let received_at = statement.query_row([index], |r| r.get(0)).optional()?.map(from_ms);
    Ok(received_at.filter(|at| Clock::System.now().duration_since(*at) > most))
}

/// Heads that somebody showed, signed by this log and not of it.
fn check_forked(audit: &mut Audit<'_>) -> rusqlite::Result<()> {
    let mut statement = audit.conn.prepare("select holder, note from forked_head order by seen_ms, note")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (holder, note) = (text(row, 0)?, text(row, 1)?);
        let what = match note.parse::<SignedCheckpoint>() {
            Ok(head) => format!(
                "showed a signed head of {} entries that is not of this log: there were two",
                head.checkpoint().size
            ),
            Err(_) => "does not read".to_owned(),
        };
        audit.find("forked_head", holder, what);
    }
    Ok(())
}

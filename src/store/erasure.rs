//! Erasure by law (依法删除): an entry says what went and why, then payload and salt, or a sealed file, go. The entry
//! that commits to them stays, and with it every proof.

use std::time::{Duration, Instant};

use rusqlite::ffi::ErrorCode;

use super::reports::derive;
use super::sealed::known_file;
use super::tx::{Tx, store_error};
use super::writer::open_writing;
use super::{Store, remove_durably};
use crate::error::{Error, Result};
use crate::evidence::entry::{Entry, Kind, Payload, Receipt, SHELL, Sealed};

/// How long the wiping waits for a moment in which nobody reads or writes.
const PATIENCE: Duration = Duration::from_secs(60);

impl Store {
    /// Erases the payload `name` of the entry `target`: in one transaction the erasure's entry, and what it names gone
    /// with all that was made from it. [`Store::wipe`] then takes the bytes off the disk.
    ///
    /// # Errors
    /// `NotFound` for an unknown entry, `Invalid` for a payload that it does not have, `Gone` if it was erased before.
    pub async fn redact(&self, target: u64, name: &str, reason: String) -> Result<Receipt> {
        let (received_at, name) = (self.clock.now(), name.to_owned());
        self.writer
            .run(move |tx| {
                let commits = find_entry(tx, target)?.commit;
                if !commits.contains_key(&name) {
                    let names: Vec<_> = commits.into_keys().collect();
                    let message = format!("entry {target} has no `{name}`; allowed: {}", names.join(", "));
                    return Err(Error::invalid("payload", message));
                }
                let receipt = append_erasure(tx, target, &name, reason, received_at)?;
                tx.exec("delete from payload where entry = ?1 and name = ?2", (target, &name))?;
                if name == "record" {
                    forget_record(tx, target)?;
                }
                Ok(receipt)
            })
            .await
    }

    /// Erases a sealed file: its entry and its hash stay, its bytes go from the disk, those of a photo's copy too.
    ///
    /// # Errors
    /// `NotFound` for one that never came, `Gone` if it was erased before and its files are gone.
    pub async fn redact_sealed(&self, kind: Sealed, sha256_hex: &str, reason: String) -> Result<Receipt> {
        let (received_at, hex) = (self.clock.now(), sha256_hex.to_owned());
        let appended = self
            .writer
            .run(move |tx| {
                let known = known_file(tx, kind, &hex)?;
                let known = known.ok_or_else(|| Error::NotFound(format!("{kind} {hex}")))?;
                append_erasure(tx, known.receipt.index, kind.as_str(), reason, received_at)
            })
            .await;
        // Crash here: the log says that it is erased and the files are still there. The audit says so, nothing shows
        // them any more, and the command again comes through here.
        if matches!(appended, Ok(_) | Err(Error::Gone(_))) {
            remove_durably(&self.sealed_path(kind, sha256_hex))?;
            if kind == Sealed::Photo {
                remove_durably(&self.preview_path(sha256_hex))?;
            }
            remove_durably(&self.part_path(sha256_hex))?;
        }
        appended
    }

    /// Takes erased bytes off the disk: the database is written anew, since pages that SQLite once split can hold old
    /// copies of a row, and the write-ahead log is emptied. Writers wait meanwhile. Blocks.
    ///
    /// # Errors
    /// `Unavailable` if there was no quiet moment: erased, but not yet wiped; call it again. `NoSpace`: the disk must
    /// hold the database twice.
    pub fn wipe(&self) -> Result<()> {
        let conn = open_writing(&self.dir.join("jijia.db"))?;
        // The copy of a large database has no place in memory.
        conn.execute_batch("pragma temp_store = file").map_err(store_error)?;
        patiently(|| conn.execute_batch("vacuum").map(|()| true))?;
        // Its answer is whether a reader stood in the way.
        let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        patiently(|| conn.query_row("pragma wal_checkpoint(truncate)", [], busy).map(|busy| busy == 0))
    }
}

/// Tries until it is done; each try waits for the lock by itself (`busy_timeout`).
fn patiently(mut step: impl FnMut() -> rusqlite::Result<bool>) -> Result<()> {
    let began = Instant::now();
    loop {
        match step() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            Err(e) => return Err(store_error(e)),
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::Unavailable(
                "erased, but the old bytes are still in the database's files: others read or write all the time; run the \
                 same command again"
                    .into(),
            ));
        }
    }
}

fn find_entry(tx: &Tx<'_>, index: u64) -> Result<Entry> {
    let body: Option<(Vec<u8>,)> = tx.find("select body from entry where idx = ?1", (index,))?;
    let (body,) = body.ok_or_else(|| Error::NotFound(format!("entry {index}")))?;
    Entry::parse(&body).map_err(|e| Error::Internal(format!("entry {index} does not read: {e}")))
}

fn append_erasure(
    tx: &mut Tx<'_>,
    target: u64,
    name: &str,
    reason: String,
    received_at: jiff::Timestamp,
) -> Result<Receipt> {
    let before: Option<(u64,)> =
        tx.find("select entry from erasure where target = ?1 and name = ?2", (target, name))?;
    if let Some((entry,)) = before {
        return Err(Error::Gone(format!("`{name}` of entry {target} was erased by entry {entry}")));
    }
    // Only the operator erases, at the shell.
    let payloads = [Payload::new("reason", reason)?, Payload::new("by", SHELL)?];
    let receipt = tx.append(received_at, Kind::Erasure { target, name: name.to_owned() }, "", &payloads)?;
    tx.exec("insert into erasure (entry, target, name) values (?1, ?2, ?3)", (receipt.index, target, name))?;
    Ok(receipt)
}

/// Takes away what was made from a record: where it lay, and what its sighting's row says of it.
fn forget_record(tx: &Tx<'_>, target: u64) -> Result<()> {
    tx.exec("delete from geotag where entry = ?1", (target,))?;
    let head: Option<(i64,)> =
        tx.find("select received_ms from sighting where head_entry = ?1", (target,))?;
    let Some((received_ms,)) = head else { return Ok(()) };
    let d = derive(None, None, received_ms);
    tx.exec(
        "update sighting set kind = ?2, observed_ms = ?3, outfall = ?4, outfall_chosen = ?5, sector = ?6, lng = ?7,
           lat = ?8, voice = ?9 where head_entry = ?1",
        (target, d.kind.as_str(), d.observed_ms, d.outfall, d.outfall_chosen, d.sector, d.lng, d.lat, d.voice),
    )
}

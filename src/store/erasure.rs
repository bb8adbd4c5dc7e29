//! Erasure by law (依法删除): an entry says what went and why, then payload and salt, or a sealed file, go. The entry
//! that commits to them stays, and with it every proof.

mod remains;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::ffi::ErrorCode;

use super::reports::derive;
use super::sealed::known_file;
use super::tx::{Tx, store_error};
use super::writer::open_writing;
use super::{Store, off_thread, read_error, remove_durably};
use crate::error::{Error, Result};
use crate::evidence::entry::{Entry, Kind, Payload, Receipt, SHELL, Sealed};
use crate::evidence::timeline::ERASED;

/// How long the wiping waits for a moment in which nobody reads or writes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A payload, by its name, of an entry.
    Payload(u64, String),
    /// A sealed file, by its SHA-256 in hex; of a photo the copy too.
    File(Sealed, String),
}

/// What an erasure came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Its entry; or, where it was erased before, by which.
    pub entry: Result<Receipt, String>,
    /// Bundles that were kept to be fetched and are gone with it.
    pub bundles: usize,
    /// Where the same bytes still stand, and the documents under way that may hold them.
    pub remains: Vec<String>,
}

impl Store {
    /// Erases `target` because of `reason`: its entry, in one transaction with all that was made from the bytes in the
    /// database; then the files, the bundles that are kept, and the old pages of the database; then everything that is left
    /// is searched for the same bytes. Interrupted at any point, the same call finishes it, but for the search: by then
    /// nobody knows the bytes any more.
    ///
    /// # Errors
    /// `NotFound` for an unknown entry or file, `Invalid` for a payload that the entry does not have; `Unavailable` if there
    /// was no quiet moment to wipe the database: call it again; `NoSpace`: the disk must hold the database twice.
    pub async fn redact(&self, target: &Target, reason: String) -> Result<Erased> {
        let needle = self.beginning_of(target).await?;
        let entry = match target {
            Target::Payload(index, name) => self.erase_payload(*index, name, reason).await,
            Target::File(kind, sha256) => self.erase_file(*kind, sha256, reason).await,
        };
        let entry = match entry {
            Ok(receipt) => Ok(receipt),
            Err(Error::Gone(before)) => Err(before),
            Err(other) => return Err(other),
        };
        let (this, tmp, bundles) = (self.clone(), self.dir.join("tmp"), self.bundle_folder());
        off_thread(move || {
            let bundles = remove_bundles(&bundles)?;
            let mut remains = wait_for_documents(&tmp)?;
            this.wipe()?;
            if let Some(needle) = needle {
                remains.append(&mut remains::list(&this.dir, &needle)?);
            }
            Ok(Erased { entry, bundles, remains })
        })
        .await
    }

    /// The first bytes of what is to go, while they are known.
    async fn beginning_of(&self, target: &Target) -> Result<Option<Vec<u8>>> {
        match target {
            Target::Payload(index, name) => {
                let most = i64::try_from(remains::NEEDLE_MAX).unwrap_or(i64::MAX);
                sqlx::query_scalar("select substr(body, 1, $3) from payload where entry = $1 and name = $2")
                    .bind(i64::try_from(*index).unwrap_or(i64::MAX))
                    .bind(name)
                    .bind(most)
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(read_error)
            }
            Target::File(kind, sha256) => {
                let path = self.sealed_path(*kind, sha256);
                off_thread(move || {
                    let mut start = Vec::new();
                    match File::open(path) {
                        Ok(file) => file.take(remains::NEEDLE_MAX as u64).read_to_end(&mut start)?,
                        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                        Err(e) => return Err(e.into()),
                    };
                    Ok(Some(start))
                })
                .await
            }
        }
    }

    async fn erase_payload(&self, target: u64, name: &str, reason: String) -> Result<Receipt> {
        let (received_at, name) = (self.clock.now(), name.to_owned());
        self.writer
            .run(move |tx| {
                let entry = find_entry(tx, target)?;
                if !entry.commit.contains_key(&name) {
                    let names: Vec<_> = entry.commit.into_keys().collect();
                    let message = format!("entry {target} has no `{name}`; allowed: {}", names.join(", "));
                    return Err(Error::invalid("payload", message));
                }
                let receipt = append_erasure(tx, target, &name, reason, received_at)?;
                match name.as_str() {
                    "record" => forget_record(tx, target)?,
                    "person" => forget_person(tx, target)?,
                    "name" => forget_name(tx, target, entry.clear.get("account"))?,
                    _ => {}
                }
                tx.exec("delete from payload where entry = ?1 and name = ?2", (target, &name))?;
                Ok(receipt)
            })
            .await
    }

    /// The entry and the hash of a sealed file stay, its bytes go from the disk, those of a photo's copy too.
    async fn erase_file(&self, kind: Sealed, sha256_hex: &str, reason: String) -> Result<Receipt> {
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
    fn wipe(&self) -> Result<()> {
        let conn = open_writing(&self.dir.join("jijia.db"))?;
        // The copy of a large database has no place in memory.
        conn.execute_batch("pragma temp_store = file").map_err(store_error)?;
        patiently(|| conn.execute_batch("vacuum").map(|()| true))?;
        // Its answer is whether a reader stood in the way.
        let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        patiently(|| conn.query_row("pragma wal_checkpoint(truncate)", [], busy).map(|busy| busy == 0))
    }

    /// Whether something was erased by an entry from `index` on: what was read before it may hold what went.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn has_erased_since(&self, index: u64) -> Result<bool> {
        sqlx::query_scalar("select exists (select 1 from entry where kind = 'erasure' and idx >= $1)")
            .bind(i64::try_from(index).unwrap_or(i64::MAX))
            .fetch_one(&self.readers)
            .await
            .map_err(read_error)
    }
}

/// Removes what is kept to be fetched: any of it may hold what was erased, and all of it can be made again.
fn remove_bundles(folder: &Path) -> Result<usize> {
    let mut bundles = 0;
    let files = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
        files => files?,
    };
    for file in files {
        let path = file?.path();
        bundles += usize::from(path.extension().is_some_and(|ending| ending == "zip"));
        remove_durably(&path)?;
    }
    Ok(bundles)
}

/// Waits until the documents under way are made and gone; names those that are not.
fn wait_for_documents(tmp: &Path) -> Result<Vec<String>> {
    let began = Instant::now();
    let mut left: Vec<_> = std::fs::read_dir(tmp)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    while !left.is_empty() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
        left.retain(|path| path.exists());
    }
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
    Ok(left
        .iter()
        .map(|path| format!("tmp/{} (under way, or left by a crash: the next start removes it)", name(path)))
        .collect())
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

/// Who saw or walked it: also in the rows that pages read. Of a patrol's row the times and sectors stay, without which the
/// duty would read as not done.
fn forget_person(tx: &Tx<'_>, target: u64) -> Result<()> {
    tx.exec("update sighting set person = '' where first_entry = ?1", (target,))?;
    tx.exec("update patrol set person = '' where entry = ?1", (target,))
}

/// What an account, phone or token is called, unless it was renamed since. An account that is shut out loses what one signs in
/// with too: its login may say the name in letters.
fn forget_name(tx: &Tx<'_>, target: u64, clear: Option<&String>) -> Result<()> {
    const OF: &str =
        "id = ?2 and name = (select cast(body as text) from payload where entry = ?1 and name = 'name')";
    let committed: Option<(String,)> =
        tx.find("select cast(body as text) from payload where entry = ?1 and name = 'account'", (target,))?;
    // Of a report, where the name is of whoever brought it.
    let Some(id) = clear.cloned().or(committed.map(|(id,)| id)) else { return Ok(()) };
    tx.exec(
        &format!(
            "update account set login = null, password = null, pin = null, totp = null where disabled = 1 and {OF}"
        ),
        (target, &id),
    )?;
    for table in ["account", "phone", "token"] {
        tx.exec(&format!("update {table} set name = ?3 where {OF}"), (target, &id, ERASED))?;
    }
    Ok(())
}

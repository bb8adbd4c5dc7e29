//! Photos and voice notes under way: what has come of each lies in `uploads/` under its hash until the rest has. It goes on
//! where it broke off, over any number of connections and restarts, and only its whole is sealed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::upload_quota::UploadQuota;
use super::{Store, remove_durably, sync_dir};
use crate::error::{Error, Result};
use crate::evidence::entry::Sealed;

/// A part that nobody has added to for so long is given up: its phone begins anew.
const KEEP: Duration = Duration::from_secs(40 * 86_400);

/// Whoever has sent nothing for so long may have left without a word.
const SILENCE: Duration = Duration::from_secs(1);
/// So long somebody waits for one who still gets on.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who writes which part now. One at a time: a phone that comes back finds its older connection still open.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads {
    slots: Arc<Mutex<HashMap<String, Arc<Slot>>>>,
    quota: UploadQuota,
}

impl Uploads {
    /// With the parts that lie in `folder`.
    pub fn of(folder: &Path) -> Result<Self> {
        Ok(Self { slots: Arc::default(), quota: UploadQuota::of(folder)? })
    }
}

/// The newest claim on one part, and how it gets on. Whoever holds an older one writes no more.
#[derive(Debug, Default)]
struct Slot {
    holder: Mutex<Holder>,
    free: Notify,
}

#[derive(Debug, Default)]
struct Holder {
    /// Counted from one.
    claim: u64,
    /// When its last bytes came; `None` when it is done, or gone.
    at_work: Option<Instant>,
    /// All has come and is being sealed: that is soon over, and not torn.
    sealing: bool,
}

/// A claim on the part of one file. A newer claim ends it; dropped, it leaves on the disk what has come.
#[derive(Debug)]
pub struct Upload {
    kind: Sealed,
    uploads: Uploads,
    slot: Arc<Slot>,
    claim: u64,
    sha256: String,
    path: PathBuf,
    file: File,
    offset: u64,
    limit: u64,
    keep: bool,
}

impl Slot {
    /// The part, while `claim` is the newest.
    fn turn(&self, claim: u64) -> Result<MutexGuard<'_, Holder>> {
        let mut holder = locked(&self.holder);
        if holder.claim == claim {
            holder.at_work = Some(Instant::now());
            return Ok(holder);
        }
        Err(Error::Conflict("a newer request for the same bytes has taken over".into()))
    }

    /// How long to wait for whoever is at work now.
    fn wait(holder: &Holder, since: Instant) -> Option<Duration> {
        let at_work = holder.at_work?;
        if holder.sealing {
            return Some(SILENCE);
        }
        let left = (at_work + SILENCE).min(since + PATIENCE).checked_duration_since(Instant::now())?;
        Some(left).filter(|left| !left.is_zero())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every value behind these locks is whole at any time: a panic elsewhere spoils nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut holder = locked(&self.slot.holder);
        if holder.claim == self.claim {
            if !self.keep {
                // Best effort: an old part is given up in time.
                let _ = std::fs::remove_file(&self.path);
                self.uploads.quota.free(&self.sha256);
            }
            (holder.at_work, holder.sealing) = (None, false);
        }
        drop(holder);
        self.slot.free.notify_one();
        let mut slots = locked(&self.uploads.slots);
        // This one and the map's: nobody else waits for it.
        if Arc::strong_count(&self.slot) == 2 {
            slots.remove(&self.sha256);
        }
    }
}

impl Upload {
    /// Bytes that have come.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Counts the part to whoever sends it.
    ///
    /// # Errors
    /// `NoSpace` if unfinished uploads take too much already.
    pub fn charge_to(&mut self, sender: &str) -> Result<()> {
        let charged = self.uploads.quota.charge(&self.sha256, Some(sender), self.offset);
        // A part that is refused at its beginning leaves nothing behind.
        self.keep = charged.is_ok() || self.offset > 0;
        charged
    }

    /// Whether what has come stays for a later request when this one breaks off.
    pub fn keep_part(&mut self, keep: bool) {
        self.keep = keep;
    }

    /// Lets go what has come before, to take all of it from the beginning.
    ///
    /// # Errors
    /// `Conflict` if a newer request has taken over; those of the disk.
    pub fn restart(&mut self) -> Result<()> {
        let _turn = self.slot.turn(self.claim)?;
        self.file.set_len(0)?;
        self.offset = 0;
        Ok(())
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `TooLarge` past the limit, `Conflict` if a newer request has taken over, `NoSpace` on a full disk.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        let end = self.offset + piece.len() as u64;
        if end > self.limit {
            return Err(Error::TooLarge {
                field: self.kind.as_str().into(),
                message: format!("is larger than {} bytes; allowed: {}", end - 1, self.limit),
            });
        }
        let _turn = self.slot.turn(self.claim)?;
        self.uploads.quota.charge(&self.sha256, None, end)?;
        // Opened to append: also after an error in the middle of a write the file is a beginning of the whole.
        self.file.write_all(piece)?;
        self.offset = end;
        Ok(())
    }

    /// Makes what has come durable and says how much that is.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn sync(&self) -> Result<u64> {
        let (file, folder) = (self.file.try_clone()?, self.path.parent().map(Path::to_owned));
        let sync = move || {
            file.sync_data()?;
            // Its name, too: the first bytes made it.
            folder.as_deref().map_or(Ok(()), sync_dir)
        };
        // Crash before the answer: the phone asks again, and is told at least this much.
        tokio::task::spawn_blocking(sync).await.map_err(|e| Error::Internal(e.to_string()))??;
        Ok(self.offset)
    }

    /// Gives up what has come: it cannot become the whole.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn discard(self) -> Result<()> {
        let _turn = self.slot.turn(self.claim)?;
        self.uploads.quota.free(&self.sha256);
        Ok(std::fs::remove_file(&self.path)?)
    }

    /// All that has come, while nobody can add to it.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        self.slot.turn(self.claim)?.sealing = true;
        Ok(std::fs::read(&self.path)?)
    }

    /// Makes the bytes durable, then their name `to` in a hash folder.
    pub(super) fn seal(&self, to: &Path) -> Result<()> {
        let _turn = self.slot.turn(self.claim)?;
        super::sealed::seal(&self.file, &self.path, to)?;
        self.uploads.quota.free(&self.sha256);
        Ok(())
    }
}

impl Store {
    /// Claims the part of a file of at most `limit` bytes, to go on behind what has come. Another request for it that
    /// gets on is let finish; one that has fallen silent ends: its phone has come back on another network. The same bytes
    /// have one part, whatever they are to become.
    ///
    /// # Errors
    /// `NoSpace`, `Internal`.
    pub async fn resume_upload(&self, kind: Sealed, sha256_hex: &str, limit: u64) -> Result<Upload> {
        let (uploads, path) = (self.uploads.clone(), self.part_path(sha256_hex));
        let slot = locked(&uploads.slots).entry(sha256_hex.to_owned()).or_default().clone();
        let since = Instant::now();
        loop {
            let wait = {
                let mut holder = locked(&slot.holder);
                match Slot::wait(&holder, since) {
                    Some(wait) => wait,
                    None => {
                        let file = File::options().append(true).read(true).create(true).open(&path)?;
                        let offset = file.metadata()?.len();
                        *holder =
                            Holder { claim: holder.claim + 1, at_work: Some(Instant::now()), sealing: false };
                        let (claim, slot, sha256) = (holder.claim, slot.clone(), sha256_hex.to_owned());
                        return Ok(Upload {
                            kind,
                            uploads,
                            slot,
                            claim,
                            sha256,
                            path,
                            file,
                            offset,
                            limit,
                            keep: true,
                        });
                    }
                }
            };
            // Woken when it is free; asked again in any case.
            let _ = timeout(wait, slot.free.notified()).await;
        }
    }

    /// How much of a file has come and is durable; an older request for it, which may hang, ends by this.
    ///
    /// # Errors
    /// `NoSpace`, `Internal`.
    pub async fn upload_offset(&self, kind: Sealed, sha256_hex: &str) -> Result<u64> {
        if !self.part_path(sha256_hex).exists() {
            return Ok(0);
        }
        self.resume_upload(kind, sha256_hex, u64::MAX).await?.sync().await
    }

    /// Removes the parts that nobody has added to for forty days: longer than a phone is away. Only the service calls
    /// it, at its start.
    ///
    /// # Errors
    /// `Internal` if the folder cannot be read.
    pub fn give_up_uploads(&self) -> Result<()> {
        for part in std::fs::read_dir(self.dir.join("uploads"))? {
            let part = part?;
            if part.metadata()?.modified()?.elapsed().is_ok_and(|age| age > KEEP) {
                remove_durably(&part.path())?;
            }
        }
        Ok(())
    }

    /// What was erased does not come back: nothing of `upload` stays then.
    pub(super) async fn unless_erased(
        &self,
        kind: Sealed,
        sha256_hex: &str,
        upload: Upload,
    ) -> Result<Upload> {
        match self.check_erased(kind, sha256_hex).await {
            Ok(()) => Ok(upload),
            Err(gone @ Error::Gone(_)) => upload.discard().and(Err(gone)),
            Err(error) => Err(error),
        }
    }

    pub(super) fn part_path(&self, sha256_hex: &str) -> PathBuf {
        self.dir.join("uploads").join(format!("{sha256_hex}.part"))
    }
}

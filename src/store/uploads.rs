//! Photos and voice notes under way: what has come of each lies in `uploads/` under its hash until the rest has. It goes on
//! where it broke off, over any number of connections and restarts, and only its whole is sealed.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::upload_quota::UploadQuota;
use super::{Store, later, off_thread, remove_durably, sync_dir};
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
    part: Arc<Part>,
    offset: u64,
    limit: u64,
}

/// The claimed part on the disk: its calls block. It is given back when the claim and the last call under it are gone.
#[derive(Debug)]
pub(super) struct Part {
    uploads: Uploads,
    slot: Arc<Slot>,
    claim: u64,
    sha256: String,
    path: PathBuf,
    file: File,
    keep: AtomicBool,
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

impl Drop for Part {
    fn drop(&mut self) {
        let (uploads, slot) = (self.uploads.clone(), self.slot.clone());
        let (claim, keep) = (self.claim, *self.keep.get_mut());
        let (path, sha256) = (std::mem::take(&mut self.path), std::mem::take(&mut self.sha256));
        // A newer claim may hold the lock while it writes.
        later(move || give_back(&uploads, &slot, claim, &sha256, (!keep).then_some(&path)));
    }
}

/// Ends `claim`, if it is still the newest, and removes its part where nobody has a use for it.
fn give_back(uploads: &Uploads, slot: &Arc<Slot>, claim: u64, sha256: &str, remove: Option<&PathBuf>) {
    let mut holder = locked(&slot.holder);
    if holder.claim == claim {
        if let Some(path) = remove {
            // Best effort: an old part is given up in time.
            let _ = std::fs::remove_file(path);
            uploads.quota.free(sha256);
        }
        (holder.at_work, holder.sealing) = (None, false);
    }
    drop(holder);
    slot.free.notify_one();
    let mut slots = locked(&uploads.slots);
    // This one and the map's: nobody else waits for it.
    if Arc::strong_count(slot) == 2 {
        slots.remove(sha256);
    }
}

impl Part {
    /// Opened to append: also after an error in the middle of a write the file is a beginning of the whole; with `piece` it has
    /// `end` bytes.
    fn append(&self, piece: &[u8], end: u64) -> Result<()> {
        let _turn = self.slot.turn(self.claim)?;
        self.uploads.quota.charge(&self.sha256, None, end)?;
        Ok((&self.file).write_all(piece)?)
    }

    fn empty(&self) -> Result<()> {
        let _turn = self.slot.turn(self.claim)?;
        Ok(self.file.set_len(0)?)
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data()?;
        // Its name, too: the first bytes made it.
        self.path.parent().map_or(Ok(()), sync_dir)
    }

    /// Removes it: it cannot become the whole.
    pub(super) fn remove(&self) -> Result<()> {
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
        let charged = self.part.uploads.quota.charge(&self.part.sha256, Some(sender), self.offset);
        // A part that is refused at its beginning leaves nothing behind.
        self.keep_part(charged.is_ok() || self.offset > 0);
        charged
    }

    /// Whether what has come stays for a later request when this one breaks off.
    pub fn keep_part(&mut self, keep: bool) {
        self.part.keep.store(keep, Ordering::Relaxed);
    }

    /// Lets go what has come before, to take all of it from the beginning.
    ///
    /// # Errors
    /// `Conflict` if a newer request has taken over; those of the disk.
    pub async fn restart(&mut self) -> Result<()> {
        self.with_part(Part::empty).await?;
        self.offset = 0;
        Ok(())
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `TooLarge` past the limit, `Conflict` if a newer request has taken over, `NoSpace` on a full disk.
    pub async fn write(&mut self, piece: Bytes) -> Result<()> {
        let end = self.offset + piece.len() as u64;
        if end > self.limit {
            return Err(Error::TooLarge {
                field: self.kind.as_str().into(),
                message: format!("is larger than {} bytes; allowed: {}", end - 1, self.limit),
            });
        }
        self.with_part(move |part| part.append(&piece, end)).await?;
        self.offset = end;
        Ok(())
    }

    /// Makes what has come durable and says how much that is.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn sync(&self) -> Result<u64> {
        // Crash before the answer: the phone asks again, and is told at least this much.
        self.with_part(Part::sync).await?;
        Ok(self.offset)
    }

    /// Gives up what has come: it cannot become the whole.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn discard(self) -> Result<()> {
        self.with_part(Part::remove).await
    }

    /// What is left to do on the disk, and how much has come.
    pub(super) fn into_part(self) -> (Arc<Part>, u64) {
        (self.part, self.offset)
    }

    async fn with_part(&self, work: impl FnOnce(&Part) -> Result<()> + Send + 'static) -> Result<()> {
        let part = self.part.clone();
        off_thread(move || work(&part)).await
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
        let mut open = File::options();
        open.append(true).read(true).create(true);
        self.claim_part(sha256_hex, &open).await.map(|(part, offset)| Upload {
            kind,
            part: Arc::new(part),
            offset,
            limit,
        })
    }

    /// Claims a part, opened by `open`, with its length.
    async fn claim_part(&self, sha256_hex: &str, open: &OpenOptions) -> Result<(Part, u64)> {
        let uploads = self.uploads.clone();
        let slot = locked(&uploads.slots).entry(sha256_hex.to_owned()).or_default().clone();
        let since = Instant::now();
        loop {
            let (uploads, slot_of, open) = (uploads.clone(), slot.clone(), open.clone());
            let (path, sha256) = (self.part_path(sha256_hex), sha256_hex.to_owned());
            let claimed = off_thread(move || try_claim(uploads, slot_of, since, &open, path, sha256)).await?;
            match claimed {
                Claimed::Part(part, offset) => return Ok((part, offset)),
                // Woken when it is free; asked again in any case.
                Claimed::Wait(wait) => drop(timeout(wait, slot.free.notified()).await),
            }
        }
    }

    /// How much of a file has come and is durable; an older request for it, which may hang, ends by this. Nothing is
    /// written.
    ///
    /// # Errors
    /// `Internal` if the disk fails.
    pub async fn upload_offset(&self, sha256_hex: &str) -> Result<u64> {
        let path = self.part_path(sha256_hex);
        if !off_thread(move || Ok(path.exists())).await? {
            return Ok(0);
        }
        let (part, offset) = self.claim_part(sha256_hex, File::options().read(true)).await?;
        off_thread(move || part.sync()).await?;
        Ok(offset)
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
            Err(gone @ Error::Gone(_)) => upload.discard().await.and(Err(gone)),
            Err(error) => Err(error),
        }
    }

    pub(super) fn part_path(&self, sha256_hex: &str) -> PathBuf {
        self.dir.join("uploads").join(format!("{sha256_hex}.part"))
    }
}

/// How a try to claim a part ended.
enum Claimed {
    Part(Part, u64),
    /// Whoever is at work now is let finish, so long.
    Wait(Duration),
}

fn try_claim(
    uploads: Uploads,
    slot: Arc<Slot>,
    since: Instant,
    open: &OpenOptions,
    path: PathBuf,
    sha256: String,
) -> Result<Claimed> {
    let mut holder = locked(&slot.holder);
    if let Some(wait) = Slot::wait(&holder, since) {
        return Ok(Claimed::Wait(wait));
    }
    let file = open.open(&path)?;
    let offset = file.metadata()?.len();
    let claim = holder.claim + 1;
    *holder = Holder { claim, at_work: Some(Instant::now()), sealing: false };
    drop(holder);
    let keep = AtomicBool::new(true);
    Ok(Claimed::Part(Part { uploads, slot, claim, sha256, path, file, keep }, offset))
}

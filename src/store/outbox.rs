//! What phones bring in archives, through the doors of single submissions. One bad item does not stop its neighbours.

use uuid::Uuid;

use super::reports::Added;
use super::sealed::check_hash;
use super::uploads::Upload;
use super::{Store, off_thread};
use crate::error::{Error, Result};
use crate::evidence::entry::Sealed;
use crate::lake::Place;
use crate::lake::geotag::Locator;
use crate::patrol::outbox::{Found, Item};
use crate::patrol::photo::{self, Limits};
use crate::patrol::report::{Arrival, NewReport, parse_report};
use crate::patrol::voice;
use crate::patrol::walk::{NewPatrol, parse_patrol};

/// By what an item is judged.
#[derive(Clone, Copy)]
pub struct Door<'a> {
    /// The place in use.
    pub place: &'a Place,
    /// Its index.
    pub locator: &'a Locator,
    /// Limits of photos.
    pub photos: Limits,
    /// Who brings it.
    pub by: &'a str,
}

/// What became of a member of an archive.
#[derive(Debug)]
pub struct Taken {
    /// Its name.
    pub member: String,
    /// Its receipt, or why it was refused.
    pub outcome: Result<Added>,
}

impl Store {
    /// Takes every item that `archive` gives, each in a commit of its own. An archive that is brought twice, or whose
    /// phone sends the same later, gives the first receipts.
    ///
    /// # Errors
    /// `Unavailable`, `NoSpace` and `Internal` end the run: items before are stored, and a second run is harmless.
    pub async fn take_archive(
        &self,
        archive: impl Iterator<Item = Found> + Send + 'static,
        door: Door<'_>,
    ) -> Result<Vec<Taken>> {
        let (mut all, mut left) = (Vec::new(), Some(archive));
        while let Some((archive, (member, found))) = next(&mut left).await? {
            left = Some(archive);
            let outcome = match found {
                // Crash after this line: the item may be durable; a second run gets the same receipt.
                Ok((item, bytes)) => self.take(item, bytes, door).await,
                Err(error) => Err(error),
            };
            all.push(Taken { member, outcome: keep_going(outcome)? });
        }
        Ok(all)
    }

    /// What of `archive` would be refused, and why. Nothing is stored.
    ///
    /// # Errors
    /// As [`Store::take_archive`].
    pub async fn check_archive(
        &self,
        archive: impl Iterator<Item = Found> + Send + 'static,
        door: Door<'_>,
    ) -> Result<Vec<(String, Result<()>)>> {
        let (mut all, mut left) = (Vec::new(), Some(archive));
        while let Some((archive, (member, found))) = next(&mut left).await? {
            left = Some(archive);
            let judged = match found {
                Ok((item, bytes)) => self.judge(item, bytes, door).await,
                Err(error) => Err(error),
            };
            all.push((member, keep_going(judged)?));
        }
        Ok(all)
    }

    async fn take(&self, item: Item, bytes: Vec<u8>, door: Door<'_>) -> Result<Added> {
        if let (Item::Patrol(_) | Item::Report(_), Some(known)) = (&item, self.find_sent(&bytes).await?) {
            return Ok(known);
        }
        let arrival = self.arrival_of(door);
        match item {
            Item::Patrol(id) => {
                let patrol = parse_patrol(&bytes, &arrival)?;
                same_id(patrol.record.id, id)?;
                self.add_patrol(NewPatrol { by: door.by.to_owned(), ..patrol }).await
            }
            Item::Report(id) => {
                let report = parse_report(&bytes, &arrival)?;
                same_id(report.id, id)?;
                self.add_report(NewReport { by: door.by.to_owned(), ..report }).await
            }
            Item::Photo(sha256) => {
                let upload = self.whole(Sealed::Photo, &sha256, door.photos.max_bytes, bytes).await?;
                self.add_photo(upload, &sha256, door.photos, door.by.to_owned()).await
            }
            Item::Voice(sha256) => {
                let upload = self.whole(Sealed::Voice, &sha256, voice::MAX_BYTES, bytes).await?;
                self.add_voice(upload, &sha256, door.by.to_owned()).await
            }
        }
    }

    /// An upload that is there at once.
    async fn whole(&self, kind: Sealed, sha256: &str, limit: u64, bytes: Vec<u8>) -> Result<Upload> {
        let mut upload = self.resume_upload(kind, sha256, limit).await?;
        upload.restart().await?;
        upload.write(bytes.into()).await?;
        Ok(upload)
    }

    async fn judge(&self, item: Item, bytes: Vec<u8>, door: Door<'_>) -> Result<()> {
        if let (Item::Patrol(_) | Item::Report(_), Some(_)) = (&item, self.find_sent(&bytes).await?) {
            return Ok(());
        }
        let arrival = self.arrival_of(door);
        match item {
            Item::Patrol(id) => parse_patrol(&bytes, &arrival).and_then(|p| same_id(p.record.id, id)),
            Item::Report(id) => parse_report(&bytes, &arrival).and_then(|r| same_id(r.id, id)),
            Item::Photo(sha256) => {
                self.check_erased(Sealed::Photo, &sha256).await?;
                self.decode(move || judge_photo(&sha256, &bytes, &door.photos)).await
            }
            Item::Voice(sha256) => {
                self.check_erased(Sealed::Voice, &sha256).await?;
                check_hash(&bytes, &sha256).and_then(|()| voice::inspect(&bytes)).map(|_| ())
            }
        }
    }

    /// When the phone's clock was read is not known of an archive, nor how long it was carried about: only a clock that
    /// betrays itself is set right.
    fn arrival_of<'a>(&self, door: Door<'a>) -> Arrival<'a> {
        Arrival { received_at: self.clock.now(), sent_at: None, place: door.place, locator: door.locator }
    }
}

/// The next member, unpacked off the threads that serve, and the archive back.
async fn next<A: Iterator<Item = Found> + Send + 'static>(
    left: &mut Option<A>,
) -> Result<Option<(A, Found)>> {
    let Some(mut archive) = left.take() else { return Ok(None) };
    off_thread(move || Ok(archive.next().map(|found| (archive, found)))).await
}

/// An error of the item is its own; one of the store or the disk is everybody's.
fn keep_going<T>(outcome: Result<T>) -> Result<Result<T>> {
    match outcome {
        Err(error @ (Error::Unavailable(_) | Error::NoSpace(_) | Error::Internal(_))) => Err(error),
        outcome => Ok(outcome),
    }
}

fn same_id(found: Uuid, named: Uuid) -> Result<()> {
    if found == named {
        return Ok(());
    }
    Err(Error::invalid("id", format!("is {found}; allowed: {named}, as its name in the archive says")))
}

fn judge_photo(sha256: &str, bytes: &[u8], limits: &Limits) -> Result<()> {
    check_hash(bytes, sha256)?;
    photo::inspect(bytes, limits).map(|_| ())
}

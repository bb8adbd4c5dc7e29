//! How much of what cannot be read is kept whole: a sensor that sends nonsense must not fill the disk, and what it sent must
//! stay provable. A letter beyond the quota is cut before it is committed, and its reason says so: the entry covers the
//! letter as it is kept.

use std::borrow::Cow;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::tx::Tx;
use super::{Store, read_error};
use crate::clock::day_number;
use crate::error::Result;
use crate::water::observation::DeadLetter;

/// What of one source is kept whole in one day (北京时间), bytes.
pub const DAY_BYTES: u64 = 64_000_000;
/// Of those beyond, what is kept of the first of one commit, bytes.
pub const CUT_BYTES: usize = 4096;

/// The dead letters of one commit of `source` as they are to be kept: whole as far as the day's quota goes; of the rest one
/// letter with the beginning of the first, the hash over all of them and their count.
pub(super) fn within_quota<'a>(
    tx: &Tx<'_>,
    source: &str,
    dead: &'a [DeadLetter],
    received_at: Timestamp,
) -> Result<Cow<'a, [DeadLetter]>> {
    if dead.is_empty() {
        return Ok(Cow::Borrowed(dead));
    }
    let today = day_number(received_at);
    let known: Option<(u64,)> =
        tx.find("select bytes from dead_letter_quota where source = ?1 and day = ?2", (source, today))?;
    let mut used = known.map_or(0, |(bytes,)| bytes);
    let mut fits = |letter: &&DeadLetter| {
        let after = used + (letter.raw.len() + letter.topic.len() + letter.reason.len()) as u64;
        let fits = after <= DAY_BYTES;
        used = if fits { after } else { used };
        fits
    };
    let (whole, beyond) = dead.split_at(dead.iter().take_while(&mut fits).count());
    tx.exec(
        "insert into dead_letter_quota (source, day, bytes, cut) values (?1, ?2, ?3, ?4)
         on conflict (source) do update set day = ?2, bytes = ?3, cut = cut + ?4",
        (source, today, used, beyond.len()),
    )?;
    let Some(cut) = cut(beyond) else { return Ok(Cow::Borrowed(dead)) };
    Ok(Cow::Owned(whole.iter().cloned().chain([cut]).collect()))
}

/// One letter that stands for all of them.
fn cut(letters: &[DeadLetter]) -> Option<DeadLetter> {
    let first = letters.first()?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    for letter in letters {
        hash.update(&letter.raw);
        bytes += letter.raw.len();
    }
    let raw = first.raw.get(..CUT_BYTES).unwrap_or(&first.raw).to_vec();
    let reason = format!(
        "{}; beyond the day's {DAY_BYTES} bytes of this source: kept are the first {} of {bytes} bytes of {} message(s), \
         SHA-256 {}",
        first.reason,
        raw.len(),
        letters.len(),
        hex::encode(hash.finalize())
    );
    Some(DeadLetter { reason, raw, ..first.clone() })
}

impl Store {
    /// How many messages were not kept whole since a person looked at the dead letters.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn count_cut_dead_letters(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("select coalesce(sum(cut), 0) from dead_letter_quota")
            .fetch_one(&self.readers)
            .await
            .map_err(read_error)?;
        Ok(count.unsigned_abs())
    }

    /// A person has looked at the dead letters.
    ///
    /// # Errors
    /// As every write.
    pub async fn see_dead_letters(&self) -> Result<()> {
        if self.count_cut_dead_letters().await? == 0 {
            return Ok(());
        }
        self.writer.run(|tx| tx.exec("update dead_letter_quota set cut = 0", ())).await
    }
}

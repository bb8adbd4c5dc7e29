//! How much room unfinished uploads may take, of one sender and in all. Who sent a part is kept in memory: after a restart
//! the parts that are there count in all alone, until their sender goes on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Unfinished uploads of one account, phone or token, bytes: ten photos of the largest size.
const SENDER_MAX: u64 = 200_000_000;
/// Unfinished uploads of everybody, bytes.
const ALL_MAX: u64 = 4_000_000_000;
/// What a part counts at least, bytes: an empty file takes room, too.
const PART_MIN: u64 = 65_536;

/// The parts there are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct UploadQuota(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    by_hash: HashMap<String, Part>,
    by_sender: HashMap<String, u64>,
    all: u64,
}

#[derive(Clone, Debug, Default)]
struct Part {
    sender: String,
    charged: u64,
}

impl UploadQuota {
    /// With the parts that lie in `folder`.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut parts = Parts::default();
        for file in std::fs::read_dir(folder)? {
            let file = file?;
            let name = file.path().file_stem().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            parts.add(name, Part { sender: String::new(), charged: file.metadata()?.len().max(PART_MIN) });
        }
        Ok(Self(Arc::new(Mutex::new(parts))))
    }

    /// Counts the part of `sha256` with `bytes`, for `sender` where that is said.
    ///
    /// # Errors
    /// `NoSpace` beyond what its sender, or everybody, may have; then it counts as before.
    pub fn charge(&self, sha256: &str, sender: Option<&str>, bytes: u64) -> Result<()> {
        let mut parts = self.locked();
        let before = parts.remove(sha256);
        let sender = sender.map_or_else(|| before.clone().unwrap_or_default().sender, str::to_owned);
        let charged = bytes.max(PART_MIN);
        let of_sender = parts.by_sender.get(&sender).copied().unwrap_or_default() + charged;
        // Parts of before a restart have no sender yet.
        let full = match parts.all + charged > ALL_MAX {
            true => Some(("everybody", ALL_MAX)),
            false => (of_sender > SENDER_MAX && !sender.is_empty()).then_some(("this sender", SENDER_MAX)),
        };
        if let Some((whose, max)) = full {
            if let Some(before) = before {
                parts.add(sha256.to_owned(), before);
            }
            let why = format!("unfinished uploads of {whose} take {max} bytes; finish or repeat those first");
            return Err(Error::NoSpace(why));
        }
        parts.add(sha256.to_owned(), Part { sender, charged });
        Ok(())
    }

    /// The part is whole, or gone.
    pub fn free(&self, sha256: &str) {
        self.locked().remove(sha256);
    }

    fn locked(&self) -> MutexGuard<'_, Parts> {
        // The sums are whole at any time: a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn add(&mut self, sha256: String, part: Part) {
        self.all += part.charged;
        *self.by_sender.entry(part.sender.clone()).or_default() += part.charged;
        self.by_hash.insert(sha256, part);
    }

    fn remove(&mut self, sha256: &str) -> Option<Part> {
        let part = self.by_hash.remove(sha256)?;
        self.all -= part.charged;
        if let Some(sum) = self.by_sender.get_mut(&part.sender) {
            *sum -= part.charged;
            if *sum == 0 {
                self.by_sender.remove(&part.sender);
            }
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_and_all_of_them_end_at_their_quota_and_what_is_finished_makes_room() {
        let quota = UploadQuota::default();
        let part = 20_000_000;
        for n in 0..10 {
            quota.charge(&format!("a{n}"), Some("phone-1"), part).unwrap();
        }
        let full = quota.charge("a10", Some("phone-1"), 0);
        assert!(matches!(&full, Err(Error::NoSpace(why)) if why.contains("this sender")), "{full:?}");
        quota.charge("a0", None, part).unwrap();
        assert!(quota.charge("a0", None, part + 1).is_err(), "it grows no further");
        quota.charge("b0", Some("phone-2"), part).unwrap();
        quota.free("a0");
        quota.charge("a10", Some("phone-1"), part).unwrap();
        for n in 0..ALL_MAX / part - 11 {
            quota.charge(&format!("c{n}"), Some(&format!("p-{n}")), part).unwrap();
        }
        let full = quota.charge("d", Some("p-999"), 1);
        assert!(matches!(&full, Err(Error::NoSpace(why)) if why.contains("everybody")), "{full:?}");
    }

    #[test]
    fn what_lies_there_at_the_start_counts() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("aa.part"), vec![0; 100_000]).unwrap();
        let quota = UploadQuota::of(dir.path()).unwrap();
        assert_eq!(quota.locked().all, 100_000);
        quota.charge("aa", Some("phone-1"), 120_000).unwrap();
        let parts = quota.locked();
        assert_eq!((parts.all, parts.by_sender["phone-1"]), (120_000, 120_000));
    }
}

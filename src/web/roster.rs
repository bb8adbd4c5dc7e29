//! The roster as it stands in the place's folder now: asked for with nearly every page, read when its file has changed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::app::App;
use crate::error::Result;
use crate::lake::Place;
use crate::patrol::roster::{self, FILE, Roster};
use crate::store::off_thread;

/// A file that was changed so lately may be changed again within the same tick of the file system's clock.
const SETTLED: Duration = Duration::from_secs(2);

/// The roster that was read last.
#[derive(Debug, Default)]
pub struct RosterCache(Mutex<Option<(Stamp, Arc<Roster>)>>);

/// What changes with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
}

impl App {
    /// The roster as it stands in the place's folder now. One that cannot be used stops nobody: it is as if there were
    /// none, and says so in its `warning`.
    pub async fn roster(&self) -> Arc<Roster> {
        let Some(dir) = self.settings.place_dir.clone() else { return Arc::default() };
        let (cache, place) = (self.roster_cache.clone(), self.place.clone());
        let read = off_thread(move || cache.read(&dir, &place)).await;
        read.unwrap_or_else(|why| Arc::new(Roster::unusable(&why)))
    }
}

impl RosterCache {
    fn read(&self, dir: &Path, place: &Place) -> Result<Arc<Roster>> {
        let stamp = stamp(&dir.join(FILE));
        // Whole at any time: a panic elsewhere spoils nothing.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, roster)) = known.as_ref().filter(|(of, _)| Some(*of) == stamp) {
            return Ok(roster.clone());
        }
        let roster = Arc::new(roster::load(dir, place).unwrap_or_else(|why| Roster::unusable(&why)));
        let settled = stamp.filter(|s| s.modified.elapsed().is_ok_and(|age| age > SETTLED));
        *known = settled.map(|stamp| (stamp, roster.clone()));
        Ok(roster)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(file).ok()?;
    Some(Stamp { modified: about.modified().ok()?, bytes: about.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::load::embedded;

    #[test]
    fn a_file_that_has_not_changed_is_read_once_and_a_changed_one_again() {
        let (dir, place, cache) = (tempfile::tempdir().unwrap(), embedded(), RosterCache::default());
        let file = dir.path().join(FILE);
        let write = |text: &str, age: u64| {
            std::fs::write(&file, text).unwrap();
            let at = SystemTime::now() - Duration::from_secs(age);
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(at).unwrap();
        };
        let read = || cache.read(dir.path(), &place).unwrap();
        assert_eq!(read().sha256, None);
        write("", 60);
        let first = read();
        assert!(first.sha256.is_some() && Arc::ptr_eq(&first, &read()));
        write("[[rule]]\n", 60);
        assert!(read().warning.is_some());
        // Two changes within one tick: the second is seen.
        write("# a", 0);
        let before = read();
        write("# b", 0);
        assert_ne!(read().sha256, before.sha256);
        std::fs::remove_file(&file).unwrap();
        assert_eq!((read().sha256.clone(), read().warning.clone()), (None, None));
    }
}

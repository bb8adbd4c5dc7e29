//! The guard file: the last signed checkpoint, outside the data directory.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::durable;
use crate::error::{Error, Result};
use crate::store::off_thread;

/// A process that signs holds the lock for milliseconds, longer only while it makes the tiles of a whole log again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at the lock.
const LOOK: Duration = Duration::from_millis(20);

/// Where the guard lies.
#[derive(Clone, Debug)]
pub(super) struct Guard(Arc<Path>);

/// The guard while nobody else signs; the system gives the lock back when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Held {
    path: Arc<Path>,
    _lock: File,
}

impl Guard {
    /// The guard at `configured`, or beside the data directory `dir`.
    pub fn new(configured: &Path, dir: &Path) -> Result<Self> {
        let wrong = |what: &str| {
            let allowed = "allowed: a file outside the data directory and its backup";
            Error::invalid("log.guard_file", format!("{what}; {allowed}"))
        };
        let dir = dir.canonicalize()?;
        let path = if configured.as_os_str().is_empty() {
            let name =
                dir.file_name().ok_or_else(|| wrong("the data directory has no name to put it beside"))?;
            dir.with_file_name(format!("{}.guard", name.to_string_lossy()))
        } else {
            let folder = configured.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder =
                folder.canonicalize().map_err(|e| wrong(&format!("the folder {}: {e}", folder.display())))?;
            folder.join(configured.file_name().ok_or_else(|| wrong("is not the name of a file"))?)
        };
        if path.starts_with(&dir) {
            return Err(wrong(&format!("{} lies inside the data directory", path.display())));
        }
        Ok(Self(path.into()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it holds.
    pub fn read(&self) -> Result<Option<String>> {
        durable::read(&self.0)
    }

    /// Waits until nobody else signs.
    pub async fn hold(&self) -> Result<Held> {
        let path = durable::beside(&self.0, ".lock");
        let failed =
            |e: std::io::Error| Error::Unavailable(format!("{} cannot be used: {e}", path.display()));
        let at = path.clone();
        let lock = off_thread(move || Ok(File::create(&at))).await?.map_err(failed)?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Held { path: self.0.clone(), _lock: lock }),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                    return Err(Error::Unavailable(format!("another process holds {}", path.display())));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl Held {
    pub fn path(&self) -> PathBuf {
        self.path.to_path_buf()
    }

    /// What it holds.
    pub async fn read(&self) -> Result<Option<String>> {
        let path = self.path.clone();
        off_thread(move || durable::read(&path)).await
    }

    /// Puts `new` in the place of `known`; durable when this returns. One that holds something else by now was written
    /// by somebody who does not keep to the lock (an instance on another machine): then nothing is changed.
    pub async fn swap(&self, known: Option<String>, new: String) -> Result<()> {
        let path = self.path.clone();
        let swap = move || {
            if durable::read(&path)? != known {
                let words =
                    format!("{} was changed by another instance; look for it and stop it", path.display());
                return Err(Error::Conflict(words));
            }
            durable::write(&path, new.as_bytes(), false)
        };
        off_thread(swap).await
    }
}

//! The log's key: one file in the data directory that only its owner can read.

use std::path::{Path, PathBuf};

use super::durable;
use crate::error::{Error, Result};
use crate::evidence::note::{Kind, SignerKey, check_name};

/// The key's file, and the one of its successor.
#[derive(Clone, Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    next: PathBuf,
    origin: String,
}

impl KeyFile {
    /// The key of the log `origin` in the data directory `dir`; made now if the log is `new`.
    pub fn open(dir: &Path, origin: &str, new: bool) -> Result<Self> {
        check_name(origin).map_err(|e| e.under("log.origin"))?;
        let this =
            Self { path: dir.join("log.key"), next: dir.join("log.key.next"), origin: origin.to_owned() };
        if new && durable::read(&this.path)?.is_none() {
            this.make(&this.path)?;
        }
        this.read()?;
        Ok(this)
    }

    fn make(&self, path: &Path) -> Result<SignerKey> {
        let key = SignerKey::generate(&self.origin, Kind::Ed25519)?;
        // Crash before this line: nothing was signed by it.
        durable::write(path, format!("{}\n", key.secret_text()).as_bytes(), true)?;
        Ok(key)
    }

    /// The key that signs now. Read every time: another process may have replaced it.
    pub fn read(&self) -> Result<SignerKey> {
        self.find(&self.path)?.ok_or_else(|| {
            Error::Unavailable(format!(
                "{} is missing, and this log is signed already, by what the database or the guard file (log.guard_file) \
                 says: put the key back from the backup, or begin another log in another data directory",
                self.path.display()
            ))
        })
    }

    /// The key that is to follow; made now if there is none.
    pub fn next(&self) -> Result<SignerKey> {
        self.find(&self.next)?.map_or_else(|| self.make(&self.next), Ok)
    }

    /// The key that is to follow, if one is waiting.
    pub fn find_next(&self) -> Result<Option<SignerKey>> {
        self.find(&self.next)
    }

    /// The key that was to follow takes over; the old one is gone.
    pub fn turn(&self) -> Result<()> {
        std::fs::rename(&self.next, &self.path)?;
        Ok(durable::sync_folder_of(&self.path)?)
    }

    fn find(&self, path: &Path) -> Result<Option<SignerKey>> {
        let Some(text) = durable::read_private(path)? else { return Ok(None) };
        let key: SignerKey = text.trim_end().parse().map_err(|e: Error| {
            Error::Unavailable(format!("{}: {e}; put it back from the backup", path.display()))
        })?;
        let origin = key.verifier().name();
        if origin != self.origin {
            return Err(Error::invalid(
                "log.origin",
                format!(
                    "{} is not the origin of this log, which is {origin} and stays so: its readers know it by this \
                     name. Allowed: {origin}",
                    self.origin
                ),
            ));
        }
        Ok(Some(key))
    }
}

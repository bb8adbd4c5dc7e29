//! A witness (C2SP tlog-witness, <https://c2sp.org/tlog-witness>): cosigns the heads of logs that it has seen grow, and
//! only these. Run by somebody who is not the log's operator, it is what makes a rewritten log impossible to hide.
//!
//! It knows one checkpoint of each log, in a file of its own, and nothing else; it answers only after that is durable.

mod serve;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::note::{Kind, Signature, SignerKey, VerifierKey};
use crate::evidence::witness::{AddCheckpoint, Denial};
use crate::publish::durable;
pub use serve::{Options, run};

/// A witness over its state folder; one process at a time has it.
#[derive(Debug)]
pub struct Witness {
    key: SignerKey,
    logs: BTreeMap<String, Mutex<Log>>,
    _lock: File,
}

/// A log as the witness knows it.
#[derive(Debug)]
struct Log {
    keys: Vec<VerifierKey>,
    file: PathBuf,
    known: Option<SignedCheckpoint>,
}

/// What a request comes to.
#[derive(Debug)]
pub enum Verdict {
    /// The line of the cosignature.
    Cosigned(Signature),
    /// The body cannot be read.
    Unreadable(Error),
    /// No log of this origin is known.
    UnknownLog,
    /// The log is known and this is not cosigned.
    Denied(Denial),
}

impl Witness {
    /// Opens the state folder `dir`, which it may make, for logs with these verifier keys; several of one origin are
    /// those that it signed with one after the other.
    ///
    /// # Errors
    /// `Invalid` at `--log` for a key that is not a log's, `Unavailable` for a folder that another witness has or whose
    /// state does not read: a witness that forgot would cosign a fork.
    pub fn open(key: SignerKey, dir: &Path, logs: &[String]) -> Result<Self> {
        std::fs::create_dir_all(dir)
            .map_err(|e| Error::Unavailable(format!("--state {}: {e}", dir.display())))?;
        let lock = File::create(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(e)) => return Err(e.into()),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Unavailable(format!("another witness has --state {}", dir.display())));
            }
        }
        let mut known: BTreeMap<String, Mutex<Log>> = BTreeMap::new();
        for text in logs {
            let key: VerifierKey = text.parse().map_err(|e: Error| e.under("--log"))?;
            if key.kind() != Kind::Ed25519 {
                return Err(Error::invalid("--log", format!("{key} is the key of a witness, not of a log")));
            }
            let log = match known.entry(key.name().to_owned()) {
                std::collections::btree_map::Entry::Occupied(log) => log.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(Mutex::new(Log::load(dir, key.name())?))
                }
            };
            log.get_mut().unwrap_or_else(PoisonError::into_inner).keys.push(key);
        }
        Ok(Self { key, logs: known, _lock: lock })
    }

    /// The key by which others know its cosignatures.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Cosigns the checkpoint of a request if its log has only grown. What is cosigned is durable before this returns.
    ///
    /// # Errors
    /// Those of the disk; then nothing was cosigned.
    pub fn add_checkpoint(&self, body: &str, now: Timestamp) -> Result<Verdict> {
        let request: AddCheckpoint = match body.parse() {
            Ok(request) => request,
            Err(error) => return Ok(Verdict::Unreadable(error)),
        };
        let Some(log) = self.logs.get(&request.checkpoint.checkpoint().origin) else {
            return Ok(Verdict::UnknownLog);
        };
        // Held to the end: between the look at what is known and its replacement no other request may come.
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(denial) = request.check(&log.keys, log.known.as_ref()) {
            if matches!(denial, Denial::Forked(_) | Denial::Unproved) {
                log.keep_denied(&request)?;
            }
            return Ok(Verdict::Denied(denial));
        }
        let line = request.checkpoint.cosign(&self.key, now)?;
        durable::write(&log.file, request.checkpoint.to_string().as_bytes(), false)?;
        // Crash before this line: the file knows a head that nobody was given a cosignature of. The log asks again, is
        // told the size, and goes on from there.
        log.known = Some(request.checkpoint);
        Ok(Verdict::Cosigned(line))
    }
}

impl Log {
    fn load(dir: &Path, origin: &str) -> Result<Self> {
        // An origin may hold slashes and be long; its hash is the name of a file everywhere.
        let file = dir.join(format!("{}.checkpoint", hex::encode(Sha256::digest(origin))));
        let known = durable::read(&file)?.map(|text| text.parse::<SignedCheckpoint>()).transpose();
        let known = known.map_err(|e| Error::Unavailable(format!("{}: {e}", file.display())))?;
        if let Some(other) = known.as_ref().filter(|known| known.checkpoint().origin != origin) {
            let other = &other.checkpoint().origin;
            return Err(Error::Unavailable(format!("{} is that of {other}", file.display())));
        }
        Ok(Self { keys: Vec::new(), file, known })
    }

    /// A head that is signed and does not continue what is known may be the proof that the log was forged: the newest
    /// such request is kept beside the state, as it came.
    fn keep_denied(&self, request: &AddCheckpoint) -> Result<()> {
        let file = self.file.with_extension("denied");
        let head = request.checkpoint.checkpoint();
        tracing::error!(
            origin = %head.origin, size = head.size, kept = %file.display(),
            "signed, and not proved to continue what was cosigned"
        );
        durable::write(&file, request.to_string().as_bytes(), false)
    }
}

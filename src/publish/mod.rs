//! The log published: a head that is signed, and that nobody can take back.
//!
//! [`Publisher::publish`] is the one way to a new checkpoint, for the service, for a command beside it, and after a
//! crash. It trusts nothing that it can look at again: leaf hashes come from the stored bytes, the tree before from the
//! stored tiles, and both must agree with the last checkpoint, with the head that the writing thread keeps, and with the
//! guard file. What is older than the last checkpoint is looked at by `jijia audit`.
//!
//! The guard file holds the last signed checkpoint, verbatim, and lies outside the data directory: a backup of the
//! directory does not hold it, so a restored old database meets a guard that knows more than it does. Two heads of one
//! size, or a head that forgets entries, would be proof that the office had forged its log; so in doubt nothing is
//! signed, the words say what to do, and reports are taken as before.
//!
//! Whoever keeps a signed head, a phone or a desk, asks by it whether this log goes on from there (`compare`).

mod compare;
pub mod durable;
mod guard;
mod key;
mod proofs;
mod refusal;
pub mod restore;
mod run;
mod step;
mod witness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::config;
use crate::error::{Error, Result};
use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::note::{SignerKey, VerifierKey};
use crate::store::{Store, off_thread};
pub use compare::Comparison;
use guard::Guard;
use key::KeyFile;
pub use proofs::{Consistency, Inclusion};
pub use refusal::Refusal;
pub use run::run;
pub use witness::{Witness, ask};

/// Signs the heads of one log. Cheap to clone; any number may work at once, in any number of processes.
#[derive(Clone, Debug)]
pub struct Publisher {
    store: Store,
    guard: Guard,
    key: KeyFile,
    witnesses: Arc<[Witness]>,
    state: Arc<Mutex<State>>,
    /// Size of the newest checkpoint that this process knows of.
    published: watch::Sender<u64>,
}

/// What is wrong now, by the last tries.
#[derive(Debug, Default)]
struct State {
    trouble: Option<Trouble>,
    /// By the name of the witness.
    witnesses: BTreeMap<String, String>,
}

/// What the guard of the data directory `dir` says was signed; `None` where there is no guard, or no checkpoint in it
/// (then nothing is signed either, and [`Publisher::publish`] says what to do).
///
/// # Errors
/// `Invalid` at `log.guard_file`; `Unavailable` if it cannot be read.
pub fn guarded(dir: &Path, config: &config::Log) -> Result<Option<Checkpoint>> {
    if !dir.is_dir() {
        return Ok(None);
    }
    let text = Guard::new(&config.guard_file, dir)?.read()?;
    Ok(text.and_then(|text| text.parse::<SignedCheckpoint>().ok()).map(|signed| signed.checkpoint().clone()))
}

/// The witnesses that are configured, by name, each with the key of its cosignatures.
///
/// # Errors
/// `Invalid` at `log.witnesses`.
pub fn witness_keys(config: &config::Log) -> Result<Vec<(String, VerifierKey)>> {
    Ok(witness::all(config)?.iter().map(Witness::named_key).collect())
}

/// Why the newest entries are not under a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In English, for `/readyz` and the log of the process.
    pub words: String,
    /// For the pages.
    pub words_zh: String,
}

impl Publisher {
    /// The publisher of the log in `store`. A log without a checkpoint gets its key now.
    ///
    /// # Errors
    /// `Invalid` at `log.origin` for another origin than the log has, at `log.guard_file` for a guard inside the data
    /// directory, at `log.witnesses`; `Unavailable` for a key that is missing or that others can read.
    pub async fn open(store: Store, config: &config::Log) -> Result<Self> {
        let guard = Guard::new(&config.guard_file, store.dir())?;
        let new = store.find_checkpoint().await?.is_none() && guard.read()?.is_none();
        let key = KeyFile::open(store.dir(), &config.origin, new)?;
        let witnesses = witness::all(config)?;
        Ok(Self { store, guard, key, witnesses, state: Arc::default(), published: watch::Sender::new(0) })
    }

    /// The key that a reader must know.
    ///
    /// # Errors
    /// `Unavailable` if the key's file cannot be used.
    pub async fn verifier(&self) -> Result<VerifierKey> {
        Ok(self.read_key().await?.verifier().clone())
    }

    async fn read_key(&self) -> Result<SignerKey> {
        let key = self.key.clone();
        off_thread(move || key.read()).await
    }

    /// Every key whose line a checkpoint of this log may carry: that which signs now, those before it, newest first, and
    /// the witnesses'.
    ///
    /// # Errors
    /// As [`Publisher::verifier`], and `Internal` if the database cannot be read.
    pub async fn known_keys(&self) -> Result<Vec<VerifierKey>> {
        let mut newest = self.verifier().await?;
        let (mut keys, mut before) = (Vec::new(), u64::MAX);
        // Only towards the beginning of the log: then it ends.
        while let Some(change) = self.store.find_key_change(&newest).await?.filter(|c| c.index < before) {
            before = change.index;
            keys.push(std::mem::replace(&mut newest, change.old));
        }
        keys.push(newest);
        keys.extend(self.witnesses.iter().map(|witness| witness.key().clone()));
        Ok(keys)
    }

    /// Who is to be asked by [`ask`].
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Brings everything that is committed under a checkpoint, and gives the newest.
    ///
    /// # Errors
    /// `Conflict` with the words of a [`Refusal`]: an operator must act. `NotFound` while the log is empty, and what
    /// the disk says: nothing was signed that is not kept.
    pub async fn publish(&self) -> Result<SignedCheckpoint> {
        let published = step::publish(self).await?;
        published.ok_or_else(|| Error::NotFound("the log has no entries yet".into()))
    }

    /// Replaces the log's key: an entry names both, the old key signs it, then the new one takes over.
    ///
    /// # Errors
    /// As [`Publisher::publish`]; called again it finishes what was begun.
    pub async fn rotate_key(&self) -> Result<VerifierKey> {
        let new: SignerKey = self.key.next()?;
        // Crash before this line: the next key lies in its file and nobody has heard of it.
        if self.store.find_key_change(new.verifier()).await?.is_none() {
            self.store.add_key(&self.verifier().await?, new.verifier()).await?;
        }
        // Crash before this line: the next publication, of whatever process, finishes.
        self.publish().await?;
        Ok(new.verifier().clone())
    }

    /// Why nothing is signed, by the last try.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.lock().trouble.clone()
    }

    /// Witnesses that do not cosign, with the reason.
    #[must_use]
    pub fn missing_witnesses(&self) -> Vec<(String, String)> {
        self.lock().witnesses.iter().map(|(name, words)| (name.clone(), words.clone())).collect()
    }

    /// Where the guard file lies.
    #[must_use]
    pub fn guard_file(&self) -> PathBuf {
        self.guard.path().to_owned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

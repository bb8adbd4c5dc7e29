//! Restoring a backup, so that the log goes on without a fork.
//!
//! A backup knows nothing of what was signed after it. Whoever holds a later head (the guard file, a witness) can show
//! that the log in the backup is behind; then it is not restored as if nothing had happened. Where nobody can show
//! anything, the log goes on under a new origin, which everybody sees.

use std::fs;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use jiff::Timestamp;

use super::durable;
use super::guard::Guard;
use crate::config;
use crate::error::{Error, Result};
use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::entry::LastHead;
use crate::evidence::note::{SignerKey, check_name};
use crate::lake::Place;
use crate::store::audit::{KnownHead, Options, Outcome, audit};
use crate::store::{backup, begin_origin};

/// Findings that a refusal repeats; `jijia audit` says them all.
const SAID: usize = 5;

/// Who says how far the log had come.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// A checkpoint from outside: the last of a witness, or of a bundle, verbatim.
    pub checkpoint: Option<String>,
    /// Nobody: the log goes on under this name, which must be that of `[log] origin`.
    pub new_origin: Option<String>,
}

/// Restores the backup `from` into the data directory `dir`, which is empty or not there.
///
/// # Errors
/// `Conflict` if the directory is in use, if nobody says how far the log had come, or if the backup is behind what was
/// signed; `Invalid` for a damaged backup. Then the data directory is as it was.
pub fn restore(
    from: &Path,
    dir: &Path,
    trust: &Trust,
    config: &config::Log,
    place: &Place,
    now: Timestamp,
    bar: &ProgressBar,
) -> Result<Outcome> {
    fs::create_dir_all(dir)?;
    if fs::read_dir(dir)?.next().is_some() {
        return Err(Error::Conflict(format!(
            "{} is not empty; restore into a new directory (--data), and keep the old one until this one serves",
            dir.display()
        )));
    }
    let guard = Guard::new(&config.guard_file, dir)?;
    let heads = heads(&guard, trust, config)?;
    let new = durable::beside(&dir.canonicalize()?, ".restoring");
    if new.exists() {
        // Left by one that broke off.
        fs::remove_dir_all(&new)?;
    }
    let manifest = backup::unpack(from, &new, None, bar)?;
    if let Some(name) = &trust.new_origin {
        let old = old_origin(&new)?;
        if old == *name {
            let message = format!("`{name}` is the old origin; allowed: a name that was never used");
            return Err(Error::invalid("new-origin", message));
        }
        begin_origin(&new, name, &old, last_head(&guard, trust)?, now)?;
        remove_keys(&new)?;
    }
    let options = Options {
        heads: heads.iter().map(|(whose, c)| known(whose, c.checkpoint())).collect(),
        ..Options::default()
    };
    let mut said = Vec::new();
    let outcome = audit(&new, place, &options, bar, &mut |finding| {
        said.extend((!finding.remark).then(|| finding.to_string()));
    })?;
    if !said.is_empty() {
        fs::remove_dir_all(&new)?;
        return Err(refused(&said, &manifest));
    }
    settle_guard(&guard, trust, &heads)?;
    // Crash before the rename: the data directory is empty or not there, and the same command begins anew.
    fs::remove_dir(dir)?;
    fs::rename(&new, dir)?;
    durable::sync_folder_of(&dir.canonicalize()?)?;
    Ok(outcome)
}

/// The heads that the restored log must contain, each with whose it is.
fn heads(guard: &Guard, trust: &Trust, config: &config::Log) -> Result<Vec<(String, SignedCheckpoint)>> {
    if let Some(name) = &trust.new_origin {
        check_name(name).map_err(|e| e.under("new-origin"))?;
        if *name != config.origin {
            let message = format!("is not [log] origin, `{}`; set that to the new name first", config.origin);
            return Err(Error::invalid("new-origin", message));
        }
        return Ok(Vec::new());
    }
    let mut heads = Vec::new();
    if let Some(text) = guard.read()? {
        let whose = format!("the guard file {}", guard.path().display());
        let checkpoint: SignedCheckpoint = text.parse().map_err(|e: Error| e.under(&whose))?;
        heads.push((whose, checkpoint));
    }
    if let Some(text) = &trust.checkpoint {
        heads.push((
            "the given checkpoint".to_owned(),
            text.parse().map_err(|e: Error| e.under("checkpoint"))?,
        ));
    }
    if heads.is_empty() {
        return Err(Error::Conflict(format!(
            "nobody says how far the log had come, so signing it again could fork it. Put the guard file in its place \
             ({}); or give the last checkpoint of a witness with --checkpoint FILE; or, if there is neither, choose a \
             new [log] origin and give it with --new-origin: the log goes on under it, and its first entry there names \
             the old one",
            guard.path().display()
        )));
    }
    if let Some((whose, other)) = heads.iter().find(|(_, c)| c.checkpoint().origin != config.origin) {
        let (found, wanted) = (&other.checkpoint().origin, &config.origin);
        return Err(Error::Conflict(format!("{whose} is of the log `{found}`, [log] origin is `{wanted}`")));
    }
    Ok(heads)
}

/// The largest head of the old log that anybody here still knows: what lies beyond the restored entries is lost, and the
/// first entry of the new origin says so.
fn last_head(guard: &Guard, trust: &Trust) -> Result<Option<LastHead>> {
    let mut heads = Vec::new();
    for text in guard.read()?.iter().chain(&trust.checkpoint) {
        heads.push(text.parse::<SignedCheckpoint>().map_err(|e| e.under("checkpoint"))?);
    }
    let largest = heads.iter().map(SignedCheckpoint::checkpoint).max_by_key(|head| head.size);
    Ok(largest.map(|head| LastHead { size: head.size, root: hex::encode(head.root) }))
}

fn known(whose: &str, head: &Checkpoint) -> KnownHead {
    KnownHead { whose: whose.to_owned(), size: head.size, root: head.root }
}

fn refused(said: &[String], manifest: &backup::Manifest) -> Error {
    let lines: Vec<&str> = said.iter().take(SAID).map(String::as_str).collect();
    Error::Conflict(format!(
        "not restored: the backup of {} with {} entries does not pass.\n  {}\nIf entries are missing it is older than \
         what was signed: look for a newer one. If none is left, the lost entries cannot be hidden, and the log goes on \
         only under a new [log] origin (--new-origin)",
        manifest.made_at,
        manifest.log_size,
        lines.join("\n  ")
    ))
}

/// The guard that the restored log begins with: the largest head that it was found to contain; of a new origin none.
fn settle_guard(guard: &Guard, trust: &Trust, heads: &[(String, SignedCheckpoint)]) -> Result<()> {
    if trust.new_origin.is_some() {
        if guard.read()?.is_some() {
            // It stays as what it is: the last word of the old origin.
            fs::rename(guard.path(), durable::beside(guard.path(), ".old"))?;
        }
        return Ok(());
    }
    match heads.iter().max_by_key(|(_, c)| c.checkpoint().size) {
        Some((_, largest)) => durable::write(guard.path(), largest.to_string().as_bytes(), false),
        None => Ok(()),
    }
}

/// The name under which the log was signed: that of its key.
fn old_origin(dir: &Path) -> Result<String> {
    let key = durable::read(&dir.join("log.key"))?;
    let key = key.and_then(|text| text.trim_end().parse::<SignerKey>().ok());
    Ok(key.map_or_else(|| "unsigned".to_owned(), |key| key.verifier().name().to_owned()))
}

/// The old origin's keys sign nothing any more; the new one's is made at the first start.
fn remove_keys(dir: &Path) -> Result<()> {
    for name in ["log.key", "log.key.next"] {
        let path: PathBuf = dir.join(name);
        if path.exists() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

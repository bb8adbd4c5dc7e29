//! The sign-in log: who signed in, failed, was refused or signed out, from where, and whose codes were locked. A file of
//! its own, `sign-in.log`, readable by its owner alone; the one place where addresses are kept. The law asks for six
//! months of it (网络安全法 art. 21). One line per minute, address, account and event, with a count.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Store;
use crate::error::{Error, Result};

/// The file in the data directory.
pub(super) const FILE: &str = "sign-in.log";
/// How long a line is kept: six months.
const KEEP: SignedDuration = SignedDuration::from_hours(180 * 24);
/// Largest file, bytes; beyond, the oldest lines go, a quarter at a time.
const MAX_BYTES: u64 = 50_000_000;
/// Lines of one minute; what more addresses do in it is counted under [`MORE`], so that a flood does not drive out six
/// months.
const MINUTE_LINES: usize = 60;
/// Stands for the addresses beyond [`MINUTE_LINES`].
const MORE: &str = "more";
/// Stands for a name that is no account: people type passwords into that field.
const UNKNOWN: &str = "unknown";
/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_secs(1);
/// Of the end of the file, what is read to show the newest lines.
const SHOWN_BYTES: u64 = 256 << 10;

/// What happened at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInEvent {
    /// Somebody signed in.
    SignIn,
    /// A password, PIN or code was wrong.
    Failure,
    /// A try was refused without looking at the secret.
    Refusal,
    /// Somebody signed out.
    SignOut,
    /// An account takes codes from known browsers only.
    Lock,
    /// An administrator let its codes be taken again.
    Unlock,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct SignInLine {
    /// The minute it happened in.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// From where; `more` for all addresses beyond those of one minute that are told apart.
    pub address: String,
    /// Id of the account; `unknown` where the name was nobody's.
    pub account: String,
    /// What.
    pub event: SignInEvent,
    /// How often in this minute.
    pub count: u32,
}

type Key = (Timestamp, String, String, SignInEvent);

/// The way to the log. Cheap to clone; what has gathered is written when the last clone goes.
#[derive(Clone, Debug)]
pub(super) struct SignIns(Arc<Log>);

#[derive(Debug)]
struct Log {
    path: PathBuf,
    /// What has happened and is not written.
    gathered: Mutex<BTreeMap<Key, u32>>,
    tail: Mutex<Tail>,
}

/// The lines of the newest minute, which stand at the end of the file and are written over as their counts grow.
#[derive(Debug, Default)]
struct Tail {
    lines: BTreeMap<Key, u32>,
    /// Where they begin, bytes.
    start: u64,
    /// When old lines were dropped last.
    pruned: Option<Timestamp>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts and offsets, whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SignIns {
    /// Begins to write the log of the data directory `dir`.
    pub fn start(dir: &Path) -> Result<Self> {
        let (gathered, tail) = (Mutex::default(), Mutex::default());
        let log = Arc::new(Log { path: dir.join(FILE), gathered, tail });
        let weak = Arc::downgrade(&log);
        std::thread::Builder::new().name("sign-ins".into()).spawn(move || follow(&weak))?;
        Ok(Self(log))
    }

    fn add(&self, at: Timestamp, address: String, account: Option<&str>, event: SignInEvent) {
        let account = account.unwrap_or(UNKNOWN).to_owned();
        *locked(&self.0.gathered).entry((minute(at), address, account, event)).or_default() += 1;
    }
}

fn minute(at: Timestamp) -> Timestamp {
    let s = at.as_second();
    Timestamp::from_second(s - s.rem_euclid(60)).unwrap_or(at)
}

/// Writes what gathers, until nobody can add to it any more.
fn follow(log: &Weak<Log>) {
    while let Some(log) = log.upgrade() {
        if let Err(error) = log.write() {
            tracing::error!(%error, "the sign-in log cannot be written");
        }
        drop(log);
        std::thread::sleep(GATHER);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(error) = self.write() {
            tracing::error!(%error, "the end of the sign-in log is lost");
        }
    }
}

impl Log {
    /// Writes what has gathered, to the disk: a loss of power costs the last second.
    fn write(&self) -> Result<()> {
        let mut tail = locked(&self.tail);
        let gathered = std::mem::take(&mut *locked(&self.gathered));
        let Some(((newest, ..), _)) = gathered.last_key_value() else { return Ok(()) };
        self.prune(&mut tail, *newest)?;
        let mut file = open(&self.path)?;
        for (key, count) in gathered {
            if tail.lines.last_key_value().is_none_or(|((at, ..), _)| *at != key.0) {
                tail.flush(&mut file)?;
                tail.lines.clear();
                tail.start = file.metadata()?.len();
            }
            tail.add(key, count);
        }
        tail.flush(&mut file)?;
        Ok(file.sync_data()?)
    }

    /// Drops what is too old, or too much, once a day and when the file is full.
    fn prune(&self, tail: &mut Tail, now: Timestamp) -> Result<()> {
        let length = std::fs::metadata(&self.path).map_or(0, |m| m.len());
        let due = tail.pruned.is_none_or(|at| now.duration_since(at) > SignedDuration::from_hours(24));
        if length < MAX_BYTES && !due {
            return Ok(());
        }
        tail.pruned = Some(now);
        let most = if length < MAX_BYTES { MAX_BYTES } else { MAX_BYTES / 4 * 3 };
        let from = first_kept(&self.path, now, length.saturating_sub(most))?;
        if from > 0 {
            keep_from(&self.path, from)?;
            // The newest minute's lines begin anew behind what is kept.
            tail.lines.clear();
        }
        Ok(())
    }
}

impl Tail {
    fn add(&mut self, (at, address, account, event): Key, count: u32) {
        let mut key = (at, address, account, event);
        if self.lines.len() >= MINUTE_LINES && !self.lines.contains_key(&key) {
            key.1 = MORE.to_owned();
        }
        let known = self.lines.entry(key).or_default();
        *known = known.saturating_add(count);
    }

    /// Writes the lines over their former selves: they only grow. A crash in the middle costs this minute.
    fn flush(&self, file: &mut File) -> Result<()> {
        let mut text = Vec::new();
        for ((at, address, account, event), count) in &self.lines {
            let (address, account) = (address.clone(), account.clone());
            let line = SignInLine { at: *at, address, account, event: *event, count: *count };
            serde_json::to_writer(&mut text, &line).map_err(|e| Error::Internal(e.to_string()))?;
            text.push(b'\n');
        }
        file.seek(SeekFrom::Start(self.start))?;
        Ok(file.write_all(&text)?)
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(options.open(path)?)
}

/// Where the first line begins that is young enough and not before `least`.
fn first_kept(path: &Path, now: Timestamp, least: u64) -> Result<u64> {
    let oldest = now.checked_sub(KEEP).unwrap_or(Timestamp::MIN);
    let mut lines = BufReader::new(open(path)?);
    let (mut offset, mut line) = (0, Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        let young = serde_json::from_slice::<SignInLine>(&line).is_ok_and(|l| l.at >= oldest);
        if young && offset >= least {
            break;
        }
        offset += line.len() as u64;
        line.clear();
    }
    Ok(offset)
}

fn keep_from(path: &Path, from: u64) -> Result<()> {
    let part = path.with_added_extension("part");
    let mut old = open(path)?;
    old.seek(SeekFrom::Start(from))?;
    let mut new = open(&part)?;
    new.set_len(0)?;
    std::io::copy(&mut old, &mut new)?;
    new.sync_all()?;
    // Crash before this line: the old file stands, and is cut again.
    Ok(std::fs::rename(&part, path)?)
}

/// Up to `limit` of the newest lines, the newest first.
fn newest(path: &Path, limit: usize) -> Result<Vec<SignInLine>> {
    let mut file = open(path)?;
    let start = file.metadata()?.len().saturating_sub(SHOWN_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    // The first of them may be cut, and does not read.
    let lines = text.rsplit(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    Ok(lines.take(limit).collect())
}

impl Store {
    /// Notes in the sign-in log what happened; `account` is the id of one that there is. A command at the shell keeps no
    /// such log.
    pub fn note_sign_in(&self, address: std::net::IpAddr, account: Option<&str>, event: SignInEvent) {
        if let Some(log) = &self.sign_ins {
            log.add(self.clock.now(), address.to_canonical().to_string(), account, event);
        }
    }

    /// Up to `limit` of the newest lines of the sign-in log, the newest first.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn list_sign_ins(&self, limit: usize) -> Result<Vec<SignInLine>> {
        let Some(SignIns(log)) = self.sign_ins.clone() else { return Ok(Vec::new()) };
        let read = move || {
            log.write()?;
            newest(&log.path, limit)
        };
        tokio::task::spawn_blocking(read).await.map_err(|e| Error::Internal(e.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &SignIns) -> Vec<SignInLine> {
        log.0.write().unwrap();
        newest(&log.0.path, 1000).unwrap()
    }

    #[test]
    fn repeats_are_counted_and_a_flood_of_addresses_is_one_line_more() {
        let dir = tempfile::tempdir().unwrap();
        let log = SignIns::start(dir.path()).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for second in ["01", "02", "59"] {
            let at = at(&format!("2026-12-01T08:00:{second}Z"));
            log.add(at, "10.0.0.1".into(), Some("p-03"), SignInEvent::Failure);
            lines(&log);
        }
        for n in 0..100 {
            log.add(at("2026-12-01T08:01:00Z"), format!("10.0.1.{n}"), None, SignInEvent::Failure);
        }
        let all = lines(&log);
        let first = all.last().unwrap();
        assert_eq!((first.count, first.account.as_str()), (3, "p-03"));
        assert_eq!(all.len(), 1 + MINUTE_LINES + 1);
        let more = all.iter().find(|l| l.address == MORE).unwrap();
        assert_eq!((more.count as usize, more.account.as_str()), (100 - MINUTE_LINES, UNKNOWN));
    }

    #[test]
    fn a_line_is_kept_half_a_year_and_the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let log = SignIns::start(dir.path()).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for day in ["2026-01-01", "2026-06-20", "2026-12-01"] {
            log.add(at(&format!("{day}T08:00:00Z")), "10.0.0.1".into(), None, SignInEvent::Failure);
            lines(&log);
        }
        let kept: Vec<String> = lines(&log).iter().map(|l| l.at.to_string()).collect();
        assert_eq!(kept, ["2026-12-01T08:00:00Z", "2026-06-20T08:00:00Z"]);
        // Too much: the oldest go.
        let line = serde_json::to_string(&lines(&log)[0]).unwrap() + "\n";
        std::fs::write(&log.0.path, line.repeat(1 + MAX_BYTES as usize / line.len())).unwrap();
        log.add(at("2026-12-01T08:05:00Z"), "10.0.0.2".into(), None, SignInEvent::Failure);
        assert_eq!(lines(&log)[0].address, "10.0.0.2");
        let length = std::fs::metadata(&log.0.path).unwrap().len();
        assert!(length < MAX_BYTES / 4 * 3 + 1000, "{length}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&log.0.path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

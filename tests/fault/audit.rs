//! Every promise about a data directory, checked from its stored bytes alone.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use jijia::evidence::entry::{Commitments, Entry, Kind, commitment};
use jijia::evidence::merkle::{Hash, Head, leaf_hash};
use rusqlite::{Connection, OptionalExtension};

use crate::service::{Answer, files_under, sha256_of};

/// Where an entry stands: index and leaf hash, hex.
pub type Leaf = (u64, String);

/// What a directory holds: the leaf of every report by id, of every photo by hash.
pub struct Held {
    pub reports: BTreeMap<String, Leaf>,
    pub photos: BTreeMap<String, Leaf>,
}

/// The leaf in a receipt.
pub fn leaf_of(answer: &Answer) -> Leaf {
    leaf_of_receipt(&answer.json())
}

pub fn leaf_of_receipt(receipt: &serde_json::Value) -> Leaf {
    (receipt["index"].as_u64().unwrap(), receipt["leaf_hash"].as_str().unwrap().to_owned())
}

type Checked<T = ()> = Result<T, String>;

fn want(holds: bool, what: impl Display) -> Checked {
    if holds { Ok(()) } else { Err(what.to_string()) }
}

fn words(error: impl Display) -> String {
    error.to_string()
}

/// Reads everything and checks it: the database's own integrity, leaf hashes and head of the log recomputed, signed heads compared, the
/// commitments of every report, the bytes of every photo. A report or photo that is there twice is an error.
pub fn audit(dir: &Path) -> Checked<Held> {
    let db = Connection::open(dir.join("jijia.db")).map_err(words)?;
    db.busy_timeout(std::time::Duration::from_secs(30)).map_err(words)?;
    // One view of everything: the service may be writing meanwhile.
    db.execute_batch("begin").map_err(words)?;
    let integrity: String = db.query_row("pragma integrity_check", [], |r| r.get(0)).map_err(words)?;
    want(integrity == "ok", format!("integrity_check: {integrity}"))?;
    let strangers: i64 =
        db.query_row("select count(*) from pragma_foreign_key_check", [], |r| r.get(0)).map_err(words)?;
    want(strangers == 0, format!("{strangers} rows without the row they name"))?;
    let mut held = Held { reports: BTreeMap::new(), photos: BTreeMap::new() };
    for (index, (entry, leaf)) in log(&db)?.into_iter().enumerate() {
        let leaf = (index as u64, hex::encode(leaf));
        let twice = match entry.kind {
            Kind::Report { id, .. } => {
                whole_report(&db, leaf.0, id.as_bytes(), &entry.commit)?;
                held.reports.insert(id.to_string(), leaf)
            }
            Kind::Photo { sha256, bytes, .. } => {
                whole_photo(&db, dir, leaf.0, &sha256, bytes)?;
                held.photos.insert(sha256, leaf)
            }
            _ => None,
        };
        want(twice.is_none(), format!("entry {index} doubles {twice:?}"))?;
    }
    let rows = |table: &str| -> Checked<usize> {
        db.query_row(&format!("select count(*) from {table}"), [], |r| r.get(0)).map_err(words)
    };
    for (table, entries) in [
        ("submission", held.reports.len()),
        ("sighting", held.reports.len()),
        ("report_version", held.reports.len()),
        ("photo", held.photos.len()),
    ] {
        want(rows(table)? == entries, format!("{table}: {} rows, {entries} entries", rows(table)?))?;
    }
    sealed(dir)?;
    Ok(held)
}

/// The log with its leaf hashes, after these and the stored head were computed again from the stored bytes.
fn log(db: &Connection) -> Checked<Vec<(Entry, Hash)>> {
    let mut head = Head::default();
    let mut roots = vec![head.root()];
    let mut entries = Vec::new();
    let mut rows = db.prepare("select idx, body, leaf from entry order by idx").map_err(words)?;
    let rows = rows
        .query_map([], |r| Ok((r.get::<_, u64>(0)?, r.get::<_, Vec<u8>>(1)?, r.get::<_, Hash>(2)?)))
        .map_err(words)?;
    for row in rows {
        let (index, body, leaf) = row.map_err(words)?;
        want(index == head.size(), format!("entry {index} stands where {} should", head.size()))?;
        want(leaf == leaf_hash(&body), format!("the leaf hash of entry {index}"))?;
        head.push(leaf);
        roots.push(head.root());
        entries.push((serde_json::from_slice(&body).map_err(words)?, leaf));
    }
    signed(db, &roots)?;
    let stored = db
        .query_row("select size, frontier from log_head", [], |r| {
            Ok((r.get::<_, u64>(0)?, r.get::<_, Vec<u8>>(1)?))
        })
        .map_err(words)?;
    want(stored == (head.size(), head.frontier()), format!("the stored head, size {}", stored.0))?;
    Ok(entries)
}

/// Every signed head says the root over the entries that are there: lines two and three of its text (C2SP
/// tlog-checkpoint).
fn signed(db: &Connection, roots: &[Hash]) -> Checked {
    let mut notes = db.prepare("select note from checkpoint").map_err(words)?;
    for note in notes.query_map([], |r| r.get::<_, String>(0)).map_err(words)? {
        let note = note.map_err(words)?;
        let mut lines = note.lines().skip(1);
        let size: Option<usize> = lines.next().and_then(|line| line.parse().ok());
        let root = size.and_then(|size| roots.get(size)).map(|root| BASE64_STANDARD.encode(root));
        want(
            root.is_some() && root.as_deref() == lines.next(),
            format!("a signed head over other entries: {note}"),
        )?;
    }
    Ok(())
}

fn whole_report(db: &Connection, index: u64, id: &[u8; 16], commit: &Commitments) -> Checked {
    let key: Option<u64> = db
        .query_row("select entry from submission where id = ?1", (id,), |r| r.get(0))
        .optional()
        .map_err(words)?;
    want(key == Some(index), format!("the key of report {index} names {key:?}"))?;
    let sighting: Option<u64> = db
        .query_row("select head_entry from sighting where report = ?1", (id,), |r| r.get(0))
        .optional()
        .map_err(words)?;
    want(sighting == Some(index), format!("the sighting of report {index} names {sighting:?}"))?;
    let mut payloads = db.prepare("select name, salt, body from payload where entry = ?1").map_err(words)?;
    let found: Commitments = payloads
        .query_map((index,), |r| {
            let (salt, body): (Vec<u8>, Vec<u8>) = (r.get(1)?, r.get(2)?);
            Ok((r.get(0)?, hex::encode(commitment(&salt, &body))))
        })
        .and_then(Iterator::collect)
        .map_err(words)?;
    want(&found == commit, format!("the payloads of report {index}"))
}

fn whole_photo(db: &Connection, dir: &Path, index: u64, sha256: &str, bytes: u64) -> Checked {
    let row: Option<(u64, bool)> = db
        .query_row("select entry, preview from photo where sha256 = unhex(?1)", (sha256,), |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .optional()
        .map_err(words)?;
    let Some((entry, preview)) = row else { return Err(format!("photo entry {index} has no row")) };
    want(entry == index, format!("the row of photo {index} names {entry}"))?;
    let (folder, name) = sha256.split_at(2);
    let original = std::fs::read(dir.join("photos").join(folder).join(format!("{name}.bin")))
        .map_err(|e| format!("photo {sha256}: {e}"))?;
    want(original.len() as u64 == bytes, format!("the length of photo {sha256}"))?;
    if preview {
        let copy = dir.join("previews").join(folder).join(format!("{name}.jpg"));
        let copy = std::fs::read(copy).map_err(|e| format!("preview {sha256}: {e}"))?;
        image::load_from_memory(&copy).map_err(|e| format!("preview {sha256}: {e}"))?;
    }
    Ok(())
}

/// Nothing but whole photos lies under the hashes.
pub fn sealed(dir: &Path) -> Checked {
    for path in files_under(dir) {
        let within = path.strip_prefix(dir).map_err(words)?;
        if !within.starts_with("photos") {
            continue;
        }
        let parts: Vec<_> = within.iter().map(|p| p.to_string_lossy()).collect();
        let found = sha256_of(&std::fs::read(&path).map_err(words)?);
        let named = format!("{}{}", parts[1], parts[2]);
        want(named == format!("{found}.bin"), format!("{} holds {found}", within.display()))?;
    }
    Ok(())
}

/// What half-done work left behind, beside the sealed photos and their copies.
pub fn leftovers(dir: &Path) -> Vec<std::path::PathBuf> {
    let done = |ending: &str| ending == "bin" || ending == "jpg";
    files_under(dir)
        .into_iter()
        .filter(|p| !p.extension().and_then(|e| e.to_str()).is_some_and(done))
        .collect()
}

//! The entries: consecutive, each with its own leaf hash, all under the stored head; and what each of them names.

use super::signed::Signed;
use super::{Audit, evidence, water};
use crate::evidence::edge::Edge;
use crate::evidence::entry::{Entry, Kind, clock_behind_s};
use crate::evidence::merkle::{Hash, Head, leaf_hash};

/// An entry as it is stored.
pub(super) struct Stored {
    pub index: i64,
    pub kind: String,
    pub received_ms: i64,
    pub body: Vec<u8>,
    pub leaf: Vec<u8>,
}

pub(super) fn check(audit: &mut Audit<'_>) -> rusqlite::Result<Head> {
    let conn = audit.conn;
    read_places(audit)?;
    audit.bar.set_length(conn.query_row("select count(*) from entry", [], |r| r.get(0))?);
    let (mut tree, mut signed) = (Edge::default(), Signed::read(audit)?);
    let mut streams = water::Streams::read(conn)?;
    let (mut place, mut demo, mut before_ms) = (String::new(), false, i64::MIN);
    let mut statement = conn.prepare("select idx, kind, received_ms, body, leaf from entry order by idx")?;
    let mut rows = statement.query([])?;
    while let Some(r) = rows.next()? {
        let stored = Stored {
            index: r.get(0)?,
            kind: super::text(r, 1)?,
            received_ms: r.get(2)?,
            body: r.get(3)?,
            leaf: r.get(4)?,
        };
        audit.pace.take(stored.body.len());
        audit.bar.inc(1);
        let entry = check_entry(audit, &stored, tree.size());
        signed.push(audit, &mut tree, leaf_hash(&stored.body))?;
        let Some(entry) = entry else { continue };
        check_time(audit, &stored, &entry, std::mem::replace(&mut before_ms, stored.received_ms));
        // A demo's mark is its first entry; those of version 1 had none.
        demo |= entry.kind == Kind::Demo || (stored.index == 0 && entry.v == 1);
        if entry.kind == Kind::Demo && stored.index != 0 {
            audit.find("entry", stored.index, "says that the log is a demo's, and is not its first");
        }
        signed.learn(&entry);
        if let Kind::Place { hash } = &entry.kind {
            place.clone_from(hash);
        }
        evidence::check(audit, &stored, &entry)?;
        water::check(audit, &mut streams, &stored, &entry)?;
    }
    signed.finish(audit, &tree)?;
    let head = tree.head();
    streams.check_unused(audit);
    check_head(audit, &head)?;
    check_meta(audit, &place, demo)?;
    Ok(head)
}

/// All places first: a version is judged again by places that come into the log after it.
fn read_places(audit: &mut Audit<'_>) -> rusqlite::Result<()> {
    audit.places.insert(audit.place.hash);
    let mut statement = audit.conn.prepare("select body from entry where kind = 'place'")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let entry = Entry::parse(&row.get::<_, Vec<u8>>(0)?);
        if let Ok(Kind::Place { hash }) = entry.map(|entry| entry.kind) {
            let hash: Option<Hash> = hex::decode(hash).ok().and_then(|h| h.try_into().ok());
            audit.places.extend(hash);
        }
    }
    Ok(())
}

fn check_entry(audit: &mut Audit<'_>, stored: &Stored, expected: u64) -> Option<Entry> {
    let index = stored.index;
    if i64::try_from(expected) != Ok(index) {
        audit.find("entry", index, format!("stands where {expected} should be"));
    }
    let leaf = leaf_hash(&stored.body);
    if stored.leaf != leaf {
        audit.find("entry", index, format!("its bytes have the leaf hash {}", hex::encode(leaf)));
    }
    let entry = match Entry::parse(&stored.body) {
        Ok(entry) => entry,
        Err(error) => {
            audit.find("entry", index, format!("its bytes do not read: {error}"));
            return None;
        }
    };
    let kind = entry.kind.as_str();
    if stored.kind != kind {
        audit.find("entry", index, format!("kind is `{}`, its bytes say `{kind}`", stored.kind));
    }
    let received_ms = entry.received_at.as_millisecond();
    if stored.received_ms != received_ms {
        audit.find(
            "entry",
            index,
            format!("received_ms is {}, its bytes say {received_ms}", stored.received_ms),
        );
    }
    Some(entry)
}

/// An entry that was received before the one that stands before it, by more than chance: the service says so itself where its
/// clock had been set back; nobody did before version 2.
fn check_time(audit: &mut Audit<'_>, stored: &Stored, entry: &Entry, before_ms: i64) {
    let (index, said) = (stored.index, entry.clock_behind_s);
    match (clock_behind_s(before_ms, stored.received_ms), said) {
        (Some(behind_s), _) => {
            let what = format!("was received {behind_s} s before the entry before it");
            match said {
                Some(said) if said == behind_s => {
                    audit.remark(
                        "entry",
                        index,
                        format!("{what}: the service's clock was behind, and it said so"),
                    );
                }
                None if entry.v == 1 => audit.remark("entry", index, what),
                _ => audit.find("entry", index, format!("{what}, and does not say so")),
            }
        }
        (None, Some(said)) => {
            audit.find("entry", index, format!("says that the clock was {said} s behind; it was not"));
        }
        (None, None) => {}
    }
}

fn check_head(audit: &mut Audit<'_>, head: &Head) -> rusqlite::Result<()> {
    let (size, frontier): (i64, Vec<u8>) =
        audit.conn.query_row("select size, frontier from log_head where one = 1", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })?;
    if i64::try_from(head.size()) != Ok(size) {
        audit.find("log_head", 1, format!("size is {size}, there are {} entries", head.size()));
    } else if frontier != head.frontier() {
        let root = hex::encode(head.root());
        audit.find("log_head", 1, format!("is not the head over the entries, whose root is {root}"));
    }
    Ok(())
}

/// The place that the service takes for the newest in the log.
fn check_meta(audit: &mut Audit<'_>, place: &str, demo: bool) -> rusqlite::Result<()> {
    let mut statement = audit.conn.prepare("select key, value from meta")?;
    let rows: Vec<(String, String)> = statement
        .query_map([], |r| Ok((super::text(r, 0)?, super::text(r, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (key, value) in &rows {
        let good = match key.as_str() {
            "place" => value == place,
            "demo" => value == "1" && demo,
            _ => false,
        };
        if !good {
            audit.find("meta", key, format!("`{value}` is not what the log says"));
        }
    }
    if !place.is_empty() && rows.iter().all(|(key, _)| key != "place") {
        audit.find("meta", "place", format!("is missing; the log says {place}"));
    }
    Ok(())
}

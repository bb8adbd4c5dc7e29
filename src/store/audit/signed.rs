//! What was signed and published: checkpoints and the heads that others hold, against the tree over the entries; the
//! stored tiles against its hashes.

use rusqlite::OptionalExtension;

use super::{Audit, GuardFile, text, watched};
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::edge::Edge;
use crate::evidence::entry::{Entry, Kind};
use crate::evidence::merkle::Hash;
use crate::evidence::note::{Signature, VerifierKey};
use crate::evidence::tile::{Content, Tile};

const HASH_BYTES: usize = 32;

/// A head that the log must have had.
struct Known {
    table: &'static str,
    key: String,
    size: u64,
    root: Hash,
}

/// The heads by size, and the checkpoints until the keys of the log are known.
pub(super) struct Signed {
    heads: Vec<Known>,
    next: usize,
    checkpoints: Vec<SignedCheckpoint>,
    keys: Vec<VerifierKey>,
    /// Entries under the largest checkpoint: so far the tiles must reach.
    published: u64,
}

impl Signed {
    /// The stored checkpoints (a few: the newest, one for each key, the cosigned ones) and the heads of others.
    pub fn read(audit: &mut Audit<'_>) -> rusqlite::Result<Self> {
        let guard = if let GuardFile::Holds(head) = audit.guard { Some(head) } else { None };
        let others = audit.heads.iter().chain(guard).map(|head| Known {
            table: "log",
            key: format!("head of {}", head.whose),
            size: head.size,
            root: head.root,
        });
        let keys = audit.key.iter().cloned().collect();
        let mut this = Self { heads: others.collect(), next: 0, checkpoints: Vec::new(), keys, published: 0 };
        let mut statement = audit.conn.prepare("select size, key, note from checkpoint order by size")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (size, key): (i64, i64) = (row.get(0)?, row.get(1)?);
            let Ok(signed) = text(row, 2)?.parse::<SignedCheckpoint>() else {
                audit.find("checkpoint", size, "does not read");
                continue;
            };
            let said = signed.checkpoint();
            let signer = signed.note().signatures().first().map(|s| i64::from(s.id));
            if i64::try_from(said.size) != Ok(size) || signer != Some(key) {
                audit.find("checkpoint", size, "its note is of another size or key");
                continue;
            }
            let (said_size, root) = (said.size, said.root);
            this.heads.push(Known { table: "checkpoint", key: size.to_string(), size: said_size, root });
            this.published = said_size;
            this.checkpoints.push(signed);
        }
        this.heads.sort_by_key(|h| h.size);
        Ok(this)
    }

    /// Appends a leaf and compares what that completes.
    pub fn push(&mut self, audit: &mut Audit<'_>, tree: &mut Edge, leaf: Hash) -> rusqlite::Result<()> {
        let mut full = Vec::new();
        tree.push(leaf, |tile, hashes| full.push((tile, hashes)));
        for (tile, hashes) in full {
            self.check_tile(audit, tile, &hashes)?;
        }
        while let Some(known) = self.heads.get(self.next).filter(|h| h.size <= tree.size()) {
            if known.size == tree.size() && known.root != tree.head().root() {
                audit.find(
                    known.table,
                    &known.key,
                    "is not the head of the first entries: they were changed",
                );
            }
            self.next += 1;
        }
        Ok(())
    }

    /// The keys that entries name, to judge the signatures by.
    pub fn learn(&mut self, entry: &Entry) {
        if let Kind::Key { old, new } = &entry.kind {
            self.keys.extend([old, new].into_iter().filter_map(|key| key.parse().ok()));
        }
    }

    /// What can be said only at the end of the log.
    pub fn finish(&self, audit: &mut Audit<'_>, tree: &Edge) -> rusqlite::Result<()> {
        for known in &self.heads[self.next..] {
            let what =
                format!("is of {} entries, the log has {}: entries are missing", known.size, tree.size());
            audit.find(known.table, &known.key, what);
        }
        for signed in &self.checkpoints {
            if self.keys.iter().all(|key| signed.verify(key).is_err()) {
                audit.find("checkpoint", signed.checkpoint().size, "is not signed by a key of this log");
            }
        }
        for (tile, hashes) in tree.tiles() {
            self.check_tile(audit, tile, hashes)?;
        }
        self.check_ends(audit, tree.size())?;
        check_cosignatures(audit)?;
        watched::check(audit, self.published)
    }

    /// A stored tile is the beginning of the one that the entries give, and reaches as far as was published.
    fn check_tile(&self, audit: &mut Audit<'_>, tile: Tile, hashes: &[Hash]) -> rusqlite::Result<()> {
        let Content::Hashes(level) = tile.content else { return Ok(()) };
        let n = i64::try_from(tile.n).unwrap_or(i64::MAX);
        let stored: Option<Vec<u8>> = audit
            .conn
            .prepare_cached("select hashes from tile where level = ?1 and n = ?2")?
            .query_row((level, n), |r| r.get(0))
            .optional()?;
        let needed = Tile::in_tree(tile.content, tile.n, self.published).map_or(0, |t| t.width);
        let stored = stored.unwrap_or_default();
        let key = format!("{level} {n}");
        if stored.len() < usize::from(needed) * HASH_BYTES {
            audit.find(
                "tile",
                key,
                format!("is missing or has fewer than the {needed} hashes that were published"),
            );
        } else if !hashes.concat().starts_with(&stored) || !stored.len().is_multiple_of(HASH_BYTES) {
            audit.find("tile", key, "is not what the entries give; `jijia log rebuild` makes it again");
        }
        Ok(())
    }

    /// No tile lies past the tree, and the last one of leaves ends where the largest checkpoint does.
    fn check_ends(&self, audit: &mut Audit<'_>, size: u64) -> rusqlite::Result<()> {
        let mut statement = audit.conn.prepare("select level, n, length(hashes) from tile")?;
        let mut rows = statement.query([])?;
        let mut leaves = 0;
        while let Some(row) = rows.next()? {
            let (level, n, bytes): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let tile = u8::try_from(level)
                .ok()
                .zip(u64::try_from(n).ok())
                .and_then(|(level, n)| Tile::in_tree(Content::Hashes(level), n, size));
            if tile.is_none() || bytes == 0 {
                audit.find("tile", format!("{level} {n}"), "is not part of this tree");
            }
            if level == 0 {
                leaves += bytes.unsigned_abs() / HASH_BYTES as u64;
            }
        }
        // Full tiles may be ahead of a checkpoint that is being made; a partial one comes with its checkpoint.
        if !leaves.is_multiple_of(256) && leaves != self.published {
            let what = format!(
                "tiles were published up to {leaves} entries, the largest one is of {}",
                self.published
            );
            audit.find("checkpoint", leaves, what);
        }
        Ok(())
    }
}

/// A witness's key is its own affair; what can be told here is that the line is one, and of whom.
fn check_cosignatures(audit: &mut Audit<'_>) -> rusqlite::Result<()> {
    let mut statement = audit.conn.prepare(
        "select s.witness, s.line, c.size from cosignature s left join checkpoint c on c.size = s.size",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (witness, line, size): (String, String, Option<i64>) =
            (text(row, 0)?, text(row, 1)?, row.get(2)?);
        let of = line.parse::<Signature>().ok().map(|s| format!("{}+{:08x}", s.name, s.id));
        if size.is_none() || of.as_ref() != Some(&witness) {
            audit.find("cosignature", witness, "is not a line of this witness under a stored checkpoint");
        }
    }
    Ok(())
}

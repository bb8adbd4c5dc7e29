//! The yardstick: a loop that writes the rows a report makes, and does nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use crate::{Fault, lake};

/// Reports per commit.
const GROUP: usize = 64;
/// Reports whose rows are kept as patterns.
const PATTERNS: usize = 1_000;

/// A table that a report writes: name, the columns that hold its entry's index, the column that holds its id.
const TABLES: [(&str, &[usize], Option<usize>); 7] = [
    ("entry", &[0], None),
    ("payload", &[0], None),
    ("submission", &[1], Some(0)),
    ("report_version", &[1], Some(0)),
    ("geotag", &[0], None),
    ("report_photo", &[], Some(0)),
    ("sighting", &[1, 2], Some(0)),
];

/// Rows of one report: the table's number in [`TABLES`], and its values.
type Rows = Vec<(usize, Vec<Value>)>;

/// An open database with the product's tables, and what to write into it.
pub struct Bare {
    conn: Connection,
    patterns: Vec<Rows>,
    next: u64,
    /// How long each commit took, its inserts included: what the disk lets nobody go below.
    pub commits: Vec<Duration>,
}

impl Bare {
    /// Makes `path` with the product's schema and settings, and reads the patterns from the product's database.
    pub fn open(path: &Path, product: &Path) -> Result<Self, Fault> {
        let conn = Connection::open(path)?;
        conn.execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
             pragma cache_size = -16000; pragma temp_store = memory;",
        )?;
        conn.execute_batch(include_str!("../../../src/store/migrations/0001.sql"))?;
        conn.execute_batch(include_str!("../../../src/store/migrations/0006.sql"))?;
        conn.set_prepared_statement_cache_capacity(64);
        let product = Connection::open_with_flags(product, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut entries =
            product.prepare(&format!("select entry, report from report_version limit {PATTERNS}"))?;
        let found: Vec<(i64, Vec<u8>)> =
            entries.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
        let patterns = found.iter().map(|(entry, id)| rows_of(&product, *entry, id));
        Ok(Self { conn, patterns: patterns.collect::<Result<_, _>>()?, next: 0, commits: Vec::new() })
    }

    /// Writes `count` reports in commits of 64, as fast as it goes.
    pub fn write(&mut self, count: usize) -> Result<Duration, Fault> {
        let prepared: Vec<Rows> = (0..count).map(|_| self.pattern()).collect();
        let started = Instant::now();
        for group in prepared.chunks(GROUP) {
            let begun = Instant::now();
            self.conn.execute_batch("begin immediate")?;
            for (table, values) in group.iter().flatten() {
                self.conn.prepare_cached(INSERTS[*table])?.execute(params_from_iter(values))?;
            }
            self.conn
                .prepare_cached(
                    "update log_head set size = size + ?1, frontier = zeroblob(448) where one = 1",
                )?
                .execute([group.len()])?;
            self.conn.execute_batch("commit")?;
            self.commits.push(begun.elapsed());
        }
        Ok(started.elapsed())
    }

    /// The rows of the next report: a pattern with an entry index and an id of its own.
    fn pattern(&mut self) -> Rows {
        let index = self.next;
        self.next += 1;
        let id = lake::id(index + (1 << 50));
        let mut rows = self.patterns[index as usize % self.patterns.len()].clone();
        for (table, values) in &mut rows {
            let (_, entry_columns, id_column) = TABLES[*table];
            for column in entry_columns {
                values[*column] = Value::Integer(index as i64);
            }
            if let Some(column) = id_column {
                values[column] = Value::Blob(id.as_bytes().to_vec());
            }
        }
        rows
    }
}

const INSERTS: [&str; 7] = [
    "insert into entry values (?1, ?2, ?3, ?4, ?5)",
    "insert into payload values (?1, ?2, ?3, ?4)",
    "insert into submission values (?1, ?2)",
    "insert into report_version values (?1, ?2, ?3)",
    "insert into geotag values (?1, ?2, ?3)",
    "insert into report_photo values (?1, ?2, ?3)",
    "insert into sighting values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
];

fn rows_of(product: &Connection, entry: i64, id: &[u8]) -> Result<Rows, Fault> {
    let mut rows = Rows::new();
    for (number, (table, entry_columns, _)) in TABLES.iter().enumerate() {
        let by = match (*table, entry_columns.is_empty()) {
            ("entry", _) => "idx = ?1",
            ("sighting", _) => "head_entry = ?1",
            (_, false) => "entry = ?1",
            (_, true) => "report = ?2",
        };
        let sql = format!("select * from {table} where ?1 is not null and ?2 is not null and {by}");
        let mut statement = product.prepare(&sql)?;
        let columns = statement.column_count();
        let mut found = statement.query((entry, id))?;
        let before = rows.len();
        while let Some(row) = found.next()? {
            let values = (0..columns).map(|c| row.get(c)).collect::<Result<_, _>>()?;
            rows.push((number, values));
        }
        if rows.len() == before {
            return Err(format!("a report made no row in {table}").into());
        }
    }
    Ok(rows)
}

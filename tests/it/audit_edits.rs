//! Random edits by SQL of every table of evidence and of what is made from it, each found by an audit.
//! `JIJIA_LONG=1` makes 10,000; `JIJIA_SEED=n` repeats a run.

use std::fmt::Write as _;
use std::path::Path;

use fastrand::Rng;
use jijia::lake::Place;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::audit::{audited, second_place, story};

/// In a change; all with `JIJIA_LONG=1`.
const EDITS: usize = 1_000;
const EDITS_LONG: usize = 10_000;
const THREADS: usize = 2;

/// A table with its columns, and what part of it an audit can judge.
struct Table {
    name: &'static str,
    /// Columns that nothing is made from.
    free: &'static [&'static str],
    only: &'static str,
    /// Columns that an inserted row must have falsified: a judgement that the place does give is no lie.
    lies: &'static [&'static str],
}

const fn table(name: &'static str) -> Table {
    Table { name, free: &[], only: "1", lies: &[] }
}

const TABLES: [Table; 17] = [
    table("tile"),
    table("checkpoint"),
    table("entry"),
    table("payload"),
    table("submission"),
    table("report_version"),
    table("photo"),
    table("voice"),
    table("datastream"),
    table("observation"),
    table("erasure"),
    table("patrol"),
    table("patrol_sector"),
    // Only the place in use can be asked again.
    Table {
        name: "geotag",
        free: &[],
        only: "place_hash = (select unhex(value) from meta where key = 'place')",
        lies: &["result"],
    },
    // The row's number is nobody's name.
    Table { name: "dead_letter", free: &["id"], only: "1", lies: &[] },
    table("sighting"),
    table("report_photo"),
];

/// A row by its number in the order of the table's key.
type Rows = Vec<Vec<Value>>;

fn rows(db: &Connection, sql: &str) -> Rows {
    let mut statement = db.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |r| (0..columns).map(|i| r.get(i)).collect()).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Names of the columns, and whether each belongs to the key.
fn columns(db: &Connection, table: &str) -> Vec<(String, bool)> {
    let mut statement = db.prepare("select name, pk from pragma_table_info(?1)").unwrap();
    let rows = statement.query_map([table], |r| Ok((r.get(0)?, r.get::<_, i64>(1)? > 0))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Another value of the same type.
fn other(random: &mut Rng, value: &Value, of_column: &[Value]) -> Value {
    // Now and then what another row has: the most plausible lie.
    if random.u8(..4) == 0 {
        return of_column[random.usize(..of_column.len())].clone();
    }
    match value {
        Value::Null => of_column[random.usize(..of_column.len())].clone(),
        Value::Integer(n) => Value::Integer(n + random.i64(-3..=3)),
        Value::Real(x) => Value::Real(x + [1e-9, -0.5, 1.0, 100.0][random.usize(..4)]),
        Value::Text(text) => {
            let mut chars: Vec<char> = text.chars().collect();
            let at = random.usize(..=chars.len());
            match random.u8(..3) {
                0 if at < chars.len() => drop(chars.remove(at)),
                1 if at < chars.len() => chars[at] = random.alphanumeric(),
                _ => chars.insert(at, random.alphanumeric()),
            }
            Value::Text(chars.into_iter().collect())
        }
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            let at = random.usize(..=bytes.len());
            match random.u8(..3) {
                0 if at < bytes.len() => drop(bytes.remove(at)),
                1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
                _ => bytes.insert(at, random.u8(..)),
            }
            Value::Blob(bytes)
        }
    }
}

/// `a is ?1 and b is ?2`, from the `from`-th parameter on.
fn is_row(columns: &[(String, bool)], from: usize) -> String {
    let mut sql = String::new();
    for (i, (name, _)) in columns.iter().enumerate() {
        let and = if i == 0 { "" } else { " and " };
        write!(sql, "{and}{name} is ?{}", from + i).unwrap();
    }
    sql
}

/// Makes one edit; gives its words, or `None` if SQLite refused it or nothing changed.
fn edit(db: &Connection, random: &mut Rng) -> Option<String> {
    let table = &TABLES[random.usize(..TABLES.len())];
    let (name, all) = (table.name, columns(db, table.name));
    let before = rows(db, &format!("select * from {name} order by 1, 2"));
    let mine = rows(db, &format!("select * from {name} where {} order by 1, 2", table.only));
    let row = mine.get(random.usize(..mine.len().max(1)))?;
    let may: Vec<usize> = (0..all.len()).filter(|i| !table.free.contains(&all[*i].0.as_str())).collect();
    let column = may[random.usize(..may.len())];
    let of_column: Vec<Value> = mine.iter().map(|r| r[column].clone()).collect();
    let new = other(random, &row[column], &of_column);
    let here = is_row(&all, 2);
    let set = format!("update {name} set {} = ?1 where {here}", all[column].0);
    let with_new = |new: &Value| params_from_iter(std::iter::once(new.clone()).chain(row.iter().cloned()));
    let (words, done) = match random.u8(..4) {
        0 => ("update", db.execute(&set, with_new(&new))),
        1 => {
            let sql = format!("delete from {name} where {}", is_row(&all, 1));
            ("delete", db.execute(&sql, params_from_iter(row.iter().cloned())))
        }
        2 => {
            let mut copy = row.clone();
            for (i, (column, is_key)) in all.iter().enumerate() {
                let lie = table.lies.contains(&column.as_str());
                if *is_key || lie || table.free.contains(&column.as_str()) {
                    copy[i] = other(random, &row[i], &[row[i].clone()]);
                }
                // The true judgement of a version by the place in use is no lie, whichever version it is.
                while lie && copy[i] == row[i] {
                    copy[i] = other(random, &row[i], &[row[i].clone()]);
                }
            }
            let marks: Vec<String> = (1..=copy.len()).map(|i| format!("?{i}")).collect();
            let sql = format!("insert into {name} values ({})", marks.join(", "));
            ("insert", db.execute(&sql, params_from_iter(copy)))
        }
        _ => ("reorder", reorder(db, table, random, &all, row, &mine)),
    };
    let changed = done.is_ok_and(|n| n > 0);
    let after = rows(db, &format!("select * from {name} order by 1, 2"));
    (changed && after != before)
        .then(|| format!("{words} of {name}.{} at {row:?} (new: {new:?})", all[column].0))
}

/// Two rows change places: their keys stay, all else is swapped.
fn reorder(
    db: &Connection,
    table: &Table,
    random: &mut Rng,
    all: &[(String, bool)],
    row: &[Value],
    mine: &Rows,
) -> rusqlite::Result<usize> {
    let partner = &mine[random.usize(..mine.len())];
    let rest: Vec<usize> =
        (0..all.len()).filter(|i| !all[*i].1 && !table.free.contains(&all[*i].0.as_str())).collect();
    if rest.is_empty() {
        return Ok(0);
    }
    let sets: Vec<String> =
        rest.iter().enumerate().map(|(n, i)| format!("{} = ?{}", all[*i].0, n + 1)).collect();
    let sql = format!("update {} set {} where {}", table.name, sets.join(", "), is_row(all, rest.len() + 1));
    let put = |to: &[Value], from: &[Value]| {
        let values = rest.iter().map(|i| from[*i].clone()).chain(to.iter().cloned());
        db.execute(&sql, params_from_iter(values))
    };
    Ok(put(row, partner)? + put(partner, row)?)
}

/// Edits, each on a fresh copy, each audited. Gives how many.
fn torture(base: &Path, own: &Path, place: &Place, seed: u64, edits: usize) -> usize {
    for folder in ["photos", "previews", "voices"] {
        std::os::unix::fs::symlink(base.join(folder), own.join(folder)).unwrap();
    }
    std::fs::copy(base.join("log.key"), own.join("log.key")).unwrap();
    let file = own.join("jijia.db");
    let mut found = 0;
    for n in 0.. {
        if found == edits {
            break;
        }
        let mut random = Rng::with_seed(seed.wrapping_add(n));
        std::fs::copy(base.join("whole.db"), &file).unwrap();
        let db = Connection::open(&file).unwrap();
        // As somebody with the file and a shell would: no trigger, no key stands in the way.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        db.execute_batch("pragma foreign_keys = off; pragma synchronous = off; pragma journal_mode = memory")
            .unwrap();
        let words = edit(&db, &mut random);
        drop(db);
        let Some(words) = words else { continue };
        let (_, findings) = audited(own, place);
        assert!(!findings.is_empty(), "by seed {}: not found: {words}", seed.wrapping_add(n));
        found += 1;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn random_edits_of_every_table_are_found() {
    let edits = crate::fault::size(EDITS, EDITS_LONG);
    let seed = crate::fault::chance("edits").u64(..);
    let dir = tempfile::tempdir().unwrap();
    story(dir.path()).await;
    // One file that can be copied, without a log beside it.
    let (file, whole) = (dir.path().join("jijia.db"), dir.path().join("whole.db"));
    Connection::open(&file).unwrap().execute("vacuum into ?1", [whole.to_str().unwrap()]).unwrap();
    let place = second_place();
    assert_eq!(audited(dir.path(), &place).1, []);
    let done: usize = std::thread::scope(|scope| {
        let base = dir.path();
        let place = &place;
        let parts: Vec<_> = (0..THREADS)
            .map(|part| {
                scope.spawn(move || {
                    let own = tempfile::tempdir().unwrap();
                    let seed = seed.wrapping_add(part as u64 * 1_000_000);
                    torture(base, own.path(), place, seed, edits / THREADS)
                })
            })
            .collect();
        parts.into_iter().map(|p| p.join().unwrap()).sum()
    });
    println!("{done} of {done} found: at most {:.4} of such edits go unnoticed (95 %)", 3.0 / done as f64);
    assert_eq!(done, edits);
}

//! Where bytes still stand in the data directory after an erasure: every column of every table, every file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use memchr::memmem::Finder;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::error::Result;
use crate::store::tx::store_error;

/// Shorter bytes stand everywhere by chance.
const NEEDLE_MIN: usize = 3;
/// The beginning of longer ones is enough.
pub(super) const NEEDLE_MAX: usize = 1 << 16;
/// Rows of a table that are named one by one.
const SHOWN: usize = 10;
const CHUNK: usize = 1 << 20;

/// The places of `needle`, named for a person: `payload 12 note`, `account p-03`, `sign-ins.log`. What is compressed (a
/// document, a bundle) is not seen through. Blocks, and reads everything.
pub(super) fn list(dir: &Path, needle: &[u8]) -> Result<Vec<String>> {
    let needle = needle.get(..NEEDLE_MAX).unwrap_or(needle);
    if needle.len() < NEEDLE_MIN {
        return Ok(Vec::new());
    }
    let mut found = in_database(&dir.join("jijia.db"), needle)?;
    in_files(dir, dir, &Finder::new(needle), &mut found)?;
    Ok(found)
}

fn in_database(path: &Path, needle: &[u8]) -> Result<Vec<String>> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(store_error)?;
    let columns = "select t.name, c.name,
           (select group_concat('\"' || k.name || '\"', ', ') from pragma_table_info(t.name) k where k.pk > 0)
         from sqlite_schema t join pragma_table_info(t.name) c
         where t.type = 'table' and lower(c.type) in ('text', 'blob') order by t.name, c.cid";
    let mut statement = conn.prepare(columns).map_err(store_error)?;
    let columns: Vec<(String, String, Option<String>)> = statement
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .and_then(Iterator::collect)
        .map_err(store_error)?;
    let mut found = Vec::new();
    for (table, column, key) in columns {
        let key = key.as_deref().unwrap_or("rowid");
        let sql = format!(r#"select {key} from "{table}" where instr(cast("{column}" as blob), ?1)"#);
        let mut statement = conn.prepare(&sql).map_err(store_error)?;
        let width = statement.column_count();
        let words = |row: &rusqlite::Row<'_>| {
            let key: Vec<String> = (0..width).map(|i| row.get_ref(i).map(shown)).collect::<Result<_, _>>()?;
            Ok(format!("{table} {} ({column})", key.join(" ")))
        };
        let mut rows: Vec<String> =
            statement.query_map([needle], words).and_then(Iterator::collect).map_err(store_error)?;
        if rows.len() > SHOWN {
            let more = rows.len() - SHOWN;
            rows.truncate(SHOWN);
            rows.push(format!("{table}, {more} more rows ({column})"));
        }
        found.append(&mut rows);
    }
    Ok(found)
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(x) => x.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => hex::encode(bytes),
    }
}

fn in_files(root: &Path, folder: &Path, finder: &Finder<'_>, found: &mut Vec<String>) -> Result<()> {
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let (path, kind) = (file.path(), file.file_type()?);
        if kind.is_dir() {
            in_files(root, &path, finder, found)?;
        // The database was asked by itself, and its files are locked by whoever has them open.
        } else if kind.is_file() && !file.file_name().as_encoded_bytes().starts_with(b"jijia.db") {
            let holds = match File::open(&path) {
                Ok(file) => holds(file, finder)?,
                // Gone meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
                Err(e) => return Err(e.into()),
            };
            if holds {
                found.push(path.strip_prefix(root).unwrap_or(&path).display().to_string());
            }
        }
    }
    Ok(())
}

fn holds(mut file: File, finder: &Finder<'_>) -> Result<bool> {
    let overlap = finder.needle().len() - 1;
    let mut buffer = Vec::with_capacity(CHUNK + overlap);
    loop {
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut buffer)?;
        if finder.find(&buffer).is_some() {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        buffer.drain(..buffer.len().saturating_sub(overlap));
    }
}

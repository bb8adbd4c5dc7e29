//! The database's own form: pages, indexes, and the triggers that keep evidence from being edited.

use rusqlite::Connection;

use super::{Audit, DATABASE, text};
use crate::store::MIGRATIONS;

/// More of SQLite's own complaints than this say nothing new.
const COMPLAINTS: u32 = 100;

pub(super) fn check(audit: &mut Audit<'_>) -> rusqlite::Result<()> {
    let mut statement = audit.conn.prepare(&format!("pragma integrity_check({COMPLAINTS})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let said = text(row, 0)?;
        if said != "ok" {
            audit.find(DATABASE, "integrity_check", said);
        }
    }
    let fresh = Connection::open_in_memory()?;
    for sql in MIGRATIONS {
        fresh.execute_batch(sql)?;
    }
    let (wanted, found) = (list(&fresh)?, list(audit.conn)?);
    for (name, sql) in &wanted {
        match found.iter().find(|(n, _)| n == name) {
            None => audit.find("schema", name, "is missing; without it evidence could be edited or hidden"),
            Some((_, other)) if other != sql => {
                audit.find("schema", name, format!("is not as made: {other}"));
            }
            Some(_) => {}
        }
    }
    for (name, sql) in found.iter().filter(|(name, _)| wanted.iter().all(|(n, _)| n != name)) {
        audit.find("schema", name, format!("was not made by this program: {sql}"));
    }
    Ok(())
}

fn list(conn: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    // What SQLite keeps for itself (statistics, indexes of keys) is no part of ours.
    let mut statement = conn
        .prepare("select type || ' ' || name, coalesce(sql, '') from sqlite_schema where name not like 'sqlite\\_%' escape '\\'")?;
    let rows = statement.query_map([], |r| Ok((text(r, 0)?, text(r, 1)?)))?;
    rows.collect()
}

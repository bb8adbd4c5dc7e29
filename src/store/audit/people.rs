//! Accounts, phones and tokens against the newest entry about each: nobody has a role, a unit or a right to enter that no
//! entry knows. Entries before people had accounts name none.

use std::collections::BTreeMap;

use super::evidence::named;
use super::{Audit, maybe_text, text};
use crate::evidence::entry::{Change, Entry, Kind};

/// What the newest entry says of somebody.
#[derive(Debug, PartialEq)]
struct Said {
    role: Option<String>,
    unit: Option<String>,
    disabled: bool,
    /// By an entry of version 1, which named no unit of a token.
    first_version: bool,
}

/// Each table with whoever is in it: id, role, unit, shut out.
const TABLES: [(&str, &str); 3] = [
    ("account", "select id, role, unit, disabled from account"),
    ("phone", "select id, 'patrol', null, revoked from phone"),
    ("token", "select id, role, unit, revoked from token"),
];

pub(super) fn check(audit: &mut Audit<'_>) -> rusqlite::Result<()> {
    let said = read(audit)?;
    for (table, sql) in TABLES {
        let mut statement = audit.conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = text(row, 0)?;
            let (role, unit, disabled) = (maybe_text(row, 1)?, maybe_text(row, 2)?, row.get(3)?);
            let newest = said.get(&id);
            let first_version = newest.is_some_and(|said| said.first_version);
            let unit = unit.filter(|_| !(first_version && table == "token"));
            let found = Said { role, unit, disabled, first_version };
            match newest {
                None => audit.find(table, id, "no entry knows it"),
                // Role or unit were erased by law: nothing to compare with.
                Some(wanted) if wanted.role.is_none() => {}
                Some(wanted) if *wanted != found => {
                    audit.find(table, id, format!("is {found:?}, its newest entry says {wanted:?}"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

fn read(audit: &Audit<'_>) -> rusqlite::Result<BTreeMap<String, Said>> {
    let mut statement =
        audit.conn.prepare("select idx, body from entry where kind = 'account' order by idx")?;
    let mut rows = statement.query([])?;
    let mut all: BTreeMap<String, Said> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let index: i64 = row.get(0)?;
        // What does not read was found as an entry.
        let Ok(entry) = Entry::parse(&row.get::<_, Vec<u8>>(1)?) else { continue };
        let Kind::Account { change } = &entry.kind else { continue };
        let (change, first_version) = (*change, entry.v == 1);
        let Some(id) = named(audit, index, &entry, "account")? else { continue };
        let before = all.get(&id).is_some_and(|said| said.disabled);
        let disabled = match change {
            Change::Disabled => true,
            Change::Enabled | Change::Added => false,
            _ => before,
        };
        let (role, unit) = (named(audit, index, &entry, "role")?, named(audit, index, &entry, "unit")?);
        all.insert(id, Said { role, unit, disabled, first_version });
    }
    Ok(all)
}

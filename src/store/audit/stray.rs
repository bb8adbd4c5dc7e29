//! Rows that no entry names. Together with the look-ups by entry: each table holds what the log says, and nothing else.

use super::{Audit, text};

/// A field of an entry's bytes in SQL; null where the bytes do not read, which was found as such.
const FIELD: &str = "case when json_valid(cast(e.body as text)) then cast(e.body as text) ->> '$1' end";

/// For each table a query that gives the key of every row that no entry names, and what that means. `@name` stands for
/// [`FIELD`].
const STRAYS: [(&str, &str, &str); 14] = [
    (
        "disclosure",
        "select hex(d.report) from disclosure d left join entry e on e.idx = d.entry
         where e.kind is not 'disclosure' or lower(hex(d.report)) is not replace(@report, '-', '')",
        "no entry says that it was disclosed",
    ),
    (
        "payload",
        "select p.entry || ' ' || p.name from payload p where not exists (select 1 from entry e where e.idx = p.entry)",
        "there is no such entry",
    ),
    (
        "submission",
        "select hex(s.id) from submission s left join entry e on e.idx = s.entry
         where replace(@id, '-', '') is not lower(hex(s.id))",
        "no entry has this id",
    ),
    (
        "report_version",
        "select hex(v.report) || ' ' || v.entry from report_version v left join entry e on e.idx = v.entry
         where coalesce(e.kind, '') not in ('report', 'correction') or lower(hex(v.report)) is not
           replace(iif(e.kind = 'report', @id, @report), '-', '')",
        "no entry is a version of this report",
    ),
    (
        "geotag",
        "select g.entry || ' ' || hex(g.place_hash) from geotag g
         where not exists (select 1 from entry e where e.idx = g.entry and e.kind in ('report', 'correction'))",
        "the entry is no version of a report",
    ),
    (
        "photo",
        "select lower(hex(p.sha256)) from photo p left join entry e on e.idx = p.entry
         where e.kind is not 'photo' or lower(hex(p.sha256)) is not @sha256",
        "no entry has this photo",
    ),
    (
        "voice",
        "select lower(hex(v.sha256)) from voice v left join entry e on e.idx = v.entry
         where e.kind is not 'voice' or lower(hex(v.sha256)) is not @sha256",
        "no entry has this voice note",
    ),
    (
        "patrol",
        "select hex(p.id) from patrol p left join entry e on e.idx = p.entry
         where e.kind is not 'patrol' or lower(hex(p.id)) is not replace(@id, '-', '')",
        "no entry has this patrol",
    ),
    (
        "patrol_sector",
        "select hex(s.patrol) || ' ' || s.sector from patrol_sector s
         where not exists (select 1 from patrol p where p.id = s.patrol)",
        "there is no such patrol",
    ),
    (
        "erasure",
        "select r.entry from erasure r
         where not exists (select 1 from entry e where e.idx = r.entry and e.kind = 'erasure')",
        "no entry says that this was erased",
    ),
    (
        "observation",
        "select 'of entry ' || o.entry from (select distinct entry from observation) o
         where not exists (select 1 from entry e where e.idx = o.entry and e.kind = 'observations')",
        "no entry has this batch",
    ),
    (
        "dead_letter",
        "select d.id from dead_letter d
         where not exists (select 1 from entry e where e.idx = d.entry and e.kind = 'observations')",
        "no entry has it",
    ),
    (
        "sighting",
        "select hex(s.report) from sighting s
         where not exists (select 1 from report_version v where v.report = s.report)",
        "there is no such report",
    ),
    (
        "report_photo",
        "select hex(p.report) || ' ' || p.seq from report_photo p
         where not exists (select 1 from report_version v where v.report = p.report)",
        "there is no such report",
    ),
];

pub(super) fn check(audit: &mut Audit<'_>) -> rusqlite::Result<()> {
    for (table, query, what) in STRAYS {
        let query = ["id", "report", "sha256"]
            .iter()
            .fold(query.to_owned(), |q, name| q.replace(&format!("@{name}"), &FIELD.replace("$1", name)));
        let mut statement = audit.conn.prepare(&query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            audit.find(table, text(row, 0)?, what);
        }
    }
    Ok(())
}

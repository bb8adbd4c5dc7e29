//! What the pages read, made again from the versions and compared: sightings, their photos, the followers' cursors.

use uuid::Uuid;

use super::{Audit, text};
use crate::evidence::entry::{Entry, Kind};
use crate::lake::Geotag;
use crate::patrol::report::Record;
use crate::store::reports::{Derived, derive};

/// The versions of one report, folded.
struct Report {
    id: Vec<u8>,
    first_entry: i64,
    received_ms: i64,
    /// `None` once it was erased by law.
    person: Option<String>,
    patrol: Option<Uuid>,
    head_entry: i64,
    withdrawn: bool,
    /// By the newest version; a version adds photos and never takes one away.
    photos: Vec<String>,
}

pub(super) fn check(audit: &mut Audit<'_>) -> rusqlite::Result<()> {
    let mut statement = audit.conn.prepare(
        "select v.report, v.entry, e.body from report_version v join entry e on e.idx = v.entry
         order by v.report, v.entry",
    )?;
    let mut rows = statement.query([])?;
    let mut open: Option<Report> = None;
    while let Some(row) = rows.next()? {
        let (id, index, body): (Vec<u8>, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        audit.pace.take(body.len());
        // What does not read was found as an entry.
        let Ok(entry) = Entry::parse(&body) else { continue };
        if let Some(done) = open.take_if(|r| r.id != id) {
            check_report(audit, &done)?;
        }
        let person = super::evidence::named(audit, index, &entry, "person")?;
        fold(&mut open, id, index, entry, person);
    }
    if let Some(done) = open {
        check_report(audit, &done)?;
    }
    check_cursors(audit)
}

fn fold(open: &mut Option<Report>, id: Vec<u8>, index: i64, entry: Entry, person: Option<String>) {
    let received_ms = entry.received_at.as_millisecond();
    match (entry.kind, open) {
        (Kind::Report { patrol, photos, .. }, open) => {
            *open = Some(Report {
                id,
                first_entry: index,
                received_ms,
                person,
                patrol,
                head_entry: index,
                withdrawn: false,
                photos,
            });
        }
        (Kind::Correction { action, photos, .. }, Some(report)) => {
            report.head_entry = index;
            report.withdrawn = action == "withdraw";
            report.photos = photos;
        }
        // A correction without its report: that version is missing, and was found so.
        _ => {}
    }
}

fn check_report(audit: &mut Audit<'_>, report: &Report) -> rusqlite::Result<()> {
    let key = Uuid::from_slice(&report.id).unwrap_or_default();
    let mut statement = audit.conn.prepare_cached(
        "select s.first_entry, s.head_entry, s.received_ms, s.person, s.patrol, s.withdrawn, s.place_hash,
           s.kind, s.observed_ms, s.outfall, s.outfall_chosen, s.sector, s.lng, s.lat, p.body, g.result, s.voice
         from sighting s left join payload p on p.entry = ?2 and p.name = 'record'
         left join geotag g on g.entry = ?2 and g.place_hash = s.place_hash where s.report = ?1",
    )?;
    let mut rows = statement.query((&report.id, report.head_entry))?;
    let Some(row) = rows.next()? else {
        audit.find("sighting", key, "is missing; its report is in the log");
        return Ok(());
    };
    let of_report = (row.get(0)?, row.get(1)?, row.get(2)?, text(row, 3)?, row.get(4)?, row.get(5)?);
    let wanted: (i64, i64, i64, String, Option<Vec<u8>>, i64) = (
        report.first_entry,
        report.head_entry,
        report.received_ms,
        report.person.clone().unwrap_or_default(),
        report.patrol.map(|p| p.as_bytes().to_vec()),
        i64::from(report.withdrawn),
    );
    let place: Vec<u8> = row.get(6)?;
    if of_report != wanted {
        audit.find("sighting", key, format!("is {of_report:?}, the log says {wanted:?}"));
    }
    if !audit.places.iter().any(|p| p[..] == place) {
        audit.find("sighting", key, "is judged by a place that the log does not know");
    }
    let record: Option<Record> =
        row.get::<_, Option<Vec<u8>>>(14)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let geotag: Option<Geotag> =
        row.get::<_, Option<String>>(15)?.and_then(|result| serde_json::from_str(&result).ok());
    if record.as_ref().is_some_and(|r| r.position.is_some()) && geotag.is_none() {
        audit.find("geotag", format!("{} {}", report.head_entry, hex::encode(&place)), "is missing");
    }
    let found = Derived {
        kind: text(row, 7)?.parse().unwrap_or(crate::patrol::ReportKind::Other),
        observed_ms: row.get(8)?,
        outfall: super::maybe_text(row, 9)?,
        outfall_chosen: row.get(10)?,
        sector: super::maybe_text(row, 11)?,
        lng: row.get(12)?,
        lat: row.get(13)?,
        voice: row.get(16)?,
    };
    let wanted = derive(record.as_ref(), geotag.as_ref(), report.received_ms);
    if found != wanted || text(row, 7)? != found.kind.as_str() || !matches!(row.get(10)?, 0 | 1) {
        audit.find("sighting", key, format!("is {found:?}, the newest version gives {wanted:?}"));
    }
    check_photos(audit, report, key)
}

fn check_photos(audit: &mut Audit<'_>, report: &Report, key: Uuid) -> rusqlite::Result<()> {
    let mut statement =
        audit.conn.prepare_cached("select seq, sha256 from report_photo where report = ?1 order by seq")?;
    let rows =
        statement.query_map([&report.id], |r| Ok((r.get(0)?, hex::encode(r.get::<_, Vec<u8>>(1)?))))?;
    let found: Vec<(i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
    let wanted: Vec<(i64, String)> = (0..).zip(report.photos.iter().cloned()).collect();
    if found != wanted {
        audit.find("report_photo", key, format!("is {found:?}, the newest version names {wanted:?}"));
    }
    Ok(())
}

/// A cursor past the end would make its follower leave out what comes.
fn check_cursors(audit: &mut Audit<'_>) -> rusqlite::Result<()> {
    let mut statement = audit.conn.prepare(
        "select name || ' at ' || c.entry || ',' || c.pos from cursor c where c.entry < 0 or c.pos < -1
           or c.entry > (select coalesce(max(idx), 0) from entry)
           or (c.pos >= 0 and not exists (select 1 from observation o where o.entry = c.entry and o.pos = c.pos))",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        audit.find("cursor", text(row, 0)?, "stands where there is no row");
    }
    Ok(())
}

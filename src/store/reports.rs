//! Reports and patrols: record, idempotency key and entry in one transaction.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::to_vec;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Store;
use super::tx::{Tx, receipt};
use crate::error::{Error, Result};
use crate::evidence::entry::{Kind, Payload, Receipt, SHELL};
use crate::evidence::merkle::Hash;
use crate::lake::geotag::Locator;
use crate::lake::{Geotag, Match, Place};
use crate::patrol::ReportKind;
use crate::patrol::correction::NO_OUTFALL;
use crate::patrol::report::{NewReport, Record, locate};
use crate::patrol::walk::NewPatrol;

/// A receipt, and whether this call made the entry or an earlier one did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The receipt: the same for every repetition.
    pub receipt: Receipt,
    /// This call made it.
    pub new: bool,
}

impl Store {
    /// Adds a report; sent again with the same bytes it gives the first receipt.
    ///
    /// # Errors
    /// `Conflict` if the id is taken by other bytes; `Unavailable`, `NoSpace` if it could not be made durable.
    pub async fn add_report(&self, report: NewReport) -> Result<Added> {
        self.writer.run(move |tx| add_report(tx, &report)).await
    }

    /// Adds a patrol.
    ///
    /// # Errors
    /// As [`Store::add_report`].
    pub async fn add_patrol(&self, patrol: NewPatrol) -> Result<Added> {
        self.writer.run(move |tx| add_patrol(tx, &patrol)).await
    }

    /// The first receipt of a submission with these bytes. Asked before any question of rights or rules: what was stored once
    /// stays acknowledged, whoever sends it again and whatever is allowed by now.
    ///
    /// # Errors
    /// `Conflict` if its id is taken by other bytes; `Unavailable` if the database does not answer.
    pub async fn find_sent(&self, body: &[u8]) -> Result<Option<Added>> {
        #[derive(Deserialize)]
        struct OnlyId {
            id: Uuid,
        }
        type Row = (i64, i64, Vec<u8>, Vec<u8>, Option<Vec<u8>>);
        let Ok(OnlyId { id }) = serde_json::from_slice(body) else { return Ok(None) };
        let row: Option<Row> = sqlx::query_as(
            "select e.idx, e.received_ms, e.leaf, e.body, p.body from submission s join entry e on e.idx = s.entry
             left join payload p on p.entry = s.entry and p.name = 'body' where s.id = $1",
        )
        .bind(id.as_bytes().to_vec())
        .fetch_optional(&self.readers)
        .await
        .map_err(|e| Error::Unavailable(format!("the database does not answer ({e}); send it again")))?;
        let Some((index, received_ms, leaf, entry, sent)) = row else { return Ok(None) };
        check_same(id, sent.as_deref(), &Sha256::digest(body).into())?;
        let received_at = crate::clock::from_ms(received_ms);
        let receipt = receipt(&id.to_string(), index.unsigned_abs(), leaf, received_at, entry)?;
        Ok(Some(Added { receipt, new: false }))
    }

    /// Judges by `place` what was judged by another, in steps of `step` reports, beside the old results. Returns
    /// how many were done; call it until that is 0.
    ///
    /// # Errors
    /// As every write.
    pub async fn judge_again(&self, place: Arc<Place>, locator: Arc<Locator>, step: u32) -> Result<u64> {
        self.writer.run(move |tx| judge_again(tx, &place, &locator, step)).await
    }

    /// Appends an entry that says that a document was made; `by` is who asked for it.
    ///
    /// # Errors
    /// As every write.
    pub async fn add_export(
        &self,
        format: &'static str,
        sha256: Hash,
        log_size: u64,
        filter_words: String,
        by: String,
    ) -> Result<Receipt> {
        let (received_at, rules) = (self.clock.now(), self.rules_index());
        self.writer
            .run(move |tx| {
                let payloads = [Payload::new("filter", filter_words)?, Payload::new("by", by)?];
                let sha256 = hex::encode(sha256);
                let id = sha256.clone();
                let kind = Kind::Export { format: format.to_owned(), sha256, log_size, rules };
                tx.append(received_at, kind, &id, &payloads)
            })
            .await
    }

    /// Says in the log which place is in use, if it is another than before.
    ///
    /// # Errors
    /// As every write.
    pub async fn add_place(&self, hash: Hash) -> Result<()> {
        let received_at = self.clock.now();
        self.writer
            .run(move |tx| {
                let hex = hex::encode(hash);
                let known: Option<(String,)> = tx.find("select value from meta where key = 'place'", ())?;
                if known.is_some_and(|(k,)| k == hex) {
                    return Ok(());
                }
                tx.append(received_at, Kind::Place { hash: hex.clone() }, &hex, &[])?;
                tx.exec("insert into meta values ('place', ?1) on conflict do update set value = ?1", (hex,))
            })
            .await
    }

    /// Index of the entry with the rules by which this process judges; none in a store that judges nothing.
    #[must_use]
    pub fn rules_index(&self) -> Option<u64> {
        self.rules.get().copied()
    }

    /// Names the rules by which this process judges, as JSON: each export names their entry. The same rules as before, also
    /// of another process, are no new entry.
    ///
    /// # Errors
    /// As every write.
    pub async fn add_rules(&self, rules: String) -> Result<()> {
        let received_at = self.clock.now();
        let index = self
            .writer
            .run(move |tx| {
                let known: Option<(u64,)> = tx.find(
                    "select p.entry from entry e join payload p on p.entry = e.idx and p.name = 'rules'
                     where e.kind = 'rules' and p.body = ?1 order by p.entry desc limit 1",
                    (rules.as_bytes(),),
                )?;
                if let Some((index,)) = known {
                    return Ok(index);
                }
                let payloads = [Payload::new("rules", rules)?, Payload::new("by", SHELL)?];
                Ok(tx.append(received_at, Kind::Rules, "", &payloads)?.index)
            })
            .await?;
        // Set once: a process does not change its rules.
        let _ = self.rules.set(index);
        Ok(())
    }
}

/// The receipt of an earlier submission under this id, if its bytes were the same.
pub(super) fn known_submission(tx: &Tx<'_>, id: Uuid, body_sha256: &Hash) -> Result<Option<Receipt>> {
    let Some((index,)): Option<(u64,)> =
        tx.find("select entry from submission where id = ?1", (id.as_bytes(),))?
    else {
        return Ok(None);
    };
    let known: Option<(Vec<u8>,)> =
        tx.find("select body from payload where entry = ?1 and name = 'body'", (index,))?;
    check_same(id, known.as_ref().map(|(sent,)| sent.as_slice()), body_sha256)?;
    tx.receipt(&id.to_string(), index).map(Some)
}

/// Whether what was submitted under `id` had these bytes; `None` where it was erased.
fn check_same(id: Uuid, sent_sha256: Option<&[u8]>, body_sha256: &Hash) -> Result<()> {
    match sent_sha256 {
        Some(sent) if sent == body_sha256 => Ok(()),
        Some(_) => Err(Error::Conflict(format!("id {id} is taken by a submission with other bytes"))),
        None => Err(Error::Conflict(format!("what was submitted under {id} was erased by law (已依法删除)"))),
    }
}

/// What every submission commits to beside its record. `body` holds the digest of what was sent: it tells a repetition from
/// a conflict, and binds the phone's bytes to the log.
pub(super) struct Submitted<'a> {
    pub body_sha256: &'a Hash,
    pub person: &'a str,
    pub by: &'a str,
    pub note: Option<&'a String>,
    pub name: Option<&'a String>,
    pub reason: Option<&'a String>,
}

impl Submitted<'_> {
    pub(super) fn payloads(&self, record: Vec<u8>) -> Result<Vec<Payload>> {
        let mut all = vec![
            Payload::new("record", record)?,
            Payload::new("body", *self.body_sha256)?,
            Payload::new("person", self.person)?,
            Payload::new("by", self.by)?,
        ];
        for (name, text) in [("note", self.note), ("name", self.name), ("reason", self.reason)] {
            if let Some(text) = text {
                all.push(Payload::new(name, text.as_bytes())?);
            }
        }
        Ok(all)
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    to_vec(value).map_err(|e| Error::Internal(e.to_string()))
}

/// Reads a stored record.
pub(super) fn read_record(body: &[u8]) -> Result<Record> {
    serde_json::from_slice(body).map_err(|e| Error::Internal(format!("a stored record does not read: {e}")))
}

fn add_report(tx: &mut Tx<'_>, r: &NewReport) -> Result<Added> {
    if let Some(receipt) = known_submission(tx, r.id, &r.body_sha256)? {
        return Ok(Added { receipt, new: false });
    }
    let submitted = Submitted {
        body_sha256: &r.body_sha256,
        person: &r.person,
        by: &r.by,
        note: r.note.as_ref(),
        name: r.name.as_ref(),
        reason: None,
    };
    let payloads = submitted.payloads(json(&r.record)?)?;
    let kind = Kind::Report { id: r.id, patrol: r.patrol, photos: r.record.photos.clone() };
    let receipt = tx.append(r.received_at, kind, &r.id.to_string(), &payloads)?;
    tx.exec("insert into submission (id, entry) values (?1, ?2)", (r.id.as_bytes(), receipt.index))?;
    let row = SightingRow {
        report: r.id,
        first_entry: receipt.index,
        received_at: r.received_at,
        person: &r.person,
        patrol: r.patrol,
        withdrawn: false,
    };
    write_version(tx, &row, receipt.index, "report", &r.record, r.geotag.as_ref(), &r.place_hash)?;
    Ok(Added { receipt, new: true })
}

/// What of a report stays over its versions.
pub(super) struct SightingRow<'a> {
    pub report: Uuid,
    pub first_entry: u64,
    pub received_at: Timestamp,
    pub person: &'a str,
    pub patrol: Option<Uuid>,
    pub withdrawn: bool,
}

/// What the row of a sighting holds of its newest record and of where that lies.
#[derive(Debug, PartialEq)]
pub(super) struct Derived {
    pub kind: ReportKind,
    pub observed_ms: i64,
    pub outfall: Option<String>,
    pub outfall_chosen: bool,
    pub sector: Option<String>,
    pub lng: Option<f64>,
    pub lat: Option<f64>,
    pub voice: Option<Vec<u8>>,
}

/// Of an erased record nothing is left: the sighting stands at the time it was received.
pub(super) fn derive(record: Option<&Record>, geotag: Option<&Geotag>, received_ms: i64) -> Derived {
    let Some(record) = record else {
        return Derived {
            kind: ReportKind::Other,
            observed_ms: received_ms,
            outfall: None,
            outfall_chosen: false,
            sector: None,
            lng: None,
            lat: None,
            voice: None,
        };
    };
    let (outfall, outfall_chosen) = outfall_of(record, geotag);
    Derived {
        kind: record.kind,
        observed_ms: record.seen_at.as_millisecond(),
        outfall: outfall.map(str::to_owned),
        outfall_chosen,
        sector: geotag.and_then(|g| g.sector.clone()),
        lng: geotag.map(|g| g.wgs84.lng),
        lat: geotag.map(|g| g.wgs84.lat),
        voice: record.voice.as_deref().and_then(|hex| hex::decode(hex).ok()),
    }
}

/// The outfall a record counts for, and whether a person chose it.
fn outfall_of<'a>(record: &'a Record, geotag: Option<&'a Geotag>) -> (Option<&'a str>, bool) {
    match (&record.outfall, geotag) {
        (Some(code), _) if code == NO_OUTFALL => (None, true),
        (Some(code), _) => (Some(code), true),
        (None, Some(g)) if g.matched == Match::One => (g.outfalls.first().map(|o| o.code.as_str()), false),
        _ => (None, false),
    }
}

pub(super) fn write_version(
    tx: &Tx<'_>,
    row: &SightingRow<'_>,
    entry: u64,
    action: &str,
    record: &Record,
    geotag: Option<&Geotag>,
    place_hash: &Hash,
) -> Result<()> {
    let report = row.report.as_bytes();
    tx.exec(
        "insert into report_version (report, entry, action) values (?1, ?2, ?3)",
        (report, entry, action),
    )?;
    if let Some(g) = geotag {
        add_geotag(tx, entry, place_hash, g)?;
    }
    for (seq, hash) in record.photos.iter().enumerate() {
        let bytes = hex::decode(hash).map_err(|e| Error::Internal(e.to_string()))?;
        tx.exec(
            "insert into report_photo (report, seq, sha256) values (?1, ?2, ?3) on conflict do nothing",
            (report, seq, bytes),
        )?;
    }
    let d = derive(Some(record), geotag, row.received_at.as_millisecond());
    tx.exec(
        "insert or replace into sighting (report, first_entry, head_entry, kind, observed_ms, received_ms, person,
           patrol, outfall, outfall_chosen, sector, lng, lat, place_hash, withdrawn, voice)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        rusqlite::params![
            report,
            row.first_entry,
            entry,
            d.kind.as_str(),
            d.observed_ms,
            row.received_at.as_millisecond(),
            row.person,
            row.patrol.map(Uuid::into_bytes),
            d.outfall,
            d.outfall_chosen,
            d.sector,
            d.lng,
            d.lat,
            place_hash,
            row.withdrawn,
            d.voice
        ],
    )
}

fn add_geotag(tx: &Tx<'_>, entry: u64, place_hash: &Hash, geotag: &Geotag) -> Result<()> {
    let result = serde_json::to_string(geotag).map_err(|e| Error::Internal(e.to_string()))?;
    tx.exec(
        "insert into geotag (entry, place_hash, result) values (?1, ?2, ?3) on conflict do nothing",
        (entry, place_hash, result),
    )
}

fn add_patrol(tx: &mut Tx<'_>, p: &NewPatrol) -> Result<Added> {
    let id = p.record.id;
    if let Some(receipt) = known_submission(tx, id, &p.body_sha256)? {
        return Ok(Added { receipt, new: false });
    }
    let submitted = Submitted {
        body_sha256: &p.body_sha256,
        person: &p.record.person.id,
        by: &p.by,
        note: p.note.as_ref(),
        name: p.name.as_ref(),
        reason: None,
    };
    let payloads = submitted.payloads(json(&p.record)?)?;
    let receipt = tx.append(p.received_at, Kind::Patrol { id }, &id.to_string(), &payloads)?;
    tx.exec("insert into submission (id, entry) values (?1, ?2)", (id.as_bytes(), receipt.index))?;
    tx.exec(
        "insert into patrol (id, entry, person, started_ms, ended_ms) values (?1, ?2, ?3, ?4, ?5)",
        (
            id.as_bytes(),
            receipt.index,
            &p.record.person.id,
            p.record.started_at.as_millisecond(),
            p.record.ended_at.as_millisecond(),
        ),
    )?;
    for sector in &p.record.sectors {
        tx.exec("insert into patrol_sector (patrol, sector) values (?1, ?2)", (id.as_bytes(), sector))?;
    }
    Ok(Added { receipt, new: true })
}

fn judge_again(tx: &mut Tx<'_>, place: &Place, locator: &Locator, step: u32) -> Result<u64> {
    let mut heads: Vec<([u8; 16], u64)> = Vec::new();
    {
        let mut statement = tx
            .conn
            // By the index: `<>` would read every sighting at each start, while reports wait.
            .prepare_cached(
                "select report, head_entry from sighting where place_hash < ?1 union all
                 select report, head_entry from sighting where place_hash > ?1 limit ?2",
            )
            .map_err(super::store_error)?;
        let rows = statement
            .query_map((place.hash, step), |r| Ok((r.get(0)?, r.get(1)?)))
            .map_err(super::store_error)?;
        for row in rows {
            heads.push(row.map_err(super::store_error)?);
        }
    }
    for (report, head) in &heads {
        let body: Option<(Vec<u8>,)> =
            tx.find("select body from payload where entry = ?1 and name = 'record'", (head,))?;
        // An erased record cannot be judged again; the place is noted all the same.
        let record = body.map(|(b,)| read_record(&b)).transpose()?;
        let geotag = record.as_ref().and_then(|r| locate(r, locator));
        if let Some(g) = &geotag {
            add_geotag(tx, *head, &place.hash, g)?;
        }
        // No time received is needed: only what the place decides is written.
        let d = derive(record.as_ref(), geotag.as_ref(), 0);
        tx.exec(
            "update sighting set place_hash = ?2, outfall = ?3, outfall_chosen = ?4, sector = ?5 where report = ?1",
            (report, place.hash, d.outfall, d.outfall_chosen, d.sector),
        )?;
    }
    Ok(heads.len() as u64)
}

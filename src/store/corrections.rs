//! Corrections: a new version beside the old ones, in one transaction with its entry.

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Store;
use super::reports::{Added, SightingRow, Submitted, json, known_submission, read_record, write_version};
use super::tx::Tx;
use crate::error::{Error, Result};
use crate::evidence::entry::Kind;
use crate::evidence::merkle::Hash;
use crate::lake::geotag::Locator;
use crate::patrol::correction::{self, Amendment, CorrectionAction, CorrectionBody};
use crate::patrol::report::Record;

impl Store {
    /// Adds a correction of the report `id`, judged by the place with `place_hash`, whose index is `locator`; `by` is who sent it.
    ///
    /// # Errors
    /// `NotFound` for an unknown report, `Conflict` for a withdrawn one or a taken id, `Invalid` if the corrected
    /// report would not be accepted.
    pub async fn add_correction(
        &self,
        id: Uuid,
        body: Vec<u8>,
        correction: CorrectionBody,
        place_hash: Hash,
        locator: Arc<Locator>,
        by: String,
    ) -> Result<Added> {
        let received_at = self.clock.now();
        self.writer
            .run(move |tx| {
                let judge = Judge { place_hash, locator: &locator, received_at, by };
                add_correction(tx, id, &body, &correction, &judge)
            })
            .await
    }
}

/// By what a version is judged.
struct Judge<'a> {
    place_hash: Hash,
    locator: &'a Locator,
    received_at: Timestamp,
    by: String,
}

fn add_correction(
    tx: &mut Tx<'_>,
    report: Uuid,
    body: &[u8],
    c: &CorrectionBody,
    judge: &Judge<'_>,
) -> Result<Added> {
    let body_sha256: Hash = Sha256::digest(body).into();
    if let Some(receipt) = known_submission(tx, c.id, &body_sha256)? {
        let of_report: (bool,) = tx.row(
            "select exists (select 1 from report_version where report = ?1 and entry = ?2)",
            (report.as_bytes(), receipt.index),
        )?;
        if !of_report.0 {
            return Err(Error::Conflict(format!("id {} is taken by a correction of another report", c.id)));
        }
        return Ok(Added { receipt, new: false });
    }
    let (row, old_entry, old) = head_of(tx, report)?;
    let (record, changed, geotag) = correction::apply(c, &old, judge.received_at, judge.locator)?;
    let submitted = Submitted {
        body_sha256: &body_sha256,
        person: &c.person.id,
        by: &judge.by,
        note: c.amend.as_ref().and_then(|a: &Amendment| a.note.as_ref()),
        name: c.person.name.as_ref(),
        reason: Some(&c.reason),
    };
    let payloads = submitted.payloads(json(&record)?)?;
    let kind = Kind::Correction {
        id: c.id,
        report,
        replaces: old_entry,
        action: c.action.as_str().into(),
        changed,
        photos: record.photos.clone(),
    };
    let receipt = tx.append(judge.received_at, kind, &c.id.to_string(), &payloads)?;
    tx.exec("insert into submission (id, entry) values (?1, ?2)", (c.id.as_bytes(), receipt.index))?;
    let row = SightingRow {
        withdrawn: c.action == CorrectionAction::Withdraw,
        person: &row.person,
        ..row.borrowed()
    };
    write_version(tx, &row, receipt.index, c.action.as_str(), &record, geotag.as_ref(), &judge.place_hash)?;
    Ok(Added { receipt, new: true })
}

struct OwnedRow {
    report: Uuid,
    first_entry: u64,
    received_at: Timestamp,
    person: String,
    patrol: Option<Uuid>,
}

impl OwnedRow {
    fn borrowed(&self) -> SightingRow<'_> {
        SightingRow {
            report: self.report,
            first_entry: self.first_entry,
            received_at: self.received_at,
            person: &self.person,
            patrol: self.patrol,
            withdrawn: false,
        }
    }
}

fn head_of(tx: &Tx<'_>, report: Uuid) -> Result<(OwnedRow, u64, Record)> {
    let key = report.as_bytes();
    let row: Option<(u64, u64, i64, String)> = tx.find(
        "select first_entry, head_entry, received_ms, person from sighting where report = ?1",
        (key,),
    )?;
    let (first_entry, head, received_ms, person) =
        row.ok_or_else(|| Error::NotFound(format!("report {report}")))?;
    let (withdrawn, patrol): (bool, Option<[u8; 16]>) =
        tx.row("select withdrawn, patrol from sighting where report = ?1", (key,))?;
    if withdrawn {
        return Err(Error::Conflict(format!("report {report} was withdrawn; submit a new one")));
    }
    let (body,): (Vec<u8>,) = tx
        .find("select body from payload where entry = ?1 and name = 'record'", (head,))?
        .ok_or_else(|| Error::Conflict(format!("report {report} was erased by law (已依法删除)")))?;
    let patrol = patrol.map(Uuid::from_bytes);
    let received_at = crate::clock::from_ms(received_ms);
    Ok((OwnedRow { report, first_entry, received_at, person, patrol }, head, read_record(&body)?))
}

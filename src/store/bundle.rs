//! What a bundle takes from the tables: entries, payloads that may be disclosed, observations with their batches.

use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use super::{Store, read_error};
use crate::error::{Error, Result};
use crate::water::observation::{NewObservation, Processing, Value};

/// Entries read at once.
const CHUNK: usize = 500;
/// A person's name stays in the office.
const NOT_DISCLOSED: &str = "name";

/// A payload as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPayload {
    /// Index of its entry.
    pub entry: u64,
    /// `record`, `note`.
    pub name: String,
    /// Its salt.
    pub salt: Vec<u8>,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Place of an observation in the log: its batch's entry, and its place in the batch.
pub type RowPlace = (u64, u64);

impl Store {
    /// Indexes of the entries that belong to these reports: every version, their photos that have come, their patrols,
    /// the erasures of any of these. In no order, an index may come twice.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_entries_of(&self, reports: &[Uuid]) -> Result<Vec<u64>> {
        let mut all = Vec::new();
        for chunk in reports.chunks(CHUNK) {
            let mut query = QueryBuilder::<Sqlite>::new("with r (report) as (values ");
            let mut list = query.separated(", ");
            for report in chunk {
                list.push("(").push_bind_unseparated(report.as_bytes().to_vec()).push_unseparated(")");
            }
            query.push(
                "), e (idx) as (
                   select v.entry from r join report_version v using (report)
                   union select p.entry from r join report_photo using (report) join photo p using (sha256)
                   union select p.entry from r join sighting s using (report) join patrol p on p.id = s.patrol)
                 select idx from e union select x.entry from e join erasure x on x.target = e.idx",
            );
            let rows: Vec<(i64,)> =
                query.build_query_as().fetch_all(&self.readers).await.map_err(read_error)?;
            all.extend(rows.into_iter().map(|(index,)| index.unsigned_abs()));
        }
        Ok(all)
    }

    /// The bytes of these entries, in the order of `indexes`.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read or lacks one.
    pub async fn list_bodies(&self, indexes: &[u64]) -> Result<Vec<Vec<u8>>> {
        let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
            "select e.body from json_each($1) j cross join entry e on e.idx = j.value order by j.key",
        )
        .bind(json(indexes)?)
        .fetch_all(&self.readers)
        .await
        .map_err(read_error)?;
        if rows.len() != indexes.len() {
            return Err(Error::Internal("an entry of the bundle is missing; run `jijia audit`".into()));
        }
        Ok(rows.into_iter().map(|(body,)| body).collect())
    }

    /// The payloads of these entries that may be disclosed, ascending by entry and name: no person's name, and not why
    /// and on whose request something was erased.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_payloads(&self, indexes: &[u64]) -> Result<Vec<StoredPayload>> {
        let rows: Vec<(i64, String, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "select p.entry, p.name, p.salt, p.body from json_each($1) j
               cross join entry e on e.idx = j.value join payload p on p.entry = e.idx
             where p.name <> $2 and e.kind <> 'erasure' order by p.entry, p.name",
        )
        .bind(json(indexes)?)
        .bind(NOT_DISCLOSED)
        .fetch_all(&self.readers)
        .await
        .map_err(read_error)?;
        let payload = |(entry, name, salt, body): (i64, _, _, _)| StoredPayload {
            entry: entry.unsigned_abs(),
            name,
            salt,
            body,
        };
        Ok(rows.into_iter().map(payload).collect())
    }

    /// Places of the raw rain observations of `station` from `from_ms` to `to_ms`, milliseconds since 1970.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_rain_places(&self, station: &str, from_ms: i64, to_ms: i64) -> Result<Vec<RowPlace>> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "select o.entry, o.pos from datastream d cross join observation o
               on o.ds = d.id and o.t >= $2 and o.t <= $3
             where d.station = $1 and d.property = 'rain' and d.processing = 'raw'",
        )
        .bind(station)
        .bind(from_ms)
        .bind(to_ms)
        .fetch_all(&self.readers)
        .await
        .map_err(read_error)?;
        Ok(rows.into_iter().map(|(entry, pos)| (entry.unsigned_abs(), pos.unsigned_abs())).collect())
    }

    /// All observations of a batch, in its order.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_batch(&self, entry: u64) -> Result<Vec<NewObservation>> {
        type Row = (String, String, String, String, i64, Option<f64>, Option<String>, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "select d.station, d.property, d.unit, d.processing, o.t, o.v, o.received_text, o.mark
             from observation o indexed by observation_entry join datastream d on d.id = o.ds
             where o.entry = $1 order by o.pos",
        )
        .bind(i64::try_from(entry).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(read_error)?;
        let row = |(station, property, unit, processing, at_ms, number, text, mark): Row| NewObservation {
            station,
            property,
            unit,
            processing: if processing == "raw" { Processing::Raw } else { Processing::Reviewed },
            at_ms,
            value: Value { number, text: text.map(Into::into) },
            mark: mark.map(Into::into),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// The folder of the bundles that can be fetched; the first of them makes it.
    #[must_use]
    pub fn bundle_folder(&self) -> std::path::PathBuf {
        self.dir.join("bundles")
    }
}

fn json(indexes: &[u64]) -> Result<String> {
    serde_json::to_string(indexes).map_err(|e| Error::Internal(e.to_string()))
}

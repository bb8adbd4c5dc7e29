//! Patrol duty from the tables: who was where, and what each patrol left behind.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::view::View;
use super::{Store, read_error};
use crate::clock::{day_start, from_ms};
use crate::error::{Error, Result};
use crate::evidence::timeline::{ERASED, Rules};
use crate::lake::Place;
use crate::patrol::duty::{
    Compliance, Duty, DutyFilter, DutyRow, DutySums, Limits, Period, Trace, Walk, Walks,
};
use crate::patrol::roster::Roster;
use crate::patrol::walk::PatrolBody;

/// Days of one answer: a quarter.
const DAYS_MAX: i32 = 92;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Sector, person, first and last instant, lag (milliseconds), patrol.
type WalkRow = (String, String, i64, i64, i64, Option<Vec<u8>>);

fn walk((sector, person, from, to, lag, patrol): WalkRow) -> Walk {
    Walk {
        sector,
        person: if person.is_empty() { ERASED.to_owned() } else { person },
        from: from_ms(from),
        to: from_ms(to),
        lag: SignedDuration::from_millis(lag),
        patrol: patrol.and_then(|id| Uuid::from_slice(&id).ok()),
    }
}

/// Whose record is read: what overlaps a time.
const OVERLAPPING: &str = "p.started_ms between $1 - 86400000 and $2 and p.ended_ms >= $1";

impl Store {
    /// A patrol as it was submitted, without name and note; `None` for one that is not here or was erased.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_patrol(&self, id: Uuid) -> Result<Option<PatrolBody>> {
        let body: Option<Vec<u8>> = sqlx::query_scalar(
            "select r.body from patrol p join payload r on r.entry = p.entry and r.name = 'record' where p.id = $1",
        )
        .bind(id.as_bytes().to_vec())
        .fetch_optional(&self.readers)
        .await
        .map_err(read_error)?;
        let read = |body: Vec<u8>| serde_json::from_slice(&body);
        body.map(read).transpose().map_err(|e| Error::Internal(format!("a stored patrol does not read: {e}")))
    }

    /// Every sector in every window of the filter's days: who was due, who walked, what was reached.
    ///
    /// # Errors
    /// `Invalid` for an unknown sector or too long a period; `Internal` if the database cannot be read.
    pub async fn get_compliance(
        &self,
        filter: &DutyFilter,
        place: &Place,
        rules: &Rules,
        (roster, limits): (&Roster, Limits),
    ) -> Result<Compliance> {
        check(filter, place)?;
        let mut view = self.view(place, rules).await?;
        let sectors: Vec<String> = place.sectors.iter().map(|s| s.code.clone()).collect();
        let start = |field, day| {
            day_start(day).ok_or_else(|| Error::invalid(field, format!("{day} is no day of ours")))
        };
        let span = (start("from", filter.from)?, start("to", filter.to)? + DAY);
        let walks = view.list_walks(&sectors, span).await?;
        let traces = view.list_traces(span).await?;
        let late_after = SignedDuration::from_secs(rules.late_s);
        let duty = Duty { place, roster, limits, late_after, walks: &walks, traces: &traces };
        let first = view.first_seen().await?.unwrap_or(view.cut_off);
        let period = Period { from: filter.from, to: filter.to, first, now: view.cut_off };
        let mut rows = duty.rows(&period);
        rows.retain(|r| fits(r, filter));
        Ok(Compliance {
            demo: view.demo,
            cut_off: view.cut_off,
            log_size: view.head.size,
            log_root: hex::encode(view.head.root),
            filter: filter.clone(),
            roster: roster.sha256.clone(),
            roster_warning: roster.warning.clone(),
            sums: DutySums::of(&rows),
            rows,
        })
    }
}

fn check(filter: &DutyFilter, place: &Place) -> Result<()> {
    if let Some(code) = filter.sector.as_ref().filter(|c| !place.sectors.iter().any(|s| s.code == **c)) {
        let known: Vec<&str> = place.sectors.iter().map(|s| s.code.as_str()).collect();
        return Err(Error::invalid(
            "sector",
            format!("`{code}` is not known; allowed: {}", known.join(", ")),
        ));
    }
    if filter.to < filter.from {
        return Err(Error::invalid("to", format!("{} lies before `from`, {}", filter.to, filter.from)));
    }
    if (filter.to - filter.from).get_days() >= DAYS_MAX {
        return Err(Error::invalid("to", format!("allowed: at most {DAYS_MAX} days from `from`")));
    }
    Ok(())
}

fn fits(row: &DutyRow, filter: &DutyFilter) -> bool {
    let is = |person: &String| row.on_duty.contains(person) || row.walked_by.contains(person);
    filter.sector.as_ref().is_none_or(|code| row.sector.code == *code)
        && filter.person.as_ref().is_none_or(is)
}

impl View<'_> {
    /// When the patrols' record begins.
    pub(super) async fn first_seen(&mut self) -> Result<Option<Timestamp>> {
        let ms: Option<i64> = sqlx::query_scalar(
            "select min(t) from (select min(observed_ms) as t from sighting union all select min(started_ms) from patrol)",
        )
            .fetch_one(&mut *self.tx)
            .await
            .map_err(read_error)?;
        Ok(ms.map(from_ms))
    }

    /// Who was in each sector when: reports there, and patrols that name it.
    pub(super) async fn list_walks(
        &mut self,
        sectors: &[String],
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Walks> {
        let (start, end) = (from.as_millisecond(), to.as_millisecond());
        let mut query = QueryBuilder::new(
            "select sector, person, min(observed_ms), max(observed_ms), min(received_ms - observed_ms), null
             from sighting where sector in (",
        );
        let mut list = query.separated(", ");
        for s in sectors {
            list.push_bind(s.clone());
        }
        query.push(") and withdrawn = 0 and observed_ms between ").push_bind(start);
        query.push(" and ").push_bind(end);
        // Quarter hours: enough to tell the windows apart, and few rows however many reports.
        query.push(" group by sector, person, observed_ms / 900000");
        let reports: Vec<WalkRow> =
            query.build_query_as().fetch_all(&mut *self.tx).await.map_err(read_error)?;
        let sql = format!(
            "select s.sector, p.person, p.started_ms, p.ended_ms, e.received_ms - p.ended_ms, p.id
             from patrol p join patrol_sector s on s.patrol = p.id join entry e on e.idx = p.entry
             where {OVERLAPPING}"
        );
        let patrols: Vec<WalkRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(start)
            .bind(end)
            .fetch_all(&mut *self.tx)
            .await
            .map_err(read_error)?;
        Ok(Walks::of(reports.into_iter().chain(patrols).map(walk)))
    }

    /// What the patrols of a time left behind; one whose record was erased is not among them.
    async fn list_traces(&mut self, (from, to): (Timestamp, Timestamp)) -> Result<BTreeMap<Uuid, Trace>> {
        let (start, end) = (from.as_millisecond(), to.as_millisecond());
        let reported = self.count_reported(start, end).await?;
        let arrived = self.list_arrived(start, end).await?;
        let sql = format!(
            "select p.id, r.body from patrol p join payload r on r.entry = p.entry and r.name = 'record'
             where {OVERLAPPING}"
        );
        // One record at a time: a track may be a megabyte, and there are some hundred in a quarter.
        let mut rows = sqlx::query_as::<_, (Vec<u8>, Vec<u8>)>(sqlx::AssertSqlSafe(sql))
            .bind(start)
            .bind(end)
            .fetch(&mut *self.tx);
        let mut traces = BTreeMap::new();
        while let Some((id, body)) = rows.try_next().await.map_err(read_error)? {
            let patrol: PatrolBody = serde_json::from_slice(&body)
                .map_err(|e| Error::Internal(format!("a stored patrol does not read: {e}")))?;
            let photos = reported.get(&id).copied().unwrap_or_default();
            traces.insert(patrol.id, Trace::of(&patrol, &arrived, photos, self.place));
        }
        Ok(traces)
    }

    /// Photos that the reports of each patrol name.
    async fn count_reported(&mut self, start: i64, end: i64) -> Result<BTreeMap<Vec<u8>, usize>> {
        let sql = format!(
            "select s.patrol, count(*) from patrol p join sighting s on s.patrol = p.id
             join report_photo r on r.report = s.report where {OVERLAPPING} and s.withdrawn = 0 group by s.patrol"
        );
        let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(start)
            .bind(end)
            .fetch_all(&mut *self.tx)
            .await
            .map_err(read_error)?;
        Ok(rows.into_iter().map(|(id, n)| (id, usize::try_from(n).unwrap_or(usize::MAX))).collect())
    }

    /// Photos whose bytes came about that time or later and were not erased, by their hash in hex.
    async fn list_arrived(&mut self, start: i64, end: i64) -> Result<BTreeSet<String>> {
        let sql = format!(
            "with named as (
               select distinct lower(json_extract(w.value, '$.photo')) as sha256
               from patrol p join payload r on r.entry = p.entry and r.name = 'record',
                 json_each(cast(r.body as text), '$.waypoints') w
               where {OVERLAPPING} and json_extract(w.value, '$.photo') is not null)
             select n.sha256 from named n join photo f on f.sha256 = unhex(n.sha256)
             where not exists (select 1 from erasure e where e.target = f.entry and e.name = 'photo')"
        );
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(start)
            .bind(end)
            .fetch_all(&mut *self.tx)
            .await
            .map_err(read_error)?;
        Ok(rows.into_iter().collect())
    }
}

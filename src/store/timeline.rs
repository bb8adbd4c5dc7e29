//! The evidence timeline from the tables: sightings by the filter, and what belongs to each of them.

mod details;
mod gaps;
mod sighting;
mod weather;
mod words;

pub(super) use gaps::{DELIVERED, Span};

use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use super::view::View;
use super::{Store, read_error};
use crate::clock::from_ms;
use crate::error::{Error, Result};
use crate::evidence::timeline::{
    After, Filter, Page, ReportNow, Row, Rules, Sighting, Summary, Timeline, WATCHED,
};
use crate::lake::Place;

/// Sightings whose details are fetched at once.
const CHUNK: usize = 400;

impl Store {
    /// One page of at most `limit` sightings, newest first, with the gaps and rain days between them.
    ///
    /// # Errors
    /// `Invalid` for an unknown code in the filter; `Internal` if the database cannot be read.
    pub async fn list_timeline(
        &self,
        filter: &Filter,
        after: Option<After>,
        limit: u32,
        place: &Place,
        rules: &Rules,
    ) -> Result<Page> {
        check(filter, place)?;
        let mut view = self.view(place, rules).await?;
        let mut sightings = view.list_sightings(filter, after, limit + 1).await?;
        let more = sightings.len() > limit as usize;
        sightings.truncate(limit as usize);
        let next = sightings.last().filter(|_| more).map(|s| {
            After { observed_ms: s.observed_at.as_millisecond(), first_entry: s.first_entry }.to_cursor()
        });
        let end = filter.to.unwrap_or(view.cut_off).min(view.cut_off);
        let newest = after.map_or(end, |a| from_ms(a.observed_ms));
        let oldest = match (&next, sightings.last()) {
            (Some(_), Some(last)) => last.observed_at,
            _ => filter.from.unwrap_or_else(|| sightings.last().map_or(newest, |s| s.observed_at)),
        };
        let span = Span { from: oldest, to: newest, begins: next.is_none(), end };
        let mut rows = view.list_derived(filter, &span).await?;
        rows.extend(sightings.into_iter().map(|s| Row::Sighting(Box::new(s))));
        rows.sort_by_key(|r| std::cmp::Reverse(r.at()));
        Ok(Page {
            demo: view.demo,
            cut_off: view.cut_off,
            log_size: view.head.size,
            log_root: hex::encode(view.head.root),
            filter: filter.clone(),
            rows,
            next,
        })
    }

    /// The whole timeline of a filter, oldest first, with its counts and its series: what documents are made from.
    ///
    /// # Errors
    /// `Invalid` for an unknown code, or for more than `max_rows` sightings.
    pub async fn get_timeline(
        &self,
        filter: &Filter,
        place: &Place,
        rules: &Rules,
        max_rows: u32,
    ) -> Result<Timeline> {
        check(filter, place)?;
        let mut view = self.view(place, rules).await?;
        let checkpoint = super::log::find_checkpoint(&mut view.tx).await?;
        let seen_heads = self.seen_heads(&mut view.tx, view.cut_off - WATCHED).await?;
        let sightings = view.list_sightings(filter, None, max_rows + 1).await?;
        if sightings.len() > max_rows as usize {
            return Err(Error::invalid(
                "from",
                format!(
                    "more than {max_rows} sightings in this period; allowed: a shorter period (from, to)"
                ),
            ));
        }
        let cut_off = view.cut_off;
        let first = sightings.last().map_or(cut_off, |s| s.observed_at);
        let span = (filter.from.unwrap_or(first), filter.to.unwrap_or(cut_off).min(cut_off));
        let whole = Span::whole(span.0, span.1);
        let mut rows = view.list_derived(filter, &whole).await?;
        let rain_days = view.list_rain_days(&whole).await?;
        let series = view.list_series(filter, span).await?;
        rows.extend(sightings.into_iter().map(|s| Row::Sighting(Box::new(s))));
        rows.sort_by_key(Row::at);
        Ok(Timeline {
            place: place.name.clone(),
            place_notice: place.notice.clone(),
            demo: view.demo,
            subject: words::subject(filter, place),
            filter: filter.clone(),
            filter_words: words::filter_words(filter, place),
            cut_off,
            log_size: view.head.size,
            log_root: hex::encode(view.head.root),
            checkpoint: checkpoint.map(|signed| signed.checkpoint().clone()),
            seen_heads,
            rules: rules.clone(),
            summary: Summary::of(&rows),
            rows,
            series,
            rain_days,
        })
    }

    /// One report as the timeline shows it, and all its versions.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get_report(&self, id: Uuid, place: &Place, rules: &Rules) -> Result<ReportNow> {
        let mut view = self.view(place, rules).await?;
        let mut query = QueryBuilder::new(sighting::SELECT);
        query.push(" where s.report = ").push_bind(id.as_bytes().to_vec());
        let mut found = view.read_sightings(query).await?;
        let sighting = found.pop().ok_or_else(|| Error::NotFound(format!("report {id}")))?;
        Ok(ReportNow {
            demo: view.demo,
            sighting,
            versions: view.list_versions(id).await?,
            cut_off: view.cut_off,
            log_size: view.head.size,
        })
    }
}

impl View<'_> {
    pub(super) async fn list_sightings(
        &mut self,
        filter: &Filter,
        after: Option<After>,
        limit: u32,
    ) -> Result<Vec<Sighting>> {
        let mut query = QueryBuilder::new(sighting::SELECT);
        sighting::push_filter(&mut query, filter, self.place);
        if let Some(a) = after {
            query.push(" and (s.observed_ms, s.first_entry) < (");
            query.push_bind(a.observed_ms).push(", ").push_bind(signed(a.first_entry)).push(")");
        }
        query.push(" order by s.observed_ms desc, s.first_entry desc limit ").push_bind(limit);
        self.read_sightings(query).await
    }

    /// What a query that begins with [`sighting::SELECT`] finds, with all that belongs to it.
    async fn read_sightings(&mut self, mut query: QueryBuilder<Sqlite>) -> Result<Vec<Sighting>> {
        let rows = query.build().fetch_all(&mut *self.tx).await.map_err(read_error)?;
        let mut found =
            rows.iter().map(|r| sighting::read(r, self.place, self.rules)).collect::<Result<Vec<_>>>()?;
        for chunk in found.chunks_mut(CHUNK) {
            self.add_details(chunk).await?;
        }
        Ok(found)
    }

    /// Gaps and rain days that begin in a span. One patrol has none.
    pub(super) async fn list_derived(&mut self, filter: &Filter, span: &Span) -> Result<Vec<Row>> {
        if filter.patrol.is_some() {
            return Ok(Vec::new());
        }
        let mut rows: Vec<Row> = Vec::new();
        rows.extend(self.list_not_patrolled(filter, span).await?.into_iter().map(Row::Gap));
        rows.extend(self.list_silent(filter, span).await?.into_iter().map(Row::Gap));
        let rain = self.list_rain_days(span).await?;
        rows.extend(rain.into_iter().filter(|d| d.mm > 0.0).map(Row::Rain));
        Ok(rows)
    }
}

/// SQLite has no unsigned integers.
fn signed(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// An unknown code would show an empty timeline, which reads as "nothing happened".
fn check(f: &Filter, place: &Place) -> Result<()> {
    let known = |field: &str, code: &Option<String>, codes: Vec<&str>| match code {
        Some(c) if !codes.contains(&c.as_str()) => {
            Err(Error::invalid(field, format!("`{c}` is not known; allowed: {}", codes.join(", "))))
        }
        _ => Ok(()),
    };
    known("outfall", &f.outfall, place.outfalls.iter().map(|o| o.code.as_str()).collect())?;
    known("sector", &f.sector, place.sectors.iter().map(|s| s.code.as_str()).collect())?;
    known("unit", &f.unit, place.units.iter().map(|u| u.code.as_str()).collect())?;
    match (f.from, f.to) {
        (Some(from), Some(to)) if from >= to => Err(Error::invalid("to", "must be later than `from`")),
        _ => Ok(()),
    }
}

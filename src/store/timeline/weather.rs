//! Rain: dry or wet before each sighting, the days of a period, and the thinned series of the stations.

use jiff::Timestamp;

use super::super::view::View;
use super::{Span, read_error};
use crate::clock::{BEIJING_MS, DAY_MS, from_ms};
use crate::error::{Error, Result};
use crate::evidence::overview::SILENT_INTERVALS;
use crate::evidence::timeline::{Bucket, Filter, Named, RainDay, Series, Sighting};
use crate::water::property;
use crate::water::rain::{RainBefore, Weather, judge};

/// Buckets of a thinned series: about one per two pixels of a printed chart.
const BUCKETS: i64 = 240;

/// Rain in the window before each instant of `$1`, a JSON array, and how much of the window it covers.
// Less than nothing (-9999 of a gauge at fault) is no rain and says nothing about its time. `cross join` holds the order: the other way round the array is read anew for every value the gauge ever gave.
const RAIN_BEFORE: &str = "with q as (select key as i, value as at from json_each($1)),
     o as (select q.i, q.at, o.t, o.v, row_number() over
         (partition by q.i, o.t order by o.entry desc, o.pos desc) as nth
       from q cross join observation o on o.ds = $2 and o.t > q.at - $3 and o.t <= q.at),
     c as (select i, v, min($4, t - coalesce(lag(t) over (partition by i order by t), at - $3)) as covered
       from o where nth = 1 and v >= 0)
     select i, total(v), sum(covered) from c group by i";

/// The weather at one instant.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Judged {
    /// By the rule.
    pub weather: Weather,
    /// Rain in the window, as far as known.
    pub rain_mm: f64,
    /// Share of the window that the source covers.
    pub coverage: f64,
}

impl View<'_> {
    async fn rain_stream(&mut self) -> Result<Option<(i64, i64)>> {
        let every_s = self
            .place
            .stations
            .iter()
            .find(|s| s.code == self.rules.rain_station)
            .and_then(|s| s.channels.iter().find(|c| c.property == "rain"))
            .map_or(3600, |c| c.every_s);
        let id: Option<i64> = sqlx::query_scalar(
            "select id from datastream where station = $1 and property = 'rain' and processing = 'raw'",
        )
        .bind(&self.rules.rain_station)
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(read_error)?;
        Ok(id.map(|id| (id, i64::from(every_s) * 1000)))
    }

    /// Dry, wet or unknown for each sighting.
    pub(super) async fn add_weather(&mut self, sightings: &mut [Sighting]) -> Result<()> {
        let times: Vec<Timestamp> = sightings.iter().map(|s| s.observed_at).collect();
        let judged = self.judge_weather(&times).await?;
        for (s, j) in sightings.iter_mut().zip(judged) {
            s.weather = j.weather;
            s.rain_mm = (j.coverage > 0.0).then_some(j.rain_mm);
        }
        Ok(())
    }

    /// Dry, wet or unknown at each of `times`. A value covers the time since the one before it, at most the
    /// station's interval; coverage is the covered share of the window. A missing value says nothing about its time.
    pub(in crate::store) async fn judge_weather(&mut self, times: &[Timestamp]) -> Result<Vec<Judged>> {
        let mut judged = vec![Judged { weather: Weather::Unknown, rain_mm: 0.0, coverage: 0.0 }; times.len()];
        let Some((ds, every_ms)) = self.rain_stream().await? else { return Ok(judged) };
        #[expect(clippy::cast_possible_truncation, reason = "the window is at most 240 h")]
        let window_ms = (self.rules.dry.window_h * 3_600_000.0) as i64;
        let times: Vec<i64> = times.iter().map(|t| t.as_millisecond()).collect();
        let asked = serde_json::to_string(&times).map_err(|e| Error::Internal(e.to_string()))?;
        let rows: Vec<(i64, f64, i64)> = sqlx::query_as(RAIN_BEFORE)
            .bind(asked)
            .bind(ds)
            .bind(window_ms)
            .bind(every_ms)
            .fetch_all(&mut *self.tx)
            .await
            .map_err(read_error)?;
        for (i, mm, covered_ms) in rows {
            let Some(j) = usize::try_from(i).ok().and_then(|i| judged.get_mut(i)) else { continue };
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of some days")]
            let coverage = (covered_ms as f64 / window_ms as f64).min(1.0);
            let (weather, rain_mm) = judge([RainBefore { hours_before: 0.0, mm }], coverage, self.rules.dry);
            *j = Judged { weather, rain_mm, coverage };
        }
        Ok(judged)
    }

    /// The end of the last break of the rain source after `last_rain` (ms), or `last_rain`: since then it has said that
    /// no rain fell.
    pub(in crate::store) async fn rain_unbroken_since(
        &mut self,
        last_rain: Option<i64>,
    ) -> Result<Option<Timestamp>> {
        let (Some(last), Some((ds, every_ms))) = (last_rain, self.rain_stream().await?) else {
            return Ok(None);
        };
        let resumed: Option<i64> = sqlx::query_scalar(
            "select max(t) from (select t, t - lag(t) over (order by t) as away from observation
               where ds = $1 and t >= $2 and t <= $3 and v >= 0) where away >= $4",
        )
        .bind(ds)
        .bind(last)
        .bind(self.cut_off.as_millisecond())
        .bind(every_ms * SILENT_INTERVALS)
        .fetch_one(&mut *self.tx)
        .await
        .map_err(read_error)?;
        // The first value after a break speaks of its own interval.
        Ok(Some(from_ms(resumed.map_or(last, |t| t - every_ms))))
    }

    /// Rain by day, 北京时间, each day in the span in which it begins.
    pub(super) async fn list_rain_days(&mut self, span: &Span) -> Result<Vec<RainDay>> {
        let Some((ds, every_ms)) = self.rain_stream().await? else { return Ok(Vec::new()) };
        let rows: Vec<(i64, f64, i64)> = sqlx::query_as(
            "with o as (select t, v, row_number() over (partition by t order by entry desc, pos desc) as nth
               from observation where ds = $1 and t > $2 and t <= $3),
             c as (select t, v, min($4, t - coalesce(lag(t) over (order by t), t - $4)) as covered
               from o where nth = 1 and v >= 0)
             select (t - 1 + $5) / $6 as day, total(v), sum(covered) from c group by day order by day",
        )
        .bind(ds)
        // The day in which the span begins is summed whole.
        .bind(end_of_day(span.from).as_millisecond() - DAY_MS)
        .bind(end_of_day(span.to).min(span.end).as_millisecond())
        .bind(every_ms)
        .bind(BEIJING_MS)
        .bind(DAY_MS)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(read_error)?;
        let day = |(day, mm, covered): (i64, f64, i64)| RainDay {
            from: from_ms(day * DAY_MS - BEIJING_MS),
            mm: (mm * 100.0).round() / 100.0,
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day")]
            coverage: (covered as f64 / DAY_MS as f64).min(1.0),
            source: self.rules.rain_station.clone(),
        };
        let first = from_ms(end_of_day(span.from).as_millisecond() - DAY_MS);
        let here = |d: &RainDay| d.from < span.to && d.from >= if span.begins { first } else { span.from };
        Ok(rows.into_iter().map(day).filter(here).collect())
    }

    /// The raw series of the stations that belong to the filter, thinned to at most [`BUCKETS`] buckets each.
    pub(super) async fn list_series(
        &mut self,
        filter: &Filter,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<Series>> {
        let mut streams: Vec<(i64, String, String, String)> = sqlx::query_as(
            "select id, station, property, unit from datastream where processing = 'raw' and property <> 'rain'
             order by station, id",
        )
        .fetch_all(&mut *self.tx)
        .await
        .map_err(read_error)?;
        streams.sort_by_key(|(_, _, key, _)| property::sewage_rank(key));
        let (start, end) = (from.as_millisecond(), to.as_millisecond());
        let width = ((end - start) / BUCKETS).max(1);
        let mut all = Vec::new();
        for station in super::gaps::stations_of(filter, self.place, self.rules) {
            for (ds, _, key, unit) in streams.iter().filter(|(_, code, ..)| *code == station.code) {
                let rows: Vec<(i64, f64, f64, f64)> = sqlx::query_as(
                    "select (t - $2) / $4 as bucket, min(v), max(v), avg(v) from observation
                     where ds = $1 and t >= $2 and t < $3 and v is not null group by bucket order by bucket",
                )
                .bind(ds)
                .bind(start)
                .bind(end)
                .bind(width)
                .fetch_all(&mut *self.tx)
                .await
                .map_err(read_error)?;
                let bucket = |(n, min, max, mean): (i64, f64, f64, f64)| Bucket {
                    at: from_ms(start + n * width + width / 2),
                    min,
                    max,
                    mean,
                };
                all.push(Series {
                    station: Named { code: station.code.clone(), name: station.name.clone() },
                    property: key.clone(),
                    property_zh: property::find(key).map_or_else(|| key.clone(), |p| p.zh.into()),
                    unit: property::unit_words(unit).to_owned(),
                    points: rows.into_iter().map(bucket).collect(),
                });
            }
        }
        all.retain(|s: &Series| !s.points.is_empty());
        // Of one outfall the nearest station first; of the lake one property at all stations, then the next.
        if filter.outfall.is_none() {
            all.sort_by_key(|s| property::sewage_rank(&s.property));
        }
        Ok(all)
    }
}

/// Midnight in 北京时间 at or after `at`.
fn end_of_day(at: Timestamp) -> Timestamp {
    let days = (at.as_millisecond() + BEIJING_MS + DAY_MS - 1).div_euclid(DAY_MS);
    from_ms(days * DAY_MS - BEIJING_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instants_are_gone_through_once_and_the_rain_looked_up() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("../migrations/0001.sql")).unwrap();
        let mut plan = db.prepare(&format!("explain query plan {RAIN_BEFORE}")).unwrap();
        let mut rows = plan.query(("[]", 1, 2, 3)).unwrap();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        let at = |words: &str| steps.iter().position(|s| s.contains(words)).unwrap();
        assert!(at("json_each") < at("SEARCH o USING PRIMARY KEY (ds=? AND t>? AND t<?)"), "{steps:#?}");
    }
}

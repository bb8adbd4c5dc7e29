//! What should be there and is not: duty windows without a patrol of a sector, stations that fell silent.

use std::collections::HashSet;

use geo::{Distance, Geodesic, Point};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use sqlx::QueryBuilder;

use super::{Store, named, read_error, sector_name};
use crate::clock::{beijing, beijing_words, from_ms};
use crate::error::Result;
use crate::evidence::timeline::{Filter, Gap, GapKind, Named, Rules};
use crate::lake::{DutyWindow, Place, Station};

/// A station is silent after this many of its intervals without a value.
const SILENT_INTERVALS: i64 = 3;
/// Days of duty windows looked at for one answer: more is no page that a person reads.
const MAX_DAYS: i64 = 800;

/// The stations whose water a filter is about: near its outfall, or all of them.
pub(super) fn stations_of<'p>(filter: &Filter, place: &'p Place, rules: &Rules) -> Vec<&'p Station> {
    let outfall = place.outfalls.iter().find(|o| Some(&o.code) == filter.outfall.as_ref());
    let near = |s: &&Station| {
        outfall.is_none_or(|o| {
            let (a, b) = (o.position, s.position);
            Geodesic.distance(Point::new(a.lng, a.lat), Point::new(b.lng, b.lat)) <= rules.nearby_m
        })
    };
    place.stations.iter().filter(near).collect()
}

/// Start and end of a duty window on a day.
pub(in crate::store) fn window_on(day: Date, window: &DutyWindow) -> Option<(Timestamp, Timestamp)> {
    let zone = TimeZone::fixed(Offset::constant(8));
    let at = |time| day.to_datetime(time).to_zoned_datetime(zone.clone()).ok().map(|z| z.timestamp());
    Some((at(window.from)?, at(window.to)?))
}

impl Store {
    /// Duty windows that passed without a report or a patrol in a sector. Nothing is said about the time before the
    /// first entry, nor about a window that is not over.
    pub(super) async fn list_not_patrolled(
        &self,
        filter: &Filter,
        (from, to): (Timestamp, Timestamp),
        place: &Place,
    ) -> Result<Vec<Gap>> {
        let sectors = sectors_of(filter, place);
        let Some(first) = self.first_seen().await? else { return Ok(Vec::new()) };
        let (from, to) = (from.max(first), to.min(self.clock.now()));
        let walked = self.list_walked(&sectors, (from, to)).await?;
        let mut gaps = Vec::new();
        let mut day = beijing(from).date();
        let last = beijing(to).date();
        for _ in 0..MAX_DAYS {
            if day > last {
                break;
            }
            for window in &place.windows {
                let Some((start, end)) = window_on(day, window) else { continue };
                if start < from || end > to {
                    continue;
                }
                let missed = sectors
                    .iter()
                    .filter(|code| !walked.iter().any(|(s, a, b)| s == *code && *a <= end && *b >= start));
                gaps.extend(not_patrolled(missed, window, (start, end), sectors.len(), place));
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        Ok(gaps)
    }

    /// When the patrols' record begins.
    async fn first_seen(&self) -> Result<Option<Timestamp>> {
        let ms: Option<i64> = sqlx::query_scalar("select min(observed_ms) from sighting")
            .fetch_one(&self.readers)
            .await
            .map_err(read_error)?;
        Ok(ms.map(from_ms))
    }

    /// Sectors with the time in which somebody was there: a report, or a patrol that names them.
    pub(in crate::store) async fn list_walked(
        &self,
        sectors: &[String],
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<(String, Timestamp, Timestamp)>> {
        let (start, end) = (from.as_millisecond(), to.as_millisecond());
        let mut query = QueryBuilder::new(
            "select sector, min(observed_ms), max(observed_ms) from sighting where sector in (",
        );
        let mut list = query.separated(", ");
        for s in sectors {
            list.push_bind(s.clone());
        }
        query
            .push(") and withdrawn = 0 and observed_ms between ")
            .push_bind(start)
            .push(" and ")
            .push_bind(end);
        // Quarter hours: enough to tell the windows apart, and few rows however many reports.
        query.push(" group by sector, observed_ms / 900000");
        let mut rows: Vec<(String, i64, i64)> =
            query.build_query_as().fetch_all(&self.readers).await.map_err(read_error)?;
        let patrols: Vec<(String, i64, i64)> = sqlx::query_as(
            "select s.sector, p.started_ms, p.ended_ms from patrol p join patrol_sector s on s.patrol = p.id
             where p.started_ms between $1 - 86400000 and $2",
        )
        .bind(start)
        .bind(end)
        .fetch_all(&self.readers)
        .await
        .map_err(read_error)?;
        rows.extend(patrols);
        Ok(rows.into_iter().map(|(sector, a, b)| (sector, from_ms(a), from_ms(b))).collect())
    }

    /// Times in which a station of the filter delivered nothing for three intervals or more.
    pub(super) async fn list_silent(
        &self,
        filter: &Filter,
        (from, to): (Timestamp, Timestamp),
        place: &Place,
        rules: &Rules,
    ) -> Result<Vec<Gap>> {
        let mut gaps = Vec::new();
        for station in stations_of(filter, place, rules) {
            let Some(channel) = station.channels.iter().min_by_key(|c| c.every_s) else { continue };
            let limit_ms = i64::from(channel.every_s) * 1000 * SILENT_INTERVALS;
            let ds: Option<i64> = sqlx::query_scalar(
                "select id from datastream where station = $1 and property = $2 and processing = 'raw'",
            )
            .bind(&station.code)
            .bind(&channel.property)
            .fetch_optional(&self.readers)
            .await
            .map_err(read_error)?;
            // A station that never said anything is not "silent since": nothing is known of it.
            let Some(ds) = ds else { continue };
            let rows: Vec<(i64, i64)> = sqlx::query_as(
                "select a, b from (select coalesce(lag(t) over (order by t),
                     (select max(t) from observation where ds = $1 and t < $2), $2) as a, t as b
                   from (select t from observation where ds = $1 and t between $2 and $3 union select $3))
                 where b - a > $4",
            )
            .bind(ds)
            .bind(from.as_millisecond())
            .bind(to.as_millisecond())
            .bind(limit_ms)
            .fetch_all(&self.readers)
            .await
            .map_err(read_error)?;
            gaps.extend(rows.into_iter().map(|(a, b)| silent(station, from_ms(a), from_ms(b))));
        }
        Ok(gaps)
    }
}

fn sectors_of(filter: &Filter, place: &Place) -> Vec<String> {
    let of_outfall =
        || place.outfalls.iter().find(|o| Some(&o.code) == filter.outfall.as_ref())?.sector.clone();
    let of_unit = || {
        let unit = filter.unit.as_ref()?;
        let codes: HashSet<String> = place
            .outfalls
            .iter()
            .filter(|o| o.unit.as_ref() == Some(unit))
            .filter_map(|o| o.sector.clone())
            .collect();
        Some(codes.into_iter().collect::<Vec<_>>())
    };
    match (filter.sector.clone().or_else(of_outfall), of_unit()) {
        (Some(one), _) => vec![one],
        (None, Some(some)) => some,
        (None, None) => place.sectors.iter().map(|s| s.code.clone()).collect(),
    }
}

/// One row per window: the sectors missed, or the whole shore.
fn not_patrolled<'a>(
    missed: impl Iterator<Item = &'a String>,
    window: &DutyWindow,
    (from, to): (Timestamp, Timestamp),
    of: usize,
    place: &Place,
) -> Option<Gap> {
    let missed: Vec<Named> = missed.map(|code| named(code.clone(), |c| sector_name(place, c))).collect();
    let subject = match missed.as_slice() {
        [] => return None,
        [one] => one.clone(),
        all if all.len() == of => Named { code: window.code.clone(), name: "全部岸段".into() },
        some => Named {
            code: window.code.clone(),
            name: some.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join("、"),
        },
    };
    let day = beijing(from);
    let words = format!("{}月{}日{}：{}未巡", day.month(), day.day(), window.name, subject.name);
    Some(Gap { kind: GapKind::NotPatrolled, from, to, subject, words })
}

fn silent(station: &Station, from: Timestamp, to: Timestamp) -> Gap {
    let hours = to.duration_since(from).as_hours();
    let long = if hours < 48 { format!("{hours} 小时") } else { format!("{} 天", hours / 24) };
    Gap {
        kind: GapKind::SensorSilent,
        from,
        to,
        subject: Named { code: station.code.clone(), name: station.name.clone() },
        words: format!("{}无数据 {long}：{} 至 {}", station.name, beijing_words(from), beijing_words(to)),
    }
}

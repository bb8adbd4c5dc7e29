//! What should be there and is not: duty windows without a patrol of a sector, stations that fell silent.

use std::collections::BTreeSet;

use geo::{BoundingRect, Distance, Geodesic, Point};
use jiff::{SignedDuration, Timestamp};

use super::super::view::View;
use super::read_error;
use super::words::{named, sector_name};
use crate::clock::{beijing, beijing_words, from_ms};
use crate::error::Result;
use crate::evidence::overview::SILENT_INTERVALS;
use crate::evidence::timeline::{Filter, Gap, GapKind, Named, Rules};
use crate::lake::{Channel, DutyWindow, Place, Station};
use crate::patrol::duty::window_on;
use crate::water::property;

/// Days of duty windows looked at for one answer: ten years.
const MAX_DAYS: i64 = 3660;
/// A value came, were it below what the method can find; an empty one says that the sensor is not there.
pub(in crate::store) const DELIVERED: &str = "(v is not null or received_text glob '[<＜≤]*'
  or lower(received_text) in ('nd', '未检出'))";

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The part of a period that one page shows. What is derived belongs to the page in which it begins, so that it
/// stands on exactly one, whole.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Span {
    /// First instant.
    pub from: Timestamp,
    /// Last instant, exclusive.
    pub to: Timestamp,
    /// The period begins with this page: what had begun before it stands here.
    pub begins: bool,
    /// End of the period, at most now.
    pub end: Timestamp,
}

impl Span {
    /// All of a period on one page.
    pub fn whole(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to, begins: true, end: to }
    }
}

/// The stations whose water a filter is about: near its outfall, or all of them.
pub(super) fn stations_of<'p>(filter: &Filter, place: &'p Place, rules: &Rules) -> Vec<&'p Station> {
    let Some(outfall) = place.outfalls.iter().find(|o| Some(&o.code) == filter.outfall.as_ref()) else {
        let within = |s: &&Station| {
            filter.bbox.is_none_or(|[west, south, east, north]| {
                (west..=east).contains(&s.position.lng) && (south..=north).contains(&s.position.lat)
            })
        };
        return place.stations.iter().filter(within).collect();
    };
    let away_m = |s: &Station| {
        let (a, b) = (outfall.position, s.position);
        Geodesic.distance(Point::new(a.lng, a.lat), Point::new(b.lng, b.lat))
    };
    let mut near: Vec<(f64, &Station)> = place.stations.iter().map(|s| (away_m(s), s)).collect();
    near.retain(|(m, _)| *m <= rules.nearby_m);
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near.into_iter().map(|(_, s)| s).collect()
}

impl View<'_> {
    /// Duty windows that passed without a report or a patrol in a sector. Nothing is said about the time before the
    /// first entry, nor about a window that is not over.
    pub(super) async fn list_not_patrolled(&mut self, filter: &Filter, span: &Span) -> Result<Vec<Gap>> {
        let sectors = sectors_of(filter, self.place);
        let Some(first) = self.first_seen().await? else { return Ok(Vec::new()) };
        let (from, now) = (span.from.max(first), self.cut_off);
        // A window that begins in the span may end after it.
        let walks = self.list_walks(&sectors, (from, span.to + DAY)).await?;
        let mut gaps = Vec::new();
        let mut day = beijing(span.to).date();
        // From the newest day back: a phone whose clock was never set must not use up the days that are looked at.
        for _ in 0..MAX_DAYS {
            for window in self.place.windows.iter().rev() {
                let Some((start, end)) = window_on(day, window) else { continue };
                if start < from || start >= span.to || end > now {
                    continue;
                }
                let missed = sectors.iter().filter(|code| walks.first_within(code, start, end).is_none());
                gaps.extend(not_patrolled(missed, window, (start, end), self.place));
            }
            let Ok(before) = day.yesterday() else { break };
            if day <= beijing(from).date() {
                break;
            }
            day = before;
        }
        gaps.reverse();
        Ok(gaps)
    }

    /// Times in which a station of the filter, or one of its channels, delivered nothing for three intervals or more,
    /// each in the span in which it begins. A channel that fell silent with its station is not said again.
    pub(super) async fn list_silent(&mut self, filter: &Filter, span: &Span) -> Result<Vec<Gap>> {
        let streams: Vec<(i64, String, String)> =
            sqlx::query_as("select id, station, property from datastream where processing = 'raw'")
                .fetch_all(&mut *self.tx)
                .await
                .map_err(read_error)?;
        let mut gaps = Vec::new();
        for station in stations_of(filter, self.place, self.rules) {
            let Some(fastest_s) = station.channels.iter().map(|c| c.every_s).min() else { continue };
            let mut holes: Vec<(&Channel, Vec<Hole>)> = Vec::new();
            for channel in &station.channels {
                let of = |(_, code, key): &&(i64, String, String)| {
                    *code == station.code && *key == channel.property
                };
                // What never said anything is not "silent since": nothing is known of it.
                if let Some((ds, ..)) = streams.iter().find(of) {
                    holes.push((channel, self.list_holes(*ds, silence(fastest_s), span).await?));
                }
            }
            gaps.extend(silent_of(station, fastest_s, &holes));
        }
        gaps.sort_by_key(|g| g.from);
        Ok(gaps)
    }

    /// The times longer than `limit` in which a datastream delivered nothing: from each value to the next, which may lie
    /// behind the span; where the period begins, also from the last value before it.
    async fn list_holes(&mut self, ds: i64, limit: SignedDuration, span: &Span) -> Result<Vec<Hole>> {
        let sql = format!(
            "with v as (
               select t from observation where ds = $1 and t >= $2 and t < $3 and {DELIVERED}
               union select coalesce((select t from observation where ds = $1 and t < $2 and {DELIVERED}
                 order by t desc limit 1), $2) where $4)
             select a, b from (select t as a, coalesce(lead(t) over (order by t), (select t from observation
                 where ds = $1 and t >= $3 and t <= $5 and {DELIVERED} order by t limit 1), $5) as b from v)
             where b - a > $6"
        );
        let rows: Vec<(i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(ds)
            .bind(span.from.as_millisecond())
            .bind(span.to.as_millisecond())
            .bind(span.begins)
            .bind(span.end.as_millisecond())
            .bind(limit.as_millis() as i64)
            .fetch_all(&mut *self.tx)
            .await
            .map_err(read_error)?;
        Ok(rows.into_iter().map(|(a, b)| (from_ms(a), from_ms(b))).collect())
    }
}

/// From the last value to the next.
type Hole = (Timestamp, Timestamp);

/// How long nothing may come of what delivers every so many seconds.
fn silence(every_s: u32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(every_s) * SILENT_INTERVALS)
}

/// The gaps of a station from the holes of its channels: where all of them are empty it is the station that is silent.
fn silent_of(station: &Station, fastest_s: u32, holes: &[(&Channel, Vec<Hole>)]) -> Vec<Gap> {
    let mut whole: Vec<Hole> = match holes {
        [] => return Vec::new(),
        [(_, first), rest @ ..] => rest.iter().fold(first.clone(), |all, (_, more)| common(&all, more)),
    };
    whole.retain(|(a, b)| b.duration_since(*a) > silence(fastest_s));
    let mut gaps: Vec<Gap> = whole.iter().map(|h| silent(station, "", *h)).collect();
    for (channel, holes) in holes.iter().filter(|_| holes.len() > 1) {
        let limit = silence(channel.every_s);
        let with_station = |h: &Hole| whole.iter().any(|w| h.0 >= w.0 - limit && h.1 <= w.1 + limit);
        let name = property::find(&channel.property).map_or(channel.property.as_str(), |p| p.zh);
        let alone = holes.iter().filter(|h| h.1.duration_since(h.0) > limit && !with_station(h));
        gaps.extend(alone.map(|h| silent(station, name, *h)));
    }
    gaps
}

/// The times that lie in a hole of both, in order.
fn common(a: &[Hole], b: &[Hole]) -> Vec<Hole> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        let (from, to) = (x.0.max(y.0), x.1.min(y.1));
        if from < to {
            both.push((from, to));
        }
        if x.1 <= y.1 {
            a.next()
        } else {
            b.next()
        };
    }
    both
}

fn sectors_of(filter: &Filter, place: &Place) -> Vec<String> {
    let of_outfall =
        || place.outfalls.iter().find(|o| Some(&o.code) == filter.outfall.as_ref())?.sector.clone();
    let of_unit = || {
        let unit = filter.unit.as_ref()?;
        let codes: BTreeSet<String> = place
            .outfalls
            .iter()
            .filter(|o| o.unit.as_ref() == Some(unit))
            .filter_map(|o| o.sector.clone())
            .collect();
        Some(codes.into_iter().collect::<Vec<_>>())
    };
    let within = |s: &&crate::lake::Sector| match (filter.bbox, s.polygon.bounding_rect()) {
        (Some([west, south, east, north]), Some(r)) => {
            r.min().x <= east && r.max().x >= west && r.min().y <= north && r.max().y >= south
        }
        _ => true,
    };
    match (filter.sector.clone().or_else(of_outfall), of_unit()) {
        (Some(one), _) => vec![one],
        (None, Some(some)) => some,
        (None, None) => place.sectors.iter().filter(within).map(|s| s.code.clone()).collect(),
    }
}

/// One row per window: the sectors missed, or the whole shore.
fn not_patrolled<'a>(
    missed: impl Iterator<Item = &'a String>,
    window: &DutyWindow,
    (from, to): (Timestamp, Timestamp),
    place: &Place,
) -> Option<Gap> {
    let missed: Vec<Named> = missed.map(|code| named(code.clone(), |c| sector_name(place, c))).collect();
    let subject = match missed.as_slice() {
        [] => return None,
        [one] => one.clone(),
        all if all.len() == place.sectors.len() => {
            Named { code: window.code.clone(), name: "全部岸段".into() }
        }
        some => Named {
            code: window.code.clone(),
            name: some.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join("、"),
        },
    };
    let day = beijing(from);
    let words = format!("{}月{}日{}：{}未巡", day.month(), day.day(), window.name, subject.name);
    Some(Gap { kind: GapKind::NotPatrolled, from, to, subject, words })
}

/// `channel` is the property's name, or empty for the whole station.
fn silent(station: &Station, channel: &str, (from, to): (Timestamp, Timestamp)) -> Gap {
    let hours = to.duration_since(from).as_hours();
    let long = if hours < 48 { format!("{hours} 小时") } else { format!("{} 天", hours / 24) };
    let name = format!("{}{channel}", station.name);
    Gap {
        kind: GapKind::SensorSilent,
        from,
        to,
        words: format!("{name}无数据 {long}：{} 至 {}", beijing_words(from), beijing_words(to)),
        subject: Named { code: station.code.clone(), name },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_in_both_is_common() {
        let hole = |a: i64, b: i64| (from_ms(a), from_ms(b));
        let a = [hole(0, 10), hole(20, 30), hole(40, 90)];
        let b = [hole(5, 25), hole(28, 50), hole(60, 61), hole(95, 99)];
        let both = [hole(5, 10), hole(20, 25), hole(28, 30), hole(40, 50), hole(60, 61)];
        assert_eq!(common(&a, &b), both);
        assert_eq!(common(&b, &a), both);
        assert_eq!(common(&a, &[]), []);
    }
}

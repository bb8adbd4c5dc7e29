//! What the first page shows, by a handful of queries.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::timeline::{DELIVERED, Span};
use super::view::View;
use super::{Store, read_error};
use crate::casework::EvidenceLevel;
use crate::clock::{BEIJING_MS, DAY_MS, beijing, from_ms};
use crate::error::Result;
use crate::evidence::overview::{
    ChannelNow, LOOK_BACK_DAYS, Newest, OutfallNow, Overview, RainNow, SectorDuty, StationNow, WindowToday,
};
use crate::evidence::timeline::{After, Filter, Gap, GapKind, Named, Row, Rules, Sighting};
use crate::lake::{Outfall, Place};
use crate::patrol::ReportKind;
use crate::patrol::duty::window_on;
use crate::patrol::roster::{Roster, Slot};
use crate::water::observation::shown;
use crate::water::property;
use crate::water::rain::Weather;

/// Rows of the feed.
const FEED: u32 = 20;
/// Sewage sightings that are in memory at once while they are counted.
const OUTFLOWS_AT_ONCE: u32 = 1000;

/// What the sewage sightings of the look-back period say: all of them, none left out.
#[derive(Default)]
struct Outflows {
    by_outfall: BTreeMap<String, OutflowCounts>,
    /// Days on which an outflow was seen in dry weather, at a known outfall or not.
    dry_days: BTreeSet<Date>,
}

#[derive(Default)]
struct OutflowCounts {
    sightings: u32,
    level: Option<EvidenceLevel>,
    dry_days: BTreeSet<Date>,
    last: Option<Timestamp>,
    last_dry: Option<Timestamp>,
}

impl Outflows {
    fn add(&mut self, s: &Sighting) {
        if s.withdrawn.is_some() {
            return;
        }
        let (at, day, dry) = (s.observed_at, beijing(s.observed_at).date(), is_dry_flow(s));
        if dry {
            self.dry_days.insert(day);
        }
        let Some(outfall) = &s.outfall else { return };
        let counts = self.by_outfall.entry(outfall.code.clone()).or_default();
        counts.sightings += 1;
        counts.level = counts.level.max(s.level);
        counts.last = counts.last.max(Some(at));
        if dry {
            counts.dry_days.insert(day);
            counts.last_dry = counts.last_dry.max(Some(at));
        }
    }
}

impl Store {
    /// The first page as of now.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn get_overview(&self, place: &Place, rules: &Rules, roster: &Roster) -> Result<Overview> {
        let mut view = self.view(place, rules).await?;
        let (day_start, _) = day_of(view.cut_off);
        let look_back = day_start - SignedDuration::from_hours(24 * (i64::from(LOOK_BACK_DAYS) - 1));
        let feed = view.list_sightings(&Filter::default(), None, FEED).await?;
        let outflows = view.count_outflows(look_back).await?;
        let looks = view.last_looks(look_back).await?;
        Ok(Overview {
            place: place.name.clone(),
            place_notice: place.notice.clone(),
            demo: view.demo,
            cut_off: view.cut_off,
            log_size: view.head.size,
            windows: view.windows_today(roster).await?,
            stations: view.stations_now().await?,
            outfalls: place.outfalls.iter().map(|o| outfall_now(o, &outflows, &looks)).collect(),
            rain: view.rain_now(look_back, &outflows.dry_days).await?,
            gaps: view.open_gaps(day_start).await?,
            reports_today: view.count_reports_since(day_start).await?,
            feed,
        })
    }
}

impl View<'_> {
    async fn windows_today(&mut self, roster: &Roster) -> Result<Vec<WindowToday>> {
        let (place, now) = (self.place, self.cut_off);
        let codes: Vec<String> = place.sectors.iter().map(|s| s.code.clone()).collect();
        let (start, end) = day_of(now);
        let walks = self.list_walks(&codes, (start, end)).await?;
        let day = beijing(now).date();
        let mut windows = Vec::new();
        for window in &place.windows {
            let Some((from, to)) = window_on(day, window) else { continue };
            let sectors = place.sectors.iter().map(|s| SectorDuty {
                sector: Named { code: s.code.clone(), name: s.name.clone() },
                walked_at: walks.first_within(&s.code, from, to),
                excused: roster.excuse(&Slot { day, window: &window.code, sector: &s.code }).is_some(),
            });
            let sectors = sectors.collect();
            windows.push(WindowToday {
                code: window.code.clone(),
                name: window.name.clone(),
                from,
                to,
                sectors,
            });
        }
        Ok(windows)
    }

    async fn stations_now(&mut self) -> Result<Vec<StationNow>> {
        type NewestRow = (String, String, i64, Option<f64>, Option<String>);
        let rows: Vec<NewestRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select d.station, d.property, o.t, o.v, o.received_text from datastream d join observation o
                   on o.ds = d.id and (o.t, o.entry, o.pos) = (select t, entry, pos from observation
                     where ds = d.id and {DELIVERED} order by t desc, entry desc, pos desc limit 1)
                 where d.processing = 'raw'"
        )))
        .fetch_all(&mut *self.tx)
        .await
        .map_err(read_error)?;
        let mut newest: BTreeMap<(String, String), (Newest, &str)> = BTreeMap::new();
        for (station, key, t, v, text) in rows {
            let unit = property::find(&key).map_or("", |p| property::unit_words(p.unit));
            let (value, unit) = shown(v, text, unit);
            let found = (Newest { value, observed_at: from_ms(t) }, unit);
            newest.insert((station, key), found);
        }
        let station = |s: &crate::lake::Station| StationNow {
            station: Named { code: s.code.clone(), name: s.name.clone() },
            channels: s
                .channels
                .iter()
                .map(|c| {
                    let known = property::find(&c.property);
                    let found = newest.get(&(s.code.clone(), c.property.clone()));
                    ChannelNow {
                        property: c.property.clone(),
                        property_zh: known.map_or_else(|| c.property.clone(), |p| p.zh.into()),
                        unit: found.map(|(_, unit)| (*unit).to_owned()).unwrap_or_default(),
                        every_s: c.every_s,
                        newest: found.map(|(newest, _)| newest.clone()),
                    }
                })
                .collect(),
        };
        Ok(self.place.stations.iter().map(station).collect())
    }

    async fn count_outflows(&mut self, since: Timestamp) -> Result<Outflows> {
        let filter = Filter { kind: Some(ReportKind::SewageOutflow), from: Some(since), ..Filter::default() };
        let (mut counted, mut after) = (Outflows::default(), None);
        loop {
            let some = self.list_sightings(&filter, after, OUTFLOWS_AT_ONCE).await?;
            some.iter().for_each(|s| counted.add(s));
            let Some(last) = some.last().filter(|_| some.len() == OUTFLOWS_AT_ONCE as usize) else {
                return Ok(counted);
            };
            after =
                Some(After { observed_ms: last.observed_at.as_millisecond(), first_entry: last.first_entry });
        }
    }

    /// The newest report of each outfall of any kind, 走过无异常 too, by its code.
    async fn last_looks(&mut self, since: Timestamp) -> Result<BTreeMap<String, Timestamp>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select outfall, max(observed_ms) from sighting
             where observed_ms >= $1 and outfall is not null and withdrawn = 0 group by outfall",
        )
        .bind(since.as_millisecond())
        .fetch_all(&mut *self.tx)
        .await
        .map_err(read_error)?;
        Ok(rows.into_iter().map(|(outfall, ms)| (outfall, from_ms(ms))).collect())
    }

    /// `seen_dry` are the days since `look_back` on which somebody saw an outflow in dry weather.
    async fn rain_now(&mut self, look_back: Timestamp, seen_dry: &BTreeSet<Date>) -> Result<RainNow> {
        let (rules, now) = (self.rules, self.cut_off);
        // Noon of each day, and now: judged by the rule that judges sightings.
        let noons =
            (0..i64::from(LOOK_BACK_DAYS)).map(|d| look_back + SignedDuration::from_hours(24 * d + 12));
        let times: Vec<Timestamp> = noons.filter(|t| *t <= now).chain([now]).collect();
        let judged = self.judge_weather(&times).await?;
        let last = judged.last();
        // A day on which somebody saw an outflow in dry weather is a dry day, whatever its noon was like: no outfall
        // flows on more dry days than there are.
        let at_noon = times.iter().zip(&judged).take(judged.len().saturating_sub(1));
        let noons = at_noon.filter(|(_, j)| j.weather == Weather::Dry).map(|(t, _)| beijing(*t).date());
        let dry_days: BTreeSet<Date> = noons.chain(seen_dry.iter().copied()).collect();
        let last_rain: Option<i64> = sqlx::query_scalar(
            "select max(o.t) from datastream d join observation o on o.ds = d.id
             where d.station = $1 and d.property = 'rain' and d.processing = 'raw' and o.v > 0 and o.t <= $2
               and o.t > $2 - 7776000000",
        )
        .bind(&rules.rain_station)
        .bind(now.as_millisecond())
        .fetch_one(&mut *self.tx)
        .await
        .map_err(read_error)?;
        let dry_since = self.rain_unbroken_since(last_rain).await?;
        Ok(RainNow {
            weather: last.map_or(Weather::Unknown, |l| l.weather),
            window_h: rules.dry.window_h,
            rain_mm: last.map_or(0.0, |l| l.rain_mm),
            coverage: last.map_or(0.0, |l| l.coverage.min(1.0)),
            last_rain: last_rain.map(from_ms),
            dry_since,
            dry_days: count(&dry_days),
        })
    }

    /// Windows missed today, and stations that are silent now.
    async fn open_gaps(&mut self, day_start: Timestamp) -> Result<Vec<Gap>> {
        let now = self.cut_off;
        let rows = self.list_derived(&Filter::default(), &Span::whole(day_start, now)).await?;
        Ok(rows
            .into_iter()
            .filter_map(|r| match r {
                Row::Gap(g) if g.kind == GapKind::NotPatrolled || g.to >= now => Some(g),
                _ => None,
            })
            .collect())
    }

    async fn count_reports_since(&mut self, since: Timestamp) -> Result<u32> {
        let n: i64 = sqlx::query_scalar("select count(*) from sighting where observed_ms >= $1")
            .bind(since.as_millisecond())
            .fetch_one(&mut *self.tx)
            .await
            .map_err(read_error)?;
        Ok(u32::try_from(n).unwrap_or(u32::MAX))
    }
}

/// Start and end of the day of `now`, 北京时间.
fn day_of(now: Timestamp) -> (Timestamp, Timestamp) {
    let start = (now.as_millisecond() + BEIJING_MS).div_euclid(DAY_MS) * DAY_MS - BEIJING_MS;
    (from_ms(start), from_ms(start + DAY_MS - 1))
}

/// An outflow that somebody saw in dry weather, where it was not withdrawn.
fn is_dry_flow(s: &Sighting) -> bool {
    s.weather == Weather::Dry && s.flow_seen
}

fn count(days: &BTreeSet<Date>) -> u32 {
    u32::try_from(days.len()).unwrap_or(u32::MAX)
}

fn outfall_now(o: &Outfall, outflows: &Outflows, looks: &BTreeMap<String, Timestamp>) -> OutfallNow {
    let none = OutflowCounts::default();
    let own = outflows.by_outfall.get(&o.code).unwrap_or(&none);
    OutfallNow {
        outfall: Named { code: o.code.clone(), name: o.name.clone() },
        level: own.level,
        sightings: own.sightings,
        dry_flow_days: count(&own.dry_days),
        last_outflow: own.last,
        last_dry_outflow: own.last_dry,
        last_look: looks.get(&o.code).copied(),
    }
}

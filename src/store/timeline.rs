//! The evidence timeline from the tables: sightings by the filter, and what belongs to each of them.

mod details;
mod gaps;
mod weather;

pub(super) use gaps::{DELIVERED, Span, window_on};

use jiff::SignedDuration;
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, read_error};
use crate::casework::{SewageSigns, level_of};
use crate::clock::{beijing_minute, from_ms};
use crate::error::{Error, Result};
use crate::evidence::timeline::{
    After, ERASED, EntryRef, Filter, Located, Named, Page, PhotoRef, Row, Rules, Sighting, Summary, Timeline,
};
use crate::lake::{Crs, Geotag, Match, Place, crs};
use crate::patrol::ReportKind;
use crate::patrol::report::Record;
use crate::water::rain::Weather;

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
        let head = self.log_head().await?;
        let cut_off = self.clock.now();
        let mut sightings = self.list_sightings(filter, after, limit + 1, place, rules).await?;
        let more = sightings.len() > limit as usize;
        sightings.truncate(limit as usize);
        let next = sightings.last().filter(|_| more).map(|s| {
            After { observed_ms: s.observed_at.as_millisecond(), first_entry: s.first_entry }.to_cursor()
        });
        let end = filter.to.unwrap_or(cut_off).min(cut_off);
        let newest = after.map_or(end, |a| from_ms(a.observed_ms));
        let oldest = match (&next, sightings.last()) {
            (Some(_), Some(last)) => last.observed_at,
            _ => filter.from.unwrap_or_else(|| sightings.last().map_or(newest, |s| s.observed_at)),
        };
        let span = Span { from: oldest, to: newest, begins: next.is_none(), end };
        let mut rows = self.list_derived(filter, &span, place, rules).await?;
        rows.extend(sightings.into_iter().map(|s| Row::Sighting(Box::new(s))));
        rows.sort_by_key(|r| std::cmp::Reverse(r.at()));
        Ok(Page {
            cut_off,
            log_size: head.size,
            log_root: hex::encode(head.root),
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
        // Before the head: it never names entries that the timeline does not know.
        let checkpoint = self.find_checkpoint().await?;
        let head = self.log_head().await?;
        let cut_off = self.clock.now();
        let sightings = self.list_sightings(filter, None, max_rows + 1, place, rules).await?;
        if sightings.len() > max_rows as usize {
            return Err(Error::invalid(
                "from",
                format!(
                    "more than {max_rows} sightings in this period; allowed: a shorter period (from, to)"
                ),
            ));
        }
        let first = sightings.last().map_or(cut_off, |s| s.observed_at);
        let span = (filter.from.unwrap_or(first), filter.to.unwrap_or(cut_off).min(cut_off));
        let whole = Span::whole(span.0, span.1);
        let mut rows = self.list_derived(filter, &whole, place, rules).await?;
        let rain_days = self.list_rain_days(&whole, place, rules).await?;
        let series = self.list_series(filter, span, place, rules).await?;
        rows.extend(sightings.into_iter().map(|s| Row::Sighting(Box::new(s))));
        rows.sort_by_key(Row::at);
        Ok(Timeline {
            place: place.name.clone(),
            place_notice: place.notice.clone(),
            demo: self.demo,
            subject: subject(filter, place),
            filter: filter.clone(),
            filter_words: filter_words(filter, place),
            cut_off,
            log_size: head.size,
            log_root: hex::encode(head.root),
            checkpoint: checkpoint.map(|signed| signed.checkpoint().clone()),
            rules: rules.clone(),
            summary: Summary::of(&rows),
            rows,
            series,
            rain_days,
        })
    }

    /// One report as the timeline shows it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get_sighting(&self, id: Uuid, place: &Place, rules: &Rules) -> Result<Sighting> {
        let mut query = QueryBuilder::new(SELECT);
        query.push(" where s.report = ").push_bind(id.as_bytes().to_vec());
        let rows = query.build().fetch_all(&self.readers).await.map_err(read_error)?;
        let mut found = rows.iter().map(|r| sighting(r, place, rules)).collect::<Result<Vec<_>>>()?;
        self.add_details(&mut found, place, rules).await?;
        found.pop().ok_or_else(|| Error::NotFound(format!("report {id}")))
    }

    pub(super) async fn list_sightings(
        &self,
        filter: &Filter,
        after: Option<After>,
        limit: u32,
        place: &Place,
        rules: &Rules,
    ) -> Result<Vec<Sighting>> {
        let mut query = QueryBuilder::new(SELECT);
        push_filter(&mut query, filter, place);
        if let Some(a) = after {
            query.push(" and (s.observed_ms, s.first_entry) < (");
            query.push_bind(a.observed_ms).push(", ").push_bind(signed(a.first_entry)).push(")");
        }
        query.push(" order by s.observed_ms desc, s.first_entry desc limit ").push_bind(limit);
        let rows = query.build().fetch_all(&self.readers).await.map_err(read_error)?;
        let mut found = rows.iter().map(|r| sighting(r, place, rules)).collect::<Result<Vec<_>>>()?;
        for chunk in found.chunks_mut(CHUNK) {
            self.add_details(chunk, place, rules).await?;
        }
        Ok(found)
    }

    /// Gaps and rain days that begin in a span. One patrol has none.
    pub(super) async fn list_derived(
        &self,
        filter: &Filter,
        span: &Span,
        place: &Place,
        rules: &Rules,
    ) -> Result<Vec<Row>> {
        if filter.patrol.is_some() {
            return Ok(Vec::new());
        }
        let mut rows: Vec<Row> = Vec::new();
        rows.extend(self.list_not_patrolled(filter, span, place).await?.into_iter().map(Row::Gap));
        rows.extend(self.list_silent(filter, span, place, rules).await?.into_iter().map(Row::Gap));
        let rain = self.list_rain_days(span, place, rules).await?;
        rows.extend(rain.into_iter().filter(|d| d.mm > 0.0).map(Row::Rain));
        Ok(rows)
    }
}

/// One row per report, with its newest record and where it lies by the place in use.
const SELECT: &str = "select s.report, s.first_entry, s.head_entry, s.kind, s.observed_ms, s.received_ms, s.person,
  s.patrol, s.outfall, s.outfall_chosen, s.sector, s.withdrawn, p.body as record, g.result as geotag, e.leaf as leaf
  from sighting s
  join entry e on e.idx = s.head_entry
  left join payload p on p.entry = s.head_entry and p.name = 'record'
  left join geotag g on g.entry = s.head_entry and g.place_hash = s.place_hash";

/// SQLite has no unsigned integers.
fn signed(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// Units' outfalls are the place's, not the table's: a unit may change hands without touching evidence.
fn push_filter(query: &mut QueryBuilder<Sqlite>, f: &Filter, place: &Place) {
    query.push(" where 1");
    if let Some(code) = &f.outfall {
        query.push(" and s.outfall = ").push_bind(code.clone());
    }
    if let Some(code) = &f.sector {
        query.push(" and s.sector = ").push_bind(code.clone());
    }
    if let Some(unit) = &f.unit {
        let mut list = query.push(" and s.outfall in (").separated(", ");
        for o in place.outfalls.iter().filter(|o| o.unit.as_deref() == Some(unit)) {
            list.push_bind(o.code.clone());
        }
        query.push(")");
    }
    if let Some(kind) = f.kind {
        query.push(" and s.kind = ").push_bind(kind.as_str());
    }
    if let Some(patrol) = f.patrol {
        query.push(" and s.patrol = ").push_bind(patrol.as_bytes().to_vec());
    }
    if let Some(from) = f.from {
        query.push(" and s.observed_ms >= ").push_bind(from.as_millisecond());
    }
    if let Some(to) = f.to {
        query.push(" and s.observed_ms < ").push_bind(to.as_millisecond());
    }
    if let Some([west, south, east, north]) = f.bbox {
        query.push(" and s.lng between ").push_bind(west).push(" and ").push_bind(east);
        query.push(" and s.lat between ").push_bind(south).push(" and ").push_bind(north);
    }
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

fn sighting(row: &SqliteRow, place: &Place, rules: &Rules) -> Result<Sighting> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(read_error);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(read_error);
    let bytes = |column: &str| row.try_get::<Option<Vec<u8>>, _>(column).map_err(read_error);
    let record: Option<Record> = bytes("record")?.map(|b| super::reports::read_record(&b)).transpose()?;
    let geotag: Option<Geotag> = text("geotag")?
        .map(|g| serde_json::from_str(&g).map_err(|e| Error::Internal(format!("a stored geotag: {e}"))))
        .transpose()?;
    let kind: ReportKind = text("kind")?.unwrap_or_default().parse()?;
    let (observed_at, received_at) = (from_ms(number("observed_ms")?), from_ms(number("received_ms")?));
    let outfall = text("outfall")?;
    let unit =
        place.outfalls.iter().find(|o| Some(&o.code) == outfall.as_ref()).and_then(|o| o.unit.as_deref());
    let withdrawn = number("withdrawn")? != 0;
    let record_ref = record.as_ref();
    let late = received_at.duration_since(observed_at) > SignedDuration::from_secs(rules.late_s);
    let mut s = Sighting {
        id: uuid_of(&bytes("report")?.unwrap_or_default()),
        first_entry: number("first_entry")?.unsigned_abs(),
        kind,
        observed_at,
        received_at,
        clock_offset_s: record_ref.and_then(|r| r.clock_offset_s),
        late,
        person: text("person")?.unwrap_or_default(),
        patrol: bytes("patrol")?.map(|b| uuid_of(&b)),
        position: record_ref.and_then(|r| located(r, geotag.as_ref())),
        no_position: record_ref.and_then(|r| r.no_position.clone()),
        patch: record_ref.and_then(patch),
        sector: text("sector")?.map(|code| named(code, |c| sector_name(place, c))),
        outfall: outfall.map(|code| named(code, |c| outfall_name(place, c))),
        unit: unit.map(|code| named(code.to_owned(), |c| unit_name(place, c))),
        outfall_chosen: number("outfall_chosen")? != 0,
        outfall_match: geotag.as_ref().map(|g| g.matched),
        candidates: geotag.map(|g| g.outfalls).unwrap_or_default(),
        level: None,
        weather: Weather::Unknown,
        flow_seen: flow_seen(kind, record_ref),
        rain_mm: None,
        facts: record_ref.map(facts).unwrap_or_default(),
        note: None,
        erased: record.is_none(),
        photos: Vec::new(),
        readings: Vec::new(),
        flags: Vec::new(),
        corrections: Vec::new(),
        withdrawn: withdrawn.then(|| "撤回".to_owned()),
        entry: EntryRef {
            index: number("head_entry")?.unsigned_abs(),
            leaf_hash: hex::encode(bytes("leaf")?.unwrap_or_default()),
        },
        signs: signs(kind, record_ref),
    };
    s.flags = flags(&s, place.neighbourhood_m);
    Ok(s)
}

fn uuid_of(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).unwrap_or_default()
}

fn located(r: &Record, geotag: Option<&Geotag>) -> Option<Located> {
    let p = r.position.as_ref()?;
    let at = geotag.map_or_else(|| crs::to_wgs84(p.crs, p.lng, p.lat).ok(), |g| Some(g.wgs84))?;
    Some(Located {
        lng: at.lng,
        lat: at.lat,
        given_lng: p.lng,
        given_lat: p.lat,
        crs: p.crs,
        accuracy_m: p.accuracy_m,
        shore_m: geotag.map(|g| g.shore_m),
        in_lake: geotag.map(|g| g.in_lake),
    })
}

/// The drawn patch, in WGS-84; its ring stands in the reference system of the report's position.
fn patch(r: &Record) -> Option<Vec<[f64; 2]>> {
    let ring = r.hyacinth.as_ref()?.polygon.as_ref()?;
    let from = r.position.as_ref().map_or(Crs::Wgs84, |p| p.crs);
    ring.iter().map(|[lng, lat]| crs::to_wgs84(from, *lng, *lat).ok().map(|at| [at.lng, at.lat])).collect()
}

fn facts(r: &Record) -> Vec<crate::evidence::timeline::Fact> {
    let sewage = r.sewage.iter().flat_map(crate::patrol::form::SewageForm::facts);
    let hyacinth = r.hyacinth.iter().flat_map(crate::patrol::form::HyacinthForm::facts);
    sewage
        .chain(hyacinth)
        .map(|(label, value)| crate::evidence::timeline::Fact { label: label.to_owned(), value })
        .collect()
}

fn signs(kind: ReportKind, r: Option<&Record>) -> SewageSigns {
    let signs =
        r.and_then(|r| r.sewage.as_ref()).map(crate::patrol::form::SewageForm::signs).unwrap_or_default();
    SewageSigns { flow_seen: flow_seen(kind, r), ..signs }
}

/// Who reports 污水直排 has seen it flow, unless the form says that nothing flowed.
fn flow_seen(kind: ReportKind, r: Option<&Record>) -> bool {
    let form = r.and_then(|r| r.sewage.as_ref());
    match form {
        Some(f) if f.flow.is_some() || f.flow_l_s.is_some() => f.signs().flow_seen,
        _ => kind == ReportKind::SewageOutflow,
    }
}

/// Doubts in words.
fn flags(s: &Sighting, neighbourhood_m: f64) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(offset) = s.clock_offset_s {
        let minutes = offset.abs() / 60;
        let (days, hours) = (minutes / 1440, minutes / 60);
        let size = match (days, hours) {
            (0, 0) => format!("{minutes} 分钟"),
            (0, h) => format!("{h} 小时"),
            (d, _) => format!("{d} 天"),
        };
        words.push(format!("手机时钟偏{} {size}，已扣除", if offset > 0 { "快" } else { "慢" }));
    }
    match &s.position {
        Some(p) => {
            match p.accuracy_m {
                None => words.push("定位精度未知".into()),
                Some(a) if a > 50.0 => words.push(format!("定位精度差（±{a:.0} 米）")),
                Some(_) => {}
            }
            if p.shore_m.is_some_and(|m| m > neighbourhood_m) && p.in_lake == Some(false) {
                words.push("位置离湖岸较远，待核实".into());
            }
        }
        None if s.no_position.is_some() => words.push("无定位".into()),
        None => {}
    }
    if s.kind == ReportKind::SewageOutflow && s.outfall.is_none() && s.position.is_some() {
        match s.outfall_match {
            _ if s.outfall_chosen => words.push("不属于已知排口".into()),
            Some(Match::Several) => words.push("附近有多个排口，待选定".into()),
            Some(Match::None) => words.push("疑似新增排口".into()),
            _ => {}
        }
    }
    words
}

/// The level of a sewage sighting, once its photos and its weather are known.
fn settle_level(s: &mut Sighting, rules: &Rules) {
    let photos = s.photos.iter().filter(|p| p.stored).count();
    if s.kind == ReportKind::SewageOutflow && s.withdrawn.is_none() {
        s.level = level_of(photos, s.weather, &s.signs, rules.nh3n_limit_mg_l);
    }
    if s.photos.iter().any(PhotoRef::is_missing) {
        s.flags.push("照片未到".into());
    }
    if s.photos.iter().any(|p| p.erased) {
        s.flags.push(format!("照片{ERASED}"));
    }
}

fn named(code: String, name: impl Fn(&str) -> Option<String>) -> Named {
    let name = name(&code).unwrap_or_else(|| code.clone());
    Named { code, name }
}

fn outfall_name(place: &Place, code: &str) -> Option<String> {
    place.outfalls.iter().find(|o| o.code == code).map(|o| o.name.clone())
}

fn sector_name(place: &Place, code: &str) -> Option<String> {
    place.sectors.iter().find(|s| s.code == code).map(|s| s.name.clone())
}

fn unit_name(place: &Place, code: &str) -> Option<String> {
    place.units.iter().find(|u| u.code == code).map(|u| u.name.clone())
}

fn subject(f: &Filter, place: &Place) -> String {
    let of = |name: Option<String>, code: &str| format!("{}（{code}）", name.unwrap_or_default());
    if let Some(code) = &f.outfall {
        of(outfall_name(place, code), code)
    } else if let Some(code) = &f.sector {
        of(sector_name(place, code), code)
    } else if let Some(code) = &f.unit {
        of(unit_name(place, code), code)
    } else if let Some(kind) = f.kind {
        kind.zh().to_owned()
    } else {
        "全湖".to_owned()
    }
}

fn filter_words(f: &Filter, place: &Place) -> String {
    let mut words = vec![subject(f, place)];
    if let (Some(kind), true) = (f.kind, f.outfall.is_some() || f.sector.is_some() || f.unit.is_some()) {
        words.push(kind.zh().to_owned());
    }
    if let Some(patrol) = f.patrol {
        words.push(format!("巡查 {patrol}"));
    }
    match (f.from, f.to) {
        (Some(a), Some(b)) => words.push(format!("{} 至 {}", beijing_minute(a), beijing_minute(b))),
        (Some(a), None) => words.push(format!("{} 起", beijing_minute(a))),
        (None, Some(b)) => words.push(format!("截至 {}", beijing_minute(b))),
        (None, None) => words.push("全部时间".into()),
    }
    if let Some([w, s, e, n]) = f.bbox {
        words.push(format!("范围 {w}–{e}°E, {s}–{n}°N"));
    }
    words.join("；")
}

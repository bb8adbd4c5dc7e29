//! One row of the timeline: a report with its newest record, and the doubts about it in words.

use jiff::SignedDuration;
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};
use uuid::Uuid;

use super::super::read_error;
use super::super::reports::read_record;
use super::words::{named, outfall_name, sector_name, unit_name};
use crate::casework::{SewageSigns, level_of};
use crate::clock::from_ms;
use crate::error::{Error, Result};
use crate::evidence::timeline::{
    ERASED, EntryRef, Fact, Filter, Located, PhotoRef, Rules, Sighting, VoiceRef,
};
use crate::lake::{Crs, Geotag, Match, Place, crs};
use crate::patrol::ReportKind;
use crate::patrol::form::{HyacinthForm, SewageForm};
use crate::patrol::report::Record;
use crate::water::rain::Weather;

/// One row per report, with its newest record and where it lies by the place in use.
pub(super) const SELECT: &str = "select s.report, s.first_entry, s.head_entry, s.kind, s.observed_ms, s.received_ms, s.person,
  s.patrol, s.outfall, s.outfall_chosen, s.sector, s.withdrawn, p.body as record, g.result as geotag, e.leaf as leaf
  from sighting s
  join entry e on e.idx = s.head_entry
  left join payload p on p.entry = s.head_entry and p.name = 'record'
  left join geotag g on g.entry = s.head_entry and g.place_hash = s.place_hash";

/// Units' outfalls are the place's, not the table's: a unit may change hands without touching evidence.
pub(super) fn push_filter(query: &mut QueryBuilder<Sqlite>, f: &Filter, place: &Place) {
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

/// A row of [`SELECT`], without what [`super::View::add_details`] adds.
pub(super) fn read(row: &SqliteRow, place: &Place, rules: &Rules) -> Result<Sighting> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(read_error);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(read_error);
    let bytes = |column: &str| row.try_get::<Option<Vec<u8>>, _>(column).map_err(read_error);
    let record: Option<Record> = bytes("record")?.map(|b| read_record(&b)).transpose()?;
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
        clock_behind_s: None,
        late,
        person: text("person")?.filter(|p| !p.is_empty()).unwrap_or_else(|| ERASED.into()),
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
        same_as: record_ref.and_then(|r| r.same_as),
        rain_mm: None,
        facts: record_ref.map(facts).unwrap_or_default(),
        note: None,
        erased: record.is_none(),
        photos: Vec::new(),
        voice: record_ref.and_then(|r| r.voice.as_ref()).map(|sha256| VoiceRef::named(sha256)),
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
        hints: p.hints.clone(),
    })
}

/// The drawn patch, in WGS-84; its ring stands in the reference system of the report's position.
fn patch(r: &Record) -> Option<Vec<[f64; 2]>> {
    let ring = r.hyacinth.as_ref()?.polygon.as_ref()?;
    let from = r.position.as_ref().map_or(Crs::Wgs84, |p| p.crs);
    ring.iter().map(|[lng, lat]| crs::to_wgs84(from, *lng, *lat).ok().map(|at| [at.lng, at.lat])).collect()
}

fn facts(r: &Record) -> Vec<Fact> {
    let sewage = r.sewage.iter().flat_map(SewageForm::facts);
    let hyacinth = r.hyacinth.iter().flat_map(HyacinthForm::facts);
    sewage.chain(hyacinth).map(|(label, value)| Fact { label: label.to_owned(), value }).collect()
}

fn signs(kind: ReportKind, r: Option<&Record>) -> SewageSigns {
    let signs = r.and_then(|r| r.sewage.as_ref()).map(SewageForm::signs).unwrap_or_default();
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
            if !p.hints.is_empty() {
                let signs: Vec<_> = p.hints.iter().map(|hint| hint.zh()).collect();
                words.push(format!("定位可疑（{}），待核实", signs.join("、")));
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
pub(super) fn settle_level(s: &mut Sighting, rules: &Rules) {
    let photos = s.photos.iter().filter(|p| p.stored && !p.duplicate).count();
    if s.kind == ReportKind::SewageOutflow && s.withdrawn.is_none() {
        s.level = level_of(photos, s.weather, &s.signs, rules.nh3n_limit_mg_l);
    }
    if s.photos.iter().any(PhotoRef::is_missing) {
        s.flags.push("照片未到".into());
    }
    if s.photos.iter().any(|p| p.erased) {
        s.flags.push(format!("照片{ERASED}"));
    }
    if s.photos.iter().any(|p| p.duplicate) {
        s.flags.push("同一照片".into());
    }
}

//! Photos, voice notes, texts, corrections, rain and readings of a handful of sightings, each by one query for all of them but
//! the few voice notes.

use std::collections::HashMap;

use geo::{Distance, Geodesic, Point};
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use super::super::reports::read_record;
use super::super::view::View;
use super::read_error;
use super::sighting::settle_level;
use crate::clock::from_ms;
use crate::error::{Error, Result};
use crate::evidence::entry::{Entry, Kind, clock_behind_s};
use crate::evidence::timeline::{
    CorrectionRef, ERASED, EntryRef, Named, PhotoRef, Reading, Rules, Sighting, Version,
};
use crate::lake::{Place, Station};
use crate::water::observation::shown;
use crate::water::property;

/// How long before a sighting a reading may lie, milliseconds.
const HOUR_MS: i64 = 3_600_000;

impl View<'_> {
    /// Fills in what `sightings` (a few hundred at most) lack.
    pub(super) async fn add_details(&mut self, sightings: &mut [Sighting]) -> Result<()> {
        if sightings.is_empty() {
            return Ok(());
        }
        self.add_photos(sightings).await?;
        self.add_voices(sightings).await?;
        self.add_versions(sightings).await?;
        self.add_weather(sightings).await?;
        self.add_readings(sightings).await?;
        for s in sightings {
            settle_level(s, self.rules);
        }
        Ok(())
    }

    async fn add_photos(&mut self, sightings: &mut [Sighting]) -> Result<()> {
        type PhotoRow = (Vec<u8>, Vec<u8>, Option<bool>, Option<i64>, Option<i64>, bool, bool);
        let mut query = QueryBuilder::new(
            "select r.report, r.sha256, p.preview, p.width, p.height,
               exists (select 1 from erasure e where e.target = p.entry and e.name = 'photo'),
               exists (select 1 from report_photo q join sighting o on o.report = q.report
                 where q.sha256 = r.sha256 and o.first_entry < s.first_entry and o.person <> s.person)
             from report_photo r join sighting s on s.report = r.report
             left join photo p on p.sha256 = r.sha256 where r.report in (",
        );
        push_reports(&mut query, sightings);
        query.push(") order by r.report, r.seq");
        let rows: Vec<PhotoRow> =
            query.build_query_as().fetch_all(&mut *self.tx).await.map_err(read_error)?;
        let mut by_report: HashMap<Vec<u8>, Vec<PhotoRef>> = HashMap::new();
        for (report, sha256, preview, width, height, erased, duplicate) in rows {
            let pixels = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok());
            by_report.entry(report).or_default().push(PhotoRef {
                sha256: hex::encode(sha256),
                stored: preview.is_some() && !erased,
                erased,
                duplicate,
                preview: preview.unwrap_or(false) && !erased,
                width: pixels(width),
                height: pixels(height),
            });
        }
        for s in sightings {
            s.photos = by_report.remove(&s.id.as_bytes()[..]).unwrap_or_default();
        }
        Ok(())
    }

    /// What has come of the voice notes that are named; most sightings have none.
    async fn add_voices(&mut self, sightings: &mut [Sighting]) -> Result<()> {
        for voice in sightings.iter_mut().filter_map(|s| s.voice.as_mut()) {
            let row: Option<(i64, Option<i64>, bool)> = sqlx::query_as(
                "select bytes, duration_s,
                   exists (select 1 from erasure e where e.target = v.entry and e.name = 'voice')
                 from voice v where sha256 = $1",
            )
            .bind(hex::decode(&voice.sha256).unwrap_or_default())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(read_error)?;
            let Some((bytes, duration_s, erased)) = row else { continue };
            (voice.stored, voice.erased) = (!erased, erased);
            (voice.bytes, voice.duration_s) = (Some(bytes.unsigned_abs()), duration_s.map(i64::unsigned_abs));
        }
        Ok(())
    }

    /// Corrections, the newest note, the reason of a withdrawal; who brought what another person saw.
    async fn add_versions(&mut self, sightings: &mut [Sighting]) -> Result<()> {
        type Body = Option<Vec<u8>>;
        type VersionRow = (Vec<u8>, i64, Vec<u8>, Vec<u8>, Body, Body, Body, Body, Option<i64>);
        let mut query = QueryBuilder::new(
            "select v.report, v.entry, e.body, e.leaf, n.body, w.body, b.body, p.body, q.received_ms
             from report_version v join entry e on e.idx = v.entry
             left join entry q on q.idx = v.entry - 1
             left join payload b on b.entry = v.entry and b.name = 'by'
             left join payload p on p.entry = v.entry and p.name = 'person'
             left join payload n on n.entry = v.entry and n.name = 'note'
             left join payload w on w.entry = v.entry and w.name = 'reason'
             where v.report in (",
        );
        push_reports(&mut query, sightings);
        query.push(") order by v.report, v.entry");
        let rows: Vec<VersionRow> =
            query.build_query_as().fetch_all(&mut *self.tx).await.map_err(read_error)?;
        let mut by_report: HashMap<Vec<u8>, Vec<VersionRow>> = HashMap::new();
        for row in rows {
            by_report.entry(row.0.clone()).or_default().push(row);
        }
        for s in sightings {
            for (_, index, body, leaf, note, reason, by, person, before_ms) in
                by_report.remove(&s.id.as_bytes()[..]).unwrap_or_default()
            {
                let text = |b: Vec<u8>| String::from_utf8(b).unwrap_or_default();
                let entry = read_entry(index, &body)?;
                s.note = disclosed(&entry, "note", note).or(s.note.take());
                let received_at = entry.received_at;
                add_clock(s, &entry, before_ms);
                let (by, person) = (named(&entry, "by", by), named(&entry, "person", person));
                if matches!(entry.kind, Kind::Report { .. }) && is_brought(&by, &person) {
                    s.flags.push(format!("由 {by} 代导入"));
                }
                if let Kind::Correction { action, changed, .. } = entry.kind {
                    let reason = reason.map_or_else(|| ERASED.into(), text);
                    if action == "withdraw" {
                        s.withdrawn = Some(reason.clone());
                    }
                    let words = correction_words(&action, &changed, &reason, &person);
                    let entry = EntryRef { index: index.unsigned_abs(), leaf_hash: hex::encode(leaf) };
                    s.corrections.push(CorrectionRef { received_at, words, entry });
                }
            }
        }
        Ok(())
    }

    /// Every version of a report in order, with the canonical bytes of its entry.
    pub(super) async fn list_versions(&mut self, report: Uuid) -> Result<Vec<Version>> {
        type Body = Option<Vec<u8>>;
        type Row = (i64, Vec<u8>, Vec<u8>, Body, Body, Body, Body);
        let rows: Vec<Row> = sqlx::query_as(
            "select v.entry, e.body, e.leaf, w.body, r.body, n.body, p.body
             from report_version v join entry e on e.idx = v.entry
             left join payload w on w.entry = v.entry and w.name = 'reason'
             left join payload r on r.entry = v.entry and r.name = 'record'
             left join payload n on n.entry = v.entry and n.name = 'note'
             left join payload p on p.entry = v.entry and p.name = 'person'
             where v.report = $1 order by v.entry",
        )
        .bind(report.as_bytes().to_vec())
        .fetch_all(&mut *self.tx)
        .await
        .map_err(read_error)?;
        let version = |(index, body, leaf, reason, record, note, person): Row| {
            let text = |b: Vec<u8>| String::from_utf8(b).unwrap_or_default();
            let entry = read_entry(index, &body)?;
            let reason = reason.map_or_else(|| ERASED.into(), text);
            let words = match &entry.kind {
                Kind::Correction { action, changed, .. } => {
                    correction_words(action, changed, &reason, &named(&entry, "person", person))
                }
                _ => "上报".to_owned(),
            };
            Ok(Version {
                received_at: entry.received_at,
                words,
                entry: EntryRef { index: index.unsigned_abs(), leaf_hash: hex::encode(leaf) },
                canonical: text(body),
                record: record.map(|r| read_record(&r)).transpose()?,
                note: disclosed(&entry, "note", note),
            })
        };
        rows.into_iter().map(version).collect()
    }

    async fn add_readings(&mut self, sightings: &mut [Sighting]) -> Result<()> {
        type ReadingRow = (i64, i64, i64, String, String, String, i64, Option<f64>, Option<String>);
        let streams: Vec<(i64, String)> = sqlx::query_as(
            "select id, station from datastream where processing = 'raw' and property <> 'rain'",
        )
        .fetch_all(&mut *self.tx)
        .await
        .map_err(read_error)?;
        let mut asked: Vec<(usize, i64, i64)> = Vec::new();
        for (i, s) in sightings.iter().enumerate() {
            for (station, _) in nearby(s, self.place, self.rules) {
                let of_station = streams.iter().filter(|(_, code)| *code == station.code);
                asked.extend(of_station.map(|(ds, _)| (i, *ds, s.observed_at.as_millisecond())));
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let asked = serde_json::to_string(&asked).map_err(|e| Error::Internal(e.to_string()))?;
        // The latest value of each datastream in the hour before; of two values for one time the later entry. The
        // order of the joins holds: the array is read once.
        let rows: Vec<ReadingRow> = sqlx::query_as(
            "with q as (select value ->> 0 as i, value ->> 1 as ds, value ->> 2 as at from json_each($1))
             select q.i, o.entry, o.pos, d.station, d.property, d.unit, o.t, o.v, o.received_text
             from q cross join datastream d on d.id = q.ds cross join observation o on o.ds = q.ds
               and (o.t, o.entry, o.pos) = (select t, entry, pos from observation
                 where ds = q.ds and t <= q.at and t > q.at - $2 order by t desc, entry desc, pos desc limit 1)",
        )
        .bind(asked)
        .bind(HOUR_MS)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(read_error)?;
        for (i, entry, pos, station, key, unit, t, v, text) in rows {
            let Some(s) = usize::try_from(i).ok().and_then(|i| sightings.get_mut(i)) else { continue };
            let Some((found, distance_m)) =
                nearby(s, self.place, self.rules).find(|(st, _)| st.code == station)
            else {
                continue;
            };
            let (value, unit) = shown(v, text, property::unit_words(&unit));
            s.readings.push(Reading {
                station: Named { code: found.code.clone(), name: found.name.clone() },
                property_zh: property::find(&key).map_or_else(|| key.clone(), |p| p.zh.into()),
                property: key,
                value,
                unit: unit.to_owned(),
                observed_at: from_ms(t),
                distance_m,
                place: (entry.unsigned_abs(), pos.unsigned_abs()),
            });
        }
        for s in sightings {
            s.readings.sort_by(|a, b| {
                let by_time = || b.observed_at.cmp(&a.observed_at);
                let by_property = || rank(&a.property).cmp(&rank(&b.property));
                a.distance_m.total_cmp(&b.distance_m).then_with(by_time).then_with(by_property)
            });
        }
        Ok(())
    }
}

fn read_entry(index: i64, body: &[u8]) -> Result<Entry> {
    Entry::parse(body).map_err(|e| Error::Internal(format!("entry {index} does not read: {e}")))
}

/// The text of a payload; [`ERASED`] where the entry commits to one that is not there any more.
fn disclosed(entry: &Entry, name: &str, body: Option<Vec<u8>>) -> Option<String> {
    let committed = entry.commit.contains_key(name);
    match body {
        Some(bytes) => Some(String::from_utf8(bytes).unwrap_or_default()),
        None => committed.then(|| ERASED.to_owned()),
    }
}

/// What an entry says of somebody: a payload, or in the clear in version 1; [`ERASED`] where that was erased.
fn named(entry: &Entry, name: &str, payload: Option<Vec<u8>>) -> String {
    let payload = payload.and_then(|bytes| String::from_utf8(bytes).ok());
    payload.or_else(|| entry.clear.get(name).cloned()).unwrap_or_else(|| ERASED.into())
}

/// Whether a report came by another hand than its author's: a file, a token, somebody at a desk. A shared phone sends what
/// lies on it, and in a demo nobody is asked.
fn is_brought(by: &str, person: &str) -> bool {
    by != ERASED && person != ERASED && by != person && by != "demo" && !by.starts_with("phone-")
}

/// Says of an entry that it was received before the one that stands before it, as the audit does.
fn add_clock(s: &mut Sighting, entry: &Entry, before_ms: Option<i64>) {
    let received_ms = entry.received_at.as_millisecond();
    let Some(behind_s) = before_ms.and_then(|before_ms| clock_behind_s(before_ms, received_ms)) else {
        return;
    };
    let said = entry.v == 1 || entry.clock_behind_s == Some(behind_s);
    let doubt = if said { "收到时间可能偏早" } else { "日志没有注明，须核查" };
    s.flags.push(format!("服务器时钟比前一条目慢{}，{doubt}", duration_words(behind_s)));
    s.clock_behind_s = s.clock_behind_s.max(Some(behind_s));
}

fn duration_words(seconds: u64) -> String {
    match seconds / 60 {
        minutes @ 0..60 => format!("{minutes}分钟"),
        minutes @ 60..1440 => format!("{}小时", minutes / 60),
        minutes => format!("{}天", minutes / 1440),
    }
}

fn rank(key: &str) -> usize {
    property::PROPERTIES.iter().position(|p| p.key == key).unwrap_or(usize::MAX)
}

/// The stations near a sighting, by geodesic distance.
fn nearby<'p>(s: &Sighting, place: &'p Place, rules: &Rules) -> impl Iterator<Item = (&'p Station, f64)> {
    let at = s.position.as_ref().map(|p| Point::new(p.lng, p.lat));
    let near_m = rules.nearby_m;
    place.stations.iter().filter_map(move |station| {
        let here = Point::new(station.position.lng, station.position.lat);
        let distance_m = Geodesic.distance(at?, here);
        (distance_m <= near_m).then_some((station, distance_m))
    })
}

fn push_reports(query: &mut QueryBuilder<Sqlite>, sightings: &[Sighting]) {
    let mut list = query.separated(", ");
    for s in sightings {
        list.push_bind(s.id.as_bytes().to_vec());
    }
}

fn correction_words(action: &str, changed: &[String], reason: &str, person: &str) -> String {
    let field = |f: &String| match f.as_str() {
        "kind" => "类型",
        "position" => "位置",
        "observed_at" => "时间",
        "sewage" | "hyacinth" => "现场记录",
        "note" => "说明",
        "photos" => "照片",
        "outfall" => "排口",
        _ => "其他",
    };
    let fields: Vec<&str> = changed.iter().map(field).collect();
    match action {
        "withdraw" => format!("撤回：{reason}（{person}）"),
        "choose_outfall" => format!("选定排口：{reason}（{person}）"),
        _ => format!("更正{}：{reason}（{person}）", fields.join("、")),
    }
}

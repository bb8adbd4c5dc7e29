//! How one thing of the timeline is said on paper. All times 北京时间.

use jiff::{Timestamp, ZonedDateTime};

use crate::casework::EvidenceLevel;
use crate::clock::{beijing, beijing_minute, beijing_words};
use crate::evidence::timeline::{ERASED, Filter, Gap, GapKind, Located, Named, Reading, Sighting, VoiceRef};
use crate::patrol::ReportKind;
use crate::water::rain::Weather;

/// Keeps a unit on the line of its number.
const NBSP: &str = "\u{a0}";

/// `2026年9月10日`, not zero-padded (GB/T 9704-2012, 7.3.5.4).
pub(crate) fn day(at: Timestamp) -> String {
    day_of(&beijing(at))
}

fn day_of(at: &ZonedDateTime) -> String {
    format!("{}年{}月{}日", at.year(), at.month(), at.day())
}

/// `2026年9月10日 08:00`.
pub(crate) fn minute(at: Timestamp) -> String {
    let at = beijing(at);
    format!("{} {:02}:{:02}", day_of(&at), at.hour(), at.minute())
}

/// The span of the filter: whole days as days, the exclusive end as the last day it holds.
pub(crate) fn period(filter: &Filter, cut_off: Timestamp) -> String {
    let edge = |at: Timestamp, last: bool| {
        let local = beijing(at);
        if local.time() != jiff::civil::Time::midnight() {
            return minute(at);
        }
        day(if last { at - jiff::SignedDuration::from_secs(1) } else { at })
    };
    match (filter.from, filter.to) {
        (Some(from), Some(to)) => format!("{}至{}", edge(from, false), edge(to.min(cut_off), true)),
        (Some(from), None) => format!("{}至{}", edge(from, false), edge(cut_off, true)),
        (None, to) => format!("截至{}", edge(to.map_or(cut_off, |to| to.min(cut_off)), true)),
    }
}

/// `3号排口（JJH-PK-0003）`.
pub(crate) fn named(thing: &Named) -> String {
    format!("{}（{}）", thing.name, thing.code)
}

/// Where it was: the outfall it counts for, else the sector, else that it is not known.
pub(crate) fn place(sighting: &Sighting) -> String {
    match (&sighting.outfall, &sighting.sector) {
        (Some(outfall), _) => named(outfall),
        (None, Some(sector)) => named(sector),
        (None, None) => "地点未知".to_owned(),
    }
}

/// `113.11012°E，29.40021°N ±8 m`, WGS-84; five decimals are one metre.
pub(crate) fn position(at: &Located) -> String {
    let accuracy = at.accuracy_m.map_or("精度未知".to_owned(), |m| format!("±{m:.0} m"));
    format!("{:.5}°E，{:.5}°N {accuracy}", at.lng, at.lat)
}

/// The position, or why there is none.
pub(crate) fn position_or_reason(sighting: &Sighting) -> String {
    match (&sighting.position, &sighting.no_position) {
        (Some(at), _) => position(at),
        (None, Some(reason)) => format!("无定位（{reason}）"),
        (None, None) => "无定位".to_owned(),
    }
}

/// `旱天 0.4 mm`: the rain that fell before it.
pub(crate) fn weather(sighting: &Sighting) -> String {
    match (sighting.weather, sighting.rain_mm) {
        (Weather::Unknown, _) | (_, None) => sighting.weather.zh().to_owned(),
        (known, Some(mm)) => format!("{} {mm:.1}{NBSP}mm", known.zh()),
    }
}

/// `旱天有水流出`; a sewage sighting whose photos have not come has no level and says so.
pub(crate) fn level(sighting: &Sighting) -> &'static str {
    match sighting.level {
        Some(level) => level.wording(),
        None if sighting.kind == ReportKind::SewageOutflow => "无照片未定级",
        None => "",
    }
}

pub(crate) fn level_code(level: EvidenceLevel) -> &'static str {
    match level {
        EvidenceLevel::E0 => "E0",
        EvidenceLevel::E1 => "E1",
        EvidenceLevel::E2 => "E2",
    }
}

/// The form's facts, `水流：中；气味：2级`.
pub(crate) fn facts(sighting: &Sighting) -> String {
    let facts: Vec<String> = sighting.facts.iter().map(|f| format!("{}：{}", f.label, f.value)).collect();
    facts.join("；")
}

/// What happened to the report after it came: lateness, doubts, corrections, withdrawal, erasure.
pub(crate) fn remarks(sighting: &Sighting) -> Vec<String> {
    let mut remarks = Vec::new();
    if sighting.erased {
        remarks.push("报告内容已依法删除".to_owned());
    }
    if let Some(reason) = &sighting.withdrawn {
        remarks.push(format!("已撤回：{reason}"));
    }
    if sighting.late {
        remarks.push(format!("补报，{}收到", beijing_words(sighting.received_at)));
    }
    remarks.extend(sighting.flags.iter().cloned());
    remarks.extend(sighting.voice.as_ref().filter(|_| !sighting.erased).map(voice));
    for c in &sighting.corrections {
        let at = beijing_words(c.received_at);
        remarks.push(format!("更正（{at}，条目{}）：{}", c.entry.index, c.words));
    }
    remarks
}

/// `有语音一段（12秒），未附`: who may hear it does so on the report's page.
fn voice(voice: &VoiceRef) -> String {
    match (voice.stored, voice.erased, voice.duration_s) {
        (_, true, _) => format!("语音{ERASED}"),
        (false, ..) => "语音未到".to_owned(),
        (true, _, Some(s)) => format!("有语音一段（{s}秒），未附"),
        (true, _, None) => "有语音一段，未附".to_owned(),
    }
}

/// `1号点（123米，06:27）溶解氧 2.3 mg/L，氨氮 3.72 mg/L`, one for each station and minute.
pub(crate) fn readings(readings: &[Reading]) -> Vec<String> {
    let same =
        |a: &Reading, b: &Reading| a.station == b.station && hour(a.observed_at) == hour(b.observed_at);
    readings.chunk_by(same).map(together).collect()
}

fn together(readings: &[Reading]) -> String {
    let Some(first) = readings.first() else { return String::new() };
    let value = |r: &Reading| {
        let space = if r.unit.is_empty() { "" } else { NBSP };
        format!("{} {}{space}{}", r.property_zh, r.value, r.unit)
    };
    let values: Vec<String> = readings.iter().map(value).collect();
    let (station, away) = (&first.station.name, first.distance_m);
    format!("{station}（{away:.0}米，{}）{}", hour(first.observed_at), values.join("，"))
}

/// `06:27`.
fn hour(at: Timestamp) -> String {
    beijing(at).strftime("%H:%M").to_string()
}

pub(crate) fn gap_kind(kind: GapKind) -> &'static str {
    match kind {
        GapKind::NotPatrolled => "未巡查",
        GapKind::SensorSilent => "传感器静默",
    }
}

/// `2026-07-14 05:20 至 2026-07-14 09:00`; the end that is the cut-off is still open.
pub(crate) fn gap_span(gap: &Gap, cut_off: Timestamp) -> (String, String) {
    let to = if gap.to >= cut_off { "仍在持续".to_owned() } else { beijing_minute(gap.to) };
    (beijing_minute(gap.from), to)
}

/// The place's notice in Chinese punctuation, `示意，非测绘`.
pub(crate) fn notice(text: &str) -> String {
    text.replace(", ", "，")
}

/// The first eight hex digits, enough to find the photo or entry again.
pub(crate) fn short_hash(hex: &str) -> &str {
    hex.get(..8).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_not_padded_and_is_that_of_beijing() {
        assert_eq!(day(at("2026-09-09T16:00:00Z")), "2026年9月10日");
        assert_eq!(minute(at("2026-09-09T23:05:59Z")), "2026年9月10日 07:05");
    }

    #[test]
    fn the_exclusive_end_is_said_as_the_last_day() {
        let cut_off = at("2026-08-10T00:00:00Z");
        let of = |from: Option<&str>, to: Option<&str>| {
            let filter = Filter { from: from.map(at), to: to.map(at), ..Filter::default() };
            period(&filter, cut_off)
        };
        let (july, august) = (Some("2026-06-30T16:00:00Z"), Some("2026-07-31T16:00:00Z"));
        assert_eq!(of(july, august), "2026年7月1日至2026年7月31日");
        assert_eq!(of(july, Some("2026-07-01T04:30:00Z")), "2026年7月1日至2026年7月1日 12:30");
        assert_eq!(of(july, None), "2026年7月1日至2026年8月10日 08:00");
        assert_eq!(of(None, None), "截至2026年8月10日 08:00");
        // Nothing is known of the days after the cut-off.
        assert_eq!(of(july, Some("2026-12-31T16:00:00Z")), "2026年7月1日至2026年8月10日 08:00");
    }
}

//! A sighting in words, the same on every page.

use jiff::Timestamp;

use super::{decimal, grouped, lang::Lang, query::query_string, short};
use crate::{
    casework::EvidenceLevel,
    clock::beijing,
    evidence::timeline::{EntryRef, Fact, Located, PhotoRef, Reading, Sighting, VoiceRef},
    lake::{Crs, Match},
    patrol::ReportKind,
    water::rain::Weather,
};

/// An evidence level as a disc and words.
pub(super) struct LevelView {
    /// `E2`, or empty where there is none.
    pub code: String,
    /// Quarters of the disc that are filled; `None` draws it dotted.
    pub quarters: Option<u8>,
    pub words: &'static str,
}

impl LevelView {
    pub fn new(level: Option<EvidenceLevel>, lang: Lang) -> Self {
        let Some(level) = level else {
            return Self { code: String::new(), quarters: None, words: lang.t("level.none") };
        };
        let quarters = match level {
            EvidenceLevel::E0 => 0,
            EvidenceLevel::E1 => 1,
            EvidenceLevel::E2 => 2,
        };
        let code = format!("{level:?}");
        let words = lang.t(&format!("level.{code}"));
        Self { code, quarters: Some(quarters), words }
    }
}

/// A photo as a page shows it.
pub(super) struct PhotoView {
    pub sha256: String,
    /// The viewers' copy, re-encoded, without EXIF. No page leads to a sealed original: it may say where its taker lives.
    pub href: String,
    /// The copy with time and place drawn on it (水印图); on the report's own page.
    pub watermarked: Option<String>,
    /// What its own words say of time and place, beside the report's; on the report's own page.
    pub apart: Option<String>,
    pub stored: bool,
    pub erased: bool,
    pub preview: bool,
}

impl PhotoView {
    pub fn new(photo: &PhotoRef) -> Self {
        Self {
            sha256: photo.sha256.clone(),
            href: format!("/api/v1/photos/{}/preview", photo.sha256),
            watermarked: None,
            apart: None,
            stored: photo.stored,
            erased: photo.erased,
            preview: photo.preview,
        }
    }

    pub fn short(&self) -> &str {
        short(&self.sha256)
    }
}

/// A voice note as a page shows it.
pub(super) struct VoiceView {
    pub sha256: String,
    /// `语音 12 秒，96 KB`, or why there is none to hear.
    pub words: String,
    /// Where it is heard: on the report's own page, by those who may.
    pub href: Option<String>,
}

impl VoiceView {
    pub fn new(voice: &VoiceRef, lang: Lang) -> Self {
        let words = if voice.erased {
            lang.t("row.voice_erased").to_owned()
        } else if voice.stored {
            let seconds = voice.duration_s.map(|s| lang.fill("row.seconds", &[("s", &s)]));
            let size = voice.bytes.map(|b| format!("{} KB", b.div_ceil(1000)));
            let about: Vec<String> = seconds.into_iter().chain(size).collect();
            format!("{} {}", lang.t("row.voice"), about.join(lang.t("sentence.comma")))
        } else {
            lang.t("row.voice_missing").to_owned()
        };
        Self { sha256: voice.sha256.clone(), words, href: None }
    }
}

/// A correction as a page shows it.
pub(super) struct CorrectionView {
    pub when: String,
    pub words: String,
    pub entry: String,
}

/// A station's values near a sighting as a page shows them.
pub(super) struct StationView {
    pub name: String,
    /// Distance and time.
    pub away: String,
    pub values: Vec<String>,
}

/// A sighting as a page shows it.
pub(super) struct SightingView {
    pub href: String,
    pub iso: String,
    pub time: String,
    pub minute: String,
    pub title: String,
    /// The timeline of its outfall.
    pub title_href: Option<String>,
    pub kind: &'static str,
    /// Kinds that can have a level.
    pub has_level: bool,
    pub level: LevelView,
    pub weather: String,
    pub weather_icon: Weather,
    pub place: Vec<String>,
    /// One line for the feed.
    pub gist: String,
    pub facts: Vec<Fact>,
    pub readings: Vec<StationView>,
    pub flags: Vec<String>,
    pub corrections: Vec<CorrectionView>,
    pub withdrawn: Option<String>,
    pub note: Option<String>,
    pub erased: bool,
    pub photos: Vec<PhotoView>,
    pub missing: usize,
    pub voice: Option<VoiceView>,
    pub person: String,
    /// Received long after it was seen.
    pub late: Option<String>,
    /// The text in place of a photo.
    pub photo_words: String,
    /// What the player of the voice note plays.
    pub voice_words: String,
    pub entry: String,
}

impl SightingView {
    pub fn new(s: &Sighting, lang: Lang) -> Self {
        // Of an erased record the photos are not shown either, as in the documents.
        let photos = || s.photos.iter().filter(|_| !s.erased);
        let missing = photos().filter(|p| p.is_missing()).count();
        Self {
            href: format!("/reports/{}", s.id),
            iso: s.observed_at.to_string(),
            time: time_of(s.observed_at),
            minute: lang.minute(s.observed_at),
            title: title(s, lang),
            title_href: s.outfall.as_ref().map(|o| timeline_of(&[("outfall", &o.code)])),
            kind: lang.t(&format!("kind.{}", s.kind.as_str())),
            has_level: s.kind == ReportKind::SewageOutflow,
            level: LevelView::new(s.level, lang),
            weather: weather(s, lang),
            weather_icon: s.weather,
            place: place(s, lang),
            gist: gist(s, lang),
            facts: s.facts.clone(),
            readings: stations(&s.readings, lang),
            flags: s.flags.clone(),
            corrections: s
                .corrections
                .iter()
                .map(|c| CorrectionView {
                    when: lang.minute(c.received_at),
                    words: c.words.clone(),
                    entry: entry(&c.entry, lang),
                })
                .collect(),
            withdrawn: s.withdrawn.clone(),
            note: s.note.clone(),
            erased: s.erased,
            photos: photos().map(PhotoView::new).collect(),
            missing,
            voice: s.voice.as_ref().map(|v| VoiceView::new(v, lang)),
            person: s.person.clone(),
            late: s.late.then(|| lang.fill("row.late", &[("time", &lang.minute(s.received_at))])),
            photo_words: lang
                .fill("row.photo", &[("title", &title(s, lang)), ("time", &lang.minute(s.observed_at))]),
            voice_words: lang
                .fill("row.voice_of", &[("title", &title(s, lang)), ("time", &lang.minute(s.observed_at))]),
            entry: entry(&s.entry, lang),
        }
    }

    /// The first photo that can be shown.
    pub fn thumb(&self) -> Option<&PhotoView> {
        self.photos.iter().find(|p| p.stored && p.preview)
    }
}

/// Weather, where it matters, and the first facts.
fn gist(s: &Sighting, lang: Lang) -> String {
    let facts = s.facts.iter().take(2).map(|f| format!("{} {}", f.label, f.value));
    let weather = (s.kind == ReportKind::SewageOutflow).then(|| weather(s, lang));
    weather.into_iter().chain(facts).collect::<Vec<_>>().join(lang.t("sentence.comma"))
}

/// `05:20`, 北京时间.
pub(super) fn time_of(at: Timestamp) -> String {
    beijing(at).strftime("%H:%M").to_string()
}

/// The address of a timeline.
pub(super) fn timeline_of(pairs: &[(&str, &str)]) -> String {
    format!("/timeline?{}", query_string(pairs))
}

/// `#1,204 9f8e7d6c`.
pub(super) fn entry(entry: &EntryRef, lang: Lang) -> String {
    lang.fill("row.entry", &[("index", &grouped(entry.index)), ("hash", &short(&entry.leaf_hash))])
}

fn title(s: &Sighting, lang: Lang) -> String {
    if let Some(outfall) = &s.outfall {
        return outfall.name.clone();
    }
    let sewage = s.kind == ReportKind::SewageOutflow;
    match (s.outfall_match, &s.sector) {
        (Some(Match::Several), _) if sewage && !s.outfall_chosen => {
            lang.fill("row.several", &[("n", &s.candidates.len())])
        }
        (Some(Match::None), _) if sewage && !s.outfall_chosen => lang.t("row.new_outfall").to_owned(),
        (_, Some(sector)) => sector.name.clone(),
        _ => match &s.position {
            Some(at) if at.in_lake == Some(true) => lang.t("row.on_water").to_owned(),
            Some(_) => lang.t("row.no_sector").to_owned(),
            None => lang.t("row.nowhere").to_owned(),
        },
    }
}

fn weather(s: &Sighting, lang: Lang) -> String {
    let word = lang.t(&format!("weather.{:?}", s.weather));
    match s.rain_mm {
        Some(mm) => lang.fill("row.rain_before", &[("weather", &word), ("mm", &decimal(mm))]),
        None => word.to_owned(),
    }
}

fn place(s: &Sighting, lang: Lang) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(s.sector.as_ref().filter(|_| s.outfall.is_some()).map(|n| n.name.clone()));
    match &s.position {
        Some(at) => words.extend(located(at, lang)),
        None => {
            let reason = s.no_position.as_deref().unwrap_or("–");
            words.push(lang.fill("row.no_position", &[("reason", &reason)]));
        }
    }
    words.extend(s.unit.as_ref().map(|u| lang.fill("row.unit", &[("name", &u.name)])));
    if s.outfall_chosen {
        words.push(lang.t("row.chosen").to_owned());
    }
    words
}

fn located(at: &Located, lang: Lang) -> Vec<String> {
    let mut here = format!("{:.5}, {:.5}", at.lat, at.lng);
    if let Some(accuracy_m) = at.accuracy_m {
        here += &lang.fill("row.accuracy", &[("m", &decimal(accuracy_m))]);
    }
    let mut words = vec![here];
    if !matches!(at.crs, Crs::Wgs84) {
        let crs = lang.t(match at.crs {
            Crs::Gcj02 => "crs.gcj02",
            Crs::Bd09 => "crs.bd09",
            _ => "crs.cgcs2000",
        });
        let (lat, lng) = (format!("{:.5}", at.given_lat), format!("{:.5}", at.given_lng));
        words.push(lang.fill("row.given", &[("crs", &crs), ("lat", &lat), ("lng", &lng)]));
    }
    words.extend(at.shore_m.map(|m| lang.fill("row.shore", &[("m", &decimal(m))])));
    words
}

/// One line for each station and minute, the nearest first.
fn stations(readings: &[Reading], lang: Lang) -> Vec<StationView> {
    let same =
        |a: &Reading, b: &Reading| a.station == b.station && time_of(a.observed_at) == time_of(b.observed_at);
    let view = |group: &[Reading]| {
        let first = group.first()?;
        Some(StationView {
            name: first.station.name.clone(),
            away: lang.fill(
                "row.away",
                &[
                    ("m", &grouped(first.distance_m.round().max(0.0) as u64)),
                    ("time", &time_of(first.observed_at)),
                ],
            ),
            values: group.iter().map(|r| reading(r, lang)).collect(),
        })
    };
    readings.chunk_by(same).filter_map(view).collect()
}

fn reading(r: &Reading, lang: Lang) -> String {
    let property = lang.property(&r.property, &r.property_zh);
    let space = if r.unit.is_empty() { "" } else { "\u{a0}" };
    format!("{property} {}{space}{}", r.value, r.unit)
}

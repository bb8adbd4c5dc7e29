//! A day at a lake, for the tests of the pages.

use jiff::Timestamp;

use super::{
    lang::Lang,
    query::TimelineQuery,
    report::{ReportPage, report},
    timeline::Choices,
};
use crate::{
    casework::{EvidenceLevel, SewageSigns},
    evidence::{
        overview::{ChannelNow, Newest, OutfallNow, Overview, RainNow, SectorDuty, StationNow, WindowToday},
        timeline::{
            CorrectionRef, EntryRef, Fact, Filter, Gap, GapKind, Located, Named, PhotoRef, RainDay, Reading,
            ReportNow, Row, Rules, Sighting, Summary, Timeline, Version, VoiceRef,
        },
    },
    lake::{Crs, Match, NearOutfall},
    patrol::ReportKind,
    water::{
        property,
        rain::{DryRule, Weather},
    },
};

pub const MAP: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 848 470" role="img" aria-label="吉家湖示意图"><rect width="848" height="470" fill="#f5f5f0"/><path d="M30 250C31 180 94 130 203 124S263 150 315 111 397 81 495 95 550 131 618 124 735 160 734 213 686 307 666 311 600 310 582 343 488 390 431 387 377 348 322 355 209 410 108 378 29 275 30 250Z" fill="#d9e7f0" stroke="#14202b" stroke-width="4"/><circle cx="550" cy="131" r="11" fill="#fff" stroke="#14202b" stroke-width="1.75"/><path d="M550 131V120A11 11 0 0 1 550 142Z" fill="#14202b"/><text x="550" y="105" font-size="13" font-weight="700" text-anchor="middle" fill="#14202b">3号排口</text><text x="12" y="460" font-size="12">示意，非测绘</text></svg>"##;

fn at(text: &str) -> Timestamp {
    format!("2026-07-{text}:00+08:00").parse().unwrap()
}

fn named(code: &str, name: &str) -> Named {
    Named { code: code.into(), name: name.into() }
}

fn fact(label: &str, value: &str) -> Fact {
    Fact { label: label.into(), value: value.into() }
}

fn entry(index: u64) -> EntryRef {
    EntryRef { index, leaf_hash: "ab".repeat(32) }
}

fn photo(first: &str, stored: bool, preview: bool) -> PhotoRef {
    PhotoRef {
        duplicate: false,
        sha256: first.repeat(32),
        stored,
        erased: false,
        preview,
        width: Some(4000),
        height: Some(3000),
    }
}

fn sighting(id: u128, kind: ReportKind, when: &str) -> Sighting {
    Sighting {
        id: uuid::Uuid::from_u128(id),
        kind,
        observed_at: at(when),
        received_at: at(when),
        clock_offset_s: None,
        clock_behind_s: None,
        late: false,
        person: "p-07".into(),
        patrol: None,
        position: Some(Located {
            lng: 113.105_44,
            lat: 29.403_12,
            given_lng: 113.110_92,
            given_lat: 29.400_07,
            crs: Crs::Gcj02,
            accuracy_m: Some(6.0),
            shore_m: Some(3.2),
            in_lake: Some(false),
            hints: vec![],
        }),
        no_position: None,
        patch: None,
        sector: Some(named("JJH-AD-02", "岸段乙")),
        outfall: None,
        unit: None,
        outfall_chosen: false,
        outfall_match: None,
        candidates: vec![],
        level: None,
        weather: Weather::Dry,
        rain_mm: Some(0.4),
        facts: vec![],
        note: None,
        erased: false,
        photos: vec![],
        voice: None,
        readings: vec![],
        flags: vec![],
        corrections: vec![],
        withdrawn: None,
        entry: entry(12_340),
        first_entry: 12_340,
        flow_seen: true,
        same_as: None,
        signs: SewageSigns::default(),
    }
}

fn outflow(id: u128, when: &str) -> Sighting {
    Sighting {
        outfall: Some(named("JJH-PK-0003", "3号排口")),
        unit: Some(named("CT", "市城投")),
        outfall_match: Some(Match::One),
        candidates: vec![NearOutfall { code: "JJH-PK-0003".into(), distance_m: 4.2 }],
        level: Some(EvidenceLevel::E2),
        facts: vec![
            fact("水流", "大"),
            fact("气味", "2 明显"),
            fact("颜色", "3 灰黑"),
            fact("氨氮快测", "6.5 mg/L"),
        ],
        note: Some("井盖下有流水声，岸边有油花。".into()),
        photos: vec![photo("1a", true, true), photo("2b", true, false), photo("3c", false, false)],
        readings: vec![Reading {
            station: named("JJH-S3", "3号点"),
            property: "do".into(),
            property_zh: "溶解氧".into(),
            value: "2.6".into(),
            unit: "mg/L".into(),
            observed_at: at("14T07:40"),
            distance_m: 61.7,
            place: (0, 0),
        }],
        ..sighting(id, ReportKind::SewageOutflow, when)
    }
}

fn sightings() -> Vec<Sighting> {
    let corrected = Sighting {
        corrections: vec![CorrectionRef {
            received_at: at("14T09:02"),
            words: "更正：水流 中 → 大".into(),
            entry: entry(12_344),
        }],
        ..outflow(1, "14T09:12")
    };
    let walked = sighting(2, ReportKind::NothingFound, "14T08:47");
    let hyacinth = Sighting {
        facts: vec![fact("面积", "1,240 m²"), fact("覆盖度", "60%"), fact("长势", "扩大")],
        photos: vec![photo("4d", true, true)],
        ..sighting(3, ReportKind::WaterHyacinth, "14T07:58")
    };
    let late = Sighting {
        outfall: None,
        outfall_match: Some(Match::None),
        level: Some(EvidenceLevel::E1),
        weather: Weather::Unknown,
        rain_mm: None,
        late: true,
        received_at: at("14T06:50"),
        flags: vec!["定位精度差（±120 m）".into(), "手机时钟偏差 3 天".into()],
        photos: vec![photo("5e", true, true)],
        ..outflow(4, "13T17:02")
    };
    let withdrawn =
        Sighting { withdrawn: Some("拍错地方".into()), photos: vec![], ..outflow(5, "13T16:20") };
    let nowhere = Sighting {
        position: None,
        no_position: Some("无信号".into()),
        sector: None,
        photos: vec![photo("6f", false, false)],
        ..sighting(6, ReportKind::Other, "11T08:10")
    };
    vec![corrected, walked, hyacinth, late, withdrawn, nowhere]
}

fn gaps() -> Vec<Gap> {
    vec![
        Gap {
            kind: GapKind::SensorSilent,
            from: at("14T08:22"),
            to: at("14T10:00"),
            subject: named("JJH-S4", "4号点"),
            words: "离线，末次数据 08:22".into(),
        },
        Gap {
            kind: GapKind::NotPatrolled,
            from: at("13T15:30"),
            to: at("13T18:00"),
            subject: named("JJH-AD-02", "岸段乙"),
            words: "晚巡 岸段乙 未巡".into(),
        },
    ]
}

fn station(i: u32, last: &str) -> StationNow {
    let values =
        [("do", "2.6"), ("nh3n", "1.82"), ("ph", "7.4"), ("wt", "28.6"), ("turbidity", "31"), ("ec", "512")];
    let channels = values.map(|(key, value)| {
        let p = property::find(key).unwrap();
        ChannelNow {
            property: key.into(),
            property_zh: p.zh.into(),
            unit: property::unit_words(p.unit).into(),
            every_s: 600,
            newest: Some(Newest {
                value: value.into(),
                observed_at: at(if i == 2 && key == "nh3n" { "13T21:10" } else { last }),
            }),
        }
    });
    StationNow { station: named(&format!("JJH-S{i}"), &format!("{i}号点")), channels: channels.into() }
}

fn outfall(i: u32, level: Option<EvidenceLevel>, sightings: u32, dry_flow_days: u32) -> OutfallNow {
    OutfallNow {
        outfall: named(&format!("JJH-PK-000{i}"), &format!("{i}号排口")),
        level,
        sightings,
        dry_flow_days,
        last_outflow: (sightings > 0).then(|| at("14T09:12")),
        last_dry_outflow: (dry_flow_days > 0).then(|| at("14T09:12")),
        last_look: None,
    }
}

pub fn overview() -> Overview {
    let sector = |code: &str, name: &str, walked: Option<&str>| SectorDuty {
        sector: named(code, name),
        walked_at: walked.map(at),
        excused: false,
    };
    let sectors = |w: [Option<&str>; 3]| {
        vec![sector("1", "岸段甲", w[0]), sector("2", "岸段乙", w[1]), sector("3", "岸段丙", w[2])]
    };
    Overview {
        place: "吉家湖".into(),
        place_notice: "示意，非测绘".into(),
        demo: true,
        cut_off: at("14T10:00"),
        log_size: 12_345,
        windows: vec![
            WindowToday {
                code: "morning".into(),
                name: "早巡".into(),
                from: at("14T06:30"),
                to: at("14T09:00"),
                sectors: sectors([Some("14T07:41"), None, Some("14T08:47")]),
            },
            WindowToday {
                code: "evening".into(),
                name: "晚巡".into(),
                from: at("14T15:30"),
                to: at("14T18:00"),
                sectors: sectors([None; 3]),
            },
        ],
        stations: (1..=5).map(|i| station(i, if i == 4 { "14T08:22" } else { "14T09:58" })).collect(),
        outfalls: vec![
            outfall(1, Some(EvidenceLevel::E0), 2, 0),
            outfall(2, None, 0, 0),
            outfall(3, Some(EvidenceLevel::E2), 24, 11),
            outfall(5, Some(EvidenceLevel::E1), 6, 4),
        ],
        rain: RainNow {
            weather: Weather::Dry,
            window_h: 72.0,
            rain_mm: 0.0,
            coverage: 0.98,
            last_rain: Some(at("10T07:00")),
            dry_since: Some(at("10T07:00")),
            dry_days: 13,
        },
        gaps: gaps(),
        reports_today: 14,
        feed: sightings(),
    }
}

pub fn timeline() -> Timeline {
    let mut rows: Vec<Row> = sightings().into_iter().map(|s| Row::Sighting(Box::new(s))).collect();
    rows.extend(gaps().into_iter().map(Row::Gap));
    rows.push(Row::Rain(RainDay { from: at("11T00:00"), mm: 12.4, coverage: 0.98, source: "JJH-R1".into() }));
    rows.sort_by_key(|r| std::cmp::Reverse(r.at()));
    Timeline {
        place: "吉家湖".into(),
        place_notice: "示意，非测绘".into(),
        demo: true,
        subject: "3号排口（JJH-PK-0003）".into(),
        filter: Filter::default(),
        filter_words: "排口 JJH-PK-0003；2026-07-01 至 2026-07-14".into(),
        cut_off: at("14T10:00"),
        log_size: 12_345,
        log_root: "c0ffee12".repeat(8),
        checkpoint: None,
        seen_heads: None,
        summary: Summary {
            sightings: 24,
            outflows: 18,
            hyacinth: 4,
            nothing_found: 36,
            dry_flow_days: 11,
            wet_flow_days: 3,
            unknown_flow_days: 1,
            levels: [5, 4, 9],
            photos: 40,
            photos_missing: 1,
            gaps: 7,
        },
        rows,
        series: vec![],
        rain_days: vec![],
        rules: Rules {
            dry: DryRule { window_h: 72.0, limit_mm: 2.5 },
            nh3n_limit_mg_l: 2.0,
            rain_station: "JJH-R1".into(),
            nearby_m: 500.0,
            late_s: 3600,
        },
    }
}

pub fn query() -> TimelineQuery {
    TimelineQuery::default()
}

pub fn choices() -> Choices {
    Choices {
        outfalls: (1..=5).map(|i| named(&format!("JJH-PK-000{i}"), &format!("{i}号排口"))).collect(),
        sectors: vec![
            named("JJH-AD-01", "岸段甲"),
            named("JJH-AD-02", "岸段乙"),
            named("JJH-AD-03", "岸段丙"),
        ],
        units: vec![named("CT", "市城投"), named("SX", "三峡集团")],
    }
}

pub fn report_page(lang: Lang, hears: bool) -> String {
    let sighting = Sighting {
        patrol: Some(uuid::Uuid::from_u128(77)),
        clock_offset_s: Some(-190),
        voice: Some(VoiceRef {
            stored: true,
            bytes: Some(95_400),
            duration_s: Some(12),
            ..VoiceRef::named(&"5c".repeat(32))
        }),
        ..sightings().remove(0)
    };
    let canonical = r#"{"kind":"sewage_outflow","observed_at":"2026-07-14T01:12:00Z","flow":"中"}"#;
    let version = |when: &str, words: &str, index| Version {
        received_at: at(when),
        words: words.into(),
        entry: entry(index),
        canonical: canonical.into(),
        record: None,
        note: None,
    };
    let report_now = ReportNow {
        sighting,
        versions: vec![
            version("14T09:00", "上报", 12_340),
            version("14T09:02", "更正：水流 中 → 大", 12_344),
        ],
        demo: true,
        cut_off: at("14T10:00"),
        log_size: 12_345,
    };
    let view = ReportPage {
        place: "吉家湖",
        place_notice: "示意，非测绘",
        report: &report_now,
        map_svg: MAP,
        apart: &[],
        hears,
    };
    report(&view, lang).unwrap()
}

/// What holds for every page: nothing inline, every asset there, every name in braces filled, ids once.
pub fn check_page(html: &str) {
    // The words that a script fills stand at the end.
    let (html, _) = html.split_once("<ul id=\"told-words\"").unwrap_or((html, ""));
    for inline in [" style=\"", "<style", " onclick", " onsubmit", "javascript:"] {
        assert!(!html.contains(inline), "{inline} would be refused by the policy");
    }
    let scripts = html.matches("<script").count();
    assert_eq!(scripts, html.matches("<script type=\"module\" src=\"/assets/").count());
    for asset in html.split("\"/assets/").skip(1) {
        let name = asset.split('"').next().unwrap();
        assert!(name.contains("?v="), "no such asset: {name}");
    }
    for brace in html.split('{').skip(1) {
        let word = brace.split('}').next().unwrap();
        assert!(
            word.is_empty() || !word.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "unfilled {{{word}}}"
        );
    }
    assert!(!html.contains("href=\"\"") && !html.contains("**"));
    let mut ids: Vec<_> = html.split(" id=\"").skip(1).filter_map(|p| p.split('"').next()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id stands twice");
}

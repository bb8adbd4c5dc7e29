//! A timeline like those of the lake: one outfall in July, 100 sightings, 40 photos, gaps and rain. Always the same.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::LazyLock;

use image::{Rgb, RgbImage};
use jiff::{SignedDuration, Timestamp};
use jijia::casework::{EvidenceLevel, SewageSigns};
use jijia::document::{Picture, Pictures};
use jijia::evidence::checkpoint::Checkpoint;
use jijia::evidence::timeline::{
    Bucket, CorrectionRef, EntryRef, Fact, Filter, Gap, GapKind, Located, Named, PhotoRef, RainDay, Reading,
    Row, Rules, SeenHeads, Series, Sighting, Summary, Timeline,
};
use jijia::lake::{Crs, Match, NearOutfall};
use jijia::patrol::ReportKind;
use jijia::water::rain::{DryRule, Weather};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Made once: drawing 40 photos takes longer than most tests.
static SAMPLE: LazyLock<Sample> = LazyLock::new(make);

/// The timeline and the viewers' copies of its photos by SHA-256 in hex.
#[derive(Clone)]
pub struct Sample {
    pub timeline: Timeline,
    pub photos: BTreeMap<String, Vec<u8>>,
    pub map: Picture,
    pub chart: Picture,
}

impl Sample {
    /// Calls `with` with the pictures of this sample.
    pub fn with_pictures<T>(&self, with: impl FnOnce(&Pictures<'_>) -> T) -> T {
        let photo = |sha256: &str| self.photos.get(sha256).cloned();
        with(&Pictures { map: Some(self.map.clone()), chart: Some(self.chart.clone()), photo: &photo })
    }
}

/// A generator of numbers that look random (Knuth's MMIX constants).
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// 1 July 2026, 00:00 北京时间.
pub fn start() -> Timestamp {
    "2026-06-30T16:00:00Z".parse().unwrap()
}

fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

pub fn named(code: &str, name: &str) -> Named {
    Named { code: code.into(), name: name.into() }
}

fn hash(text: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(text))
}

/// 100 sightings, of them 40 with a photo (two not come), one corrected, one withdrawn, one erased, one without
/// position.
pub fn sample() -> Sample {
    SAMPLE.clone()
}

fn make() -> Sample {
    let mut lcg = Lcg(29);
    let mut photos = BTreeMap::new();
    let rain_days: Vec<RainDay> = (0..31).map(|day| rain(day, &mut lcg)).collect();
    let mut rows: Vec<Row> = rain_days.iter().filter(|r| r.mm > 0.0).cloned().map(Row::Rain).collect();
    for n in 0..100 {
        rows.push(Row::Sighting(Box::new(sighting(n, &rain_days, &mut lcg, &mut photos))));
    }
    for day in [3, 9, 10, 17, 24] {
        rows.push(Row::Gap(not_patrolled(day)));
    }
    rows.push(Row::Gap(Gap {
        kind: GapKind::SensorSilent,
        from: start() + days(20) + SignedDuration::from_hours(7),
        to: start() + days(31) + SignedDuration::from_hours(8),
        subject: named("JJH-S2", "2号点"),
        words: "溶解氧、氨氮无数据".into(),
    }));
    rows.sort_by_key(Row::at);
    let cut_off = start() + days(31) + SignedDuration::from_hours(8);
    let timeline = Timeline {
        place: "吉家湖".into(),
        place_notice: "示意, 非测绘".into(),
        demo: true,
        subject: "3号排口（JJH-PK-0003）".into(),
        filter: Filter {
            outfall: Some("JJH-PK-0003".into()),
            from: Some(start()),
            to: Some(start() + days(31)),
            ..Filter::default()
        },
        filter_words: "排口JJH-PK-0003；2026-07-01至2026-07-31".into(),
        cut_off,
        log_size: 18_342,
        log_root: hash("root"),
        checkpoint: Some(Checkpoint {
            origin: "jijia.local/evidence".into(),
            size: 18_340,
            root: [7; 32],
            extensions: Vec::new(),
        }),
        seen_heads: Some(SeenHeads { phones: 3, desks: 2, size: 18_339, at: cut_off }),
        rules: Rules {
            dry: DryRule { window_h: 72.0, limit_mm: 2.5 },
            nh3n_limit_mg_l: 2.0,
            rain_station: "JJH-YL1".into(),
            nearby_m: 300.0,
            late_s: 3600,
        },
        summary: Summary { nothing_found: 37, ..Summary::of(&rows) },
        rows,
        series: vec![series(&mut lcg)],
        rain_days,
    };
    Sample { timeline, photos, map: drawing(1500, 1000, true), chart: drawing(1500, 800, false) }
}

fn rain(day: i64, lcg: &mut Lcg) -> RainDay {
    let mm = if day % 7 == 5 { 4.0 + lcg.below(300) as f64 / 10.0 } else { 0.0 };
    let coverage = if (26..28).contains(&day) { 0.4 } else { 1.0 };
    RainDay { from: start() + days(day), mm, coverage, source: "JJH-YL1".into() }
}

fn not_patrolled(day: i64) -> Gap {
    let from = start() + days(day) + SignedDuration::from_hours(6);
    Gap {
        kind: GapKind::NotPatrolled,
        from,
        to: from + SignedDuration::from_hours(3),
        subject: named("JJH-AD-02", "岸段乙"),
        words: "早巡 岸段乙 未巡".into(),
    }
}

fn weather_of(day: i64, rain_days: &[RainDay]) -> (Weather, Option<f64>) {
    let window = &rain_days[(day - 2).max(0) as usize..=day as usize];
    let mm: f64 = window.iter().map(|r| r.mm).sum();
    match window.iter().all(|r| r.coverage >= 0.9) {
        _ if mm >= 2.5 => (Weather::Wet, Some(mm)),
        true => (Weather::Dry, Some(mm)),
        false => (Weather::Unknown, None),
    }
}

fn sighting(
    n: i64,
    rain_days: &[RainDay],
    lcg: &mut Lcg,
    photos: &mut BTreeMap<String, Vec<u8>>,
) -> Sighting {
    let day = n * 31 / 100;
    let observed_at =
        start() + days(day) + SignedDuration::from_mins(380 + (n % 3) * 240 + lcg.below(60) as i64);
    let kind = match n % 9 {
        4 => ReportKind::WaterHyacinth,
        8 => ReportKind::Other,
        _ => ReportKind::SewageOutflow,
    };
    let (weather, rain_mm) = weather_of(day, rain_days);
    let photo_refs = if n % 5 < 2 { vec![photo(n, photos)] } else { Vec::new() };
    let strong = lcg.below(3) == 0;
    let shown = kind == ReportKind::SewageOutflow && photo_refs.iter().any(|p| p.stored);
    let level = shown.then_some(match (weather, strong) {
        (Weather::Dry, true) => EvidenceLevel::E2,
        (Weather::Dry, false) => EvidenceLevel::E1,
        _ => EvidenceLevel::E0,
    });
    let entry = EntryRef { index: 1200 + n as u64 * 170, leaf_hash: hash(format!("leaf {n}")) };
    let mut s = Sighting {
        same_as: None,
        id: Uuid::from_u128(0x2026_0700_0000_4000_8000_0000_0000_0000 + n as u128),
        first_entry: entry.index,
        kind,
        observed_at,
        received_at: observed_at + SignedDuration::from_mins(if n % 17 == 3 { 300 } else { 2 }),
        clock_offset_s: None,
        clock_behind_s: None,
        late: n % 17 == 3,
        person: format!("p{}", n % 4),
        patrol: None,
        position: Some(located(lcg)),
        no_position: None,
        patch: None,
        sector: Some(named("JJH-AD-02", "岸段乙")),
        outfall: Some(named("JJH-PK-0003", "3号排口")),
        unit: Some(named("CT", "市城投")),
        outfall_chosen: false,
        outfall_match: Some(Match::One),
        candidates: vec![NearOutfall { code: "JJH-PK-0003".into(), distance_m: 7.5 }],
        level,
        weather,
        flow_seen: kind == ReportKind::SewageOutflow,
        rain_mm,
        facts: facts(kind, strong, lcg),
        note: (n % 13 == 0).then(|| "排口下方水面有白色泡沫，顺岸向北漂移约20米".into()),
        erased: false,
        photos: photo_refs,
        voice: None,
        readings: readings(observed_at, lcg),
        flags: if n % 29 == 11 { vec!["定位精度差".into()] } else { Vec::new() },
        corrections: Vec::new(),
        withdrawn: None,
        entry,
        signs: SewageSigns::default(),
    };
    odd(n, &mut s);
    s
}

/// The few that are not like the others.
fn odd(n: i64, s: &mut Sighting) {
    match n {
        21 => {
            s.entry = EntryRef { index: s.first_entry + 3, leaf_hash: hash("correction") };
            s.corrections.push(CorrectionRef {
                received_at: s.received_at + days(1),
                words: "水流由“小”改为“中”".into(),
                entry: s.entry.clone(),
            });
        }
        34 => s.withdrawn = Some("误报，为洒水车排水".into()),
        55 => {
            s.erased = true;
            s.note = None;
            s.facts.clear();
        }
        66 => {
            s.position = None;
            s.no_position = Some("手机定位未开启".into());
        }
        _ => {}
    }
}

fn located(lcg: &mut Lcg) -> Located {
    let (lng, lat) = (113.110_12 + lcg.below(90) as f64 / 1e6, 29.400_21 + lcg.below(90) as f64 / 1e6);
    Located {
        hints: Vec::new(),
        lng,
        lat,
        given_lng: lng,
        given_lat: lat,
        crs: Crs::Wgs84,
        accuracy_m: Some(3.0 + lcg.below(15) as f64),
        shore_m: Some(1.5),
        in_lake: Some(false),
    }
}

fn facts(kind: ReportKind, strong: bool, lcg: &mut Lcg) -> Vec<Fact> {
    let fact = |label: &str, value: &str| Fact { label: label.into(), value: value.into() };
    match kind {
        ReportKind::WaterHyacinth => {
            vec![fact("面积", "约120 m²"), fact("覆盖度", "35 %"), fact("长势", "旺盛")]
        }
        ReportKind::Other => vec![fact("描述", "岸边有生活垃圾")],
        _ => {
            let degree = if strong { "（程度 2 明显）" } else { "（程度 1 轻微）" };
            let mut facts = vec![
                fact("是否有水流", lcg.pick(&["小", "中", "大"])),
                fact("颜色", &format!("{}{degree}", lcg.pick(&["灰", "灰黑", "乳白"]))),
                fact("气味", &format!("{}{degree}", lcg.pick(&["粪臭", "腐臭"]))),
            ];
            if strong {
                facts.push(fact("快检", "氨氮 5.2 mg/L（比色管，批号2026A）"));
            }
            facts
        }
    }
}

fn readings(at: Timestamp, lcg: &mut Lcg) -> Vec<Reading> {
    let of = |property: &str, zh: &str, value: String| Reading {
        station: named("JJH-S1", "1号点"),
        property: property.into(),
        property_zh: zh.into(),
        value,
        unit: "mg/L".into(),
        observed_at: at - SignedDuration::from_mins(8),
        distance_m: 123.4,
        place: (0, 0),
    };
    vec![
        of("do", "溶解氧", format!("{}.{}", 1 + lcg.below(5), lcg.below(10))),
        of("nh3n", "氨氮", format!("{}.{:02}", lcg.below(4), lcg.below(100))),
    ]
}

fn photo(n: i64, photos: &mut BTreeMap<String, Vec<u8>>) -> PhotoRef {
    let portrait = n % 10 == 6;
    let (width, height) = if portrait { (750, 1000) } else { (1000, 750) };
    let stored = n != 40 && n != 81;
    let heic = n == 70;
    let mut sha256 = hash(format!("photo {n}"));
    if stored && !heic {
        let jpeg = scene(n as u32, width, height);
        sha256 = hash(&jpeg);
        photos.insert(sha256.clone(), jpeg);
    }
    PhotoRef {
        duplicate: false,
        sha256,
        stored,
        erased: false,
        preview: stored && !heic,
        width: Some(width * 4),
        height: Some(height * 4),
    }
}

/// Sky, water, a pipe and its plume, with the grain of a camera.
fn scene(n: u32, width: u32, height: u32) -> Vec<u8> {
    let (mouth_x, mouth_y) = (width / 4 + n * 5 % 300, height / 2);
    let scene = RgbImage::from_fn(width, height, |x, y| {
        let grain = (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ n) % 17;
        let near = f64::from(x.abs_diff(mouth_x)).hypot(f64::from(y.abs_diff(mouth_y)));
        let (r, g, b) = match near {
            d if d < 40.0 => (40, 38, 36),
            d if d < 60.0 => (150, 148, 140),
            _ if y > mouth_y && x.abs_diff(mouth_x) < 30 + (y - mouth_y) / 3 => (120, 118, 96),
            _ if y < height / 3 => (150 + y / 8, 180 + y / 10, 210),
            _ if y < mouth_y + 20 => (90 + n % 40, 120, 70),
            _ => (60, 95 + y / 30, 100 + y / 20),
        };
        Rgb([r, g, b].map(|c| (c + grain).min(255) as u8))
    });
    let mut jpeg = Cursor::new(Vec::new());
    scene.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    jpeg.into_inner()
}

/// Stands for a drawn map (a lake) or chart (columns).
fn drawing(width_px: u32, height_px: u32, map: bool) -> Picture {
    let drawing = RgbImage::from_fn(width_px, height_px, |x, y| {
        let lake = (f64::from(x) / f64::from(width_px) - 0.5).powi(2) * 6.0
            + (f64::from(y) / f64::from(height_px) - 0.5).powi(2) * 9.0;
        let column = x % 48 < 30 && y > height_px - (x / 48 * 37 % 11 + 1) * 50;
        match (map, lake < 1.0, column) {
            (true, true, _) => Rgb([190, 215, 228]),
            (false, _, true) => Rgb([70, 110, 150]),
            _ => Rgb([248, 248, 244]),
        }
    });
    let mut png = Cursor::new(Vec::new());
    drawing.write_to(&mut png, image::ImageFormat::Png).unwrap();
    Picture { png: png.into_inner(), width_px, height_px }
}

fn series(lcg: &mut Lcg) -> Series {
    let points = (0..31 * 4).filter(|i| !(80..90).contains(i)).map(|i| {
        let mean = 3.0 + lcg.below(300) as f64 / 100.0;
        Bucket { at: start() + SignedDuration::from_hours(6 * i + 3), min: mean - 0.6, max: mean + 0.7, mean }
    });
    Series {
        station: named("JJH-S1", "1号点"),
        property: "do".into(),
        property_zh: "溶解氧".into(),
        unit: "mg/L".into(),
        points: points.collect(),
    }
}

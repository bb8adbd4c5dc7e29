//! Unknown stays unknown: what a sensor at fault, a silent one or an unfinished look says is never taken for an answer.

use jiff::{SignedDuration, Timestamp};
use jijia::clock::{Clock, beijing};
use jijia::evidence::timeline::{Filter, Row};
use jijia::water::rain::{RainBefore, judge_values};
use serde_json::{Value, json};

use crate::service::{Service, id, jpeg, report, sha256_of, with};

fn hours_ago(hours: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(hours)
}

/// Sends values of one channel, an hour apart, the newest an hour ago.
async fn send(service: &Service, n: u32, station: &str, property: &str, values: &[Value]) {
    let hour = |i: usize| hours_ago((values.len() - i) as i64).to_string();
    let observation = |(i, value): (usize, &Value)| {
        json!({"station": station, "property": property,
        "observed_at": hour(i), "value": value})
    };
    let all: Vec<Value> = values.iter().enumerate().map(observation).collect();
    service.post("/api/v1/observations", &json!({"id": id(n), "observations": all})).await.created();
}

async fn start() -> (tempfile::TempDir, Service) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    (dir, service)
}

/// Its day in 北京时间.
fn day_of(at: Timestamp) -> String {
    beijing(at).date().to_string()
}

fn rows<'a>(page: &'a Value, kind: &str) -> Vec<&'a Value> {
    page["rows"].as_array().unwrap().iter().filter(|r| r["row"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gauge_at_fault_makes_no_dry_weather() {
    let (_dir, service) = start().await;
    // Three wet hours, and the number that stands for "at fault" where a dry one would be.
    let mut rain = vec![json!(0); 80];
    (rain[40], rain[41], rain[42]) = (json!(3.0), json!(4.0), json!(2.5));
    rain[60] = json!(-9999);
    send(&service, 1, "JJH-R1", "rain", &rain).await;
    service.post("/api/v1/reports", &report(2)).await.created();
    let seen = service.get(&format!("/api/v1/reports/{}", id(2))).await.json();
    assert_eq!((seen["weather"].as_str(), seen["rain_mm"].as_f64()), (Some("wet"), Some(9.5)), "{seen}");
    let page = service.get(&format!("/api/v1/timeline?from={}", day_of(hours_ago(96)))).await.json();
    let fallen: f64 = rows(&page, "rain").iter().map(|r| r["mm"].as_f64().unwrap()).sum();
    assert!(fallen <= 9.5 && fallen > 0.0, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn days_without_rain_are_claimed_as_far_back_as_the_gauge_spoke() {
    let (_dir, service) = start().await;
    let long_ago = json!({"station": "JJH-R1", "property": "rain", "observed_at": hours_ago(200).to_string(), "value": 5});
    service.post("/api/v1/observations", &json!({"id": id(1), "observations": [long_ago]})).await.created();
    send(&service, 2, "JJH-R1", "rain", &vec![json!(0); 80]).await;
    let page = service.get("/").await;
    assert!(page.text().contains("3 天无雨"), "{}", page.text());
}

/// The rule in SQL, by which sightings are judged, and the plain one, by which `jijia calc dry` repeats it.
#[tokio::test(flavor = "multi_thread")]
async fn a_judgement_can_be_repeated_from_what_the_gauge_said() {
    let mut random = crate::fault::chance("judgements");
    let (_dir, service) = start().await;
    // To the millisecond, as it is stored: values and sightings may stand exactly a window apart.
    let now = Clock::System.now();
    let ago = |hours: i64| now - SignedDuration::from_hours(hours);
    // Twenty days of a gauge. Three days and more of dry hours, four days of silence, an hour of rain, so that each
    // judgement is met; then it is now and then silent, at fault, late, or put right.
    let mut said: Vec<(Timestamp, f64)> = (400..=480).rev().map(|h| (ago(h), 0.0)).collect();
    said.push((ago(200), 4.0));
    let mut at = ago(199);
    let chance_from = said.len();
    while at < now {
        let mm = [0.0, 0.0, 0.0, 0.2, 1.5, -9999.0][random.usize(..6)];
        said.push((at, if random.u8(..10) > 0 { 0.0 } else { mm }));
        let step_min = if random.u8(..30) == 0 { random.i64(60..900) } else { random.i64(40..75) };
        at += SignedDuration::from_mins(step_min);
    }
    let mut corrected = random.choose_multiple(said[chance_from..].iter().copied(), 20);
    corrected.iter_mut().for_each(|(_, mm)| *mm = [0.0, 4.0, -1.0][random.usize(..3)]);
    for (n, part) in [said.clone(), corrected].iter().enumerate() {
        let one = |(at, mm): &(Timestamp, f64)| json!({"station": "JJH-R1", "property": "rain", "observed_at": at.to_string(), "value": mm});
        let body = json!({"id": id(n as u32), "observations": part.iter().map(one).collect::<Vec<_>>()});
        service.post("/api/v1/observations", &body).await.created();
        if n > 0 {
            said.extend(part);
        }
    }
    for n in 10..70 {
        let back_min = match n {
            10 => 404 * 60,
            11 => 310 * 60,
            12 => 199 * 60 + 30,
            _ => random.i64(1..28_000),
        };
        let seen = json!((now - SignedDuration::from_mins(back_min)).to_string());
        service.post("/api/v1/reports", &with(report(n), "/observed_at", seen)).await.created();
    }
    let app = &service.app;
    let whole = app.store.get_timeline(&Filter::default(), &app.place, &app.rules, 5000).await.unwrap();
    let mut found = [0; 3];
    for row in &whole.rows {
        let Row::Sighting(s) = row else { continue };
        let hours = |at: Timestamp| s.observed_at.duration_since(at).as_millis() as f64 / 3_600_000.0;
        let values: Vec<RainBefore> =
            said.iter().map(|(at, mm)| RainBefore { hours_before: hours(*at), mm: *mm }).collect();
        let (weather, rain_mm, coverage) = judge_values(&values, 1.0, app.rules.dry);
        assert_eq!(
            (s.weather, s.rain_mm),
            (weather, (coverage > 0.0).then_some(rain_mm)),
            "{}: covered {coverage}",
            s.observed_at
        );
        found[weather as usize] += 1;
    }
    assert_eq!(found.iter().sum::<i32>(), 60);
    assert!(found.iter().all(|n| *n > 0), "dry, wet, unknown: {found:?}");
}

/// The window of the rule is three days: rain until 15:00 five days ago makes the day before yesterday dry after 15:00,
/// and wet at noon.
#[tokio::test(flavor = "multi_thread")]
async fn no_outfall_flows_on_more_dry_days_than_there_are() {
    let (_dir, service) = start().await;
    let day = |ago: i64| beijing(hours_ago(24 * ago)).date();
    let at =
        |ago: i64, hour: i8| -> Timestamp { format!("{}T{hour:02}:00:00+08:00", day(ago)).parse().unwrap() };
    let hour = |n: i64| at(31, 0) + SignedDuration::from_hours(n);
    let rain = (0..32 * 24).map(hour).filter(|t| *t <= Timestamp::now()).map(|t| {
        json!({"station": "JJH-R1", "property": "rain", "observed_at": t.to_string(),
            "value": i64::from(t <= at(5, 15))})
    });
    let body = json!({"id": id(1), "observations": rain.collect::<Vec<_>>()});
    service.post("/api/v1/observations", &body).await.created();
    for (n, ago) in [(2, 2), (3, 1)] {
        let seen = json!(at(ago, 16).to_string());
        service.post("/api/v1/reports", &with(report(n), "/observed_at", seen)).await.created();
    }
    let app = &service.app;
    let first = app.store.get_overview(&app.place, &app.rules, &*app.roster().await).await.unwrap();
    let flow = first.outfalls.iter().map(|o| o.dry_flow_days).max();
    let noon_has_passed = first.cut_off >= at(0, 12);
    assert_eq!((flow, first.rain.dry_days), (Some(2), 2 + u32::from(noon_has_passed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_says_nothing_is_silent_beside_one_that_speaks() {
    let (_dir, service) = start().await;
    let speaking: Vec<Value> = (0..40).map(|n| json!(20.0 + f64::from(n) / 10.0)).collect();
    let mut dead = speaking.clone();
    dead[20..].fill(Value::Null);
    send(&service, 1, "JJH-S2", "codmn", &speaking).await;
    send(&service, 2, "JJH-S2", "tp", &dead).await;
    service
        .post("/api/v1/reports", &with(report(3), "/observed_at", json!(hours_ago(41).to_string())))
        .await
        .created();
    let page = service.get("/api/v1/timeline?outfall=JJH-PK-0003").await.json();
    let words: Vec<&str> = rows(&page, "gap").iter().filter_map(|g| g["words"].as_str()).collect();
    let silent: Vec<&&str> = words.iter().filter(|w| w.contains("无数据")).collect();
    assert!(silent.iter().any(|w| w.contains("总磷")), "{words:?}");
    assert!(!silent.iter().any(|w| w.contains("高锰酸盐")), "it speaks: {words:?}");
    // The first page says the same: the newest value is the last that came, not the last emptiness.
    let page = service.get("/").await;
    assert!(!page.text().contains("null") && page.status == 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_stand_in_every_timeline_and_are_never_denied_unlooked_for() {
    let (_dir, service) = start().await;
    // Three days with windows in which nobody walked.
    let first = with(report(1), "/observed_at", json!(hours_ago(72).to_string()));
    service.post("/api/v1/reports", &first).await.created();
    let patrol = json!({"id": id(9), "person": {"id": "p-7"}, "started_at": hours_ago(5).to_string(),
        "ended_at": hours_ago(4).to_string(), "sectors": ["JJH-AD-01"]});
    service.post("/api/v1/patrols", &patrol).await.created();
    for narrow in ["", "&kind=sewage_outflow", "&bbox=113.10,29.39,113.12,29.41", "&sector=JJH-AD-01"] {
        let page =
            service.get(&format!("/api/v1/timeline?from={}{narrow}", day_of(hours_ago(72)))).await.json();
        assert!(!rows(&page, "gap").is_empty(), "{narrow}: {page}");
    }
    let far = service
        .get(&format!("/api/v1/timeline?from={}&bbox=113.20,29.50,113.21,29.51", day_of(hours_ago(72))))
        .await
        .json();
    assert!(rows(&far, "gap").is_empty(), "no sector lies there");
    let denied = "没有未巡查或传感器静默的时段";
    for (narrow, wanted) in [("kind=sewage_outflow", "未巡"), ("patrol=", "未检查其他时段")] {
        let narrow = if narrow == "patrol=" { format!("patrol={}", id(9)) } else { narrow.to_owned() };
        let file = service.get(&format!("/api/v1/timeline.docx?{narrow}")).await;
        assert_eq!(file.status, 200, "{narrow}");
        let text = document_text(&file.body);
        assert!(!text.contains(denied) && text.contains(wanted), "{narrow}: {text}");
    }
}

fn document_text(docx: &[u8]) -> String {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(docx)).unwrap();
    let mut xml = String::new();
    std::io::Read::read_to_string(&mut zip.by_name("word/document.xml").unwrap(), &mut xml).unwrap();
    let tree = roxmltree::Document::parse(&xml).unwrap();
    tree.descendants().filter(roxmltree::Node::is_text).filter_map(|n| n.text()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_the_outfalls_is_an_answer_and_a_withdrawn_photo_is_no_plate() {
    let (_dir, service) = start().await;
    let photo = jpeg(1);
    service.put_photo(&photo).await.created();
    service.post("/api/v1/reports", &with(report(1), "/photos", json!([sha256_of(&photo)]))).await.created();
    let correct = |n: u32, more: Value| {
        let mut body = json!({"id": id(n), "reason": "现场核对", "person": {"id": "p-7"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let to = format!("/api/v1/reports/{}/corrections", id(1));
    service.post(&to, &correct(2, json!({"action": "choose_outfall", "outfall": "none"}))).await.created();
    let seen = service.get(&format!("/api/v1/reports/{}", id(1))).await.json();
    let flags = seen["flags"].to_string();
    assert!(flags.contains("不属于已知排口") && !flags.contains("待选定"), "{flags}");
    let short = &sha256_of(&photo)[..8];
    let plates = async || document_text(&service.get("/api/v1/timeline.docx").await.body);
    assert!(plates().await.contains(short));
    service.post(&to, &correct(3, json!({"action": "withdraw"}))).await.created();
    assert!(!plates().await.contains(short), "a withdrawn report proves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patrol_of_a_phone_that_is_ahead_is_taken_and_put_right() {
    let (_dir, service) = start().await;
    let ahead = |hours: i64| (Timestamp::now() + SignedDuration::from_hours(hours)).to_string();
    let patrol = |n: u32, from: String, to: String| json!({"id": id(n), "person": {"id": "p-7"}, "started_at": from, "ended_at": to, "sectors": ["JJH-AD-01"]});
    let a_moment = (Timestamp::now() + SignedDuration::from_secs(30)).to_string();
    service.post("/api/v1/patrols", &patrol(1, hours_ago(1).to_string(), a_moment)).await.created();
    let three_days = with(patrol(2, ahead(71), ahead(72)), "/device_at", json!(ahead(72)));
    service.post("/api/v1/patrols", &three_days).await.created();
    let db = rusqlite::Connection::open(_dir.path().join("jijia.db")).unwrap();
    let ended: i64 = db.query_row("select max(ended_ms) from patrol", [], |r| r.get(0)).unwrap();
    assert!((ended - Timestamp::now().as_millisecond()).abs() < 120_000, "three days are taken off: {ended}");
    service.post("/api/v1/patrols", &patrol(3, ahead(71), ahead(72))).await.problem(422, "ended_at");
    let forty_days = with(patrol(4, ahead(959), ahead(960)), "/device_at", json!(ahead(960)));
    service.post("/api/v1/patrols", &forty_days).await.problem(422, "device_at");
    let own =
        with(patrol(5, hours_ago(2).to_string(), hours_ago(1).to_string()), "/clock_offset_s", json!(5));
    service.post("/api/v1/patrols", &own).await.problem(422, "clock_offset_s");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_document_is_not_a_document() {
    let (_dir, service) = start().await;
    service.post("/api/v1/reports", &report(1)).await.created();
    let before = service.log_size().await;
    for path in ["/api/v1/timeline.docx", "/api/v1/compliance.csv"] {
        let address = service.address;
        let asked = tokio::task::spawn_blocking(move || {
            use std::io::{Read, Write};
            let mut line = std::net::TcpStream::connect(address).unwrap();
            write!(line, "HEAD {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
            let mut said = String::new();
            line.read_to_string(&mut said).unwrap();
            said
        });
        let said = asked.await.unwrap();
        assert!(said.starts_with("HTTP/1.1 405 ") && said.contains("allow: GET"), "{said}");
    }
    assert_eq!(service.log_size().await, before);
}

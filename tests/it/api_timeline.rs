//! The timeline through HTTP: every filter, paging while reports come in, the documents.

use std::collections::BTreeSet;
use std::io::Read;

use jiff::{SignedDuration, Timestamp, ToSpan};
use jijia::clock::beijing;
use jijia::evidence::timeline::{Filter, Row};
use serde_json::{Value, json};

use crate::service::{Service, id, report, with};

/// 16:00 in 北京时间, twenty days ago.
fn base() -> Timestamp {
    let day = beijing(Timestamp::now()).date() - 20.days();
    format!("{day}T16:00:00+08:00").parse().unwrap()
}

fn day(n: i64) -> String {
    beijing(base() + SignedDuration::from_hours(24 * n)).date().to_string()
}

fn hours(n: i64) -> String {
    (base() + SignedDuration::from_hours(n)).to_string()
}

/// A service with a patrol and seven reports, one hour apart: four outflows at 3号, 3号, 1号 and 7号排口, hyacinth at
/// 3号, nothing found without a position, and one far off.
async fn start() -> (tempfile::TempDir, Service) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let patrol = json!({"id": id(100), "person": {"id": "p-7"}, "started_at": hours(-1), "ended_at": hours(8),
        "sectors": ["JJH-AD-01"]});
    service.post("/api/v1/patrols", &patrol).await.created();
    let at = |n: u32, lng: f64, lat: f64| {
        let position = json!({"lng": lng, "lat": lat, "crs": "wgs84", "accuracy_m": 5});
        with(with(report(n), "/position", position), "/observed_at", json!(hours(i64::from(n))))
    };
    let mut all = vec![
        at(0, 113.114079, 29.39928),
        with(at(1, 113.114079, 29.39928), "/patrol", json!(id(100))),
        at(2, 113.11281, 29.395396),
        at(3, 113.104391, 29.39953),
    ];
    let plain = |n| with(at(n, 113.114079, 29.39928), "/sewage", Value::Null);
    all.push(with(plain(4), "/kind", json!("water_hyacinth")));
    let nothing = with(with(plain(5), "/kind", json!("nothing_found")), "/position", Value::Null);
    all.push(with(nothing, "/no_position", json!("室内")));
    all.push(at(6, 113.2, 29.5));
    for body in all {
        service.post("/api/v1/reports", &body).await.created();
    }
    (dir, service)
}

/// Numbers of the reports on a page, in its order.
fn numbers(page: &Value) -> Vec<u32> {
    let rows = page["rows"].as_array().unwrap().iter().filter(|r| r["row"] == "sighting");
    rows.map(|r| (0..200).find(|n| r["id"] == id(*n)).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_narrows() {
    let (_dir, service) = start().await;
    let (from, to) = (hours(2), hours(4));
    let cases = [
        (String::new(), vec![6, 5, 4, 3, 2, 1, 0]),
        ("outfall=JJH-PK-0003".into(), vec![4, 1, 0]),
        ("unit=CT".into(), vec![3, 2]),
        ("sector=JJH-AD-05".into(), vec![3]),
        ("kind=sewage_outflow".into(), vec![6, 3, 2, 1, 0]),
        (format!("patrol={}", id(100)), vec![1]),
        (format!("from={from}&to={to}"), vec![3, 2]),
        (format!("from={0}&to={0}", day(0)), vec![6, 5, 4, 3, 2, 1, 0]),
        (format!("from={}&to={}", day(1), day(2)), vec![]),
        (format!("datetime={from}%2F{to}"), vec![4, 3, 2]),
        (format!("datetime={from}/.."), vec![6, 5, 4, 3, 2]),
        (format!("datetime={from}"), vec![2]),
        ("bbox=113.11,29.398,113.115,29.4".into(), vec![4, 1, 0]),
        ("outfall=JJH-PK-0003&kind=water_hyacinth".into(), vec![4]),
        (format!("outfall=&kind=&cursor=&limit=2&to={}", hours(9)), vec![6, 5]),
    ];
    for (query, expected) in cases {
        let page = service.get(&format!("/api/v1/timeline?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text());
        assert_eq!(numbers(&page.json()), expected, "{query}");
    }
    let page = service.get("/api/v1/timeline?outfall=JJH-PK-0003").await.json();
    assert_eq!(page["log_size"], service.log_size().await);
    assert_eq!(page["log_root"], service.get("/api/v1/head").await.json()["log_root"]);
    assert_eq!(page["filter"]["outfall"], "JJH-PK-0003");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_questions_are_answered_by_what_is_allowed() {
    let (_dir, service) = start().await;
    for (query, field, words) in [
        ("outfall=JJH-PK-9999", "outfall", "JJH-PK-0003"),
        ("sector=X", "sector", "JJH-AD-01"),
        ("unit=X", "unit", "CT"),
        ("kind=fire", "kind", "nothing_found"),
        ("patrol=7", "patrol", "UUID"),
        ("from=July", "from", "RFC 3339"),
        ("to=2026-13-01", "to", "RFC 3339"),
        ("from=2026-11-02&to=2026-11-01", "to", "after"),
        ("datetime=yesterday", "datetime", "a/b"),
        ("datetime=../..", "datetime", "a/b"),
        ("datetime=2026-11-01T00:00:00Z&from=2026-11-01", "datetime", "one or the other"),
        ("bbox=113,29,112,30", "bbox", "west,south,east,north"),
        ("bbox=1,2,3", "bbox", "west,south,east,north"),
        ("cursor=two", "cursor", "next"),
        ("cursor=1.-1", "cursor", "next"),
        ("cursor=99999999999999999999.1", "cursor", "next"),
        ("limit=0", "limit", "1 to 200"),
        ("limit=201", "limit", "1 to 200"),
        ("limit=x", "limit", "1 to 200"),
        ("order=asc", "order", "desc"),
        ("outfal=JJH-PK-0003", "query", "outfall"),
    ] {
        let problem = service.get(&format!("/api/v1/timeline?{query}")).await.problem(422, field);
        assert!(problem["detail"].as_str().unwrap().contains(words), "{query}: {problem}");
    }
    let size = service.log_size().await;
    service.get("/api/v1/timeline.csv?outfall=JJH-PK-9999").await.problem(422, "outfall");
    service.get("/api/v1/timeline.exe").await.problem(404, "");
    assert_eq!(service.log_size().await, size, "a refused export is no entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_complete_and_hold_still_while_reports_come_in() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    // Many at one and the same instant: the entry decides.
    let seen = |n: u32| json!((base() + SignedDuration::from_mins(i64::from(n / 5))).to_string());
    let body = |n: u32| with(report(n), "/observed_at", seen(n));
    for n in 0..60 {
        service.post("/api/v1/reports", &body(n)).await.created();
    }
    let (mut found, mut cursor, mut new) = (Vec::new(), String::new(), 60);
    loop {
        let page = service.get(&format!("/api/v1/timeline?limit=7&cursor={cursor}")).await.json();
        let here = numbers(&page);
        assert!(here.len() <= 7);
        found.extend(here);
        let Some(next) = page["next"].as_str() else { break };
        cursor = next.to_owned();
        // One newer than everything, after the first page is out.
        service.post("/api/v1/reports", &with(body(new), "/observed_at", json!(hours(20)))).await.created();
        new += 1;
    }
    assert!(new > 64);
    assert_eq!(found, (0..60).rev().collect::<Vec<_>>());
    // A whole page ends without another.
    let all = service.get("/api/v1/timeline?limit=200").await.json();
    assert_eq!((numbers(&all).len() as u32, &all["next"]), (new, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn head_rows_and_counts_are_of_one_moment_while_reports_come_in() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let before = service.log_size().await;
    let (app, address) = (service.app.clone(), service.address);
    let writing = tokio::spawn(async move {
        for n in 0..150 {
            crate::service::post_to(address, "/api/v1/reports", &report(n)).await.created();
        }
    });
    let (filter, mut sizes) = (Filter::default(), BTreeSet::new());
    while !writing.is_finished() {
        let whole = app.store.get_timeline(&filter, &app.place, &app.rules, 5000).await.unwrap();
        assert_eq!(u64::from(whole.summary.sightings), whole.log_size - before, "each entry is a sighting");
        let page = app.store.list_timeline(&filter, None, 200, &app.place, &app.rules).await.unwrap();
        let shown = page.rows.iter().filter(|r| matches!(r, Row::Sighting(_))).count();
        assert_eq!(shown as u64, page.log_size - before);
        let first = app.store.get_overview(&app.place, &app.rules, &*app.roster().await).await.unwrap();
        assert_eq!(
            u64::from(first.outfalls.iter().map(|o| o.sightings).sum::<u32>()),
            first.log_size - before
        );
        sizes.insert(whole.log_size);
    }
    writing.await.unwrap();
    assert!(sizes.len() > 5, "it was looked at while reports came in: {sizes:?}");
}

/// Values of a station every hour but for the hours that `silent` names, and rain in some of them.
async fn observe(service: &Service, silent: std::ops::Range<i64>) {
    let one = |property: &str, station: &str, hour: i64, value: i64| json!({"station": station, "property": property, "observed_at": hours(hour), "value": value});
    let heard = (-30..120).filter(|h| !silent.contains(h)).map(|h| one("wt", "JJH-S1", h, 20));
    let rain = (-30..120).map(|h| one("rain", "JJH-R1", h, i64::from(h % 5 == 0)));
    let body = json!({"id": id(900), "observations": heard.chain(rain).collect::<Vec<_>>()});
    service.post("/api/v1/observations", &body).await.created();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_derived_stands_on_exactly_one_page_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    // Nobody walked; a sighting every seven hours for five days; a station silent for two days; rain every day.
    for n in 0..17 {
        let body = with(report(n), "/observed_at", json!(hours(i64::from(n) * 7)));
        service.post("/api/v1/reports", &body).await.created();
    }
    observe(&service, 40..88).await;
    let derived = |page: &Value| -> Vec<String> {
        let rows = page["rows"].as_array().unwrap().iter().filter(|r| r["row"] != "sighting");
        rows.map(Value::to_string).collect()
    };
    let period = format!("from={}&to={}", hours(-20), hours(118));
    for filter in ["", "sector=JJH-AD-02&"] {
        let whole =
            derived(&service.get(&format!("/api/v1/timeline?{filter}{period}&limit=200")).await.json());
        for words in ["not_patrolled", "sensor_silent", "\"row\":\"rain\""] {
            assert!(whole.iter().any(|r| r.contains(words)), "{words}: {whole:#?}");
        }
        for limit in 1..5 {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let address = format!("/api/v1/timeline?{filter}{period}&limit={limit}&cursor={cursor}");
                let page = service.get(&address).await.json();
                found.extend(derived(&page));
                let Some(next) = page["next"].as_str() else { break };
                cursor = next.to_owned();
            }
            assert_eq!(found, whole, "{limit} on a page");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_phone_of_another_age_does_not_hide_the_gaps_of_today() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    for (n, seen) in [(1, "2001-05-01T08:00:00Z".to_owned()), (2, hours(0)), (3, hours(100))] {
        service.post("/api/v1/reports", &with(report(n), "/observed_at", json!(seen))).await.created();
    }
    let page = service.get("/api/v1/timeline").await.json();
    let rows = page["rows"].as_array().unwrap();
    let newest = rows.iter().find(|r| r["kind"] == "not_patrolled").unwrap()["from"].as_str().unwrap();
    let newest: Timestamp = newest.parse().unwrap();
    assert!(Timestamp::now().duration_since(newest) < SignedDuration::from_hours(48), "{newest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_have_their_media_types_and_each_is_an_entry() {
    let (dir, service) = start().await;
    let size = service.log_size().await;
    let office = "application/vnd.openxmlformats-officedocument.";
    let cases = [
        ("docx", format!("{office}wordprocessingml.document"), &b"PK"[..]),
        ("xlsx", format!("{office}spreadsheetml.sheet"), b"PK"),
        ("pdf", "application/pdf".into(), b"%PDF-"),
        ("csv", "text/csv; charset=utf-8".into(), b"\xEF\xBB\xBF"),
        ("geojson", "application/geo+json".into(), b"{"),
    ];
    for (n, (ending, media_type, begins)) in (0..).zip(cases) {
        let file =
            service.get(&format!("/api/v1/timeline.{ending}?outfall=JJH-PK-0003&from={}", day(0))).await;
        assert_eq!(file.status, 200, "{ending}: {}", String::from_utf8_lossy(&file.body));
        assert_eq!(file.header("content-type"), Some(media_type.as_str()));
        assert!(file.body.starts_with(begins), "{ending}");
        let name = format!("attachment; filename=\"jijia-timeline-{}.{ending}\"", size + n);
        assert_eq!(file.header("content-disposition"), Some(name.as_str()));
        assert_eq!(service.log_size().await, size + n + 1);
        let entry = newest_entry(dir.path());
        assert_eq!((&entry["type"], &entry["format"]), (&json!("export"), &json!(ending)));
        assert_eq!(entry["sha256"], crate::service::sha256_of(&file.body));
        assert_eq!(entry["log_size"], size + n);
    }
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

fn newest_entry(dir: &std::path::Path) -> Value {
    let db = rusqlite::Connection::open(dir.join("jijia.db")).unwrap();
    let sql = "select body from entry order by idx desc limit 1";
    let body: Vec<u8> = db.query_row(sql, [], |r| r.get(0)).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_looks_like_a_formula_stays_text() {
    let (_dir, service) = start().await;
    let notes = ["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", "\t=1", "＝1"];
    for (n, note) in (50..).zip(notes) {
        let body = with(with(report(n), "/note", json!(note)), "/observed_at", json!(hours(7)));
        service.post("/api/v1/reports", &body).await.created();
    }
    let csv = service.get("/api/v1/timeline.csv").await;
    let cells: BTreeSet<String> = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(&csv.body[3..])
        .into_records()
        .flat_map(|r| r.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for note in notes {
        assert!(cells.contains(&format!("'{note}")), "{note:?} in {cells:?}");
    }
    let xlsx = service.get("/api/v1/timeline.xlsx").await;
    let mut book = zip::ZipArchive::new(std::io::Cursor::new(xlsx.body)).unwrap();
    let parts: Vec<String> = book.file_names().map(str::to_owned).collect();
    for part in parts.iter().filter(|p| p.starts_with("xl/worksheets/sheet")) {
        let mut xml = String::new();
        book.by_name(part).unwrap().read_to_string(&mut xml).unwrap();
        assert!(!xml.contains("<f>"), "{part} holds a formula");
    }
    // A page shows it as text, and as a page says what was wrong with its address.
    let body =
        with(with(report(60), "/note", json!("<script>alert(1)</script>")), "/observed_at", json!(hours(7)));
    service.post("/api/v1/reports", &body).await.created();
    for address in [format!("/reports/{}", id(60)), format!("/timeline?datetime={}", hours(7))] {
        let page = service.get(&address).await;
        assert!(page.status == 200 && page.text().contains("&#60;script&#62;alert(1)"), "{}", page.text());
        assert!(!page.text().contains("<script>alert"));
    }
    for (address, status) in [("/timeline?outfal=x", 422), ("/timeline?cursor=x", 422), ("/nothing", 404)] {
        let page = service.get(address).await;
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")));
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
    }
    // JSON and GeoJSON say what was said.
    let page = service.get("/api/v1/timeline?limit=10").await.json();
    assert!(page.to_string().contains(r#""note":"=cmd|' /C calc'!A0""#));
    assert!(service.get("/api/v1/timeline.geojson").await.text().contains("=cmd|' /C calc'!A0"));
}

//! Patrol duty through the front door: patrols and reports in, who walked what out.

use jiff::{SignedDuration, Timestamp, civil::Date};
use jijia::clock::{Clock, beijing};
use jijia::lake::load;
use serde_json::{Value, json};

use crate::cli::{calc, jijia};
use crate::service::{Service, id, jpeg, report, sha256_of, with};

/// The last day that is wholly over.
fn yesterday() -> Date {
    beijing(Timestamp::now()).date().yesterday().unwrap()
}

fn at(day: Date, time: &str) -> Timestamp {
    format!("{day}T{time}:00+08:00").parse().unwrap()
}

/// A patrol of the shipped place's first sector, with a waypoint photographed at its first outfall.
fn patrol(n: u32, day: Date, (from, to): (&str, &str), photo: &str) -> Value {
    json!({
        "id": id(n), "person": {"id": "p-01", "name": "李某"},
        "started_at": at(day, from).to_string(), "ended_at": at(day, to).to_string(), "sectors": ["JJH-AD-01"],
        "waypoints": [{"at": at(day, from).to_string(), "code": "JJH-PK-0001", "by": "photo", "photo": photo,
            "position": {"lng": 113.11281, "lat": 29.395396, "crs": "wgs84", "accuracy_m": 9}}],
    })
}

async fn duty(service: &Service, query: &str) -> Value {
    let answer = service.get(&format!("/api/v1/compliance?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn row<'a>(said: &'a Value, sector: &str, window: &str) -> &'a Value {
    let mut rows = said["rows"].as_array().unwrap().iter();
    rows.find(|r| r["sector"]["code"] == sector && r["window"]["code"] == window).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_walked_is_said_the_same_by_api_table_page_and_timeline() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let (day, before) = (yesterday(), yesterday().yesterday().unwrap());
    let shot = jpeg(1);
    service.put_photo(&shot).await.created();
    // The day before opens the record, so that every window of `day` is judged.
    service
        .post("/api/v1/patrols", &patrol(1, before, ("06:40", "07:00"), &sha256_of(&shot)))
        .await
        .created();
    service.post("/api/v1/patrols", &patrol(2, day, ("06:40", "07:00"), &sha256_of(&shot))).await.created();
    let seen = with(report(3), "/observed_at", json!(at(day, "16:00").to_string()));
    service.post("/api/v1/reports", &seen).await.created();

    let days = format!("from={day}&to={day}");
    let said = duty(&service, &days).await;
    let sums = &said["sums"];
    assert_eq!((&sums["due"], &sums["walked"], &sums["not_walked"]), (&json!(12), &json!(2), &json!(10)));
    let morning = row(&said, "JJH-AD-01", "morning");
    assert_eq!((&morning["state"], &morning["walked_by"]), (&json!("walked"), &json!(["p-01"])));
    assert_eq!(morning["walked_at"], json!(at(day, "06:40").to_string()));
    assert_eq!(morning["late"], true, "it came a day later");
    assert_eq!(morning["waypoints"][0]["by"], "photo");
    assert_eq!(morning["waypoints"][1]["by"], Value::Null);
    assert_eq!(morning["flags"], json!(["track_gaps"]));
    let sector = seen_sector(&service, 3).await;
    assert_eq!(row(&said, &sector, "evening")["flags"], json!(["no_patrol"]));

    // The timeline calls the same windows not patrolled.
    let timeline = service.get(&format!("/api/v1/timeline?{days}")).await.json();
    let missed = |window: &str| {
        let states = said["rows"].as_array().unwrap().iter();
        states.filter(|r| r["window"]["code"] == window && r["state"] == "not_walked").count()
    };
    let words = serde_json::to_string(&timeline["rows"]).unwrap();
    assert_eq!((missed("morning"), missed("evening")), (5, 5));
    assert_eq!(words.matches("未巡").count(), 2, "one row a window: {words}");

    // The table is an entry; every line states when and of what.
    let size = service.log_size().await;
    let csv = service.get(&format!("/api/v1/compliance.csv?{days}")).await;
    assert_eq!(service.log_size().await, size + 1);
    let mut lines = csv::Reader::from_reader(csv.text().trim_start_matches('\u{feff}').as_bytes());
    let lines: Vec<csv::StringRecord> = lines.records().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 12);
    assert_eq!(lines.iter().filter(|l| &l[5] == "已巡").count(), 2);
    assert!(lines.iter().all(|l| l[18].contains(&day.to_string()) && !l.as_slice().contains("李某")));

    let page = service.get(&format!("/patrols?{days}")).await;
    assert!(page.text().contains("已巡 2/12 段次，未巡 10，待核 2。"), "{}", page.text());
    let page = service.get(&format!("/patrols?{days}&lang=en")).await;
    assert!(page.text().contains("2 of 12 walked, 10 not walked, 2 to look at."), "{}", page.text());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_repeats_the_judgement() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let (day, before, shot) = (yesterday(), yesterday().yesterday().unwrap(), jpeg(1));
    service.put_photo(&shot).await.created();
    let mut patrols = Vec::new();
    for (n, day) in [(1, before), (2, day)] {
        let sent = patrol(n, day, ("06:40", "07:00"), &sha256_of(&shot));
        let received_at = service.post("/api/v1/patrols", &sent).await.created()["received_at"].clone();
        patrols.push(json!({"received_at": received_at, "record": with(sent, "/person/name", Value::Null)}));
    }
    let seen_at = json!(at(day, "16:00").to_string());
    let received_at =
        service.post("/api/v1/reports", &with(report(3), "/observed_at", seen_at.clone())).await.created();
    let said = duty(&service, &format!("from={day}&to={day}")).await;
    let input = json!({
        "from": day, "to": day, "now": said["cut_off"], "first": at(before, "06:40").to_string(), "late_s": 3600,
        "limits": {"short_min": 3, "fast_km_h": 10, "few_share": 0.5, "gap_min": 5},
        "patrols": patrols, "photos": [sha256_of(&shot)],
        "reports": [{"sector": seen_sector(&service, 3).await, "person": "p-7", "seen_at": seen_at,
            "received_at": received_at["received_at"]}],
    });
    let (code, repeated) = calc("duty", &[input]);
    assert_eq!((code, &repeated[0]["rows"], &repeated[0]["sums"]), (0, &said["rows"], &said["sums"]));
    service.stop().await;
}

#[test]
fn the_check_of_the_configuration_reads_the_roster() {
    let check = |roster: &str| {
        let folder = place_with(roster);
        let out = jijia(&["config", "check", folder.path().to_str().unwrap()]).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    let good = check("[[rule]]\npersons = [\"p-01\"]\n");
    assert!(good.0 == Some(0) && good.1.contains("good"), "{good:?}");
    let bad = check("[[rule]]\npersons = [\"p-01\"]\nsectors = [\"JJH-AD-99\"]\n");
    assert!(bad.0 == Some(1) && bad.1.starts_with("roster.toml: [[rule]] 1, line 1: sectors: "), "{bad:?}");
}

async fn seen_sector(service: &Service, n: u32) -> String {
    let report = service.get(&format!("/api/v1/reports/{}", id(n))).await.json();
    report["sector"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_counts_by_the_phone_s_corrected_clock() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let (day, before) = (yesterday(), yesterday().yesterday().unwrap());
    service.post("/api/v1/patrols", &patrol(1, before, ("06:40", "07:00"), &"ab".repeat(32))).await.created();
    // The phone is three hours ahead: it says 10:10 to 10:30 of a walk from 07:10 to 07:30.
    let wrong = patrol(2, day, ("10:10", "10:30"), &"ab".repeat(32));
    let sent = (Timestamp::now() + SignedDuration::from_hours(3)).to_string();
    let body = wrong.to_string();
    service.send("POST", "/api/v1/patrols", &[("device-time", &sent)], body.as_bytes()).await.created();
    let said = duty(&service, &format!("from={day}&to={day}")).await;
    let morning = row(&said, "JJH-AD-01", "morning");
    assert_eq!(morning["state"], "walked");
    let walked_at: Timestamp = morning["walked_at"].as_str().unwrap().parse().unwrap();
    assert!(walked_at.duration_since(at(day, "07:10")).abs() < SignedDuration::from_secs(60), "{walked_at}");
    assert_eq!(morning["waypoints"][0]["by"], "fence", "its photo has not come");
    service.stop().await;
}

/// The shipped place in a folder, with this roster.
fn place_with(roster: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir("config/jijia").unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(dir.path().join("roster.toml"), roster).unwrap();
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roster_names_who_was_on_duty_and_an_excuse_excuses_at_once() {
    let (dir, day) = (tempfile::tempdir().unwrap(), yesterday());
    let folder = place_with("[[rule]]\npersons = [\"p-01\"]\nsectors = [\"JJH-AD-02\"]\n");
    let place = load::load(folder.path()).unwrap();
    let path = folder.path().to_owned();
    let service = Service::start_with(dir.path(), place, Clock::System, |s| s.place_dir = Some(path)).await;
    let before = patrol(1, day.yesterday().unwrap(), ("06:40", "07:00"), &"ab".repeat(32));
    service.post("/api/v1/patrols", &before).await.created();
    let days = format!("from={day}&to={day}");
    let said = duty(&service, &days).await;
    assert_eq!(row(&said, "JJH-AD-02", "morning")["on_duty"], json!(["p-01"]));
    assert_eq!(row(&said, "JJH-AD-02", "morning")["state"], "not_walked");
    let own = duty(&service, &format!("{days}&person=p-01&sector=JJH-AD-02")).await;
    assert_eq!(own["sums"]["due"], 2);
    assert_eq!(duty(&service, &format!("{days}&person=p-99")).await["sums"]["due"], 0);

    // The office writes an excuse into the file; nothing is started anew.
    let leave = format!(
        "[[rule]]\npersons = [\"p-01\"]\nsectors = [\"JJH-AD-02\"]\n[[leave]]\nperson = \"p-01\"\nfrom = \"{day}\"\n\
         to = \"{day}\"\nwindows = [\"morning\"]\nreason = \"病假\"\n"
    );
    std::fs::write(folder.path().join("roster.toml"), leave).unwrap();
    let after = duty(&service, &days).await;
    assert_ne!(after["roster"], said["roster"]);
    assert_eq!(row(&after, "JJH-AD-02", "morning")["state"], "excused");
    assert_eq!(
        row(&after, "JJH-AD-02", "morning")["excuse"],
        json!({"kind": "leave", "reason": "p-01 病假"})
    );
    assert_eq!(row(&after, "JJH-AD-02", "evening")["state"], "not_walked");
    assert!(service.get(&format!("/patrols?{days}")).await.text().contains("请假：p-01 病假"));
    // The evidence goes on saying that nobody looked.
    let timeline = service.get(&format!("/api/v1/timeline?{days}")).await;
    assert_eq!(timeline.text().matches("全部岸段未巡").count(), 2);

    // A slip in it is said, and takes nothing else away.
    std::fs::write(folder.path().join("roster.toml"), "[[rule]]\npersons = []\n").unwrap();
    let slip = "roster.toml: [[rule]] 1, line 1: persons is empty";
    for (api, field) in [
        (format!("/api/v1/compliance?{days}"), "roster_warning"),
        ("/api/v1/field".to_owned(), "roster_warning"),
    ] {
        let said = service.get(&api).await.json();
        assert!(said[field].as_str().unwrap().starts_with(slip), "{api}: {said}");
    }
    let judged = service.get(&format!("/api/v1/compliance?{days}")).await.json();
    assert_eq!((&judged["roster"], &judged["sums"]["excused"]), (&Value::Null, &json!(0)));
    for shown in ["/".to_owned(), format!("/patrols?{days}"), format!("/api/v1/compliance.csv?{days}")] {
        let answer = service.get(&shown).await;
        assert!(answer.text().contains("值班表有误") && answer.text().contains(slip), "{shown}");
    }
    let warnings = service.get("/readyz").await.json()["warnings"].to_string();
    assert!(warnings.contains("roster: ") && warnings.contains("persons is empty"), "{warnings}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_calls_no_excused_window_missed() {
    let (dir, day) = (tempfile::tempdir().unwrap(), yesterday());
    let storm = format!(
        "[[weather]]\nfrom = \"{day}\"\nto = \"{day}\"\nwindows = [\"evening\"]\nreason = \"暴雨\"\n"
    );
    let folder = place_with(&storm);
    let (place, path) = (load::load(folder.path()).unwrap(), folder.path().to_owned());
    let clock = Clock::simulated(at(day, "20:00"));
    let service = Service::start_with(dir.path(), place, clock, |s| s.place_dir = Some(path)).await;
    let page = service.get("/").await.text().to_owned();
    assert!(page.contains("漏巡 6 段") && page.matches("未巡，有因").count() >= 6, "{page}");
    std::fs::remove_file(folder.path().join("roster.toml")).unwrap();
    assert!(
        service.get("/").await.text().contains("漏巡 12 段"),
        "without the excuse both windows are missed"
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_and_bad_waypoints_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    for (query, field) in [
        ("from=July", "from"),
        ("from=2026-07-02&to=2026-07-01", "to"),
        ("from=2026-01-01&to=2026-07-01", "to"),
        ("sector=JJH-AD-99", "sector"),
        ("person=%E5%BC%A0", "person"),
        ("sectors=JJH-AD-01", "query"),
    ] {
        service.get(&format!("/api/v1/compliance?{query}")).await.problem(422, field);
        service.get(&format!("/api/v1/compliance.csv?{query}")).await.problem(422, field);
        assert_eq!(service.get(&format!("/patrols?{query}")).await.status, 422, "{query}");
    }
    let good = patrol(1, yesterday(), ("06:40", "07:00"), &"ab".repeat(32));
    let point = good["waypoints"][0].clone();
    for (path, value, field) in [
        ("/waypoints/0/code", json!("JJH-PK-0099"), "waypoints[0].code"),
        ("/waypoints/0/photo", Value::Null, "waypoints[0].photo"),
        ("/waypoints/0/by", json!("hearsay"), "waypoints[0].by"),
        (
            "/waypoints",
            json!([with(point.clone(), "/code", Value::Null), plate(&point)]),
            "waypoints[1].code",
        ),
        ("/track", json!([point]), "track[0].code"),
        (
            "/track",
            json!([with(with(point.clone(), "/code", Value::Null), "/by", json!("fence"))]),
            "track[0].by",
        ),
    ] {
        service.post("/api/v1/patrols", &with(good.clone(), path, value)).await.problem(422, field);
    }
    assert_eq!(service.log_size().await, 1, "only the place");
    service.post("/api/v1/patrols", &good).await.created();
    service.stop().await;
}

/// A scanned plate that does not say which.
fn plate(point: &Value) -> Value {
    with(with(point.clone(), "/code", Value::Null), "/by", json!("plate"))
}

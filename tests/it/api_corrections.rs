//! Corrections and another place: the new is shown, the old is kept.

use jijia::clock::Clock;
use jijia::lake::load::{embedded, load};
use serde_json::{Value, json};

use crate::service::{Service, id, jpeg, report, sha256_of, with};

async fn start() -> (tempfile::TempDir, Service) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    (dir, service)
}

fn correction(n: u32, action: &str) -> Value {
    json!({"id": id(n), "action": action, "reason": "核对后更正", "person": {"id": "p-8", "name": "李四"}})
}

fn amend(n: u32, what: Value) -> Value {
    with(correction(n, "amend"), "/amend", what)
}

async fn shown(service: &Service, n: u32) -> Value {
    service.get(&format!("/api/v1/reports/{}", id(n))).await.json()
}

/// Entries of the log as they lie in the database.
fn entries(dir: &std::path::Path) -> Vec<Vec<u8>> {
    let db = rusqlite::Connection::open(dir.join("jijia.db")).unwrap();
    let mut rows = db.prepare("select body from entry order by idx").unwrap();
    rows.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_corrected_and_every_version_stays() {
    let (dir, service) = start().await;
    service.post("/api/v1/reports", &report(1)).await.created();
    let before = entries(dir.path());
    let to = format!("/api/v1/reports/{}/corrections", id(1));
    let photo = jpeg(1);
    service.put_photo(&photo).await.created();
    let moved = json!({"lng": 113.11281, "lat": 29.395396, "crs": "wgs84", "accuracy_m": 5, "source": "map"});
    let steps = [
        json!({"sewage": {"flow": "large", "colour": "black"}}),
        json!({"position": moved, "note": "在一号排口", "add_photos": [sha256_of(&photo)]}),
        json!({"kind": "other", "observed_at": "2025-07-01T08:00:00+08:00"}),
    ];
    for (n, what) in (10..).zip(steps) {
        let receipt = service.post(&to, &amend(n, what)).await.created();
        assert_eq!(shown(&service, 1).await["entry"]["index"], receipt["index"]);
    }
    let now = shown(&service, 1).await;
    assert_eq!((&now["kind"], &now["note"]), (&json!("other"), &json!("在一号排口")));
    assert_eq!(now["observed_at"], "2025-07-01T00:00:00Z");
    assert_eq!(now["outfall"]["code"], "JJH-PK-0001");
    assert_eq!(now["photos"][0]["stored"], true);
    assert!(now["facts"].to_string().contains('黑'), "{now}");
    assert_eq!(now["corrections"][0]["words"], "更正现场记录：核对后更正（p-8）");
    assert_eq!(now["corrections"].as_array().unwrap().len(), 3);
    // What it said before is still there to read.
    let versions = now["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 4);
    assert_eq!(versions[0]["record"]["sewage"]["flow"], "medium");
    assert_eq!(versions[1]["record"]["sewage"]["flow"], "large");
    assert_eq!(versions[2]["record"]["position"]["lng"], 113.11281);
    assert_eq!(versions[0]["note"], "管口有水流出");
    assert_eq!(versions[0]["entry"]["index"], now["first_entry"]);
    let page = service.get(&format!("/reports/{}", id(1))).await;
    assert!(page.text().contains("更正位置、说明、照片"), "{}", page.text());

    let page = service.get("/api/v1/timeline?kind=other").await.json();
    let row = page["rows"].as_array().unwrap().iter().find(|r| r["row"] == "sighting").unwrap().clone();
    assert_eq!((&row["id"], &row["note"]), (&json!(id(1)), &json!("在一号排口")));
    let kept = entries(dir.path());
    assert_eq!(kept[..before.len()], before[..]);
    let entry: Value = serde_json::from_slice(&kept[kept.len() - 3]).unwrap();
    assert_eq!((&entry["type"], &entry["replaces"]), (&json!("correction"), &now["first_entry"]));
    let all: String = kept.iter().map(|e| String::from_utf8_lossy(e)).collect();
    assert!(!all.contains("李四") && !all.contains("核对"), "no personal data in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outfall_is_chosen_and_taken_back() {
    let (_dir, service) = start().await;
    // Between two outfalls by a bad fix: several are near, none is clear.
    let vague = with(report(1), "/position/accuracy_m", json!(100));
    let vague = with(with(vague, "/position/lng", json!(113.1144)), "/position/lat", json!(29.3984));
    service.post("/api/v1/reports", &vague).await.created();
    let first = shown(&service, 1).await;
    assert_eq!((&first["outfall_match"], &first["outfall"]), (&json!("several"), &Value::Null));
    assert!(first["flags"].to_string().contains("附近有多个排口"), "{first}");
    let to = format!("/api/v1/reports/{}/corrections", id(1));
    let choose = |n, code: &str| with(correction(n, "choose_outfall"), "/outfall", json!(code));
    service.post(&to, &choose(2, "JJH-PK-0002")).await.created();
    let chosen = shown(&service, 1).await;
    assert_eq!(
        (&chosen["outfall"]["code"], &chosen["outfall_chosen"]),
        (&json!("JJH-PK-0002"), &json!(true))
    );
    assert_eq!(service.get("/api/v1/timeline?outfall=JJH-PK-0002").await.json()["rows"][0]["id"], id(1));
    service.post(&to, &choose(3, "none")).await.created();
    let none = shown(&service, 1).await;
    assert_eq!((&none["outfall"], &none["outfall_chosen"]), (&Value::Null, &json!(true)));
    // After "none of them" the report can still be corrected.
    service.post(&to, &amend(4, json!({"note": "再看"}))).await.created();
    assert_eq!(shown(&service, 1).await["outfall"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_stays_to_be_seen_and_takes_no_more() {
    let (_dir, service) = start().await;
    service.post("/api/v1/reports", &report(1)).await.created();
    let to = format!("/api/v1/reports/{}/corrections", id(1));
    let withdraw = correction(2, "withdraw");
    let receipt = service.post(&to, &withdraw).await.created();
    let row = service.get("/api/v1/timeline").await.json()["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["id"] == id(1))
        .cloned()
        .unwrap();
    assert_eq!((&row["withdrawn"], &row["level"]), (&json!("核对后更正"), &Value::Null));
    assert!(service.get(&format!("/reports/{}", id(1))).await.text().contains("撤回"));
    service.post(&to, &amend(3, json!({"note": "又"}))).await.problem(409, "");
    let again = service.post(&to, &withdraw).await;
    assert_eq!((again.status, again.json()), (200, receipt));
}

/// A square of a hundred metres beside 3号排口, its corner at `lng`, `lat`.
fn patch(lng: f64, lat: f64) -> Value {
    let (east, north) = (lng + 0.001, lat + 0.001);
    json!([[lng, lat], [east, lat], [east, north], [lng, north], [lng, lat]])
}

/// The report as the timeline shows it.
async fn in_timeline(service: &Service, n: u32) -> Value {
    let page = service.get("/api/v1/timeline").await.json();
    page["rows"].as_array().unwrap().iter().find(|r| r["id"] == id(n)).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn null_takes_a_position_its_reason_and_a_form_away() {
    let (_dir, service) = start().await;
    service.post("/api/v1/reports", &report(1)).await.created();
    let to = format!("/api/v1/reports/{}/corrections", id(1));
    assert_eq!(in_timeline(&service, 1).await["outfall"]["code"], "JJH-PK-0003");

    let nowhere = json!({"position": null, "no_position": "定位是办公室的"});
    service.post(&to, &amend(10, nowhere)).await.created();
    let row = in_timeline(&service, 1).await;
    assert_eq!((&row["position"], &row["no_position"]), (&Value::Null, &json!("定位是办公室的")));
    assert_eq!((&row["outfall"], &row["sector"]), (&Value::Null, &Value::Null));
    assert_eq!(row["corrections"][0]["words"], "更正位置：核对后更正（p-8）");
    let elsewhere = service.get("/api/v1/timeline?outfall=JJH-PK-0003").await;
    assert!(!elsewhere.text().contains(&id(1)), "{}", elsewhere.text());

    let back = json!({"position": report(1)["position"], "no_position": null});
    service.post(&to, &amend(11, back)).await.created();
    let row = in_timeline(&service, 1).await;
    assert_eq!((&row["no_position"], &row["outfall"]["code"]), (&Value::Null, &json!("JJH-PK-0003")));
    assert_eq!(service.get("/api/v1/timeline?outfall=JJH-PK-0003").await.json()["rows"][0]["id"], id(1));

    // Without the form the report can become what has none.
    service.post(&to, &amend(12, json!({"kind": "nothing_found"}))).await.problem(422, "amend.sewage");
    let nothing = json!({"kind": "nothing_found", "sewage": null});
    service.post(&to, &amend(13, nothing)).await.created();
    let row = in_timeline(&service, 1).await;
    assert_eq!(
        (&row["kind"], &row["facts"], &row["flow_seen"]),
        (&json!("nothing_found"), &json!([]), &json!(false))
    );
    let versions = shown(&service, 1).await["versions"].clone();
    assert_eq!(versions[1]["record"]["no_position"], "定位是办公室的");
    assert_eq!(versions[1]["record"]["position"], Value::Null);
    assert_eq!(versions[2]["record"]["sewage"]["flow"], "medium");
    assert_eq!(versions[3]["record"]["sewage"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawn_patch_goes_with_its_position_and_can_be_taken_away() {
    let (_dir, service) = start().await;
    let base = with(with(report(1), "/kind", json!("water_hyacinth")), "/sewage", Value::Null);
    let ring = patch(113.1140, 29.3992);
    let drawn = with(base, "/hyacinth", json!({"growth": "patches", "polygon": ring}));
    service.post("/api/v1/reports", &drawn).await.created();
    let to = format!("/api/v1/reports/{}/corrections", id(1));
    assert_eq!(in_timeline(&service, 1).await["patch"], ring);

    // Read in another reference system the same numbers lie half a kilometre away.
    let gcj02 = json!({"lng": 113.1194, "lat": 29.3962, "crs": "gcj02", "source": "map"});
    service.post(&to, &amend(2, json!({"position": gcj02}))).await.problem(422, "amend.position.crs");
    let none = json!({"position": null, "no_position": "不详"});
    service.post(&to, &amend(3, none.clone())).await.problem(422, "amend.hyacinth.polygon");
    let far = json!({"hyacinth": {"polygon": patch(113.2, 29.4)}});
    service.post(&to, &amend(4, far)).await.problem(422, "amend.hyacinth.polygon[0]");
    let both = json!({"position": gcj02, "hyacinth": {"polygon": patch(113.1194, 29.3962)}});
    service.post(&to, &amend(5, both)).await.created();
    let moved = in_timeline(&service, 1).await;
    let lng = moved["patch"][0][0].as_f64().unwrap();
    assert!((113.113..113.116).contains(&lng), "{moved}");

    let bare = with(none, "/hyacinth", json!({"growth": "patches"}));
    service.post(&to, &amend(6, bare)).await.created();
    assert!(in_timeline(&service, 1).await.get("patch").is_none());
    let cleared = json!({"position": gcj02, "hyacinth": null});
    service.post(&to, &amend(7, cleared)).await.created();
    let row = in_timeline(&service, 1).await;
    assert_eq!((&row["facts"], &row["kind"]), (&json!([]), &json!("water_hyacinth")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_time_may_be_ahead_as_far_as_a_reported_one() {
    let (_dir, service) = start().await;
    service.post("/api/v1/reports", &report(1)).await.created();
    let to = format!("/api/v1/reports/{}/corrections", id(1));
    let ahead = |seconds| (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).to_string();
    service.post(&to, &amend(2, json!({"observed_at": ahead(240)}))).await.problem(422, "amend.observed_at");
    service
        .post("/api/v1/reports", &with(report(9), "/observed_at", json!(ahead(240))))
        .await
        .problem(422, "observed_at");
    let at = ahead(60);
    service.post(&to, &amend(3, json!({"observed_at": at}))).await.created();
    service.post("/api/v1/reports", &with(report(9), "/observed_at", json!(at))).await.created();
    assert_eq!(in_timeline(&service, 1).await["observed_at"], in_timeline(&service, 9).await["observed_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_corrections_are_named_and_leave_nothing() {
    let (_dir, service) = start().await;
    service.post("/api/v1/reports", &report(1)).await.created();
    let (to, size) = (format!("/api/v1/reports/{}/corrections", id(1)), service.log_size().await);
    let nowhere = json!({"lng": 121.47, "lat": 31.23, "crs": "wgs84", "source": "typed"});
    let choose = correction(2, "choose_outfall");
    let cases = [
        (
            with(amend(2, json!({"note": "x"})), "/id", json!("00000000-0000-0000-0000-000000000000")),
            422,
            "id",
        ),
        (with(amend(2, json!({"note": "x"})), "/reason", json!(" ")), 422, "reason"),
        (with(correction(2, "withdraw"), "/reason", Value::Null), 422, "reason"),
        (with(correction(2, "withdraw"), "/outfall", json!("JJH-PK-0001")), 422, "action"),
        (correction(2, "amend"), 422, "amend"),
        (amend(2, json!({})), 422, "amend"),
        (correction(2, "improve"), 422, "action"),
        (amend(2, json!({"colour": "red"})), 422, "amend.colour"),
        (amend(2, json!({"position": nowhere})), 422, "amend.position.lat"),
        (amend(2, json!({"position": null})), 422, "amend.position"),
        (amend(2, json!({"no_position": null})), 422, "amend"),
        (amend(2, json!({"hyacinth": null})), 422, "amend"),
        (amend(2, json!({"no_position": "不详"})), 422, "amend.no_position"),
        (amend(2, json!({"position": null, "no_position": " "})), 422, "amend.position"),
        (amend(2, json!({"position": null, "no_position": "长".repeat(201)})), 413, "amend.no_position"),
        (
            amend(2, json!({"position": report(1)["position"], "no_position": "不详"})),
            422,
            "amend.no_position",
        ),
        (amend(2, json!({"sewage": {}, "hyacinth": {}})), 422, "amend.hyacinth"),
        (amend(2, json!({"observed_at": "2100-01-01T00:00:00Z"})), 422, "amend.observed_at"),
        (amend(2, json!({"observed_at": "1999-01-01T00:00:00Z"})), 422, "amend.observed_at"),
        (amend(2, json!({"sewage": {"flow_l_s": -1}})), 422, "amend.sewage.flow_l_s"),
        (amend(2, json!({"hyacinth": {"cover_pct": 140}})), 422, "amend.hyacinth"),
        (amend(2, json!({"add_photos": ["x"]})), 422, "amend.add_photos[0]"),
        (amend(2, json!({"note": "水".repeat(4001)})), 413, "amend.note"),
        (choose.clone(), 422, "outfall"),
        (with(choose, "/outfall", json!("JJH-PK-9999")), 422, "outfall"),
    ];
    for (body, status, field) in cases {
        service.post(&to, &body).await.problem(status, field);
        assert_eq!(service.log_size().await, size, "{body}");
    }
    let unknown = format!("/api/v1/reports/{}/corrections", id(7));
    service.post(&unknown, &correction(2, "withdraw")).await.problem(404, "");
    service.post("/api/v1/reports/x/corrections", &correction(2, "withdraw")).await.problem(404, "");
}

/// The shipped place with every outfall moved a hundred metres north and the neighbourhood drawn close.
fn moved_place(dir: &std::path::Path) -> jijia::lake::Place {
    for file in ["place.toml", "lake.geojson", "sectors.geojson", "outfalls.geojson", "stations.geojson"] {
        let mut text = std::fs::read_to_string(format!("config/jijia/{file}")).unwrap();
        if file == "outfalls.geojson" {
            text = text.replace("JJH-PK-0003", "JJH-PK-0033");
        }
        if file == "place.toml" {
            text = text.replace("neighbourhood_m = 1000", "neighbourhood_m = 1");
        }
        std::fs::write(dir.join(file), text).unwrap();
    }
    load(dir).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_place_judges_again_beside_the_old() {
    let (dir, service) = start().await;
    let on_shore = with(report(1), "/position/lat", json!(29.39938));
    let receipt = service.post("/api/v1/reports", &on_shore).await.created();
    service.post("/api/v1/reports", &with(report(2), "/outfall", json!("JJH-PK-0003"))).await.created();
    let before = shown(&service, 1).await;
    assert_eq!(before["outfall"]["code"], "JJH-PK-0003");
    let old = entries(dir.path());
    service.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let service = Service::start_at(dir.path(), moved_place(folder.path()), Clock::System).await;
    let after = shown(&service, 1).await;
    assert_eq!(after["outfall"]["code"], "JJH-PK-0033");
    assert_eq!(after["position"]["given_lat"], before["position"]["given_lat"]);
    let kept = entries(dir.path());
    assert_eq!(kept[..old.len()], old[..]);
    assert!(String::from_utf8_lossy(kept.last().unwrap()).contains(r#""type":"place""#));
    let hashes = geotags(dir.path(), id(1).parse().unwrap());
    assert_eq!(hashes.len(), 2);
    assert!(hashes.iter().any(|(h, r)| *h == embedded().hash && r.contains("JJH-PK-0003")));
    assert!(hashes.iter().any(|(h, r)| *h == service.app.place.hash && r.contains("JJH-PK-0033")));
    // What was taken has its receipt for ever, though the same position would not be taken today.
    service
        .post("/api/v1/reports", &with(on_shore.clone(), "/id", json!(id(9))))
        .await
        .problem(422, "position.lat");
    let again = service.post("/api/v1/reports", &on_shore).await;
    assert_eq!((again.status, again.json()), (200, receipt));
    // A person's choice stays what it was, and a report that the new place would refuse can still be taken back.
    assert_eq!(shown(&service, 2).await["outfall"]["code"], "JJH-PK-0003");
    for (n, report) in [(11, 1), (12, 2)] {
        let to = format!("/api/v1/reports/{}/corrections", id(report));
        service.post(&to, &amend(n + 10, json!({"note": "新图"}))).await.created();
        service.post(&to, &correction(n, "withdraw")).await.created();
    }
    service.stop().await;
    // Back again: nothing is lost and the place is said again.
    let service = Service::start(dir.path()).await;
    assert_eq!(geotags(dir.path(), id(1).parse().unwrap()).len(), 2);
    assert_eq!(entries(dir.path()).len() as u64, service.log_size().await);
}

/// Place hash and result of every judgement of a report's first version.
fn geotags(dir: &std::path::Path, report: uuid::Uuid) -> Vec<([u8; 32], String)> {
    let db = rusqlite::Connection::open(dir.join("jijia.db")).unwrap();
    let sql = "select g.place_hash, g.result from geotag g join sighting s on s.first_entry = g.entry where s.report = ?1";
    let mut rows = db.prepare(sql).unwrap();
    rows.query_map([report.as_bytes()], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
}

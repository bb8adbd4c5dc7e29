//! `GET /api/v1/field`: what the field app knows offline.

use serde_json::{Value, json};

use crate::service::{Service, id, report};

#[tokio::test(flavor = "multi_thread")]
async fn the_place_today_and_what_was_seen_in_one_answer_that_is_not_sent_twice() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let first = service.get("/api/v1/field").await;
    let known = first.json();
    assert_eq!(known["place"], "吉家湖");
    assert_eq!(known["windows"].as_array().unwrap().len(), 2);
    assert_eq!(
        known["sectors"].as_array().unwrap().len(),
        known["windows"][0]["sectors"].as_array().unwrap().len()
    );
    assert_eq!(known["waypoints"], known["outfalls"]);
    assert_eq!(known["forms"]["flow"][1], json!({"code": "trickle", "zh": "滴流"}));
    assert_eq!(known["people"], json!([]), "only the demo names people");
    for sector in known["sectors"].as_array().unwrap() {
        let ring = sector["ring"].as_array().unwrap();
        assert!(ring.len() >= 4 && ring.first() == ring.last(), "{sector}");
    }
    let etag = first.header("etag").unwrap().to_owned();
    let again = service.send("GET", "/api/v1/field", &[("If-None-Match", &etag)], b"").await;
    assert_eq!(again.status, 304, "the time alone is no news");

    let body = report(1);
    assert_eq!(service.post("/api/v1/reports", &body).await.status, 201);
    let news = service.send("GET", "/api/v1/field", &[("If-None-Match", &etag)], b"").await;
    assert_eq!(news.status, 200);
    let seen: &Value = &news.json()["sightings"][0];
    assert_eq!(seen["id"], id(1));
    assert_eq!(seen["kind"], body["kind"]);
}

/// A page that the browser sets aside alive keeps the phone's store from the next one; what is not stored is not set aside.
#[tokio::test(flavor = "multi_thread")]
async fn the_app_s_page_is_not_kept_by_the_browser_and_its_files_are() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    for (address, cache) in [("/m", "no-store"), ("/m/app.js", "no-cache"), ("/m/sw.js", "no-cache")] {
        assert_eq!(service.get(address).await.header("cache-control"), Some(cache), "{address}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_microphone_is_the_field_app_s_alone() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    for (address, microphone) in
        [("/m", "microphone=(self)"), ("/", "microphone=()"), ("/timeline", "microphone=()")]
    {
        let page = service.get(address).await;
        let allowed = page.header("permissions-policy").unwrap();
        assert!(allowed.ends_with(microphone), "{address}: {allowed}");
    }
    service.stop().await;
}

//! Sent again: one record, one receipt; other bytes under the same id are a conflict.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::service::{Answer, Service, files_under, id, jpeg, report, sha256_of, with};

/// Sends `body` 100 times, half of them at once, and gives the one receipt.
async fn hundred_times(service: &Arc<Service>, method: &str, target: &str, body: &[u8]) -> Value {
    let mut answers: Vec<Answer> = Vec::new();
    let sending: Vec<_> = (0..50)
        .map(|_| {
            let (service, method, target, body) =
                (service.clone(), method.to_owned(), target.to_owned(), body.to_vec());
            tokio::spawn(async move { service.send(&method, &target, &[], &body).await })
        })
        .collect();
    for one in sending {
        answers.push(one.await.unwrap());
    }
    for _ in 0..50 {
        answers.push(service.send(method, target, &[], body).await);
    }
    let made = answers.iter().filter(|a| a.status == 201).count();
    let known = answers.iter().filter(|a| a.status == 200).count();
    assert_eq!((made, known), (1, 99), "{target}");
    let receipts: BTreeSet<String> = answers.iter().map(|a| a.json().to_string()).collect();
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    answers[0].json()
}

/// The same under the same id is one entry, other bytes a conflict that changes nothing.
async fn once(service: &Arc<Service>, target: &str, body: &Value, other: &Value) -> Value {
    let before = service.log_size().await;
    let receipt = hundred_times(service, "POST", target, body.to_string().as_bytes()).await;
    assert_eq!(receipt["index"], before);
    assert_eq!(receipt["id"], body["id"]);
    assert_eq!(receipt["leaf_hash"].as_str().unwrap().len(), 64);
    let conflict = service.post(target, other).await.problem(409, "");
    assert!(conflict["detail"].as_str().unwrap().contains("other bytes"), "{conflict}");
    // The same values in another order are other bytes: what was signed for is the bytes.
    let spaced = format!(" {body}");
    service.send("POST", target, &[], spaced.as_bytes()).await.problem(409, "");
    assert_eq!(service.log_size().await, before + 1);
    receipt
}

async fn start() -> (tempfile::TempDir, Arc<Service>) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    (dir, Arc::new(service))
}

fn hours_ago(hours: i64) -> String {
    (Timestamp::now() - SignedDuration::from_hours(hours)).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_and_its_corrections() {
    let (_dir, service) = start().await;
    let body = report(1);
    let receipt = once(&service, "/api/v1/reports", &body, &with(body.clone(), "/note", json!("别的"))).await;
    let page = service.get("/api/v1/timeline").await.json();
    let rows = page["rows"].as_array().unwrap();
    let sightings: Vec<&Value> = rows.iter().filter(|r| r["row"] == "sighting").collect();
    assert_eq!(sightings.len(), 1);
    assert_eq!(sightings[0]["entry"]["index"], receipt["index"]);
    assert_eq!(sightings[0]["entry"]["leaf_hash"], receipt["leaf_hash"]);

    let corrections = format!("/api/v1/reports/{}/corrections", id(1));
    let amend = json!({"id": id(2), "action": "amend", "reason": "看错了", "person": {"id": "p-8"},
        "amend": {"note": "水量不大"}});
    let receipt =
        once(&service, &corrections, &amend, &with(amend.clone(), "/reason", json!("又错了"))).await;
    let shown = service.get(&format!("/api/v1/reports/{}", id(1))).await.json();
    assert_eq!(shown["entry"]["index"], receipt["index"]);
    assert_eq!(shown["corrections"].as_array().unwrap().len(), 1);

    // The same bytes as a correction of another report, or the id of a report for a correction: conflicts.
    service.post("/api/v1/reports", &report(3)).await.created();
    let size = service.log_size().await;
    service.post(&format!("/api/v1/reports/{}/corrections", id(3)), &amend).await.problem(409, "");
    service.post(&corrections, &with(amend, "/id", json!(id(3)))).await.problem(409, "");
    assert_eq!(service.log_size().await, size);
}

#[tokio::test(flavor = "multi_thread")]
async fn observations_and_patrols() {
    let (_dir, service) = start().await;
    let one = json!({"station": "JJH-S1", "property": "do", "observed_at": hours_ago(1), "value": "6.50"});
    let body = json!({"id": id(1), "observations": [one]});
    let other = with(body.clone(), "/observations/0/value", json!("6.51"));
    once(&service, "/api/v1/observations", &body, &other).await;
    assert_eq!(service.app.store.count_observations().await.unwrap().0, 1);
    // The same value under another id has a receipt of its own and adds no row.
    service.post("/api/v1/observations", &with(body.clone(), "/id", json!(id(9)))).await.created();
    assert_eq!(service.app.store.count_observations().await.unwrap().0, 1);

    let patrol = json!({"id": id(2), "person": {"id": "p-7"}, "started_at": hours_ago(2), "ended_at": hours_ago(1),
        "sectors": ["JJH-AD-01", "JJH-AD-02"]});
    let other = with(patrol.clone(), "/sectors", json!(["JJH-AD-01"]));
    once(&service, "/api/v1/patrols", &patrol, &other).await;
    // One room of ids for all kinds of submission.
    service.post("/api/v1/reports", &report(2)).await.problem(409, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn photos() {
    let (dir, service) = start().await;
    let bytes = jpeg(1);
    let before = service.log_size().await;
    let receipt =
        hundred_times(&service, "PUT", &format!("/api/v1/photos/{}", sha256_of(&bytes)), &bytes).await;
    assert_eq!((&receipt["index"], &receipt["id"]), (&json!(before), &json!(sha256_of(&bytes))));
    assert_eq!(service.log_size().await, before + 1);
    // The original and its copy, nothing else.
    assert_eq!(files_under(dir.path()).len(), 2, "{:?}", files_under(dir.path()));
    service
        .send("PUT", &format!("/api/v1/photos/{}", sha256_of(&bytes)), &[], &jpeg(2))
        .await
        .problem(422, "sha256");
    let kept = service.get(&format!("/api/v1/photos/{}", sha256_of(&bytes))).await;
    assert_eq!(kept.body, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_the_same_after_a_restart() {
    let (dir, service) = start().await;
    let body = report(1);
    let first = service.post("/api/v1/reports", &body).await.created();
    Arc::into_inner(service).unwrap().stop().await;
    let service = Service::start(dir.path()).await;
    let again = service.post("/api/v1/reports", &body).await;
    assert_eq!((again.status, again.json()), (200, first));
}

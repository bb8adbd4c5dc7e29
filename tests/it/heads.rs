//! Phones and desks as witnesses: what they are answered, what is noted of it, and what papers and warnings say.

use jijia::config;
use jijia::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use jijia::evidence::entry::LastHead;
use jijia::evidence::merkle::{Hash, leaf_hash};
use jijia::evidence::note::{Kind, SignerKey};
use jijia::evidence::proof;
use jijia::people::Role;
use jijia::publish::Publisher;
use jijia::store::begin_origin;
use jijia::store::people::NewMachine;
use serde_json::{Value, json};

use crate::log_client::{checkpoint_over, log_key};
use crate::log_guard::{self, Log};
use crate::people::{Browser, add, start};
use crate::service::{Service, report, with};

fn hashes(value: &Value) -> Vec<Hash> {
    let one = |v: &Value| hex::decode(v.as_str().unwrap()).unwrap().try_into().unwrap();
    value.as_array().unwrap().iter().map(one).collect()
}

fn head(text: &str) -> Checkpoint {
    text.parse::<SignedCheckpoint>().unwrap().checkpoint().clone()
}

async fn signed_in(service: &Service, name: &str, role: Role) -> Browser {
    let (id, _) = add(service, name, role, (role == Role::Unit).then_some("SX")).await;
    let token = service.app.store.add_session(id, None, service.app.settings.access.session).await.unwrap();
    Browser::with(&[("__Host-jijia-session", &token)])
}

async fn compare(browser: &mut Browser, service: &Service, kept: Option<&str>, receipts: &[u64]) -> Value {
    let body = json!({"checkpoint": kept, "receipts": receipts});
    let answer = browser.send(service, "POST", "/api/v1/log/heads", &body).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text());
    answer.json()
}

/// Does what the answer holds show that the log only went on from `kept`?
fn continues(kept: &str, answer: &Value) -> bool {
    let (old, new) = (head(kept), head(answer["checkpoint"].as_str().unwrap()));
    let proof = hashes(&answer["consistency"]);
    proof::verify_consistency(old.size, &old.root, new.size, &new.root, &proof).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_shown_to_go_on_and_receipts_to_be_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let mut desk = signed_in(&service, "sun", Role::Supervisor).await;
    let key = log_key(&service).await;
    let (_, first) = checkpoint_over(&service, &key, 1).await;
    assert!(compare(&mut desk, &service, None, &[]).await["consistency"].is_null());
    let mut kept = first;
    for n in 0..12 {
        let seen = with(report(n), "/person/id", json!("p-01"));
        let receipt = desk.send(&service, "POST", "/api/v1/reports", &seen).await.created();
        let index = receipt["index"].as_u64().unwrap();
        let (_, newest) = checkpoint_over(&service, &key, index + 1).await;
        let answer = compare(&mut desk, &service, Some(&kept), &[index, index + 1000]).await;
        assert!(continues(&kept, &answer), "{kept}");
        let place = &answer["receipts"][0];
        assert_eq!((place["index"].as_u64(), &answer["receipts"][1]), (Some(index), &Value::Null));
        let leaf = leaf_hash(receipt["entry"].as_str().unwrap().as_bytes());
        let shown = head(answer["checkpoint"].as_str().unwrap());
        let path = hashes(&place["hashes"]);
        proof::verify_inclusion(&leaf, index, shown.size, &path, &shown.root).unwrap();
        kept = newest;
    }
    // Noted for papers: one desk, no phone.
    let rules = crate::service::rules();
    let timeline = service
        .app
        .store
        .get_timeline(&jijia::evidence::timeline::Filter::default(), &service.app.place, &rules, 100)
        .await
        .unwrap();
    let seen = timeline.seen_heads.unwrap();
    assert_eq!((seen.phones, seen.desks), (0, 1));
    assert!(seen.size > 12, "{seen:?}");
    // It commits nothing by itself, and is stored with the next thing that does.
    let stored = || {
        let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
        db.query_row("select count(*) from seen_head", [], |row| row.get::<_, u64>(0)).unwrap()
    };
    let seen = with(report(50), "/person/id", json!("p-01"));
    desk.send(&service, "POST", "/api/v1/reports", &seen).await.created();
    assert_eq!(stored(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_this_log_that_it_does_not_continue_is_kept_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let mut desk = signed_in(&service, "sun", Role::Supervisor).await;
    let key = log_key(&service).await;
    let (newest, _) = checkpoint_over(&service, &key, 1).await;
    let own: SignerKey =
        std::fs::read_to_string(dir.path().join("log.key")).unwrap().trim_end().parse().unwrap();
    let stranger = SignerKey::generate(own.verifier().name(), Kind::Ed25519).unwrap();
    let of = |key: &SignerKey, size: u64| {
        let origin = key.verifier().name().to_owned();
        let forged = Checkpoint { origin, size, root: [9; 32], extensions: Vec::new() };
        SignedCheckpoint::sign(forged, key).unwrap().to_string()
    };
    let forked = || async { service.app.store.list_forked_heads().await.unwrap() };
    // Anybody can make one up: it is no proof, and no warning to everybody.
    for note in [of(&stranger, newest.size()), of(&stranger, 1 << 40)] {
        let answer = compare(&mut desk, &service, Some(&note), &[]).await;
        assert!(answer["consistency"].is_null() || !continues(&note, &answer));
        assert!(forked().await.is_empty());
    }
    assert!(service.app.store.find_seen_heads(service.app.store.clock().now()).await.unwrap().is_none());
    for (n, size) in [(1, newest.size()), (2, 1 << 40)] {
        let note = of(&own, size);
        let answer = compare(&mut desk, &service, Some(&note), &[]).await;
        assert!(answer["consistency"].is_null() || !continues(&note, &answer));
        assert_eq!(forked().await.len(), n);
    }
    let ready = desk.get(&service, "/readyz").await;
    assert!(ready.text().contains("signed by this log are not of it"), "{}", ready.text());
    let page = desk.get(&service, "/").await;
    assert!(page.text().contains("存证日志前后不一致"), "the first page says it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_head_is_refused_by_its_field_and_the_table_holds() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let mut patrol = signed_in(&service, "li", Role::Patrol).await;
    for (body, field) in [
        (json!({"checkpoint": "x"}), "note"),
        (json!({"receipts": (0..65).collect::<Vec<_>>()}), "receipts"),
        (json!({"receipts": [-1]}), "receipts[0]"),
        (json!({"head": "x"}), "head"),
    ] {
        let answer = patrol.send(&service, "POST", "/api/v1/log/heads", &body).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (422, Some(field)), "{}", answer.text());
    }
    service.post("/api/v1/log/heads", &json!({})).await.problem(401, "");
    // A program has nothing that it keeps from one day to the next.
    let until = service.app.store.clock().now() + jiff::SignedDuration::from_hours(24);
    let (name, role) = ("x".to_owned(), Role::Machine);
    let new = NewMachine { name, role, unit: None, stations: None, expires_at: until };
    let (_, token) = service.app.store.add_machine(new, "shell".into()).await.unwrap();
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    assert_eq!(service.send("POST", "/api/v1/log/heads", &headers, b"{}").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_under_a_new_name_the_way_from_the_old_one_is_shown() {
    let log = Log::new();
    log_guard::add(&log.store().await, 5).await;
    let kept = log.publish().await.unwrap().checkpoint().clone();
    let mut names = vec![kept.origin.clone()];
    let lost = LastHead { size: 12, root: hex::encode([1; 32]) };
    for name in ["jijia.test/second", "jijia.test/third"] {
        let now = "2026-12-01T00:00:00Z".parse().unwrap();
        begin_origin(&log.dir(), name, names.last().unwrap(), Some(lost.clone()), now).unwrap();
        names.push(name.to_owned());
    }
    std::fs::remove_file(log.dir().join("log.key")).unwrap();
    std::fs::remove_file(log.guard()).unwrap();
    let config = config::Log { origin: names[2].clone(), ..log_guard::config() };
    let publisher = Publisher::open(log.store().await, &config).await.unwrap();
    publisher.publish().await.unwrap();
    let compared = publisher.compare(Some(&kept)).await.unwrap();
    let new = compared.newest.checkpoint();
    let proof = compared.consistency.unwrap();
    proof::verify_consistency(kept.size, &kept.root, new.size, &new.root, &proof).unwrap();
    assert!(compared.is_continued, "nothing of what this one knew was lost");
    let mut name = names[0].clone();
    for (entry, path) in &compared.origins {
        proof::verify_inclusion(&leaf_hash(&entry.body), entry.index, new.size, path, &new.root).unwrap();
        let said: Value = serde_json::from_slice(&entry.body).unwrap();
        assert_eq!((&said["old_name"], &said["last_head"]["size"]), (&json!(name), &json!(lost.size)));
        name = said["name"].as_str().unwrap().to_owned();
    }
    assert_eq!((compared.origins.len(), &name), (2, &names[2]));
    // Whoever saw more than was restored has nothing to compare, and is told where it went on.
    let more = Checkpoint { size: 7, root: [3; 32], ..kept.clone() };
    let compared = publisher.compare(Some(&more)).await.unwrap();
    assert!(!compared.is_continued && compared.consistency.is_none() && compared.origins.len() == 2);
    // A name that this log never had leads nowhere.
    let strange = Checkpoint { origin: "jijia.test/strange".into(), ..kept };
    let compared = publisher.compare(Some(&strange)).await.unwrap();
    assert!(!compared.is_continued && compared.consistency.is_none() && compared.origins.is_empty());
}

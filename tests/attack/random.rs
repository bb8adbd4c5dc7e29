//! Random requests by random askers at every door: no fault of the service, nothing seen that the table does not grant,
//! nothing written by what is refused, and no answer that the description does not name.

mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jijia::people::Role;
use jijia::store::people::NewMachine;
use serde_json::{Value, json};

use self::request::{Asked, Asker, Known};
use super::rights::{enrolled, filed};
use crate::fault::{chance, size};
use crate::people::{add, start};
use crate::people_doors::browser;
use crate::service::{Answer, Service, id, jpeg, sha256_of, voice};

/// A secret of somebody: bytes that stand nowhere else, and who may be shown them.
struct Marker {
    what: &'static str,
    bytes: Vec<u8>,
    /// By name of the asker.
    shown_to: &'static [&'static str],
}

/// Everybody who may ask.
async fn askers(service: &Service) -> Vec<Asker> {
    let mut all = vec![Asker::nobody()];
    for (role, unit, who) in [
        (Role::Patrol, None, "patrol"),
        (Role::Supervisor, None, "supervisor"),
        (Role::Liaison, None, "liaison"),
        (Role::Unit, Some("CT"), "other unit"),
        (Role::Admin, None, "admin"),
        (Role::Viewer, None, "viewer"),
    ] {
        let (account, _) = add(service, who, role, unit).await;
        all.push(Asker::signed_in(service, who, role, account).await);
    }
    let admin = all.iter().find(|a| a.who == "admin").and_then(|a| a.account.clone()).unwrap();
    all.push(Asker::phone(&enrolled(service, &admin).await));
    for role in [Role::Machine, Role::Monitor, Role::Sensor] {
        let expires_at = service.app.store.clock().now() + jiff::SignedDuration::from_hours(24);
        let new = NewMachine { name: "program".into(), role, unit: None, stations: None, expires_at };
        let (_, token) = service.app.store.add_machine(new, "shell".into()).await.unwrap();
        all.push(Asker::token(role, &token));
    }
    all
}

/// What is there to be seen, and by whom.
async fn markers(service: &Service) -> (Vec<Marker>, Known) {
    let (author, _) = add(service, "zhang", Role::Patrol, None).await;
    let (hidden, _) = add(service, "方尖碑", Role::Unit, Some("SX")).await;
    let (photo, spoken) = filed(service, &author, 1).await;
    let mut own = browser(service, &author).await;
    let note = "闸门背后第三块石板";
    let amend = json!({"id": id(80), "action": "amend", "reason": "补充", "person": {"id": author}, "amend": {"note": note}});
    let path = format!("/api/v1/reports/{}/corrections", id(1));
    own.send(service, "POST", &path, &amend).await.created();
    let everyone: &[&str] = &["supervisor", "liaison", "admin", "viewer", "machine"];
    let marker = |what, bytes: &[u8], shown_to| Marker { what, bytes: bytes.to_vec(), shown_to };
    let all = vec![
        marker("the note of another unit's report", note.as_bytes(), everyone),
        marker("an original", &photo, &["supervisor", "liaison", "admin"]),
        marker("a voice note", &spoken, &["supervisor", "liaison", "admin"]),
        marker("a name", "方尖碑".as_bytes(), &["supervisor", "admin"]),
        marker("a login", "方尖碑.unit".as_bytes(), &["admin"]),
        marker("a password's hash", b"$argon2", &[]),
        // Monitors read entries, patrol staff see what lies near.
        marker(
            "a report's id",
            id(1).as_bytes(),
            &["supervisor", "liaison", "admin", "viewer", "machine", "monitor", "patrol"],
        ),
    ];
    let known = Known {
        ids: vec![id(1), id(80), hidden, author],
        hashes: vec![sha256_of(&photo), sha256_of(&spoken), sha256_of(&jpeg(7)), "ab".repeat(32)],
        blobs: vec![photo, jpeg(7), voice(7)],
    };
    (all, known)
}

/// The whole of the answer is what the table grants; gives the status that the description does not name.
fn check(asked: &Asked, answer: &Answer, markers: &[Marker], api: &Value) -> Option<String> {
    let what = format!("{} {} by {}: {}", asked.method, asked.target, asked.who, answer.status);
    // An entry that is not signed yet, a queue that is full: the answer says so, and is described.
    assert!(answer.status < 500 || answer.status == 503, "{what}: {}", String::from_utf8_lossy(&answer.body));
    for marker in markers.iter().filter(|m| !m.shown_to.contains(&asked.who.as_str())) {
        // What somebody sends may come back to them.
        let own = memchr::memmem::find(&asked.sent(), &marker.bytes).is_some();
        let shown = memchr::memmem::find(&answer.body, &marker.bytes).is_some();
        assert!(own || !shown, "{} is shown: {what}", marker.what);
    }
    let is_api = asked.target.starts_with("/api/");
    if is_api && answer.status >= 400 && asked.method != "HEAD" {
        let problem = answer.problem(answer.status, answer.json()["field"].as_str().unwrap_or_default());
        assert!(problem["title"].is_string(), "{what}");
    }
    let door = asked.door.as_ref().filter(|door| door.starts_with("/api/"))?;
    let responses = &api["paths"][door][asked.method.to_lowercase()]["responses"];
    // A method that a door has not is told by the router, and named by no operation.
    let named = !responses.is_object() || !responses[answer.status.to_string()].is_null();
    (!named).then(|| format!("{} {door}: {}", asked.method, answer.status))
}

async fn run(dir: &Path, count: usize) {
    let mut rng = chance("random requests");
    let service = start(dir).await;
    let (markers, known) = markers(&service).await;
    let mut askers = askers(&service).await;
    let api = service.get("/api/openapi.json").await.json();
    let table = jijia::web::table(service.app.clone());
    let (mut answers, mut refused) = (BTreeMap::<u16, usize>::new(), 0);
    let mut undescribed = BTreeSet::new();
    for _ in 0..count {
        let n = rng.usize(..askers.len());
        let asked = Asked::random(&askers[n], &table, &known, &mut rng);
        let before = service.app.store.log_head().await.unwrap().size;
        let answer = asked.send(&service).await;
        undescribed.extend(check(&asked, &answer, &markers, &api));
        *answers.entry(answer.status).or_default() += 1;
        // A range that cannot be given, of something that may be seen, was an access all the same.
        if answer.status >= 400 && answer.status != 416 {
            refused += 1;
            let after = service.app.store.log_head().await.unwrap().size;
            assert_eq!(before, after, "{} {} by {} was refused", asked.method, asked.target, asked.who);
        }
        if answer.status == 401 {
            askers[n].renew(&service).await;
        }
    }
    println!(
        "random requests: {count} by {} askers at {} doors, {refused} refused; {answers:?}",
        askers.len(),
        table.len()
    );
    assert!(refused * 10 < count * 9, "something is let through");
    assert_eq!(undescribed, BTreeSet::new());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_requests_see_and_write_what_the_table_grants_and_break_nothing() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), size(2_000, 100_000)).await;
}

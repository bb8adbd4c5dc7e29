//! Every role against every object of another, by every way out: what one way refuses, no other gives.

use std::path::Path;

use jijia::people::{Role, Rule};
use serde_json::{Value, json};

use crate::people::{Browser, add, start};
use crate::people_doors::browser;
use crate::service::{Service, id, jpeg, report, sha256_of, voice, with};

/// Whoever asks.
struct Asker {
    who: String,
    browser: Browser,
    /// Sees reports of this unit's outfalls; of all; or none.
    report: bool,
    copy: bool,
    original: bool,
    export: bool,
}

pub async fn enrolled(service: &Service, admin: &str) -> Browser {
    let mut boss = browser(service, admin).await;
    let link = boss.send(service, "POST", "/api/v1/phones", &json!({"name": "1号手机"})).await.created();
    let code = link["href"].as_str().unwrap().split_once("/m#enrol=").unwrap().1.to_owned();
    let mut phone = Browser::default();
    phone.send(service, "POST", "/api/v1/device", &json!({"code": code})).await.created();
    phone
}

/// A photo, a voice note and a report of 3号排口 (unit SX) that name them, sent by `person`'s own session.
pub async fn filed(service: &Service, person: &str, n: u32) -> (Vec<u8>, Vec<u8>) {
    let (photo, spoken) = (jpeg(n), voice(u16::try_from(n).unwrap()));
    service.app.store.log_head().await.unwrap();
    let mut own = browser(service, person).await;
    let csrf = own.get(service, "/api/v1/session").await.json()["csrf"].as_str().unwrap().to_owned();
    let jar = format!("__Host-jijia-session={}", own.cookies[0].1);
    let headers = [("cookie", jar.as_str()), ("x-csrf-token", csrf.as_str())];
    for (kind, bytes) in [("photos", &photo), ("voices", &spoken)] {
        let path = format!("/api/v1/{kind}/{}", sha256_of(bytes));
        service.send("PUT", &path, &headers, bytes).await.created();
    }
    let mut body = with(report(n), "/photos", json!([sha256_of(&photo)]));
    body["voice"] = json!(sha256_of(&spoken));
    body["outfall"] = json!("JJH-PK-0003");
    body["person"] = json!({"id": person});
    own.send(service, "POST", "/api/v1/reports", &body).await.created();
    (photo, spoken)
}

async fn askers(service: &Service, admin: &str) -> Vec<Asker> {
    let mut all = Vec::new();
    // report, copy, original, export: what the table grants of a report of unit SX by somebody else.
    for (who, role, unit, report, copy, original, export) in [
        ("another patrol person", Role::Patrol, None, false, true, false, false),
        ("supervisor", Role::Supervisor, None, true, true, true, true),
        ("liaison", Role::Liaison, None, true, true, true, true),
        ("its unit", Role::Unit, Some("SX"), true, true, false, true),
        ("another unit", Role::Unit, Some("CT"), false, false, false, false),
        ("admin", Role::Admin, None, true, true, true, true),
        ("viewer", Role::Viewer, None, true, true, false, false),
        ("machine", Role::Machine, None, true, true, false, true),
        ("monitor", Role::Monitor, None, false, false, false, false),
        ("sensor", Role::Sensor, None, false, false, false, false),
    ] {
        let (account, _) = add(service, who, role, unit).await;
        let browser = browser(service, &account).await;
        all.push(Asker { who: who.to_owned(), browser, report, copy, original, export });
    }
    let browser = enrolled(service, admin).await;
    let who = "a phone without a PIN".to_owned();
    all.push(Asker { who, browser, report: false, copy: false, original: false, export: false });
    let who = "a stranger".to_owned();
    let browser = Browser::default();
    all.push(Asker { who, browser, report: false, copy: false, original: false, export: false });
    all
}

/// Asks one way out; whether it gave what was asked for.
async fn gives(service: &Service, asker: &mut Asker, path: &str, mark: &[u8]) -> bool {
    let answer = asker.browser.get(service, path).await;
    assert!(answer.status < 500, "{path} to {}: {}", asker.who, answer.status);
    let shown = mark.is_empty() || answer.body.windows(mark.len()).any(|w| w == mark);
    (answer.status == 200 || answer.status == 206) && shown
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_way_refuses_no_other_gives() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let (author, _) = add(&service, "zhang", Role::Patrol, None).await;
    let (photo, spoken) = filed(&service, &author, 1).await;
    let (sha, note, own) = (sha256_of(&photo), sha256_of(&spoken), id(1).to_string());
    let (liaison, _) = add(&service, "maker", Role::Liaison, None).await;
    let mut maker = browser(&service, &liaison).await;
    let mut bundles = Vec::new();
    for photos in ["copies", "originals"] {
        let path = format!("/api/v1/bundles?outfall=JJH-PK-0003&photos={photos}");
        let made = maker.send(&service, "POST", &path, &Value::Null).await.created();
        assert!(
            !crate::people::entries(dir.path())
                .iter()
                .any(|e| e.to_string().contains(made["id"].as_str().unwrap()))
        );
        bundles.push(made["href"].as_str().unwrap().to_owned());
        // What the log tells of a bundle opens nothing.
        let by_hash = format!("/api/v1/bundles/{}", made["manifest_sha256"].as_str().unwrap());
        assert_eq!(maker.get(&service, &by_hash).await.status, 404);
    }
    let mut ways = 0;
    for mut asker in askers(&service, &admin).await {
        let (report, copy, original) = (asker.report, asker.copy, asker.original);
        for (path, mark, granted) in [
            (format!("/reports/{own}"), own.as_bytes(), report),
            (format!("/api/v1/reports/{own}"), own.as_bytes(), report),
            (format!("/api/v1/reports/{own}/photos/0/watermarked"), b"", report),
            ("/api/v1/timeline".into(), own.as_bytes(), report),
            ("/timeline".into(), own.as_bytes(), report),
            ("/api/v1/timeline.csv".into(), own.as_bytes(), asker.export),
            ("/api/v1/timeline.geojson".into(), own.as_bytes(), asker.export),
            (format!("/api/v1/photos/{sha}/preview"), b"", copy),
            (format!("/api/v1/photos/{sha}"), b"", original),
            (format!("/api/v1/voices/{note}"), b"", original),
            // Both are of the whole lake: no unit's.
            (bundles[0].clone(), b"PK", asker.export && asker.who != "its unit"),
            (bundles[1].clone(), b"PK", original),
        ] {
            let given = gives(&service, &mut asker, &path, mark).await;
            assert_eq!(given, granted, "{path} to {}", asker.who);
            ways += 1;
        }
        let entries = ["supervisor", "liaison", "admin", "monitor"].contains(&asker.who.as_str());
        let size = service.app.publisher.checkpoint().await.map_or(1, |c| c.checkpoint().size);
        let tile = format!("/log/tile/entries/000.p/{}", size % 256);
        assert_eq!(gives(&service, &mut asker, &tile, b"").await, entries, "entries to {}", asker.who);
        let proof = gives(&service, &mut asker, "/api/v1/log/proofs/0", b"\nextra ").await;
        assert_eq!(proof, entries, "the entry in a proof to {}", asker.who);
        let field = gives(&service, &mut asker, "/api/v1/field", own.as_bytes()).await;
        assert_eq!(field, ["another patrol person", "supervisor", "admin"].contains(&asker.who.as_str()));
        // Making one's own of originals.
        let path = "/api/v1/bundles?outfall=JJH-PK-0003&photos=originals";
        let made = asker.browser.send(&service, "POST", path, &Value::Null).await.status;
        assert_eq!(made == 201, original, "a bundle of originals by {}: {made}", asker.who);
        ways += 4;
    }
    println!("{ways} pairs of an asker and a way out");
}

#[tokio::test(flavor = "multi_thread")]
async fn originals_reach_a_unit_by_a_supervisor_s_decision_which_is_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (author, _) = add(&service, "zhang", Role::Patrol, None).await;
    let (photo, spoken) = filed(&service, &author, 1).await;
    let ways =
        [format!("/api/v1/photos/{}", sha256_of(&photo)), format!("/api/v1/voices/{}", sha256_of(&spoken))];
    let (unit, _) = add(&service, "unit", Role::Unit, Some("SX")).await;
    let (other, _) = add(&service, "other", Role::Unit, Some("CT")).await;
    let (boss, _) = add(&service, "boss", Role::Supervisor, None).await;
    let (mut unit, mut other) = (browser(&service, &unit).await, browser(&service, &other).await);
    let path = format!("/api/v1/reports/{}/disclosure", id(1));
    assert_eq!(unit.send(&service, "POST", &path, &Value::Null).await.status, 403);
    let mut supervisor = browser(&service, &boss).await;
    assert_eq!(supervisor.send(&service, "POST", &path, &Value::Null).await.status, 204);
    assert_eq!(supervisor.send(&service, "POST", &path, &Value::Null).await.status, 204);
    for way in &ways {
        assert_eq!(unit.get(&service, way).await.status, 200);
        assert!(unit.get(&service, way).await.header("cache-control").unwrap().contains("no-store"));
        assert_eq!(other.get(&service, way).await.status, 404);
    }
    let said = crate::people::entries(dir.path());
    let disclosed: Vec<_> = said.iter().filter(|e| e["type"] == "disclosure").collect();
    assert_eq!((disclosed.len(), &disclosed[0]["by"]), (1, &json!(boss)));
    let seen = said.iter().filter(|e| e["type"] == "access").count();
    assert_eq!(seen, 2, "one for each person, thing and hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_another_s_photo_gets_no_level_and_no_right_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (author, _) = add(&service, "zhang", Role::Patrol, None).await;
    let (photo, _) = filed(&service, &author, 1).await;
    let (thief, _) = add(&service, "li", Role::Patrol, None).await;
    let mut thief_in = browser(&service, &thief).await;
    let mut body = with(report(2), "/photos", json!([sha256_of(&photo)]));
    body["outfall"] = json!("JJH-PK-0001");
    body["person"] = json!({"id": thief});
    thief_in.send(&service, "POST", "/api/v1/reports", &body).await.created();
    let (boss, _) = add(&service, "boss", Role::Supervisor, None).await;
    let mut boss = browser(&service, &boss).await;
    let shown = |n: u32| format!("/api/v1/reports/{}", id(n));
    let (first, second) =
        (boss.get(&service, &shown(1)).await.json(), boss.get(&service, &shown(2)).await.json());
    assert_eq!((&first["level"], &first["photos"][0]["duplicate"]), (&json!("E0"), &json!(false)));
    assert_eq!((&second["level"], &second["photos"][0]["duplicate"]), (&Value::Null, &json!(true)));
    assert!(second["flags"].to_string().contains("同一照片"), "{second}");
    // The unit of the second report: neither copy nor, once disclosed, original.
    let (unit, _) = add(&service, "unit", Role::Unit, Some("CT")).await;
    let mut unit = browser(&service, &unit).await;
    let path = format!("/api/v1/reports/{}/disclosure", id(2));
    assert_eq!(boss.send(&service, "POST", &path, &Value::Null).await.status, 204);
    for way in ["", "/preview"] {
        let path = format!("/api/v1/photos/{}{way}", sha256_of(&photo));
        assert_eq!(unit.get(&service, &path).await.status, 404, "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_without_a_pin_files_and_shows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let (author, _) = add(&service, "zhang", Role::Patrol, None).await;
    filed(&service, &author, 1).await;
    let mut phone = enrolled(&service, &admin).await;
    let mut body = report(2);
    body["person"] = json!({"id": author});
    let receipt = phone.send(&service, "POST", "/api/v1/reports", &body).await.created();
    let again = phone.send(&service, "POST", "/api/v1/reports", &body).await;
    assert_eq!((again.status, again.json()), (200, receipt), "the same bytes give the same receipt");
    for n in [1, 2] {
        let withdraw =
            json!({"id": id(90 + n), "action": "withdraw", "reason": "x", "person": {"id": author}});
        let path = format!("/api/v1/reports/{}/corrections", id(n));
        assert_eq!(phone.send(&service, "POST", &path, &withdraw).await.status, 403);
        assert_eq!(phone.get(&service, &format!("/api/v1/reports/{}", id(n))).await.status, 403);
    }
    let field = phone.get(&service, "/api/v1/field").await.json();
    assert_eq!(field["sightings"], json!([]));
    assert!(field["outfalls"].as_array().unwrap().iter().all(|o| o.get("looked_at").is_none()));
    assert!(
        !field["windows"].as_array().unwrap().is_empty() && !field["sectors"].as_array().unwrap().is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_stored_are_acknowledged_before_any_question_of_rights_or_rules() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (author, _) = add(&service, "zhang", Role::Patrol, None).await;
    let (other, _) = add(&service, "li", Role::Patrol, None).await;
    let mut body = report(1);
    body["person"] = json!({"id": author});
    let mut own = browser(&service, &author).await;
    let receipt = own.send(&service, "POST", "/api/v1/reports", &body).await.created();
    // Another person may not say so, and yet hears that it is stored.
    let again = browser(&service, &other).await.send(&service, "POST", "/api/v1/reports", &body).await;
    assert_eq!((again.status, again.json()), (200, receipt.clone()));
    // With other bytes it is a conflict, whoever asks and whatever else is wrong with it.
    let mut wrong = body.clone();
    wrong["observed_at"] = json!("1999-01-01T00:00:00Z");
    own.send(&service, "POST", "/api/v1/reports", &wrong).await.problem(409, "");
    assert_table_is_whole(dir.path(), &service);
}

/// Every route that is not public has a rule of roles.
fn assert_table_is_whole(_: &Path, service: &Service) {
    let table = jijia::web::table(service.app.clone());
    assert!(table.iter().any(|d| d.path == "/api/v1/timeline.csv" && d.rule != Rule::Public));
    assert!(table.iter().any(|d| d.path == "/api/v1/compliance.csv" && d.rule != Rule::Public));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_really_acted_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let (author, _) = add(&service, "zhang", Role::Patrol, None).await;
    let mut phone = enrolled(&service, &admin).await;
    let mut boss = browser(&service, &admin).await;
    let body = |n: u32| with(report(n), "/person", json!({"id": author}));
    phone.send(&service, "POST", "/api/v1/reports", &body(1)).await.created();
    boss.send(&service, "POST", "/api/v1/reports", &body(2)).await.problem(422, "person.id");
    let expires_at = service.app.store.clock().now() + jiff::SignedDuration::from_hours(24);
    let new = jijia::store::people::NewMachine {
        name: "ledger".into(),
        role: Role::Machine,
        unit: None,
        stations: None,
        expires_at,
    };
    let (machine, token) = service.app.store.add_machine(new, "shell".into()).await.unwrap();
    let shown = format!("Bearer {token}");
    let headers = [("authorization", shown.as_str()), ("content-type", "application/json")];
    service.send("POST", "/api/v1/reports", &headers, body(3).to_string().as_bytes()).await.created();
    let withdraw = json!({"id": id(90), "action": "withdraw", "reason": "重复", "person": {"id": admin}});
    let path = format!("/api/v1/reports/{}/corrections", id(3));
    boss.send(&service, "POST", &path, &withdraw).await.created();
    let brought = format!("由 {} 代导入", machine.id);
    for (n, said) in [(1, false), (3, true)] {
        let api = boss.get(&service, &format!("/api/v1/reports/{}", id(n))).await;
        let page = boss.get(&service, &format!("/reports/{}", id(n))).await;
        assert_eq!(api.text().contains(&brought), said, "{}", api.text());
        assert_eq!(page.text().contains(&brought), said);
    }
    let csv = boss.get(&service, "/api/v1/timeline.csv").await;
    assert!(
        csv.text().contains(&brought) && csv.text().contains(&format!("撤回：重复（{admin}）")),
        "{}",
        csv.text()
    );
}

//! A patrol person who is signed in, by password at a desk and by PIN on a shared phone. It attacks "what one way refuses, no
//! other gives" and, of `people/signing-in.md`, who reads and writes which field, where the two ways in could differ.

use jijia::people::{Reach, Role, secret};
use jijia::store::people::Secret;
use serde_json::{Value, json};

use crate::attack::rights::enrolled;
use crate::people::{Browser, PASSWORD, add, entries, start};
use crate::people_doors::{browser, target};
use crate::service::{Service, id, jpeg, report, sha256_of, with};

const PIN: &str = "1357";

/// The same person in by both ways.
struct Patrol {
    me: String,
    ways: Vec<(&'static str, Browser)>,
    /// Another person's report, number 1, with a photo.
    other: String,
    photo: Vec<u8>,
}

async fn patrol(service: &Service) -> Patrol {
    let (admin, _) = add(service, "boss", Role::Admin, None).await;
    let (me, _) = add(service, "li", Role::Patrol, None).await;
    let (other, _) = add(service, "zhang", Role::Patrol, None).await;
    let pin = Secret::Pin(secret::hash(PIN).unwrap());
    service.app.store.set_secret(me.clone(), pin, me.clone()).await.unwrap();
    let mut phone = enrolled(service, &admin).await;
    let shown = json!({"person": me, "pin": PIN});
    assert_eq!(phone.send(service, "POST", "/api/v1/session", &shown).await.status, 200);
    let mut desk = Browser::default();
    let shown = json!({"login": "li.patrol", "password": PASSWORD});
    assert_eq!(desk.send(service, "POST", "/api/v1/session", &shown).await.status, 200);
    let photo = jpeg(1);
    put(service, &other, &photo).await;
    let body = with(with(report(1), "/person/id", json!(other)), "/photos", json!([sha256_of(&photo)]));
    browser(service, &other).await.send(service, "POST", "/api/v1/reports", &body).await.created();
    Patrol { me, ways: vec![("desk", desk), ("phone", phone)], other, photo }
}

async fn put(service: &Service, account: &str, bytes: &[u8]) {
    let token = browser(service, account).await.cookies[0].1.clone();
    let (jar, csrf) = (format!("__Host-jijia-session={token}"), secret::csrf(&token));
    let headers = [("cookie", jar.as_str()), ("x-csrf-token", csrf.as_str())];
    service.send("PUT", &format!("/api/v1/photos/{}", sha256_of(bytes)), &headers, bytes).await.created();
}

#[tokio::test(flavor = "multi_thread")]
async fn by_password_and_by_pin_the_doors_are_those_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let patrol = patrol(&service).await;
    let mut shut = 0;
    for (way, browser) in patrol.ways {
        for door in jijia::web::table(service.app.clone()) {
            // Some doors end the session.
            let mut browser = browser.clone();
            let reach = door.rule.reach(Role::Patrol);
            if reach != Reach::No {
                continue;
            }
            let size = service.log_size().await;
            let answer = browser.send(&service, door.method, &target(&door), &Value::Null).await;
            assert_eq!(answer.status, 403, "{way}: {} {}", door.method, door.path);
            assert_eq!(service.log_size().await, size, "{way}: {} {}", door.method, door.path);
            shut += 1;
        }
    }
    assert!(shut > 60, "{shut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_s_report_is_neither_read_nor_changed_nor_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let Patrol { me, ways, other, photo } = patrol(&service).await;
    let (size, foreign) = (service.log_size().await, format!("/api/v1/reports/{}", id(1)));
    for (way, mut browser) in ways {
        for path in [
            foreign.clone(),
            format!("/reports/{}", id(1)),
            format!("{foreign}/photos/0/watermarked"),
            // The same id, spelled otherwise.
            format!("/api/v1/reports/{}", id(1).to_uppercase()),
            format!("/api/v1/reports/urn:uuid:{}", id(1)),
        ] {
            assert_eq!(browser.get(&service, &path).await.status, 404, "{way}: {path}");
        }
        let original = browser.get(&service, &format!("/api/v1/photos/{}", sha256_of(&photo))).await;
        assert_eq!(original.status, 403, "{way}");
        // In the own name, in the author's, and with the report named in the body as well.
        for (person, more) in [(&me, json!(null)), (&other, json!(null)), (&me, json!(id(1)))] {
            let body = json!({"id": id(90), "action": "withdraw", "reason": "x", "person": {"id": person}, "report": more});
            let body = if more.is_null() { with(body, "/report", Value::Null) } else { body };
            let answer = browser.send(&service, "POST", &format!("{foreign}/corrections"), &body).await;
            assert!([404, 422].contains(&answer.status), "{way}: {}", answer.text());
        }
        // An id that is taken is taken for whatever it is used.
        let body = with(report(1), "/person/id", json!(me));
        browser.send(&service, "POST", "/api/v1/reports", &body).await.problem(409, "");
        let now = service.app.store.clock().now();
        let walk = json!({"id": id(1), "person": {"id": me}, "sectors": ["JJH-AD-01"],
            "started_at": (now - jiff::SignedDuration::from_hours(1)).to_string(), "ended_at": now.to_string()});
        browser.send(&service, "POST", "/api/v1/patrols", &walk).await.problem(409, "");
    }
    assert_eq!(service.log_size().await, size, "nothing of it is an entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_for_another_and_a_phone_s_report_says_who_sent_it() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let Patrol { me, ways, other, .. } = patrol(&service).await;
    for (n, (way, mut browser)) in (2..).zip(ways) {
        let mine = with(report(10 * n), "/person/id", json!(me));
        browser.send(&service, "POST", "/api/v1/reports", &mine).await.created();
        let path = format!("/api/v1/reports/{}/corrections", id(10 * n));
        // A report of one's own is corrected in one's own name alone, on a shared phone, too.
        let body = |person: &str| json!({"id": id(10 * n + 1), "action": "withdraw", "reason": "x", "person": {"id": person}});
        browser.send(&service, "POST", &path, &body(&other)).await.problem(422, "person.id");
        let theirs = with(report(10 * n + 2), "/person/id", json!(other));
        let sent = browser.send(&service, "POST", "/api/v1/reports", &theirs).await;
        assert_eq!(sent.status, if way == "desk" { 422 } else { 201 }, "{way}: {}", sent.text());
        let chief = with(report(10 * n + 3), "/person/id", json!("p-01"));
        browser.send(&service, "POST", "/api/v1/reports", &chief).await.problem(422, "person.id");
    }
    let sent: Vec<Value> = entries(dir.path()).into_iter().filter(|e| e["type"] == "report").collect();
    let last = sent.last().unwrap();
    assert_eq!((&last["by"], &last["person"]), (&json!(me), &json!(other)), "what lay on the phone");
}

#[tokio::test(flavor = "multi_thread")]
async fn role_unit_and_rights_of_the_own_account_are_in_no_form() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let Patrol { me, ways, .. } = patrol(&service).await;
    let size = service.log_size().await;
    let more =
        [("role", json!("admin")), ("unit", json!("SX")), ("disabled", json!(false)), ("account", json!(me))];
    for (way, mut browser) in ways {
        let change = json!({"name": "li", "role": "admin", "login": "li.patrol"});
        let answer = browser.send(&service, "PUT", &format!("/api/v1/people/{me}"), &change).await;
        assert_eq!(answer.status, 403, "{way}");
        for (field, value) in &more {
            for (method, path, form) in [
                (
                    "PUT",
                    "/api/v1/account/password",
                    json!({"password": PASSWORD, "new_password": "两只鸭子睡在湖的东边"}),
                ),
                ("POST", "/api/v1/account/totp", json!({"password": PASSWORD})),
                ("POST", "/api/v1/sessions/end", json!({"password": PASSWORD, "id": "x"})),
                ("POST", "/api/v1/session", json!({"login": "li.patrol", "password": PASSWORD})),
            ] {
                let mut body = form;
                body[*field] = value.clone();
                browser.send(&service, method, path, &body).await.problem(422, field);
            }
        }
        let said = browser.get(&service, "/api/v1/session").await.json();
        assert_eq!((&said["person"]["id"], &said["person"]["role"]), (&json!(me), &json!("patrol")), "{way}");
    }
    assert_eq!(service.log_size().await, size);
}

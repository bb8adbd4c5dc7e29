//! A shared phone that was found or copied: its cookie, and nobody's PIN. It attacks of `people/signing-in.md` "an enrolled
//! phone (its cookie alone) opens filing reports …, nothing that anybody saw", "the PIN … is asked for on an enrolled phone
//! only, and is worth nothing elsewhere", and "rights that were taken end sessions at once".

use jijia::people::{Reach, Role, Rule, secret};
use jijia::store::people::Secret;
use serde_json::{Value, json};

use crate::attack::rights::enrolled;
use crate::people::{Browser, PASSWORD, add, start};
use crate::people_doors::{browser, target};
use crate::service::{Service, jpeg, report, sha256_of, with};

const SESSION: &str = "__Host-jijia-session";
const PHONE: &str = "__Host-jijia-phone";
const PIN: &str = "1357";

/// A service with an administrator, an enrolled phone, and a patrol person who has a PIN.
async fn office(dir: &std::path::Path) -> (Service, Browser, Browser, String) {
    let service = start(dir).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let (person, _) = add(&service, "zhang", Role::Patrol, None).await;
    let pin = Secret::Pin(secret::hash(PIN).unwrap());
    service.app.store.set_secret(person.clone(), pin, person.clone()).await.unwrap();
    let (boss, phone) = (browser(&service, &admin).await, enrolled(&service, &admin).await);
    (service, boss, phone, person)
}

async fn try_pin(service: &Service, phone: &mut Browser, person: &str, pin: &str) -> u16 {
    phone.send(service, "POST", "/api/v1/session", &json!({"person": person, "pin": pin})).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_cookie_passes_the_doors_of_a_phone_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let (service, _, phone, _) = office(dir.path()).await;
    // On another machine, as another browser.
    let mut thief = Browser { cookies: phone.cookies.clone() };
    let (mut shut, size) = (0, service.log_size().await);
    for door in jijia::web::table(service.app.clone()) {
        let answer = thief.send(&service, door.method, &target(&door), &Value::Null).await;
        let reach = door.rule.reach(Role::Phone);
        let what = format!("{} {}: {}", door.method, door.path, answer.status);
        assert_eq!(answer.status == 403, reach == Reach::No, "{what}");
        assert!(reach != Reach::All || door.rule == Rule::Public || door.path.ends_with("/heads"), "{what}");
        shut += u32::from(reach == Reach::No);
    }
    assert!(shut > 40 && service.log_size().await == size, "{shut} shut, and nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_s_token_is_no_session_and_no_bearer_and_a_session_s_token_is_no_phone() {
    let dir = tempfile::tempdir().unwrap();
    let (service, boss, phone, _) = office(dir.path()).await;
    let (token, desk) = (phone.cookies[0].1.clone(), boss.cookies[0].1.clone());
    for (name, value) in [(SESSION, &token), (PHONE, &desk)] {
        let mut wrong = Browser::with(&[(name, value)]);
        wrong.get(&service, "/api/v1/field").await.problem(401, "");
        assert_eq!(wrong.get(&service, "/api/v1/session").await.json()["device"], Value::Null);
    }
    let bearer = format!("Bearer {token}");
    let answer = service.send("GET", "/api/v1/field", &[("authorization", bearer.as_str())], b"").await;
    answer.problem(401, "");
    // Both at once are the session, and no more than it.
    let (viewer, _) = add(&service, "viewer", Role::Viewer, None).await;
    let mut both = browser(&service, &viewer).await;
    both.cookies.extend(phone.cookies);
    assert_eq!(both.send(&service, "POST", "/api/v1/reports", &report(1)).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_found_phone_guesses_a_few_pins_and_keeps_nobody_from_another_phone() {
    let dir = tempfile::tempdir().unwrap();
    let (service, mut boss, mut found, person) = office(dir.path()).await;
    let link = boss.send(&service, "POST", "/api/v1/phones", &json!({"name": "2号手机"})).await.created();
    let code = link["href"].as_str().unwrap().split_once("/m#enrol=").unwrap().1.to_owned();
    let mut other = Browser::default();
    other.send(&service, "POST", "/api/v1/device", &json!({"code": code})).await.created();
    let mut tried = 0;
    for n in 0..30 {
        let status = try_pin(&service, &mut found, &person, &format!("{:04}", 2000 + n)).await;
        assert!([401, 429].contains(&status), "{status}");
        tried += u32::from(status == 401);
    }
    println!("30 PINs guessed on a found phone: {tried} looked at");
    assert!(tried <= 5, "{tried}");
    assert_eq!(try_pin(&service, &mut found, &person, PIN).await, 429, "the right one, too, must wait");
    assert_eq!(try_pin(&service, &mut other, &person, PIN).await, 200, "another phone has its own failures");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_worth_nothing_at_a_desk_and_no_other_role_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let (service, mut boss, mut phone, person) = office(dir.path()).await;
    let body = json!({"login": "zhang.patrol", "password": PIN});
    Browser::default().send(&service, "POST", "/api/v1/session", &body).await.problem(401, "");
    let (chief, _) = add(&service, "li", Role::Supervisor, None).await;
    boss.send(&service, "PUT", &format!("/api/v1/people/{chief}/pin"), &json!({"pin": "8642"}))
        .await
        .problem(422, "id");
    // Also where one was left from another role.
    let pin = Secret::Pin(secret::hash("8642").unwrap());
    service.app.store.set_secret(chief.clone(), pin, chief.clone()).await.unwrap();
    assert_eq!(try_pin(&service, &mut phone, &chief, "8642").await, 401);
    assert_eq!(try_pin(&service, &mut phone, "li.supervisor", PASSWORD).await, 401);
    // A patrol person by PIN is that person, and still no desk's: what asks for the password asks for the PIN here.
    assert_eq!(try_pin(&service, &mut phone, &person, PIN).await, 200);
    let body = json!({"password": PIN, "new_password": "长长的新密码两只鸭子"});
    assert_ne!(phone.send(&service, "PUT", "/api/v1/account/password", &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_phone_takes_every_session_on_it_along_wherever_it_was_copied() {
    let dir = tempfile::tempdir().unwrap();
    let (service, mut boss, mut phone, person) = office(dir.path()).await;
    assert_eq!(try_pin(&service, &mut phone, &person, PIN).await, 200);
    let session = phone.cookies.iter().find(|(n, _)| n == SESSION).unwrap().1.clone();
    let mut copied = Browser::with(&[(SESSION, &session)]);
    assert_eq!(copied.get(&service, "/api/v1/field").await.status, 200);
    let revoked = boss.send(&service, "DELETE", "/api/v1/machines/phone-1", &Value::Null).await;
    assert_eq!(revoked.status, 204);
    let size = service.log_size().await;
    for browser in [&mut phone, &mut copied] {
        browser.get(&service, "/api/v1/field").await.problem(401, "");
        let body = with(report(1), "/person/id", json!(person));
        browser.send(&service, "POST", "/api/v1/reports", &body).await.problem(401, "");
        assert_eq!(try_pin(&service, browser, &person, PIN).await, 401, "no way back in");
    }
    assert_eq!(service.log_size().await, size);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_s_page_makes_the_phone_neither_send_nor_show() {
    let dir = tempfile::tempdir().unwrap();
    let (service, _, mut phone, person) = office(dir.path()).await;
    let csrf = secret::csrf(&phone.cookies[0].1);
    let body = with(report(1), "/person/id", json!(person));
    let size = service.log_size().await;
    for headers in [
        &[("origin", "https://evil.example"), ("x-csrf-token", &csrf)][..],
        &[("origin", "null"), ("x-csrf-token", &csrf)],
        &[("sec-fetch-site", "cross-site"), ("x-csrf-token", &csrf)],
        &[("sec-fetch-site", "same-site"), ("x-csrf-token", &csrf)],
        // What a form may send by itself: the cookie, and no token.
        &[("content-type", "text/plain")],
        &[("x-csrf-token", "0000")],
    ] {
        let sent = phone.send_with(&service, "POST", "/api/v1/reports", &body, headers).await;
        assert_eq!(sent.status, 403, "{headers:?}");
        let path = format!("/api/v1/photos/{}", sha256_of(&jpeg(1)));
        assert_eq!(phone.send_with(&service, "PUT", &path, &json!(1), headers).await.status, 403);
    }
    let elsewhere = [("sec-fetch-site", "cross-site")];
    let shown = phone.send_with(&service, "GET", "/api/v1/field", &Value::Null, &elsewhere).await;
    shown.problem(403, "");
    assert_eq!(service.log_size().await, size, "nothing was written");
    phone.send(&service, "POST", "/api/v1/reports", &body).await.created();
}

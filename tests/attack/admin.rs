//! An administrator in the browser. It attacks "every change of an account, a link made for somebody else, whoever was signed
//! out, every export and look is an entry", "password, PIN, token: read by nobody", "`disabled`: not the last one's own", and
//! that the sign-in log is written by who signs in alone.

use jijia::people::{Role, secret};
use jijia::store::people::{Factor, Secret};
use serde_json::{Value, json};

use crate::attack::rights::{enrolled, filed};
use crate::people::{Browser, PASSWORD, add, entries, start};
use crate::people_doors::{browser, target};
use crate::service::{Service, sha256_of};

/// The newest entry.
fn last(dir: &std::path::Path) -> Value {
    entries(dir).pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_about_somebody_else_names_who_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let (other, _) = add(&service, "other", Role::Admin, None).await;
    let (patrol, _) = add(&service, "zhang", Role::Patrol, None).await;
    enrolled(&service, &other).await;
    let mut boss = browser(&service, &admin).await;
    let of = |id: &str, what: &str| format!("/api/v1/people/{id}{what}");
    let account = json!({"name": "李建国", "role": "viewer", "login": "li.jianguo"});
    let disabled = json!({"name": "other", "role": "admin", "login": "other.admin", "disabled": true});
    let token = json!({"name": "ledger", "role": "supervisor", "days": 1});
    for (method, path, body, change) in [
        ("POST", "/api/v1/people".to_owned(), account, "added"),
        ("POST", of(&other, "/invite"), Value::Null, "link"),
        ("PUT", of(&patrol, "/pin"), json!({"pin": "8642"}), "pin"),
        ("DELETE", of(&other, "/totp"), Value::Null, "totp"),
        ("DELETE", of(&other, "/code-lock"), Value::Null, "unlocked"),
        ("DELETE", of(&other, "/sessions"), Value::Null, "signed_out"),
        ("PUT", of(&other, ""), disabled, "disabled"),
        ("POST", "/api/v1/tokens".into(), token, "added"),
        ("DELETE", "/api/v1/machines/token-1".into(), Value::Null, "disabled"),
        ("DELETE", "/api/v1/machines/phone-1".into(), Value::Null, "disabled"),
    ] {
        let size = service.log_size().await;
        let done = boss.send(&service, method, &path, &body).await;
        assert!(done.status < 300, "{method} {path}: {}", done.text());
        let said = last(dir.path());
        assert_eq!(service.log_size().await, size + 1, "{method} {path}");
        assert_eq!((&said["change"], &said["by"]), (&json!(change), &json!(admin)), "{method} {path}");
    }
    // A phone's entry is made when it is enrolled, by whoever made the link.
    enrolled(&service, &admin).await;
    assert_eq!((&last(dir.path())["change"], &last(dir.path())["by"]), (&json!("added"), &json!(admin)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_another_role_is_an_entry_and_acts_under_its_own_name() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let mut boss = browser(&service, &admin).await;
    for (n, role) in (1..).zip(Role::ALL.into_iter().filter(|r| *r != Role::Phone)) {
        let unit = (role == Role::Unit).then_some("SX");
        let body = json!({"name": "second", "role": role.as_str(), "unit": unit, "days": 1});
        let made = boss.send(&service, "POST", "/api/v1/tokens", &body).await.created();
        let said = last(dir.path());
        assert_eq!((&said["by"], &said["role"]), (&json!(admin), &json!(role.as_str())), "{said}");
        let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
        let exported = service.send("GET", "/api/v1/timeline.csv", &[("authorization", &bearer)], b"").await;
        if exported.status == 200 {
            assert_eq!(last(dir.path())["by"], format!("token-{n}"), "not the administrator's");
        }
        // Beside the own session it is the token that asks, and not both.
        let mut both = boss.clone();
        let shown = [("authorization", bearer.as_str())];
        let people = both.send_with(&service, "GET", "/api/v1/people", &Value::Null, &shown).await;
        assert_eq!(people.status == 200, role == Role::Admin, "{}", role.as_str());
    }
    boss.send(&service, "POST", "/api/v1/tokens", &json!({"name": "x", "role": "phone", "days": 1}))
        .await
        .problem(422, "role");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_keeps_account_and_second_factor() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let (second, _) = add(&service, "second", Role::Admin, None).await;
    let mut boss = browser(&service, &admin).await;
    let body = |login: &str, role: &str, disabled: bool| json!({"name": login, "role": role, "login": login, "disabled": disabled});
    let path = |id: &str| format!("/api/v1/people/{id}");
    let other = body("second", "admin", true);
    assert_eq!(boss.send(&service, "PUT", &path(&second), &other).await.status, 200);
    let size = service.log_size().await;
    // The other one is there, and may not sign in: that is nobody who governs.
    for (role, disabled) in [("admin", true), ("viewer", false), ("patrol", true)] {
        boss.send(&service, "PUT", &path(&admin), &body("boss", role, disabled)).await.problem(409, "");
    }
    for (method, what) in [("DELETE", "/totp"), ("DELETE", "/code-lock"), ("POST", "/invite")] {
        boss.send(&service, method, &format!("{}{what}", path(&admin)), &Value::Null).await.problem(409, "");
    }
    assert_eq!(boss.get(&service, "/people").await.status, 200);
    assert_eq!(service.log_size().await, size);
}

/// Answers to every `GET` of the table, by an administrator; how much the log grew by each.
async fn everything(service: &Service, boss: &mut Browser, of: [&str; 2]) -> Vec<(String, Vec<u8>, u64)> {
    let mut all = Vec::new();
    for door in jijia::web::table(service.app.clone()).into_iter().filter(|d| d.method == "GET") {
        let path = door.path.replace("{sha256}", of[0]).replace("{seq}", "0").replace("people/{id}", of[1]);
        let path = target(&jijia::web::Door { path, ..door });
        let size = service.log_size().await;
        let answer = boss.get(service, &path).await;
        all.push((path, answer.body, service.log_size().await - size));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, totp) = add(&service, "boss", Role::Admin, None).await;
    let (person, _) = add(&service, "zhang", Role::Patrol, None).await;
    let [password, pin] = [PASSWORD, "86421357"].map(|text| secret::hash(text).unwrap());
    for kept in [
        Secret::Password(password.clone()),
        Secret::Pin(pin.clone()),
        Secret::Totp(Factor { secret: totp.clone(), used: 0 }),
    ] {
        service.app.store.set_secret(person.clone(), kept, "shell".into()).await.unwrap();
    }
    let mut boss = browser(&service, &admin).await;
    let body = json!({"name": "ledger", "role": "machine", "days": 1});
    let token = boss.send(&service, "POST", "/api/v1/tokens", &body).await.created()["token"].clone();
    let token = token.as_str().unwrap();
    let [digest, factor] = [secret::digest(token).to_vec(), totp.clone()].map(hex::encode);
    let shown = secret::totp_text(&totp);
    let seen = everything(&service, &mut boss, [&"ab".repeat(32), &format!("people/{person}")]).await;
    for (path, body, _) in seen {
        for secret in [PASSWORD, "86421357", &password, &pin, token, &digest, &factor, &shown] {
            assert!(memchr::memmem::find(&body, secret.as_bytes()).is_none(), "{path} shows {secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_export_and_no_look_goes_without_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let (person, _) = add(&service, "zhang", Role::Patrol, None).await;
    let (photo, spoken) = filed(&service, &person, 1).await;
    let mut boss = browser(&service, &admin).await;
    let (mut names, mut exports) = (0, 0);
    for (path, _, grown) in
        everything(&service, &mut boss, [&sha256_of(&photo), &format!("people/{person}")]).await
    {
        let is_photo = path == format!("/api/v1/photos/{}", sha256_of(&photo));
        let is_name = path.ends_with("/name") || path.ends_with("/watermarked");
        let is_export = ["docx", "pdf", "xlsx", "csv", "geojson"].iter().any(|e| path.ends_with(e));
        assert!(is_name || (grown == 1) == (is_photo || is_export), "{path}: {grown} entries");
        names += if is_name { grown } else { 0 };
        exports += u32::from(is_export);
    }
    assert_eq!((names, exports), (1, 6), "a name by itself and on a copy is one look within the hour");
    let looks = || entries(dir.path()).into_iter().filter(|e| e["of"] == sha256_of(&spoken)).count();
    assert_eq!(looks(), 0);
    // A part is a look.
    let voice = format!("/api/v1/voices/{}", sha256_of(&spoken));
    boss.send_with(&service, "GET", &voice, &Value::Null, &[("range", "bytes=0-0")]).await;
    assert_eq!(looks(), 1);
    let path = "/api/v1/bundles?photos=originals";
    let bundle = boss.send(&service, "POST", path, &Value::Null).await.created();
    assert_eq!(last(dir.path())["by"], admin);
    assert_eq!(boss.get(&service, bundle["href"].as_str().unwrap()).await.status, 200);
    assert_eq!((&last(dir.path())["what"], &last(dir.path())["by"]), (&json!("bundle"), &json!(admin)));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_the_sign_in_log_are_neither_taken_back_nor_written() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let mut boss = browser(&service, &add(&service, "boss", Role::Admin, None).await.0).await;
    let wrong = json!({"login": "boss.admin", "password": "wrong", "code": "000000"});
    Browser::default().send(&service, "POST", "/api/v1/session", &wrong).await.problem(401, "");
    let shown = boss.get(&service, "/api/v1/sign-ins").await;
    assert!(shown.text().contains("failure"));
    let file = || std::fs::read(dir.path().join("sign-in.log")).unwrap();
    let before = file();
    for path in ["/api/v1/sign-ins", "/api/v1/sign-ins/0"] {
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            let answer = boss.send(&service, method, path, &json!([])).await;
            assert!([404, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
        }
    }
    assert_eq!(boss.get(&service, "/api/v1/sign-ins").await.body, shown.body);
    assert_eq!(file(), before);
}

//! The own account: password, second factor, sessions; and what the administrator can do for whoever lost one of them.

use std::path::Path;
use std::time::Duration;

use jijia::people::{Role, secret};
use jijia::store::people::Purpose;
use serde_json::{Value, json};

use crate::people::{Browser, PASSWORD, add, code_of, start};
use crate::people_doors::browser;
use crate::service::{Answer, Service};

const NEW: &str = "drei graue Reiher am Ufer";

/// Sends when its turn has come: a secret is tried once a second.
async fn try_it(who: &mut Browser, service: &Service, method: &str, path: &str, body: &Value) -> Answer {
    loop {
        let answer = who.send(service, method, path, body).await;
        if answer.status != 429 {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn sign_in(service: &Service, login: &str, password: &str, code: &str) -> (Browser, Answer) {
    let mut who = Browser::default();
    let body = json!({"login": login, "password": password, "code": code});
    let answer = try_it(&mut who, service, "POST", "/api/v1/session", &body).await;
    (who, answer)
}

async fn is_in(who: &mut Browser, service: &Service) -> bool {
    who.get(service, "/api/v1/session").await.json()["state"] == "in"
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_changed_by_who_shows_it_and_every_other_session_ends() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (id, totp) = add(&service, "li", Role::Supervisor, None).await;
    let (mut here, mut there) = (browser(&service, &id).await, browser(&service, &id).await);
    let path = "/api/v1/account/password";
    let change = |more: Value| {
        let mut body = json!({"password": PASSWORD, "code": code_of(&totp, 0), "new_password": NEW});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, field) in [
        (json!({"password": "something else here"}), "password"),
        (json!({"code": "000000"}), "password"),
        (json!({"code": ""}), "password"),
        (json!({"new_password": "li.supervisor2026"}), "new_password"),
    ] {
        try_it(&mut here, &service, "PUT", path, &change(more)).await.problem(422, field);
    }
    assert!(is_in(&mut there, &service).await);
    // A new one that would not do has not used the code up.
    let before = here.cookies.clone();
    let done = try_it(&mut here, &service, "PUT", path, &change(json!({}))).await;
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("in")), "{}", done.text());
    assert_ne!(here.cookies[0], before[0], "a new token");
    assert!(is_in(&mut here, &service).await && !is_in(&mut there, &service).await);
    assert!(!is_in(&mut Browser { cookies: before }, &service).await, "the old token is worth nothing");
    assert_eq!(sign_in(&service, "li.supervisor", PASSWORD, "").await.1.status, 401);
    let said = crate::people::entries(dir.path());
    let last = said.last().unwrap();
    assert_eq!(
        (&last["change"], &last["by"], &last["account"]),
        (&json!("password"), &json!(id), &json!(id))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_taken_exactly_as_it_is_typed_however_old() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (id, _) = add(&service, "zhao", Role::Viewer, None).await;
    let long = " Ein Reiher, der 鸭子 zählt, schläft \"nie\" & <nirgends>; % sehr lang, damit auch 64 Zeichen möglich sind  ";
    assert!(long.chars().count() > 64);
    let mut who = browser(&service, &id).await;
    let body = json!({"password": PASSWORD, "new_password": long});
    let done = try_it(&mut who, &service, "PUT", "/api/v1/account/password", &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    for other in [long.trim(), &long.to_lowercase(), &long[..long.len() - 1], &format!("{long} ")] {
        assert_eq!(sign_in(&service, "zhao.viewer", other, "").await.1.status, 401, "{other:?}");
    }
    // Nothing of the account knows how old a secret is, or a hint, or an answer to a question.
    let conn = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let mut columns = conn.prepare("select name from pragma_table_info('account')").unwrap();
    let columns: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let all = [
        "id",
        "name",
        "role",
        "unit",
        "login",
        "password",
        "pin",
        "totp",
        "totp_used",
        "disabled",
        "codes_day",
        "codes_wrong",
        "pin_given",
        "told",
    ];
    assert_eq!(columns, all);
    // Failures: the address waits now, the browser that is known does not.
    let body = json!({"login": "zhao.viewer", "password": long});
    let again = try_it(&mut who, &service, "POST", "/api/v1/session", &body).await;
    assert_eq!(again.status, 200, "{}", again.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_is_over_and_signing_in_again_ends_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    add(&service, "zhao", Role::Viewer, None).await;
    let (mut who, _) = sign_in(&service, "zhao.viewer", PASSWORD, "").await;
    let mut first = who.clone();
    let body = json!({"login": "zhao.viewer", "password": PASSWORD});
    assert_eq!(try_it(&mut who, &service, "POST", "/api/v1/session", &body).await.status, 200);
    assert_ne!(who.cookies, first.cookies);
    assert!(!is_in(&mut first, &service).await && is_in(&mut who, &service).await);
    let mut kept = who.clone();
    assert_eq!(who.send(&service, "DELETE", "/api/v1/session", &Value::Null).await.status, 204);
    kept.get(&service, "/api/v1/timeline").await.problem(401, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sees_where_one_is_signed_in_and_ends_it_with_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (id, _) = add(&service, "zhao", Role::Viewer, None).await;
    let (other, _) = add(&service, "qian", Role::Viewer, None).await;
    let (mut here, mut there) = (browser(&service, &id).await, browser(&service, &id).await);
    let mut stranger = browser(&service, &other).await;
    let open = here.get(&service, "/api/v1/sessions").await.json();
    let open = open.as_array().unwrap();
    assert_eq!(open.len(), 2, "one's own");
    let of = |is_here: bool| open.iter().find(|o| o["here"] == is_here).unwrap()["id"].clone();
    let path = "/api/v1/sessions/end";
    let end = |password: &str, id: Value| json!({"password": password, "id": id});
    try_it(&mut here, &service, "POST", path, &end("not the password", of(false)))
        .await
        .problem(422, "password");
    try_it(&mut stranger, &service, "POST", path, &end(PASSWORD, of(false))).await.problem(404, "");
    assert!(is_in(&mut there, &service).await);
    assert_eq!(try_it(&mut here, &service, "POST", path, &end(PASSWORD, of(false))).await.status, 204);
    assert!(is_in(&mut here, &service).await && !is_in(&mut there, &service).await);
    let mut third = browser(&service, &id).await;
    assert_eq!(try_it(&mut here, &service, "POST", path, &json!({"password": PASSWORD})).await.status, 204);
    assert!(!is_in(&mut here, &service).await && !is_in(&mut third, &service).await, "everywhere");
    assert!(is_in(&mut stranger, &service).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_sessions_the_one_used_longest_ago_ends() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (id, _) = add(&service, "zhao", Role::Viewer, None).await;
    let (other, _) = add(&service, "qian", Role::Viewer, None).await;
    let (mut first, mut stranger) = (browser(&service, &id).await, browser(&service, &other).await);
    // The clock counts milliseconds.
    tokio::time::sleep(Duration::from_millis(3)).await;
    for _ in 1..20 {
        browser(&service, &id).await;
    }
    assert!(is_in(&mut first, &service).await, "20 are allowed");
    tokio::time::sleep(Duration::from_millis(3)).await;
    let mut last = browser(&service, &id).await;
    assert!(!is_in(&mut first, &service).await && is_in(&mut last, &service).await);
    assert!(is_in(&mut stranger, &service).await, "each account for itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_factor_is_changed_by_who_shows_both() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (id, totp) = add(&service, "li", Role::Supervisor, None).await;
    let mut who = browser(&service, &id).await;
    let path = "/api/v1/account/totp";
    let body = |password: &str, code: &str| json!({"password": password, "code": code});
    let right = code_of(&totp, 0);
    for (password, code) in [(PASSWORD, ""), (PASSWORD, "000000"), ("not the password", &right)] {
        try_it(&mut who, &service, "POST", path, &body(password, code)).await.problem(422, "password");
    }
    let link = try_it(&mut who, &service, "POST", path, &body(PASSWORD, &right)).await.created();
    let code = link["href"].as_str().unwrap().strip_prefix("/join#").unwrap().to_owned();
    let invite = who.send(&service, "POST", "/api/v1/invites/look", &json!({"code": code})).await.json();
    let fresh = secret::read_totp(invite["totp_text"].as_str().unwrap()).unwrap();
    assert_ne!(fresh, totp);
    let shown = code_of(&fresh, 0);
    let body = json!({"code": code, "totp_code": shown});
    who.send(&service, "POST", "/api/v1/invites/use", &body).await.created();
    // The code that showed the new one was used up by that, and the old one is gone.
    for code in [&shown, &code_of(&totp, 1)] {
        let body = json!({"login": "li.supervisor", "password": PASSWORD, "code": code});
        try_it(&mut who, &service, "POST", "/api/v1/session", &body).await.problem(401, "");
    }
    let body = json!({"login": "li.supervisor", "password": PASSWORD, "code": code_of(&fresh, 1)});
    assert_eq!(try_it(&mut who, &service, "POST", "/api/v1/session", &body).await.status, 200);
}

async fn link(dir: &Path) -> (Service, Browser, String, Vec<u8>) {
    let service = start(dir).await;
    let (admin, _) = add(&service, "wang", Role::Admin, None).await;
    let (id, totp) = add(&service, "li", Role::Supervisor, None).await;
    let boss = browser(&service, &admin).await;
    (service, boss, id, totp)
}

async fn invited(service: &Service, boss: &mut Browser, id: &str) -> String {
    let link =
        boss.send(service, "POST", &format!("/api/v1/people/{id}/invite"), &Value::Null).await.created();
    link["href"].as_str().unwrap().split_once("/join#").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_no_way_around_the_second_factor() {
    let dir = tempfile::tempdir().unwrap();
    let (service, mut boss, id, totp) = link(dir.path()).await;
    let code = invited(&service, &mut boss, &id).await;
    let mut who = Browser::default();
    let look = json!({ "code": code });
    let invite = who.send(&service, "POST", "/api/v1/invites/look", &look).await.json();
    assert_eq!((&invite["totp"], &invite["totp_text"]), (&json!(true), &Value::Null), "none is offered");
    let body = |shown: &str| json!({"code": code, "password": NEW, "totp_code": shown});
    for shown in ["", "000000"] {
        try_it(&mut who, &service, "POST", "/api/v1/invites/use", &body(shown))
            .await
            .problem(422, "totp_code");
    }
    let done = try_it(&mut who, &service, "POST", "/api/v1/invites/use", &body(&code_of(&totp, 0))).await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert!(is_in(&mut who, &service).await);
    let body = json!({"login": "li.supervisor", "password": NEW, "code": code_of(&totp, 1)});
    assert_eq!(try_it(&mut who, &service, "POST", "/api/v1/session", &body).await.status, 200, "as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_authenticator_is_taken_away_and_the_next_link_sets_another() {
    let dir = tempfile::tempdir().unwrap();
    let (service, mut boss, id, totp) = link(dir.path()).await;
    let mut who = browser(&service, &id).await;
    let old = invited(&service, &mut boss, &id).await;
    let path = format!("/api/v1/people/{id}/totp");
    assert_eq!(boss.send(&service, "DELETE", &path, &Value::Null).await.status, 204);
    assert!(!is_in(&mut who, &service).await, "whoever has the phone is out");
    let look = json!({ "code": old });
    who.send(&service, "POST", "/api/v1/invites/look", &look).await.problem(404, "");
    let code = invited(&service, &mut boss, &id).await;
    let look = json!({ "code": code });
    let invite = who.send(&service, "POST", "/api/v1/invites/look", &look).await.json();
    let fresh = secret::read_totp(invite["totp_text"].as_str().unwrap()).unwrap();
    let body = |shown: String| json!({"code": code, "password": NEW, "totp_code": shown});
    who.send(&service, "POST", "/api/v1/invites/use", &body(code_of(&totp, 0)))
        .await
        .problem(422, "totp_code");
    who.send(&service, "POST", "/api/v1/invites/use", &body(code_of(&fresh, 0))).await.created();
    boss.send(&service, "DELETE", "/api/v1/people/p-99/totp", &Value::Null).await.problem(404, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_too_old_opens_nothing_and_nobody_is_there_at_first() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    assert!(service.app.store.list_accounts().await.unwrap().is_empty(), "no account of ours");
    let (id, _) = add(&service, "li", Role::Viewer, None).await;
    for (purpose, path) in [(Purpose::Person, "/api/v1/invites/look"), (Purpose::Phone, "/api/v1/device")] {
        let code =
            service.app.store.add_invite(purpose, Some(id.clone()), None, Duration::ZERO, &id).await.unwrap();
        assert_eq!(code.len(), 64, "256 bits");
        Browser::default().send(&service, "POST", path, &json!({ "code": code })).await.problem(404, "");
    }
}

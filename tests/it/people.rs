//! Signing in: the first administrator, links, passwords, codes, PINs, and the ends of sessions.

use std::path::Path;

use jijia::clock::Clock;
use jijia::lake::load::embedded;
use jijia::people::{AccountBody, Role, secret};
use jijia::store::people::{Factor, Purpose, Secret};
use serde_json::{Value, json};

use crate::service::{Answer, Service};

pub const PASSWORD: &str = "湖边的鸭子晚上不睡觉";

/// A service that asks everybody who they are.
pub async fn start(dir: &Path) -> Service {
    Service::start_with(dir, embedded(), Clock::System, |s| s.access.open = false).await
}

/// A browser: its cookies, and the token that its pages show.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    pub cookies: Vec<(String, String)>,
}

impl Browser {
    pub fn with(pairs: &[(&str, &str)]) -> Self {
        Self { cookies: pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect() }
    }

    fn jar(&self) -> String {
        self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ")
    }

    /// Sends with the cookies and the token that belongs to them.
    pub async fn send(&mut self, service: &Service, method: &str, target: &str, body: &Value) -> Answer {
        let asked = service.send("GET", "/api/v1/session", &[("cookie", &self.jar())], b"").await;
        let csrf = asked.json()["csrf"].as_str().unwrap_or_default().to_owned();
        self.send_with(service, method, target, body, &[("x-csrf-token", &csrf)]).await
    }

    pub async fn send_with(
        &mut self,
        service: &Service,
        method: &str,
        target: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let jar = self.jar();
        let mut all = vec![("cookie", jar.as_str()), ("content-type", "application/json")];
        all.extend(headers);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = service.send(method, target, &all, body.as_bytes()).await;
        for line in answer.headers_of("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-") && attributes.contains("Secure"), "{line}");
            assert!(attributes.contains("HttpOnly") && attributes.contains("Path=/"), "{line}");
            self.cookies.retain(|(n, _)| n != name);
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub async fn get(&mut self, service: &Service, target: &str) -> Answer {
        self.send_with(service, "GET", target, &Value::Null, &[]).await
    }
}

/// The code that an authenticator app shows so many steps from now.
pub fn code_of(totp: &[u8], steps: i64) -> String {
    let now = u64::try_from(Clock::System.now().as_second() + 30 * steps).unwrap();
    totp_rs::Builder::new().with_secret(totp.to_vec()).build_noncompliant().generate(now).to_string()
}

/// Adds a person with a login, a password, and the second factor where the role needs it.
pub async fn add(service: &Service, name: &str, role: Role, unit: Option<&str>) -> (String, Vec<u8>) {
    let login = Some(format!("{name}.{}", role.as_str()));
    let body = AccountBody { name: name.into(), role, unit: unit.map(str::to_owned), login, disabled: false };
    let store = &service.app.store;
    let id = store.add_account(body, "shell".into()).await.unwrap().id;
    let phc = secret::hash(PASSWORD).unwrap();
    store.set_secret(id.clone(), Secret::Password(phc), "shell".into()).await.unwrap();
    let totp = secret::new_totp().unwrap();
    if role.needs_totp() {
        store
            .set_secret(id.clone(), Secret::Totp(Factor { secret: totp.clone(), used: 0 }), "shell".into())
            .await
            .unwrap();
    }
    (id, totp)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_comes_by_a_link_that_works_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let mut browser = Browser::default();
    // Until then nothing is shown but the page that asks for the link.
    let page = browser.get(&service, "/").await;
    assert_eq!((page.status, page.header("location")), (303, Some("/join")));
    let code = service
        .app
        .store
        .add_invite(Purpose::Setup, None, None, jijia::web::LINK_LIFETIME, "shell")
        .await
        .unwrap();
    let look = json!({"code": code});
    let invite = browser.send(&service, "POST", "/api/v1/invites/look", &look).await.json();
    assert_eq!((&invite["purpose"], &invite["totp"]), (&json!("setup"), &json!(true)));
    assert!(invite["totp_svg"].as_str().unwrap().starts_with("<svg"));
    let totp = secret::read_totp(invite["totp_text"].as_str().unwrap()).unwrap();
    let use_it = |more: Value| {
        let mut body = json!({"code": code, "name": "王敏", "login": "wang.min", "password": PASSWORD,
            "totp_code": code_of(&totp, 0)});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, field) in [
        (json!({"password": "jijia2026"}), "password"),
        (json!({"password": "吉家湖吉家湖吉家湖"}), "password"),
        (json!({"totp_code": "000000"}), "totp_code"),
        (json!({"totp_code": ""}), "totp_code"),
        (json!({"login": "Wang Min"}), "login"),
        (json!({"name": " "}), "name"),
    ] {
        let answer = browser.send(&service, "POST", "/api/v1/invites/use", &use_it(more)).await;
        answer.problem(422, field);
    }
    let made = browser.send(&service, "POST", "/api/v1/invites/use", &use_it(json!({}))).await.created();
    assert_eq!((&made["state"], &made["person"]["name"]), (&json!("in"), &json!("王敏")));
    assert_eq!(browser.get(&service, "/").await.status, 200);
    assert_eq!(browser.get(&service, "/people").await.status, 200);
    let again = Browser::default().send(&service, "POST", "/api/v1/invites/use", &use_it(json!({}))).await;
    again.problem(404, "");
    // A second setup link makes no second first administrator.
    let lifetime = jijia::web::LINK_LIFETIME;
    let other = service.app.store.add_invite(Purpose::Setup, None, None, lifetime, "shell").await.unwrap();
    let look = json!({"code": other});
    let invite = browser.send(&service, "POST", "/api/v1/invites/look", &look).await.json();
    let totp = secret::read_totp(invite["totp_text"].as_str().unwrap()).unwrap();
    let body = use_it(json!({"code": other, "login": "other", "totp_code": code_of(&totp, 0)}));
    browser.send(&service, "POST", "/api/v1/invites/use", &body).await.problem(409, "");
}

async fn sign_in(
    service: &Service,
    browser: &mut Browser,
    login: &str,
    password: &str,
    code: &str,
) -> Answer {
    let body = json!({"login": login, "password": password, "code": code});
    browser.send_with(service, "POST", "/api/v1/session", &body, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_needs_both_factors_and_a_code_works_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (id, totp) = add(&service, "li", Role::Supervisor, None).await;
    let login = "li.supervisor";
    let mut browser = Browser::default();
    let right = code_of(&totp, 0);
    let mut said = Vec::new();
    // One try a second: the test waits for its turn as the answer says.
    for (login, password, code) in
        [(login, PASSWORD, "000000"), (login, "wrong words here", right.as_str()), ("nobody", PASSWORD, "")]
    {
        let answer = loop {
            let answer = sign_in(&service, &mut browser, login, password, code).await;
            if answer.status != 429 {
                break answer;
            }
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
        };
        said.push(answer.problem(401, "")["detail"].clone());
    }
    assert!(said.iter().all(|s| *s == said[0]), "whatever was wrong, the answer is the same: {said:?}");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let inside = sign_in(&service, &mut browser, login, PASSWORD, &right).await;
    assert_eq!(inside.status, 200, "{}", inside.text());
    assert_eq!(inside.json()["person"]["id"], id);
    assert_eq!(browser.get(&service, "/timeline").await.status, 200);
    // The same code from another browser, at once: known or not, it was used.
    let mut other = Browser { cookies: browser.cookies.clone() };
    let used = sign_in(&service, &mut other, login, PASSWORD, &right).await;
    used.problem(401, "");
    let next = sign_in(&service, &mut other, login, PASSWORD, &code_of(&totp, 1)).await;
    assert_eq!(next.status, 200, "a known browser waits for its turn: {}", next.text());
    assert_ne!(other.cookies, browser.cookies, "a new session has a new token");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_second_factor_the_password_leads_to_a_link_and_no_further() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let body = AccountBody {
        name: "admin".into(),
        role: Role::Admin,
        unit: None,
        login: Some("admin".into()),
        disabled: false,
    };
    service.app.store.add_first_admin(body, secret::hash(PASSWORD).unwrap()).await.unwrap();
    let mut browser = Browser::default();
    let answer = sign_in(&service, &mut browser, "admin", PASSWORD, "").await;
    answer.problem(401, "");
    let code = answer.header("location").unwrap().strip_prefix("/join#").unwrap().to_owned();
    assert_eq!(browser.get(&service, "/people").await.status, 303, "nobody is in");
    let invite = browser.send(&service, "POST", "/api/v1/invites/look", &json!({"code": code})).await.json();
    assert_eq!((&invite["purpose"], &invite["password"]), (&json!("totp"), &json!(false)));
    let totp = secret::read_totp(invite["totp_text"].as_str().unwrap()).unwrap();
    let body = json!({"code": code, "totp_code": code_of(&totp, 0)});
    browser.send(&service, "POST", "/api/v1/invites/use", &body).await.created();
    assert_eq!(browser.get(&service, "/people").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_or_gets_another_role_is_out_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "wang", Role::Admin, None).await;
    let (id, _) = add(&service, "li", Role::Supervisor, None).await;
    let limits = service.app.settings.access.session;
    let store = &service.app.store;
    let session = async |id: &str| {
        let token = store.add_session(id.to_owned(), None, limits).await.unwrap();
        Browser::with(&[("__Host-jijia-session", &token)])
    };
    let (mut boss, mut li, mut li_2) = (session(&admin).await, session(&id).await, session(&id).await);
    let body = |role: &str, disabled: bool| json!({"name": "李建国", "role": role, "login": "li.jianguo", "disabled": disabled});
    let path = format!("/api/v1/people/{id}");
    assert_eq!(li.get(&service, "/").await.status, 200);
    assert_eq!(boss.send(&service, "PUT", &path, &body("supervisor", true)).await.status, 200);
    for browser in [&mut li, &mut li_2] {
        assert_eq!(browser.get(&service, "/").await.status, 303);
        browser.get(&service, "/api/v1/timeline").await.problem(401, "");
    }
    assert_eq!(boss.send(&service, "PUT", &path, &body("supervisor", false)).await.status, 200);
    assert_eq!(li.get(&service, "/").await.status, 303, "and stays out");
    let mut li = session(&id).await;
    assert_eq!(boss.send(&service, "PUT", &path, &body("viewer", false)).await.status, 200);
    assert_eq!(li.get(&service, "/").await.status, 303);
    // The last administrator stays.
    let own = json!({"name": "王敏", "role": "viewer", "login": "wang"});
    boss.send(&service, "PUT", &format!("/api/v1/people/{admin}"), &own).await.problem(409, "");
    assert_eq!(boss.get(&service, "/people").await.status, 200);
    let mut second = session(&admin).await;
    // By hand, whoever is disabled or not.
    let path = format!("/api/v1/people/{admin}/sessions");
    assert_eq!(boss.send(&service, "DELETE", &path, &Value::Null).await.status, 204);
    assert_eq!(second.get(&service, "/people").await.status, 303, "signed out everywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_when_they_are_not_used_and_at_the_latest_after_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let (id, tokens) = {
        let service = start(dir.path()).await;
        let (id, _) = add(&service, "li", Role::Viewer, None).await;
        let limits = service.app.settings.access.session;
        let token = service.app.store.add_session(id.clone(), None, limits).await.unwrap();
        service.stop().await;
        (id, token)
    };
    let with = async |idle: u64, absolute: u64| {
        Service::start_with(dir.path(), embedded(), Clock::System, move |s| {
            s.access.open = false;
            s.access.session.idle = std::time::Duration::from_secs(idle);
            s.access.session.absolute = std::time::Duration::from_secs(absolute);
        })
        .await
    };
    let mut browser = Browser::with(&[("__Host-jijia-session", &tokens)]);
    for (idle, absolute, status) in [(3600, 3600, 200), (0, 3600, 303), (3600, 0, 303), (3600, 3600, 200)] {
        let service = with(idle, absolute).await;
        assert_eq!(browser.get(&service, "/timeline").await.status, status, "{id} {idle} {absolute}");
        service.stop().await;
    }
}

/// What the office gave opens nothing but the choice of one's own, and who gave it is told.
async fn choose_a_pin(service: &Service, phone: &mut Browser, person: &str) {
    let pin = json!({"person": person, "pin": "1357"});
    phone.send(service, "POST", "/api/v1/session", &pin).await.problem(422, "new_pin");
    assert_eq!(phone.get(service, "/api/v1/session").await.json()["state"], "out");
    let choose = |new: &str| json!({"person": person, "pin": "1357", "new_pin": new});
    for bad in ["1357", "1111", "2345", "12", "abcd", ""] {
        phone.send(service, "POST", "/api/v1/session", &choose(bad)).await.problem(422, "new_pin");
    }
    let inside = phone.send(service, "POST", "/api/v1/session", &choose("2580")).await;
    let told = inside.json()["notices"].clone();
    assert_eq!(
        (&told[0]["what"], &told[0]["by"], &told[0]["new"]),
        (&json!("pin"), &json!("wang"), &json!(true))
    );
    let known = json!({"entry": told[0]["entry"]});
    assert_eq!(phone.send(service, "POST", "/api/v1/session/notices", &known).await.status, 204);
    assert_eq!(phone.get(service, "/api/v1/session").await.json()["notices"], json!([]));
    let kept = phone.get(service, "/api/v1/session/notices").await.json();
    assert_eq!((&kept[0]["entry"], &kept[0]["new"]), (&told[0]["entry"], &json!(false)));
    // An index that no entry has is that of the newest.
    let all = json!({"entry": u64::MAX});
    assert_eq!(phone.send(service, "POST", "/api/v1/session/notices", &all).await.status, 204);
    assert_eq!(phone.send(service, "DELETE", "/api/v1/session", &Value::Null).await.status, 204);
    // The one that the office knows opens nothing any more.
    phone.send(service, "POST", "/api/v1/session", &pin).await.problem(401, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_phone_is_enrolled_once_and_people_come_by_pin() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "wang", Role::Admin, None).await;
    let store = &service.app.store;
    let token = store.add_session(admin, None, service.app.settings.access.session).await.unwrap();
    let mut boss = Browser::with(&[("__Host-jijia-session", &token)]);
    let mut people = Vec::new();
    for (name, pin) in [("李建国", "1357"), ("张秀英", "8642")] {
        let body = json!({"name": name, "role": "patrol"});
        let id = boss.send(&service, "POST", "/api/v1/people", &body).await.created()["id"].clone();
        let id = id.as_str().unwrap().to_owned();
        let path = format!("/api/v1/people/{id}/pin");
        boss.send(&service, "PUT", &path, &json!({"pin": "1234"})).await.problem(422, "pin");
        assert_eq!(boss.send(&service, "PUT", &path, &json!({"pin": pin})).await.status, 204);
        people.push(id);
    }
    let link = boss.send(&service, "POST", "/api/v1/phones", &json!({"name": "1号手机"})).await.created();
    let code = link["href"].as_str().unwrap().split_once("/m#enrol=").unwrap().1.to_owned();
    let mut phone = Browser::default();
    let pin = |person: &str, pin: &str| json!({"person": person, "pin": pin});
    phone.send(&service, "POST", "/api/v1/session", &pin(&people[0], "1357")).await.problem(401, "");
    let enrolled = phone.send(&service, "POST", "/api/v1/device", &json!({"code": code})).await.created();
    assert_eq!(enrolled["device"]["people"][1]["name"], "张秀英");
    assert_eq!((&enrolled["state"], &enrolled["device"]["name"]), (&json!("out"), &json!("1号手机")));
    Browser::default()
        .send(&service, "POST", "/api/v1/device", &json!({"code": code}))
        .await
        .problem(404, "");
    let wrong = phone.send(&service, "POST", "/api/v1/session", &pin(&people[0], "9999")).await;
    wrong.problem(401, "");
    choose_a_pin(&service, &mut phone, &people[0]).await;
    let inside = phone.send(&service, "POST", "/api/v1/session", &pin(&people[0], "2580")).await;
    assert_eq!(
        (inside.status, &inside.json()["person"]["id"]),
        (200, &json!(people[0])),
        "{}",
        inside.text()
    );
    // Whoever is signed in: what lies on the phone goes out under the name of who saw it.
    let report = |n: u32, person: &str| {
        let mut body = crate::service::report(n);
        body["person"] = json!({"id": person});
        body
    };
    phone.send(&service, "POST", "/api/v1/reports", &report(1, &people[1])).await.created();
    assert_eq!(phone.send(&service, "DELETE", "/api/v1/session", &Value::Null).await.status, 204);
    phone.send(&service, "POST", "/api/v1/reports", &report(2, &people[0])).await.created();
    phone.send(&service, "POST", "/api/v1/reports", &report(3, "p-99")).await.problem(422, "person.id");
    // A lost phone is shut out at once.
    let revoked = boss.send(&service, "DELETE", "/api/v1/machines/phone-1", &Value::Null).await;
    assert_eq!(revoked.status, 204);
    phone.send(&service, "POST", "/api/v1/reports", &report(4, &people[0])).await.problem(401, "");
    // The log says who sent them.
    let by: Vec<Value> = entries(dir.path()).into_iter().filter(|e| e["type"] == "report").collect();
    assert_eq!((&by[0]["by"], &by[0]["person"]), (&json!(people[0]), &json!(people[1])));
    assert_eq!((&by[1]["by"], &by[1]["person"]), (&json!("phone-1"), &json!(people[0])));
}

/// Every entry of the log in `dir`, with what it commits to beside what it says.
pub fn entries(dir: &Path) -> Vec<Value> {
    let conn = rusqlite::Connection::open(dir.join("jijia.db")).unwrap();
    let mut all = conn.prepare("select body from entry order by idx").unwrap();
    let rows = all.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let mut all: Vec<Value> = rows.map(|body| serde_json::from_slice(&body.unwrap()).unwrap()).collect();
    let mut kept = conn.prepare("select entry, name, body from payload").unwrap();
    let rows =
        kept.query_map([], |r| Ok((r.get::<_, usize>(0)?, r.get::<_, String>(1)?, r.get::<_, Vec<u8>>(2)?)));
    for (entry, name, body) in rows.unwrap().map(Result::unwrap) {
        all[entry][name] = String::from_utf8_lossy(&body).into();
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_people_and_who_looks_at_originals_and_names_is_in_the_log_without_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (admin, _) = add(&service, "wang", Role::Admin, None).await;
    let token = service.app.store.add_session(admin.clone(), None, service.app.settings.access.session).await;
    let mut boss = Browser::with(&[("__Host-jijia-session", &token.unwrap())]);
    let body = json!({"name": "李建国", "role": "unit", "unit": "CT", "login": "li.jianguo"});
    let id = boss.send(&service, "POST", "/api/v1/people", &body).await.created()["id"].clone();
    let photo = crate::service::jpeg(1);
    let sha = crate::service::sha256_of(&photo);
    let csrf = boss.get(&service, "/api/v1/session").await.json()["csrf"].as_str().unwrap().to_owned();
    let jar = format!("__Host-jijia-session={}", boss.cookies[0].1);
    let headers = [("cookie", jar.as_str()), ("x-csrf-token", csrf.as_str())];
    service.send("PUT", &format!("/api/v1/photos/{sha}"), &headers, &photo).await.created();
    assert_eq!(boss.get(&service, &format!("/api/v1/photos/{sha}")).await.body, photo);
    let name = boss.get(&service, &format!("/api/v1/people/{}/name", id.as_str().unwrap())).await.json();
    assert_eq!(name["name"], "李建国");
    assert_eq!(boss.get(&service, "/api/v1/timeline.csv").await.status, 200);
    let all = entries(dir.path());
    let last: Vec<&Value> = all.iter().rev().take(3).rev().collect();
    assert_eq!(
        (&last[0]["type"], &last[0]["what"], &last[0]["by"], &last[0]["of"]),
        (&json!("access"), &json!("original"), &json!(admin), &json!(sha))
    );
    assert_eq!((&last[1]["what"], &last[1]["of"]), (&json!("name"), &id));
    assert_eq!((&last[2]["type"], &last[2]["by"]), (&json!("export"), &json!(admin)));
    let added = all.iter().find(|e| e["type"] == "account" && e["account"] == id).unwrap();
    assert_eq!(
        (&added["change"], &added["role"], &added["unit"]),
        (&json!("added"), &json!("unit"), &json!("CT"))
    );
    let conn = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let leaves = "select group_concat(cast(body as text)) from entry";
    let text: String = conn.query_row(leaves, [], |r| r.get(0)).unwrap();
    // Neither a name nor whose id it is.
    for word in ["李建国", "li.jianguo", "\"CT\"", id.as_str().unwrap(), admin.as_str()] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

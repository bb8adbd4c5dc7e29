//! What every answer carries, and what other sites can make a browser do.

use std::time::Duration;

use jijia::clock::Clock;
use jijia::lake::load::embedded;
use jijia::people::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::people::{Browser, PASSWORD, add, start};
use crate::people_doors::{browser, target};
use crate::service::{Answer, Service, jpeg, request, sha256_of};

/// Checks the headers of an answer, which is over https or not.
#[track_caller]
fn carries_all(answer: &Answer, https: bool, what: &str) {
    let header = |name| answer.header(name).unwrap_or_else(|| panic!("{what}: no {name}"));
    let policy = header("content-security-policy");
    for directive in ["default-src '", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(directive), "{what}: {policy}");
    }
    assert!(!policy.contains("script-src") && !policy.contains("unsafe-eval"), "{what}: {policy}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header("referrer-policy"), "same-origin", "{what}");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{what}");
    assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{what}");
    assert!(!header("cache-control").is_empty(), "{what}");
    let page = answer.header("content-type").is_some_and(|t| t.starts_with("text/html"));
    let app = policy.contains("default-src 'self'");
    assert!(app || policy.contains("sandbox"), "{what}: what is no page of ours may do nothing");
    assert!(!page || app, "{what}: a page loads its own files");
    let stay = answer.header("strict-transport-security");
    assert_eq!(stay, https.then_some("max-age=31536000; includeSubDomains"), "{what}");
    assert_eq!(answer.header("access-control-allow-origin"), None, "{what}: nobody else may read");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_what_keeps_browsers_in_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let set = |s: &mut jijia::web::Settings| (s.access.open, s.https) = (false, true);
    let service = Service::start_with(dir.path(), embedded(), Clock::System, set).await;
    let (admin, _) = add(&service, "wang", Role::Admin, None).await;
    let elsewhere = ("origin", "https://evil.example");
    let mut seen = 0;
    for door in jijia::web::table(service.app.clone()) {
        let (target, mut boss) = (target(&door), browser(&service, &admin).await);
        let what = format!("{} {target}", door.method);
        let inside = boss.send(&service, door.method, &target, &Value::Null).await;
        carries_all(&inside, true, &what);
        let outside = service.send(door.method, &target, &[elsewhere], b"").await;
        carries_all(&outside, true, &format!("{what} from elsewhere: {}", outside.status));
        seen += 2;
    }
    assert!(seen > 100);
    for (method, target) in [
        ("GET", "/nowhere"),
        ("GET", "/api/v1/nowhere"),
        ("PATCH", "/api/v1/reports"),
        ("GET", "/api/v1/reports/%FF"),
        ("GET", "/api/docs/"),
        ("GET", "/api/openapi.json"),
        ("GET", "/assets/nothing.js"),
        ("OPTIONS", "/api/v1/reports"),
    ] {
        carries_all(&service.send(method, target, &[elsewhere], b"").await, true, target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_address_beside_https_carries_them_too() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let sending_on =
        tokio::spawn(jijia::web::send_on(listener, 443, service.app.clone(), std::future::pending()));
    for (target, status) in [("/m?x=1", 307), ("/trust", 200), ("/assets/style.css", 200)] {
        let mut line = TcpStream::connect(at).await.unwrap();
        line.write_all(&request("GET", target, &[], b"")).await.unwrap();
        let mut received = Vec::new();
        tokio::time::timeout(Duration::from_secs(60), line.read_to_end(&mut received))
            .await
            .unwrap()
            .unwrap();
        let answer = Answer::read(&received).unwrap();
        assert_eq!(answer.status, status, "{target}");
        // A browser would not believe it over plain HTTP.
        carries_all(&answer, false, target);
    }
    sending_on.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_s_page_can_lead_to_a_page_and_make_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (li, _) = add(&service, "li", Role::Supervisor, None).await;
    let mut li = browser(&service, &li).await;
    let photo = jpeg(1);
    let token = li.get(&service, "/api/v1/session").await.json()["csrf"].as_str().unwrap().to_owned();
    let jar = format!("__Host-jijia-session={}", li.cookies[0].1);
    let headers = [("cookie", jar.as_str()), ("x-csrf-token", token.as_str())];
    let original = format!("/api/v1/photos/{}", sha256_of(&photo));
    service.send("PUT", &original, &headers, &photo).await.created();
    let size = service.log_size().await;
    for site in ["cross-site", "same-site"] {
        let from = [("sec-fetch-site", site)];
        for path in ["/api/v1/timeline.csv", "/api/v1/timeline", "/api/v1/compliance.csv", &original] {
            li.send_with(&service, "GET", path, &Value::Null, &from).await.problem(403, "");
        }
        assert_eq!(
            li.send_with(&service, "GET", "/timeline", &Value::Null, &from).await.status,
            200,
            "a link"
        );
        // Not even with the token of the page.
        let with = [from[0], ("x-csrf-token", token.as_str())];
        li.send_with(&service, "DELETE", "/api/v1/session", &Value::Null, &with).await.problem(403, "");
        let body = json!({"login": "li.supervisor", "password": PASSWORD});
        li.send_with(&service, "POST", "/api/v1/session", &body, &from).await.problem(403, "");
    }
    assert_eq!(service.log_size().await, size, "and no entry was made");
    for site in ["same-origin", "none"] {
        let from = [("sec-fetch-site", site)];
        assert_eq!(li.send_with(&service, "GET", &original, &Value::Null, &from).await.body, photo);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_leads_to_a_page_of_this_service_and_to_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    add(&service, "zhao", Role::Viewer, None).await;
    for (next, to) in [
        ("/timeline?kind=other", "/timeline?kind=other"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ] {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (password, next_field) = (encoded(PASSWORD), encoded(next));
        let form = format!("login=zhao.viewer&password={password}&code=&next={next_field}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = loop {
            let answer = service.send("POST", "/login", &headers, form.as_bytes()).await;
            if answer.status != 429 {
                break answer;
            }
            // One try a second.
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert_eq!((answer.status, answer.header("location")), (303, Some(to)), "{next:?}");
    }
}

/// Each cookie for this host alone, for https, for no script, and not for what other sites send.
#[tokio::test(flavor = "multi_thread")]
async fn every_cookie_is_bound_to_this_host() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (li, _) = add(&service, "zhao", Role::Viewer, None).await;
    let link = service.app.store.add_invite(
        jijia::store::people::Purpose::Phone,
        Some(li),
        Some("1号手机".into()),
        jijia::web::LINK_LIFETIME,
        "shell",
    );
    let code = link.await.unwrap();
    let mut names = Vec::new();
    let enrol = json!({ "code": code });
    let sign_in = json!({"login": "zhao.viewer", "password": PASSWORD});
    for (method, target, body) in [
        ("GET", "/login?lang=en", &Value::Null),
        ("POST", "/api/v1/session", &sign_in),
        ("POST", "/api/v1/device", &enrol),
    ] {
        let answer = Browser::default().send_with(&service, method, target, body, &[]).await;
        for cookie in answer.headers_of("set-cookie") {
            for word in ["__Host-jijia-", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
                assert!(cookie.contains(word), "{target}: {cookie}");
            }
            assert!(!cookie.contains("Domain"), "{cookie}");
            let (name, rest) = cookie.split_once('=').unwrap();
            names.push(name.to_owned());
            // The token itself is told by this header alone.
            let value = rest.split(';').next().unwrap();
            assert!(value.len() < 10 || !answer.text().contains(value), "{name} in the body of {target}");
        }
    }
    names.sort();
    let all = ["known", "lang", "phone", "session"].map(|n| format!("__Host-jijia-{n}"));
    assert_eq!(names, all);
}

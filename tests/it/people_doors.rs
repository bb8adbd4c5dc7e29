//! Every role at every door, and the things of others.

use jijia::people::{Reach, Role, Rule};
use jijia::web::Door;
use serde_json::{Value, json};

use crate::people::{Browser, add, start};
use crate::service::{Service, id, jpeg, report, sha256_of, voice, with};

/// An address of the door with every name filled.
pub fn target(door: &Door) -> String {
    let sha256 = "ab".repeat(32);
    door.path
        .replace("{sha256}", &sha256)
        .replace("{*name}", "style.css")
        .replace("{*path}", "0/000")
        .replace("{id}", &id(1).to_string())
        .replace("{index}", "0")
}

pub async fn browser(service: &Service, account: &str) -> Browser {
    let limits = service.app.settings.access.session;
    let token = service.app.store.add_session(account.to_owned(), None, limits).await.unwrap();
    Browser::with(&[("__Host-jijia-session", &token)])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_passes_the_doors_of_the_table_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let mut accounts = Vec::new();
    for role in Role::ALL {
        let unit = (role == Role::Unit).then_some("CT");
        accounts.push((role, add(&service, "who", role, unit).await.0));
    }
    let table = jijia::web::table(service.app.clone());
    let (mut pairs, mut shut) = (0, 0);
    for door in &table {
        let target = target(door);
        let what = format!("{} {target}", door.method);
        let page = !["/api/", "/log/"].iter().any(|p| door.path.starts_with(p));
        let nobody = Browser::default().send_with(&service, door.method, &target, &Value::Null, &[]).await;
        if door.rule != Rule::Public {
            assert_eq!(nobody.status, if page { 303 } else { 401 }, "{what} by nobody");
        }
        for (role, account) in &accounts {
            // A session of its own: some doors end it.
            let mut browser = browser(&service, account).await;
            let answer = browser.send(&service, door.method, &target, &Value::Null).await;
            let what = format!("{what} by {}: {}", role.as_str(), answer.status);
            pairs += 1;
            if door.rule.reach(*role) == Reach::No {
                assert_eq!(answer.status, 403, "{what}");
                shut += 1;
            } else {
                assert!(![401, 403, 500].contains(&answer.status), "{what}");
            }
            if door.rule != Rule::Public && door.method != "GET" && door.method != "HEAD" {
                let mut forged = self::browser(&service, account).await;
                let answer = forged.send_with(&service, door.method, &target, &Value::Null, &[]).await;
                assert_eq!(answer.status, 403, "without the token of the page: {what}");
            }
        }
    }
    println!("doors: {} with {pairs} pairs of role and route, {shut} of them shut", table.len());
    assert!(table.len() > 50 && shut > 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_hears_whether_it_is_ready_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let said = async |browser: &mut Browser| {
        browser.send(&service, "GET", "/readyz", &Value::Null).await.json().as_object().unwrap().len()
    };
    assert_eq!(said(&mut Browser::default()).await, 1);
    for (role, all) in
        [(Role::Viewer, false), (Role::Patrol, false), (Role::Supervisor, true), (Role::Admin, true)]
    {
        let account = add(&service, "who", role, None).await.0;
        assert_eq!(said(&mut browser(&service, &account).await).await > 1, all, "{}", role.as_str());
    }
}

/// What is behind each of two units' outfalls, and between persons.
#[tokio::test(flavor = "multi_thread")]
async fn things_of_others_are_as_if_there_were_none() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let place = service.app.place.clone();
    let of =
        |unit: &str| place.outfalls.iter().find(|o| o.unit.as_deref() == Some(unit)).unwrap().code.clone();
    let units: Vec<String> = place.units.iter().map(|u| u.code.clone()).collect();
    let with_outfall: Vec<&String> =
        units.iter().filter(|u| place.outfalls.iter().any(|o| o.unit.as_ref() == Some(u))).collect();
    let (one, two) = (with_outfall[0].clone(), with_outfall[1].clone());
    let (boss, _) = add(&service, "boss", Role::Supervisor, None).await;
    let mut boss = browser(&service, &boss).await;
    let photos = [jpeg(1), jpeg(2)];
    for (n, (unit, photo)) in [&one, &two].into_iter().zip(&photos).enumerate() {
        let csrf = boss.get(&service, "/api/v1/session").await.json()["csrf"].as_str().unwrap().to_owned();
        let jar = format!("__Host-jijia-session={}", boss.cookies[0].1);
        let headers = [("cookie", jar.as_str()), ("x-csrf-token", csrf.as_str())];
        let path = format!("/api/v1/photos/{}", sha256_of(photo));
        service.send("PUT", &path, &headers, photo).await.created();
        let number = u32::try_from(n).unwrap() + 1;
        let spoken = voice(u16::try_from(number).unwrap());
        let path = format!("/api/v1/voices/{}", sha256_of(&spoken));
        service.send("PUT", &path, &headers, &spoken).await.created();
        let body = with(report(number), "/photos", json!([sha256_of(photo)]));
        let body = with(body, "/voice", json!(sha256_of(&spoken)));
        let mut body = with(body, "/outfall", json!(of(unit)));
        body["person"] = json!({"id": boss_id(&mut boss, &service).await});
        boss.send(&service, "POST", "/api/v1/reports", &body).await.created();
    }
    let (unit_one, _) = add(&service, "one", Role::Unit, Some(&one)).await;
    let mut unit_one = browser(&service, &unit_one).await;
    let (own, foreign) = (id(1), id(2));
    for (path, status) in [
        (format!("/api/v1/reports/{own}"), 200),
        (format!("/api/v1/reports/{foreign}"), 404),
        (format!("/reports/{own}"), 200),
        (format!("/reports/{foreign}"), 404),
        (format!("/api/v1/photos/{}/preview", sha256_of(&photos[0])), 200),
        (format!("/api/v1/photos/{}/preview", sha256_of(&photos[1])), 404),
        // Originals by a supervisor's decision only: tests/attack/rights.rs.
        (format!("/api/v1/photos/{}", sha256_of(&photos[0])), 404),
        (format!("/api/v1/photos/{}", sha256_of(&photos[1])), 404),
        (format!("/api/v1/voices/{}", sha256_of(&voice(1))), 404),
        (format!("/api/v1/voices/{}", sha256_of(&voice(2))), 404),
        (format!("/api/v1/timeline?unit={one}"), 200),
        (format!("/api/v1/timeline?unit={two}"), 403),
        (format!("/timeline?unit={two}"), 403),
        (format!("/api/v1/timeline.csv?unit={two}"), 403),
        // Not the overview of the whole lake: on to the timeline, which is narrowed.
        ("/".to_owned(), 303),
    ] {
        assert_eq!(unit_one.get(&service, &path).await.status, status, "{path}");
    }
    let bundle = unit_one.send(&service, "POST", &format!("/api/v1/bundles?unit={two}"), &Value::Null).await;
    assert_eq!(bundle.status, 403);
    for path in ["/api/v1/timeline", "/api/v1/timeline.csv", "/timeline"] {
        let page = unit_one.get(&service, path).await;
        assert_eq!(page.status, 200);
        let text = page.text();
        assert!(!text.contains(&foreign.to_string()), "{path} shows another unit's report");
        assert!(!text.contains(&sha256_of(&photos[1])), "{path} shows another unit's photo");
        assert!(text.contains(&sha256_of(&photos[0])[..8]) || text.contains(&own.to_string()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patrol_person_sees_and_corrects_what_the_same_person_saw() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (other, _) = add(&service, "zhang", Role::Patrol, None).await;
    let mut body = report(1);
    body["person"] = json!({"id": other});
    browser(&service, &other).await.send(&service, "POST", "/api/v1/reports", &body).await.created();
    let (li, _) = add(&service, "li", Role::Patrol, None).await;
    let mut patrol = browser(&service, &li).await;
    let mut body = report(3);
    body["person"] = json!({"id": li});
    patrol.send(&service, "POST", "/api/v1/reports", &body).await.created();
    body["id"] = json!(id(4));
    body["person"] = json!({"id": "p-01"});
    patrol.send(&service, "POST", "/api/v1/reports", &body).await.problem(422, "person.id");
    assert_eq!(patrol.get(&service, &format!("/api/v1/reports/{}", id(3))).await.status, 200);
    patrol.get(&service, &format!("/api/v1/reports/{}", id(1))).await.problem(404, "");
    let withdraw = json!({"id": id(9), "action": "withdraw", "reason": "看错了", "person": {"id": li}});
    let path = |n| format!("/api/v1/reports/{}/corrections", id(n));
    patrol.send(&service, "POST", &path(1), &withdraw).await.problem(404, "");
    patrol.send(&service, "POST", &path(3), &withdraw).await.created();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_is_drawn_for_those_who_judge_it_and_its_gap_stays_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (person, _) = add(&service, "li", Role::Patrol, None).await;
    let now = service.app.store.clock().now();
    let at = |minutes: i64| (now - jiff::SignedDuration::from_mins(60 - minutes)).to_string();
    let point = |minutes, lng: f64| json!({"at": at(minutes), "position": {"lng": lng, "lat": 29.4, "crs": "wgs84", "accuracy_m": 6}});
    let track = [point(1, 113.112), point(2, 113.1121), point(9, 113.1123), point(10, 113.1124)];
    let patrol = json!({"id": id(7), "person": {"id": person}, "started_at": at(0), "ended_at": at(20),
        "sectors": ["JJH-AD-01"], "track": track});
    browser(&service, &person).await.send(&service, "POST", "/api/v1/patrols", &patrol).await.created();
    for (role, sees) in [(Role::Supervisor, true), (Role::Liaison, true), (Role::Viewer, false)] {
        let (account, _) = add(&service, "who", role, None).await;
        let page =
            browser(&service, &account).await.get(&service, &format!("/timeline?patrol={}", id(7))).await;
        assert_eq!(page.status, 200);
        let pieces = page.text().matches("stroke=\"#7a4a86\" stroke-width=\"2\" stroke-linejoin").count();
        assert_eq!(pieces, if sees { 2 } else { 0 }, "{}", role.as_str());
    }
}

async fn boss_id(boss: &mut Browser, service: &Service) -> String {
    boss.get(service, "/api/v1/session").await.json()["person"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_read_and_fields_set_by_those_they_are_for() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let name = "欧阳慕白";
    let (person, _) = add(&service, name, Role::Patrol, None).await;
    let (admin, _) = add(&service, "boss", Role::Admin, None).await;
    let mut boss = browser(&service, &admin).await;
    let mut patrol = browser(&service, &person).await;
    let body = with(report(1), "/person/id", json!(person));
    patrol.send(&service, "POST", "/api/v1/reports", &body).await.created();
    let size = service.log_size().await;
    let paths =
        ["/api/v1/timeline".to_owned(), format!("/api/v1/reports/{}", id(1)), format!("/reports/{}", id(1))];
    for role in Role::ALL {
        let unit = (role == Role::Unit).then_some("CT");
        let (account, _) = add(&service, "who", role, unit).await;
        let mut who = browser(&service, &account).await;
        let asked = who.get(&service, &format!("/api/v1/people/{person}/name")).await;
        let may = matches!(role, Role::Supervisor | Role::Admin);
        assert_eq!(asked.status, if may { 200 } else { 403 }, "{}", role.as_str());
        assert_eq!(asked.text().contains(name), may, "{}", role.as_str());
        for path in &paths {
            let shown = who.get(&service, path).await;
            assert!(!shown.text().contains(name), "{path} tells {} the name", role.as_str());
        }
    }
    let looks = crate::people::entries(dir.path());
    let looks = looks.iter().filter(|e| e["type"] == "access" && e["what"] == "name").count();
    assert_eq!(looks, 2, "each look is an entry");
    assert!(service.log_size().await > size);
    // What is not in a form is not set by it.
    for (field, value) in [("has_totp", json!(true)), ("password", json!("x")), ("id", json!("p-01"))] {
        let mut body = json!({"name": "李建国", "role": "viewer", "login": "li.jianguo"});
        body[field] = value;
        boss.send(&service, "POST", "/api/v1/people", &body).await.problem(422, field);
    }
    for (path, value) in [("/by", json!("p-01")), ("/received_at", json!("2026-01-01T00:00:00Z"))] {
        let body = with(with(report(2), "/person/id", json!(person)), path, value);
        let answer = patrol.send(&service, "POST", "/api/v1/reports", &body).await;
        answer.problem(422, path.trim_start_matches('/'));
    }
}

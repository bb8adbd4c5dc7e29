//! The API's own description, its page, and what the service says of its health.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jijia::clock::Clock;
use jijia::lake::load::embedded;
use jijia::people::Rule;
use jijia::web::Door;
use jijia::web::warnings::clock;
use rusqlite::config::DbConfig;
use serde_json::{Value, json};

use crate::service::{Service, id, report};

async fn start() -> (tempfile::TempDir, Service) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    (dir, service)
}

/// Every operation of the description: method and path.
fn operations(api: &Value) -> Vec<(String, String)> {
    let paths = api["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .keys()
                .map(|method| (method.to_uppercase(), path.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_route_is_answered_by_its_handler() {
    let (_dir, service) = start().await;
    let api = service.get("/api/openapi.json").await.json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1."), "{}", api["openapi"]);
    let all = operations(&api);
    assert!(all.len() >= 15, "{all:?}");
    for (method, path) in &all {
        let address = path.replace("{id}", &id(1)).replace("{sha256}", &"ab".repeat(32));
        let answer = service.send(method, &address, &[], b"").await;
        assert_ne!(answer.status, 405, "{method} {path}");
        // The fallback says the path itself; a handler says which report or photo is not there.
        if answer.status == 404 {
            let detail = answer.json()["detail"].to_string();
            assert!(!detail.contains(&address), "{method} {path}: {detail}");
        }
        let status = answer.status.to_string();
        assert!(
            !api["paths"][path][method.to_lowercase()]["responses"][&status].is_null(),
            "{method} {path}: {status}"
        );
    }
}

/// The table of doors is the one list of routes; what of it is the API's is described.
#[tokio::test(flavor = "multi_thread")]
async fn no_route_stands_outside_the_table_and_none_of_the_api_outside_the_description() {
    let dir = tempfile::tempdir().unwrap();
    let app = Service::start(dir.path()).await.app;
    let described: Value = serde_json::to_value(jijia::web::openapi(app.clone())).unwrap();
    let mut seen = 0;
    for door in jijia::web::table(app) {
        if door.path.starts_with("/api/") {
            seen += 1;
            let operation = &described["paths"][&door.path][door.method.to_lowercase()];
            assert!(operation.is_object(), "{} {} is not described", door.method, door.path);
        }
    }
    assert!(seen > 40, "{seen}");
    for file in std::fs::read_dir("src/web").unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("doors.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]").next().unwrap();
            assert!(!code.contains(".route("), "{}: a route outside the table", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_of_the_description_leads_somewhere() {
    let (_dir, service) = start().await;
    let text = service.get("/api/openapi.json").await.text().to_owned();
    let api: Value = serde_json::from_str(&text).unwrap();
    let refs: Vec<&str> = text.split("\"$ref\":\"#").skip(1).map(|r| r.split('"').next().unwrap()).collect();
    assert!(refs.len() > 20);
    for pointer in refs {
        assert!(api.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_description_loads_whole_from_here() {
    let (_dir, service) = start().await;
    let page = service.get("/api/docs/").await;
    assert_eq!(page.status, 200);
    // Its scripts are its own files; its styles stand inline.
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'; style-src 'self' 'unsafe-inline'"), "{policy}");
    let html = page.text().to_owned();
    let assets: Vec<&str> =
        html.split(['"', '\'']).filter(|p| [".css", ".js", ".png"].iter().any(|e| p.ends_with(e))).collect();
    assert!(assets.len() >= 4, "{html}");
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} would be loaded from elsewhere");
        let file = service.get(&format!("/api/docs/{}", asset.trim_start_matches("./"))).await;
        assert_eq!(file.status, 200, "{asset}");
        assert!(!file.body.is_empty(), "{asset}");
    }
    let initial = service.get("/api/docs/swagger-initializer.js").await;
    assert!(initial.text().contains("/api/openapi.json"), "{}", initial.text());
}

/// `{}` would say "anything": a client cannot be made from it.
#[tokio::test(flavor = "multi_thread")]
async fn every_success_says_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let app = Service::start(dir.path()).await.app;
    let api = serde_json::to_value(jijia::web::openapi(app)).unwrap();
    let says = |schema: &Value| {
        ["$ref", "properties", "allOf", "oneOf", "items"].iter().any(|key| schema.get(key).is_some())
    };
    let mut seen = 0;
    for (method, path) in operations(&api) {
        let responses = &api["paths"][&path][method.to_lowercase()]["responses"];
        for (status, response) in responses.as_object().unwrap().iter().filter(|(s, _)| s.starts_with('2')) {
            if status == "204" || method == "HEAD" {
                continue;
            }
            let content =
                response["content"].as_object().unwrap_or_else(|| panic!("{method} {path} {status}"));
            for (media_type, body) in content {
                let json = media_type == "application/json";
                assert!(!json || says(&body["schema"]), "{method} {path} {status}: {body}");
                seen += 1;
            }
        }
    }
    assert!(seen > 25, "{seen}");
    // All that stands in a timeline, down to the last field that a page shows.
    let schemas = api["components"]["schemas"].as_object().unwrap();
    for name in ["Page", "ReportNow", "Sighting", "PhotoRef", "Gap", "RainDay", "Version", "EvidenceLevel"] {
        assert!(schemas.contains_key(name), "{name}");
    }
}

/// The description as a value, and every operation of it beside its door.
async fn described() -> (Value, Vec<Door>) {
    let dir = tempfile::tempdir().unwrap();
    let app = Service::start(dir.path()).await.app;
    let api = serde_json::to_value(jijia::web::openapi(app.clone())).unwrap();
    let doors = jijia::web::table(app).into_iter().filter(|d| d.path.starts_with("/api/"));
    (api, doors.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_names_who_is_kept_out_and_says_every_error_alike() {
    let (api, doors) = described().await;
    for Door { method, path, rule } in &doors {
        let operation = &api["paths"][path][method.to_lowercase()];
        let (responses, what) = (&operation["responses"], format!("{method} {path}"));
        let is_guarded = *rule != Rule::Public;
        // Some public doors answer a wrong secret by 401 themselves.
        assert!(!is_guarded || responses["401"].is_object(), "{what}: no 401");
        assert!(responses["403"].is_object(), "{what}: no 403");
        let shown = operation["security"].as_array();
        assert_eq!(
            shown.is_some_and(|all| all.iter().any(|s| s.get("token").is_some())),
            is_guarded,
            "{what}"
        );
        let by_cookie = shown.into_iter().flatten().find(|s| s.get("session").is_some());
        let changes = is_guarded && !["GET", "HEAD"].contains(method);
        assert_eq!(by_cookie.is_some_and(|s| s.get("csrf").is_some()), changes, "{what}");
        for (status, response) in responses.as_object().unwrap().iter().filter(|(s, _)| s.as_str() >= "400") {
            let kinds: Vec<_> =
                response["content"].as_object().into_iter().flatten().map(|(k, _)| k).collect();
            let problem: &[&str] = if *method == "HEAD" { &[] } else { &["application/problem+json"] };
            assert_eq!(kinds, problem, "{what}: {status}");
        }
    }
}

/// Whatever tries a secret, hashes one, or makes a document is asked to come again when there is too much of it.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_waits_for_its_turn_names_429() {
    let (api, doors) = described().await;
    let mut named = BTreeSet::new();
    for Door { method, path, .. } in &doors {
        if api["paths"][path][method.to_lowercase()]["responses"]["429"].is_object() {
            named.insert(format!("{method} {}", path.trim_start_matches("/api/v1/")));
        }
    }
    let all = [
        "GET compliance.csv",
        "GET timeline.csv",
        "GET timeline.docx",
        "GET timeline.geojson",
        "GET timeline.pdf",
        "GET timeline.xlsx",
        "POST account/totp",
        "POST bundles",
        "POST invites/use",
        "POST session",
        "POST sessions/end",
        "PUT account/password",
        "PUT people/{id}/pin",
    ];
    assert_eq!(named, all.map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_says_what_it_must_be_like() {
    let (api, doors) = described().await;
    let mut headers = BTreeSet::new();
    for Door { method, path, .. } in &doors {
        let mut in_path = 0;
        let parameters = &api["paths"][path][method.to_lowercase()]["parameters"];
        for parameter in parameters.as_array().into_iter().flatten() {
            let schema = &parameter["schema"];
            let says = ["$ref", "format", "enum", "pattern", "oneOf", "maximum"];
            assert!(says.iter().any(|key| schema.get(key).is_some()), "{method} {path}: {parameter}");
            let bounded = schema["pattern"].is_null() || schema["maxLength"].is_u64();
            assert!(bounded, "{method} {path}: {parameter}");
            let is_path = parameter["in"] == "path";
            assert!(!is_path || parameter["required"] == true, "{method} {path}: {parameter}");
            in_path += usize::from(is_path);
            if parameter["in"] == "header" {
                headers.insert((
                    parameter["name"].as_str().unwrap().to_lowercase(),
                    path.trim_start_matches("/api/v1/"),
                ));
            }
        }
        assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
    }
    // The headers that handlers read.
    let read = [
        ("device-time", "patrols"),
        ("device-time", "reports"),
        ("if-none-match", "field"),
        ("if-range", "bundles/{id}"),
        ("range", "bundles/{id}"),
        ("range", "voices/{sha256}"),
        ("upload-length", "photos/{sha256}"),
        ("upload-length", "voices/{sha256}"),
        ("upload-offset", "photos/{sha256}"),
        ("upload-offset", "voices/{sha256}"),
    ];
    assert_eq!(headers, read.map(|(name, path)| (name.to_owned(), path)).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_its_warnings() {
    let (dir, service) = start().await;
    assert_eq!(service.get("/livez").await.text(), "ok\n");
    let ready = service.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let said = ready.json();
    assert_eq!((&said["ready"], &said["demo"], &said["mqtt"]), (&true.into(), &false.into(), &Value::Null));
    assert_eq!(said["warnings"].as_array().unwrap().len(), 0, "{said}");
    service.stop().await;

    // The limit above what any disk has: then this disk is low.
    let service =
        Service::start_with(dir.path(), embedded(), Clock::System, |s| s.low_space_bytes = u64::MAX).await;
    let low = service.get("/readyz").await;
    assert_eq!((low.status, &low.json()["ready"]), (200, &true.into()));
    assert!(low.json()["warnings"][0].as_str().unwrap().starts_with("disk: "), "{}", low.text());
    let page = service.get("/").await;
    assert!(page.text().contains("磁盘空间不足"), "{}", page.text());
    assert!(service.get("/?lang=en").await.text().contains("disk: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_is_said_everywhere_until_it_is_right() {
    let (dir, service) = start().await;
    service.post("/api/v1/reports", &report(1)).await.created();
    assert_eq!(service.get("/readyz").await.json()["warnings"], json!([]));
    // The entry was received by a clock that ran ahead; nothing here can set the system's.
    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    db.execute("update entry set received_ms = received_ms + 3600000 where idx = 0", []).unwrap();
    service.post("/api/v1/reports", &report(2)).await.created();
    let said = service.get("/readyz").await.json();
    assert!(said["warnings"][0].as_str().unwrap().starts_with("clock: "), "{said}");
    assert!(service.get("/").await.text().contains("请校时"));
}

#[test]
fn a_system_clock_that_was_never_set_or_stands_behind_the_entries_is_said() {
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let words =
        |now, newest: Option<&str>| clock(at(now), newest.map(at)).map(|w| w.words).unwrap_or_default();
    assert!(words("1970-01-01T00:00:12Z", None).contains("before this program was made"));
    assert!(!words("2025-12-31T23:59:59Z", None).is_empty());
    assert_eq!(clock(at("2026-11-01T00:00:00Z"), None), None);
    // A program that keeps the time steps it back by less than a minute.
    assert_eq!(clock(at("2026-11-01T00:00:00Z"), Some(at("2026-11-01T00:00:59Z"))), None);
    assert!(words("2026-11-01T00:00:00Z", Some("2026-11-01T00:01:01Z")).contains("received at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_by_a_slow_clock_says_so_on_page_table_and_paper() {
    let (dir, service) = start().await;
    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    let ahead = |entry: u64| {
        db.execute("update entry set received_ms = received_ms + 7200000 where idx = ?1", [entry]).unwrap();
    };
    let file =
        async |n: u32| service.post("/api/v1/reports", &report(n)).await.created()["index"].as_u64().unwrap();
    let whole = |words: &str| words.replace('\n', "");
    let first = file(1).await;
    let csv = whole(service.get("/api/v1/timeline.csv").await.text());
    assert!(!csv.contains("服务器时钟"), "{csv}");
    ahead(first + 1);
    // The export's entry was received by a clock that ran ahead: this one knows, and says so in the log.
    file(2).await;
    // Of this one nobody said it: its predecessor was changed afterwards.
    let third = file(3).await;
    ahead(third - 1);
    for target in ["/timeline", "/api/v1/timeline", "/api/v1/timeline.csv"] {
        let said = whole(service.get(target).await.text());
        assert_eq!(said.matches("服务器时钟比前一条目慢").count(), 2, "{target}: {said}");
        for words in ["收到时间可能偏早", "日志没有注明，须核查"] {
            assert_eq!(said.matches(words).count(), 1, "{target}");
        }
    }
    let rows = service.get("/api/v1/timeline").await.json()["rows"].clone();
    let behind = |n: u32| {
        let rows = rows.as_array().unwrap();
        rows.iter().find(|r| r["id"] == id(n)).unwrap()["clock_behind_s"].as_u64()
    };
    assert_eq!(behind(1), None);
    assert!([2, 3].map(|n| behind(n).unwrap()).iter().all(|s| (7100..=7200).contains(s)));
    let book = service.get("/api/v1/timeline.xlsx").await.body;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(book)).unwrap();
    let strings = std::io::read_to_string(archive.by_name("xl/sharedStrings.xml").unwrap()).unwrap();
    assert!(strings.contains("所列记录中有2条上报的收到时间早于日志中排在它前面的条目"), "{strings}");
}

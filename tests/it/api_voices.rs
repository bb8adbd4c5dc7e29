//! Voice notes: sealed as photos are, heard by few, each listening in the log, erased by law, in no bundle.

use std::path::{Path, PathBuf};

use jijia::evidence::entry::{Entry, Kind};
use jijia::people::Role;
use jijia::store::backup::read_manifest;
use serde_json::{Value, json};

use crate::audit::audited;
use crate::cli::jijia;
use crate::people::{self, Browser};
use crate::redact::redact;
use crate::service::{Answer, Service, files_under, guard_of, id, jpeg, report, sha256_of, voice, with};

async fn start() -> (tempfile::TempDir, Service) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    (dir, service)
}

fn address(bytes: &[u8]) -> String {
    format!("/api/v1/voices/{}", sha256_of(bytes))
}

/// Files a report that names a voice note.
async fn add(service: &Service, n: u32, spoken: &[u8]) {
    let body = with(report(n), "/voice", json!(sha256_of(spoken)));
    service.post("/api/v1/reports", &body).await.created();
}

async fn shown(service: &Service, n: u32) -> Value {
    service.get(&format!("/api/v1/reports/{}", id(n))).await.json()
}

async fn put_piece(service: &Service, whole: &[u8], from: usize, piece: &[u8]) -> Answer {
    let (from, length) = (from.to_string(), whole.len().to_string());
    let headers = [("upload-offset", from.as_str()), ("upload-length", length.as_str())];
    service.send("PUT", &address(whole), &headers, piece).await
}

/// The entries of the log, as they are stored.
async fn entries(service: &Service) -> Vec<Entry> {
    let stored = service.app.store.list_entries(0, 1000).await.unwrap();
    stored.iter().map(|e| Entry::parse(&e.body).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spoken_is_sealed_said_and_heard_whole_and_in_parts() {
    let (dir, service) = start().await;
    let spoken = voice(12);
    add(&service, 1, &spoken).await;
    let said = shown(&service, 1).await;
    assert_eq!(said["voice"], json!({"sha256": sha256_of(&spoken), "stored": false, "erased": false}));
    let page = service.get(&format!("/reports/{}", id(1))).await;
    assert!(page.text().contains("语音未到") && !page.text().contains("<audio"));
    let receipt = service.put_voice(&spoken).await.created();
    assert_eq!(receipt["id"], sha256_of(&spoken));
    let again = service.put_voice(&spoken).await;
    assert_eq!((again.status, again.json()), (200, receipt.clone()));
    let asked = service.get(&format!("{}/receipt", address(&spoken))).await;
    assert_eq!((asked.status, asked.json()), (200, receipt));
    let said = shown(&service, 1).await;
    assert_eq!((&said["voice"]["stored"], &said["voice"]["duration_s"]), (&json!(true), &json!(12)));
    assert_eq!(said["voice"]["bytes"], spoken.len());
    let page = service.get(&format!("/reports/{}", id(1))).await;
    let player = format!("<audio controls preload=\"none\" src=\"{}\"", address(&spoken));
    assert!(page.text().contains(&player) && page.text().contains("语音 12 秒"), "{}", page.text());
    assert!(!service.get("/timeline").await.text().contains("<audio"), "nothing plays in a list");

    let whole = service.get(&address(&spoken)).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("audio/webm")));
    assert_eq!(whole.body, spoken);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "private, no-store"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(whole.header(name), Some(value), "{name}");
    }
    assert_eq!(whole.header("content-disposition"), None, "it plays in the page");
    // What Safari asks before it plays anything.
    let part = service.send("GET", &address(&spoken), &[("range", "bytes=0-1")], b"").await;
    let range = format!("bytes 0-1/{}", spoken.len());
    assert_eq!((part.status, part.header("content-range")), (206, Some(range.as_str())));
    assert_eq!((part.body.as_slice(), part.header("content-type")), (&spoken[..2], Some("audio/webm")));
    let rest = service.send("GET", &address(&spoken), &[("range", "bytes=2-")], b"").await;
    assert_eq!((rest.status, rest.body.as_slice()), (206, &spoken[2..]));
    let beyond = [("range", "bytes=99999999-")];
    assert_eq!(service.send("GET", &address(&spoken), &beyond, b"").await.status, 416);

    let log = entries(&service).await;
    let sealed = log.iter().find_map(|e| match &e.kind {
        Kind::Voice { sha256, bytes, media_type, duration_s, .. } => {
            Some((sha256.clone(), *bytes, media_type.clone(), *duration_s))
        }
        _ => None,
    });
    assert_eq!(sealed, Some((sha256_of(&spoken), spoken.len() as u64, "audio/webm".into(), Some(12))));
    let heard = log.iter().filter(|e| matches!(&e.kind, Kind::Access { what } if what == "voice"));
    assert_eq!(heard.count(), 1, "whole and by every part: one a person, thing and hour");
    let file = dir.path().join("voices").join(&sha256_of(&spoken)[..2]);
    assert_eq!(std::fs::read(file.join(format!("{}.bin", &sha256_of(&spoken)[2..]))).unwrap(), spoken);
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
}

/// A report without a voice note says nothing of one, byte for byte; corrections leave it alone.
#[tokio::test(flavor = "multi_thread")]
async fn it_changes_nothing_where_there_is_none_and_nothing_changes_it() {
    let (dir, service) = start().await;
    let spoken = voice(3);
    service.post("/api/v1/reports", &report(1)).await.created();
    add(&service, 2, &spoken).await;
    service.put_voice(&spoken).await.created();
    let record = |n: usize| {
        let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
        let sql = "select cast(body as text) from payload where name = 'record' and entry = ?1";
        db.query_row(sql, [n], |r| r.get::<_, String>(0)).unwrap()
    };
    assert!(record(1).ends_with(r#""photos":[]}"#), "{}", record(1));
    assert!(record(2).ends_with(&format!(r#""photos":[],"voice":"{}"}}"#, sha256_of(&spoken))));
    assert!(shown(&service, 1).await.get("voice").is_none());
    let log = serde_json::to_string(&entries(&service).await[2]).unwrap();
    assert!(!log.contains(&sha256_of(&spoken)), "the entry says nothing of who spoke: {log}");
    let person = json!({"id": "p-7"});
    let to = format!("/api/v1/reports/{}/corrections", id(2));
    let amend = json!({"id": id(20), "action": "amend", "reason": "补充", "person": person, "amend": {"note": "在桥下"}});
    service.post(&to, &amend).await.created();
    assert_eq!(shown(&service, 2).await["voice"]["stored"], true);
    let withdraw = json!({"id": id(21), "action": "withdraw", "reason": "看错了", "person": person});
    service.post(&to, &withdraw).await.created();
    assert_eq!(shown(&service, 2).await["voice"]["stored"], true);
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
    // It goes with its record, which stands in the corrections too.
    let (code, said) = redact(dir.path(), &["--entry", "2", "--payload", "record"]);
    assert!(code == 1 && said.contains("payload 4 record") && said.contains("payload 5 record"), "{said}");
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_where_it_broke_off_over_a_restart() {
    let (dir, service) = start().await;
    let spoken = voice(30);
    let third = spoken.len() / 3;
    let head = async |service: &Service| {
        let answer = service.send("HEAD", &address(&spoken), &[], b"").await;
        (answer.status, answer.header("upload-offset").map(str::to_owned))
    };
    assert_eq!(head(&service).await, (204, Some("0".into())));
    assert_eq!(put_piece(&service, &spoken, 0, &spoken[..third]).await.status, 204);
    put_piece(&service, &spoken, third + 1, &spoken[third..]).await.problem(409, "");
    service.stop().await;
    let service = Service::start(dir.path()).await;
    assert_eq!(head(&service).await, (204, Some(third.to_string())));
    service.get(&address(&spoken)).await.problem(404, "");
    put_piece(&service, &spoken, third, &spoken[third..]).await.created();
    assert_eq!(head(&service).await, (200, None));
    assert_eq!(service.get(&address(&spoken)).await.body, spoken);
    assert_eq!(std::fs::read_dir(dir.path().join("uploads")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_recording_is_refused_and_nothing_of_it_is_kept() {
    let (dir, service) = start().await;
    for bytes in [&b""[..], b"<html><script>alert(1)</script>", b"RIFF\x24\0\0\0WAVEfmt ", &jpeg(1)] {
        let problem = service.put_voice(bytes).await.problem(415, "voice");
        assert!(problem["detail"].as_str().unwrap().contains("allowed: audio/webm"), "{problem}");
    }
    let both = [voice(1), b"<script>alert(1)</script>".to_vec()].concat();
    service.put_voice(&both).await.problem(422, "voice");
    let large = [voice(1), vec![0; 2_000_000]].concat();
    service.put_voice(&large).await.problem(413, "voice");
    put_piece(&service, &large, 0, &large).await.problem(413, "voice");
    let other = format!("/api/v1/voices/{}", "ab".repeat(32));
    service.send("PUT", &other, &[], &voice(1)).await.problem(422, "sha256");
    service.send("PUT", "/api/v1/voices/xyz", &[], &voice(1)).await.problem(422, "sha256");
    let packed = [("content-encoding", "gzip")];
    service.send("PUT", &address(&voice(1)), &packed, &voice(1)).await.problem(415, "Content-Encoding");
    assert_eq!((service.log_size().await, files_under(dir.path())), (1, Vec::<PathBuf>::new()));
    assert_eq!(std::fs::read_dir(dir.path().join("uploads")).unwrap().count(), 0);
    // A photo is no voice note, and a voice note no photo.
    service.put_photo(&voice(1)).await.problem(415, "photo");
    for wrong in ["abc", &"AB".repeat(32), ""] {
        service.post("/api/v1/reports", &with(report(1), "/voice", json!(wrong))).await.problem(422, "voice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_may_not_see_originals_know_of_it_and_do_not_hear_it() {
    let dir = tempfile::tempdir().unwrap();
    let service = people::start(dir.path()).await;
    let browser = async |role: Role| {
        let (account, _) = people::add(&service, "who", role, None).await;
        let limits = service.app.settings.access.session;
        let token = service.app.store.add_session(account.clone(), None, limits).await.unwrap();
        (account, Browser::with(&[("__Host-jijia-session", &token)]))
    };
    let (patrol_id, mut patrol) = browser(Role::Patrol).await;
    let spoken = voice(5);
    let body = with(report(1), "/person/id", json!(patrol_id));
    let body = with(body, "/voice", json!(sha256_of(&spoken)));
    patrol.send(&service, "POST", "/api/v1/reports", &body).await.created();
    let mut upload = service
        .app
        .store
        .resume_upload(jijia::evidence::entry::Sealed::Voice, &sha256_of(&spoken), 100_000)
        .await
        .unwrap();
    upload.write(spoken.clone().into()).await.unwrap();
    service.app.store.add_voice(upload, &sha256_of(&spoken), "test".into()).await.unwrap();
    let before = service.log_size().await;
    for (role, hears) in [(Role::Viewer, false), (Role::Supervisor, true), (Role::Liaison, true)] {
        let (_, mut browser) = browser(role).await;
        let page = browser.get(&service, &format!("/reports/{}", id(1))).await;
        assert!(page.text().contains("语音 5 秒"), "{role:?}: {}", page.text());
        assert_eq!(page.text().contains("<audio"), hears, "{role:?}");
        assert_eq!(
            browser.get(&service, &address(&spoken)).await.status,
            if hears { 200 } else { 403 },
            "{role:?}"
        );
    }
    // Whoever spoke does not hear it here either: the phone is passed on.
    assert_eq!(patrol.get(&service, &address(&spoken)).await.status, 403);
    assert!(!patrol.get(&service, &format!("/reports/{}", id(1))).await.text().contains("<audio"));
    let heard = entries(&service)
        .await
        .iter()
        .skip(usize::try_from(before).unwrap())
        .filter(|e| matches!(&e.kind, Kind::Access { what } if what == "voice"))
        .count();
    assert_eq!(heard, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_one_is_gone_and_does_not_come_back() {
    let (dir, service) = start().await;
    let (spoken, other) = (voice(3), voice(4));
    add(&service, 1, &spoken).await;
    add(&service, 2, &other).await;
    for bytes in [&spoken, &other] {
        service.put_voice(bytes).await.created();
    }
    let (code, said) = redact(dir.path(), &["--voice", &sha256_of(&spoken)]);
    assert!(code == 0 && said.contains("erased; entry"), "{said}");
    service.get(&address(&spoken)).await.problem(410, "");
    assert_eq!(service.send("HEAD", &address(&spoken), &[], b"").await.status, 410);
    service.put_voice(&spoken).await.problem(410, "");
    put_piece(&service, &spoken, 0, &spoken).await.problem(410, "");
    assert_eq!(files_under(dir.path()).len(), 1, "the other one");
    let said = shown(&service, 1).await;
    assert_eq!((&said["voice"]["stored"], &said["voice"]["erased"]), (&json!(false), &json!(true)));
    let page = service.get(&format!("/reports/{}", id(1))).await;
    assert!(page.text().contains("语音已依法删除") && !page.text().contains("<audio"));
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
    let (code, said) = redact(dir.path(), &["--voice", &sha256_of(&spoken)]);
    assert!(code == 0 && said.contains("was erased by entry"), "{said}");
    assert_eq!(redact(dir.path(), &["--voice", &"0".repeat(64)]).0, 2);
    let (code, said) = redact(dir.path(), &["--voice", "x"]);
    assert!(code == 2 && said.contains("voice: must be 64"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_missing_or_added_file_is_found() {
    let (dir, service) = start().await;
    let spoken = voice(8);
    add(&service, 1, &spoken).await;
    service.put_voice(&spoken).await.created();
    let path = service.app.store.sealed_path(jijia::evidence::entry::Sealed::Voice, &sha256_of(&spoken));
    let found = || -> Vec<String> {
        audited(dir.path(), &service.app.place).1.iter().map(ToString::to_string).collect()
    };
    assert_eq!(audited(dir.path(), &service.app.place).0.voices, 1);
    let one = |words: &str| {
        let found = found();
        let name = format!("voice {}", sha256_of(&spoken));
        assert!(found.len() == 1 && found[0].starts_with(&name) && found[0].contains(words), "{found:?}");
    };
    let mut bytes = spoken.clone();
    bytes[40] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    one("has the hash");
    std::fs::write(&path, &spoken[..spoken.len() - 1]).unwrap();
    one("has the hash");
    std::fs::remove_file(&path).unwrap();
    one("is missing");
    std::fs::write(&path, &spoken).unwrap();
    let stray = path.with_file_name(format!("{}.bin", "0".repeat(62)));
    std::fs::write(&stray, &spoken).unwrap();
    let said = found();
    assert!(said.len() == 1 && said[0].starts_with("voice ") && said[0].contains("has no entry"), "{said:?}");
    std::fs::remove_file(stray).unwrap();
    assert_eq!(found(), [] as [String; 0]);
}

fn run(data: &Path, args: &[&str]) -> String {
    let out = jijia(&[&["--data", data.to_str().unwrap()], args].concat())
        .env("JIJIA_LOG_GUARD_FILE", guard_of(data))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (said, error) = (text(out.stdout), text(out.stderr));
    assert!(out.status.success(), "{args:?}: {said}{error}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_it_a_bundle_and_documents_only_say_that_there_is_one() {
    let (dir, service) = start().await;
    let (spoken, gone) = (voice(9), voice(2));
    add(&service, 1, &spoken).await;
    for bytes in [&spoken, &gone] {
        service.put_voice(bytes).await.created();
    }
    let csv = service.get("/api/v1/timeline.csv").await;
    assert!(csv.text().contains("有语音一段（9秒），未附"), "{}", csv.text());
    let geojson = service.get("/api/v1/timeline.geojson").await;
    let properties = geojson.json()["features"][0]["properties"].clone();
    assert_eq!(
        (&properties["voice"]["stored"], &properties["voice"]["sha256"]),
        (&json!(true), &json!(sha256_of(&spoken)))
    );
    let made = service.post("/api/v1/bundles?photos=originals", &json!({})).await;
    assert!(made.status < 300, "{}", made.text());
    let bundle = service.get(made.header("location").unwrap()).await;
    assert_eq!(bundle.status, 200);
    let holds = |bytes: &[u8]| bundle.body.windows(bytes.len()).any(|w| w == bytes);
    assert!(
        !holds(&spoken) && !holds(br#""type":"voice""#) && holds(sha256_of(&spoken).as_bytes()),
        "named, not held"
    );

    let to = tempfile::tempdir().unwrap();
    let backup = to.path().join("weekly");
    let said = run(dir.path(), &["backup", backup.to_str().unwrap()]);
    assert!(said.contains("2 voice notes"), "{said}");
    assert_eq!(read_manifest(&backup).unwrap().voices, 2);
    let file = |root: &Path, bytes: &[u8]| {
        let hash = sha256_of(bytes);
        root.join("voices").join(&hash[..2]).join(format!("{}.bin", &hash[2..]))
    };
    assert_eq!(std::fs::read(file(&backup, &spoken)).unwrap(), spoken);
    // What was erased leaves it with the next one.
    assert_eq!(redact(dir.path(), &["--voice", &sha256_of(&gone)]).0, 0);
    run(dir.path(), &["backup", backup.to_str().unwrap()]);
    assert!(!file(&backup, &gone).exists() && file(&backup, &spoken).exists());
    service.app.publisher.publish().await.unwrap();
    run(dir.path(), &["backup", backup.to_str().unwrap()]);
    service.stop().await;
    let next = to.path().join("next");
    std::fs::copy(guard_of(dir.path()), guard_of(&next)).unwrap();
    let said = run(&next, &["restore", backup.to_str().unwrap()]);
    assert!(said.contains("1 voice notes; audited, clean"), "{said}");
    assert_eq!(std::fs::read(file(&next, &spoken)).unwrap(), spoken);
}

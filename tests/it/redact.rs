//! Erasure by law: what was erased is nowhere any more, and everything says that it was.

use std::path::Path;
use std::process::Command;

use jijia::evidence::entry::Sealed;
use serde_json::json;

use crate::audit::audited;
use crate::cli::jijia;
use crate::service::{Service, files_under, id, jpeg, report, sha256_of, with};

/// Words that occur nowhere else, so that they can be looked for.
const NOTE: &str = "穿红雨衣的人住在巷尾第三家";
const NAME: &str = "巴扎黑·测试名";

pub fn redact(dir: &Path, args: &[&str]) -> (i32, String) {
    let dir = dir.to_str().unwrap();
    let out =
        jijia(&[&["--data", dir, "redact", "--reason", "当事人要求删除"], args].concat()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout) + &text(out.stderr))
}

/// Files of the data directory that hold these bytes. Read by another process: one that closes a file of SQLite takes
/// the locks of its whole process along.
pub fn holding(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let pattern: String = bytes.iter().map(|b| format!("\\x{b:02x}")).collect();
    let out = Command::new("grep").env("LC_ALL", "C").args(["-rlaP", &pattern]).arg(dir).output().unwrap();
    assert!(matches!(out.status.code(), Some(0 | 1)), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_note_is_gone_from_every_file_while_the_service_runs_and_pages_and_documents_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    // Many of them, so that rows move from page to page before one goes.
    for n in 0..300 {
        let body = with(report(n), "/person/name", json!(format!("{NAME}{n}号")));
        service
            .post("/api/v1/reports", &with(body, "/note", json!(format!("{NOTE}，{n}号"))))
            .await
            .created();
    }
    let target = format!("{NOTE}，150号");
    let before = service.get(&format!("/api/v1/reports/{}", id(150))).await.json();
    let (entry, leaf) = (before["entry"]["index"].to_string(), before["entry"]["leaf_hash"].clone());
    assert!(!holding(dir.path(), target.as_bytes()).is_empty());
    let (code, said) = redact(dir.path(), &["--entry", &entry, "--payload", "note"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(holding(dir.path(), target.as_bytes()), [] as [String; 0]);
    assert!(!holding(dir.path(), format!("{NOTE}，151号").as_bytes()).is_empty(), "its neighbour stays");
    let now = service.get(&format!("/api/v1/reports/{}", id(150))).await.json();
    assert_eq!((&now["note"], &now["entry"]["leaf_hash"]), (&json!("已依法删除"), &leaf));
    let page = service.get(&format!("/reports/{}", id(150))).await;
    assert!(page.text().contains("已依法删除"));
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
    // Once more: it says by which entry, and wipes again.
    let (code, said) = redact(dir.path(), &["--entry", &entry, "--payload", "note"]);
    assert!(code == 0 && said.contains("was erased by entry 301"), "{said}");
    let (code, said) = redact(dir.path(), &["--entry", &entry, "--payload", "reason"]);
    assert!(code == 2 && said.contains("allowed: body, by, name, note, person, record"), "{said}");
    assert_eq!(redact(dir.path(), &["--entry", "9999", "--payload", "note"]).0, 2);
    assert_eq!(service.log_size().await, 302, "the place, 300 reports, one erasure");
    // The service goes on writing after its database was written anew under it.
    service.post("/api/v1/reports", &report(900)).await.created();
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_record_takes_its_place_and_its_facts_along() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let lng = 113.114_123_456_7;
    service.post("/api/v1/reports", &with(report(1), "/position/lng", json!(lng))).await.created();
    let shown = service.get(&format!("/api/v1/reports/{}", id(1))).await.json();
    assert_eq!(shown["position"]["given_lng"], lng);
    let (code, said) = redact(dir.path(), &["--entry", "1", "--payload", "record"]);
    assert_eq!(code, 0, "{said}");
    let now = service.get(&format!("/api/v1/reports/{}", id(1))).await.json();
    assert_eq!(
        (&now["erased"], &now["position"], &now["outfall"]),
        (&json!(true), &json!(null), &json!(null))
    );
    assert_eq!(now["facts"], json!([]));
    for bytes in [format!("{lng}").as_bytes(), &f64::to_be_bytes(lng)] {
        assert_eq!(holding(dir.path(), bytes), [] as [String; 0]);
    }
    for format in ["csv", "geojson"] {
        let document = service.get(&format!("/api/v1/timeline.{format}")).await;
        assert_eq!(document.status, 200);
        assert!(!document.text().contains("113.1141"), "{format}");
    }
    let csv = service.get("/api/v1/timeline.csv").await;
    assert!(csv.text().contains("报告内容已依法删除"), "{}", csv.text());
    assert!(service.get("/timeline").await.text().contains("依法删除"));
    let to = format!("/api/v1/reports/{}/corrections", id(1));
    let withdraw = json!({"id": id(2), "action": "withdraw", "reason": "x", "person": {"id": "p-1"}});
    let refused = service.post(&to, &withdraw).await;
    assert!(refused.problem(409, "")["detail"].to_string().contains("已依法删除"));
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_photo_is_gone_and_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let (photo, other) = (jpeg(1), jpeg(2));
    let hash = sha256_of(&photo);
    let named = with(report(1), "/photos", json!([hash, sha256_of(&other)]));
    service.post("/api/v1/reports", &named).await.created();
    service.put_photo(&photo).await.created();
    service.put_photo(&other).await.created();
    assert_eq!(redact(dir.path(), &["--photo", &hash]).0, 0);
    let gone = service.get(&format!("/api/v1/photos/{hash}")).await;
    assert!(gone.problem(410, "")["detail"].to_string().contains("已依法删除"));
    service.get(&format!("/api/v1/photos/{hash}/preview")).await.problem(410, "");
    service.put_photo(&photo).await.problem(410, "");
    // Also by a way that does not ask first: nothing of its bytes stays.
    let store = &service.app.store;
    let mut upload = store.resume_upload(Sealed::Photo, &hash, photo.len() as u64).await.unwrap();
    upload.write(photo.clone().into()).await.unwrap();
    store.add_photo(upload, &hash, service.app.settings.photos, "test".into()).await.unwrap_err();
    assert_eq!(std::fs::read_dir(dir.path().join("uploads")).unwrap().count(), 0);
    assert_eq!(files_under(dir.path()).len(), 2, "original and copy of the other one");
    let shown = service.get(&format!("/api/v1/reports/{}", id(1))).await.json();
    let state = |n: usize| (shown["photos"][n]["stored"].clone(), shown["photos"][n]["erased"].clone());
    assert_eq!(state(0), (json!(false), json!(true)));
    assert_eq!(state(1), (json!(true), json!(false)));
    assert!(service.get(&format!("/reports/{}", id(1))).await.text().contains("照片已依法删除"));
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
    let (code, said) = redact(dir.path(), &["--photo", &hash]);
    assert!(code == 0 && said.contains("was erased by entry 4"), "{said}");
    assert_eq!(redact(dir.path(), &["--photo", &"0".repeat(64)]).0, 2);
}

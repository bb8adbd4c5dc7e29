//! Erasure by law reaches the copies too: rows made from what went, bundles that are kept, parts of uploads, the name of an
//! account; and what it does not reach it names.

use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jijia::people::Role;
use serde_json::{Value, json};

use crate::audit::audited;
use crate::cli::jijia;
use crate::people::add;
use crate::redact::{holding, redact};
use crate::service::{Service, id, jpeg, report, sha256_of, with};

const NOWHERE: [String; 0] = [];
/// Of nobody, and nowhere else.
const PERSON: &str = "p-zq9071";

fn entry_of(made: &Value) -> String {
    made["index"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_goes_from_the_rows_too_and_what_still_names_them_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let whose = |body: Value| with(body, "/person/id", json!(PERSON));
    let now = jiff::Timestamp::now();
    let at = |minutes: i64| (now - jiff::SignedDuration::from_mins(minutes)).to_string();
    let walk = json!({"id": id(2), "person": {"id": PERSON}, "started_at": at(40), "ended_at": at(20),
        "sectors": ["JJH-AD-01"], "waypoints": []});
    let seen = service.post("/api/v1/reports", &whose(report(1))).await.created();
    let walked = service.post("/api/v1/patrols", &walk).await.created();
    let payload = |made: &Value, name: &str| {
        let dir = dir.path().to_owned();
        redact(&dir, &["--entry", &entry_of(made), "--payload", name])
    };
    // The same person stands elsewhere: it is not said that they are gone.
    let (code, said) = payload(&seen, "person");
    assert_eq!(code, 1, "{said}");
    let patrol = entry_of(&walked);
    for place in
        [format!("payload {patrol} person"), format!("payload {patrol} record"), format!("patrol {}", "")]
    {
        assert!(said.contains(place.trim_end()), "{place}: {said}");
    }
    assert!(!said.contains("sighting"), "{said}");
    assert_eq!(payload(&walked, "person").0, 1, "the record names them");
    let (code, said) = payload(&walked, "record");
    // Whoever brought them is a payload of its own where it is the same person.
    assert!(code == 0 && said.contains("nowhere in the data directory"), "{said}");
    assert_eq!(holding(dir.path(), PERSON.as_bytes()), NOWHERE);
    let shown = service.get(&format!("/api/v1/reports/{}", id(1))).await.json();
    assert_eq!(shown["person"], "已依法删除");
    let day = jijia::clock::beijing(now).date();
    let duty = service.get(&format!("/api/v1/compliance?from={day}&to={day}")).await.json();
    let by: Vec<&Value> =
        duty["rows"].as_array().unwrap().iter().flat_map(|r| r["walked_by"].as_array().unwrap()).collect();
    assert!(by.iter().all(|p| **p == "已依法删除"), "{by:?}");
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_loses_its_name_and_one_that_is_shut_out_its_login_too() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let (who, _) = add(&service, "qzwsx", Role::Patrol, None).await;
    let (stays, _) = add(&service, "edcrf", Role::Patrol, None).await;
    let store = &service.app.store;
    let account = store.list_accounts().await.unwrap().into_iter().find(|a| a.id == who).unwrap();
    let body = jijia::people::AccountBody {
        name: account.name.clone(),
        role: account.role,
        unit: None,
        login: account.login.clone(),
        disabled: true,
    };
    store.change_account(who.clone(), body, "shell".into()).await.unwrap();
    let size = service.log_size().await;
    let mut named = 0;
    for entry in 0..size {
        let (code, said) = redact(dir.path(), &["--entry", &entry.to_string(), "--payload", "name"]);
        if code == 2 {
            assert!(said.contains("has no `name`"), "{said}");
            continue;
        }
        named += 1;
    }
    assert_eq!(named, 3, "two were added, one was shut out");
    for bytes in ["qzwsx", "qzwsx.patrol"] {
        assert_eq!(holding(dir.path(), bytes.as_bytes()), NOWHERE);
    }
    let accounts = store.list_accounts().await.unwrap();
    let of = |id: &str| accounts.iter().find(|a| a.id == id).unwrap();
    assert_eq!((of(&who).name.as_str(), &of(&who).login), ("已依法删除", &None));
    // Who is not shut out goes on signing in.
    assert_eq!((of(&stays).name.as_str(), of(&stays).login.as_deref()), ("已依法删除", Some("edcrf.patrol")));
    assert_eq!(audited(dir.path(), &service.app.place).1, []);
}

/// A part of an upload: the whole photo, under a hash that is not its own.
async fn leave_part(service: &Service, photo: &[u8], hash: &str) {
    let store = &service.app.store;
    let kind = jijia::evidence::entry::Sealed::Photo;
    let mut upload = store.resume_upload(kind, hash, photo.len() as u64 + 9).await.unwrap();
    upload.write(photo.to_vec().into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_goes_from_the_bundles_that_are_kept_and_a_part_that_holds_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let photo = jpeg(1);
    let hash = sha256_of(&photo);
    service.post("/api/v1/reports", &with(report(1), "/photos", json!([hash]))).await.created();
    service.put_photo(&photo).await.created();
    let made = service.post("/api/v1/bundles?photos=originals", &json!({})).await.created();
    let href = made["href"].as_str().unwrap();
    assert_eq!(service.get(href).await.status, 200);
    leave_part(&service, &photo, &"cd".repeat(32)).await;
    let count =
        || files(dir.path()).iter().filter(|f| memchr::memmem::find(f, &photo[..400]).is_some()).count();
    assert_eq!(count(), 3, "sealed, in the bundle, under way");
    let (code, said) = redact(dir.path(), &["--photo", &hash]);
    assert!(code == 1 && said.contains("1 bundle(s) kept to be fetched are removed"), "{said}");
    assert!(said.contains(&format!("  uploads/{}", "cd".repeat(32))), "{said}");
    assert_eq!(count(), 1);
    service.get(href).await.problem(404, "");
    // Made again it has none of it.
    let made = service.post("/api/v1/bundles?photos=originals", &json!({})).await.created();
    assert_eq!(service.get(made["href"].as_str().unwrap()).await.status, 200);
    assert_eq!(count(), 1);
}

/// All files but the database's, which hold no photo.
fn files(dir: &Path) -> Vec<Vec<u8>> {
    let (folders, files): (Vec<_>, Vec<_>) =
        std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).partition(|p| p.is_dir());
    let own = files.iter().filter(|p| !p.file_name().unwrap().to_str().unwrap().starts_with("jijia.db"));
    let own = own.map(|p| std::fs::read(p).unwrap());
    own.chain(folders.iter().flat_map(|f| self::files(f))).collect()
}

/// Every member of every bundle that is kept, unpacked; a Word or Excel file is an archive too.
fn kept(dir: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(dir.join("bundles")).unwrap().map(|f| f.unwrap().path());
    let zips = files.filter(|path| path.extension().is_some_and(|ending| ending == "zip"));
    zips.flat_map(|path| unpacked(std::fs::read(path).unwrap())).collect()
}

fn unpacked(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(b"PK") {
        return bytes;
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let count = archive.len();
    let member = |n| {
        let mut bytes = Vec::new();
        archive.by_index(n).unwrap().read_to_end(&mut bytes).unwrap();
        unpacked(bytes)
    };
    (0..count).flat_map(member).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bundle_that_is_made_meanwhile_keeps_what_goes() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let mut rng = fastrand::Rng::with_seed(11);
    let (mut refused, mut kept_some) = (0, 0);
    let begun = Instant::now();
    service.post("/api/v1/bundles", &json!({})).await.created();
    let three = 3 * begun.elapsed();
    for n in 0..6 {
        let words = format!("堤边第{n}户门前的空地上");
        let sent = service.post("/api/v1/reports", &with(report(n), "/note", json!(words))).await.created();
        let entry = entry_of(&sent);
        let path = dir.path().to_owned();
        let wait = three.mul_f64(rng.f64());
        let erasing = tokio::task::spawn_blocking(move || {
            std::thread::sleep(wait);
            redact(&path, &["--entry", &entry, "--payload", "note"])
        });
        for _ in 0..3 {
            let made = service.post("/api/v1/bundles", &json!({})).await;
            match made.status {
                201 => kept_some += 1,
                503 => refused += 1,
                other => panic!("{other}: {}", made.text()),
            }
        }
        let (code, said) = erasing.await.unwrap();
        assert_eq!(code, 0, "{said}");
        let kept = kept(dir.path());
        assert!(memchr::memmem::find(&kept, words.as_bytes()).is_none(), "round {n}");
    }
    println!("erasures beside bundles: {kept_some} kept, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_the_same_command_finishes_it() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    for n in 0..8 {
        let words = format!("渠首第{n}个井盖旁边");
        let sent = service.post("/api/v1/reports", &with(report(n), "/note", json!(words))).await.created();
        service.post("/api/v1/bundles", &json!({})).await.created();
        let data = dir.path().to_str().unwrap();
        let entry = entry_of(&sent);
        let args = ["--data", data, "redact", "--reason", "x", "--entry", &entry, "--payload", "note"];
        let mut child = jijia(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(n) * 12));
        child.kill().unwrap();
        child.wait().unwrap();
        let (code, said) = redact(dir.path(), &["--entry", &entry, "--payload", "note"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(holding(dir.path(), words.as_bytes()), NOWHERE, "round {n}");
        assert_eq!(kept(dir.path()), [] as [u8; 0], "round {n}");
        assert_eq!(audited(dir.path(), &service.app.place).1, [], "round {n}");
    }
}

//! The rescue archive of a phone: what it had not sent, brought by a desktop or a shell, is what it would have sent.

use std::io::Write;
use std::path::{Path, PathBuf};

use jijia::clock::Clock;
use jijia::lake::load::embedded;
use jijia::web::Settings;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use crate::cli::jijia;
use crate::redact::redact;
use crate::service::{Service, files_under, guard_of, id, jpeg, report, sha256_of, voice, with};

/// What a phone holds: bodies byte for byte, and photos.
struct Phone {
    patrols: Vec<(String, String)>,
    reports: Vec<(String, String)>,
    photos: Vec<Vec<u8>>,
    voices: Vec<Vec<u8>>,
}

impl Phone {
    /// Two reports of one patrol, the first with a photo.
    fn new() -> Self {
        let (photo, now) = (jpeg(7), jiff::Timestamp::now());
        let ago = |minutes: i64| (now - jiff::SignedDuration::from_mins(minutes)).to_string();
        let patrol = json!({"id": id(50), "person": {"id": "p-7"}, "started_at": ago(90), "ended_at": ago(60),
            "sectors": ["JJH-AD-02"]});
        let with_photo = with(report(1), "/photos", json!([sha256_of(&photo)]));
        let of_patrol = |body: Value| with(body, "/patrol", json!(id(50)));
        // Spaces and order of the keys are the phone's own.
        let pretty = |body: Value| serde_json::to_string_pretty(&body).unwrap();
        Self {
            patrols: vec![(id(50), pretty(patrol))],
            reports: vec![(id(1), pretty(of_patrol(with_photo))), (id(2), pretty(of_patrol(report(2))))],
            photos: vec![photo],
            voices: Vec::new(),
        }
    }

    /// Its archive, with `more` members.
    fn archive(&self, more: &[(&str, &[u8])]) -> Vec<u8> {
        let ids = |all: &[(String, String)]| all.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        let hashes: Vec<String> = self.photos.iter().map(|p| sha256_of(p)).collect();
        let index = json!({"format": "jijia-outbox-1", "exported_at": "2026-07-14T12:00:00+08:00",
            "device_time": "2026-07-14T12:00:00+08:00", "reports": ids(&self.reports), "patrols": ids(&self.patrols),
            "photos": hashes, "voices": self.voices.iter().map(|v| sha256_of(v)).collect::<Vec<_>>()});
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let mut add = |name: String, bytes: &[u8]| {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        };
        add("index.json".into(), index.to_string().as_bytes());
        self.reports.iter().for_each(|(id, body)| add(format!("reports/{id}.json"), body.as_bytes()));
        self.patrols.iter().for_each(|(id, body)| add(format!("patrols/{id}.json"), body.as_bytes()));
        self.photos.iter().zip(hashes).for_each(|(photo, hash)| add(format!("photos/{hash}"), photo));
        self.voices.iter().for_each(|voice| add(format!("voices/{}", sha256_of(voice)), voice));
        more.iter().for_each(|(name, bytes)| add((*name).to_owned(), bytes));
        zip.finish().unwrap().into_inner()
    }

    /// Sends everything as the phone itself would, and gives status and receipt of each.
    async fn send(&self, service: &Service) -> Vec<(u16, Value)> {
        let mut said = Vec::new();
        for (path, bodies) in [("/api/v1/patrols", &self.patrols), ("/api/v1/reports", &self.reports)] {
            for (_, body) in bodies {
                let headers = [("content-type", "application/json")];
                said.push(service.send("POST", path, &headers, body.as_bytes()).await);
            }
        }
        for photo in &self.photos {
            said.push(service.put_photo(photo).await);
        }
        for voice in &self.voices {
            said.push(service.put_voice(voice).await);
        }
        said.iter().map(|answer| (answer.status, answer.json())).collect()
    }
}

async fn bring(service: &Service, archive: &[u8]) -> Value {
    let answer =
        service.send("POST", "/api/v1/outbox", &[("content-type", "application/zip")], archive).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn receipts(said: &Value) -> Vec<Value> {
    said["items"].as_array().unwrap().iter().map(|item| item["receipt"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_the_archive_is_what_the_phone_would_have_sent() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let phone = Phone::new();
    let first = bring(&service, &phone.archive(&[])).await;
    assert_eq!(
        (&first["new"], &first["known"], &first["refused"]),
        (&json!(4), &json!(0), &json!(0)),
        "{first}"
    );
    let members: Vec<&str> =
        first["items"].as_array().unwrap().iter().map(|i| i["member"].as_str().unwrap()).collect();
    assert!(members[0].starts_with("patrols/") && members[3].starts_with("photos/"), "{members:?}");
    let size = service.log_size().await;

    // The phone finds its network after all: the same bytes, the same receipts, and nothing new.
    let sent = phone.send(&service).await;
    assert!(sent.iter().all(|(status, _)| *status == 200), "{sent:?}");
    let mut sent: Vec<Value> = sent.into_iter().map(|(_, receipt)| receipt).collect();
    let mut brought = receipts(&first);
    for all in [&mut sent, &mut brought] {
        all.sort_by_key(|receipt| receipt["index"].as_u64());
    }
    assert_eq!(sent, brought);
    let again = bring(&service, &phone.archive(&[])).await;
    assert_eq!((&again["new"], &again["known"]), (&json!(0), &json!(4)));
    assert_eq!(receipts(&again), receipts(&first));
    assert_eq!(service.log_size().await, size);
    let shown = service.get(&format!("/api/v1/reports/{}", id(1))).await.json();
    assert_eq!((&shown["photos"][0]["stored"], &shown["patrol"]), (&json!(true), &json!(id(50))));
    let photo = service.get(&format!("/api/v1/photos/{}", sha256_of(&phone.photos[0]))).await;
    assert_eq!(photo.body, phone.photos[0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_note_comes_in_the_archive_by_its_own_door() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let mut phone = Phone::new();
    let spoken = voice(6);
    let (report, body) = &mut phone.reports[1];
    *body = with(serde_json::from_str(body).unwrap(), "/voice", json!(sha256_of(&spoken))).to_string();
    let report = report.clone();
    phone.voices = vec![spoken.clone(), b"not a recording".to_vec()];
    let said = bring(&service, &phone.archive(&[])).await;
    assert_eq!((&said["new"], &said["refused"]), (&json!(5), &json!(1)), "{said}");
    let member = |n: usize| said["items"][n]["member"].as_str().unwrap();
    assert!(member(3).starts_with("photos/") && member(5).starts_with("voices/"), "{said}");
    let wrong = said["items"].as_array().unwrap().iter().find(|i| !i["problem"].is_null()).unwrap();
    assert_eq!(
        (&wrong["problem"]["code"], &wrong["problem"]["field"]),
        (&json!("unsupported"), &json!("voice"))
    );
    phone.voices.pop();
    assert!(
        phone.send(&service).await.iter().all(|(status, _)| *status == 200),
        "the phone finds its network"
    );
    let shown = service.get(&format!("/api/v1/reports/{report}")).await.json();
    assert_eq!((&shown["voice"]["stored"], &shown["voice"]["duration_s"]), (&json!(true), &json!(6)));
    assert_eq!(redact(dir.path(), &["--voice", &sha256_of(&spoken)]).0, 0);
    let said = bring(&service, &phone.archive(&[])).await;
    assert_eq!((&said["known"], &said["items"][4]["problem"]["code"]), (&json!(4), &json!("gone")), "{said}");
    let path = saved(dir.path(), &phone.archive(&[]));
    let (code, words) = run(dir.path(), &["outbox", path.to_str().unwrap(), "--dry-run"]);
    assert!(code == 1 && words.contains("已依法删除"), "{words}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_item_does_not_stop_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let mut phone = Phone::new();
    let wrong = with(report(3), "/kind", json!("hearsay"));
    phone.reports.push((id(3), wrong.to_string()));
    // Under the name of another, and a photo that is none.
    phone.reports.push((id(4), report(5).to_string()));
    phone.photos.push(b"not a photo".to_vec());
    let false_name = format!("photos/{}", "cd".repeat(32));
    let said = bring(&service, &phone.archive(&[(&false_name, &jpeg(8)), ("readme.txt", b"hello")])).await;
    assert_eq!((&said["new"], &said["refused"]), (&json!(4), &json!(5)), "{said}");
    let problem = |member: &str| {
        let items = said["items"].as_array().unwrap();
        items.iter().find(|i| i["member"] == member).unwrap()["problem"].clone()
    };
    assert_eq!(problem(&format!("reports/{}.json", id(3)))["field"], "kind");
    assert_eq!(problem(&format!("reports/{}.json", id(4)))["field"], "id");
    assert_eq!(problem(&format!("photos/{}", sha256_of(b"not a photo")))["code"], "unsupported");
    assert_eq!(problem(&false_name)["field"], "sha256");
    assert_eq!(problem("readme.txt")["field"], "readme.txt");
    // What lay in tmp is removed beside the answer.
    let began = std::time::Instant::now();
    while files_under(dir.path()).len() != 2 {
        assert!(began.elapsed().as_secs() < 60, "one photo and its copy; nothing is left in tmp");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_none_or_too_large_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let set = |s: &mut Settings| s.max_outbox_bytes = 100_000;
    let service = Service::start_with(dir.path(), embedded(), Clock::System, set).await;
    let headers = [("content-type", "application/zip")];
    let post = async |bytes: &[u8]| service.send("POST", "/api/v1/outbox", &headers, bytes).await;
    post(b"").await.problem(422, "archive");
    post(b"PK\x03\x04").await.problem(422, "archive");
    post(&vec![0; 100_001]).await.problem(413, "archive");
    // Small as it comes, too large unfolded.
    let bomb = Phone::new().archive(&[("zeros", &vec![0; 100_000])]);
    assert!(bomb.len() < 50_000, "{}", bomb.len());
    post(&bomb).await.problem(413, "archive");
    let packed = [("content-encoding", "gzip")];
    service.send("POST", "/api/v1/outbox", &packed, b"x").await.problem(415, "Content-Encoding");
    assert_eq!((service.log_size().await, files_under(dir.path()).len()), (1, 0), "nothing but the place");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_it_does_in_both_languages() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    for (address, words) in [("/import", "导入手机未上传的记录"), ("/import?lang=en", "had not sent")]
    {
        let page = service.get(address).await;
        assert!(page.status == 200 && page.text().contains(words), "{address}");
    }
    service.stop().await;
}

fn run(data: &Path, args: &[&str]) -> (i32, String) {
    let out = jijia(&[&["--data", data.to_str().unwrap(), "import"], args].concat())
        .env("JIJIA_LOG_GUARD_FILE", guard_of(data))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout) + &text(out.stderr))
}

fn saved(dir: &Path, bytes: &[u8]) -> PathBuf {
    let path = dir.join("archive.zip");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn the_shell_brings_the_same_archive_and_strict_takes_all_or_nothing() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut phone = Phone::new();
    phone.reports.push((id(3), with(report(3), "/kind", json!("hearsay")).to_string()));
    let path = saved(dir.path(), &phone.archive(&[]));
    let file = path.to_str().unwrap();
    let (code, said) = run(data.path(), &["outbox", file, "--dry-run"]);
    assert!(code == 1 && said.contains("试读：共 5 项，可导入 4，有误 1；未写入"), "{said}");
    let (code, said) = run(data.path(), &["outbox", file, "--strict"]);
    assert!(code == 1 && said.contains("kind: ") && said.contains("未写入"), "{said}");
    let (code, said) = run(data.path(), &["outbox", file]);
    assert!(code == 1 && said.contains("共 5 项：新增 4，已有 0，有误 1"), "{said}");
    phone.reports.pop();
    let path = saved(dir.path(), &phone.archive(&[]));
    let (code, said) = run(data.path(), &["outbox", path.to_str().unwrap(), "--strict"]);
    assert!(code == 0 && said.contains("新增 0，已有 4，有误 0"), "{said}");
    let (code, said) = run(data.path(), &["outbox", "none.zip"]);
    assert!(code == 2 && said.contains("none.zip"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_was_erased_by_law_does_not_come_back_in_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let phone = Phone::new();
    bring(&service, &phone.archive(&[])).await;
    assert_eq!(redact(dir.path(), &["--photo", &sha256_of(&phone.photos[0])]).0, 0);
    let said = bring(&service, &phone.archive(&[])).await;
    assert_eq!((&said["known"], &said["refused"]), (&json!(3), &json!(1)));
    assert_eq!(said["items"][3]["problem"]["code"], "gone", "{said}");
    let path = saved(dir.path(), &phone.archive(&[]));
    let (code, words) = run(dir.path(), &["outbox", path.to_str().unwrap(), "--dry-run"]);
    assert!(code == 1 && words.contains("已依法删除"), "{words}");
    service.stop().await;
}

#[test]
fn photos_come_in_a_plain_archive_each_under_its_own_hash() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("相册/1.jpg", jpeg(1)), ("2.jpg", jpeg(2)), ("说明.txt", b"text".to_vec())] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    let path = saved(dir.path(), &zip.finish().unwrap().into_inner());
    let (code, said) = run(data.path(), &["photos", path.to_str().unwrap()]);
    assert!(code == 1 && said.contains("共 3 项：新增 2，已有 0，有误 1"), "{said}");
    assert!(said.contains("相册/1.jpg: 新增") && said.contains("说明.txt: photo: "), "{said}");
    let hash = sha256_of(&jpeg(1));
    let sealed = data.path().join("photos").join(&hash[..2]).join(format!("{}.bin", &hash[2..]));
    assert_eq!(std::fs::read(sealed).unwrap(), jpeg(1), "byte for byte");
}

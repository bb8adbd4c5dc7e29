//! Bundles made by the service and by the command, from real reports, photos and readings; both verifiers take them.

use std::io::Read;

use jijia::evidence::bundle::Manifest;
use jijia::evidence::verify::{Proved, Trusted, Verdict, verify};
use serde_json::json;

use crate::bundle_verify::{OWN_KEY, python};
use crate::cli::jijia;
use crate::service::{Service, guard_of, id, jpeg, report, sha256_of, with};

fn good(zip: &[u8]) -> Proved {
    let verdict = verify(zip, &Trusted::default()).unwrap();
    let words = verdict.words();
    let Verdict::Good(proved) = verdict else { panic!("{words}") };
    assert_eq!(python(zip, &[]), i32::from(OWN_KEY));
    *proved
}

fn member(zip: &[u8], name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Two reports with photos, one corrected, one of a person with a name; readings and rain near them.
async fn file_some(service: &Service) {
    service.put_photo(&jpeg(1)).await;
    let named = with(report(1), "/person/name", json!("王巡查"));
    service.post("/api/v1/reports", &with(named, "/photos", json!([sha256_of(&jpeg(1))]))).await.created();
    let missing = json!([sha256_of(b"has not come")]);
    service.post("/api/v1/reports", &with(report(2), "/photos", missing)).await.created();
    let correction = json!({
        "id": id(100), "action": "amend", "reason": "看错了", "person": {"id": "p-8"},
        "amend": {"sewage": {"flow": "small"}},
    });
    service.post(&format!("/api/v1/reports/{}/corrections", id(1)), &correction).await.created();
    let at = |minutes: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes)).to_string();
    let value = |station: &str, property: &str, minutes: i64, value: serde_json::Value| json!({"station": station, "property": property, "observed_at": at(minutes), "value": value});
    let body = json!({"id": id(200), "observations": [
        value("JJH-S1", "do", 70, json!(3.2)),
        value("JJH-S1", "nh3n", 80, json!("<0.025")),
        value("JJH-R1", "rain", 90, json!(0.4)),
        value("JJH-R1", "rain", 150, json!(0)),
    ]});
    let answer = service.post("/api/v1/observations", &body).await;
    assert!(answer.status < 300, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_makes_a_bundle_that_both_verifiers_take_and_that_can_be_fetched_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    file_some(&service).await;
    let before = service.log_size().await;
    let answer = service.send("POST", "/api/v1/bundles?outfall=JJH-PK-0003&photos=originals", &[], b"").await;
    let made = answer.created();
    let href = made["href"].as_str().unwrap();
    assert_eq!(answer.header("location"), Some(href));
    // Word, PDF, Excel and the bundle itself.
    assert_eq!(service.log_size().await, before + 4);
    let whole = service.get(href).await;
    assert_eq!((whole.status, whole.body.len() as u64), (200, made["bytes"].as_u64().unwrap()));
    let proved = good(&whole.body);
    assert_eq!((proved.documents, proved.photos, proved.photos_missing), (3, 1, 1));
    assert_eq!(proved.seal_index, made["receipt"]["index"].as_u64().unwrap());
    assert!(proved.readings >= 3, "{}", proved.readings);
    assert_eq!(member(&whole.body, &format!("photos/{}.jpg", sha256_of(&jpeg(1)))), jpeg(1));
    let payloads = String::from_utf8(member(&whole.body, "payloads.jsonl")).unwrap();
    assert!(payloads.contains("看错了") && payloads.contains("管口有水流出") && !payloads.contains("王巡查"));
    pieces(&service, href, &whole.body).await;
    service.get("/api/v1/bundles/x").await.problem(404, "");
    service.send("POST", "/api/v1/bundles?photos=all", &[], b"").await.problem(422, "photos");
    service.send("POST", "/api/v1/bundles?outfall=X", &[], b"").await.problem(422, "outfall");
    let page = service.send("POST", "/timeline/bundle?photos=copies", &[], b"").await;
    assert_eq!(page.status, 303);
    let copies = service.get(page.header("location").unwrap()).await.body;
    assert_eq!(good(&copies).photos, 1);
    assert_ne!(member(&copies, &format!("copies/{}.jpg", sha256_of(&jpeg(1)))), jpeg(1));
    service.stop().await;
}

async fn pieces(service: &Service, href: &str, whole: &[u8]) {
    let tag = format!("\"{}\"", href.rsplit('/').next().unwrap());
    let middle = whole.len() / 2;
    for (headers, status, bytes) in [
        (vec![("range", format!("bytes=0-{}", middle - 1))], 206, &whole[..middle]),
        (vec![("range", format!("bytes={middle}-")), ("if-range", tag.clone())], 206, &whole[middle..]),
        (vec![("range", format!("bytes={middle}-")), ("if-range", "\"another\"".into())], 200, whole),
        (vec![("range", "bytes=-10".into())], 206, &whole[whole.len() - 10..]),
        (vec![("range", format!("bytes={}-", whole.len()))], 416, &b""[..]),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = service.send("GET", href, &headers, b"").await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status != 416 {
            assert_eq!((answer.header("etag"), &answer.body[..]), (Some(tag.as_str()), bytes), "{headers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_makes_one_beside_a_running_service_and_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let out = dir.path().join("证据包.zip");
    let service = Service::start(&data).await;
    file_some(&service).await;
    let run = |more: &[&str]| {
        let base = ["--data", data.to_str().unwrap(), "timeline", "-o", out.to_str().unwrap()];
        let mut command = jijia(&[&base[..], more].concat());
        let done = command.env("JIJIA_LOG_GUARD_FILE", guard_of(&data)).output().unwrap();
        (
            done.status.code().unwrap(),
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned(),
        )
    };
    let (code, said) = run(&["--originals"]);
    assert_eq!(code, 0, "{said}");
    let first = good(&std::fs::read(&out).unwrap());
    service.stop().await;
    let (code, said) = run(&["--copies"]);
    assert_eq!(code, 0, "{said}");
    let zip = std::fs::read(&out).unwrap();
    let second = good(&zip);
    // The documents of the first are of no report: they are not in the second.
    let entries = |p: &Proved| p.manifest.as_ref().map_or(0, |m| m.entries.len());
    assert_eq!(entries(&first), entries(&second));
    let manifest: Manifest = serde_json::from_slice(&member(&zip, "manifest.json")).unwrap();
    assert_eq!(manifest.filter, "全湖；全部时间");
    let (code, said) = run(&["--copies", "--originals"]);
    assert_eq!(code, 2, "{said}");
}

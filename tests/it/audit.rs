//! `jijia audit`: nothing to say of what the service wrote, and a line for everything that another hand did.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use jijia::clock::Clock;
use jijia::evidence::entry::Sealed;
use jijia::lake::{Place, load::embedded};
use jijia::store::audit::{Finding, Options, Outcome, audit};
use jijia::store::erasure::Target;
use jijia::water::observation::{DeadLetter, NewBatch, NewObservation, Processing, Value as Measured};
use serde_json::{Value, json};

use crate::cli::jijia;
use crate::service::{Service, guard_of, id, jpeg, report, sha256_of, voice, with};

/// The place after an outfall was moved a little: another hash, other results.
pub fn second_place() -> Place {
    let mut place = embedded();
    place.hash[0] ^= 1;
    place.match_m *= 0.5;
    place
}

/// What an audit of `dir` by `place` finds.
pub fn audited(dir: &Path, place: &Place) -> (Outcome, Vec<Finding>) {
    let mut findings = Vec::new();
    let done =
        audit(dir, place, &Options::default(), &ProgressBar::hidden(), &mut |f| findings.push(f.clone()));
    (done.unwrap(), findings)
}

pub fn observation(station: &str, at_ms: i64, value: Measured) -> NewObservation {
    NewObservation {
        station: station.into(),
        property: "do".into(),
        unit: "mg/L".into(),
        processing: Processing::Raw,
        at_ms,
        value,
        mark: (at_ms % 3 == 0).then(|| "探头离水".into()),
    }
}

fn letter(n: u8) -> DeadLetter {
    DeadLetter {
        source: "mqtt".into(),
        topic: format!("lake/{n}"),
        reason: "不是 JSON".into(),
        raw: vec![n, 0xff],
    }
}

fn correction(n: u32, action: &str) -> Value {
    json!({"id": id(n), "action": action, "reason": "核对后更正", "person": {"id": "p-8", "name": "李四"}})
}

/// Everything the service can write, under two places: the second is in use at the end. Gives the photos there are.
#[expect(clippy::too_many_lines, reason = "one thing after another, of every kind")]
pub async fn story(dir: &Path) -> Vec<PathBuf> {
    let service = Service::start(dir).await;
    let patrol = json!({"id": id(100), "person": {"id": "p-7"}, "started_at": "2026-07-01T06:30:00+08:00",
        "ended_at": "2026-07-01T08:00:00+08:00", "sectors": ["JJH-AD-01", "JJH-AD-02"], "note": "雨后"});
    service.post("/api/v1/patrols", &patrol).await.created();
    let photos: Vec<Vec<u8>> = (0..4).map(jpeg).collect();
    for n in 0..6 {
        let hashes = json!([sha256_of(&photos[n as usize % 4])]);
        let body = with(with(report(n), "/photos", hashes), "/patrol", json!(id(100)));
        service.post("/api/v1/reports", &body).await.created();
    }
    let unplaced = with(with(report(6), "/position", Value::Null), "/no_position", json!("室内"));
    service.post("/api/v1/reports", &unplaced).await.created();
    for photo in &photos {
        service.put_photo(photo).await.created();
    }
    let to = |n: u32| format!("/api/v1/reports/{}/corrections", id(n));
    let position =
        json!({"lng": 113.11281, "lat": 29.395396, "crs": "wgs84", "accuracy_m": 5, "source": "map"});
    let amend = json!({"position": position, "note": "在一号排口", "add_photos": [sha256_of(&photos[3])]});
    service.post(&to(1), &with(correction(20, "amend"), "/amend", amend)).await.created();
    service
        .post(&to(2), &with(correction(21, "choose_outfall"), "/outfall", json!("JJH-PK-0001")))
        .await
        .created();
    service.post(&to(3), &correction(22, "withdraw")).await.created();
    let values = json!({"id": id(200), "observations": [
        {"station": "JJH-S1", "property": "do", "observed_at": "2026-07-01T08:00:00+08:00", "value": "8.120"},
        {"station": "JJH-S1", "property": "nh3n", "observed_at": "2026-07-01T08:00:00+08:00", "value": "<0.025"},
        {"station": "JJH-S1", "property": "do", "observed_at": "2026-07-01T08:10:00+08:00", "value": -0.0}]});
    service.post("/api/v1/observations", &values).await.created();
    let store = &service.app.store;
    let rows =
        |from: i64| (from..from + 6).map(|i| observation("S1", i * 60_000, Measured::number(i as f64 / 3.0)));
    for (from, dead) in [(0, vec![]), (6, vec![letter(1), letter(2)]), (4, vec![letter(3)])] {
        let batch = NewBatch {
            source: "mqtt:lake".into(),
            by: "test".into(),
            file: None,
            observations: rows(from).collect(),
            dead,
        };
        store.add_observations(batch).await.unwrap();
    }
    let second = vec![observation("S1", 60_000, Measured::from_text(8.12, "8.120"))];
    store
        .add_observations(NewBatch {
            source: "http".into(),
            by: "test".into(),
            file: None,
            observations: second,
            dead: vec![],
        })
        .await
        .unwrap();
    let alone = NewBatch {
        source: "mqtt:lake".into(),
        by: "test".into(),
        file: None,
        observations: vec![],
        dead: vec![letter(4)],
    };
    assert!(store.add_observations(alone).await.unwrap().receipt.is_some());
    let at = store.list_observations_after(jijia::store::Cursor::START, 9).await.unwrap().pop().unwrap().at;
    store.move_cursor("influx", at, vec![letter(5), letter(6)]).await.unwrap();
    service.get("/api/v1/timeline.csv").await;
    service.stop().await;
    let service = Service::start_at(dir, second_place(), Clock::System).await;
    service.post("/api/v1/reports", &report(7)).await.created();
    let store = &service.app.store;
    // Entries 1 to 7 are the reports 0 to 6: of one the note goes, of two all, of which one was corrected since.
    for (entry, payload) in [(5, "note"), (6, "record"), (2, "record")] {
        let target = Target::Payload(entry, payload.into());
        store.redact(&target, "依个人信息保护法第四十七条".into()).await.unwrap();
    }
    let target = Target::File(Sealed::Photo, sha256_of(&photos[2]));
    store.redact(&target, "当事人要求".into()).await.unwrap();
    for (n, seconds) in [(8, 3), (9, 4)] {
        let named = with(report(n), "/voice", json!(sha256_of(&voice(seconds))));
        service.post("/api/v1/reports", &named).await.created();
    }
    for seconds in [3, 4, 5] {
        service.put_voice(&voice(seconds)).await.created();
    }
    let target = Target::File(Sealed::Voice, sha256_of(&voice(4)));
    store.redact(&target, "当事人要求".into()).await.unwrap();
    let paths = photos.iter().map(|p| store.original_path(&sha256_of(p))).filter(|p| p.exists()).collect();
    service.stop().await;
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_wrote_has_no_findings_and_a_running_one_is_not_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    story(dir.path()).await;
    let service = Service::start_at(dir.path(), second_place(), Clock::System).await;
    let writing = tokio::spawn({
        let store = service.app.store.clone();
        async move {
            for n in 0..200 {
                let observations = vec![observation("S2", n * 1000, Measured::number(1.0))];
                store
                    .add_observations(NewBatch {
                        source: "http".into(),
                        by: "test".into(),
                        file: None,
                        observations,
                        dead: vec![],
                    })
                    .await
                    .unwrap();
            }
        }
    });
    let mut sizes = vec![];
    while !writing.is_finished() {
        let path = dir.path().to_owned();
        let (done, findings) =
            tokio::task::spawn_blocking(move || audited(&path, &second_place())).await.unwrap();
        assert_eq!((findings, done.findings, done.photos), (vec![], 0, 3));
        sizes.push(done.entries);
    }
    writing.await.unwrap();
    let head = service.app.store.log_head().await.unwrap();
    let (done, findings) = audited(dir.path(), &second_place());
    assert_eq!((findings, done.entries, done.root), (vec![], head.size, head.root));
    // By the first place the old results are recomputed, and the new ones are those of a place the log knows.
    assert_eq!(audited(dir.path(), &embedded()).1, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_was_flipped_cut_swapped_removed_or_added_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let photos = story(dir.path()).await;
    let place = second_place();
    let name = |p: &Path| {
        let folder = p.parent().unwrap().file_name().unwrap().to_str().unwrap();
        format!("{folder}{}", p.file_stem().unwrap().to_str().unwrap())
    };
    let keys = |place: &Place| {
        let mut keys: Vec<String> = audited(dir.path(), place).1.iter().map(|f| f.key.clone()).collect();
        keys.sort();
        keys
    };
    let originals: Vec<Vec<u8>> = photos.iter().map(|p| std::fs::read(p).unwrap()).collect();
    for (at, bit) in [(0, 1_u8), (originals[0].len() / 2, 0x80), (originals[0].len() - 1, 0x10)] {
        let mut bytes = originals[0].clone();
        bytes[at] ^= bit;
        std::fs::write(&photos[0], bytes).unwrap();
        assert_eq!(keys(&place), [name(&photos[0])], "bit {bit} of byte {at}");
    }
    for cut in [0, 1, originals[0].len() - 1] {
        std::fs::write(&photos[0], &originals[0][..cut]).unwrap();
        assert_eq!(keys(&place), [name(&photos[0])], "cut to {cut}");
    }
    std::fs::write(&photos[0], &originals[1]).unwrap();
    std::fs::write(&photos[1], &originals[0]).unwrap();
    let mut both = [name(&photos[0]), name(&photos[1])];
    both.sort();
    assert_eq!(keys(&place), both, "swapped");
    std::fs::write(&photos[1], &originals[1]).unwrap();
    std::fs::remove_file(&photos[0]).unwrap();
    let found = audited(dir.path(), &place).1;
    assert_eq!(found.len(), 1);
    assert!(found[0].to_string().contains("is missing"), "{}", found[0]);
    std::fs::write(&photos[0], &originals[0]).unwrap();
    // The copy is what pages and documents show.
    let copy = dir.path().join("previews").join(photos[0].strip_prefix(dir.path().join("photos")).unwrap());
    let copy = copy.with_extension("jpg");
    let shown = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, std::fs::read(copy_of(dir.path(), &photos[1])).unwrap()).unwrap();
    assert_eq!(keys(&place), [name(&photos[0])], "another copy");
    std::fs::write(&copy, shown).unwrap();
    let stray = photos[0].parent().unwrap().join(format!("{}.bin", "0".repeat(62)));
    std::fs::write(&stray, b"x").unwrap();
    let beside = dir.path().join("photos/notes.txt");
    std::fs::write(&beside, b"x").unwrap();
    assert_eq!(audited(dir.path(), &place).1.len(), 2, "files without an entry");
    std::fs::remove_file(stray).unwrap();
    std::fs::remove_file(beside).unwrap();
    assert_eq!(keys(&place), [] as [String; 0]);
}

fn copy_of(dir: &Path, original: &Path) -> PathBuf {
    dir.join("previews").join(original.strip_prefix(dir.join("photos")).unwrap()).with_extension("jpg")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_it_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let photos: Vec<Vec<u8>> = (0..30).map(jpeg).collect();
    for photo in &photos {
        service.put_photo(photo).await.created();
    }
    let paths: Vec<PathBuf> = photos.iter().map(|p| service.app.store.original_path(&sha256_of(p))).collect();
    let run = |args: &[&str]| {
        let mut out = jijia(&[&["--data", dir.path().to_str().unwrap(), "audit"], args].concat());
        let out = out.env("JIJIA_LOG_GUARD_FILE", guard_of(dir.path())).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    };
    let (code, said) = run(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("31 entries") && said.contains("30 photos") && said.contains("clean"), "{said}");
    // An audit that was interrupted after folder 7f, with one finding: it goes on, and does not forget.
    let state = json!({"entries": 31, "folders": 128, "findings": 1,
        "tally": {"photos": 9, "voices": 0, "bytes": 900}});
    std::fs::write(dir.path().join("audit.state"), state.to_string()).unwrap();
    let low = paths.iter().filter(|p| p.parent().unwrap().file_name().unwrap().to_str().unwrap() < "80");
    let (flipped, there) = (low.clone().next().unwrap(), low.count());
    let good = std::fs::read(flipped).unwrap();
    std::fs::write(flipped, b"other").unwrap();
    let (code, said) = run(&["--resume"]);
    assert_eq!(code, 1, "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.contains("before folder 80") && last.contains("1 finding(s)"), "{said}");
    assert!(said.contains(&format!("{} photos", 9 + 30 - there)), "{said}");
    assert!(!dir.path().join("audit.state").exists(), "done is done");
    let (code, said) = run(&["--rate-mb-s", "50"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.starts_with("photo ") && said.contains("has the hash"), "{said}");
    std::fs::write(flipped, good).unwrap();
    assert_eq!(run(&[]).0, 0);
    service.stop().await;
    let out = jijia(&["--data", "/nonexistent/jijia", "audit"]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
}

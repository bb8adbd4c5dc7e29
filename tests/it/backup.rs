//! Backup and restore: what was acknowledged is back, and the log is never forked.

use std::path::{Path, PathBuf};

use jijia::store::backup::{MANIFEST, read_manifest};
use serde_json::json;

use crate::audit::{audited, observation};
use crate::cli::jijia;
use crate::service::{Service, guard_of, id, jpeg, report, sha256_of, with};
use jijia::water::observation::{NewBatch, Value as Measured};

/// A host with its data directory and its guard beside it.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn guard(&self) -> PathBuf {
        guard_of(&self.data())
    }

    /// The program on this host, configured with this origin.
    fn run_as(&self, origin: &str, args: &[&str]) -> (i32, String) {
        let mut command = jijia(&[&["--data", self.data().to_str().unwrap()], args].concat());
        let config = self.0.path().join("jijia.toml");
        let guard = self.guard();
        std::fs::write(&config, format!("[log]\norigin = {origin:?}\nguard_file = {guard:?}\n")).unwrap();
        let out = command.env("JIJIA_CONFIG", config).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code().unwrap(), text(out.stdout) + &text(out.stderr))
    }

    fn run(&self, args: &[&str]) -> (i32, String) {
        self.run_as("jijia.local/evidence", args)
    }

    /// The service of this host; its guard is the one that the program uses.
    async fn serve(&self) -> Service {
        std::fs::create_dir_all(self.data()).unwrap();
        Service::start(&self.data()).await
    }
}

fn done((code, said): (i32, String)) -> String {
    assert_eq!(code, 0, "{said}");
    said
}

fn refused((code, said): (i32, String), words: &str) {
    assert!(code == 2 && said.contains(words), "{code}: {said}");
}

async fn file_reports(service: &Service, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let photo = jpeg(n);
        let named = with(report(n), "/photos", json!([sha256_of(&photo)]));
        service.post("/api/v1/reports", &named).await.created();
        service.put_photo(&photo).await.created();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_all_is_written_comes_back_whole_and_the_log_goes_on() {
    let (host, backups) = (Host::new(), tempfile::tempdir().unwrap());
    let to = backups.path().join("weekly");
    let service = host.serve().await;
    file_reports(&service, 0..5).await;
    let writing = tokio::spawn({
        let store = service.app.store.clone();
        async move {
            for n in 0..150 {
                let observations = vec![observation("S1", n * 1000, Measured::number(n as f64))];
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
        done(host.run(&["backup", to.to_str().unwrap()]));
        sizes.push(read_manifest(&to).unwrap().log_size);
    }
    writing.await.unwrap();
    assert!(sizes.is_sorted(), "{sizes:?}");
    file_reports(&service, 5..8).await;
    let said = done(host.run(&["backup", to.to_str().unwrap()]));
    assert!(
        said.contains("8 photos, 0 voice notes, 6 files of them copied now"),
        "only the new ones: {said}"
    );
    assert!(said.contains("keep it as a secret"), "{said}");
    service.stop().await;
    done(host.run(&["backup", to.to_str().unwrap()]));
    let last = read_manifest(&to).unwrap();
    check_rights(&to);
    assert!(!holds(&to, "guard"), "a guard in its backup guards nothing");

    // The host is lost but for its guard.
    let next = Host::new();
    std::fs::copy(host.guard(), next.guard()).unwrap();
    let said = done(next.run(&["restore", to.to_str().unwrap()]));
    assert!(said.contains("8 photos, 0 voice notes; audited, clean"), "{said}");
    refused(next.run(&["restore", to.to_str().unwrap()]), "is not empty");
    let service = next.serve().await;
    assert_eq!(service.log_size().await, last.log_size);
    let again =
        service.post("/api/v1/reports", &with(report(3), "/photos", json!([sha256_of(&jpeg(3))]))).await;
    assert!(matches!(again.status, 200 | 409), "its id is known: {}", again.status);
    file_reports(&service, 20..22).await;
    let published = service.app.publisher.publish().await.unwrap();
    assert_eq!(published.checkpoint().size, last.log_size + 4);
    service.stop().await;
    assert_eq!(audited(&next.data(), &jijia::lake::load::embedded()).1, []);
    assert_eq!(next.run(&["audit"]).0, 0);
}

/// Key and database are for their owner alone.
fn check_rights(to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let manifest = read_manifest(to).unwrap();
    for part in [&manifest.database, manifest.key.as_ref().unwrap()] {
        let mode = std::fs::metadata(to.join(&part.file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", part.file);
    }
}

fn holds(folder: &Path, word: &str) -> bool {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().contains(word))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_not_restored_over_what_was_signed_since() {
    let (host, backups) = (Host::new(), tempfile::tempdir().unwrap());
    let (old, new) = (backups.path().join("old"), backups.path().join("new"));
    let service = host.serve().await;
    file_reports(&service, 0..2).await;
    service.app.publisher.publish().await.unwrap();
    done(host.run(&["backup", old.to_str().unwrap()]));
    file_reports(&service, 2..3).await;
    let witnessed = service.app.publisher.publish().await.unwrap();
    done(host.run(&["backup", new.to_str().unwrap()]));
    service.stop().await;

    let next = Host::new();
    std::fs::copy(host.guard(), next.guard()).unwrap();
    refused(next.run(&["restore", old.to_str().unwrap()]), "is of 7 entries, the log has 5");
    assert!(!next.data().exists() || std::fs::read_dir(next.data()).unwrap().next().is_none());
    assert!(!next.0.path().join("data.restoring").exists());
    // Nor does an older log, or another one, take the place of a newer backup.
    let older = Host::new();
    std::fs::create_dir(older.data()).unwrap();
    std::fs::copy(old.join(read_manifest(&old).unwrap().database.file), older.data().join("jijia.db"))
        .unwrap();
    std::fs::copy(host.data().join("log.key"), older.data().join("log.key")).unwrap();
    let before = std::fs::read(new.join(MANIFEST)).unwrap();
    refused(older.run(&["backup", new.to_str().unwrap()]), "nothing was backed up");
    assert_eq!(std::fs::read(new.join(MANIFEST)).unwrap(), before);
    // Without the guard nobody says how far the log had come.
    let alone = Host::new();
    refused(alone.run(&["restore", new.to_str().unwrap()]), "--new-origin");
    let file = alone.0.path().join("checkpoint");
    std::fs::write(&file, witnessed.to_string()).unwrap();
    let given = ["--checkpoint", file.to_str().unwrap()];
    refused(alone.run(&[&["restore", old.to_str().unwrap()], &given[..]].concat()), "the log has 5");
    done(alone.run(&[&["restore", new.to_str().unwrap()], &given[..]].concat()));
    assert_eq!(std::fs::read_to_string(alone.guard()).unwrap(), witnessed.to_string());
    let service = alone.serve().await;
    file_reports(&service, 10..11).await;
    assert_eq!(service.app.publisher.publish().await.unwrap().checkpoint().size, 9);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_tell_the_log_goes_on_under_a_new_name_that_says_so() {
    let (host, backups) = (Host::new(), tempfile::tempdir().unwrap());
    let to = backups.path().join("b");
    let service = host.serve().await;
    file_reports(&service, 0..2).await;
    let old = service.app.publisher.publish().await.unwrap();
    done(host.run(&["backup", to.to_str().unwrap()]));
    service.stop().await;

    let next = Host::new();
    let args = ["restore", to.to_str().unwrap(), "--new-origin", "jijia.local/second"];
    refused(next.run(&args), "is not [log] origin");
    done(next.run_as("jijia.local/second", &args));
    let db = rusqlite::Connection::open(next.data().join("jijia.db")).unwrap();
    let body: Vec<u8> =
        db.query_row("select body from entry where kind = 'origin'", [], |r| r.get(0)).unwrap();
    let entry: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let root = hex::encode(old.checkpoint().root);
    assert_eq!(entry["old_name"], old.checkpoint().origin.as_str());
    assert_eq!((&entry["old_size"], &entry["old_root"]), (&json!(5), &json!(root)));
    drop(db);
    assert!(!next.data().join("log.key").exists(), "the old key signs nothing any more");
    done(next.run_as("jijia.local/second", &["log", "key"]));
    done(next.run_as("jijia.local/second", &["log", "rebuild"]));
    let guard = std::fs::read_to_string(next.guard()).unwrap();
    assert!(guard.starts_with("jijia.local/second\n6\n"), "{guard}");
    done(next.run_as("jijia.local/second", &["audit"]));
    refused(next.run(&["log", "rebuild"]), "origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_not_restored_and_a_damaged_host_does_not_spoil_a_good_one() {
    let (host, backups) = (Host::new(), tempfile::tempdir().unwrap());
    let to = backups.path().join("b");
    let service = host.serve().await;
    file_reports(&service, 0..2).await;
    service.app.publisher.publish().await.unwrap();
    done(host.run(&["backup", to.to_str().unwrap()]));
    // A photo rots on the host: the backup has a good one and keeps it.
    let rotten = service.app.store.original_path(&sha256_of(&jpeg(0)));
    let good = to.join(rotten.strip_prefix(host.data()).unwrap());
    std::fs::write(&rotten, b"rot").unwrap();
    done(host.run(&["backup", to.to_str().unwrap()]));
    assert_eq!(std::fs::read(&good).unwrap(), jpeg(0));
    // It rots in both: that is said, and the rest is backed up.
    std::fs::write(&good, b"rot").unwrap();
    let (code, said) = host.run(&["backup", to.to_str().unwrap()]);
    assert!(code == 1 && said.contains(&sha256_of(&jpeg(0))), "{said}");
    let restore = || {
        let next = Host::new();
        std::fs::copy(host.guard(), next.guard()).unwrap();
        let ended = next.run(&["restore", to.to_str().unwrap()]);
        assert!(ended.0 == 0 || !next.data().join("jijia.db").exists());
        ended
    };
    refused(restore(), &sha256_of(&jpeg(0)));
    std::fs::write(&good, jpeg(0)).unwrap();
    done(restore());
    let database = to.join(read_manifest(&to).unwrap().database.file);
    let bytes = std::fs::read(&database).unwrap();
    for at in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        std::fs::write(&database, flipped).unwrap();
        refused(restore(), "is damaged");
    }
    std::fs::write(&database, bytes).unwrap();
    let manifest = std::fs::read(to.join(MANIFEST)).unwrap();
    std::fs::write(to.join(MANIFEST), &manifest[..manifest.len() / 2]).unwrap();
    refused(restore(), "does not read");
    std::fs::write(to.join(MANIFEST), &manifest).unwrap();
    done(restore());
    // What was erased leaves the backup with the next one.
    let (code, said) = host.run(&["redact", "--photo", &sha256_of(&jpeg(1)), "--reason", "当事人要求"]);
    assert_eq!(code, 0, "{said}");
    std::fs::write(&rotten, jpeg(0)).unwrap();
    let gone =
        to.join(service.app.store.original_path(&sha256_of(&jpeg(1))).strip_prefix(host.data()).unwrap());
    assert!(gone.exists());
    done(host.run(&["backup", to.to_str().unwrap()]));
    assert!(!gone.exists());
    service.app.publisher.publish().await.unwrap();
    done(host.run(&["backup", to.to_str().unwrap()]));
    done(restore());
    service.post("/api/v1/reports", &report(99)).await.created();
    assert_eq!(service.get(&format!("/api/v1/reports/{}", id(99))).await.status, 200);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signed_in_comes_back_too() {
    let (host, backups) = (Host::new(), tempfile::tempdir().unwrap());
    let to = backups.path().join("weekly");
    let service = host.serve().await;
    let event = jijia::store::SignInEvent::Failure;
    service.app.store.note_sign_in([192, 0, 2, 7].into(), None, event);
    file_reports(&service, 0..1).await;
    service.stop().await;
    let log = std::fs::read(host.data().join("sign-in.log")).unwrap();
    assert!(log.windows(9).any(|w| w == b"192.0.2.7"));
    done(host.run(&["backup", to.to_str().unwrap()]));
    std::fs::remove_dir_all(host.data()).unwrap();
    std::fs::create_dir(host.data()).unwrap();
    done(host.run(&["restore", to.to_str().unwrap()]));
    let back = host.data().join("sign-in.log");
    assert_eq!(std::fs::read(&back).unwrap(), log);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(back).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // A later backup takes the place of the first.
    done(host.run(&["backup", to.to_str().unwrap()]));
    let logs = std::fs::read_dir(&to)
        .unwrap()
        .filter(|f| f.as_ref().unwrap().file_name().to_str().unwrap().starts_with("sign-in-"));
    assert_eq!(logs.count(), 1);
}

//! A real witness process: what it cosigns, what it refuses, what it still knows after a kill.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use jijia::config;
use jijia::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use jijia::evidence::note::{Kind, SignerKey};
use jijia::evidence::proof;
use jijia::evidence::witness::AddCheckpoint;
use jijia::publish::{self, Publisher};
use jijia::store::Store;

use crate::cli::jijia;
use crate::log_guard::{self, Log, add, back_up, restored};
use crate::serve::{self, Serve};
use crate::service::guard_of;

/// A running `jijia witness`; killed when dropped.
struct Witness {
    child: Child,
    address: String,
    vkey: String,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Witness {
    fn start(folder: &Path, listen: &str, logs: &[&str]) -> Self {
        let mut child = command(folder, listen, logs).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = |start: &str| {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            line.strip_prefix(start).unwrap_or_else(|| panic!("{line}")).trim_end().to_owned()
        };
        let (address, vkey) = (line("witness on http://"), line("vkey "));
        Self { child, address, vkey }
    }

    fn ask(&self, body: &str) -> (u16, String) {
        let mut line = TcpStream::connect(&self.address).unwrap();
        line.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = "POST /add-checkpoint HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:";
        write!(line, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

fn command(folder: &Path, listen: &str, logs: &[&str]) -> std::process::Command {
    let (key, state) = (folder.join("witness.key"), folder.join("state"));
    let mut command = jijia(&["witness", "--listen", listen, "--name", "witness.example/w1"]);
    command.arg("--key").arg(key).arg("--state").arg(state);
    command.args(logs.iter().flat_map(|log| ["--log", log]));
    command
}

fn refused(folder: &Path, logs: &[&str]) -> String {
    let out = command(folder, "127.0.0.1:0", logs).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    String::from_utf8(out.stderr).unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// When the key `vkey` cosigned this checkpoint, by the text of the specification and nobody's parser.
fn cosigned_at(checkpoint: &str, vkey: &str) -> Option<u64> {
    let (name, rest) = vkey.split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    let key = STANDARD.decode(key).unwrap();
    assert_eq!(key[0], 4);
    let key = VerifyingKey::from_bytes(key[1..].try_into().unwrap()).unwrap();
    let (text, lines) = checkpoint.split_once("\n\n").unwrap();
    let line = lines.lines().find_map(|l| l.strip_prefix(&format!("— {name} ")))?;
    let bytes = STANDARD.decode(line).unwrap();
    assert_eq!((hex::encode(&bytes[..4]).as_str(), bytes.len()), (id, 4 + 8 + 64));
    let time = u64::from_be_bytes(bytes[4..12].try_into().unwrap());
    let message = format!("cosignature/v1\ntime {time}\n{text}\n");
    key.verify_strict(message.as_bytes(), &Signature::from_slice(&bytes[12..]).unwrap()).unwrap();
    Some(time)
}

/// Writes the configuration of a service with this witness.
fn configured(folder: &Path, url: &str, vkey: &str) -> String {
    let file = folder.join("jijia.toml");
    let witness = format!("{{ name = \"水务局\", url = \"{url}\", vkey = \"{vkey}\" }}");
    std::fs::write(&file, format!("[log]\nwitnesses = [{witness}]\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

fn log_key(data: &Path) -> String {
    let data_arg = data.to_str().unwrap();
    let out = jijia(&["--data", data_arg, "log", "key"])
        .env("JIJIA_LOG_GUARD_FILE", guard_of(data))
        .output()
        .unwrap();
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .find_map(|l| l.strip_prefix("key    ").map(str::to_owned))
        .unwrap()
}

/// The newest checkpoint as soon as `good` says so.
fn until(what: &str, mut good: impl FnMut() -> Option<String>) -> String {
    let begun = Instant::now();
    loop {
        if let Some(found) = good() {
            println!("{what}: after {:?}", begun.elapsed());
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_services_checkpoints_are_cosigned_and_a_witness_that_is_away_delays_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().join("witness"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(&data).unwrap();
    let key = log_key(&data);
    let witness = Witness::start(&folder, "127.0.0.1:0", &[&key]);
    let (address, vkey) = (witness.address.clone(), witness.vkey.clone());
    let config = configured(dir.path(), &format!("http://{address}/"), &vkey);
    let serve = Serve::run(serve::serve(&data).env("JIJIA_CONFIG", &config));
    let get = |target: &str| serve.get(target).text().to_owned();
    let newest = || get("/log/checkpoint");
    let size = |checkpoint: &str| checkpoint.lines().nth(1).unwrap().parse::<u64>().unwrap();
    let cosigned = |at_least: u64| {
        let checkpoint = newest();
        let good = checkpoint.contains("\n\n") && size(&checkpoint) >= at_least;
        (good && cosigned_at(&checkpoint, &vkey).is_some()).then_some(checkpoint)
    };
    let first = until("cosigned", || cosigned(1));
    crate::log_client::verified(&first, &key);
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    assert!(now.abs_diff(cosigned_at(&first, &vkey).unwrap()) < 120);
    // The proof of an entry carries the cosignature as well.
    let proof = get("/api/v1/log/proofs/0");
    assert!(cosigned_at(proof.split_once("\n\n").unwrap().1, &vkey).is_some(), "{proof}");

    // So does a bundle that is made by a command beside the service, over an entry of its own.
    let bundle = dir.path().join("bundle.zip");
    let args =
        ["--data", data.to_str().unwrap(), "--config", &config, "timeline", "-o", bundle.to_str().unwrap()];
    let out = jijia(&args).env("JIJIA_LOG_GUARD_FILE", guard_of(&data)).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let args = ["verify", bundle.to_str().unwrap(), "--key", key.as_str()];
    let out = jijia(&args).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("witness.example/w1"), "{said}");

    let before = cosigned(size(&first) + 1).expect("the bundle's entry is cosigned");
    drop(witness);
    let entry = |n: u64| {
        // An entry by another process.
        let args = ["--data", data.to_str().unwrap(), "timeline", "-o"];
        let out = jijia(&args).arg(dir.path().join(format!("{n}.csv"))).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    entry(1);
    let alone = until("published without the witness", || Some(newest()).filter(|c| size(c) > size(&before)));
    assert_eq!(cosigned_at(&alone, &vkey), None);
    until("the warning", || Some(get("/readyz")).filter(|r| r.contains("witness 水务局: ")));
    // The old entry is still proved with the cosignature that it had.
    let proof = get("/api/v1/log/proofs/0");
    assert!(cosigned_at(proof.split_once("\n\n").unwrap().1, &vkey).is_some(), "{proof}");

    let witness = Witness::start(&folder, &address, &[&key]);
    assert_eq!(witness.vkey, vkey);
    until("cosigned again", || cosigned(size(&alone)));
    until("no warning", || Some(get("/readyz")).filter(|r| r.contains("\"warnings\":[]")));
}

/// A history of a log and the key that signs it: requests as right or as wrong as asked.
struct History {
    key: SignerKey,
    log: Log,
    store: Store,
}

impl History {
    /// 40 entries, another history for each `format`; with the key of `log`, or one of its own.
    async fn new(format: &'static str, key: Option<&SignerKey>) -> Self {
        let log = Log::new();
        let store = log.store().await;
        for i in 0..40 {
            store.add_export(format, [7; 32], i, "one".to_owned(), "test".into()).await.unwrap();
        }
        log.publish().await.unwrap();
        let own = || std::fs::read_to_string(log.dir().join("log.key")).unwrap().trim_end().parse().unwrap();
        Self { key: key.cloned().unwrap_or_else(own), log, store }
    }

    async fn request(&self, old: u64, size: u64) -> AddCheckpoint {
        self.signed_by(&self.key, old, size).await
    }

    async fn signed_by(&self, key: &SignerKey, old: u64, size: u64) -> AddCheckpoint {
        let made = self.store.with_tiles(|read| {
            Ok((proof::root(size, &mut *read)?, proof::consistency(old.min(size), size, read)?))
        });
        let (root, proof) = made.await.unwrap();
        let origin = key.verifier().name().to_owned();
        let head = Checkpoint { origin, size, root, extensions: vec![] };
        AddCheckpoint { old, proof, checkpoint: SignedCheckpoint::sign(head, key).unwrap() }
    }
}

#[track_caller]
fn stale((status, answer): (u16, String), known: u64) {
    assert_eq!((status, body(&answer)), (409, format!("{known}\n").as_str()), "{answer}");
    assert!(answer.contains("content-type: text/x.tlog.size\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_unsigned_or_unreadable_is_answered_as_the_specification_says() {
    let folder = tempfile::tempdir().unwrap();
    let log = History::new("csv", None).await;
    let witness = Witness::start(folder.path(), "127.0.0.1:0", &[&log.key.verifier().to_string()]);
    let stranger = SignerKey::generate("jijia.local/evidence", Kind::Ed25519).unwrap();
    let other = SignerKey::generate("other.example/log", Kind::Ed25519).unwrap();
    assert_eq!(witness.ask(&log.signed_by(&other, 0, 5).await.to_string()).0, 404);
    assert_eq!(witness.ask(&log.signed_by(&stranger, 0, 5).await.to_string()).0, 403);
    for broken in ["", "old 0\n\n", "old 00\n\nx\n1\n", "\u{0}"] {
        assert_eq!(witness.ask(broken).0, 400, "{broken:?}");
    }
    assert_eq!(witness.ask(&"x".repeat(200_000)).0, 413);
    stale(witness.ask(&log.request(3, 7).await.to_string()), 0);
    let request = log.request(0, 7).await;
    let (status, answer) = witness.ask(&request.to_string());
    assert_eq!(status, 200, "{answer}");
    assert!(cosigned_at(&format!("{}{}", request.checkpoint, body(&answer)), &witness.vkey).is_some());
    assert!(
        refused(folder.path(), &[&log.key.verifier().to_string()]).contains("another witness has --state")
    );
    assert!(log.log.dir().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_forgets_nothing_and_no_fork_is_cosigned() {
    let folder = tempfile::tempdir().unwrap();
    let log = History::new("csv", None).await;
    let fork = History::new("pdf", Some(&log.key)).await;
    let vkey = log.key.verifier().to_string();
    let mut witness = Witness::start(folder.path(), "127.0.0.1:0", &[&vkey]);
    assert_eq!(witness.ask(&log.request(0, 7).await.to_string()).0, 200);
    let mut known = 7;
    for i in 0..10_u64 {
        // Killed at once after its answer: what it cosigned it still knows.
        let address = witness.address.clone();
        drop(witness);
        witness = Witness::start(folder.path(), &address, &[&vkey]);
        stale(witness.ask(&log.request(0, 30).await.to_string()), known);
        assert_eq!(witness.ask(&log.request(known + 1, known).await.to_string()).0, 400);
        assert_eq!(witness.ask(&log.request(known, known).await.to_string()).0, 200, "again is no harm");
        stale(witness.ask(&fork.request(known, known).await.to_string()), known);
        let forked = fork.request(known, known + 3).await.to_string();
        assert_eq!(witness.ask(&forked).0, 422);
        let kept = std::fs::read_dir(folder.path().join("state")).unwrap().map(|f| f.unwrap().path());
        let kept: Vec<_> = kept.filter(|f| f.extension().is_some_and(|e| e == "denied")).collect();
        assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), forked, "the proof of the fork");
        let mut unproved = log.request(known, known + 3).await;
        unproved.proof.pop();
        assert_eq!(witness.ask(&unproved.to_string()).0, 422);
        let next = known + 1 + i % 3;
        assert_eq!(witness.ask(&log.request(known, next).await.to_string()).0, 200, "{known} to {next}");
        known = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_forked_is_found_by_its_witness() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new();
    let store = log.store().await;
    add(&store, 10).await;
    log.publish().await.unwrap();
    let backup = folder.path().join("backup");
    back_up(&log.dir(), &backup);
    // A copy of everything, the guard included: nothing on this machine can tell the two apart.
    let twin = restored(&log, &backup);
    let key = Publisher::open(store.clone(), &log_guard::config())
        .await
        .unwrap()
        .verifier()
        .await
        .unwrap()
        .to_string();
    let witness = Witness::start(folder.path(), "127.0.0.1:0", &[&key]);
    let config = config::Witness {
        name: "w1".into(),
        url: format!("http://{}", witness.address),
        vkey: witness.vkey.clone(),
    };
    for (log, entries, words) in
        [(&log, 3, None), (&twin, 2, Some("it cosigned 13 entries")), (&twin, 5, Some("it answered 422"))]
    {
        let store = log.store().await;
        for i in 0..entries {
            store
                .add_export("pdf", [entries as u8; 32], i, "its own".to_owned(), "test".into())
                .await
                .unwrap();
        }
        let publisher = Publisher::open(store.clone(), &log_guard::config()).await.unwrap();
        publisher.publish().await.unwrap();
        let asked = publish::Witness::new(&config).unwrap();
        let asking = tokio::spawn(publish::ask(publisher.clone(), asked, std::future::pending()));
        let begun = Instant::now();
        loop {
            let missing = publisher.missing_witnesses();
            let cosigned = store.find_checkpoint().await.unwrap().unwrap();
            let cosigned = cosigned.verify_cosigned(&witness.vkey.parse().unwrap()).is_ok();
            match words {
                None if cosigned => break,
                Some(words) if missing.iter().any(|(name, said)| name == "w1" && said.contains(words)) => {
                    assert!(!cosigned);
                    break;
                }
                _ => assert!(begun.elapsed() < Duration::from_secs(60), "{words:?}: {missing:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        asking.abort();
    }
}

#[test]
fn a_witness_with_a_wrong_setting_is_refused_with_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let log = SignerKey::generate("a.example/log", Kind::Ed25519).unwrap();
    let vkey = SignerKey::generate("w.example", Kind::Cosignature).unwrap().verifier().to_string();
    assert!(refused(folder.path(), &["nonsense"]).contains("--log"));
    assert!(refused(folder.path(), &[&vkey]).contains("not of a log"));
    let key = folder.path().join("witness.key");
    std::fs::write(&key, log.secret_text()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(refused(folder.path(), &[&log.verifier().to_string()]).contains("chmod 600"));
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    }
    assert!(refused(folder.path(), &[&log.verifier().to_string()]).contains("--key"));

    let check = |url: &str, vkey: &str| {
        let out =
            jijia(&["--config", &configured(folder.path(), url, vkey), "config", "check"]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    for good in ["https://w.example/prefix/", "http://127.0.0.1:9", "http://[::1]:9/", "http://localhost"] {
        assert_eq!(check(good, &vkey), "configuration and place: good\n", "{good}");
    }
    for bad in [
        "http://w.example",
        "ftp://127.0.0.1",
        "https://a@w.example",
        "https://w.example/?x",
        "w.example",
        "",
    ] {
        let said = check(bad, &vkey);
        assert!(said.starts_with("log.witnesses: 水务局: url "), "{bad}: {said}");
    }
    assert!(check("https://w.example", &log.verifier().to_string()).contains("vkey is that of a log"));
    assert!(check("https://w.example", "x").contains("vkey: "));
}

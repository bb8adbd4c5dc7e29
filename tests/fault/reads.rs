//! Whoever reads does not wait for a write: while another process holds the database, on a full disk and on one that
//! takes no writes, every door that only reads answers as before; what must be an entry of the log first is refused.

use std::thread;
use std::time::{Duration, Instant};

use jijia::people::Role;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::full::{Acknowledged, Disk};
use super::trace::Attached;
use crate::people::{add, start};
use crate::people_doors::{browser, target};
use crate::serve::{Client, Serve};
use crate::service::{Answer, id, jpeg, report, request, sha256_of, voice, with};

/// Far more than any of these reads takes, and less than SQLite waits for a lock.
const SOON: Duration = Duration::from_secs(3);

/// A data directory with a report, its files and a session, and what is asked of it.
struct Office {
    data: TempDir,
    session: String,
    reads: Vec<Read>,
}

/// A door, asked with GET or HEAD.
#[derive(Clone)]
struct Read {
    method: &'static str,
    target: String,
    /// That it was read is an entry of the log.
    is_entry: bool,
}

impl Office {
    /// By the service itself, which has ended then. The session was last used hours ago: to use it is worth a note.
    fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (session, reads) = runtime.block_on(async {
            let service = start(data.path()).await;
            let (admin, _) = add(&service, "boss", Role::Admin, None).await;
            let mut boss = browser(&service, &admin).await;
            let csrf =
                boss.get(&service, "/api/v1/session").await.json()["csrf"].as_str().unwrap().to_owned();
            let session = boss.cookies[0].1.clone();
            let jar = format!("__Host-jijia-session={session}");
            let headers = [("cookie", jar.as_str()), ("x-csrf-token", csrf.as_str())];
            for (kind, bytes) in [("photos", jpeg(1)), ("voices", voice(1))] {
                let path = format!("/api/v1/{kind}/{}", sha256_of(&bytes));
                service.send("PUT", &path, &headers, &bytes).await.created();
            }
            let body = with(report(1), "/photos", json!([sha256_of(&jpeg(1))]));
            let body = with(body, "/voice", json!(sha256_of(&voice(1))));
            let body = with(body, "/person", json!({"id": admin}));
            boss.send(&service, "POST", "/api/v1/reports", &body).await.created();
            service.app.publisher.publish().await.unwrap();
            let doors = jijia::web::table(service.app.clone());
            let safe = doors.into_iter().filter(|d| matches!(d.method, "GET" | "HEAD"));
            let reads = safe.map(|door| Read {
                target: filled(&door.path, &target(&door), &admin),
                is_entry: door.method == "GET" && is_entry(&door.path),
                method: door.method,
            });
            let reads = reads.collect();
            service.stop().await;
            (session, reads)
        });
        let this = Self { data, session, reads };
        this.age_session();
        this
    }

    /// As if the session had not been used for two hours: using it is worth a note again.
    fn age_session(&self) {
        let db = Connection::open(self.data.path().join("jijia.db")).unwrap();
        db.execute("update session set seen_ms = seen_ms - 7200000", []).unwrap();
    }

    fn ask(&self, client: Client, read: &Read) -> (Answer, Duration) {
        let jar = format!("__Host-jijia-session={}", self.session);
        let begun = Instant::now();
        let bytes = request(read.method, &read.target, &[("cookie", &jar)], b"");
        let answer = client.ask(&bytes).expect("a whole answer");
        (answer, begun.elapsed())
    }

    /// What is answered to a read that is an entry. A service whose commit failed has ended: its reader hears nothing, and has
    /// nothing.
    fn ask_entry(&self, client: Client, read: &Read) -> u16 {
        let jar = format!("__Host-jijia-session={}", self.session);
        let bytes = request(read.method, &read.target, &[("cookie", &jar)], b"");
        loop {
            match client.ask(&bytes) {
                None => return 503,
                // Documents are made one at a time for an account.
                Some(answer) if answer.status == 429 => thread::sleep(Duration::from_millis(50)),
                Some(answer) => return answer.status,
            }
        }
    }

    /// What every door answers; those that write beside each other, since each may wait for the lock.
    fn statuses(&self, serve: &Serve, within: Duration) -> Vec<(Read, u16)> {
        let client = serve.client;
        let (entries, others): (Vec<_>, Vec<_>) = self.reads.iter().cloned().partition(|r| r.is_entry);
        let mut all: Vec<(Read, u16)> = Vec::new();
        for read in others {
            let (answer, took) = self.ask(client, &read);
            assert!(took < within, "{} {} took {took:?}", read.method, read.target);
            all.push((read, answer.status));
        }
        thread::scope(|scope| {
            let asked: Vec<_> =
                entries.into_iter().map(|r| scope.spawn(move || (self.ask_entry(client, &r), r))).collect();
            all.extend(asked.into_iter().map(|t| t.join().unwrap()).map(|(status, read)| (read, status)));
        });
        all
    }

    /// The same as `before` from all that only read, an honest refusal from the rest. A service that cannot write may say of
    /// itself that it is not ready.
    fn compare(before: &[(Read, u16)], during: &[(Read, u16)], ready: bool) {
        for ((read, was), (_, is)) in before.iter().zip(during) {
            let what = format!("{} {}: {was} before, {is} now", read.method, read.target);
            match (read.is_entry && *was == 200, read.target == "/readyz" && !ready) {
                // Who saw it within the hour has an entry already; a document is a new one each time.
                (true, _) => {
                    let again =
                        *is == 200 && !read.target.contains("/timeline.") && !read.target.contains(".csv");
                    assert!(matches!(is, 503 | 507) || again, "{what}");
                }
                // It learns of it by the first write that fails.
                (_, true) => assert!(matches!(is, 200 | 503), "{what}"),
                _ => assert_eq!(was, is, "{what}"),
            }
        }
        let refused = before.iter().filter(|(r, was)| r.is_entry && *was == 200).count();
        println!("reads: {} doors answered as before, {refused} were refused", before.len() - refused);
        assert!(refused >= 8 && before.len() > 45, "{refused} of {}", before.len());
    }
}

fn is_entry(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap();
    path.starts_with("/api/") && (last.contains('.') || matches!(last, "watermarked" | "name" | "{sha256}"))
}

fn filled(path: &str, target: &str, person: &str) -> String {
    let known = |kind: &str| if kind == "voices" { sha256_of(&voice(1)) } else { sha256_of(&jpeg(1)) };
    let kind = path.split('/').nth(3).unwrap_or_default();
    let target = target.replace(&"ab".repeat(32), &known(kind)).replace("{seq}", "0");
    let target = if kind == "people" { target.replace(&id(1), person) } else { target };
    match path {
        "/api/v1/log/inclusion" => target + "?index=0",
        "/api/v1/log/consistency" => target + "?from=0",
        _ => target.replace("{name}", "app.js"),
    }
}

#[test]
fn while_another_process_holds_the_database_every_read_answers_as_before() {
    let office = Office::open();
    let serve = Serve::start(office.data.path());
    let db = Connection::open(office.data.path().join("jijia.db")).unwrap();
    db.execute_batch("begin immediate").unwrap();
    let during = office.statuses(&serve, SOON);
    db.execute_batch("rollback").unwrap();
    // Then all of it is there again.
    let before = office.statuses(&serve, SOON);
    Office::compare(&before, &during, true);
}

#[test]
fn on_a_disk_that_takes_no_writes_every_read_answers_as_before() {
    let office = Office::open();
    let before = office.statuses(&Serve::start(office.data.path()), SOON);
    // A new process, which remembers no use: the first read under the fault has one to note.
    office.age_session();
    let serve = Serve::start(office.data.path());
    let fault =
        "inject=pwrite64,ftruncate,fsync,fdatasync,mkdir,mkdirat,rename,renameat,unlink,unlinkat:error=EROFS";
    let trace = tempfile::NamedTempFile::new().unwrap();
    let strace = Attached::to(&serve, trace.path(), &["trace=%desc,%file", fault]);
    let during = office.statuses(&serve, SOON * 3);
    drop(serve);
    strace.wait();
    Office::compare(&before, &during, false);
}

#[test]
#[ignore = "needs a mount namespace; tests/run looks whether there may be one"]
fn on_a_full_disk_every_read_answers_as_before() {
    let office = Office::open();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::mount(folder.path());
    disk.copy_from(office.data.path());
    let serve = disk.serve();
    let before = office.statuses(&serve, SOON);
    Acknowledged::default().use_up(&disk, &serve, 10_000);
    let during = office.statuses(&serve, SOON);
    Office::compare(&before, &during, true);
}

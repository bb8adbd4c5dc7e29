//! An operator with a shell, and with everything that lies in the data directory.

use jijia::clock::Clock;
use jijia::lake::load::embedded;
use jijia::people::Role;
use jijia::store::people::NewMachine;
use jijia::store::{Opener, Store};

use crate::audit::audited;
use crate::people::{add, start};
use crate::service::Service;

#[tokio::test(flavor = "multi_thread")]
async fn whom_no_entry_knows_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let (unit, _) = add(&service, "unit", Role::Unit, Some("CT")).await;
    let (viewer, _) = add(&service, "viewer", Role::Viewer, None).await;
    let until = service.app.store.clock().now() + jiff::SignedDuration::from_hours(24);
    let new = NewMachine {
        name: "x".into(),
        role: Role::Unit,
        unit: Some("SX".into()),
        stations: None,
        expires_at: until,
    };
    let (token, _) = service.app.store.add_machine(new, "shell".into()).await.unwrap();
    service.stop().await;
    assert_eq!(audited(dir.path(), &embedded()).1, []);
    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let back = "update account set role = 'viewer', unit = null, disabled = 0 where id = ?1";
    for (table, change, undo) in [
        ("account", format!("update account set role = 'admin' where id = '{viewer}'"), back),
        ("account", format!("update account set disabled = 1 where id = '{viewer}'"), back),
        (
            "account",
            "insert into account (id, name, role) values ('p-77', 'x', 'admin')".into(),
            "delete from account where id = 'p-77' or id is ?1 and 0",
        ),
        (
            "account",
            format!("update account set unit = 'SX' where id = '{unit}'"),
            "update account set unit = 'CT' where role = 'unit' or id is ?1 and 0",
        ),
        (
            "token",
            format!("update token set role = 'admin' where id = '{}'", token.id),
            "update token set role = 'unit' where id is not ?1",
        ),
        (
            "phone",
            "insert into phone (id, name, token, added_ms) values ('phone-9', 'x', x'00', 0)".into(),
            "delete from phone where id is not ?1",
        ),
    ] {
        db.execute(&change, []).unwrap();
        let found = audited(dir.path(), &embedded()).1;
        assert!(found.len() == 1 && found[0].table == table, "{change}: {found:?}");
        db.execute(undo, [&viewer]).unwrap();
        assert_eq!(audited(dir.path(), &embedded()).1, [], "after {undo}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_is_said_by_the_entry_and_is_a_remark() {
    let dir = tempfile::tempdir().unwrap();
    let noon = "2026-11-20T04:00:00Z".parse().unwrap();
    let clock = Clock::simulated(noon);
    let store = Store::open(dir.path(), Opener::Service, clock.clone()).await.unwrap();
    store.add_place(embedded().hash).await.unwrap();
    for (minutes, marked) in [(0, None), (-1, None), (-61, Some(3600)), (-61, None), (5, None)] {
        clock.set(noon + jiff::SignedDuration::from_mins(minutes));
        let receipt = store.add_export("csv", [1; 32], 0, "x".into(), "shell".into()).await.unwrap();
        let entry = jijia::evidence::entry::Entry::parse(receipt.entry.as_bytes()).unwrap();
        assert_eq!(entry.clock_behind_s, marked, "{minutes}");
    }
    drop(store);
    let (outcome, said) = audited(dir.path(), &embedded());
    assert_eq!((outcome.findings, outcome.remarks), (0, 1), "{said:?}");
    assert!(said[0].remark && said[0].what.contains("3600 s"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_directory_is_guarded_by_serve_and_its_mark_is_its_first_entry() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::simulated("2026-11-20T04:00:00Z".parse().unwrap());
    drop(Store::open(dir.path(), Opener::Service, clock).await.unwrap());
    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let first: String = db.query_row("select kind from entry where idx = 0", [], |r| r.get(0)).unwrap();
    assert_eq!(first, "demo");
    let serve = crate::serve::Serve::start(dir.path());
    let bare = crate::service::request("GET", "/api/v1/timeline", &[], b"");
    assert_eq!(serve.client.send(&bare).unwrap().status, 401, "whatever the database says of itself");
    drop(serve);
    // A real directory does not become a demo's by a row.
    let other = tempfile::tempdir().unwrap();
    Service::start(other.path()).await.stop().await;
    let db = rusqlite::Connection::open(other.path().join("jijia.db")).unwrap();
    db.execute("insert into meta values ('demo', '1')", []).unwrap();
    let found = audited(other.path(), &embedded()).1;
    assert!(found.iter().any(|f| f.table == "meta"), "{found:?}");
}

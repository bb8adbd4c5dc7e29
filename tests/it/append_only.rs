//! The database itself refuses to change evidence, whoever asks.

use serde_json::json;

use crate::service::{Service, id, jpeg, report, sha256_of, voice, with};

/// Every way in which SQL takes or changes a row, over every table that is evidence.
#[expect(clippy::too_many_lines, reason = "a list of statements")]
#[tokio::test(flavor = "multi_thread")]
async fn no_row_of_evidence_is_changed_replaced_or_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    service.put_photo(&jpeg(1)).await.created();
    service.put_voice(&voice(1)).await.created();
    let with_photo = with(report(1), "/photos", json!([sha256_of(&jpeg(1))]));
    service.post("/api/v1/reports", &with_photo).await.created();
    let hour = |h: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(h)).to_string();
    let patrol = json!({"id": id(2), "person": {"id": "p-7"}, "started_at": hour(2), "ended_at": hour(1),
        "sectors": ["JJH-AD-02"]});
    service.post("/api/v1/patrols", &patrol).await.created();
    let to_unit = format!("/api/v1/reports/{}/disclosure", id(1));
    assert_eq!(service.send("POST", &to_unit, &[], b"").await.status, 204);
    let dead = jijia::water::observation::DeadLetter {
        source: "mqtt".into(),
        topic: "jjh/x".into(),
        reason: "not JSON".into(),
        raw: b"{".to_vec(),
    };
    let observation = jijia::water::observation::NewObservation {
        station: "JJH-S1".into(),
        property: "do".into(),
        unit: "mg/L".into(),
        processing: jijia::water::observation::Processing::Raw,
        at_ms: 1_787_360_400_000,
        value: jijia::water::observation::Value::number(7.5),
        mark: None,
    };
    let batch = jijia::water::observation::NewBatch {
        source: "mqtt:lake".into(),
        by: "test".into(),
        file: None,
        observations: vec![observation],
        dead: vec![dead],
    };
    service.app.store.add_observations(batch).await.unwrap();

    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let tables: Vec<String> = db
        .prepare("select tbl_name from sqlite_master where type = 'trigger' and name like '%_no_update'")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(tables.len(), 14, "{tables:?}");
    for table in tables {
        let rows = || -> String {
            let mut all = String::new();
            let mut statement = db.prepare(&format!("select * from {table}")).unwrap();
            let columns = statement.column_count();
            let mut found = statement.query([]).unwrap();
            while let Some(row) = found.next().unwrap() {
                for c in 0..columns {
                    all += &format!("{:?} ", row.get_ref(c).unwrap());
                }
            }
            all
        };
        let before = rows();
        if before.is_empty() {
            assert_eq!(table, "erasure", "a row in every table, or nothing is tried");
            continue;
        }
        let first: String = db
            .query_row(&format!("select name from pragma_table_info('{table}') limit 1"), [], |r| r.get(0))
            .unwrap();
        let last: String = db
            .query_row(
                &format!("select name from pragma_table_info('{table}') order by cid desc limit 1"),
                [],
                |r| r.get(0),
            )
            .unwrap();
        for sql in [
            format!("update {table} set {last} = {last}"),
            format!("update or replace {table} set {first} = {first}"),
            format!("delete from {table}"),
            format!("insert or replace into {table} select * from {table}"),
            format!("replace into {table} select * from {table}"),
        ] {
            // A geotag made again is passed over; everything else is refused aloud.
            let done = db.execute(&sql, []);
            assert!(done.is_err() || (table == "geotag" && done == Ok(0)), "{sql}: {done:?}");
            assert_eq!(rows(), before, "{sql}");
        }
    }
    // Any newest entry will not do as an erasure.
    let forged = "insert into erasure (entry, target, name) select max(idx), 1, 'record' from entry";
    assert!(db.execute(forged, []).unwrap_err().to_string().contains("erasure"));
    assert!(db.execute("delete from payload", []).unwrap_err().to_string().contains("erasure"));
    service.stop().await;
}

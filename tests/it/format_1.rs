//! What was written before entry format 2 is read as it is: tests/fixtures/v1.

use std::path::Path;
use std::process::Command;

use jijia::evidence::entry::Entry;
use jijia::evidence::merkle::leaf_hash;
use jijia::evidence::tlog_proof::TlogProof;
use jijia::evidence::verify::{Trusted, Verdict, verify};
use jijia::lake::load::embedded;
use serde_json::Value;

use crate::audit::audited;
use crate::service::Service;

const V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1");

/// The data directory of that time.
fn unpacked() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let packed = format!("{V1}/data.tar.gz");
    let done = Command::new("tar").args(["-xzf", &packed, "-C"]).arg(dir.path()).status().unwrap();
    assert!(done.success());
    dir
}

fn leaves(data: &Path) -> Vec<(Vec<u8>, [u8; 32])> {
    let conn = rusqlite::Connection::open(data.join("jijia.db")).unwrap();
    let mut all = conn.prepare("select body, leaf from entry order by idx").unwrap();
    let rows = all.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_format_1_goes_on_in_format_2_and_its_audit_is_clean() {
    let dir = unpacked();
    let data = dir.path().join("data");
    let before = leaves(&data);
    let receipts: Value =
        serde_json::from_slice(&std::fs::read(format!("{V1}/receipts.json")).unwrap()).unwrap();
    for (body, leaf) in &before {
        let entry = Entry::parse(body).unwrap();
        assert_eq!((entry.v, leaf_hash(body)), (1, *leaf));
    }
    for receipt in receipts.as_object().unwrap().values() {
        let index = usize::try_from(receipt["index"].as_u64().unwrap()).unwrap();
        assert_eq!(receipt["leaf_hash"], hex::encode(before[index].1));
    }
    let service = Service::start(&data).await;
    let new = service.post("/api/v1/reports", &crate::service::report(1)).await.created();
    assert_eq!(Entry::parse(new["entry"].as_str().unwrap().as_bytes()).unwrap().v, 2);
    service.stop().await;
    let after = leaves(&data);
    assert_eq!(after[..before.len()], before[..], "what was written stays as it is");
    assert_eq!(audited(&data, &embedded()).1, []);
}

#[test]
fn a_proof_and_a_bundle_of_format_1_are_good() {
    let receipts: Value =
        serde_json::from_slice(&std::fs::read(format!("{V1}/receipts.json")).unwrap()).unwrap();
    let proof: TlogProof =
        std::fs::read_to_string(format!("{V1}/report.tlog-proof")).unwrap().parse().unwrap();
    assert_eq!(receipts["report"]["index"], proof.index);
    let bundle = format!("{V1}/bundle.zip");
    let verdict = verify(std::fs::File::open(&bundle).unwrap(), &Trusted::default()).unwrap();
    let Verdict::Good(proved) = verdict else { panic!("{verdict:?}") };
    let leaf = hex::decode(receipts["report"]["leaf_hash"].as_str().unwrap()).unwrap().try_into().unwrap();
    proof.verify(&leaf, &proved.log_keys[0]).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py");
    let second = Command::new("python3").args([script, &bundle]).output().unwrap();
    assert_eq!(second.status.code(), Some(3), "{}", String::from_utf8_lossy(&second.stdout));
}

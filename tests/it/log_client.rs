//! A reader who knows the C2SP formats and nothing of us: it fetches, computes and verifies with other people's code.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use serde_json::Value;
use sha2::Sha256;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Hash, check_record, check_tree, record_hash};

use crate::service::{Service, guard_of, report};

/// The verified newest checkpoint.
pub async fn checkpoint(service: &Service, key: &str) -> (Checkpoint, String) {
    let answer = service.get("/log/checkpoint").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    (verified(answer.text(), key), answer.text().to_owned())
}

pub fn verified(text: &str, key: &str) -> Checkpoint {
    let note = Note::from_bytes(text.as_bytes()).unwrap();
    let keys = VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())]);
    let (known, _) = note.verify(&keys).unwrap();
    assert_eq!(known.len(), 1);
    Checkpoint::from_bytes(note.text()).unwrap()
}

/// The newest checkpoint once it is over `size` entries.
pub async fn checkpoint_over(service: &Service, key: &str, size: u64) -> (Checkpoint, String) {
    let begun = Instant::now();
    loop {
        if service.get("/log/checkpoint").await.status == 200 {
            let (checkpoint, text) = checkpoint(service, key).await;
            if checkpoint.size() >= size {
                return (checkpoint, text);
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{size} entries are not signed after a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn log_key(service: &Service) -> String {
    service.get("/api/v1/log/key").await.json()["key"].as_str().unwrap().to_owned()
}

fn hash(value: &Value) -> Hash {
    let bytes = hex::decode(value.as_str().unwrap()).unwrap();
    Hash(bytes.try_into().unwrap())
}

fn hashes(value: &Value) -> Vec<Hash> {
    value.as_array().unwrap().iter().map(hash).collect()
}

/// Files reports until the log has `size` entries.
async fn fill(service: &Service, size: u64) {
    for n in service.log_size().await..size {
        service.post("/api/v1/reports", &report(n as u32)).await.created();
    }
}

async fn tile(service: &Service, address: &str) -> Vec<u8> {
    let answer = service.get(address).await;
    assert_eq!(answer.status, 200, "{address}: {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"), "{address}");
    // Entries are for those who see the whole lake; no cache on the way keeps them.
    let kept = if address.contains("entries") { "no-store" } else { "immutable" };
    assert!(answer.header("cache-control").unwrap().contains(kept), "{address}");
    answer.body
}

/// Addresses of the tiles of a level with `count` hashes, as the specification writes them.
fn addresses(level: &str, count: u64) -> Vec<String> {
    assert!(count < 1000 * 256);
    let full = (0..count / 256).map(|n| format!("/log/tile/{level}/{n:03}"));
    let partial = (!count.is_multiple_of(256))
        .then(|| format!("/log/tile/{level}/{:03}.p/{}", count / 256, count % 256));
    full.chain(partial).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_tiles_and_entries_give_one_tree_and_it_is_the_signed_one() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let key = log_key(&service).await;
    fill(&service, 530).await;
    let (signed, _) = checkpoint_over(&service, &key, 530).await;
    assert_eq!((signed.origin(), signed.size()), ("jijia.local/evidence", 530));

    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut leaves = Vec::new();
    for address in addresses("entries", 530) {
        let bundle = tile(&service, &address).await;
        let mut rest = bundle.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
            leaves.extend(record_hash(entry).0);
            tree.push(entry.to_vec());
            rest = after;
        }
    }
    assert_eq!(tree.len(), 530);
    assert_eq!(tree.root().as_bytes()[..], signed.hash().0[..]);
    let mut level_0 = Vec::new();
    for address in addresses("0", 530) {
        level_0.extend(tile(&service, &address).await);
    }
    assert_eq!(level_0, leaves);
    let full: Vec<u8> =
        level_0.chunks_exact(8192).flat_map(|tile| tlog_tiles::Tile::subtree_hash(tile).0).collect();
    assert_eq!(tile(&service, "/log/tile/1/000.p/2").await, full);
    // Those of earlier checkpoints stay.
    assert_eq!(tile(&service, "/log/tile/0/002.p/7").await, leaves[512 * 32..519 * 32]);

    for missing in ["1/000", "1/000.p/3", "2/000.p/1", "0/002", "0/002.p/19", "0/003.p/1", "entries/003.p/1"]
    {
        let problem = service.get(&format!("/log/tile/{missing}")).await.problem(404, "");
        assert!(problem["detail"].as_str().unwrap().contains("the signed log has 530 entries"), "{problem}");
    }
    for strange in
        ["0/2", "0/002.p/0", "0/002.p/256", "00/000", "64/000", "entries/0", "0/x000/001", "data/000"]
    {
        service.get(&format!("/log/tile/{strange}")).await.problem(422, "tile");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_proved_and_every_head_is_the_beginning_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let key = log_key(&service).await;
    let mut heads = Vec::new();
    for n in 0..12 {
        let receipt = service.post("/api/v1/reports", &report(n)).await.created();
        let index = receipt["index"].as_u64().unwrap();
        let leaf = hash(&receipt["leaf_hash"]);
        heads.push(checkpoint_over(&service, &key, index + 1).await.0);

        let answer = service.get(&format!("/api/v1/log/proofs/{index}")).await;
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let name = format!("attachment; filename=\"jijia-{index}.tlog-proof\"");
        assert_eq!(answer.header("content-disposition"), Some(name.as_str()));
        let (own, note) = answer.text().split_once("\n\n").unwrap();
        let mut lines = own.lines();
        assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
        let extra = STANDARD.decode(lines.next().unwrap().strip_prefix("extra ").unwrap()).unwrap();
        assert_eq!((record_hash(&extra), extra), (leaf, receipt["entry"].as_str().unwrap().into()));
        assert_eq!(lines.next(), Some(format!("index {index}").as_str()));
        let proof = lines.map(|l| Hash(STANDARD.decode(l).unwrap().try_into().unwrap())).collect();
        let signed = verified(note, &key);
        check_record(&proof, signed.size(), *signed.hash(), index, leaf).unwrap();
    }
    let newest = heads.last().unwrap();
    for size in 1..=newest.size() {
        for index in 0..size {
            let body = service.get(&format!("/api/v1/log/inclusion?index={index}&size={size}")).await.json();
            let (root, leaf) = (hash(&body["root"]), hash(&body["leaf_hash"]));
            check_record(&hashes(&body["hashes"]), size, root, index, leaf).unwrap();
        }
    }
    for old in &heads {
        let body = service.get(&format!("/api/v1/log/consistency?from={}", old.size())).await.json();
        assert_eq!((&body["to"], hash(&body["to_root"])), (&newest.size().into(), *newest.hash()));
        assert_eq!(hash(&body["from_root"]), *old.hash());
        let proof = hashes(&body["hashes"]);
        check_tree(&proof, newest.size(), *newest.hash(), old.size(), *old.hash()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_proved_is_answered_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let key = log_key(&service).await;
    checkpoint_over(&service, &key, 1).await;
    for (target, status, field) in [
        ("inclusion", 422, "query"),
        ("inclusion?index=0&sise=1", 422, "query"),
        ("inclusion?index=-1", 422, "index"),
        ("inclusion?index=00", 422, "index"),
        ("inclusion?index=0&size=x", 422, "size"),
        ("inclusion?index=0&size=0", 422, "index"),
        ("inclusion?index=0&size=9", 422, "size"),
        ("inclusion?index=7", 404, ""),
        ("proofs/7", 404, ""),
        ("proofs/x", 422, "index"),
        ("consistency?from=2", 422, "from"),
        ("consistency?from=0&to=9", 422, "to"),
        ("consistency?to=1", 422, "query"),
    ] {
        let problem = service.get(&format!("/api/v1/log/{target}")).await.problem(status, field);
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{target}");
    }
    // Somebody else is about to sign: what is stored meanwhile has its receipt and no proof yet.
    let mut name = guard_of(dir.path()).into_os_string();
    name.push(".lock");
    let lock = std::fs::File::create(name).unwrap();
    lock.lock().unwrap();
    let index = service.post("/api/v1/reports", &report(1)).await.created()["index"].as_u64().unwrap();
    for target in [format!("proofs/{index}"), format!("inclusion?index={index}")] {
        let answer = service.get(&format!("/api/v1/log/{target}")).await;
        let problem = answer.problem(503, "");
        assert!(problem["detail"].as_str().unwrap().contains("ask again in 5 s"), "{problem}");
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    lock.unlock().unwrap();
    checkpoint_over(&service, &key, index + 1).await;
    assert_eq!(service.get(&format!("/api/v1/log/proofs/{index}")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_signed_soon_and_the_log_goes_on_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(20);
    let (mut waits, mut n, mut before) = (Vec::new(), 0, None);
    for _ in 0..4 {
        let service = Service::start(dir.path()).await;
        let key = log_key(&service).await;
        for _ in 0..6 {
            let receipt = service.post("/api/v1/reports", &report(n)).await.created();
            let stored = Instant::now();
            checkpoint_over(&service, &key, receipt["index"].as_u64().unwrap() + 1).await;
            waits.push(stored.elapsed());
            n += 1;
            tokio::time::sleep(Duration::from_millis(random.u64(0..700))).await;
        }
        let newest = checkpoint(&service, &key).await.0;
        if let Some((size, root)) = before.replace((newest.size(), *newest.hash())) {
            let body = service.get(&format!("/api/v1/log/consistency?from={size}")).await.json();
            check_tree(&hashes(&body["hashes"]), newest.size(), *newest.hash(), size, root).unwrap();
        }
        service.stop().await;
    }
    waits.sort_unstable();
    println!(
        "from the receipt to a signed checkpoint over it: median {:?}, longest of {} {:?}",
        waits[waits.len() / 2],
        waits.len(),
        waits[waits.len() - 1]
    );
}

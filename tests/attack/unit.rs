//! A responsible unit, or a program with a token, that asks for documents without end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jijia::people::Role;
use serde_json::Value;

use crate::people::{Browser, add, start};
use crate::people_doors::browser;
use crate::service::{report, with};

/// Resident memory of the children of this process that render, kB.
fn children_kb() -> u64 {
    let of = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next());
        let ours = field("PPid:")? == std::process::id().to_string() && field("Name:")? == "jijia";
        ours.then(|| field("VmRSS:").and_then(|kb| kb.parse().ok()).unwrap_or(0))
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|e| of(e.file_name().to_str()?)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_five_documents_at_once_are_two_and_reports_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let service = Arc::new(start(dir.path()).await);
    let (boss, _) = add(&service, "boss", Role::Supervisor, None).await;
    let mut sender = browser(&service, &boss).await;
    let by = |n: u32| with(report(n), "/person/id", Value::from(boss.clone()));
    sender.send(&service, "POST", "/api/v1/reports", &by(0)).await.created();
    let mut askers: Vec<Browser> = Vec::new();
    for n in 0..5 {
        let (id, _) = add(&service, &format!("asker{n}"), Role::Liaison, None).await;
        askers.push(browser(&service, &id).await);
    }
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..25 {
        let (service, mut asker) = (service.clone(), askers[n % askers.len()].clone());
        asked.spawn(async move { asker.get(&service, "/api/v1/timeline.pdf").await });
    }
    let watch = tokio::task::spawn_blocking(|| {
        let begun = Instant::now();
        let mut most = 0;
        while begun.elapsed() < Duration::from_secs(3) {
            most = most.max(children_kb());
            std::thread::sleep(Duration::from_millis(5));
        }
        most
    });
    let mut slowest = Duration::ZERO;
    for n in 1..=5 {
        let begun = Instant::now();
        sender.send(&service, "POST", "/api/v1/reports", &by(n)).await.created();
        slowest = slowest.max(begun.elapsed());
    }
    let (mut made, mut refused) = (0, 0);
    for answer in asked.join_all().await {
        match answer.status {
            200 => made += 1,
            429 => {
                assert!(answer.header("retry-after").is_some());
                refused += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    let most_mb = watch.await.unwrap() / 1000;
    println!(
        "25 PDFs at once: {made} made, {refused} asked to come again (before: all 25 made); slowest report \
         {slowest:.2?} (0.67 s), children {most_mb} MB (1,554 MB)"
    );
    assert!((2..25).contains(&made) && refused > 0, "{made} made, {refused} refused");
    assert!(slowest <= Duration::from_secs(1), "{slowest:?}");
    assert!(most_mb <= 500, "{most_mb} MB");
    // The places are free again, one for each account.
    assert_eq!(askers[0].get(&service, "/api/v1/timeline.csv").await.status, 200);
}

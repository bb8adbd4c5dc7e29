//! Reports stored durably per second: 64 kept connections post through HTTP on loopback to the real binary, which runs
//! as a process of its own; this process is the client, one thread. Beside it a bare rusqlite loop in this process
//! writes the same rows into the same tables on the same disk, 64 reports per commit. The rounds take turns.

mod bare;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::figures::{Figure, median, percentile_ms, thousands};
use crate::http::{Connection, parse_head, request};
use crate::service::Service;
use crate::{Fault, Outcome, Session, lake};

const CLIENTS: usize = 64;

/// Prints rate, latency and the ratio.
pub fn run(session: &mut Session) -> Result<Outcome, Fault> {
    let (rounds, per_round) = if session.long { (7, 40_000) } else { (5, 12_000) };
    let folder = crate::folder()?;
    let data = folder.path().join("data");
    let service = Service::start(&data, &[])?;
    let before = stored(&mut service.connect()?)?;
    // A round outside the count: caches, the WAL's first growth; and the rows that the bare loop copies.
    post_all(&service, 0, 2_000)?;
    let mut bare = bare::Bare::open(&folder.path().join("bare.db"), &data.join("jijia.db"))?;
    bare.write(2_000)?;
    let (mut ours, mut theirs, mut p50, mut p99) = (vec![], vec![], vec![], vec![]);
    for round in 1..=rounds {
        let (elapsed, times) = post_all(&service, round * per_round as u64, per_round)?;
        ours.push(per_round as f64 / elapsed.as_secs_f64());
        p50.push(percentile_ms(&times, 0.5));
        p99.push(percentile_ms(&times, 0.99));
        theirs.push(per_round as f64 / bare.write(per_round)?.as_secs_f64());
        eprintln!(
            "round {round}: {:.0}/s, p99 {:.1} ms; bare {:.0}/s",
            ours[ours.len() - 1],
            p99[p99.len() - 1],
            theirs[theirs.len() - 1]
        );
    }
    let (reports, after) = (2_000 + rounds * per_round as u64, stored(&mut service.connect()?)?);
    if after - before != reports {
        return Err(format!("{reports} reports acknowledged, and {} entries more", after - before).into());
    }
    session.peaks.push(("reports", service.peak_kb()?));
    service.stop()?;
    let (ours, theirs, p50, p99) = (median(&ours), median(&theirs), median(&p50), median(&p99));
    Ok(Outcome::Ran(vec![Figure {
        what: format!("Reports stored durably by HTTP, {CLIENTS} clients, with latency p50/p99"),
        ours: format!("{}/s, {p50:.1}/{p99:.1} ms", thousands(ours)),
        beside: format!(
            "bare SQLite loop, same rows, 64 per commit: {}/s; a commit p50/p99 {:.1}/{:.1} ms",
            thousands(theirs),
            percentile_ms(&bare.commits, 0.5),
            percentile_ms(&bare.commits, 0.99)
        ),
        ratio: Some(ours / theirs),
        target: "≥ 0.6, p99 ≤ 30 ms",
        met: Some(ours / theirs >= 0.6 && p99 <= 30.0),
    }]))
}

/// Entries of the log. Every report has one.
pub fn stored(connection: &mut Connection) -> Result<u64, Fault> {
    let head: serde_json::Value = serde_json::from_slice(&connection.get("/api/v1/head")?)?;
    Ok(head["log_size"].as_u64().ok_or("no log_size")?)
}

/// Posts `count` reports over all connections; each must be answered 201. Time in all, and of each.
pub fn post_all(service: &Service, first: u64, count: usize) -> Result<(Duration, Vec<Duration>), Fault> {
    let place = jijia::lake::load::embedded();
    let now = Timestamp::now();
    let requests: Vec<Vec<u8>> = (first..first + count as u64)
        .map(|n| {
            let n = n + (1 << 32);
            let body = lake::report(n, now, &place, &[lake::photo_hash(n)]).to_string();
            request("POST", "/api/v1/reports", "Content-Type: application/json\r\n", body.as_bytes())
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let address = service.address;
    runtime.block_on(async {
        let requests = Arc::new(requests);
        let next = Arc::new(AtomicUsize::new(0));
        let mut streams = Vec::new();
        for _ in 0..CLIENTS {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let started = Instant::now();
        let clients: Vec<_> = streams
            .into_iter()
            .map(|stream| tokio::spawn(client(stream, requests.clone(), next.clone())))
            .collect();
        let mut times = Vec::with_capacity(count);
        for client in clients {
            times.extend(client.await?.map_err(Fault::from)?);
        }
        Ok((started.elapsed(), times))
    })
}

async fn client(
    mut stream: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
) -> Result<Vec<Duration>, String> {
    let mut times = Vec::new();
    let mut buffer = vec![0; 16_384];
    while let Some(request) = requests.get(next.fetch_add(1, Relaxed)) {
        let started = Instant::now();
        stream.write_all(request).await.map_err(|e| e.to_string())?;
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await.map_err(|e| e.to_string())?;
            filled += read;
            let head = parse_head(&buffer[..filled]).map_err(|e| e.to_string())?;
            match head {
                Some((201, head, length)) if filled >= head + length => break,
                Some((status, ..)) if status != 201 => {
                    return Err(String::from_utf8_lossy(&buffer[..filled]).into_owned());
                }
                _ if read == 0 => return Err("the service closed the connection".into()),
                _ => {}
            }
        }
        times.push(started.elapsed());
    }
    Ok(times)
}

//! The first timeline page of one outfall in a small and in a large log, as HTML and from the API, through HTTP; and
//! the start of the real binary on the large one.
//!
//! Both logs are made by the store's own writing thread (parsed reports and batches of readings, 256 callers, commits
//! of 64), at the same rate of 300 entries a day up to now: two of three are reports over the eight outfalls, the
//! third is a batch of readings of a station or of the rain gauge. So both hold more than the 30 days that the page
//! shows, and the larger one years before them.

use std::path::Path;
use std::time::Instant;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use jijia::clock::Clock;
use jijia::ingest::decode::decode;
use jijia::ingest::mapping::Mapping;
use jijia::lake::geotag::Locator;
use jijia::lake::load::embedded;
use jijia::patrol::report::{Arrival, parse_report};
use jijia::store::{Opener, Store};
use jijia::water::observation::NewBatch;

use crate::figures::{Figure, median, ms, thousands};
use crate::http::Connection;
use crate::service::Service;
use crate::{Fault, Outcome, Session, lake};

const SMALL: u64 = 10_000;
const ENTRIES_A_DAY: i64 = 300;
const PAGES: [(&str, &str); 2] =
    [("HTML", "/timeline?outfall=JJH-PK-0003"), ("API", "/api/v1/timeline?outfall=JJH-PK-0003")];

/// Prints the times of the pages and of the start.
pub fn run(session: &mut Session) -> Result<Outcome, Fault> {
    let (large, asks) = if session.long { (1_000_000, 60) } else { (200_000, 30) };
    let folder = crate::folder()?;
    let (small_dir, large_dir) = (folder.path().join("small"), folder.path().join("large"));
    fill(&small_dir, SMALL)?;
    let started = Instant::now();
    fill(&large_dir, large)?;
    eprintln!("{large} entries made in {:.0} s", started.elapsed().as_secs_f64());
    let mut figures = vec![start(&large_dir, large)?];
    let (small, big) = (Service::start(&small_dir, &[])?, Service::start(&large_dir, &[])?);
    let (mut in_small, mut in_large) = (small.connect()?, big.connect()?);
    for (name, path) in PAGES {
        let (mut ours, mut theirs) = (vec![], vec![]);
        for _ in 0..asks {
            theirs.push(ask(&mut in_small, path)?);
            ours.push(ask(&mut in_large, path)?);
        }
        let (ours, theirs) = (median(&ours), median(&theirs));
        figures.push(Figure {
            what: format!(
                "First timeline page of one outfall, {name}, among {} entries",
                thousands(large as f64)
            ),
            ours: format!("{ours:.1} ms"),
            beside: format!("among {}: {theirs:.1} ms", thousands(SMALL as f64)),
            ratio: Some(ours / theirs),
            target: "≤ 1.5",
            met: Some(ours / theirs <= 1.5),
        });
    }
    eprintln!("resident with the large log: {} kB", big.peak_kb()?);
    small.stop()?;
    big.stop()?;
    Ok(Outcome::Ran(figures))
}

/// From exec to the first 200 of `/readyz`, the middle of five.
fn start(data: &Path, entries: u64) -> Result<Figure, Fault> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let service = Service::start(data, &[])?;
        times.push(ms(&service.ready_after));
        service.stop()?;
    }
    let time = median(&times);
    Ok(Figure {
        what: format!("Start with {} entries, exec to ready", thousands(entries as f64)),
        ours: format!("{time:.0} ms"),
        beside: "–".into(),
        ratio: None,
        target: "≤ 1 s",
        met: Some(time <= 1000.0),
    })
}

/// Milliseconds of one answer, which must show the outfall.
fn ask(connection: &mut Connection, path: &str) -> Result<f64, Fault> {
    let started = Instant::now();
    let body = connection.get(path)?;
    let time = ms(&started.elapsed());
    if memchr::memmem::find_iter(&body, b"JJH-PK-0003").count() < 10 {
        return Err(format!("{path} does not show the outfall").into());
    }
    Ok(time)
}

/// Makes a data directory with `entries` entries, the last one now.
fn fill(data: &Path, entries: u64) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(data, Opener::Tool, Clock::System).await?;
        let maker = Maker::new(entries)?;
        let mut made =
            futures_util::stream::iter(0..entries).map(|n| maker.add(&store, n)).buffer_unordered(256);
        while let Some(done) = made.next().await {
            done?;
        }
        let size = store.log_head().await?.size;
        if size == entries { Ok(()) } else { Err(format!("{size} entries made of {entries}").into()) }
    })
}

struct Maker {
    place: jijia::lake::Place,
    locator: Locator,
    mapping: Mapping,
    begin: Timestamp,
    step: SignedDuration,
}

impl Maker {
    fn new(entries: u64) -> Result<Self, Fault> {
        let place = embedded();
        let locator = Locator::new(&place);
        let config = jijia::config::load(None, [])?;
        let source = config.mqtt.source.first().ok_or("no source in the defaults")?;
        let step = SignedDuration::from_secs(86_400 / ENTRIES_A_DAY);
        let begin = Timestamp::now() - step * i32::try_from(entries)?;
        Ok(Self { mapping: Mapping::new(source, 4096)?, place, locator, begin, step })
    }

    async fn add(&self, store: &Store, n: u64) -> Result<(), Fault> {
        let at = self.begin + self.step * i32::try_from(n)?;
        if n % 3 == 2 {
            // The four stations in turn, then the rain gauge.
            let (station, keys) = match n / 3 % 5 {
                4 => ("R1".to_owned(), &["rain"][..]),
                i => (format!("S{}", i + 1), &lake::KEYS[..]),
            };
            let payload = lake::readings(n, at.as_millisecond(), keys);
            let topic = format!("jjh/JJH-{station}/telemetry");
            let observations = decode(&self.mapping, &topic, payload.as_bytes(), at.as_millisecond())?;
            let batch = NewBatch {
                source: "mqtt:lake".into(),
                by: "test".into(),
                file: None,
                observations,
                dead: Vec::new(),
            };
            store.add_observations(batch).await?;
        } else {
            let body = lake::report(n, at, &self.place, &[lake::photo_hash(n)]).to_string();
            let (place, locator) = (&self.place, &self.locator);
            let arrival = Arrival { received_at: at, sent_at: None, place, locator };
            store.add_report(parse_report(body.as_bytes(), &arrival)?).await?;
        }
        Ok(())
    }
}

//! The mirror against a real InfluxDB 2, behind a proxy that misbehaves. Ignored by a plain `cargo test`, which
//! has no server: `tests/run` finds or builds one and runs them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jijia::clock::Clock;
use jijia::config;
use jijia::mirror::influx::{self, InfluxState, InfluxStatus, Phase, Target};
use jijia::store::{Cursor, Opener, Store};
use jijia::water::observation::{NewBatch, NewObservation, Processing, Value};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::chaos::{Act, Chaos};
use super::influxd::{Influxd, Key};

/// 2026-07-01 00:00 UTC.
const START_MS: i64 = 1_782_864_000_000;

/// A lake with nothing but observations, and what InfluxDB must hold in the end.
struct Lake {
    store: Store,
    expected: BTreeMap<Key, f64>,
    rows: u64,
    /// Cursor of the newest mirror.
    into: std::sync::Mutex<String>,
    _folder: TempDir,
}

impl Lake {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path(), Opener::Service, Clock::System).await.unwrap();
        Self { store, expected: BTreeMap::new(), rows: 0, into: Default::default(), _folder: folder }
    }

    /// Commits a batch; what comes later for the same key replaces what was expected.
    async fn add(&mut self, observations: Vec<NewObservation>) {
        for o in &observations {
            self.rows += 1;
            if let Some(number) = o.value.number {
                self.expected.insert(key(o), number);
            }
        }
        let added = observations.len() as u64;
        let batch =
            NewBatch { source: "http".into(), by: "test".into(), file: None, observations, dead: Vec::new() };
        assert_eq!(self.store.add_observations(batch).await.unwrap().added, added);
    }

    /// `count` values of one station, a minute apart, in one commit, starting at minute `from`.
    async fn add_series(&mut self, station: &str, from: i64, count: i64) {
        self.add((from..from + count).map(|minute| value(station, minute, minute as f64 / 8.0)).collect())
            .await;
    }

    fn mirror(&self, config: &config::Influx) -> Mirror {
        *self.into.lock().unwrap() = influx::cursor_name(config);
        let target = Target::new(config).unwrap();
        let status = Arc::new(InfluxStatus::default());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (store, shared) = (self.store.clone(), status.clone());
        let task = tokio::spawn(async move {
            influx::run(target, store, &shared, async { drop(stopped.await) }).await;
        });
        Mirror { status, stop, task }
    }

    /// Where the newest mirror stands.
    async fn cursor(&self) -> Cursor {
        let name = self.into.lock().unwrap().clone();
        self.store.get_cursor(&name).await.unwrap()
    }
}

fn value(station: &str, minute: i64, number: f64) -> NewObservation {
    NewObservation {
        station: station.into(),
        property: "do".into(),
        unit: "mg/L".into(),
        processing: Processing::Raw,
        at_ms: START_MS + minute * 60_000,
        value: Value::number(number),
        mark: None,
    }
}

fn key(o: &NewObservation) -> Key {
    (o.station.clone(), o.property.clone(), o.processing.as_str().to_owned(), o.at_ms)
}

/// The running mirror.
struct Mirror {
    status: Arc<InfluxStatus>,
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Mirror {
    async fn until(&self, what: &str, reached: impl Fn(&InfluxState) -> bool) -> InfluxState {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let state = self.status.get();
            if reached(&state) {
                return state;
            }
            assert!(Instant::now() < deadline, "not {what}: {state:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until all rows of `lake` were dealt with.
    async fn caught_up(&self, lake: &Lake) -> InfluxState {
        let done = |s: &InfluxState| s.mirrored + s.skipped + s.refused == lake.rows;
        self.until("caught up", |s| s.phase == Phase::CaughtUp && done(s)).await
    }

    /// Ends at once, whatever is under way.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        within(Duration::from_secs(1), self.task).await.unwrap();
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work).await.unwrap()
}

fn answer(status: &str) -> Act {
    Act::Answer(format!(
        "{status}\r\nContent-Type: application/json\r\n\r\n{{\"code\":\"x\",\"message\":\"{status}\"}}"
    ))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn every_number_arrives_as_it_is() {
    let (server, mut lake) = (Influxd::start(), Lake::new().await);
    lake.add_series("JJH-S1", 0, 12_000).await;
    let strange = ["a b", "a,b=c", "a\\b", "a\\ b", "\"quoted\"", "#1", "湖心 站", "a\\,b", "", "time"];
    lake.add(strange.iter().map(|station| value(station, 0, -1.5e-9)).collect()).await;
    let mut reviewed = value("JJH-S1", 0, 7.7);
    reviewed.processing = Processing::Reviewed;
    let missing = NewObservation { value: Value::missing("NULL"), ..value("JJH-S1", 20_000, 0.0) };
    let censored =
        NewObservation { value: Value::from_text(0.025, "<0.025"), ..value("JJH-S1", 20_001, 0.0) };
    lake.add(vec![reviewed, missing, censored]).await;
    let mirror = lake.mirror(&Influxd::config(server.url()));
    let state = mirror.caught_up(&lake).await;
    assert_eq!((state.skipped, state.refused), (1, 0));
    assert_eq!(server.points(), lake.expected);

    // A running mirror is woken by a commit; a second value replaces the first, in its own batch and in one batch.
    lake.add(vec![value("JJH-S1", 5, 100.0), value("JJH-S1", 6, 200.0), value("JJH-S1", 6, 300.0)]).await;
    mirror.caught_up(&lake).await;
    assert_eq!(server.points(), lake.expected);
    mirror.stop().await;

    // A text that would end its line or swallow the next tag is changed, and stays one point.
    lake.add(vec![value("a\nb", 0, 1.0), value("end\\", 0, 1.0)]).await;
    let mirror = lake.mirror(&Influxd::config(server.url()));
    mirror.until("caught up", |s| s.mirrored == 2).await;
    lake.expected = std::mem::take(&mut lake.expected)
        .into_iter()
        .map(|(key, number)| match key.0.as_str() {
            "a\nb" => (("a\u{FFFD}b".to_owned(), key.1, key.2, key.3), number),
            "end\\" => (("end\u{FFFD}".to_owned(), key.1, key.2, key.3), number),
            _ => (key, number),
        })
        .collect();
    assert_eq!(server.points(), lake.expected);
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn stopped_for_the_whole_run_it_is_caught_up_when_started() {
    let ((address, folder), mut lake) = (Influxd::reserve(), Lake::new().await);
    let mirror = lake.mirror(&Influxd::config(format!("http://{address}")));
    let started = Instant::now();
    for batch in 0..40 {
        lake.add_series("JJH-S1", batch * 500, 500).await;
    }
    // The service does not wait for the mirror.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    mirror.until("an outage", |s| s.phase == Phase::Outage).await;
    assert_eq!(lake.cursor().await, Cursor::START);
    let server = Influxd::start_at(address, folder);
    let state = mirror.caught_up(&lake).await;
    assert_eq!((state.refused, state.fault), (0, None));
    assert_eq!(server.points(), lake.expected);
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn killed_in_mid_write_nothing_is_lost_or_doubled() {
    let (mut server, mut lake) = (Influxd::start(), Lake::new().await);
    let (written, writes) = mpsc::channel();
    // Told just before the server is asked, so that a kill at once meets the write; some writes are cut half-way.
    let proxy = Chaos::start(server.address, move |number, body| {
        let _ = written.send(number);
        if number % 5 == 4 { Act::CutRequest(body.len() / 2) } else { Act::Pass }
    });
    for batch in 0..60 {
        lake.add_series("JJH-S1", batch * 500, 500).await;
    }
    let mirror = lake.mirror(&config::Influx { batch_lines: 500, ..Influxd::config(proxy.url()) });
    for _ in 0..5 {
        while writes.try_recv().is_ok() {}
        writes.recv_timeout(Duration::from_secs(60)).unwrap();
        server.kill();
        mirror.until("an outage", |s| s.phase == Phase::Outage).await;
        server.restart();
    }
    mirror.caught_up(&lake).await;
    assert_eq!(server.points(), lake.expected);
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn the_mirror_itself_stopped_at_any_point_goes_on_where_it_was() {
    let (server, mut lake) = (Influxd::start(), Lake::new().await);
    lake.add_series("JJH-S1", 0, 10_000).await;
    let config = config::Influx { batch_lines: 100, ..Influxd::config(server.url()) };
    let mut cursor = Cursor::START;
    for run in 1..=20 {
        let mirror = lake.mirror(&config);
        mirror.until("moving", |s| s.cursor.pos > cursor.pos.max(run * 50)).await;
        mirror.stop().await;
        let reached = lake.cursor().await;
        assert!(reached > cursor);
        cursor = reached;
    }
    let mirror = lake.mirror(&config);
    mirror.until("caught up", |s| s.phase == Phase::CaughtUp && s.cursor.pos == 9_999).await;
    assert_eq!(server.points(), lake.expected);
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn a_line_that_does_not_parse_costs_only_itself() {
    let (server, mut lake) = (Influxd::start(), Lake::new().await);
    // What the mirror would never write: one line is spoilt on its way, and the real server refuses it.
    let proxy = Chaos::start(server.address, |_, _| Act::Rewrite { from: "value=77 ", to: "value=NaN " });
    let year_5138 = NewObservation { at_ms: 99_999_999_999_999, ..value("JJH-S1", 0, 3.0) };
    let too_long = value(&"x".repeat(70_000), 0, 4.0);
    lake.add_series("JJH-S1", 0, 4_000).await;
    // A correction in the same request: it must still come last when the request is taken apart.
    let corrected = value("JJH-S1", 5, 100.0);
    lake.add(vec![year_5138.clone(), corrected, too_long.clone(), value("JJH-S2", 1, 77.0)]).await;
    let mirror = lake.mirror(&Influxd::config(proxy.url()));
    let state = mirror.caught_up(&lake).await;
    // Minute 616 of the series is 77, too.
    assert_eq!(state.refused, 4);
    for lost in [year_5138, too_long, value("JJH-S1", 616, 77.0), value("JJH-S2", 1, 77.0)] {
        assert!(lake.expected.remove(&key(&lost)).is_some());
    }
    assert_eq!(server.points(), lake.expected);
    let dead = lake.store.list_dead_letters(None, 10).await.unwrap();
    assert_eq!(dead.len(), 4);
    for (letter, reason) in
        dead.iter().rev().zip(["invalid", "time outside range", "max key length", "invalid"])
    {
        assert_eq!((letter.source.as_str(), letter.topic.as_str()), ("influx", "water"));
        assert!(letter.reason.starts_with("400 ") && letter.reason.contains(reason), "{}", letter.reason);
        assert!(letter.start.starts_with("water,processing=raw,") && !letter.start.ends_with("\\n"));
    }
    assert!(proxy.requests() < 140, "{} requests for 4 bad lines", proxy.requests());
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn a_type_conflict_costs_only_itself() {
    let (server, mut lake) = (Influxd::start(), Lake::new().await);
    // InfluxDB holds a type per measurement and field for each shard, a week: here somebody wrote an integer.
    let week_ms = 7 * 24 * 3_600_000;
    let taken = START_MS + 2 * week_ms;
    server.write(&format!("water,station=elsewhere value=1i {taken}"));
    lake.add_series("JJH-S1", 0, 3_000).await;
    let minute = (taken - START_MS) / 60_000;
    lake.add((0..3).map(|m| value("JJH-S2", minute + m, 9.0)).chain([value("JJH-S1", 4_000, 1.0)]).collect())
        .await;
    let mirror = lake.mirror(&Influxd::config(server.url()));
    let state = mirror.caught_up(&lake).await;
    assert_eq!(state.refused, 3);
    lake.expected.retain(|key, _| key.0 != "JJH-S2");
    assert_eq!(server.points(), lake.expected);
    let dead = lake.store.list_dead_letters(None, 10).await.unwrap();
    assert_eq!(dead.len(), 3);
    assert!(dead.iter().all(|d| d.reason.starts_with("422 ") && d.reason.contains("type conflict")));
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn a_configuration_fault_keeps_everything() {
    let (server, mut lake) = (Influxd::start(), Lake::new().await);
    lake.add_series("JJH-S1", 0, 1_000).await;
    let good = Influxd::config(server.url());
    let token = config::Secret::from("another-token".to_owned());
    let wrong = [
        (config::Influx { token, ..good.clone() }, "401 "),
        (config::Influx { bucket: "elsewhere".into(), ..good.clone() }, "404 "),
        (config::Influx { org: "elsewhere".into(), ..good.clone() }, "404 "),
    ];
    for (config, words) in wrong {
        let mirror = lake.mirror(&config);
        let state = mirror.until("refused", |s| s.phase == Phase::Misconfigured).await;
        assert!(state.fault.as_ref().is_some_and(|fault| fault.starts_with(words)), "{state:?}");
        mirror.stop().await;
    }
    // Not InfluxDB's words about lines: something on the way, or another program on the port.
    for status in ["400 Bad Request", "422 Unprocessable Entity", "403 Forbidden", "413 Too Large", "200 OK"]
    {
        let proxy = Chaos::start(server.address, move |_, _| answer(status));
        let mirror = lake.mirror(&Influxd::config(proxy.url()));
        mirror.until(status, |s| s.phase == Phase::Misconfigured).await;
        mirror.stop().await;
    }
    assert_eq!(lake.cursor().await, Cursor::START);
    assert_eq!(server.points(), BTreeMap::new());
    assert_eq!(lake.store.list_dead_letters(None, 1).await.unwrap(), []);
    let mirror = lake.mirror(&good);
    mirror.caught_up(&lake).await;
    assert_eq!(server.points(), lake.expected);
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn an_unsure_answer_is_waited_out_and_sent_again() {
    let (server, mut lake) = (Influxd::start(), Lake::new().await);
    // Each fault is followed by a good answer, which ends the back-off.
    let faults: [fn() -> Act; 10] = [
        || answer("500 Internal Server Error"),
        || answer("503 Service Unavailable\r\nRetry-After: 1"),
        || answer("429 Too Many Requests\r\nRetry-After: 1"),
        || answer("401 Unauthorized"),
        || Act::Silent,
        || Act::CutRequest(0),
        || Act::CutRequest(5_000),
        // Stored, and the answer lost: sent again over itself.
        || Act::TearAnswer(0),
        || Act::TearAnswer(9),
        // A verdict on lines, torn before it says so.
        || Act::Answer("400 Bad Request\r\nContent-Length: 900\r\n\r\n{\"code\":\"invalid\"".into()),
    ];
    let proxy = Chaos::start(server.address, move |number, _| {
        if number % 2 == 0 { faults.get(number / 2).map_or(Act::Pass, |fault| fault()) } else { Act::Pass }
    });
    let timeout_s = Duration::from_secs(3);
    let config = config::Influx { batch_lines: 200, timeout_s, ..Influxd::config(proxy.url()) };
    lake.add_series("JJH-S1", 0, 200 * 12).await;
    let mirror = lake.mirror(&config);
    let state = mirror.caught_up(&lake).await;
    assert_eq!((state.refused, state.fault), (0, None));
    assert_eq!(proxy.requests(), 12 + faults.len());
    assert_eq!(server.points(), lake.expected);
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs InfluxDB: tests/run finds or builds it"]
async fn a_silent_server_holds_up_neither_the_service_nor_its_end() {
    let (server, mut lake) = (Influxd::start(), Lake::new().await);
    let proxy = Chaos::start(server.address, |_, _| Act::Silent);
    lake.add_series("JJH-S1", 0, 10).await;
    let mirror = lake.mirror(&Influxd::config(proxy.url()));
    while proxy.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for batch in 1..=50 {
        within(Duration::from_secs(5), lake.add_series("JJH-S1", batch * 10, 10)).await;
    }
    mirror.stop().await;
    assert_eq!(lake.cursor().await, Cursor::START);
}

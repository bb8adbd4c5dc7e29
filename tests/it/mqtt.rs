//! Readings by MQTT, against mosquitto with the shipped profile and against the demo's broker.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jijia::clock::Clock;
use jijia::config::Mqtt;
use jijia::demo::broker::Broker;
use jijia::ingest::mqtt::{self, MqttStatus};
use jijia::store::{Opener, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::mosquitto::{Mosquitto, publish};

pub const TOPIC: &str = "jjh/JJH-S1/telemetry";
const FIRST_MS: i64 = 1_787_360_400_000;

pub fn config(port: u16) -> Mqtt {
    let mut config = jijia::config::load(None, []).unwrap().mqtt;
    config.host = "127.0.0.1".into();
    config.port = port;
    config
}

pub async fn open(dir: &Path) -> Store {
    Store::open(dir, Opener::Service, Clock::System).await.unwrap()
}

/// Messages `from..to`, each with one value and its own time.
pub fn messages(from: i64, to: i64) -> Vec<Vec<u8>> {
    (from..to)
        .map(|i| format!(r#"{{"ts":{},"values":{{"ph":8.{i}}}}}"#, FIRST_MS + i * 1000).into_bytes())
        .collect()
}

/// The service's MQTT part, running.
pub struct Ingest {
    pub status: Arc<MqttStatus>,
    stop: watch::Sender<bool>,
    task: JoinHandle<jijia::error::Result<()>>,
}

impl Ingest {
    pub fn start(config: Mqtt, store: &Store) -> Self {
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(MqttStatus::default());
        let task = tokio::spawn(mqtt::run(config, store.clone(), status.clone(), stopped));
        Self { status, stop, task }
    }

    pub async fn connected(&self) {
        until("connected", async || self.status.connected.load(Relaxed)).await;
    }

    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .expect("ends in time")
            .unwrap()
            .unwrap();
    }
}

/// Looks until `done` says so.
pub async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let look = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), look).await.is_ok(), "waited 60 s: {what}");
}

pub async fn until_stored(store: &Store, observations: u64, dead: u64) {
    let seen = std::cell::Cell::new((0, 0));
    let look = async {
        while seen.get() != (observations, dead) {
            seen.set(store.count_observations().await.unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(90), look).await.is_ok();
    assert!(in_time, "observations and dead letters: {:?}, expected {:?}", seen.get(), (observations, dead));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_acknowledged_and_does_not_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let broker = Mosquitto::start().await;
    let ingest = Ingest::start(config(broker.port), &store);
    ingest.connected().await;
    broker.publish(TOPIC, messages(0, 300)).await;
    until_stored(&store, 300, 0).await;
    ingest.stop().await;

    let again = Ingest::start(config(broker.port), &store);
    broker.publish(TOPIC, messages(300, 301)).await;
    until_stored(&store, 301, 0).await;
    assert_eq!(again.status.received.load(Relaxed), 1, "only the new one");
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_what_comes_while_the_service_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut broker = Mosquitto::start().await;
    let ingest = Ingest::start(config(broker.port), &store);
    ingest.connected().await;
    ingest.stop().await;

    broker.publish(TOPIC, messages(0, 3000)).await;
    broker.stop();
    broker.start_again().await;
    let ingest = Ingest::start(config(broker.port), &store);
    until_stored(&store, 3000, 0).await;
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_again_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let broker = Mosquitto::start().await;
    let ingest = Ingest::start(config(broker.port), &store);
    ingest.connected().await;
    for _ in 0..3 {
        broker.publish(TOPIC, messages(0, 100)).await;
    }
    until("all three rounds", async || ingest.status.known.load(Relaxed) == 200).await;
    assert_eq!(store.count_observations().await.unwrap(), (100, 0));
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_malformed_messages_are_dead_letters_and_stall_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    // Not under test here, and the broker's save for every change takes a minute for so many.
    let broker = Mosquitto::start_with(|_| "autosave_interval 1800\nautosave_on_changes false".into()).await;
    let ingest = Ingest::start(config(broker.port), &store);
    ingest.connected().await;
    let good = messages(0, 10_000);
    let mixed = good.into_iter().enumerate().flat_map(|(i, good)| {
        let bad = match i % 5 {
            0 => b"{\"ts\":1,".to_vec(),
            1 => format!(r#"{{"ts":{FIRST_MS},"values":{{"ph":"--{i}"}}}}"#).into_bytes(),
            2 => vec![0xff, 0xfe, b'{'],
            3 => "[".repeat(2000).into_bytes(),
            _ => format!(r#"{{"ts":{FIRST_MS},"values":{{"ph":NaN}}}}"#).into_bytes(),
        };
        if i % 10 == 0 { vec![bad, good] } else { vec![bad] }
    });
    broker.publish(TOPIC, mixed.collect()).await;
    until_stored(&store, 1000, 10_000).await;
    assert_eq!(ingest.status.dead.load(Relaxed), 10_000);
    let letters = store.list_dead_letters(None, 5).await.unwrap();
    assert!(letters.iter().all(|l| l.source == "mqtt:lake" && l.topic == TOPIC && !l.reason.is_empty()));
    assert!(letters.iter().any(|l| l.start == r"\xff\xfe{" && l.bytes == 3), "raw bytes as they came");
    ingest.stop().await;

    let again = Ingest::start(config(broker.port), &store);
    broker.publish(TOPIC, messages(20_000, 20_001)).await;
    until_stored(&store, 1001, 10_000).await;
    assert_eq!(again.status.received.load(Relaxed), 1, "the bad ones were acknowledged");
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_message_is_refused_to_its_sender_and_the_small_ones_flow() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let broker = Mosquitto::start().await;
    let ingest = Ingest::start(config(broker.port), &store);
    ingest.connected().await;
    let largest = format!(r#"{{"ts":{FIRST_MS},"values":{{"ph":7}},"note":"{}"}}"#, "x".repeat(200_000));
    for (i, bytes) in [300_000, 12_000_000].into_iter().enumerate() {
        let refused = publish(broker.port, TOPIC, vec![vec![b'x'; bytes]], &[]).await;
        assert!(!refused.status.success() || !refused.stderr.is_empty(), "{bytes} bytes were taken");
        let i = i as i64;
        broker.publish(TOPIC, messages(1 + i * 10, 11 + i * 10)).await;
    }
    broker.publish(TOPIC, vec![largest.into_bytes()]).await;
    until_stored(&store, 21, 0).await;
    assert_eq!(ingest.status.connects.load(Relaxed), 1);
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn password_and_tls() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let tls_port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let broker = Mosquitto::start_with(|dir| {
        run(dir, "mosquitto_passwd -b -c passwd jijia s3cret");
        run(
            dir,
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem \
             -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE",
        );
        let dir = dir.display();
        format!(
            "listener {tls_port} 127.0.0.1\nallow_anonymous false\npassword_file {dir}/passwd\n\
             certfile {dir}/cert.pem\nkeyfile {dir}/key.pem\nper_listener_settings false"
        )
    })
    .await;
    let mut config = config(tls_port);
    config.tls = true;
    config.ca_file = broker.dir.path().join("cert.pem");
    config.username = "jijia".into();
    config.password = "wrong".to_owned().into();
    let refused = Ingest::start(config.clone(), &store);
    config.password = "s3cret".to_owned().into();
    config.client_id = "jijia-2".into();
    let ingest = Ingest::start(config.clone(), &store);
    ingest.connected().await;
    let sender = &["-u", "jijia", "-P", "s3cret"];
    assert!(publish(broker.port, TOPIC, messages(0, 10), sender).await.status.success());
    until_stored(&store, 10, 0).await;
    assert_eq!(refused.status.connects.load(Relaxed), 0);
    refused.stop().await;
    ingest.stop().await;
    config.ca_file = broker.dir.path().join("passwd");
    let wrong = mqtt::check(&config).unwrap_err().to_string();
    assert!(wrong.starts_with("mqtt.ca_file: "), "{wrong}");
}

fn run(dir: &Path, command: &str) {
    let mut words = command.split_whitespace();
    let out =
        std::process::Command::new(words.next().unwrap()).args(words).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_broker_serves_the_service_and_outside_clients() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let broker = Broker::start().await.unwrap();
    let port = broker.address().port();
    let ingest = Ingest::start(config(port), &store);
    ingest.connected().await;
    for message in messages(0, 1000) {
        assert!(broker.publish(TOPIC, message));
    }
    // A session of mosquitto_sub: made, left, filled, come back to.
    listen(port, &["-x", "600", "-E"]).await;
    let sent = publish(port, TOPIC, messages(1000, 1200), &[]).await;
    assert!(sent.status.success());
    until_stored(&store, 1200, 0).await;
    let printed = listen(port, &["-x", "0", "-C", "200"]).await;
    let expected: Vec<String> =
        messages(1000, 1200).into_iter().map(|m| String::from_utf8(m).unwrap()).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "all, once, in order");

    // While the service is away its session waits, and comes back with what is left.
    ingest.stop().await;
    until("acknowledged", async || broker.waiting() == 0).await;
    for message in messages(1200, 3000) {
        assert!(broker.publish(TOPIC, message));
    }
    assert_eq!(broker.waiting(), 1800);
    let ingest = Ingest::start(config(port), &store);
    until_stored(&store, 3000, 0).await;
    until("acknowledged", async || broker.waiting() == 0).await;
    ingest.stop().await;
    let old = publish(port, TOPIC, messages(0, 1), &["-V", "311"]).await;
    assert!(!old.status.success(), "MQTT 3 is refused, not ignored");
}

async fn listen(port: u16, until: &'static [&'static str]) -> String {
    let run = move || {
        std::process::Command::new("mosquitto_sub")
            .args(["-V", "5", "-q", "1", "-c", "-i", "outside", "-W", "30"])
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", "jjh/#"])
            .args(until)
            .output()
            .unwrap()
    };
    let out = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

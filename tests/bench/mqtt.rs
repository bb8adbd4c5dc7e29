//! Readings by MQTT QoS 1 through Debian's mosquitto into the real binary, stored and acknowledged, beside
//! `mosquitto_sub -q 1` that only prints from the same broker. A fast publisher in this process feeds both, in turn.
//!
//! Stored is read from `/readyz`. The broker sends no more than 1,000 messages beyond the last acknowledged one, so
//! the acknowledgements follow that closely; at the end the session is opened again and must hold nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::broker::Broker;
use crate::figures::{Figure, median, ms, thousands};
use crate::http::Connection;
use crate::publisher::publish;
use crate::service::Service;
use crate::{Fault, Outcome, Session, lake};

const BACKLOG: u64 = 100_000;
/// A longer gap without progress is a stall.
const STALL: Duration = Duration::from_secs(1);
/// Without any progress for so long the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints rates and the backlog.
pub fn run(session: &mut Session) -> Result<Outcome, Fault> {
    let Some(broker) = Broker::start()? else {
        return Ok(Outcome::Skipped("mosquitto is not installed".into()));
    };
    let (rounds, messages) = if session.long { (7, 100_000) } else { (3, 50_000) };
    let folder = crate::folder()?;
    let mut lake = Lake { broker, folder, start_ms: Timestamp::now().as_millisecond() - 86_400_000 };
    let service = lake.start()?;
    let (mut ours, mut theirs, mut eight) = (vec![], vec![], vec![]);
    for round in 0..rounds {
        ours.push(messages as f64 / lake.live(&service, messages, 1)?.as_secs_f64());
        theirs.push(messages as f64 / lake.printed(messages, 1)?.as_secs_f64());
        let few = messages / 2;
        eight.push((few * 8) as f64 / lake.live(&service, few, 8)?.as_secs_f64());
        eprintln!(
            "round {round}: {:.0}/s, mosquitto_sub {:.0}/s; {:.0} values/s of eight",
            ours[round], theirs[round], eight[round]
        );
    }
    let mut peak_kb = service.peak_kb()?;
    service.stop()?;
    let (drained, gap, service) = lake.backlog()?;
    peak_kb = peak_kb.max(service.peak_kb()?);
    service.stop()?;
    let printed = lake.printed_backlog()?;
    lake.check_acknowledged()?;
    session.peaks.push(("mqtt", peak_kb));
    let (ours, theirs, eight) = (median(&ours), median(&theirs), median(&eight));
    let backlog = BACKLOG as f64 / drained.as_secs_f64();
    Ok(Outcome::Ran(vec![
        Figure {
            what: "MQTT QoS 1, one value each, stored and acknowledged".into(),
            ours: format!("{} messages/s", thousands(ours)),
            beside: format!("mosquitto_sub -q 1, same broker: {}/s", thousands(theirs)),
            ratio: Some(ours / theirs),
            target: "≥ 0.7",
            met: Some(ours / theirs >= 0.7),
        },
        Figure {
            what: "MQTT QoS 1, eight values each".into(),
            ours: format!("{} observations/s", thousands(eight)),
            beside: "–".into(),
            ratio: None,
            target: "≥ 80,000/s",
            met: Some(eight >= 80_000.0),
        },
        Figure {
            what: format!("Backlog of {} messages after an absence", thousands(BACKLOG as f64)),
            ours: format!("{}/s, longest gap {:.0} ms", thousands(backlog), ms(&gap)),
            beside: format!("mosquitto_sub: {}/s", thousands(BACKLOG as f64 / printed.as_secs_f64())),
            ratio: Some(backlog * printed.as_secs_f64() / BACKLOG as f64),
            target: "no stall",
            met: Some(gap < STALL),
        },
    ]))
}

/// The broker, the data directory, and the time of the next reading.
struct Lake {
    broker: Broker,
    folder: tempfile::TempDir,
    start_ms: i64,
}

impl Lake {
    /// The service, subscribed.
    fn start(&self) -> Result<Service, Fault> {
        let address = self.broker.address;
        let settings =
            [("JIJIA_MQTT_HOST", address.ip().to_string()), ("JIJIA_MQTT_PORT", address.port().to_string())];
        Service::start(&self.folder.path().join("data"), &settings)
    }

    /// Publishes `count` messages whose readings follow those before, under topics that begin with `root`.
    fn publish(&mut self, root: &str, count: u64, values: usize) -> Result<(), Fault> {
        let start_ms = self.start_ms;
        // A day holds them all: the readings stay behind the clock.
        self.start_ms += count as i64 / 50 * 1000 + 1000;
        publish(self.broker.address, count, |n| {
            let (device, payload) = lake::message(n, start_ms, values);
            (format!("{root}/{device}/telemetry"), payload)
        })
    }

    /// From the first message published until all are stored.
    fn live(&mut self, service: &Service, count: u64, values: usize) -> Result<Duration, Fault> {
        let mut watcher = Watcher::new(service)?;
        watcher.until_connected()?;
        let goal = watcher.stored()? + count * values as u64;
        let started = Instant::now();
        self.publish("jjh", count, values)?;
        watcher.until_stored(goal)?;
        Ok(started.elapsed())
    }

    /// The same for the yardstick, under topics that the service does not listen to.
    fn printed(&mut self, count: u64, values: usize) -> Result<Duration, Fault> {
        let topic = "yrd/+/telemetry";
        // Once to make the session, so that nothing is lost before the second has connected.
        self.broker.subscriber(topic).arg("-E").status()?;
        let mut subscriber = self.broker.subscriber(topic).args(["-C", &count.to_string()]).spawn()?;
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        self.publish("yrd", count, values)?;
        subscriber.wait()?;
        Ok(started.elapsed())
    }

    /// Published while the service is away. From its first stored message to the last, the longest time without
    /// progress, and the service.
    fn backlog(&mut self) -> Result<(Duration, Duration, Service), Fault> {
        self.publish("jjh", BACKLOG / 2, 1)?;
        self.publish("jjh", BACKLOG / 2, 1)?;
        let service = self.start()?;
        let (elapsed, gap) = Watcher::new(&service)?.until_stored(BACKLOG)?;
        Ok((elapsed, gap, service))
    }

    fn printed_backlog(&mut self) -> Result<Duration, Fault> {
        self.publish("yrd", BACKLOG / 2, 1)?;
        self.publish("yrd", BACKLOG / 2, 1)?;
        let started = Instant::now();
        let count = BACKLOG.to_string();
        self.broker.subscriber("yrd/+/telemetry").args(["-C", &count]).status()?;
        Ok(started.elapsed())
    }

    /// Opened again, the session must hold nothing that was not acknowledged.
    fn check_acknowledged(&self) -> Result<(), Fault> {
        let service = self.start()?;
        let mut watcher = Watcher::new(&service)?;
        watcher.until_connected()?;
        std::thread::sleep(Duration::from_secs(1));
        let received = watcher.count("received")?;
        let dead = watcher.count("dead")?;
        service.stop()?;
        if (received, dead) != (0, 0) {
            return Err(
                format!("{received} stored messages were not acknowledged, {dead} were not read").into()
            );
        }
        Ok(())
    }
}

/// Reads the counts of `/readyz`.
struct Watcher {
    connection: Connection,
}

impl Watcher {
    fn new(service: &Service) -> Result<Self, Fault> {
        let address: SocketAddr = service.address;
        Ok(Self { connection: Connection::new(address)? })
    }

    fn mqtt(&mut self) -> Result<serde_json::Value, Fault> {
        let body: serde_json::Value = serde_json::from_slice(&self.connection.get("/readyz")?)?;
        Ok(body["mqtt"].clone())
    }

    fn count(&mut self, name: &str) -> Result<u64, Fault> {
        self.mqtt()?[name].as_u64().ok_or_else(|| format!("/readyz has no mqtt.{name}").into())
    }

    fn stored(&mut self) -> Result<u64, Fault> {
        self.count("stored")
    }

    fn until_connected(&mut self) -> Result<(), Fault> {
        let started = Instant::now();
        while self.mqtt()?["connected"] != true {
            if started.elapsed() > PATIENCE {
                return Err("the service does not reach the broker".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for `goal` observations. From the first progress to the last, and the longest time without any.
    fn until_stored(&mut self, goal: u64) -> Result<(Duration, Duration), Fault> {
        let mut stored = self.stored()?;
        let (mut first, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        let begun = stored;
        while stored < goal {
            std::thread::sleep(Duration::from_millis(3));
            let now = self.stored()?;
            if now != stored {
                if stored == begun {
                    first = Instant::now();
                } else {
                    longest = longest.max(last.elapsed());
                }
                (stored, last) = (now, Instant::now());
            } else if last.elapsed() > PATIENCE {
                return Err(format!("stalled at {stored} of {goal}").into());
            }
        }
        if stored > goal {
            return Err(format!("{stored} stored of {goal} sent").into());
        }
        Ok((first.elapsed(), longest))
    }
}

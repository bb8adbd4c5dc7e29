//! A lake to look at: ninety simulated days that enter by the same front doors as real ones, then live traffic. Only a
//! data directory that is marked as demo for good takes a clock that is moved by hand.
//!
//! `world` what is true; `sensors` what stations send; `patrols` who walks, `sights` what they write, `scene` what they
//! photograph; `events` the front doors; [`broker`] the MQTT broker in the process.

pub mod broker;
mod events;
mod patrols;
mod scene;
mod sensors;
mod sights;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use clap::Args;
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Result};
use crate::web::{self, App};
use broker::Broker;
use patrols::Patrols;
use sensors::{Message, Sensors};
use world::World;

/// Days simulated.
pub const DAYS: i64 = 90;
/// The stations' modems send what they measured this often.
const STEP: SignedDuration = SignedDuration::from_hours(2);
/// Pictures drawn ahead.
const AHEAD: usize = 6;
/// Between two rounds of live readings.
const LIVE_EVERY: Duration = Duration::from_secs(15);
/// Rounds of readings for one live report.
const LIVE_REPORT: u64 = 6;
/// A front door that takes longer than this to settle is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// `jijia demo`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address of the pages; loopback.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Folder to keep, empty or not there yet; without it a temporary one that goes with the demo.
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Another seed gives another lake.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// The demo's data directory.
#[derive(Debug)]
pub enum Folder {
    /// Goes with the demo, and the guard file beside the data with it.
    Temporary(tempfile::TempDir, PathBuf),
    /// Stays.
    Kept(PathBuf),
}

impl Folder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(_, path) | Self::Kept(path) => path,
        }
    }
}

/// The folder that the options name.
///
/// # Errors
/// `Invalid` for a folder that holds something, those of the disk.
pub fn folder(options: &Options) -> Result<Folder> {
    let Some(path) = &options.folder else {
        let folder = tempfile::Builder::new().prefix("jijia-demo-").tempdir()?;
        let data = folder.path().join("data");
        return Ok(Folder::Temporary(folder, data));
    };
    if path.exists() && std::fs::read_dir(path)?.next().is_some() {
        return Err(Error::invalid(
            "--folder",
            format!(
                "{0} is not empty; allowed: an empty folder or a new one. An earlier demo is looked at again \
                 with `jijia serve --data {0}`",
                path.display()
            ),
        ));
    }
    Ok(Folder::Kept(path.clone()))
}

/// The instant the simulated days begin at.
#[must_use]
pub fn begin() -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * DAYS)
}

/// What the simulation acts on.
#[derive(Clone)]
pub struct Lake {
    /// The service, on a clock moved by hand.
    pub app: App,
    /// Its broker.
    pub broker: Broker,
    /// Seed.
    pub seed: u64,
    /// The first simulated instant.
    pub begin: Timestamp,
}

/// The simulated days, by the front doors; afterwards the clock goes with the system's.
///
/// # Errors
/// What a front door answered, or that it did not settle in time.
pub async fn fill(lake: &Lake, bar: &ProgressBar) -> Result<()> {
    let world = World::new(lake.begin, lake.seed);
    let place = &lake.app.place;
    let end = lake.begin + SignedDuration::from_hours(24 * DAYS);
    let mut events = Patrols::new(place, &world, lake.seed).plan(end);
    events.extend(sensors::samples(place, &world, end, lake.seed));
    events.sort_by_key(|e| e.at);
    let mut sensors = Sensors::new(place, &world, lake.seed);
    until("the subscription", || is_connected(lake)).await?;
    let router = web::router(lake.app.clone());
    let mut drawn = stream::iter(events).map(|e| tokio::task::spawn_blocking(|| e.ready())).buffered(AHEAD);
    let mut sent = lake.begin;
    while let Some(ready) = drawn.next().await {
        let ready = ready.map_err(|e| Error::Internal(format!("demo picture: {e}")))??;
        while ready.event.at.duration_since(sent) >= STEP {
            sent += STEP;
            pass(lake, sensors.messages(sent), sent).await?;
            bar.set_position(u64::try_from(sent.duration_since(lake.begin).as_hours()).unwrap_or(0) / 24);
        }
        lake.app.store.clock().set(ready.event.at);
        ready.send(&router).await?;
    }
    while sent < end {
        sent = (sent + STEP).min(end);
        pass(lake, sensors.messages(sent), sent).await?;
    }
    lake.app.store.clock().release();
    bar.finish_and_clear();
    Ok(())
}

/// Time passes to `now`, and what the stations measured meanwhile is received then.
async fn pass(lake: &Lake, messages: Vec<Message>, now: Timestamp) -> Result<()> {
    lake.app.store.clock().set(now);
    for (topic, payload) in messages {
        lake.broker.publish(&topic, payload);
    }
    until("the readings", || lake.broker.waiting() == 0).await
}

fn is_connected(lake: &Lake) -> bool {
    let connected = |s: &std::sync::Arc<crate::ingest::mqtt::MqttStatus>| {
        s.connected.load(std::sync::atomic::Ordering::Relaxed)
    };
    lake.app.settings.mqtt.as_ref().is_some_and(connected)
}

/// Looks every millisecond whether it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .map_err(|_| Error::Unavailable(format!("demo: {what} did not settle in {} s", PATIENCE.as_secs())))
}

/// Live traffic until aborted.
pub async fn live(lake: Lake) {
    let world = World::new(lake.begin, lake.seed);
    let router = web::router(lake.app.clone());
    let mut sensors = Sensors::new(&lake.app.place, &world, lake.seed + 1);
    let mut rounds = tokio::time::interval(LIVE_EVERY);
    for round in 0.. {
        rounds.tick().await;
        let now = lake.app.store.clock().now();
        for (topic, payload) in sensors.now(now) {
            lake.broker.publish(&topic, payload);
        }
        if round % LIVE_REPORT == 1
            && let Err(error) = report_now(&lake, &world, &router, round, now).await
        {
            tracing::warn!(%error, "demo: a live report was not taken");
        }
    }
}

async fn report_now(lake: &Lake, world: &World, router: &Router, round: u64, now: Timestamp) -> Result<()> {
    // Seen a little earlier than it is sent.
    let seen = now - SignedDuration::from_secs(100);
    for mut event in Patrols::new(&lake.app.place, world, lake.seed.wrapping_add(round)).one(seen) {
        event.at = now;
        event.ready()?.send(router).await?;
    }
    Ok(())
}

/// What the terminal says.
#[must_use]
pub fn welcome(address: SocketAddr, broker: &Broker, folder: &Path) -> String {
    let mqtt = broker.address();
    format!(
        "\n演示数据 · demo data: 90 simulated days, then live traffic. Nothing here is real.\n\n\
         总览 overview           http://{address}/\n\
         证据时间线 timeline     http://{address}/timeline?outfall=JJH-PK-0003\n\
         修好的排口 repaired     http://{address}/timeline?outfall=JJH-PK-0005\n\
         接口 API                http://{address}/api/docs/\n\
         读数 readings (MQTT 5)  mqtt://{mqtt}\n  \
           mosquitto_pub -V 5 -q 1 -h {} -p {} -t jjh/JJH-S1/telemetry -m '{{\"ts\":'$(date +%s000)',\"values\":{{\"do\":2.1}}}}'\n\
         数据 data               {}\n\n\
         Ctrl-C ends it.\n",
        mqtt.ip(),
        mqtt.port(),
        folder.display()
    )
}

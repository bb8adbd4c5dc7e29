//! The commands that keep something running or bring something in.

pub mod dead_letters;
pub mod https;
mod import;
mod log;
mod parts;
pub mod people;
pub mod plates;
mod signals;
pub mod verify;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use indicatif::{ProgressBar, ProgressStyle};
use jijia::clock::Clock;
use jijia::config::{self, Config};
use jijia::demo;
use jijia::document::bundle;
use jijia::error::{Error, Result};
use jijia::ingest::mqtt;
use jijia::mirror::influx::{self, InfluxStatus};
use jijia::people::secret;
use jijia::publish::{self, Publisher};
use jijia::store::people::Limits;
use jijia::store::{Opener, Store};
use jijia::web::{self, Access, App, BodyBudget, ConnectionLimits, Settings};
use jijia::witness;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use import::{Import, import};
pub use log::{LogCommand, log};
use parts::Parts;
use signals::{Signals, stopped, until_told};

/// Files that no connection takes: database, photos and uploads under way, children, logs.
const FILE_RESERVE: u64 = 256;
/// Fewer connections than these are no service.
const FILES_MIN: u64 = 64;
/// Reports judged again in one transaction after the place was replaced.
const JUDGE_STEP: u32 = 500;

/// Writes to standard output; a closed pipe is not an error worth a word.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A service that has started.
struct Service {
    address: SocketAddr,
    app: App,
    parts: Parts,
}

/// Opens the listener and starts every part that is configured.
async fn start(config: &Config, store: Store, open: bool, stop: &watch::Receiver<bool>) -> Result<Service> {
    let (place, locator, rules) = crate::app_parts(config)?;
    store.empty_tmp()?;
    store.give_up_uploads()?;
    bundle::remove_old(&store, keep_bundles(config)).await?;
    store.add_place(place.hash).await?;
    store.add_rules(crate::rules_text(config, &place)?).await?;
    store.expect_stations(place.stations.iter().map(|s| s.code.clone()));
    let publisher = Publisher::open(store.clone(), &config.log).await?;
    let mut parts = Parts::default();
    let mqtt = (!config.mqtt.host.is_empty()).then(Arc::<mqtt::MqttStatus>::default);
    if let Some(status) = &mqtt {
        mqtt::check(&config.mqtt)?;
        let run = mqtt::run(config.mqtt.clone(), store.clone(), status.clone(), stop.clone());
        parts.spawn(run);
    }
    let influx = (!config.influx.url.is_empty()).then(Arc::<InfluxStatus>::default);
    if let Some(status) = &influx {
        let target = influx::Target::new(&config.influx)?;
        let (store, status, stop) = (store.clone(), status.clone(), stop.clone());
        parts.spawn(async move {
            influx::run(target, store, &status, stopped(stop)).await;
            Ok(())
        });
    }
    let listener = bind("server.listen", config.server.listen).await?;
    let tls = https::certificate(config, listener.local_addr()?, store.clock().now())?;
    let shown = Shown { open, tls: tls.as_ref(), mqtt, influx };
    let settings = settings(config, shown)?;
    publishing(&publisher, stop, &mut parts);
    let app = App {
        store,
        publisher,
        place,
        locator,
        rules,
        settings: Arc::new(settings),
        gate: Arc::default(),
        documents: Arc::default(),
        roster_cache: Arc::default(),
        bodies: BodyBudget::default(),
    };
    parts.spawn(judge_again(app.clone()));
    let address = listener.local_addr()?;
    match tls {
        None => parts.spawn(web::serve(listener, None, app.clone(), stopped(stop.clone()))),
        Some(tls) => https::serve(config, tls, listener, &app, stop, &mut parts).await?,
    }
    Ok(Service { address, app, parts })
}

/// What has started before the handlers, and is shown by them.
struct Shown<'a> {
    /// Nobody is asked who they are: `jijia demo`.
    open: bool,
    tls: Option<&'a https::Shown>,
    mqtt: Option<Arc<mqtt::MqttStatus>>,
    influx: Option<Arc<InfluxStatus>>,
}

/// What the handlers need of the configuration.
fn settings(config: &Config, shown: Shown<'_>) -> Result<Settings> {
    let p = &config.photos;
    Ok(Settings {
        access: access(config, shown.open),
        https: shown.tls.is_some() || config.server.trusted_hops > 0,
        certificate: shown.tls.map(|t| t.certificate().clone()),
        authority: shown.tls.and_then(|t| t.authority().map(str::to_owned)),
        public_url: config.server.public_url.clone(),
        place_dir: crate::place_dir(config).map(Path::to_owned),
        duty: crate::duty_limits(config),
        max_body_bytes: config.server.max_body_bytes,
        connections: connections(config)?,
        max_outbox_bytes: config.server.max_outbox_bytes,
        photos: crate::photo_limits(config),
        office: crate::office(config)?,
        keep_bundles: keep_bundles(config),
        request_timeout: config.server.request_timeout_s,
        photo_idle_timeout: p.idle_timeout_s,
        low_space_bytes: config.data.low_space_bytes,
        mqtt: shown.mqtt,
        influx: shown.influx,
    })
}

async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| Error::Unavailable(format!("{key} {address}: {e}")))
}

/// Signs the log and has it cosigned.
fn publishing(publisher: &Publisher, stop: &watch::Receiver<bool>, parts: &mut Parts) {
    parts.spawn(publish::run(publisher.clone(), stopped(stop.clone())).map(Ok));
    for witness in publisher.witnesses() {
        parts.spawn(publish::ask(publisher.clone(), witness.clone(), stopped(stop.clone())).map(Ok));
    }
}

/// How the service is guarded. `jijia demo` asks nobody: it shows nothing real. One that others can reach asks all the same,
/// and so does `jijia serve`, whatever its database says of itself.
fn access(config: &Config, open: bool) -> Access {
    let hours = |h: f64| Duration::try_from_secs_f64(h * 3600.0).unwrap_or(Duration::MAX);
    Access {
        open: open && config.server.listen.ip().is_loopback() && config.server.trusted_hops == 0,
        session: Limits {
            idle: hours(config.people.session_idle_h),
            absolute: hours(config.people.session_max_h),
        },
        token: (!config.people.token.is_empty()).then(|| secret::digest(config.people.token.reveal())),
        trusted_hops: config.server.trusted_hops,
    }
}

/// How many connections there may be: as many as are configured, and as there are files for beside those of the database and
/// the photos.
fn connections(config: &Config) -> Result<ConnectionLimits> {
    let files = raise_file_limit()?.saturating_sub(FILE_RESERVE);
    if files < FILES_MIN {
        let message = format!("{files} files are left for connections; allowed: {FILES_MIN} (ulimit -n)");
        return Err(Error::Unavailable(message));
    }
    let all = config.server.max_connections.min(usize::try_from(files).unwrap_or(usize::MAX));
    let per_address = config.server.max_connections_per_address.min(all);
    Ok(ConnectionLimits { all, per_address, known_per_address: all / 2, ..ConnectionLimits::default() })
}

/// Raises the limit of open files to what the system allows; gives it.
fn raise_file_limit() -> Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

/// How long a bundle can be fetched.
fn keep_bundles(config: &Config) -> Duration {
    Duration::from_secs(u64::from(config.documents.keep_bundles_days) * 86_400)
}

/// Geotags by the place in use what was judged by another; the service goes on meanwhile.
async fn judge_again(app: App) -> Result<()> {
    let mut done = 0;
    loop {
        let step = match app.store.judge_again(app.place.clone(), app.locator.clone(), JUDGE_STEP).await {
            // An import holds the lock, or the disk is full: it is no hurry.
            Err(Error::Unavailable(_) | Error::NoSpace(_)) if !app.store.is_broken() => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                continue;
            }
            step => step?,
        };
        if step == 0 {
            break;
        }
        done += step;
    }
    if done > 0 {
        tracing::info!(reports = done, "judged again by the place in use; the old results stay beside");
    }
    Ok(())
}

/// `jijia serve`.
pub async fn serve(config: Config) -> Result<()> {
    let signals = Signals::listen()?;
    let store = Store::open(&config.data.dir, Opener::Service, Clock::System).await?;
    for warning in web::warnings::of_store(&store, config.data.low_space_bytes).await? {
        tracing::warn!("{}", warning.words);
    }
    let (stop, stopping) = watch::channel(false);
    let mut service = start(&config, store.clone(), false, &stopping).await?;
    if !service.app.settings.access.open {
        match people::first_admin(&config, &store, service.address).await {
            // A full disk keeps no service from starting: what is there can be read, and the next start makes the link.
            Err(error @ (Error::NoSpace(_) | Error::Unavailable(_))) => {
                tracing::warn!(%error, "no setup link could be made");
            }
            made => made?,
        }
    }
    let scheme = if config.tls.mode == config::TlsMode::Off { "http" } else { "https" };
    tracing::info!("serving on {scheme}://{}", service.address);
    let ended = tokio::select! {
        told = until_told(&store, signals) => told,
        error = service.parts.failed() => Err(error),
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    service.parts.wind_up().await;
    ended
}

/// `jijia witness`.
pub async fn witness(options: witness::Options) -> Result<()> {
    let mut signals = Signals::listen()?;
    let (stop, stopping) = watch::channel(false);
    let ready = |address, key| say(&format!("witness on http://{address}\nvkey {key}\n"));
    let serving = witness::run(options, ready, stopped(stopping));
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        heard = signals.heard() => heard?,
    }
    stop.send_replace(true);
    serving.await
}

/// `jijia demo`. Its configuration is the default one whatever the operator's says: no other place, no other broker,
/// and above all no mirror into a database that holds real values.
pub async fn demo(options: demo::Options) -> Result<()> {
    let mut config = config::load(None, [])?;
    let folder = demo::folder(&options)?;
    if publish::guarded(folder.path(), &config.log)?.is_some() {
        let folder = folder.path().display();
        return Err(Error::invalid(
            "--folder",
            format!(
                "the guard file beside {folder} is of a log that was here before; allowed: another folder, or this \
                 one when {folder}.guard is removed (only that of a demo ever should be)"
            ),
        ));
    }
    let broker = demo::broker::Broker::start().await?;
    let begin = demo::begin();
    let store = Store::open(folder.path(), Opener::Service, Clock::simulated(begin)).await?;
    folder.path().clone_into(&mut config.data.dir);
    config.server.listen = options.listen;
    config.mqtt.host = broker.address().ip().to_string();
    config.mqtt.port = broker.address().port();
    let (stop, stopping) = watch::channel(false);
    let mut service = start(&config, store.clone(), true, &stopping).await?;
    let lake = demo::Lake { app: service.app.clone(), broker: broker.clone(), seed: options.seed, begin };
    say(&format!("演示数据：正在走过 {} 天 …\n", demo::DAYS));
    let bar = bar(demo::DAYS.unsigned_abs());
    let told = until_told(&store, Signals::listen()?);
    tokio::pin!(told);
    let ended = tokio::select! {
        filled = demo::fill(&lake, &bar) => match filled {
            Ok(()) => {
                say(&demo::welcome(service.address, &broker, folder.path()));
                tokio::select! {
                    ended = &mut told => ended,
                    () = demo::live(lake) => Ok(()),
                    error = service.parts.failed() => Err(error),
                }
            }
            Err(error) => Err(error),
        },
        ended = &mut told => ended,
    };
    stop.send_replace(true);
    service.parts.wind_up().await;
    ended
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {eta}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

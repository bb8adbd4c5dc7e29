//! The commands that keep something running or bring something in.

pub mod dead_letters;
mod log;
mod parts;
pub mod plates;
mod signals;
pub mod verify;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::FutureExt;
use indicatif::{ProgressBar, ProgressStyle};
use jijia::clock::Clock;
use jijia::config::{self, Config};
use jijia::demo;
use jijia::document::bundle;
use jijia::error::{Error, Result};
use jijia::ingest::column_map::ColumnMap;
use jijia::ingest::import_reports::ReportMap;
use jijia::ingest::{import_observations, import_reports, mqtt, table};
use jijia::mirror::influx::{self, InfluxStatus};
use jijia::patrol::photo::Limits;
use jijia::patrol::report::{Arrival, parse_report};
use jijia::publish::{self, Publisher};
use jijia::store::{Opener, Store};
use jijia::web::{self, App, Settings};
use jijia::witness;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use log::{LogCommand, log};
use parts::Parts;
use signals::{Signals, stopped, until_told};

/// Rows that a preview shows as they would be stored.
const PREVIEW: usize = 3;
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
async fn start(config: &Config, store: Store, stop: &watch::Receiver<bool>) -> Result<Service> {
    let (place, locator, rules) = crate::app_parts(config)?;
    store.empty_tmp()?;
    bundle::remove_old(&store, keep_bundles(config))?;
    store.add_place(place.hash).await?;
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
    let listener = TcpListener::bind(config.server.listen)
        .await
        .map_err(|e| Error::Unavailable(format!("server.listen {}: {e}", config.server.listen)))?;
    let p = &config.photos;
    let settings = Settings {
        place_dir: crate::place_dir(config).map(Path::to_owned),
        duty: crate::duty_limits(config),
        max_body_bytes: config.server.max_body_bytes,
        photos: Limits { max_bytes: p.max_bytes, max_pixels: p.max_pixels, max_side: p.max_side },
        office: crate::office(config)?,
        keep_bundles: keep_bundles(config),
        request_timeout: config.server.request_timeout_s,
        photo_idle_timeout: p.idle_timeout_s,
        low_space_bytes: config.data.low_space_bytes,
        mqtt,
        influx,
    };
    publishing(&publisher, stop, &mut parts);
    let app = App { store, publisher, place, locator, rules, settings: Arc::new(settings) };
    parts.spawn(judge_again(app.clone()));
    let address = listener.local_addr()?;
    parts.spawn(web::serve(listener, app.clone(), stopped(stop.clone())));
    Ok(Service { address, app, parts })
}

/// Signs the log and has it cosigned.
fn publishing(publisher: &Publisher, stop: &watch::Receiver<bool>, parts: &mut Parts) {
    parts.spawn(publish::run(publisher.clone(), stopped(stop.clone())).map(Ok));
    for witness in publisher.witnesses() {
        parts.spawn(publish::ask(publisher.clone(), witness.clone(), stopped(stop.clone())).map(Ok));
    }
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
    let mut service = start(&config, store.clone(), &stopping).await?;
    tracing::info!(
        "serving on http://{} (loopback only until people and roles exist: nobody is asked who they are yet)",
        service.address
    );
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
    let mut service = start(&config, store.clone(), &stopping).await?;
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

/// `jijia import …`.
#[derive(Subcommand)]
pub enum Import {
    /// Reports from CSV or GeoJSON.
    Reports(ReportFile),
    /// Observations from CSV, wide or long.
    Observations(ObservationFile),
}

/// A file of reports.
#[derive(Args)]
pub struct ReportFile {
    /// The file.
    file: PathBuf,
    /// Columns by a map of your own (TOML): `[column]` with `"heading" = "key"` (keys: config/report_aliases.csv), `ignore`,
    /// `crs`, `zone`.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Reference system of positions without one of their own: wgs84, gcj02, bd09, cgcs2000.
    #[arg(long)]
    crs: Option<String>,
    /// Zone of local times, +08:00.
    #[arg(long)]
    zone: Option<String>,
    /// Take nothing if a row is wrong.
    #[arg(long)]
    strict: bool,
    /// Show what would be done; store nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A table of observations.
#[derive(Args)]
pub struct ObservationFile {
    /// The file.
    file: PathBuf,
    /// Columns by a preset: national-platform, blacksmith, franklin.
    #[arg(long, conflicts_with = "map")]
    preset: Option<String>,
    /// Columns by a map of your own (TOML; config/presets are examples).
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Station of all rows, where the table has no column for it.
    #[arg(long)]
    station: Option<String>,
    /// Zone of local times, +08:00.
    #[arg(long)]
    zone: Option<String>,
    /// Take nothing if a cell is wrong.
    #[arg(long)]
    strict: bool,
    /// Show what would be done; store nothing.
    #[arg(long)]
    dry_run: bool,
}

fn read_map(file: &Path) -> Result<String> {
    let wrong = |e: std::io::Error| Error::invalid("--map", format!("{}: {e}", file.display()));
    std::fs::read_to_string(file).map_err(wrong)
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {eta}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// `jijia import …`.
pub async fn import(command: Import, config: &Config) -> Result<ExitCode> {
    let store = Store::open(&config.data.dir, Opener::Tool, Clock::System).await?;
    match command {
        Import::Reports(args) => reports(&args, &store, config).await,
        Import::Observations(args) => observations(&args, &store, config).await,
    }
}

async fn reports(args: &ReportFile, store: &Store, config: &Config) -> Result<ExitCode> {
    let map = match &args.map {
        Some(file) => ReportMap::parse(&read_map(file)?, &file.display().to_string())?,
        None => ReportMap::default(),
    };
    let options = import_reports::Options { crs: args.crs.clone(), zone: args.zone.clone(), map };
    let bytes = table::read_file(&args.file)?;
    let import = import_reports::Import::new(bytes, &options, store.clock().now())?;
    say(&format!(
        "{} 行；识别的列：{}；未采用的列：{}\n",
        import.len(),
        import.known.join("、"),
        import.ignored.join("、")
    ));
    if args.dry_run {
        for (line, body) in import.bodies().flatten().take(PREVIEW) {
            say(&format!("第 {line} 行：{}\n", String::from_utf8_lossy(&body)));
        }
    }
    let (place, locator, _) = crate::app_parts(config)?;
    if !args.dry_run {
        // By which place the rows are judged is said by the log, also before the service has ever run.
        store.add_place(place.hash).await?;
    }
    let arrival =
        || Arrival { received_at: store.clock().now(), sent_at: None, place: &place, locator: &locator };
    let bar = bar(import.len() as u64);
    let dry = args.dry_run;
    let outcome = import_reports::run(&import, args.strict, &bar, async |body| {
        let report = parse_report(&body, &arrival())?;
        if dry { Ok(None) } else { store.add_report(report).await.map(Some) }
    })
    .await?;
    let new = outcome.receipts.iter().filter(|(_, a)| a.as_ref().is_some_and(|a| a.new)).count();
    for error in &outcome.errors {
        say(&format!("{error}\n"));
    }
    let (rows, wrong) = (outcome.rows, outcome.errors.len());
    let known = outcome.receipts.len() - new;
    say(&match dry {
        true => {
            format!("试读：共 {rows} 行，可导入 {} 行，有误 {wrong} 行；未写入\n", outcome.receipts.len())
        }
        false => format!("共 {rows} 行：新增 {new}，已有 {known}，有误 {wrong}\n"),
    });
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn observations(args: &ObservationFile, store: &Store, config: &Config) -> Result<ExitCode> {
    let map = match (&args.preset, &args.map) {
        (Some(name), _) => ColumnMap::preset(name)?,
        (None, Some(file)) => ColumnMap::parse(&read_map(file)?, &file.display().to_string())?,
        (None, None) => ColumnMap::default(),
    };
    let (place, ..) = crate::app_parts(config)?;
    let options = import_observations::Options {
        file_name: args.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        map,
        station: args.station.clone(),
        zone: args.zone.clone(),
        stations: place.stations.iter().map(|s| (s.code.clone(), s.name.clone())).collect(),
    };
    let table = table::Table::from_bytes(table::read_file(&args.file)?)?;
    let import = import_observations::Import::new(table, options, store.clock().now())?;
    say(&format!("{}\n", import.plan()));
    let outcome = if args.dry_run {
        import.check()
    } else {
        import_observations::run(store, &import, args.strict, &bar(import.lines())).await?
    };
    for error in &outcome.errors {
        say(&format!("{error}\n"));
    }
    say(&format!("{outcome}\n"));
    Ok(if outcome.error_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! `jijia import …`: files by the doors through which phones and sensors come.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jijia::clock::Clock;
use jijia::config::Config;
use jijia::error::{Error, Result};
use jijia::evidence::entry::SHELL;
use jijia::ingest::column_map::ColumnMap;
use jijia::ingest::import_reports::ReportMap;
use jijia::ingest::{import_observations, import_reports, table};
use jijia::patrol::outbox::{Found, Limits, MEMBERS_MAX, Outbox, PhotoArchive};
use jijia::patrol::report::{Arrival, parse_report};
use jijia::store::{Door, Opener, Store};

use super::{bar, say};

/// Rows that a preview shows as they would be stored.
const PREVIEW: usize = 3;

/// `jijia import …`.
#[derive(Subcommand)]
pub enum Import {
    /// Reports from CSV, Excel (.xlsx) or GeoJSON.
    Reports(ReportFile),
    /// Observations from CSV or Excel (.xlsx), wide or long.
    Observations(ObservationFile),
    /// The rescue archive of a phone (导出未上传): what it had not sent.
    Outbox(ArchiveFile),
    /// Photos from a plain ZIP archive, each sealed under the hash of its own bytes.
    Photos(ArchiveFile),
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
    /// Sheet of a workbook (.xlsx); without it the first.
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
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
    /// Sheet of a workbook (.xlsx); without it the first.
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
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

/// An archive.
#[derive(Args)]
pub struct ArchiveFile {
    /// The file, .zip.
    file: PathBuf,
    /// Take nothing if anything in it would be refused.
    #[arg(long)]
    strict: bool,
    /// Show what would be refused; store nothing.
    #[arg(long)]
    dry_run: bool,
}

fn read_map(file: &Path) -> Result<String> {
    let wrong = |e: std::io::Error| Error::invalid("--map", format!("{}: {e}", file.display()));
    std::fs::read_to_string(file).map_err(wrong)
}

/// `jijia import …`.
pub async fn import(command: Import, config: &Config) -> Result<ExitCode> {
    let store = Store::open(&config.data.dir, Opener::Tool, Clock::System).await?;
    match command {
        Import::Reports(args) => reports(&args, &store, config).await,
        Import::Observations(args) => observations(&args, &store, config).await,
        Import::Outbox(args) => archive(&args, &store, config, Outbox::open).await,
        Import::Photos(args) => archive(&args, &store, config, PhotoArchive::open).await,
    }
}

async fn reports(args: &ReportFile, store: &Store, config: &Config) -> Result<ExitCode> {
    let map = match &args.map {
        Some(file) => ReportMap::parse(&read_map(file)?, &file.display().to_string())?,
        None => ReportMap::default(),
    };
    let options = import_reports::Options {
        crs: args.crs.clone(),
        zone: args.zone.clone(),
        map,
        sheet: args.sheet.clone(),
    };
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
    let table = table::Table::from_bytes(table::read_file(&args.file)?, args.sheet.as_deref())?;
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

/// Brings an archive in; with `--strict` or `--dry-run` it is judged as a whole first.
async fn archive<A: Iterator<Item = Found> + Send + 'static>(
    args: &ArchiveFile,
    store: &Store,
    config: &Config,
    open: fn(&Path, Limits) -> Result<A>,
) -> Result<ExitCode> {
    let limits = Limits {
        max_members: MEMBERS_MAX,
        max_unfolded: config.server.max_outbox_bytes,
        max_body: config.server.max_body_bytes as u64,
        max_photo: config.photos.max_bytes,
    };
    if !args.file.is_file() {
        return Err(Error::NotFound(args.file.display().to_string()));
    }
    let (place, locator, _) = crate::app_parts(config)?;
    let door = Door { place: &place, locator: &locator, photos: crate::photo_limits(config), by: SHELL };
    if args.strict || args.dry_run {
        let judged = store.check_archive(open(&args.file, limits)?, door).await?;
        let wrong = say_wrong(judged.iter().filter_map(|(member, o)| Some((member, o.as_ref().err()?))));
        if args.dry_run || wrong > 0 {
            let good = judged.len() - wrong;
            say(&format!("试读：共 {} 项，可导入 {good}，有误 {wrong}；未写入\n", judged.len()));
            return Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    // By which place reports are judged is said by the log, also before the service has ever run.
    store.add_place(place.hash).await?;
    let taken = store.take_archive(open(&args.file, limits)?, door).await?;
    for (member, added) in taken.iter().filter_map(|t| Some((&t.member, t.outcome.as_ref().ok()?))) {
        let word = if added.new { "新增" } else { "已有" };
        say(&format!("{}: {word}，条目 {}\n", member.escape_debug(), added.receipt.index));
    }
    let wrong = say_wrong(taken.iter().filter_map(|t| Some((&t.member, t.outcome.as_ref().err()?))));
    let new = taken.iter().filter(|t| t.outcome.as_ref().is_ok_and(|added| added.new)).count();
    let known = taken.len() - new - wrong;
    say(&format!("共 {} 项：新增 {new}，已有 {known}，有误 {wrong}\n", taken.len()));
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what was refused, and counts it. A name is a stranger's text and must not steer the terminal.
fn say_wrong<'a>(refused: impl Iterator<Item = (&'a String, &'a Error)>) -> usize {
    refused.map(|(member, error)| say(&format!("{}: {error}\n", member.escape_debug()))).count()
}

//! The commands. Reads the whole configuration, hands each part its own section, wires everything.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use jijia::clock::Clock;
use jijia::config::{self, Config, LogFormat};
use jijia::document::bundle::{self, Desk};
use jijia::document::export::{Office, export};
use jijia::error::{Error, Result};
use jijia::evidence::bundle::Photos;
use jijia::evidence::entry::SHELL;
use jijia::evidence::timeline::{Filter, Rules};
use jijia::ingest::mqtt;
use jijia::lake::geotag::Locator;
use jijia::lake::{Place, load};
use jijia::mirror::influx;
use jijia::patrol::duty::Limits;
use jijia::patrol::{photo, roster};
use jijia::publish::Publisher;
use jijia::store::{Opener, Store};
use jijia::water::rain::DryRule;
use jijia::{calc, demo, document, publish, witness};

mod commands;
mod custody;

/// 吉家湖巡护: patrol reports and water readings of a small lake, kept as evidence.
#[derive(Parser)]
#[command(name = "jijia", version, about, max_term_width = 100)]
struct Cli {
    /// Configuration file; without one the defaults hold (`jijia config show`).
    #[arg(long, env = "JIJIA_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, over the configuration.
    #[arg(long, env = "JIJIA_DATA", global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    Serve,
    /// Run a simulated lake in a fresh directory, with a broker of its own.
    Demo(demo::Options),
    /// Write the evidence timeline to a file: .docx .pdf .xlsx .csv .geojson, or a bundle (证据包) .zip
    Timeline(TimelineArgs),
    /// Print the waypoints' plates (打卡牌), four on a sheet, as PDF.
    Plates(commands::plates::PlatesArgs),
    /// Check a bundle (证据包), offline: exit code 0 good, 1 broken, 2 not a bundle, 3 good by no key but its own.
    Verify(commands::verify::VerifyArgs),
    /// Bring in files.
    #[command(subcommand)]
    Import(commands::Import),
    /// Check the database and the photos against the log, beside a running service. Exit code 0: clean, 1: findings.
    Audit(custody::AuditArgs),
    /// Erase by law (依法删除) a payload or a photo; its entry and every proof stay.
    Redact(custody::RedactArgs),
    /// List what could not become observations: when, from where, why, and how it begins.
    DeadLetters(commands::dead_letters::DeadLetterArgs),
    /// Who may sign in; phones and tokens. Works beside a running service, and without one.
    #[command(subcommand)]
    People(commands::people::PeopleCommand),
    /// The evidence log's key and tiles.
    #[command(subcommand)]
    Log(commands::LogCommand),
    /// Copy database, photos and key into a folder, beside a running service.
    Backup(custody::BackupArgs),
    /// Bring a backup back into an empty data directory, so that the log goes on without a fork.
    Restore(custody::RestoreArgs),
    /// Cosign the evidence logs of others, so that none of them can be rewritten unseen.
    Witness(witness::Options),
    /// Look at the configuration and the place.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Repeat a computation: JSON lines from standard input to standard output.
    Calc {
        /// crs, geotag, dry, duty or proof.
        #[arg(value_parser = calc::NAMES)]
        name: String,
    },
    /// Render a PDF job (used by the service itself).
    #[command(hide = true)]
    RenderPdf {
        /// The job.
        job: PathBuf,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check the configuration, and the place's files in its folder or in DIR.
    Check {
        /// Folder of a place that is to replace the present one.
        dir: Option<PathBuf>,
    },
    /// Print the complete defaults, commented.
    Show,
}

#[derive(Args)]
struct TimelineArgs {
    /// Outfall code, JJH-PK-0003.
    #[arg(long)]
    outfall: Option<String>,
    /// Sector code.
    #[arg(long)]
    sector: Option<String>,
    /// Unit code.
    #[arg(long)]
    unit: Option<String>,
    /// `sewage_outflow`, `water_hyacinth`, `other`, `nothing_found`.
    #[arg(long)]
    kind: Option<String>,
    /// Patrol UUID.
    #[arg(long)]
    patrol: Option<String>,
    /// First day (2026-07-01, 北京时间) or instant (RFC 3339), inclusive.
    #[arg(long)]
    from: Option<String>,
    /// Last day, inclusive, or instant, exclusive.
    #[arg(long)]
    to: Option<String>,
    /// The file; its ending decides the format.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// A bundle with the sealed photos, with all that the camera wrote into them.
    #[arg(long, conflicts_with = "copies")]
    originals: bool,
    /// A bundle with re-encoded photos, without metadata: the default.
    #[arg(long)]
    copies: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("jijia: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    // These need no configuration: a wrong key must not stop a rendering or a check.
    if let Command::RenderPdf { job } = &cli.command {
        return document::pdf::child_main(job);
    }
    if let Command::Verify(args) = &cli.command {
        return commands::verify::run(args);
    }
    let mut config = config::load(cli.config.as_deref(), std::env::vars())?;
    if let Some(dir) = cli.data {
        config.data.dir = dir;
    }
    if let Command::Calc { name } = &cli.command {
        let place = load_place(&config)?;
        return calc::run(name, &place, std::io::stdin().lock(), std::io::stdout().lock());
    }
    start_log(&config)?;
    match &cli.command {
        Command::Plates(args) => return commands::plates::run(args, &config),
        Command::Audit(args) => return custody::audit(args, &config),
        Command::Backup(args) => return custody::backup(args, &config),
        Command::Restore(args) => return custody::restore(args, &config),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(dispatch(cli.command, config))
}

async fn dispatch(command: Command, config: Config) -> Result<ExitCode> {
    match command {
        Command::Serve => {
            // What the service makes is its owner's alone; what a command writes for somebody is as the shell has it.
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
            commands::serve(config).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Demo(options) => commands::demo(options).await.map(|()| ExitCode::SUCCESS),
        Command::Timeline(args) => timeline(args, &config).await,
        Command::Redact(args) => custody::redact(args, &config).await,
        Command::DeadLetters(args) => commands::dead_letters::list(&args, &config).await,
        Command::People(command) => commands::people::run(command, &config).await.map(|()| ExitCode::SUCCESS),
        Command::Import(import) => commands::import(import, &config).await,
        Command::Witness(options) => commands::witness(options).await.map(|()| ExitCode::SUCCESS),
        Command::Log(command) => commands::log(command, &config).await.map(|()| ExitCode::SUCCESS),
        Command::Config(ConfigCommand::Show) => {
            commands::say(config::DEFAULT);
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(ConfigCommand::Check { dir }) => Ok(config_check(dir.as_deref(), &config)),
        Command::Calc { .. }
        | Command::RenderPdf { .. }
        | Command::Plates(_)
        | Command::Audit(_)
        | Command::Verify(_)
        | Command::Backup(_)
        | Command::Restore(_) => Ok(ExitCode::SUCCESS),
    }
}

fn start_log(config: &Config) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.level).map_err(|e| {
        Error::invalid("log.level", format!("{e}; allowed: error, warn, info, debug, or a filter"))
    })?;
    // Colours in a file or a journal are noise.
    let colours = std::io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// The configured place, or the illustrative one inside the program.
fn load_place(config: &Config) -> Result<Place> {
    let Some(dir) = place_dir(config) else { return Ok(load::embedded()) };
    load::load(dir).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::invalid(format!("place.dir {}", dir.display()), lines.join("\n  "))
    })
}

/// Where the configured place lies; none for the one inside the program.
fn place_dir(config: &Config) -> Option<&Path> {
    Some(config.place.dir.as_path()).filter(|dir| !dir.as_os_str().is_empty())
}

fn duty_limits(config: &Config) -> Limits {
    let d = &config.duty;
    Limits { short_min: d.short_min, fast_km_h: d.fast_km_h, few_share: d.few_share, gap_min: d.gap_min }
}

fn photo_limits(config: &Config) -> photo::Limits {
    let p = &config.photos;
    photo::Limits { max_bytes: p.max_bytes, max_pixels: p.max_pixels, max_side: p.max_side }
}

fn rules(config: &Config) -> Rules {
    let e = &config.evidence;
    Rules {
        dry: DryRule { window_h: e.dry_window_h, limit_mm: e.dry_limit_mm },
        nh3n_limit_mg_l: e.nh3n_limit_mg_l,
        rain_station: e.rain_station.clone(),
        nearby_m: e.nearby_m,
        late_s: e.late_s,
    }
}

/// All that a judgement rests on beside the entries, for the log.
fn rules_text(config: &Config, place: &Place) -> Result<String> {
    let all = serde_json::json!({
        "evidence": rules(config),
        "duty": duty_limits(config),
        "place": hex::encode(place.hash),
    });
    serde_json::to_string(&all).map_err(|e| Error::Internal(e.to_string()))
}

fn office(config: &Config) -> Result<Office> {
    let dir = &config.documents.fonts_dir;
    Ok(Office {
        max_rows: config.documents.max_rows,
        fonts_dir: (!dir.as_os_str().is_empty()).then(|| dir.clone()),
        program: std::env::current_exe()?,
    })
}

/// Names everything that has to be mended before `serve` can start.
fn config_check(dir: Option<&Path>, config: &Config) -> ExitCode {
    let mut problems: Vec<String> = match dir.or(place_dir(config)) {
        Some(dir) => match load::load(dir) {
            Ok(place) => roster::load(dir, &place).err().map(|e| e.to_string()).into_iter().collect(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        },
        None => Vec::new(),
    };
    if !config.mqtt.host.is_empty() {
        problems.extend(mqtt::check(&config.mqtt).err().map(|e| e.to_string()));
    }
    if !config.influx.url.is_empty() {
        problems.extend(influx::Target::new(&config.influx).err().map(|e| e.to_string()));
    }
    problems.extend(commands::https::check(&config.tls).err().map(|e| e.to_string()));
    for witness in &config.log.witnesses {
        problems.extend(publish::Witness::new(witness).err().map(|e| e.to_string()));
    }
    for problem in &problems {
        commands::say(&format!("{problem}\n"));
    }
    if problems.is_empty() {
        commands::say("configuration and place: good\n");
        return ExitCode::SUCCESS;
    }
    commands::say(&format!("{} problem(s); nothing was changed\n", problems.len()));
    ExitCode::FAILURE
}

/// A slip in the path must not become a paper that says "nothing was reported".
fn check_data(dir: &Path) -> Result<()> {
    if dir.join("jijia.db").is_file() {
        return Ok(());
    }
    Err(Error::invalid("data.dir", format!("{} holds no jijia.db; allowed: a data directory", dir.display())))
}

async fn timeline(args: TimelineArgs, config: &Config) -> Result<ExitCode> {
    let query = jijia::web::pages::query::TimelineQuery {
        outfall: args.outfall.unwrap_or_default(),
        sector: args.sector.unwrap_or_default(),
        unit: args.unit.unwrap_or_default(),
        kind: args.kind.unwrap_or_default(),
        patrol: args.patrol.unwrap_or_default(),
        from: args.from.unwrap_or_default(),
        to: args.to.unwrap_or_default(),
        ..Default::default()
    };
    let filter: Filter = query.filter()?;
    let place = Arc::new(load_place(config)?);
    let dir = &config.data.dir;
    check_data(dir)?;
    let store = Store::open(dir, Opener::Tool, Clock::System).await?;
    store.add_rules(rules_text(config, &place)?).await?;
    let rules = rules(config);
    let ending = args.output.extension().unwrap_or_default();
    let receipt = if ending.eq_ignore_ascii_case("zip") {
        let photos = if args.originals { Photos::Originals } else { Photos::Copies };
        let publisher = Publisher::open(store.clone(), &config.log).await?;
        let desk = Desk {
            store,
            publisher,
            place,
            rules: Arc::new(rules),
            office: office(config)?,
            by: SHELL.into(),
        };
        bundle::make(&desk, &filter, photos, &args.output).await?.receipt
    } else if args.originals || args.copies {
        return Err(Error::invalid(
            "output",
            "--originals and --copies are of a bundle; allowed with them: .zip",
        ));
    } else {
        export(&store, &place, &rules, &office(config)?, &filter, args.output.clone(), SHELL.into()).await?
    };
    commands::say(&format!(
        "{}: entry {} of the log, {}\n",
        args.output.display(),
        receipt.index,
        receipt.leaf_hash
    ));
    Ok(ExitCode::SUCCESS)
}

/// What a running service is made of: used by `serve` and `demo` alike.
fn app_parts(config: &Config) -> Result<(Arc<Place>, Arc<Locator>, Arc<Rules>)> {
    let place = load_place(config)?;
    let locator = Locator::new(&place);
    Ok((Arc::new(place), Arc::new(locator), Arc::new(rules(config))))
}

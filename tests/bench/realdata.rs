//! The two real series of `../shared/realdata`: imported by `jijia import observations`, mirrored by `jijia serve`
//! into a real InfluxDB, in time per value; beside it the same values as line protocol sent by curl, 5,000 lines a
//! request. The rounds take turns, each in a data directory and a bucket of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::figures::{Figure, median};
use crate::influx::Influx;
use crate::service::{PROGRAM, Service};
use crate::{Fault, Outcome, Session};

/// File, preset, station.
const SERIES: [(&str, &str, &str); 2] =
    [("blacksmith-fork-2015.csv", "blacksmith", "BSF"), ("franklin-basin-2017.csv", "franklin", "FB")];
/// Rows × columns of the two files: 12,816 × 6 + 35,032 × 4 raw, 12,816 × 6 corrected by a technician.
const RAW: i64 = 217_024;
const REVIEWED: i64 = 76_896;
/// Lines of one request, as the mirror's.
const LINES: usize = 5_000;

/// Prints the times per value.
pub fn run(session: &mut Session) -> Result<Outcome, Fault> {
    // Beside the work tree, or beside the work trees.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().skip(1).map(|a| a.join("shared/realdata")).find(|f| f.is_dir());
    let Some(folder) = found else {
        return Ok(Outcome::Skipped("there is no folder shared/realdata beside the work tree".into()));
    };
    let Some(influx) = Influx::start()? else {
        return Ok(Outcome::Skipped(
            "INFLUXD names no InfluxDB server (tests/run finds or builds one)".into(),
        ));
    };
    let rounds = if session.long { 5 } else { 3 };
    let (mut imports, mut mirrors, mut curls) = (vec![], vec![], vec![]);
    let mut numbers = 0;
    for round in 0..rounds {
        let data = crate::folder()?;
        imports.push(import(&folder, data.path())?.as_secs_f64() * 1e6 / (RAW + REVIEWED) as f64);
        let lines = Lines::of(&data.path().join("jijia.db"))?;
        let (ours, theirs) = (format!("mirror{round}"), format!("curl{round}"));
        influx.add_bucket(&ours)?;
        influx.add_bucket(&theirs)?;
        mirrors.push(mirror(&influx, &ours, data.path())?.as_secs_f64() * 1e6 / lines.count as f64);
        let started = Instant::now();
        influx.send_by_curl(&lines.files, &theirs)?;
        curls.push(started.elapsed().as_secs_f64() * 1e6 / lines.count as f64);
        for bucket in [&ours, &theirs] {
            let count = influx.count(bucket)?;
            if count != lines.count {
                return Err(format!("{bucket} holds {count} points of {}", lines.count).into());
            }
        }
        numbers = lines.count;
        eprintln!(
            "round {round}, µs per value: import {:.1}, mirror {:.1}, curl {:.1}",
            imports[round], mirrors[round], curls[round]
        );
    }
    let (import, mirror, curl) = (median(&imports), median(&mirrors), median(&curls));
    let beside = format!("line protocol by curl: {curl:.1} µs per value");
    Ok(Outcome::Ran(vec![
        Figure {
            what: format!("Two real series imported, {RAW} raw and {REVIEWED} corrected values"),
            ours: format!("{import:.1} µs per value"),
            beside: beside.clone(),
            ratio: Some(import / curl),
            target: "print both",
            met: None,
        },
        Figure {
            what: format!(
                "The same mirrored into InfluxDB 2, {numbers} numbers, start of the service included"
            ),
            ours: format!("{mirror:.1} µs per value"),
            beside,
            ratio: Some(mirror / curl),
            target: "print both",
            met: None,
        },
    ]))
}

/// Both files by the command; checks that every value is there, raw and reviewed apart.
fn import(folder: &Path, data: &Path) -> Result<Duration, Fault> {
    let mut elapsed = Duration::ZERO;
    for (file, preset, station) in SERIES {
        let started = Instant::now();
        let status = Command::new(PROGRAM)
            .args(["import", "observations", "--preset", preset, "--station", station])
            .arg(folder.join(file))
            .env("JIJIA_DATA", data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        elapsed += started.elapsed();
        if !status.success() {
            return Err(format!("jijia import observations {file}: {status}").into());
        }
    }
    let db = open(&data.join("jijia.db"))?;
    let sql = "select count(*) from observation o join datastream d on d.id = o.ds where d.processing = ?1";
    let count = |processing: &str| db.query_row(sql, [processing], |r| r.get::<_, i64>(0));
    let stored = (count("raw")?, count("reviewed")?);
    if stored != (RAW, REVIEWED) {
        return Err(
            format!("stored raw and reviewed: {stored:?}, in the files: {:?}", (RAW, REVIEWED)).into()
        );
    }
    Ok(elapsed)
}

/// From exec of the service until the mirror has caught up.
fn mirror(influx: &Influx, bucket: &str, data: &Path) -> Result<Duration, Fault> {
    let started = Instant::now();
    let service = Service::start(data, &influx.settings(bucket))?;
    let mut connection = service.connect()?;
    loop {
        let body: serde_json::Value = serde_json::from_slice(&connection.get("/readyz")?)?;
        if body["influx"] == "CaughtUp" {
            break;
        }
        if started.elapsed() > Duration::from_secs(120) {
            return Err(format!("the mirror does not catch up: {body}").into());
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let elapsed = started.elapsed();
    service.stop()?;
    Ok(elapsed)
}

fn open(path: &Path) -> Result<Connection, Fault> {
    Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

/// The values with a number as line protocol in files, as the mirror writes them.
struct Lines {
    files: Vec<PathBuf>,
    count: u64,
    _folder: tempfile::TempDir,
}

impl Lines {
    fn of(db: &Path) -> Result<Self, Fault> {
        let db = open(db)?;
        let mut statement = db.prepare(
            "select d.processing, d.property, d.station, d.unit, o.v, o.t from observation o
             join datastream d on d.id = o.ds where o.v is not null order by o.entry, o.pos",
        )?;
        let line = |r: &rusqlite::Row<'_>| {
            let text = |i: usize| r.get::<_, String>(i);
            let (processing, property, station, unit) = (text(0)?, text(1)?, text(2)?, text(3)?);
            let (v, t): (f64, i64) = (r.get(4)?, r.get(5)?);
            let unit = if unit.is_empty() { String::new() } else { format!(",unit={unit}") };
            Ok(format!(
                "water,processing={processing},property={property},station={station}{unit} value={v} {t}\n"
            ))
        };
        let lines: Vec<String> = statement.query_map([], line)?.collect::<Result<_, _>>()?;
        let folder = crate::folder()?;
        let mut files = Vec::new();
        for (i, chunk) in lines.chunks(LINES).enumerate() {
            let file = folder.path().join(format!("{i}.lp"));
            std::fs::write(&file, chunk.concat())?;
            files.push(file);
        }
        Ok(Self { files, count: lines.len() as u64, _folder: folder })
    }
}

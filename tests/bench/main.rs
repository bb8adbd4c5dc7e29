//! The benches, each beside its yardstick in the same run: `cargo bench --bench bench -- [NAME…] [--long] [--table]`.
//!
//! Without `--long` each is short enough for every change; `--table` prints the README's table and nothing else on
//! standard output. A figure that misses its target is said and fails nothing; a wrong result fails its bench.

#![expect(clippy::print_stdout, reason = "the figures are the product of a bench")]

mod broker;
mod documents;
mod evidence;
mod figures;
mod geotag;
mod http;
mod influx;
mod lake;
mod memory;
mod mqtt;
mod publisher;
mod realdata;
mod reports;
mod service;
mod timeline;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use figures::Figure;

type Fault = Box<dyn Error>;

/// Where everything is written: beside the build, since `/tmp` may be memory.
const DISK: &str = env!("CARGO_TARGET_TMPDIR");

/// A folder on that disk, gone when dropped.
fn folder() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in(DISK)
}

/// What the benches of one run share.
#[derive(Default)]
struct Session {
    /// The long sizes.
    long: bool,
    /// Most resident memory of the service under each load, kB.
    peaks: Vec<(&'static str, u64)>,
}

/// What came of a bench whose results were right.
enum Outcome {
    Ran(Vec<Figure>),
    /// Something it needs is not here.
    Skipped(String),
}

type Bench = fn(&mut Session) -> Result<Outcome, Fault>;

/// `memory` stands last: it sums up what the others saw.
const BENCHES: [(&str, Bench); 8] = [
    ("reports", reports::run),
    ("mqtt", mqtt::run),
    ("realdata", realdata::run),
    ("geotag", geotag::run),
    ("timeline", timeline::run),
    ("documents", documents::run),
    ("evidence", evidence::run),
    ("memory", memory::run),
];

fn main() -> ExitCode {
    let (options, wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let has = |name: &str| options.iter().any(|o| o == name);
    if let Some(wrong) = wanted.iter().find(|w| BENCHES.iter().all(|(name, _)| name != w)) {
        eprintln!("no bench `{wrong}`; there are: {}", BENCHES.map(|(name, _)| name).join(", "));
        return ExitCode::FAILURE;
    }
    let table_only = has("--table");
    let mut session = Session { long: has("--long"), ..Session::default() };
    let (mut figures, mut passed, mut failed, mut skipped) = (Vec::new(), 0, 0, 0);
    for (name, run) in BENCHES {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        eprintln!("# {name}");
        let started = Instant::now();
        match run(&mut session) {
            Ok(Outcome::Ran(new)) => {
                passed += 1;
                if !table_only {
                    new.iter().for_each(|figure| println!("{figure}"));
                }
                figures.extend(new);
            }
            Ok(Outcome::Skipped(why)) => {
                skipped += 1;
                eprintln!("{name}: skipped: {why}");
            }
            Err(fault) => {
                failed += 1;
                eprintln!("{name}: FAILED: {fault}");
            }
        }
        eprintln!("# {name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    println!("{}", figures::table(&figures, session.long));
    if !table_only {
        println!("{passed} passed, {failed} failed, {skipped} skipped");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

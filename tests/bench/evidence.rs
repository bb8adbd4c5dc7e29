//! What evidence costs: posting with and without the signing of the log, verifying a large bundle beside `openssl`
//! hashing the same bytes, and an audit of photos beside `openssl` over the same files. Every process is the release
//! build; the rounds take turns.

#[path = "../it/bundle_sample.rs"]
#[expect(clippy::unwrap_used, clippy::panic, dead_code, reason = "a sample of the tests")]
mod bundle_sample;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jijia::clock::Clock;
use jijia::evidence::bundle::Photos;
use jijia::evidence::entry::Sealed;
use jijia::patrol::photo::Limits;
use jijia::store::{Opener, Store};
use sha2::{Digest, Sha256};

use self::bundle_sample::{Shape, Twist, make};
use crate::figures::{Figure, median, ms, thousands};
use crate::http::Connection;
use crate::memory::mb;
use crate::reports::{post_all, stored};
use crate::service::{PROGRAM, Service, status_kb};
use crate::{Fault, Outcome, Session};

/// Photos of the audit.
const PHOTOS: u32 = 100;

/// Prints the four figures.
pub fn run(session: &mut Session) -> Result<Outcome, Fault> {
    let mut figures = publishing(session.long)?;
    figures.extend(verifying(session.long)?);
    figures.push(auditing(session.long)?);
    Ok(Outcome::Ran(figures))
}

/// A service whose guard was taken away takes reports and signs nothing: what is posted to it is not published.
fn publishing(long: bool) -> Result<Vec<Figure>, Fault> {
    let (rounds, per_round) = if long { (9, 20_000) } else { (3, 6_000) };
    let folder = crate::folder()?;
    let guard = |name: &str| folder.path().join(format!("{name}.guard"));
    let start = |name: &str| -> Result<Service, Fault> {
        let setting = ("JIJIA_LOG_GUARD_FILE", guard(name).display().to_string());
        Service::start(&folder.path().join(name), &[setting])
    };
    let signed = start("signed")?;
    let unsigned = start("unsigned")?;
    post_all(&unsigned, 0, 100)?;
    signed_over(&mut unsigned.connect()?, 101)?;
    unsigned.stop()?;
    std::fs::remove_file(guard("unsigned"))?;
    let unsigned = start("unsigned")?;
    post_all(&signed, 0, 2_000)?;
    post_all(&unsigned, 1_000, 2_000)?;
    let (mut ours, mut theirs, mut delays) = (vec![], vec![], vec![]);
    for round in 1..=rounds {
        let first = 10_000 + round * per_round as u64;
        let (elapsed, seen) = watched(&signed, first, per_round)?;
        ours.push(per_round as f64 / elapsed.as_secs_f64());
        delays.extend(seen);
        theirs.push(per_round as f64 / post_all(&unsigned, first, per_round)?.0.as_secs_f64());
        eprintln!(
            "round {round}: signed {:.0}/s, unsigned {:.0}/s",
            ours[ours.len() - 1],
            theirs[theirs.len() - 1]
        );
    }
    let ready = String::from_utf8(unsigned.connect()?.get("/readyz")?)?;
    if !ready.contains("nothing is signed") {
        return Err("the yardstick signs, too".into());
    }
    signed.stop()?;
    unsigned.stop()?;
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
    let (ratio, longest) = (median(&ratios), delays.iter().copied().fold(0.0, f64::max));
    Ok(vec![
        Figure {
            what: "Reports stored durably while the log is signed and published".into(),
            ours: format!("{}/s", thousands(median(&ours))),
            beside: format!("nothing signed: {}/s", thousands(median(&theirs))),
            ratio: Some(ratio),
            target: "≥ 0.9",
            met: Some(ratio >= 0.9),
        },
        Figure {
            what: format!(
                "From a stored entry to a signed head over it, under that load, longest of {}",
                delays.len()
            ),
            ours: format!("{longest:.0} ms"),
            beside: "–".into(),
            ratio: None,
            target: "p99 ≤ 5 s",
            met: Some(longest <= 5_000.0),
        },
    ])
}

/// Posts, and meanwhile asks how long entries wait for a signed head over them, milliseconds.
fn watched(service: &Service, first: u64, count: usize) -> Result<(Duration, Vec<f64>), Fault> {
    let done = std::sync::atomic::AtomicBool::new(false);
    let look = || -> Result<Vec<f64>, String> {
        let mut delays = Vec::new();
        let text = |e: Fault| e.to_string();
        let mut connection = service.connect().map_err(text)?;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let size = stored(&mut connection).map_err(text)?;
            let asked = Instant::now();
            signed_over(&mut connection, size).map_err(text)?;
            delays.push(ms(&asked.elapsed()));
        }
        Ok(delays)
    };
    std::thread::scope(|scope| {
        let looking = scope.spawn(look);
        let posted = post_all(service, first, count);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let delays = looking.join().map_err(|_| "the watcher broke off")??;
        Ok((posted?.0, delays))
    })
}

/// Waits for a signed head over `size` entries.
fn signed_over(connection: &mut Connection, size: u64) -> Result<(), Fault> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let checkpoint = String::from_utf8(connection.get("/log/checkpoint").unwrap_or_default())?;
        if checkpoint.lines().nth(1).and_then(|line| line.parse::<u64>().ok()) >= Some(size) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("no signed head over {size} entries in 60 s").into())
}

fn verifying(long: bool) -> Result<Vec<Figure>, Fault> {
    let (log, photo_bytes, rounds) = if long { (20_000, 200 << 20, 7) } else { (2_000, 20 << 20, 3) };
    let shape = Shape {
        seed: 7,
        log,
        permille: 500,
        photo_bytes,
        photos: Photos::Originals,
        twist: Twist::None,
        witnesses: 1,
    };
    let folder = crate::folder()?;
    let file = folder.path().join("bundle.zip");
    let made = make(shape);
    let photos = made.members.iter().filter(|(name, _)| name.starts_with("photos/")).count();
    std::fs::write(&file, made.zip())?;
    drop(made);
    let bytes = std::fs::metadata(&file)?.len();
    let (mut ours, mut theirs, mut most_kb) = (vec![], vec![], 0);
    for _ in 0..rounds {
        let (time, kb) = watch(Command::new(PROGRAM).arg("verify").arg(&file))?;
        ours.push(time);
        most_kb = most_kb.max(kb);
        theirs.push(openssl(&[&file])?);
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let what =
        format!("A bundle of {} entries and {photos} photos, {} MB, verified", log / 2, bytes / 1_000_000);
    Ok(vec![Figure {
        what,
        ours: format!("{:.2} s, {:.0} MB", ours / 1e3, mb(most_kb)),
        beside: format!("openssl dgst -sha256 of the file: {:.2} s", theirs / 1e3),
        ratio: Some(ours / theirs),
        target: "≤ 2 s, ≤ 100 MB",
        met: Some(ours <= 2_000.0 && mb(most_kb) <= 100.0),
    }])
}

/// Milliseconds of a command that must succeed, and the most memory it had, kB, looked at every millisecond.
fn watch(command: &mut Command) -> Result<(f64, u64), Fault> {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let mut most = 0;
    loop {
        most = most.max(status_kb(child.id(), "VmHWM:").unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            // 3: a bundle that is good by no key but its own.
            return if matches!(status.code(), Some(0 | 3)) {
                Ok((ms(&begun.elapsed()), most))
            } else {
                Err(format!("{status}").into())
            };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn openssl(files: &[&PathBuf]) -> Result<f64, Fault> {
    Ok(watch(Command::new("openssl").args(["dgst", "-sha256"]).args(files))?.0)
}

fn auditing(long: bool) -> Result<Figure, Fault> {
    let rounds = if long { 7 } else { 3 };
    let folder = crate::folder()?;
    let data = folder.path().join("data");
    let files = fill(&data)?;
    let bytes: u64 = files.iter().filter_map(|f| Some(std::fs::metadata(f).ok()?.len())).sum();
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..rounds {
        let mut audit = Command::new(PROGRAM);
        audit.arg("audit").env("JIJIA_DATA", &data).stderr(Stdio::null());
        audit.env("JIJIA_LOG_GUARD_FILE", folder.path().join("data.guard"));
        ours.push(watch(&mut audit)?.0);
        theirs.push(openssl(&files.iter().collect::<Vec<_>>())?);
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let rate = |time: f64| bytes as f64 / 1e3 / time;
    Ok(Figure {
        what: format!("Audit of {PHOTOS} photos and their copies, {} MB, start included", bytes / 1_000_000),
        ours: format!("{:.0} MB/s", rate(ours)),
        beside: format!("openssl dgst -sha256 of the files: {:.0} MB/s", rate(theirs)),
        ratio: Some(theirs / ours),
        target: "≥ 300 MB/s",
        met: Some(rate(ours) >= 300.0),
    })
}

/// Seals photos of some megabytes; gives all files under the photos' folders.
fn fill(data: &Path) -> Result<Vec<PathBuf>, Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(data, Opener::Tool, Clock::System).await?;
        store.add_place(jijia::lake::load::embedded().hash).await?;
        let limits = Limits { max_bytes: 32 << 20, max_pixels: 52_000_000, max_side: 16_384 };
        for n in 0..PHOTOS {
            let jpeg = grain(n)?;
            let sha256 = hex::encode(Sha256::digest(&jpeg));
            let mut upload = store.resume_upload(Sealed::Photo, &sha256, limits.max_bytes).await?;
            upload.write(jpeg.into()).await?;
            store.add_photo(upload, &sha256, limits, "bench".into()).await?;
        }
        Ok::<_, Fault>(())
    })?;
    let mut files = Vec::new();
    let mut folders = vec![data.join("photos"), data.join("previews")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}

/// A JPEG that does not compress: about 2.5 MB, as a phone makes them.
fn grain(n: u32) -> Result<Vec<u8>, Fault> {
    let mut random = fastrand::Rng::with_seed(u64::from(n));
    let picture = image::RgbImage::from_fn(1500, 1200, |_, _| {
        image::Rgb(random.u32(..).to_le_bytes()[..3].try_into().unwrap_or([0; 3]))
    });
    let mut out = std::io::Cursor::new(Vec::new());
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 85).encode_image(&picture)?;
    Ok(out.into_inner())
}

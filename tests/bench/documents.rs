//! A brief of 100 sightings with 40 photos as Word and as PDF, asked for through HTTP from the real binary: the same
//! export as the page's buttons and the command line, from the query to the durable file and its entry. Every PDF is
//! rendered by a child process that starts cold; its memory is said apart.

use std::io::Cursor;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use image::{Rgb, RgbImage};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::figures::{Figure, median, ms};
use crate::http::{Connection, request};
use crate::memory::mb;
use crate::service::{Service, status_kb};
use crate::{Fault, Outcome, Session, lake};

const SIGHTINGS: u64 = 100;
const PHOTOS: u64 = 40;

/// Prints both times and the memory of the child.
pub fn run(session: &mut Session) -> Result<Outcome, Fault> {
    let rounds = if session.long { 15 } else { 5 };
    let folder = crate::folder()?;
    let service = Service::start(folder.path(), &[])?;
    let mut connection = service.connect()?;
    let photos = put_photos(&mut connection)?;
    post_reports(&mut connection, &photos)?;
    let child_kb = AtomicU64::new(0);
    let (mut word, mut pdf) = (vec![], vec![]);
    for _ in 0..rounds {
        word.push(export(&mut connection, "docx", b"word/media/", 2)?);
        pdf.push(watch_child(service.id(), &child_kb, || export(&mut connection, "pdf", b"/DCTDecode", 1))?);
    }
    session.peaks.push(("documents", service.peak_kb()?));
    service.stop()?;
    eprintln!("first: Word {:.0} ms, PDF {:.0} ms", word[0], pdf[0]);
    let (word, pdf) = (median(&word), median(&pdf));
    let child_mb = mb(child_kb.load(Relaxed));
    Ok(Outcome::Ran(vec![
        Figure {
            what: format!("Word brief of {SIGHTINGS} sightings with {PHOTOS} photos"),
            ours: format!("{:.2} s", word / 1e3),
            beside: "–".into(),
            ratio: None,
            target: "≤ 0.5 s",
            met: Some(word <= 500.0),
        },
        Figure {
            what: format!(
                "The same as PDF, from cold, child process (most memory: {child_mb:.0} MB) included"
            ),
            ours: format!("{:.2} s", pdf / 1e3),
            beside: "–".into(),
            ratio: None,
            target: "≤ 2 s",
            met: Some(pdf <= 2000.0),
        },
    ]))
}

/// Milliseconds of one document, which must hold every photo: each has `times` marks (a zip names a file twice).
fn export(connection: &mut Connection, ending: &str, mark: &[u8], times: u64) -> Result<f64, Fault> {
    let started = Instant::now();
    let body = connection.get(&format!("/api/v1/timeline.{ending}?outfall=JJH-PK-0003"))?;
    let time = ms(&started.elapsed());
    let marks = memchr::memmem::find_iter(&body, mark).count();
    if (marks as u64) < PHOTOS * times {
        return Err(format!("a {ending} of {} bytes does not hold {PHOTOS} photos", body.len()).into());
    }
    Ok(time)
}

/// Runs `work` and keeps the most memory that a child of `parent` had meanwhile.
fn watch_child<T>(parent: u32, most_kb: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                for child in children(parent) {
                    // It may end at any moment.
                    most_kb.fetch_max(status_kb(child, "VmHWM:").unwrap_or(0), Relaxed);
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let result = work();
        done.store(true, Relaxed);
        result
    })
}

fn children(parent: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let of = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).ok();
    threads
        .filter_map(of)
        .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Sends the photos; their hashes.
fn put_photos(connection: &mut Connection) -> Result<Vec<String>, Fault> {
    let mut hashes = Vec::new();
    for n in 0..PHOTOS {
        let jpeg = photo(n as u32)?;
        let hash = hex::encode(Sha256::digest(&jpeg));
        let request =
            request("PUT", &format!("/api/v1/photos/{hash}"), "Content-Type: image/jpeg\r\n", &jpeg);
        expect_created(connection.send(&request)?)?;
        hashes.push(hash);
    }
    Ok(hashes)
}

/// All at outfall 3, in the last 20 days; of five sightings two have a photo.
fn post_reports(connection: &mut Connection, photos: &[String]) -> Result<(), Fault> {
    let place = jijia::lake::load::embedded();
    let now = Timestamp::now();
    let mut photos = photos.iter();
    for n in 0..SIGHTINGS {
        let at = now - SignedDuration::from_mins(288 * (SIGHTINGS - n) as i64);
        let own: Vec<String> = photos.by_ref().take(usize::from(n % 5 < 2)).cloned().collect();
        // Number 2 of the eight is JJH-PK-0003.
        let body = lake::report(n * place.outfalls.len() as u64 + 2, at, &place, &own).to_string();
        let kind = "Content-Type: application/json\r\n";
        expect_created(connection.send(&request("POST", "/api/v1/reports", kind, body.as_bytes()))?)?;
    }
    Ok(())
}

fn expect_created((status, body): (u16, Vec<u8>)) -> Result<(), Fault> {
    if status == 201 { Ok(()) } else { Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into()) }
}

/// Sky, bank and water with the grain of a camera.
fn photo(n: u32) -> Result<Vec<u8>, Fault> {
    let scene = RgbImage::from_fn(1600, 1200, |x, y| {
        let grain = (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ n.wrapping_mul(31)) % 17;
        let (r, g, b) = match y {
            0..400 => (150 + y / 8, 180 + y / 10, 210),
            400..600 => (90 + n % 40, 120 + x / 40, 70),
            _ => (60 + x / 50, 95 + y / 30, 100 + y / 20),
        };
        Rgb([r, g, b].map(|c| (c + grain).min(255) as u8))
    });
    let mut jpeg = Cursor::new(Vec::new());
    scene.write_to(&mut jpeg, image::ImageFormat::Jpeg)?;
    Ok(jpeg.into_inner())
}

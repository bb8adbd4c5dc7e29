//! Photos before, with and after their report; what viewers get and what is sealed.

use std::time::Duration;

use jijia::clock::Clock;
use jijia::lake::load::embedded;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::{Answer, Service, id, jpeg, report, request, sha256_of, with};

async fn start() -> (tempfile::TempDir, Service) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    (dir, service)
}

/// A report with photos.
async fn add(service: &Service, n: u32, photos: &[&[u8]]) {
    let hashes: Vec<String> = photos.iter().map(|p| sha256_of(p)).collect();
    service.post("/api/v1/reports", &with(report(n), "/photos", json!(hashes))).await.created();
}

async fn photos_of(service: &Service, n: u32) -> Vec<(bool, bool)> {
    let shown = service.get(&format!("/api/v1/reports/{}", id(n))).await.json();
    let flag = |p: &serde_json::Value, key: &str| p[key].as_bool().unwrap();
    shown["photos"].as_array().unwrap().iter().map(|p| (flag(p, "stored"), flag(p, "preview"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn before_with_and_after_the_report() {
    let (_dir, service) = start().await;
    let (before, after, late) = (jpeg(1), jpeg(2), jpeg(3));
    service.put_photo(&before).await.created();
    add(&service, 1, &[&before, &after]).await;
    assert_eq!(photos_of(&service, 1).await, [(true, true), (false, false)]);
    service.put_photo(&after).await.created();
    assert_eq!(photos_of(&service, 1).await, [(true, true), (true, true)]);
    // At the same moment, and one photo for two reports.
    let hashes = json!([sha256_of(&late), sha256_of(&before)]);
    let body = with(report(2), "/photos", hashes);
    let (report, photo) = tokio::join!(service.post("/api/v1/reports", &body), service.put_photo(&late));
    report.created();
    photo.created();
    assert_eq!(photos_of(&service, 2).await, [(true, true), (true, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_never_comes_is_said_everywhere() {
    let (_dir, service) = start().await;
    add(&service, 1, &[&jpeg(1)]).await;
    assert_eq!(photos_of(&service, 1).await, [(false, false)]);
    let shown = service.get(&format!("/api/v1/reports/{}", id(1))).await.json();
    assert!(shown["flags"].to_string().contains("照片未到"), "{shown}");
    assert_eq!(shown["level"], json!(null), "a photo that has not come proves nothing");
    let page = service.get("/api/v1/timeline?outfall=JJH-PK-0003").await.json();
    let row = page["rows"].as_array().unwrap().iter().find(|r| r["row"] == "sighting").cloned().unwrap();
    assert_eq!(row["photos"][0]["stored"], false);
    assert!(row["flags"].to_string().contains("照片未到"), "{row}");
    for address in [format!("/reports/{}", id(1)), "/timeline?outfall=JJH-PK-0003".into()] {
        let html = service.get(&address).await;
        assert_eq!(html.status, 200);
        assert!(html.text().contains("照片未到"), "{address}");
    }
    let csv = service.get("/api/v1/timeline.csv").await;
    assert!(csv.text().contains("照片未到1张"), "{}", csv.text());
    let hash = sha256_of(&jpeg(1));
    let gone = service.get(&format!("/api/v1/photos/{hash}")).await.problem(404, "");
    assert!(gone["detail"].as_str().unwrap().contains("has not come"), "{gone}");
    service.get(&format!("/api/v1/photos/{hash}/preview")).await.problem(404, "");
}

/// Sends a photo in five pieces with a pause after each but the last, and gives the answer.
async fn send_slowly(service: &Service, bytes: &[u8], pause: Duration, pieces: usize) -> Answer {
    let (mut from, mut to) = TcpStream::connect(service.address).await.unwrap().into_split();
    let address = format!("/api/v1/photos/{}", sha256_of(bytes));
    let all = request("PUT", &address, &[], bytes);
    for (n, piece) in all.chunks(all.len().div_ceil(5)).take(pieces).enumerate() {
        if n > 0 {
            tokio::time::sleep(pause).await;
        }
        to.write_all(piece).await.unwrap();
    }
    let mut received = Vec::new();
    from.read_to_end(&mut received).await.unwrap();
    Answer::read(&received).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_photo_has_the_time_it_needs_and_one_that_stops_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let set = |s: &mut jijia::web::Settings| {
        s.request_timeout = Duration::from_secs(1);
        s.photo_idle_timeout = Duration::from_secs(4);
    };
    let service = Service::start_with(dir.path(), embedded(), Clock::System, set).await;
    let (slow, stops) = (jpeg(1), jpeg(2));
    // Twice the time that another request has.
    send_slowly(&service, &slow, Duration::from_millis(500), 5).await.created();
    let problem = send_slowly(&service, &stops, Duration::ZERO, 4).await.problem(503, "");
    assert!(problem["detail"].as_str().unwrap().contains("send it again"), "{problem}");
    let there = offset(&head(&service, &stops).await);
    assert!(there > 0 && there < stops.len() as u64, "what came of it stays: {there}");
    put_piece(&service, &stops, there, &stops[usize::try_from(there).unwrap()..]).await.created();
}

async fn head(service: &Service, photo: &[u8]) -> Answer {
    service.send("HEAD", &format!("/api/v1/photos/{}", sha256_of(photo)), &[], b"").await
}

fn offset(answer: &Answer) -> u64 {
    answer.header("upload-offset").expect("an offset").parse().unwrap()
}

async fn put_piece(service: &Service, photo: &[u8], offset: u64, piece: &[u8]) -> Answer {
    let (offset, length) = (offset.to_string(), photo.len().to_string());
    let headers = [("upload-offset", offset.as_str()), ("upload-length", length.as_str())];
    service.send("PUT", &format!("/api/v1/photos/{}", sha256_of(photo)), &headers, piece).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_comes_in_pieces_and_every_answer_says_where_the_next_begins() {
    let (dir, service) = start().await;
    let photo = jpeg(7);
    let third = photo.len() / 3;
    let at = |n: usize| n as u64;
    let first = head(&service, &photo).await;
    assert_eq!((first.status, offset(&first), first.header("upload-complete")), (204, 0, Some("?0")));
    let said = put_piece(&service, &photo, 0, &photo[..third]).await;
    assert_eq!((said.status, offset(&said)), (204, at(third)));
    service.get(&format!("/api/v1/photos/{}", sha256_of(&photo))).await.problem(404, "");
    service.get(&format!("/api/v1/photos/{}/receipt", sha256_of(&photo))).await.problem(404, "");
    // Sent again, or one too far: told where to go on, nothing changed.
    for wrong in [0, third - 1, third + 1, photo.len()] {
        let said = put_piece(&service, &photo, at(wrong), &photo[third..]).await;
        said.problem(409, "");
        assert_eq!(offset(&said), at(third));
    }
    // A service that was stopped knows it still.
    service.stop().await;
    let service = Service::start(dir.path()).await;
    assert_eq!(offset(&head(&service, &photo).await), at(third));
    let said = put_piece(&service, &photo, at(third), &photo[third..2 * third]).await;
    assert_eq!(offset(&said), at(2 * third));
    let receipt = put_piece(&service, &photo, at(2 * third), &photo[2 * third..]).await.created();
    let sealed = head(&service, &photo).await;
    assert_eq!((sealed.status, sealed.header("upload-complete")), (200, Some("?1")));
    // Whatever is sent now, the photo is there and has its receipt.
    let again = put_piece(&service, &photo, 0, &photo[..third]).await;
    assert_eq!((again.status, again.json()), (200, receipt.clone()));
    let asked = service.get(&format!("/api/v1/photos/{}/receipt", sha256_of(&photo))).await;
    assert_eq!((asked.status, asked.json()), (200, receipt));
    let original = service.get(&format!("/api/v1/photos/{}", sha256_of(&photo))).await;
    assert_eq!(original.body, photo);
    assert_eq!(std::fs::read_dir(dir.path().join("uploads")).unwrap().count(), 0, "nothing is left of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_cannot_become_the_photo_are_let_go() {
    let (dir, service) = start().await;
    let photo = jpeg(8);
    let half = photo.len() / 2;
    let mut other = photo.clone();
    other[half - 1] ^= 1;
    let put = async |headers: &[(&str, &str)], body: &[u8]| {
        service.send("PUT", &format!("/api/v1/photos/{}", sha256_of(&photo)), headers, body).await
    };
    put_piece(&service, &photo, 0, &other[..half]).await;
    put_piece(&service, &photo, half as u64, &photo[half..]).await.problem(422, "sha256");
    assert_eq!(offset(&head(&service, &photo).await), 0, "begins anew");
    put(&[("upload-offset", "0"), ("upload-length", "9")], &photo[..10]).await.problem(422, "upload-length");
    put(&[("upload-offset", "0")], &photo).await.problem(422, "upload-length");
    put(&[("upload-length", "10")], &photo).await.problem(422, "upload-offset");
    put(&[("upload-offset", "-1"), ("upload-length", "10")], &photo).await.problem(422, "upload-offset");
    let large = vec![0; usize::try_from(crate::service::MAX_PHOTO_BYTES).unwrap() + 1];
    put_piece(&service, &large, 0, &large).await.problem(413, "photo");
    assert_eq!(std::fs::read_dir(dir.path().join("uploads")).unwrap().count(), 0, "nothing is kept");
    // In one go, over the half that lies there.
    put_piece(&service, &photo, 0, &other[..half]).await;
    service.put_photo(&photo).await.created();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_request_ends_the_one_that_hangs() {
    let (_dir, service) = start().await;
    let photo = jpeg(10);
    let half = photo.len() / 2;
    let length = photo.len().to_string();
    let headers = [("upload-offset", "0"), ("upload-length", length.as_str())];
    let all = request("PUT", &format!("/api/v1/photos/{}", sha256_of(&photo)), &headers, &photo);
    let body = all.len() - photo.len();
    let mut hangs = TcpStream::connect(service.address).await.unwrap();
    hangs.write_all(&all[..body + half]).await.unwrap();
    // The phone comes back on another network and asks until the half has arrived.
    let mut there = 0;
    while there == 0 {
        there = offset(&head(&service, &photo).await);
    }
    put_piece(&service, &photo, there, &photo[usize::try_from(there).unwrap()..]).await.created();
    hangs.write_all(&all[body + half..]).await.unwrap();
    let mut received = Vec::new();
    hangs.read_to_end(&mut received).await.unwrap();
    let problem = Answer::read(&received).unwrap().problem(409, "");
    assert!(problem["detail"].as_str().unwrap().contains("taken over"), "{problem}");
    let original = service.get(&format!("/api/v1/photos/{}", sha256_of(&photo))).await;
    assert_eq!(original.body, photo);
}

/// A JPEG with an EXIF segment of GPS words after its start.
pub fn with_exif(jpeg: &[u8]) -> Vec<u8> {
    // Big-endian TIFF, one tag: ImageDescription (0x010e), ASCII, 16 bytes at offset 26.
    let mut tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x0e\0\x02\0\0\0\x10\0\0\0\x1a\0\0\0\0".to_vec();
    tiff.extend_from_slice(b"29.4N 113.1E me\0");
    let mut segment = b"Exif\0\0".to_vec();
    segment.extend_from_slice(&tiff);
    let length = u16::try_from(segment.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &segment, &jpeg[2..]].concat()
}

fn holds(answer: &Answer, words: &[u8]) -> bool {
    memchr::memmem::find(&answer.body, words).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_get_a_clean_copy_and_the_original_stays_byte_for_byte() {
    let (dir, service) = start().await;
    let bytes = with_exif(&jpeg(1));
    let hash = sha256_of(&bytes);
    service.put_photo(&bytes).await.created();
    let original = service.get(&format!("/api/v1/photos/{hash}")).await;
    assert_eq!(original.body, bytes);
    assert!(holds(&original, b"113.1E"));
    assert_eq!(original.header("content-type"), Some("image/jpeg"));
    assert_eq!(original.header("x-content-type-options"), Some("nosniff"));
    assert!(original.header("content-disposition").unwrap().starts_with("attachment"));
    assert!(original.header("content-security-policy").unwrap().contains("sandbox"));
    let copy = service.get(&format!("/api/v1/photos/{hash}/preview")).await;
    assert_eq!((copy.status, copy.header("content-type")), (200, Some("image/jpeg")));
    assert!(!holds(&copy, b"Exif") && !holds(&copy, b"113.1E"));
    let drawn = image::load_from_memory(&copy.body).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (64, 48));
    let sealed = dir.path().join("photos").join(&hash[..2]).join(format!("{}.bin", &hash[2..]));
    assert_eq!(std::fs::read(sealed).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_sealed_and_heic_is_said_to_have_no_copy() {
    let (_dir, service) = start().await;
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(20, 30).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let fixture = |name: &str| std::fs::read(format!("tests/fixtures/photo/{name}")).unwrap();
    for (bytes, media_type) in [
        (png.into_inner(), "image/png"),
        (fixture("lossy.webp"), "image/webp"),
        (fixture("progressive.jpg"), "image/jpeg"),
        (fixture("tiny.heic"), "image/heic"),
    ] {
        service.put_photo(&bytes).await.created();
        let original = service.get(&format!("/api/v1/photos/{}", sha256_of(&bytes))).await;
        assert_eq!(original.header("content-type"), Some(media_type));
        assert_eq!(original.body, bytes);
        let copy = service.get(&format!("/api/v1/photos/{}/preview", sha256_of(&bytes))).await;
        if media_type == "image/heic" {
            assert!(copy.problem(404, "")["detail"].as_str().unwrap().contains("no preview"));
        } else {
            assert_eq!((copy.status, copy.header("content-type")), (200, Some("image/jpeg")), "{media_type}");
        }
    }
    let heic = fixture("tiny.heic");
    add(&service, 1, &[&heic]).await;
    assert_eq!(photos_of(&service, 1).await, [(true, false)]);
    let page = service.get(&format!("/reports/{}", id(1))).await;
    assert!(page.text().contains(&sha256_of(&heic)[..8]), "{}", page.text());
    // The original may say where its taker lives: no page leads to it.
    assert!(!page.text().contains(&format!("/api/v1/photos/{}\"", sha256_of(&heic))));
}

//! The watermarked copy: what is drawn on it, what is not in it, and that the original stays as it came.

use image::{GenericImageView, ImageFormat};
use serde_json::json;

use crate::api_photos::with_exif;
use crate::redact::redact;
use crate::service::{Answer, Service, id, report, sha256_of, with};

/// A grey photo, as a phone writes it.
fn photo(width: u32, height: u32) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let grey = image::RgbImage::from_pixel(width, height, image::Rgb([150, 150, 150]));
    grey.write_to(&mut out, ImageFormat::Jpeg).unwrap();
    with_exif(&out.into_inner())
}

async fn service_with(photos: &[&[u8]]) -> (tempfile::TempDir, Service) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let hashes: Vec<String> = photos.iter().map(|p| sha256_of(p)).collect();
    for photo in photos {
        service.put_photo(photo).await.created();
    }
    service.post("/api/v1/reports", &with(report(1), "/photos", json!(hashes))).await.created();
    (dir, service)
}

async fn watermarked(service: &Service, seq: &str) -> Answer {
    service.get(&format!("/api/v1/reports/{}/photos/{seq}/watermarked", id(1))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn time_place_and_code_are_drawn_on_a_copy_without_metadata() {
    let original = photo(2400, 1800);
    let (_dir, service) = service_with(&[&original]).await;
    let copy = watermarked(&service, "0").await;
    assert_eq!((copy.status, copy.header("content-type")), (200, Some("image/jpeg")));
    for words in [&b"Exif"[..], b"29.4N 113.1E", b"http://", b"<x:xmpmeta"] {
        assert!(memchr::memmem::find(&copy.body, words).is_none(), "{}", String::from_utf8_lossy(words));
    }
    let drawn = image::load_from_memory_with_format(&copy.body, ImageFormat::Jpeg).unwrap();
    assert_eq!(drawn.dimensions(), (2048, 1536), "at most 2048 on the long edge");
    let bright = |y: std::ops::Range<u32>| {
        let all = y.flat_map(|y| (0..2048).map(move |x| (x, y)));
        all.filter(|(x, y)| drawn.get_pixel(*x, *y).0[0] > 230).count()
    };
    assert_eq!(bright(0..900), 0, "nothing is drawn on the upper half");
    assert!(bright(1100..1536) > 3_000, "letters: {}", bright(1100..1536));
    assert!(drawn.get_pixel(4, 1530).0[0] < 90 && drawn.get_pixel(4, 4).0[0] > 140, "a dark band below");

    // What is sealed is what came, and the report's page leads to the copy.
    let sealed = service.get(&format!("/api/v1/photos/{}", sha256_of(&original))).await;
    assert_eq!(sealed.body, original);
    let page = service.get(&format!("/reports/{}", id(1))).await;
    assert!(page.text().contains("水印图") && page.text().contains("/photos/0/watermarked\""));
    assert!(service.get(&format!("/reports/{}?lang=en", id(1))).await.text().contains("Watermarked"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_place_in_words_is_another_picture() {
    let (_dir, service) = service_with(&[&photo(640, 480)]).await;
    let first = watermarked(&service, "0").await.body;
    assert_eq!(watermarked(&service, "0").await.body, first, "the same report, the same copy");
    let chosen = json!({"id": id(9), "action": "choose_outfall", "reason": "核实", "outfall": "JJH-PK-0005",
        "person": {"id": "s-1"}});
    service.post(&format!("/api/v1/reports/{}/corrections", id(1)), &chosen).await.created();
    assert_ne!(watermarked(&service, "0").await.body, first, "5号排口 stands in it now");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_drawn_on_is_said_with_its_reason() {
    let heic = std::fs::read("tests/fixtures/photo/tiny.heic").unwrap();
    let (dir, service) = service_with(&[&photo(640, 480), &heic]).await;
    let problem = watermarked(&service, "1").await.problem(404, "");
    assert!(problem["detail"].as_str().unwrap().contains("HEIC"), "{problem}");
    for seq in ["2", "-1", "x"] {
        watermarked(&service, seq).await.problem(404, "");
    }
    service.get(&format!("/api/v1/reports/{}/photos/0/watermarked", id(7))).await.problem(404, "");
    let missing = with(with(report(2), "/photos", json!(["ab".repeat(32)])), "/id", json!(id(2)));
    service.post("/api/v1/reports", &missing).await.created();
    let absent = service.get(&format!("/api/v1/reports/{}/photos/0/watermarked", id(2))).await;
    assert!(absent.problem(404, "")["detail"].as_str().unwrap().contains("has not come"));

    assert_eq!(redact(dir.path(), &["--photo", &sha256_of(&photo(640, 480))]).0, 0);
    watermarked(&service, "0").await.problem(410, "");
    service.stop().await;
}

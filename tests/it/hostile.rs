//! Two hundred uploads that mean harm, eight at a time, to a process of its own: it lives, it stays small, and no copy that
//! it serves says where a photo was taken.

use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{ImageFormat, RgbImage, RgbaImage};

use crate::cli::jijia;
use crate::serve::{Client, Serve, serve};
use crate::service::{self, Answer, report, sha256_of, with};

const UPLOADS: usize = 200;
const AT_A_TIME: usize = 8;
/// Most that the process may ever hold beside the pages of its own program: 256 MB in all, 34 MB of them for the program.
/// Its unoptimised form, which is tested here, has 60 MB of such pages.
const MEMORY_KB: u64 = (256 - 34) * 1024;
/// A latitude as text; and as EXIF has it (29/1 24/1 36/1).
const PLACE: &[u8] = b"29.4100N,113.1200E";
const PLACE_EXIF: [u32; 6] = [29, 1, 24, 1, 36, 1];

/// Chance that is the same in every run.
fn rng() -> fastrand::Rng {
    fastrand::Rng::with_seed(20_261_127)
}

fn encode(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A small picture like no other.
fn small(n: u8) -> RgbImage {
    RgbImage::from_fn(80, 60, |x, y| image::Rgb([n, x as u8, y as u8]))
}

fn png_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let named = [&kind[..], body].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[..], &named, &crc32fast::hash(&named).to_be_bytes()].concat()
}

/// The PNG with a chunk behind its header.
fn with_chunk(png: &[u8], kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&png[..33], &png_chunk(kind, body), &png[33..]].concat()
}

/// The JPEG with a segment behind its start.
fn with_segment(jpeg: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, body, &jpeg[2..]].concat()
}

/// The lossless WebP in the extended form, with a chunk behind its picture; `flag` says which.
fn with_webp_chunk(
    webp: &[u8],
    (width, height): (u32, u32),
    flag: u8,
    kind: &[u8; 4],
    body: &[u8],
) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        [&kind[..], &length, body, &[0][..body.len() % 2]].concat()
    };
    let mut head = vec![flag, 0, 0, 0];
    head.extend_from_slice(&(width - 1).to_le_bytes()[..3]);
    head.extend_from_slice(&(height - 1).to_le_bytes()[..3]);
    let all = [&b"WEBP"[..], &chunk(b"VP8X", &head), &webp[12..], &chunk(kind, body)].concat();
    [&b"RIFF"[..], &u32::try_from(all.len()).unwrap().to_le_bytes(), &all].concat()
}

/// EXIF as little-endian TIFF: a GPS directory with one latitude.
fn tiff_with_gps() -> Vec<u8> {
    let mut out = b"II*\0\x08\0\0\0\x01\0\x25\x88\x04\0\x01\0\0\0\x1a\0\0\0\0\0\0\0".to_vec();
    out.extend(b"\x01\0\x02\0\x05\0\x03\0\0\0\x2c\0\0\0\0\0\0\0");
    out.extend(PLACE_EXIF.iter().flat_map(|n| n.to_le_bytes()));
    out
}

/// A directory whose next one is itself, and a value that lies outside.
fn tiff_loop() -> Vec<u8> {
    b"II*\0\x08\0\0\0\x01\0\x25\x88\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0\xff\xff\x02\0\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()
}

/// Good photos that say where they were taken, in every way their formats have.
fn placed(files: &mut Vec<Vec<u8>>) {
    let exif = [b"Exif\0\0", &tiff_with_gps()[..]].concat();
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta exif:GPSLatitude='", PLACE, b"'/>"].concat();
    let iptc = [b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x12", PLACE].concat();
    let jpeg = encode(&small(1), ImageFormat::Jpeg);
    for (marker, body) in [(0xe1, &exif), (0xe1, &xmp), (0xed, &iptc), (0xfe, &PLACE.to_vec())] {
        files.push(with_segment(&jpeg, marker, body));
        // Behind another segment, and twice.
        files.push(with_segment(&with_segment(&jpeg, marker, body), 0xe2, b"MPF\0II*\0\x08\0\0\0"));
        files.push(with_segment(&with_segment(&jpeg, marker, body), marker, body));
    }
    files.push(with_segment(&jpeg, 0xe1, &[b"Exif\0\0", &tiff_loop()[..]].concat()));
    let png = encode(&small(2), ImageFormat::Png);
    files.push(with_chunk(&png, b"eXIf", &tiff_with_gps()));
    files.push(with_chunk(&png, b"tEXt", &[b"Location\0", PLACE].concat()));
    files.push(with_chunk(&png, b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", PLACE].concat()));
    files.push(with_chunk(&png, b"eXIf", &tiff_loop()));
    let webp = encode(&small(3), ImageFormat::WebP);
    files.push(with_webp_chunk(&webp, (80, 60), 0x08, b"EXIF", &tiff_with_gps()));
    files.push(with_webp_chunk(&webp, (80, 60), 0x04, b"XMP ", &xmp));
}

/// Pictures that would fill the memory: at the limits, over them, or by another size than they say.
fn bombs(files: &mut Vec<Vec<u8>>) {
    let header = |w: u32, h: u32, depth: u8, colour: u8| {
        let ihdr = [&w.to_be_bytes()[..], &h.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
        [
            &b"\x89PNG\r\n\x1a\n"[..],
            &png_chunk(b"IHDR", &ihdr),
            &png_chunk(b"IDAT", &[0x78, 0x9c, 3, 0, 0, 0, 0, 1]),
            &png_chunk(b"IEND", b""),
        ]
        .concat()
    };
    for (w, h) in
        [(u32::MAX, u32::MAX), (50_000, 50_000), (16_384, 16_384), (16_385, 1), (7_211, 7_211), (0, 1)]
    {
        for (depth, colour) in [(1, 0), (8, 6), (16, 6)] {
            files.push(header(w, h, depth, colour));
        }
    }
    // True ones, the largest that are taken: a megabyte each, 156 MB of pixels; and some over it.
    files.push(encode(&RgbImage::new(7_200, 7_200), ImageFormat::Png));
    files.push(encode(&RgbImage::new(7_200, 7_200), ImageFormat::Jpeg));
    files.push(encode(&RgbImage::new(4_400, 4_400), ImageFormat::WebP));
    for side in [6_240, 7_200] {
        let mut out = Cursor::new(Vec::new());
        RgbaImage::new(side, side).write_to(&mut out, ImageFormat::Png).unwrap();
        files.push(out.into_inner());
    }
    let jpeg = encode(&small(4), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    for size in [[0xff, 0xff, 0xff, 0xff], [0x40, 0, 0x40, 0], [0, 0, 0, 1], [0x1c, 0x20, 0x1c, 0x20]] {
        let mut lying = jpeg.clone();
        lying[frame + 5..frame + 9].copy_from_slice(&size);
        files.push(lying);
    }
    // A hundred thousand empty segments; a text that unfolds to much more.
    files.push([&jpeg[..2], &[0xff, 0xe5, 0, 2].repeat(100_000), &jpeg[2..]].concat());
    let png = encode(&small(5), ImageFormat::Png);
    let unfolds = miniz(&vec![b' '; 60_000_000]);
    files.push(with_chunk(&png, b"zTXt", &[b"Comment\0\0", &unfolds[..]].concat()));
    files.push(with_chunk(&png, b"iCCP", &[b"icc\0\0", &unfolds[..]].concat()));
}

fn miniz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut out, bytes).unwrap();
    out.finish().unwrap()
}

/// Two things in one file, and things that are no photo.
fn foreign(files: &mut Vec<Vec<u8>>) {
    let jpeg = encode(&small(6), ImageFormat::Jpeg);
    let zip = b"PK\x03\x04aaaaPK\x01\x02bbbbPK\x05\x06\0\0\0\0\x01\0\x01\0\x08\0\0\0\x08\0\0\0\0\0";
    for tail in
        [&zip[..], b"<script>alert(1)</script>", b"%PDF-1.7 trailer", b"<?php system(1); ?>", &[0; 70_000]]
    {
        files.push([&jpeg[..], tail].concat());
        files.push(with_segment(&jpeg, 0xfe, &tail[..tail.len().min(60_000)]));
        files.push(tail.to_vec());
    }
    for start in [
        &b"GIF89a"[..],
        b"BM",
        b"II*\0",
        b"\0\0\x01\0",
        b"MZ",
        b"\x7fELF",
        b"<svg xmlns='x'><script/></svg>",
        b"",
    ] {
        files.push([start, &[7; 64]].concat());
    }
    let iso = |kind: &[u8; 4], length: u32| [&length.to_be_bytes()[..], kind, &[0; 64]].concat();
    for length in [0, 1, 7, 8, 72, u32::MAX] {
        files.push([&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], &iso(b"meta", length)].concat());
    }
}

/// All of them: what is left of the number are good photos with bytes cut off, changed, or put in.
fn uploads() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    placed(&mut files);
    bombs(&mut files);
    foreign(&mut files);
    let mut rng = rng();
    while files.len() < UPLOADS {
        let format = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP][files.len() % 3];
        let mut bytes = encode(&small(rng.u8(..)), format);
        match rng.u8(..3) {
            0 => bytes.truncate(rng.usize(1..bytes.len())),
            1 => (0..rng.usize(1..30)).for_each(|_| {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }),
            _ => drop(bytes.splice(rng.usize(..40)..40, (0..rng.usize(1..99)).map(|_| 0xff))),
        }
        files.push(bytes);
    }
    files
}

/// A JPEG's markers between its start and its first scan.
fn markers(jpeg: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        found.push(marker);
        if marker == 0xda {
            break;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    found
}

/// What is served says nothing but the picture.
fn check_copy(copy: &Answer, what: &str) {
    assert_eq!((copy.status, copy.header("content-type")), (200, Some("image/jpeg")), "{what}");
    let meta: Vec<u8> = markers(&copy.body).into_iter().filter(|m| matches!(m, 0xe1..=0xef | 0xfe)).collect();
    assert!(meta.is_empty(), "{what}: segments {meta:x?}");
    let exif: Vec<u8> = PLACE_EXIF.iter().flat_map(|n| n.to_le_bytes()).collect();
    for place in [PLACE, &exif] {
        assert!(memchr::memmem::find(&copy.body, place).is_none(), "{what}");
    }
    image::load_from_memory_with_format(&copy.body, ImageFormat::Jpeg).unwrap();
}

/// The most that a process ever held, without the pages of its program.
fn most_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kb = |name: &str| -> u64 {
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    println!("{} MB at most, {} MB of them the program", kb("VmHWM:") / 1024, kb("RssFile:") / 1024);
    kb("VmHWM:") - kb("RssFile:")
}

fn admin_token(data: &std::path::Path) -> String {
    let args = ["--data", data.to_str().unwrap(), "people", "token", "--name", "tests", "--role", "admin"];
    let out = jijia(&args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn get(client: Client, token: &str, target: &str) -> Answer {
    let shown = format!("Bearer {token}");
    client.send(&service::request("GET", target, &[("authorization", &shown)], b"")).unwrap()
}

#[test]
fn two_hundred_hostile_uploads() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Serve::run(&mut serve(dir.path()));
    let (client, files, next) = (running.client, uploads(), AtomicUsize::new(0));
    assert_eq!(files.len(), UPLOADS);
    let send = || {
        let mut answers = Vec::new();
        while let Some(bytes) = files.get(next.fetch_add(1, Ordering::SeqCst)) {
            let answer = client
                .put_photo(bytes)
                .unwrap_or_else(|| panic!("no answer: {:x?}", &bytes[..bytes.len().min(40)]));
            answers.push((sha256_of(bytes), answer.status));
        }
        answers
    };
    let answers: Vec<(String, u16)> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(send)).collect();
        senders.into_iter().flat_map(|s| s.join().unwrap()).collect()
    });
    // Taken or refused for what they are; nothing failed inside.
    let refused = |status| matches!(status, 413 | 415 | 422);
    for (hash, status) in &answers {
        assert!(matches!(status, 200 | 201) || refused(*status), "{hash}: {status}");
    }
    let taken: Vec<&String> = answers.iter().filter(|(_, s)| !refused(*s)).map(|(hash, _)| hash).collect();
    assert!(taken.len() >= 20 && taken.len() <= UPLOADS / 2, "{} were taken", taken.len());

    let token = admin_token(dir.path());
    for (n, hashes) in (1..).zip(taken.chunks(20)) {
        let hashes = serde_json::json!(hashes);
        let answer = client.post_report(with(report(n), "/photos", hashes).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    for (i, hash) in taken.iter().enumerate() {
        check_copy(&get(client, &token, &format!("/api/v1/photos/{hash}/preview")), hash);
        let report = service::id(u32::try_from(i / 20).unwrap() + 1);
        let drawn = format!("/api/v1/reports/{report}/photos/{}/watermarked", i % 20);
        check_copy(&get(client, &token, &drawn), hash);
    }
    for n in 1..=taken.len().div_ceil(20) {
        // The page looks into the originals for what they say of their taking.
        let page = format!("/reports/{}", service::id(u32::try_from(n).unwrap()));
        assert_eq!(get(client, &token, &page).status, 200);
    }
    let most = most_kb(running.child.id());
    println!("{} of {UPLOADS} taken", taken.len());
    assert!(most <= MEMORY_KB, "{most} kB");
    running.terminate();
    let said = running.rest();
    assert!(!said.contains("panicked"), "{said}");
    running.child.wait().unwrap();
}

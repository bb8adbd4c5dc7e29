//! What is taken, what is refused and in which words, and that nothing makes it panic.

use super::samples::{
    GPS, chunk, encode, good, heic, iso_box, jpeg, jpeg_with_exif, movie, oneplus_trailer, picture, png,
    png_stating, samsung_trailer, webp, with_segment, zip,
};
use super::*;
use image::ImageFormat;

const LIMITS: Limits = Limits { max_bytes: 4_000_000, max_pixels: 20_000_000, max_side: 8_000 };

fn preview_of(bytes: &[u8]) -> Vec<u8> {
    inspect(bytes, &LIMITS).unwrap().preview.unwrap()
}

fn invalid_message(name: &str, bytes: &[u8]) -> String {
    match inspect(bytes, &LIMITS) {
        Err(Error::Invalid { field, message }) if field == "photo" => message,
        other => panic!("{name}: {other:?}"),
    }
}

fn unsupported_message(name: &str, bytes: &[u8]) -> String {
    match inspect(bytes, &LIMITS) {
        Err(Error::Unsupported { field, message }) if field == "photo" => message,
        other => panic!("{name}: {other:?}"),
    }
}

fn too_large_message(name: &str, bytes: &[u8]) -> String {
    match inspect(bytes, &LIMITS) {
        Err(Error::TooLarge { field, message }) if field == "photo" => message,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_kind_is_taken_with_type_and_size_from_its_bytes() {
    for (media_type, (width, height), bytes) in good() {
        let photo = inspect(&bytes, &LIMITS).unwrap();
        assert_eq!((photo.media_type, photo.width, photo.height), (media_type, Some(width), Some(height)));
        assert_eq!(photo.preview.is_none(), media_type == "image/heic");
        if let Some(copy) = photo.preview {
            let copy = image::load_from_memory_with_format(&copy, ImageFormat::Jpeg).unwrap();
            assert_eq!(copy.width() * copy.height(), width * height);
        }
    }
}

#[test]
fn the_copy_is_at_most_1000_pixels_long_and_keeps_its_shape() {
    for (size, expected) in [((2400, 1200), (1000, 500)), ((300, 4000), (75, 1000)), ((1000, 20), (1000, 20))]
    {
        let bytes = encode(&picture(size.0, size.1), ImageFormat::Jpeg);
        let copy = image::load_from_memory(&preview_of(&bytes)).unwrap();
        assert_eq!((copy.width(), copy.height()), expected);
    }
}

#[test]
fn the_copy_stands_upright() {
    // Orientation 6: the camera was turned, what is stored on the left belongs on top.
    let copy = image::load_from_memory(&preview_of(&jpeg_with_exif(&jpeg(), 6))).unwrap().into_rgb8();
    assert_eq!(copy.dimensions(), (32, 64));
    let (top, bottom) = (copy.get_pixel(16, 8).0, copy.get_pixel(16, 56).0);
    assert!(top[0] > 150 && top[2] < 80, "red on top: {top:?}");
    assert!(bottom[2] > 150 && bottom[0] < 80, "blue below: {bottom:?}");
}

#[test]
fn the_copy_has_no_metadata() {
    let xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>29,24N</x:xmpmeta>";
    let bytes = with_segment(&jpeg_with_exif(&jpeg(), 1), 0xe1, xmp);
    let bytes = with_segment(&with_segment(&bytes, 0xe2, b"ICC_PROFILE\0\x01\x01abcd"), 0xfe, b"Zhang San");
    assert!(memchr::memmem::find(&bytes, GPS).is_some());
    let copy = preview_of(&bytes);
    for secret in [GPS, b"Exif", b"xmpmeta", b"ICC_PROFILE", b"Zhang San"] {
        assert!(memchr::memmem::find(&copy, secret).is_none(), "{secret:?}");
    }
    let (mut at, mut markers) = (2, Vec::new());
    while copy[at + 1] != 0xda {
        markers.push(copy[at + 1]);
        at += 2 + usize::from(u16::from_be_bytes([copy[at + 2], copy[at + 3]]));
    }
    // JFIF, quantisation, frame, Huffman tables: nothing else.
    markers.retain(|m| !matches!(m, 0xe0 | 0xdb | 0xc0 | 0xc4));
    assert!(markers.is_empty(), "{markers:x?}");
}

#[test]
fn transparency_becomes_white() {
    let clear = image::RgbaImage::from_pixel(20, 20, image::Rgba([0, 0, 0, 0]));
    let copy =
        image::load_from_memory(&preview_of(&encode(&clear.into(), ImageFormat::Png))).unwrap().into_rgb8();
    assert!(copy.pixels().all(|p| p.0.iter().all(|&c| c > 250)));
}

#[test]
fn what_cameras_write_behind_a_jpeg_is_sealed_with_it() {
    let mpf = with_segment(&jpeg(), 0xe2, b"MPF\0II*\0");
    let google = with_segment(&jpeg(), 0xe1, b"http://ns.google.com/photos/1.0/container/");
    let huawei = b"v2_f35              0:0                 LIVE_1234567        ";
    let vivo = b"streamdata\xff\xd8\xff....\xff\xd9streaminfovivo{\"a\":1}\0\xff\xff\xff\xff\x1b*9HWfu\x84\x93\xa2\xb1";
    let cases: [(&str, &[&[u8]]); 10] = [
        ("MPF", &[&mpf, &jpeg()]),
        ("MPF, padded", &[&mpf, &[0; 5], &jpeg(), &[0; 700]]),
        ("gain map and video", &[&google, &jpeg(), &movie()]),
        ("motion photo", &[&jpeg(), &movie()]),
        ("motion photo, padded", &[&jpeg(), &[0; 9], &movie(), &[0; 30]]),
        ("Samsung", &[&jpeg(), &samsung_trailer(&movie())]),
        ("Samsung behind MPF", &[&mpf, &jpeg(), &samsung_trailer(b"")]),
        ("OPPO", &[&jpeg(), &oneplus_trailer()]),
        ("Huawei", &[&jpeg(), &movie(), huawei]),
        ("vivo", &[&jpeg(), vivo]),
    ];
    for (name, parts) in cases {
        let photo = inspect(&parts.concat(), &LIMITS);
        assert_eq!(photo.map(|p| p.width).map_err(|e| e.to_string()), Ok(Some(64)), "{name}");
    }
}

#[test]
fn anything_else_behind_a_picture_is_named_and_refused() {
    let tails: [(&str, Vec<u8>); 8] = [
        ("ZIP", zip()),
        ("HTML", b"<html><body>hello</body></html>".to_vec()),
        ("script", b"<SCRIPT>alert(1)</SCRIPT>".to_vec()),
        ("PHP", b"<?php system('id');".to_vec()),
        ("text", b"/*=1;alert(document.cookie)//".to_vec()),
        ("program", b"MZ\x90\0\x03\0\0\0".to_vec()),
        ("unknown kind", b"\x01\x02\x03".to_vec()),
        ("GIF", b"GIF89a;".to_vec()),
    ];
    for (name, tail) in &tails {
        for picture in [jpeg(), png(), webp(), heic(&[(640, 480)])] {
            let message = invalid_message(name, &[&picture[..], tail].concat());
            assert!(message.contains(name), "{name}: {message}");
        }
    }
    // A second JPEG that nothing announced, and trailers that are not what they say.
    invalid_message("JPEG", &[jpeg(), jpeg()].concat());
    invalid_message("half a video", &[jpeg(), movie()[..200].to_vec()].concat());
    invalid_message("Samsung", &[jpeg(), samsung_trailer(b"")[1..].to_vec()].concat());
    let zipped = invalid_message("ZIP in a box", &[jpeg(), movie(), iso_box(b"free", &zip())].concat());
    assert!(zipped.contains("ZIP"), "{zipped}");
}

#[test]
fn a_picture_that_is_something_else_inside_is_refused() {
    let pdf = invalid_message("PDF", &with_segment(&jpeg(), 0xfe, b"%PDF-1.7\n1 0 obj"));
    assert!(pdf.contains("PDF"), "{pdf}");
    let script = invalid_message("script", &with_segment(&jpeg(), 0xfe, b"--><script>alert(1)</script>"));
    assert!(script.contains("script"), "{script}");
    invalid_message("two frames", &with_segment(&jpeg(), 0xc0, &[8, 0, 9, 0, 9, 1, 1, 0x11, 0]));
    for at in [8, png().len() - 12] {
        let (head, tail) = (png()[..at].to_vec(), png()[at..].to_vec());
        invalid_message("bytes between chunks", &[head, b"<html></html>   ".to_vec(), tail].concat());
    }
}

#[test]
fn other_types_are_refused_with_the_list_of_what_is_taken() {
    let cases: [(&str, &[u8]); 14] = [
        ("empty", b""),
        ("text", "岳阳".as_bytes()),
        ("SVG", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("HTML", b"<!DOCTYPE html><p>"),
        ("GIF", b"GIF89a\x01\0\x01\0\x80\0\0"),
        ("PDF", b"%PDF-1.7"),
        ("ZIP", &zip()),
        ("BMP", b"BM\x36\0\0\0"),
        ("TIFF", b"II*\0\x08\0\0\0"),
        ("MP4", &movie()),
        ("AVIF", include_bytes!("../../../tests/fixtures/photo/tiny.avif")),
        ("text", &[b" ", &jpeg()[..0]].concat()),
        ("unknown", &[b"\0", &jpeg()[..]].concat()),
        ("unknown", &png()[..4].iter().rev().copied().collect::<Vec<_>>()),
    ];
    for (name, bytes) in cases {
        let message = unsupported_message(name, bytes);
        assert!(message.contains(name) && message.ends_with(ALLOWED), "{name}: {message}");
    }
    let animated: [(&str, &[u8]); 2] = [
        ("PNG", include_bytes!("../../../tests/fixtures/photo/animated.png")),
        ("WebP", include_bytes!("../../../tests/fixtures/photo/animated.webp")),
    ];
    for (name, bytes) in animated {
        assert!(unsupported_message(name, bytes).contains("animated"));
    }
    let mut lossless = jpeg();
    let frame = memchr::memmem::find(&lossless, &[0xff, 0xc0]).unwrap();
    lossless[frame + 1] = 0xc3;
    assert!(unsupported_message("SOF3", &lossless).contains("SOF3"));
}

#[test]
fn limits_are_said_and_held_before_any_pixel_is_decoded() {
    let bytes = too_large_message("bytes", &vec![0xff; 4_000_001]);
    assert!(bytes.contains("4000000"), "{bytes}");
    // Ten gigapixels in a few bytes: the header alone is read.
    for (width, height) in [(100_000, 100_000), (u32::MAX, u32::MAX), (5000, 5000)] {
        let message = too_large_message("bomb", &png_stating(width, height, b"x"));
        assert!(message.contains("pixels") && message.contains("20000000"), "{message}");
    }
    assert!(too_large_message("side", &png_stating(8001, 10, b"x")).contains("8000"));
    assert!(too_large_message("HEIC", &heic(&[(9000, 9000)])).contains("pixels"));
    let mut wide = jpeg();
    let frame = memchr::memmem::find(&wide, &[0xff, 0xc0]).unwrap();
    wide[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert!(too_large_message("JPEG", &wide).contains("65535 × 65535"));
    // Four pixels and a megabyte to inflate.
    let message = invalid_message("deflate bomb", &png_stating(2, 2, &vec![0; 1_000_000]));
    assert!(message.contains("1000000 bytes of pixel data"), "{message}");
    let one_scan = memchr::memmem::rfind(&jpeg(), &[0xff, 0xda]).unwrap();
    let scans = [&jpeg()[..one_scan], &jpeg()[one_scan..jpeg().len() - 2].repeat(65), &[0xff, 0xd9]].concat();
    assert!(invalid_message("scans", &scans).contains("64 scans"));
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for (media_type, _, bytes) in good() {
        for end in 0..bytes.len() {
            let error = inspect(&bytes[..end], &LIMITS).unwrap_err();
            // Below 12 bytes the type itself cannot be told.
            let refused = matches!(error, Error::Invalid { .. })
                || end < 12 && matches!(error, Error::Unsupported { .. });
            assert!(
                refused && error.to_string().starts_with("photo: "),
                "{media_type} cut at {end}: {error}"
            );
        }
    }
}

/// The decoder alone panics on these.
#[test]
fn a_palette_of_a_wrong_length_is_refused() {
    let header = [&[0, 0, 0, 2, 0, 0, 0, 1][..], &[8, 3, 0, 0, 0]].concat();
    for length in [0, 1, 4, 769, 771] {
        let chunks = [chunk(b"IHDR", &header), chunk(b"PLTE", &vec![9; length])].concat();
        let rest = [chunk(b"IDAT", b"x\x9cc`\0\0\0\x03\0\x01"), chunk(b"IEND", b"")].concat();
        let message = invalid_message("palette", &[&png()[..8], &chunks, &rest].concat());
        assert!(message.contains("palette"), "{length}: {message}");
    }
}

#[test]
fn heic_must_be_whole_and_hold_a_picture() {
    let no_meta = [iso_box(b"ftyp", b"heic\0\0\0\0mif1heic"), iso_box(b"mdat", b"data")].concat();
    assert!(invalid_message("no meta", &no_meta).contains("meta"));
    let whole = heic(&[]);
    assert_eq!(inspect(&whole, &LIMITS).unwrap().width, None);
    assert!(invalid_message("no data", &whole[..whole.len() - 107]).contains("mdat"));
    let two = [&whole[..], &iso_box(b"meta", &[0; 4])].concat();
    assert!(invalid_message("two", &two).contains("two meta"));
    let many = iso_box(b"meta", &[vec![0; 4], iso_box(b"free", b"").repeat(20_000)].concat());
    let many = [iso_box(b"ftyp", b"mif1\0\0\0\0heic"), many, iso_box(b"mdat", b"")].concat();
    assert!(invalid_message("many boxes", &many).contains("10000"));
}

/// `SplitMix64`: the same bytes on every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

#[test]
fn damaged_files_end_in_an_answer() {
    let mut seeded = Seeded(20_260);
    for (media_type, _, whole) in good() {
        for _ in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..=seeded.below(8) {
                let at = seeded.below(bytes.len());
                match seeded.below(4) {
                    0 => bytes[at] = seeded.byte(),
                    1 => bytes[at] ^= 1 << seeded.below(8),
                    2 => bytes.insert(at, seeded.byte()),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            // A panic anywhere below fails the test; both answers are right, a wrong type is not.
            if let Ok(photo) = inspect(&bytes, &LIMITS) {
                assert_eq!(photo.media_type, media_type);
            }
        }
    }
}

#[test]
fn random_bytes_behind_a_true_beginning_are_refused() {
    let mut seeded = Seeded(7);
    for beginning in [&b""[..], &jpeg()[..20], &png()[..33], &webp()[..30], &heic(&[])[..40]] {
        for _ in 0..200 {
            let length = seeded.below(2000);
            let noise: Vec<u8> = (0..length).map(|_| seeded.byte()).collect();
            assert!(inspect(&[beginning, &noise].concat(), &LIMITS).is_err());
        }
    }
}

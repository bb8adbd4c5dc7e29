use super::*;
use crate::error::Error;

/// An element with a size that is known; ids with their marker.
fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap() | 0x1000_0000;
    [id, &size.to_be_bytes(), body].concat()
}

fn head(doc_type: &[u8]) -> Vec<u8> {
    element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], doc_type))
}

fn block(ms: i16) -> Vec<u8> {
    element(&[0xa3], &[&[0x81][..], &ms.to_be_bytes(), &[0x80, 1, 2, 3]].concat())
}

/// As Chrome records: nothing says how long anything is.
fn recorded() -> Vec<u8> {
    let unknown = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let cluster = |at: u16| {
        let open = [&[0x1f, 0x43, 0xb6, 0x75][..], &unknown].concat();
        [open, element(&[0xe7], &at.to_be_bytes()), block(0), block(940)].concat()
    };
    let info = element(&[0x15, 0x49, 0xa9, 0x66], &element(&[0x2a, 0xd7, 0xb1], &[0x0f, 0x42, 0x40]));
    [
        head(b"webm"),
        [&[0x18, 0x53, 0x80, 0x67][..], &unknown].concat(),
        info,
        cluster(0),
        cluster(1000),
        cluster(11_000),
    ]
    .concat()
}

/// As a file that was finished: the length stands in its head.
fn finished(ticks: f32) -> Vec<u8> {
    let info = element(&[0x15, 0x49, 0xa9, 0x66], &element(&[0x44, 0x89], &ticks.to_be_bytes()));
    [head(b"webm\0"), element(&[0x18, 0x53, 0x80, 0x67], &[info, block(5)].concat())].concat()
}

fn page(granule: u64, body: &[u8]) -> Vec<u8> {
    let mut page = [b"OggS\0\x02", &granule.to_le_bytes()[..], &[0; 12], &[1, 19]].concat();
    page.extend(body);
    page
}

fn ogg(samples: u64) -> Vec<u8> {
    let opus = [b"OpusHead\x01\x01", &312_u16.to_le_bytes()[..], &48_000_u32.to_le_bytes(), &[0; 3]].concat();
    [page(0, &opus), page(samples / 2, b"sound"), page(samples + 312, b"sound")].concat()
}

fn mp4(brand: &[u8], timescale: u32, duration: u32) -> Vec<u8> {
    let part = |kind: &[u8], body: &[u8]| {
        [&u32::try_from(body.len() + 8).unwrap().to_be_bytes()[..], kind, body].concat()
    };
    let times = [[0; 12].as_slice(), &timescale.to_be_bytes(), &duration.to_be_bytes(), &[0; 80]].concat();
    let ftyp = part(b"ftyp", &[brand, b"\0\0\0\0isom"].concat());
    [ftyp, part(b"mdat", b"sound"), part(b"moov", &part(b"mvhd", &times))].concat()
}

fn found(bytes: &[u8]) -> (&'static str, Option<u64>) {
    let voice = inspect(bytes).unwrap();
    (voice.media_type, voice.duration_s)
}

#[test]
fn each_container_is_known_by_its_bytes_and_says_how_long_it_is() {
    assert_eq!(found(&recorded()), ("audio/webm", Some(12)));
    assert_eq!(found(&finished(7_400.0)), ("audio/webm", Some(7)));
    assert_eq!(found(&ogg(48_000 * 9)), ("audio/ogg", Some(9)));
    assert_eq!(found(&mp4(b"M4A ", 44_100, 44_100 * 31)), ("audio/mp4", Some(31)));
    assert_eq!(found(&mp4(b"mp42", 1_000, 0)), ("audio/mp4", None), "written in fragments");
}

#[test]
fn what_cannot_be_is_not_said_to_be_that_long() {
    assert_eq!(found(&finished(f32::MAX)).1, None);
    assert_eq!(found(&finished(f32::NAN)).1, None);
    assert_eq!(found(&finished(-1.0)).1, None);
    assert_eq!(found(&finished(4e6)).1, None, "more than an hour");
    assert_eq!(found(&mp4(b"M4A ", 0, 9)).1, None);
    assert_eq!(found(&ogg(u64::MAX - 312)).1, None);
}

#[test]
fn anything_else_is_refused_by_what_it_is() {
    let refused = |bytes: &[u8]| inspect(bytes).unwrap_err();
    let others: [(&[u8], &str); 8] = [
        (b"", "an empty file"),
        (b"\xff\xd8\xff\xe0", "a JPEG"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a RIFF file"),
        (b"ID3\x04 and more", "unknown"),
        (b"<html><script>alert(1)</script>", "HTML"),
        (b"#!/bin/sh\n", "text"),
        (&head(b"matroska"), "unknown"),
        (&mp4(b"heic", 1, 1), "a picture"),
    ];
    for (bytes, word) in others {
        let error = refused(bytes);
        let Error::Unsupported { field, message } = &error else { panic!("{error}") };
        assert!(field == "voice" && message.contains(word) && message.ends_with("audio/mp4"), "{message}");
    }
    let both = [recorded(), b"<script>alert(1)</script>".to_vec()].concat();
    assert!(refused(&both).to_string().contains("a script at once"));
    let large = vec![0; usize::try_from(MAX_BYTES).unwrap() + 1];
    assert!(matches!(refused(&large), Error::TooLarge { field, .. } if field == "voice"));
}

/// Whatever is cut off or altered, an answer comes, and soon.
#[test]
fn hostile_bytes_are_read_to_an_end() {
    let mut random = fastrand::Rng::with_seed(7);
    for whole in [recorded(), finished(1e4), ogg(480_000), mp4(b"M4A ", 1_000, 9_000)] {
        for cut in 0..whole.len() {
            let _ = inspect(&whole[..cut]);
        }
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            let _ = inspect(&bytes);
        }
    }
    // The most elements that fit.
    let tiny = [head(b"webm"), [0x80_u8, 0x80].repeat(999_000)].concat();
    assert_eq!(found(&tiny).1, None);
}

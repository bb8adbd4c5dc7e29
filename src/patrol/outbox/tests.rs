use std::io::Write;
use std::path::PathBuf;

use super::*;
use zip::write::SimpleFileOptions;

const LIMITS: Limits = Limits { max_members: 8, max_unfolded: 1_000_000, max_body: 1_000, max_photo: 50_000 };

/// An archive of these members in a folder of its own.
fn archive(members: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outbox.zip");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in members {
        if name.ends_with('/') {
            zip.add_directory(*name, SimpleFileOptions::default()).unwrap();
        } else {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap();
    (dir, path)
}

fn index(patrols: &[Uuid], reports: &[Uuid], photos: &[&str]) -> Vec<u8> {
    let index = serde_json::json!({"format": FORMAT, "exported_at": "2026-07-14T12:00:00Z",
        "device_time": "2026-07-14T12:00:01Z", "patrols": patrols, "reports": reports, "photos": photos});
    index.to_string().into_bytes()
}

fn refused(path: &Path) -> String {
    Outbox::open(path, LIMITS).err().unwrap().to_string()
}

/// The archive's bytes with every `from` in them made `to`, of the same length.
fn forge(path: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, from).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn items_come_as_they_were_put_in_patrols_first() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let hash = "ab".repeat(32);
    let (report, patrol, photo) =
        (format!("reports/{one}.json"), format!("patrols/{two}.json"), format!("photos/{hash}"));
    let body = br#"{ "spaces" :  "stay" }"#;
    let (_dir, path) = archive(&[
        (&photo, b"\xff\xd8 bytes"),
        (&report, body),
        ("reports/", b""),
        (&patrol, b"{}"),
        (INDEX, &index(&[two], &[one], &[&hash])),
        ("notes.txt", b"what is this"),
    ]);
    let mut outbox = Outbox::open(&path, LIMITS).unwrap();
    assert_eq!(outbox.len(), 4);
    let (name, odd) = outbox.next().unwrap();
    assert!(name == "notes.txt" && odd.unwrap_err().to_string().contains("no part of an outbox"));
    let rest: Vec<_> = outbox.map(|(name, found)| (name, found.unwrap())).collect();
    let expected = [
        (patrol, (Item::Patrol(two), b"{}".to_vec())),
        (report, (Item::Report(one), body.to_vec())),
        (photo, (Item::Photo(hash), b"\xff\xd8 bytes".to_vec())),
    ];
    assert_eq!(rest, expected);
}

#[test]
fn what_is_named_and_missing_is_said_and_what_is_there_unnamed_is_taken() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let unnamed = format!("reports/{two}.json");
    let (_dir, path) = archive(&[(INDEX, &index(&[], &[one], &[])), (&unnamed, b"{}")]);
    let found: Vec<_> = Outbox::open(&path, LIMITS).unwrap().collect();
    assert!(matches!(&found[0].1, Err(Error::NotFound(m)) if m.contains(&one.to_string())), "{found:?}");
    assert_eq!((found.len(), &found[1].0, found[1].1.is_ok()), (2, &unnamed, true));
}

#[test]
fn what_is_no_archive_of_a_phone_is_refused_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zip");
    std::fs::write(&path, b"PK\x03\x04 not really").unwrap();
    assert!(refused(&path).contains("no ZIP"));
    let (_dir, path) = archive(&[("a.jpg", b"x")]);
    assert!(refused(&path).starts_with("index.json: is not in the archive"));
    let (_dir, path) = archive(&[(INDEX, br#"{"format":"jijia-outbox-9"}"#)]);
    assert!(refused(&path).contains("allowed: jijia-outbox-1"));
    let (_dir, path) = archive(&[(INDEX, br#"{"format":"jijia-outbox-1","reports":["x"]}"#)]);
    assert!(refused(&path).starts_with("index.json.reports[0]: "), "{}", refused(&path));
    let (_dir, path) = archive(&[(INDEX, br#"{"format":"jijia-outbox-1","of a newer phone":1}"#)]);
    assert!(Outbox::open(&path, LIMITS).unwrap().is_empty());
}

#[test]
fn hostile_archives_are_refused_by_the_name_of_the_member() {
    // Two members of one name: the same length, then forged.
    let (_dir, path) = archive(&[(INDEX, &index(&[], &[], &[])), ("one.txt", b"1"), ("two.txt", b"2")]);
    forge(&path, b"two.txt", b"one.txt");
    assert!(refused(&path).contains("`one.txt` stands in it twice"), "{}", refused(&path));
    for name in ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "C:/x", "a\\b", "a\nb"] {
        let stand_in = "x".repeat(name.len());
        let (_dir, path) = archive(&[(INDEX, &index(&[], &[], &[])), (&stand_in, b"1")]);
        forge(&path, stand_in.as_bytes(), name.as_bytes());
        assert!(refused(&path).contains("allowed: plain names"), "{name}: {}", refused(&path));
    }
    let many: Vec<String> = (0..9).map(|n| format!("{n}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|n| (n.as_str(), &b""[..])).collect();
    let (_dir, path) = archive(&many);
    assert!(refused(&path).contains("more than 8 members"));
}

#[test]
fn names_of_chinese_systems_are_taken_and_lead_nowhere_either() {
    // 照片 in GBK.
    for (name, good) in
        [(&b"\xd5\xd5\xc6\xac.jpg"[..], true), (b"\xd5\xd5/../jpg", false), (b"/\xd5\xd5c.jpg", false)]
    {
        let stand_in = "x".repeat(name.len());
        let (_dir, path) = archive(&[(&stand_in, b"1")]);
        forge(&path, stand_in.as_bytes(), name);
        assert_eq!(PhotoArchive::open(&path, LIMITS).is_ok(), good, "{name:?}");
    }
}

#[test]
fn bytes_before_the_archive_hide_no_list() {
    let (_dir, path) = archive(&[(INDEX, &index(&[], &[], &[])), ("one.txt", b"1"), ("two.txt", b"2")]);
    forge(&path, b"two.txt", b"one.txt");
    let bytes = [&b"#!/bin/sh and more"[..], &std::fs::read(&path).unwrap()].concat();
    std::fs::write(&path, bytes).unwrap();
    assert!(refused(&path).starts_with("archive: "), "{}", refused(&path));
}

#[test]
fn bombs_do_not_unfold() {
    // A million zeros in a thousand bytes, said openly.
    let zeros = vec![0; 1_000_001];
    let (_dir, path) = archive(&[(INDEX, &index(&[], &[], &[])), ("photos/x", &zeros)]);
    assert!(refused(&path).contains("with `photos/x`"), "{}", refused(&path));
    // And one that says it were small: it is not believed.
    let hash = "ab".repeat(32);
    let name = format!("photos/{hash}");
    let (_dir, path) = archive(&[(INDEX, &index(&[], &[], &[&hash])), (&name, &zeros)]);
    forge(&path, &1_000_001_u32.to_le_bytes(), &100_u32.to_le_bytes());
    let (_, found) = Outbox::open(&path, LIMITS).unwrap().next().unwrap();
    let error = found.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. } | Error::Invalid { .. }), "{error:?}");
    assert!(error.to_string().starts_with(&name), "{error}");
}

#[test]
fn a_member_that_is_too_large_or_damaged_does_not_stop_its_neighbours() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (large, good) = (format!("reports/{one}.json"), format!("reports/{two}.json"));
    let (_dir, path) = archive(&[
        (INDEX, &index(&[], &[one, two], &[])),
        (&large, &[b' '; 1_001]),
        (&good, b"{\"a\":\"bcdefgh\"}"),
    ]);
    let found: Vec<_> = Outbox::open(&path, LIMITS).unwrap().map(|(_, found)| found).collect();
    assert!(matches!(&found[0], Err(Error::TooLarge { field, .. }) if *field == large), "{found:?}");
    assert!(found[1].is_ok());
}

#[test]
fn photos_are_named_by_the_hash_of_their_own_bytes() {
    let (_dir, path) = archive(&[("相册/IMG_1.jpg", b"a"), ("相册/", b""), ("b.jpg", b"b")]);
    let found: Vec<_> = PhotoArchive::open(&path, LIMITS).unwrap().collect();
    let items: Vec<_> =
        found.iter().map(|(name, f)| (name.as_str(), f.as_ref().unwrap().0.clone())).collect();
    let photo = |bytes: &[u8]| Item::Photo(sha256_of(bytes));
    assert_eq!(items, [("相册/IMG_1.jpg", photo(b"a")), ("b.jpg", photo(b"b"))]);
}

//! A photo breaks off on its way, and the service is killed over some of them: never half a photo under a hash.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;

use super::audit::{audit, leaf_of, leftovers, sealed};
use super::cut::{Leave, cut};
use super::{chance, shown, size};
use crate::serve::{Client, Serve, put_photo, request};
use crate::service::{jpeg, sha256_of};

/// A small JPEG that long comments (ITU-T T.81, B.2.4.5) make a file of 260 KB; no two are the same.
fn long(rng: &mut Rng) -> Vec<u8> {
    let mut photo = jpeg(1);
    for _ in 0..4 {
        let mut comment = vec![0; 65_004];
        rng.fill(&mut comment);
        comment[..4].copy_from_slice(&[0xff, 0xfe, 0xfd, 0xea]);
        // 0xfdea: the length, itself included, the marker not.
        photo.splice(2..2, comment);
    }
    photo
}

/// Parts of photos under way.
fn parts(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("uploads")).unwrap().count()
}

/// The request for the rest of a photo, from where the service says.
fn rest(client: Client, photo: &[u8]) -> (usize, Vec<u8>) {
    let address = format!("/api/v1/photos/{}", sha256_of(photo));
    let head = client.send(&request("HEAD", &address, &[], b"")).unwrap();
    if head.header("upload-complete") == Some("?1") {
        return (photo.len(), put_photo(photo));
    }
    let from: usize = head.header("upload-offset").unwrap().parse().unwrap();
    let (offset, length) = (from.to_string(), photo.len().to_string());
    let headers = [("upload-offset", offset.as_str()), ("upload-length", length.as_str())];
    (from, request("PUT", &address, &headers, &photo[from..]))
}

/// Sends all of it and kills the service at some moment while the photo is decoded, synced, renamed, entered.
async fn killed_while_sealing(serve: &mut Serve, request: &[u8], rng: &mut Rng) {
    cut(serve.client, request, request.len(), Leave::Close).await;
    tokio::time::sleep(Duration::from_millis(rng.u64(..100))).await;
    serve.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_broken_off_anywhere_goes_on_from_there_and_is_sealed_whole() {
    let mut rng = chance("photo");
    let dir = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(dir.path());
    let length = long(&mut rng).len();
    let edges = (65_536..length).step_by(65_536).flat_map(|edge| [edge - 1, edge, edge + 1]);
    let mut cuts: Vec<usize> = edges.collect();
    assert!(cuts.len() >= 9, "the photo has {length} bytes");
    cuts.extend((0..size(200, 2000)).map(|_| rng.usize(..length)));
    rng.shuffle(&mut cuts);
    let (mut kills, mut saved, mut sent) = (0, 0, 0);
    for at in &cuts {
        let photo = long(&mut rng);
        let request = put_photo(&photo);
        // Counted from the first byte of the photo.
        cut(serve.client, &request, request.len() - photo.len() + at, Leave::by(&mut rng)).await;
        if rng.u8(..8) == 0 {
            if rng.bool() {
                killed_while_sealing(&mut serve, &request, &mut rng).await;
            }
            serve.kill();
            sealed(dir.path()).unwrap();
            serve = Serve::start(dir.path());
            assert_eq!(leftovers(dir.path()), [] as [&Path; 0]);
            kills += 1;
        }
        // A phone of ours goes on; a plain client begins anew.
        let goes_on = rng.u8(..4) > 0;
        let (stored, from) = loop {
            let (from, request) = if goes_on { rest(serve.client, &photo) } else { (0, request.clone()) };
            let answer = serve.client.send(&request).unwrap();
            // What was on its way when the line broke may have come after the question: asked again.
            if answer.status != 409 {
                break (answer, from);
            }
        };
        (saved, sent) = (saved + from, sent + at);
        assert!(matches!(stored.status, 200 | 201), "{}: {}", sha256_of(&photo), stored.text());
        if rng.u8(..8) == 0 {
            let again = serve.client.send(&request).unwrap();
            assert_eq!((again.status, leaf_of(&again)), (200, leaf_of(&stored)));
        }
    }
    assert_eq!((leftovers(dir.path()).len(), parts(dir.path())), (0, 0));
    assert_eq!(audit(dir.path()).unwrap().photos.len(), cuts.len());
    println!(
        "photo: {kills} of the cuts were followed by kill -9; {saved} of {sent} bytes sent were not sent again"
    );
    assert!(saved > 0);
    shown("photo", cuts.len(), "photos broken off");
}

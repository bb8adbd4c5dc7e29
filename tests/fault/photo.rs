//! A photo breaks off on its way, and the service is killed over some of them: never half a photo under a hash.

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::audit::{audit, leaf_of, leftovers, sealed};
use super::cut::{Leave, cut};
use super::{chance, shown, size};
use crate::serve::{Serve, put_photo};
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

/// What an upload that broke off left in `tmp` goes as soon as the service has noticed.
fn tmp_becomes_empty(dir: &Path) {
    let start = Instant::now();
    while !leftovers(dir).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", leftovers(dir));
        std::thread::yield_now();
    }
}

/// Sends all of it and kills the service at some moment while the photo is decoded, synced, renamed, entered.
async fn killed_while_sealing(serve: &mut Serve, request: &[u8], rng: &mut Rng) {
    cut(serve.client, request, request.len(), Leave::Close).await;
    tokio::time::sleep(Duration::from_millis(rng.u64(..100))).await;
    serve.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_broken_off_anywhere_is_sealed_whole_by_the_next_try() {
    let mut rng = chance("photo");
    let dir = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(dir.path());
    let length = long(&mut rng).len();
    let edges = (65_536..length).step_by(65_536).flat_map(|edge| [edge - 1, edge, edge + 1]);
    let mut cuts: Vec<usize> = edges.collect();
    assert!(cuts.len() >= 9, "the photo has {length} bytes");
    cuts.extend((0..size(200, 2000)).map(|_| rng.usize(..length)));
    rng.shuffle(&mut cuts);
    let mut kills = 0;
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
        let stored = serve.client.send(&request).unwrap();
        assert!(matches!(stored.status, 200 | 201), "{}: {}", sha256_of(&photo), stored.text());
        if rng.u8(..8) == 0 {
            let again = serve.client.send(&request).unwrap();
            assert_eq!((again.status, leaf_of(&again)), (200, leaf_of(&stored)));
        }
    }
    tmp_becomes_empty(dir.path());
    assert_eq!(audit(dir.path()).unwrap().photos.len(), cuts.len());
    println!("photo: {kills} of the cuts were followed by kill -9");
    shown("photo", cuts.len(), "photos broken off");
}

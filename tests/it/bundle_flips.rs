//! Bits flipped, bytes cut off, added and swapped: everything is found, and both verifiers say the same.

use std::io::Seek;
use std::os::unix::fs::FileExt;

use jijia::evidence::bundle::Photos;
use jijia::evidence::bundle::archive::{Archive, Member};
use jijia::evidence::verify::{Trusted, verify};

use crate::bundle_sample::{Shape, make};
use crate::bundle_verify::{OWN_KEY, SMALL, code, python};

fn is_long() -> bool {
    std::env::var_os("JIJIA_LONG").is_some()
}

/// As little as a bundle can hold with something of everything.
const TINY: Shape = Shape { log: 3, permille: 1000, photo_bytes: 8, ..SMALL };

/// Runs `each` for 0 to `n` on all cores; returns the sum of what it gives.
fn on_all_cores(n: usize, each: impl Fn(usize, &mut fastrand::Rng) -> usize + Sync) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let each = &each;
    std::thread::scope(|scope| {
        let part = |core: usize| {
            move || {
                let mut random = fastrand::Rng::with_seed(core as u64);
                (core..n).step_by(cores).map(|i| each(i, &mut random)).sum::<usize>()
            }
        };
        let running: Vec<_> = (0..cores).map(|core| scope.spawn(part(core))).collect();
        running.into_iter().map(|r| r.join().unwrap()).sum()
    })
}

/// Of the file as it is: here the checksums of the container find most.
#[test]
fn every_bit_of_a_small_bundle() {
    let good = make(TINY).zip();
    assert_eq!((code(&good), python(&good, &[])), (OWN_KEY, i32::from(OWN_KEY)));
    let bits = good.len() * 8;
    let asked = on_all_cores(bits, |bit, random| {
        let mut zip = good.clone();
        zip[bit / 8] ^= 1 << (bit % 8);
        let found = code(&zip);
        assert_ne!(found, 0, "bit {bit} of {bits}");
        let ask = random.usize(0..bits) < 30;
        assert!(!ask || python(&zip, &[]) == i32::from(found), "bit {bit}");
        usize::from(ask)
    });
    println!("{bits} flips of {} bytes found, {asked} asked of the second verifier too", good.len());
}

/// Of the members, under a container that fits again: here only hashes, proofs and signatures can find it. One bit of
/// every byte, all eight with JIJIA_LONG=1.
#[test]
fn every_byte_of_every_member_under_a_new_container() {
    let good = make(TINY);
    let places: Vec<(usize, usize)> =
        good.members.iter().enumerate().flat_map(|(m, (_, b))| (0..b.len()).map(move |at| (m, at))).collect();
    let asked = on_all_cores(places.len(), |n, random| {
        let (member, byte) = places[n];
        let one = random.u8(0..8);
        let mut asked = 0;
        for bit in (0..8).filter(|b| is_long() || *b == one) {
            let mut made = good.clone();
            made.members[member].1[byte] ^= 1 << bit;
            let zip = made.zip();
            assert!(matches!(code(&zip), 1 | 2), "{} byte {byte} bit {bit}", made.members[member].0);
            if random.usize(0..places.len()) < 20 {
                assert_eq!(python(&zip, &[]), 1, "{} byte {byte} bit {bit}", made.members[member].0);
                asked += 1;
            }
        }
        asked
    });
    println!("flips in {} bytes of members found, {asked} asked of the second verifier too", places.len());
}

/// Flips, cuts, appends and swaps in bundles of 1 to 16 MiB: a few hundred in CI, 100,000 with JIJIA_LONG=1.
#[test]
fn random_damage_to_large_bundles() {
    let rounds = if is_long() { 100_000 } else { 300 };
    let sizes: &[usize] = if is_long() { &[1, 2, 4, 8, 16] } else { &[1, 4] };
    let mut random = fastrand::Rng::with_seed(6);
    for mib in sizes {
        let shape =
            Shape { log: 300, permille: 600, photo_bytes: mib << 20, photos: Photos::Originals, ..SMALL };
        let good = make(shape);
        let zip = good.zip();
        assert_eq!(code(&zip), OWN_KEY, "{mib} MiB");
        for round in 0..rounds / sizes.len() {
            let damaged = damage(&good, &zip, &mut random);
            assert!(matches!(code(&damaged), 1 | 2), "{mib} MiB, round {round}");
        }
    }
    println!("{rounds} damages in bundles of {sizes:?} MiB found (95 %: fewer than 3/{rounds} missed)");
}

fn damage(good: &crate::bundle_sample::Made, zip: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut damaged = zip.to_vec();
    match random.u8(0..4) {
        0 => damaged[random.usize(0..zip.len())] ^= 1 << random.u8(0..8),
        1 => damaged.truncate(random.usize(0..zip.len())),
        2 => damaged.extend((0..random.usize(1..100)).map(|_| random.u8(..))),
        _ => {
            let mut made = good.clone();
            let n = made.members.len();
            let (a, b) = (random.usize(0..n), random.usize(0..n - 1));
            // The bytes of two members that are not the same.
            let b = if b >= a { b + 1 } else { b };
            if made.members[a].1 == made.members[b].1 {
                made.members.swap(a, b);
            } else {
                let bytes = std::mem::take(&mut made.members[a].1);
                let other = std::mem::replace(&mut made.members[b].1, bytes);
                made.members[a].1 = other;
            }
            damaged = made.zip();
        }
    }
    damaged
}

/// Bytes changed in the file where it lies, one at a time: 4 of a bundle of 13 MB, 200 of one of more than 1 GiB with
/// `JIJIA_LONG=1` (of the photos about two in three are in the bundle).
#[test]
fn one_byte_of_a_bundle_of_a_gigabyte() {
    let (photo_bytes, n) = if is_long() { (1_700 << 20, 200) } else { (16 << 20, 4) };
    let made = make(Shape { log: 4_000, permille: 500, photo_bytes, ..SMALL });
    let mut archive = Archive::new(tempfile::tempfile().unwrap());
    for (name, bytes) in &made.members {
        archive.add(Member::of(name, bytes), &bytes[..]).unwrap();
    }
    drop(made);
    let file = archive.finish().unwrap();
    let length = file.metadata().unwrap().len();
    let judged = || {
        (&file).rewind().unwrap();
        verify(&file, &Trusted::default()).unwrap().exit_code()
    };
    assert_eq!(judged(), OWN_KEY);
    let mut random = crate::fault::chance("gigabyte");
    for _ in 0..n {
        let at = random.u64(..length);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << random.u8(..8))], at).unwrap();
        assert!(matches!(judged(), 1 | 2), "byte {at} of {length}");
        file.write_all_at(&byte, at).unwrap();
    }
    assert_eq!(judged(), OWN_KEY, "every byte was put back");
    println!("{n} bytes of {length} found (95 %: fewer than 3/{n} missed)");
}

//! Good bundles are good to both verifiers, and everything that can be wrong with one is found by both.

use std::io::Write;
use std::process::Command;

use jijia::evidence::bundle::archive::{Archive, Member};
use jijia::evidence::bundle::{self, Photos};
use jijia::evidence::note::{Kind, SignerKey};
use jijia::evidence::verify::{Trusted, Verdict, verify};

use crate::bundle_sample::{Made, ORIGIN, Shape, Twist, make};
use crate::cli::jijia;

pub const SMALL: Shape = Shape {
    seed: 7,
    log: 9,
    permille: 700,
    photo_bytes: 60,
    photos: Photos::Originals,
    twist: Twist::None,
    witnesses: 1,
};

/// The exit code of a bundle that only its own key vouches for.
pub const OWN_KEY: u8 = 3;

/// The exit code of the verifier in this process.
pub fn code(zip: &[u8]) -> u8 {
    verify(zip, &Trusted::default()).unwrap().exit_code()
}

/// The exit code of the second verifier, by a Python with the packages of tests/requirements.txt (tests/run makes one).
pub fn python(zip: &[u8], args: &[String]) -> i32 {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(zip).unwrap();
    let out = Command::new("python3").arg("tests/verify.py").arg(file.path()).args(args).output().unwrap();
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    out.status.code().unwrap()
}

fn codes(verdict: &Verdict) -> Vec<&'static str> {
    match verdict {
        Verdict::Broken(findings, _) => findings.iter().map(|f| f.code).collect(),
        _ => Vec::new(),
    }
}

/// 20 in CI, 1,000 with JIJIA_LONG=1.
#[test]
fn good_bundles_of_every_shape_raise_no_alarm() {
    let long = std::env::var_os("JIJIA_LONG").is_some();
    let rounds = if long { 1000 } else { 20 };
    let (mut erased, mut withheld) = (0, 0);
    for seed in 0..rounds {
        let mut random = fastrand::Rng::with_seed(seed);
        let made = make(Shape {
            seed,
            log: random.u64(0..60),
            permille: random.u64(0..=1000),
            photo_bytes: random.usize(0..20_000),
            photos: if random.bool() { Photos::Originals } else { Photos::Copies },
            twist: Twist::None,
            witnesses: random.u8(0..3),
        });
        let zip = made.zip();
        let verdict = verify(&zip[..], &Trusted::default()).unwrap();
        let Verdict::Good(proved) = &verdict else { panic!("seed {seed}: {}", verdict.words()) };
        erased += proved.erased;
        withheld += proved.withheld;
        if seed < 100 {
            assert_eq!(python(&zip, &[]), i32::from(OWN_KEY), "seed {seed}");
        }
    }
    // What was erased by law, and what is not disclosed, breaks no proof.
    assert!(erased > 0 && withheld > 0, "{erased}, {withheld}");
    println!("{rounds} good bundles, no false alarm (95 %: below 3/{rounds})");
}

/// Sealed by the log's own key, and yet found.
#[test]
fn a_copy_that_is_not_the_one_its_entry_names_is_found() {
    let shape = Shape { log: 40, permille: 1000, photo_bytes: 4000, photos: Photos::Copies, ..SMALL };
    let zip = make(Shape { twist: Twist::OtherCopy, ..shape }).zip();
    let found = codes(&verify(&zip[..], &Trusted::default()).unwrap());
    assert!(!found.is_empty() && found.iter().all(|code| *code == "copy"), "{found:?}");
    assert_eq!(python(&zip, &[]), 1);
    let zip = make(shape).zip();
    let verdict = verify(&zip[..], &Trusted::default()).unwrap();
    let Verdict::Good(proved) = &verdict else { panic!("{}", verdict.words()) };
    assert!(proved.copies > 0 && verdict.words().contains("副本哈希在条目里"), "{}", verdict.words());
    assert_eq!(python(&zip, &[]), i32::from(OWN_KEY));
}

#[test]
fn a_time_that_falls_is_found_unless_the_entry_says_so() {
    let zip = make(Shape { twist: Twist::ClockBack { said: false }, ..SMALL }).zip();
    assert_eq!(codes(&verify(&zip[..], &Trusted::default()).unwrap()), ["clock"]);
    assert_eq!(python(&zip, &[]), 1);
    let zip = make(Shape { twist: Twist::ClockBack { said: true }, ..SMALL }).zip();
    let verdict = verify(&zip[..], &Trusted::default()).unwrap();
    let Verdict::Good(proved) = &verdict else { panic!("{}", verdict.words()) };
    assert_eq!(proved.clock_falls, 1);
    assert!(verdict.words().contains("1 处接收时间早于前一条"), "{}", verdict.words());
    assert_eq!(python(&zip, &[]), i32::from(OWN_KEY));
}

#[test]
fn the_command_says_what_is_proved_and_by_which_key() {
    let made = make(SMALL);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("证据包.zip");
    std::fs::write(&file, made.zip()).unwrap();
    let run = |args: &[&str]| {
        let out = jijia(&["verify", file.to_str().unwrap()]).args(args).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    };
    let (code, said) = run(&[]);
    assert_eq!(code, i32::from(OWN_KEY), "{said}");
    for words in
        ["结论 [unknown-key]", "只用包里自带的密钥核对", "已证 [proved]", "未证 [truth]", "witness0.test 于"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let (log, witness) = (made.log.verifier().to_string(), made.witnesses[0].verifier().to_string());
    let (code, said) = run(&["--key", &log, "--witness", &witness]);
    assert!(code == 0 && said.contains("用您给的密钥核对") && said.contains("结论 [good]"), "{said}");
    assert_eq!(python(&made.zip(), &["--key".into(), log.clone(), "--witness".into(), witness]), 0);
    let other = SignerKey::generate(ORIGIN, Kind::Ed25519).unwrap().verifier().to_string();
    let (code, said) = run(&["--key", &other]);
    assert!(code == 1 && said.contains("发现 [key]"), "{said}");
    assert_eq!(python(&made.zip(), &["--key".into(), other]), 1);
    let (code, said) = run(&["--witness", &log]);
    assert!(code == 1 && said.contains("发现 [witness]"), "{said}");
    assert_eq!(python(&made.zip(), &["--witness".into(), log]), 1);
    std::fs::write(&file, "PK\u{3}\u{4} of another kind").unwrap();
    let (code, said) = run(&[]);
    assert!(code == 2 && said.contains("不是证据包"), "{said}");
}

/// A change, the code that says it.
type Change = (&'static str, Box<dyn Fn(&mut Made)>);

fn replace(name: &'static str, from: &'static str, to: &'static str) -> Box<dyn Fn(&mut Made)> {
    Box::new(move |made| {
        let bytes = made.member(name);
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{name}: {text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
    })
}

fn changes() -> Vec<Change> {
    let swap = |a: usize, b: usize| Box::new(move |m: &mut Made| m.members.swap(a, b));
    let last = |m: &Made| m.members.len() - 1;
    vec![
        ("file-length", replace("entries.jsonl", "\"v\":2", "\"v\": 2")),
        ("manifest", replace("manifest.json", "\"demo\":false", "\"demo\": false")),
        ("manifest", replace("manifest.json", "jijia-bundle@v1", "jijia-bundle@v2")),
        ("seal", replace("manifest.json", "吉家湖", "古家湖")),
        ("manifest", replace("manifest.json", "00.5Z", "00.50Z")),
        ("payload-form", replace("payloads.jsonl", "\"salt\":\"", "\"salt\":\"0")),
        ("payload-form", replace("payloads.jsonl", "{", "{ ")),
        ("reading-form", replace("readings.jsonl", "\"row\":[", "\"row\":[ ")),
        ("line-end", Box::new(|m| m.member("entries.jsonl").truncate(100))),
        ("entry-count", Box::new(|m| m.member("entries.jsonl").push(b'\n'))),
        ("seal-form", replace("seal/entry.tlog-proof", "index ", "index 0")),
        ("seal-form", replace("seal/entry.tlog-proof", "index ", "extra AAAA\nindex ")),
        ("seal", replace("seal/entry.json", "\"zip\"", "\"pdf\"")),
        ("keys", replace("seal/keys.txt", ORIGIN, "jijia.test/other")),
        ("keys", Box::new(|m| m.member("seal/keys.txt").push(b'\n'))),
        (
            "signature-unknown",
            Box::new(|m| {
                let line = "— sm2.example/log AAAAAAAAAAAA\n".as_bytes().to_vec();
                m.member("seal/entry.tlog-proof").extend(line);
            }),
        ),
        (
            "signature-unknown",
            Box::new(|m| {
                let keys = m.member("seal/keys.txt");
                *keys = [keys.clone(), keys.clone()].concat();
            }),
        ),
        ("too-long", Box::new(|m| m.member("seal/proofs.bin").extend([0; 32]))),
        ("proof", Box::new(|m| m.member("seal/proofs.bin").truncate(32))),
        ("member-missing", Box::new(move |m| drop(m.members.remove(last(m))))),
        ("member-unknown", Box::new(|m| drop(m.members.remove(5)))),
        ("member-unknown", Box::new(|m| m.members.insert(5, ("../etc/passwd".into(), vec![1])))),
        ("member-unknown", swap(2, 3)),
        ("member-twice", Box::new(|m| m.members.insert(3, m.members[2].clone()))),
        ("container", Box::new(|m| m.members.push(("more.txt".into(), Vec::new())))),
    ]
}

#[test]
fn what_is_written_otherwise_added_or_left_out_is_found_by_both() {
    for (n, (expected, change)) in changes().iter().enumerate() {
        let mut made = make(SMALL);
        change(&mut made);
        let zip = made.zip();
        let verdict = verify(&zip[..], &Trusted::default()).unwrap();
        assert!(codes(&verdict).contains(expected), "{n}, {expected}: {}", verdict.words());
        assert_eq!(python(&zip, &[]), 1, "{n}, {expected}");
    }
    let zip = make(SMALL).zip();
    for (expected, zip) in [
        ("trailing", [&zip[..], b"\0"].concat()),
        ("truncated", zip[..zip.len() - 1].to_vec()),
        ("truncated", zip[..zip.len() / 2].to_vec()),
    ] {
        assert_eq!(codes(&verify(&zip[..], &Trusted::default()).unwrap())[0], expected);
        assert_eq!(python(&zip, &[]), 1, "{expected}");
    }
    for zip in [&b""[..], &zip[..39], b"%PDF-1.7 and so on, which is no bundle at all"] {
        assert_eq!((code(zip), python(zip, &[])), (2, 2));
    }
}

/// Another writer's container with the same members: readable to every unzip, and not the one form.
#[test]
fn another_encoding_of_the_same_content_is_found() {
    use zip::write::SimpleFileOptions;
    let made = make(SMALL);
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let mut other = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in &made.members {
            other.start_file(name.clone(), SimpleFileOptions::default().compression_method(method)).unwrap();
            other.write_all(bytes).unwrap();
        }
        let zip = other.finish().unwrap().into_inner();
        assert_eq!((code(&zip), python(&zip, &[])), (1, 1), "{method}");
    }
}

/// 10,000 entries and 500 photos of 200 MB in all; the time is printed, the memory is the pass.
#[test]
fn a_large_bundle_is_read_in_one_pass() {
    let long = std::env::var_os("JIJIA_LONG").is_some();
    let (log, photo_bytes) = if long { (20_000, 200 << 20) } else { (2_000, 8 << 20) };
    let made = make(Shape { log, permille: 500, photo_bytes, ..SMALL });
    let mut archive = Archive::new(tempfile::tempfile().unwrap());
    for (name, bytes) in &made.members {
        archive.add(Member::of(name, bytes), &bytes[..]).unwrap();
    }
    let mut file = archive.finish().unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let begun = std::time::Instant::now();
    let verdict = verify(&file, &Trusted::default()).unwrap();
    let Verdict::Good(proved) = verdict else { panic!("{}", verdict.words()) };
    let entries = proved.manifest.as_ref().unwrap().entries.len();
    println!("{entries} entries, {} photos in {:?}", proved.photos, begun.elapsed());
    assert_eq!(made.members.len() as u64, 5 + 4 + proved.documents + photos_here(&made));
}

fn photos_here(made: &Made) -> u64 {
    made.members.iter().filter(|(name, _)| name.starts_with("photos/")).count() as u64
}

#[test]
fn names_of_the_format_are_what_the_description_says() {
    assert_eq!(Photos::Originals.member("ab", "image/heic").as_deref(), Some("photos/ab.heic"));
    assert_eq!(Photos::Copies.member("ab", "image/png").as_deref(), Some("copies/ab.jpg"));
    assert_eq!(Photos::Copies.member("ab", "image/heic"), None);
    assert_eq!(bundle::document_member("docx"), "documents/timeline.docx");
}

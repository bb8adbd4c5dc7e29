//! Bundles over a log made of chance: reports with payloads, photos, batches of observations, documents, an erasure.

use std::collections::BTreeMap;

use jijia::evidence::bundle::archive::{Archive, Member};
use jijia::evidence::bundle::lines::{PayloadLine, ReadingLine, line};
use jijia::evidence::bundle::{self, FileLine, Manifest, Photos};
use jijia::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use jijia::evidence::entry::{Entry, Kind as Said, Payload};
use jijia::evidence::merkle::{Hash, leaf_hash};
use jijia::evidence::note::{Kind, SignerKey};
use jijia::evidence::proof::{Stored, inclusion, root};
use jijia::evidence::tlog_proof::TlogProof;
use jijia::water::observation::{NewObservation, Processing, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub const ORIGIN: &str = "jijia.test/evidence";

/// What a bundle is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub seed: u64,
    /// Entries of the log before the bundle.
    pub log: u64,
    /// Of them, about this many in a thousand are in the bundle.
    pub permille: u64,
    /// Bytes of all photos, about.
    pub photo_bytes: usize,
    pub photos: Photos,
    pub twist: Twist,
    pub witnesses: u8,
}

/// What is not as usual in a log, though its own key seals it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Twist {
    None,
    /// Copies are not those that their entries name.
    OtherCopy,
    /// The last report came an hour before the one before it by the clock; whether its entry says so.
    ClockBack {
        said: bool,
    },
}

/// A bundle in parts; [`Made::zip`] puts it together.
#[derive(Clone)]
pub struct Made {
    pub members: Vec<(String, Vec<u8>)>,
    pub log: SignerKey,
    pub witnesses: Vec<SignerKey>,
}

impl Made {
    /// The container over the members as they are now.
    pub fn zip(&self) -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        for (name, bytes) in &self.members {
            archive.add(Member::of(name, bytes), &bytes[..]).unwrap();
        }
        archive.finish().unwrap()
    }

    pub fn member(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.members.iter_mut().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1
    }
}

/// The log as it grows, and what of it goes into the bundle.
struct Lake {
    random: fastrand::Rng,
    leaves: Vec<Hash>,
    entries: BTreeMap<u64, Vec<u8>>,
    payloads: Vec<u8>,
    readings: Vec<u8>,
    /// Name, bytes.
    files: BTreeMap<String, Vec<u8>>,
    shape: Shape,
}

impl Lake {
    fn add(&mut self, entry: Vec<u8>, taken: bool) -> u64 {
        let index = self.leaves.len() as u64;
        self.leaves.push(leaf_hash(&entry));
        if taken {
            self.entries.insert(index, entry);
        }
        index
    }

    fn text(&mut self) -> String {
        let words = ["管口有水流出", "泡沫\n漂移", "\"quoted\\\"", "\u{1}\t\u{7f}", "🌊 ü", ""];
        (0..self.random.usize(0..4)).map(|_| words[self.random.usize(0..words.len())]).collect()
    }

    fn append(&mut self, received_at: &str, said: Said, payloads: &[Payload], taken: bool) -> u64 {
        let entry = Entry::new(received_at.parse().unwrap(), said, payloads);
        self.add(entry.to_bytes().unwrap(), taken)
    }

    fn hex(&mut self) -> String {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        hex::encode(bytes)
    }

    fn report(&mut self, photos: Vec<String>, taken: bool) {
        let mut salt = [0; 16];
        self.random.fill(&mut salt);
        let digest = self.hex();
        let mut body = hex::decode(digest).unwrap();
        body[0] = 0xff;
        let texts = [("body", body), ("name", self.text().into()), ("record", self.text().into())];
        let payloads = texts.map(|(name, body)| Payload { name, salt, body });
        let id = Uuid::from_u128(self.random.u128(..));
        let index =
            self.append("2026-07-14T01:00:00Z", Said::Report { id, patrol: None, photos }, &payloads, taken);
        let mut open = Vec::new();
        for p in payloads {
            if p.name == "name" || self.random.u8(..) < 20 {
                open.push(p.name);
            } else if taken {
                let one = line(&PayloadLine::new(index, p.name, &p.salt, p.body)).unwrap();
                self.payloads.extend(one);
            }
        }
        if taken && open.contains(&"record") {
            let erasure = format!(r#"{{"type":"erasure","v":1,"target":{index},"name":"record"}}"#);
            self.add(erasure.into_bytes(), true);
        }
    }

    fn photo(&mut self, taken: bool) -> String {
        let length =
            self.random.usize(1..=2 * self.shape.photo_bytes * 4 / self.shape.log.max(1) as usize + 2);
        let mut bytes = vec![0; length];
        self.random.fill(&mut bytes);
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let types = ["image/jpeg", "image/png", "image/webp", "image/heic"];
        let media_type = types[self.random.usize(0..4)];
        let made = if self.shape.twist == Twist::OtherCopy { b"another" } else { &bytes[..length / 2] };
        let copy =
            (media_type != "image/heic" && self.random.bool()).then(|| hex::encode(Sha256::digest(made)));
        let said = Said::Photo {
            sha256: sha256.clone(),
            bytes: bytes.len() as u64,
            media_type: media_type.into(),
            width: None,
            height: None,
            copy: copy.clone(),
        };
        let index = self.append("2026-07-14T01:00:03.456Z", said, &[], taken);
        if taken && self.random.u8(0..8) == 0 {
            let erasure = format!(r#"{{"type":"erasure","v":1,"target":{index},"name":"photo"}}"#);
            self.add(erasure.into_bytes(), true);
            return sha256;
        }
        if let Some(name) = self.shape.photos.member(&sha256, media_type).filter(|_| taken) {
            if self.shape.photos == Photos::Copies {
                bytes.truncate(length / 2);
            }
            self.files.insert(name, bytes);
        }
        sha256
    }

    fn batch(&mut self, taken: bool) {
        let count = self.random.u64(1..30);
        let rows: Vec<Vec<u8>> = (0..count).map(|n| self.row(n)).collect();
        let stored = Stored::over(rows.iter().map(|r| leaf_hash(r)).collect());
        let said = Said::Observations {
            id: None,
            source: "mqtt:lake".into(),
            count,
            first: "2026-07-14T00:00:00Z".parse().unwrap(),
            last: "2026-07-14T01:00:00Z".parse().unwrap(),
            root: hex::encode(root(count, stored.read()).unwrap()),
            dead: None,
        };
        let index = self.append("2026-07-14T01:00:00Z", said, &[], taken);
        for (pos, row) in (0..).zip(rows) {
            if taken && self.random.bool() {
                let path = inclusion(pos, count, stored.read()).unwrap();
                self.readings.extend(line(&ReadingLine::new(index, pos, row, &path).unwrap()).unwrap());
            }
        }
    }

    fn row(&mut self, n: u64) -> Vec<u8> {
        let value = self.random.u32(0..9999);
        let o = NewObservation {
            station: "JJH-S1\"".into(),
            property: "do".into(),
            unit: "mg/L".into(),
            processing: Processing::Raw,
            at_ms: 1_787_360_400_000 + n as i64,
            value: Value::from_text(f64::from(value), &format!("{value}.0")),
            mark: self.random.bool().then(|| "探头\n离水".into()),
        };
        let mut row = Vec::new();
        o.canonical(&mut row);
        row
    }

    fn document(&mut self, format: &str) {
        let bytes: Vec<u8> = (0..self.random.usize(0..200)).map(|_| self.random.u8(..)).collect();
        let filter = Payload { name: "filter", salt: [9; 16], body: "全湖".into() };
        let said = Said::Export {
            format: format.into(),
            sha256: hex::encode(Sha256::digest(&bytes)),
            log_size: self.leaves.len() as u64,
            rules: None,
        };
        let index = self.append("2026-07-15T01:00:00Z", said, std::slice::from_ref(&filter), true);
        self.payloads.extend(line(&PayloadLine::new(index, "filter", &filter.salt, filter.body)).unwrap());
        self.files.insert(bundle::document_member(format), bytes);
    }

    fn fill(&mut self) {
        while (self.leaves.len() as u64) < self.shape.log {
            let taken = self.random.u64(0..1000) < self.shape.permille;
            match self.random.u8(0..4) {
                0 => self.batch(taken),
                1 => self.report(Vec::new(), taken),
                2 => {
                    let photos = vec![self.photo(taken), self.hex()];
                    self.report(photos, taken);
                }
                _ => drop(self.photo(taken)),
            }
        }
        if let Twist::ClockBack { said } = self.shape.twist {
            for (at, behind_s) in [("2026-07-14T02:00:00Z", None), ("2026-07-14T01:00:00Z", Some(3600))] {
                let report = Said::Report { id: Uuid::nil(), patrol: None, photos: Vec::new() };
                let mut entry = Entry::new(at.parse().unwrap(), report, &[]);
                entry.clock_behind_s = behind_s.filter(|_| said);
                self.add(entry.to_bytes().unwrap(), true);
            }
        }
        for format in bundle::DOCUMENTS {
            if self.random.bool() {
                self.document(format);
            }
        }
    }

    fn manifest(&self, head: &[(String, Vec<u8>)]) -> Manifest {
        let of = |(name, bytes): (&String, &Vec<u8>)| FileLine {
            name: name.clone(),
            bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)),
        };
        let documents = |(name, _): &(&String, &Vec<u8>)| name.starts_with("documents/");
        let (documents, photos): (Vec<_>, Vec<_>) = self.files.iter().partition(documents);
        let files = head.iter().map(|(n, b)| (n, b)).chain(photos).chain(documents).map(of).collect();
        Manifest {
            format: bundle::FORMAT.into(),
            origin: ORIGIN.into(),
            place: "吉家湖".into(),
            demo: self.shape.seed.is_multiple_of(2),
            filter: "3号排口（JJH-PK-0003）；全部时间".into(),
            cut_off: "2026-07-15T00:00:00.5Z".into(),
            photos: self.shape.photos,
            entries: self.entries.keys().copied().collect(),
            files,
        }
    }
}

pub fn make(shape: Shape) -> Made {
    let random = fastrand::Rng::with_seed(shape.seed);
    let mut lake = Lake {
        random,
        leaves: Vec::new(),
        entries: BTreeMap::new(),
        payloads: Vec::new(),
        readings: Vec::new(),
        files: BTreeMap::new(),
        shape,
    };
    lake.fill();
    let mut lines = Vec::new();
    for entry in lake.entries.values() {
        lines.extend_from_slice(entry);
        lines.push(b'\n');
    }
    let mut head: Vec<(String, Vec<u8>)> = vec![
        (bundle::README.into(), "证据包。核对：jijia verify FILE.zip\n".into()),
        (bundle::ENTRIES.into(), lines),
        (bundle::PAYLOADS.into(), std::mem::take(&mut lake.payloads)),
        (bundle::READINGS.into(), std::mem::take(&mut lake.readings)),
    ];
    let manifest = serde_json::to_vec(&lake.manifest(&head)).unwrap();
    let sealed = seal(&mut lake, &manifest);
    head.insert(1, (bundle::MANIFEST.into(), manifest));
    let files: Vec<(String, Vec<u8>)> = std::mem::take(&mut lake.files).into_iter().collect();
    let (documents, photos): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(n, _)| n.starts_with("documents/"));
    head.extend(photos.into_iter().chain(documents).chain(sealed.members));
    Made { members: head, ..sealed }
}

/// The bundle's own entry, some more behind it, and the checkpoint over all.
fn seal(lake: &mut Lake, manifest: &[u8]) -> Made {
    let own = Said::Export {
        format: "zip".into(),
        sha256: hex::encode(Sha256::digest(manifest)),
        log_size: lake.leaves.len() as u64,
        rules: None,
    };
    let own = Entry::new("2026-07-15T01:00:01Z".parse().unwrap(), own, &[]).to_bytes().unwrap();
    let index = lake.add(own.clone(), false);
    for _ in 0..lake.random.u32(0..5) {
        lake.batch(false);
    }
    let size = lake.leaves.len() as u64;
    let stored = Stored::over(lake.leaves.clone());
    let log = SignerKey::generate(ORIGIN, Kind::Ed25519).unwrap();
    let root = root(size, stored.read()).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root, extensions: Vec::new() };
    let mut checkpoint = SignedCheckpoint::sign(checkpoint, &log).unwrap();
    let named = |n| SignerKey::generate(&format!("witness{n}.test"), Kind::Cosignature).unwrap();
    let witnesses: Vec<SignerKey> = (0..lake.shape.witnesses).map(named).collect();
    let mut keys = format!("{}\n", log.verifier());
    for witness in &witnesses {
        checkpoint.add(checkpoint.cosign(witness, "2026-07-15T01:00:02Z".parse().unwrap()).unwrap());
        keys += &format!("{}\n", witness.verifier());
    }
    let prove = |index| inclusion(index, size, stored.read()).unwrap();
    let proof = TlogProof { extra: None, index, hashes: prove(index), checkpoint };
    let proofs: Vec<Hash> = lake.entries.keys().flat_map(|index| prove(*index)).collect();
    let members = vec![
        (bundle::SEAL_ENTRY.into(), own),
        (bundle::SEAL_PROOF.into(), proof.to_string().into_bytes()),
        (bundle::SEAL_KEYS.into(), keys.into_bytes()),
        (bundle::SEAL_PROOFS.into(), proofs.concat()),
    ];
    Made { members, log, witnesses }
}

//! The seal: the bundle's own entry, the checkpoint, and the proofs of all entries against it.

use std::collections::BTreeSet;
use std::io::Read;

use serde::Deserialize;

use super::content::Facts;
use super::scan::{Found, Scan, Stop};
use super::{Proved, Trusted};
use crate::error::Result;
use crate::evidence::bundle::{Manifest, SEAL_ENTRY, SEAL_KEYS, SEAL_PROOF, SEAL_PROOFS, proof_length};
use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::merkle::leaf_hash;
use crate::evidence::note::{Kind, VerifierKey};
use crate::evidence::proof::verify_inclusion;
use crate::evidence::tlog_proof::TlogProof;

/// Longest member of the seal but the proofs, bytes.
const MOST: u64 = 1 << 20;
/// Hashes of the longest proof.
const PROOF_MOST: usize = 64;

/// The bundle's own entry.
#[derive(Deserialize)]
struct OwnEntry {
    #[serde(rename = "type")]
    kind: String,
    format: String,
    sha256: String,
}

/// What is sealed.
pub(super) struct Sealed<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) manifest_sha256: &'a str,
    pub(super) facts: &'a Facts,
}

impl Sealed<'_> {
    pub(super) fn check<R: Read>(
        &self,
        scan: &mut Scan<R>,
        trusted: &Trusted,
        found: &mut Found,
        proved: &mut Proved,
    ) -> std::result::Result<(), Stop> {
        let (entry, _) = scan.whole(SEAL_ENTRY, MOST)?;
        self.check_entry(&entry, found);
        let (text, _) = scan.whole(SEAL_PROOF, MOST)?;
        let proof = read_proof(&text)?;
        let checkpoint = &proof.checkpoint;
        let head = checkpoint.checkpoint();
        if head.origin != self.manifest.origin || !head.extensions.is_empty() {
            found.add("checkpoint", format!("检查点不是清单所说的日志 {} 的三行", self.manifest.origin));
        }
        if self.manifest.entries.last().is_some_and(|last| *last >= proof.index) {
            found.add("seal", "封条的条目不在所有条目之后");
        }
        if verify_inclusion(&leaf_hash(&entry), proof.index, head.size, &proof.hashes, &head.root).is_err() {
            found.add("seal", format!("封条的条目 {} 不在检查点的日志里", proof.index));
        }
        let (text, _) = scan.whole(SEAL_KEYS, MOST)?;
        let keys = read_keys(&text)?;
        check_signatures(checkpoint, &keys, found, proved);
        check_trusted(checkpoint, trusted, found, proved);
        proved.checkpoint = Some(head.clone());
        proved.seal_index = proof.index;
        self.check_proofs(scan, head, found)
    }

    fn check_entry(&self, entry: &[u8], found: &mut Found) {
        match serde_json::from_slice::<OwnEntry>(entry) {
            Ok(own) if own.kind == "export" && own.format == "zip" => {
                if own.sha256 != self.manifest_sha256 {
                    found.add("seal", "清单的哈希与封条的条目所记的不符");
                }
            }
            _ => found.add("seal", format!("{SEAL_ENTRY} 不是证据包的条目")),
        }
    }

    /// Takes the proofs as they come: their lengths follow from index and size.
    fn check_proofs<R: Read>(
        &self,
        scan: &mut Scan<R>,
        head: &Checkpoint,
        found: &mut Found,
    ) -> std::result::Result<(), Stop> {
        let lengths = self.manifest.entries.iter().map(|index| proof_length(*index, head.size));
        let most: u64 = lengths.clone().map(|n| n.min(PROOF_MOST) as u64 * 32).sum();
        let (bytes, _) = scan.whole(SEAL_PROOFS, most)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if bytes.len() as u64 != most || !rest.is_empty() {
            let words = format!("{SEAL_PROOFS} 有 {} 字节，应当有 {most}", bytes.len());
            return Err(Stop::found("proof", words));
        }
        let mut left = hashes;
        let mut facts = self.facts.list.iter().peekable();
        for (index, length) in self.manifest.entries.iter().zip(lengths) {
            let (path, after) = left.split_at_checked(length).unwrap_or_default();
            left = after;
            // An entry that did not read was found already.
            let Some(fact) = facts.next_if(|f| f.index == *index) else { continue };
            if verify_inclusion(&fact.leaf, *index, head.size, path, &head.root).is_err() {
                found.add("proof", format!("不能证明条目 {index} 在检查点的日志里：条目或证明被改动"));
            }
        }
        Ok(())
    }
}

fn read_proof(text: &[u8]) -> std::result::Result<TlogProof, Stop> {
    let read = std::str::from_utf8(text).ok().and_then(|t| t.parse::<TlogProof>().ok());
    let read = read.filter(|p| p.extra.is_none() && p.to_string().as_bytes() == text);
    read.ok_or_else(|| Stop::found("seal-form", format!("{SEAL_PROOF} 不是规定的写法")))
}

fn read_keys(text: &[u8]) -> std::result::Result<Vec<VerifierKey>, Stop> {
    let lines = std::str::from_utf8(text).ok().and_then(|t| t.strip_suffix('\n'));
    let keys = lines.map(|lines| lines.split('\n').map(str::parse).collect::<Result<Vec<VerifierKey>>>());
    keys.and_then(Result::ok).ok_or_else(|| Stop::found("keys", format!("{SEAL_KEYS} 不是规定的写法")))
}

/// Every line of the checkpoint by the key in its place, and a log's among them.
fn check_signatures(
    checkpoint: &SignedCheckpoint,
    keys: &[VerifierKey],
    found: &mut Found,
    proved: &mut Proved,
) {
    let signatures = checkpoint.note().signatures();
    let of = |(key, line): (&VerifierKey, &crate::evidence::note::Signature)| {
        key.name() == line.name && key.id() == line.id
    };
    let distinct: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
    if keys.len() != signatures.len() || distinct.len() != keys.len() || !keys.iter().zip(signatures).all(of)
    {
        return found.add("signature-unknown", format!("检查点的签名行与 {SEAL_KEYS} 的密钥不是一一对应"));
    }
    for key in keys {
        let checked = match key.kind() {
            Kind::Ed25519 => checkpoint.verify(key).map(|()| proved.log_keys.push(key.clone())),
            Kind::Cosignature => {
                checkpoint.verify_cosigned(key).map(|at| proved.witnesses.push((key.clone(), at, false)))
            }
        };
        if checked.is_err() {
            found.add("signature", format!("{} 的签名不是对这个检查点的", key.name()));
        }
    }
    if proved.log_keys.is_empty() {
        found.add("signature", "检查点没有日志自己的签名");
    }
}

/// The keys that the caller brought.
fn check_trusted(checkpoint: &SignedCheckpoint, trusted: &Trusted, found: &mut Found, proved: &mut Proved) {
    if let Some(log) = &trusted.log {
        proved.key_given = proved.log_keys.contains(log) && checkpoint.verify(log).is_ok();
        if !proved.key_given {
            found.add("key", format!("检查点不是用您给的密钥 {log} 签的"));
        }
    }
    for witness in &trusted.witnesses {
        match proved.witnesses.iter_mut().find(|(key, ..)| key == witness) {
            Some((.., given)) => *given = true,
            None => found.add("witness", format!("没有您给的见证人 {witness} 的签名")),
        }
    }
}

//! Making a bundle (`evidence::bundle`): the documents first, then what they were made from, then the seal.

mod collect;
mod pack;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Format;
use super::export::{Office, add_document};
use crate::error::{Error, Result};
use crate::evidence::bundle::{self, FORMAT, FileLine, MANIFEST, Manifest, Photos};
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::entry::Receipt;
use crate::evidence::merkle::Hash;
use crate::evidence::note::VerifierKey;
use crate::evidence::proof::inclusion;
use crate::evidence::timeline::{Filter, Rules, Timeline};
use crate::evidence::tlog_proof::TlogProof;
use crate::lake::Place;
use crate::publish::Publisher;
use crate::store::{Store, off_thread, remove_durably};
use collect::Collected;
use pack::Part;

/// The documents of a bundle, in their order.
const DOCUMENTS: [Format; 3] = [Format::Docx, Format::Pdf, Format::Xlsx];
/// Bundles that are kept to be fetched, bytes in all: twenty of 10,000 entries with their photos.
const KEPT_MAX_BYTES: u64 = 4_000_000_000;
/// `读我.txt`.
const README: &str = include_str!("bundle/readme.txt");

/// What bundles are made with.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The store.
    pub store: Store,
    /// Signs the log.
    pub publisher: Publisher,
    /// The place in use.
    pub place: Arc<Place>,
    /// How a timeline is judged.
    pub rules: Arc<Rules>,
    /// What documents need.
    pub office: Office,
    /// Who asks for it, where that is not the shell.
    pub by: String,
}

/// A bundle that is finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Hex: what its own entry names.
    pub manifest_sha256: String,
    /// Its own entry.
    pub receipt: Receipt,
    /// Its length.
    pub bytes: u64,
}

/// Makes the bundle of `filter` at `path`. The file appears whole or not at all.
///
/// # Errors
/// `Invalid` for an unknown code or too long a period; `Conflict` if the log cannot be signed; `NoSpace`; `Internal` for
/// sealed photos or batches that are damaged, with their name; those of the disk and the store.
pub async fn make(desk: &Desk, filter: &Filter, photos: Photos, path: &Path) -> Result<Bundle> {
    let store = &desk.store;
    let timeline =
        Arc::new(store.get_timeline(filter, &desk.place, &desk.rules, desk.office.max_rows).await?);
    let folder = store.temporary_folder().await?;
    let mut documents = Vec::new();
    for format in DOCUMENTS {
        let file = folder.path().join(format!("timeline.{}", format.word()));
        let (office, by) = (&desk.office, desk.by.clone());
        let receipt = add_document(store, &desk.place, office, &timeline, file.clone(), by).await?;
        documents.push((receipt.index, Part::new(bundle::document_member(format.word()), file)));
    }
    // With the rules that all of them name.
    let made: Vec<u64> = documents.iter().map(|(index, _)| *index).chain(store.rules_index()).collect();
    let collected = collect::collect(store, &timeline, &made, folder.path()).await?;
    let mut parts = head_parts(folder.path()).await?;
    parts.extend(collected.photo_parts(store, photos));
    parts.extend(documents.into_iter().map(|(_, part)| part));
    let parts = off_thread(move || pack::measure(parts)).await?;
    let manifest = manifest(desk, &timeline, photos, &collected, &parts).await?;
    let sha256: Hash = Sha256::digest(&manifest).into();
    let receipt = store
        .add_export("zip", sha256, timeline.log_size, timeline.filter_words.clone(), desk.by.clone())
        .await?;
    // Crash from here on: the log has an entry of a bundle that nobody has; the next one has another.
    let sealed = seal(desk, &collected.indexes, receipt.index).await?;
    let bytes = pack::total(&parts) + manifest.len() as u64;
    if store.free_bytes().await.is_some_and(|free| free < bytes + pack::MARGIN_BYTES) {
        return Err(Error::NoSpace(format!(
            "the bundle has {bytes} bytes, and the disk has not so much left"
        )));
    }
    let to = path.to_owned();
    let bytes = off_thread(move || pack::write(&to, &parts, &manifest, &sealed)).await?;
    Ok(Bundle { manifest_sha256: hex::encode(sha256), receipt, bytes })
}

/// The members before the photos, but the manifest.
async fn head_parts(folder: &Path) -> Result<Vec<Part>> {
    let readme = folder.join("readme");
    tokio::fs::write(&readme, README).await?;
    let part = |name: &str| Part::new(name.to_owned(), folder.join(name));
    Ok(vec![
        Part::new(bundle::README.to_owned(), readme),
        part(bundle::ENTRIES),
        part(bundle::PAYLOADS),
        part(bundle::READINGS),
    ])
}

async fn manifest(
    desk: &Desk,
    timeline: &Timeline,
    photos: Photos,
    collected: &Collected,
    parts: &[Part],
) -> Result<Vec<u8>> {
    let file = |part: &Part| FileLine {
        name: part.member.name.clone(),
        bytes: part.member.bytes,
        sha256: part.sha256.clone(),
    };
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        origin: desk.publisher.verifier().await?.name().to_owned(),
        place: timeline.place.clone(),
        demo: timeline.demo,
        filter: timeline.filter_words.clone(),
        cut_off: timeline.cut_off.to_string(),
        photos,
        entries: collected.indexes.clone(),
        files: parts.iter().map(file).collect(),
    };
    serde_json::to_vec(&manifest).map_err(|e| Error::Internal(format!("{MANIFEST}: {e}")))
}

/// The members under `seal/`: the bundle's own entry at `index`, and the proofs of all against one checkpoint.
async fn seal(desk: &Desk, indexes: &[u64], index: u64) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let store = &desk.store;
    desk.publisher.publish().await?;
    desk.publisher.cosign().await;
    let missing = || Error::Internal(format!("entry {index} is not under a checkpoint"));
    let checkpoint = store.find_checkpoint_over(index).await?.ok_or_else(missing)?;
    let (checkpoint, keys) = known_lines(desk, &checkpoint).await?;
    let size = checkpoint.checkpoint().size;
    let all: Vec<u64> = indexes.iter().copied().chain([index]).collect();
    let mut paths: Vec<Vec<Hash>> =
        store.with_tiles(|read| all.iter().map(|i| inclusion(*i, size, &mut *read)).collect()).await?;
    let hashes = paths.pop().unwrap_or_default();
    let entry = store.list_bodies(&[index]).await?.pop().unwrap_or_default();
    let proof = TlogProof { extra: None, index, hashes, checkpoint };
    Ok(vec![
        (bundle::SEAL_ENTRY, entry),
        (bundle::SEAL_PROOF, proof.to_string().into_bytes()),
        (bundle::SEAL_KEYS, keys.into_bytes()),
        (bundle::SEAL_PROOFS, paths.concat().concat()),
    ])
}

/// The checkpoint with the lines whose keys are known here, and these keys in the order of the lines.
async fn known_lines(desk: &Desk, checkpoint: &SignedCheckpoint) -> Result<(SignedCheckpoint, String)> {
    // A checkpoint just before a change of the key is of the old one; a witness that is no longer asked is not known.
    let known = desk.publisher.known_keys().await?;
    let mut keys = String::new();
    let mut note = format!("{}\n", checkpoint.note().text());
    for line in checkpoint.note().signatures() {
        let of = |key: &&VerifierKey| key.name() == line.name && key.id() == line.id;
        if let Some(key) = known.iter().find(of) {
            keys += &format!("{key}\n");
            note += &line.to_string();
        }
    }
    Ok((note.parse()?, keys))
}

/// Removes the bundles that are older than `keep`, and the oldest of more than 4 GB. Somebody who reads one
/// goes on reading.
///
/// # Errors
/// Those of the disk.
pub async fn remove_old(store: &Store, keep: Duration) -> Result<()> {
    let folder = store.bundle_folder();
    off_thread(move || remove_old_of(&folder, keep)).await
}

fn remove_old_of(folder: &Path, keep: Duration) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        // What stands beside a bundle goes with it.
        if file.path().extension().is_none_or(|ending| ending != "zip") {
            continue;
        }
        let about = file.metadata()?;
        files.push((about.modified()?.elapsed().unwrap_or_default(), about.len(), file.path()));
    }
    files.sort();
    let mut bytes = 0;
    for (nth, (age, length, path)) in files.into_iter().enumerate() {
        bytes += length;
        // The newest stays, however large it is: somebody is about to fetch it.
        if age > keep || (nth > 0 && bytes > KEPT_MAX_BYTES) {
            for gone in [path.with_extension("json"), path] {
                match std::fs::remove_file(gone) {
                    // Another that was made at the same time has removed it.
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    done => done?,
                }
            }
        }
    }
    Ok(())
}

/// A bundle that is kept to be fetched, as the file beside it says. Its id is random and stands nowhere in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Who had it made.
    pub owner: String,
    /// The unit whose things are in it; none: the whole lake's.
    pub unit: Option<String>,
    /// Which form of the photos.
    pub photos: Photos,
    /// SHA-256 of its manifest, hex, as its entry says.
    pub manifest_sha256: String,
}

/// The bundle `id` while it is kept, and where it lies; `None` for what is no id.
///
/// # Errors
/// Those of the disk.
pub async fn find_kept(store: &Store, id: &str) -> Result<Option<(Kept, PathBuf)>> {
    let Ok(id) = id.parse::<Uuid>() else { return Ok(None) };
    let folder = store.bundle_folder();
    let about = match tokio::fs::read(folder.join(format!("{id}.json"))).await {
        Ok(about) => about,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let about = serde_json::from_slice(&about).map_err(|e| Error::Internal(format!("bundle {id}: {e}")))?;
    Ok(Some((about, folder.join(format!("{id}.zip")))))
}

/// Makes a bundle that can be fetched for some days; gives its id too.
///
/// # Errors
/// As [`make`].
pub async fn keep(desk: &Desk, filter: &Filter, photos: Photos) -> Result<(Uuid, Bundle)> {
    // In tmp/, which the next start empties, until it is whole.
    let began = desk.store.log_head().await?.size;
    let folder = desk.store.temporary_folder().await?;
    let path = folder.path().join("bundle.zip");
    let made = make(desk, filter, photos, &path).await?;
    let about = Kept {
        owner: desk.by.clone(),
        unit: filter.unit.clone(),
        photos,
        manifest_sha256: made.manifest_sha256.clone(),
    };
    let about = serde_json::to_vec(&about).map_err(|e| Error::Internal(e.to_string()))?;
    let (id, to) = (Uuid::new_v4(), desk.store.bundle_folder());
    let zip = to.join(format!("{id}.zip"));
    let (from, kept) = (to.clone(), zip.clone());
    off_thread(move || {
        std::fs::create_dir_all(&from)?;
        Ok(std::fs::rename(&path, &kept)?)
    })
    .await?;
    // An erasure removes the bundles that lie there when its entry stands: this one does, or sees the entry.
    if desk.store.has_erased_since(began).await? {
        off_thread(move || remove_durably(&zip)).await?;
        return Err(Error::Unavailable(
            "something was erased by law meanwhile; make the bundle again".into(),
        ));
    }
    off_thread(move || {
        let beside = folder.path().join("bundle.json");
        std::fs::write(&beside, about)?;
        // Crash before this line: a file whose owner nobody knows, which nobody gets and which goes with its age.
        Ok(std::fs::rename(&beside, to.join(format!("{id}.json")))?)
    })
    .await?;
    Ok((id, made))
}

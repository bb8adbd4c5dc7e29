//! Voice notes (语音): gathered by `uploads`, sealed as photos are.

use super::reports::Added;
use super::sealed::{check_hash, known_file};
use super::tx::Tx;
use super::uploads::Upload;
use super::{Store, off_thread};
use crate::error::Result;
use crate::evidence::entry::{Kind, Payload, Sealed};
use crate::patrol::voice::{self, Voice};

impl Store {
    /// Seals a voice note of which all has come: file, then entry. Sent again it gives the first receipt.
    ///
    /// # Errors
    /// `Invalid` for a wrong hash, `Unsupported` and `TooLarge` for what is not a recording within the limit; then
    /// nothing is kept.
    pub async fn add_voice(&self, upload: Upload, sha256_hex: &str, by: String) -> Result<Added> {
        let upload = self.unless_erased(Sealed::Voice, sha256_hex, upload).await?;
        let (hex, path) = (sha256_hex.to_owned(), self.sealed_path(Sealed::Voice, sha256_hex));
        let (part, bytes) = upload.into_part();
        let seal = move || {
            let bytes = part.read()?;
            let voice = match check_hash(&bytes, &hex).and_then(|()| voice::inspect(&bytes)) {
                Ok(voice) => voice,
                Err(wrong) => return part.remove().and(Err(wrong)),
            };
            part.seal(&path)?;
            Ok((part, hex, voice))
        };
        // The claim is held until the entry stands: whoever comes next finds it known.
        let (_claim, hex, voice) = off_thread(seal).await?;
        // Crash here: the sealed file has no entry yet; the phone sends again and this line is reached again.
        let received_at = self.clock.now();
        self.writer.run(move |tx| add_voice(tx, &hex, bytes, voice, received_at, by)).await
    }
}

fn add_voice(
    tx: &mut Tx<'_>,
    hex: &str,
    bytes: u64,
    voice: Voice,
    received_at: jiff::Timestamp,
    by: String,
) -> Result<Added> {
    if let Some(known) = known_file(tx, Sealed::Voice, hex)? {
        return Ok(known);
    }
    let Voice { media_type, duration_s } = voice;
    let (sha256, kind_of_file) = (hex.to_owned(), media_type.to_owned());
    let kind = Kind::Voice { sha256, bytes, media_type: kind_of_file, duration_s };
    let receipt = tx.append(received_at, kind, hex, &[Payload::new("by", by)?])?;
    tx.exec(
        "insert into voice (sha256, entry, media_type, bytes, duration_s) values (?1, ?2, ?3, ?4, ?5)",
        (hex::decode(hex).unwrap_or_default(), receipt.index, media_type, bytes, duration_s),
    )?;
    Ok(Added { receipt, new: true })
}

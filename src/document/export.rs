//! A timeline as a file: the one way for the page's buttons and the command line. The export is an entry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::brief::Brief;
use super::pdf::{PdfJob, render_in_child};
use super::{Format, Picture, Pictures, write_file};
use crate::error::Result;
use crate::evidence::entry::Receipt;
use crate::evidence::timeline::{Filter, Rules, Timeline};
use crate::lake::Place;
use crate::picture::{TimelinePictures, to_png};
use crate::store::{Store, off_thread};

/// Pixels of a picture's width in Word and Excel: 640 drawn pixels on 156 mm, sharp in print.
const PICTURE_WIDTH_PX: u32 = 1800;

/// What an export needs beside its filter.
#[derive(Clone, Debug)]
pub struct Office {
    /// Most sightings of one document.
    pub max_rows: u32,
    /// Folder with the office's own fonts.
    pub fonts_dir: Option<PathBuf>,
    /// This program, which renders PDF in a child of its own.
    pub program: PathBuf,
}

/// Writes the timeline of `filter` to `path`, in the format of its ending, and says so in the log; `by` is who asked for
/// it, where that was not the shell.
///
/// # Errors
/// `Invalid` for an unknown ending or code, or too long a period; those of the disk and the store.
pub async fn export(
    store: &Store,
    place: &Arc<Place>,
    rules: &Rules,
    office: &Office,
    filter: &Filter,
    path: PathBuf,
    by: String,
) -> Result<Receipt> {
    Format::of(&path)?;
    let timeline = Arc::new(store.get_timeline(filter, place, rules, office.max_rows).await?);
    add_document(store, place, office, &timeline, path, by).await
}

/// Writes `timeline` to `path`, in the format of its ending, and says so in the log.
///
/// # Errors
/// As [`export`].
pub(super) async fn add_document(
    store: &Store,
    place: &Arc<Place>,
    office: &Office,
    timeline: &Arc<Timeline>,
    path: PathBuf,
    by: String,
) -> Result<Receipt> {
    let format = Format::of(&path)?;
    let (words, log_size) = (timeline.filter_words.clone(), timeline.log_size);
    // Beside it, with its ending; what stood at `path` before stays until the entry is there.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let made = path.with_file_name(format!(".{}.{name}", std::process::id()));
    let new = made.clone();
    let (place, office, photos, timeline) = (place.clone(), office.clone(), store.clone(), timeline.clone());
    let write = move || {
        let drawn = TimelinePictures::of(&place, &timeline, Vec::new());
        let photo = |sha256: &str| Some(photos.preview_path(sha256)).filter(|p| p.is_file());
        if format == Format::Pdf {
            let brief = Brief::new(&timeline);
            let svg = (Some(drawn.map_svg), Some(drawn.chart_svg));
            let job = PdfJob::new(&brief, &timeline, svg, &photo, office.fonts_dir, new.clone());
            render_in_child(&office.program, &job)?;
        } else {
            write_with_pictures(&new, format, &timeline, &drawn, &photo)?;
        }
        Ok(Sha256::digest(std::fs::read(&new)?).into())
    };
    let sealed = async {
        let sha256 = off_thread(write).await?;
        let receipt = store.add_export(format.word(), sha256, log_size, words, by).await?;
        // Crash before the next line: an entry of a paper that nobody has; the older file is still there.
        tokio::fs::rename(&made, &path).await?;
        Ok(receipt)
    };
    let sealed = sealed.await;
    if sealed.is_err() {
        // Best effort: a paper without its entry is not to be handed on.
        let _ = tokio::fs::remove_file(&made).await;
    }
    sealed
}

fn write_with_pictures(
    path: &Path,
    format: Format,
    timeline: &Timeline,
    drawn: &TimelinePictures,
    photo: &dyn Fn(&str) -> Option<PathBuf>,
) -> Result<()> {
    let picture = |svg: &str| -> Result<Picture> {
        let png = to_png(svg, PICTURE_WIDTH_PX)?;
        let (width_px, height_px) = png_size(&png).unwrap_or((PICTURE_WIDTH_PX, PICTURE_WIDTH_PX));
        Ok(Picture { png, width_px, height_px })
    };
    let drawn = match format {
        Format::Docx => Some((picture(&drawn.map_svg)?, picture(&drawn.chart_svg)?)),
        _ => None,
    };
    let (map, chart) = drawn.unzip();
    let bytes = |sha256: &str| std::fs::read(photo(sha256)?).ok();
    write_file(path, timeline, &Pictures { map, chart, photo: &bytes })
}

/// Width and height from a PNG's header (IHDR stands at byte 16).
fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let at = |i: usize| Some(u32::from_be_bytes(png.get(i..i + 4)?.try_into().ok()?));
    Some((at(16)?, at(20)?))
}

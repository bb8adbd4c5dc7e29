//! Documents from a timeline: Word, Excel, CSV, GeoJSON. One content model ([`brief::Brief`]) is laid out by Word
//! and PDF, one ledger ([`table`]) by Excel and CSV, so the same words and numbers stand in all of them.

pub mod brief;
pub mod bundle;
pub mod docx;
mod docx_zip;
pub mod duty;
pub mod export;
pub mod geojson;
pub mod pdf;
pub mod plates;
pub mod table;
pub mod watermark;
mod words;
pub mod xlsx;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use crate::error::{Error, Result};
use crate::evidence::timeline::Timeline;

/// A picture that is already drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The PNG file.
    pub png: Vec<u8>,
    /// Width, pixels.
    pub width_px: u32,
    /// Height, pixels.
    pub height_px: u32,
}

/// The pictures a brief shows. What is not there is said in words, never left out silently.
pub struct Pictures<'a> {
    /// The map of the place.
    pub map: Option<Picture>,
    /// The chart of series and rain.
    pub chart: Option<Picture>,
    /// The viewers' copy of a photo (JPEG without EXIF, long edge ≤ 1000 pixels) by SHA-256 in hex.
    pub photo: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

/// The files a timeline can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Word, the meeting brief.
    Docx,
    /// PDF of the same brief.
    Pdf,
    /// Excel, the ledger.
    Xlsx,
    /// The ledger, gaps and rain as comma-separated values.
    Csv,
    /// Sightings on a map.
    Geojson,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Docx, Self::Pdf, Self::Xlsx, Self::Csv, Self::Geojson];

    /// The ending, and the word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Docx => "docx",
            Self::Pdf => "pdf",
            Self::Xlsx => "xlsx",
            Self::Csv => "csv",
            Self::Geojson => "geojson",
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Pdf => "application/pdf",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Geojson => "application/geo+json",
        }
    }

    /// By the ending of a file's name, in either case.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `output` that names the endings allowed.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "docx" => Ok(Self::Docx),
            "pdf" => Ok(Self::Pdf),
            "xlsx" => Ok(Self::Xlsx),
            "csv" => Ok(Self::Csv),
            "geojson" => Ok(Self::Geojson),
            _ => Err(Error::invalid(
                "output",
                format!(
                    "`{}`: allowed: .docx .pdf .xlsx .csv .geojson, at the shell also .zip",
                    path.display()
                ),
            )),
        }
    }
}

/// Writes `timeline` to `path` in the format of its ending. The file appears whole or not at all: it is written
/// beside its place, made durable and renamed.
///
/// # Errors
/// [`Error::Invalid`] for an unknown ending; those of the disk.
pub fn write_file(path: &Path, timeline: &Timeline, pictures: &Pictures<'_>) -> Result<()> {
    let format = Format::of(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = File::create(&part).map_err(Error::from).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(format, timeline, pictures, &mut out)?;
        out.into_inner().map_err(|e| Error::from(e.into_error()))?.sync_all()?;
        Ok(std::fs::rename(&part, path)?)
    });
    if written.is_err() {
        // Nothing to say if it was never there.
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn write(
    format: Format,
    timeline: &Timeline,
    pictures: &Pictures<'_>,
    out: &mut BufWriter<File>,
) -> Result<()> {
    match format {
        Format::Docx => docx::write(&brief::Brief::new(timeline), timeline, pictures, out),
        Format::Pdf => Err(Error::Internal("a PDF is rendered in a process of its own".into())),
        Format::Xlsx => xlsx::write(timeline, pictures, out),
        Format::Csv => table::write_csv(timeline, out),
        Format::Geojson => geojson::write(timeline, out),
    }
}

//! Photos as they arrive: what a file truly is, and the copy that viewers get.
//!
//! The original is sealed byte for byte elsewhere; here it is only read. A file is taken when its type is one of
//! four by its own bytes, its structure ends where the file ends, and (but for HEIC) every pixel decodes.
//!
//! Peak memory is twice the file and the decoded picture. A camera's JPEG takes 3 bytes a pixel (12 megapixels:
//! 78 MB in all), a progressive one 6 to 9 (12 megapixels with full colour: 123 MB), PNG 1 to 8, WebP 5 to 10; what
//! would take more than `Limits` affords is refused from its header. Decode one at a time.

pub(super) mod bmff;
pub(super) mod foreign;
mod jpeg;
mod png;
mod preview;
pub mod taken;
mod trailer;
mod webp;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use image::RgbImage;

use crate::error::{Error, Result};

/// Long edge of the viewers' copy, pixels: 1000 × 750 keeps a PDF of 40 photos under 200 MB of memory.
const PREVIEW_EDGE: u32 = 1000;
/// What is taken, in the words of an error message.
const ALLOWED: &str = "image/jpeg, image/png, image/webp, image/heic";

/// The largest photo that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the file.
    pub max_bytes: u64,
    /// Width times height. Three bytes of memory for each of these are the most that decoding may take.
    pub max_pixels: u64,
    /// Width, and height.
    pub max_side: u32,
}

/// What was found in a photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// `image/jpeg`, `image/png`, `image/webp` or `image/heic`, from the bytes, never from a name.
    pub media_type: &'static str,
    /// Pixels as stored in the file, before its EXIF orientation. `None`: a HEIC that does not say.
    pub width: Option<u32>,
    /// As `width`.
    pub height: Option<u32>,
    /// A JPEG of at most 1000 pixels on the long edge, upright, without any metadata.
    /// `None` for HEIC, which no well-kept permissive library decodes.
    pub preview: Option<Vec<u8>>,
}

/// Reads a photo whole: type, structure, limits, pixels.
///
/// Takes up to a second for 12 megapixels; call it where blocking is allowed.
///
/// # Errors
/// All name `photo`. `TooLarge`: over a limit (checked from the header, before any pixel is decoded).
/// `Unsupported`: not one of the four types, animated, or a coding that cameras do not use.
/// `Invalid`: cut off, damaged, or with something else before, inside or behind the picture.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Photo> {
    let (media_type, size, copy) = decode(bytes, limits, PREVIEW_EDGE)?;
    let preview = copy.as_ref().map(to_jpeg).transpose()?;
    Ok(Photo { media_type, width: size.map(|s| s.width), height: size.map(|s| s.height), preview })
}

/// The pixels of a photo, upright, at most `long_edge` of them on the long edge. `None` for HEIC.
///
/// # Errors
/// As [`inspect`].
pub fn copy(bytes: &[u8], limits: &Limits, long_edge: u32) -> Result<Option<RgbImage>> {
    Ok(decode(bytes, limits, long_edge)?.2)
}

/// A picture as JPEG, with no metadata at all.
///
/// # Errors
/// `Internal` if it cannot be encoded.
pub fn to_jpeg(picture: &RgbImage) -> Result<Vec<u8>> {
    preview::encode(picture)
}

type Decoded = (&'static str, Option<Size>, Option<RgbImage>);

fn decode(bytes: &[u8], limits: &Limits, long_edge: u32) -> Result<Decoded> {
    if bytes.len() as u64 > limits.max_bytes {
        return Err(too_large(format!("{} bytes; allowed: at most {} bytes", bytes.len(), limits.max_bytes)));
    }
    let media_type = media_type(bytes)?;
    if let Some(found) = foreign::second_format(bytes) {
        return Err(invalid(format!("the file is a picture and {found} at once; allowed: a picture alone")));
    }
    let (size, copy) = match media_type {
        "image/jpeg" => {
            let size = jpeg::inspect(bytes, limits)?;
            (Some(size), Some(preview::of_jpeg(bytes, size, limits, long_edge)?))
        }
        "image/png" => {
            let size = png::inspect(bytes, limits)?;
            (Some(size), Some(preview::of_png(bytes, size, limits, long_edge)?))
        }
        "image/webp" => {
            let size = webp::inspect(bytes, limits)?;
            (Some(size), Some(preview::of_webp(bytes, size, limits, long_edge)?))
        }
        _ => (bmff::inspect_heic(bytes, limits)?, None),
    };
    Ok((media_type, size, copy))
}

/// The type by magic bytes at the very start of the file.
fn media_type(bytes: &[u8]) -> Result<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Ok("image/jpeg"),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Ok("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok("image/webp"),
        _ if bmff::is_heic(bytes) => Ok("image/heic"),
        _ => Err(unsupported(format!("found {}; allowed: {ALLOWED}", foreign::name_of(bytes)))),
    }
}

/// Pixels of a picture, already within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// The size a header states, refused before anything is allocated for it.
    fn within(limits: &Limits, width: u32, height: u32) -> Result<Self> {
        if width == 0 || height == 0 {
            return Err(invalid(format!("{width} × {height} pixels; both must be at least 1")));
        }
        let pixels = u64::from(width) * u64::from(height);
        if pixels > limits.max_pixels {
            return Err(too_large(format!(
                "{width} × {height} = {pixels} pixels; allowed: at most {} pixels",
                limits.max_pixels
            )));
        }
        if width.max(height) > limits.max_side {
            return Err(too_large(format!(
                "{width} × {height} pixels; allowed: at most {} on a side",
                limits.max_side
            )));
        }
        Ok(Self { width, height })
    }

    /// Refuses a picture whose decoding takes more memory than three bytes for each pixel allowed.
    fn affords(self, bytes_per_pixel: u64, limits: &Limits) -> Result<()> {
        let needed = u64::from(self.width) * u64::from(self.height) * bytes_per_pixel;
        let allowed = limits.max_pixels.saturating_mul(3);
        if needed > allowed {
            let Self { width, height } = self;
            return Err(too_large(format!(
                "{width} × {height} pixels in this coding take {needed} bytes of memory; allowed: at most {allowed}"
            )));
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::invalid("photo", message)
}

fn cut_off(what: &str, at: usize) -> Error {
    invalid(format!("the {what} breaks off at byte {at}; send the whole file again"))
}

fn too_large(message: String) -> Error {
    Error::TooLarge { field: "photo".to_owned(), message }
}

fn unsupported(message: String) -> Error {
    Error::Unsupported { field: "photo".to_owned(), message }
}

/// Big-endian number at `at`, `None` past the end.
fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// Little-endian number at `at`, `None` past the end.
fn le_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

//! Every pixel decoded once, and the small upright copy without metadata that viewers get.

use std::io::Cursor;

use image::codecs::{jpeg::JpegDecoder, jpeg::JpegEncoder, png::PngDecoder, webp::WebPDecoder};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, RgbImage};

use super::{Limits, Result, Size, invalid, too_large, unsupported};
use crate::error::Error;

/// Long edge of the copy, pixels: 1000 × 750 keeps a PDF of 40 photos under 200 MB of memory.
const LONG_EDGE: u32 = 1000;
const QUALITY: u8 = 80;

pub(super) fn of_jpeg(bytes: &[u8], size: Size, limits: &Limits) -> Result<Vec<u8>> {
    let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|e| damaged("JPEG", &e))?;
    preview("JPEG", decoder, size, limits)
}

pub(super) fn of_png(bytes: &[u8], size: Size, limits: &Limits) -> Result<Vec<u8>> {
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), decoder_limits(limits));
    preview("PNG", decoder.map_err(|e| damaged("PNG", &e))?, size, limits)
}

pub(super) fn of_webp(bytes: &[u8], size: Size, limits: &Limits) -> Result<Vec<u8>> {
    let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|e| damaged("WebP", &e))?;
    preview("WebP", decoder, size, limits)
}

/// The library has no default for sides and a loose one for memory; both are set. Only the PNG decoder heeds the
/// memory, for what stands beside the pixels: a colour profile inflates to no more than a whole file.
fn decoder_limits(limits: &Limits) -> image::Limits {
    let mut set = image::Limits::default();
    set.max_image_width = Some(limits.max_side);
    set.max_image_height = Some(limits.max_side);
    set.max_alloc = Some(limits.max_bytes);
    set
}

fn preview<D: ImageDecoder>(format: &str, mut decoder: D, size: Size, limits: &Limits) -> Result<Vec<u8>> {
    decoder.set_limits(decoder_limits(limits)).map_err(|e| damaged(format, &e))?;
    // Two readers that disagree about the size disagree about the picture.
    if decoder.dimensions() != (size.width, size.height) {
        return Err(invalid(format!("damaged {format}: it states two sizes")));
    }
    size.affords(u64::from(decoder.color_type().bytes_per_pixel()), limits)?;
    let orientation = decoder.orientation().map_err(|e| damaged(format, &e))?;
    let picture = DynamicImage::from_decoder(decoder).map_err(|e| damaged(format, &e))?;
    encode(&upright(picture, orientation))
}

/// Scaled first, turned then: turning the whole picture would take its memory twice.
fn upright(picture: DynamicImage, orientation: Orientation) -> RgbImage {
    let mut small = if picture.width().max(picture.height()) > LONG_EDGE {
        // A quick average to twice the size, then a smooth filter: near to filtering the whole, in a fraction of it.
        let halfway = if picture.width().max(picture.height()) > 3 * LONG_EDGE {
            picture.thumbnail(2 * LONG_EDGE, 2 * LONG_EDGE)
        } else {
            picture
        };
        halfway.resize(LONG_EDGE, LONG_EDGE, FilterType::CatmullRom)
    } else {
        picture
    };
    small.apply_orientation(orientation);
    if small.color().has_alpha() { on_white(&small) } else { small.into_rgb8() }
}

/// JPEG has no transparency; paper is white.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let rgba = picture.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0.map(u16::from);
        image::Rgb([r, g, b].map(|c| u8::try_from((c * alpha + 255 * (255 - alpha)) / 255).unwrap_or(255)))
    })
}

fn encode(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, QUALITY)
        .encode_image(picture)
        .map_err(|e| Error::Internal(format!("a photo's copy was not encoded: {e}")))?;
    Ok(out)
}

fn damaged(format: &str, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(_) => too_large(format!("decoding the {format} goes over the limits: {error}")),
        ImageError::Unsupported(_) => {
            unsupported(format!("a {format} of a kind that cameras do not write: {error}"))
        }
        _ => invalid(format!("the {format} is cut off or damaged: {error}")),
    }
}

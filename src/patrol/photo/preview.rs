//! Every pixel decoded once, and an upright copy of them in a smaller size, without metadata.

use std::io::Cursor;

use image::codecs::{jpeg::JpegDecoder, jpeg::JpegEncoder, png::PngDecoder, webp::WebPDecoder};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, RgbImage};

use super::{Limits, Result, Size, invalid, too_large, unsupported};
use crate::error::Error;

const QUALITY: u8 = 80;

pub(super) fn of_jpeg(bytes: &[u8], size: Size, limits: &Limits, long_edge: u32) -> Result<RgbImage> {
    let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|e| damaged("JPEG", &e))?;
    copy("JPEG", decoder, size, limits, long_edge)
}

pub(super) fn of_png(bytes: &[u8], size: Size, limits: &Limits, long_edge: u32) -> Result<RgbImage> {
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), decoder_limits(limits));
    copy("PNG", decoder.map_err(|e| damaged("PNG", &e))?, size, limits, long_edge)
}

pub(super) fn of_webp(bytes: &[u8], size: Size, limits: &Limits, long_edge: u32) -> Result<RgbImage> {
    let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|e| damaged("WebP", &e))?;
    copy("WebP", decoder, size, limits, long_edge)
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

fn copy<D: ImageDecoder>(
    format: &str,
    mut decoder: D,
    size: Size,
    limits: &Limits,
    long_edge: u32,
) -> Result<RgbImage> {
    decoder.set_limits(decoder_limits(limits)).map_err(|e| damaged(format, &e))?;
    // Two readers that disagree about the size disagree about the picture.
    if decoder.dimensions() != (size.width, size.height) {
        return Err(invalid(format!("damaged {format}: it states two sizes")));
    }
    size.affords(u64::from(decoder.color_type().bytes_per_pixel()), limits)?;
    let orientation = decoder.orientation().map_err(|e| damaged(format, &e))?;
    let picture = DynamicImage::from_decoder(decoder).map_err(|e| damaged(format, &e))?;
    Ok(upright(picture, orientation, long_edge))
}

/// Scaled first, turned then: turning the whole picture would take its memory twice. The smooth filter takes 16 bytes for
/// each pixel of its first half, so a large picture is averaged first, and let go.
fn upright(picture: DynamicImage, orientation: Orientation, long_edge: u32) -> RgbImage {
    let mut small = if picture.width().max(picture.height()) > long_edge {
        // To a quarter more, then the filter: near to filtering the whole, in a fraction of its time.
        let halfway = if picture.width().max(picture.height()) > 2 * long_edge {
            let small = picture.thumbnail(long_edge * 5 / 4, long_edge * 5 / 4);
            drop(picture);
            small
        } else {
            picture
        };
        halfway.resize(long_edge, long_edge, FilterType::CatmullRom)
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

pub(super) fn encode(picture: &RgbImage) -> Result<Vec<u8>> {
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

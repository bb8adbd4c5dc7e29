//! SVG to PNG with the embedded font alone, so that a picture is the same on every machine.

use std::sync::{Arc, OnceLock};

use resvg::{tiny_skia, usvg};

use super::fonts;
use crate::error::{Error, Result};

/// Widest picture made, pixels: 400 dpi over the type area of A4 are 2,457.
const MAX_WIDTH_PX: u32 = 4000;

/// Draws `svg` as a PNG of `width_px` pixels.
///
/// # Errors
/// `Invalid` for a width of 0 or over 4,000 pixels; `Internal` for text that is not SVG.
pub fn to_png(svg: &str, width_px: u32) -> Result<Vec<u8>> {
    draw(svg, width_px)?.encode_png().map_err(|e| Error::Internal(format!("picture: {e}")))
}

/// Draws `svg` as plain pixels, `width_px` wide; what it leaves open is black.
///
/// # Errors
/// As [`to_png`].
pub fn to_rgb(svg: &str, width_px: u32) -> Result<image::RgbImage> {
    let pixels = draw(svg, width_px)?;
    let colours = pixels.data().as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    image::RgbImage::from_raw(pixels.width(), pixels.height(), colours)
        .ok_or_else(|| Error::Internal("picture: size and pixels differ".into()))
}

/// Draws `svg` over the lower edge of `picture`, as wide as it is.
///
/// # Errors
/// As [`to_png`].
pub(super) fn draw_over(picture: &mut image::RgbImage, svg: &str) -> Result<()> {
    let drawn = draw(svg, picture.width())?;
    let top = picture.height().saturating_sub(drawn.height());
    let pixels = picture.enumerate_rows_mut().skip(top as usize).flat_map(|(_, row)| row);
    for ((.., pixel), over) in pixels.zip(drawn.pixels()) {
        // The drawing's colours have their opacity in them already.
        let left = u16::from(255 - over.alpha());
        for (below, own) in pixel.0.iter_mut().zip([over.red(), over.green(), over.blue()]) {
            let through = u16::from(*below) * left / 255;
            *below = own.saturating_add(u8::try_from(through).unwrap_or(u8::MAX));
        }
    }
    Ok(())
}

fn draw(svg: &str, width_px: u32) -> Result<tiny_skia::Pixmap> {
    if width_px == 0 || width_px > MAX_WIDTH_PX {
        return Err(Error::invalid("width_px", format!("{width_px}; allowed: 1 to {MAX_WIDTH_PX}")));
    }
    let tree = usvg::Tree::from_str(svg, &options()).map_err(|e| Error::Internal(format!("picture: {e}")))?;
    #[expect(clippy::cast_precision_loss, reason = "at most 4,000")]
    let zoom = width_px as f32 / tree.size().width();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, a few thousand")]
    let height_px = (tree.size().height() * zoom).ceil().clamp(1.0, 20_000.0) as u32;
    let mut pixels = tiny_skia::Pixmap::new(width_px, height_px)
        .ok_or_else(|| Error::Internal(format!("picture of {width_px} × {height_px} pixels")))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(zoom, zoom), &mut pixels.as_mut());
    Ok(pixels)
}

fn options() -> usvg::Options<'static> {
    static FONTS: OnceLock<Arc<usvg::fontdb::Database>> = OnceLock::new();
    let fontdb = FONTS.get_or_init(|| {
        let mut db = usvg::fontdb::Database::new();
        db.load_font_source(usvg::fontdb::Source::Binary(Arc::new(fonts::SANS)));
        db.set_sans_serif_family("Noto Sans SC");
        Arc::new(db)
    });
    usvg::Options {
        font_family: "Noto Sans SC".into(),
        fontdb: Arc::clone(fontdb),
        ..usvg::Options::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_from_the_embedded_font() {
        let svg = |word: &str| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 100 40\" width=\"100\" height=\"40\">\
                 <text x=\"5\" y=\"30\" font-size=\"20\" font-family=\"sans-serif\">{word}</text></svg>"
            )
        };
        let (drawn, empty) = (to_png(&svg("吉家湖"), 200).unwrap(), to_png(&svg(" "), 200).unwrap());
        assert!(drawn.starts_with(b"\x89PNG") && drawn.len() > empty.len() + 500);
        let image = image::load_from_memory(&drawn).unwrap();
        assert_eq!((image.width(), image.height()), (200, 80));
        assert!(to_png("<svg", 200).is_err());
        assert!(to_png(&svg(""), 0).is_err());
    }
}

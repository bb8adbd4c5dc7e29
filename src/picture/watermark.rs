//! The band that a watermark camera draws (水印相机), on a copy: the sealed original is never touched.

use std::fmt::Write;

use image::RgbImage;

use super::png::draw_over;
use super::svg::{Pt, SURFACE, Type, text, text_width};
use crate::error::Result;

/// What stands in the band.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The first line, larger: when.
    pub title: String,
    /// The lines below it.
    pub lines: Vec<String>,
    /// Alone at the right of the last line: by what the original is found.
    pub code: String,
}

/// So many lines of letters would fill the short edge of a picture.
const LINES_ON_EDGE: f64 = 30.0;
/// Smallest letters that are drawn, pixels.
const SMALLEST_PX: f64 = 9.0;
/// Free space around the words, height of the first line, distance of the others: in letters.
const EDGE: f64 = 0.8;
const TITLE: f64 = 1.25;
const PITCH: f64 = 1.4;

/// Draws `stamp` on a dark translucent band along the lower edge of `picture`. A line that is too long for the picture
/// is written smaller.
///
/// # Errors
/// As [`super::to_png`].
pub fn watermark(picture: &mut RgbImage, stamp: &Stamp) -> Result<()> {
    draw_over(picture, &band(f64::from(picture.width()), f64::from(picture.height()), stamp))
}

/// Draws the band for a picture of that size, pixels.
fn band(width: f64, height: f64, stamp: &Stamp) -> String {
    // Where it is too small even for the smallest letters the band fills it.
    let ems = 1.5 * EDGE + TITLE + PITCH * stamp.lines.len() as f64;
    let letter = (width.min(height) / LINES_ON_EDGE).max(SMALLEST_PX).min(height / ems);
    let (edge, pitch, title) = (letter * EDGE, letter * PITCH, letter * TITLE);
    let room = width - 2.0 * edge;
    let code_width = text_width(&stamp.code, letter) + letter;
    let high = letter * ems;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {high:.0}\" width=\"{width}\" \
         height=\"{high:.0}\"><rect width=\"{width}\" height=\"{high:.0}\" fill=\"#000000\" fill-opacity=\"0.65\"/>"
    );
    let mut write = |y: f64, size: f64, anchor: &'static str, room: f64, words: &str| {
        let fitted = size.min(size * room / text_width(words, size).max(1.0));
        let style =
            Type { size: (fitted * 10.0).floor() / 10.0, fill: SURFACE, anchor, halo: None, bold: false };
        let x = if anchor == "end" { width - edge } else { edge };
        text(&mut out, Pt { x, y }, style, words);
    };
    let mut baseline = edge + title * 0.8;
    write(baseline, title, "start", room, &stamp.title);
    for (n, line) in (1..).zip(&stamp.lines) {
        baseline += pitch;
        let room = if n == stamp.lines.len() { room - code_width } else { room };
        write(baseline, letter, "start", room, line);
    }
    write(baseline, letter, "end", room, &stamp.code);
    // Writing to a String cannot fail.
    let _ = out.write_str("</svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn stamp(title: &str) -> Stamp {
        Stamp {
            title: title.into(),
            lines: vec!["吉家湖 岸段乙 3号排口".into(), "29.40312, 113.10544 ±6 m".into(), "旱天".into()],
            code: "ab12cd34-9f8e7d6c".into(),
        }
    }

    fn drawn(width: u32, height: u32, title: &str) -> RgbImage {
        let mut picture = RgbImage::from_pixel(width, height, Rgb([200, 180, 160]));
        watermark(&mut picture, &stamp(title)).unwrap();
        picture
    }

    #[test]
    fn the_band_darkens_the_lower_edge_and_leaves_the_rest_alone() {
        for (width, height) in [(1200, 900), (900, 1200), (64, 48)] {
            let picture = drawn(width, height, "2026-07-14 08:21:38");
            let free = width > 100;
            assert_eq!(picture.get_pixel(1, 0) == &Rgb([200, 180, 160]), free, "{width} × {height}");
            let Rgb([r, g, b]) = *picture.get_pixel(1, height - 1);
            assert!((60..80).contains(&r) && g < r && b < g, "seen through: {r} {g} {b}");
        }
    }

    #[test]
    fn the_words_are_there_in_white() {
        let (one, other) = (drawn(1200, 900, "2026-07-14 08:21:38"), drawn(1200, 900, "2026-07-14 08:21:39"));
        let white = |p: &RgbImage| p.pixels().filter(|p| p.0 == [255; 3]).count();
        assert!(white(&one) > 2_000, "{}", white(&one));
        let changed: Vec<_> =
            one.enumerate_pixels().filter(|(x, y, p)| other.get_pixel(*x, *y) != *p).collect();
        assert!(!changed.is_empty(), "a second more is another picture");
        assert!(changed.iter().all(|(_, y, _)| *y > 600), "in the band alone");
    }

    #[test]
    fn no_word_leaves_the_picture_and_none_is_markup() {
        let long = Stamp { title: "长".repeat(200), lines: vec!["<b>&".repeat(90)], code: "x".into() };
        let mut picture = RgbImage::from_pixel(800, 600, Rgb([9, 9, 9]));
        watermark(&mut picture, &long).unwrap();
        assert!((0..600).all(|y| picture.get_pixel(799, y).0[0] < 20), "the right edge stays dark");
    }
}

//! Pictures in the place of photos: drawn, marked 演示图片, never to be mistaken for a real one.

use std::fmt::Write;
use std::io::Cursor;

use fastrand::Rng;
use image::ImageEncoder;
use image::codecs::jpeg::JpegEncoder;

use super::world::between;
use crate::error::{Error, Result};
use crate::picture::to_rgb;

/// Width of a picture, pixels; it is three quarters as high.
const WIDTH: u32 = 960;

/// What is to be seen.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An outfall; what comes out of it, L/s and CSS colour.
    Outfall { flow_l_s: f64, colour: &'static str },
    /// Plants, share of the water from 0 to 1.
    Hyacinth { cover: f64 },
    /// Open water and rubbish.
    Shore,
}

/// One picture; the same scene gives the same bytes.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What.
    pub subject: Subject,
    /// The words on it: place and time.
    pub words: String,
    /// It rains.
    pub rain: bool,
    /// Where chance starts.
    pub seed: u64,
}

impl Scene {
    /// The picture as JPEG.
    ///
    /// # Errors
    /// `Internal` if it cannot be drawn.
    pub fn jpeg(&self) -> Result<Vec<u8>> {
        let mut image = to_rgb(&self.svg(), WIDTH)?;
        grain(&mut image, self.seed);
        let mut out = Cursor::new(Vec::new());
        JpegEncoder::new_with_quality(&mut out, 80)
            .write_image(image.as_raw(), image.width(), image.height(), image::ExtendedColorType::Rgb8)
            .map_err(|e| Error::Internal(format!("demo picture: {e}")))?;
        Ok(out.into_inner())
    }

    fn svg(&self) -> String {
        let mut rng = Rng::with_seed(self.seed);
        let mut out = String::from(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 800 600' width='800' height='600'>\
             <defs><linearGradient id='s' x2='0' y2='1'><stop stop-color='#b9cbd6'/>\
             <stop offset='1' stop-color='#e4e9e6'/></linearGradient>\
             <linearGradient id='w' x2='0' y2='1'><stop stop-color='#8fa6a3'/>\
             <stop offset='1' stop-color='#4f6a68'/></linearGradient></defs>\
             <rect width='800' height='220' fill='url(#s)'/>",
        );
        skyline(&mut out, &mut rng);
        out.push_str("<rect y='210' width='800' height='390' fill='url(#w)'/>");
        ripples(&mut out, &mut rng);
        match &self.subject {
            Subject::Outfall { flow_l_s, colour } => outfall(&mut out, &mut rng, *flow_l_s, colour),
            Subject::Hyacinth { cover } => plants(&mut out, &mut rng, *cover),
            Subject::Shore => rubbish(&mut out, &mut rng),
        }
        if self.rain {
            for _ in 0..90 {
                let (x, y) = (between(&mut rng, 0.0, 800.0), between(&mut rng, 0.0, 600.0));
                let _ = write!(out, "<path d='M{x:.0} {y:.0}l-6 26' stroke='#fff' stroke-opacity='.45'/>");
            }
        }
        let _ = write!(
            out,
            "<rect y='556' width='800' height='44' fill='#1b2a2a' fill-opacity='.72'/>\
             <text x='18' y='585' font-size='22' fill='#fff' font-family='sans-serif'>演示图片 · {}</text></svg>",
            self.words
        );
        out
    }
}

fn skyline(out: &mut String, rng: &mut Rng) {
    let mut x = -20.0;
    while x < 800.0 {
        let (w, h) = (between(rng, 30.0, 90.0), between(rng, 20.0, 110.0));
        let grey = rng.u8(150..185);
        let y = 212.0 - h;
        let _ = write!(
            out,
            "<rect x='{x:.0}' y='{y:.0}' width='{w:.0}' height='{h:.0}' fill='rgb({grey},{grey},{grey})'/>"
        );
        x += w + between(rng, 2.0, 30.0);
    }
    out.push_str("<rect y='196' width='800' height='18' fill='#6f7f5c'/>");
}

fn ripples(out: &mut String, rng: &mut Rng) {
    for _ in 0..60 {
        let (x, y) = (between(rng, -40.0, 800.0), between(rng, 225.0, 600.0));
        let w = 20.0 + (y - 200.0) / 5.0;
        let _ = write!(
            out,
            "<path d='M{x:.0} {y:.0}q{:.0} -4 {w:.0} 0' stroke='#c9d6d2' stroke-opacity='.35' fill='none' stroke-width='2'/>",
            w / 2.0
        );
    }
}

/// A concrete wall with a round pipe, and what runs out of it.
fn outfall(out: &mut String, rng: &mut Rng, flow_l_s: f64, colour: &str) {
    let _ = write!(
        out,
        "<path d='M0 150L330 175L330 420L0 470Z' fill='#9c978b'/><path d='M0 150L330 175L330 188L0 166Z' fill='#b9b4a6'/>\
         <ellipse cx='228' cy='300' rx='58' ry='66' fill='#77736a'/><ellipse cx='234' cy='302' rx='47' ry='55' fill='#25241f'/>"
    );
    for _ in 0..26 {
        let (x, y) = (between(rng, 0.0, 320.0), between(rng, 190.0, 420.0));
        let _ = write!(
            out,
            "<path d='M{x:.0} {y:.0}l{:.0} {:.0}' stroke='#7f7a6e' stroke-opacity='.5'/>",
            between(rng, -14.0, 14.0),
            between(rng, 4.0, 22.0)
        );
    }
    if flow_l_s <= 0.0 {
        return;
    }
    let w = (10.0 + 13.0 * flow_l_s).min(44.0);
    let (l, r) = (236.0 - w, 236.0 + w);
    let _ = write!(
        out,
        "<path d='M{l:.0} 340Q{l:.0} 430 {:.0} 452L{:.0} 452Q{r:.0} 430 {r:.0} 340Z' fill='{colour}' fill-opacity='.85'/>",
        l - 12.0,
        r + 26.0
    );
    let reach = 120.0 + 90.0 * flow_l_s;
    for (k, opacity) in [(1.0, 0.28), (0.7, 0.4), (0.4, 0.55)] {
        let _ = write!(
            out,
            "<ellipse cx='{:.0}' cy='{:.0}' rx='{:.0}' ry='{:.0}' fill='{colour}' fill-opacity='{opacity}'/>",
            250.0 + reach * 0.5 * k,
            478.0 + 20.0 * k,
            reach * k,
            26.0 + 44.0 * k
        );
    }
    for _ in 0..14 {
        let (x, y) = (between(rng, 200.0, 200.0 + reach), between(rng, 455.0, 520.0));
        let _ = write!(
            out,
            "<circle cx='{x:.0}' cy='{y:.0}' r='{:.1}' fill='#f2f1ea' fill-opacity='.7'/>",
            between(rng, 1.5, 5.0)
        );
    }
}

fn plants(out: &mut String, rng: &mut Rng, cover: f64) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundreds")]
    let count = (40.0 + 420.0 * cover.clamp(0.0, 1.0)) as usize;
    let mut places: Vec<(f64, f64)> = (0..count)
        .map(|_| {
            let depth = rng.f64();
            (between(rng, -20.0, 820.0), 240.0 + 320.0 * depth.sqrt() * (0.4 + 0.6 * cover))
        })
        .collect();
    places.sort_by(|a, b| a.1.total_cmp(&b.1));
    for (x, y) in places {
        let r = 4.0 + (y - 220.0) / 24.0;
        let green = rng.u8(95..150);
        let _ = write!(
            out,
            "<ellipse cx='{x:.0}' cy='{y:.0}' rx='{:.1}' ry='{r:.1}' fill='rgb({},{green},52)'/>",
            r * 1.5,
            green / 2
        );
        if rng.u8(0..12) == 0 {
            let _ = write!(out, "<circle cx='{x:.0}' cy='{:.0}' r='{:.1}' fill='#b9a2d8'/>", y - r, r * 0.5);
        }
    }
}

fn rubbish(out: &mut String, rng: &mut Rng) {
    for _ in 0..28 {
        let (x, y) = (between(rng, 80.0, 720.0), between(rng, 380.0, 530.0));
        let colour = ["#e6e2d6", "#d9d3c0", "#a8412f", "#3b6ea5"][rng.usize(0..4)];
        let _ = write!(
            out,
            "<rect x='{x:.0}' y='{y:.0}' width='{:.0}' height='{:.0}' fill='{colour}' transform='rotate({:.0} {x:.0} {y:.0})'/>",
            between(rng, 8.0, 30.0),
            between(rng, 6.0, 16.0),
            between(rng, 0.0, 90.0)
        );
    }
}

/// The noise of a small sensor; flat colours would look drawn and pack to nothing.
fn grain(image: &mut image::RgbImage, seed: u64) {
    let mut rng = Rng::with_seed(seed ^ 0x6772_6169);
    for pixel in image.chunks_exact_mut(3) {
        let noise = rng.u8(0..13);
        for channel in pixel {
            *channel = channel.saturating_add(noise).saturating_sub(6);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_scene_is_the_same_photo() {
        let scene = |seed| Scene {
            subject: Subject::Outfall { flow_l_s: 1.8, colour: "#7a7f78" },
            words: "3号排口 7月14日 07:12".into(),
            rain: true,
            seed,
        };
        let first = scene(1).jpeg().unwrap();
        assert!(first == scene(1).jpeg().unwrap() && first != scene(2).jpeg().unwrap());
        assert!((20_000..300_000).contains(&first.len()), "{} bytes", first.len());
    }
}

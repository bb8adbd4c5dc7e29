//! Writing SVG text: escaping, colours of `dashboards/` as in the page, text widths, the few shapes used twice.

use std::fmt::Write;

use super::Canvas;

pub const INK: &str = "#14202b";
pub const INK_2: &str = "#3d4d5c";
pub const INK_3: &str = "#566673";
pub const SURFACE: &str = "#ffffff";
pub const LINE: &str = "#cfd7db";
pub const LINE_STRONG: &str = "#75848f";
pub const LAND: &str = "#f5f5f0";
pub const WATER: &str = "#d9e7f0";
pub const SHORE: &str = "#3f6f93";
pub const HYACINTH: &str = "#5d6a1a";
pub const TRACK: &str = "#7a4a86";
pub const RAIN: &str = "#6b7f94";
pub const SILENT: &str = "#e3e7ec";

/// The page's own list of fonts begins with the system's; the embedded one comes first here, so that Word, PDF and
/// page measure alike where it is installed.
const FONTS: &str =
    "Noto Sans SC, PingFang SC, HarmonyOS Sans SC, Microsoft YaHei, Noto Sans CJK SC, sans-serif";

/// A position on the canvas, pixels, y downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pt {
    pub x: f64,
    pub y: f64,
}

impl Pt {
    pub fn to(self, dx: f64, dy: f64) -> Self {
        Self { x: self.x + dx, y: self.y + dy }
    }
}

/// Text escaped for element content and for attributes; characters XML cannot hold become U+FFFD.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Width of `text` at `size` pixels: an ideograph is one em, a Latin letter or digit a little over half.
pub fn text_width(text: &str, size: f64) -> f64 {
    let ems: f64 = text.chars().map(|c| if (c as u32) < 0x2000 { 0.57 } else { 1.0 }).sum();
    ems * size
}

/// Opens the picture with its name and what it says for those who do not see it. A picture with links is a group:
/// the parts of an `img` cannot be reached.
pub fn open(canvas: Canvas, title: &str, desc: &str, links: bool) -> String {
    let Canvas { id, width, height } = canvas;
    let (id, role) = (esc(id), if links { "group" } else { "img" });
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"{role}\" aria-labelledby=\"{id}-title {id}-desc\" font-family=\"{FONTS}\" \
         fill=\"{INK}\"><title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>",
        esc(title),
        esc(desc)
    )
}

/// How a text stands.
#[derive(Clone, Copy)]
pub struct Type {
    pub size: f64,
    pub fill: &'static str,
    /// `start`, `middle`, `end`.
    pub anchor: &'static str,
    /// Drawn over a rim of this colour, to stand on lines.
    pub halo: Option<&'static str>,
    /// Heavier, without a rim.
    pub bold: bool,
}

impl Type {
    pub const SMALL: Self = Self { size: 12.0, fill: INK_2, anchor: "start", halo: None, bold: false };

    pub fn anchor(self, anchor: &'static str) -> Self {
        Self { anchor, ..self }
    }
}

/// A line of text with its baseline at `at`.
pub fn text(out: &mut String, at: Pt, style: Type, words: &str) {
    let Type { size, fill, anchor, halo, bold } = style;
    let rim = halo.map_or(String::new(), |colour| {
        format!(" stroke=\"{colour}\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"")
    });
    // One face is embedded: heavier letters are outlined in their own colour, alike in page, PDF and PNG.
    let heavy = format!(" stroke=\"{fill}\" stroke-width=\"0.5\"");
    let _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{fill}\"{}>{}</text>",
        at.x,
        at.y,
        if bold { &heavy } else { &rim },
        esc(words)
    );
}

/// A straight line.
pub fn line(out: &mut String, a: Pt, b: Pt, colour: &str, width: f64) {
    let _ = write!(
        out,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
        a.x, a.y, b.x, b.y
    );
}

/// Path data through `points`, one subpath.
pub fn polyline(points: impl IntoIterator<Item = Pt>) -> String {
    let mut d = String::new();
    for (i, p) in points.into_iter().enumerate() {
        let _ = write!(d, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, p.x, p.y);
    }
    d
}

/// Wraps `inner` in a link where there is one to follow.
pub fn linked(out: &mut String, href: Option<&str>, inner: &str) {
    match href {
        Some(href) => {
            let _ = write!(out, "<a href=\"{}\">{inner}</a>", esc(href));
        }
        None => out.push_str(inner),
    }
}

/// `1,240`.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_xml_cannot_hold() {
        assert_eq!(esc("<a b=\"c\">&'\u{1}\n"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;\u{fffd} ");
    }

    #[test]
    fn groups_thousands() {
        assert_eq!(thousands(1240.4), "1,240");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}

//! The brief as PDF: the template `dashboards/brief.typ` over the brief's words as data; and the waypoints' plates by a
//! template of their own. Words are strings to them, never markup. Fonts are the embedded ones and those of a configured folder; nothing of the system is read.

mod child;
mod plates;
mod world;

pub use child::{PdfJob, child_main, render_in_child};
pub use plates::plates;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::document::brief::{Block, Brief, Table};
use crate::document::plates::Plate;
use crate::error::{Error, Result};
use crate::evidence::timeline::Timeline;
use world::{Fonts, TemplateWorld};

const BRIEF: &str = include_str!("../../dashboards/brief.typ");

/// The pictures a PDF shows. What is not there is said in words.
pub struct PdfPictures<'a> {
    /// The map, drawn by [`crate::picture::map`].
    pub map_svg: Option<&'a str>,
    /// The chart, drawn by [`crate::picture::chart`].
    pub chart_svg: Option<&'a str>,
    /// The viewers' copy of a photo (JPEG without EXIF, long edge ≤ 1000 pixels) by SHA-256 in hex.
    pub photo: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

/// Writes `brief` as a PDF. `timeline` gives the metadata; `extra_fonts` is a folder whose 仿宋, 小标宋, 楷体 and
/// 黑体 are taken before the embedded ones. Photos are decoded in memory (40 of 1000 × 750 pixels: 180 MB), so a
/// server renders in [`render_in_child`].
///
/// # Errors
/// `Invalid` at `documents.fonts_dir` for a folder that cannot be read; `Internal` if the layout fails.
pub fn render(
    brief: &Brief,
    timeline: &Timeline,
    pictures: &PdfPictures<'_>,
    extra_fonts: Option<&Path>,
) -> Result<Vec<u8>> {
    draw(data(brief, timeline), pictures, extra_fonts)
}

fn draw(mut data: Value, pictures: &PdfPictures<'_>, extra_fonts: Option<&Path>) -> Result<Vec<u8>> {
    let fonts = Fonts::load(extra_fonts)?;
    warn_of_missing(&fonts, &data);
    data["fonts"] = fonts.families();
    let mut world = TemplateWorld::new(fonts, BRIEF)?;
    world.add_svg(&mut data, "map", pictures.map_svg);
    world.add_svg(&mut data, "chart", pictures.chart_svg);
    world.add_codes(&mut data);
    world.add_photos(&mut data, pictures.photo);
    world.compile(&mut data)
}

fn warn_of_missing(fonts: &Fonts, data: &Value) {
    let missing = fonts.missing(&all_text(data));
    if !missing.is_empty() {
        tracing::warn!(characters = %missing.iter().collect::<String>(), "no font has these characters of the PDF");
    }
}

/// The characters of `brief` that no font has, in order: they come out as boxes.
///
/// # Errors
/// As [`render`].
pub fn missing_glyphs(brief: &Brief, timeline: &Timeline, extra_fonts: Option<&Path>) -> Result<Vec<char>> {
    Ok(Fonts::load(extra_fonts)?.missing(&all_text(&data(brief, timeline))))
}

/// What the template reads.
fn data(brief: &Brief, timeline: &Timeline) -> Value {
    let day = crate::clock::beijing(timeline.cut_off);
    let sections = brief.sections.iter().map(|section| {
        json!({
            "heading": section.heading,
            "blocks": section.blocks.iter().map(block).collect::<Vec<_>>(),
        })
    });
    json!({
        "title": brief.title,
        "author": format!("{}巡护", timeline.place),
        "subtitle": brief.subtitle,
        "mark": brief.mark,
        "lead": breakable(&brief.lead),
        "sections": sections.collect::<Vec<_>>(),
        "date": brief.date,
        "date_parts": { "year": day.year(), "month": day.month(), "day": day.day() },
    })
}

fn block(block: &Block) -> Value {
    match block {
        Block::Heading(text) => json!({ "kind": "heading", "text": text }),
        Block::Paragraph(text) => json!({ "kind": "paragraph", "text": breakable(text) }),
        Block::Table(table) => table_data(table),
        Block::Map(caption) => json!({ "kind": "map", "caption": caption, "alt": caption, "file": null }),
        Block::Chart(caption) => json!({ "kind": "chart", "caption": caption, "alt": caption, "file": null }),
        Block::Code { text, caption } => json!({
            "kind": "code", "caption": caption, "alt": format!("{caption}：{}", text.replace('\n', " ")), "text": text,
            "file": null,
        }),
        Block::Plates(plates) => {
            json!({ "kind": "plates", "plates": plates.iter().map(plate).collect::<Vec<_>>() })
        }
    }
}

fn table_data(table: &Table) -> Value {
    let rows: Vec<Vec<String>> =
        table.rows.iter().map(|row| row.iter().map(|cell| breakable(cell)).collect()).collect();
    json!({
        "kind": "table",
        "caption": table.caption,
        "heads": table.columns.iter().map(|c| c.head).collect::<Vec<_>>(),
        "permille": table.columns.iter().map(|c| c.permille).collect::<Vec<_>>(),
        "rows": rows,
    })
}

fn plate(plate: &Plate) -> Value {
    json!({
        "name": plate.name,
        "lines": plate.lines.iter().map(|l| breakable(l)).collect::<Vec<_>>(),
        "instead": plate.instead(),
        "alt": plate.alt(),
        "sha256": plate.sha256,
        "file": null,
    })
}

/// A hash or an address has no place to break a line at and would run out of its column: a zero-width space after
/// every fourth character of a long run of Latin letters gives one.
fn breakable(text: &str) -> String {
    const LONG: usize = 24;
    let mut out = String::with_capacity(text.len() + 16);
    for word in text.split_inclusive(|c: char| !c.is_ascii_graphic()) {
        let long = word.chars().take_while(char::is_ascii_graphic).count() > LONG;
        for (i, c) in word.chars().enumerate() {
            if long && i > 0 && i % 4 == 0 && c.is_ascii_graphic() {
                out.push('\u{200b}');
            }
            out.push(c);
        }
    }
    out
}

/// The characters of all strings in `data`.
fn all_text(data: &Value) -> BTreeSet<char> {
    match data {
        Value::String(text) => text.chars().collect(),
        Value::Array(items) => items.iter().flat_map(all_text).collect(),
        Value::Object(items) => items.values().flat_map(all_text).collect(),
        _ => BTreeSet::new(),
    }
}

fn internal(what: impl std::fmt::Display) -> Error {
    Error::Internal(format!("pdf: {what}"))
}

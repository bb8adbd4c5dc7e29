//! The brief as a Word file: A4 and type of GB/T 9704-2012 (5.2, 7.3, 7.5), what WPS reads (widths in `gridCol`,
//! fonts in `w:eastAsia`). The styles stand in `word/styles.xml`; fonts are named with fallbacks, none is embedded.

use std::io::{Cursor, Seek, Write};

use docx_rs::{
    DocumentChild, Docx, Paragraph, Pic, Run, RunFonts, Shading, Table as WordTable, TableCell,
    TableCellMargins, TableLayoutType, TableRow, VAlignType, WidthType,
};

use crate::document::brief::{Block, Brief, Table};
use crate::document::docx_zip::{self, Extras, clean};
use crate::document::plates::{Plate, PlateState};
use crate::document::{Picture, Pictures};
use crate::error::Result;
use crate::evidence::timeline::Timeline;
use crate::picture::{code, to_png};

/// Width of the type area, twips: 156 mm.
const TYPE_AREA: usize = 8844;
const EMU_PER_MM: f64 = 36_000.0;
/// The box a map or chart is fitted into, mm: both with their captions on one page.
const FIGURE_MM: (f64, f64) = (150.0, 95.0);
/// The box a photo is fitted into, mm: three rows of two to a page with their captions.
const PLATE_MM: (f64, f64) = (72.0, 43.0);

/// A QR code: half a millimetre a module at least, sharp on any printer.
const CODE_MM: (f64, f64) = (35.0, 35.0);
const CODE_PX: u32 = 800;

const FANG_SONG: &str = "仿宋_GB2312";
const TITLE_SONG: &str = "方正小标宋简体";
const HEI: &str = "黑体";
const KAI: &str = "楷体_GB2312";
const SONG: &str = "宋体";

/// Writes `brief` as a `.docx` file. `timeline` gives the core properties.
///
/// # Errors
/// Those of `out`.
pub fn write(
    brief: &Brief,
    timeline: &Timeline,
    pictures: &Pictures<'_>,
    out: impl Write + Seek,
) -> Result<()> {
    let mut page = Page { docx: Docx::new(), alts: Vec::new() };
    page.text("Title", TITLE_SONG, &brief.title);
    page.text("Subtitle", KAI, &brief.subtitle);
    page.text("BodyText", FANG_SONG, &brief.lead);
    for section in &brief.sections {
        page.text("Heading1", HEI, &section.heading);
        for block in &section.blocks {
            page.block(block, pictures);
        }
    }
    page.text("Date", FANG_SONG, &brief.date);
    let extras = Extras {
        alts: &page.alts,
        mark: brief.mark.as_deref(),
        title: &brief.title,
        subject: &timeline.filter_words,
        creator: &format!("{}巡护", timeline.place),
        created: timeline.cut_off,
    };
    docx_zip::write(page.docx.build(), &extras, out)
}

/// The body as it grows, and the alternative text of its pictures in their order.
struct Page {
    docx: Docx,
    alts: Vec<String>,
}

impl Page {
    fn add(&mut self, child: DocumentChild) {
        self.docx.document.children.push(child);
    }

    fn text(&mut self, style: &str, font: &str, text: &str) {
        self.add(DocumentChild::Paragraph(Box::new(paragraph(style, font, text))));
    }

    fn block(&mut self, block: &Block, pictures: &Pictures<'_>) {
        match block {
            Block::Heading(text) => self.text("Heading2", KAI, text),
            Block::Paragraph(text) => self.text("BodyText", FANG_SONG, text),
            Block::Table(table) => self.table(table),
            Block::Map(caption) => self.figure(pictures.map.as_ref(), caption),
            Block::Chart(caption) => self.figure(pictures.chart.as_ref(), caption),
            Block::Plates(plates) => self.plates(plates, pictures),
            Block::Code { text, caption } => self.code(text, caption),
        }
    }

    fn figure(&mut self, picture: Option<&Picture>, caption: &str) {
        let Some(picture) = picture else {
            return self.text("FigureCaption", HEI, &format!("{caption}（图未绘制）"));
        };
        let pic = fit(picture.png.clone(), (picture.width_px, picture.height_px), FIGURE_MM);
        self.alts.push(caption.to_owned());
        self.add(DocumentChild::Paragraph(Box::new(picture_paragraph("Picture", pic))));
        self.text("FigureCaption", HEI, caption);
    }

    /// The QR code; without one the text under the caption says the same.
    fn code(&mut self, text: &str, caption: &str) {
        let drawn = code(text).and_then(|svg| to_png(&svg, CODE_PX));
        match drawn {
            Ok(png) => {
                self.alts.push(format!("{caption}：{}", text.replace('\n', " ")));
                let pic = fit(png, (CODE_PX, CODE_PX), CODE_MM);
                self.add(DocumentChild::Paragraph(Box::new(picture_paragraph("Picture", pic))));
                self.text("FigureCaption", HEI, caption);
            }
            Err(_) => self.text("FigureCaption", HEI, &format!("{caption}（图未绘制）")),
        }
    }

    fn table(&mut self, table: &Table) {
        self.text("Caption", HEI, &table.caption);
        let widths: Vec<usize> =
            table.columns.iter().map(|c| c.permille as usize * TYPE_AREA / 1000).collect();
        let head = table.columns.iter().zip(&widths).map(|(column, &width)| {
            cell(width, "CellHead", HEI, column.head).shading(Shading::new().fill("E7ECEF"))
        });
        // A row without cantSplit is how docx_zip knows the head that every page repeats.
        let mut rows = vec![TableRow::new(head.collect())];
        for row in &table.rows {
            let cells = row.iter().zip(&widths).map(|(text, &width)| cell(width, "Cell", SONG, text));
            rows.push(TableRow::new(cells.collect()).cant_split());
        }
        let table = WordTable::new(rows)
            .set_grid(widths)
            .width(TYPE_AREA, WidthType::Dxa)
            .layout(TableLayoutType::Fixed)
            .margins(TableCellMargins::new().margin(30, 60, 30, 60));
        self.add(DocumentChild::Table(Box::new(table)));
    }

    fn plates(&mut self, plates: &[Plate], pictures: &Pictures<'_>) {
        let width = TYPE_AREA / 2;
        let mut rows = Vec::new();
        for pair in plates.chunks(2) {
            let mut cells: Vec<TableCell> =
                pair.iter().map(|plate| self.plate(plate, width, pictures)).collect();
            if cells.len() == 1 {
                cells.push(cell(width, "Cell", SONG, ""));
            }
            rows.push(TableRow::new(cells).cant_split());
        }
        let table = WordTable::new(rows)
            .set_grid(vec![width, width])
            .width(TYPE_AREA, WidthType::Dxa)
            .layout(TableLayoutType::Fixed)
            .margins(TableCellMargins::new().margin(30, 90, 60, 90));
        self.add(DocumentChild::Table(Box::new(table)));
    }

    /// The picture, or the words in its place, over the caption plate.
    fn plate(&mut self, plate: &Plate, width: usize, pictures: &Pictures<'_>) -> TableCell {
        let jpeg = if plate.state == PlateState::Shown { (pictures.photo)(&plate.sha256) } else { None };
        let sized = jpeg.and_then(|bytes| Some((size_of(&bytes)?, bytes)));
        let top = match sized {
            Some((size, bytes)) => {
                self.alts.push(plate.alt());
                picture_paragraph("PlatePicture", fit(bytes, size, PLATE_MM))
            }
            None => paragraph("PlateMissing", HEI, plate.instead()),
        };
        let mut cell = TableCell::new().width(width, WidthType::Dxa).add_paragraph(top);
        cell = cell.add_paragraph(paragraph("CellHead", HEI, &plate.name));
        for line in &plate.lines {
            cell = cell.add_paragraph(paragraph("Cell", SONG, line));
        }
        cell
    }
}

fn cell(width: usize, style: &str, font: &str, text: &str) -> TableCell {
    let cell = TableCell::new().width(width, WidthType::Dxa).vertical_align(VAlignType::Center);
    text.split('\n').fold(cell, |cell, line| cell.add_paragraph(paragraph(style, font, line)))
}

/// WPS takes the Chinese font from `w:eastAsia` of the run and nothing else.
fn paragraph(style: &str, font: &str, text: &str) -> Paragraph {
    let fonts = RunFonts::new().ascii("Times New Roman").hi_ansi("Times New Roman").east_asia(font);
    Paragraph::new().style(style).add_run(Run::new().fonts(fonts).add_text(clean(text)))
}

fn picture_paragraph(style: &str, pic: Pic) -> Paragraph {
    Paragraph::new().style(style).add_run(Run::new().add_image(pic))
}

/// Width and height in pixels from the file's head; `None` if it is no picture that Word shows.
fn size_of(bytes: &[u8]) -> Option<(u32, u32)> {
    image::ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?.into_dimensions().ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length on A4 in EMU fits in u32"
)]
fn fit(bytes: Vec<u8>, (width_px, height_px): (u32, u32), (width_mm, height_mm): (f64, f64)) -> Pic {
    let (w, h) = (f64::from(width_px.max(1)), f64::from(height_px.max(1)));
    let mm_per_px = (width_mm / w).min(height_mm / h);
    let emu = |px: f64| (px * mm_per_px * EMU_PER_MM).max(1.0) as u32;
    Pic::new_with_dimensions(bytes, width_px, height_px).size(emu(w), emu(h))
}

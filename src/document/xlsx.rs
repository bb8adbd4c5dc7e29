//! The ledger (台账) as an Excel file: what was found, what is missing, values nearby, rain, and what the data are.
//! Text is written as text: what looks like a formula stays what it is. Excel knows no time zone: times are
//! 北京时间 and the heads say so.

use std::io::{Cursor, Write};

use jiff::Timestamp;
use rust_xlsxwriter::{
    Color, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Image, Workbook, Worksheet,
    XlsxError,
};

use crate::clock::beijing;
use crate::document::brief::{Brief, notes};
use crate::document::table::{self, Cell, Column, LEDGER, PROOF, ledger_row, proof_row};
use crate::document::{Pictures, words};
use crate::error::{Error, Result};
use crate::evidence::timeline::{Gap, RainDay, Reading, Row, Sighting, Timeline};

/// Rows that show their first photo in a cell; more would make the file too big to send.
const PHOTO_ROWS: usize = 40;
/// Long edge of the photo in its cell, pixels.
const THUMBNAIL_PX: u32 = 240;
/// Height of a row that shows a photo, points.
const PHOTO_ROW_PT: f64 = 84.0;
/// What a cell holds at most (Excel's own limit is 32,767).
const CELL_CHARS: usize = 32_000;
/// What a sheet holds at most below its head.
const SHEET_ROWS: usize = 1_048_575;

const GAPS: [Column; 6] = [
    ("类型", 12.0),
    ("对象", 24.0),
    ("起（北京时间）", 17.0),
    ("止（北京时间）", 17.0),
    ("状态", 12.0),
    ("说明", 40.0),
];
const READINGS: [Column; 10] = [
    ("监测点", 18.0),
    ("项目", 14.0),
    ("原始值", 12.0),
    ("数值", 10.0),
    ("单位", 9.0),
    ("测得时间（北京时间）", 17.0),
    ("距发现（m）", 9.0),
    ("发现时间（北京时间）", 17.0),
    ("发现条目号", 10.0),
    ("状态", 16.0),
];
const RAIN: [Column; 4] = [("日期", 12.0), ("雨量（mm）", 10.0), ("资料覆盖（%）", 12.0), ("雨量站", 14.0)];

/// Writes the ledger as `.xlsx`.
///
/// # Errors
/// [`Error::TooLarge`] beyond Excel's 1,048,575 rows; those of `out`.
pub fn write(timeline: &Timeline, pictures: &Pictures<'_>, out: impl Write + Send) -> Result<()> {
    if timeline.rows.len() > SHEET_ROWS {
        return Err(Error::TooLarge {
            field: "filter".into(),
            message: format!(
                "{} rows; an Excel sheet holds {SHEET_ROWS}: narrow the filter",
                timeline.rows.len()
            ),
        });
    }
    build(timeline, pictures).and_then(|mut book| book.save_to_writer(out)).map_err(|e| match e {
        XlsxError::IoError(e) => e.into(),
        other => failed(&other),
    })
}

/// What the disk said comes wrapped in an error of the archive.
fn failed(e: &XlsxError) -> Error {
    match std::error::Error::source(e).and_then(|s| s.downcast_ref::<std::io::Error>()) {
        Some(e) => std::io::Error::from(e.kind()).into(),
        None => Error::Internal(format!("excel file: {e}")),
    }
}

fn build(timeline: &Timeline, pictures: &Pictures<'_>) -> Result<Workbook, XlsxError> {
    let mut book = Workbook::new();
    let title = Brief::title(timeline);
    let created = local(timeline.cut_off)?;
    book.set_properties(&DocProperties::new().set_title(&title).set_creation_datetime(&created));
    let formats = Formats::new();

    let sightings: Vec<&Sighting> = timeline
        .rows
        .iter()
        .filter_map(|r| if let Row::Sighting(s) = r { Some(&**s) } else { None })
        .collect();
    ledger(book.add_worksheet(), &sightings, pictures, &formats)?;
    let proofs = sightings.iter().map(|s| proof_row(s));
    sheet(book.add_worksheet(), "存证", &PROOF, proofs, &formats)?;
    let gaps = timeline.rows.iter().filter_map(|r| if let Row::Gap(gap) = r { Some(gap) } else { None });
    sheet(book.add_worksheet(), "缺口", &GAPS, gaps.map(|gap| gap_row(gap, timeline.cut_off)), &formats)?;
    let readings = sightings.iter().flat_map(|s| s.readings.iter().map(|r| reading_row(r, s)));
    sheet(book.add_worksheet(), "监测数据", &READINGS, readings, &formats)?;
    sheet(book.add_worksheet(), "降雨", &RAIN, timeline.rain_days.iter().map(rain_row), &formats)?;
    about(book.add_worksheet(), &title, timeline, &formats)?;

    for sheet in book.worksheets_mut() {
        print_setup(sheet, &title, timeline.demo);
    }
    Ok(book)
}

/// The few formats, made once.
struct Formats {
    head: Format,
    text: Format,
    number: Format,
    time: Format,
    title: Format,
}

impl Formats {
    fn new() -> Self {
        let cell = Format::new()
            .set_font_name("宋体")
            .set_font_size(10)
            .set_align(FormatAlign::VerticalCenter)
            .set_border(FormatBorder::Thin)
            .set_border_color(Color::RGB(0xB8_C4_CA))
            .set_text_wrap();
        Self {
            head: cell
                .clone()
                .set_font_name("黑体")
                .set_align(FormatAlign::Center)
                .set_background_color(Color::RGB(0xE7_EC_EF)),
            number: cell.clone().set_align(FormatAlign::Center),
            time: cell.clone().set_num_format("yyyy-mm-dd hh:mm").set_align(FormatAlign::Center),
            title: Format::new().set_font_name("黑体").set_font_size(14),
            text: cell,
        }
    }
}

/// One head that stays in sight and repeats on paper, a filter, and the rows.
fn sheet<const N: usize>(
    sheet: &mut Worksheet,
    name: &str,
    columns: &[Column; N],
    rows: impl Iterator<Item = [Cell; N]>,
    formats: &Formats,
) -> Result<u32, XlsxError> {
    sheet.set_name(name)?.set_freeze_panes(1, 0)?.set_repeat_rows(0, 0)?;
    sheet.set_row_height(0, 31)?;
    for (column, (head, width)) in (0..).zip(columns) {
        sheet.write_string_with_format(0, column, *head, &formats.head)?.set_column_width(column, *width)?;
    }
    let mut last = 0;
    for (row, cells) in (1..).zip(rows) {
        for (column, cell) in (0..).zip(&cells) {
            write_cell(sheet, row, column, cell, formats)?;
        }
        sheet.set_row_height(row, row_height(&cells, columns))?;
        last = row;
    }
    sheet.autofilter(0, 0, last, u16::try_from(N - 1).unwrap_or(u16::MAX))?;
    Ok(last)
}

/// Lines the cell needs; a Chinese character is two wide. Not every reader fits row heights by itself.
fn lines_of(cell: &Cell, width: f64) -> u32 {
    let Cell::Text(text) = cell else { return 1 };
    let line = |line: &str| {
        let wide: u32 = line.chars().map(|c| if c > '\u{2E7F}' { 2 } else { 1 }).sum();
        wide.div_ceil((width as u32).saturating_sub(1).max(1)).max(1)
    };
    text.lines().map(line).sum()
}

/// Points; Excel takes no more than 409.
fn row_height(cells: &[Cell], columns: &[Column]) -> f64 {
    let lines = cells.iter().zip(columns).map(|(cell, (_, width))| lines_of(cell, *width)).max();
    (f64::from(lines.unwrap_or(1)) * 13.5 + 4.0).min(409.0)
}

fn write_cell(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    cell: &Cell,
    f: &Formats,
) -> Result<(), XlsxError> {
    match cell {
        Cell::Empty => sheet.write_blank(row, column, &f.text)?,
        Cell::Text(text) if text.chars().count() > CELL_CHARS => {
            let cut: String = text.chars().take(CELL_CHARS).chain("……（截断）".chars()).collect();
            sheet.write_string_with_format(row, column, cut, &f.text)?
        }
        Cell::Text(text) => sheet.write_string_with_format(row, column, text, &f.text)?,
        Cell::Number(number) => sheet.write_number_with_format(row, column, *number, &f.number)?,
        Cell::Time(at) => sheet.write_datetime_with_format(row, column, local(*at)?, &f.time)?,
    };
    Ok(())
}

/// 北京时间 to the minute as Excel counts it.
fn local(at: Timestamp) -> Result<ExcelDateTime, XlsxError> {
    let at = beijing(at);
    let part = |n: i8| u8::try_from(n).unwrap_or_default();
    ExcelDateTime::from_ymd(u16::try_from(at.year()).unwrap_or_default(), part(at.month()), part(at.day()))?
        .and_hms(u16::from(part(at.hour())), part(at.minute()), 0.0)
}

fn ledger(
    page: &mut Worksheet,
    sightings: &[&Sighting],
    pictures: &Pictures<'_>,
    formats: &Formats,
) -> Result<(), XlsxError> {
    const PHOTO_COLUMN: u16 = LEDGER.len() as u16;
    let rows = sightings.iter().map(|s| ledger_row(s));
    sheet(page, "发现记录", &LEDGER, rows, formats)?;
    page.write_string_with_format(0, PHOTO_COLUMN, "首张照片", &formats.head)?
        .set_column_width(PHOTO_COLUMN, 16)?;
    let with_photo = (1..).zip(sightings).filter_map(|(row, s)| {
        let photo = s.photos.iter().find(|p| p.stored && p.preview).filter(|_| !s.erased)?;
        Some((row, thumbnail(&(pictures.photo)(&photo.sha256)?)?, *s))
    });
    for (row, jpeg, s) in with_photo.take(PHOTO_ROWS) {
        let alt = format!("{} {}", words::place(s), words::minute(s.observed_at));
        let image = Image::new_from_buffer(&jpeg)?.set_alt_text(alt.chars().take(120).collect::<String>());
        let height = row_height(&ledger_row(s), &LEDGER).max(PHOTO_ROW_PT);
        page.set_row_height(row, height)?.insert_image_fit_to_cell_centered(row, PHOTO_COLUMN, &image)?;
    }
    Ok(())
}

/// A small JPEG of the viewers' copy; `None` if that cannot be read.
fn thumbnail(jpeg: &[u8]) -> Option<Vec<u8>> {
    let small = image::load_from_memory(jpeg).ok()?.thumbnail(THUMBNAIL_PX, THUMBNAIL_PX).to_rgb8();
    let mut out = Cursor::new(Vec::new());
    small.write_to(&mut out, image::ImageFormat::Jpeg).ok()?;
    Some(out.into_inner())
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn gap_row(gap: &Gap, cut_off: Timestamp) -> [Cell; GAPS.len()] {
    let open = gap.to >= cut_off;
    [
        text(words::gap_kind(gap.kind)),
        text(words::named(&gap.subject)),
        Cell::Time(gap.from),
        if open { Cell::Empty } else { Cell::Time(gap.to) },
        text(if open { "仍在持续" } else { "已结束" }),
        text(&gap.words),
    ]
}

fn reading_row(r: &Reading, s: &Sighting) -> [Cell; READINGS.len()] {
    let number = r.value.parse().ok().filter(|n: &f64| n.is_finite());
    [
        text(words::named(&r.station)),
        text(&r.property_zh),
        text(&r.value),
        number.map_or(Cell::Empty, Cell::Number),
        text(&r.unit),
        Cell::Time(r.observed_at),
        Cell::Number(r.distance_m.round()),
        Cell::Time(s.observed_at),
        Cell::Number(s.entry.index as f64),
        text("原始值，未审核"),
    ]
}

fn rain_row(rain: &RainDay) -> [Cell; RAIN.len()] {
    [
        text(words::day(rain.from)),
        Cell::Number((rain.mm * 10.0).round() / 10.0),
        Cell::Number((rain.coverage * 100.0).round()),
        text(&rain.source),
    ]
}

fn about(page: &mut Worksheet, title: &str, timeline: &Timeline, formats: &Formats) -> Result<(), XlsxError> {
    const NOTE_WIDTH: f64 = 110.0;
    page.set_name("说明")?.set_column_width(0, 6)?.set_column_width(1, NOTE_WIDTH)?;
    page.write_string_with_format(0, 1, title, &formats.title)?;
    page.write_string_with_format(1, 1, table::notice(timeline), &formats.text)?;
    for (row, note) in (2..).zip(notes(timeline)) {
        page.write_number_with_format(row, 0, f64::from(row - 1), &formats.number)?;
        page.set_row_height(row, row_height(&[text(&note)], &[("", NOTE_WIDTH)]))?;
        page.write_string_with_format(row, 1, note, &formats.text)?;
    }
    Ok(())
}

/// Landscape A4, one page wide, title above and page number below.
fn print_setup(sheet: &mut Worksheet, title: &str, demo: bool) {
    const A4: u8 = 9;
    // In a header `&` begins a code.
    let title = title.replace('&', "&&");
    let mark = if demo { "&R&KC00000演示数据" } else { "" };
    sheet
        .set_landscape()
        .set_paper_size(A4)
        .set_print_fit_to_pages(1, 0)
        .set_margins(0.5, 0.5, 0.7, 0.6, 0.3, 0.3)
        .set_header(format!("&L{title}{mark}"))
        .set_footer("&C第 &P 页，共 &N 页");
}

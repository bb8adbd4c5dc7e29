//! One sheet of an Excel workbook (.xlsx) as rows of text: dates as a person would write them, numbers as they are.

use std::io::Cursor;

use calamine::{DataRef, ExcelDateTime, Reader, Xlsx};
use jiff::Unit;
use jiff::civil::DateTime;

use super::table::MAX_BYTES;
use crate::error::{Error, Result};

/// Columns beyond this are a slip of the hand far to the right.
const COLUMNS_MAX: u32 = 1_000;
/// Most cells, empty ones not counted.
const CELLS_MAX: usize = 5_000_000;

/// A sheet in memory.
#[derive(Debug)]
pub(super) struct Sheet {
    /// As its tab says.
    pub name: String,
    /// Rows that are not empty, with their numbers as the sheet shows them.
    pub rows: Vec<(u64, csv::StringRecord)>,
}

/// A ZIP archive, as every .xlsx is.
pub(super) fn is_workbook(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

fn damaged(e: impl std::fmt::Display) -> Error {
    Error::invalid(
        "file",
        format!("is no workbook that can be read: {e}; allowed: .xlsx without a password, or CSV"),
    )
}

impl Sheet {
    /// Reads the sheet `name`, or the first.
    ///
    /// # Errors
    /// `Invalid` for what is no workbook or a sheet that is not there, `TooLarge` past the limits.
    pub fn read(bytes: Vec<u8>, name: Option<&str>) -> Result<Self> {
        refuse_bomb(&bytes)?;
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
        let names = book.sheet_names();
        let found = match name {
            Some(name) => names.iter().find(|n| *n == name),
            None => names.first(),
        };
        let name = found.cloned().ok_or_else(|| {
            let asked = name.unwrap_or_default();
            Error::invalid("--sheet", format!("`{asked}` is not there; allowed: {}", names.join(", ")))
        })?;
        let mut cells = book.worksheet_cells_reader(&name).map_err(damaged)?;
        let (mut rows, mut count): (Vec<(u64, csv::StringRecord)>, _) = (Vec::new(), 0);
        // In the order of the file, which is by row and column; cell by cell, for a lone one far away would make a
        // filled range of gigabytes.
        while let Some(cell) = cells.next_cell().map_err(damaged)? {
            let text = words(cell.get_value());
            if text.trim().is_empty() {
                continue;
            }
            let (row, column) = cell.get_position();
            count += 1;
            if column >= COLUMNS_MAX || count > CELLS_MAX {
                let message = format!("row {}: allowed: {COLUMNS_MAX} columns, {CELLS_MAX} cells", row + 1);
                return Err(Error::TooLarge { field: "file".into(), message });
            }
            let line = u64::from(row) + 1;
            if rows.last().is_none_or(|(last, _)| *last != line) {
                rows.push((line, csv::StringRecord::new()));
            }
            let Some((_, record)) = rows.last_mut() else { continue };
            (record.len()..column as usize).for_each(|_| record.push_field(""));
            record.push_field(&text);
        }
        Ok(Self { name, rows })
    }

    /// Takes the first row off.
    pub fn take_headings(&mut self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let (_, first) = self.rows.remove(0);
        first.iter().map(|h| h.trim().to_owned()).collect()
    }
}

/// What unfolds to more than a table may have is refused before it does.
fn refuse_bomb(bytes: &[u8]) -> Result<()> {
    let archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let unfolded = archive.decompressed_size().unwrap_or_default();
    if unfolded > u128::from(MAX_BYTES) {
        let message = format!("unfolds to {unfolded} bytes; allowed: {MAX_BYTES}, cut the workbook in parts");
        return Err(Error::TooLarge { field: "file".into(), message });
    }
    Ok(())
}

fn words(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::Empty => String::new(),
        DataRef::Int(n) => n.to_string(),
        DataRef::Float(x) => x.to_string(),
        DataRef::Bool(b) => b.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::DateTime(at) => moment(at).unwrap_or_else(|| at.as_f64().to_string()),
        DataRef::Error(e) => e.to_string(),
    }
}

/// `2026-07-14 05:20:00`, to the second; a date alone stays one. `None` for a duration, or beyond the calendar.
fn moment(at: &ExcelDateTime) -> Option<String> {
    if at.is_duration() {
        return None;
    }
    let (year, month, day, hour, minute, second, milli) = at.to_ymd_hms_milli();
    let [month, day, hour, minute, second] =
        [month, day, hour, minute, second].map(|n| i8::try_from(n).unwrap_or(-1));
    let exact = DateTime::new(
        i16::try_from(year).ok()?,
        month,
        day,
        hour,
        minute,
        second,
        i32::from(milli) * 1_000_000,
    );
    let rounded = exact.ok()?.round(Unit::Second).ok()?;
    let form = if at.as_f64().fract() == 0.0 { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M:%S" };
    Some(rounded.strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;
    use rust_xlsxwriter::{ExcelDateTime as Written, Format, Workbook};

    fn book(fill: impl FnOnce(&mut Workbook)) -> Vec<u8> {
        let mut book = Workbook::new();
        fill(&mut book);
        book.save_to_buffer().unwrap()
    }

    fn rows(table: &Table) -> Vec<(u64, Vec<String>)> {
        table
            .rows()
            .map(|r| r.map(|(line, r)| (line, r.iter().map(str::to_owned).collect())).unwrap())
            .collect()
    }

    #[test]
    fn cells_are_text_as_a_person_would_write_them_and_rows_keep_their_numbers() {
        let bytes = book(|book| {
            let (minute, day) = (
                Format::new().set_num_format("yyyy-mm-dd hh:mm"),
                Format::new().set_num_format("yyyy-mm-dd"),
            );
            let sheet = book.add_worksheet().set_name("台账").unwrap();
            for (c, heading) in ["时间", "经度", "备注"].into_iter().enumerate() {
                sheet.write(0, c as u16, heading).unwrap();
            }
            let at = Written::from_ymd(2026, 7, 14).unwrap();
            sheet.write_with_format(1, 0, at.clone().and_hms(5, 20, 0).unwrap(), &minute).unwrap();
            sheet.write(1, 1, 113.1001).unwrap();
            sheet.write(1, 2, "两行\n文字").unwrap();
            // An empty row stands between.
            sheet.write_with_format(3, 0, &at, &day).unwrap();
            sheet.write(3, 1, 8).unwrap();
            sheet.write(4, 0, "2026-07-14 05:20").unwrap();
        });
        let table = Table::from_bytes(bytes, None).unwrap();
        assert_eq!((table.headings(), table.lines()), (&["时间", "经度", "备注"].map(str::to_owned)[..], 3));
        assert_eq!(table.form(), "工作表「台账」");
        let text = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            rows(&table),
            [
                (2, text(["2026-07-14 05:20:00", "113.1001", "两行\n文字"])),
                (4, text(["2026-07-14", "8", ""])),
                (5, text(["2026-07-14 05:20", "", ""])),
            ]
        );
    }

    #[test]
    fn sheets_are_found_by_name_and_a_row_that_is_too_long_is_an_error() {
        let bytes = book(|book| {
            book.add_worksheet().set_name("说明").unwrap().write(0, 0, "x").unwrap();
            let sheet = book.add_worksheet().set_name("数据").unwrap();
            sheet.write(0, 0, "a").unwrap().write(1, 0, 1).unwrap().write(2, 3, "over").unwrap();
        });
        let table = Table::from_bytes(bytes.clone(), Some("数据")).unwrap();
        let found: Vec<_> = table.rows().map(|r| r.map(|(line, _)| line).map_err(|e| e.line)).collect();
        assert_eq!(found, [Ok(2), Err(3)]);
        let message = Table::from_bytes(bytes, Some("表3")).unwrap_err().to_string();
        assert_eq!(message, "--sheet: `表3` is not there; allowed: 说明, 数据");
        let message = Table::from_bytes(b"a,b\n1,2\n".to_vec(), Some("数据")).unwrap_err().to_string();
        assert!(message.contains("no workbook"), "{message}");
    }

    #[test]
    fn what_is_no_workbook_or_too_large_is_refused() {
        let lone = book(|book| {
            book.add_worksheet().write(0, 0, "a").unwrap().write(0, 16_000, "far").unwrap();
        });
        assert!(Table::from_bytes(lone, None).unwrap_err().to_string().contains("1000 columns"));
        let good = book(|book| {
            book.add_worksheet().write(0, 0, "a").unwrap();
        });
        for bytes in
            [b"PK\x03\x04rest".to_vec(), good[..good.len() / 2].to_vec(), b"\xD0\xCF\x11\xE0".to_vec()]
        {
            assert!(Table::from_bytes(bytes, None).is_err());
        }
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("xl/workbook.xml", zip::write::SimpleFileOptions::default()).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..=MAX_BYTES >> 20 {
            std::io::Write::write_all(&mut zip, &zeros).unwrap();
        }
        let bomb = zip.finish().unwrap().into_inner();
        assert!(bomb.len() < 1 << 20);
        assert!(Table::from_bytes(bomb, None).unwrap_err().to_string().contains("unfolds to"));
    }
}

//! Tables as offices save them: CSV in UTF-8 (with or without BOM), UTF-16 with BOM or GB 18030, parted by comma,
//! semicolon or tab; or a sheet of an Excel workbook.

use std::path::Path;

use super::sheet;
use crate::error::{Error, Result};

/// The largest file taken, bytes; it is read as a whole.
pub const MAX_BYTES: u64 = 256 << 20;

/// A table in memory.
#[derive(Debug)]
pub struct Table {
    content: Content,
    headings: Vec<String>,
}

#[derive(Debug)]
enum Content {
    Text(Text),
    Sheet(sheet::Sheet),
}

#[derive(Debug)]
struct Text {
    text: String,
    encoding: &'static str,
    delimiter: u8,
}

/// A row of a table that could not be taken, in whole or in one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Line of the file, the heading being line 1; number of the feature for GeoJSON.
    pub line: u64,
    /// Heading of the column; empty for the whole row.
    pub column: String,
    /// What was found and what is allowed.
    pub message: String,
}

impl std::fmt::Display for RowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let column = if self.column.is_empty() { String::new() } else { format!("「{}」", self.column) };
        write!(f, "第 {} 行{column}: {}", self.line, self.message)
    }
}

/// Reads a file, at most [`MAX_BYTES`].
///
/// # Errors
/// `NotFound`, `TooLarge`, or what the system says.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let size = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NotFound(path.display().to_string()));
        }
        Err(e) => return Err(e.into()),
    };
    if size > MAX_BYTES {
        let message = format!("{size} bytes; allowed: up to {MAX_BYTES}, cut the file in parts");
        return Err(Error::TooLarge { field: path.display().to_string(), message });
    }
    Ok(std::fs::read(path)?)
}

impl Table {
    /// Takes the bytes of a file; of a workbook the first sheet, or the one that is named.
    ///
    /// # Errors
    /// `Unsupported` for a workbook or an encoding that is not taken, `Invalid` without a heading or for a sheet that is
    /// not there.
    pub fn from_bytes(bytes: Vec<u8>, sheet: Option<&str>) -> Result<Self> {
        let (content, headings) = if sheet::is_workbook(&bytes) {
            let mut read = sheet::Sheet::read(bytes, sheet)?;
            let headings = read.take_headings();
            (Content::Sheet(read), headings)
        } else if let Some(name) = sheet {
            return Err(Error::invalid("--sheet", format!("`{name}`: the file is no workbook (.xlsx)")));
        } else {
            let text = Text::from_bytes(bytes)?;
            let headings = text.headings()?;
            (Content::Text(text), headings)
        };
        if headings.iter().all(String::is_empty) {
            return Err(Error::invalid("file", "empty; a first line with headings is needed"));
        }
        Ok(Self { content, headings })
    }

    /// How the bytes were read: `UTF-8，逗号分隔`, `工作表「台账」`.
    #[must_use]
    pub fn form(&self) -> String {
        match &self.content {
            Content::Sheet(sheet) => format!("工作表「{}」", sheet.name),
            Content::Text(text) => {
                let delimiter = match text.delimiter {
                    b'\t' => "制表符",
                    b';' => "分号",
                    _ => "逗号",
                };
                format!("{}，{delimiter}分隔", text.encoding)
            }
        }
    }

    /// The first line.
    #[must_use]
    pub fn headings(&self) -> &[String] {
        &self.headings
    }

    /// Where the heading stands, by its exact text.
    #[must_use]
    pub fn position(&self, heading: &str) -> Option<usize> {
        self.headings.iter().position(|h| h == heading)
    }

    /// Lines below the heading that are not empty: the length of a progress bar.
    #[must_use]
    pub fn lines(&self) -> u64 {
        match &self.content {
            Content::Sheet(sheet) => sheet.rows.len() as u64,
            Content::Text(text) => {
                (text.text.lines().filter(|l| !l.is_empty()).count() as u64).saturating_sub(1)
            }
        }
    }

    /// The rows with their lines; a row that has not the heading's number of cells is an error of its own.
    pub fn rows(&self) -> Box<dyn Iterator<Item = Result<(u64, csv::StringRecord), RowError>> + '_> {
        let width = self.headings.len();
        match &self.content {
            Content::Text(text) => Box::new(text.rows(width)),
            // A sheet says nothing of cells that are empty: only too many can be wrong.
            Content::Sheet(sheet) => Box::new(sheet.rows.iter().map(move |(line, cells)| {
                let mut cells = cells.clone();
                (cells.len()..width).for_each(|_| cells.push_field(""));
                if has_surplus(&cells, width) {
                    return Err(whole(*line, format!("{} cells; the heading has {width}", cells.len())));
                }
                Ok((*line, cells))
            })),
        }
    }
}

/// An error of a whole row.
fn whole(line: u64, message: String) -> RowError {
    RowError { line, column: String::new(), message }
}

fn has_surplus(record: &csv::StringRecord, width: usize) -> bool {
    record.iter().skip(width).any(|cell| !cell.trim().is_empty())
}

impl Text {
    fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let (text, encoding) = decode(bytes)?;
        let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
        let delimiter = delimiter_of(first);
        Ok(Self { text, encoding, delimiter })
    }

    fn headings(&self) -> Result<Vec<String>> {
        let mut reader = self.reader();
        let headings = reader
            .headers()
            .map_err(|e| Error::invalid("file", format!("the heading cannot be read: {e}")))?;
        Ok(headings.iter().map(|h| h.trim().to_owned()).collect())
    }

    fn rows(&self, width: usize) -> impl Iterator<Item = Result<(u64, csv::StringRecord), RowError>> {
        self.reader().into_records().map(move |record| {
            let record =
                record.map_err(|e| whole(e.position().map_or(0, csv::Position::line), e.to_string()))?;
            let line = record.position().map_or(0, |p| self.line_of(p));
            if record.len() < width || has_surplus(&record, width) {
                return Err(whole(line, format!("{} cells; the heading has {width}", record.len())));
            }
            if self.has_swallowed(&record, width) {
                return Err(whole(
                    line,
                    "further rows stand inside a cell: a quotation mark is not closed".into(),
                ));
            }
            Ok((line, record))
        })
    }

    /// An unclosed quotation mark makes one cell of all that follows: a line in it has as many delimiters as a row.
    fn has_swallowed(&self, record: &csv::StringRecord, width: usize) -> bool {
        let row = |line: &str| line.matches(char::from(self.delimiter)).count() + 1 >= width.max(2);
        record.as_slice().contains('\n') && record.iter().any(|cell| cell.lines().skip(1).any(row))
    }

    /// The reader counts a record from the empty lines before it.
    fn line_of(&self, position: &csv::Position) -> u64 {
        let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        let bytes = self.text.as_bytes().get(from..).unwrap_or_default();
        let empty = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|&&b| b == b'\n').count();
        position.line() + empty as u64
    }

    fn reader(&self) -> csv::Reader<&[u8]> {
        csv::ReaderBuilder::new().delimiter(self.delimiter).flexible(true).from_reader(self.text.as_bytes())
    }
}

fn decode(bytes: Vec<u8>) -> Result<(String, &'static str)> {
    let refuse = |message: &str| {
        Err(Error::Unsupported {
            field: "file".into(),
            message: format!("{message}; taken: CSV in UTF-8 or GB 18030, or .xlsx"),
        })
    };
    if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
        return refuse("an old Excel workbook (.xls), or a protected one: save it as .xlsx");
    }
    if let Some((encoding, bom)) = encoding_rs::Encoding::for_bom(&bytes) {
        let (text, bad) = encoding.decode_without_bom_handling(&bytes[bom..]);
        return if bad { refuse("damaged text") } else { Ok((text.into_owned(), encoding.name())) };
    }
    if bytes.contains(&0) {
        return refuse("contains NUL bytes");
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok((text, "UTF-8")),
        Err(e) => e.into_bytes(),
    };
    match encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(&bytes) {
        Some(text) => Ok((text.into_owned(), "gb18030")),
        None => refuse("neither UTF-8 nor GB 18030"),
    }
}

/// The most frequent of the three outside quotation marks.
fn delimiter_of(heading: &str) -> u8 {
    let count = |wanted: u8| {
        let mut quoted = false;
        heading
            .bytes()
            .filter(|&b| {
                quoted ^= b == b'"';
                b == wanted && !quoted
            })
            .count()
    };
    // The last of equals wins: a comma.
    [b'\t', b';', b','].into_iter().max_by_key(|&b| count(b)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(table: &Table) -> Vec<Vec<String>> {
        table.rows().map(|r| r.unwrap().1.iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn encodings_of_an_office() {
        let text = "监测时间,溶解氧(mg/L)\n2026-08-22 09:00,6.5\n";
        let gb = encoding_rs::GB18030.encode(text).0.into_owned();
        let bom = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
        let utf16: Vec<u8> =
            [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for (bytes, encoding) in
            [(text.as_bytes().to_vec(), "UTF-8"), (bom, "UTF-8"), (gb, "gb18030"), (utf16, "UTF-16LE")]
        {
            let table = Table::from_bytes(bytes, None).unwrap();
            assert_eq!(table.form(), format!("{encoding}，逗号分隔"));
            assert_eq!(table.headings(), ["监测时间", "溶解氧(mg/L)"]);
            assert_eq!(cells(&table), [["2026-08-22 09:00", "6.5"]]);
        }
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [&b"PK\x03\x04rest"[..], b"a,b\n\xFF\xFF\xFF", b"a\0,b", b"", b"\n\n"] {
            assert!(Table::from_bytes(bytes.to_vec(), None).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn delimiters() {
        for (text, delimiter) in [("a;b,c;d", b';'), ("a\tb\tc", b'\t'), ("\"x;y;z\",b", b','), ("one", b',')]
        {
            assert_eq!(Text::from_bytes(text.into()).unwrap().delimiter, delimiter, "{text}");
        }
    }

    #[test]
    fn an_unclosed_quotation_mark_does_not_hide_rows() {
        let table = Table::from_bytes("a,b\n1,\"x\ny\"\n2,\"z\n3,4\n5,6\n".into(), None).unwrap();
        let rows: Vec<_> = table.rows().map(|r| r.map(|(line, _)| line).map_err(|e| e.line)).collect();
        assert_eq!(rows, [Ok(2), Err(4)]);
    }

    #[test]
    fn rows_know_their_line_and_width() {
        let table = Table::from_bytes("a,b\n1,2\n\n3\n4,5,\n6,7,8\n".into(), None).unwrap();
        let rows: Vec<_> = table.rows().map(|r| r.map(|(line, _)| line).map_err(|e| e.line)).collect();
        assert_eq!(rows, [Ok(2), Err(4), Ok(5), Err(6)]);
        assert_eq!(
            table.rows().filter_map(Result::err).next().unwrap().to_string(),
            "第 4 行: 1 cells; the heading has 2"
        );
    }
}

//! The ledger (台账): one line per report, the same columns in Excel and CSV; and the CSV file.
//!
//! CSV is UTF-8 with a byte order mark (else Excel reads it as GBK). A spreadsheet takes text that begins with
//! `=`, `+`, `-`, `@` (also full-width), a tab or a line break as a formula: such text gets an apostrophe before it.
//! Numbers are left alone, and nothing is changed in the database or in other formats.

use std::io::Write;

use jiff::Timestamp;

use crate::clock::beijing_minute;
use crate::document::words;
use crate::error::{Error, Result};
use crate::evidence::timeline::{ERASED, Gap, Named, RainDay, Row, Sighting, Timeline};

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Empty,
    Text(String),
    Number(f64),
    Time(Timestamp),
}

/// A column of the ledger: head, and width in characters for Excel.
pub(crate) type Column = (&'static str, f64);

/// The ledger's columns; `ledger_row` fills them in this order.
pub(crate) const LEDGER: [Column; 18] = [
    ("编号", 8.0),
    ("发现时间（北京时间）", 17.0),
    ("类型", 9.0),
    ("排口", 14.0),
    ("岸段", 12.0),
    ("责任单位", 12.0),
    ("经度（WGS-84）", 11.0),
    ("纬度（WGS-84）", 10.0),
    ("精度（m）", 7.0),
    ("天气", 9.0),
    ("前期雨量（mm）", 9.0),
    ("证据等级", 6.0),
    ("等级表述", 14.0),
    ("现场情况", 36.0),
    ("备注", 20.0),
    ("说明", 20.0),
    ("照片数", 6.0),
    ("条目号", 9.0),
];

/// What proves a line of the ledger; `proof_row` fills it.
pub(crate) const PROOF: [Column; 5] = [
    ("收到时间（北京时间）", 17.0),
    ("上报编号", 38.0),
    ("叶哈希（RFC 6962）", 68.0),
    ("照片哈希（SHA-256）", 68.0),
    ("未到照片", 9.0),
];

pub(crate) fn ledger_row(s: &Sighting) -> [Cell; LEDGER.len()] {
    let at = s.position.as_ref();
    [
        Cell::Number(s.first_entry as f64),
        Cell::Time(s.observed_at),
        text(s.kind.zh()),
        named(s.outfall.as_ref()),
        named(s.sector.as_ref()),
        named(s.unit.as_ref()),
        number_of(at.map(|at| at.lng)),
        number_of(at.map(|at| at.lat)),
        number_of(at.and_then(|at| at.accuracy_m)),
        text(s.weather.zh()),
        number_of(s.rain_mm),
        s.level.map_or(Cell::Empty, |level| text(words::level_code(level))),
        text(words::level(s)),
        text(words::facts(s)),
        s.note.as_deref().map_or(Cell::Empty, text),
        text(remarks(s)),
        count(s.photos.iter().filter(|p| p.stored).count()),
        Cell::Number(s.entry.index as f64),
    ]
}

pub(crate) fn proof_row(s: &Sighting) -> [Cell; PROOF.len()] {
    let hashes: Vec<&str> = s.photos.iter().map(|p| p.sha256.as_str()).collect();
    [
        Cell::Time(s.received_at),
        text(s.id.to_string()),
        text(&s.entry.leaf_hash),
        text(hashes.join("\n")),
        count(missing(s)),
    ]
}

fn missing(s: &Sighting) -> usize {
    s.photos.iter().filter(|p| p.is_missing()).count()
}

fn remarks(s: &Sighting) -> String {
    let mut remarks = words::remarks(s);
    if s.position.is_none() {
        remarks.insert(0, words::position_or_reason(s));
    }
    if missing(s) > 0 {
        remarks.push(format!("照片未到{}张", missing(s)));
    }
    let erased = s.photos.iter().filter(|p| p.erased).count();
    if erased > 0 {
        remarks.push(format!("照片{erased}张{ERASED}"));
    }
    remarks.join("；")
}

pub(super) fn text(text: impl Into<String>) -> Cell {
    let text = text.into();
    if text.is_empty() { Cell::Empty } else { Cell::Text(text) }
}

fn named(thing: Option<&Named>) -> Cell {
    thing.map_or(Cell::Empty, |thing| text(words::named(thing)))
}

fn number_of(number: Option<f64>) -> Cell {
    number.filter(|n| n.is_finite()).map_or(Cell::Empty, Cell::Number)
}

pub(super) fn count(count: usize) -> Cell {
    Cell::Number(count as f64)
}

/// Columns of the CSV around the ledger's: before it what the line is and when it ends, after it what every export
/// states.
const BEFORE: [&str; 2] = ["行", "止（北京时间）"];
/// Gaps and rain are derived and have no entry.
const NO_PROOF: [Cell; PROOF.len()] = [const { Cell::Empty }; PROOF.len()];
const AFTER: [&str; 5] = ["数据截止（北京时间）", "筛选条件", "日志条目数", "日志根哈希", "声明"];

/// Writes the timeline as CSV: sightings, gaps and rain days in time order, one line each.
///
/// # Errors
/// Those of `out`.
pub fn write_csv(timeline: &Timeline, mut out: impl Write) -> Result<()> {
    out.write_all("\u{feff}".as_bytes())?;
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    let ledger = LEDGER.iter().chain(&PROOF).map(|(head, _)| *head);
    let heads = BEFORE.into_iter().chain(ledger).chain(AFTER);
    csv.write_record(heads).map_err(csv_error)?;
    let stated = stated(timeline);
    for row in &timeline.rows {
        let (what, to, ledger, proof) = match row {
            Row::Sighting(s) => ("上报", Cell::Empty, ledger_row(s), proof_row(s)),
            Row::Gap(gap) => {
                let to = text(words::gap_span(gap, timeline.cut_off).1);
                ("缺口", to, gap_row(gap), NO_PROOF)
            }
            Row::Rain(rain) => ("降雨", Cell::Empty, rain_row(rain), NO_PROOF),
        };
        let cells = [text(what), to].into_iter().chain(ledger).chain(proof).chain(stated.clone());
        csv.write_record(cells.map(plain)).map_err(csv_error)?;
    }
    if timeline.rows.is_empty() {
        // Without a line the file would say nothing of what it was asked, and when.
        let none = [const { Cell::Empty }; LEDGER.len()];
        let cells = [text("无记录"), Cell::Empty].into_iter().chain(none).chain(NO_PROOF).chain(stated);
        csv.write_record(cells.map(plain)).map_err(csv_error)?;
    }
    csv.flush()?;
    Ok(())
}

pub(super) fn csv_error(e: csv::Error) -> Error {
    match e.into_kind() {
        csv::ErrorKind::Io(e) => e.into(),
        other => Error::Internal(format!("csv: {other:?}")),
    }
}

fn stated(timeline: &Timeline) -> [Cell; AFTER.len()] {
    [
        Cell::Time(timeline.cut_off),
        text(&timeline.filter_words),
        Cell::Number(timeline.log_size as f64),
        text(&timeline.log_root),
        text(notice(timeline)),
    ]
}

/// `演示数据；位置示意，非测绘；监测值为原始值，未审核，仅供参考`: what must not be lost when a table is passed on.
pub(crate) fn notice(timeline: &Timeline) -> String {
    let mut said = Vec::new();
    if timeline.demo {
        said.push("演示数据".to_owned());
    }
    if !timeline.place_notice.is_empty() {
        said.push(format!("位置{}", words::notice(&timeline.place_notice)));
    }
    said.push("监测值为原始值，未审核，仅供参考".to_owned());
    said.join("；")
}

/// A line with time, kind and remarks only.
fn derived_row(at: Timestamp, kind: &str, sector: Cell, remarks: String) -> [Cell; LEDGER.len()] {
    let mut row = [const { Cell::Empty }; LEDGER.len()];
    row[1] = Cell::Time(at);
    row[2] = text(kind);
    row[4] = sector;
    row[15] = text(remarks);
    row
}

fn gap_row(gap: &Gap) -> [Cell; LEDGER.len()] {
    derived_row(gap.from, words::gap_kind(gap.kind), named(Some(&gap.subject)), gap.words.clone())
}

fn rain_row(rain: &RainDay) -> [Cell; LEDGER.len()] {
    let covered = rain.coverage * 100.0;
    let said = format!("日雨量{:.1} mm，资料覆盖{covered:.0}%，雨量站{}", rain.mm, rain.source);
    derived_row(rain.from, "日雨量", Cell::Empty, said)
}

pub(super) fn plain(cell: Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => guarded(text),
        Cell::Number(number) => number.to_string(),
        Cell::Time(at) => beijing_minute(at),
    }
}

/// Text that a spreadsheet would take for a formula, with an apostrophe before it.
fn guarded(text: String) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n']);
    if formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_numbers_stay_numbers() {
        for text in ["=1+1", "+86", "-x", "@SUM(A1)", "＝1", "\t=1", "\r=1"] {
            assert_eq!(plain(Cell::Text(text.into())), format!("'{text}"));
        }
        assert_eq!(plain(Cell::Text("a=1".into())), "a=1");
        assert_eq!(plain(Cell::Number(-1.5)), "-1.5");
    }

    #[test]
    fn derived_rows_stand_under_their_heads() {
        assert_eq!((LEDGER[1].0, LEDGER[2].0), ("发现时间（北京时间）", "类型"));
        assert_eq!((LEDGER[4].0, LEDGER[15].0), ("岸段", "说明"));
    }
}

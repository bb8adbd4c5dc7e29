//! Rows of the log as InfluxDB line protocol.

use std::ops::Range;

use influxdb2::models::{DataPoint, WriteDataPoint};

use crate::error::{Error, Result};
use crate::store::FollowedObservation;

/// The one measurement of the mirror.
pub(super) const MEASUREMENT: &str = "water";

/// Lines of one write, in log order: each ends with a line feed, so any range of them is a body of its own.
#[derive(Debug, Default)]
pub(super) struct Lines {
    body: Vec<u8>,
    ends: Vec<usize>,
}

impl Lines {
    /// A line for each row that has a number; the second part counts the rows that have none.
    pub(super) fn of(rows: &[FollowedObservation]) -> Result<(Self, u64)> {
        let mut lines = Self::default();
        let mut without_number = 0;
        for row in rows {
            // A missing value is no point, and the server refuses NaN and infinities with the whole request.
            match row.number.filter(|number| number.is_finite()) {
                Some(number) => lines.push(row, number)?,
                None => without_number += 1,
            }
        }
        Ok((lines, without_number))
    }

    fn push(&mut self, row: &FollowedObservation, number: f64) -> Result<()> {
        let tags = [
            ("station", row.station.as_str()),
            ("property", row.property.as_str()),
            ("unit", row.unit.as_str()),
            ("processing", row.processing.as_str()),
        ];
        let mut point = DataPoint::builder(MEASUREMENT).field("value", number).timestamp(row.at_ms);
        for (key, value) in tags {
            // `key=` without a value does not parse.
            if !value.is_empty() {
                point = point.tag(key, tag_value(value));
            }
        }
        let point = point.build().map_err(|e| Error::Internal(e.to_string()))?;
        point.write_data_point_to(&mut self.body)?;
        self.ends.push(self.body.len());
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of some of the lines.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        let start = self.start_of(range.start);
        let end = self.start_of(range.end);
        &self.body[start..end]
    }

    fn start_of(&self, line: usize) -> usize {
        if line == 0 { 0 } else { self.ends[line - 1] }
    }
}

/// What the builder does not escape: a line feed ends the line, and a backslash at the end swallows the delimiter
/// after it. Both become U+FFFD; the store keeps the true text.
fn tag_value(text: &str) -> String {
    let mut clean: String = text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if clean.ends_with('\\') {
        clean.pop();
        clean.push('\u{FFFD}');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Cursor;
    use crate::water::observation::Processing;

    fn row(station: &str, unit: &str, number: Option<f64>) -> FollowedObservation {
        FollowedObservation {
            at: Cursor::START,
            station: station.into(),
            property: "do".into(),
            unit: unit.into(),
            processing: Processing::Raw,
            at_ms: 1_787_360_400_000,
            number,
            text: None,
        }
    }

    fn text(lines: &Lines, range: Range<usize>) -> &str {
        std::str::from_utf8(lines.bytes(range)).unwrap()
    }

    #[test]
    fn a_row_is_a_line_and_any_range_is_a_body() {
        let rows = [row("S1", "mg/L", Some(8.0)), row("S 2", "", Some(-0.5)), row("S3", "mg/L", Some(1e-7))];
        let (lines, skipped) = Lines::of(&rows).unwrap();
        assert_eq!((lines.len(), skipped), (3, 0));
        assert_eq!(
            text(&lines, 0..1),
            "water,processing=raw,property=do,station=S1,unit=mg/L value=8 1787360400000\n"
        );
        assert_eq!(
            text(&lines, 1..3),
            "water,processing=raw,property=do,station=S\\ 2 value=-0.5 1787360400000\n\
             water,processing=raw,property=do,station=S3,unit=mg/L value=0.0000001 1787360400000\n"
        );
        assert_eq!(text(&lines, 2..2), "");
    }

    #[test]
    fn rows_without_a_number_are_counted_and_left_out() {
        let numbers = [None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), Some(1.0)];
        let rows: Vec<_> = numbers.into_iter().map(|n| row("S1", "mg/L", n)).collect();
        let (lines, skipped) = Lines::of(&rows).unwrap();
        assert_eq!((lines.len(), skipped), (1, 4));
    }

    #[test]
    fn no_text_can_break_out_of_its_tag() {
        assert_eq!(tag_value("a\nb\r\u{0}"), "a\u{FFFD}b\u{FFFD}\u{FFFD}");
        assert_eq!(tag_value("尾\\"), "尾\u{FFFD}");
        assert_eq!(tag_value("a\\b"), "a\\b");
    }
}

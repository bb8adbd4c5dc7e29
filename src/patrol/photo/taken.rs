//! When and where a photo says it was taken: a cross-check beside the phone's own fix, and no more. Anybody can write
//! EXIF, and a picture passed on by others has theirs.

use std::io::{BufRead, Seek};

use exif::{In, Rational, Tag, Value};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::lake::Wgs84;

/// What EXIF (CIPA DC-008) says of the taking.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taken {
    /// `DateTimeOriginal`; Beijing time where no offset is given.
    pub at: Option<Timestamp>,
    /// `GPSLatitude`, `GPSLongitude`.
    pub position: Option<Wgs84>,
}

/// How far a photo's own words are from its report's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Apart {
    /// Report minus photo.
    pub time: Option<SignedDuration>,
    /// Metres between the two positions.
    pub distance_m: Option<f64>,
}

/// Reads the EXIF block of an original, wherever its format keeps it. What cannot be read says nothing.
#[must_use]
pub fn taken(original: &mut (impl BufRead + Seek)) -> Taken {
    let Ok(exif) = exif::Reader::new().read_from_container(original) else { return Taken::default() };
    let field = |tag| exif.get_field(tag, In::PRIMARY).map(|f| &f.value);
    let degrees = |tag, side| degrees(field(tag)?, field(side)?);
    let position = match (
        degrees(Tag::GPSLongitude, Tag::GPSLongitudeRef),
        degrees(Tag::GPSLatitude, Tag::GPSLatitudeRef),
    ) {
        (Some(lng), Some(lat)) if lng.abs() <= 180.0 && lat.abs() <= 90.0 => Some(Wgs84 { lng, lat }),
        _ => None,
    };
    let zone = field(Tag::OffsetTimeOriginal).and_then(zone);
    Taken { at: field(Tag::DateTimeOriginal).and_then(|value| at(value, zone)), position }
}

impl Taken {
    /// Compares with what a report says: seen when, by the phone's clock, and where.
    #[must_use]
    pub fn apart(&self, seen: Timestamp, position: Option<Wgs84>) -> Apart {
        Apart {
            time: self.at.map(|at| seen.duration_since(at)),
            distance_m: self.position.zip(position).map(|(a, b)| a.distance_m(b)),
        }
    }
}

/// Degrees, minutes and seconds, and the half of the world that they count in.
fn degrees(value: &Value, side: &Value) -> Option<f64> {
    let (Value::Rational(parts), Value::Ascii(side)) = (value, side) else { return None };
    let [d, m, s] = parts.get(..3)? else { return None };
    let sign = match side.first()?.first()? {
        b'N' | b'E' => 1.0,
        b'S' | b'W' => -1.0,
        _ => return None,
    };
    let all = Rational::to_f64(d) + Rational::to_f64(m) / 60.0 + Rational::to_f64(s) / 3600.0;
    all.is_finite().then_some(sign * all)
}

/// `2026:07:14 08:12:30`.
fn at(value: &Value, zone: Option<Offset>) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y:%m:%d %H:%M:%S", text(value)?).ok()?;
    zone.unwrap_or(Offset::constant(8)).to_timestamp(time).ok()
}

/// `+08:00`.
fn zone(value: &Value) -> Option<Offset> {
    let text = text(value)?;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
    let seconds = sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60);
    Offset::from_seconds(seconds).ok()
}

fn text(value: &Value) -> Option<&str> {
    let Value::Ascii(lines) = value else { return None };
    std::str::from_utf8(lines.first()?).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use exif::experimental::Writer;
    use exif::{Field, Rational};

    use super::super::samples::{jpeg, with_segment};
    use super::*;

    fn rationals(parts: [(u32, u32); 3]) -> Value {
        Value::Rational(parts.map(|(num, denom)| Rational { num, denom }).to_vec())
    }

    fn photo(fields: Vec<(Tag, Value)>) -> Vec<u8> {
        let fields: Vec<_> =
            fields.into_iter().map(|(tag, value)| Field { tag, ifd_num: In::PRIMARY, value }).collect();
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut block = Cursor::new(Vec::new());
        writer.write(&mut block, false).unwrap();
        with_segment(&jpeg(), 0xe1, &[b"Exif\0\0", &block.into_inner()[..]].concat())
    }

    fn ascii(text: &str) -> Value {
        Value::Ascii(vec![text.into()])
    }

    #[test]
    fn a_photo_says_when_and_where_and_how_far_that_is_from_its_report() {
        let told = taken(&mut Cursor::new(photo(vec![
            (Tag::DateTimeOriginal, ascii("2026:07:14 08:12:30")),
            (Tag::GPSLatitude, rationals([(29, 1), (23, 1), (5741, 100)])),
            (Tag::GPSLatitudeRef, ascii("N")),
            (Tag::GPSLongitude, rationals([(113, 1), (6, 1), (5068, 100)])),
            (Tag::GPSLongitudeRef, ascii("E")),
        ])));
        assert_eq!(told.at, Some("2026-07-14T00:12:30Z".parse().unwrap()), "Beijing time");
        let at = told.position.unwrap();
        assert!((at.lat - 29.399_281).abs() < 1e-6 && (at.lng - 113.114_078).abs() < 1e-6, "{at:?}");
        let here = Wgs84 { lng: at.lng, lat: at.lat + 0.001 };
        let apart = told.apart("2026-07-14T00:15:30Z".parse().unwrap(), Some(here));
        assert_eq!(apart.time, Some(SignedDuration::from_mins(3)));
        // A thousandth of a degree of latitude at 29°: 110.85 m (WGS-84).
        assert!((apart.distance_m.unwrap() - 110.85).abs() < 0.1, "{apart:?}");
    }

    #[test]
    fn an_offset_is_believed_and_nonsense_says_nothing() {
        let offset = taken(&mut Cursor::new(photo(vec![
            (Tag::DateTimeOriginal, ascii("2026:07:14 08:12:30")),
            (Tag::OffsetTimeOriginal, ascii("-03:30")),
        ])));
        assert_eq!(offset.at, Some("2026-07-14T11:42:30Z".parse().unwrap()));
        let far = taken(&mut Cursor::new(photo(vec![
            (Tag::DateTimeOriginal, ascii("2026:07:14 08:12:30")),
            (Tag::OffsetTimeOriginal, ascii("+999999:00")),
        ])));
        assert_eq!(far.at, Some("2026-07-14T00:12:30Z".parse().unwrap()), "no offset at all");
        let nonsense = taken(&mut Cursor::new(photo(vec![
            (Tag::DateTimeOriginal, ascii("0000:00:00 00:00:00")),
            (Tag::GPSLatitude, rationals([(29, 0), (0, 0), (0, 0)])),
            (Tag::GPSLatitudeRef, ascii("N")),
            (Tag::GPSLongitude, rationals([(400, 1), (0, 1), (0, 1)])),
            (Tag::GPSLongitudeRef, ascii("E")),
        ])));
        assert_eq!(nonsense, Taken::default());
        assert_eq!(taken(&mut Cursor::new(b"no photo".to_vec())), Taken::default());
    }
}

//! Observations: one value of one datastream. The word "reading" ends at the decoder.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How far a value has been processed (原始 / 已审核).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Processing {
    /// As the sensor gave it.
    #[default]
    Raw,
    /// Corrected by a technician, kept beside the raw value.
    Reviewed,
}

impl Processing {
    /// The word in canonical rows, the database and the mirror.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Reviewed => "reviewed",
        }
    }
}

/// A value as received.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The number; `None` for missing, `not detected` or a word.
    pub number: Option<f64>,
    /// The received text where the number's shortest decimal form is not it: `<0.025`, `8.120`, `NULL`, `-9999`.
    pub text: Option<Box<str>>,
}

impl Value {
    /// A number that came as a number.
    #[must_use]
    pub fn number(number: f64) -> Self {
        Self { number: Some(unsigned_zero(number)), text: None }
    }

    /// Text that stands for a missing value: kept as it came, never a number.
    #[must_use]
    pub fn missing(text: &str) -> Self {
        Self { number: None, text: Some(text.into()) }
    }

    /// A number that came as text; the text is kept only where it says more than the number.
    #[must_use]
    pub fn from_text(number: f64, text: &str) -> Self {
        let number = unsigned_zero(number);
        let shortest = number.to_string();
        Self { number: Some(number), text: (shortest != text).then(|| text.into()) }
    }

    /// The value as received, the form that is hashed and shown.
    #[must_use]
    pub fn as_received(&self) -> String {
        match (&self.text, self.number) {
            (Some(text), _) => text.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => String::new(),
        }
    }
}

/// SQLite keeps no sign of a zero, so a row with -0 could not be hashed again; as text the sign stays.
fn unsigned_zero(number: f64) -> f64 {
    number + 0.0
}

/// A stored value for people, with the unit to write behind it: the text as received where it is a number, or one below
/// what the method can find, in our `unit`; else the number in our unit (a text in another unit, `350 ug/L`, would lie
/// beside ours); else the text alone.
#[must_use]
pub fn shown(number: Option<f64>, text: Option<String>, unit: &str) -> (String, &str) {
    let Some(text) = text else { return (number.map(|n| n.to_string()).unwrap_or_default(), unit) };
    let digits = text.trim_start_matches(['<', '＜', '≤', '>', '＞', '≥']).trim_start();
    match (digits.parse::<f64>(), number) {
        (Ok(_), _) => (text, unit),
        (Err(_), Some(number)) => (number.to_string(), unit),
        (Err(_), None) => (text, ""),
    }
}

/// One accepted value, on its way into the store. Unit and property are ours (`water::property`).
#[derive(Clone, Debug, PartialEq)]
pub struct NewObservation {
    /// Station code; also the device name in messages.
    pub station: String,
    /// Property key (`do`, `nh3n`, `rain`).
    pub property: String,
    /// Canonical unit of the property.
    pub unit: String,
    /// Raw or reviewed: two datastreams.
    pub processing: Processing,
    /// When measured, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The value.
    pub value: Value,
    /// A technician's mark on it, as given.
    pub mark: Option<Box<str>>,
}

impl NewObservation {
    /// The canonical row that is hashed into the batch's root: a JSON array of station, property, unit, processing,
    /// time in ms, value, mark where there is one. The value is the number as text, or the text as received, or both
    /// (`["8.120",8.12]`) where a number came with a text of its own: charts are drawn from the number. Written by hand
    /// because this is the hot path; the texts are escaped.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        use std::io::Write;
        out.push(b'[');
        for text in [&self.station, &self.property, &self.unit] {
            push_json(text, out);
            out.push(b',');
        }
        // Writing to a Vec cannot fail.
        let _ = write!(out, "\"{}\",{},", self.processing.as_str(), self.at_ms);
        let _ = match (&self.value.text, self.value.number) {
            (Some(text), None) => {
                push_json(text, out);
                Ok(())
            }
            (Some(text), Some(number)) => {
                out.push(b'[');
                push_json(text, out);
                write!(out, ",{number}]")
            }
            (None, Some(number)) => write!(out, "\"{number}\""),
            (None, None) => write!(out, "\"\""),
        };
        if let Some(mark) = &self.mark {
            out.push(b',');
            push_json(mark, out);
        }
        out.push(b']');
    }
}

fn push_json(text: &str, out: &mut Vec<u8>) {
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // A string always serialises, and a Vec always takes it.
        let _ = serde_json::to_writer(&mut *out, text);
    }
}

/// A message that could not become observations. Kept with its raw bytes; no value is taken from it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Which door it came by: `mqtt`, `influx`.
    pub source: String,
    /// Topic, or what the door calls it.
    pub topic: String,
    /// Why, for a person.
    pub reason: String,
    /// The bytes.
    pub raw: Vec<u8>,
}

impl DeadLetter {
    /// The canonical form that is hashed into the root of the commit's dead letters: a JSON array of source, topic,
    /// reason, and the bytes in base64 (RFC 4648, section 4).
    ///
    /// # Errors
    /// `Internal`, which does not happen: texts always serialise.
    pub fn canonical(&self) -> Result<Vec<u8>> {
        use base64::Engine;
        let raw = base64::engine::general_purpose::STANDARD.encode(&self.raw);
        serde_json::to_vec(&(&self.source, &self.topic, &self.reason, raw))
            .map_err(|e| Error::Internal(e.to_string()))
    }
}

/// What one commit of one source brings.
#[derive(Clone, Debug, Default)]
pub struct NewBatch {
    /// The source as the log names it: `mqtt:lake`, `http`, `import`.
    pub source: String,
    /// Who brought it: an account, token or phone, `shell`, or the source itself.
    pub by: String,
    /// Name of the file they stood in; kept apart under a salt, since it may name a person.
    pub file: Option<String>,
    /// Values; those already known are dropped, a second value for the same time is a correction beside the first.
    pub observations: Vec<NewObservation>,
    /// Messages of the same batch that could not be decoded.
    pub dead: Vec<DeadLetter>,
}

/// When a value was measured, as an instant.
#[must_use]
pub fn observed_at(at_ms: i64) -> Timestamp {
    crate::clock::from_ms(at_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_rows_are_json_whatever_the_text() {
        let row = NewObservation {
            station: "JJH-S1\"\n".into(),
            property: "do".into(),
            unit: "mg/L".into(),
            processing: Processing::Raw,
            at_ms: 1_787_360_400_000,
            value: Value::from_text(8.12, "8.120"),
            mark: Some("探头\\离水".into()),
        };
        let mut out = Vec::new();
        row.canonical(&mut out);
        let back: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            back,
            serde_json::json!([
                "JJH-S1\"\n",
                "do",
                "mg/L",
                "raw",
                1_787_360_400_000_i64,
                ["8.120", 8.12],
                "探头\\离水"
            ])
        );
    }

    #[test]
    fn a_value_is_never_shown_in_two_units() {
        let mg_l = |number, text: &str| shown(number, Some(text.to_owned()), "mg/L");
        assert_eq!(shown(Some(8.5), None, "mg/L"), ("8.5".into(), "mg/L"));
        assert_eq!(mg_l(Some(8.5), "8.50"), ("8.50".into(), "mg/L"));
        assert_eq!(mg_l(Some(0.35), "350 ug/L"), ("0.35".into(), "mg/L"));
        assert_eq!(mg_l(None, "<0.025"), ("<0.025".into(), "mg/L"));
        assert_eq!(mg_l(None, "<25 ug/L"), ("<25 ug/L".into(), ""));
        assert_eq!(mg_l(None, "NULL"), ("NULL".into(), ""));
    }

    #[test]
    fn text_is_kept_only_where_it_says_more() {
        assert_eq!(Value::from_text(8.12, "8.12").text, None);
        assert_eq!(Value::from_text(0.025, "<0.025").as_received(), "<0.025");
        assert_eq!(Value::missing("-9999").number, None);
    }
}

//! Observations sent by HTTP: parsed once, then trusted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::observation::{NewBatch, NewObservation, Processing, Value};
use super::property;
use crate::clock::{AHEAD_MAX, EARLIEST_MS};
use crate::error::{Error, Result};
use crate::patrol::report::{check_id, check_text, parse_json};

/// Most values of one request.
const VALUES_MAX: usize = 10_000;

/// `POST /api/v1/observations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationsBody {
    /// Made by the sender; the key for ever.
    pub id: Uuid,
    /// 1 to 10,000 values.
    pub observations: Vec<ObservationBody>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationBody {
    /// Station code.
    pub station: String,
    /// Property key: `do`, `nh3n`, `rain` …
    pub property: String,
    /// The property's unit; may be left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<String>,
    /// When measured, RFC 3339 with an offset.
    #[schema(value_type = String, format = DateTime)]
    pub observed_at: Timestamp,
    /// A number; a text such as `8.120` or `<0.025`, kept as it is; or null for missing.
    #[schema(value_type = Option<String>)]
    pub value: serde_json::Value,
    /// `raw` (default) or `reviewed`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub processing: Processing,
    /// A technician's mark.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mark: Option<String>,
}

/// Reads and checks a submission.
///
/// # Errors
/// `Invalid` with the path of the offending field; nothing of the submission is stored then.
pub fn parse_observations(body: &[u8], received_at: Timestamp) -> Result<(Uuid, NewBatch)> {
    let ObservationsBody { id, observations } = parse_json(body)?;
    check_id(id)?;
    if observations.is_empty() || observations.len() > VALUES_MAX {
        return Err(Error::invalid(
            "observations",
            format!("{} values; allowed: 1 to {VALUES_MAX}", observations.len()),
        ));
    }
    let parsed = observations
        .into_iter()
        .enumerate()
        .map(|(i, o)| parse_one(o, received_at).map_err(|e| e.under(&format!("observations[{i}]"))))
        .collect::<Result<_>>()?;
    Ok((
        id,
        NewBatch {
            source: "http".into(),
            by: String::new(),
            file: None,
            observations: parsed,
            dead: Vec::new(),
        },
    ))
}

fn parse_one(o: ObservationBody, received_at: Timestamp) -> Result<NewObservation> {
    check_station(&o.station)?;
    let known = property::find(&o.property).ok_or_else(|| {
        let keys: Vec<&str> = property::PROPERTIES.iter().map(|p| p.key).collect();
        Error::invalid("property", format!("`{}` is not known; allowed: {}", o.property, keys.join(", ")))
    })?;
    if o.unit.as_deref().is_some_and(|u| u != known.unit) {
        return Err(Error::invalid("unit", format!("allowed for {}: {}", known.key, known.unit)));
    }
    if o.observed_at.duration_since(received_at) > AHEAD_MAX {
        return Err(Error::invalid("observed_at", "is more than 10 minutes in the future"));
    }
    if o.observed_at.as_millisecond() < EARLIEST_MS {
        return Err(Error::invalid("observed_at", "is before 2000-01-01"));
    }
    check_text("mark", o.mark.as_deref(), 200)?;
    Ok(NewObservation {
        station: o.station,
        property: o.property,
        unit: known.unit.to_owned(),
        processing: o.processing,
        at_ms: o.observed_at.as_millisecond(),
        value: parse_value(&o.value)?,
        mark: o.mark.map(Into::into),
    })
}

/// A station code: 1 to 64 letters, digits, `-`, `_`, `.`; Chinese letters too.
///
/// # Errors
/// `Invalid` on `station`.
pub fn check_station(code: &str) -> Result<()> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if code.is_empty() || code.chars().count() > 64 || !code.chars().all(plain) {
        return Err(Error::invalid("station", "must be 1 to 64 letters, digits, `-`, `_` or `.`"));
    }
    Ok(())
}

fn parse_value(given: &serde_json::Value) -> Result<Value> {
    let wrong = |what: &str| {
        Error::invalid(
            "value",
            format!("{what}; allowed: a number, a text such as `8.120` or `<0.025`, null"),
        )
    };
    match given {
        serde_json::Value::Null => Ok(Value::missing("null")),
        serde_json::Value::Number(n) => n
            .as_f64()
            .filter(|v| v.is_finite())
            .map(|v| Value::from_text(v, &n.to_string()))
            .ok_or_else(|| wrong("is not a finite number")),
        serde_json::Value::String(text) => {
            let bare = text.trim();
            let censored = bare.strip_prefix('<').or_else(|| bare.strip_prefix('＜'));
            let number: f64 = censored
                .unwrap_or(bare)
                .trim()
                .parse()
                .map_err(|_| wrong(&format!("`{bare}` is no number")))?;
            if !number.is_finite() {
                return Err(wrong("is not a finite number"));
            }
            // A censored value is no number: what it counts for is for the evaluation to say.
            Ok(if censored.is_some() { Value::missing(bare) } else { Value::from_text(number, bare) })
        }
        _ => Err(wrong("is neither number nor text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<NewObservation> {
        let body = format!(
            r#"{{"id":"7f0c9a40-1f3e-4f7e-9a55-0a4d5f5d8f11","observations":[
                {{"station":"JJH-S1","property":"nh3n","observed_at":"2026-07-01T08:00:00+08:00","value":{value}}}]}}"#
        );
        let now = "2026-07-01T01:00:00Z".parse().unwrap();
        parse_observations(body.as_bytes(), now).map(|(_, mut b)| b.observations.remove(0))
    }

    #[test]
    fn a_value_keeps_what_was_sent() {
        assert_eq!(parse("1.50").unwrap().value.number, Some(1.5));
        assert_eq!(parse("\"1.50\"").unwrap().value.as_received(), "1.50");
        assert_eq!(parse("\"<0.025\"").unwrap().value, Value::missing("<0.025"));
        assert_eq!(parse("null").unwrap().value.number, None);
    }

    #[test]
    fn a_wrong_value_is_named() {
        for wrong in ["\"NaN\"", "\"inf\"", "\"high\"", "[1]", "true", "1e999"] {
            let said = parse(wrong).unwrap_err().to_string();
            assert!(said.contains("value") || said.contains("number"), "{wrong}: {said}");
        }
    }
}

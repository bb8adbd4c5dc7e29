//! One MQTT message into observations, by a configured mapping. Pure: no clock, no connection.
//! A fault anywhere refuses the whole message and says where.

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::mapping::{Device, Mapping, TimeFormat, check_station};
use super::pointer::{Pointer, clip, escape, members};
use crate::clock::{AHEAD_MAX, EARLIEST_MS, from_ms};
use crate::water::observation::{NewObservation, Processing, Value};

/// The mark on a value whose message carries no time of its own.
pub const RECEIPT_TIME_MARK: &str = "时间为接收时间";
/// Seconds above this would be later than the year 5138: they are milliseconds.
const SECONDS_LIMIT: f64 = 1e11;

/// Decodes one message. `received_at_ms`: when it came, the time of its values if it carries none (they are marked).
/// Names that the mapping does not know are passed over; a message in which it knows none is refused.
///
/// # Errors
/// The reason, with the JSON pointer of the offending place; nothing of the message is to be stored then.
pub fn decode(
    mapping: &Mapping,
    topic: &str,
    payload: &[u8],
    received_at_ms: i64,
) -> Result<Vec<NewObservation>, String> {
    let (len, max) = (payload.len(), mapping.max_payload_bytes);
    if len > max {
        return Err(format!("payload of {len} bytes; allowed: {max}"));
    }
    let root: &RawValue = serde_json::from_slice(payload).map_err(|e| format!("not JSON: {e}"))?;
    let station = find_station(mapping, topic, root)?;
    let (at_ms, mark) = match &mapping.time {
        Some((pointer, format)) => (find_time(pointer, *format, root, received_at_ms)?, None),
        None => (received_at_ms, Some(RECEIPT_TIME_MARK)),
    };
    let values = mapping.values.find(root)?;
    let mut observations: Vec<NewObservation> = Vec::with_capacity(mapping.keys.len());
    members(values, |name, raw| {
        let Some(property) = mapping.keys.get(name) else { return Ok(()) };
        let at = || format!("{}/{}", mapping.values.text, escape(name));
        if observations.iter().any(|o| o.property == property.key) {
            return Err(format!("{}: a second value for {} in one message", at(), property.key));
        }
        observations.push(NewObservation {
            station: station.clone(),
            property: property.key.to_owned(),
            unit: property.unit.to_owned(),
            processing: Processing::Raw,
            at_ms,
            value: value(raw).map_err(|e| format!("{}: {e}", at()))?,
            mark: mark.map(Into::into),
        });
        Ok(())
    })
    .map_err(|e| e.unwrap_or_else(|| format!("{}: an object of values is needed here", mapping.values)))?;
    if observations.is_empty() {
        let mut known: Vec<&str> = mapping.keys.keys().map(|k| &**k).collect();
        known.sort_unstable();
        return Err(format!(
            "{}: no name that the mapping knows; it knows {}",
            mapping.values,
            known.join(", ")
        ));
    }
    Ok(observations)
}

fn find_station(mapping: &Mapping, topic: &str, root: &RawValue) -> Result<String, String> {
    match &mapping.device {
        Device::Literal(code) => Ok(code.clone()),
        Device::Topic(at) => {
            let code = mapping.part(topic, *at);
            check_station(code).map_err(|e| format!("topic: {e}"))?;
            Ok(code.to_owned())
        }
        Device::Member(pointer) => {
            let raw = pointer.find(root)?.get();
            let code: String = match serde_json::from_str(raw) {
                Ok(text) => text,
                Err(_) if is_number(raw) => raw.to_owned(),
                Err(_) => return Err(format!("{pointer}: a station code is needed, as text or number")),
            };
            check_station(&code).map_err(|e| format!("{pointer}: {e}"))?;
            Ok(code)
        }
    }
}

fn find_time(
    pointer: &Pointer,
    format: TimeFormat,
    root: &RawValue,
    received_at_ms: i64,
) -> Result<i64, String> {
    let raw = pointer.find(root)?.get();
    let text = unquoted(raw);
    let shown = clip(raw);
    let at_ms = match format {
        TimeFormat::UnixMs => text
            .parse::<i64>()
            .map_err(|_| format!("{pointer}: `{shown}`: whole milliseconds since 1970 are needed"))?,
        TimeFormat::UnixS => seconds_to_ms(text).ok_or_else(|| {
            format!("{pointer}: `{shown}`: seconds since 1970 are needed (milliseconds are unix_ms)")
        })?,
        TimeFormat::Rfc3339 => text
            .parse::<Timestamp>()
            .map_err(|_| {
                format!("{pointer}: `{shown}`: a time with zone like 2026-08-22T09:00:00+08:00 is needed")
            })?
            .as_millisecond(),
    };
    if from_ms(at_ms).duration_since(from_ms(received_at_ms)) > AHEAD_MAX {
        return Err(format!("{pointer}: `{shown}` is more than 10 min ahead of the time of receipt"));
    }
    if at_ms < EARLIEST_MS {
        return Err(format!(
            "{pointer}: `{shown}` is before the year 2000 (an unset clock, or another time_format)"
        ));
    }
    Ok(at_ms)
}

/// To the millisecond; `None` for what is no number, or milliseconds given as seconds.
fn seconds_to_ms(text: &str) -> Option<i64> {
    let seconds: f64 = is_number(text).then(|| text.parse().ok())??;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "below 1e14 after the check, and a float cast saturates"
    )]
    (seconds.abs() < SECONDS_LIMIT).then(|| (seconds * 1000.0).round() as i64)
}

/// A JSON number, or a string that holds exactly one (many field devices send those), with its digits as received;
/// `null` is a missing value.
fn value(raw: &RawValue) -> Result<Value, String> {
    let raw = raw.get();
    if raw == "null" {
        return Ok(Value::missing(raw));
    }
    let text = unquoted(raw);
    if !is_number(text) {
        return Err(format!(
            "`{}` is not a number; allowed: a number, or null for a missing value",
            clip(raw)
        ));
    }
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
    number
        .map(|n| Value::from_text(n, text))
        .ok_or_else(|| format!("`{}` is too large for a number", clip(raw)))
}

/// By the grammar of JSON: no `NaN`, `+1`, `.5`, `0x1`, spaces.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn unquoted(raw: &str) -> &str {
    raw.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MqttSource;

    const RECEIVED: i64 = 1_787_360_405_000;

    fn source(toml: &str) -> MqttSource {
        toml::from_str(toml).unwrap()
    }

    fn mapping(toml: &str) -> Mapping {
        Mapping::new(&source(toml), 4096).unwrap()
    }

    fn lake() -> Mapping {
        mapping(
            "name = 'lake'\ntopic_template = 'jjh/{device}/telemetry'\ndevice = 'topic:device'\ntime = '/ts'\n\
             time_format = 'unix_ms'\nvalues = '/values'\nkeys = { ph = 'ph', do = 'do', 'w/t' = 'wt' }",
        )
    }

    fn reason(mapping: &Mapping, payload: &str) -> String {
        decode(mapping, "jjh/JJH-01/telemetry", payload.as_bytes(), RECEIVED).unwrap_err()
    }

    #[test]
    fn values_keep_their_received_digits() {
        let payload = br#"{"ts":1787360400000,"values":{"ph":8.120,"do":null,"w/t":"29.40","unknown":"x"}}"#;
        let got = decode(&lake(), "jjh/JJH-01/telemetry", payload, RECEIVED).unwrap();
        let rows: Vec<_> =
            got.iter().map(|o| (o.property.as_str(), o.value.number, o.value.as_received())).collect();
        assert_eq!(
            rows,
            [
                ("ph", Some(8.12), "8.120".into()),
                ("do", None, "null".into()),
                ("wt", Some(29.4), "29.40".into())
            ]
        );
        assert!(
            got.iter().all(|o| o.station == "JJH-01" && o.at_ms == 1_787_360_400_000 && o.mark.is_none())
        );
        assert_eq!(got[2].unit, "Cel");
    }

    #[test]
    fn a_message_without_time_is_marked() {
        let m = mapping("name = 'a'\ntopic_template = 'a/b'\ndevice = '/dev/0'\nkeys = { ph = 'ph' }");
        let got = decode(&m, "a/b", r#"{"dev":["北岸1号"],"ph":7}"#.as_bytes(), RECEIVED).unwrap();
        assert_eq!((got[0].at_ms, got[0].mark.as_deref()), (RECEIVED, Some(RECEIPT_TIME_MARK)));
        assert_eq!(got[0].station, "北岸1号");
    }

    #[test]
    fn every_fault_names_its_place() {
        let m = lake();
        let with = |value: &str| format!(r#"{{"ts":1787360400000,"values":{{"ph":{value}}}}}"#);
        for (value, part) in [
            ("\"--\"", "/values/ph: `\"--\"` is not a number"),
            ("\"NaN\"", "/values/ph: `\"NaN\"` is not a number"),
            ("\"+1\"", "is not a number"),
            ("\" 1\"", "is not a number"),
            ("true", "/values/ph: `true` is not a number"),
            ("[1]", "/values/ph: `[1]` is not a number"),
            ("1e999", "too large"),
            ("NaN", "not JSON"),
            ("-Infinity", "not JSON"),
            ("01", "not JSON"),
            ("1,\"ph\":2", "/values/ph: a second value for ph"),
        ] {
            let got = reason(&m, &with(value));
            assert!(got.contains(part), "{value}: {got}");
        }
        let at = |ts: &str| format!(r#"{{"ts":{ts},"values":{{"ph":8}}}}"#);
        for (ts, part) in [
            ("1787533200000", "/ts: `1787533200000` is more than 10 min ahead"),
            ("1787360400", "before the year 2000"),
            ("946684799999", "before the year 2000"),
            ("1787360400000.5", "whole milliseconds"),
            ("\"2026\"", "before the year 2000"),
            ("null", "whole milliseconds"),
        ] {
            let got = reason(&m, &at(ts));
            assert!(got.contains(part), "{ts}: {got}");
        }
        assert!(
            decode(&m, "jjh/a/telemetry", at("1787361005000").as_bytes(), RECEIVED).is_ok(),
            "10 min ahead"
        );
        assert!(reason(&m, r#"{"values":{}}"#).contains("/ts: is missing"));
        assert!(reason(&m, r#"{"ts":1787360400000}"#).contains("/values: is missing"));
        assert!(reason(&m, r#"{"ts":1787360400000,"values":[1]}"#).contains("/values: an object"));
        assert!(reason(&m, "{\"ts\":1,").contains("not JSON"));
        assert!(reason(&m, "").contains("not JSON"));
        assert!(reason(&m, &" ".repeat(5000)).contains("payload of 5000 bytes; allowed: 4096"));
        assert!(decode(&m, "jjh/a/telemetry", b"{\"ts\":\xff}", RECEIVED).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn a_nesting_bomb_is_one_refused_message() {
        let mut m = lake();
        m.max_payload_bytes = 1 << 21;
        for bomb in [
            "[".repeat(1 << 20),
            "{\"a\":".repeat(1 << 18),
            format!("{0}1{1}", "[".repeat(1 << 19), "]".repeat(1 << 19)),
        ] {
            assert!(!reason(&m, &bomb).is_empty());
            assert!(!reason(&m, &format!(r#"{{"ts":1787360400000,"values":{{"ph":{bomb}}}}}"#)).is_empty());
        }
    }

    #[test]
    fn station_codes_are_checked() {
        for (topic, fits) in [
            ("jjh/JJH_0.1/telemetry", true),
            ("jjh//telemetry", false),
            ("jjh/a b/telemetry", false),
            ("jjh/\u{202e}x/telemetry", false),
        ] {
            let got = decode(&lake(), topic, br#"{"ts":1787360400000,"values":{"ph":8}}"#, RECEIVED);
            assert_eq!(got.is_ok(), fits, "{topic}: {got:?}");
        }
    }

    #[test]
    fn seconds_and_milliseconds_are_told_apart() {
        let m = mapping(
            "name = 'a'\ntopic_template = 'a'\ndevice = 'S'\ntime = '/t'\ntime_format = 'unix_s'\nkeys = { ph = 'ph' }",
        );
        let got = decode(&m, "a", br#"{"t":1787360400.25,"ph":7}"#, RECEIVED).unwrap();
        assert_eq!(got[0].at_ms, 1_787_360_400_250);
        assert!(
            decode(&m, "a", br#"{"t":1787360400000,"ph":7}"#, RECEIVED)
                .unwrap_err()
                .contains("milliseconds are unix_ms")
        );
    }

    /// The records that need `each`, `keys_ptr`, `stream_map`, `value`, `format` or a local time come with the water
    /// issue; the rest must give what they expect.
    #[test]
    fn fixture_payloads() {
        let text = include_str!("../../tests/fixtures/domain/mqtt_payloads.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut done = Vec::new();
        for record in file["payloads"].as_array().unwrap() {
            let mut source = record["mapping"].clone();
            source["name"] = "fixture".into();
            for (key, default) in [("topic_template", &record["topic"]), ("device", &"JJH-01".into())] {
                if source[key].is_null() {
                    source[key] = default.clone();
                }
            }
            let Ok(source) = serde_json::from_value::<MqttSource>(source) else { continue };
            let Ok(mapping) = Mapping::new(&source, 4096) else { continue };
            let id = record["id"].as_str().unwrap();
            let payload = match &record["payload"] {
                serde_json::Value::String(raw) => raw.clone(),
                json => json.to_string(),
            };
            let received: Timestamp = record["received_at"].as_str().unwrap().parse().unwrap();
            let got = decode(
                &mapping,
                record["topic"].as_str().unwrap(),
                payload.as_bytes(),
                received.as_millisecond(),
            );
            done.push(id.to_owned());
            let Some(expected) = record["expected"].as_array() else {
                assert!(got.is_err(), "{id}");
                continue;
            };
            let mut got = got.unwrap();
            assert_eq!(got.len(), expected.len(), "{id}");
            for e in expected {
                let at = got.iter().position(|o| o.property == e["key"].as_str().unwrap()).unwrap();
                let o = got.remove(at);
                let time: Timestamp = e["time"].as_str().unwrap().parse().unwrap();
                assert_eq!((o.value.number, o.at_ms), (e["value"].as_f64(), time.as_millisecond()), "{id}");
                assert!(e["device"].is_null() || e["device"].as_str().unwrap() == o.station, "{id}");
            }
        }
        assert_eq!(done, ["tb_ts_values", "chirpstack_up", "bad_string", "bad_future", "bad_json"]);
    }
}

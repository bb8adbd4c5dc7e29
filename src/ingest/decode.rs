//! One MQTT message into observations, by a configured mapping. Pure: no clock, no connection.
//!
//! The mapping language is that of `jijia calc mqtt` (a part of it now): a topic template with named parts, a device,
//! a time, an object of values, and their names → ours. A fault anywhere refuses the whole message and says where.

use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::config::MqttSource;
use crate::error::{Error, Result};
use crate::water::observation::{NewObservation, Processing, Value};
use crate::water::property::{self, Property};

/// The mark on a value whose message carries no time of its own.
pub const RECEIPT_TIME_MARK: &str = "时间为接收时间";
/// How far a sensor's clock may be ahead of ours.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;
/// 2000-01-01T00:00:00Z: a clock that says less was never set.
const YEAR_2000_MS: i64 = 946_684_800_000;
/// Seconds above this would be later than the year 5138: they are milliseconds.
const SECONDS_LIMIT: f64 = 1e11;
/// How much of an offending text a reason repeats; the whole stands in the dead letter.
const REASON_CHARS: usize = 40;

/// A `[[mqtt.source]]`, checked and ready for the hot path.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// As the log names it: `mqtt:lake`.
    pub source: String,
    template: Vec<Level>,
    device: Device,
    time: Option<(Pointer, TimeFormat)>,
    values: Pointer,
    keys: HashMap<String, &'static Property>,
    max_payload_bytes: usize,
}

/// One level of a topic template: fixed text, or a named part between fixed texts.
#[derive(Clone, Debug)]
enum Level {
    Fixed(String),
    Part { before: String, name: String, after: String },
}

#[derive(Clone, Debug)]
enum Device {
    Literal(String),
    Member(Pointer),
    /// Index of the level whose part it is.
    Topic(usize),
}

#[derive(Clone, Copy, Debug)]
enum TimeFormat {
    UnixMs,
    UnixS,
    Rfc3339,
}

impl Mapping {
    /// Checks a source. `max_payload_bytes`: larger messages are refused.
    ///
    /// # Errors
    /// `Invalid` with the field inside the source (`topic_template`, `keys.ph`, …) and what is allowed.
    pub fn new(source: &MqttSource, max_payload_bytes: usize) -> Result<Self> {
        if source.name.is_empty() || source.name.len() > 64 || source.name.contains(char::is_whitespace) {
            return Err(Error::invalid("name", "allowed: 1 to 64 bytes without spaces"));
        }
        let template = template(&source.topic_template)?;
        let device = device(&source.device, &template)?;
        if source.keys.is_empty() {
            return Err(Error::invalid(
                "keys",
                "is empty; at least one of their names → our property key is needed",
            ));
        }
        Ok(Self {
            source: format!("mqtt:{}", source.name),
            template,
            device,
            time: time(&source.time, &source.time_format)?,
            values: Pointer::new("values", &source.values)?,
            keys: source
                .keys
                .iter()
                .map(|(name, key)| Ok((name.clone(), known(name, key)?)))
                .collect::<Result<_>>()?,
            max_payload_bytes,
        })
    }

    /// The subscription that follows from the template: each level with a named part becomes `+`.
    #[must_use]
    pub fn filter(&self) -> String {
        let levels = self.template.iter().map(|level| match level {
            Level::Fixed(text) => text.as_str(),
            Level::Part { .. } => "+",
        });
        levels.collect::<Vec<_>>().join("/")
    }

    /// The mapping is for this topic.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        self.template.iter().all(|level| levels.next().is_some_and(|text| level.part(text).is_some()))
            && levels.next().is_none()
    }

    /// Its messages carry no time: what the broker kept from earlier would be taken for new.
    #[must_use]
    pub fn is_timeless(&self) -> bool {
        self.time.is_none()
    }
}

impl Level {
    /// What stands in the named part (empty for a fixed level); `None` if `text` does not fit.
    fn part<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Fixed(fixed) => (fixed == text).then_some(""),
            Self::Part { before, after, .. } => {
                text.strip_prefix(before.as_str())?.strip_suffix(after.as_str())
            }
        }
    }
}

fn template(text: &str) -> Result<Vec<Level>> {
    let refuse = |message: &str| Err(Error::invalid("topic_template", format!("`{text}`: {message}")));
    if text.is_empty() || text.contains(['+', '#', '\0']) {
        return refuse(
            "allowed: a topic whose changing parts are named, like jjh/{device}/telemetry; no + or #",
        );
    }
    let mut levels: Vec<Level> = Vec::new();
    for level in text.split('/') {
        let (Some(open), Some(close)) = (level.find('{'), level.find('}')) else {
            if level.contains(['{', '}']) {
                return refuse("a { without its } in one level");
            }
            levels.push(Level::Fixed(level.to_owned()));
            continue;
        };
        let name = level.get(open + 1..close).unwrap_or_default();
        let after = level.get(close + 1..).unwrap_or_default();
        if name.is_empty() || name.contains('{') || after.contains(['{', '}']) {
            return refuse("one named part in a level is allowed, like {device}");
        }
        if levels.iter().any(|l| matches!(l, Level::Part { name: other, .. } if other == name)) {
            return refuse("a part's name may stand only once");
        }
        let before = level.get(..open).unwrap_or_default().to_owned();
        levels.push(Level::Part { before, name: name.to_owned(), after: after.to_owned() });
    }
    Ok(levels)
}

fn device(text: &str, template: &[Level]) -> Result<Device> {
    if let Some(part) = text.strip_prefix("topic:") {
        let at = template.iter().position(|l| matches!(l, Level::Part { name, .. } if name == part));
        return at.map(Device::Topic).ok_or_else(|| {
            Error::invalid("device", format!("`{text}`: topic_template has no part named {{{part}}}"))
        });
    }
    if text.starts_with('/') {
        return Ok(Device::Member(Pointer::new("device", text)?));
    }
    check_station(text).map_err(|message| Error::invalid("device", message))?;
    Ok(Device::Literal(text.to_owned()))
}

fn time(pointer: &str, format: &str) -> Result<Option<(Pointer, TimeFormat)>> {
    let format = match format {
        "unix_ms" => TimeFormat::UnixMs,
        "unix_s" => TimeFormat::UnixS,
        "rfc3339" => TimeFormat::Rfc3339,
        "" if pointer.is_empty() => return Ok(None),
        other => {
            let message = format!("`{other}`; allowed: unix_ms, unix_s, rfc3339");
            return Err(Error::invalid("time_format", message));
        }
    };
    if pointer.is_empty() {
        return Err(Error::invalid("time", "is empty beside a time_format; a pointer like /ts is needed"));
    }
    Ok(Some((Pointer::new("time", pointer)?, format)))
}

fn known(name: &str, key: &str) -> Result<&'static Property> {
    property::find(key).ok_or_else(|| {
        let all: Vec<_> = property::PROPERTIES.iter().map(|p| p.key).collect();
        Error::invalid(format!("keys.{name}"), format!("`{key}` is no property; allowed: {}", all.join(", ")))
    })
}

/// A station code: 1 to 64 letters, digits, `-`, `_`, `.` or Chinese characters.
fn check_station(code: &str) -> Result<(), String> {
    let allowed = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '-' | '_' | '.' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{323af}')
    };
    if code.is_empty() || code.chars().count() > 64 || !code.chars().all(allowed) {
        let clipped = clip(code);
        return Err(format!(
            "`{clipped}` is no station code; allowed: 1 to 64 letters, digits, - _ . or Chinese characters"
        ));
    }
    Ok(())
}

/// Decodes one message. `received_at_ms`: when it came, the time of its values if it carries none (they are marked).
/// Names that the mapping does not know are ignored, so the answer may be empty.
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
    Ok(observations)
}

fn find_station(mapping: &Mapping, topic: &str, root: &RawValue) -> Result<String, String> {
    match &mapping.device {
        Device::Literal(code) => Ok(code.clone()),
        Device::Topic(at) => {
            let level = topic.split('/').nth(*at).zip(mapping.template.get(*at));
            let code = level.and_then(|(text, level)| level.part(text)).unwrap_or_default();
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
    if at_ms > received_at_ms.saturating_add(MAX_AHEAD_MS) {
        return Err(format!("{pointer}: `{shown}` is more than 10 min ahead of the time of receipt"));
    }
    if at_ms < YEAR_2000_MS {
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

fn clip(text: &str) -> &str {
    text.char_indices().nth(REASON_CHARS).map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

fn escape(name: &str) -> String {
    clip(name).replace('~', "~0").replace('/', "~1")
}

/// An RFC 6901 JSON pointer, taken apart once.
#[derive(Clone, Debug)]
struct Pointer {
    text: String,
    names: Vec<String>,
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() { "the message" } else { &self.text })
    }
}

impl Pointer {
    fn new(field: &str, text: &str) -> Result<Self> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(Error::invalid(
                field,
                format!("`{text}`; allowed: a JSON pointer like /values, or nothing"),
            ));
        }
        let names = text.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Self { text: text.to_owned(), names })
    }

    fn find<'a>(&self, root: &'a RawValue) -> Result<&'a RawValue, String> {
        let mut here = root;
        for name in &self.names {
            here = member(here, name).ok_or_else(|| format!("{self}: is missing"))?;
        }
        Ok(here)
    }
}

/// The member of an object or, by its index, of an array. The last of several with one name.
fn member<'a>(raw: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    if raw.get().starts_with('[') {
        let index: usize = name.parse().ok()?;
        return serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Nth(index)).ok()?;
    }
    let mut found = None;
    members(raw, |key, value| {
        if key == name {
            found = Some(value);
        }
        Ok(())
    })
    .ok()?;
    found
}

/// Calls `each` for every member of an object, without building it. `Err(None)`: it is not an object.
fn members<'a>(
    raw: &'a RawValue,
    mut each: impl FnMut(&str, &'a RawValue) -> Result<(), String>,
) -> Result<(), Option<String>> {
    struct Members<'f, F>(&'f mut F);
    impl<'de, F: FnMut(&str, &'de RawValue) -> Result<(), String>> Visitor<'de> for Members<'_, F> {
        type Value = Result<(), String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut outcome = Ok(());
            // The rest is read even after a fault: the reader wants to come to the end.
            while let Some(name) = map.next_key::<Name<'de>>()? {
                let value: &'de RawValue = map.next_value()?;
                if outcome.is_ok() {
                    outcome = (self.0)(&name.0, value);
                }
            }
            Ok(outcome)
        }
    }
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_map(Members(&mut each))
        .map_err(|_| None)?
        .map_err(Some)
}

/// A member's name, borrowed unless it is escaped.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// The element of an array by its index.
struct Nth(usize);

impl<'de> Visitor<'de> for Nth {
    type Value = Option<&'de RawValue>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut at = 0;
        while let Some(raw) = seq.next_element::<&'de RawValue>()? {
            if at == self.0 {
                found = Some(raw);
            }
            at += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let m = Mapping { max_payload_bytes: 1 << 21, ..lake() };
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

    #[test]
    fn the_subscription_follows_from_the_template() {
        let m = mapping(
            "name = 'a'\ntopic_template = 'v1/Streams({s})/{device}/up'\ndevice = 'topic:device'\nkeys = { ph = 'ph' }",
        );
        assert_eq!(m.filter(), "v1/+/+/up");
        assert!(m.matches("v1/Streams(17)/S1/up"));
        for other in
            ["v1/Stream(17)/S1/up", "v1/Streams(17)/S1", "v1/Streams(17)/S1/up/x", "V1/Streams(17)/S1/up"]
        {
            assert!(!m.matches(other), "{other}");
        }
    }

    #[test]
    fn a_wrong_source_names_its_field() {
        let good = "name = 'a'\ntopic_template = 'a/{device}'\ndevice = 'topic:device'\nkeys = { ph = 'ph' }";
        for (from, to, field) in [
            ("'a/{device}'", "'a/+'", "topic_template"),
            ("'a/{device}'", "'a/{device'", "topic_template"),
            ("'a/{device}'", "'{device}/{device}'", "topic_template"),
            ("'topic:device'", "'topic:dev'", "device"),
            ("'topic:device'", "''", "device"),
            ("ph = 'ph'", "ph = 'pH'", "keys.ph"),
            ("ph = 'ph'", "", "keys"),
            ("name = 'a'", "name = 'a'\ntime = '/t'", "time_format"),
            ("name = 'a'", "name = 'a'\ntime_format = 'unix_s'", "time"),
            ("name = 'a'", "name = 'a'\nvalues = 'v'", "values"),
            ("name = 'a'", "name = ''", "name"),
        ] {
            let wrong = Mapping::new(&source(&good.replace(from, to)), 1).unwrap_err();
            assert!(matches!(&wrong, Error::Invalid { field: f, .. } if f == field), "{to}: {wrong}");
        }
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

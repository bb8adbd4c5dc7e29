//! A configured mapping from messages to observations: the language of `jijia calc mqtt` (a part of it now). A topic
//! template with named parts, a device, a time, an object of values, and their names → ours.

use std::collections::HashMap;

use super::pointer::{Pointer, clip};
use crate::config::MqttSource;
use crate::error::{Error, Result};
use crate::water::property::{self, Property};

/// A `[[mqtt.source]]`, checked and ready for the hot path.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// As the log names it: `mqtt:lake`.
    pub source: String,
    template: Vec<Level>,
    pub(super) device: Device,
    pub(super) time: Option<(Pointer, TimeFormat)>,
    pub(super) values: Pointer,
    pub(super) keys: HashMap<String, &'static Property>,
    pub(super) max_payload_bytes: usize,
}

/// One level of a topic template: fixed text, or a named part between fixed texts.
#[derive(Clone, Debug)]
enum Level {
    Fixed(String),
    Part { before: String, name: String, after: String },
}

#[derive(Clone, Debug)]
pub(super) enum Device {
    Literal(String),
    Member(Pointer),
    /// Index of the level whose part it is.
    Topic(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum TimeFormat {
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

    /// What stands in the named part at level `at` of the topic; empty if there is none.
    pub(super) fn part<'t>(&self, topic: &'t str, at: usize) -> &'t str {
        let level = topic.split('/').nth(at).zip(self.template.get(at));
        level.and_then(|(text, level)| level.part(text)).unwrap_or_default()
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
pub(super) fn check_station(code: &str) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn source(toml: &str) -> MqttSource {
        toml::from_str(toml).unwrap()
    }

    fn mapping(toml: &str) -> Mapping {
        Mapping::new(&source(toml), 4096).unwrap()
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
}

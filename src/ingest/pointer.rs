//! JSON pointers into a message that is not taken apart further than needed; values keep their received text.

use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// How much of an offending text a reason repeats; the whole stands in the dead letter.
const REASON_CHARS: usize = 40;

/// An RFC 6901 JSON pointer, taken apart once.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    pub(super) text: String,
    names: Vec<String>,
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() { "the message" } else { &self.text })
    }
}

impl Pointer {
    pub(super) fn new(field: &str, text: &str) -> Result<Self> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(Error::invalid(
                field,
                format!("`{text}`; allowed: a JSON pointer like /values, or nothing"),
            ));
        }
        let names = text.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Self { text: text.to_owned(), names })
    }

    pub(super) fn find<'a>(&self, root: &'a RawValue) -> Result<&'a RawValue, String> {
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
pub(super) fn members<'a>(
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

/// The beginning of a text, for a reason.
pub(super) fn clip(text: &str) -> &str {
    text.char_indices().nth(REASON_CHARS).map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

/// A name as it stands in a pointer.
pub(super) fn escape(name: &str) -> String {
    clip(name).replace('~', "~0").replace('/', "~1")
}

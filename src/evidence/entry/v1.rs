//! Entries of version 1, written until December 2026: read for ever, never written. Persons stand in them by opaque id.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Commitments, Kind};

#[derive(Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    kind: Kind,
    received_at: Timestamp,
    #[serde(default)]
    commit: Commitments,
    person: Option<String>,
    by: Option<String>,
    account: Option<String>,
    role: Option<String>,
    unit: Option<String>,
    of: Option<String>,
}

impl From<Entry> for super::Entry {
    fn from(old: Entry) -> Self {
        let Entry { kind, received_at, commit, person, by, account, role, unit, of } = old;
        let names = [
            ("person", person),
            ("by", by),
            ("account", account),
            ("role", role),
            ("unit", unit),
            ("of", of),
        ];
        let clear = names.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
        Self { v: 1, kind, received_at, clock_behind_s: None, commit, clear }
    }
}

//! Which stations values are taken of: those of the place, and so many others. A sensor, or whoever has its password, can
//! name any station; each name is a row for ever.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::Store;
use super::tx::store_error;
use crate::error::Result;

/// Stations that stand in no place file, at most: ten times what a lake has.
pub const OTHERS_MAX: usize = 500;

/// The stations there are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Stations(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    of_place: HashSet<String>,
    others: HashSet<String>,
}

impl Stations {
    /// With those that have values.
    pub fn read(conn: &Connection) -> Result<Self> {
        let read = || {
            let mut statement = conn.prepare("select distinct station from datastream")?;
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<HashSet<String>>>()
        };
        let others = read().map_err(store_error)?;
        Ok(Self(Arc::new(Mutex::new(Known { of_place: HashSet::new(), others }))))
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        // Sets of names, whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why values of `station` are not taken.
#[must_use]
pub fn not_admitted(station: &str) -> String {
    format!(
        "station `{station}` is not one of the place, and {OTHERS_MAX} others are known already; add it to the place"
    )
}

impl Store {
    /// Values of these stations, which stand in the place's files, are always taken.
    pub fn expect_stations(&self, codes: impl IntoIterator<Item = String>) {
        let known = &mut *self.stations.locked();
        known.of_place = codes.into_iter().collect();
        known.others.retain(|code| !known.of_place.contains(code));
    }

    /// Whether values of `station` are taken: it is known, or there is room for one more, which it takes.
    #[must_use]
    pub fn admits_station(&self, station: &str) -> bool {
        let mut known = self.stations.locked();
        if known.of_place.contains(station) || known.others.contains(station) {
            return true;
        }
        known.others.len() < OTHERS_MAX && known.others.insert(station.to_owned())
    }
}

//! Column maps: which column of a table is what. A preset is a map that comes with the program
//! (`config/presets/`), `--map FILE.toml` is one of the office's own.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::water::observation::Processing;

/// The maps that come with the program.
const PRESETS: &[(&str, &str)] = &[
    ("national-platform", include_str!("../../config/presets/national-platform.toml")),
    ("blacksmith", include_str!("../../config/presets/blacksmith.toml")),
    ("franklin", include_str!("../../config/presets/franklin.toml")),
];

/// Which column is what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnMap {
    /// Heading of the time; else by the aliases.
    pub time: Option<String>,
    /// strptime pattern of local times; else the usual ways are tried.
    pub time_format: Option<String>,
    /// Zone of local times, `+08:00`.
    pub zone: Option<String>,
    /// A doubt about the zone, shown in the preview.
    pub zone_note: Option<String>,
    /// Heading of the station; else by the aliases.
    pub station: Option<String>,
    /// Name in the table → station code.
    pub stations: BTreeMap<String, String>,
    /// Numbers that stand for a missing value.
    pub missing: Vec<f64>,
    /// Headings not named below are looked up in the aliases.
    pub aliases: bool,
    /// Headings that are not taken even if an alias knows them.
    pub ignore: Vec<String>,
    /// The columns of values.
    pub column: Vec<MappedColumn>,
}

/// `[[column]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedColumn {
    /// Heading, exactly.
    pub heading: String,
    /// Property key.
    pub property: String,
    /// Unit in the table; needed where several are usual.
    pub unit: Option<String>,
    /// `raw` or `reviewed`.
    #[serde(default)]
    pub processing: Processing,
    /// Heading of the column that holds a technician's mark on these values.
    pub mark: Option<String>,
}

impl Default for ColumnMap {
    /// No map: headings by the aliases; -9999, which no property reaches, is missing.
    fn default() -> Self {
        Self {
            time: None,
            time_format: None,
            zone: None,
            zone_note: None,
            station: None,
            stations: BTreeMap::new(),
            missing: vec![-9999.0],
            aliases: true,
            ignore: Vec::new(),
            column: Vec::new(),
        }
    }
}

impl ColumnMap {
    /// A map that comes with the program.
    ///
    /// # Errors
    /// `Invalid` with the names there are.
    pub fn preset(name: &str) -> Result<Self> {
        match PRESETS.iter().find(|(preset, _)| *preset == name) {
            Some((_, text)) => Self::parse(text, name),
            None => {
                let names = PRESETS.iter().map(|(preset, _)| *preset).collect::<Vec<_>>().join(", ");
                Err(Error::invalid("--preset", format!("`{name}` is not known; allowed: {names}")))
            }
        }
    }

    /// Reads a map; `name` is what errors call it.
    ///
    /// # Errors
    /// `Invalid` with the place in the file.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| Error::invalid(name, e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_complete() {
        for (name, _) in PRESETS {
            let map = ColumnMap::preset(name).unwrap();
            assert!(map.time.is_some() && map.zone.is_some() && map.zone_note.is_some(), "{name}");
            assert_eq!(map.missing, [-9999.0]);
        }
        let blacksmith = ColumnMap::preset("blacksmith").unwrap();
        let raw = blacksmith.column.iter().filter(|c| c.processing == Processing::Raw);
        assert_eq!((raw.count(), blacksmith.column.len()), (6, 12));
        assert!(ColumnMap::preset("nobody").unwrap_err().to_string().contains("franklin"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let e = ColumnMap::parse("tiem = \"x\"", "map.toml").unwrap_err().to_string();
        assert!(e.starts_with("map.toml: ") && e.contains("tiem"), "{e}");
    }
}

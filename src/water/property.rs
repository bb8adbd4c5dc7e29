//! Observed properties, their canonical units and Chinese names, and the headings of tables that mean them.
//! Names and aliases: `config/import_aliases.csv` (from the domain notes, section 6).

use std::collections::HashMap;
use std::sync::LazyLock;

use super::unit::{self, Scale};
use crate::error::Result;

/// A property the service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// Our key.
    pub key: &'static str,
    /// Chinese name.
    pub zh: &'static str,
    /// The unit it is stored with.
    pub unit: &'static str,
}

/// All of them. Keys and units follow the domain notes, section 6 and 10.
pub const PROPERTIES: &[Property] = &[
    Property { key: "wt", zh: "水温", unit: "Cel" },
    Property { key: "ph", zh: "pH", unit: "1" },
    Property { key: "do", zh: "溶解氧", unit: "mg/L" },
    Property { key: "do_sat", zh: "溶解氧饱和度", unit: "%" },
    Property { key: "ec", zh: "电导率", unit: "uS/cm" },
    Property { key: "turbidity", zh: "浊度", unit: "NTU" },
    Property { key: "nh3n", zh: "氨氮", unit: "mg/L" },
    Property { key: "codmn", zh: "高锰酸盐指数", unit: "mg/L" },
    Property { key: "cod", zh: "化学需氧量", unit: "mg/L" },
    Property { key: "bod5", zh: "五日生化需氧量", unit: "mg/L" },
    Property { key: "tp", zh: "总磷", unit: "mg/L" },
    Property { key: "tn", zh: "总氮", unit: "mg/L" },
    Property { key: "chla", zh: "叶绿素a", unit: "ug/L" },
    Property { key: "algae", zh: "藻密度", unit: "cells/L" },
    Property { key: "orp", zh: "氧化还原电位", unit: "mV" },
    Property { key: "sd", zh: "透明度", unit: "cm" },
    Property { key: "water_level", zh: "水位", unit: "m" },
    Property { key: "rain", zh: "降雨量", unit: "mm" },
    Property { key: "battery", zh: "电池电压", unit: "V" },
];

/// Finds a property by key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|p| p.key == key)
}

/// The properties in which domestic sewage shows first, best first: ammonia and oxygen, then salts and turbidity (domain
/// notes, section 4.1; an engineering choice). Decides what is drawn where not everything can be.
const SEWAGE_FIRST: [&str; 7] = ["nh3n", "do", "ec", "turbidity", "codmn", "tp", "tn"];

/// Place of a property among those in which sewage shows; the others come after them.
#[must_use]
pub fn sewage_rank(key: &str) -> usize {
    SEWAGE_FIRST.iter().position(|k| *k == key).unwrap_or(SEWAGE_FIRST.len())
}

/// The unit as people write it (`Cel` is `℃`, `1` is nothing).
#[must_use]
pub fn unit_words(unit: &str) -> &str {
    match unit {
        "Cel" => "℃",
        "1" => "",
        "uS/cm" => "μS/cm",
        "ug/L" => "μg/L",
        other => other,
    }
}

/// What a heading of a table stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heading {
    /// Values of a property, in the unit that the heading names.
    Values(Scale),
    /// The station's code or name.
    Station,
    /// Longitude, degrees.
    Longitude,
    /// Latitude, degrees.
    Latitude,
    /// When measured.
    Time,
}

/// The aliases: heading without its unit, folded → key of `config/import_aliases.csv`.
static ALIASES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let table = include_str!("../../config/import_aliases.csv");
    let mut aliases: HashMap<String, String> = PROPERTIES
        .iter()
        .flat_map(|p| [(fold(p.key), p.key.to_owned()), (fold(p.zh), p.key.to_owned())])
        .collect();
    // A row of the embedded table that cannot be read would be seen by the test that counts them.
    for row in csv::Reader::from_reader(table.as_bytes()).records().flatten() {
        let key = row.get(0).unwrap_or_default();
        let names = row.get(2).unwrap_or_default().split('|').chain([key]);
        aliases.extend(names.map(|name| (fold(name), key.to_owned())));
    }
    aliases
});

/// One form for all spellings: full-width letters, digits and brackets as ASCII, no blanks, lower case.
#[must_use]
pub fn fold(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
            '\u{B5}' | '\u{3BC}' => 'u',
            other => other,
        })
        .filter(|c| !c.is_whitespace() && *c != '\u{FEFF}')
        .flat_map(char::to_lowercase)
        .collect()
}

/// Reads a heading such as `溶解氧(mg/L)`, `Temp` or `点位（5月）`; `None` for one that is not known.
///
/// # Errors
/// `Invalid` with the heading as its field: a known property in a unit that is not, or without the unit where
/// several are usual.
pub fn heading(text: &str) -> Result<Option<Heading>> {
    let folded = fold(text);
    let (name, unit) = match folded.strip_suffix(')').and_then(|h| h.rsplit_once('(')) {
        // `DO(%)` and `溶解氧(DO)` are names as a whole.
        Some(parts) if !ALIASES.contains_key(&folded) => (parts.0, Some(parts.1)),
        _ => (folded.as_str(), None),
    };
    let Some(key) = ALIASES.get(name).map(String::as_str) else { return Ok(None) };
    Ok(match (key, unit) {
        ("site", _) => Some(Heading::Station),
        ("lng", _) => Some(Heading::Longitude),
        ("lat", _) => Some(Heading::Latitude),
        ("time", _) => Some(Heading::Time),
        ("do", Some("%")) => find("do_sat").map(|p| Heading::Values(Scale::of(p))),
        (key, unit) => match find(key) {
            // The unit is given as it was written, not folded.
            Some(property) => {
                let written = unit.map(|_| written_unit(text));
                Some(Heading::Values(unit::scale(property, written, text)?))
            }
            None => None,
        },
    })
}

/// What stands between the last brackets.
fn written_unit(heading: &str) -> &str {
    let inner = heading.trim().trim_end_matches([')', '）']);
    inner.rfind(['(', '（']).map_or(inner, |at| inner[at..].trim_start_matches(['(', '（'])).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(text: &str) -> Scale {
        match heading(text).unwrap() {
            Some(Heading::Values(scale)) => scale,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_row_of_the_alias_table_is_known() {
        let table = include_str!("../../config/import_aliases.csv");
        let mut rows = 0;
        for row in csv::Reader::from_reader(table.as_bytes()).records().map(Result::unwrap) {
            for name in row[2].split('|').filter(|n| !n.is_empty()) {
                assert_eq!(ALIASES.get(&fold(name)).map(String::as_str), Some(&row[0]), "{name}");
            }
            let known = ["site", "lng", "lat", "time"].contains(&&row[0]);
            assert!(known || find(&row[0]).is_some_and(|p| p.unit == &row[1]), "{}", &row[0]);
            rows += 1;
        }
        assert_eq!(rows, 22);
    }

    #[test]
    fn headings_as_offices_write_them() {
        for (text, key, shift) in [
            ("溶解氧(mg/L)", "do", 0),
            ("溶解氧（mg/L）", "do", 0),
            ("溶解氧(DO)", "do", 0),
            ("DO(%)", "do_sat", 0),
            ("溶解氧（％）", "do_sat", 0),
            ("Temp", "wt", 0),
            ("水温(℃)", "wt", 0),
            ("pH(无量纲)", "ph", 0),
            ("pH(mg/L)", "ph", 0),
            ("电导率(μS/cm)", "ec", 0),
            ("电导率 (mS/cm)", "ec", 3),
            ("EC(MS/CM)", "ec", 3),
            ("叶绿素α(mg/L)", "chla", 3),
            ("Chl-a(mg/m3)", "chla", 0),
            ("透明度(m)", "sd", 2),
            ("氨氮(ug/L)", "nh3n", -3),
            ("水位(cm)", "water_level", -2),
            ("藻密度(cells/L)", "algae", 0),
            ("ＴＰ", "tp", 0),
        ] {
            let scale = scale(text);
            assert_eq!((scale.property().key, scale.shift()), (key, shift), "{text}");
        }
        assert_eq!(heading("点位（5月）").unwrap(), Some(Heading::Station));
        assert_eq!(heading("\u{FEFF}监测时间").unwrap(), Some(Heading::Time));
        assert_eq!(heading("站点情况").unwrap(), None);
        assert_eq!(heading("水质类别").unwrap(), None);
    }

    #[test]
    fn unknown_units_name_the_heading_and_what_is_allowed() {
        let e = heading("溶解氧(ppb)").unwrap_err().to_string();
        assert!(e.starts_with("溶解氧(ppb): ") && e.contains("`ppb`") && e.contains("mg/L"), "{e}");
        let e = heading("透明度").unwrap_err().to_string();
        assert!(e.starts_with("透明度: ") && e.contains("cm") && e.contains('m'), "{e}");
    }
}

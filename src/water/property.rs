//! Observed properties, their canonical units, Chinese names and conversions.
//! Names and aliases: `config/import_aliases.csv` (from the domain notes).

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

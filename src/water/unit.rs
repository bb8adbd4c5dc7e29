//! Units of incoming values: exact conversion to the property's own unit by moving the decimal point, and the
//! reading of a value as text with everything that stands for none.

use super::observation::Value;
use super::property::{Property, fold};
use crate::error::{Error, Result};

/// How values of one source become values of a property: its unit is ours times a power of ten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    property: &'static Property,
    shift: i32,
    given: Box<str>,
}

/// A unit, compared folded (any case, no blanks, μ as u), and the power of ten that leads to ours.
type Units = &'static [(&'static str, i32)];

const MASS: Units =
    &[("mg/L", 0), ("ug/L", -3), ("mg/m3", -3), ("g/L", 3), ("毫克/升", 0), ("mg·L-1", 0), ("mgL-1", 0)];

/// The units a property may come in; the first is ours.
fn units(property: &Property) -> Units {
    match property.key {
        "do" | "nh3n" | "codmn" | "cod" | "bod5" | "tp" | "tn" => MASS,
        "wt" => &[("Cel", 0), ("℃", 0), ("°C", 0), ("C", 0), ("摄氏度", 0)],
        "do_sat" => &[("%", 0)],
        "ec" => &[("uS/cm", 0), ("mS/cm", 3), ("mS/m", 1), ("S/m", 4)],
        "turbidity" => &[("NTU", 0), ("FNU", 0), ("度", 0)],
        "chla" => &[("ug/L", 0), ("mg/m3", 0), ("mg/L", 3)],
        "algae" => &[("cells/L", 0), ("个/L", 0), ("cells/mL", 3), ("个/mL", 3), ("万个/L", 4)],
        "orp" => &[("mV", 0), ("V", 3)],
        "sd" => &[("cm", 0), ("m", 2), ("mm", -1)],
        "water_level" => &[("m", 0), ("cm", -2), ("mm", -3)],
        "rain" => &[("mm", 0), ("毫米", 0), ("cm", 1)],
        "battery" => &[("V", 0), ("mV", -3)],
        _ => &[],
    }
}

/// Where several units are so usual that a table without one says nothing: GB's black-odour table has transparency
/// in cm and the trophic index in m, loggers have stage in cm and m, sondes EC in μS/cm and mS/cm, the national
/// platform chlorophyll in mg/L.
const UNIT_NEEDED: &[&str] = &["sd", "water_level", "ec", "chla"];

/// The scale from `unit` as written (`mS/cm`) to the property's own; `None`: no unit was written.
///
/// # Errors
/// `Invalid` at `field` with the units that are allowed.
pub fn scale(property: &'static Property, unit: Option<&str>, field: &str) -> Result<Scale> {
    let allowed = units(property);
    let known = |unit: &str| {
        let folded = fold(unit);
        allowed.iter().find(|(name, _)| fold(name) == folded).map(|(_, shift)| *shift)
    };
    let list = || allowed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match unit.map(str::trim).filter(|u| !u.is_empty()) {
        // Headings such as pH(mg/L) occur; pH has no unit.
        Some(_) if property.key == "ph" => Ok(Scale::of(property)),
        Some(unit) => match known(unit) {
            Some(shift) => Ok(Scale { property, shift, given: unit.into() }),
            None => Err(Error::invalid(
                field,
                format!("unit `{unit}` of {} is not known; allowed: {}", property.zh, list()),
            )),
        },
        None if UNIT_NEEDED.contains(&property.key) => Err(Error::invalid(
            field,
            format!(
                "{} needs its unit, as in `{}({})`; allowed: {}",
                property.zh,
                property.zh,
                property.unit,
                list()
            ),
        )),
        None => Ok(Scale::of(property)),
    }
}

impl Scale {
    /// Values that come in the property's own unit.
    #[must_use]
    pub fn of(property: &'static Property) -> Self {
        Self { property, shift: 0, given: property.unit.into() }
    }

    /// What is measured.
    #[must_use]
    pub fn property(&self) -> &'static Property {
        self.property
    }

    /// The power of ten between the given unit and ours: 3 for mS/cm.
    #[must_use]
    pub fn shift(&self) -> i32 {
        self.shift
    }

    /// The unit as given.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.given
    }

    /// Reads a value. What stands for none (see [`MISSING`], and the numbers in `sentinels`) and what is below or
    /// above a limit (`<0.025`, `0.025L`) has no number and keeps its text; a number is brought to our unit exactly,
    /// with the received text and its unit kept beside it.
    ///
    /// # Errors
    /// A message that says what was found and what is allowed.
    pub fn read(&self, text: &str, sentinels: &[f64]) -> Result<Value, String> {
        let text = text.trim();
        if is_missing(text) {
            return Ok(Value::missing(text));
        }
        let as_received = || if self.shift == 0 { text.to_owned() } else { format!("{text} {}", self.given) };
        if let Some(limit) = censored(text) {
            parse(limit, self.shift)?;
            return Ok(Value::missing(&as_received()));
        }
        let plain = parse(text, 0)?;
        if sentinels.iter().any(|s| s.total_cmp(&plain).is_eq()) {
            return Ok(Value::missing(text));
        }
        if self.shift == 0 {
            return Ok(Value::from_text(plain, text));
        }
        Ok(Value { number: Some(parse(text, self.shift)?), text: Some(as_received().into()) })
    }
}

/// What stands for a value that is not there, in any case. 未检出 and ND are no number either: the rule of half a
/// detection limit comes with the classes and needs the limit.
pub const MISSING: &[&str] = &[
    "",
    "null",
    "none",
    "nan",
    "na",
    "n/a",
    "nd",
    "-",
    "--",
    "---",
    "—",
    "——",
    "*",
    "/",
    "未检出",
    "缺测",
    "无",
];

/// The text stands for no value.
#[must_use]
pub fn is_missing(text: &str) -> bool {
    let text = text.trim();
    MISSING.iter().any(|m| m.eq_ignore_ascii_case(text))
}

/// The limit of a value below or above it: `<0.025`, `＜0.025`, `≤`, `>`, and `0.025L` as Chinese laboratories write
/// a result below the detection limit (HJ/T 91: the limit followed by L).
fn censored(text: &str) -> Option<&str> {
    let below = ['<', '＜', '≤', '>', '＞', '≥'];
    text.strip_prefix(below).or_else(|| text.strip_suffix(['L', 'l'])).map(str::trim)
}

/// Parses a decimal and moves its point by `shift` before it becomes binary, so that nothing is lost.
fn parse(text: &str, shift: i32) -> Result<f64, String> {
    let (mantissa, exponent) = split_exponent(text)?;
    let digits = mantissa.trim_start_matches(['+', '-']);
    let plain = mantissa.len() - digits.len() <= 1
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().any(|b| b.is_ascii_digit());
    let number = if plain { format!("{mantissa}e{}", exponent + shift).parse::<f64>().ok() } else { None };
    match number {
        Some(number) if number.is_finite() => Ok(number),
        _ => Err(format!(
            "`{text}` is no number; allowed: 8.12, -0.5, 1.09E3, <0.025, or nothing / NULL / -- / ND / 未检出"
        )),
    }
}

/// `1.09E3`, `1.09×10^3` and `1.09×10³` as mantissa and exponent, with full-width digits and signs made plain.
fn split_exponent(text: &str) -> Result<(String, i32), String> {
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-') {
        return Ok((text.to_owned(), 0));
    }
    let folded: String = fold(text).chars().map(|c| if c == '\u{2212}' { '-' } else { c }).collect();
    let (mantissa, exponent) = match folded.split_once(['×', '*', 'x']) {
        None => folded.split_once('e').unwrap_or((&folded, "0")),
        Some((mantissa, power)) => match power.strip_prefix("10^") {
            Some(exponent) => (mantissa, exponent),
            None => return superscript(mantissa, power, text),
        },
    };
    let exponent = exponent.parse::<i16>().map_err(|_| format!("`{text}` is no number; allowed: 1.09E3"))?;
    Ok((mantissa.to_owned(), i32::from(exponent)))
}

/// `10³`. `×103`, a power that lost its raised figure on the way, could mean two things and is refused.
fn superscript(mantissa: &str, power: &str, text: &str) -> Result<(String, i32), String> {
    const RAISED: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    let raised = power.strip_prefix("10").unwrap_or_default();
    let (negative, raised) = raised.strip_prefix('⁻').map_or((false, raised), |r| (true, r));
    let digits: Option<String> =
        raised.chars().map(|c| RAISED.chars().position(|r| r == c).map(|d| d.to_string())).collect();
    match digits.and_then(|d| d.parse::<i16>().ok()) {
        Some(e) => Ok((mantissa.to_owned(), i32::from(if negative { -e } else { e }))),
        None => Err(format!("`{text}` has lost its power of ten; allowed: 1.09E3, 1.09×10^3")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::property::find;
    use super::*;

    fn of(key: &str, unit: &str) -> Scale {
        scale(find(key).unwrap(), Some(unit), "heading").unwrap()
    }

    fn read(key: &str, unit: &str, text: &str) -> (Option<f64>, String) {
        let value = of(key, unit).read(text, &[-9999.0]).unwrap();
        (value.number, value.as_received())
    }

    #[test]
    fn the_point_is_moved_before_the_number_becomes_binary() {
        assert_eq!(read("ec", "mS/cm", "2.25"), (Some(2250.0), "2.25 mS/cm".into()));
        // 0.29 * 1000 is 290.00000000000006 or 290 by luck; 1.005 * 1000 is 1004.9999999999999.
        assert_eq!(read("chla", "mg/L", "1.005"), (Some(1005.0), "1.005 mg/L".into()));
        assert_eq!(read("nh3n", "ug/L", "350"), (Some(0.35), "350 ug/L".into()));
        assert_eq!(read("water_level", "cm", "25.06"), (Some(0.2506), "25.06 cm".into()));
        assert_eq!(read("sd", "m", "0.45"), (Some(45.0), "0.45 m".into()));
        assert_eq!(read("ec", "μS/cm", "667.1"), (Some(667.1), "667.1".into()));
        assert_eq!(read("wt", "℃", "8.120"), (Some(8.12), "8.120".into()));
    }

    #[test]
    fn what_is_missing_keeps_its_text_and_has_no_number() {
        for text in ["", "NULL", "--", "*", "-9999", "-9999.00", "NaN", "nd", "未检出"] {
            assert_eq!(read("water_level", "cm", text), (None, text.into()), "{text}");
        }
        assert_eq!(of("wt", "Cel").read("-9999", &[]).unwrap().number, Some(-9999.0));
        assert_eq!(read("wt", "Cel", "-9998.9").0, Some(-9998.9));
    }

    #[test]
    fn below_a_limit_is_no_number() {
        assert_eq!(read("nh3n", "mg/L", "<0.025"), (None, "<0.025".into()));
        assert_eq!(read("nh3n", "mg/L", "＜ 0.025"), (None, "＜ 0.025".into()));
        assert_eq!(read("nh3n", "ug/L", "<25"), (None, "<25 ug/L".into()));
        assert_eq!(read("nh3n", "mg/L", "0.025L"), (None, "0.025L".into()));
        assert!(of("nh3n", "mg/L").read("<低", &[]).is_err());
    }

    #[test]
    fn powers_of_ten() {
        for text in ["1.09E3", "1.09e+3", "1.09×10^3", "1.09×10³", "１．０９Ｅ３"] {
            assert_eq!(read("algae", "cells/L", text).0, Some(1090.0), "{text}");
        }
        assert_eq!(read("algae", "cells/L", "5×10⁻¹").0, Some(0.5));
        assert_eq!(read("orp", "mV", "−120").0, Some(-120.0));
        assert!(of("algae", "cells/L").read("1.09×103", &[]).unwrap_err().contains("lost its power"));
    }

    #[test]
    fn no_number_is_said() {
        for text in
            ["Infinity", "inf", "1e999", "1.2.3", "--5", "1,234.5", "0x10", "约8", ".", "1e", "8.12 mg"]
        {
            assert!(of("do", "mg/L").read(text, &[]).unwrap_err().contains("allowed"), "{text}");
        }
    }

    #[test]
    fn the_canonical_unit_is_always_known() {
        for property in super::super::property::PROPERTIES {
            let scale = scale(property, Some(property.unit), "heading").unwrap();
            assert_eq!(scale.shift(), 0, "{}", property.key);
        }
    }
}

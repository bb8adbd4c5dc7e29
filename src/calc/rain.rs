//! `jijia calc dry`: the weather before a sighting.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::water::rain::{DryRule, RainBefore, judge, judge_values};

/// Judges `{"rain":[{"hours_before":71.9,"mm":30}],"coverage":1.0,"window_h":72,"limit_mm":2.5}`: answers
/// `{"weather":"dry|wet|unknown","rain_mm":30}`. With the gauge's interval, `"every_h":1`, in place of the coverage the
/// list is all that the gauge said (less than nothing: a fault), and the answer has the `coverage` too: as the service
/// judges a sighting. Numbers may come as decimal strings; extra keys are ignored.
///
/// # Errors
/// `Invalid` with the field and what is allowed.
pub fn dry(input: &Value) -> Result<Value> {
    let rain = match input.get("rain") {
        Some(Value::Array(rain)) => {
            rain.iter().enumerate().map(|(i, r)| before(i, r)).collect::<Result<Vec<_>>>()?
        }
        _ => {
            return Err(Error::invalid(
                "rain",
                "allowed: a list of {\"hours_before\": h, \"mm\": mm}, may be empty",
            ));
        }
    };
    let rule = DryRule {
        window_h: number(input, "window_h", 0.0, 8_784.0)?,
        limit_mm: number(input, "limit_mm", 0.0, 1_000.0)?,
    };
    if rule.window_h <= 0.0 || rule.limit_mm <= 0.0 {
        let field = if rule.window_h <= 0.0 { "window_h" } else { "limit_mm" };
        return Err(Error::invalid(field, "0; allowed: more than 0"));
    }
    if input.get("every_h").is_some() {
        if input.get("coverage").is_some() {
            return Err(Error::invalid("coverage", "follows from every_h; allowed: one of the two"));
        }
        let (weather, rain_mm, coverage) = judge_values(&rain, number(input, "every_h", 0.0, 24.0)?, rule);
        return Ok(json!({"weather": weather, "rain_mm": rain_mm, "coverage": coverage}));
    }
    if let Some(i) = rain.iter().position(|r| r.mm < 0.0) {
        return Err(Error::invalid(
            format!("rain[{i}].mm"),
            "less than nothing is a fault of the gauge; allowed with every_h, or: 0 or more",
        ));
    }
    let (weather, rain_mm) = judge(rain, number(input, "coverage", 0.0, 1.0)?, rule);
    Ok(json!({"weather": weather, "rain_mm": rain_mm}))
}

fn before(i: usize, value: &Value) -> Result<RainBefore> {
    let read = || {
        Ok(RainBefore {
            hours_before: number(value, "hours_before", 0.0, 1e6)?,
            mm: number(value, "mm", -1e6, 3_000.0)?,
        })
    };
    read().map_err(|e: Error| e.under(&format!("rain[{i}]")))
}

fn number(input: &Value, field: &str, min: f64, max: f64) -> Result<f64> {
    let wrong =
        |found: &str| Error::invalid(field, format!("{found}; allowed: a number from {min} to {max}"));
    let value = input.get(field).ok_or_else(|| wrong("missing"))?;
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    // NaN and infinity are in no range.
    number.filter(|n| (min..=max).contains(n)).ok_or_else(|| wrong(&value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_shell_says_it() {
        let input = json!({"rain": [{"hours_before": 71.9, "mm": 30}], "coverage": 1.0, "window_h": 72, "limit_mm": 2.5});
        assert_eq!(dry(&input).unwrap(), json!({"weather": "wet", "rain_mm": 30.0}));
        let values = json!({"rain": [{"hours_before": 0.5, "mm": -9999}, {"hours_before": 0, "mm": "0.4"}],
            "every_h": 1, "window_h": 2, "limit_mm": 2.5});
        assert_eq!(dry(&values).unwrap(), json!({"weather": "unknown", "rain_mm": 0.4, "coverage": 0.5}));
        let strings = json!({"id": "x", "rain": [], "coverage": "0.8", "window_h": "72", "limit_mm": "2.5"});
        assert_eq!(dry(&strings).unwrap(), json!({"weather": "unknown", "rain_mm": 0.0}));
    }

    #[test]
    fn errors_name_the_field() {
        let good = json!({"rain": [], "coverage": 1, "window_h": 72, "limit_mm": 2.5});
        for (field, bad, expected) in [
            ("coverage", json!(1.2), "coverage"),
            ("coverage", json!("NaN"), "coverage"),
            ("window_h", json!(0), "window_h"),
            ("limit_mm", json!(null), "limit_mm"),
            ("rain", json!({}), "rain"),
            ("every_h", json!(1), "coverage"),
            ("rain", json!([{"hours_before": 1, "mm": -1}]), "rain[0].mm"),
            ("rain", json!([{"hours_before": 1, "mm": 1}, {"mm": 1}]), "rain[1].hours_before"),
        ] {
            let mut input = good.clone();
            input[field] = bad;
            let message = dry(&input).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("{expected}: ")) && message.contains("allowed"),
                "{message}"
            );
        }
    }
}

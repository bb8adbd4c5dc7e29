//! `jijia calc crs` and `jijia calc geotag`: one JSON object in, one out.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::lake::geotag::Locator;
use crate::lake::{Crs, crs};

/// `{"lng", "lat", "from", "to"}` → `{"lng", "lat"}`, degrees; numbers or decimal strings.
///
/// # Errors
/// `Invalid` at the key that is missing or wrong.
pub fn crs(input: &Value) -> Result<Value> {
    let (lng, lat) = (number(input, "lng")?, number(input, "lat")?);
    let (lng, lat) = crs::convert(lng, lat, system(input, "from")?, system(input, "to")?)?;
    Ok(json!({"lng": lng, "lat": lat}))
}

/// `{"lng", "lat", "crs", "accuracy_m"}` → the [`Geotag`](crate::lake::Geotag); `accuracy_m` may be absent or null.
///
/// # Errors
/// `Invalid` at the key that is missing or wrong.
pub fn geotag(input: &Value, locator: &Locator) -> Result<Value> {
    let (lng, lat) = (number(input, "lng")?, number(input, "lat")?);
    let at = crs::to_wgs84(system(input, "crs")?, lng, lat)?;
    let accuracy_m = match &input["accuracy_m"] {
        Value::Null => None,
        _ => Some(number(input, "accuracy_m")?),
    };
    if accuracy_m.is_some_and(|m| m < 0.0) {
        return Err(Error::invalid("accuracy_m", "metres from 0 up are allowed, or null"));
    }
    serde_json::to_value(locator.geotag(at, accuracy_m)).map_err(|e| Error::Internal(e.to_string()))
}

/// A finite number, given as one or as a decimal string.
fn number(input: &Value, key: &str) -> Result<f64> {
    let value = &input[key];
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|n| n.is_finite()).ok_or_else(|| {
        Error::invalid(key, format!("{value}: a number or a decimal string is needed, such as 113.11"))
    })
}

fn system(input: &Value, key: &str) -> Result<Crs> {
    let name = input[key].as_str().unwrap_or_default();
    name.parse().map_err(|e| match e {
        Error::Invalid { message, .. } => Error::invalid(key, message),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::load::embedded;

    fn refused(result: Result<Value>) -> String {
        match result {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn crs_takes_numbers_and_strings_and_ignores_other_keys() {
        let numbers = json!({"lng": 113.1289648, "lat": 29.3571072, "from": "gcj02", "to": "wgs84", "id": 7});
        let strings = json!({"lng": "113.1289648", "lat": " 29.3571072", "from": "gcj02", "to": "wgs84"});
        let answer = crs(&numbers).unwrap();
        assert_eq!(answer, crs(&strings).unwrap());
        // 岳阳市 as gcoord's fixture prints it.
        assert!((answer["lng"].as_f64().unwrap() - 113.1229896).abs() < 1e-5);
        assert!((answer["lat"].as_f64().unwrap() - 29.3596505).abs() < 1e-5);
    }

    #[test]
    fn crs_names_the_key_that_is_wrong() {
        let good = json!({"lng": 113.1, "lat": 29.4, "from": "gcj02", "to": "wgs84"});
        for (key, bad) in [
            ("lng", json!(null)),
            ("lng", json!("NaN")),
            ("lng", json!(181)),
            ("lat", json!("north")),
            ("lat", json!(-91)),
            ("from", json!("utm")),
            ("to", json!(4326)),
        ] {
            let mut input = good.clone();
            input[key] = bad;
            assert_eq!(refused(crs(&input)), key);
        }
        assert_eq!(refused(crs(&json!([1, 2]))), "lng");
    }

    #[test]
    fn geotag_answers_in_the_documented_shape() {
        let place = embedded();
        let locator = Locator::new(&place);
        let outfall = &place.outfalls[0];
        let input = json!({"lng": outfall.position.lng, "lat": outfall.position.lat.to_string(), "crs": "wgs84",
            "accuracy_m": 12});
        let answer = geotag(&input, &locator).unwrap();
        let keys: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["in_lake", "match", "outfalls", "sector", "shore_m", "wgs84"]);
        assert_eq!(answer["match"], "one");
        assert_eq!(answer["outfalls"][0], json!({"code": "JJH-PK-0001", "distance_m": 0.0}));
        assert_eq!(answer["sector"].as_str(), outfall.sector.as_deref());
        assert!(answer["shore_m"].as_f64().unwrap() < 10.0);
        assert_eq!(answer["wgs84"]["lng"].as_f64(), Some(outfall.position.lng));
    }

    #[test]
    fn geotag_knows_none_and_refuses_a_bad_accuracy() {
        let locator = Locator::new(&embedded());
        let far = json!({"lng": 113.2, "lat": 29.4, "crs": "bd09", "accuracy_m": null});
        let answer = geotag(&far, &locator).unwrap();
        assert_eq!((&answer["match"], &answer["sector"]), (&json!("none"), &Value::Null));
        for bad in [json!(-1), json!("close"), json!(true)] {
            let input = json!({"lng": 113.2, "lat": 29.4, "crs": "wgs84", "accuracy_m": bad});
            assert_eq!(refused(geotag(&input, &locator)), "accuracy_m");
        }
        assert_eq!(refused(geotag(&json!({"lng": 113.2, "lat": 29.4}), &locator)), "crs");
    }
}

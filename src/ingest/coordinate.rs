//! Coordinates as people write them in tables.

use crate::water::property::fold;

/// What `--crs` and 坐标系 take.
pub(super) const CRS_WORDS: &str = "wgs84, gcj02, bd09, cgcs2000";

/// `GCJ-02`, `CGCS2000`, `高德` as the word of the API.
pub(super) fn crs(word: &str) -> Option<&'static str> {
    let plain: String = fold(word).chars().filter(|c| c.is_alphanumeric()).collect();
    Some(match plain.as_str() {
        "wgs84" | "epsg4326" | "gps" => "wgs84",
        "gcj02" | "火星坐标" | "火星坐标系" | "高德" | "腾讯" => "gcj02",
        "bd09" | "bd09ll" | "百度" => "bd09",
        "cgcs2000" | "2000国家大地坐标系" | "epsg4490" | "天地图" => "cgcs2000",
        _ => return None,
    })
}

/// A finite number; a per cent sign is taken off.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim_end_matches('%').trim().parse::<f64>().ok().filter(|n| n.is_finite())
}

/// `113.1182`, `113°7′5.5″`, `113度7分`. Minutes and seconds are below 60.
pub(super) fn degrees(text: &str) -> Option<f64> {
    if let Some(plain) = number(text) {
        return Some(plain);
    }
    let text = text.trim_end_matches(['E', 'N', 'e', 'n', ' ']);
    let mut parts = text.split(['°', '度', '′', '\'', '分', '″', '"', '秒']).map(str::trim);
    let whole: f64 = parts.next()?.parse::<u32>().ok()?.into();
    let mut rest =
        parts.filter(|part| !part.is_empty()).map(|part| number(part).filter(|n| (0.0..60.0).contains(n)));
    let minutes = rest.next()??;
    let seconds = rest.next().unwrap_or(Some(0.0))?;
    rest.next().is_none().then_some((whole * 3600.0 + minutes * 60.0 + seconds) / 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_as_people_write_them() {
        for (text, expected) in [
            ("113.12", Some(113.12)),
            ("113°7′12″E", Some(113.12)),
            ("113度7.2分", Some(113.12)),
            ("113°70′", None),
        ] {
            assert_eq!(degrees(text), expected, "{text}");
        }
    }

    #[test]
    fn reference_systems_by_their_usual_names() {
        for (word, expected) in
            [("WGS-84", Some("wgs84")), ("GCJ02", Some("gcj02")), ("百度", Some("bd09")), ("北京54", None)]
        {
            assert_eq!(crs(word), expected, "{word}");
        }
    }
}

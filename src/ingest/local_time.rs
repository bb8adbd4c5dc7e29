//! Times in tables: with an offset of their own, or local to a zone that must be known.

use jiff::{Timestamp, ToSpan, civil::DateTime, tz::Offset};

use crate::clock::{AHEAD_MAX, EARLIEST_MS};
use crate::error::{Error, Result};

/// How offices and loggers write a local time, tried in this order after ISO 8601.
const FORMATS: &[&str] = &[
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y.%m.%d %H:%M",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日 %H:%M",
    "%Y年%m月%d日 %H时%M分",
    "%Y年%m月%d日 %H时",
];

/// Reads a zone: `+08:00`, `-0700`, `Z`, `UTC`.
///
/// # Errors
/// `Invalid` at `field` with what is allowed.
pub fn zone(text: &str, field: &str) -> Result<Offset> {
    let wrong =
        || Error::invalid(field, format!("`{text}`; allowed: an offset such as +08:00 (北京时间), or UTC"));
    let text = text.trim();
    if text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("utc") {
        return Ok(Offset::UTC);
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(wrong()),
    };
    let digits = rest.replace(':', "");
    let number =
        digits.parse::<i32>().ok().filter(|_| digits.len() == 4 && digits.is_ascii()).ok_or_else(wrong)?;
    let (hours, minutes) = (number / 100, number % 100);
    if hours > 14 || minutes > 59 {
        return Err(wrong());
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).map_err(|_| wrong())
}

/// The text says its offset itself.
#[must_use]
pub fn has_offset(text: &str) -> bool {
    text.trim().parse::<Timestamp>().is_ok()
}

/// Reads a time of the phenomenon: one with an offset, or a local one in `zone`; by `format` (strptime) where the
/// source is known. Dates alone are refused: midnight would be an invention.
///
/// # Errors
/// A message that says what was found and what is allowed.
pub fn instant(
    text: &str,
    zone: Option<Offset>,
    format: Option<&str>,
    now: Timestamp,
) -> Result<Timestamp, String> {
    let text = text.trim();
    let at = match (format, text.parse::<Timestamp>()) {
        (None, Ok(at)) => at,
        _ => {
            let zone =
                zone.ok_or_else(|| format!("`{text}` carries no zone; give it, for example +08:00"))?;
            let local = local(text, format).ok_or_else(|| {
                format!("`{text}` is no time; allowed: 2026-08-22 09:00, 2026/8/22 9:00:00, 2026-08-22T09:00:00+08:00")
            })?;
            zone.to_timestamp(local).map_err(|e| e.to_string())?
        }
    };
    if at.as_millisecond() < EARLIEST_MS {
        return Err(format!("`{text}` is before 2000"));
    }
    if at.duration_since(now) > AHEAD_MAX {
        return Err(format!("`{text}` lies in the future"));
    }
    Ok(at)
}

fn local(text: &str, format: Option<&str>) -> Option<DateTime> {
    if let Some(format) = format {
        return DateTime::strptime(format, text).ok();
    }
    if !text.contains([':', '时', 'T']) {
        return None;
    }
    // ISO 8601 with a blank or T; one that names a zone was read as an instant, or is not ours to guess.
    let iso = || text.parse::<DateTime>().ok().filter(|_| !text.contains(['[', 'Z', 'z', '+']));
    iso()
        .or_else(|| FORMATS.iter().find_map(|format| DateTime::strptime(format, text).ok()))
        .or_else(|| end_of_day(text))
}

/// `2026-08-22 24:00`, as loggers of hours write midnight.
fn end_of_day(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once(' ')?;
    let midnight = matches!(time.trim(), "24:00" | "24:00:00");
    let local = midnight.then(|| local(&format!("{date} 00:00"), None)).flatten()?;
    local.checked_add(1.day()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str, offset: &str) -> Result<String, String> {
        let now = "2026-11-01T00:00:00Z".parse().unwrap();
        instant(text, zone(offset, "--zone").ok(), None, now).map(|t| t.to_string())
    }

    #[test]
    fn ways_to_write_a_time() {
        for text in [
            "2026-08-22 09:00",
            "2026-08-22 09:00:00.000",
            "2026-08-22T09:00",
            "2026/8/22 9:00",
            "2026/08/22 09:00:00",
            "2026-8-22 9:00",
            "2026年8月22日 9:00",
            "2026年8月22日9时",
            "2026-08-22T09:00:00+08:00",
            "2026-08-22 01:00:00Z",
        ] {
            assert_eq!(utc(text, "+08:00").as_deref(), Ok("2026-08-22T01:00:00Z"), "{text}");
        }
        assert_eq!(utc("2015-08-20 12:00:00.000", "-07:00").as_deref(), Ok("2015-08-20T19:00:00Z"));
        assert_eq!(utc("2026-08-22 24:00", "+08:00").as_deref(), Ok("2026-08-22T16:00:00Z"));
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "2026-08-22",
            "44795.375",
            "2026-13-01 00:00",
            "09:00",
            "1999-12-31 23:59",
            "2026-12-01 00:00",
            "NULL",
        ] {
            assert!(utc(text, "+08:00").is_err(), "{text}");
        }
        assert!(utc("2026-08-22 09:00", "").unwrap_err().contains("no zone"));
        assert!(utc("2026-08-22T09:00:00Z", "").is_ok());
    }

    #[test]
    fn zones() {
        assert_eq!(zone("+08:00", "z").unwrap(), Offset::constant(8));
        assert_eq!(zone("-0700", "z").unwrap(), Offset::constant(-7));
        for bad in ["", "8", "Asia/Shanghai", "+8", "+25:00", "+08:75", "08:00"] {
            assert!(zone(bad, "--zone").unwrap_err().to_string().starts_with("--zone: "), "{bad}");
        }
    }
}

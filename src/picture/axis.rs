//! Ticks: round numbers for values, days and hours in 北京时间 for time.

use jiff::{Timestamp, ToSpan, civil, tz::Offset, tz::TimeZone};

use crate::clock::beijing;

/// Round numbers that enclose `low..=high` in at most seven steps; a flat or empty range is opened by one step.
pub fn value_ticks(low: f64, high: f64) -> Vec<f64> {
    let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
    let span = if high - low > low.abs().max(1e-9) * 1e-6 { high - low } else { (low.abs() * 0.1).max(0.1) };
    let ten = 10f64.powf((span / 5.0).log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|k| k * ten).find(|s| span / s <= 5.0).unwrap_or(10.0 * ten);
    let first = (low / step).floor();
    let last = (high / step).ceil().max(first + 1.0);
    let mut ticks = Vec::new();
    let mut i = first;
    while i <= last && ticks.len() < 8 {
        ticks.push(i * step);
        i += 1.0;
    }
    ticks
}

/// The number as short as the step between ticks allows.
pub fn tick_words(value: f64, step: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
    let decimals = (-(step.abs().log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches(['-', '0', '.']).is_empty() { "0".to_owned() } else { text }
}

/// A tick of the time axis.
#[derive(Debug, PartialEq)]
pub struct TimeTick {
    /// When.
    pub at: Timestamp,
    /// `7-14`; with the year where it begins or changes.
    pub words: String,
}

/// At most `most` ticks at the starts of hours, days or months of 北京时间, none outside `from..=to`.
pub fn time_ticks(from: Timestamp, to: Timestamp, most: usize) -> Vec<TimeTick> {
    let hours = to.duration_since(from).as_secs_f64() / 3600.0;
    #[expect(clippy::cast_precision_loss, reason = "a dozen")]
    let least = hours / (most.max(2) as f64);
    let ticks = if least <= 12.0 {
        let step = [1, 2, 3, 6, 12].into_iter().find(|&h| f64::from(h) >= least).unwrap_or(12);
        stepped(from, to, step.hours(), beijing(from).datetime().date().at(0, 0, 0, 0))
    } else if least <= 24.0 * 15.0 {
        let step = [1, 2, 5, 7, 10, 15].into_iter().find(|&d| f64::from(d) * 24.0 >= least).unwrap_or(15);
        stepped(from, to, step.days(), beijing(from).datetime().date().at(0, 0, 0, 0))
    } else {
        let step = [1, 3, 6, 12, 24, 60].into_iter().find(|&m| f64::from(m) * 730.0 >= least).unwrap_or(120);
        stepped(from, to, step.months(), beijing(from).datetime().date().first_of_month().at(0, 0, 0, 0))
    };
    words(&ticks, least)
}

fn stepped(from: Timestamp, to: Timestamp, step: jiff::Span, first: civil::DateTime) -> Vec<civil::DateTime> {
    let zone = TimeZone::fixed(Offset::constant(8));
    let mut ticks = Vec::new();
    for i in 0..2000 {
        let Ok(at) = step.checked_mul(i).and_then(|span| first.checked_add(span)) else { break };
        let Ok(instant) = zone.to_timestamp(at) else { break };
        if instant > to {
            break;
        }
        if instant >= from {
            ticks.push(at);
        }
    }
    ticks
}

fn words(ticks: &[civil::DateTime], least_hours: f64) -> Vec<TimeTick> {
    let zone = TimeZone::fixed(Offset::constant(8));
    let mut before: Option<civil::Date> = None;
    let mut out = Vec::new();
    for tick in ticks {
        let (date, new_year) = (tick.date(), before.is_none_or(|b| b.year() != tick.date().year()));
        let day = if new_year && least_hours > 12.0 {
            format!("{}-{}-{}", date.year(), date.month(), date.day())
        } else {
            format!("{}-{}", date.month(), date.day())
        };
        let words = if least_hours > 12.0 {
            day
        } else if before == Some(date) {
            format!("{}时", tick.hour())
        } else {
            format!("{day} {}时", tick.hour())
        };
        before = Some(date);
        if let Ok(at) = zone.to_timestamp(*tick) {
            out.push(TimeTick { at, words });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_ticks_are_round_and_enclose() {
        for (low, high) in [(0.02, 0.047), (2.6, 9.4), (7.0, 7.0), (0.0, 0.0), (-3.0, 41.0), (1e6, 1.2e6)] {
            let ticks = value_ticks(low, high);
            assert!(ticks.len() >= 2 && ticks.len() <= 8, "{low} {high} {ticks:?}");
            assert!(ticks[0] <= low && ticks[ticks.len() - 1] >= high, "{low} {high} {ticks:?}");
        }
        assert_eq!(tick_words(0.1 + 0.2, 0.1), "0.3");
        assert_eq!(tick_words(40.0, 20.0), "40");
        assert_eq!(tick_words(-0.0, 0.5), "0");
        assert!(value_ticks(f64::INFINITY, f64::NEG_INFINITY).len() >= 2);
    }

    #[test]
    fn days_begin_at_beijing_midnight() {
        let (from, to) = ("2025-12-20T00:00:00Z".parse().unwrap(), "2026-01-20T00:00:00Z".parse().unwrap());
        let ticks = time_ticks(from, to, 8);
        assert!(ticks.len() >= 4 && ticks.len() <= 8, "{ticks:?}");
        assert_eq!(ticks[0].words, "2025-12-25");
        assert_eq!(ticks[0].at.to_string(), "2025-12-24T16:00:00Z");
        assert_eq!(ticks.iter().filter(|t| t.words.starts_with("2026")).count(), 1);
    }

    #[test]
    fn a_day_is_cut_into_hours() {
        let (from, to) = ("2026-07-14T00:00:00Z".parse().unwrap(), "2026-07-15T00:00:00Z".parse().unwrap());
        let words: Vec<String> = time_ticks(from, to, 8).into_iter().map(|t| t.words).collect();
        assert_eq!(words, ["7-14 9时", "12时", "15时", "18时", "21时", "7-15 0时", "3时", "6时"]);
    }
}

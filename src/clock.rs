//! The clock everything is received by, and the two ways a time is written: UTC inside, 北京时间 on paper.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp, ZonedDateTime, civil::Date, tz::Offset, tz::TimeZone};

/// A time before this is of a clock that was never set: 2000-01-01T00:00:00Z, milliseconds since 1970.
pub const EARLIEST_MS: i64 = 946_684_800_000;
/// How far the clock of a sensor or of a table may be ahead of ours.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(10);
/// A day, milliseconds.
pub const DAY_MS: i64 = 86_400_000;
/// 北京时间 is this far ahead of UTC, milliseconds.
pub const BEIJING_MS: i64 = 8 * 3_600_000;

/// 北京时间, UTC+8, no daylight saving since 1992.
#[must_use]
pub fn beijing(at: Timestamp) -> ZonedDateTime {
    at.to_zoned_datetime(TimeZone::fixed(Offset::constant(8)))
}

/// The first instant of a day in 北京时间; `None` beyond what a `Timestamp` can say.
#[must_use]
pub fn day_start(day: Date) -> Option<Timestamp> {
    Offset::constant(8).to_timestamp(day.at(0, 0, 0, 0)).ok()
}

/// The day of `at` in 北京时间, counted from 1970.
#[must_use]
pub fn day_number(at: Timestamp) -> i64 {
    (at.as_millisecond() + BEIJING_MS).div_euclid(DAY_MS)
}

/// `2026-07-14 05:20` in 北京时间.
#[must_use]
pub fn beijing_minute(at: Timestamp) -> String {
    beijing(at).strftime("%Y-%m-%d %H:%M").to_string()
}

/// `7月14日 05:20` in 北京时间, as people write it.
#[must_use]
pub fn beijing_words(at: Timestamp) -> String {
    let z = beijing(at);
    format!("{}月{}日 {:02}:{:02}", z.month(), z.day(), z.hour(), z.minute())
}

/// The instant of `ms` since 1970, held to the range that `Timestamp` can say.
#[must_use]
pub fn from_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A simulated clock with this time goes with the system's.
const RELEASED: i64 = i64::MAX;

/// Where "now" comes from: the system, or, in a demo data directory only, a clock moved by hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system clock.
    #[default]
    System,
    /// Milliseconds since 1970, set by the demo.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at` until [`Clock::set`] moves it.
    #[must_use]
    pub fn simulated(at: Timestamp) -> Self {
        Self::Simulated(Arc::new(AtomicI64::new(at.as_millisecond())))
    }

    /// Now, to the millisecond: the resolution everything is stored with.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => from_ms(Timestamp::now().as_millisecond()),
            Self::Simulated(ms) => match ms.load(Ordering::SeqCst) {
                RELEASED => Self::System.now(),
                ms => from_ms(ms),
            },
        }
    }

    /// Lets a simulated clock go with the system's from here on.
    pub fn release(&self) {
        if let Self::Simulated(ms) = self {
            ms.store(RELEASED, Ordering::SeqCst);
        }
    }

    /// Moves a simulated clock; the system's is left alone.
    pub fn set(&self, at: Timestamp) {
        if let Self::Simulated(ms) = self {
            ms.store(at.as_millisecond(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_beijing() {
        let day = |text: &str| day_number(text.parse().unwrap());
        assert_eq!(day("2026-12-01T15:59:59Z"), day("2026-11-30T16:00:00Z"));
        assert_eq!(day("2026-12-01T16:00:00Z"), day("2026-12-01T15:59:59Z") + 1);
    }
}

//! When something was seen: what a phone's clock says, held against the server's.

use jiff::{SignedDuration, Timestamp};

use super::Arrival;
use crate::clock::EARLIEST_MS;
use crate::error::{Error, Result};

/// A phone clock this far off is kept and flagged; beyond it nothing can be said about when it was seen.
const DRIFT_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Less than this is the ordinary error of a phone clock and is not taken off.
pub(in crate::patrol) const DRIFT_SHOWN: SignedDuration = SignedDuration::from_mins(2);

/// Phone clock minus server clock, where it is known and over two minutes.
///
/// With the clock at sending the offset is plain. Without it only a phone that is ahead betrays itself: its body was
/// written "later" than it arrived. A phone that is behind cannot be told from a report that waited for a network.
pub(in crate::patrol) fn clock_offset(
    device_at: Option<Timestamp>,
    arrival: &Arrival<'_>,
) -> Result<Option<SignedDuration>> {
    let now = arrival.received_at;
    let clock = arrival.sent_at.or(device_at.filter(|d| *d > now));
    let offset = clock.map(|clock| clock.duration_since(now)).filter(|o| o.abs() >= DRIFT_SHOWN);
    if let Some(drift) = offset.filter(|o| o.abs() > DRIFT_MAX) {
        return Err(Error::invalid(
            "device_at",
            format!("the device clock is off by {} days; allowed: up to 30 days", drift.as_hours() / 24),
        ));
    }
    Ok(offset)
}

/// Takes the phone clock's offset off, where it is known.
pub(super) fn settle_time(
    observed_at: Timestamp,
    device_at: Option<Timestamp>,
    arrival: &Arrival<'_>,
) -> Result<(Timestamp, Option<i64>)> {
    let now = arrival.received_at;
    let offset = clock_offset(device_at, arrival)?;
    let seen_at = match offset {
        Some(o) => observed_at.checked_sub(o).map_err(|e| Error::invalid("observed_at", e.to_string()))?,
        None => observed_at,
    };
    check_seen(observed_at, seen_at, now)?;
    Ok((seen_at, offset.map(|o| o.as_secs())))
}

/// Checks when something was seen, `given` as `seen_at`: after 2000, and no later than an ordinary clock's error from now.
pub(in crate::patrol) fn check_seen(given: Timestamp, seen_at: Timestamp, now: Timestamp) -> Result<()> {
    if seen_at.duration_since(now) > DRIFT_SHOWN {
        return Err(Error::invalid(
            "observed_at",
            format!("{given} is in the future; allowed: up to the server's time, {now}"),
        ));
    }
    if seen_at.as_millisecond() < EARLIEST_MS {
        return Err(Error::invalid(
            "observed_at",
            format!("{given} is before 2000-01-01; is the clock set?"),
        ));
    }
    Ok(())
}

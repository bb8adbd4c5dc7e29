//! What is true at the simulated lake: rain, leaks, plants, water. Pure: the same seed, the same lake. Every number
//! is made up (演示数据); only their order of size follows the domain notes.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::DAYS;
use crate::clock::beijing;

/// Leaks all the time.
pub const CHRONIC: &str = "JJH-PK-0003";
/// Leaks until it is repaired half-way.
pub const REPAIRED: &str = "JJH-PK-0005";
/// Leaks in the mornings, from the twentieth day on.
pub const INTERMITTENT: &str = "JJH-PK-0001";
/// The day of the repair.
pub const REPAIR_DAY: f64 = 45.0;
/// Bays with hyacinth.
pub const PATCHES: [&str; 2] = ["南湾", "北颈"];
/// Days on which each bay is salvaged.
const SALVAGED: [[f64; 2]; 2] = [[31.0, 64.0], [38.0, 74.0]];
/// The last days stay dry, so that the newest sightings may claim something.
const DRY_AT_THE_END: usize = 6;

/// The simulated lake.
#[derive(Clone, Debug)]
pub struct World {
    begin: Timestamp,
    /// Rain of each hour since `begin`, mm.
    rain_mm: Vec<f64>,
}

impl World {
    /// The lake of a seed.
    #[must_use]
    pub fn new(begin: Timestamp, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x7261_696e);
        let hours = usize::try_from(DAYS * 24).unwrap_or(0);
        let mut rain_mm = vec![0.0; hours];
        let last = hours.saturating_sub(24 * DRY_AT_THE_END);
        // The first rain falls late on the second day; then dry spells of three to nine days.
        let mut hour = 44;
        while hour < last {
            let most = between(&mut rng, 0.6, 5.5);
            for slot in rain_mm.iter_mut().take(last).skip(hour).take(rng.usize(4..20)) {
                *slot = tenths(most * rng.f64() * rng.f64());
            }
            hour += 24 * rng.usize(3..10) + rng.usize(0..24);
        }
        Self { begin, rain_mm }
    }

    /// The first instant.
    #[must_use]
    pub fn begin(&self) -> Timestamp {
        self.begin
    }

    /// Days since the beginning.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> f64 {
        hours(at.duration_since(self.begin)) / 24.0
    }

    /// Rain of the hour that ends at `at`, mm.
    #[must_use]
    pub fn rain_mm(&self, at: Timestamp) -> f64 {
        self.hour(at).and_then(|h| self.rain_mm.get(h)).copied().unwrap_or(0.0)
    }

    /// Rain of the `back` hours before `at`, mm.
    #[must_use]
    pub fn rain_before_mm(&self, at: Timestamp, back: usize) -> f64 {
        let Some(end) = self.hour(at) else { return 0.0 };
        self.rain_mm.iter().take(end + 1).skip((end + 1).saturating_sub(back)).sum()
    }

    fn hour(&self, at: Timestamp) -> Option<usize> {
        usize::try_from(at.duration_since(self.begin).as_hours()).ok()
    }

    /// Sewage out of an outfall, L/s; people cook and wash in the morning and in the evening.
    #[must_use]
    pub fn sewage_l_s(&self, outfall: &str, at: Timestamp) -> f64 {
        let (day, hour) = (self.day(at), hour_of_day(at));
        let use_of_water =
            0.55 + 0.5 * (-(hour - 7.5).powi(2) / 5.0).exp() + 0.45 * (-(hour - 18.5).powi(2) / 7.0).exp();
        let most = match outfall {
            CHRONIC => 2.6,
            REPAIRED if day < REPAIR_DAY => 1.7,
            INTERMITTENT if day > 19.0 && hour < 10.0 => 0.8,
            _ => 0.0,
        };
        most * use_of_water
    }

    /// Area of the hyacinth in a bay, m²: it doubles in about twelve days, and is taken down to a tenth.
    #[must_use]
    pub fn hyacinth_m2(&self, bay: usize, at: Timestamp) -> f64 {
        let day = self.day(at);
        let salvaged = SALVAGED.get(bay).into_iter().flatten().rfind(|d| **d <= day);
        let (since, start) = salvaged.map_or((0.0, 60.0 + 40.0 * index(bay)), |d| (*d, 45.0));
        let limit = 2600.0;
        limit / (1.0 + (limit / start - 1.0) * (-(day - since) / 17.0).exp())
    }

    /// The bay was salvaged within the last day and a half.
    #[must_use]
    pub fn salvaged_lately(&self, bay: usize, at: Timestamp) -> bool {
        let day = self.day(at);
        SALVAGED.get(bay).into_iter().flatten().any(|d| (0.0..1.5).contains(&(day - d)))
    }

    /// A station is silent: the fourth for three days in the middle and for the last hours, the gauge once for a day
    /// and a half, so that the weather is unknown then.
    #[must_use]
    pub fn silent(&self, station: &str, at: Timestamp) -> bool {
        let day = self.day(at);
        match station {
            "JJH-S4" => (60.2..63.1).contains(&day) || day > DAYS_F - 0.3,
            "JJH-R1" => (50.0..51.6).contains(&day),
            _ => false,
        }
    }

    /// What a sensor shows; drifting and fouled ones show more than there is.
    #[must_use]
    pub fn value(&self, station: &str, property: &str, at: Timestamp, rng: &mut Rng) -> f64 {
        let (day, hour) = (self.day(at), hour_of_day(at));
        let sun = ((hour - 9.0) / 12.0 * std::f64::consts::PI).sin();
        let storm = self.rain_before_mm(at, 36);
        let outfall = match station {
            "JJH-S1" => INTERMITTENT,
            "JJH-S2" => CHRONIC,
            "JJH-S3" => REPAIRED,
            _ => "",
        };
        let sewage = self.sewage_l_s(outfall, at);
        let wt = water_temperature(at) + 1.1 * sun;
        let noise = rng.f64() - 0.5;
        match property {
            "wt" => hundredths(wt + 0.1 * noise),
            "ph" => hundredths(7.62 + 0.25 * sun + 0.04 * noise + self.ph_drift(station, day)),
            "do" => hundredths((13.2 - 0.21 * wt + 1.3 * sun - 1.5 * sewage + 0.2 * noise).max(0.4)),
            "ec" => tenths(312.0 + 58.0 * sewage - 0.8 * storm + 6.0 * noise),
            "turbidity" => tenths((11.0 + 1.6 * storm + 2.0 * noise + fouling(station, day)).max(0.5)),
            "nh3n" => hundredths(0.34 + 0.92 * sewage + 0.012 * storm + 0.08 * noise),
            "codmn" => tenths(4.1 + 1.2 * sewage + 0.05 * storm + 0.3 * noise),
            "tp" => hundredths(0.07 + 0.06 * sewage + 0.002 * storm + 0.01 * noise),
            "tn" => hundredths(1.1 + 1.3 * sewage + 0.02 * storm + 0.1 * noise),
            "rain" => self.rain_mm(at - SignedDuration::from_secs(1)),
            _ => hundredths(12.4 + 0.2 * noise),
        }
    }

    /// The third station's pH electrode drifts until it is calibrated.
    fn ph_drift(&self, station: &str, day: f64) -> f64 {
        let drifting = station == "JJH-S3" && (50.0..72.0).contains(&day);
        if drifting { 0.03 * (day - 50.0) } else { 0.0 }
    }
}

#[expect(clippy::cast_precision_loss, reason = "ninety")]
const DAYS_F: f64 = DAYS as f64;

/// The second station's turbidity window grows over until it is wiped.
fn fouling(station: &str, day: f64) -> f64 {
    if station == "JJH-S2" && (65.0..78.0).contains(&day) { 4.0 * (day - 65.0) } else { 0.0 }
}

/// Warmest at the end of July.
fn water_temperature(at: Timestamp) -> f64 {
    let day = f64::from(beijing(at).date().day_of_year());
    18.5 + 10.5 * ((day - 115.0) / 365.0 * std::f64::consts::TAU).sin()
}

/// 北京时间.
#[must_use]
pub fn hour_of_day(at: Timestamp) -> f64 {
    let z = beijing(at);
    f64::from(z.hour()) + f64::from(z.minute()) / 60.0
}

/// A number from `low` to `high`.
pub fn between(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.f64()
}

/// With one decimal.
#[must_use]
pub fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn hours(d: SignedDuration) -> f64 {
    d.as_secs_f64() / 3600.0
}

#[expect(clippy::cast_precision_loss, reason = "0 or 1")]
fn index(bay: usize) -> f64 {
    bay as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World::new("2026-06-01T00:00:00Z".parse().unwrap(), 7)
    }

    #[test]
    fn it_rains_between_dry_spells_and_not_at_the_end() {
        let world = world();
        let at = |day: i64| world.begin() + SignedDuration::from_hours(24 * day);
        let wet = (0..DAYS).filter(|d| world.rain_before_mm(at(*d), 24) > 0.0).count();
        assert!((8..45).contains(&wet), "{wet} wet days");
        assert!(world.rain_before_mm(at(DAYS), 24 * DRY_AT_THE_END) == 0.0);
    }

    #[test]
    fn one_outfall_is_repaired_and_plants_are_taken_out() {
        let world = world();
        let at = |day: i64| world.begin() + SignedDuration::from_hours(24 * day + 8);
        assert!(world.sewage_l_s(REPAIRED, at(20)) > 0.5 && world.sewage_l_s(REPAIRED, at(60)) == 0.0);
        assert!(world.sewage_l_s(CHRONIC, at(20)) > 0.5 && world.sewage_l_s(CHRONIC, at(80)) > 0.5);
        assert!(world.hyacinth_m2(0, at(30)) > 3.0 * world.hyacinth_m2(0, at(32)));
    }
}

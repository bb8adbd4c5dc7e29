//! Rain and dry weather: the rule that decides what a sighting may claim.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The weather before a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weather {
    /// Less rain than the limit in the window, with at least 90 % of the window covered by the source.
    Dry,
    /// The limit or more, whatever the coverage.
    Wet,
    /// Too little is known. Never treated as dry.
    Unknown,
}

impl Weather {
    /// As documents say it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Dry => "旱天",
            Self::Wet => "雨天",
            Self::Unknown => "降雨未知",
        }
    }
}

/// The rule's two numbers. Default 72 h and 2.5 mm: an engineering choice between the Massachusetts MS4 permit
/// (2.54 mm in 24 h) and the 旱天 of T/CECS 758-2020 (48 h after rain, the number partly lost in the copy read).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DryRule {
    /// Hours looked back.
    pub window_h: f64,
    /// Rain that makes the window wet, mm.
    pub limit_mm: f64,
}

/// Rain that fell in an interval ending `hours_before` the sighting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RainBefore {
    /// Hours between the end of the interval and the sighting.
    pub hours_before: f64,
    /// Millimetres.
    pub mm: f64,
}

/// The share of the window that the rain source must cover before silence may count as dry.
pub const MIN_COVERAGE: f64 = 0.9;

/// Judges the weather; returns it with the rain that fell in the window, mm.
/// `coverage` is the share of the window (0 to 1) for which the source delivered values.
#[must_use]
pub fn judge(rain: impl IntoIterator<Item = RainBefore>, coverage: f64, rule: DryRule) -> (Weather, f64) {
    let rain_mm: f64 = rain
        .into_iter()
        .filter(|r| r.hours_before >= 0.0 && r.hours_before < rule.window_h)
        .map(|r| r.mm)
        .sum();
    // 0.3 + 0.3 + 0.3 + 4 × 0.4 is 2.4999999999999996 in binary and 2.5 on every gauge.
    let rain_mm = (rain_mm * 1e6).round() / 1e6;
    let weather = if rain_mm >= rule.limit_mm {
        Weather::Wet
    } else if coverage >= MIN_COVERAGE {
        Weather::Dry
    } else {
        Weather::Unknown
    };
    (weather, rain_mm)
}

/// Judges the weather by the values of one gauge, in the order in which they were received: the rule by which
/// sightings are judged (in SQL, `store::timeline`), here over plain values. Returns also the coverage.
///
/// A value covers the time since the one before it, at most `every_h`, the gauge's interval; coverage is the covered
/// share of the window. Less than nothing (−9999 of a gauge at fault) is no rain and says nothing about its time; of two
/// values for one time the later one holds.
#[must_use]
pub fn judge_values(values: &[RainBefore], every_h: f64, rule: DryRule) -> (Weather, f64, f64) {
    let within = |v: &&RainBefore| v.hours_before >= 0.0 && v.hours_before < rule.window_h;
    let mut known: Vec<RainBefore> = values.iter().filter(within).copied().collect();
    // Oldest first; the sort keeps the order of receipt among equals.
    known.sort_by(|a, b| b.hours_before.total_cmp(&a.hours_before));
    known.dedup_by(|later, earlier| {
        let same = later.hours_before.total_cmp(&earlier.hours_before).is_eq();
        if same {
            *earlier = *later;
        }
        same
    });
    known.retain(|v| v.mm >= 0.0);
    let (mut covered_h, mut before_h) = (0.0, rule.window_h);
    for value in &known {
        covered_h += (before_h - value.hours_before).min(every_h);
        before_h = value.hours_before;
    }
    let coverage = (covered_h / rule.window_h).min(1.0);
    let (weather, rain_mm) = judge(known, coverage, rule);
    (weather, rain_mm, coverage)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/fixtures/domain/dry_weather_vectors.csv`: id, rain, coverage, three rules.
    #[test]
    fn vectors_agree() {
        let text = include_str!("../../tests/fixtures/domain/dry_weather_vectors.csv");
        let mut judged = 0;
        for row in csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap) {
            let rain: Vec<RainBefore> = row[1]
                .split(';')
                .filter_map(|part| part.split_once(':'))
                .map(|(h, mm)| RainBefore { hours_before: h.parse().unwrap(), mm: mm.parse().unwrap() })
                .collect();
            let coverage: f64 = row[2].parse().unwrap();
            for (column, window_h, limit_mm) in [(3, 72.0, 2.5), (4, 48.0, 2.5), (5, 24.0, 2.54)] {
                let (weather, _) = judge(rain.iter().copied(), coverage, DryRule { window_h, limit_mm });
                let expected = serde_json::to_value(weather).unwrap();
                assert_eq!(expected, row[column], "{} column {column}", &row[0]);
                judged += 1;
            }
        }
        assert_eq!(judged, 15);
    }

    #[test]
    fn a_value_covers_its_interval_and_no_more() {
        let rule = DryRule { window_h: 10.0, limit_mm: 2.5 };
        let values = |all: &[(f64, f64)]| -> Vec<RainBefore> {
            all.iter().map(|(hours_before, mm)| RainBefore { hours_before: *hours_before, mm: *mm }).collect()
        };
        let judged = |all: &[(f64, f64)]| judge_values(&values(all), 1.0, rule);
        let hourly: Vec<(f64, f64)> = (0..10).map(|h| (f64::from(h), 0.0)).collect();
        assert_eq!(judged(&hourly), (Weather::Dry, 0.0, 1.0));
        // One hour missing is nine tenths; two are not enough; a fault counts as missing.
        assert_eq!(judged(&hourly[1..]), (Weather::Dry, 0.0, 0.9));
        assert_eq!(judged(&hourly[2..]), (Weather::Unknown, 0.0, 0.8));
        let mut fault = hourly.clone();
        (fault[3].1, fault[4].1) = (-9999.0, -1.0);
        assert_eq!(judged(&fault), (Weather::Unknown, 0.0, 0.8));
        // A correction after it makes it good, and rain counts whatever is covered.
        fault.extend([(3.0, 0.0), (4.0, 2.5)]);
        assert_eq!(judged(&fault), (Weather::Wet, 2.5, 1.0));
        assert_eq!(judged(&[(5.0, 3.0)]), (Weather::Wet, 3.0, 0.1));
        // What lies outside the window is not asked.
        assert_eq!(judged(&[(10.0, 9.0), (-0.5, 9.0)]), (Weather::Unknown, 0.0, 0.0));
        assert_eq!(judged(&[]), (Weather::Unknown, 0.0, 0.0));
    }

    #[test]
    fn tenths_of_a_millimetre_add_up() {
        let tenths = [0.3, 0.3, 0.3, 0.4, 0.4, 0.4, 0.4];
        let rain = tenths.map(|mm| RainBefore { hours_before: 5.0, mm });
        let rule = DryRule { window_h: 72.0, limit_mm: 2.5 };
        assert_eq!(judge(rain, 1.0, rule), (Weather::Wet, 2.5));
    }

    #[test]
    fn wet_whatever_the_coverage() {
        let rule = DryRule { window_h: 72.0, limit_mm: 2.5 };
        assert_eq!(judge([RainBefore { hours_before: 1.0, mm: 3.0 }], 0.1, rule).0, Weather::Wet);
    }
}

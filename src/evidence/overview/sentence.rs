//! What the first page says of the state: the parts of one sentence, and the dry-weather finding.

use super::{OutfallNow, Overview, RainNow};
use crate::evidence::timeline::Named;
use crate::patrol::duty::DutyState;
use crate::water::rain::Weather;

/// A part of the state sentence; each becomes a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Stations with fresh values.
    Reporting(usize),
    /// Silent stations, and the first of them.
    Silent(usize, &'a Named),
    /// Sectors walked and due in the windows that have begun today.
    Walked {
        /// Walked.
        walked: usize,
        /// Due.
        due: usize,
    },
    /// No window has begun today; the name of the first.
    NoDutyYet(&'a str),
    /// Sectors missed in windows that are over.
    Missed(usize),
    /// Outfalls seen to flow in dry weather in the look-back.
    DryOutfalls(usize),
    /// None was seen, which is not the same as none flows.
    NoDryOutfall,
}

/// The second line of the first page.
#[derive(Clone, Debug)]
pub struct Finding<'a> {
    /// The weather.
    pub rain: &'a RainNow,
    /// Whole days without rain, where the weather is proven dry: as far back as the source says so without a break.
    pub days_without_rain: Option<i64>,
    /// The outfall with most dry days of flow.
    pub worst: Option<&'a OutfallNow>,
    /// It was seen to flow since the last rain, or since the source broke off after it, and the weather is dry.
    pub still_flowing: bool,
}

impl Overview {
    /// The parts of the state sentence, in order.
    #[must_use]
    pub fn sentence(&self) -> Vec<Part<'_>> {
        let now = self.cut_off;
        let silent: Vec<_> = self.stations.iter().filter(|s| s.silent(now)).collect();
        let mut parts = vec![Part::Reporting(self.stations.len() - silent.len())];
        if let Some(first) = silent.first() {
            parts.push(Part::Silent(silent.len(), &first.station));
        }
        parts.extend(self.duty_parts());
        parts.push(match self.outfalls.iter().filter(|o| o.dry_flow_days > 0).count() {
            0 => Part::NoDryOutfall,
            n => Part::DryOutfalls(n),
        });
        parts
    }

    fn duty_parts(&self) -> Vec<Part<'_>> {
        let now = self.cut_off;
        let begun: Vec<_> = self.windows.iter().filter(|w| w.from <= now).collect();
        if begun.is_empty() {
            return self.windows.first().map(|w| Part::NoDutyYet(&w.name)).into_iter().collect();
        }
        let count = |state| begun.iter().map(|w| w.count(state, now)).sum();
        let due = begun.iter().map(|w| w.sectors.len()).sum();
        let mut parts = vec![Part::Walked { walked: count(DutyState::Walked), due }];
        match count(DutyState::NotWalked) {
            0 => {}
            missed => parts.push(Part::Missed(missed)),
        }
        parts
    }

    /// The dry-weather finding. Unknown rain is never said to be dry.
    #[must_use]
    pub fn finding(&self) -> Finding<'_> {
        let rain = &self.rain;
        let dry = rain.weather == Weather::Dry;
        let days_without_rain = rain
            .dry_since
            .filter(|_| dry)
            .map(|last| (self.cut_off.as_second() - last.as_second()).max(0) / 86_400);
        let worst = self
            .outfalls
            .iter()
            .filter(|o| o.dry_flow_days > 0)
            .max_by_key(|o| (o.dry_flow_days, o.level, o.last_dry_outflow));
        let still_flowing = dry && worst.is_some_and(|o| o.last_dry_outflow > rain.dry_since);
        Finding { rain, days_without_rain, worst, still_flowing }
    }

    /// Outfalls with a sighting in the look-back, the strongest evidence first.
    #[must_use]
    pub fn outfalls_by_evidence(&self) -> Vec<&OutfallNow> {
        let mut seen: Vec<_> = self.outfalls.iter().filter(|o| o.sightings > 0).collect();
        seen.sort_by_key(|o| std::cmp::Reverse((o.dry_flow_days, o.level, o.sightings)));
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChannelNow, Newest, SectorDuty, StationNow, WindowToday};
    use super::*;
    use jiff::Timestamp;

    fn at(text: &str) -> Timestamp {
        format!("{text}+08:00").parse().unwrap()
    }

    fn named(code: &str) -> Named {
        Named { code: code.into(), name: code.into() }
    }

    fn channel(newest: Option<&str>) -> ChannelNow {
        ChannelNow {
            property: "do".into(),
            property_zh: "溶解氧".into(),
            unit: "mg/L".into(),
            every_s: 600,
            newest: newest.map(|t| Newest { value: "2.6".into(), observed_at: at(t) }),
        }
    }

    fn window(from: &str, to: &str, walked: &[Option<&str>]) -> WindowToday {
        let sectors = walked
            .iter()
            .map(|w| SectorDuty { sector: named("s"), walked_at: w.map(at), excused: false })
            .collect();
        WindowToday { code: "w".into(), name: "早巡".into(), from: at(from), to: at(to), sectors }
    }

    fn outfall(code: &str, dry_flow_days: u32, last: Option<&str>) -> OutfallNow {
        let (outfall, last_outflow, last_dry_outflow) = (named(code), last.map(at), last.map(at));
        OutfallNow {
            outfall,
            level: None,
            sightings: dry_flow_days,
            dry_flow_days,
            last_outflow,
            last_dry_outflow,
            last_look: None,
        }
    }

    fn overview() -> Overview {
        Overview {
            place: "吉家湖".into(),
            place_notice: String::new(),
            demo: false,
            cut_off: at("2026-07-14T10:00:00"),
            log_size: 7,
            windows: vec![
                window("2026-07-14T06:30:00", "2026-07-14T09:00:00", &[Some("2026-07-14T07:00:00"), None]),
                window("2026-07-14T15:30:00", "2026-07-14T18:00:00", &[None, None]),
            ],
            stations: vec![
                StationNow { station: named("S1"), channels: vec![channel(Some("2026-07-14T09:50:00"))] },
                StationNow { station: named("S2"), channels: vec![channel(Some("2026-07-14T09:30:00"))] },
                StationNow { station: named("S3"), channels: vec![] },
            ],
            outfalls: vec![
                outfall("P1", 2, Some("2026-07-12T08:00:00")),
                outfall("P2", 0, None),
                outfall("P3", 11, Some("2026-07-14T08:00:00")),
            ],
            rain: RainNow {
                weather: Weather::Dry,
                window_h: 72.0,
                rain_mm: 0.0,
                coverage: 1.0,
                last_rain: Some(at("2026-07-10T07:00:00")),
                dry_since: Some(at("2026-07-10T07:00:00")),
                dry_days: 13,
            },
            gaps: vec![],
            reports_today: 1,
            feed: vec![],
        }
    }

    #[test]
    fn the_sentence_counts_silent_stations_and_missed_sectors() {
        let o = overview();
        let silent = named("S2");
        let expected = vec![
            Part::Reporting(2),
            Part::Silent(1, &silent),
            Part::Walked { walked: 1, due: 2 },
            Part::Missed(1),
            Part::DryOutfalls(2),
        ];
        assert_eq!(o.sentence(), expected);
    }

    #[test]
    fn a_window_that_has_not_begun_is_not_missed() {
        let mut o = overview();
        o.cut_off = at("2026-07-14T06:00:00");
        assert!(o.sentence().contains(&Part::NoDutyYet("早巡")));
        o.cut_off = at("2026-07-14T08:59:00");
        let morning = &o.windows[0];
        assert_eq!(morning.state(&morning.sectors[1], o.cut_off), DutyState::Open);
        assert!(!o.sentence().iter().any(|p| matches!(p, Part::Missed(_))));
    }

    #[test]
    fn three_intervals_without_a_value_are_silence() {
        let c = channel(Some("2026-07-14T09:30:00"));
        assert!(!c.silent(at("2026-07-14T09:59:59")));
        assert!(c.silent(at("2026-07-14T10:00:00")));
        assert!(channel(None).silent(at("2026-07-14T10:00:00")));
    }

    #[test]
    fn still_flowing_is_said_of_dry_weather_since_the_last_rain_only() {
        let mut o = overview();
        let finding = o.finding();
        assert_eq!(finding.days_without_rain, Some(4));
        assert_eq!(finding.worst.map(|w| w.outfall.code.as_str()), Some("P3"));
        assert!(finding.still_flowing);
        o.outfalls[2].last_dry_outflow = Some(at("2026-07-09T08:00:00"));
        assert!(!o.finding().still_flowing, "it was seen before the last rain only");
        o.rain.dry_since = Some(at("2026-07-12T07:00:00"));
        assert_eq!(o.finding().days_without_rain, Some(2), "a gauge that was silent before says nothing");
        o.rain.weather = Weather::Unknown;
        assert_eq!(o.finding().days_without_rain, None);
    }
}

//! What the first page (总览) says: one plain model, filled by `store::overview`. The judgements on it (what is
//! silent, what was missed, what the state sentence is made of) are the pure functions here; the words are
//! `web::pages`'s, in two languages.

use jiff::Timestamp;
use serde::Serialize;

use super::timeline::{Gap, Named, Sighting};
use crate::casework::EvidenceLevel;
use crate::water::rain::Weather;

/// Days (北京时间, today included) over which outfalls and dry days are counted.
pub const LOOK_BACK_DAYS: u32 = 30;

/// A channel that has delivered nothing for this many of its intervals is silent (as `GapKind::SensorSilent`).
pub const SILENT_INTERVALS: i64 = 3;

/// Everything on the first page.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// 吉家湖.
    pub place: String,
    /// `示意, 非测绘`, or empty.
    pub place_notice: String,
    /// From a demo data directory.
    pub demo: bool,
    /// What had been received by this instant is in it; every age is counted from it.
    pub cut_off: Timestamp,
    /// Entries in the log at the cut-off.
    pub log_size: u64,
    /// Today's duty windows in the order of the day.
    pub windows: Vec<WindowToday>,
    /// Every station of the place, by code.
    pub stations: Vec<StationNow>,
    /// Every outfall of the place, by code.
    pub outfalls: Vec<OutfallNow>,
    /// Rain so far.
    pub rain: RainNow,
    /// Gaps that are open now or are of today; `to` is the cut-off where one goes on.
    pub gaps: Vec<Gap>,
    /// Reports observed today (北京时间).
    pub reports_today: u32,
    /// The newest reports, newest first: the newest 20 rows of the timeline without a filter.
    pub feed: Vec<Sighting>,
}

/// One duty window of today.
#[derive(Clone, Debug, Serialize)]
pub struct WindowToday {
    /// `morning`.
    pub code: String,
    /// 早巡.
    pub name: String,
    /// Its first instant today.
    pub from: Timestamp,
    /// Its last instant today.
    pub to: Timestamp,
    /// Every sector that is due in it.
    pub sectors: Vec<SectorDuty>,
}

/// A sector in a duty window.
#[derive(Clone, Debug, Serialize)]
pub struct SectorDuty {
    /// The sector.
    pub sector: Named,
    /// First report or patrol of it in the window.
    pub walked_at: Option<Timestamp>,
}

/// How a sector stands in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DutyState {
    /// 已巡.
    Walked,
    /// The window has not begun.
    NotYet,
    /// The window is open and nobody has walked it.
    Open,
    /// The window is over and nobody walked it (漏巡).
    Missed,
}

impl WindowToday {
    /// How `sector` stands at `now`.
    #[must_use]
    pub fn state(&self, sector: &SectorDuty, now: Timestamp) -> DutyState {
        match sector.walked_at {
            Some(_) => DutyState::Walked,
            None if now < self.from => DutyState::NotYet,
            None if now <= self.to => DutyState::Open,
            None => DutyState::Missed,
        }
    }

    /// Sectors in `state` at `now`.
    #[must_use]
    pub fn count(&self, state: DutyState, now: Timestamp) -> usize {
        self.sectors.iter().filter(|s| self.state(s, now) == state).count()
    }
}

/// A station with the newest value of each of its channels.
#[derive(Clone, Debug, Serialize)]
pub struct StationNow {
    /// The station.
    pub station: Named,
    /// What it is expected to deliver, in the place's order.
    pub channels: Vec<ChannelNow>,
}

/// One property of a station.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelNow {
    /// Property key, `do`.
    pub property: String,
    /// 溶解氧.
    pub property_zh: String,
    /// Unit in people's words, `mg/L`, may be empty.
    pub unit: String,
    /// Seconds between two values.
    pub every_s: u32,
    /// The newest value, if there was ever one.
    pub newest: Option<Newest>,
}

/// A newest value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Newest {
    /// The value as received.
    pub value: String,
    /// When measured.
    pub observed_at: Timestamp,
}

impl ChannelNow {
    /// Nothing for three intervals, or ever.
    #[must_use]
    pub fn silent(&self, now: Timestamp) -> bool {
        let limit_s = i64::from(self.every_s) * SILENT_INTERVALS;
        self.newest.as_ref().is_none_or(|n| now.as_second() - n.observed_at.as_second() >= limit_s)
    }
}

impl StationNow {
    /// Every channel is silent. A station without channels (a sampler's place) is never silent.
    #[must_use]
    pub fn silent(&self, now: Timestamp) -> bool {
        !self.channels.is_empty() && self.channels.iter().all(|c| c.silent(now))
    }

    /// The last instant anything was measured.
    #[must_use]
    pub fn last_at(&self) -> Option<Timestamp> {
        self.channels.iter().filter_map(|c| c.newest.as_ref()).map(|n| n.observed_at).max()
    }
}

/// An outfall over the last [`LOOK_BACK_DAYS`] days.
#[derive(Clone, Debug, Serialize)]
pub struct OutfallNow {
    /// The outfall.
    pub outfall: Named,
    /// The highest level of its sewage sightings, withdrawn ones left out.
    pub level: Option<EvidenceLevel>,
    /// Sewage sightings, withdrawn ones left out.
    pub sightings: u32,
    /// Days with an outflow seen in dry weather.
    pub dry_flow_days: u32,
    /// The newest outflow.
    pub last_outflow: Option<Timestamp>,
    /// The newest outflow in dry weather.
    pub last_dry_outflow: Option<Timestamp>,
}

/// Rain so far, by the rule of `water::rain`.
#[derive(Clone, Debug, Serialize)]
pub struct RainNow {
    /// The weather at the cut-off.
    pub weather: Weather,
    /// Hours the rule looks back.
    pub window_h: f64,
    /// Rain in that window, mm, as far as it is known.
    pub rain_mm: f64,
    /// Share of the window covered by the source, 0 to 1.
    pub coverage: f64,
    /// End of the newest interval with rain.
    pub last_rain: Option<Timestamp>,
    /// Days of the look-back that were dry by the rule at noon, 北京时间.
    pub dry_days: u32,
}

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
    /// Whole days without rain, where the weather is proven dry and the last rain is known.
    pub days_without_rain: Option<i64>,
    /// The outfall with most dry days of flow.
    pub worst: Option<&'a OutfallNow>,
    /// It was seen to flow since the last rain, and the weather is dry.
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
        match count(DutyState::Missed) {
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
            .last_rain
            .filter(|_| dry)
            .map(|last| (self.cut_off.as_second() - last.as_second()).max(0) / 86_400);
        let worst = self
            .outfalls
            .iter()
            .filter(|o| o.dry_flow_days > 0)
            .max_by_key(|o| (o.dry_flow_days, o.level, o.last_dry_outflow));
        let still_flowing = dry && worst.is_some_and(|o| o.last_dry_outflow > rain.last_rain);
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
    use super::*;

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
        let sectors =
            walked.iter().map(|w| SectorDuty { sector: named("s"), walked_at: w.map(at) }).collect();
        WindowToday { code: "w".into(), name: "早巡".into(), from: at(from), to: at(to), sectors }
    }

    fn outfall(code: &str, dry_flow_days: u32, last_dry: Option<&str>) -> OutfallNow {
        OutfallNow {
            outfall: named(code),
            level: None,
            sightings: dry_flow_days,
            dry_flow_days,
            last_outflow: last_dry.map(at),
            last_dry_outflow: last_dry.map(at),
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
    fn unknown_rain_is_never_called_dry() {
        let mut o = overview();
        let finding = o.finding();
        assert_eq!(finding.days_without_rain, Some(4));
        assert_eq!(finding.worst.map(|w| w.outfall.code.as_str()), Some("P3"));
        assert!(finding.still_flowing);
        o.rain.weather = Weather::Unknown;
        assert_eq!(o.finding().days_without_rain, None);
        assert!(!o.finding().still_flowing);
    }

    #[test]
    fn an_outflow_before_the_last_rain_is_not_still_flowing() {
        let mut o = overview();
        o.outfalls[2].last_dry_outflow = Some(at("2026-07-09T08:00:00"));
        assert!(!o.finding().still_flowing);
    }
}

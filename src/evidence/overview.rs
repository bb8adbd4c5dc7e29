//! What the first page (总览) says: one plain model, filled by `store::overview`. The judgements on it (what is
//! silent, what was missed, what the state sentence is made of) are the pure functions here; the words are
//! `web::pages`'s, in two languages.

mod sentence;

use jiff::Timestamp;
use serde::Serialize;

use super::timeline::{Gap, Named, Sighting};
use crate::casework::EvidenceLevel;
use crate::patrol::duty::DutyState;
use crate::water::rain::Weather;

pub use sentence::{Finding, Part};

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
    /// The roster excuses it (请假, 恶劣天气).
    pub excused: bool,
}

impl WindowToday {
    /// How `sector` stands at `now`.
    #[must_use]
    pub fn state(&self, sector: &SectorDuty, now: Timestamp) -> DutyState {
        DutyState::of(sector.walked_at.is_some(), sector.excused, self.to, now)
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
    /// The newest report of any kind, 走过无异常 too.
    pub last_look: Option<Timestamp>,
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
    /// Since when the source has said, without a break of [`SILENT_INTERVALS`], that no rain fell; where it never broke
    /// off, `last_rain`.
    pub dry_since: Option<Timestamp>,
    /// Days (北京时间) of the look-back that were dry by the rule at noon, or when an outflow was seen.
    pub dry_days: u32,
}

//! Duty (巡查履职): every sector is due in every duty window of a day. Who was to walk it, whether somebody did, what was
//! reached, and what the supervisor should look at. Times are the patrol's own, with the phone clock's offset taken off;
//! when something arrived decides only whether it is 迟传.

mod judge;
mod trace;

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::roster::Excuse;
use super::walk::ReachedBy;
use crate::evidence::timeline::Named;
use crate::lake::DutyWindow;

pub use judge::{Duty, Period};
pub use trace::Trace;

/// A span of a walk is no longer than a patrol may be.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Start and end of a duty window on a day.
#[must_use]
pub fn window_on(day: Date, window: &DutyWindow) -> Option<(Timestamp, Timestamp)> {
    let zone = TimeZone::fixed(Offset::constant(8));
    let at = |time| day.to_datetime(time).to_zoned_datetime(zone.clone()).ok().map(|z| z.timestamp());
    Some((at(window.from)?, at(window.to)?))
}

/// What shows that somebody was in a sector: a patrol that names it, or the reports of a quarter of an hour there.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    /// Code of the sector.
    pub sector: String,
    /// Opaque id of the person.
    pub person: String,
    /// First instant.
    pub from: Timestamp,
    /// Last instant, at most a day later.
    pub to: Timestamp,
    /// From its end to its arrival at the server.
    pub lag: SignedDuration,
    /// The patrol; none for reports.
    pub patrol: Option<Uuid>,
}

/// Walks by sector, in the order of their beginnings: the one answer to whether a window was walked.
#[derive(Clone, Debug, Default)]
pub struct Walks(BTreeMap<String, Vec<Walk>>);

impl Walks {
    /// Sorts them.
    #[must_use]
    pub fn of(walks: impl IntoIterator<Item = Walk>) -> Self {
        let mut all: BTreeMap<String, Vec<Walk>> = BTreeMap::new();
        for walk in walks {
            all.entry(walk.sector.clone()).or_default().push(walk);
        }
        all.values_mut().for_each(|walks| walks.sort_by_key(|w| (w.from, w.to)));
        Self(all)
    }

    /// Those that touch the time from `start` to `end` in `sector`, the latest beginning first.
    pub fn within(&self, sector: &str, start: Timestamp, end: Timestamp) -> impl Iterator<Item = &Walk> {
        let walks = self.0.get(sector).map_or(&[][..], Vec::as_slice);
        let later = walks.partition_point(|w| w.from <= end);
        let near = walks[..later].iter().rev().take_while(move |w| w.from >= start - DAY);
        near.filter(move |w| w.to >= start)
    }

    /// When a window from `start` to `end` was first walked in `sector`.
    #[must_use]
    pub fn first_within(&self, sector: &str, start: Timestamp, end: Timestamp) -> Option<Timestamp> {
        self.within(sector, start, end).map(|w| w.from.max(start)).min()
    }
}

/// How a sector stands in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DutyState {
    /// 已巡.
    Walked,
    /// 未巡: the window is over.
    NotWalked,
    /// 未巡, 有因: not walked either, and excused.
    Excused,
    /// The window is not over, and nobody has walked it.
    Open,
}

impl DutyState {
    /// Of a window that ends at `end`. An excuse excuses; it never makes "walked" of "not walked".
    #[must_use]
    pub fn of(walked: bool, excused: bool, end: Timestamp, now: Timestamp) -> Self {
        match (walked, excused) {
            (true, _) => Self::Walked,
            (false, _) if now <= end => Self::Open,
            (false, true) => Self::Excused,
            (false, false) => Self::NotWalked,
        }
    }

    /// As people say it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Walked => "已巡",
            Self::NotWalked => "未巡",
            Self::Excused => "未巡（有因）",
            Self::Open => "进行中",
        }
    }
}

/// What the supervisor should look at. A thin patrol is never refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DutyFlag {
    /// Less time than the sectors it names can be walked in.
    TooShort,
    /// Faster than one walks.
    TooFast,
    /// Too small a share of the sector's waypoints was reached.
    FewWaypoints,
    /// No photo at all, neither at a waypoint nor in a report of the patrol.
    NoPhotos,
    /// No piece of track: every point stands alone.
    TrackGaps,
    /// A plate was scanned far from where it hangs.
    PlateElsewhere,
    /// Reports of the sector, but no patrol.
    NoPatrol,
    /// Walked by nobody who was on duty.
    OffRoster,
    /// The patrol's record was erased by law: nothing can be said about it.
    Erased,
}

impl DutyFlag {
    /// All, in the order in which they are said.
    pub const ALL: [Self; 9] = [
        Self::TooShort,
        Self::TooFast,
        Self::FewWaypoints,
        Self::NoPhotos,
        Self::TrackGaps,
        Self::PlateElsewhere,
        Self::NoPatrol,
        Self::OffRoster,
        Self::Erased,
    ];

    /// As people say it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::TooShort => "用时过短",
            Self::TooFast => "速度过快",
            Self::FewWaypoints => "到点偏少",
            Self::NoPhotos => "没有照片",
            Self::TrackGaps => "轨迹全断",
            Self::PlateElsewhere => "扫码位置不符",
            Self::NoPatrol => "只有上报，没有巡查",
            Self::OffRoster => "非当班人员",
            Self::Erased => "记录已依法删除",
        }
    }
}

/// Below or above these a patrol is thin.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Fewest minutes for each sector that a patrol names.
    pub short_min: f64,
    /// Fastest pace along the track, kilometres an hour.
    pub fast_km_h: f64,
    /// Smallest share of a sector's waypoints, 0 to 1.
    pub few_share: f64,
    /// Points of a track farther apart than this have a gap between them, minutes.
    pub gap_min: f64,
}

/// A waypoint in a window.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct WaypointDuty {
    /// The waypoint.
    pub waypoint: Named,
    /// How it was reached, the strongest way; null: it was not.
    pub by: Option<ReachedBy>,
    /// When, in that way, first.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

/// One sector in one window of one day.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DutyRow {
    /// The day, 北京时间.
    #[schema(value_type = String, format = Date)]
    pub day: Date,
    /// The window.
    pub window: Named,
    /// Its first instant.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Its last instant.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// The sector.
    pub sector: Named,
    /// How it stands.
    pub state: DutyState,
    /// Who was on duty by the roster; empty where it names nobody.
    pub on_duty: Vec<String>,
    /// Who walked it.
    pub walked_by: Vec<String>,
    /// When it was first walked in the window.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub walked_at: Option<Timestamp>,
    /// 迟传: all that shows it arrived later than an hour (or as configured) after it was captured.
    pub late: bool,
    /// The patrols that name it.
    pub patrols: Vec<Uuid>,
    /// Every waypoint of the sector.
    pub waypoints: Vec<WaypointDuty>,
    /// Why nobody need have walked it.
    pub excuse: Option<Excuse>,
    /// What the supervisor should look at.
    pub flags: Vec<DutyFlag>,
}

impl DutyRow {
    /// Waypoints reached in any way.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.waypoints.iter().filter(|w| w.by.is_some()).count()
    }
}

/// The rows counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct DutySums {
    /// Sectors due, over all windows.
    pub due: usize,
    /// Walked.
    pub walked: usize,
    /// Not walked, the window being over.
    pub not_walked: usize,
    /// Not walked, and excused.
    pub excused: usize,
    /// Not yet walked, the window being open or ahead.
    pub open: usize,
    /// Walked, of these 迟传.
    pub late: usize,
    /// Walked, of these with something to look at.
    pub flagged: usize,
    /// Waypoints of the sectors walked.
    pub waypoints: usize,
    /// Reached of these, in any way.
    pub reached: usize,
    /// Reached of these by position alone.
    pub by_fence: usize,
}

impl DutySums {
    /// Counts `rows`.
    #[must_use]
    pub fn of(rows: &[DutyRow]) -> Self {
        let state = |state| rows.iter().filter(|r| r.state == state).count();
        let walked = || rows.iter().filter(|r| r.state == DutyState::Walked);
        let waypoints = || walked().flat_map(|r| &r.waypoints);
        Self {
            due: rows.len(),
            walked: state(DutyState::Walked),
            not_walked: state(DutyState::NotWalked),
            excused: state(DutyState::Excused),
            open: state(DutyState::Open),
            late: walked().filter(|r| r.late).count(),
            flagged: walked().filter(|r| !r.flags.is_empty()).count(),
            waypoints: waypoints().count(),
            reached: waypoints().filter(|w| w.by.is_some()).count(),
            by_fence: waypoints().filter(|w| w.by == Some(ReachedBy::Fence)).count(),
        }
    }
}

/// What was asked. Every field but the days narrows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DutyFilter {
    /// First day, 北京时间.
    #[schema(value_type = String, format = Date)]
    pub from: Date,
    /// Last day, inclusive.
    #[schema(value_type = String, format = Date)]
    pub to: Date,
    /// Code of a sector.
    pub sector: Option<String>,
    /// Opaque id of a person: rows in which that person was on duty or walked.
    pub person: Option<String>,
}

/// Patrol duty over a period: what page, API and CSV show.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Compliance {
    /// 演示数据: from a demo data directory.
    pub demo: bool,
    /// What had been received by this instant is in it.
    #[schema(value_type = String, format = DateTime)]
    pub cut_off: Timestamp,
    /// Entries in the log at the cut-off.
    pub log_size: u64,
    /// Merkle root (RFC 6962) over them, hex.
    pub log_root: String,
    /// What was asked.
    pub filter: DutyFilter,
    /// SHA-256 of the roster (roster.toml) by which it is judged, hex; null: there is none.
    pub roster: Option<String>,
    /// Why the roster could not be used: duty is judged without it; null: it was used, or there is none.
    pub roster_warning: Option<String>,
    /// The rows counted.
    pub sums: DutySums,
    /// By day, window and sector.
    pub rows: Vec<DutyRow>,
}

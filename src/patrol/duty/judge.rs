//! The rows of a period, from walks, traces and roster.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{DutyFlag, DutyRow, DutyState, Limits, Trace, Walk, Walks, WaypointDuty, window_on};
use crate::clock::beijing;
use crate::evidence::timeline::{ERASED, Named};
use crate::lake::{DutyWindow, Place, Sector};
use crate::patrol::roster::{Roster, Slot};
use crate::patrol::walk::ReachedBy;

/// What duty is judged from.
#[derive(Clone, Copy, Debug)]
pub struct Duty<'a> {
    /// The place.
    pub place: &'a Place,
    /// Who was to walk, and who was excused.
    pub roster: &'a Roster,
    /// What makes a patrol thin.
    pub limits: Limits,
    /// Received later than this after it was captured, it is late.
    pub late_after: SignedDuration,
    /// Who was where.
    pub walks: &'a Walks,
    /// The patrols among them. One that is not here was erased.
    pub traces: &'a BTreeMap<Uuid, Trace>,
}

/// The days that are judged, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// First day, 北京时间.
    pub from: Date,
    /// Last day, inclusive; days after today are not judged.
    pub to: Date,
    /// When the patrols' record begins: a window before it stands here only if it was walked.
    pub first: Timestamp,
    /// The cut-off.
    pub now: Timestamp,
}

impl Duty<'_> {
    /// Every sector in every window of the period, by day, window and sector.
    #[must_use]
    pub fn rows(&self, period: &Period) -> Vec<DutyRow> {
        let last = period.to.min(beijing(period.now).date());
        let days = period.from.series(jiff::Span::new().days(1)).take_while(|day| *day <= last);
        let mut rows = Vec::new();
        for day in days {
            for window in &self.place.windows {
                let Some(span) = window_on(day, window) else { continue };
                let due = self.place.sectors.iter().map(|s| self.row(day, window, span, s, period.now));
                rows.extend(due.filter(|r| r.from >= period.first || r.walked_at.is_some()));
            }
        }
        rows
    }

    fn row(
        &self,
        day: Date,
        window: &DutyWindow,
        (from, to): (Timestamp, Timestamp),
        sector: &Sector,
        now: Timestamp,
    ) -> DutyRow {
        let walks: Vec<&Walk> = self.walks.within(&sector.code, from, to).collect();
        let patrols: Vec<Uuid> = unique(walks.iter().filter_map(|w| w.patrol));
        let slot = Slot { day, window: &window.code, sector: &sector.code };
        let on_duty = self.roster.on_duty(&slot);
        let excuse = self.roster.excuse(&slot);
        let mut row = DutyRow {
            day,
            window: Named { code: window.code.clone(), name: window.name.clone() },
            from,
            to,
            sector: Named { code: sector.code.clone(), name: sector.name.clone() },
            state: DutyState::of(!walks.is_empty(), excuse.is_some(), to, now),
            on_duty,
            walked_by: unique(walks.iter().map(|w| w.person.clone())),
            walked_at: self.walks.first_within(&sector.code, from, to),
            late: !walks.is_empty() && walks.iter().all(|w| w.lag > self.late_after),
            waypoints: self.waypoints(&sector.code, &patrols, (from, to)),
            patrols,
            excuse,
            flags: Vec::new(),
        };
        if row.state == DutyState::Walked {
            row.flags = self.flags(&row).into_iter().collect();
        }
        row
    }

    fn waypoints(&self, sector: &str, patrols: &[Uuid], span: (Timestamp, Timestamp)) -> Vec<WaypointDuty> {
        let due = self.place.waypoints.iter().filter(|w| w.sector.as_deref() == Some(sector));
        due.map(|waypoint| {
            let traces = patrols.iter().filter_map(|id| self.traces.get(id));
            let found: Option<(ReachedBy, Timestamp)> =
                traces.filter_map(|t| t.reached(waypoint, self.place.waypoint_m, span)).min();
            WaypointDuty {
                waypoint: Named { code: waypoint.code.clone(), name: waypoint.name.clone() },
                by: found.map(|(by, _)| by),
                at: found.map(|(_, at)| at),
            }
        })
        .collect()
    }

    /// What is thin about every patrol of the row (one that is whole is enough), and about the row itself.
    fn flags(&self, row: &DutyRow) -> BTreeSet<DutyFlag> {
        let of_one = |id: &Uuid| match self.traces.get(id) {
            Some(trace) => trace.flags(&self.limits, self.place),
            None => [DutyFlag::Erased].into(),
        };
        let mut flags = row
            .patrols
            .iter()
            .map(of_one)
            .reduce(|all, one| &all & &one)
            .unwrap_or_else(|| [DutyFlag::NoPatrol].into());
        // Of an erased patrol nothing is known; reports say nothing of waypoints.
        let known = row.patrols.iter().any(|id| self.traces.contains_key(id));
        let needed = self.limits.few_share * row.waypoints.len() as f64;
        if known && (row.reached() as f64) < needed {
            flags.insert(DutyFlag::FewWaypoints);
        }
        // Of one whose name was erased nobody can say that it was another.
        let due = |p: &String| p == ERASED || row.on_duty.contains(p);
        if !row.on_duty.is_empty() && !row.walked_by.iter().any(due) {
            flags.insert(DutyFlag::OffRoster);
        }
        flags
    }
}

/// Each once, in order.
fn unique<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.collect::<BTreeSet<T>>().into_iter().collect()
}

#[cfg(test)]
mod tests;

//! The counts under a timeline's heading.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Serialize;

use super::{Row, Sighting};
use crate::casework::EvidenceLevel;
use crate::patrol::ReportKind;
use crate::water::rain::Weather;

/// The counts that a reader asks for first. All are over the whole filter, not one page of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Sightings (not "nothing found").
    pub sightings: u32,
    /// Sewage outflows.
    pub outflows: u32,
    /// Hyacinth sightings.
    pub hyacinth: u32,
    /// Patrol reports "walked, nothing found".
    pub nothing_found: u32,
    /// Days (北京时间) with an outflow seen in dry weather.
    pub dry_flow_days: u32,
    /// Days (北京时间) with an outflow seen in wet weather.
    pub wet_flow_days: u32,
    /// Days (北京时间) with an outflow seen, rain unknown.
    pub unknown_flow_days: u32,
    /// Sightings per evidence level E0, E1, E2.
    pub levels: [u32; 3],
    /// Photos stored.
    pub photos: u32,
    /// Photos named by a report that have not come.
    pub photos_missing: u32,
    /// Gap rows.
    pub gaps: u32,
}

impl Summary {
    /// The counts over `rows`; a withdrawn sighting counts for nothing.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let mut s = Self::default();
        let mut days: [BTreeSet<Date>; 3] = Default::default();
        for row in rows {
            match row {
                Row::Gap(_) => s.gaps += 1,
                Row::Rain(_) => {}
                Row::Sighting(x) if x.withdrawn.is_some() => {}
                Row::Sighting(x) => s.count(x, &mut days),
            }
        }
        let [dry, wet, unknown] = days.map(|d| u32::try_from(d.len()).unwrap_or(u32::MAX));
        Self { dry_flow_days: dry, wet_flow_days: wet, unknown_flow_days: unknown, ..s }
    }

    fn count(&mut self, x: &Sighting, days: &mut [BTreeSet<Date>; 3]) {
        match x.kind {
            ReportKind::NothingFound => self.nothing_found += 1,
            ReportKind::SewageOutflow => self.outflows += 1,
            ReportKind::WaterHyacinth => self.hyacinth += 1,
            ReportKind::Other => {}
        }
        self.sightings += u32::from(x.kind != ReportKind::NothingFound);
        if x.kind == ReportKind::SewageOutflow && x.flow_seen {
            let [dry, wet, unknown] = days;
            let set = match x.weather {
                Weather::Dry => dry,
                Weather::Wet => wet,
                Weather::Unknown => unknown,
            };
            set.insert(crate::clock::beijing(x.observed_at).date());
        }
        let [e0, e1, e2] = &mut self.levels;
        match x.level {
            Some(EvidenceLevel::E0) => *e0 += 1,
            Some(EvidenceLevel::E1) => *e1 += 1,
            Some(EvidenceLevel::E2) => *e2 += 1,
            None => {}
        }
        if x.kind == ReportKind::NothingFound || x.erased {
            return;
        }
        let stored = x.photos.iter().filter(|p| p.stored).count();
        self.photos += u32::try_from(stored).unwrap_or(u32::MAX);
        let missing = x.photos.iter().filter(|p| p.is_missing()).count();
        self.photos_missing += u32::try_from(missing).unwrap_or(u32::MAX);
    }
}

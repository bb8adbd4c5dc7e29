//! What one patrol left behind: where it was when, what it photographed and scanned. Judged without the database.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{DutyFlag, Limits};
use crate::lake::plane::Plane;
use crate::lake::{Place, Waypoint, crs};
use crate::patrol::walk::{self, PatrolBody, ReachedBy};

/// A worse accuracy counts as this, metres: where "fair" ends in the words of the field app. A hopeless fix must not
/// reach every waypoint of the lake.
const ACCURACY_MAX_M: f64 = 50.0;
/// The pace is taken over steps of at least so long: a standing phone's fix wanders by metres a second.
const STEP: SignedDuration = SignedDuration::from_secs(60);

/// A patrol as its waypoints and its pace are judged.
#[derive(Clone, Debug)]
pub struct Trace {
    plane: Plane,
    lasted: SignedDuration,
    sectors: usize,
    events: Vec<Event>,
    track: Vec<Fix>,
    photos: usize,
}

/// A position in time.
#[derive(Clone, Copy, Debug)]
struct Fix {
    at: Timestamp,
    /// Metres in the plane of the lake.
    point: [f64; 2],
    accuracy_m: Option<f64>,
}

/// Something done at a waypoint.
#[derive(Clone, Debug)]
struct Event {
    fix: Fix,
    code: Option<String>,
    scanned: bool,
    /// Its photo has come.
    photo: bool,
}

impl Trace {
    /// Of a stored patrol. `arrived` are the photos (SHA-256, hex) whose bytes have come, `reported` how many photos the
    /// reports of the patrol name.
    #[must_use]
    pub fn of(patrol: &PatrolBody, arrived: &BTreeSet<String>, reported: usize, place: &Place) -> Self {
        let plane = Plane::of_lake(&place.lake);
        let fix = |w: &walk::Waypoint| {
            let p = &w.position;
            // Checked when it was taken.
            let at = crs::to_wgs84(p.crs, p.lng, p.lat).ok()?;
            Some(Fix { at: w.at, point: plane.project(at), accuracy_m: p.accuracy_m })
        };
        let event = |w: &walk::Waypoint| {
            Some(Event {
                fix: fix(w)?,
                code: w.code.clone(),
                scanned: w.by == Some(ReachedBy::Plate),
                photo: w.photo.as_ref().is_some_and(|sha256| arrived.contains(sha256)),
            })
        };
        let mut track: Vec<Fix> = patrol.track.iter().filter_map(fix).collect();
        track.sort_by_key(|f| f.at);
        Self {
            plane,
            lasted: patrol.ended_at.duration_since(patrol.started_at),
            sectors: patrol.sectors.len(),
            events: patrol.waypoints.iter().filter_map(event).collect(),
            track,
            photos: reported + patrol.waypoints.iter().filter(|w| w.photo.is_some()).count(),
        }
    }

    /// How it reached `waypoint` from `start` to `end`: the strongest way, and when it first did so.
    ///
    /// A photo counts where it was taken inside the geofence and its bytes have come; a scanned plate counts by itself;
    /// a position inside counts as the weaker `fence`. Who names a waypoint means no other.
    #[must_use]
    pub fn reached(
        &self,
        waypoint: &Waypoint,
        waypoint_m: f64,
        (start, end): (Timestamp, Timestamp),
    ) -> Option<(ReachedBy, Timestamp)> {
        let inside = |fix: &Fix| self.is_inside(fix, waypoint, waypoint_m);
        let events = self.events.iter().filter_map(|e| {
            let by = match &e.code {
                Some(code) if *code != waypoint.code => return None,
                Some(_) if e.scanned => ReachedBy::Plate,
                _ if !inside(&e.fix) => return None,
                _ if e.photo => ReachedBy::Photo,
                _ => ReachedBy::Fence,
            };
            Some((by, e.fix.at))
        });
        let track = self.track.iter().filter(|f| inside(f)).map(|f| (ReachedBy::Fence, f.at));
        events.chain(track).filter(|(_, at)| (start..=end).contains(at)).min()
    }

    /// What is thin about it, but for its waypoints.
    #[must_use]
    pub fn flags(&self, limits: &Limits, place: &Place) -> BTreeSet<DutyFlag> {
        let needed_s = limits.short_min * 60.0 * self.sectors as f64;
        let pace_km_h = self.pace_km_h(limits);
        let said = [
            (DutyFlag::TooShort, self.lasted.as_secs_f64() < needed_s),
            (DutyFlag::TooFast, pace_km_h.is_some_and(|v| v > limits.fast_km_h)),
            (DutyFlag::NoPhotos, self.photos == 0),
            (DutyFlag::TrackGaps, !self.track.windows(2).any(|w| is_joined(&w[0], &w[1], limits))),
            (DutyFlag::PlateElsewhere, self.has_plate_elsewhere(place)),
        ];
        said.into_iter().filter(|(_, so)| *so).map(|(flag, _)| flag).collect()
    }

    fn is_inside(&self, fix: &Fix, waypoint: &Waypoint, waypoint_m: f64) -> bool {
        let [x, y] = self.plane.project(waypoint.position);
        let circle_m = fix.accuracy_m.unwrap_or(0.0).min(ACCURACY_MAX_M);
        (fix.point[0] - x).hypot(fix.point[1] - y) - circle_m <= waypoint_m
    }

    fn has_plate_elsewhere(&self, place: &Place) -> bool {
        self.events.iter().filter(|e| e.scanned).any(|e| {
            let named = place.waypoints.iter().find(|w| Some(&w.code) == e.code.as_ref());
            named.is_some_and(|w| !self.is_inside(&e.fix, w, place.waypoint_m))
        })
    }

    /// Along the track, gaps and poor fixes left out; `None` where nothing is left.
    fn pace_km_h(&self, limits: &Limits) -> Option<f64> {
        let good = self.track.iter().filter(|f| f.accuracy_m.is_none_or(|m| m <= ACCURACY_MAX_M));
        let (mut metres, mut seconds, mut last) = (0.0, 0.0, None::<&Fix>);
        for fix in good {
            match last {
                Some(from) if fix.at.duration_since(from.at) < STEP => continue,
                Some(from) if is_joined(from, fix, limits) => {
                    metres += (fix.point[0] - from.point[0]).hypot(fix.point[1] - from.point[1]);
                    seconds += fix.at.duration_since(from.at).as_secs_f64();
                }
                _ => {}
            }
            last = Some(fix);
        }
        (seconds > 0.0).then(|| metres / seconds * 3.6)
    }
}

/// There is no gap between two points of a track.
fn is_joined(a: &Fix, b: &Fix, limits: &Limits) -> bool {
    b.at.duration_since(a.at).as_secs_f64() <= limits.gap_min * 60.0
}

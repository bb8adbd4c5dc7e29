//! A patrol as it is submitted: one walk with its sectors, waypoints and, best effort, its track.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::report::{
    Arrival, DRIFT_SHOWN, Person, Position, check_id, check_person, check_sha256, check_text, clock_offset,
    parse_json, settle_position,
};
use crate::clock::EARLIEST_MS;
use crate::error::{Error, Result};
use crate::evidence::entry::SHELL;
use crate::evidence::merkle::Hash;
use crate::lake::{Place, Wgs84, crs};

/// How a waypoint was reached, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReachedBy {
    /// 照片: a photo taken inside its geofence.
    Photo,
    /// 扫码: its plate (打卡牌) was scanned.
    Plate,
    /// 仅定位: the phone was inside its geofence. Weaker: a position proves no look.
    Fence,
}

/// A place a patrol must reach and did, or a point of its track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Waypoint {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Where.
    pub position: Position,
    /// SHA-256 of a photo taken there, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub photo: Option<String>,
    /// Which waypoint of the place; without it every waypoint whose geofence holds the position.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
    /// How it was reached, as the phone says; `plate` needs the code, `photo` the photo.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<ReachedBy>,
}

/// `POST /api/v1/patrols`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatrolBody {
    /// Made on the phone; the key for ever. Reports name it.
    pub id: Uuid,
    /// Who.
    pub person: Person,
    /// Start.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// End.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
    /// The phone's clock when this body was written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub device_at: Option<Timestamp>,
    /// In a stored record: phone clock minus server clock, seconds, taken off every time in it. The server's to say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(ignore)]
    pub clock_offset_s: Option<i64>,
    /// Codes of the sectors walked.
    pub sectors: Vec<String>,
    /// Waypoints reached.
    #[serde(default)]
    pub waypoints: Vec<Waypoint>,
    /// Track points, best effort; gaps stay gaps.
    #[serde(default)]
    pub track: Vec<Waypoint>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// The field app writes a point down every 25 m, and every minute at the latest. After so long without one, or so far from
/// the one before (metres), nobody knows the way.
const SILENCE: SignedDuration = SignedDuration::from_mins(3);
const FAR_M: f64 = 150.0;

impl PatrolBody {
    /// The track in the order of time, WGS-84, broken where the phone said nothing for three minutes or 150 metres.
    #[must_use]
    pub fn track_pieces(&self) -> Vec<Vec<Wgs84>> {
        let place = |w: &Waypoint| crs::to_wgs84(w.position.crs, w.position.lng, w.position.lat).ok();
        let mut points: Vec<(Timestamp, Wgs84)> =
            self.track.iter().filter_map(|w| Some((w.at, place(w)?))).collect();
        points.sort_by_key(|(at, _)| *at);
        points
            .chunk_by(|(a, from), (b, to)| b.duration_since(*a) <= SILENCE && from.distance_m(*to) <= FAR_M)
            .map(|piece| piece.iter().map(|(_, at)| *at).collect())
            .collect()
    }
}

/// A patrol that has passed every check.
#[derive(Clone, Debug)]
pub struct NewPatrol {
    /// The body without name and note, the payload `record`.
    pub record: PatrolBody,
    /// SHA-256 of the body as sent.
    pub body_sha256: Hash,
    /// When the server had it.
    pub received_at: Timestamp,
    /// Kept apart.
    pub note: Option<String>,
    /// Kept apart.
    pub name: Option<String>,
    /// Who sent it: the account, phone or token that was signed in, or `shell`.
    pub by: String,
}

/// Takes the phone clock's offset off every time of the patrol, where it is known, and says so.
fn take_offset_off(p: &mut PatrolBody, arrival: &Arrival<'_>) -> Result<()> {
    if p.clock_offset_s.is_some() {
        return Err(Error::invalid("clock_offset_s", "is the server's to say; allowed: `device_at`"));
    }
    let Some(offset) = clock_offset(p.device_at, arrival)? else { return Ok(()) };
    let points = p.waypoints.iter_mut().chain(&mut p.track).map(|w| &mut w.at);
    for time in points.chain([&mut p.started_at, &mut p.ended_at]) {
        *time = time.checked_sub(offset).map_err(|e| Error::invalid("started_at", e.to_string()))?;
    }
    p.clock_offset_s = Some(offset.as_secs());
    Ok(())
}

/// Reads and checks a patrol.
///
/// # Errors
/// `Invalid` naming the field and what is allowed.
pub fn parse_patrol(body: &[u8], arrival: &Arrival<'_>) -> Result<NewPatrol> {
    let mut p: PatrolBody = parse_json(body)?;
    check_id(p.id)?;
    check_person(&p.person)?;
    check_text("note", p.note.as_deref(), 4000)?;
    take_offset_off(&mut p, arrival)?;
    let hours = p.ended_at.duration_since(p.started_at).as_hours();
    if p.ended_at < p.started_at || hours >= 24 {
        return Err(Error::invalid("ended_at", "must lie after `started_at`, within 24 hours"));
    }
    let ahead = p.ended_at.duration_since(arrival.received_at);
    if ahead > DRIFT_SHOWN || p.started_at.as_millisecond() < EARLIEST_MS {
        return Err(Error::invalid("ended_at", "must lie between 2000 and the server's time"));
    }
    if p.sectors.is_empty() {
        return Err(Error::invalid("sectors", "is empty; name the sectors walked"));
    }
    for (i, code) in p.sectors.iter().enumerate() {
        if !arrival.place.sectors.iter().any(|s| s.code == *code) {
            let known: Vec<&str> = arrival.place.sectors.iter().map(|s| s.code.as_str()).collect();
            return Err(Error::invalid(
                format!("sectors[{i}]"),
                format!("`{code}` is not known; allowed: {}", known.join(", ")),
            ));
        }
    }
    p.sectors.sort();
    p.sectors.dedup();
    check_points(&p, arrival)?;
    let (note, name) = (p.note.take(), p.person.name.take());
    Ok(NewPatrol {
        record: p,
        body_sha256: Sha256::digest(body).into(),
        received_at: arrival.received_at,
        note: note.filter(|n| !n.is_empty()),
        name: name.filter(|n| !n.is_empty()),
        by: SHELL.into(),
    })
}

fn check_points(p: &PatrolBody, arrival: &Arrival<'_>) -> Result<()> {
    for (list, points) in [("waypoints", &p.waypoints), ("track", &p.track)] {
        for (i, point) in points.iter().enumerate() {
            let at = |e: Error| e.under(&format!("{list}[{i}]"));
            settle_position(&point.position, arrival.locator).map_err(|e| at(e.under("position")))?;
            point.photo.as_deref().map_or(Ok(()), |h| check_sha256(h).map_err(|e| at(e.under("photo"))))?;
            check_reached(point, list == "waypoints", arrival.place).map_err(at)?;
        }
    }
    Ok(())
}

/// Checks which waypoint is meant and how it was reached.
fn check_reached(point: &Waypoint, of_waypoints: bool, place: &Place) -> Result<()> {
    match (&point.code, point.by) {
        (None, None) => Ok(()),
        (code, _) if !of_waypoints => {
            let field = if code.is_some() { "code" } else { "by" };
            Err(Error::invalid(field, "belongs to a point of `waypoints`; a track has only positions"))
        }
        (Some(code), _) if !place.waypoints.iter().any(|w| w.code == *code) => {
            let known: Vec<&str> = place.waypoints.iter().take(20).map(|w| w.code.as_str()).collect();
            Err(Error::invalid("code", format!("`{code}` is not known; allowed: {}", known.join(", "))))
        }
        (None, Some(ReachedBy::Plate)) => {
            Err(Error::invalid("code", "is missing; a plate says which waypoint it is"))
        }
        (_, Some(ReachedBy::Photo)) if point.photo.is_none() => {
            Err(Error::invalid("photo", "is missing; reached by photo needs its SHA-256"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(points: &[(&str, f64)]) -> PatrolBody {
        let track: Vec<_> = points
            .iter()
            .map(|(at, lng)| {
                serde_json::json!({"at": format!("2026-07-14T00:{at}Z"), "position": {"lng": lng, "lat": 29.4, "crs": "wgs84"}})
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "id": Uuid::from_u128(1), "person": {"id": "p-01"}, "sectors": [], "track": track,
            "started_at": "2026-07-14T00:00:00Z", "ended_at": "2026-07-14T01:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_track_is_broken_where_the_phone_said_nothing() {
        let lngs = |p: &PatrolBody| -> Vec<Vec<f64>> {
            p.track_pieces().iter().map(|piece| piece.iter().map(|at| at.lng).collect()).collect()
        };
        // Written down out of order, as a phone that thins its track may; three minutes hold, a second more does not.
        let points = [("10:00", 113.1), ("16:01", 113.1002), ("13:00", 113.1001), ("16:30", 113.1003)];
        assert_eq!(lngs(&walk(&points)), [vec![113.1, 113.1001], vec![113.1002, 113.1003]]);
        // 0.0015° of longitude are 146 m here, 0.0016° are 155 m.
        assert_eq!(lngs(&walk(&[("10:00", 113.1), ("10:30", 113.1015)])), [vec![113.1, 113.1015]]);
        assert_eq!(lngs(&walk(&[("10:00", 113.1), ("10:30", 113.1016)])), [[113.1], [113.1016]]);
        assert!(lngs(&walk(&[])).is_empty());
    }
}

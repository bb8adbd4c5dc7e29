//! Who walks when, what they see, and when their phones get it through. Bodies are those of the API.

use fastrand::Rng;
use geo::Contains;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::events::{Act, Event, new_id};
use super::scene::{Scene, Subject};
use super::sights::{Seen, hyacinth, outflow, rubbish};
use super::world::{PATCHES, World, between, tenths};
use crate::clock::{beijing, beijing_words};
use crate::lake::{Crs, Outfall, Place, Sector, Station, Wgs84, crs};
use crate::patrol::ReportKind;
use crate::patrol::correction::{CorrectionAction, CorrectionBody};
use crate::patrol::report::{Person, Position, PositionSource, ReportBody};
use crate::patrol::walk::{PatrolBody, ReachedBy, Waypoint};
use crate::web::field::DEMO_PEOPLE;

/// A person with a phone.
struct Walker {
    /// Id and name.
    person: (&'static str, &'static str),
    crs: Crs,
    /// The phone's clock is so far ahead, seconds.
    ahead_s: i64,
}

const WALKERS: [Walker; 4] = [
    Walker { person: DEMO_PEOPLE[0], crs: Crs::Wgs84, ahead_s: 0 },
    Walker { person: DEMO_PEOPLE[1], crs: Crs::Gcj02, ahead_s: 4 },
    Walker { person: DEMO_PEOPLE[2], crs: Crs::Gcj02, ahead_s: 7 * 60 },
    Walker { person: DEMO_PEOPLE[3], crs: Crs::Bd09, ahead_s: -2 },
];

/// One walk around the lake.
struct Walk {
    walker: &'static Walker,
    id: Uuid,
    /// No network by the lake: everything is sent at this instant.
    sent_together: Option<Timestamp>,
}

/// Plans patrols.
pub struct Patrols<'a> {
    place: &'a Place,
    world: &'a World,
    rng: Rng,
    events: Vec<Event>,
    /// Codes of the sectors from which the bays are seen.
    bay_sector: [String; PATCHES.len()],
}

impl<'a> Patrols<'a> {
    /// For a place and what is true there.
    #[must_use]
    pub fn new(place: &'a Place, world: &'a World, seed: u64) -> Self {
        let bay_sector = std::array::from_fn(|bay| bay_sector(place, bay).unwrap_or_default());
        Self { place, world, rng: Rng::with_seed(seed ^ 0x7761_6c6b), events: Vec::new(), bay_sector }
    }

    /// Everything that phones send up to `until`, in the order of sending.
    #[must_use]
    pub fn plan(mut self, until: Timestamp) -> Vec<Event> {
        let mut day = beijing(self.world.begin()).date();
        while day <= beijing(until).date() {
            for window in &self.place.windows {
                let from = day.to_datetime(window.from).to_zoned_datetime(beijing(until).time_zone().clone());
                let Ok(from) = from.map(|z| z.timestamp()) else { continue };
                if from > self.world.begin() {
                    let start = from + minutes(between(&mut self.rng, 2.0, 35.0));
                    self.walk(start);
                }
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        self.events.retain(|e| e.at <= until);
        self.events.sort_by_key(|e| e.at);
        self.events
    }

    /// One report of now, for the live traffic.
    #[must_use]
    pub fn one(mut self, at: Timestamp) -> Vec<Event> {
        let walk = Walk { walker: &WALKERS[0], id: new_id(&mut self.rng), sent_together: None };
        let place = self.place;
        let running = |o: &&Outfall| self.world.sewage_l_s(&o.code, at) > 0.05;
        let outfalls: Vec<&Outfall> = place.outfalls.iter().filter(running).collect();
        match self.rng.choice(outfalls) {
            Some(outfall) if self.rng.f64() < 0.7 => self.outfall(&walk, outfall, at),
            _ => self.bay(&walk, 0, at),
        }
        self.events.iter_mut().for_each(Event::alone);
        self.events
    }

    fn walk(&mut self, start: Timestamp) {
        let storm = self.world.rain_before_mm(start, 3) > 4.0;
        if self.rng.f64() < if storm { 0.35 } else { 0.04 } {
            return;
        }
        let Some(walker) = self.rng.choice(&WALKERS) else { return };
        let count = self.place.sectors.len();
        let sectors =
            &self.place.sectors[..if self.rng.f64() < 0.07 { count.saturating_sub(2) } else { count }];
        let end = start + minutes(14.0 * f64::from(u32::try_from(sectors.len()).unwrap_or(0)));
        let late = self.rng.f64() < 0.08;
        let sent_together = late.then(|| end + minutes(between(&mut self.rng, 240.0, 900.0)));
        let walk = Walk { walker, id: new_id(&mut self.rng), sent_together };
        let (mut track, mut waypoints) = (Vec::new(), Vec::new());
        let mut at = start;
        // A stretch on which the phone was dark in a pocket, on most patrols none; not drawn from the chance of the rest.
        let dark = usize::from(walk.id.as_bytes()[15]) % (3 * count.max(1));
        for (n, sector) in sectors.iter().enumerate() {
            self.sector(&walk, sector, at);
            waypoints.extend(self.waypoints(walker, sector, at));
            for p in shore_of(self.place, sector).step_by(2).take(6) {
                at += minutes(14.0 / 6.0);
                let position = self.position(walker, p, 6.0);
                if n == dark {
                    continue;
                }
                track.push(Waypoint { at, position, photo: None, code: None, by: None });
            }
        }
        let end = end.max(at) + minutes(2.0);
        let body = PatrolBody {
            device_at: None,
            clock_offset_s: None,
            id: walk.id,
            person: person(walker),
            started_at: start,
            ended_at: end,
            sectors: sectors.iter().map(|s| s.code.clone()).collect(),
            waypoints,
            track,
            note: None,
        };
        let sent = walk.sent_together.unwrap_or(end) + minutes(3.0);
        self.events.push(Event { at: sent, ahead_s: 0, act: Act::Patrol(body) });
    }

    /// Plates that are scanned; one in ten is walked past, with the phone in the hand or not.
    fn waypoints(&mut self, walker: &Walker, sector: &Sector, at: Timestamp) -> Vec<Waypoint> {
        let mut reached = Vec::new();
        for w in self.place.waypoints.iter().filter(|w| w.sector.as_ref() == Some(&sector.code)) {
            let chance = self.rng.f64();
            if chance < 0.05 {
                continue;
            }
            let by = if chance < 0.1 { ReachedBy::Fence } else { ReachedBy::Plate };
            let at = at + minutes(between(&mut self.rng, 1.0, 12.0));
            let position = self.position(walker, w.position, 7.0);
            reached.push(Waypoint { at, position, photo: None, code: Some(w.code.clone()), by: Some(by) });
        }
        reached
    }

    fn sector(&mut self, walk: &Walk, sector: &Sector, at: Timestamp) {
        let place = self.place;
        let mut seen = false;
        for outfall in place.outfalls.iter().filter(|o| o.sector.as_ref() == Some(&sector.code)) {
            let at = at + minutes(between(&mut self.rng, 1.0, 9.0));
            let sewage = self.world.sewage_l_s(&outfall.code, at) > 0.05;
            let storm = self.world.rain_before_mm(at, 4) > 1.0;
            let likely = if sewage {
                0.6
            } else if storm {
                0.3
            } else {
                0.0
            };
            if self.rng.f64() < likely {
                self.outfall(walk, outfall, at);
                seen = true;
            }
        }
        for bay in 0..PATCHES.len() {
            let reason = self.world.salvaged_lately(bay, at) || self.rng.f64() < 0.14;
            if reason && self.bay_sector[bay] == sector.code {
                self.bay(walk, bay, at + minutes(8.0));
                seen = true;
            }
        }
        let chance = self.rng.f64();
        match shore_of(place, sector).nth(4) {
            Some(p) if chance < 0.012 => self.shore(walk, p, at + minutes(6.0)),
            Some(p) if chance < 0.10 && !seen => self.nothing(walk, p, at + minutes(6.0)),
            _ => {}
        }
    }

    fn outfall(&mut self, walk: &Walk, outfall: &Outfall, at: Timestamp) {
        let seen = outflow(self.world, &outfall.code, at, &mut self.rng);
        // Under trees the circle holds two outfalls, or the fix lies away from both.
        let accuracy_m = if self.rng.f64() < 0.03 { between(&mut self.rng, 260.0, 420.0) } else { 0.0 };
        let accuracy_m = if accuracy_m > 0.0 { accuracy_m } else { between(&mut self.rng, 3.0, 18.0) };
        let scene =
            |words: String, seed| Scene { subject: seen.subject.clone(), words, rain: seen.rain, seed };
        let words = format!("{} {}", outfall.name, beijing_words(at));
        let mut scenes = vec![scene(words.clone(), self.rng.u64(..))];
        if self.rng.f64() < 0.12 {
            scenes.push(scene(words, self.rng.u64(..)));
        }
        let position = self.position(walk.walker, outfall.position, accuracy_m);
        let ask = accuracy_m > 200.0;
        let body = self.body(walk, ReportKind::SewageOutflow, position, at, seen);
        let (id, sent) = (body.id, self.sent(walk, at));
        self.file(walk, at, body, scenes);
        let later = sent + minutes(between(&mut self.rng, 300.0, 1500.0));
        if ask {
            self.correct(id, later, CorrectionAction::ChooseOutfall, "现场复核位置", Some(&outfall.code));
        } else if self.rng.f64() < 0.012 {
            self.correct(id, later, CorrectionAction::Withdraw, "复核为路面冲洗水，非排口来水", None);
        }
    }

    fn bay(&mut self, walk: &Walk, bay: usize, at: Timestamp) {
        let Some(station) = bay_station(self.place, bay) else { return };
        let seen = hyacinth(self.world, bay, station.position, at, &mut self.rng);
        let words = format!("{} {}", PATCHES[bay], beijing_words(at));
        let scene = Scene { subject: seen.subject.clone(), words, rain: seen.rain, seed: self.rng.u64(..) };
        // The ring is drawn in degrees of the position: WGS-84, whatever the phone uses.
        let position = Position {
            lng: station.position.lng,
            lat: station.position.lat,
            crs: Crs::Wgs84,
            accuracy_m: Some(12.0),
            source: PositionSource::Map,
            fix_age_s: None,
            hints: Vec::new(),
        };
        let body = self.body(walk, ReportKind::WaterHyacinth, position, at, seen);
        self.file(walk, at, body, vec![scene]);
    }

    fn shore(&mut self, walk: &Walk, p: Wgs84, at: Timestamp) {
        let words = format!("岸边 {}", beijing_words(at));
        let scene = Scene { subject: Subject::Shore, words, rain: false, seed: self.rng.u64(..) };
        let position = self.position(walk.walker, p, 9.0);
        let seen = rubbish(&mut self.rng);
        let body = self.body(walk, ReportKind::Other, position, at, seen);
        self.file(walk, at, body, vec![scene]);
    }

    fn nothing(&mut self, walk: &Walk, p: Wgs84, at: Timestamp) {
        let mut position = self.position(walk.walker, p, 8.0);
        position.fix_age_s = Some(tenths(between(&mut self.rng, 0.0, 20.0)));
        let body = self.body(walk, ReportKind::NothingFound, position, at, Seen::default());
        self.file(walk, at, body, Vec::new());
    }

    fn body(
        &mut self,
        walk: &Walk,
        kind: ReportKind,
        position: Position,
        at: Timestamp,
        seen: Seen,
    ) -> ReportBody {
        let by_phone = |t: Timestamp| t + SignedDuration::from_secs(walk.walker.ahead_s);
        ReportBody {
            id: new_id(&mut self.rng),
            kind,
            position: Some(position),
            no_position: None,
            observed_at: by_phone(at),
            device_at: Some(by_phone(at + minutes(1.0))),
            person: person(walk.walker),
            patrol: Some(walk.id),
            outfall: None,
            same_as: None,
            sewage: seen.sewage,
            hyacinth: seen.hyacinth,
            note: seen.note,
            photos: Vec::new(),
            voice: None,
        }
    }

    fn sent(&self, walk: &Walk, at: Timestamp) -> Timestamp {
        walk.sent_together.unwrap_or(at + minutes(1.5))
    }

    /// The report, and its photos before it, hours after it, or never.
    fn file(&mut self, walk: &Walk, at: Timestamp, body: ReportBody, scenes: Vec<Scene>) {
        let at = self.sent(walk, at);
        let ahead_s = walk.walker.ahead_s;
        let chance = self.rng.f64();
        let first = chance >= 0.04;
        if (0.015..0.04).contains(&chance) && !scenes.is_empty() {
            let later = at + minutes(between(&mut self.rng, 30.0, 400.0));
            self.events.push(Event { at: later, ahead_s, act: Act::Photos(scenes.clone()) });
        }
        self.events.push(Event { at, ahead_s, act: Act::Report { body, scenes, photos_first: first } });
    }

    fn correct(
        &mut self,
        report: Uuid,
        at: Timestamp,
        action: CorrectionAction,
        why: &str,
        outfall: Option<&str>,
    ) {
        let body = CorrectionBody {
            id: new_id(&mut self.rng),
            action,
            reason: why.to_owned(),
            person: Person { id: "d-01".into(), name: Some("演示督查".into()) },
            outfall: outfall.map(str::to_owned),
            amend: None,
        };
        self.events.push(Event { at, ahead_s: 0, act: Act::Correct { report, body } });
    }

    /// Where the phone says it is, in the system it speaks.
    fn position(&mut self, walker: &Walker, true_at: Wgs84, accuracy_m: f64) -> Position {
        let off = |rng: &mut Rng, metres_per_degree: f64| {
            between(rng, -0.5, 0.5) * accuracy_m.min(30.0) / metres_per_degree
        };
        let lng = true_at.lng + off(&mut self.rng, 97_000.0);
        let lat = true_at.lat + off(&mut self.rng, 110_900.0);
        let (lng, lat) = crs::convert(lng, lat, Crs::Wgs84, walker.crs).unwrap_or((lng, lat));
        let digits = |degrees: f64| (degrees * 1e7).round() / 1e7;
        Position {
            lng: digits(lng),
            lat: digits(lat),
            crs: walker.crs,
            accuracy_m: Some(tenths(accuracy_m)),
            source: PositionSource::Device,
            fix_age_s: Some(tenths(between(&mut self.rng, 0.0, 9.0))),
            hints: Vec::new(),
        }
    }
}

fn person(walker: &Walker) -> Person {
    Person { id: walker.person.0.into(), name: Some(walker.person.1.into()) }
}

/// The shore inside a sector.
fn shore_of<'a>(place: &'a Place, sector: &'a Sector) -> impl Iterator<Item = Wgs84> + 'a {
    let points = place.lake.0.iter().flat_map(|p| p.exterior().coords());
    points.filter(|c| sector.polygon.contains(&geo::Point::from(**c))).map(|c| Wgs84 { lng: c.x, lat: c.y })
}

/// The station in a bay.
fn bay_station(place: &Place, bay: usize) -> Option<&Station> {
    let code = ["JJH-S1", "JJH-S3"].get(bay)?;
    place.stations.iter().find(|s| s.code == *code)
}

/// The sector whose shore is nearest to the bay's station.
fn bay_sector(place: &Place, bay: usize) -> Option<String> {
    let at = bay_station(place, bay)?.position;
    let off = |s: &Sector| {
        shore_of(place, s).map(|p| (p.lng - at.lng).hypot(p.lat - at.lat)).fold(f64::INFINITY, f64::min)
    };
    place.sectors.iter().min_by(|a, b| off(a).total_cmp(&off(b))).map(|s| s.code.clone())
}

fn minutes(m: f64) -> SignedDuration {
    SignedDuration::from_secs_f64(m * 60.0)
}

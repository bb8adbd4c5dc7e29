//! What the stations send to the broker, now and then something that is not a message; and the laboratory's samples.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::events::{Act, Event, new_id};
use super::world::World;
use crate::clock::beijing;
use crate::lake::{Place, Station};
use crate::water::observation::Processing;
use crate::water::submission::{ObservationBody, ObservationsBody};

/// Ticks of the stations' clocks, seconds.
const TICK_S: i64 = 600;

/// A topic and its payload.
pub type Message = (String, Vec<u8>);

/// The stations of a place.
pub struct Sensors<'a> {
    place: &'a Place,
    world: &'a World,
    rng: Rng,
    next: Timestamp,
}

impl<'a> Sensors<'a> {
    /// From the world's beginning on, at whole ticks.
    #[must_use]
    pub fn new(place: &'a Place, world: &'a World, seed: u64) -> Self {
        let first = world.begin().as_second().div_euclid(TICK_S) * TICK_S + TICK_S;
        let next = Timestamp::from_second(first).unwrap_or(world.begin());
        Self { place, world, rng: Rng::with_seed(seed ^ 0x7365_6e73), next }
    }

    /// The messages of the ticks up to `until` that were not asked for yet.
    pub fn messages(&mut self, until: Timestamp) -> Vec<Message> {
        let mut out = Vec::new();
        while self.next <= until {
            let at = self.next;
            for station in &self.place.stations {
                let due = |every_s: u32| at.as_second() % i64::from(every_s.max(1)) == 0;
                out.extend(self.message(station, at, due));
            }
            // About one in two days.
            if self.rng.u32(0..290) == 0 {
                out.push(self.bad(at));
            }
            self.next += SignedDuration::from_secs(TICK_S);
        }
        out
    }

    /// What every station shows at `at`, whatever its interval: for the live traffic.
    pub fn now(&mut self, at: Timestamp) -> Vec<Message> {
        let place = self.place;
        let water = place.stations.iter().filter(|s| s.channels.iter().all(|c| c.property != "rain"));
        water.filter_map(|s| self.message(s, at, |_| true)).collect()
    }

    fn message(&mut self, station: &Station, at: Timestamp, due: impl Fn(u32) -> bool) -> Option<Message> {
        if self.world.silent(&station.code, at) || self.rng.u32(0..250) == 0 {
            return None;
        }
        let mut values = Map::new();
        for channel in station.channels.iter().filter(|c| due(c.every_s)) {
            let value = self.world.value(&station.code, &channel.property, at, &mut self.rng);
            values.insert(channel.property.clone(), json!(value));
        }
        if values.is_empty() {
            return None;
        }
        let body = json!({ "ts": at.as_millisecond(), "values": values });
        Some((topic(&station.code), body.to_string().into_bytes()))
    }

    /// Cut off, from a clock that was never set, of another shape, or no text at all.
    fn bad(&mut self, at: Timestamp) -> Message {
        let ms = at.as_millisecond();
        let payload = match self.rng.u8(0..5) {
            0 => format!(r#"{{"ts":{ms},"values":{{"ph":7."#).into_bytes(),
            1 => br#"{"ts":86400000,"values":{"ph":7.4}}"#.to_vec(),
            2 => format!(r#"{{"ts":{ms},"values":[7.4,6.1]}}"#).into_bytes(),
            3 => format!(r#"{{"ts":{ms},"values":{{"do":NaN}}}}"#).into_bytes(),
            _ => vec![0xff, 0x00, 0x17, 0x03, 0x03],
        };
        (topic("JJH-S3"), payload)
    }
}

fn topic(station: &str) -> String {
    format!("jjh/{station}/telemetry")
}

/// Each Tuesday at ten a bottle from every station, the numbers two days later: reviewed values beside the raw ones.
#[must_use]
pub fn samples(place: &Place, world: &World, until: Timestamp, seed: u64) -> Vec<Event> {
    let mut rng = Rng::with_seed(seed ^ 0x6c61_6273);
    let mut events = Vec::new();
    let mut at = world.begin();
    while at <= until {
        let z = beijing(at);
        if z.weekday() == jiff::civil::Weekday::Tuesday && z.hour() == 10 {
            let sent = at + SignedDuration::from_hours(54);
            let observations = bottles(place, world, at, &mut rng);
            let body = ObservationsBody { id: new_id(&mut rng), observations };
            events.push(Event { at: sent, ahead_s: 0, act: Act::Samples(body) });
        }
        at += SignedDuration::from_hours(1);
    }
    events.retain(|e| e.at <= until);
    events
}

fn bottles(place: &Place, world: &World, at: Timestamp, rng: &mut Rng) -> Vec<ObservationBody> {
    let stations = place.stations.iter().filter(|s| s.channels.iter().any(|c| c.property == "nh3n"));
    let mut out = Vec::new();
    for station in stations {
        for (property, digits) in [("nh3n", 3), ("tp", 2), ("codmn", 1)] {
            let value = world.value(&station.code, property, at, rng);
            out.push(ObservationBody {
                station: station.code.clone(),
                property: property.into(),
                unit: None,
                observed_at: at,
                value: Value::String(format!("{value:.digits$}")),
                processing: Processing::Reviewed,
                mark: Some("实验室".into()),
            });
        }
    }
    out
}

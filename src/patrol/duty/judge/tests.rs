use super::*;
use crate::lake::load::embedded;
use crate::patrol::roster::ExcuseKind;
use crate::patrol::walk::PatrolBody;
use serde_json::{Value, json};

const LIMITS: Limits = Limits { short_min: 3.0, fast_km_h: 10.0, few_share: 0.5, gap_min: 5.0 };

/// 2026-07-14 is a Tuesday; `t` is a time of it, or `13T…` of the day before, 北京时间.
fn at(t: &str) -> Timestamp {
    let t = if t.contains('T') { t.to_owned() } else { format!("14T{t}") };
    format!("2026-07-{t}:00+08:00").parse().unwrap()
}

/// A patrol of 岸段甲 from 07:00 to 07:20 with a track along its outfall, and what `set` makes of it.
fn patrol(n: u128, set: &[(&str, Value)]) -> PatrolBody {
    let place = embedded();
    let outfall = &place.outfalls[0];
    let point = |minute: i64, east_m: f64| {
        json!({"at": (at("07:00") + SignedDuration::from_mins(minute)).to_string(),
            "position": {"lng": outfall.position.lng + east_m / 97_000.0, "lat": outfall.position.lat, "crs": "wgs84",
                "accuracy_m": 8.0}})
    };
    let track: Vec<Value> = (0..=20).map(|m| point(m, 500.0 - 40.0 * m as f64)).collect();
    let mut body = json!({"id": Uuid::from_u128(n).to_string(), "person": {"id": "p-01"},
        "started_at": at("07:00").to_string(), "ended_at": at("07:20").to_string(),
        "sectors": [outfall.sector], "track": track});
    for (key, value) in set {
        body[*key] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

/// A waypoint event at 07:10, so many metres east of the first outfall.
fn event(east_m: f64, more: &Value) -> Value {
    let p = embedded().outfalls[0].position;
    let mut event = json!({"at": at("07:10").to_string(), "position": {"lng": p.lng + east_m / 97_000.0,
        "lat": p.lat, "crs": "wgs84", "accuracy_m": 10.0}});
    for (key, value) in more.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

fn walk_of(p: &PatrolBody, lag_min: i64) -> Vec<Walk> {
    let walk = |sector: &String| Walk {
        sector: sector.clone(),
        person: p.person.id.clone(),
        from: p.started_at,
        to: p.ended_at,
        lag: SignedDuration::from_mins(lag_min),
        patrol: Some(p.id),
    };
    p.sectors.iter().map(walk).collect()
}

struct Bench {
    place: Place,
    roster: Roster,
    arrived: BTreeSet<String>,
    walks: Vec<Walk>,
    traces: BTreeMap<Uuid, Trace>,
}

impl Bench {
    fn new(roster: &str) -> Self {
        let place = embedded();
        let roster = Roster::parse(roster, &place).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let arrived = [photo(1)].into();
        Self { place, roster, arrived, walks: Vec::new(), traces: BTreeMap::new() }
    }

    fn walked(mut self, p: &PatrolBody, lag_min: i64) -> Self {
        self.walks.extend(walk_of(p, lag_min));
        self.traces.insert(p.id, Trace::of(p, &self.arrived, 0, &self.place));
        self
    }

    fn rows_at(&self, now: Timestamp) -> Vec<DutyRow> {
        let walks = Walks::of(self.walks.clone());
        let (place, roster) = (&self.place, &self.roster);
        let late_after = SignedDuration::from_hours(1);
        let duty = Duty { place, roster, limits: LIMITS, late_after, walks: &walks, traces: &self.traces };
        let day = "2026-07-14".parse().unwrap();
        duty.rows(&Period { from: day, to: day, first: at("13T00:00"), now })
    }

    /// 岸段甲 in the morning, judged in the evening.
    fn row(&self) -> DutyRow {
        self.rows_at(at("23:00")).into_iter().find(|r| r.sector.code == "JJH-AD-01").unwrap()
    }
}

fn photo(n: u8) -> String {
    hex::encode([n; 32])
}

#[test]
fn every_sector_is_due_in_both_windows() {
    let bench = Bench::new("").walked(&patrol(1, &[]), 2);
    let rows = bench.rows_at(at("23:00"));
    assert_eq!(rows.len(), 12);
    assert_eq!(rows.iter().filter(|r| r.state == DutyState::Walked).count(), 1);
    assert_eq!(rows.iter().filter(|r| r.state == DutyState::NotWalked).count(), 11);
    let open = bench.rows_at(at("08:00"));
    assert_eq!(open.iter().filter(|r| r.state == DutyState::Open).count(), 11, "no window is over at eight");
    let row = bench.row();
    assert_eq!((row.walked_by, row.walked_at), (vec!["p-01".to_owned()], Some(at("07:00"))));
    let sums = super::super::DutySums::of(&rows);
    assert_eq!((sums.due, sums.walked, sums.not_walked, sums.excused, sums.open), (12, 1, 11, 0, 0));
    assert_eq!((sums.waypoints, sums.reached, sums.by_fence), (2, 1, 1), "only of the sector walked");
}

#[test]
fn an_excuse_excuses_and_never_makes_walked_of_not_walked() {
    let roster = r#"
        [[rule]]
        persons = ["p-01"]
        [[leave]]
        person = "p-01"
        from = "2026-07-14"
        to = "2026-07-14"
        windows = ["morning"]
        reason = "病假"
        [[weather]]
        from = "2026-07-14"
        to = "2026-07-14"
        windows = ["evening"]
        sectors = ["JJH-AD-01"]
        reason = "雷暴"
    "#;
    let bench = Bench::new(roster);
    let rows = bench.rows_at(at("23:00"));
    let of = |state| rows.iter().filter(|r| r.state == state).count();
    assert_eq!((of(DutyState::Excused), of(DutyState::NotWalked), of(DutyState::Walked)), (7, 5, 0));
    assert!(rows.iter().all(|r| r.walked_by.is_empty() && r.walked_at.is_none()));
    let storm = rows.iter().find(|r| r.window.code == "evening" && r.sector.code == "JJH-AD-01").unwrap();
    assert_eq!(storm.excuse.as_ref().unwrap().kind, ExcuseKind::Weather);
    assert!(
        bench.rows_at(at("08:00")).iter().all(|r| r.state == DutyState::Open),
        "known in advance, not yet over"
    );
    let row = bench.walked(&patrol(1, &[]), 2).row();
    assert_eq!(row.state, DutyState::Walked, "somebody went all the same");
    assert!(row.excuse.is_some());
}

#[test]
fn late_is_said_by_what_came_first() {
    let (one, two) = (patrol(1, &[]), patrol(2, &[]));
    assert!(!Bench::new("").walked(&one, 60).row().late);
    assert!(Bench::new("").walked(&one, 61).row().late);
    assert!(!Bench::new("").walked(&one, 300).walked(&two, 5).row().late, "one of them was there in time");
}

#[test]
fn a_window_is_walked_by_the_time_of_the_patrol_not_by_its_arrival() {
    // Walked in the morning, sent in the evening: the morning's, and late.
    let rows = Bench::new("").walked(&patrol(1, &[]), 9 * 60).rows_at(at("23:00"));
    let state = |window: &str| rows.iter().find(|r| r.sector.code == "JJH-AD-01" && r.window.code == window);
    assert_eq!(state("morning").map(|r| (r.state, r.late)), Some((DutyState::Walked, true)));
    assert_eq!(state("evening").map(|r| (r.state, r.late)), Some((DutyState::NotWalked, false)));
}

#[test]
fn a_waypoint_is_reached_by_photo_by_plate_or_weaker_by_position() {
    let code = embedded().outfalls[0].code.clone();
    let by = |events: Value, track: Value| {
        let p = patrol(1, &[("waypoints", events), ("track", track)]);
        Bench::new("").walked(&p, 2).row().waypoints[0].by
    };
    let none = json!([]);
    let shot = |n| json!({"photo": photo(n)});
    assert_eq!(by(json!([event(0.0, &shot(1))]), none.clone()), Some(ReachedBy::Photo));
    assert_eq!(
        by(json!([event(39.0, &shot(1))]), none.clone()),
        Some(ReachedBy::Photo),
        "30 m and the circle's 10"
    );
    assert_eq!(by(json!([event(42.0, &shot(1))]), none.clone()), None);
    assert_eq!(
        by(json!([event(0.0, &shot(2))]), none.clone()),
        Some(ReachedBy::Fence),
        "its photo has not come"
    );
    assert_eq!(by(json!([event(0.0, &json!({}))]), none.clone()), Some(ReachedBy::Fence));
    assert_eq!(
        by(json!([event(900.0, &json!({"by": "plate", "code": code}))]), none.clone()),
        Some(ReachedBy::Plate)
    );
    let other = embedded().outfalls[1].code.clone();
    let elsewhere = json!({"photo": photo(1), "code": other});
    assert_eq!(by(json!([event(0.0, &elsewhere)]), none.clone()), None, "another waypoint was meant");
    assert_eq!(
        by(none.clone(), json!([event(0.0, &json!({}))])),
        Some(ReachedBy::Fence),
        "a point of the track"
    );
    // A hopeless fix does not reach everything: its circle counts as 50 m.
    let mut wild = event(81.0, &shot(1));
    wild["position"]["accuracy_m"] = json!(500.0);
    assert_eq!(by(json!([wild]), none.clone()), None);
    // Outside the window it was not reached in it.
    let mut early = event(0.0, &shot(1));
    early["at"] = json!(at("06:29").to_string());
    assert_eq!(by(json!([early]), none), None);
}

#[test]
fn thin_patrols_are_flagged_with_reasons() {
    let flags = |set: &[(&str, Value)]| Bench::new("").walked(&patrol(1, set), 2).row().flags;
    let shot = json!([event(0.0, &json!({"photo": photo(1)}))]);
    let good = [("waypoints", shot.clone())];
    assert_eq!(flags(&good), [] as [DutyFlag; 0]);
    assert_eq!(flags(&[]), [DutyFlag::NoPhotos]);
    assert_eq!(flags(&[good[0].clone(), ("ended_at", json!(at("07:02").to_string()))]), [DutyFlag::TooShort]);
    let all: Vec<&str> = vec!["JJH-AD-01", "JJH-AD-02", "JJH-AD-03", "JJH-AD-04", "JJH-AD-05", "JJH-AD-06"];
    assert_eq!(flags(&[good[0].clone(), ("sectors", json!(all))]), [] as [DutyFlag; 0], "20 minutes for six");
    let alone = json!([event(300.0, &json!({}))]);
    assert_eq!(flags(&[good[0].clone(), ("track", alone.clone())]), [DutyFlag::TrackGaps]);
    let fast = json!([event(300.0, &json!({})), event(500.0, &json!({"at": at("07:11").to_string()}))]);
    assert_eq!(flags(&[good[0].clone(), ("track", fast)]), [DutyFlag::TooFast]);
    let far = json!({"by": "plate", "code": "JJH-PK-0001", "photo": photo(1)});
    assert_eq!(flags(&[("waypoints", json!([event(900.0, &far)]))]), [DutyFlag::PlateElsewhere]);
    let missed = json!([event(900.0, &json!({"photo": photo(1)}))]);
    assert_eq!(
        flags(&[("waypoints", missed), ("track", alone)]),
        [DutyFlag::FewWaypoints, DutyFlag::TrackGaps]
    );
}

#[test]
fn one_whole_patrol_is_enough_and_an_erased_one_says_nothing() {
    let whole = patrol(2, &[("waypoints", json!([event(0.0, &json!({"photo": photo(1)}))]))]);
    let bench = Bench::new("").walked(&patrol(1, &[]), 2).walked(&whole, 2);
    assert_eq!(bench.row().flags, [] as [DutyFlag; 0]);
    let mut erased = Bench::new("").walked(&patrol(1, &[]), 2);
    erased.traces.clear();
    assert_eq!((erased.row().state, erased.row().flags), (DutyState::Walked, vec![DutyFlag::Erased]));
    let mut reports = Bench::new("[[rule]]\npersons = [\"p-09\"]\n");
    reports.walks = walk_of(&patrol(1, &[]), 2).into_iter().map(|w| Walk { patrol: None, ..w }).collect();
    assert_eq!(reports.row().flags, [DutyFlag::NoPatrol, DutyFlag::OffRoster]);
    assert_eq!(reports.row().on_duty, ["p-09"]);
}

//! `jijia calc duty`: who walked which sector in which window, as `GET /api/v1/compliance` says it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::lake::Place;
use crate::patrol::duty::{Duty, DutySums, Limits, Period, Trace, Walk, Walks};
use crate::patrol::report::read_json;
use crate::patrol::roster::Roster;
use crate::patrol::walk::PatrolBody;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    from: Date,
    to: Date,
    now: Timestamp,
    /// When the record begins; without it the first instant of `from`.
    first: Option<Timestamp>,
    late_s: i64,
    limits: Limits,
    /// The tables of roster.toml, as JSON.
    #[serde(default)]
    roster: Roster,
    #[serde(default)]
    patrols: Vec<Received>,
    #[serde(default)]
    reports: Vec<Seen>,
    /// SHA-256 of the photos whose bytes have come.
    #[serde(default)]
    photos: BTreeSet<String>,
}

/// A patrol, and when it came.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Received {
    received_at: Timestamp,
    /// With its clock's offset taken off, as it is stored.
    record: PatrolBody,
}

/// What a report says about duty.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    sector: String,
    person: String,
    seen_at: Timestamp,
    received_at: Timestamp,
    patrol: Option<Uuid>,
    /// How many photos it names.
    #[serde(default)]
    photos: usize,
}

/// `{"from","to","now","late_s","limits":{…},"roster":{…},"patrols":[{"received_at","record"}],"reports":[{"sector",
/// "person","seen_at","received_at","patrol","photos"}],"photos":[sha256]}` → `{"sums","rows"}` of the configured place.
///
/// # Errors
/// `Invalid` with the path of the field that is missing or wrong.
pub fn duty(input: &Value, place: &Place) -> Result<Value> {
    let input: Input = read_json(input)?;
    input.roster.check(place).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.feature, p.message)).collect();
        Error::invalid("roster", lines.join("; "))
    })?;
    let first = input.first.or_else(|| crate::clock::day_start(input.from)).unwrap_or(input.now);
    let walks =
        Walks::of(input.patrols.iter().flat_map(of_patrol).chain(input.reports.iter().map(of_report)));
    let traces: BTreeMap<Uuid, Trace> = input
        .patrols
        .iter()
        .map(|Received { record, .. }| {
            let own = input.reports.iter().filter(|r| r.patrol == Some(record.id));
            (record.id, Trace::of(record, &input.photos, own.map(|r| r.photos).sum(), place))
        })
        .collect();
    let late_after = SignedDuration::from_secs(input.late_s);
    let judged = Duty {
        place,
        roster: &input.roster,
        limits: input.limits,
        late_after,
        walks: &walks,
        traces: &traces,
    };
    let rows = judged.rows(&Period { from: input.from, to: input.to, first, now: input.now });
    Ok(json!({"sums": DutySums::of(&rows), "rows": rows}))
}

fn of_patrol(p: &Received) -> impl Iterator<Item = Walk> {
    p.record.sectors.iter().map(|sector| Walk {
        sector: sector.clone(),
        person: p.record.person.id.clone(),
        from: p.record.started_at,
        to: p.record.ended_at,
        lag: p.received_at.duration_since(p.record.ended_at),
        patrol: Some(p.record.id),
    })
}

fn of_report(r: &Seen) -> Walk {
    Walk {
        sector: r.sector.clone(),
        person: r.person.clone(),
        from: r.seen_at,
        to: r.seen_at,
        lag: r.received_at.duration_since(r.seen_at),
        patrol: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::load::embedded;

    fn input() -> Value {
        json!({
            "from": "2026-07-14", "to": "2026-07-14", "now": "2026-07-14T12:00:00Z", "late_s": 3600,
            "limits": {"short_min": 3, "fast_km_h": 10, "few_share": 0.5, "gap_min": 5},
            "roster": {"rule": [{"persons": ["p-01"]}],
                "weather": [{"from": "2026-07-14", "to": "2026-07-14", "windows": ["evening"], "reason": "暴雨"}]},
            "patrols": [{"received_at": "2026-07-14T03:00:00Z", "record": {
                "id": Uuid::from_u128(1), "person": {"id": "p-01"}, "started_at": "2026-07-13T23:00:00Z",
                "ended_at": "2026-07-13T23:20:00Z", "sectors": ["JJH-AD-01"],
                "waypoints": [{"at": "2026-07-13T23:10:00Z", "code": "JJH-PK-0001", "by": "plate",
                    "position": {"lng": 113.11281, "lat": 29.395396, "crs": "wgs84"}}]}}],
            "reports": [{"sector": "JJH-AD-02", "person": "p-02", "seen_at": "2026-07-14T00:00:00Z",
                "received_at": "2026-07-14T00:01:00Z", "photos": 1}]
        })
    }

    #[test]
    fn as_the_service_says_it() {
        let said = duty(&input(), &embedded()).unwrap();
        let sums = &said["sums"];
        assert_eq!(
            (&sums["due"], &sums["walked"], &sums["not_walked"], &sums["excused"], &sums["late"]),
            (&json!(12), &json!(2), &json!(4), &json!(6), &json!(1))
        );
        let row = |n: usize| &said["rows"][n];
        assert_eq!((&row(0)["state"], &row(0)["late"]), (&json!("walked"), &json!(true)));
        assert_eq!(row(0)["waypoints"][0]["by"], "plate");
        assert_eq!(row(0)["flags"], json!(["no_photos", "track_gaps"]));
        assert_eq!(row(1)["flags"], json!(["no_patrol", "off_roster"]));
        assert_eq!(row(6)["excuse"], json!({"kind": "weather", "reason": "暴雨"}));
    }

    #[test]
    fn errors_name_the_field() {
        for (path, bad, field) in [
            ("/from", json!("July"), "from"),
            ("/limits/gap_min", json!("x"), "limits.gap_min"),
            ("/patrols/0/record/sectors", json!(3), "patrols[0].record.sectors"),
            ("/roster/rule/0/persons", json!([]), "roster"),
        ] {
            let mut input = input();
            *input.pointer_mut(path).unwrap() = bad;
            let message = duty(&input, &embedded()).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{field}: ")), "{message}");
        }
    }
}

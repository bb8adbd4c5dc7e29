//! `GET /api/v1/field`: what a phone by the lake must know while it hears nothing, in one small answer.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use geo::Simplify;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Packed;
use crate::error::Error;
use crate::evidence::overview::{Overview, WindowToday};
use crate::evidence::timeline::{Filter, Page, Row, Sighting};
use crate::lake::{Sector, Wgs84};
use crate::patrol::ReportKind;
use crate::patrol::form::{Colour, Floatable, Flow, Growth, Odour};
use crate::people::Reach;
use crate::water::rain::Weather;
use crate::web::access::Actor;
use crate::web::app::App;
use crate::web::problem::{Failure, Problem};

/// Who walks in the demo: opaque id and name. The app offers them where nobody is asked who they are.
pub const DEMO_PEOPLE: [(&str, &str); 4] =
    [("p-01", "演示员甲"), ("p-02", "演示员乙"), ("p-03", "演示员丙"), ("p-04", "演示员丁")];
/// Sightings of so many days are offered as 同一处.
const SIGHTING_DAYS: i64 = 30;
/// And at most so many of them.
const SIGHTINGS_MAX: u32 = 200;
/// A corner of a sector that lies so near the straight line is left out, degrees (2 m): less than any fix.
const CORNER_DEG: f64 = 2e-5;

/// What the app knows offline.
#[derive(Serialize, ToSchema)]
pub struct Today {
    /// The server's clock; not part of the `ETag`.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
    #[serde(flatten)]
    known: Known,
}

/// All of it but the time.
#[derive(Serialize, ToSchema)]
struct Known {
    /// 吉家湖.
    place: String,
    /// `示意, 非测绘`, or empty.
    notice: String,
    /// 演示数据: from a demo data directory.
    demo: bool,
    sectors: Vec<Stretch>,
    outfalls: Vec<Outlet>,
    /// Where a patrol must have been.
    waypoints: Vec<Spot>,
    /// The duty windows of today, in the order of the day.
    windows: Vec<Window>,
    /// Why the roster could not be used; absent: it was, or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    roster_warning: Option<String>,
    weather: WeatherNow,
    /// The words of the paper forms by field, in their order.
    forms: BTreeMap<&'static str, Vec<Word>>,
    /// The newest 200 of 30 days, newest first, withdrawn ones and 走过无异常 left out: a choice, not a count.
    sightings: Vec<Earlier>,
    /// Whom the demo may name; empty elsewhere.
    people: Vec<Walker>,
    limits: Limits,
}

/// A sector.
#[derive(Serialize, ToSchema)]
struct Stretch {
    /// `JJH-AD-01`.
    code: String,
    /// 岸段甲.
    name: String,
    /// Its outline, closed, to about 2 m: WGS-84 `[lng, lat]`.
    ring: Vec<[f64; 2]>,
}

/// Something at a position.
#[derive(Serialize, ToSchema)]
struct Spot {
    /// `JJH-PK-0003`.
    code: String,
    /// 3号排口.
    name: String,
    /// WGS-84 degrees east.
    lng: f64,
    /// WGS-84 degrees north.
    lat: f64,
}

/// An outfall, and when somebody was there last.
#[derive(Serialize, ToSchema)]
struct Outlet {
    #[serde(flatten)]
    spot: Spot,
    /// Newest report of it of any kind, 走过无异常 too, within 30 days.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_at: Option<Timestamp>,
}

/// A duty window of today.
#[derive(Serialize, ToSchema)]
struct Window {
    /// `morning`.
    code: String,
    /// 早巡.
    name: String,
    /// Its first instant.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Its last instant.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    sectors: Vec<Duty>,
}

/// A sector in a duty window.
#[derive(Serialize, ToSchema)]
struct Duty {
    /// The sector's code.
    code: String,
    /// First report or patrol of it in the window.
    #[schema(value_type = Option<String>, format = DateTime)]
    walked_at: Option<Timestamp>,
}

/// The weather as the evidence judges it.
#[derive(Serialize, ToSchema)]
struct WeatherNow {
    /// Dry, wet or unknown.
    state: Weather,
    /// Whole days without rain, where the gauge proves them.
    days_without_rain: Option<i64>,
}

/// A word of a paper form.
#[derive(Serialize, ToSchema)]
pub(super) struct Word {
    /// As reports say it: `trickle`.
    pub(super) code: &'static str,
    /// As the form says it: 滴流.
    pub(super) zh: &'static str,
}

/// A sighting of the last days, offered as 同一处.
#[derive(Serialize, ToSchema)]
struct Earlier {
    id: Uuid,
    kind: ReportKind,
    #[schema(value_type = String, format = DateTime)]
    observed_at: Timestamp,
    /// WGS-84 degrees east.
    lng: f64,
    /// WGS-84 degrees north.
    lat: f64,
    /// Code of the outfall it counts for.
    outfall: Option<String>,
    /// SHA-256 of its first photo that has a preview.
    photo: Option<String>,
}

/// A person.
#[derive(Serialize, ToSchema)]
struct Walker {
    id: &'static str,
    name: &'static str,
}

/// What the server takes.
#[derive(Serialize, ToSchema)]
struct Limits {
    /// Largest JSON body, bytes.
    body_bytes: usize,
    /// Largest photo, bytes.
    photo_bytes: u64,
}

/// What the field app keeps for the time without a network: the place, today's duty, and to those who are signed in the
/// sightings of 30 days. The `ETag`
/// leaves the time out: 304 says that nothing else has changed.
#[utoipa::path(get, path = "/api/v1/field", tag = "patrols",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the answer at hand")),
    responses((status = 200, body = Today), (status = 304, description = "As the `ETag` says"),
        (status = 500, body = Problem)))]
pub(in crate::web) async fn get_field(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let roster = app.roster().await;
    let mut overview = app.store.get_overview(&app.place, &app.rules, &roster).await?;
    let now = overview.cut_off;
    let from = now - SignedDuration::from_hours(24 * SIGHTING_DAYS);
    let filter = Filter { from: Some(from), ..Filter::default() };
    let mut page = app.store.list_timeline(&filter, None, SIGHTINGS_MAX, &app.place, &app.rules).await?;
    if actor.reach != Reach::All {
        // A phone on which nobody is signed in: what others saw, and what is to be done, is not for whoever holds it.
        page.rows.clear();
        overview.outfalls.iter_mut().for_each(|outfall| outfall.last_look = None);
    }
    let known = known(&app, &overview, page, roster.warning.clone());
    let json = |e: serde_json::Error| Error::Internal(format!("field: {e}"));
    let etag = Packed::new("", serde_json::to_vec(&known).map_err(json)?).etag;
    let body = serde_json::to_vec(&Today { now, known }).map_err(json)?;
    let answer = Packed { etag, ..Packed::new("application/json", body) }.answer(&headers, None);
    Ok(([(header::CACHE_CONTROL, "private, no-cache")], answer).into_response())
}

fn known(app: &App, overview: &Overview, page: Page, roster_warning: Option<String>) -> Known {
    let place = &app.place;
    let people: &[_] = if overview.demo { &DEMO_PEOPLE } else { &[] };
    Known {
        place: place.name.clone(),
        notice: place.notice.clone(),
        demo: overview.demo,
        sectors: place.sectors.iter().map(stretch).collect(),
        outfalls: place
            .outfalls
            .iter()
            .zip(&overview.outfalls)
            .map(|(o, now)| Outlet { spot: spot(&o.code, &o.name, o.position), looked_at: now.last_look })
            .collect(),
        waypoints: place.waypoints.iter().map(|w| spot(&w.code, &w.name, w.position)).collect(),
        windows: overview.windows.iter().map(window).collect(),
        roster_warning,
        weather: WeatherNow {
            state: overview.rain.weather,
            days_without_rain: overview.finding().days_without_rain,
        },
        forms: forms(),
        sightings: page.rows.into_iter().filter_map(earlier).collect(),
        people: people.iter().map(|&(id, name)| Walker { id, name }).collect(),
        limits: Limits {
            body_bytes: app.settings.max_body_bytes,
            photo_bytes: app.settings.photos.max_bytes,
        },
    }
}

/// The words that the app asks by.
pub(super) fn forms() -> BTreeMap<&'static str, Vec<Word>> {
    macro_rules! words {
        ($($field:literal $set:ident),+) => {
            BTreeMap::from([$(
                ($field, $set::ALL.iter().map(|w| Word { code: w.as_str(), zh: w.zh() }).collect())
            ),+])
        };
    }
    words!("flow" Flow, "colour" Colour, "odour" Odour, "floatables" Floatable, "growth" Growth)
}

fn spot(code: &str, name: &str, at: Wgs84) -> Spot {
    Spot { code: code.to_owned(), name: name.to_owned(), lng: at.lng, lat: at.lat }
}

fn stretch(s: &Sector) -> Stretch {
    let outline = s.polygon.exterior().simplify(CORNER_DEG);
    Stretch {
        code: s.code.clone(),
        name: s.name.clone(),
        ring: outline.coords().map(|c| [c.x, c.y]).collect(),
    }
}

fn window(w: &WindowToday) -> Window {
    let duty = |s: &crate::evidence::overview::SectorDuty| Duty {
        code: s.sector.code.clone(),
        walked_at: s.walked_at,
    };
    Window {
        code: w.code.clone(),
        name: w.name.clone(),
        from: w.from,
        to: w.to,
        sectors: w.sectors.iter().map(duty).collect(),
    }
}

fn earlier(row: Row) -> Option<Earlier> {
    let Row::Sighting(s) = row else { return None };
    let Sighting { id, kind, observed_at, position, outfall, photos, withdrawn, .. } = *s;
    let at = position.filter(|_| withdrawn.is_none() && kind != ReportKind::NothingFound)?;
    let photo = photos.into_iter().find(|p| p.stored && p.preview).map(|p| p.sha256);
    let outfall = outfall.map(|o| o.code);
    Some(Earlier { id, kind, observed_at, lng: at.lng, lat: at.lat, outfall, photo })
}

//! The pages' handlers: query, store, render.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::SignedDuration;
use serde::Deserialize;

use super::access::Actor;
use super::app::App;
use super::compliance;
use super::doors::DUTY;
use super::pages::cut::cut_page;
use super::pages::lang::Lang;
use super::pages::patrols::PatrolsPage;
use super::pages::query::{DutyQuery, Order, TimelineQuery};
use super::pages::report::ReportPage;
use super::pages::sign_in::{self, LoginPage};
use super::pages::timeline::{Choices, TimelinePage};
use super::pages::{self, respond};
use super::problem::Problem;
use super::reports::uuid;
use super::warnings;
use crate::clock::{beijing, beijing_words};
use crate::error::Error;
use crate::evidence::overview::Overview;
use crate::evidence::timeline::Named;
use crate::people::Reach;
use crate::picture::{
    Canvas, MapMarks, OutfallMark, SectorMark, StationMark, TimelinePictures, map, patches,
};

/// Days that the timeline page shows when nothing is asked.
const DEFAULT_DAYS: i64 = 30;

/// The language asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    pub lang: Option<String>,
}

/// The language of a page, and the choice to keep, if one was made.
pub(super) fn language(query: Option<&str>, headers: &HeaderMap) -> (Lang, Option<Lang>) {
    let query = query.filter(|q| !q.is_empty());
    let lang = Lang::pick(query, headers.get(header::COOKIE).and_then(|c| c.to_str().ok()));
    (lang, query.map(|_| lang))
}

/// A page, or the page that says why not.
pub(super) fn page(app: &App, made: Result<String, Error>, (lang, chosen): (Lang, Option<Lang>)) -> Response {
    let error = match made {
        Ok(html) => return respond(StatusCode::OK, html, chosen),
        Err(error) => error,
    };
    if let Error::Internal(detail) = &error {
        tracing::error!(detail, "a page failed");
    }
    let problem = Problem::from(&error);
    let detail = if problem.status == 500 { "" } else { problem.detail.as_str() };
    let demo = app.store.is_demo();
    let view = pages::Problem { status: problem.status, detail, place: &app.place.name, demo };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match pages::problem(&view, lang) {
        Ok(html) => respond(status, html, chosen),
        Err(_) => status.into_response(),
    }
}

/// The page that says why somebody may not enter.
pub(super) fn refused(app: &App, error: Error, headers: &HeaderMap) -> Response {
    page(app, Err(error), language(None, headers))
}

/// The form that signs in, with why it did not.
pub(super) fn login(app: &App, view: &LoginPage<'_>, lang: (Lang, Option<Lang>)) -> Response {
    let mut response = page(app, sign_in::login(view, &app.place.name, app.store.is_demo(), lang.0), lang);
    if let Some(Ok(status)) = view.wrong.map(|e| StatusCode::from_u16(Problem::from(e).status)) {
        *response.status_mut() = status;
    }
    response
}

/// `GET /join`.
pub(super) async fn join(State(app): State<App>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let lang = language(asked.lang.as_deref(), &headers);
    page(&app, sign_in::join(&app.place.name, app.store.is_demo(), lang.0), lang)
}

/// `GET /account`.
pub(super) async fn account(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let lang = language(asked.lang.as_deref(), &headers);
    page(&app, sign_in::account(&app.place.name, app.store.is_demo(), lang.0), lang)
}

/// `GET /people`.
pub(super) async fn people(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let lang = language(asked.lang.as_deref(), &headers);
    let units = app.place.units.iter().map(|u| (u.code.as_str(), u.name.as_str())).collect();
    page(&app, sign_in::people(&app.place.name, units, app.store.is_demo(), lang.0), lang)
}

/// `GET /`: the overview, for those who see the whole lake; the others are sent to what is theirs.
pub(super) async fn overview(
    State(app): State<App>,
    actor: Actor,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    match actor.reach {
        Reach::All => {}
        Reach::Unit => return Redirect::to("/timeline").into_response(),
        Reach::Own | Reach::No => return Redirect::to("/m").into_response(),
    }
    let lang = language(asked.lang.as_deref(), &headers);
    let made = overview_html(&app, lang.0).await;
    page(&app, made, lang)
}

async fn overview_html(app: &App, lang: Lang) -> Result<String, Error> {
    let view = app.store.get_overview(&app.place, &app.rules, &*app.roster().await).await?;
    let canvas = Canvas { id: "lake", width: 820, height: 500 };
    let map_svg = map(&app.place, &overview_marks(&view), canvas);
    pages::overview::overview(&view, &map_svg, &warnings::list(app).await?, lang)
}

/// Every mark leads to its timeline.
fn overview_marks(view: &Overview) -> MapMarks {
    let now = view.cut_off;
    let current = view.windows.iter().rfind(|w| w.from <= now).or_else(|| view.windows.first());
    let sectors = current.into_iter().flat_map(|w| &w.sectors).map(|s| SectorMark {
        code: s.sector.code.clone(),
        walked: s.walked_at.is_some(),
        words: s
            .walked_at
            .map_or_else(|| "未巡".to_owned(), |at| format!("已巡 {}", beijing(at).strftime("%H:%M"))),
        href: Some(format!("/timeline?sector={}", s.sector.code)),
    });
    let outfalls = view.outfalls.iter().map(|o| OutfallMark {
        code: o.outfall.code.clone(),
        level: o.level,
        subject: false,
        href: Some(format!("/timeline?outfall={}", o.outfall.code)),
    });
    let stations = view.stations.iter().map(|s| StationMark {
        code: s.station.code.clone(),
        words: if s.silent(now) { "离线".to_owned() } else { String::new() },
        silent: s.silent(now),
        href: None,
    });
    let sightings = view.feed.iter().filter(|s| s.withdrawn.is_none()).filter_map(|s| {
        let p = s.position.as_ref()?;
        Some(crate::picture::SightingMark {
            at: crate::lake::Wgs84 { lng: p.lng, lat: p.lat },
            kind: s.kind,
            words: format!("{} {}", beijing_words(s.observed_at), s.kind.zh()),
            href: Some(format!("/reports/{}", s.id)),
        })
    });
    MapMarks {
        sectors: sectors.collect(),
        outfalls: outfalls.collect(),
        stations: stations.collect(),
        sightings: sightings.collect(),
        patches: patches(view.feed.iter().filter(|s| s.withdrawn.is_none())),
        tracks: Vec::new(),
    }
}

/// `GET /timeline`.
pub(super) async fn timeline(
    State(app): State<App>,
    actor: Actor,
    query: Result<Query<TimelineQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let mut query = match query {
        Ok(Query(query)) => query,
        Err(e) => {
            return page(&app, Err(Error::invalid("query", e.body_text())), language(None, &headers));
        }
    };
    let lang = language(Some(query.lang.as_str()), &headers);
    let narrowed = [&query.from, &query.to, &query.datetime, &query.patrol].iter().any(|f| !f.is_empty());
    if !narrowed {
        let first = app.store.clock().now() - SignedDuration::from_hours(24 * (DEFAULT_DAYS - 1));
        query.from = beijing(first).date().to_string();
    }
    let made = timeline_html(&app, &actor, &query, lang.0).await;
    page(&app, made, lang)
}

async fn timeline_html(app: &App, actor: &Actor, query: &TimelineQuery, lang: Lang) -> Result<String, Error> {
    let mut filter = query.filter()?;
    actor.narrow(&mut filter)?;
    let max_rows = app.settings.office.max_rows;
    let mut timeline = app.store.get_timeline(&filter, &app.place, &app.rules, max_rows).await?;
    // Where somebody walked is told to those who judge it.
    let patrol = filter.patrol.filter(|_| DUTY.reach(actor.role) != Reach::No);
    let walk = match patrol {
        Some(id) => app.store.find_patrol(id).await?,
        None => None,
    };
    let tracks = walk.map(|walk| walk.track_pieces()).unwrap_or_default();
    let drawn = TimelinePictures::of(&app.place, &timeline, tracks);
    let order = query.order()?;
    if order == Order::NewestFirst {
        timeline.rows.reverse();
    }
    let next = cut_page(&mut timeline.rows, order, &query.cursor)?;
    let named = |code: &str, name: &str| Named { code: code.to_owned(), name: name.to_owned() };
    let choices = Choices {
        outfalls: app.place.outfalls.iter().map(|o| named(&o.code, &o.name)).collect(),
        sectors: app.place.sectors.iter().map(|s| named(&s.code, &s.name)).collect(),
        units: app.place.units.iter().map(|u| named(&u.code, &u.name)).collect(),
    };
    pages::timeline::timeline(
        &TimelinePage {
            timeline: &timeline,
            query,
            choices,
            map_svg: &drawn.map_svg,
            chart_svg: &drawn.chart_svg,
            next,
        },
        lang,
    )
}

/// `GET /patrols`.
pub(super) async fn patrols(
    State(app): State<App>,
    query: Result<Query<DutyQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let query = match compliance::asked(query) {
        Ok(query) => query,
        Err(e) => return page(&app, Err(e), language(None, &headers)),
    };
    let lang = language(Some(query.lang.as_str()), &headers);
    let made = patrols_html(&app, &query, lang.0).await;
    page(&app, made, lang)
}

async fn patrols_html(app: &App, query: &DutyQuery, lang: Lang) -> Result<String, Error> {
    let shown = compliance::compliance(app, query).await?;
    pages::patrols::patrols(&PatrolsPage { place: &app.place, compliance: &shown, query }, lang)
}

/// `GET /reports/{id}`.
pub(super) async fn report(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let lang = language(asked.lang.as_deref(), &headers);
    let made = report_html(&app, &actor, &id, lang.0).await;
    page(&app, made, lang)
}

async fn report_html(app: &App, actor: &Actor, id: &str, lang: Lang) -> Result<String, Error> {
    let report = app.store.get_report(uuid(id)?, &app.place, &app.rules).await?;
    actor.check_report(&report.sighting)?;
    let sighting = &report.sighting;
    let mut marks = MapMarks { patches: patches(std::iter::once(sighting)), ..MapMarks::default() };
    let at = sighting.position.as_ref().map(|p| crate::lake::Wgs84 { lng: p.lng, lat: p.lat });
    if let (Some(at), None) = (at, &sighting.withdrawn) {
        marks.sightings.push(crate::picture::SightingMark {
            at,
            kind: sighting.kind,
            words: sighting.kind.zh().to_owned(),
            href: None,
        });
    }
    let by_phone = sighting.observed_at + SignedDuration::from_secs(sighting.clock_offset_s.unwrap_or(0));
    // What an original says is told to those who may see it.
    let hears = actor.has_originals(app, sighting).await?;
    let originals = if hears { &sighting.photos[..] } else { &[] };
    let taken = app.store.read_taken(originals).await?;
    let apart: Vec<_> = taken.iter().map(|t| t.apart(by_phone, at)).collect();
    let view = ReportPage {
        apart: &apart,
        place: &app.place.name,
        place_notice: &app.place.notice,
        report: &report,
        map_svg: &map(&app.place, &marks, Canvas { id: "lake", width: 640, height: 400 }),
        hears,
    };
    pages::report::report(&view, lang)
}

/// `GET /verify`.
pub(super) async fn verify(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let lang = language(asked.lang.as_deref(), &headers);
    page(&app, pages::verify::verify(&app.place.name, app.store.is_demo(), lang.0), lang)
}

/// `GET /import`.
pub(super) async fn import(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let lang = language(asked.lang.as_deref(), &headers);
    page(&app, pages::import::import(&app.place.name, app.store.is_demo(), lang.0), lang)
}

/// Any other address.
pub(super) async fn not_found(State(app): State<App>, headers: HeaderMap, uri: axum::http::Uri) -> Response {
    let error = Error::NotFound(uri.path().to_owned());
    if uri.path().starts_with("/api/") {
        return super::problem::Failure(error).into_response();
    }
    page(&app, Err(error), language(None, &headers))
}

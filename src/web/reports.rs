//! Reports, corrections and patrols.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::access::Actor;
use super::app::{App, Json, device_time};
use super::problem::{Failure, Problem};
use crate::error::Error;
use crate::evidence::entry::Receipt;
use crate::evidence::timeline::ReportNow;
use crate::patrol::correction::{CorrectionBody, parse_correction};
use crate::patrol::report::{NewReport, ReportBody, parse_report};
use crate::patrol::walk::{NewPatrol, PatrolBody, parse_patrol};
use crate::store::Added;

/// 201 for what this request made, 200 for the first receipt again.
pub(super) fn receipt(added: Added, location: String) -> Response {
    let status = if added.new { StatusCode::CREATED } else { StatusCode::OK };
    (status, [(header::LOCATION, location)], axum::Json(added.receipt)).into_response()
}

/// A UUID in an address.
pub(super) fn uuid(text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::NotFound(format!("report {text}: not a UUID")))
}

/// Files a report. Sending it again, byte for byte, gives the first receipt again.
#[utoipa::path(post, path = "/api/v1/reports", tag = "reports", request_body = ReportBody,
    params(("Device-Time" = Option<String>, Header, description = "The phone's clock at sending, RFC 3339: lets the \
        server take a wrong clock off")),
    responses(
        (status = 201, description = "Stored durably", body = Receipt),
        (status = 200, description = "Was stored before; the first receipt", body = Receipt),
        (status = 409, description = "The id is taken by other bytes", body = Problem),
        (status = 422, description = "A field is wrong; nothing was stored", body = Problem),
        (status = 503, description = "Could not be made durable; send again", body = Problem)))]
pub(super) async fn add_report(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Failure> {
    let added = match app.store.find_sent(&body).await? {
        Some(known) => known,
        None => {
            let report = parse_report(&body, &app.arrival(device_time(&headers)?))?;
            actor.check_may_name(&app, &report.person).await?;
            app.store.add_report(NewReport { by: actor.id, ..report }).await?
        }
    };
    let location = format!("/api/v1/reports/{}", added.receipt.id);
    Ok(receipt(added, location))
}

/// A report as it stands now: every field in words, its photos and whether they have come, where it lies, its
/// corrections and its place in the log. `versions` holds what it said at every step, the first one included, with the
/// canonical bytes of each entry.
#[utoipa::path(get, path = "/api/v1/reports/{id}", tag = "reports", params(("id" = Uuid, Path)),
    responses((status = 200, body = ReportNow, description = "The report as the timeline shows it"),
        (status = 404, body = Problem)))]
pub(super) async fn get_report(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let report = app.store.get_report(uuid(&id)?, &app.place, &app.rules).await?;
    actor.check_report(&report.sighting)?;
    Ok(axum::Json(report).into_response())
}

/// Corrects or withdraws a report, or chooses among its outfalls. The old version stays in the log.
#[utoipa::path(post, path = "/api/v1/reports/{id}/corrections", tag = "reports", params(("id" = Uuid, Path)),
    request_body = CorrectionBody,
    responses((status = 201, body = Receipt), (status = 200, body = Receipt), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add_correction(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Failure> {
    let report = uuid(&id)?;
    let location = format!("/api/v1/reports/{report}");
    if let Some(known) = app.store.find_sent(&body).await? {
        let versions = app.store.get_report(report, &app.place, &app.rules).await?.versions;
        if !versions.iter().any(|v| v.entry.index == known.receipt.index) {
            let id = known.receipt.id;
            return Err(Error::Conflict(format!("id {id} is taken by a correction of another report")).into());
        }
        return Ok(receipt(known, location));
    }
    let shown = app.store.get_report(report, &app.place, &app.rules).await?;
    actor.check_report(&shown.sighting)?;
    let correction = parse_correction(&body, &app.place)?;
    actor.check_correction(&shown.sighting, &correction.person.id)?;
    let (place_hash, locator, by) = (app.place.hash, app.locator.clone(), actor.id);
    let added = app.store.add_correction(report, body.to_vec(), correction, place_hash, locator, by).await?;
    Ok(receipt(added, location))
}

/// Discloses the originals and the voice note of a report to its responsible unit, which sees copies otherwise. It is an
/// entry, and stays.
#[utoipa::path(post, path = "/api/v1/reports/{id}/disclosure", tag = "reports", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Disclosed, now or before"), (status = 404, body = Problem)))]
pub(super) async fn add_disclosure(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    app.store.add_disclosure(uuid(&id)?, actor.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Records a patrol.
#[utoipa::path(post, path = "/api/v1/patrols", tag = "patrols", request_body = PatrolBody,
    params(("Device-Time" = Option<String>, Header, description = "The phone's clock at sending, RFC 3339")),
    responses((status = 201, body = Receipt), (status = 200, body = Receipt), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn add_patrol(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Failure> {
    let added = match app.store.find_sent(&body).await? {
        Some(known) => known,
        None => {
            let patrol = parse_patrol(&body, &app.arrival(device_time(&headers)?))?;
            actor.check_may_name(&app, &patrol.record.person.id).await?;
            app.store.add_patrol(NewPatrol { by: actor.id, ..patrol }).await?
        }
    };
    let location = format!("/timeline?patrol={}", added.receipt.id);
    Ok(receipt(added, location))
}

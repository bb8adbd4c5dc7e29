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
use crate::people::Reach;
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
    let added = match parse_report(&body, &app.arrival(device_time(&headers)?)) {
        Ok(report) => {
            actor.check_may_name(&app, &report.person).await?;
            app.store.add_report(NewReport { by: actor.id, ..report }).await?
        }
        Err(error) => app.store.taken_before(&body, error).await?,
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
    actor.may_see(&app, &report.sighting).await?;
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
    if actor.reach != Reach::All {
        let shown = app.store.get_report(report, &app.place, &app.rules).await?;
        actor.may_see(&app, &shown.sighting).await?;
    }
    let added = match parse_correction(&body, &app.place) {
        Ok(correction) => {
            actor.check_may_name(&app, &correction.person.id).await?;
            let (place_hash, locator, by) = (app.place.hash, app.locator.clone(), actor.id);
            app.store.add_correction(report, body.to_vec(), correction, place_hash, locator, by).await?
        }
        Err(error) => {
            let added = app.store.taken_before(&body, error).await?;
            let versions = app.store.get_report(report, &app.place, &app.rules).await?.versions;
            if !versions.iter().any(|v| v.entry.index == added.receipt.index) {
                let id = added.receipt.id;
                return Err(
                    Error::Conflict(format!("id {id} is taken by a correction of another report")).into()
                );
            }
            added
        }
    };
    Ok(receipt(added, format!("/api/v1/reports/{report}")))
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
    let added = match parse_patrol(&body, &app.arrival(device_time(&headers)?)) {
        Ok(patrol) => {
            actor.check_may_name(&app, &patrol.record.person.id).await?;
            app.store.add_patrol(NewPatrol { by: actor.id, ..patrol }).await?
        }
        Err(error) => app.store.taken_before(&body, error).await?,
    };
    let location = format!("/timeline?patrol={}", added.receipt.id);
    Ok(receipt(added, location))
}

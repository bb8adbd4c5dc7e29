//! Observations by HTTP.

use axum::extract::State;
use axum::response::Response;

use super::access::Actor;
use super::app::{App, Json};
use super::problem::{Failure, Problem};
use super::reports::receipt;
use crate::error::Error;
use crate::evidence::entry::Receipt;
use crate::store::not_admitted;
use crate::water::observation::{NewBatch, NewObservation};
use crate::water::submission::{ObservationsBody, parse_observations};

/// Takes values of sensors or samplers. A value already known is nothing new; another value for the same time
/// stands beside the first as a correction.
#[utoipa::path(post, path = "/api/v1/observations", tag = "observations", request_body = ObservationsBody,
    responses((status = 201, body = Receipt), (status = 200, body = Receipt), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn add_observations(
    State(app): State<App>,
    actor: Actor,
    Json(body): Json,
) -> Result<Response, Failure> {
    if let Some(known) = app.store.find_sent(&body).await? {
        return Ok(receipt(known, "/api/v1/timeline".into()));
    }
    let (id, batch) = parse_observations(&body, app.store.clock().now())?;
    for (at, o) in batch.observations.iter().enumerate() {
        actor.check_station(&format!("observations[{at}].station"), &o.station)?;
    }
    let batch = NewBatch { by: actor.id, ..batch };
    let refused = batch.observations.iter().enumerate().find(|(_, o)| !app.store.admits_station(&o.station));
    if let Some((at, NewObservation { station, .. })) = refused {
        return Err(Error::invalid(format!("observations[{at}].station"), not_admitted(station)).into());
    }
    let (added, _) = app.store.add_observations_as(id, &body, batch).await?;
    Ok(receipt(added, "/api/v1/timeline".into()))
}

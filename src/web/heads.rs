//! Phones and desks as witnesses: each keeps the newest head of the log it has seen, and compares it at every visit. The
//! answer holds all that a script needs to see by SHA-256 alone whether the log has only grown.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Actor, PHONE, cookie};
use super::app::{App, SmallBody};
use super::log::hexes;
use super::problem::{Failure, Problem};
use crate::error::{Error, Result};
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::patrol::report::parse_json;
use crate::publish::Comparison;

/// Receipts that are looked up at a time.
const RECEIPTS_MAX: usize = 64;

/// What a phone or a desk keeps.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptBody {
    /// The newest checkpoint it has seen, verbatim; without one at its first visit.
    #[serde(default)]
    checkpoint: Option<String>,
    /// Indexes of receipts that it has not found under a head yet, at most 64.
    #[serde(default)]
    #[schema(max_items = 64)]
    receipts: Vec<u64>,
}

/// What it compares that with.
#[derive(Serialize, ToSchema)]
pub(super) struct NewestBody {
    /// The newest checkpoint, to be kept from now on.
    checkpoint: String,
    /// RFC 6962 2.1.2 from the kept head to this one, hex. None where the log is shorter than what is kept: then entries are
    /// gone, and `origins` says so, or should have.
    consistency: Option<Vec<String>>,
    /// The entries by which the log got from the kept head's name to its own: after a restore that could not show how far
    /// the log had come.
    origins: Vec<OriginBody>,
    /// Those of the receipts that are under this head.
    receipts: Vec<PlaceBody>,
}

/// An entry that gives the log another name.
#[derive(Serialize, ToSchema)]
pub(super) struct OriginBody {
    /// Its index.
    index: u64,
    /// Its bytes, verbatim.
    entry: String,
    /// RFC 6962 2.1.1 under the newest head, hex.
    hashes: Vec<String>,
}

/// Where an entry lies under the newest head.
#[derive(Serialize, ToSchema)]
pub(super) struct PlaceBody {
    /// Its index.
    index: u64,
    /// RFC 6962 2.1.1, hex.
    hashes: Vec<String>,
}

/// Compares the head that a phone or a desk keeps with the newest, and notes that it was kept.
#[utoipa::path(post, path = "/api/v1/log/heads", tag = "log", request_body = KeptBody,
    responses((status = 200, body = NewestBody), (status = 422, body = Problem),
        (status = 503, description = "Nothing is signed yet", body = Problem)))]
pub(super) async fn add_head(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
    SmallBody(body): SmallBody,
) -> Result<Response, Failure> {
    let KeptBody { checkpoint, receipts } = parse_json(&body)?;
    if receipts.len() > RECEIPTS_MAX {
        let message = format!("{} are not allowed; allowed: at most {RECEIPTS_MAX}", receipts.len());
        return Err(Error::invalid("receipts", message).into());
    }
    let kept: Option<SignedCheckpoint> = checkpoint.map(|text| text.parse()).transpose()?;
    let compared = app.publisher.compare(kept.as_ref().map(SignedCheckpoint::checkpoint)).await?;
    note(&app, actor, &headers, kept.as_ref(), &compared).await?;
    let size = compared.newest.checkpoint().size;
    let mut places = Vec::new();
    for index in receipts.into_iter().filter(|index| *index < size) {
        places.push(PlaceBody { index, hashes: hexes(&app.publisher.path(index, size).await?) });
    }
    let mut origins = Vec::new();
    for (entry, hashes) in compared.origins {
        let damaged = |_| Error::Internal(format!("the origin's entry {} is not text", entry.index));
        let text = String::from_utf8(entry.body).map_err(damaged)?;
        origins.push(OriginBody { index: entry.index, entry: text, hashes: hexes(&hashes) });
    }
    let body = NewestBody {
        checkpoint: compared.newest.to_string(),
        consistency: compared.consistency.as_deref().map(hexes),
        origins,
        receipts: places,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

/// Notes who keeps which head. A head that this log signed and does not continue is proof against it, and is kept.
async fn note(
    app: &App,
    actor: Actor,
    headers: &HeaderMap,
    kept: Option<&SignedCheckpoint>,
    compared: &Comparison,
) -> Result<()> {
    // A phone keeps its own, whoever holds it.
    let phone = match cookie(headers, PHONE) {
        Some(token) => app.store.find_phone(token).await?,
        None => None,
    };
    let on_phone = phone.is_some();
    let holder = phone.map_or(actor.id, |phone| phone.id);
    let Some(forked) = kept.filter(|_| !compared.is_continued) else {
        app.store.note_seen_head(holder, on_phone, compared.newest.checkpoint());
        return Ok(());
    };
    let is_own = forked.checkpoint().origin == compared.newest.checkpoint().origin;
    if is_own && app.publisher.has_signed(forked).await? {
        tracing::error!(holder, size = forked.checkpoint().size, "a head signed by this log is not of it");
        // Whoever keeps it must hear the answer also where nothing can be written.
        if let Err(error) = app.store.add_forked_head(holder, forked).await {
            tracing::error!(%error, "the forked head is not kept here");
        }
    }
    Ok(())
}

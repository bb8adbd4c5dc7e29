//! What could not be read: dead letters, page by page.

use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Actor;
use super::app::App;
use super::problem::{Failure, Problem};
use crate::error::Error;
use crate::people::Role;
use crate::store::ShownDeadLetter;

/// Dead letters of one page.
const LIMIT: u32 = 50;
/// Most that may be asked for.
const LIMIT_MAX: u32 = 200;

/// Where to begin and how many.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    cursor: Option<String>,
    limit: Option<String>,
}

/// One page of dead letters.
#[derive(Serialize, ToSchema)]
pub(super) struct DeadLetterPage {
    /// How many there are in all, from the first day.
    count: u64,
    /// Newest first.
    dead_letters: Vec<ShownDeadLetter>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Messages that could not become observations, newest first: when, from where, why, and how they begin.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "observations",
    params(("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50")),
    responses((status = 200, body = DeadLetterPage, description = "One page, and where the next begins"),
        (status = 422, body = Problem)))]
pub(super) async fn list_dead_letters(
    State(app): State<App>,
    actor: Actor,
    uri: axum::http::Uri,
) -> Result<axum::Json<DeadLetterPage>, Failure> {
    let Query(paging) = Query::try_from_uri(&uri).map_err(|e| Error::invalid("query", e.body_text()))?;
    let (after, limit) = read(&paging)?;
    // One more than the page holds says whether there is another.
    let mut dead_letters = app.store.list_dead_letters(after, limit + 1).await?;
    // The newest are on the first page. A program that reads them is nobody who sees to it.
    if after.is_none() && actor.role != Role::Machine {
        app.store.see_dead_letters().await?;
    }
    let more = dead_letters.len() > limit as usize;
    dead_letters.truncate(limit as usize);
    let next = dead_letters.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(axum::Json(DeadLetterPage { count: app.store.count_dead_letters().await?, dead_letters, next }))
}

fn read(paging: &Paging) -> Result<(Option<i64>, u32), Error> {
    let after = paging.cursor.as_ref().map(|text| text.parse()).transpose();
    let after = after.map_err(|_| Error::invalid("cursor", "is not one that a page gave as `next`"))?;
    let limit = paging.limit.as_ref().map_or(Ok(LIMIT), |text| text.parse());
    let limit = limit.ok().filter(|n| (1..=LIMIT_MAX).contains(n));
    let limit = limit.ok_or_else(|| Error::invalid("limit", format!("allowed: 1 to {LIMIT_MAX}")))?;
    Ok((after, limit))
}

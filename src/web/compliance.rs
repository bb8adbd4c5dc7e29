//! Patrol duty (巡查履职): as JSON, and as a table.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

use super::access::Actor;
use super::app::App;
use super::pages::query::DutyQuery;
use super::problem::{Failure, Problem};
use super::timeline::as_document;
use crate::clock::beijing;
use crate::document::{Format, duty};
use crate::error::{Error, Result};
use crate::patrol::duty::Compliance;

/// Every sector in every duty window: whether it was walked, by whom and when, which waypoints were reached and how, what
/// excuses it (请假, 恶劣天气), and what the supervisor should look at. A window counts by the patrol's own times, with the
/// phone clock's offset taken off; what came later is `late` (迟传). `/api/v1/compliance.csv` is the same as a table.
#[utoipa::path(get, path = "/api/v1/compliance", tag = "patrols",
    params(("from" = Option<String>, Query, description = "First day (2026-07-01, 北京时间); default: a week up to `to`"),
        ("to" = Option<String>, Query, description = "Last day, inclusive; default: today; at most 92 days after `from`"),
        ("sector" = Option<String>, Query),
        ("person" = Option<String>, Query, description = "Opaque id: rows in which that person was on duty or walked")),
    responses((status = 200, body = Compliance), (status = 422, body = Problem)))]
pub(super) async fn get_compliance(
    State(app): State<App>,
    query: Result<Query<DutyQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    Ok(axum::Json(compliance(&app, &asked(query)?).await?).into_response())
}

/// The address of the table, described by the list's own filter.
pub(super) fn exports(api: &OpenApi) -> Vec<(String, PathItem)> {
    vec![as_document(api, "/api/v1/compliance", Format::Csv)]
}

/// The table; the export is an entry of the log.
pub(super) async fn export_compliance(
    State(app): State<App>,
    actor: Actor,
    query: Result<Query<DutyQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let (context, query, by) = (app.clone(), asked(query)?, actor.id.clone());
    let work = async move {
        let App { store, place, .. } = &context;
        let shown = compliance(&context, &query).await?;
        let mut csv = Vec::new();
        duty::write_csv(&shown, place, &mut csv)?;
        let sha256 = Sha256::digest(&csv).into();
        let words = duty::filter_words(&shown.filter, place);
        let receipt = store.add_export(Format::Csv.word(), sha256, shown.log_size, words, by).await?;
        Ok((receipt, csv))
    };
    let (receipt, csv) = app.documents.make(&actor.id, work).await?;
    let headers = [
        (header::CONTENT_TYPE, Format::Csv.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"jijia-duty-{}.csv\"", receipt.index)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, csv).into_response())
}

/// The query, if it reads.
pub(super) fn asked(query: Result<Query<DutyQuery>, QueryRejection>) -> Result<DutyQuery> {
    query.map(|Query(q)| q).map_err(|e| Error::invalid("query", e.body_text()))
}

/// What page, API and table show.
pub(super) async fn compliance(app: &App, query: &DutyQuery) -> Result<Compliance> {
    let filter = query.filter(beijing(app.store.clock().now()).date())?;
    let roster = app.roster().await;
    app.store.get_compliance(&filter, &app.place, &app.rules, (&roster, app.settings.duty)).await
}

//! The timeline: pages of it as JSON, the whole as a document.

use std::path::Path;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Parameter, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::access::Actor;
use super::app::App;
use super::pages::query::{Order, TimelineQuery};
use super::problem::{Failure, Problem};
use crate::document::Format;
use crate::document::export::export;
use crate::error::Error;
use crate::evidence::timeline::Page;

/// Sightings of one page.
const LIMIT: u32 = 50;
/// Most that may be asked for.
const LIMIT_MAX: u32 = 200;

/// Sightings with what belongs to them, newest first, and the gaps and rain days between them (derived, without
/// entries). The same filter gives a document under `/api/v1/timeline.docx`, `.pdf`, `.xlsx`, `.csv`, `.geojson`.
#[utoipa::path(get, path = "/api/v1/timeline", tag = "timeline",
    params(("outfall" = Option<String>, Query), ("sector" = Option<String>, Query), ("unit" = Option<String>, Query),
        ("kind" = Option<crate::patrol::ReportKind>, Query), ("patrol" = Option<uuid::Uuid>, Query),
        ("from" = Option<String>, Query, description = "Day (北京时间) or RFC 3339 instant, inclusive"),
        ("to" = Option<String>, Query, description = "Day, inclusive, or RFC 3339 instant, exclusive"),
        ("datetime" = Option<String>, Query, description = "Instant, or interval `a/b`, both ends inclusive, `..` for an \
            open one (OGC API Features); instead of from and to"),
        ("bbox" = Option<String>, Query, description = "west,south,east,north; WGS-84 degrees"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50")),
    responses((status = 200, body = Page, description = "One page, and where the next begins"),
        (status = 422, body = Problem)))]
pub(super) async fn list_timeline(
    State(app): State<App>,
    actor: Actor,
    uri: axum::http::Uri,
) -> Result<Response, Failure> {
    let (query, limit) = split_limit(&uri)?;
    if query.order()? != Order::NewestFirst {
        return Err(Error::invalid("order", "the API pages from the newest; allowed: desc").into());
    }
    let mut filter = query.filter()?;
    actor.narrow(&mut filter)?;
    let page = app.store.list_timeline(&filter, query.after()?, limit, &app.place, &app.rules).await?;
    Ok(axum::Json(page).into_response())
}

/// The limit stands beside the filter's own names, which are strict.
fn split_limit(uri: &axum::http::Uri) -> Result<(TimelineQuery, u32), Error> {
    let (query, limit) = split(uri, "limit")?;
    let limit = limit.map_or(Ok(LIMIT), |text| text.parse());
    let limit = limit.ok().filter(|n| (1..=LIMIT_MAX).contains(n));
    let limit = limit.ok_or_else(|| Error::invalid("limit", format!("allowed: 1 to {LIMIT_MAX}")))?;
    Ok((query, limit))
}

/// The filter, and one parameter that is not of it.
pub(super) fn split(uri: &axum::http::Uri, own: &str) -> Result<(TimelineQuery, Option<String>), Error> {
    let text = uri.query().unwrap_or_default();
    let value = |p: &str| p.strip_prefix(own).and_then(|p| p.strip_prefix('=')).map(str::to_owned);
    let (found, rest): (Vec<&str>, Vec<&str>) = text.split('&').partition(|p| value(p).is_some());
    let rest = rest.join("&");
    let uri: axum::http::Uri =
        format!("/?{rest}").parse().map_err(|_| Error::invalid("query", "cannot be read as an address"))?;
    let Query(query) = Query::try_from_uri(&uri).map_err(|e| Error::invalid("query", e.body_text()))?;
    Ok((query, found.last().and_then(|p| value(p))))
}

/// The addresses of the documents, described by the timeline's own filter.
pub(super) fn exports(api: &OpenApi) -> Vec<(String, PathItem)> {
    Format::ALL.map(|format| as_document(api, "/api/v1/timeline", format)).into()
}

/// The address of the list at `path` as a document, described by the list's own filter.
pub(super) fn as_document(api: &OpenApi, path: &str, format: Format) -> (String, PathItem) {
    let ending = format.word();
    let mut item = api.paths.paths.get(path).and_then(|p| p.get.clone()).unwrap_or_default();
    let noun = path.rsplit('/').next().unwrap_or_default();
    item.summary = Some(format!("The {noun} as a document (.{ending}); the export is an entry of the log."));
    item.description = None;
    item.operation_id = Some(format!("export_{noun}_{ending}"));
    item.parameters = item.parameters.map(|all| all.into_iter().filter(|p| !is_paging(p)).collect());
    let file = utoipa::openapi::Response::builder()
        .description("The file")
        .content(format.media_type(), utoipa::openapi::Content::builder().build());
    item.responses.responses.insert("200".into(), RefOr::T(file.build()));
    (format!("{path}.{ending}"), PathItem::new(HttpMethod::Get, item))
}

fn is_paging(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(p) if ["cursor", "limit"].contains(&p.name.as_str()))
}

/// The timeline as a document; the export is an entry of the log.
pub(super) async fn export_timeline(
    State(app): State<App>,
    actor: Actor,
    uri: axum::http::Uri,
) -> Result<Response, Failure> {
    let (query, _) = split_limit(&uri)?;
    let format = Format::of(Path::new(uri.path()))?;
    let mut filter = query.filter()?;
    actor.narrow(&mut filter)?;
    let (context, by) = (app.clone(), actor.id.clone());
    let work = async move {
        let App { store, place, rules, settings, .. } = context;
        let folder = store.temporary_folder().await?;
        let file = folder.path().join(format!("timeline.{}", format.word()));
        let receipt = export(&store, &place, &rules, &settings.office, &filter, file.clone(), by).await?;
        Ok((receipt, tokio::fs::read(&file).await?))
    };
    let (receipt, bytes) = app.documents.make(&actor.id, work).await?;
    let name = format!("attachment; filename=\"jijia-timeline-{}.{}\"", receipt.index, format.word());
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, bytes).into_response())
}

/// The answer to whoever asks for the head of a document alone.
pub(super) async fn no_head() -> (StatusCode, [(header::HeaderName, &'static str); 1]) {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")])
}

/// The log's head.
#[derive(Serialize, ToSchema)]
pub(super) struct HeadBody {
    /// Entries.
    log_size: u64,
    /// RFC 6962 root over them, hex.
    log_root: String,
}

/// How large the log is: pages ask it to know whether something is new.
#[utoipa::path(get, path = "/api/v1/head", tag = "log", responses((status = 200, body = HeadBody)))]
pub(super) async fn get_head(State(app): State<App>) -> Result<Response, Failure> {
    let head = app.store.log_head().await?;
    let body = HeadBody { log_size: head.size, log_root: hex::encode(head.root) };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

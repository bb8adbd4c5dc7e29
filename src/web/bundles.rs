//! Bundles: made once, kept for some days, fetched in pieces by whoever was given the address.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa::ToSchema;

use super::access::Actor;
use super::app::App;
use super::problem::{Failure, Problem};
use super::timeline::split;
use crate::document::bundle::{self, Bundle, Desk};
use crate::error::{Error, Result};
use crate::evidence::bundle::Photos;
use crate::evidence::entry::Receipt;
use crate::evidence::timeline::Filter;

/// A bundle that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct BundleBody {
    /// SHA-256 of its manifest, hex, as its own entry says.
    id: String,
    /// Where it can be fetched for some days.
    href: String,
    /// Its length.
    bytes: u64,
    /// Its own entry.
    receipt: Receipt,
}

/// Makes the bundle (证据包) of a timeline, by the same filter. Takes as long as its documents take; it is finished
/// also if the client leaves. Its format is described at `jijia verify --help`.
#[utoipa::path(post, path = "/api/v1/bundles", tag = "bundles",
    params(("outfall" = Option<String>, Query), ("sector" = Option<String>, Query), ("unit" = Option<String>, Query),
        ("kind" = Option<crate::patrol::ReportKind>, Query), ("patrol" = Option<uuid::Uuid>, Query),
        ("from" = Option<String>, Query, description = "Day (北京时间) or RFC 3339 instant, inclusive"),
        ("to" = Option<String>, Query, description = "Day, inclusive, or RFC 3339 instant, exclusive"),
        ("bbox" = Option<String>, Query, description = "west,south,east,north; WGS-84 degrees"),
        ("photos" = Option<String>, Query, description = "`copies` (default: re-encoded, without metadata) or \
            `originals` (the sealed bytes, with what the camera wrote into them)")),
    responses((status = 201, body = BundleBody), (status = 409, body = Problem, description = "The log cannot be signed"),
        (status = 422, body = Problem), (status = 507, body = Problem)))]
pub(super) async fn add_bundle(State(app): State<App>, actor: Actor, uri: Uri) -> Result<Response, Failure> {
    let made = make(&app, &actor, &uri).await?;
    let href = href(&made);
    let location = [(header::LOCATION, href.clone())];
    let body = BundleBody { id: made.id, href, bytes: made.bytes, receipt: made.receipt };
    Ok((StatusCode::CREATED, location, axum::Json(body)).into_response())
}

/// The page's button: the same, and the browser goes on to the file.
pub(super) async fn bundle_from_page(
    State(app): State<App>,
    actor: Actor,
    uri: Uri,
) -> Result<Redirect, Failure> {
    Ok(Redirect::to(&href(&make(&app, &actor, &uri).await?)))
}

fn href(made: &Bundle) -> String {
    format!("/api/v1/bundles/{}", made.id)
}

async fn make(app: &App, actor: &Actor, uri: &Uri) -> Result<Bundle> {
    let (mut filter, photos) = asked(uri)?;
    actor.narrow(&mut filter)?;
    let (desk, keep) = (desk(app, actor.id.clone()), app.settings.keep_bundles);
    // In a task of its own: a client that leaves must not tear it.
    let work = async move {
        bundle::remove_old(&desk.store, keep).await?;
        bundle::keep(&desk, &filter, photos).await
    };
    tokio::spawn(work).await.map_err(|e| Error::Internal(e.to_string()))?
}

fn asked(uri: &Uri) -> Result<(Filter, Photos)> {
    let (query, photos) = split(uri, "photos")?;
    let photos = match photos.as_deref() {
        None | Some("copies") => Photos::Copies,
        Some("originals") => Photos::Originals,
        Some(_) => return Err(Error::invalid("photos", "allowed: copies, originals")),
    };
    Ok((query.filter()?, photos))
}

fn desk(app: &App, by: String) -> Desk {
    Desk {
        store: app.store.clone(),
        publisher: app.publisher.clone(),
        place: app.place.clone(),
        rules: app.rules.clone(),
        office: app.settings.office.clone(),
        by: Some(by),
    }
}

/// The bundle. `Range` and `If-Range` are understood: a broken download goes on where it broke off.
#[utoipa::path(get, path = "/api/v1/bundles/{id}", tag = "bundles",
    params(("id" = String, Path), ("range" = Option<String>, Header), ("if-range" = Option<String>, Header)),
    responses((status = 200, content_type = "application/zip", description = "The file"),
        (status = 206, content_type = "application/zip", description = "A piece of it"),
        (status = 404, body = Problem), (status = 416, description = "The range lies outside the file")))]
pub(super) async fn get_bundle(
    State(app): State<App>,
    Path(id): Path<String>,
    mut request: Request,
) -> Result<Response, Failure> {
    let path = bundle::kept(&app.store, &id).await?;
    let path =
        path.ok_or_else(|| Error::NotFound(format!("bundle {id}: none, or no longer kept; make it again")))?;
    // What lies under an id never changes.
    let tag = HeaderValue::from_str(&format!("\"{id}\"")).map_err(|e| Error::Internal(e.to_string()))?;
    let headers = request.headers_mut();
    if headers.get(header::IF_RANGE).is_some_and(|known| *known != tag) {
        headers.remove(header::RANGE);
    }
    let served = ServeFile::new(path).oneshot(request).await;
    let mut response = served.unwrap_or_else(|never| match never {}).map(Body::new);
    let name = format!("attachment; filename=\"jijia-bundle-{}.zip\"", id.get(..12).unwrap_or_default());
    let name = HeaderValue::from_str(&name).map_err(|e| Error::Internal(e.to_string()))?;
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::CONTENT_DISPOSITION, name);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    Ok(response)
}

//! Bundles: made once, kept for some days, fetched in pieces by whoever reaches as far as they do.

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::Actor;
use super::app::App;
use super::problem::{Failure, Problem};
use super::sealed::serve_file;
use super::timeline::split;
use crate::document::bundle::{self, Bundle, Desk};
use crate::error::{Error, Result};
use crate::evidence::bundle::Photos;
use crate::evidence::entry::Receipt;
use crate::evidence::timeline::Filter;
use crate::store::people::Looked;

/// A bundle that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct BundleBody {
    /// Random; in no entry.
    id: Uuid,
    /// SHA-256 of its manifest, hex, as its own entry says.
    manifest_sha256: String,
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
        (status = 422, body = Problem), (status = 429, body = Problem, description = "Others are being made: `Retry-After`"),
        (status = 507, body = Problem)))]
pub(super) async fn add_bundle(State(app): State<App>, actor: Actor, uri: Uri) -> Result<Response, Failure> {
    let (id, made) = make(&app, &actor, &uri).await?;
    let href = href(id);
    let location = [(header::LOCATION, href.clone())];
    let Bundle { manifest_sha256, receipt, bytes } = made;
    let body = BundleBody { id, manifest_sha256, href, bytes, receipt };
    Ok((StatusCode::CREATED, location, axum::Json(body)).into_response())
}

/// The page's button: the same, and the browser goes on to the file.
pub(super) async fn bundle_from_page(
    State(app): State<App>,
    actor: Actor,
    uri: Uri,
) -> Result<Redirect, Failure> {
    Ok(Redirect::to(&href(make(&app, &actor, &uri).await?.0)))
}

fn href(id: Uuid) -> String {
    format!("/api/v1/bundles/{id}")
}

async fn make(app: &App, actor: &Actor, uri: &Uri) -> Result<(Uuid, Bundle)> {
    let (mut filter, photos) = asked(uri)?;
    actor.narrow(&mut filter)?;
    actor.check_photos(photos)?;
    let (desk, keep) = (desk(app, actor.id.clone()), app.settings.keep_bundles);
    let work = async move {
        bundle::remove_old(&desk.store, keep).await?;
        let made = bundle::keep(&desk, &filter, photos).await?;
        // The new one counts, too.
        bundle::remove_old(&desk.store, keep).await?;
        Ok(made)
    };
    app.documents.make(&actor.id, work).await
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
        by,
    }
}

/// As if there were none, too, for whoever does not reach so far.
pub(super) fn no_bundle(id: &str) -> Error {
    Error::NotFound(format!("bundle {id}: none, or no longer kept; make it again"))
}

/// The bundle, for whoever reaches as far as it does, now. With originals each fetch is an entry, one an hour. `Range` and `If-Range` are understood: a broken download goes on where it broke off.
#[utoipa::path(get, path = "/api/v1/bundles/{id}", tag = "bundles",
    params(("id" = String, Path), ("Range" = Option<String>, Header, description = "`bytes=0-`"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` of the part that is there")),
    responses((status = 200, content_type = "application/zip", description = "The file"),
        (status = 206, content_type = "application/zip", description = "A piece of it"),
        (status = 404, body = Problem), (status = 416, description = "The range lies outside the file")))]
pub(super) async fn get_bundle(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    mut parts: Parts,
) -> Result<Response, Failure> {
    let kept = bundle::find_kept(&app.store, &id).await?;
    let (kept, path) = kept.ok_or_else(|| no_bundle(&id))?;
    actor.check_bundle(&id, &kept)?;
    if kept.photos == Photos::Originals {
        app.store.add_access(actor.id, Looked::Bundle, kept.manifest_sha256).await?;
    }
    // What lies under an id never changes.
    let tag = HeaderValue::from_str(&format!("\"{id}\"")).map_err(|e| Error::Internal(e.to_string()))?;
    let headers = &mut parts.headers;
    if headers.get(header::IF_RANGE).is_some_and(|known| *known != tag) {
        headers.remove(header::RANGE);
    }
    let mut response = serve_file(path, &parts).await?;
    let name = format!("attachment; filename=\"jijia-bundle-{}.zip\"", id.get(..12).unwrap_or_default());
    let name = HeaderValue::from_str(&name).map_err(|e| Error::Internal(e.to_string()))?;
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::CONTENT_DISPOSITION, name);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

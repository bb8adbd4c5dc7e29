//! Photos by hash, their copies for viewers, and their originals for few.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::access::Actor;
use super::app::App;
use super::problem::{Failure, Problem};
use super::sealed::{first_receipt, look, take};
use crate::error::Error;
use crate::evidence::entry::{Receipt, Sealed};
use crate::store::people::Looked;

/// Takes a photo, in one go or in pieces. The bytes are sealed as they came, once all are here and have the hash of the
/// address. What came of a body that broke off stays: ask by HEAD where to go on, and send the rest with
/// `Upload-Offset` and `Upload-Length`. Without these two the body is the whole photo.
#[utoipa::path(put, path = "/api/v1/photos/{sha256}", tag = "photos", params(("sha256" = String, Path),
        ("Upload-Offset" = Option<u64>, Header, description = "Where this piece begins: what HEAD said"),
        ("Upload-Length" = Option<u64>, Header, description = "Length of the whole photo, bytes")),
    request_body(content_type = "image/*", description = "JPEG, PNG, WebP or HEIC, the original bytes"),
    responses((status = 201, body = Receipt), (status = 200, body = Receipt),
        (status = 204, description = "The piece is durable; `Upload-Offset` says where the next begins"),
        (status = 409, body = Problem, description = "Not the next byte: `Upload-Offset` says which is; or a newer request \
            for this photo has taken over"),
        (status = 410, body = Problem, description = "已依法删除"),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem, description = "Not the bytes of this hash, or no photo; nothing of it is kept"),
        (status = 503, body = Problem, description = "No byte came for a while: go on where HEAD says")))]
pub(super) async fn put_photo(
    State(app): State<App>,
    actor: Actor,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    take(&app, &actor, Sealed::Photo, &sha256, &headers, body).await
}

/// How much of a photo is here: what a phone asks before it goes on.
#[utoipa::path(head, path = "/api/v1/photos/{sha256}", tag = "photos", params(("sha256" = String, Path)),
    responses((status = 200, description = "All of it, sealed: `Upload-Complete: ?1`"),
        (status = 204, description = "`Upload-Offset` bytes of it are durable, from 0"),
        (status = 404, description = "No SHA-256"), (status = 410, description = "已依法删除")))]
pub(super) async fn head_photo(
    State(app): State<App>,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    look(&app, Sealed::Photo, &sha256).await
}

/// The first receipt of a sealed photo.
#[utoipa::path(get, path = "/api/v1/photos/{sha256}/receipt", tag = "photos", params(("sha256" = String, Path)),
    responses((status = 200, body = Receipt), (status = 404, body = Problem, description = "Has not come, or not all")))]
pub(super) async fn get_photo_receipt(
    State(app): State<App>,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    first_receipt(&app, Sealed::Photo, &sha256).await
}

/// The sealed original, byte for byte. That somebody looked at it is an entry of the log.
#[utoipa::path(get, path = "/api/v1/photos/{sha256}", tag = "photos", params(("sha256" = String, Path)),
    responses((status = 200, content_type = "image/*", description = "The original"),
        (status = 404, body = Problem), (status = 410, body = Problem, description = "已依法删除")))]
pub(super) async fn get_photo(
    State(app): State<App>,
    actor: Actor,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    let photo = actor.find_original(&app, Sealed::Photo, &sha256).await?;
    app.store.add_access(actor.id, Looked::Original, sha256.clone()).await?;
    let file = format!("attachment; filename=\"{sha256}\"");
    // What was shown under an entry is not shown again without one.
    send(app.store.original_path(&sha256), photo.media_type, Some(file), "no-store").await
}

/// The viewers' copy: JPEG, long edge at most 1000, without any metadata. HEIC has none.
#[utoipa::path(get, path = "/api/v1/photos/{sha256}/preview", tag = "photos", params(("sha256" = String, Path)),
    responses((status = 200, content_type = "image/jpeg", description = "The copy"),
        (status = 404, body = Problem), (status = 410, body = Problem, description = "已依法删除")))]
pub(super) async fn get_preview(
    State(app): State<App>,
    actor: Actor,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    if !actor.find_photo(&app, &sha256).await?.preview {
        return Err(Error::NotFound(format!("preview of {sha256}: HEIC is sealed and has no preview")).into());
    }
    let kept = "private, max-age=31536000, immutable";
    send(app.store.preview_path(&sha256), "image/jpeg".into(), None, kept).await
}

async fn send(
    path: std::path::PathBuf,
    media_type: String,
    disposition: Option<String>,
    cache: &'static str,
) -> Result<Response, Failure> {
    let bytes = tokio::fs::read(path).await.map_err(Error::from)?;
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    let disposition = disposition.map(|d| [(header::CONTENT_DISPOSITION, d)]);
    Ok((headers, disposition, bytes).into_response())
}

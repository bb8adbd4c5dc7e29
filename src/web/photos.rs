//! Photos by hash: before, with or after their report, any number of times.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::app::{App, discard, plain_encoding};
use super::problem::{Failure, Problem};
use super::reports::receipt;
use crate::error::Error;
use crate::evidence::entry::Receipt;
use crate::patrol::report::check_sha256;
use crate::store::Upload;

/// Takes a photo. The bytes are sealed as they came; nothing is kept of a body that breaks off or has another hash.
#[utoipa::path(put, path = "/api/v1/photos/{sha256}", tag = "photos", params(("sha256" = String, Path)),
    request_body(content_type = "image/*", description = "JPEG, PNG, WebP or HEIC, the original bytes"),
    responses((status = 201, body = Receipt), (status = 200, body = Receipt),
        (status = 410, body = Problem, description = "已依法删除"),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem, description = "No byte came for a while: send it again")))]
pub(super) async fn put_photo(
    State(app): State<App>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut pieces = body.into_data_stream();
    match take(&app, &sha256, &headers, &mut pieces).await {
        Ok(upload) => {
            let added = app.store.add_photo(upload, &sha256, app.settings.photos).await?;
            Ok(receipt(added, format!("/api/v1/photos/{sha256}")))
        }
        // Nothing comes any more: there is nothing to hear out.
        Err(error @ Error::Unavailable(_)) => Err(error.into()),
        Err(error) => {
            discard(pieces).await;
            Err(error.into())
        }
    }
}

/// The bytes in a temporary file, as far as nothing speaks against them.
async fn take(
    app: &App,
    sha256: &str,
    headers: &HeaderMap,
    pieces: &mut BodyDataStream,
) -> Result<Upload, Error> {
    plain_encoding(headers)?;
    check_sha256(sha256).map_err(|e| e.under("sha256"))?;
    let mut upload = app.store.begin_upload(app.settings.photos.max_bytes)?;
    let idle = app.settings.photo_idle_timeout;
    while let Some(piece) = timeout(idle, pieces.next()).await.map_err(|_| stopped(idle))? {
        upload.write(&piece.map_err(|_| Error::invalid("photo", "broke off; send it again"))?)?;
    }
    Ok(upload)
}

fn stopped(idle: Duration) -> Error {
    Error::Unavailable(format!("no byte of the photo came for {} s; send it again", idle.as_secs()))
}

/// The sealed original, byte for byte.
#[utoipa::path(get, path = "/api/v1/photos/{sha256}", tag = "photos", params(("sha256" = String, Path)),
    responses((status = 200, content_type = "image/*", description = "The original"),
        (status = 404, body = Problem), (status = 410, body = Problem, description = "已依法删除")))]
pub(super) async fn get_photo(
    State(app): State<App>,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    let photo = found(&app, &sha256).await?;
    let file = format!("attachment; filename=\"{sha256}\"");
    send(app.store.original_path(&sha256), photo.media_type, Some(file)).await
}

/// The viewers' copy: JPEG, long edge at most 1000, without any metadata. HEIC has none.
#[utoipa::path(get, path = "/api/v1/photos/{sha256}/preview", tag = "photos", params(("sha256" = String, Path)),
    responses((status = 200, content_type = "image/jpeg", description = "The copy"),
        (status = 404, body = Problem), (status = 410, body = Problem, description = "已依法删除")))]
pub(super) async fn get_preview(
    State(app): State<App>,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    if !found(&app, &sha256).await?.preview {
        return Err(Error::NotFound(format!("preview of {sha256}: HEIC is sealed and has no preview")).into());
    }
    send(app.store.preview_path(&sha256), "image/jpeg".into(), None).await
}

async fn found(app: &App, sha256: &str) -> Result<crate::store::StoredPhoto, Error> {
    check_sha256(sha256).map_err(|_| Error::NotFound(format!("photo {sha256}")))?;
    let found = app.store.find_photo(sha256).await?;
    let photo = found.ok_or_else(|| Error::NotFound(format!("photo {sha256}: has not come")))?;
    if photo.erased {
        return Err(Error::Gone(format!("photo {sha256} was erased by law (已依法删除)")));
    }
    Ok(photo)
}

async fn send(
    path: std::path::PathBuf,
    media_type: String,
    disposition: Option<String>,
) -> Result<Response, Failure> {
    let bytes = tokio::fs::read(path).await.map_err(Error::from)?;
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    let disposition = disposition.map(|d| [(header::CONTENT_DISPOSITION, d)]);
    Ok((headers, disposition, bytes).into_response())
}

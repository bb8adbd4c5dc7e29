//! Photos by hash: before, with or after their report, any number of times.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::access::Actor;
use super::app::{App, discard, plain_encoding};
use super::problem::{Failure, Problem};
use super::reports::receipt;
use crate::error::Error;
use crate::evidence::entry::Receipt;
use crate::patrol::report::check_sha256;
use crate::people::Reach;
use crate::store::people::Looked;
use crate::store::{StoredPhoto, Upload};

/// Where a piece begins, and how much of a photo is there; the header of both directions (as in the IETF's draft on
/// resumable uploads).
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// The length of the whole photo.
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// All of it is here, as a structured field (RFC 9651): `?1`.
const COMPLETE: HeaderName = HeaderName::from_static("upload-complete");

/// A piece of a photo, where the request is for one.
struct Piece {
    offset: u64,
    length: u64,
}

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
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut pieces = body.into_data_stream();
    match put(&app, &sha256, &headers, &mut pieces).await {
        Ok(response) => {
            discard(pieces).await;
            Ok(response)
        }
        // Nothing comes any more: there is nothing to hear out.
        Err(error @ Error::Unavailable(_)) => Err(error.into()),
        Err(error) => {
            discard(pieces).await;
            Err(error.into())
        }
    }
}

async fn put(
    app: &App,
    sha256: &str,
    headers: &HeaderMap,
    pieces: &mut BodyDataStream,
) -> Result<Response, Error> {
    plain_encoding(headers)?;
    check_sha256(sha256).map_err(|e| e.under("sha256"))?;
    let piece = piece(headers)?;
    let location = format!("/api/v1/photos/{sha256}");
    not_erased(app, sha256).await?;
    let mut upload = app.store.resume_upload(sha256, app.settings.photos.max_bytes).await?;
    // Under the claim: a request that was broken off may come to its handler after the one that brought the rest.
    let known = app.store.find_photo_receipt(sha256).await?;
    match (&piece, known) {
        (Some(_), Some(known)) => {
            upload.discard()?;
            return Ok(receipt(known, location));
        }
        (Some(piece), None) if piece.offset != upload.offset() => {
            return Ok(elsewhere(upload.sync().await?));
        }
        (Some(_), None) => {}
        (None, known) => {
            upload.restart()?;
            // A part of what is sealed already is of no use to anybody.
            upload.keep_part(known.is_none());
        }
    }
    let upload = take(app, upload, piece.as_ref(), pieces).await?;
    if piece.is_some_and(|p| upload.offset() < p.length) {
        let offset = upload.sync().await?;
        return Ok((StatusCode::NO_CONTENT, [(OFFSET, offset.to_string())]).into_response());
    }
    let added = app.store.add_photo(upload, sha256, app.settings.photos).await?;
    Ok(receipt(added, location))
}

/// What the headers say of a piece.
fn piece(headers: &HeaderMap) -> Result<Option<Piece>, Error> {
    let number = |name: &HeaderName| {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| Error::invalid(name.as_str(), "must be a number of bytes"))
    };
    match (number(&OFFSET)?, number(&LENGTH)?) {
        (Some(offset), Some(length)) => Ok(Some(Piece { offset, length })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::invalid(LENGTH.as_str(), "is missing beside upload-offset")),
        (None, Some(_)) => Err(Error::invalid(OFFSET.as_str(), "is missing beside upload-length")),
    }
}

/// The answer to a piece that does not begin where the photo ends.
fn elsewhere(offset: u64) -> Response {
    let error = Error::Conflict(format!("the next byte of this photo is {offset}; send from there"));
    let mut response = Failure(error).into_response();
    response.headers_mut().insert(OFFSET, offset.into());
    response
}

/// Takes what comes, as far as nothing speaks against it. What broke off stays for the next try; what can never become
/// the photo goes.
async fn take(
    app: &App,
    mut upload: Upload,
    piece: Option<&Piece>,
    pieces: &mut BodyDataStream,
) -> Result<Upload, Error> {
    let idle = app.settings.photo_idle_timeout;
    let length = piece.map_or(u64::MAX, |p| p.length);
    while let Some(bytes) = timeout(idle, pieces.next()).await.map_err(|_| stopped(idle))? {
        let written = upload.write(&bytes.map_err(|_| Error::invalid("photo", "broke off; go on with it"))?);
        let written = match written {
            Ok(()) if upload.offset() > length => {
                Err(Error::invalid(LENGTH.as_str(), format!("says {length} bytes, and more came")))
            }
            written => written,
        };
        match written {
            Ok(()) => {}
            Err(wrong @ (Error::TooLarge { .. } | Error::Invalid { .. })) => {
                return upload.discard().and(Err(wrong));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(upload)
}

fn stopped(idle: Duration) -> Error {
    Error::Unavailable(format!("no byte of the photo came for {} s; send it again", idle.as_secs()))
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
    check_sha256(&sha256).map_err(|_| Error::NotFound(format!("photo {sha256}")))?;
    not_erased(&app, &sha256).await?;
    let no_store = (header::CACHE_CONTROL, "no-store".to_owned());
    if app.store.find_photo(&sha256).await?.is_some() {
        return Ok([(COMPLETE, "?1".to_owned()), no_store].into_response());
    }
    let offset = app.store.upload_offset(&sha256).await?.to_string();
    let headers = [(OFFSET, offset), (COMPLETE, "?0".to_owned()), no_store];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

async fn not_erased(app: &App, sha256: &str) -> Result<(), Error> {
    match app.store.find_photo(sha256).await? {
        Some(photo) if photo.erased => Err(erased(sha256)),
        _ => Ok(()),
    }
}

fn erased(sha256: &str) -> Error {
    Error::Gone(format!("photo {sha256} was erased by law (已依法删除)"))
}

/// The first receipt of a sealed photo.
#[utoipa::path(get, path = "/api/v1/photos/{sha256}/receipt", tag = "photos", params(("sha256" = String, Path)),
    responses((status = 200, body = Receipt), (status = 404, body = Problem, description = "Has not come, or not all")))]
pub(super) async fn get_photo_receipt(
    State(app): State<App>,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    let missing = || Error::NotFound(format!("photo {sha256}: has not come"));
    check_sha256(&sha256).map_err(|_| missing())?;
    let known = app.store.find_photo_receipt(&sha256).await?.ok_or_else(missing)?;
    Ok(receipt(known, format!("/api/v1/photos/{sha256}")))
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
    let photo = found(&app, &actor, &sha256).await?;
    app.store.add_access(actor.id, Looked::Original, sha256.clone()).await?;
    let file = format!("attachment; filename=\"{sha256}\"");
    send(app.store.original_path(&sha256), photo.media_type, Some(file)).await
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
    if !found(&app, &actor, &sha256).await?.preview {
        return Err(Error::NotFound(format!("preview of {sha256}: HEIC is sealed and has no preview")).into());
    }
    send(app.store.preview_path(&sha256), "image/jpeg".into(), None).await
}

/// A photo, if it has come and `actor` may see it.
async fn found(app: &App, actor: &Actor, sha256: &str) -> Result<StoredPhoto, Error> {
    check_sha256(sha256).map_err(|_| Error::NotFound(format!("photo {sha256}")))?;
    if actor.reach == Reach::Unit {
        let outfalls = app.store.list_photo_outfalls(sha256).await?;
        let own = app.place.outfalls.iter().any(|o| o.unit == actor.unit && outfalls.contains(&o.code));
        if !own || actor.unit.is_none() {
            return Err(Error::NotFound(format!("photo {sha256}: has not come")));
        }
    }
    let found = app.store.find_photo(sha256).await?;
    let photo = found.ok_or_else(|| Error::NotFound(format!("photo {sha256}: has not come")))?;
    if photo.erased { Err(erased(sha256)) } else { Ok(photo) }
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

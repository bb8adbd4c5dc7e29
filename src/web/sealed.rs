//! Sealed files by hash, photos and voice notes alike: before, with or after their report, any number of times.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::time::timeout;
use tower_http::services::ServeFile;

use super::access::Actor;
use super::app::{App, plain_encoding};
use super::problem::Failure;
use super::reports::receipt;
use crate::error::{Error, Result};
use crate::evidence::entry::Sealed;
use crate::patrol::report::check_sha256;
use crate::patrol::voice;
use crate::store::{Upload, erased};

/// Where a piece begins, and how much of a file is there; the header of both directions (as in the IETF's draft on
/// resumable uploads).
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// The length of the whole.
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// All of it is here, as a structured field (RFC 9651): `?1`.
const COMPLETE: HeaderName = HeaderName::from_static("upload-complete");

/// A piece of a file, where the request is for one.
struct Piece {
    offset: u64,
    length: u64,
}

/// Takes a file, in one go or in pieces.
pub(super) async fn take(
    app: &App,
    actor: &Actor,
    kind: Sealed,
    sha256: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut pieces = body.into_data_stream();
    plain_encoding(headers)?;
    check_sha256(sha256).map_err(|e| e.under("sha256"))?;
    let piece = piece(headers)?;
    let location = address(kind, sha256);
    app.store.check_erased(kind, sha256).await?;
    let limit = match kind {
        Sealed::Photo => app.settings.photos.max_bytes,
        Sealed::Voice => voice::MAX_BYTES,
    };
    let mut upload = app.store.resume_upload(kind, sha256, limit).await?;
    upload.charge_to(&actor.id)?;
    // Under the claim: a request that was broken off may come to its handler after the one that brought the rest.
    let known = app.store.find_sealed_receipt(kind, sha256).await?;
    match (&piece, known) {
        (Some(_), Some(known)) => {
            upload.discard().await?;
            return Ok(receipt(known, location));
        }
        (Some(piece), None) if piece.offset != upload.offset() => {
            return Ok(elsewhere(kind, upload.sync().await?));
        }
        (Some(_), None) => {}
        (None, known) => {
            upload.restart().await?;
            // A part of what is sealed already is of no use to anybody.
            upload.keep_part(known.is_none());
        }
    }
    let upload = gather(app, kind, upload, piece.as_ref(), &mut pieces).await?;
    if piece.is_some_and(|p| upload.offset() < p.length) {
        let offset = upload.sync().await?;
        return Ok((StatusCode::NO_CONTENT, [(OFFSET, offset.to_string())]).into_response());
    }
    let added = match kind {
        Sealed::Photo => app.store.add_photo(upload, sha256, app.settings.photos, actor.id.clone()).await?,
        Sealed::Voice => app.store.add_voice(upload, sha256, actor.id.clone()).await?,
    };
    Ok(receipt(added, location))
}

fn address(kind: Sealed, sha256: &str) -> String {
    format!("/api/v1/{}/{sha256}", kind.folder())
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

/// The answer to a piece that does not begin where the file ends.
fn elsewhere(kind: Sealed, offset: u64) -> Response {
    let error = Error::Conflict(format!("the next byte of this {kind} is {offset}; send from there"));
    let mut response = Failure(error).into_response();
    response.headers_mut().insert(OFFSET, offset.into());
    response
}

/// Takes what comes, as far as nothing speaks against it. What broke off stays for the next try; what can never become
/// the whole goes.
async fn gather(
    app: &App,
    kind: Sealed,
    mut upload: Upload,
    piece: Option<&Piece>,
    pieces: &mut BodyDataStream,
) -> Result<Upload, Error> {
    let idle = app.settings.photo_idle_timeout;
    let length = piece.map_or(u64::MAX, |p| p.length);
    while let Some(bytes) = timeout(idle, pieces.next()).await.map_err(|_| stopped(kind, idle))? {
        let bytes = bytes.map_err(|_| Error::invalid(kind.as_str(), "broke off; go on with it"))?;
        let written = match upload.write(bytes).await {
            Ok(()) if upload.offset() > length => {
                Err(Error::invalid(LENGTH.as_str(), format!("says {length} bytes, and more came")))
            }
            written => written,
        };
        match written {
            Ok(()) => {}
            Err(wrong @ (Error::TooLarge { .. } | Error::Invalid { .. })) => {
                return upload.discard().await.and(Err(wrong));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(upload)
}

fn stopped(kind: Sealed, idle: Duration) -> Error {
    Error::Unavailable(format!("no byte of the {kind} came for {} s; send it again", idle.as_secs()))
}

/// How much of a file is here.
pub(super) async fn look(app: &App, kind: Sealed, sha256: &str) -> Result<Response, Failure> {
    check_sha256(sha256).map_err(|_| Error::NotFound(format!("{kind} {sha256}")))?;
    let no_store = (header::CACHE_CONTROL, "no-store".to_owned());
    match app.store.find_sealed(kind, sha256).await? {
        Some(file) if file.erased => Err(erased(kind, sha256).into()),
        Some(_) => Ok([(COMPLETE, "?1".to_owned()), no_store].into_response()),
        None => {
            let offset = app.store.upload_offset(sha256).await?.to_string();
            let headers = [(OFFSET, offset), (COMPLETE, "?0".to_owned()), no_store];
            Ok((StatusCode::NO_CONTENT, headers).into_response())
        }
    }
}

/// The first receipt of a sealed file.
pub(super) async fn first_receipt(app: &App, kind: Sealed, sha256: &str) -> Result<Response, Failure> {
    let missing = || has_not_come(kind, sha256);
    check_sha256(sha256).map_err(|_| missing())?;
    let known = app.store.find_stored_receipt(kind, sha256).await?.ok_or_else(missing)?;
    Ok(receipt(known, address(kind, sha256)))
}

pub(super) fn has_not_come(kind: Sealed, sha256: &str) -> Error {
    Error::NotFound(format!("{kind} {sha256}: has not come"))
}

/// A file, whole or by `Range`. No other condition is heard: nothing that goes this way may be kept by a browser, so nothing
/// that it asks about can be there still.
///
/// # Errors
/// Those of the disk.
pub(super) async fn serve_file(path: PathBuf, request: &Parts) -> Result<Response> {
    let mut asked = Request::new(Body::empty());
    asked.method_mut().clone_from(&request.method);
    if let Some(range) = request.headers.get(header::RANGE) {
        asked.headers_mut().insert(header::RANGE, range.clone());
    }
    Ok(ServeFile::new(path).try_call(asked).await?.map(Body::new))
}

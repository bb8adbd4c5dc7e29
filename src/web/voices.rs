//! Voice notes (语音) by hash. A person can be known by them: they are heard by those alone who may see originals.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::access::Actor;
use super::app::App;
use super::problem::{Failure, Problem};
use super::sealed::{first_receipt, look, serve_file, take};
use crate::error::Error;
use crate::evidence::entry::{Receipt, Sealed};
use crate::store::people::Looked;

/// Takes a voice note as photos are taken: in one go or in pieces, sealed as it came once all is here and has the hash of
/// the address. Nothing in it is decoded. What came of a body that broke off stays: ask by HEAD where to go on, and send the
/// rest with `Upload-Offset` and `Upload-Length`.
#[utoipa::path(put, path = "/api/v1/voices/{sha256}", tag = "voices", params(("sha256" = String, Path),
        ("Upload-Offset" = Option<u64>, Header, description = "Where this piece begins: what HEAD said"),
        ("Upload-Length" = Option<u64>, Header, description = "Length of the whole, bytes")),
    request_body(content_type = "audio/*", description = "WebM, Ogg or MP4, at most 2,000,000 bytes"),
    responses((status = 201, body = Receipt), (status = 200, body = Receipt),
        (status = 204, description = "The piece is durable; `Upload-Offset` says where the next begins"),
        (status = 409, body = Problem, description = "Not the next byte: `Upload-Offset` says which is; or a newer request \
            for these bytes has taken over"),
        (status = 410, body = Problem, description = "已依法删除"),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem, description = "Not the bytes of this hash; nothing of it is kept"),
        (status = 503, body = Problem, description = "No byte came for a while: go on where HEAD says")))]
pub(super) async fn put_voice(
    State(app): State<App>,
    actor: Actor,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    take(&app, &actor, Sealed::Voice, &sha256, &headers, body).await
}

/// How much of a voice note is here: what a phone asks before it goes on.
#[utoipa::path(head, path = "/api/v1/voices/{sha256}", tag = "voices", params(("sha256" = String, Path)),
    responses((status = 200, description = "All of it, sealed: `Upload-Complete: ?1`"),
        (status = 204, description = "`Upload-Offset` bytes of it are durable, from 0"),
        (status = 404, description = "No SHA-256"), (status = 410, description = "已依法删除")))]
pub(super) async fn head_voice(
    State(app): State<App>,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    look(&app, Sealed::Voice, &sha256).await
}

/// The first receipt of a sealed voice note.
#[utoipa::path(get, path = "/api/v1/voices/{sha256}/receipt", tag = "voices", params(("sha256" = String, Path)),
    responses((status = 200, body = Receipt), (status = 404, body = Problem, description = "Has not come, or not all")))]
pub(super) async fn get_voice_receipt(
    State(app): State<App>,
    Path(sha256): Path<String>,
) -> Result<Response, Failure> {
    first_receipt(&app, Sealed::Voice, &sha256).await
}

/// The sealed recording, byte for byte, whole or by `Range`, without which Safari plays nothing. That somebody listened is an
/// entry of the log, one an hour, and no browser keeps it to play it unseen.
#[utoipa::path(get, path = "/api/v1/voices/{sha256}", tag = "voices", params(("sha256" = String, Path),
        ("Range" = Option<String>, Header, description = "`bytes=0-`")),
    responses((status = 200, content_type = "audio/*", description = "All of it"),
        (status = 206, content_type = "audio/*", description = "The part asked for"),
        (status = 404, body = Problem), (status = 410, body = Problem, description = "已依法删除"),
        (status = 416, description = "No such part")))]
pub(super) async fn get_voice(
    State(app): State<App>,
    actor: Actor,
    Path(sha256): Path<String>,
    parts: Parts,
) -> Result<Response, Failure> {
    let voice = actor.find_original(&app, Sealed::Voice, &sha256).await?;
    app.store.add_access(actor.id, Looked::Voice, sha256.clone()).await?;
    let sent = serve_file(app.store.sealed_path(Sealed::Voice, &sha256), &parts).await?;
    if sent.status() == StatusCode::NOT_FOUND {
        return Err(
            Error::Internal(format!("the file of voice {sha256} is missing; run `jijia audit`")).into()
        );
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(|e| Error::Internal(e.to_string()));
    let headers = [
        (header::CONTENT_TYPE, value(&voice.media_type)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    ];
    Ok((headers, sent).into_response())
}

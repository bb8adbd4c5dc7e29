//! The rescue archive of a phone (导出未上传), brought by a desktop.

use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::access::Actor;
use super::app::{App, plain_encoding};
use super::problem::{Failure, Problem};
use crate::error::{Error, Result};
use crate::evidence::entry::Receipt;
use crate::patrol::outbox::{Limits, MEMBERS_MAX, Outbox};
use crate::store::{Door, Taken, off_thread};

/// What became of an archive.
#[derive(Serialize, ToSchema)]
pub(super) struct OutboxBody {
    /// Stored by this request.
    new: usize,
    /// Stored before.
    known: usize,
    /// Refused.
    refused: usize,
    /// Every member, patrols first, then reports, then photos, then voice notes.
    items: Vec<OutboxItem>,
}

/// What became of a member of an archive: a receipt or a problem.
#[derive(Serialize, ToSchema)]
pub(super) struct OutboxItem {
    /// Its name.
    member: String,
    /// This request stored it.
    new: bool,
    /// The receipt, the first one if it was stored before.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl OutboxItem {
    fn of(taken: Taken) -> Self {
        match taken.outcome {
            Ok(added) => {
                Self { member: taken.member, new: added.new, receipt: Some(added.receipt), problem: None }
            }
            Err(error) => {
                Self { member: taken.member, new: false, receipt: None, problem: Some(Problem::from(&error)) }
            }
        }
    }
}

/// Takes the archive that a phone made of what it had not sent (导出未上传). Its items go through the doors of single
/// submissions, each with its own receipt; one that is refused does not stop the others. Bringing it twice, or sending the
/// same later from the phone, gives the first receipts.
#[utoipa::path(post, path = "/api/v1/outbox", tag = "reports",
    request_body(content_type = "application/zip", description = "index.json (jijia-outbox-1), patrols/UUID.json, \
        reports/UUID.json, photos/SHA256, voices/SHA256"),
    responses((status = 200, body = OutboxBody, description = "Every member with its receipt or its problem"),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem, description = "The archive as a whole is refused; nothing was stored"),
        (status = 503, body = Problem, description = "No byte came for a while, or it could not be made durable: send it \
            again")))]
pub(super) async fn add_outbox(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut pieces = body.into_data_stream();
    let folder = app.store.temporary_folder().await?;
    let file = folder.path().join("outbox.zip");
    receive(&app, &headers, &mut pieces, &file).await?;
    let limits = Limits {
        max_members: MEMBERS_MAX,
        max_unfolded: app.settings.max_outbox_bytes,
        max_body: app.settings.max_body_bytes as u64,
        max_photo: app.settings.photos.max_bytes,
    };
    let outbox = off_thread(move || Outbox::open(&file, limits)).await?;
    let door = Door { place: &app.place, locator: &app.locator, photos: app.settings.photos, by: &actor.id };
    let taken = app.store.take_archive(outbox, door).await?;
    let items: Vec<OutboxItem> = taken.into_iter().map(OutboxItem::of).collect();
    let new = items.iter().filter(|i| i.new).count();
    let refused = items.iter().filter(|i| i.problem.is_some()).count();
    let said = OutboxBody { new, known: items.len() - new - refused, refused, items };
    Ok(axum::Json(said).into_response())
}

/// The body in a file, within the limit.
async fn receive(
    app: &App,
    headers: &HeaderMap,
    pieces: &mut BodyDataStream,
    file: &std::path::Path,
) -> Result<()> {
    plain_encoding(headers)?;
    let mut out = tokio::fs::File::create(file).await?;
    let (mut bytes, limit) = (0, app.settings.max_outbox_bytes);
    let idle = app.settings.photo_idle_timeout;
    let stopped = |_| Error::Unavailable(format!("no byte came for {} s; send it again", idle.as_secs()));
    while let Some(piece) = timeout(idle, pieces.next()).await.map_err(stopped)? {
        let piece = piece.map_err(|_| Error::invalid("archive", "broke off; send it again"))?;
        bytes += piece.len() as u64;
        if bytes > limit {
            return Err(Error::TooLarge {
                field: "archive".into(),
                message: format!("allowed: {limit} bytes"),
            });
        }
        out.write_all(&piece).await?;
    }
    // Not made durable: it is only passing through.
    Ok(out.flush().await?)
}

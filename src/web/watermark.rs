//! The watermarked copy (水印图) of a report's photo, made when it is asked for.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::access::Actor;
use super::app::App;
use super::problem::{Failure, Problem};
use super::reports::uuid;
use crate::document::watermark::{self, About};
use crate::error::Error;
use crate::evidence::timeline::{PhotoRef, Sighting};

/// The photo with when, where and in which weather it was taken drawn on it, as a watermark camera does: JPEG, long edge at
/// most 2048, without any metadata. The sealed original stays as it came. `seq` is the photo's place in the report's list,
/// from 0.
#[utoipa::path(get, path = "/api/v1/reports/{id}/photos/{seq}/watermarked", tag = "photos",
    params(("id" = uuid::Uuid, Path), ("seq" = u32, Path)),
    responses((status = 200, content_type = "image/jpeg", description = "The copy"),
        (status = 404, body = Problem, description = "No such photo, it has not come, or it is HEIC"),
        (status = 410, body = Problem, description = "已依法删除"), (status = 413, body = Problem)))]
pub(super) async fn get_watermarked(
    State(app): State<App>,
    actor: Actor,
    Path((id, seq)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let report = app.store.get_report(uuid(&id)?, &app.place, &app.rules).await?;
    let sighting = report.sighting;
    actor.check_report(&sighting)?;
    let photo = photo_of(&sighting, &seq)?;
    let path = app.store.original_path(&photo.sha256);
    let (place, limits) = (app.place.clone(), app.settings.photos);
    let sha256 = photo.sha256.clone();
    let person = actor.name_of(&app, &sighting.person).await?;
    let make = move || {
        // Not before its turn: ten who wait must not hold ten photos.
        let original = std::fs::read(path)?;
        let (person, demo) = (person.as_deref(), report.demo);
        let about = About { place: &place.name, place_notice: &place.notice, demo, person };
        watermark::copy(&original, &limits, &sighting, &photo, &about)
    };
    let made = app.store.decode(make).await?;
    let jpeg = made.ok_or_else(|| {
        Error::NotFound(format!("watermarked copy of {sha256}: HEIC is sealed and cannot be drawn on"))
    })?;
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("inline; filename=\"jijia-{}.jpg\"", sha256.get(..8).unwrap_or(&sha256)),
        ),
        // A correction, a withdrawal and an erasure change it.
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    Ok((headers, jpeg).into_response())
}

/// The photo in the place `seq`, whose bytes are here.
fn photo_of(sighting: &Sighting, seq: &str) -> Result<PhotoRef, Error> {
    let photo = seq.parse().ok().and_then(|n: usize| sighting.photos.get(n));
    let photo = photo.ok_or_else(|| {
        Error::NotFound(format!("photo {seq} of the report; it has {}", sighting.photos.len()))
    })?;
    if photo.erased || sighting.erased {
        return Err(Error::Gone(format!("photo {} was erased by law (已依法删除)", photo.sha256)));
    }
    if !photo.stored {
        return Err(Error::NotFound(format!("photo {}: has not come", photo.sha256)));
    }
    Ok(photo.clone())
}

//! What is sent, and by which front door: the HTTP routes of the API, and the broker.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use uuid::Uuid;

use super::scene::Scene;
use crate::error::{Error, Result};
use crate::patrol::correction::CorrectionBody;
use crate::patrol::report::ReportBody;
use crate::patrol::walk::PatrolBody;
use crate::water::submission::ObservationsBody;

/// Something that is sent at an instant.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it is sent, true time.
    pub at: Timestamp,
    /// The sender's clock is so far ahead, seconds.
    pub ahead_s: i64,
    /// What.
    pub act: Act,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Act {
    /// A report; its photos go first, or come later or never.
    Report { body: ReportBody, scenes: Vec<Scene>, photos_first: bool },
    /// Photos of a report that is there.
    Photos(Vec<Scene>),
    /// A patrol.
    Patrol(PatrolBody),
    /// A correction.
    Correct { report: Uuid, body: CorrectionBody },
    /// Samples of the laboratory.
    Samples(ObservationsBody),
}

impl Event {
    /// Cuts a report off from its patrol.
    pub fn alone(&mut self) {
        if let Act::Report { body, .. } = &mut self.act {
            body.patrol = None;
        }
    }

    /// The event with its pictures drawn; this is the slow part and needs no order.
    ///
    /// # Errors
    /// `Internal` if a picture cannot be drawn.
    pub fn ready(mut self) -> Result<Ready> {
        let mut photos = Vec::new();
        match &mut self.act {
            Act::Report { body, scenes, .. } => {
                for scene in scenes.drain(..) {
                    let photo = Photo::of(&scene)?;
                    body.photos.push(photo.sha256.clone());
                    photos.push(photo);
                }
            }
            Act::Photos(scenes) => {
                photos = scenes.drain(..).map(|s| Photo::of(&s)).collect::<Result<_>>()?;
            }
            _ => {}
        }
        Ok(Ready { event: self, photos })
    }
}

/// An event whose pictures are drawn.
pub struct Ready {
    /// The event.
    pub event: Event,
    photos: Vec<Photo>,
}

struct Photo {
    sha256: String,
    jpeg: Vec<u8>,
}

impl Photo {
    fn of(scene: &Scene) -> Result<Self> {
        let jpeg = scene.jpeg()?;
        Ok(Self { sha256: hex::encode(Sha256::digest(&jpeg)), jpeg })
    }
}

impl Ready {
    /// Sends it.
    ///
    /// # Errors
    /// `Internal` with what the front door answered.
    pub async fn send(self, router: &Router) -> Result<()> {
        let Self { event, photos } = self;
        let phone = event.at + SignedDuration::from_secs(event.ahead_s);
        let wanted = !matches!(event.act, Act::Report { photos_first: false, .. });
        for photo in photos.into_iter().filter(|_| wanted) {
            let path = format!("/api/v1/photos/{}", photo.sha256);
            call(router, Method::PUT, &path, phone, photo.jpeg).await?;
        }
        match &event.act {
            Act::Report { body, .. } => post(router, "/api/v1/reports", phone, body).await,
            Act::Patrol(body) => post(router, "/api/v1/patrols", phone, body).await,
            Act::Samples(body) => post(router, "/api/v1/observations", phone, body).await,
            Act::Correct { report, body } => {
                post(router, &format!("/api/v1/reports/{report}/corrections"), phone, body).await
            }
            Act::Photos(_) => Ok(()),
        }
    }
}

async fn post(router: &Router, path: &str, phone: Timestamp, body: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(body).map_err(|e| Error::Internal(e.to_string()))?;
    call(router, Method::POST, path, phone, bytes).await
}

async fn call(router: &Router, method: Method, path: &str, phone: Timestamp, bytes: Vec<u8>) -> Result<()> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header("device-time", phone.to_string())
        .body(Body::from(bytes))
        .map_err(|e| Error::Internal(e.to_string()))?;
    // The router's error is `Infallible`.
    let Ok(answer) = router.clone().oneshot(request).await;
    if matches!(answer.status(), StatusCode::OK | StatusCode::CREATED) {
        return Ok(());
    }
    let status = answer.status();
    let said = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap_or_default();
    Err(Error::Internal(format!("demo: {path} answered {status}: {}", String::from_utf8_lossy(&said))))
}

/// A UUID by chance of the seed.
pub fn new_id(rng: &mut Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid()
}

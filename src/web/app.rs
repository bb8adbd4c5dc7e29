//! What the handlers share, and how a request's parts are read.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use jiff::Timestamp;

use super::problem::Failure;
use crate::document::export::Office;
use crate::error::{Error, Result};
use crate::evidence::timeline::Rules;
use crate::ingest::mqtt::MqttStatus;
use crate::lake::Place;
use crate::lake::geotag::Locator;
use crate::mirror::influx::InfluxStatus;
use crate::patrol::photo::Limits;
use crate::patrol::report::Arrival;
use crate::store::Store;

/// The service as the handlers see it. No handler keeps state of its own.
#[derive(Clone)]
pub struct App {
    /// The store.
    pub store: Store,
    /// The place in use.
    pub place: Arc<Place>,
    /// Its index.
    pub locator: Arc<Locator>,
    /// How a timeline is judged.
    pub rules: Arc<Rules>,
    /// Limits and switches.
    pub settings: Arc<Settings>,
}

/// What the handlers need of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Largest JSON body, bytes.
    pub max_body_bytes: usize,
    /// Limits of photos.
    pub photos: Limits,
    /// What documents need.
    pub office: Office,
    /// A request that takes longer is given up.
    pub request_timeout: std::time::Duration,
    /// Below this much free space `/readyz` warns, bytes.
    pub low_space_bytes: u64,
    /// The ingest, where it is on.
    pub mqtt: Option<Arc<MqttStatus>>,
    /// The mirror, where it is on.
    pub influx: Option<Arc<InfluxStatus>>,
}

impl App {
    /// The circumstances of a submission that has just come.
    pub(super) fn arrival(&self, sent_at: Option<Timestamp>) -> Arrival<'_> {
        Arrival { received_at: self.store.clock().now(), sent_at, place: &self.place, locator: &self.locator }
    }
}

/// A JSON body as sent, within the limit. The bytes are what the fingerprint is taken of.
pub(super) struct Json(pub Bytes);

impl FromRequest<App> for Json {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        plain_encoding(request.headers())?;
        let limit = app.settings.max_body_bytes;
        let body: Body = request.into_body();
        let bytes = axum::body::to_bytes(body, limit).await.map_err(|e| {
            let text = format!("{e}");
            if text.contains("limit") {
                Error::TooLarge { field: "body".into(), message: format!("allowed: {limit} bytes") }
            } else {
                Error::invalid("body", "broke off")
            }
        })?;
        Ok(Self(bytes))
    }
}

/// A compressed body could unfold to anything; nothing here is large enough to need one.
pub(super) fn plain_encoding(headers: &HeaderMap) -> Result<()> {
    match headers.get(header::CONTENT_ENCODING).map(axum::http::HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(()),
        Some(other) => Err(Error::Unsupported {
            field: "Content-Encoding".into(),
            message: format!("`{}` is not taken; allowed: identity", String::from_utf8_lossy(other)),
        }),
    }
}

/// The phone's clock at sending, from the header `Device-Time`.
pub(super) fn device_time(headers: &HeaderMap) -> Result<Option<Timestamp>> {
    let Some(value) = headers.get("device-time") else { return Ok(None) };
    let wrong = || Error::invalid("Device-Time", "must be an RFC 3339 time with an offset");
    value.to_str().map_err(|_| wrong())?.parse().map(Some).map_err(|_| wrong())
}

//! What the handlers share, and how a request's parts are read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::access::Access;
use super::connections::ConnectionLimits;
use super::documents::Documents;
use super::gate::Gate;
use super::problem::Failure;
use super::roster::RosterCache;
use crate::document::export::Office;
use crate::error::{Error, Result};
use crate::evidence::timeline::Rules;
use crate::lake::Place;
use crate::lake::geotag::Locator;
use crate::mirror::influx::InfluxStatus;
use crate::patrol::duty::Limits;
use crate::patrol::photo;
use crate::patrol::report::Arrival;
use crate::publish::Publisher;
use crate::store::Store;
use crate::tls::server::Certificate;
use crate::water::intake::MqttStatus;

/// The service as the handlers see it. No handler keeps state of its own.
#[derive(Clone)]
pub struct App {
    /// The store.
    pub store: Store,
    /// Signs the log.
    pub publisher: Publisher,
    /// The place in use.
    pub place: Arc<Place>,
    /// Its index.
    pub locator: Arc<Locator>,
    /// How a timeline is judged.
    pub rules: Arc<Rules>,
    /// Limits and switches.
    pub settings: Arc<Settings>,
    /// Holds back guesses.
    pub gate: Arc<Gate>,
    /// Memory for bodies.
    pub bodies: BodyBudget,
    /// The documents that are being made.
    pub documents: Arc<Documents>,
    /// The roster that was read last.
    pub roster_cache: Arc<RosterCache>,
}

/// What the handlers need of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the service is guarded.
    pub access: Access,
    /// Served by HTTPS.
    pub https: bool,
    /// The certificate of HTTPS.
    pub certificate: Option<Arc<Certificate>>,
    /// PEM of the office's own authority, which phones are to trust.
    pub authority: Option<String>,
    /// The address that people open, `https://jijia.example`; empty: what the request was sent to.
    pub public_url: String,
    /// Folder of the place's files; none for the place inside the program.
    pub place_dir: Option<PathBuf>,
    /// What makes a patrol thin.
    pub duty: Limits,
    /// Largest JSON body, bytes.
    pub max_body_bytes: usize,
    /// Largest archive of a phone, as it comes and unfolded, bytes.
    pub max_outbox_bytes: u64,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// Limits of photos.
    pub photos: photo::Limits,
    /// What documents need.
    pub office: Office,
    /// Bundles can be fetched so long.
    pub keep_bundles: Duration,
    /// A request that takes longer is given up.
    pub request_timeout: Duration,
    /// A photo or voice note of which no byte has come for so long is given up; it may take longer than another request.
    pub photo_idle_timeout: Duration,
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

    /// What stands before the path of a link that is handed over.
    pub(super) fn base_url(&self, headers: &HeaderMap) -> String {
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
        match (self.settings.public_url.as_str(), host) {
            ("", Some(host)) if self.settings.https => format!("https://{host}"),
            ("", Some(host)) => format!("http://{host}"),
            (url, _) => url.trim_end_matches('/').to_owned(),
        }
    }
}

/// A JSON body as sent, within the limit. The bytes are what the fingerprint is taken of.
pub(super) struct Json(pub Bytes);

/// The body of one who is not signed in yet, or shows a secret: a few lines.
pub(super) struct SmallBody(pub Bytes);

/// Largest [`SmallBody`], bytes.
const MAX_SMALL_BODY_BYTES: usize = 4096;
/// Bytes of bodies that are being received at a time, all requests together.
const MAX_BODIES_BYTES: usize = 64 << 20;
/// The unit in which the bodies' memory is given out, bytes.
const BODY_UNIT_BYTES: usize = 1024;

/// The memory of all bodies that are being received.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Semaphore>);

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BODIES_BYTES / BODY_UNIT_BYTES)))
    }
}

impl FromRequest<App> for Json {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let encoding = plain_encoding(request.headers());
        let mut pieces = request.into_body().into_data_stream();
        Ok(Self(read(&mut pieces, encoding, app.settings.max_body_bytes, &app.bodies).await?))
    }
}

impl FromRequest<App> for SmallBody {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let encoding = plain_encoding(request.headers());
        let mut pieces = request.into_body().into_data_stream();
        Ok(Self(read(&mut pieces, encoding, MAX_SMALL_BODY_BYTES, &app.bodies).await?))
    }
}

async fn read(
    pieces: &mut BodyDataStream,
    encoding: Result<()>,
    limit: usize,
    budget: &BodyBudget,
) -> Result<Bytes> {
    encoding?;
    let mut bytes = BytesMut::new();
    // Given back when the body is here, or has broken off.
    let mut held = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Error::invalid("body", "broke off; send it again"))?;
        if bytes.len() + piece.len() > limit {
            return Err(Error::TooLarge { field: "body".into(), message: format!("allowed: {limit} bytes") });
        }
        let units = u32::try_from(piece.len().div_ceil(BODY_UNIT_BYTES)).unwrap_or(u32::MAX);
        held.push(budget.0.try_acquire_many(units).map_err(|_| {
            Error::Unavailable(
                "too much is being received at the moment; send it again in a few seconds".into(),
            )
        })?);
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
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

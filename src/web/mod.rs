//! The whole route table, the handlers per noun, the pages.

pub mod app;
pub mod assets;
mod health;
mod observations;
mod page_routes;
pub mod pages;
mod photos;
mod problem;
mod reports;
mod timeline;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::{get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;

use crate::error::{Error, Result};
pub use app::{App, Settings};
pub use health::clock_warning;

/// The API in OpenAPI 3.1, from the handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "吉家湖巡护",
        description = "Patrol reports, photos, observations and the evidence timeline. Errors \
        are application/problem+json and name the field; sending the same bytes under the same id again is harmless."
    ),
    paths(
        reports::add_report,
        reports::get_report,
        reports::add_correction,
        reports::add_patrol,
        photos::put_photo,
        photos::get_photo,
        photos::get_preview,
        observations::add_observations,
        timeline::list_timeline,
        timeline::export_timeline,
        timeline::get_head,
    )
)]
struct Api;

/// The API's description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// Every route there is.
pub fn router(app: App) -> Router {
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, app.settings.request_timeout);
    let header = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    Router::new()
        .route("/", get(page_routes::overview))
        .route("/timeline", get(page_routes::timeline))
        .route("/reports/{id}", get(page_routes::report))
        .route("/assets/{*name}", get(assets::get_asset))
        .route("/api/v1/reports", post(reports::add_report))
        .route("/api/v1/reports/{id}", get(reports::get_report))
        .route("/api/v1/reports/{id}/corrections", post(reports::add_correction))
        .route("/api/v1/patrols", post(reports::add_patrol))
        .route("/api/v1/photos/{sha256}", put(photos::put_photo).get(photos::get_photo))
        .route("/api/v1/photos/{sha256}/preview", get(photos::get_preview))
        .route("/api/v1/observations", post(observations::add_observations))
        .route("/api/v1/timeline", get(timeline::list_timeline))
        .route("/api/v1/timeline.docx", get(timeline::export_timeline))
        .route("/api/v1/timeline.pdf", get(timeline::export_timeline))
        .route("/api/v1/timeline.xlsx", get(timeline::export_timeline))
        .route("/api/v1/timeline.csv", get(timeline::export_timeline))
        .route("/api/v1/timeline.geojson", get(timeline::export_timeline))
        .route("/api/v1/head", get(timeline::get_head))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .merge(utoipa_swagger_ui::SwaggerUi::new("/api/docs").url("/api/openapi.json", openapi()))
        .fallback(page_routes::not_found)
        .layer(DefaultBodyLimit::disable())
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "same-origin"))
        .layer(timeout)
        .layer(CatchPanicLayer::new())
        .with_state(app)
}

/// Serves until `shutdown`; requests under way are finished.
///
/// # Errors
/// `Internal` if the listener fails.
pub async fn serve(
    listener: tokio::net::TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    axum::serve(listener, router(app)).with_graceful_shutdown(shutdown).await.map_err(Error::from)
}

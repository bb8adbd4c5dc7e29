//! The whole route table, the handlers per noun, the pages.

pub mod app;
pub mod assets;
mod bundles;
mod dead_letters;
pub mod field;
mod health;
mod log;
mod observations;
mod page_routes;
pub mod pages;
mod photos;
mod problem;
mod reports;
mod timeline;
mod visitor;
pub mod warnings;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{Error, Result};
pub use app::{App, Settings};

/// What stands above the API's description.
#[derive(OpenApi)]
#[openapi(info(
    title = "吉家湖巡护",
    description = "Patrol reports, photos, observations and the evidence timeline. Errors \
    are application/problem+json and name the field; sending the same bytes under the same id again is harmless."
))]
struct Api;

/// The API's routes with their description in OpenAPI 3.1: one list for both.
fn api() -> (Router<App>, utoipa::openapi::OpenApi) {
    let (mut routes, mut description) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(reports::add_report))
        .routes(routes!(reports::get_report))
        .routes(routes!(reports::add_correction))
        .routes(routes!(reports::add_patrol))
        .routes(routes!(photos::get_photo))
        .routes(routes!(photos::get_preview))
        .routes(routes!(field::get_field))
        .routes(routes!(observations::add_observations))
        .routes(routes!(dead_letters::list_dead_letters))
        .routes(routes!(timeline::list_timeline))
        .routes(routes!(timeline::get_head))
        .routes(routes!(log::get_key))
        .routes(routes!(log::get_inclusion))
        .routes(routes!(log::get_consistency))
        .routes(routes!(log::get_proof))
        .routes(routes!(bundles::get_bundle))
        .split_for_parts();
    for (path, item) in timeline::exports(&description) {
        // An export is an entry: asking for its head must not make one.
        let no_head = (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]);
        routes = routes.route(&path, get(timeline::export_timeline).head(async || no_head));
        description.paths.paths.insert(path, item);
    }
    (routes, description)
}

/// What may take longer than a request may, with its description.
fn slow_api() -> (Router<App>, utoipa::openapi::OpenApi) {
    OpenApiRouter::new()
        .routes(routes!(bundles::add_bundle))
        .routes(routes!(photos::put_photo))
        .split_for_parts()
}

/// The API's description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().1.merge_from(slow_api().1)
}

/// Every route there is.
pub fn router(app: App) -> Router {
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, app.settings.request_timeout);
    let header = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let (api, (slow, _)) = (api().0, slow_api());
    Router::new()
        .route("/", get(page_routes::overview))
        .route("/timeline", get(page_routes::timeline))
        .route("/reports/{id}", get(page_routes::report))
        .route("/verify", get(page_routes::verify))
        .route("/assets/{*name}", get(assets::get_asset))
        .route("/log/checkpoint", get(log::get_checkpoint))
        .route("/log/tile/{*path}", get(log::get_tile))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .merge(field::routes())
        .merge(api)
        .merge(utoipa_swagger_ui::SwaggerUi::new("/api/docs").url("/api/openapi.json", openapi()))
        .layer(timeout)
        .merge(slow)
        .route("/timeline/bundle", axum::routing::post(bundles::bundle_from_page))
        .fallback(page_routes::not_found)
        .layer(DefaultBodyLimit::disable())
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "same-origin"))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn(problem::envelope))
        .layer(axum::middleware::from_fn(visitor::only_from_here))
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

//! The whole route table, the handlers per noun, the pages.

mod access;
mod account;
pub mod app;
pub mod assets;
mod auth;
mod bundles;
mod compliance;
mod connections;
mod dead_letters;
mod description;
mod documents;
mod doors;
pub mod field;
mod gate;
mod headers;
mod heads;
mod health;
mod hear;
mod join;
mod listen;
mod log;
mod observations;
mod outbox;
mod page_routes;
pub mod pages;
mod people;
mod photos;
mod problem;
mod prove;
mod reports;
mod roster;
mod sealed;
mod sessions;
mod sign_ins;
mod timeline;
mod trust;
mod visitor;
mod voices;
pub mod warnings;
mod watermark;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::error::Result;
pub use access::{Access, Peer};
pub use app::{App, BodyBudget, Settings};
pub use connections::ConnectionLimits;
use connections::Connections;
pub use documents::Documents;
pub use doors::Door;
pub use gate::Gate;
pub use people::LINK_LIFETIME;
pub use roster::RosterCache;
pub use trust::send_on;

/// The API's description.
#[must_use]
pub fn openapi(app: App) -> utoipa::openapi::OpenApi {
    doors::doors(app).api
}

/// Every door with its rule.
#[must_use]
pub fn table(app: App) -> Vec<Door> {
    doors::doors(app).table
}

/// Every route there is.
pub fn router(app: App) -> Router {
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, app.settings.request_timeout);
    let built = doors::doors(app.clone());
    // Public: what the API is like is no secret, and what it answers is guarded.
    let description = utoipa_swagger_ui::SwaggerUi::new("/api/docs").url("/api/openapi.json", built.api);
    let policy = SetResponseHeaderLayer::overriding(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(headers::OF_DESCRIPTION),
    );
    let router = Router::new()
        .merge(built.quick)
        .merge(Router::from(description).layer(policy))
        .layer(timeout)
        .merge(built.slow)
        .fallback(page_routes::not_found)
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn(problem::envelope))
        .layer(axum::middleware::from_fn_with_state(app.settings.access.open, visitor::only_from_here))
        .layer(axum::middleware::from_fn(hear::out));
    headers::on_every_answer(router, app.settings.https).with_state(app)
}

/// Serves on `listener` until `shutdown`, by TLS where `tls` is given; requests under way are finished.
///
/// # Errors
/// None: what goes wrong on a connection ends that connection.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    app: App,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let connections = connections_of(&app);
    listen::serve(listener, tls, router(app), connections, shutdown).await;
    Ok(())
}

fn connections_of(app: &App) -> Arc<Connections> {
    Connections::new(app.settings.connections, app.settings.access.trusted_hops > 0)
}

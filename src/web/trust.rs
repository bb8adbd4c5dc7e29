//! How a phone in the office's network comes to trust the office's own authority: a page with the steps, the certificate,
//! and a plain address that serves these two and sends everything else on to HTTPS.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::app::App;
use super::page_routes::{self, Asked};
use super::pages::trust::TrustPage;
use super::problem::{Failure, Problem};
use super::warnings;
use super::{headers, listen};
use crate::error::{Error, Result};
use crate::picture;
use crate::tls::server::Standing;

/// Where the authority's certificate is fetched.
pub(super) const CERTIFICATE: &str = "/trust/jijia-authority.crt";

/// `GET /trust`.
pub(super) async fn trust_page(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let lang = page_routes::language(asked.lang.as_deref(), &headers);
    let fingerprint = app.settings.authority.as_deref().and_then(fingerprint);
    let here = format!("{}/trust", app.base_url(&headers));
    let made = picture::code(&here).and_then(|svg| {
        let view = TrustPage {
            certificate: CERTIFICATE,
            fingerprint: fingerprint.as_deref(),
            here: &here,
            svg: &svg,
        };
        super::pages::trust::trust(&view, &app.place.name, app.store.is_demo(), lang.0)
    });
    page_routes::page(&app, made, lang)
}

/// SHA-256 of the certificate as phones show it: pairs of hex digits.
fn fingerprint(pem: &str) -> Option<String> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let digest = Sha256::digest(STANDARD.decode(base64).ok()?);
    Some(digest.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":"))
}

/// The authority's certificate.
pub(super) async fn get_authority(State(app): State<App>) -> Result<Response, Failure> {
    let none = || Error::NotFound("this service has no authority of its own".into());
    let pem = app.settings.authority.clone().ok_or_else(none)?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-x509-ca-cert"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"jijia-authority.crt\""),
    ];
    Ok((headers, pem).into_response())
}

/// Serves the plain address beside HTTPS on `port`, until `shutdown`.
///
/// # Errors
/// None, as [`super::serve`].
pub async fn send_on(
    listener: TcpListener,
    port: u16,
    app: App,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let router =
        Router::new().merge(trusted_doors()).fallback(
            async move |State(app): State<App>, method: Method, headers: HeaderMap, uri: Uri| {
                match no_certificate(&app) {
                    Some(why) => why,
                    None if !method.is_safe() => sent_in_the_open(),
                    None => to_https(&headers, &uri, port),
                }
            },
        );
    let connections = super::connections_of(&app);
    let router = router.layer(axum::middleware::from_fn(super::hear::out));
    let router = headers::on_every_answer(router, false).with_state(app);
    listen::serve(listener, None, router, connections, shutdown).await;
    Ok(())
}

/// What a phone needs before it can speak HTTPS with us; nothing of it is secret.
fn trusted_doors() -> Router<App> {
    let doors = [
        ("/trust", get(trust_page)),
        (CERTIFICATE, get(get_authority)),
        ("/assets/{*name}", get(super::assets::get_asset)),
    ];
    doors.into_iter().fold(Router::new(), |router, (path, door)| Router::route(router, path, door))
}

/// Where HTTPS has no certificate that holds: why. Nothing else is served here in its place.
fn no_certificate(app: &App) -> Option<Response> {
    let (shown, now) = (app.settings.certificate.as_ref()?, app.store.clock().now());
    if !matches!(shown.standing(now), Standing::None | Standing::Ended(_)) {
        return None;
    }
    let why = warnings::certificate(shown, now)?;
    let headers = [(header::RETRY_AFTER, "60")];
    Some(
        (StatusCode::SERVICE_UNAVAILABLE, headers, format!("{}\n{}\n", why.words_zh, why.words))
            .into_response(),
    )
}

/// What was sent here was sent in the open: it is not sent on, and a browser that is told so once stops.
fn sent_in_the_open() -> Response {
    let detail = "this address only leads to HTTPS; what was sent here was not taken, and others could read it: if it was a \
                  password, change it";
    let problem =
        Problem {
            status: 403, code: "forbidden", title: "请改用 https", detail: detail.into(), field: None
        };
    problem.into_response()
}

/// The same address by HTTPS.
fn to_https(headers: &HeaderMap, uri: &Uri, port: u16) -> Response {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = match host.parse::<SocketAddr>() {
        Ok(address) if address.is_ipv6() => format!("[{}]", address.ip()),
        _ => host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned(),
    };
    if name.is_empty() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    Redirect::temporary(&format!("https://{name}{port}{path}")).into_response()
}

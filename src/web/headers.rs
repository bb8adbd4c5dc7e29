//! What every answer carries, whoever made it: a page, the API, an error, a refusal at the door.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use tower_http::set_header::SetResponseHeaderLayer;

/// What an answer that is no page of ours may do when a browser opens it as one: nothing.
const NOTHING: &str = "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; sandbox";
/// The API's description: the page comes from a library, which styles its elements inline.
pub(super) const OF_DESCRIPTION: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Where an answer says nothing else itself.
const ALWAYS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, NOTHING),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Whatever did not say that it may be kept is about somebody.
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), geolocation=(self), microphone=()"),
];

/// Puts them on every answer of `router`, which must be complete: what is layered around it later goes without. Over
/// `https` a browser is told to stay with it, for this name and those below; it ignores that for addresses.
pub(super) fn on_every_answer<S: Clone + Send + Sync + 'static>(router: Router<S>, https: bool) -> Router<S> {
    let stay =
        move |_: &Response| https.then(|| HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    ALWAYS
        .into_iter()
        .fold(router, |router, (name, value)| {
            let value = HeaderValue::from_static(value);
            router.layer(SetResponseHeaderLayer::if_not_present(name, value))
        })
        .layer(SetResponseHeaderLayer::if_not_present(header::STRICT_TRANSPORT_SECURITY, stay))
}

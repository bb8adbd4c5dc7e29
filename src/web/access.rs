//! Who asks: the guard before every door, and what the handlers learn from it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::app::App;
use super::connections::Connection;
use super::problem::Failure;
use super::visitor::is_from_elsewhere;
use crate::error::{Error, Result};
use crate::people::{Reach, Role, Rule, secret};
use crate::store::people::Limits;

/// Cookies that only this host, and no script, can see (`__Host-`: Secure, Path=/, no Domain).
pub(super) const SESSION: &str = "__Host-jijia-session";
pub(super) const PHONE: &str = "__Host-jijia-phone";
pub(super) const KNOWN: &str = "__Host-jijia-known";
/// What a request that changes something carries beside the cookie.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
/// The same in a page's form.
const CSRF_FIELD: &str = "csrf=";
/// Largest form of a page, bytes.
const FORM_MAX: usize = 64 << 10;

/// How the service is guarded.
#[derive(Clone, Debug)]
pub struct Access {
    /// Nobody is asked who they are: a demo, on loopback only.
    pub open: bool,
    /// How long a session at a desk lives.
    pub session: Limits,
    /// Digest of the configured token, whose bearer is a `machine`.
    pub token: Option<[u8; 32]>,
    /// Proxies in front that are trusted to say who asked, counted from here: each adds one entry to X-Forwarded-For.
    pub trusted_hops: usize,
}

/// Whom somebody may name as the person who saw what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayName {
    /// Themselves.
    Self_,
    /// Every patrol person: a shared phone sends what lies on it, whoever is signed in.
    Phone,
    /// Anybody: a program that brings the reports of others.
    Anybody,
}

/// Who passed the guard.
#[derive(Clone, Debug)]
pub struct Actor {
    /// As the log names it: `p-03`, `phone-2`, `token-1`, `demo`.
    pub id: String,
    /// In this role.
    pub role: Role,
    /// For this unit.
    pub unit: Option<String>,
    /// Of these stations alone, as a `sensor` that is bound to some.
    pub stations: Option<Vec<String>>,
    /// So far through this door.
    pub reach: Reach,
    pub(super) may_name: MayName,
}

/// The address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A door's guard: the service and who may pass.
#[derive(Clone)]
pub(super) struct Guard {
    pub app: App,
    pub rule: Rule,
}

impl Actor {
    /// Signed in on a shared phone, by PIN.
    pub(super) fn is_on_phone(&self) -> bool {
        self.may_name == MayName::Phone
    }
}

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let missing = || Error::Internal("a handler asks who is there, and no guard has".into());
        Ok(parts.extensions.get::<Self>().cloned().ok_or_else(missing)?)
    }
}

/// Lets pass whom the rule lets pass, with what the handler must know of them.
pub(super) async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let Guard { app, rule } = guard;
    match enter(&app, &rule, &mut request).await {
        Ok(Some(actor)) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Ok(None) => next.run(request).await,
        Err(Error::Unauthorized(_)) if is_page(&request) => to_sign_in(&app, request.uri()).await,
        Err(error) if is_page(&request) => super::page_routes::refused(&app, error, request.headers()),
        Err(error) => Failure(error).into_response(),
    }
}

async fn enter(app: &App, rule: &Rule, request: &mut Request) -> Result<Option<Actor>> {
    if *rule == Rule::Public {
        return Ok(None);
    }
    let nobody = || Error::Unauthorized("sign in, or send a token".into());
    let (mut actor, by_cookie) = identify(app, request.headers()).await?.ok_or_else(nobody)?;
    if let Some(connection) = request.extensions().get::<Connection>() {
        connection.set_known();
    }
    actor.reach = rule.reach(actor.role);
    if actor.reach == Reach::No {
        let role = actor.role.as_str();
        return Err(Error::Forbidden(format!("the role `{role}` has no way through here")));
    }
    if by_cookie && !request.method().is_safe() {
        check_csrf(request).await?;
    }
    // A link from elsewhere may lead to a page. An export, an original, a name are entries of the log, and are not made by
    // what another site put into its own page.
    if by_cookie && !is_page(request) && is_from_elsewhere(request.headers()) {
        let why = "asked for by a page of another site; open it from a page of this service";
        return Err(Error::Forbidden(why.into()));
    }
    Ok(Some(actor))
}

/// Whether a rule lets the one pass who asks at a public door.
pub(super) async fn is_let(app: &App, rule: &Rule, headers: &HeaderMap) -> Result<bool> {
    Ok(identify(app, headers).await?.is_some_and(|(actor, _)| rule.reach(actor.role) != Reach::No))
}

/// Whoever shows a token or a cookie that holds; `true` where it was a cookie, which a browser sends by itself.
async fn identify(app: &App, headers: &HeaderMap) -> Result<Option<(Actor, bool)>> {
    let reach = Reach::No;
    if app.settings.access.open {
        let (id, role, may_name) = ("demo".to_owned(), Role::Admin, MayName::Anybody);
        return Ok(Some((Actor { id, role, unit: None, stations: None, reach, may_name }, false)));
    }
    if let Some(token) = bearer(headers) {
        if app.settings.access.token == Some(secret::digest(token)) {
            let (id, role, may_name) = ("token".to_owned(), Role::Machine, MayName::Anybody);
            return Ok(Some((Actor { id, role, unit: None, stations: None, reach, may_name }, false)));
        }
        let machine = app.store.find_machine(token).await?;
        let machine = machine.ok_or_else(|| Error::Unauthorized("the token does not hold".into()))?;
        let may_name = MayName::Anybody;
        let actor = Actor {
            id: machine.id,
            role: machine.role,
            unit: machine.unit,
            stations: machine.stations,
            reach,
            may_name,
        };
        return Ok(Some((actor, false)));
    }
    if let Some(token) = cookie(headers, SESSION)
        && let Some(session) = app.store.find_session(token, app.settings.access.session).await?
    {
        let may_name = if session.phone.is_some() { MayName::Phone } else { MayName::Self_ };
        let account = session.account;
        let actor =
            Actor { id: account.id, role: account.role, unit: account.unit, stations: None, reach, may_name };
        return Ok(Some((actor, true)));
    }
    if let Some(token) = cookie(headers, PHONE)
        && let Some(phone) = app.store.find_phone(token).await?
    {
        let (role, may_name) = (Role::Phone, MayName::Phone);
        return Ok(Some((Actor { id: phone.id, role, unit: None, stations: None, reach, may_name }, true)));
    }
    Ok(None)
}

/// The token of `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// A `Set-Cookie` value; zero seconds take the cookie away.
pub(super) fn set_cookie(name: &str, value: &str, lifetime: Duration) -> String {
    let seconds = lifetime.as_secs();
    format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax")
}

/// The token that a page must show along with one of the cookies it came with.
async fn check_csrf(request: &mut Request) -> Result<()> {
    let cookies = [SESSION, PHONE].map(|name| cookie(request.headers(), name).map(secret::csrf));
    let form = request.headers().get(header::CONTENT_TYPE);
    let form = form.is_some_and(|t| t.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let shown = match request.headers().get(CSRF) {
        Some(value) => value.to_str().unwrap_or_default().to_owned(),
        None if form => form_field(request).await?,
        None => String::new(),
    };
    if cookies.iter().flatten().any(|known| *known == shown) {
        return Ok(());
    }
    let field = format!("{CSRF}: not the token of this session; load the page again");
    Err(Error::Forbidden(field))
}

/// The field of a page's form, which is handed on whole.
async fn form_field(request: &mut Request) -> Result<String> {
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let bytes = axum::body::to_bytes(body, FORM_MAX).await;
    let bytes = bytes.map_err(|_| Error::invalid("body", format!("allowed: {FORM_MAX} bytes")))?;
    let text = String::from_utf8_lossy(&bytes);
    let shown = text.split('&').find_map(|pair| pair.strip_prefix(CSRF_FIELD)).unwrap_or_default().to_owned();
    *request.body_mut() = Body::from(bytes);
    Ok(shown)
}

/// Asked for by a person who looks at pages; programs read the API and the log.
fn is_page(request: &Request) -> bool {
    !["/api/", "/log/"].iter().any(|of_programs| request.uri().path().starts_with(of_programs))
}

/// Where somebody signs in, and comes back from; before anybody can, where the first administrator is made.
async fn to_sign_in(app: &App, uri: &Uri) -> Response {
    match app.store.has_admin().await {
        Ok(true) => {
            let back = uri.path_and_query().map_or("/", |p| p.as_str());
            let back: String = url::form_urlencoded::byte_serialize(back.as_bytes()).collect();
            Redirect::to(&format!("/login?next={back}")).into_response()
        }
        Ok(false) => Redirect::to("/join").into_response(),
        Err(error) => Failure(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name() {
        let jar = headers(&[("cookie", "a=1; __Host-jijia-session=two; x__Host-jijia-session=three")]);
        assert_eq!(cookie(&jar, SESSION), Some("two"));
        assert_eq!(cookie(&jar, PHONE), None);
        let set = set_cookie(SESSION, "x", Duration::from_secs(60));
        for word in ["__Host-", "Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=60"] {
            assert!(set.contains(word), "{set}");
        }
        assert!(!set.contains("Domain"));
        assert_eq!(bearer(&headers(&[("authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), None);
    }
}

//! Signing in and out: at a desk by password and one-time code, on a shared phone by PIN.

use std::time::Duration;

use axum::Form;
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Actor, KNOWN, PHONE, SESSION, cookie, set_cookie};
use super::app::{App, Json, SmallBody};
use super::page_routes;
use super::pages::sign_in::LoginPage;
use super::problem::{Failure, Problem};
use super::prove;
use super::sign_ins::note;
use crate::error::{Error, Result};
use crate::patrol::report::parse_json;
use crate::people::{Account, Role, secret};
use crate::store::SignInEvent;
use crate::store::people::{Notice, Phone, Purpose, Secret};

/// How long a browser is known, and a phone enrolled: the longest that browsers keep a cookie.
const YEAR: Duration = Duration::from_secs(400 * 86_400);
/// A link to set the second factor, for whoever has just shown the password.
pub(super) const TOTP_LINK: Duration = Duration::from_secs(600);

/// A person as the field app and the pages' heads need them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Who {
    id: String,
    name: String,
    role: Role,
}

/// The shared phone that asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Device {
    id: String,
    name: String,
    /// Who can sign in on it by PIN.
    people: Vec<Colleague>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Colleague {
    id: String,
    name: String,
}

/// Who is here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionBody {
    /// `open`: nobody is asked (a demo); `in`; `out`.
    state: &'static str,
    person: Option<Who>,
    /// What others did to the person's account that they have not said to know (`POST /api/v1/session/notices`), the newest
    /// first.
    notices: Vec<Notice>,
    device: Option<Device>,
    /// To be sent as `X-CSRF-Token` with every request that changes something.
    csrf: Option<String>,
    /// The server's clock.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
}

/// What is shown to sign in: `login`, `password` and, where the role needs it, `code`; or, on a shared phone, `person` and
/// `pin`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInBody {
    #[serde(default)]
    login: Option<String>,
    #[serde(default)]
    password: Option<String>,
    /// The six digits of the authenticator app.
    #[serde(default)]
    code: Option<String>,
    /// Account id, on a shared phone.
    #[serde(default)]
    person: Option<String>,
    #[serde(default)]
    pin: Option<String>,
    /// A PIN of one's own in place of this one, 4 to 8 digits; asked for (422 at this field) where somebody else has set it.
    #[serde(default)]
    new_pin: Option<String>,
}

/// How a try ended that was not wrong.
enum Entered {
    /// The cookies of the session.
    In(Vec<String>),
    /// The password is right and there is no second factor yet: the code of a link to set it.
    SetTotp(String),
}

/// Who is here: what pages and the field app ask first.
#[utoipa::path(get, path = "/api/v1/session", tag = "people", responses((status = 200, body = SessionBody)))]
pub(super) async fn get_session(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    let token = cookie(&headers, SESSION);
    let phone_token = cookie(&headers, PHONE);
    let session = match token {
        Some(token) => app.store.find_session(token, app.settings.access.session).await?,
        None => None,
    };
    let phone = match phone_token {
        Some(token) => app.store.find_phone(token).await?,
        None => None,
    };
    let csrf = phone.as_ref().and(phone_token).or(session.as_ref().and(token)).map(secret::csrf);
    let body = body(&app, session.map(|s| s.account), phone, csrf).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

async fn body(
    app: &App,
    account: Option<Account>,
    phone: Option<Phone>,
    csrf: Option<String>,
) -> Result<SessionBody> {
    let state = match (&account, app.settings.access.open) {
        (_, true) => "open",
        (Some(_), _) => "in",
        (None, _) => "out",
    };
    let notices = match &account {
        Some(account) => app.store.list_new_notices(&account.id).await?,
        None => Vec::new(),
    };
    let person = account.map(|a| Who { id: a.id, name: a.name, role: a.role });
    let device = match phone {
        Some(phone) => Some(device(app, phone).await?),
        None => None,
    };
    Ok(SessionBody { state, person, notices, device, csrf, now: app.store.clock().now() })
}

async fn device(app: &App, phone: Phone) -> Result<Device> {
    let all = app.store.list_accounts().await?;
    let can = |a: &Account| a.role == Role::Patrol && a.has_pin && !a.disabled;
    let people = all.into_iter().filter(can).map(|a| Colleague { id: a.id, name: a.name });
    Ok(Device { id: phone.id, name: phone.name, people: people.collect() })
}

/// Signs in. Wrong is answered the same whatever was wrong, and each try makes the next one wait.
#[utoipa::path(post, path = "/api/v1/session", tag = "people", request_body = SignInBody,
    responses((status = 200, body = SessionBody),
        (status = 401, body = Problem, description = "Wrong; or the second factor must be set first: `field` is `totp`, and \
            the link stands in the header `Location`"),
        (status = 422, body = Problem), (status = 429, body = Problem, description = "Too many tries: `Retry-After`")))]
pub(super) async fn add_session(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = split(&app, request).await?;
    match sign_in(&app, &parts, parse_json(&body)?).await? {
        Entered::In(cookies) => signed_in(&app, &parts.headers, StatusCode::OK, cookies).await,
        Entered::SetTotp(code) => {
            let error = Error::Unauthorized("set the second factor first: open the link".into());
            let mut response = Failure(error).into_response();
            let link = HeaderValue::from_str(&format!("/join#{code}"));
            response
                .headers_mut()
                .insert(header::LOCATION, link.map_err(|e| Error::Internal(e.to_string()))?);
            Ok(response)
        }
    }
}

/// Head and body of a request, the body a small one.
async fn split(app: &App, request: Request) -> Result<(Parts, axum::body::Bytes), Failure> {
    let (parts, body) = request.into_parts();
    let head = Request::from_parts(parts.clone(), body);
    let SmallBody(bytes) = SmallBody::from_request(head, app).await?;
    Ok((parts, bytes))
}

/// The answer to whoever is in now, with the cookies just given.
pub(super) async fn signed_in(
    app: &App,
    headers: &HeaderMap,
    status: StatusCode,
    cookies: Vec<String>,
) -> Result<Response, Failure> {
    let given = |name: &str| {
        let value = |c: &String| Some(c.strip_prefix(name)?.strip_prefix('=')?.split(';').next()?.to_owned());
        cookies.iter().find_map(value).or_else(|| cookie(headers, name).map(str::to_owned))
    };
    let mut jar = HeaderMap::new();
    for name in [SESSION, PHONE] {
        let pair = given(name).and_then(|value| HeaderValue::from_str(&format!("{name}={value}")).ok());
        jar.extend(pair.map(|pair| (header::COOKIE, pair)));
    }
    let mut response = get_session(State(app.clone()), jar).await?;
    *response.status_mut() = status;
    add_cookies(&mut response, &cookies);
    Ok(response)
}

fn add_cookies(response: &mut Response, cookies: &[String]) {
    // Made of hex digits and our own words: always a header's value.
    for value in cookies.iter().filter_map(|c| HeaderValue::from_str(c).ok()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

async fn sign_in(app: &App, parts: &Parts, body: SignInBody) -> Result<Entered> {
    match body {
        SignInBody {
            login: Some(login),
            password: Some(password),
            code,
            person: None,
            pin: None,
            new_pin: None,
        } => at_desk(app, parts, &login, password, code.as_deref().unwrap_or_default()).await,
        SignInBody {
            person: Some(person),
            pin: Some(pin),
            new_pin,
            login: None,
            password: None,
            code: None,
        } => on_phone(app, parts, &person, pin, new_pin).await,

        _ => Err(Error::invalid("", "allowed: login, password and code; or person and pin")),
    }
}

async fn at_desk(app: &App, parts: &Parts, login: &str, password: String, code: &str) -> Result<Entered> {
    let known = prove::password(app, parts, login, password).await?;
    let account = known.of.account.id.clone();
    if known.of.totp.is_none() && known.of.account.role.needs_totp() {
        app.gate.succeeded(&known.tried);
        return Ok(Entered::SetTotp(
            app.store.add_invite(Purpose::Totp, Some(account.clone()), None, TOTP_LINK, &account).await?,
        ));
    }
    prove::code(app, parts, &known, code).await?;
    note(app, parts, Some(&account), SignInEvent::SignIn);
    let is_known = known.tried.source.is_known();
    begin(app, &parts.headers, account, None, is_known).await.map(Entered::In)
}

async fn on_phone(
    app: &App,
    parts: &Parts,
    person: &str,
    pin: String,
    new_pin: Option<String>,
) -> Result<Entered> {
    let (known, phone) = prove::pin(app, parts, person, pin.clone()).await?;
    let id = known.account.id.clone();
    match new_pin {
        Some(new) => {
            secret::check_pin("new_pin", &new)?;
            if new == pin {
                return Err(Error::invalid("new_pin", "is the one that there was; allowed: another"));
            }
            let phc = app.gate.hash(new).await?;
            app.store.set_secret(id.clone(), Secret::Pin(phc), id.clone()).await?;
        }
        None if known.pin_given => {
            let message =
                "is missing: the PIN that was given to you opens nothing else; choose one of your own";
            return Err(Error::invalid("new_pin", message));
        }
        None => {}
    }
    note(app, parts, Some(&id), SignInEvent::SignIn);
    begin(app, &parts.headers, id, Some(phone.id), true).await.map(Entered::In)
}

/// Begins a session, always under a new token, and ends the one that was open in this browser; gives its cookies.
pub(super) async fn begin(
    app: &App,
    headers: &HeaderMap,
    account: String,
    phone: Option<String>,
    known: bool,
) -> Result<Vec<String>> {
    let limits = app.settings.access.session;
    if let Some(old) = cookie(headers, SESSION) {
        app.store.end_session(old).await?;
    }
    let token = app.store.add_session(account.clone(), phone, limits).await?;
    let mut cookies = vec![set_cookie(SESSION, &token, limits.absolute)];
    if !known {
        let browser = app.store.add_known_browser(account).await?;
        cookies.push(set_cookie(KNOWN, &browser, YEAR));
    }
    Ok(cookies)
}

/// The cookie of a phone that was enrolled.
pub(super) fn phone_cookie(token: &str) -> String {
    set_cookie(PHONE, token, YEAR)
}

/// What others did to one's account, by which they could have signed in too: the last ninety days, the newest first.
#[utoipa::path(get, path = "/api/v1/session/notices", tag = "people", responses((status = 200, body = [Notice])))]
pub(super) async fn list_notices(State(app): State<App>, actor: Actor) -> Result<Response, Failure> {
    let notices = app.store.list_notices(&actor.id).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(notices)).into_response())
}

/// Up to which entry the person knows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownBody {
    entry: u64,
}

/// The person knows what others did to the account, up to an entry. The own page goes on showing it for ninety days.
#[utoipa::path(post, path = "/api/v1/session/notices", tag = "people", request_body = KnownBody,
    responses((status = 204, description = "Noted")))]
pub(super) async fn notices_are_known(
    State(app): State<App>,
    actor: Actor,
    Json(body): Json,
) -> Result<Response, Failure> {
    let KnownBody { entry } = parse_json(&body)?;
    app.store.set_told(actor.id, entry).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Signs out here.
#[utoipa::path(delete, path = "/api/v1/session", tag = "people", responses((status = 204, description = "Signed out")))]
pub(super) async fn end_session(
    State(app): State<App>,
    actor: Actor,
    parts: Parts,
) -> Result<Response, Failure> {
    if let Some(token) = cookie(&parts.headers, SESSION) {
        app.store.end_session(token).await?;
        note(&app, &parts, Some(&actor.id), SignInEvent::SignOut);
    }
    Ok(signed_out())
}

/// Out: the cookie goes, and what the browser has kept.
pub(super) fn signed_out() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    add_cookies(&mut response, &[set_cookie(SESSION, "", Duration::ZERO)]);
    // What pages a browser has kept is not for the next person at the desk.
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    response
}

/// Where to go after signing in.
#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
    lang: Option<String>,
}

/// A page of this service; else the first one.
fn local(next: &str) -> &str {
    let elsewhere =
        !next.starts_with('/') || next[1..].starts_with(['/', '\\']) || next.contains(char::is_control);
    if elsewhere { "/" } else { next }
}

/// `GET /login`.
pub(super) async fn login_page(
    State(app): State<App>,
    Query(asked): Query<Next>,
    headers: HeaderMap,
) -> Response {
    let lang = page_routes::language(asked.lang.as_deref(), &headers);
    let view = LoginPage { next: local(&asked.next), login: "", wrong: None };
    page_routes::login(&app, &view, lang)
}

/// The form of the page.
#[derive(Deserialize)]
pub(super) struct LoginForm {
    login: String,
    password: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

/// `POST /login`: the form, which works without script.
pub(super) async fn login_by_page(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = match split(&app, request).await {
        Ok(split) => split,
        Err(failure) => return failure.into_response(),
    };
    let lang = page_routes::language(None, &parts.headers);
    let whole = Request::from_parts(parts.clone(), body.into());
    let form: Form<LoginForm> = match Form::from_request(whole, &app).await {
        Ok(form) => form,
        Err(_) => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
    };
    let Form(LoginForm { login, password, code, next }) = form;
    let password = Some(password);
    let body = SignInBody {
        login: Some(login.clone()),
        password,
        code: Some(code),
        person: None,
        pin: None,
        new_pin: None,
    };
    match sign_in(&app, &parts, body).await {
        Ok(Entered::In(cookies)) => {
            let mut response = Redirect::to(local(&next)).into_response();
            add_cookies(&mut response, &cookies);
            response
        }
        Ok(Entered::SetTotp(code)) => Redirect::to(&format!("/join#{code}")).into_response(),
        Err(error) => {
            let view = LoginPage { next: local(&next), login: &login, wrong: Some(&error) };
            page_routes::login(&app, &view, lang)
        }
    }
}

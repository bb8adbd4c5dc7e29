//! Links that let somebody in once: the first administrator, a person's password and second factor, a phone. The code
//! stands behind the `#` of the address, where no server and no log sees it; the page sends it.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{KNOWN, cookie};
use super::app::{App, SmallBody};
use super::gate;
use super::problem::{Failure, Problem};
use super::prove::{self, Known};
use super::sessions::{SessionBody, begin, phone_cookie, signed_in};
use super::sign_ins::note;
use crate::error::{Error, Result};
use crate::patrol::report::parse_json;
use crate::people::{AccountBody, Role, check_account, secret};
use crate::picture;
use crate::store::SignInEvent;
use crate::store::people::{Factor, Invite, Purpose, Secret};

/// The code of a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeBody {
    code: String,
}

/// What a link is for, and the second factor that it offers.
#[derive(Serialize, ToSchema)]
pub(super) struct InviteBody {
    /// `setup`, `person`, `totp`.
    purpose: &'static str,
    /// For whom, where that is known.
    name: Option<String>,
    /// What they will sign in with.
    login: Option<String>,
    role: Role,
    /// A password is to be chosen.
    password: bool,
    /// A one-time code must be shown: the second factor is set already, or must be.
    totp: bool,
    /// A second factor to be set; none where there is one, whose code is asked for.
    #[serde(flatten)]
    offer: Option<Offer>,
}

/// A second factor to be set.
#[derive(Serialize, ToSchema)]
struct Offer {
    /// Its secret, to be typed.
    totp_text: String,
    /// What an authenticator app on the same phone opens.
    totp_uri: String,
    /// The same as a QR code (SVG).
    totp_svg: String,
}

/// What is chosen by whoever has the link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinBody {
    code: String,
    /// The first administrator's name.
    #[serde(default)]
    name: Option<String>,
    /// What the first administrator signs in with.
    #[serde(default)]
    login: Option<String>,
    #[serde(default)]
    password: Option<String>,
    /// Six digits of the authenticator app: shows that it has the secret.
    #[serde(default)]
    totp_code: Option<String>,
}

/// Looks at a link without using it.
#[utoipa::path(post, path = "/api/v1/invites/look", tag = "people", request_body = CodeBody,
    responses((status = 200, body = InviteBody), (status = 404, body = Problem, description = "Used, too old, or never was"),
        (status = 422, body = Problem)))]
pub(super) async fn look_at_invite(
    State(app): State<App>,
    SmallBody(body): SmallBody,
) -> Result<Response, Failure> {
    let CodeBody { code } = parse_json(&body)?;
    let invite = open(&app, &code).await?;
    let role = role(&invite);
    let login = invite.account.as_ref().and_then(|a| a.login.clone());
    let offer = match keeps_factor(&invite) {
        true => None,
        false => Some(offer(&app, &invite.totp, login.as_deref().unwrap_or("admin"))?),
    };
    let body = InviteBody {
        purpose: invite.purpose.as_str(),
        name: invite.account.as_ref().map(|a| a.name.clone()),
        login,
        role,
        password: invite.purpose != Purpose::Totp,
        totp: role.needs_totp() || offer.is_none(),
        offer,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

fn offer(app: &App, totp: &[u8], login: &str) -> Result<Offer> {
    let totp_uri = secret::totp_uri(totp, login, &app.place.name);
    Ok(Offer { totp_text: secret::totp_text(totp), totp_svg: picture::code(&totp_uri)?, totp_uri })
}

/// A forgotten password is no way around the second factor: that one stays, and its code is asked for, until the
/// administrator takes it away.
fn keeps_factor(invite: &Invite) -> bool {
    invite.purpose == Purpose::Person && invite.account.as_ref().is_some_and(|a| a.has_totp)
}

/// A link that is no phone's.
async fn open(app: &App, code: &str) -> Result<Invite> {
    let invite = app.store.get_invite(code).await?;
    if invite.purpose == Purpose::Phone {
        return Err(Error::invalid("code", "is for a phone: open it there"));
    }
    Ok(invite)
}

fn role(invite: &Invite) -> Role {
    invite.account.as_ref().map_or(Role::Admin, |a| a.role)
}

/// Uses a link up, and signs in.
#[utoipa::path(post, path = "/api/v1/invites/use", tag = "people", request_body = JoinBody,
    responses((status = 201, body = SessionBody), (status = 404, body = Problem, description = "Used, too old, or never was"),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn use_invite(
    State(app): State<App>,
    parts: Parts,
    SmallBody(body): SmallBody,
) -> Result<Response, Failure> {
    let body: JoinBody = parse_json(&body)?;
    let invite = open(&app, &body.code).await?;
    let password = password(&app, &invite, &body).await?;
    let totp = totp(&app, &parts, &invite, body.totp_code.as_deref().unwrap_or_default()).await?;
    let account = match (&invite.account, password) {
        (None, Some(password)) => {
            let (name, login) = (body.name.unwrap_or_default(), body.login.or(Some(String::new())));
            let admin = AccountBody { name, role: Role::Admin, unit: None, login, disabled: false };
            check_account(&admin, &[])?;
            app.store.use_setup(&body.code, admin, password, totp).await?
        }
        (Some(account), password) => {
            let secrets = password.map(Secret::Password).into_iter().chain(totp.map(Secret::Totp)).collect();
            app.store.use_invite(&body.code, account.id.clone(), secrets).await?;
            account.id.clone()
        }
        (None, None) => return Err(Error::invalid("password", "is missing").into()),
    };
    let known = cookie(&parts.headers, KNOWN).is_some();
    note(&app, &parts, Some(&account), SignInEvent::SignIn);
    let cookies = begin(&app, &parts.headers, account, None, known).await?;
    signed_in(&app, &parts.headers, StatusCode::CREATED, cookies).await
}

/// The second factor to be set, once it was shown that the app has it; none where the old one stays, whose code was shown.
async fn totp(app: &App, parts: &Parts, invite: &Invite, code: &str) -> Result<Option<Factor>> {
    let wrong = || Error::invalid("totp_code", "is not the code of this moment; look at the phone's clock");
    if let Some(account) = invite.account.as_ref().filter(|_| keeps_factor(invite)) {
        let source = gate::source(app, parts, Some(&account.id)).await?;
        let tried = prove::turn(app, parts, account.id.clone(), Some(&account.id), source).await?;
        let of = app.store.find_sign_in(&account.id).await?.ok_or_else(wrong)?;
        return match prove::code(app, parts, &Known { of, tried }, code).await {
            Ok(()) => Ok(None),
            Err(Error::Unauthorized(_)) => Err(wrong()),
            Err(error) => Err(error),
        };
    }
    if code.trim().is_empty() {
        if role(invite).needs_totp() {
            return Err(Error::invalid("totp_code", "is missing: six digits of the authenticator app"));
        }
        return Ok(None);
    }
    let now = app.store.clock().now().as_second().unsigned_abs();
    let step = secret::totp_step(&invite.totp, code.trim(), now).ok_or_else(wrong)?;
    Ok(Some(Factor { secret: invite.totp.clone(), used: step }))
}

/// The PHC string of the password, where one is to be chosen.
async fn password(app: &App, invite: &Invite, body: &JoinBody) -> Result<Option<String>> {
    if invite.purpose == Purpose::Totp {
        return Ok(None);
    }
    let password = body.password.clone().ok_or_else(|| Error::invalid("password", "is missing"))?;
    let known = invite.account.as_ref();
    let name = known.map(|a| a.name.as_str()).or(body.name.as_deref());
    let login = known.and_then(|a| a.login.as_deref()).or(body.login.as_deref());
    new_password(app, password, name, login).await.map(Some)
}

/// The PHC string of a new password, which must not be one that is guessed soon.
pub(super) async fn new_password(
    app: &App,
    password: String,
    name: Option<&str>,
    login: Option<&str>,
) -> Result<String> {
    let place = &app.place;
    let mut own = vec![place.name.as_str()];
    own.extend(place.units.iter().map(|u| u.name.as_str()));
    own.extend(place.sectors.iter().map(|s| s.name.as_str()));
    own.extend(name.into_iter().chain(login));
    secret::check_password(&password, &own)?;
    app.gate.hash(password).await
}

/// Enrols the phone that sends the code of the QR on the office wall.
#[utoipa::path(post, path = "/api/v1/device", tag = "people", request_body = CodeBody,
    responses((status = 201, body = SessionBody), (status = 404, body = Problem, description = "Used, too old, or never was"),
        (status = 422, body = Problem)))]
pub(super) async fn add_device(
    State(app): State<App>,
    headers: HeaderMap,
    SmallBody(body): SmallBody,
) -> Result<Response, Failure> {
    let CodeBody { code } = parse_json(&body)?;
    let (_, token) = app.store.use_phone_invite(&code).await?;
    signed_in(&app, &headers, StatusCode::CREATED, vec![phone_cookie(&token)]).await
}

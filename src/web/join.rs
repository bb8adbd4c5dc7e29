//! Links that let somebody in once: the first administrator, a person's password and second factor, a phone. The code
//! stands behind the `#` of the address, where no server and no log sees it; the page sends it.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{KNOWN, cookie};
use super::app::{App, Json};
use super::problem::{Failure, Problem};
use super::sessions::{SessionBody, begin, phone_cookie, signed_in};
use crate::error::{Error, Result};
use crate::patrol::report::parse_json;
use crate::people::{AccountBody, Role, check_account, secret};
use crate::picture;
use crate::store::people::{Invite, Purpose, Secret};

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
    /// The second factor must be set.
    totp: bool,
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
pub(super) async fn look_at_invite(State(app): State<App>, Json(body): Json) -> Result<Response, Failure> {
    let CodeBody { code } = parse_json(&body)?;
    let invite = open(&app, &code).await?;
    let role = role(&invite);
    let login = invite.account.as_ref().and_then(|a| a.login.clone());
    let uri = secret::totp_uri(&invite.totp, login.as_deref().unwrap_or("admin"), &app.place.name);
    let body = InviteBody {
        purpose: invite.purpose.as_str(),
        name: invite.account.as_ref().map(|a| a.name.clone()),
        login,
        role,
        password: invite.purpose != Purpose::Totp,
        totp: role.needs_totp(),
        totp_text: secret::totp_text(&invite.totp),
        totp_svg: picture::code(&uri)?,
        totp_uri: uri,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
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
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn use_invite(
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Failure> {
    let body: JoinBody = parse_json(&body)?;
    let invite = open(&app, &body.code).await?;
    let totp = totp(&app, &invite, body.totp_code.as_deref())?;
    let password = password(&app, &invite, &body).await?;
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
    let cookies = begin(&app, account, None, cookie(&headers, KNOWN).is_some()).await?;
    signed_in(&app, &headers, StatusCode::CREATED, cookies).await
}

/// The second factor, once it was shown that the app has it.
fn totp(app: &App, invite: &Invite, code: Option<&str>) -> Result<Option<Vec<u8>>> {
    let Some(code) = code.filter(|c| !c.trim().is_empty()) else {
        if role(invite).needs_totp() {
            return Err(Error::invalid("totp_code", "is missing: six digits of the authenticator app"));
        }
        return Ok(None);
    };
    let now = app.store.clock().now().as_second().unsigned_abs();
    match secret::totp_step(&invite.totp, code.trim(), now) {
        Some(_) => Ok(Some(invite.totp.clone())),
        None => Err(Error::invalid("totp_code", "is not the code of this moment; look at the phone's clock")),
    }
}

/// The PHC string of the password, where one is to be chosen.
async fn password(app: &App, invite: &Invite, body: &JoinBody) -> Result<Option<String>> {
    if invite.purpose == Purpose::Totp {
        return Ok(None);
    }
    let password = body.password.clone().ok_or_else(|| Error::invalid("password", "is missing"))?;
    let known = invite.account.as_ref();
    let own = [
        Some(app.place.name.as_str()),
        Some("jijia"),
        known.map(|a| a.name.as_str()).or(body.name.as_deref()),
        known.and_then(|a| a.login.as_deref()).or(body.login.as_deref()),
    ];
    secret::check_password(&password, &own.into_iter().flatten().collect::<Vec<_>>())?;
    app.gate.slow(move || secret::hash(&password)).await?.map(Some)
}

/// Enrols the phone that sends the code of the QR on the office wall.
#[utoipa::path(post, path = "/api/v1/device", tag = "people", request_body = CodeBody,
    responses((status = 201, body = SessionBody), (status = 404, body = Problem, description = "Used, too old, or never was"),
        (status = 422, body = Problem)))]
pub(super) async fn add_device(
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Failure> {
    let CodeBody { code } = parse_json(&body)?;
    let (_, token) = app.store.use_phone_invite(&code).await?;
    signed_in(&app, &headers, StatusCode::CREATED, vec![phone_cookie(&token)]).await
}

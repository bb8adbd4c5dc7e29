//! The own account: where one is signed in, and what one signs in with. Whoever ends a session or changes a secret shows
//! again who they are: somebody else may sit at a desk that was left open.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Actor, KNOWN, SESSION, cookie};
use super::app::{App, SmallBody};
use super::join;
use super::problem::{Failure, Problem};
use super::prove;
use super::sessions::{SessionBody, TOTP_LINK, begin, signed_in, signed_out};
use super::sign_ins::note;
use crate::error::Error;
use crate::patrol::report::parse_json;
use crate::store::SignInEvent;
use crate::store::people::{Open, Purpose, Secret};

/// Where the own account is signed in, the newest use first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "people", responses((status = 200, body = Vec<Open>)))]
pub(super) async fn list_sessions(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let here = cookie(&headers, SESSION);
    let open = app.store.list_sessions(&actor.id, here, app.settings.access.session).await?;
    Ok(axum::Json(open).into_response())
}

/// Sessions to be ended.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndBody {
    /// The own password; on a shared phone the PIN.
    password: String,
    /// Which; without it every one, this one too.
    #[serde(default)]
    id: Option<String>,
}

/// Ends one session of the own account, or all of them.
#[utoipa::path(post, path = "/api/v1/sessions/end", tag = "people", request_body = EndBody,
    responses((status = 204, description = "Ended"), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn end_sessions(
    State(app): State<App>,
    actor: Actor,
    parts: Parts,
    SmallBody(body): SmallBody,
) -> Result<Response, Failure> {
    let EndBody { password, id } = parse_json(&body)?;
    if actor.is_on_phone() {
        prove::pin(&app, &parts, &actor.id, password).await.map_err(prove::not_own)?;
    } else {
        let known = prove::own_password(&app, &parts, &actor, password).await?;
        // Where a code belongs to it the password alone must not wipe out wrong codes: they are guesses, too.
        if known.of.totp.is_none() {
            app.gate.succeeded(&known.tried);
        } else {
            app.gate.withdrawn(&known.tried);
        }
    }
    match id {
        None => {
            app.store.end_sessions(actor.id.clone(), actor.id.clone()).await?;
            note(&app, &parts, Some(&actor.id), SignInEvent::SignOut);
            Ok(signed_out())
        }
        Some(id) => {
            app.store.end_one_session(actor.id, id).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
    }
}

/// A password to be changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordBody {
    /// As it is.
    password: String,
    /// Six digits of the authenticator app, where there is one.
    #[serde(default)]
    code: Option<String>,
    /// As it shall be: 10 to 128 characters of any kind.
    new_password: String,
}

/// Changes the own password. Every session ends, and one begins here.
#[utoipa::path(put, path = "/api/v1/account/password", tag = "people", request_body = PasswordBody,
    responses((status = 200, body = SessionBody), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub(super) async fn change_password(
    State(app): State<App>,
    actor: Actor,
    parts: Parts,
    SmallBody(body): SmallBody,
) -> Result<Response, Failure> {
    let PasswordBody { password, code, new_password } = parse_json(&body)?;
    let account = app.store.find_account(&actor.id).await?;
    let account = account.ok_or_else(|| Error::Conflict("this account has no password".into()))?;
    // First, so that a new one that will not do does not use up the code.
    let phc = join::new_password(&app, new_password, Some(&account.name), account.login.as_deref()).await;
    let phc = phc.map_err(|e| match e {
        Error::Invalid { message, .. } => Error::invalid("new_password", message),
        other => other,
    })?;
    prove::own_secrets(&app, &parts, &actor, password, code.as_deref()).await?;
    app.store.set_secret(actor.id.clone(), Secret::Password(phc), actor.id.clone()).await?;
    let has_known = cookie(&parts.headers, KNOWN).is_some();
    let cookies = begin(&app, &parts.headers, actor.id, None, has_known).await?;
    signed_in(&app, &parts.headers, StatusCode::OK, cookies).await
}

/// What is shown to set the second factor anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FactorBody {
    /// The own password.
    password: String,
    /// Six digits of the authenticator app that was used until now, where there is one.
    #[serde(default)]
    code: Option<String>,
}

/// A link to set the second factor.
#[derive(Serialize, ToSchema)]
pub(super) struct FactorLink {
    /// The page with the code.
    href: String,
}

/// Makes a link by which one sets the own second factor, within ten minutes.
#[utoipa::path(post, path = "/api/v1/account/totp", tag = "people", request_body = FactorBody,
    responses((status = 201, body = FactorLink), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub(super) async fn change_totp(
    State(app): State<App>,
    actor: Actor,
    parts: Parts,
    SmallBody(body): SmallBody,
) -> Result<Response, Failure> {
    let FactorBody { password, code } = parse_json(&body)?;
    prove::own_secrets(&app, &parts, &actor, password, code.as_deref()).await?;
    let code =
        app.store.add_invite(Purpose::Totp, Some(actor.id.clone()), None, TOTP_LINK, &actor.id).await?;
    Ok((StatusCode::CREATED, axum::Json(FactorLink { href: format!("/join#{code}") })).into_response())
}

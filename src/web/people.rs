//! What an administrator does: people, phones, tokens.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Actor;
use super::app::{App, Json};
use super::problem::{Failure, Problem};
use super::sign_ins::note;
use crate::error::{Error, Result};
use crate::evidence::entry::Receipt;
use crate::patrol::report::parse_json;
use crate::people::{Account, AccountBody, Role, check_account, check_name, check_unit, secret};
use crate::picture;
use crate::store::SignInEvent;
use crate::store::people::{Looked, Machine, NewMachine, Phone, Purpose, Secret};

/// How long a link holds.
pub const LINK_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// The longest that a token holds, days.
const TOKEN_DAYS: u32 = 400;

/// Everybody.
#[utoipa::path(get, path = "/api/v1/people", tag = "people", responses((status = 200, body = Vec<Account>)))]
pub(super) async fn list_people(State(app): State<App>) -> Result<Response, Failure> {
    Ok(fresh(axum::Json(app.store.list_accounts().await?)))
}

fn fresh(body: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}

fn checked(app: &App, body: &[u8]) -> Result<AccountBody> {
    let body: AccountBody = parse_json(body)?;
    check_account(&body, &app.place.units)?;
    Ok(body)
}

/// Adds a person, who sets the password by a link.
#[utoipa::path(post, path = "/api/v1/people", tag = "people", request_body = AccountBody,
    responses((status = 201, body = Account), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add_person(
    State(app): State<App>,
    actor: Actor,
    Json(body): Json,
) -> Result<Response, Failure> {
    let account = app.store.add_account(checked(&app, &body)?, actor.id).await?;
    Ok((StatusCode::CREATED, axum::Json(account)).into_response())
}

/// Changes a person: all of it is said anew. Who is disabled, or gets another role, is signed out everywhere.
#[utoipa::path(put, path = "/api/v1/people/{id}", tag = "people", params(("id" = String, Path)), request_body = AccountBody,
    responses((status = 200, body = Account), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn change_person(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Failure> {
    app.store.change_account(id.clone(), checked(&app, &body)?, actor.id).await?;
    Ok(fresh(axum::Json(get(&app, &id).await?)))
}

async fn get(app: &App, id: &str) -> Result<Account> {
    app.store.find_account(id).await?.ok_or_else(|| Error::NotFound(format!("account {id}")))
}

/// A link as it is handed over: told, sent, or shown.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkBody {
    /// The address with the code.
    href: String,
    /// The same as a QR code (SVG).
    svg: String,
    /// Until then it can be used, once.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

fn link(app: &App, headers: &HeaderMap, page: &str, code: &str) -> Result<LinkBody> {
    let href = format!("{}{page}{code}", app.base_url(headers));
    let expires_at = app.store.clock().now() + SignedDuration::try_from(LINK_LIFETIME).unwrap_or_default();
    Ok(LinkBody { svg: picture::code(&href)?, href, expires_at })
}

/// Makes a link by which a person sets the password, and a second factor where there is none, within half an hour. An
/// older one is void.
#[utoipa::path(post, path = "/api/v1/people/{id}/invite", tag = "people", params(("id" = String, Path)),
    responses((status = 201, body = LinkBody), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn add_invite(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    not_own(&actor, &id)?;
    let account = get(&app, &id).await?;
    if account.disabled || account.login.is_none() {
        let why = "has no login, or may not sign in; change that first";
        return Err(Error::Conflict(format!("{id} {why}")).into());
    }
    let code = app.store.add_invite(Purpose::Person, Some(id), None, LINK_LIFETIME, &actor.id).await?;
    Ok((StatusCode::CREATED, fresh(axum::Json(link(&app, &headers, "/join#", &code)?))).into_response())
}

/// A PIN for shared phones.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PinBody {
    /// 4 to 8 digits.
    pin: String,
}

/// Gives a patrol person a PIN for shared phones, with which they choose one of their own.
#[utoipa::path(put, path = "/api/v1/people/{id}/pin", tag = "people", params(("id" = String, Path)), request_body = PinBody,
    responses((status = 204, description = "Set"), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set_pin(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Failure> {
    let PinBody { pin } = parse_json(&body)?;
    secret::check_pin("pin", &pin)?;
    if get(&app, &id).await?.role != Role::Patrol {
        return Err(Error::invalid("id", "only patrol staff sign in by PIN").into());
    }
    let phc = app.gate.hash(pin).await?;
    app.store.set_secret(id, Secret::Pin(phc), actor.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Takes a person's second factor away, whose phone is lost; the next link sets another. Every session ends.
#[utoipa::path(delete, path = "/api/v1/people/{id}/totp", tag = "people", params(("id" = String, Path)),
    responses((status = 204, description = "Taken away"), (status = 404, body = Problem)))]
pub(super) async fn drop_totp(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    not_own(&actor, &id)?;
    app.store.set_secret(id, Secret::NoTotp, actor.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whoever sits at a desk that was left open must not get an administrator's own account by it.
fn not_own(actor: &Actor, id: &str) -> Result<(), Error> {
    if actor.id != id {
        return Ok(());
    }
    Err(Error::Conflict("is the own account; allowed: /account, another administrator, or the shell".into()))
}

/// Signs a person out everywhere.
#[utoipa::path(delete, path = "/api/v1/people/{id}/sessions", tag = "people", params(("id" = String, Path)),
    responses((status = 204, description = "Every session has ended"), (status = 404, body = Problem)))]
pub(super) async fn end_sessions(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    app.store.end_sessions(get(&app, &id).await?.id, actor.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Takes a person's one-time codes again, after too many were wrong today: whoever asks is judged face to face.
#[utoipa::path(delete, path = "/api/v1/people/{id}/code-lock", tag = "people", params(("id" = String, Path)),
    responses((status = 204, description = "Codes are taken again"), (status = 404, body = Problem)))]
pub(super) async fn unlock_codes(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Failure> {
    not_own(&actor, &id)?;
    app.store.unlock_codes(get(&app, &id).await?.id, actor.id).await?;
    note(&app, &parts, Some(&id), SignInEvent::Unlock);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A person's name.
#[derive(Serialize, ToSchema)]
pub(super) struct NameBody {
    id: String,
    name: String,
    /// That it was asked for is an entry of the log.
    receipt: Receipt,
}

/// The name behind a person's id. Reports show the id; that somebody asked for the name is an entry of the log.
#[utoipa::path(get, path = "/api/v1/people/{id}/name", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = NameBody), (status = 404, body = Problem)))]
pub(super) async fn get_name(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let account = get(&app, &id).await?;
    let receipt = app.store.add_access(actor.id, Looked::Name, account.id.clone()).await?;
    Ok(fresh(axum::Json(NameBody { id: account.id, name: account.name, receipt })))
}

/// What a phone, or a program, is called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PhoneBody {
    /// What it says on its back; 1 to 40 characters.
    name: String,
}

/// Every phone that was enrolled.
#[utoipa::path(get, path = "/api/v1/phones", tag = "people", responses((status = 200, body = Vec<Phone>)))]
pub(super) async fn list_phones(State(app): State<App>) -> Result<Response, Failure> {
    Ok(fresh(axum::Json(app.store.list_phones().await?)))
}

/// Makes a link that enrols one phone, within half an hour.
#[utoipa::path(post, path = "/api/v1/phones", tag = "people", request_body = PhoneBody,
    responses((status = 201, body = LinkBody), (status = 422, body = Problem)))]
pub(super) async fn invite_phone(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Failure> {
    let PhoneBody { name } = parse_json(&body)?;
    check_name("name", &name)?;
    let by = app.store.find_account(&actor.id).await?.map(|a| a.id);
    let code = app.store.add_invite(Purpose::Phone, by, Some(name), LINK_LIFETIME, &actor.id).await?;
    Ok((StatusCode::CREATED, fresh(axum::Json(link(&app, &headers, "/m#enrol=", &code)?))).into_response())
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    /// What it is for; 1 to 40 characters.
    name: String,
    /// What it acts as.
    role: Role,
    /// The unit it speaks for, as a `unit`.
    #[serde(default)]
    unit: Option<String>,
    /// The stations it may send of, as a `sensor`; none: all.
    #[serde(default)]
    stations: Option<Vec<String>>,
    /// Days until it ends by itself, 1 to 400.
    days: u32,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct NewTokenBody {
    /// Seen this once: only its digest is kept.
    token: String,
    machine: Machine,
}

/// Every token that was made.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "people", responses((status = 200, body = Vec<Machine>)))]
pub(super) async fn list_tokens(State(app): State<App>) -> Result<Response, Failure> {
    Ok(fresh(axum::Json(app.store.list_machines().await?)))
}

/// Makes a token for a program.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "people", request_body = TokenBody,
    responses((status = 201, body = NewTokenBody), (status = 422, body = Problem)))]
pub(super) async fn add_token(
    State(app): State<App>,
    actor: Actor,
    Json(body): Json,
) -> Result<Response, Failure> {
    let TokenBody { name, role, unit, stations, days } = parse_json(&body)?;
    check_name("name", &name)?;
    check_unit(role, unit.as_deref(), &app.place.units)?;
    if !(1..=TOKEN_DAYS).contains(&days) {
        return Err(Error::invalid("days", format!("allowed: 1 to {TOKEN_DAYS}")).into());
    }
    let expires_at = app.store.clock().now() + SignedDuration::from_hours(24 * i64::from(days));
    let new = NewMachine { name, role, unit, stations, expires_at };
    let (machine, token) = app.store.add_machine(new, actor.id).await?;
    Ok((StatusCode::CREATED, fresh(axum::Json(NewTokenBody { token, machine }))).into_response())
}

/// Shuts out a phone or a token, at once.
#[utoipa::path(delete, path = "/api/v1/machines/{id}", tag = "people",
    params(("id" = String, Path, description = "`phone-2`, `token-1`")),
    responses((status = 204, description = "Shut out"), (status = 404, body = Problem)))]
pub(super) async fn revoke(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    app.store.revoke(id, actor.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

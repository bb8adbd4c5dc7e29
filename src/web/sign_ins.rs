//! The sign-in log, for the administrator.

use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::gate;
use super::problem::Failure;
use crate::store::{SignInEvent, SignInLine};

/// Lines that are shown.
const LIMIT: usize = 500;

/// Notes what happened at the door, and from where; `account` is the id of one that there is.
pub(super) fn note(app: &App, parts: &Parts, account: Option<&str>, event: SignInEvent) {
    // Without an address nothing was tried either.
    if let Ok(address) = gate::address(app, parts) {
        app.store.note_sign_in(address, account, event);
    }
}

/// The newest 500 lines of the sign-in log, the newest first: who signed in, failed, was refused or signed out, and from
/// where. All of it, 180 days, lies in `sign-in.log` in the data directory.
#[utoipa::path(get, path = "/api/v1/sign-ins", tag = "people", responses((status = 200, body = Vec<SignInLine>)))]
pub(super) async fn list_sign_ins(State(app): State<App>) -> Result<Response, Failure> {
    let lines = app.store.list_sign_ins(LIMIT).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(lines)).into_response())
}

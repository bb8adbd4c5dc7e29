//! Showing who one is: a password and a one-time code at a desk, a PIN on a shared phone. Each try waits for its turn, and
//! whatever was wrong is answered the same. Signing in asks this, and whoever changes what they sign in with.

use axum::http::request::Parts;

use super::access::{Actor, PHONE, cookie};
use super::app::App;
use super::gate;
use crate::error::{Error, Result};
use crate::people::throttle::Source;
use crate::people::{LOGIN_MAX, Role, secret};
use crate::store::people::{Phone, SignIn};

/// Somebody whose password was right.
pub(super) struct Known {
    /// Who.
    pub of: SignIn,
    /// From where.
    pub source: Source,
}

fn wrong() -> Error {
    Error::Unauthorized("login, password or code is wrong (用户名、密码或验证码不对)".into())
}

/// What a name may take of the memory of those who are held back: no account's is longer.
fn cut(name: &str) -> String {
    name.chars().take(LOGIN_MAX).collect()
}

/// Whose password this is. That it was right is said to the gate by whoever asks for no more; [`code`] does.
///
/// # Errors
/// `Unauthorized`; `TooMany` before its turn.
pub(super) async fn password(app: &App, parts: &Parts, login: &str, password: String) -> Result<Known> {
    let known = app.store.find_sign_in(login).await?.filter(|k| k.account.login.as_deref() == Some(login));
    let id = known.as_ref().map(|k| k.account.id.as_str());
    let source = gate::source(app, parts, id).await?;
    // A name that nobody has is held back like one that somebody has.
    let account = id.map_or_else(|| format!("login {}", cut(login)), str::to_owned);
    app.gate.turn(&account, &source).await?;
    let phc = known.as_ref().and_then(|k| k.password.clone());
    let right = app.gate.slow(move || secret::verify(&password, phc.as_deref())).await?;
    match known.filter(|_| right) {
        Some(of) => Ok(Known { of, source }),
        None => {
            app.gate.outcome(&account, &source, false);
            Err(wrong())
        }
    }
}

/// Checks the one-time code, where there is a second factor; each code once.
///
/// # Errors
/// `Unauthorized`.
pub(super) async fn code(app: &App, Known { of, source }: &Known, code: &str) -> Result<()> {
    let right = match &of.totp {
        None => true,
        Some(totp) => {
            let now = app.store.clock().now().as_second().unsigned_abs();
            match secret::totp_step(totp, code.trim(), now) {
                Some(step) => app.store.take_totp_step(of.account.id.clone(), step).await?,
                None => false,
            }
        }
    };
    app.gate.outcome(&of.account.id, source, right);
    if right { Ok(()) } else { Err(wrong()) }
}

/// Whose PIN this is, on the shared phone that asks.
///
/// # Errors
/// `Unauthorized`; `TooMany` before its turn.
pub(super) async fn pin(app: &App, parts: &Parts, person: &str, pin: String) -> Result<(SignIn, Phone)> {
    let phone = match cookie(&parts.headers, PHONE) {
        Some(token) => app.store.find_phone(token).await?,
        None => None,
    };
    let phone = phone.ok_or_else(|| {
        Error::Unauthorized(
            "this phone is not enrolled; scan the code in the office (请先扫码登记手机)".into(),
        )
    })?;
    let known = app.store.find_sign_in(person).await?.filter(|k| k.account.role == Role::Patrol);
    // Its own turn: a flood at the desk's door must not hold up the phone.
    let (account, source) = (format!("{} pin", cut(person)), Source::Known(phone.id.clone()));
    app.gate.turn(&account, &source).await?;
    let phc = known.as_ref().and_then(|k| k.pin.clone());
    let right = app.gate.slow(move || secret::verify(&pin, phc.as_deref())).await?;
    app.gate.outcome(&account, &source, right && known.is_some());
    let known =
        known.filter(|_| right).ok_or_else(|| Error::Unauthorized("the PIN is wrong (PIN 不对)".into()))?;
    Ok((known, phone))
}

/// The password of whoever is signed in at a desk, shown again.
///
/// # Errors
/// `Invalid` at `password`; `TooMany` before its turn.
pub(super) async fn own_password(app: &App, parts: &Parts, actor: &Actor, shown: String) -> Result<Known> {
    let login = app.store.find_account(&actor.id).await?.and_then(|a| a.login);
    let login = login.ok_or_else(|| Error::Conflict("this account has no password".into()))?;
    password(app, parts, &login, shown).await.map_err(not_own)
}

/// Password and code of whoever is signed in at a desk, shown again.
///
/// # Errors
/// `Invalid` at `password`, also where the code is wrong; `TooMany` before its turn.
pub(super) async fn own_secrets(
    app: &App,
    parts: &Parts,
    actor: &Actor,
    shown: String,
    one_time: Option<&str>,
) -> Result<()> {
    let known = own_password(app, parts, actor, shown).await?;
    code(app, &known, one_time.unwrap_or_default()).await.map_err(not_own)
}

/// Whoever is in stays in: the answer is about a field.
pub(super) fn not_own(error: Error) -> Error {
    match error {
        Error::Unauthorized(why) => Error::invalid("password", why),
        other => other,
    }
}

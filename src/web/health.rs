//! `/livez`: the process answers. `/readyz`: it can take reports, and what an operator should know.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use super::app::App;
use crate::clock::Clock;

/// A clock before this was never set: 2026-01-01T00:00:00Z.
const BUILT_AFTER_MS: i64 = 1_767_225_600_000;

pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// 200 while reports can be taken, 503 with the reason else. Optional parts that are down are said, not fatal.
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let free = app.store.free_bytes();
    let mut wrong: Vec<String> = Vec::new();
    if app.store.is_broken() {
        wrong.push("store: a commit failed; restart the service and read its log".into());
    }
    if let Err(e) = app.store.log_head().await {
        wrong.push(format!("store: {e}"));
    }
    let mut warnings: Vec<String> = Vec::new();
    if free.is_some_and(|f| f < app.settings.low_space_bytes) {
        warnings.push(format!("disk: {} MB free", free.unwrap_or(0) / 1_000_000));
    }
    warnings.extend(app.publisher.trouble().map(|t| format!("log: nothing is signed: {}", t.words)));
    let witnesses = app.publisher.missing_witnesses();
    warnings.extend(witnesses.iter().map(|(name, words)| format!("witness {name}: {words}")));
    warnings.extend(clock_warning(app.store.clock()));
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": wrong.is_empty(),
        "wrong": wrong,
        "warnings": warnings,
        "demo": app.store.is_demo(),
        "free_bytes": free,
        "mqtt": app.settings.mqtt.as_ref().map(|m| m.to_json()),
        "influx": app.settings.influx.as_ref().map(|i| format!("{:?}", i.get().phase)),
    });
    (status, axum::Json(body)).into_response()
}

/// What is wrong with the clock, as far as a program can tell by itself. A simulated one is as it should be.
pub fn clock_warning(clock: &Clock) -> Option<String> {
    match clock {
        Clock::System => unset_clock(clock.now()),
        Clock::Simulated(_) => None,
    }
}

/// The words about a system clock that says `now`, if it cannot be right.
pub fn unset_clock(now: Timestamp) -> Option<String> {
    (now.as_millisecond() < BUILT_AFTER_MS)
        .then(|| format!("clock: the system says {now}, which is before this program was made; set it (NTP)"))
}

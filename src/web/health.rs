//! `/livez`: the process answers. `/readyz`: it can take reports, and what an operator should know.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::access::is_let;
use super::app::App;
use super::doors::TOLD;
use super::warnings;

pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// 200 while reports can be taken, 503 else; whoever may see the warnings is told the reason. Optional parts that are down
/// are said, not fatal.
pub(super) async fn readyz(State(app): State<App>, headers: HeaderMap) -> Response {
    let mut wrong: Vec<String> = Vec::new();
    if app.store.is_broken() {
        wrong.push("store: a commit failed; restart the service and read its log".into());
    }
    // It reads the database.
    let warnings = warnings::list(&app).await.unwrap_or_else(|e| {
        wrong.push(format!("store: {e}"));
        Vec::new()
    });
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // A stranger, and one whom the store cannot name, is told no more than a load balancer needs.
    if !is_let(&app, &TOLD, &headers).await.unwrap_or(false) {
        return (status, axum::Json(json!({"ready": wrong.is_empty()}))).into_response();
    }
    let body = json!({
        "ready": wrong.is_empty(),
        "wrong": wrong,
        "warnings": warnings.into_iter().map(|w| w.words).collect::<Vec<_>>(),
        "demo": app.store.is_demo(),
        "free_bytes": app.store.free_bytes().await,
        "mqtt": app.settings.mqtt.as_ref().map(|m| m.to_json()),
        "influx": app.settings.influx.as_ref().map(|i| format!("{:?}", i.get().phase)),
    });
    (status, axum::Json(body)).into_response()
}

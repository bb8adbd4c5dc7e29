//! Errors as answers: one envelope (RFC 9457 problem+json), detail to the log once, a code to the client.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// The body of every error answer, `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable word for programs: `invalid`, `unauthorized`, `forbidden`, `too_many`, `not_found`, `conflict`, `too_large`, `unsupported`, `unavailable`,
    /// `no_space`, `method_not_allowed`, `internal`.
    pub code: &'static str,
    /// The same for people.
    pub title: &'static str,
    /// What happened here and what is allowed.
    pub detail: String,
    /// The field to mend, as a path into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// An error on its way out of a handler.
#[derive(Debug)]
pub struct Failure(pub Error);

/// Gives errors of the API that no handler made (an address that does not read, a method there is not, a timeout, a
/// panic) the same envelope.
pub async fn envelope(request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    let status = response.status();
    let allowed = response.headers().get(header::ALLOW).cloned();
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == MEDIA_TYPE);
    if !api || ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::from(&Error::NotFound("there is nothing here".into())),
        StatusCode::METHOD_NOT_ALLOWED => {
            let detail = "allowed: the methods in the header Allow".to_owned();
            Problem {
                status: 405, code: "method_not_allowed", title: "不支持的方法", detail, field: None
            }
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            Problem::from(&Error::Unavailable("took too long; send again".into()))
        }
        status if status.is_client_error() => {
            let error = Error::invalid("address", "cannot be read; allowed: UTF-8, percent-encoded");
            Problem { status: status.as_u16(), ..Problem::from(&error) }
        }
        _ => Problem::from(&Error::Internal(String::new())),
    };
    let mut answer = problem.into_response();
    if let Some(methods) = allowed {
        answer.headers_mut().insert(header::ALLOW, methods);
    }
    answer
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let (status, code, title) = match error {
            Error::Invalid { .. } => (422, "invalid", "输入有误"),
            Error::Unauthorized(_) => (401, "unauthorized", "需要登录"),
            Error::Forbidden(_) => (403, "forbidden", "没有权限"),
            Error::TooMany(_) => (429, "too_many", "尝试过多，请稍后再试"),
            Error::NotFound(_) => (404, "not_found", "没有找到"),
            Error::Gone(_) => (410, "gone", "已依法删除"),
            Error::Conflict(_) => (409, "conflict", "有冲突"),
            Error::TooLarge { .. } => (413, "too_large", "太大"),
            Error::Unsupported { .. } => (415, "unsupported", "不支持的类型"),
            Error::Unavailable(_) => (503, "unavailable", "暂时不能服务，请稍后再试"),
            Error::NoSpace(_) => (507, "no_space", "服务器磁盘已满"),
            Error::Internal(_) => (500, "internal", "内部错误"),
        };
        let (field, detail) = match error {
            Error::Invalid { field, message }
            | Error::TooLarge { field, message }
            | Error::Unsupported { field, message } => (Some(field.clone()), message.clone()),
            Error::Internal(_) => (None, "internal error; the log of the server says more".to_owned()),
            Error::TooMany(seconds) => (None, format!("too many tries; again in {seconds} s")),
            Error::NotFound(m)
            | Error::Unauthorized(m)
            | Error::Forbidden(m)
            | Error::Gone(m)
            | Error::Conflict(m)
            | Error::Unavailable(m)
            | Error::NoSpace(m) => (None, m.clone()),
        };
        Self { status, code, title, detail, field: field.filter(|f| !f.is_empty()) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Error::Internal(detail) = &self.0 {
            tracing::error!(detail, "a request failed");
        }
        let mut response = Problem::from(&self.0).into_response();
        if let Error::TooMany(seconds) = self.0 {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let retry = matches!(self.status, 503 | 507).then_some([(header::RETRY_AFTER, "5")]);
        (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], retry, body).into_response()
    }
}

//! Errors as answers: one envelope (RFC 9457 problem+json), detail to the log once, a code to the client.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

/// The body of every error answer, `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable word for programs: `invalid`, `not_found`, `conflict`, `too_large`, `unsupported`, `unavailable`,
    /// `no_space`, `internal`.
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let (status, code, title) = match error {
            Error::Invalid { .. } => (422, "invalid", "输入有误"),
            Error::NotFound(_) => (404, "not_found", "没有找到"),
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
            Error::NotFound(m) | Error::Conflict(m) | Error::Unavailable(m) | Error::NoSpace(m) => {
                (None, m.clone())
            }
        };
        Self { status, code, title, detail, field: field.filter(|f| !f.is_empty()) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Error::Internal(detail) = &self.0 {
            tracing::error!(detail, "a request failed");
        }
        let problem = Problem::from(&self.0);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let retry =
            matches!(self.0, Error::Unavailable(_) | Error::NoSpace(_)).then_some([("retry-after", "5")]);
        (status, [(header::CONTENT_TYPE, "application/problem+json")], retry, body).into_response()
    }
}

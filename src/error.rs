//! Errors named by what the caller can do about them. `web/problem.rs` is the one place where they become
//! HTTP answers, `main.rs` the one where they become exit codes.

/// What went wrong, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input is wrong: mend `field` as `message` says. Nothing was stored.
    #[error("{field}: {message}")]
    Invalid {
        /// Where in the input, as a dotted path (`position.lat`) or a heading of a table.
        field: String,
        /// What was found and what is allowed.
        message: String,
    },
    /// Nobody is signed in, or what was shown does not hold.
    #[error("not signed in: {0}")]
    Unauthorized(String),
    /// Whoever is signed in may not.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// Tried too often; again after so many seconds.
    #[error("too many tries: again in {0} s")]
    TooMany(u64),
    /// There is no such thing.
    #[error("not found: {0}")]
    NotFound(String),
    /// It was there and was erased by law; asking again does not help.
    #[error("gone: {0}")]
    Gone(String),
    /// The id is taken by other bytes, or the state forbids it.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Larger than the stated limit.
    #[error("{field}: {message}")]
    TooLarge {
        /// Where in the input.
        field: String,
        /// The limit.
        message: String,
    },
    /// Of a kind that is not taken.
    #[error("{field}: {message}")]
    Unsupported {
        /// Where in the input.
        field: String,
        /// What is taken.
        message: String,
    },
    /// Try again later; nothing was acknowledged.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The disk is full; nothing was acknowledged.
    #[error("no space left: {0}")]
    NoSpace(String),
    /// A fault of ours; the detail goes to the log, not to the client.
    #[error("internal: {0}")]
    Internal(String),
}

/// The result of every fallible function of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Bad input at `field`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), message: message.into() }
    }

    /// The same error with its field moved under `prefix` (`lat` becomes `position.lat`).
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        match self {
            Self::Invalid { field, message } => Self::Invalid { field: join(prefix, &field), message },
            Self::TooLarge { field, message } => Self::TooLarge { field: join(prefix, &field), message },
            Self::Unsupported { field, message } => {
                Self::Unsupported { field: join(prefix, &field), message }
            }
            other => other,
        }
    }
}

fn join(prefix: &str, field: &str) -> String {
    match (prefix, field) {
        ("", field) => field.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, field) => format!("{prefix}.{field}"),
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::NoSpace(e.to_string())
            }
            // A disk that failed is mounted so by the system, until an operator sees to it.
            std::io::ErrorKind::ReadOnlyFilesystem => Self::Unavailable(e.to_string()),
            _ => Self::Internal(e.to_string()),
        }
    }
}

impl From<zip::result::ZipError> for Error {
    fn from(e: zip::result::ZipError) -> Self {
        match e {
            zip::result::ZipError::Io(e) => e.into(),
            other => Self::Internal(format!("zip: {other}")),
        }
    }
}

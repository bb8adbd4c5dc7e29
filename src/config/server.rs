//! What is said of the service's own doors: where it listens, HTTPS, signing in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Config, Secret, seconds};
use crate::error::{Error, Result};

/// `[server]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address; loopback, or by HTTPS, or behind a trusted proxy.
    pub listen: SocketAddr,
    /// The address that people open; empty: the one that was asked.
    pub public_url: String,
    /// Proxies in front of this service.
    pub trusted_hops: usize,
    /// Largest JSON body, bytes.
    pub max_body_bytes: usize,
    /// Largest archive of a phone (导出未上传), as it comes and unfolded, bytes.
    pub max_outbox_bytes: u64,
    /// A request that takes longer is given up.
    #[serde(with = "seconds")]
    pub request_timeout_s: Duration,
}

/// `[tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Whose certificate.
    pub mode: TlsMode,
    /// PEM of the chain.
    pub certificate_file: PathBuf,
    /// PEM of the key.
    pub key_file: PathBuf,
    /// Host names for the local authority.
    pub names: Vec<String>,
    /// A second, plain address that sends on; empty: none.
    pub http_listen: String,
}

impl Tls {
    /// The second, plain address.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_listen.parse().ok()
    }
}

/// Whose certificate the service shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// None: plain HTTP.
    Off,
    /// The operator's.
    Files,
    /// One of the office's own authority.
    Local,
}

/// `[people]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// A session that was not used for so long ends, hours.
    pub session_idle_h: f64,
    /// A session ends at the latest after so long, hours.
    pub session_max_h: f64,
    /// What the first administrator signs in with; empty: a setup link is made.
    pub admin_login: String,
    /// Also `admin_password_file`.
    pub admin_password: Secret,
    /// File that holds the password.
    pub admin_password_file: PathBuf,
    /// Token of a program, role `machine`; also `token_file`.
    pub token: Secret,
    /// File that holds the token.
    pub token_file: PathBuf,
}

/// Checks what belongs together.
pub(super) fn check(c: &Config) -> Result<()> {
    let plain = c.tls.mode == TlsMode::Off && c.server.trusted_hops == 0;
    if plain && !c.server.listen.ip().is_loopback() {
        return Err(Error::invalid(
            "server.listen",
            format!(
                "{} can be reached from outside without HTTPS: passwords could be read on the way, and a phone gives \
                 neither camera nor position. Allowed: 127.0.0.1 or [::1]; HTTPS (tls.mode); a proxy in front \
                 (server.trusted_hops)",
                c.server.listen
            ),
        ));
    }
    let files = [&c.tls.certificate_file, &c.tls.key_file].map(|f| !f.as_os_str().is_empty());
    if files != [c.tls.mode == TlsMode::Files; 2] {
        let message = "certificate and key are given with tls.mode = \"files\", and only then";
        return Err(Error::invalid("tls.certificate_file", message));
    }
    if !c.tls.http_listen.is_empty() && (c.tls.mode == TlsMode::Off || c.tls.http_address().is_none()) {
        return Err(Error::invalid(
            "tls.http_listen",
            "allowed: an address like 0.0.0.0:8080, with tls.mode on",
        ));
    }
    let url = &c.server.public_url;
    if !url.is_empty() && url::Url::parse(url).map_or(true, |u| !matches!(u.scheme(), "http" | "https")) {
        return Err(Error::invalid("server.public_url", format!("`{url}`; allowed: https://name")));
    }
    if c.people.admin_login.is_empty() != c.people.admin_password.is_empty() {
        return Err(Error::invalid("people.admin_password", "login and password are given together"));
    }
    if !c.people.token.is_empty() && c.people.token.reveal().len() < 32 {
        return Err(Error::invalid(
            "people.token",
            "is short; allowed: 32 characters or more, made by chance",
        ));
    }
    Ok(())
}

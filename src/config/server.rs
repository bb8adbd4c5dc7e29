//! What is said of the service's own doors: where it listens, HTTPS, signing in.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::{Host, Url};

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
    /// Connections at a time.
    pub max_connections: usize,
    /// Connections at a time from one address that has not signed in.
    pub max_connections_per_address: usize,
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
    /// Host names for the local or the ACME authority.
    pub names: Vec<String>,
    /// Mail address of the account with the ACME authority; empty: none.
    pub acme_contact: String,
    /// Address of the ACME authority's directory.
    pub acme_directory: String,
    /// PEM of the authority that a private ACME server's own certificate is of; empty: the system's.
    pub acme_ca_file: PathBuf,
    /// A second, plain address that sends on; empty: none.
    pub http_listen: String,
}

impl Tls {
    /// The second, plain address.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_listen.parse().ok()
    }

    /// What the ACME authority is asked for: the names and the host of the public address, as DNS writes them.
    ///
    /// # Errors
    /// `Invalid` at the key whose name no such authority vouches for.
    pub fn acme_names(&self, public_url: &str) -> Result<Vec<String>> {
        let public = Url::parse(public_url).ok();
        let public = public.as_ref().and_then(Url::host_str).map(|host| ("server.public_url", host));
        let given = self.names.iter().map(|name| ("tls.names", name.as_str())).chain(public);
        // A private server may vouch for the names of its own network.
        let names = given.map(|(key, name)| host_name(key, name, self.acme_ca_file.as_os_str().is_empty()));
        let names: BTreeSet<String> = names.collect::<Result<_>>()?;
        if names.is_empty() {
            let message =
                "tls.mode = \"acme\" needs at least one; allowed: host names like xunhu.example.gov.cn";
            return Err(Error::invalid("tls.names", message));
        }
        Ok(names.into_iter().collect())
    }
}

/// Ends of names that stand in no public DNS.
const PRIVATE_ENDS: [&str; 8] =
    ["home.arpa", "internal", "intranet", "invalid", "lan", "local", "localhost", "test"];

fn host_name(key: &str, name: &str, public: bool) -> Result<String> {
    let wrong =
        |allowed: &str| Error::invalid(key, format!("`{name}`; allowed with tls.mode = \"acme\": {allowed}"));
    let Ok(Host::Domain(host)) = Host::parse(name) else { return Err(wrong("host names, no addresses")) };
    let label = |l: &str| !l.is_empty() && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !host.split('.').all(label) {
        return Err(wrong("host names of letters, digits and hyphens, without *"));
    }
    let private =
        |end: &&str| host.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if public && (!host.contains('.') || PRIVATE_ENDS.iter().any(private)) {
        return Err(wrong(
            "names of the public DNS; for names of the office's network tls.mode = \"local\", or a private ACME server \
             (tls.acme_ca_file)",
        ));
    }
    Ok(host)
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
    /// One that an ACME authority gives and renews.
    Acme,
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
    if c.tls.mode == TlsMode::Acme {
        check_acme(c)?;
    }
    let url = &c.server.public_url;
    if !url.is_empty() && Url::parse(url).map_or(true, |u| !matches!(u.scheme(), "http" | "https")) {
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

fn check_acme(c: &Config) -> Result<()> {
    let directory = &c.tls.acme_directory;
    if Url::parse(directory).map_or(true, |url| url.scheme() != "https" || url.host().is_none()) {
        let message = format!("`{directory}`; allowed: the https address of an ACME directory");
        return Err(Error::invalid("tls.acme_directory", message));
    }
    let mail = &c.tls.acme_contact;
    let parts = mail.split_once('@').map_or(["", ""], |(name, host)| [name, host]);
    let part = |p: &str| !p.is_empty() && !p.contains(|c: char| c.is_whitespace() || "@,?:".contains(c));
    if !mail.is_empty() && !parts.into_iter().all(part) {
        let message = "is no mail address; allowed: one like duty@example.gov.cn, or nothing";
        return Err(Error::invalid("tls.acme_contact", message));
    }
    c.tls.acme_names(&c.server.public_url).map(|_| ())
}

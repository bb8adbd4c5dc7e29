//! Where the mirror writes, checked before it does.

use std::time::Duration;

use influxdb2::Client;

use super::influx::FOLLOWER;
use crate::config;
use crate::error::{Error, Result};

/// More lines in one request end in a time-out of the server (500 after 17 s at 2,000,000).
const MOST_LINES: u32 = 5_000;

/// Name of the cursor into a bucket: another bucket is filled from the first row.
#[must_use]
pub fn cursor_name(config: &config::Influx) -> String {
    format!("{FOLLOWER} {} {}/{}", config.url.trim_end_matches('/'), config.org, config.bucket)
}

/// Where the mirror writes: checked settings and the client.
#[derive(Debug)]
pub struct Target {
    pub(super) client: Client,
    pub(super) cursor: String,
    pub(super) org: String,
    pub(super) bucket: String,
    pub(super) batch_lines: u32,
    pub(super) timeout: Duration,
}

impl Target {
    /// Checks the section `[influx]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the key and what is allowed: the client panics on a URL it cannot read and drops a
    /// path, so both end here.
    pub fn new(config: &config::Influx) -> Result<Self> {
        check_url(&config.url)?;
        for (key, value) in [("influx.org", &config.org), ("influx.bucket", &config.bucket)] {
            if value.is_empty() {
                return Err(Error::invalid(key, "is empty; the mirror needs its name"));
            }
        }
        let token = config.token.reveal();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::invalid(
                "influx.token",
                "must be printable ASCII without spaces, and not empty",
            ));
        }
        if !(1..=MOST_LINES).contains(&config.batch_lines) {
            let message = format!("is {}; allowed are 1 to {MOST_LINES}", config.batch_lines);
            return Err(Error::invalid("influx.batch_lines", message));
        }
        if config.timeout_s.is_zero() {
            return Err(Error::invalid("influx.timeout_s", "must be more than 0"));
        }
        Ok(Self {
            client: Client::new(&config.url, &config.org, token),
            cursor: cursor_name(config),
            org: config.org.clone(),
            bucket: config.bucket.clone(),
            batch_lines: config.batch_lines,
            timeout: config.timeout_s,
        })
    }
}

/// `http://HOST:PORT` and nothing more.
fn check_url(text: &str) -> Result<()> {
    let refuse = |why: &str| Error::invalid("influx.url", format!("{text:?} {why}; write http://HOST:PORT"));
    let url = url::Url::parse(text).map_err(|e| refuse(&format!("is not a URL ({e})")))?;
    match url.scheme() {
        "http" => {}
        // The client's TLS is an outdated rustls 0.21 with open advisories; it is not compiled in.
        "https" => {
            return Err(refuse(
                "asks for TLS, which the mirror does not speak: put InfluxDB on this machine",
            ));
        }
        _ => return Err(refuse("is not http")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refuse("names no host"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("has a path or a query, which the client drops"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds a user; the token is the only key"));
    }
    Ok(())
}

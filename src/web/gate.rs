//! Holding back guesses: the turns of those who try a secret, and where they come from.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use tokio::sync::Semaphore;

use super::access::{KNOWN, Peer, cookie};
use super::app::App;
use crate::error::{Error, Result};
use crate::people::secret;
use crate::people::throttle::{Source, Throttle};

/// What all requests share to hold back guesses. A second process of the same office has its own.
#[derive(Debug)]
pub struct Gate {
    throttle: Mutex<Throttle>,
    /// A hash takes 19 MiB and a core for some tens of milliseconds: two at a time.
    hashing: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self { throttle: Mutex::default(), hashing: Semaphore::new(2) }
    }
}

impl Gate {
    /// Waits for the turn of a try of `account`'s secret.
    ///
    /// # Errors
    /// `TooMany` with the seconds to stay away.
    pub(super) async fn turn(&self, account: &str, source: &Source) -> Result<()> {
        let admitted = self.throttle().admit(account, source, Instant::now());
        match admitted {
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Err(wait) => Err(Error::TooMany(wait.as_secs() + 1)),
        }
    }

    /// Says how a try ended.
    pub(super) fn outcome(&self, account: &str, source: &Source, good: bool) {
        let mut throttle = self.throttle();
        if good {
            throttle.succeeded(account, source);
        } else {
            throttle.failed(account, source, Instant::now());
        }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what takes a core and 19 MiB for a moment, two at a time, off the threads that serve.
    ///
    /// # Errors
    /// `Internal` if it broke off.
    pub(super) async fn slow<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let broke = |e: String| Error::Internal(e);
        let _turn = self.hashing.acquire().await.map_err(|e| broke(e.to_string()))?;
        tokio::task::spawn_blocking(work).await.map_err(|e| broke(e.to_string()))
    }
}

/// Where a try to sign in comes from: the browser, where it is known to `account`; else the address, which only a trusted
/// proxy may tell.
pub(super) async fn source(app: &App, parts: &Parts, account: Option<&str>) -> Result<Source> {
    if let (Some(token), Some(account)) = (cookie(&parts.headers, KNOWN), account)
        && app.store.is_known_browser(token, account).await?
    {
        return Ok(Source::Known(hex::encode(secret::digest(token))));
    }
    let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(at))| at.ip());
    let peer = peer.ok_or_else(|| Error::Internal("the peer's address is not known".into()))?;
    Ok(Source::at(client(&parts.headers, peer, app.settings.access.trusted_hops)))
}

/// The client's address. Every proxy adds whom it heard at the right of X-Forwarded-For; what stands further left than the
/// trusted ones wrote is the client's own invention.
fn client(headers: &HeaderMap, peer: IpAddr, trusted_hops: usize) -> IpAddr {
    let lines = headers.get_all("x-forwarded-for").into_iter().filter_map(|line| line.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let told = trusted_hops.checked_sub(1).and_then(|n| hops.iter().rev().nth(n));
    told.and_then(|text| text.parse().ok()).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn only_trusted_proxies_say_who_asked() {
        let peer = IpAddr::from([10, 0, 0, 1]);
        let told = |value, hops| client(&headers(&[("x-forwarded-for", value)]), peer, hops).to_string();
        assert_eq!(told("1.1.1.1, 2.2.2.2, 3.3.3.3", 0), "10.0.0.1");
        assert_eq!(told("1.1.1.1, 2.2.2.2, 3.3.3.3", 1), "3.3.3.3");
        assert_eq!(told("1.1.1.1, 2.2.2.2, 3.3.3.3", 2), "2.2.2.2");
        assert_eq!(told("3.3.3.3", 2), "10.0.0.1", "one proxy is missing");
        assert_eq!(told("2001:db8::1", 1), "2001:db8::1");
        assert_eq!(told("unknown", 1), "10.0.0.1");
        let twice = headers(&[("x-forwarded-for", "9.9.9.9"), ("x-forwarded-for", "3.3.3.3")]);
        assert!(["3.3.3.3", "9.9.9.9"].contains(&client(&twice, peer, 1).to_string().as_str()));
    }
}

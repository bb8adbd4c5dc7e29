//! Holding back guesses: the turns of those who try a secret, and where they come from.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use tokio::sync::Semaphore;

use super::access::{KNOWN, Peer, cookie};
use super::app::App;
use crate::error::{Error, Result};
use crate::people::secret::{self, Hasher};
use crate::people::throttle::{Source, Throttle};

/// Strangers' tries that wait for the hashing slot, at most: some seconds of work.
const QUEUE: usize = 64;

/// What all requests share to hold back guesses. A second process of the same office has its own.
#[derive(Debug)]
pub struct Gate {
    throttle: Mutex<Throttle>,
    /// A hash takes 19 MiB and a core for some tens of milliseconds: one at a time for strangers, and one for those who are
    /// known, whom no flood of strangers holds up.
    strangers: Slot,
    known: Slot,
}

/// Where one hash at a time is made.
#[derive(Debug)]
struct Slot {
    hasher: Arc<tokio::sync::Mutex<Hasher>>,
    /// Whoever waits or is at work holds one permit.
    queue: Arc<Semaphore>,
    length: usize,
}

impl Slot {
    fn new(length: usize) -> Self {
        Self { hasher: Arc::default(), queue: Arc::new(Semaphore::new(length)), length }
    }

    /// Runs `work` off the threads that serve. The hasher's memory goes back when nobody waits for it.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Hasher) -> T + Send + 'static,
    ) -> Result<T> {
        let place = self.queue.clone().try_acquire_owned().map_err(|_| Error::TooMany(1))?;
        let mut hasher = self.hasher.clone().lock_owned().await;
        let (queue, length) = (self.queue.clone(), self.length);
        let run = move || {
            let done = work(&mut hasher);
            drop(place);
            if queue.available_permits() == length {
                hasher.release();
            }
            done
        };
        tokio::task::spawn_blocking(run).await.map_err(|e| Error::Internal(e.to_string()))
    }
}

impl Default for Gate {
    fn default() -> Self {
        let (strangers, known) = (Slot::new(QUEUE), Slot::new(Semaphore::MAX_PERMITS));
        Self { throttle: Mutex::default(), strangers, known }
    }
}

/// A try of a secret that is under way. It counts as a failure until the gate is told otherwise.
#[derive(Clone, Debug)]
pub(super) struct Try {
    /// Whose secret.
    pub account: String,
    /// From where.
    pub source: Source,
}

impl Gate {
    /// Waits for the turn of a try of `account`'s secret.
    ///
    /// # Errors
    /// `TooMany` with the seconds to stay away.
    pub(super) async fn turn(&self, account: String, source: Source) -> Result<Try> {
        let admitted = self.throttle().admit(&account, &source, Instant::now());
        match admitted {
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                Ok(Try { account, source })
            }
            Err(wait) => Err(Error::TooMany(wait.as_secs() + 1)),
        }
    }

    /// The try succeeded.
    pub(super) fn succeeded(&self, Try { account, source }: &Try) {
        self.throttle().succeeded(account, source);
    }

    /// The try came to no end that says anything.
    pub(super) fn withdrawn(&self, Try { account, source }: &Try) {
        self.throttle().withdrawn(account, source);
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `secret` is what `phc` was made of.
    ///
    /// # Errors
    /// `TooMany` if too many strangers wait: then it does not count as a failure. `Internal` if it broke off.
    pub(super) async fn verify(&self, tried: &Try, secret: String, phc: Option<String>) -> Result<bool> {
        let slot = if tried.source.is_known() { &self.known } else { &self.strangers };
        let verified = slot.run(move |hasher| hasher.verify(&secret, phc.as_deref())).await;
        if verified.is_err() {
            self.withdrawn(tried);
        }
        verified
    }

    /// The PHC string of a new secret, chosen by somebody who is let in.
    ///
    /// # Errors
    /// `Unavailable` without randomness; `Internal` if it broke off.
    pub(super) async fn hash(&self, secret: String) -> Result<String> {
        self.known.run(move |hasher| hasher.hash(&secret)).await?
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
    Ok(Source::at(address(app, parts)?))
}

/// The address that a request comes from.
pub(super) fn address(app: &App, parts: &Parts) -> Result<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(at))| at.ip());
    let peer = peer.ok_or_else(|| Error::Internal("the peer's address is not known".into()))?;
    Ok(client(&parts.headers, peer, app.settings.access.trusted_hops))
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

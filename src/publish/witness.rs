//! Asks a witness to cosign each checkpoint (C2SP tlog-witness). Publication never waits for it.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::MissedTickBehavior;
use url::{Host, Url};

use super::Publisher;
use crate::config;
use crate::error::{Error, Result};
use crate::evidence::checkpoint::{SignedCheckpoint, decimal};
use crate::evidence::note::{Kind, Signature, VerifierKey};
use crate::evidence::proof;
use crate::evidence::witness::AddCheckpoint;
use crate::tls::{self, call};

/// At least between two questions to one witness.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest time between two tries with one that does not.
const MOST: Duration = Duration::from_secs(60);

/// A witness: checked settings.
#[derive(Clone, Debug)]
pub struct Witness {
    name: String,
    url: Url,
    key: VerifierKey,
    /// None for http.
    tls: Option<Arc<ClientConfig>>,
}

impl Witness {
    /// Its name here, with its key.
    pub(super) fn named_key(&self) -> (String, VerifierKey) {
        (self.name.clone(), self.key.clone())
    }

    /// The key of its cosignatures.
    pub(super) fn key(&self) -> &VerifierKey {
        &self.key
    }
}

/// How a question ended.
enum Answer {
    Cosigned(Signature),
    /// The witness knows this many entries.
    Knows(u64),
    Refused(String),
}

impl Witness {
    /// Checks an entry of `[[log.witnesses]]`.
    ///
    /// # Errors
    /// `Invalid` at `log.witnesses` with its name and what is allowed.
    pub fn new(config: &config::Witness) -> Result<Self> {
        let wrong = |what: String| Error::invalid("log.witnesses", format!("{}: {what}", config.name));
        let mut url = Url::parse(&config.url).map_err(|e| wrong(format!("url {:?}: {e}", config.url)))?;
        let loopback = match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(wrong(format!("url {url} is not allowed; allowed: https, or http on this machine")));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(wrong(format!("url {url} has more than a host and a path")));
        }
        url.set_path(&format!("{}/add-checkpoint", url.path().trim_end_matches('/')));
        let key: VerifierKey = config.vkey.parse().map_err(|e| wrong(format!("vkey: {e}")))?;
        if key.kind() != Kind::Cosignature {
            return Err(wrong("vkey is that of a log; the witness prints its own at its start".to_owned()));
        }
        let tls = (url.scheme() == "https").then(|| tls::client("".as_ref())).transpose();
        let tls = tls.map_err(|e| wrong(e.to_string()))?;
        Ok(Self { name: config.name.clone(), url, key, tls })
    }
}

/// The witnesses of `[log]`.
///
/// # Errors
/// As [`Witness::new`].
pub(super) fn all(config: &config::Log) -> Result<Arc<[Witness]>> {
    config.witnesses.iter().map(Witness::new).collect()
}

/// Asks `witness` after each checkpoint until `shutdown` is ready.
pub async fn ask(publisher: Publisher, witness: Witness, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown => {}
        () = follow(&publisher, &witness) => {}
    }
}

/// How long a document waits for the witnesses, all together.
const DOCUMENT_PATIENCE: Duration = Duration::from_secs(10);

impl Publisher {
    /// Asks every witness once to cosign the newest checkpoint, for a document that is to carry their lines. One that
    /// does not answer in time is left out; the service goes on asking it.
    pub async fn cosign(&self) {
        let questions = self.witnesses.iter().map(|witness| async move {
            let mut known = 0;
            match tokio::time::timeout(DOCUMENT_PATIENCE, step(self, witness, &mut known)).await {
                Ok(Ok(())) => {}
                Ok(Err(words)) => tracing::warn!(witness = witness.name, "does not cosign: {words}"),
                Err(_) => tracing::warn!(witness = witness.name, "did not cosign in {DOCUMENT_PATIENCE:?}"),
            }
        });
        futures_util::future::join_all(questions).await;
    }
}

async fn follow(publisher: &Publisher, witness: &Witness) {
    let mut published = publisher.published.subscribe();
    // What the witness cosigned last, as far as this process knows; a wrong guess costs one more question.
    let (mut known, mut failures) = (0, 0_u32);
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        published.borrow_and_update();
        match step(publisher, witness, &mut known).await {
            Ok(()) => {
                failures = 0;
                publisher.enter_witness(&witness.name, None);
                // The publisher lives as long as this.
                let _ = published.changed().await;
            }
            Err(words) => {
                failures += 1;
                publisher.enter_witness(&witness.name, Some(words));
                tokio::time::sleep((PAUSE * 2_u32.saturating_pow(failures - 1)).min(MOST)).await;
            }
        }
    }
}

/// Has the newest checkpoint cosigned; `known` is what the witness cosigned last.
async fn step(publisher: &Publisher, witness: &Witness, known: &mut u64) -> Result<(), String> {
    let text = |e: Error| e.to_string();
    let Some(newest) = publisher.store.find_checkpoint().await.map_err(text)? else { return Ok(()) };
    let size = newest.checkpoint().size;
    if newest.verify_cosigned(&witness.key).is_ok() {
        *known = size;
        return Ok(());
    }
    *known = (*known).min(size);
    // The second time with the size that it named.
    for _ in 0..2 {
        match question(publisher, witness, *known, &newest).await? {
            Answer::Cosigned(line) => {
                publisher.store.add_cosignature(size, line).await.map_err(text)?;
                *known = size;
                return Ok(());
            }
            Answer::Knows(other) if other > size => {
                return Err(format!(
                    "it cosigned {other} entries of this log, and {size} are signed here: look for a second instance \
                     or an older database"
                ));
            }
            Answer::Knows(other) if other == *known => {
                return Err(format!(
                    "it knows another head of {other} entries: this log was forked. Look for a second instance, and \
                     run `jijia audit`"
                ));
            }
            Answer::Knows(other) => *known = other,
            Answer::Refused(words) => return Err(words),
        }
    }
    Err("it names another size each time".to_owned())
}

async fn question(
    publisher: &Publisher,
    witness: &Witness,
    old: u64,
    newest: &SignedCheckpoint,
) -> Result<Answer, String> {
    let size = newest.checkpoint().size;
    let proof = publisher.store.with_tiles(|read| proof::consistency(old, size, read)).await;
    let proof = proof.map_err(|e| e.to_string())?;
    let body = AddCheckpoint { old, proof, checkpoint: newest.clone() }.to_string();
    let (status, body) = call::post(&witness.url, witness.tls.clone(), body).await?;
    let refused = |why: &str| Answer::Refused(format!("it answered {status}{why}"));
    Ok(match status {
        200 => cosignature(witness, newest, &body).map_or_else(
            || refused(" without its own cosignature of this checkpoint; is the vkey right?"),
            Answer::Cosigned,
        ),
        409 => body.strip_suffix('\n').and_then(decimal).map_or_else(|| refused(""), Answer::Knows),
        403 => refused(": it does not know the key of this log; give it the output of `jijia log key`"),
        404 => refused(": it does not know this log; give it the output of `jijia log key`"),
        422 => refused(
            ": the log does not continue what it cosigned. Look for a second instance, and run `jijia audit`",
        ),
        _ => refused(""),
    })
}

/// The line of the witness among those of the answer, if it is over this checkpoint.
fn cosignature(witness: &Witness, checkpoint: &SignedCheckpoint, answer: &str) -> Option<Signature> {
    answer.lines().filter_map(|line| line.parse::<Signature>().ok()).find(|line| {
        let mut cosigned = checkpoint.clone();
        cosigned.add(line.clone());
        let own = (line.name.as_str(), line.id) == (witness.key.name(), witness.key.id());
        own && cosigned.verify_cosigned(&witness.key).is_ok()
    })
}

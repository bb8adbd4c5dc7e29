//! The committer: messages into batches, batches into the store, and only then acknowledgements.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rumqttc::v5::AsyncClient;
use tokio::sync::{mpsc, watch};

use super::{Backoff, Line, Message};
use crate::error::Result;
use crate::ingest::decode::decode;
use crate::ingest::mapping::Mapping;
use crate::store::{Store, not_admitted};
use crate::water::observation::{DeadLetter, NewBatch};

/// Messages in one commit, at most.
const BATCH: usize = 500;

/// Takes what the poll loop received, commits, acknowledges. Ends when the poll loop closed the queue and all of it is
/// committed, or, while the store is unavailable, as soon as we are told to stop: what is not acknowledged comes again.
pub(super) struct Committer {
    pub(super) mappings: Arc<[Mapping]>,
    pub(super) store: Store,
    pub(super) client: AsyncClient,
    pub(super) line: Arc<Line>,
    pub(super) shutdown: watch::Receiver<bool>,
}

impl Committer {
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut messages, BATCH).await > 0 {
            if !self.commit_until_done(&messages).await {
                return;
            }
            self.acknowledge(&messages);
            self.line.free(messages.iter().map(Message::bytes).sum());
            messages.clear();
        }
    }

    /// `false`: told to stop before the store took it.
    async fn commit_until_done(&mut self, messages: &[Message]) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            // Decoded anew for each try: the store consumes a batch, and failing is rare.
            let Err(error) = self.commit(messages).await else { return true };
            if backoff.is_first() {
                tracing::error!(%error, messages = messages.len(), "mqtt: not stored, not acknowledged; trying again");
            }
            if *self.shutdown.borrow() {
                return false;
            }
            let stopped = async { self.shutdown.wait_for(|stop| *stop).await.is_ok() };
            // Told to stop while waiting: one more try, then the broker keeps them.
            let _ = tokio::time::timeout(backoff.next(), stopped).await;
        }
    }

    async fn commit(&self, messages: &[Message]) -> Result<()> {
        let (mut dead, mut stored, mut known) = (0, 0, 0);
        for batch in batches(&self.mappings, messages, |station| self.store.admits_station(station)) {
            let letters = batch.dead.len() as u64;
            // Crash after this line: the batch is durable and not acknowledged; it comes again and is known.
            let outcome = self.store.add_observations(batch).await?;
            dead += letters;
            stored += outcome.added;
            known += outcome.known;
        }
        let status = &self.line.status;
        status.dead.fetch_add(dead, Relaxed);
        status.stored.fetch_add(stored, Relaxed);
        status.known.fetch_add(known, Relaxed);
        Ok(())
    }

    fn acknowledge(&self, messages: &[Message]) {
        // Held while acknowledging: the poll loop ends an epoch under the same lock and then empties the queue of
        // acknowledgements, so that none of an old connection can acknowledge another message's id on a new one.
        let epoch = self.line.lock_epoch();
        for message in messages.iter().filter(|m| m.epoch == *epoch) {
            // The queue holds 2^20; should it be full, the message comes again after the next reconnect.
            if self.client.try_ack(&message.publish).is_err() {
                tracing::warn!("mqtt: queue of acknowledgements full");
                break;
            }
        }
    }
}

/// One batch for each source that has something; a message that no source claims goes to the dead letters of `mqtt`.
/// So does one of a station that is not admitted.
fn batches(mappings: &[Mapping], messages: &[Message], admits: impl Fn(&str) -> bool) -> Vec<NewBatch> {
    let sources = mappings.iter().map(|m| m.source.as_str()).chain(["mqtt"]);
    let mut batches: Vec<NewBatch> = sources
        .map(|source| NewBatch { source: source.into(), by: source.into(), ..NewBatch::default() })
        .collect();
    for message in messages {
        let publish = &message.publish;
        let topic = String::from_utf8_lossy(&publish.topic);
        let at = mappings.iter().position(|m| m.matches(&topic));
        let decoded = match at.and_then(|at| mappings.get(at)) {
            Some(mapping) => decode(mapping, &topic, &publish.payload, message.received_at_ms),
            None => Err("topic: no [[mqtt.source]] has a topic_template for it".to_owned()),
        };
        // All values of a message are of one station.
        let decoded = decoded.and_then(|all| match all.first().filter(|o| !admits(&o.station)) {
            Some(o) => Err(not_admitted(&o.station)),
            None => Ok(all),
        });
        let Some(batch) = batches.get_mut(at.unwrap_or(mappings.len())) else { continue };
        match decoded {
            Ok(observations) => batch.observations.extend(observations),
            Err(reason) => batch.dead.push(DeadLetter {
                source: batch.source.clone(),
                topic: topic.into_owned(),
                reason,
                raw: publish.payload.to_vec(),
            }),
        }
    }
    batches.retain(|b| !b.observations.is_empty() || !b.dead.is_empty());
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::v5::mqttbytes::{QoS, v5::Publish};

    #[test]
    fn one_batch_for_each_source() {
        let mapping = |name: &str| {
            let text = format!(
                "name = '{name}'\ntopic_template = '{name}/{{device}}'\ndevice = 'topic:device'\nkeys = {{ ph = 'ph' }}"
            );
            Mapping::new(&toml::from_str(&text).unwrap(), 1000).unwrap()
        };
        let message = |topic: &str, payload: &str| Message {
            epoch: 1,
            received_at_ms: 1_787_360_400_000,
            publish: Publish::new(topic, QoS::AtLeastOnce, payload.to_owned(), None),
        };
        let messages = [
            message("a/S1", r#"{"ph":8}"#),
            message("b/S1", "{"),
            message("a/S2", r#"{"ph":7}"#),
            message("c/S1", r#"{"ph":7}"#),
            message("b/S1", r#"{"other":7}"#),
            message("a/S9", r#"{"ph":7}"#),
        ];
        let got = batches(&[mapping("a"), mapping("b")], &messages, |station| station != "S9");
        let shape: Vec<_> =
            got.iter().map(|b| (b.source.as_str(), b.observations.len(), b.dead.len())).collect();
        assert_eq!(shape, [("mqtt:a", 2, 1), ("mqtt:b", 0, 2), ("mqtt", 0, 1)]);
        assert_eq!((got[1].dead[0].topic.as_str(), got[1].dead[0].raw.as_slice()), ("b/S1", b"{".as_slice()));
    }
}

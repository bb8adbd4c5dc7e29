//! Readings by MQTT v5. Three tasks: the poll loop only polls and passes messages on; the committer decodes, commits
//! and then acknowledges; a short one subscribes after every connect. No task waits for the queue of acknowledgements
//! (rumqttc sends one for each poll, so on a backlog they lag by tens of thousands: waiting for room is a deadlock).
//!
//! At least once: a crash between commit and acknowledgement brings a message again, and the store knows its values.
//! Only a message without a time of its own then gives a second value, at its second time of receipt.

mod commit;
mod connect;

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, Packet, Publish, RetainForwardRule, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{self, QoS};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, StateError};
use tokio::sync::{Notify, mpsc, watch};

use crate::config::Mqtt;
use crate::error::{Error, Result};
use crate::ingest::mapping::Mapping;
use crate::store::Store;
pub use crate::water::intake::MqttStatus;

/// Room for requests, acknowledgements above all.
const REQUESTS: usize = 1 << 20;
/// How long the committer may take to make room before the connection is dropped; well below 1.5 keep alives, after
/// which the broker would do it.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection that lasted so long ends a row of failures.
const STABLE: Duration = Duration::from_secs(30);
/// How long a clean end may take once all is committed.
const FAREWELL: Duration = Duration::from_secs(10);

/// A message on its way to the committer.
struct Message {
    /// The connection it came by.
    epoch: u64,
    received_at_ms: i64,
    publish: Publish,
}

impl Message {
    /// What it holds in memory.
    fn bytes(&self) -> usize {
        self.publish.topic.len() + self.publish.payload.len() + size_of::<Self>()
    }
}

/// What poll loop and committer share.
struct Line {
    status: Arc<MqttStatus>,
    /// Number of the connection; each ends under this lock.
    epoch: Mutex<u64>,
    pending_bytes: AtomicUsize,
    room: Notify,
}

impl Line {
    fn lock_epoch(&self) -> MutexGuard<'_, u64> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `bytes` are committed.
    fn free(&self, bytes: usize) {
        self.pending_bytes.fetch_sub(bytes, Relaxed);
        self.room.notify_one();
    }

    /// Until less than `limit` is pending.
    async fn wait_for_room(&self, limit: usize) {
        while self.pending_bytes.load(Relaxed) >= limit {
            self.room.notified().await;
        }
    }
}

/// Checks `[mqtt]`: what [`run`] would refuse.
///
/// # Errors
/// `Invalid` with the key.
pub fn check(config: &Mqtt) -> Result<()> {
    mappings(config).and_then(|_| connect::options(config)).map(|_| ())
}

/// Receives until `shutdown` turns true (or its sender is gone), then commits what is there, acknowledges it and takes
/// leave; the broker keeps the session. Waits out broker and store; returns early only for a wrong configuration.
///
/// # Errors
/// `Invalid` with the key of `[mqtt]` that is wrong.
pub async fn run(
    config: Mqtt,
    store: Store,
    status: Arc<MqttStatus>,
    shutdown: watch::Receiver<bool>,
) -> Result<()> {
    let mappings = mappings(&config)?;
    let (client, events) = AsyncClient::new(connect::options(&config)?, REQUESTS);
    let pending_bytes = AtomicUsize::new(0);
    let line = Arc::new(Line { status, epoch: Mutex::new(0), pending_bytes, room: Notify::new() });
    let (queue, received) = mpsc::unbounded_channel();
    let mut receiver = Receiver {
        filters: filters(&mappings),
        max_pending_bytes: config.max_pending_bytes,
        clock: store.clock().clone(),
        client: client.clone(),
        line: line.clone(),
        queue,
        events,
        up_since: None,
        backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
    };
    let committer = commit::Committer { mappings, store, client, line, shutdown: shutdown.clone() };
    let committer = tokio::spawn(committer.run(received));
    receiver.receive(shutdown).await;
    receiver.take_leave(committer).await;
    Ok(())
}

fn mappings(config: &Mqtt) -> Result<Arc<[Mapping]>> {
    let max = config.max_packet_bytes as usize;
    if config.source.is_empty() {
        return Err(Error::invalid("mqtt.source", "is missing; without one nothing is listened to"));
    }
    let mappings = config.source.iter().enumerate().map(|(at, source)| {
        if config.source.iter().take(at).any(|other| other.name == source.name) {
            return Err(Error::invalid("name", "another source has this name")
                .under(&format!("mqtt.source.{}", source.name)));
        }
        Mapping::new(source, max).map_err(|e| e.under(&format!("mqtt.source.{}", source.name)))
    });
    mappings.collect()
}

/// What is subscribed to.
fn filters(mappings: &[Mapping]) -> Vec<Filter> {
    let mut filters: Vec<Filter> = Vec::new();
    for mapping in mappings {
        let mut filter = Filter::new(mapping.filter(), QoS::AtLeastOnce);
        // A retained message without a time would be an old value taken for new.
        filter.retain_forward_rule =
            if mapping.is_timeless() { RetainForwardRule::Never } else { RetainForwardRule::OnNewSubscribe };
        if filters.iter().all(|f| f.path != filter.path) {
            filters.push(filter);
        }
    }
    filters
}

/// The poll loop.
struct Receiver {
    filters: Vec<Filter>,
    max_pending_bytes: usize,
    clock: crate::clock::Clock,
    client: AsyncClient,
    line: Arc<Line>,
    queue: mpsc::UnboundedSender<Message>,
    events: EventLoop,
    up_since: Option<Instant>,
    backoff: Backoff,
}

impl Receiver {
    async fn receive(&mut self, mut shutdown: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                () = told(&mut shutdown) => return,
                () = self.step() => {}
            }
        }
    }

    /// One event, one failure waited out, or one pause for the committer.
    async fn step(&mut self) {
        if self.line.pending_bytes.load(Relaxed) >= self.max_pending_bytes {
            return self.pause().await;
        }
        match self.events.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => self.pass_on(publish),
            Ok(Event::Incoming(Packet::ConnAck(ack))) => self.connected(&ack),
            Ok(Event::Incoming(Packet::SubAck(ack))) => self.subscribed(&ack),
            Ok(_) => {}
            Err(error) => {
                self.end_connection();
                self.tell(&error);
                tokio::time::sleep(self.backoff.next()).await;
            }
        }
    }

    fn pass_on(&self, publish: Publish) {
        let received_at_ms = self.clock.now().as_millisecond();
        let message = Message { epoch: *self.line.lock_epoch(), received_at_ms, publish };
        self.line.status.received.fetch_add(1, Relaxed);
        self.line.status.last_message_ms.store(received_at_ms, Relaxed);
        self.line.pending_bytes.fetch_add(message.bytes(), Relaxed);
        // The committer leaves first only while we are told to stop; the broker then sends the message again.
        let _ = self.queue.send(message);
    }

    /// Some brokers send far more than the receive maximum asked for, so memory is bounded here. Reading stops, which
    /// the committer never waits for; if it makes no room either (the store is away), the connection is dropped and
    /// the broker keeps what is not acknowledged.
    async fn pause(&mut self) {
        let limit = self.max_pending_bytes;
        if tokio::time::timeout(PATIENCE, self.line.wait_for_room(limit)).await.is_err() {
            tracing::warn!("mqtt: too much received and not yet stored; disconnected until it is");
            self.end_connection();
            self.line.wait_for_room(limit / 2).await;
        }
    }

    /// What was received stays with the committer; acknowledgements of this connection are void from here on.
    fn end_connection(&mut self) {
        // rumqttc keeps what it had read beside the error and would hand it out after the reconnect, as if it were new.
        for event in std::mem::take(&mut self.events.state.events) {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                self.pass_on(publish);
            }
        }
        let mut epoch = self.line.lock_epoch();
        *epoch += 1;
        // Also forgets acknowledgements handed in since the connection broke.
        self.events.clean();
        drop(epoch);
        self.line.status.connected.store(false, Relaxed);
    }

    /// Says once that the connection is gone, and why; the tries after it go to the debug log.
    fn tell(&mut self, error: &ConnectionError) {
        if self.up_since.take().is_some_and(|since| since.elapsed() >= STABLE) {
            self.backoff.reset();
        }
        let reason = match error {
            // A DISCONNECT without a reason code, as rumqttc reads it.
            ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::PayloadRequired)) => {
                "closed by the broker".to_owned()
            }
            other => other.to_string(),
        };
        if self.backoff.is_first() {
            tracing::warn!(reason, "mqtt: not connected; trying again");
        } else {
            tracing::debug!(reason, "mqtt: still not connected");
        }
    }

    fn connected(&mut self, ack: &ConnAck) {
        self.up_since = Some(Instant::now());
        self.line.status.connects.fetch_add(1, Relaxed);
        tracing::info!(session_kept = ack.session_present, "mqtt: connected");
        // On every connect: a broker that lost the session subscribes us to nothing by itself.
        let (client, filters) = (self.client.clone(), self.filters.clone());
        tokio::spawn(async move { client.subscribe_many(filters).await });
    }

    fn subscribed(&self, ack: &SubAck) {
        for (code, filter) in ack.return_codes.iter().zip(&self.filters) {
            if !matches!(code, SubscribeReasonCode::Success(_)) {
                tracing::error!(filter = filter.path, ?code, "mqtt: the broker refuses the subscription");
            }
        }
        let refused = ack.return_codes.iter().any(|code| !matches!(code, SubscribeReasonCode::Success(_)));
        self.line.status.refused.store(refused, Relaxed);
        self.line.status.connected.store(true, Relaxed);
    }

    /// Waits for the committer, sends the acknowledgements, says goodbye. What still arrives is not acknowledged.
    async fn take_leave(self, committer: tokio::task::JoinHandle<()>) {
        let Self { queue, client, mut events, line, .. } = self;
        drop(queue);
        if committer.await.is_err() {
            tracing::error!("mqtt: the committer broke off; the broker sends again what it had");
        }
        if line.status.connected.swap(false, Relaxed) && client.try_disconnect().is_ok() {
            // Until the broker closes: it has then read our acknowledgements. Closing first could discard them.
            let farewell = async { while events.poll().await.is_ok() {} };
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
        tracing::info!("mqtt: disconnected");
    }
}

/// Until we are told to stop.
async fn told(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Waits that double, each shortened at random by up to half so that clients do not come back in step.
struct Backoff {
    shortest: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, failures: 0 }
    }

    fn is_first(&self) -> bool {
        self.failures == 0
    }

    fn reset(&mut self) {
        self.failures = 0;
    }

    fn next(&mut self) -> Duration {
        let full = self.shortest.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures += 1;
        let random = getrandom::u32().map_or(1.0, |r| f64::from(r) / f64::from(u32::MAX));
        full.mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        for full in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let wait = backoff.next().as_millis();
            assert!((full / 2..=full).contains(&wait), "{wait} of {full}");
        }
        backoff.reset();
        assert!(backoff.is_first() && backoff.next() <= Duration::from_millis(500));
    }

    #[test]
    fn the_shipped_sources_are_right() {
        let mut config = crate::config::load(None, []).unwrap().mqtt;
        config.host = "localhost".into();
        check(&config).unwrap();
        config.source.push(config.source[0].clone());
        let twice = check(&config).unwrap_err().to_string();
        assert!(twice.starts_with("mqtt.source.lake.name: "), "{twice}");
    }
}

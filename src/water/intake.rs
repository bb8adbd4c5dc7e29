//! How readings come in, in numbers: written by the ingest, shown by the web.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

/// How the connection fares, for `/readyz` and the pages. Counts are since the start of the process.
#[derive(Debug, Default)]
pub struct MqttStatus {
    /// Connected and subscribed now.
    pub connected: AtomicBool,
    /// The broker refused a subscription (its access rules): nothing will come by it.
    pub refused: AtomicBool,
    /// Connections made, the first included.
    pub connects: AtomicU64,
    /// Messages received, repetitions included.
    pub received: AtomicU64,
    /// Observations stored.
    pub stored: AtomicU64,
    /// Observations received again, already known.
    pub known: AtomicU64,
    /// Messages that went to the dead letters.
    pub dead: AtomicU64,
    /// When the last message came, ms since 1970; 0: none yet.
    pub last_message_ms: AtomicI64,
}

impl MqttStatus {
    /// As `/readyz` shows it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let last = self.last_message_ms.load(Relaxed);
        serde_json::json!({
            "connected": self.connected.load(Relaxed),
            "refused": self.refused.load(Relaxed),
            "connects": self.connects.load(Relaxed),
            "received": self.received.load(Relaxed),
            "stored": self.stored.load(Relaxed),
            "known": self.known.load(Relaxed),
            "dead": self.dead.load(Relaxed),
            "last_message_at": (last != 0).then(|| crate::clock::from_ms(last)),
        })
    }
}

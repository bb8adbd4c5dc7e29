//! What is said of the servers beside this one: the broker, InfluxDB, and the secrets they ask for.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::seconds;

/// A secret: cannot be printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
    /// Nothing was configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(s: String) -> Self {
        Self(s)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "***" })
    }
}

/// `[mqtt]`: readings by MQTT; off while `host` is empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// Host name or address of the broker; empty: off.
    pub host: String,
    /// 1883, or 8883 with TLS.
    pub port: u16,
    /// Fixed: the broker keeps the session under it.
    pub client_id: String,
    /// Empty: anonymous.
    pub username: String,
    /// Also `password_file`.
    pub password: Secret,
    /// File that holds the password.
    pub password_file: PathBuf,
    /// Speak TLS.
    pub tls: bool,
    /// PEM file of the authority to trust; empty: the system's.
    pub ca_file: PathBuf,
    /// How long the broker keeps messages for us while we are away, seconds.
    pub session_expiry_s: u32,
    /// Unacknowledged messages the broker may have under way to us.
    pub receive_maximum: u16,
    /// Largest message, bytes.
    pub max_packet_bytes: u32,
    /// Bytes received and not yet committed before reading pauses; after 10 s without room the connection is dropped
    /// (the session keeps them).
    pub max_pending_bytes: usize,
    /// What is listened to, and how it is read.
    pub source: Vec<MqttSource>,
}

/// `[[mqtt.source]]`: the mapping language of `jijia calc mqtt` (a part of it; more comes with the water issue).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MqttSource {
    /// As the log names it.
    pub name: String,
    /// Topic with named parts, `jjh/{device}/telemetry`; the subscription follows from it.
    pub topic_template: String,
    /// A literal station code, a JSON pointer (`/id`), or `topic:NAME`.
    pub device: String,
    /// JSON pointer to the time; empty: the time of receipt.
    #[serde(default)]
    pub time: String,
    /// `unix_ms`, `unix_s`, `rfc3339`.
    #[serde(default)]
    pub time_format: String,
    /// JSON pointer to the object of values; `""` the whole document.
    #[serde(default)]
    pub values: String,
    /// Their name → our property key.
    pub keys: std::collections::BTreeMap<String, String>,
}

/// `[influx]`: the mirror into InfluxDB 2; off while `url` is empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Influx {
    /// `http://127.0.0.1:8086`; empty: off.
    pub url: String,
    /// Organisation.
    pub org: String,
    /// Bucket.
    pub bucket: String,
    /// Also `token_file`.
    pub token: Secret,
    /// File that holds the token.
    pub token_file: PathBuf,
    /// Lines per write.
    pub batch_lines: u32,
    /// A silent server is given up after this.
    #[serde(with = "seconds")]
    pub timeout_s: Duration,
}

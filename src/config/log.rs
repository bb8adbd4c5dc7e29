//! The section `[log]`.

use std::path::PathBuf;

use serde::Deserialize;

/// `[log]`: the evidence log as it is published, and the log of the process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, or a tracing filter.
    pub level: String,
    /// Name of the evidence log on its checkpoints; never changed.
    pub origin: String,
    /// The guard file; empty: beside the data directory.
    pub guard_file: PathBuf,
    /// Who is asked to cosign every checkpoint.
    pub witnesses: Vec<Witness>,
}

/// `[[log.witnesses]]`: somebody else's machine that cosigns our checkpoints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// As warnings name it.
    pub name: String,
    /// What stands before `/add-checkpoint`; https, or http on this machine.
    pub url: String,
    /// Its verifier key.
    pub vkey: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

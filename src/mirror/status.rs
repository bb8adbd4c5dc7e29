//! How the mirror stands, for pages and the log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::{error, info, warn};

use crate::store::Cursor;

/// What the mirror is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was written yet.
    #[default]
    Starting,
    /// Lines are being written.
    CatchingUp,
    /// Every row of the log is mirrored or given up.
    CaughtUp,
    /// The server is away or overloaded; everything is kept and sent again.
    Outage,
    /// The server refuses the request itself (token, bucket, another program on the port): an operator must act.
    Misconfigured,
}

/// A picture of the mirror, for pages.
#[derive(Clone, Debug)]
pub struct InfluxState {
    /// What it is doing.
    pub phase: Phase,
    /// Since when.
    pub since: Instant,
    /// What went wrong, in the server's words; `None` while all is well.
    pub fault: Option<String>,
    /// Lines stored since the start of the process.
    pub mirrored: u64,
    /// Rows without a number since the start.
    pub skipped: u64,
    /// Lines the server refused since the start; they are in the dead letters.
    pub refused: u64,
    /// Up to here everything is done.
    pub cursor: Cursor,
}

/// The mirror's state, shared with the pages.
#[derive(Debug)]
pub struct InfluxStatus(Mutex<InfluxState>);

impl Default for InfluxStatus {
    fn default() -> Self {
        Self(Mutex::new(InfluxState {
            phase: Phase::default(),
            since: Instant::now(),
            fault: None,
            mirrored: 0,
            skipped: 0,
            refused: 0,
            cursor: Cursor::START,
        }))
    }
}

impl InfluxStatus {
    /// How it stands now.
    #[must_use]
    pub fn get(&self) -> InfluxState {
        self.lock().clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, InfluxState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the new phase, and says it once.
    pub(super) fn enter(&self, phase: Phase, fault: Option<String>) {
        let mut state = self.lock();
        if state.phase == phase && state.fault == fault {
            return; // An outage is said once, not at every try.
        }
        match (&fault, &state.fault) {
            (Some(words), _) if phase == Phase::Misconfigured => {
                error!(fault = %words, "InfluxDB refuses the mirror's requests; nothing is lost, mend [influx]");
            }
            (Some(words), _) => warn!(fault = %words, "the mirror waits; everything is kept and sent again"),
            (None, Some(_)) => info!(after = ?state.since.elapsed(), "the mirror goes on"),
            (None, None) => {}
        }
        if state.phase != phase {
            state.phase = phase;
            state.since = Instant::now();
        }
        state.fault = fault;
    }
}

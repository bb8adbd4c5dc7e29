//! The parts of a running service: one that fails ends the service, so that whoever keeps it running starts it anew.

use std::time::Duration;

use jijia::error::{Error, Result};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

/// How long a part may take to finish what it has begun.
const WIND_UP: Duration = Duration::from_secs(15);

/// The parts at work.
#[derive(Debug, Default)]
pub struct Parts(JoinSet<Result<()>>);

impl Parts {
    /// Sets a part to work.
    pub fn spawn(&mut self, part: impl Future<Output = Result<()>> + Send + 'static) {
        self.0.spawn(part);
    }

    /// Waits for a part to fail, which none of them has a reason to; those that are done are done.
    pub async fn failed(&mut self) -> Error {
        while let Some(ended) = self.0.join_next().await {
            if let Err(error) = outcome(ended) {
                return error;
            }
        }
        std::future::pending().await
    }

    /// Lets every part, which was told to stop, finish what it has begun.
    pub async fn wind_up(mut self) {
        let until = Instant::now() + WIND_UP;
        loop {
            match timeout_at(until, self.0.join_next()).await {
                Ok(Some(ended)) => {
                    if let Err(error) = outcome(ended) {
                        tracing::error!(%error, "a part ended with an error");
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!(parts = self.0.len(), "not ended in 15 s, and left");
                    break;
                }
            }
        }
    }
}

fn outcome(ended: std::result::Result<Result<()>, JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::Internal(format!("a part of the service broke off: {e}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_fails_or_panics_is_heard_and_one_that_is_done_is_not() {
        let mut parts = Parts::default();
        parts.spawn(async { Ok(()) });
        parts.spawn(async { Err(Error::Unavailable("no broker".into())) });
        assert!(parts.failed().await.to_string().contains("no broker"));
        parts.spawn(async { panic!("lost") });
        assert!(parts.failed().await.to_string().contains("broke off"));
        parts.spawn(async { Ok(()) });
        let quiet = tokio::time::timeout(Duration::from_millis(50), parts.failed()).await;
        assert!(quiet.is_err(), "nothing failed");
    }
}

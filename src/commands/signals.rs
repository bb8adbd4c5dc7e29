//! How a running command is told to end.

use jijia::error::{Error, Result};
use jijia::store::Store;
use tokio::sync::watch;

/// Ready when the service is to stop.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    // A dropped sender means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The ways in which the system asks a process to end, heard from the moment this is made: a request that comes while
/// the service still starts must not kill it.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    pub async fn heard(&mut self) -> Result<()> {
        tokio::select! {
            _ = self.terminate.recv() => Ok(()),
            _ = self.interrupt.recv() => Ok(()),
        }
    }

    #[cfg(not(unix))]
    pub fn listen() -> Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub async fn heard(&mut self) -> Result<()> {
        Ok(tokio::signal::ctrl_c().await?)
    }
}

/// SIGTERM, SIGINT, or a store that can no longer write.
pub(super) async fn until_told(store: &Store, mut signals: Signals) -> Result<()> {
    let mut commits = store.watch();
    let broken = async {
        while commits.changed().await.is_ok() {
            if store.is_broken() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = signals.heard() => ended,
        () = broken => Err(Error::Unavailable("a commit failed by an I/O error; look at the disk, then start again".into())),
    }
}

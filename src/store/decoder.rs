//! The one thread that decodes photos. At the limits a photo takes 160 MB, and ten phones send at once; and what the
//! allocator keeps for the next one, it keeps once and not for every thread that ever decoded.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread. Cheap to clone; it ends when the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Decoder(mpsc::UnboundedSender<Job>);

impl Decoder {
    /// Starts the thread.
    pub fn start() -> Result<Self> {
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let run = move || {
            while let Some(job) = queue.blocking_recv() {
                // A picture that breaks its decoder is refused; the next one is decoded all the same.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        std::thread::Builder::new().name("decoder".into()).spawn(run)?;
        Ok(Self(jobs))
    }

    /// Runs `work` when those before it are done; once begun to its end, even when the caller has gone.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let job = Box::new(move || {
            // Whoever has gone before its turn came waits for nothing; what has come of a photo stays.
            if !done.is_closed() {
                drop(done.send(work()));
            }
        });
        let gone = || Error::Internal("a photo broke its decoder".into());
        self.0.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

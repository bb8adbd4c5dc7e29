//! Documents and bundles are made two at a time, and one for each account: a core and a child of 200 MB each.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// Made at a time.
const AT_A_TIME: usize = 2;
/// Seconds after which to ask again: most are made in less.
const RETRY_S: u64 = 2;

/// Who has a document made now.
#[derive(Debug, Default)]
pub struct Documents(Mutex<Vec<String>>);

/// Held while a document is made.
struct Place(Arc<Documents>, String);

impl Documents {
    /// Makes a document for `by`, in a task of its own: a client that leaves neither tears it nor frees its place.
    ///
    /// # Errors
    /// `TooMany` while others are made; those of `work`.
    pub(super) async fn make<T: Send + 'static>(
        self: &Arc<Self>,
        by: &str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let place = self.take(by)?;
        let made = async move {
            let made = work.await;
            drop(place);
            made
        };
        tokio::spawn(made).await.map_err(|e| Error::Internal(e.to_string()))?
    }

    fn take(self: &Arc<Self>, by: &str) -> Result<Place> {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.len() >= AT_A_TIME || busy.iter().any(|other| other == by) {
            return Err(Error::TooMany(RETRY_S));
        }
        busy.push(by.to_owned());
        Ok(Place(self.clone(), by.to_owned()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(documents, by) = self;
        documents.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != by);
    }
}

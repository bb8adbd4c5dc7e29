//! The follower that publishes while the service runs.

use std::time::Duration;

use tokio::sync::watch;

use super::refusal::Fault;
use super::{Publisher, Trouble, step};

/// A commit by another process (an import) wakes nobody here.
const POLL: Duration = Duration::from_secs(1);
/// How long commits are gathered under one checkpoint.
const GATHER: Duration = Duration::from_millis(500);
/// Longest time between two tries.
const MOST: Duration = Duration::from_secs(60);

/// Publishes until `shutdown` is ready. Dropped at any point it loses nothing: a step cut off is a crash, and the next
/// run goes on from there.
pub async fn run(publisher: Publisher, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown => {}
        () = follow(&publisher) => {}
    }
}

async fn follow(publisher: &Publisher) {
    let mut commits = publisher.store.watch();
    let mut failures = 0;
    loop {
        // What is committed from here on ends the rest below.
        commits.borrow_and_update();
        match step::publish(publisher).await {
            Ok(checkpoint) => {
                failures = 0;
                publisher.enter(None);
                let size = checkpoint.map_or(0, |c| c.checkpoint().size);
                publisher.published.send_if_modified(|known| std::mem::replace(known, size) != size);
                rest(&mut commits).await;
            }
            Err(fault) => {
                failures += 1;
                publisher.enter(Some(trouble(fault)));
                tokio::time::sleep((POLL * 2_u32.saturating_pow(failures - 1)).min(MOST)).await;
            }
        }
    }
}

/// Until something is committed, and a moment longer, so that one signature covers many entries.
async fn rest(commits: &mut watch::Receiver<u64>) {
    match tokio::time::timeout(POLL, commits.changed()).await {
        Ok(Ok(())) => tokio::time::sleep(GATHER).await,
        // The writing thread has ended, and with it all waking.
        Ok(Err(_)) => tokio::time::sleep(POLL).await,
        Err(_) => {}
    }
}

fn trouble(fault: Fault) -> Trouble {
    match fault {
        Fault::Refused(refusal) => Trouble { words_zh: refusal.zh(), words: refusal.to_string() },
        Fault::Failed(error) => Trouble {
            words_zh: "新条目暂时无法签名，系统会自动重试；上报照常接收。详情见服务日志".to_owned(),
            words: error.to_string(),
        },
    }
}

impl Publisher {
    /// Takes the new state, and says it once.
    fn enter(&self, trouble: Option<Trouble>) {
        let mut state = self.lock();
        if state.trouble == trouble {
            return;
        }
        match &trouble {
            Some(t) => tracing::error!("nothing is signed, reports are taken as before: {}", t.words),
            None => tracing::info!("the log is signed again"),
        }
        state.trouble = trouble;
    }

    /// The same for a witness.
    pub(super) fn enter_witness(&self, name: &str, words: Option<String>) {
        let mut state = self.lock();
        if state.witnesses.get(name) == words.as_ref() {
            return;
        }
        match words {
            Some(words) => {
                tracing::warn!(witness = name, "does not cosign: {words}");
                state.witnesses.insert(name.to_owned(), words);
            }
            None => {
                tracing::info!(witness = name, "cosigns again");
                state.witnesses.remove(name);
            }
        }
    }
}

//! When sessions were last used, as far as that is not stored yet. Reading it keeps a session alive while nothing can be
//! written; a restart falls back to what was stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Milliseconds by the digest of a session's token: one entry a session at most.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct LastUsed(Arc<Mutex<HashMap<[u8; 32], i64>>>);

impl LastUsed {
    /// The later of what is stored and what is not yet, milliseconds.
    pub(super) fn newest(&self, digest: &[u8; 32], stored: i64) -> i64 {
        self.uses().get(digest).map_or(stored, |at| stored.max(*at))
    }

    pub(super) fn set(&self, digest: [u8; 32], at: i64) {
        self.uses().insert(digest, at);
    }

    /// A later use stays until it is stored itself.
    pub(super) fn stored(&self, digest: &[u8; 32], at: i64) {
        let mut uses = self.uses();
        if uses.get(digest) == Some(&at) {
            uses.remove(digest);
        }
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<[u8; 32], i64>> {
        // The map is whole at any time: a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use rusqlite::Connection;
    use tokio::time::timeout;

    use crate::clock::Clock;
    use crate::people::{AccountBody, Role};
    use crate::store::people::Limits;
    use crate::store::{Opener, Store};

    const HOUR: Duration = Duration::from_secs(3600);
    const LIMITS: Limits = Limits { idle: HOUR, absolute: Duration::from_secs(86_400) };
    /// Less than SQLite waits for a lock, and the pool for a connection.
    const SOON: Duration = Duration::from_secs(3);

    async fn signed_in(dir: &std::path::Path, clock: Clock) -> (Store, String) {
        let store = Store::open(dir, Opener::Tool, clock).await.unwrap();
        let body =
            AccountBody { name: "李".into(), role: Role::Patrol, unit: None, login: None, disabled: false };
        let account = store.add_account(body, "shell".into()).await.unwrap();
        let token = store.add_session(account.id, None, LIMITS).await.unwrap();
        (store, token)
    }

    async fn lives(store: &Store, token: &str) -> bool {
        let found = timeout(SOON, store.find_session(token, LIMITS)).await;
        found.expect("it waits for nobody").unwrap().is_some()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_in_use_lives_on_while_nothing_can_be_stored() {
        let dir = tempfile::tempdir().unwrap();
        let begun: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
        let at = |minutes: i64| begun + SignedDuration::from_mins(minutes);
        let clock = Clock::simulated(begun);
        let (store, token) = signed_in(dir.path(), clock.clone()).await;
        let db = Connection::open(dir.path().join("jijia.db")).unwrap();
        let stored = || db.query_row("select seen_ms from session", [], |row| row.get::<_, i64>(0)).unwrap();
        db.execute_batch("begin immediate").unwrap();
        for minutes in [50, 100, 150] {
            clock.set(at(minutes));
            assert!(lives(&store, &token).await, "{minutes} minutes");
        }
        assert_eq!(stored(), begun.as_millisecond());
        db.execute_batch("rollback").unwrap();
        clock.set(at(200));
        assert!(lives(&store, &token).await);
        assert_eq!(stored(), begun.as_millisecond(), "who reads commits nothing");
        store.end_sessions("nobody".into(), "nobody".into()).await.unwrap();
        assert_eq!(stored(), at(200).as_millisecond(), "it rode along with a write");
        // Not used for an hour it ends, whatever is remembered.
        clock.set(at(261));
        assert!(!lives(&store, &token).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_asks_is_known_while_every_other_reader_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let (store, token) = signed_in(dir.path(), Clock::System).await;
        let mut held = Vec::new();
        while let Some(reader) = store.readers.try_acquire() {
            held.push(reader);
        }
        while held.len() < store.readers.options().get_max_connections() as usize {
            held.push(store.readers.acquire().await.unwrap());
        }
        assert!(lives(&store, &token).await);
        assert!(timeout(SOON, store.find_machine("none")).await.unwrap().unwrap().is_none());
        assert!(timeout(SOON, store.find_phone("none")).await.unwrap().unwrap().is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_that_lives_by_a_use_that_is_not_stored_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(Timestamp::now());
        let (store, token) = signed_in(dir.path(), clock.clone()).await;
        let db = Connection::open(dir.path().join("jijia.db")).unwrap();
        db.execute_batch("begin immediate").unwrap();
        for _ in 0..3 {
            clock.set(clock.now() + SignedDuration::from_mins(40));
            assert!(lives(&store, &token).await);
        }
        let account = store.find_session(&token, LIMITS).await.unwrap().unwrap().account.id;
        let open = store.list_sessions(&account, Some(&token), LIMITS).await.unwrap();
        assert_eq!(open.iter().map(|o| (o.here, o.seen_at)).collect::<Vec<_>>(), [(true, clock.now())]);
        db.execute_batch("rollback").unwrap();
    }
}

//! The open connections, so that none of them, and no stranger with a thousand of them, keeps an honest one out.
//!
//! A connection is *unfinished* until all of its request has come, *busy* while it is being answered, *idle* between two
//! requests. When a limit is reached the oldest that is not busy goes; who has shown a valid cookie or token counts apart
//! and goes last.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::people::throttle::Source;

/// How many connections there may be, and how long one may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all.
    pub all: usize,
    /// From one address, of those that have shown nothing; not applied behind a proxy.
    pub per_address: usize,
    /// From one address, of signed-in people, enrolled phones and tokens: an office behind one address.
    pub known_per_address: usize,
    /// For a TLS handshake.
    pub hello_timeout: Duration,
    /// For the head of a request.
    pub head_timeout: Duration,
    /// Between two requests, and for a client that does not read its answer.
    pub idle_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            all: 1024,
            per_address: 256,
            known_per_address: 512,
            hello_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes of a head are awaited, or come.
    Head,
    /// Requests are under way.
    Requests,
    Idle,
}

#[derive(Debug)]
struct Row {
    from: Source,
    known: bool,
    state: State,
    /// When it came into this state.
    since: Instant,
    /// Requests under way: HTTP/2 has several.
    under_way: u32,
    /// Of them, those whose body has not all come.
    receiving: u32,
    /// Bytes of an answer wait since then for the client to read.
    stalled: Option<Instant>,
    close: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<u64, Row>,
    next: u64,
}

/// All connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    /// A proxy's address is everybody's.
    proxied: bool,
    table: Mutex<Table>,
}

/// One connection, as its handlers know it.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    all: Arc<Connections>,
    id: u64,
    close: Arc<Notify>,
}

/// A request under way, until the last byte of its answer was taken.
#[derive(Debug)]
pub(super) struct UnderWay(Connection);

/// A request whose body comes, until all of it is here or nobody reads it any more.
#[derive(Debug)]
pub(super) struct Receiving(Connection);

impl Connections {
    pub(super) fn new(limits: ConnectionLimits, proxied: bool) -> Arc<Self> {
        Arc::new(Self { limits, proxied, table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a connection that was just accepted; another one goes where there are too many. `None` where all the others are
    /// busy: then this one goes.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Connection> {
        let from = Source::at(address);
        let mut table = self.table();
        if !self.proxied {
            let strangers = |row: &Row| !row.known && row.from == from;
            if table.rows.values().filter(|row| strangers(row)).count() >= self.limits.per_address {
                table.drop_oldest(strangers)?;
            }
        }
        if table.rows.len() >= self.limits.all {
            table.drop_oldest(|_| true)?;
        }
        table.next += 1;
        let (id, close) = (table.next, Arc::<Notify>::default());
        let row = Row {
            from,
            known: false,
            state: State::Head,
            since: now,
            under_way: 0,
            receiving: 0,
            stalled: None,
            close: close.clone(),
        };
        table.rows.insert(id, row);
        Some(Connection { all: self.clone(), id, close })
    }

    /// Closes what has taken too long; called every second or so.
    pub(super) fn close_overdue(&self, now: Instant) {
        let (head, idle) = (self.limits.head_timeout, self.limits.idle_timeout);
        let late = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        self.table().close_where(|row| {
            let waits = match row.state {
                State::Head => late(row.since, head),
                State::Idle => late(row.since, idle),
                State::Requests => false,
            };
            waits || row.stalled.is_some_and(|since| late(since, idle))
        });
    }

    /// Closes what has no request under way: nothing more is served.
    pub(super) fn close_unfinished(&self) {
        self.table().close_where(|row| row.state != State::Requests);
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.table().rows.len()
    }
}

impl Table {
    /// Drops the oldest of these that is not busy, strangers before the known.
    fn drop_oldest(&mut self, of: impl Fn(&Row) -> bool) -> Option<()> {
        let waiting = self.rows.iter().filter(|(_, row)| of(row) && row.under_way == row.receiving);
        let (.., id) = waiting.map(|(id, row)| (row.known, row.since, *id)).min()?;
        self.rows.remove(&id)?.close.notify_one();
        Some(())
    }

    fn close_where(&mut self, overdue: impl Fn(&Row) -> bool) {
        self.rows.retain(|_, row| {
            let stays = !overdue(row);
            if !stays {
                row.close.notify_one();
            }
            stays
        });
    }
}

impl Row {
    fn enter(&mut self, state: State) {
        (self.state, self.since) = (state, Instant::now());
    }
}

impl Connection {
    pub(super) fn limits(&self) -> &ConnectionLimits {
        &self.all.limits
    }

    /// Waits until it is to be closed.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    fn with(&self, change: impl FnOnce(&mut Row)) {
        // One that was dropped has no row any more and is about to end.
        if let Some(row) = self.all.table().rows.get_mut(&self.id) {
            change(row);
        }
    }

    /// Bytes came: after a pause they begin the next head.
    pub(super) fn heard(&self) {
        self.with(|row| {
            if row.state == State::Idle {
                row.enter(State::Head);
            }
        });
    }

    /// Whether bytes of an answer wait for the client.
    pub(super) fn set_stalled(&self, stalled: bool) {
        self.with(|row| match (stalled, row.stalled) {
            (true, None) => row.stalled = Some(Instant::now()),
            (false, Some(_)) => row.stalled = None,
            _ => {}
        });
    }

    /// A request's head is here.
    pub(super) fn begin(&self) -> (UnderWay, Receiving) {
        self.with(|row| {
            row.under_way += 1;
            row.receiving += 1;
            row.enter(State::Requests);
        });
        (UnderWay(self.clone()), Receiving(self.clone()))
    }

    /// Whoever is at the other end has shown a valid cookie or token: from here on they count with the known of their
    /// address, as long as there is room among them.
    pub(super) fn set_known(&self) {
        let (limit, mut table) = (self.all.limits.known_per_address, self.all.table());
        let Some(from) = table.rows.get(&self.id).filter(|row| !row.known).map(|row| row.from.clone()) else {
            return;
        };
        if table.rows.values().filter(|row| row.known && row.from == from).count() < limit
            && let Some(row) = table.rows.get_mut(&self.id)
        {
            row.known = true;
        }
    }

    /// It has ended.
    pub(super) fn leave(&self) {
        self.all.table().rows.remove(&self.id);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.with(|row| {
            row.under_way = row.under_way.saturating_sub(1);
            if row.under_way == 0 {
                row.enter(State::Idle);
            }
        });
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.with(|row| row.receiving = row.receiving.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn small() -> Arc<Connections> {
        let limits = ConnectionLimits { all: 6, per_address: 3, known_per_address: 2, ..Default::default() };
        Connections::new(limits, false)
    }

    #[test]
    fn the_oldest_that_is_not_busy_goes_and_the_newcomer_gets_in() {
        let (all, start) = (small(), Instant::now());
        let second = Duration::from_secs(1);
        let first = all.enter(at(1), start).unwrap();
        let busy = all.enter(at(1), start + second).unwrap();
        let (_answer, body) = busy.begin();
        drop(body);
        let third = all.enter(at(1), start + 2 * second).unwrap();
        // The fourth of its address takes the place of the oldest that waits.
        all.enter(at(1), start + 3 * second).unwrap();
        assert_eq!(all.count(), 3);
        assert!(!all.table().rows.contains_key(&first.id) && all.table().rows.contains_key(&third.id));
        // Where all are busy, the newcomer of that address goes; another address comes in.
        let answers = [third.begin(), all.enter(at(2), start).unwrap().begin()].map(|(answer, _)| answer);
        assert!(all.enter(at(3), start).is_some());
        drop(answers);
        // A body that does not come keeps nobody out.
        let half = all.enter(at(4), start).unwrap();
        let _unfinished = half.begin();
        for _ in 0..3 {
            all.enter(at(4), Instant::now() + second).unwrap();
        }
        assert!(!all.table().rows.contains_key(&half.id));
    }

    #[test]
    fn who_is_known_counts_apart_and_goes_last() {
        let (all, start) = (small(), Instant::now());
        let known: Vec<_> = (0..3).filter_map(|_| all.enter(at(1), start)).collect();
        known.iter().for_each(Connection::set_known);
        // Two of them are known, as many as one address may have; strangers of the same address push each other out.
        for n in 0..9 {
            all.enter(at(1), start + Duration::from_secs(n)).unwrap();
        }
        let table = all.table();
        assert_eq!(table.rows.values().filter(|row| row.known).count(), 2);
        assert_eq!(table.rows.len(), 5);
    }

    #[test]
    fn heads_pauses_and_unread_answers_have_their_time() {
        let (all, start) = (small(), Instant::now());
        let head = all.enter(at(1), start).unwrap();
        let idle = all.enter(at(2), start).unwrap();
        drop(idle.begin());
        let unread = all.enter(at(3), start).unwrap();
        let (_answer, _) = unread.begin();
        unread.set_stalled(true);
        all.close_overdue(start + Duration::from_secs(14));
        assert_eq!(all.count(), 3);
        all.close_overdue(start + Duration::from_secs(16));
        assert_eq!(all.count(), 2, "no head in 15 s");
        all.close_overdue(start + Duration::from_secs(62));
        assert_eq!(all.count(), 0, "a minute of silence");
        drop((head, idle));
    }

    #[test]
    fn a_proxy_is_not_one_address() {
        let limits = ConnectionLimits { all: 6, per_address: 3, ..Default::default() };
        let all = Connections::new(limits, true);
        for _ in 0..6 {
            all.enter(at(1), Instant::now()).unwrap();
        }
        assert_eq!(all.count(), 6);
    }
}

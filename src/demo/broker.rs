//! An MQTT v5 broker inside the process, for the demo and for tests: QoS 0 and 1, sessions by client id in memory that
//! queue while their client is away, as many messages under way as the client asked for. It keeps nothing on disk,
//! knows no retained messages and no access rules, and listens on loopback only. MQTT 3 clients are refused.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnAckProperties, Connect, ConnectReturnCode, Filter, Packet, PingResp, PubAck, PubAckReason,
    Publish, SubAck, SubscribeReasonCode, UnsubAck, UnsubAckReason,
};
use rumqttc::v5::mqttbytes::{Error as CodecError, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

/// Largest packet taken.
const MAX_PACKET: u32 = 1 << 20;
/// Messages queued for one session; further ones are refused to their publisher.
const MAX_QUEUED: usize = 500_000;
/// Messages under way to one client: fewer than there are packet ids.
const MAX_WINDOW: usize = 60_000;
/// Bytes written at once.
const WRITE: usize = 64 * 1024;

/// A running broker; it stops when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Broker {
    address: SocketAddr,
    sessions: Arc<Sessions>,
    _listener: Arc<Stop>,
}

#[derive(Debug)]
struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Sessions = Mutex<HashMap<String, Session>>;

#[derive(Debug)]
struct Session {
    /// Grows when another connection takes the session over.
    connection: u64,
    connected: bool,
    /// Kept when its client leaves.
    keep: bool,
    filters: Vec<Filter>,
    queue: VecDeque<Publish>,
    /// By packet id, with its place in the order of sending.
    under_way: HashMap<u16, (u64, Publish)>,
    sent: u64,
    window: usize,
    last_id: u16,
    wake: Arc<Notify>,
}

impl Broker {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let sessions = Arc::new(Sessions::default());
        let serving = sessions.clone();
        let task = tokio::spawn(async move {
            // Connections end with the listener: the set aborts them when it is dropped.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(socket, serving.clone()));
            }
        });
        Ok(Self { address, sessions, _listener: Arc::new(Stop(task.abort_handle())) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Publishes from inside the process with QoS 1. `false`: the queue of a subscriber is full, nobody gets it.
    pub fn publish(&self, topic: &str, payload: impl Into<Bytes>) -> bool {
        publish(&self.sessions, &Publish::new(topic, QoS::AtLeastOnce, payload, None))
    }

    /// Messages of all sessions that are not yet acknowledged.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.sessions).values().map(|s| s.queue.len() + s.under_way.len()).sum()
    }
}

fn lock(sessions: &Sessions) -> MutexGuard<'_, HashMap<String, Session>> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To every session with a filter for it: once, with the higher of its filters' QoS, never above the publisher's.
fn publish(sessions: &Sessions, message: &Publish) -> bool {
    let topic = String::from_utf8_lossy(&message.topic);
    let mut sessions = lock(sessions);
    let mut takers: Vec<(&mut Session, QoS)> = Vec::new();
    for session in sessions.values_mut() {
        let granted = session.filters.iter().filter(|f| matches(&topic, &f.path)).map(|f| f.qos as u8).max();
        let Some(granted) = granted else { continue };
        let once = granted == 0 || message.qos == QoS::AtMostOnce;
        if once && !session.connected {
            continue;
        }
        if session.queue.len() >= MAX_QUEUED {
            return false;
        }
        takers.push((session, if once { QoS::AtMostOnce } else { QoS::AtLeastOnce }));
    }
    for (session, qos) in takers {
        session.queue.push_back(Publish { qos, dup: false, retain: false, pkid: 0, ..message.clone() });
        session.wake.notify_one();
    }
    true
}

/// MQTT 5.0, section 4.7. (rumqttc's own panics on a topic that begins with a Chinese character.)
fn matches(topic: &str, filter: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// One connection from CONNECT to its end.
async fn serve(socket: TcpStream, sessions: Arc<Sessions>) {
    // Small packets both ways: waiting to fill one costs 40 ms.
    let _ = socket.set_nodelay(true);
    let (mut read, mut write) = socket.into_split();
    let mut buffer = BytesMut::with_capacity(WRITE);
    let connect = match next(&mut read, &mut buffer).await {
        Some(Ok(Packet::Connect(connect, ..))) => connect,
        Some(Err(CodecError::InvalidProtocolLevel(_))) => {
            // CONNACK of MQTT 3.1.1: unacceptable protocol version.
            let _ = write.write_all(&[0x20, 2, 0, 1]).await;
            return;
        }
        _ => return,
    };
    let (client, connection, wake, ack) = join(&sessions, &connect);
    let (replies, mut outbox) = mpsc::unbounded_channel();
    let _ = replies.send(Packet::ConnAck(ack));
    // Reading never waits for writing: each side may be stuck in a write to the other.
    tokio::select! {
        () = take(&mut read, buffer, &sessions, &client, &replies) => {}
        () = give(&mut write, &sessions, &client, connection, &wake, &mut outbox) => {}
    }
    leave(&sessions, &client, connection);
}

/// The next packet; `None` at the end of the connection.
async fn next(read: &mut OwnedReadHalf, buffer: &mut BytesMut) -> Option<Result<Packet, CodecError>> {
    loop {
        match Packet::read(buffer, Some(MAX_PACKET)) {
            Err(CodecError::InsufficientBytes(_)) => {
                if read.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            packet => return Some(packet),
        }
    }
}

/// Takes over or makes the session of a client.
fn join(sessions: &Sessions, connect: &Connect) -> (String, u64, Arc<Notify>, ConnAck) {
    let mut sessions = lock(sessions);
    let assigned = connect.client_id.is_empty().then(|| format!("auto-{}", uuid::Uuid::new_v4()));
    let client = assigned.clone().unwrap_or_else(|| connect.client_id.clone());
    let old = sessions.remove(&client);
    let connection = old.as_ref().map_or(1, |s| s.connection + 1);
    if let Some(old) = &old {
        // Its connection, if it still lives, sees the new number and ends.
        old.wake.notify_one();
    }
    let kept = old.filter(|s| !connect.clean_start && s.keep);
    let session_present = kept.is_some();
    let (filters, under_way, queue, last_id) =
        kept.map(|s| (s.filters, s.under_way, s.queue, s.last_id)).unwrap_or_default();
    // What was under way goes first, again, with the ids it had.
    let mut again: Vec<(u64, Publish)> = under_way.into_values().collect();
    again.sort_by_key(|(sent, _)| *sent);
    let again = again.into_iter().map(|(_, p)| Publish { dup: true, ..p });
    let asked = connect.properties.as_ref();
    let wake = Arc::new(Notify::new());
    let session = Session {
        connection,
        connected: true,
        keep: asked.and_then(|p| p.session_expiry_interval).unwrap_or(0) > 0,
        filters,
        queue: again.chain(queue).collect(),
        under_way: HashMap::new(),
        sent: 0,
        window: usize::from(asked.and_then(|p| p.receive_maximum).unwrap_or(u16::MAX)).clamp(1, MAX_WINDOW),
        last_id,
        wake: wake.clone(),
    };
    sessions.insert(client.clone(), session);
    let ack =
        ConnAck { session_present, code: ConnectReturnCode::Success, properties: Some(limits(assigned)) };
    (client, connection, wake, ack)
}

fn limits(assigned_client_identifier: Option<String>) -> ConnAckProperties {
    ConnAckProperties {
        session_expiry_interval: None,
        receive_max: None,
        max_qos: Some(1),
        retain_available: Some(0),
        max_packet_size: Some(MAX_PACKET),
        assigned_client_identifier,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(0),
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    }
}

/// Reads until the client leaves or breaks the rules.
async fn take(
    read: &mut OwnedReadHalf,
    mut buffer: BytesMut,
    sessions: &Sessions,
    client: &str,
    replies: &mpsc::UnboundedSender<Packet>,
) {
    // A two-byte DISCONNECT reads as an error: the end all the same.
    while let Some(Ok(packet)) = next(read, &mut buffer).await {
        let reply = match packet {
            Packet::Publish(p) if p.topic.is_empty() || p.qos == QoS::ExactlyOnce => return,
            Packet::Publish(p) => {
                let taken = publish(sessions, &p);
                let reason = if taken { PubAckReason::Success } else { PubAckReason::QuotaExceeded };
                (p.qos == QoS::AtLeastOnce).then_some(Packet::PubAck(PubAck {
                    pkid: p.pkid,
                    reason,
                    properties: None,
                }))
            }
            Packet::PubAck(ack) => {
                acknowledged(sessions, client, ack.pkid);
                None
            }
            Packet::Subscribe(s) => {
                let granted = |f: &Filter| {
                    SubscribeReasonCode::Success(if f.qos == QoS::AtMostOnce {
                        f.qos
                    } else {
                        QoS::AtLeastOnce
                    })
                };
                let return_codes = s.filters.iter().map(granted).collect();
                subscribe(sessions, client, s.filters);
                Some(Packet::SubAck(SubAck { pkid: s.pkid, return_codes, properties: None }))
            }
            Packet::Unsubscribe(u) => {
                let reasons = vec![UnsubAckReason::Success; u.filters.len()];
                unsubscribe(sessions, client, &u.filters);
                Some(Packet::UnsubAck(UnsubAck { pkid: u.pkid, reasons, properties: None }))
            }
            Packet::PingReq(_) => Some(Packet::PingResp(PingResp)),
            _ => return,
        };
        if reply.is_some_and(|reply| replies.send(reply).is_err()) {
            return;
        }
    }
}

fn acknowledged(sessions: &Sessions, client: &str, pkid: u16) {
    let mut sessions = lock(sessions);
    let Some(session) = sessions.get_mut(client) else { return };
    if session.under_way.remove(&pkid).is_some() {
        session.wake.notify_one();
    }
}

fn subscribe(sessions: &Sessions, client: &str, filters: Vec<Filter>) {
    let mut sessions = lock(sessions);
    let Some(session) = sessions.get_mut(client) else { return };
    session.filters.retain(|old| filters.iter().all(|new| new.path != old.path));
    session.filters.extend(filters);
}

fn unsubscribe(sessions: &Sessions, client: &str, paths: &[String]) {
    if let Some(session) = lock(sessions).get_mut(client) {
        session.filters.retain(|f| !paths.contains(&f.path));
    }
}

/// Writes replies, and messages as far as the window allows, until another connection takes the session over.
async fn give(
    write: &mut tokio::net::tcp::OwnedWriteHalf,
    sessions: &Sessions,
    client: &str,
    connection: u64,
    wake: &Notify,
    outbox: &mut mpsc::UnboundedReceiver<Packet>,
) {
    let mut bytes = BytesMut::with_capacity(2 * WRITE);
    loop {
        while let Ok(reply) = outbox.try_recv() {
            let _ = reply.write(&mut bytes, None);
        }
        if !due(sessions, client, connection, &mut bytes) {
            return;
        }
        if !bytes.is_empty() {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
            bytes.clear();
            continue;
        }
        tokio::select! {
            reply = outbox.recv() => {
                let Some(reply) = reply else { return };
                let _ = reply.write(&mut bytes, None);
            }
            () = wake.notified() => {}
        }
    }
}

/// Moves messages from the queue to the wire. `false`: the session belongs to another connection.
fn due(sessions: &Sessions, client: &str, connection: u64, bytes: &mut BytesMut) -> bool {
    let mut sessions = lock(sessions);
    let Some(session) = sessions.get_mut(client).filter(|s| s.connection == connection) else { return false };
    while bytes.len() < WRITE && session.under_way.len() < session.window {
        let Some(mut message) = session.queue.pop_front() else { break };
        if message.qos == QoS::AtLeastOnce && message.pkid == 0 {
            message.pkid = session.fresh_id();
        }
        let _ = Packet::Publish(message.clone()).write(bytes, None);
        if message.qos == QoS::AtLeastOnce {
            session.sent += 1;
            session.under_way.insert(message.pkid, (session.sent, message));
        }
    }
    true
}

impl Session {
    /// An id that no message under way has; the window leaves some free.
    fn fresh_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.under_way.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// The client is gone: its session waits for it, or ends.
fn leave(sessions: &Sessions, client: &str, connection: u64) {
    let mut sessions = lock(sessions);
    let Some(session) = sessions.get_mut(client).filter(|s| s.connection == connection) else { return };
    if session.keep {
        session.connected = false;
        session.queue.retain(|p| p.qos == QoS::AtLeastOnce);
    } else {
        sessions.remove(client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (topic, filter, fits) in [
            ("a/b", "a/b", true),
            ("a/b", "a/+", true),
            ("a/b", "#", true),
            ("a", "a/#", true),
            ("a/b/c", "a/#", true),
            ("吉家湖/1", "吉家湖/+", true),
            ("a/b/c", "a/+", false),
            ("a", "a/+", false),
            ("/a", "+", false),
            ("/a", "+/a", true),
            ("$SYS/a", "#", false),
            ("$SYS/a", "$SYS/+", true),
        ] {
            assert_eq!(matches(topic, filter), fits, "{topic} {filter}");
        }
    }
}

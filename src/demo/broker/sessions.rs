//! The sessions of the demo's broker: who is subscribed to what, what waits for whom.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnAckProperties, Connect, ConnectReturnCode, Filter, Packet, Publish,
};
use tokio::sync::Notify;

use super::{MAX_PACKET, WRITE};

/// Messages queued for one session; further ones are refused to their publisher.
const MAX_QUEUED: usize = 500_000;
/// Messages under way to one client: fewer than there are packet ids.
const MAX_WINDOW: usize = 60_000;
pub(super) type Sessions = Mutex<HashMap<String, Session>>;

#[derive(Debug)]
pub(super) struct Session {
    /// Grows when another connection takes the session over.
    connection: u64,
    connected: bool,
    /// Kept when its client leaves.
    keep: bool,
    filters: Vec<Filter>,
    pub(super) queue: VecDeque<Publish>,
    /// By packet id, with its place in the order of sending.
    pub(super) under_way: HashMap<u16, (u64, Publish)>,
    sent: u64,
    window: usize,
    last_id: u16,
    wake: Arc<Notify>,
}

pub(super) fn lock(sessions: &Sessions) -> MutexGuard<'_, HashMap<String, Session>> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To every session with a filter for it: once, with the higher of its filters' QoS, never above the publisher's.
pub(super) fn publish(sessions: &Sessions, message: &Publish) -> bool {
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

/// Takes over or makes the session of a client.
pub(super) fn join(sessions: &Sessions, connect: &Connect) -> (String, u64, Arc<Notify>, ConnAck) {
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

pub(super) fn acknowledged(sessions: &Sessions, client: &str, pkid: u16) {
    let mut sessions = lock(sessions);
    let Some(session) = sessions.get_mut(client) else { return };
    if session.under_way.remove(&pkid).is_some() {
        session.wake.notify_one();
    }
}

pub(super) fn subscribe(sessions: &Sessions, client: &str, filters: Vec<Filter>) {
    let mut sessions = lock(sessions);
    let Some(session) = sessions.get_mut(client) else { return };
    session.filters.retain(|old| filters.iter().all(|new| new.path != old.path));
    session.filters.extend(filters);
}

pub(super) fn unsubscribe(sessions: &Sessions, client: &str, paths: &[String]) {
    if let Some(session) = lock(sessions).get_mut(client) {
        session.filters.retain(|f| !paths.contains(&f.path));
    }
}

/// Moves messages from the queue to the wire. `false`: the session belongs to another connection.
pub(super) fn due(sessions: &Sessions, client: &str, connection: u64, bytes: &mut BytesMut) -> bool {
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
pub(super) fn leave(sessions: &Sessions, client: &str, connection: u64) {
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

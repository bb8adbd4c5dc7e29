//! An MQTT v5 broker inside the process, for the demo and for tests: QoS 0 and 1, sessions by client id in memory that
//! queue while their client is away, as many messages under way as the client asked for. It keeps nothing on disk,
//! knows no retained messages and no access rules, and listens on loopback only. MQTT 3 clients are refused.

mod sessions;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    Filter, Packet, PingResp, PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode, UnsubAck,
    UnsubAckReason,
};
use rumqttc::v5::mqttbytes::{Error as CodecError, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use sessions::{Sessions, acknowledged, due, join, leave, lock, publish, subscribe, unsubscribe};

/// Largest packet taken.
const MAX_PACKET: u32 = 1 << 20;
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

//! Readings by MQTT when things break: broker killed, store away, session lost, more than memory may hold.

use std::sync::atomic::Ordering::Relaxed;

use bytes::BytesMut;
use jijia::demo::broker::Broker;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, Packet, PingResp, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{Error as CodecError, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::mosquitto::Mosquitto;
use crate::mqtt::{Ingest, TOPIC, config, messages, open, until, until_stored};

/// Keeps every other connection from writing, as a full disk or a stuck one would.
fn lock_store(dir: &std::path::Path) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(dir.join("jijia.db")).unwrap();
    db.execute_batch("begin immediate").unwrap();
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_stopped_and_killed_between_messages() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut broker = Mosquitto::start().await;
    let ingest = Ingest::start(config(broker.port), &store);
    ingest.connected().await;
    for round in 0..4 {
        broker.publish(TOPIC, messages(round * 500, (round + 1) * 500)).await;
        broker.wait_until_written().await;
        if round % 2 == 0 {
            broker.kill();
        } else {
            broker.stop();
        }
        broker.start_again().await;
    }
    broker.publish(TOPIC, messages(2000, 2100)).await;
    until_stored(&store, 2100, 0).await;
    until("connected anew", async || ingest.status.connects.load(Relaxed) > 1).await;
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_killed_while_the_store_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut broker = Mosquitto::start().await;
    let ingest = Ingest::start(config(broker.port), &store);
    ingest.connected().await;
    let lock = lock_store(dir.path());
    broker.publish(TOPIC, messages(0, 500)).await;
    broker.wait_until_written().await;
    until("all received", async || ingest.status.received.load(Relaxed) >= 500).await;
    assert_eq!(ingest.status.stored.load(Relaxed), 0);
    broker.kill();
    broker.start_again().await;
    lock.execute_batch("rollback").unwrap();
    until_stored(&store, 500, 0).await;
    // What the killed broker had not heard of comes again, is known, and is acknowledged now.
    until("connected anew", async || ingest.status.connects.load(Relaxed) == 2).await;
    broker.publish(TOPIC, messages(500, 501)).await;
    until_stored(&store, 501, 0).await;
    ingest.stop().await;
    let last = Ingest::start(config(broker.port), &store);
    broker.publish(TOPIC, messages(501, 502)).await;
    until_stored(&store, 502, 0).await;
    assert_eq!(last.status.received.load(Relaxed), 1, "nothing was left unacknowledged");
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_nothing_is_acknowledged_and_memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let broker = Broker::start().await.unwrap();
    let mut config = config(broker.address().port());
    config.max_pending_bytes = 20_000;
    config.receive_maximum = 60_000;
    let ingest = Ingest::start(config.clone(), &store);
    ingest.connected().await;
    let lock = lock_store(dir.path());
    for message in messages(0, 20_000) {
        assert!(broker.publish(TOPIC, message));
    }
    // The store is given up after 5 s, the connection after 10 s without room.
    until("disconnected", async || !ingest.status.connected.load(Relaxed)).await;
    assert_eq!((broker.waiting(), ingest.status.stored.load(Relaxed)), (20_000, 0));
    assert!(ingest.status.received.load(Relaxed) < 300, "{}", ingest.status.received.load(Relaxed));
    lock.execute_batch("rollback").unwrap();
    until_stored(&store, 20_000, 0).await;
    until("acknowledged", async || broker.waiting() == 0).await;
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_while_the_store_is_away_the_broker_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let broker = Broker::start().await.unwrap();
    let ingest = Ingest::start(config(broker.address().port()), &store);
    ingest.connected().await;
    let lock = lock_store(dir.path());
    for message in messages(0, 100) {
        broker.publish(TOPIC, message);
    }
    until("received", async || ingest.status.received.load(Relaxed) == 100).await;
    ingest.stop().await;
    assert_eq!(broker.waiting(), 100);
    lock.execute_batch("rollback").unwrap();
    let ingest = Ingest::start(config(broker.address().port()), &store);
    until_stored(&store, 100, 0).await;
    ingest.stop().await;
}

/// The broker loses the session and gives its first packet id to another message. An acknowledgement of the old one
/// must not reach it: the broker would take the new one for stored.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_never_crosses_to_another_connection() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let ingest = Ingest::start(config(listener.local_addr().unwrap().port()), &store);

    let mut first = Scripted::accept(&listener).await;
    let lock = lock_store(dir.path());
    first.send_message(1, &messages(0, 1)[0]).await;
    until("received", async || ingest.status.received.load(Relaxed) == 1).await;
    drop(first);

    let mut second = Scripted::accept(&listener).await;
    lock.execute_batch("rollback").unwrap();
    until_stored(&store, 1, 0).await;
    second.send_message(1, &messages(1, 2)[0]).await;
    until_stored(&store, 2, 0).await;
    let (stopped, acknowledged) = tokio::join!(ingest.stop(), second.read_to_the_end());
    let () = stopped;
    assert_eq!(acknowledged, [1], "one, for the message of this connection");
}

/// A broker played by the test; it keeps no session.
struct Scripted {
    socket: TcpStream,
    buffer: BytesMut,
}

impl Scripted {
    async fn accept(listener: &TcpListener) -> Self {
        let (socket, _) = listener.accept().await.unwrap();
        let mut broker = Self { socket, buffer: BytesMut::new() };
        let Some(Packet::Connect(connect, ..)) = broker.next().await else { panic!("CONNECT comes first") };
        assert!(!connect.clean_start && connect.properties.unwrap().session_expiry_interval == Some(604_800));
        let ack = ConnAck { session_present: false, code: ConnectReturnCode::Success, properties: None };
        broker.send(Packet::ConnAck(ack)).await;
        let Some(Packet::Subscribe(subscribe)) = broker.next().await else {
            panic!("then SUBSCRIBE, on every connect")
        };
        assert_eq!(subscribe.filters[0].path, "jjh/+/telemetry");
        let return_codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
        broker.send(Packet::SubAck(SubAck { pkid: subscribe.pkid, return_codes, properties: None })).await;
        broker
    }

    async fn send_message(&mut self, pkid: u16, payload: &[u8]) {
        let message = Publish::new(TOPIC, QoS::AtLeastOnce, payload.to_vec(), None);
        self.send(Packet::Publish(Publish { pkid, ..message })).await;
    }

    /// The ids acknowledged until the client leaves.
    async fn read_to_the_end(mut self) -> Vec<u16> {
        let mut acknowledged = vec![];
        loop {
            match self.next().await {
                Some(Packet::PubAck(ack)) => acknowledged.push(ack.pkid),
                Some(Packet::PingReq(_)) => self.send(Packet::PingResp(PingResp)).await,
                Some(Packet::Disconnect(_)) | None => return acknowledged,
                Some(other) => panic!("{other:?}"),
            }
        }
    }

    async fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).unwrap();
        self.socket.write_all(&bytes).await.unwrap();
    }

    async fn next(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.buffer, None) {
                Ok(packet) => return Some(packet),
                Err(CodecError::InsufficientBytes(_)) => {
                    if self.socket.read_buf(&mut self.buffer).await.ok()? == 0 {
                        return None;
                    }
                }
                // A two-byte DISCONNECT, as this codec reads it.
                Err(_) => return None,
            }
        }
    }
}

//! A publisher that does not wait: MQTT 3.1.1, QoS 1, up to 900 messages under way, written in large pieces.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::Fault;

/// Below `max_inflight_messages` of the broker.
const WINDOW: u64 = 900;
/// Messages in one write.
const PIECE: u64 = 100;

/// Publishes `count` messages, topic and payload from `message`, and returns when the last is acknowledged.
pub fn publish(
    broker: SocketAddr,
    count: u64,
    message: impl Fn(u64) -> (String, String),
) -> Result<(), Fault> {
    let mut stream = TcpStream::connect(broker)?;
    stream.set_nodelay(true)?;
    // CONNECT: MQTT 4 (3.1.1), clean session, keep alive 60 s, client id `bench`.
    stream.write_all(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05bench")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    if answer != [0x20, 2, 0, 0] {
        return Err(format!("the broker refuses the publisher: {answer:?}").into());
    }
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (counter, mut reader) = (acknowledged.clone(), stream.try_clone()?);
    let counting = std::thread::spawn(move || count_acks(&mut reader, count, &counter));
    let mut piece = Vec::with_capacity(64 * 1024);
    let mut last_ack = (Instant::now(), 0);
    let mut sent = 0;
    while sent < count {
        let acks = acknowledged.load(Relaxed);
        if acks != last_ack.1 {
            last_ack = (Instant::now(), acks);
        } else if last_ack.0.elapsed() > Duration::from_secs(60) {
            return Err(format!("the broker acknowledges nothing more after {acks} of {count}").into());
        }
        let until = (sent + PIECE).min(acks + WINDOW).min(count);
        if until <= sent || (until - sent < PIECE && until < count) {
            std::thread::sleep(Duration::from_micros(100));
            continue;
        }
        piece.clear();
        for n in sent..until {
            let (topic, payload) = message(n);
            // Packet ids 1 to 60,000 in turn.
            put_publish(&mut piece, &topic, (n % 60_000) as u16 + 1, payload.as_bytes());
        }
        stream.write_all(&piece)?;
        sent = until;
    }
    counting.join().map_err(|_| "the publisher's reader broke off")??;
    stream.write_all(&[0xe0, 0])?;
    Ok(())
}

/// Each PUBACK has four bytes.
fn count_acks(reader: &mut TcpStream, count: u64, counter: &AtomicU64) -> std::io::Result<()> {
    reader.set_read_timeout(Some(Duration::from_secs(60)))?;
    let (mut bytes, mut buffer) = (0, vec![0; 16_384]);
    while bytes < count * 4 {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes += read as u64;
        counter.store(bytes / 4, Relaxed);
    }
    Ok(())
}

fn put_publish(out: &mut Vec<u8>, topic: &str, packet_id: u16, payload: &[u8]) {
    out.push(0x32);
    let mut rest = 2 + topic.len() + 2 + payload.len();
    loop {
        let more = rest >= 128;
        out.push((rest % 128) as u8 | if more { 0x80 } else { 0 });
        rest /= 128;
        if !more {
            break;
        }
    }
    out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.extend_from_slice(payload);
}

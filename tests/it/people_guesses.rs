//! A flood of guesses at the door, and the honest person who comes through it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jijia::people::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::people::{Browser, PASSWORD, add, code_of, start};
use crate::service::{Answer, request};

/// Addresses of the attackers, and the guesses of each.
const ADDRESSES: u8 = 100;
const GUESSES: u32 = 100;

/// One guess from an address of its own, with a forged X-Forwarded-For.
async fn guess(from: u8, to: SocketAddr, n: u32) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 1, from), 0).into()).unwrap();
    let mut line = socket.connect(to).await.unwrap();
    let body = json!({"login": "li.supervisor", "password": format!("guess number {n}"), "code": "000000"});
    let forged = format!("10.{}.{}.{}, 192.168.1.1", n % 200, n / 200 % 200, from);
    let headers = [("content-type", "application/json"), ("x-forwarded-for", forged.as_str())];
    let bytes = request("POST", "/api/v1/session", &headers, body.to_string().as_bytes());
    line.write_all(&bytes).await.unwrap();
    let mut received = Vec::new();
    line.read_to_end(&mut received).await.unwrap();
    Answer::read(&received).unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_guesses_get_one_a_second_and_the_honest_person_in() {
    let dir = tempfile::tempdir().unwrap();
    let service = Arc::new(start(dir.path()).await);
    let (_, totp) = add(&service, "li", Role::Supervisor, None).await;
    // Signed in from this browser some day before.
    let mut honest = Browser::default();
    let body =
        |steps: i64| json!({"login": "li.supervisor", "password": PASSWORD, "code": code_of(&totp, steps)});
    let before = honest.send_with(&service, "POST", "/api/v1/session", &body(-1), &[]).await;
    assert_eq!(before.status, 200, "{}", before.text());

    let (begun, tried, refused) = (Instant::now(), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut flood = tokio::task::JoinSet::new();
    for from in 1..=ADDRESSES {
        let (to, tried, refused) = (service.address, tried.clone(), refused.clone());
        flood.spawn(async move {
            for n in 0..GUESSES {
                match guess(from, to, n).await {
                    401 => tried.fetch_add(1, Relaxed),
                    429 => refused.fetch_add(1, Relaxed),
                    other => panic!("{other}"),
                };
            }
        });
    }
    let asked = Instant::now();
    let mut inside = None;
    while inside.is_none() && asked.elapsed() < Duration::from_secs(30) {
        let answer = honest.send_with(&service, "POST", "/api/v1/session", &body(1), &[]).await;
        match answer.status {
            200 => inside = Some(asked.elapsed()),
            429 => {
                let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                tokio::time::sleep(Duration::from_secs(wait)).await;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    flood.join_all().await;
    let (took, tried, refused) = (begun.elapsed(), tried.load(Relaxed), refused.load(Relaxed));
    println!("guesses: {tried} of {} were tried in {took:?}, honest in after {inside:?}", tried + refused);
    assert_eq!(tried + refused, u32::from(ADDRESSES) * GUESSES);
    assert!(f64::from(tried) <= took.as_secs_f64() + 1.0, "{tried} tries in {took:?}");
    assert!(inside.is_some(), "the honest person stays outside");
    // A header that nobody trusts says nothing: the same address is held up whatever it forges.
    let statuses = [guess(1, service.address, 1).await, guess(1, service.address, 2).await];
    assert!(statuses.contains(&429), "{statuses:?}");
}

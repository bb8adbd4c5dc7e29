//! A stranger with sockets and no account.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::fault::size;
use crate::https::curl;
use crate::pebble::free;
use crate::serve::{Serve, serve};

/// The promise is a second on two cores that do nothing else; machines of tests do.
const BOUND: Duration = Duration::from_secs(5);

/// `count` connections, each of which says `words` and then nothing.
fn hold(address: SocketAddr, count: usize, words: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.write_all(words).ok()?;
        Some(stream)
    };
    (0..count).filter_map(open).collect()
}

/// How long an honest request takes, by curl on a connection of its own.
fn honest(args: &[&str], url: &str) -> Duration {
    let begun = Instant::now();
    let (status, said) = curl(&[args, &["--max-time", "60", url]].concat());
    assert_eq!(status, Some(200), "{said}");
    begun.elapsed()
}

#[test]
fn idle_and_half_sent_connections_keep_no_honest_one_out() {
    let dir = tempfile::tempdir().unwrap();
    let plain = free();
    let tls = [("JIJIA_TLS_MODE", "local"), ("JIJIA_TLS_HTTP_LISTEN", &plain.to_string())];
    let secure = Serve::run(serve(dir.path()).envs(tls));
    let ca = dir.path().join("tls/authority.pem");
    let ca = ca.to_str().unwrap();
    let other = tempfile::tempdir().unwrap();
    let open = Serve::start(other.path());
    let hello: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    for count in [256, size(0, 1024)].into_iter().filter(|n| *n > 0) {
        for (what, words) in [("idle", &b""[..]), ("half a hello", hello)] {
            let held = hold(secure.client.0, count, words);
            let url = format!("https://localhost:{}/livez", secure.client.0.port());
            let took = honest(&["--cacert", ca], &url);
            println!("TLS, {count} connections, {what}: {took:?} [1 s; was 28 to 36 s]");
            assert!(took < BOUND, "{took:?}");
            drop(held);
        }
        for (what, address) in [("the service", open.client.0), ("the plain address", plain)] {
            for (how, words) in [("idle", &b""[..]), ("half a head", head)] {
                let held = hold(address, count, words);
                let took = honest(&["-L", "--cacert", ca], &format!("http://{address}/trust"));
                println!("plain, {what}, {count} connections, {how}: {took:?} [1 s]");
                assert!(took < BOUND, "{took:?}");
                drop(held);
            }
        }
    }
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path());
    let begun = Instant::now();
    let mut slow = TcpStream::connect(serve.client.0).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // A byte now and then is no head either.
    let mut writer = slow.try_clone().unwrap();
    std::thread::spawn(move || {
        for byte in
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaa".iter().cycle()
        {
            if writer.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let ended = slow.read(&mut [0; 100]);
    let took = begun.elapsed();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    println!("a head a byte at a time: closed after {took:?} [15 s]");
    assert!(took >= Duration::from_secs(14) && took < Duration::from_secs(50), "{took:?}");
}

#[test]
fn sign_ins_that_never_end_cost_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path());
    let pid = serve.child.id();
    let resident_mb = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    };
    let before = resident_mb();
    let head = "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 1000001\r\n\r\n";
    let body = vec![b' '; 1_000_000];
    let mut most = before;
    let mut held = Vec::new();
    for _ in 0..size(200, 800) {
        let Ok(mut stream) = TcpStream::connect(serve.client.0) else { continue };
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        held.push(stream);
        most = most.max(resident_mb());
    }
    println!(
        "{} unfinished sign-ins of 1 MB: {most} MB at most, {before} before [250; was 1,232]",
        held.len()
    );
    assert!(most <= 250, "{most} MB");
    let took = honest(&[], &format!("http://{}/livez", serve.client.0));
    assert!(took < BOUND, "{took:?}");
}

#[test]
fn what_is_posted_in_the_open_is_neither_taken_nor_sent_on() {
    let dir = tempfile::tempdir().unwrap();
    let plain = free();
    let tls = [("JIJIA_TLS_MODE", "local"), ("JIJIA_TLS_HTTP_LISTEN", &plain.to_string())];
    let _secure = Serve::run(serve(dir.path()).envs(tls));
    for path in ["/login", "/api/v1/session", "/api/v1/reports"] {
        let (status, said) = curl(&["-d", "password=x", &format!("http://{plain}{path}")]);
        assert_eq!(status, Some(403), "{said}");
        assert!(!said.contains("https://127.0.0.1"), "{said}");
    }
    assert_eq!(curl(&[&format!("http://{plain}/login")]).0, Some(307), "who only asks is led on");
}

#[test]
fn the_file_limit_is_raised_and_keeps_a_reserve() {
    let dir = tempfile::tempdir().unwrap();
    // A shell's usual 1,024, of which 4,096 are allowed.
    let command = serve(dir.path());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -Sn 512 && ulimit -Hn 4096 && exec \"$@\"", "sh"]);
    let serve = Serve::run(&mut crate::serve::over(shell, &command));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serve.child.id())).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("4096"), "{line}");
    let held = hold(serve.client.0, size(300, 2000), b"");
    let took = honest(&[], &format!("http://{}/readyz", serve.client.0));
    println!("{} idle connections within 4,096 files: {took:?}", held.len());
    assert!(took < BOUND, "{took:?}");
}

//! Certificates by ACME, by the real program and a real ACME server. Ignored by a plain `cargo test`, which has no
//! server: `tests/run` builds one and runs them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::https::curl;
use crate::pebble::{Pebble, free};
use crate::serve::{Serve, serve};

const NAMES: [&str; 2] = ["xunhu.example.com", "www.xunhu.example.com"];
/// Ninety days.
const LONG_S: u32 = 7_776_000;
const GOT: &str = "a new certificate is served";

/// The service with `listen` as its address, asking `pebble` for both names.
fn command(data: &Path, pebble: &Pebble, listen: SocketAddr) -> Command {
    let mut command = serve(data);
    command.env("JIJIA_SERVER_LISTEN", listen.to_string());
    command.env("JIJIA_SERVER_PUBLIC_URL", format!("https://{}", NAMES[0])).env("JIJIA_TLS_MODE", "acme");
    command
        .env("JIJIA_TLS_ACME_CONTACT", "duty@example.com")
        .env("JIJIA_TLS_ACME_DIRECTORY", pebble.directory());
    command.env("JIJIA_TLS_ACME_CA_FILE", pebble.ca_file());
    // Lists stand in a file.
    let file = data.with_extension("toml");
    std::fs::write(&file, format!("[tls]\nnames = [\"{}\"]\n", NAMES[1])).unwrap();
    command.env("JIJIA_CONFIG", file);
    command
}

/// What a browser sees of `path` that trusts `root`: the status, or none where there is no handshake.
fn visit(root: &Path, name: &str, at: SocketAddr, path: &str) -> (Option<u16>, String) {
    let to = format!("{name}:{}:{}", at.port(), at.ip());
    let url = format!("https://{name}:{}{path}", at.port());
    curl(&["--cacert", root.to_str().unwrap(), "--resolve", &to, &url])
}

/// Name and mode of everything in a folder and below, in order.
#[cfg(unix)]
fn modes(folder: &Path, into: &mut Vec<(String, u32)>) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        into.push((entry.file_name().into_string().unwrap(), mode));
        if entry.path().is_dir() {
            modes(&entry.path(), into);
        }
    }
    into.sort();
}

#[test]
#[ignore = "needs Pebble"]
fn a_certificate_is_got_from_nothing_and_kept_over_kills() {
    let (dir, listen) = (tempfile::tempdir().unwrap(), free());
    let data = dir.path().join("data");
    let mut pebble = Pebble::start(listen.port(), LONG_S);
    let root = pebble.root();
    let mut running = Serve::run(&mut command(&data, &pebble, listen));
    running.heard(GOT);
    for name in NAMES {
        let (status, said) = visit(&root, name, listen, "/readyz");
        assert_eq!(status, Some(200), "{said}");
        assert!(!said.contains("tls:"), "nothing to warn of: {said}");
    }
    assert_eq!(visit(&root, "other.example.com", listen, "/livez").0, None, "no name of ours");
    #[cfg(unix)]
    {
        let mut found = Vec::new();
        modes(&data.join("tls/acme"), &mut found);
        let [folder, account, certificate] = found.try_into().unwrap();
        assert_eq!(
            (account, certificate),
            (("account.json".into(), 0o600), ("certificate.pem".into(), 0o600))
        );
        assert_eq!(folder.1, 0o700, "{}", folder.0);
    }
    // Killed, it serves the same again, and asks for nothing; also where nobody could be asked.
    for pebble_runs in [true, false] {
        if !pebble_runs {
            pebble.kill();
        }
        running.kill();
        running = Serve::run(&mut command(&data, &pebble, listen));
        assert_eq!(visit(&root, NAMES[0], listen, "/livez").0, Some(200));
    }
    // A second after its start it would have asked.
    running.terminate();
    assert!(!running.rest().contains("certificate"), "no word of it");
    assert_eq!(pebble.orders(), 1);
}

#[test]
#[ignore = "needs Pebble"]
fn without_a_certificate_nothing_is_served_and_it_comes_when_the_authority_does() {
    let (dir, listen, plain) = (tempfile::tempdir().unwrap(), free(), free());
    let data = dir.path().join("data");
    let mut pebble = Pebble::reserve(listen.port(), LONG_S);
    let mut command = command(&data, &pebble, listen);
    let running = Serve::run(command.env("JIJIA_TLS_HTTP_LISTEN", plain.to_string()));
    running.heard("no certificate: ");
    let http = |address: SocketAddr| curl(&[&format!("http://{address}/m")]);
    let https = curl(&["-k", &format!("https://{listen}/livez")]);
    assert_eq!(https.0, None, "no handshake: {}", https.1);
    assert_eq!(http(listen).0, None, "nothing in the open");
    let (status, said) = http(plain);
    assert_eq!(status, Some(503), "{said}");
    for words in ["尚无证书", "no certificate yet", &pebble.directory(), "refused"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    pebble.run();
    running.heard(GOT);
    assert_eq!(visit(&pebble.root(), NAMES[1], listen, "/livez").0, Some(200));
    assert_eq!(http(plain).0, Some(307));
}

#[test]
#[ignore = "needs Pebble"]
fn an_authority_that_refuses_is_quoted() {
    let (dir, listen, plain) = (tempfile::tempdir().unwrap(), free(), free());
    // It looks for the proof where nobody listens: a port that the office's router does not pass on.
    let pebble = Pebble::start(free().port(), LONG_S);
    let mut command = command(&dir.path().join("data"), &pebble, listen);
    let running = Serve::run(command.env("JIJIA_TLS_HTTP_LISTEN", plain.to_string()));
    running.heard("Failed to connect");
    let (status, said) = curl(&[&format!("http://{plain}/")]);
    assert_eq!(status, Some(503));
    assert!(NAMES.iter().any(|n| said.contains(n)) && said.contains("Failed to connect"), "{said}");
}

#[test]
#[ignore = "needs Pebble"]
fn a_renewed_certificate_takes_the_place_of_the_old_one_under_an_open_line() {
    let (dir, listen) = (tempfile::tempdir().unwrap(), free());
    // Renewed after ten seconds.
    let pebble = Pebble::start(listen.port(), 15);
    let running = Serve::run(&mut command(&dir.path().join("data"), &pebble, listen));
    running.heard(GOT);
    let root = pebble.root();
    let mut early = line(&root, listen);
    ask(&mut early);
    running.heard(GOT);
    let mut late = line(&root, listen);
    ask(&mut late);
    assert_ne!(shown(&early), shown(&late), "another certificate");
    ask(&mut early);
}

type Line = StreamOwned<ClientConnection, TcpStream>;

fn line(root: &Path, to: SocketAddr) -> Line {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from(NAMES[0]).unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), TcpStream::connect(to).unwrap())
}

/// One request on a line that stays open.
fn ask(line: &mut Line) {
    write!(line, "GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", NAMES[0]).unwrap();
    let mut answer = BufReader::new(line);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(answer.read_line(&mut head).unwrap(), 0, "it was closed: {head}");
    }
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut body = [0; 3];
    answer.read_exact(&mut body).unwrap();
    assert_eq!(&body, b"ok\n");
}

fn shown(line: &Line) -> Vec<u8> {
    line.conn.peer_certificates().unwrap()[0].to_vec()
}

//! HTTPS by the real program, asked by curl: the office's own authority, an operator's files, and the plain address.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::pebble::free;
use crate::serve::{Serve, serve};

/// `curl` with these arguments: status, and what it printed.
pub fn curl(args: &[&str]) -> (Option<u16>, String) {
    let out = Command::new("curl")
        .args(["-s", "-S", "--noproxy", "*", "-w", "\n%{http_code} %{redirect_url}"])
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    let status = said.lines().rev().find_map(|l| l.split(' ').next()?.parse().ok()).filter(|s| *s > 0);
    (status, said)
}

fn start(data: &Path, env: &[(&str, &str)]) -> Serve {
    Serve::run(serve(data).envs(env.iter().copied()))
}

#[test]
fn the_office_s_own_authority_is_trusted_once_and_for_private_names_alone() {
    let dir = tempfile::tempdir().unwrap();
    let plain = free().to_string();
    let env = [("JIJIA_TLS_MODE", "local"), ("JIJIA_TLS_HTTP_LISTEN", plain.as_str())];
    let mut running = start(dir.path(), &env);
    let address = running.client.0;
    let ca = dir.path().join("tls/authority.pem");
    let ca = ca.to_str().unwrap();
    // A phone that begins a handshake and falls silent holds up nobody.
    let mut silent = TcpStream::connect(address).unwrap();
    silent.write_all(&[0x16, 3, 1]).unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/livez", address.port());
        assert_eq!(curl(&["--cacert", ca, &url]).0, Some(200));
        assert_eq!(curl(&["--cacert", ca, "--tls-max", "1.2", &url]).0, Some(200));
        assert_eq!(curl(&["--cacert", ca, "--tls-max", "1.1", &url]).0, None, "too old");
        assert_eq!(curl(&[&url]).0, None, "not trusted yet");
    }
    let url = format!("https://localhost:{}/login", address.port());
    let (_, head) = curl(&["--cacert", ca, "-D", "-", "-o", "/dev/null", &url]);
    assert!(head.to_ascii_lowercase().contains("strict-transport-security: max-age=31536000"), "{head}");
    // By both versions of HTTP a browser's own pages may send, and those of others not.
    let session = format!("https://localhost:{}/api/v1/session", address.port());
    let send = |version: &str, origin: &str| {
        let origin = format!("Origin: {origin}");
        let json = ["-H", "Content-Type: application/json", "-d", r#"{"login":"nobody","password":"wrong"}"#];
        curl(&[&["--cacert", ca, version, "-H", &origin][..], &json, &[&session]].concat())
    };
    for version in ["--http1.1", "--http2"] {
        // Wrong, or guessed too soon after the one before.
        let own = send(version, &format!("https://localhost:{}", address.port()));
        assert!(matches!(own.0, Some(401 | 429)), "{version}: {own:?}");
        let other = send(version, "https://elsewhere.example");
        assert_eq!(other.0, Some(403), "{version}: {other:?}");
    }
    // The plain address gives the certificate, and sends everything else on.
    let (status, said) = curl(&[&format!("http://{plain}/m?x=1")]);
    assert_eq!(status, Some(307), "{said}");
    assert!(said.ends_with(&format!("https://127.0.0.1:{}/m?x=1", address.port())), "{said}");
    let (status, fetched) = curl(&[&format!("http://{plain}/trust/jijia-authority.crt")]);
    assert_eq!(status, Some(200));
    assert!(fetched.starts_with(&std::fs::read_to_string(ca).unwrap()), "{fetched}");
    let (status, page) = curl(&[&format!("http://{plain}/trust")]);
    assert_eq!(status, Some(200));
    assert!(page.contains("SHA-256") && page.contains("jijia-authority.crt"), "{page}");
    // After a restart phones trust it still.
    running.terminate();
    running.rest();
    let again = start(dir.path(), &env[..1]);
    let url = format!("https://localhost:{}/livez", again.client.0.port());
    assert_eq!(curl(&["--cacert", ca, &url]).0, Some(200));
    running.kill();
}

#[test]
fn an_operator_s_certificate_is_served_and_a_wrong_one_named() {
    // The files of another service's authority stand for the operator's.
    let other = tempfile::tempdir().unwrap();
    drop(start(other.path(), &[("JIJIA_TLS_MODE", "local")]));
    let file = |name: &str| other.path().join("tls").join(name).to_str().unwrap().to_owned();
    let (chain, key, ca) = (file("server.pem"), file("server.key"), file("authority.pem"));
    let dir = tempfile::tempdir().unwrap();
    let files = |certificate: &str, key: &str| {
        let mut command = serve(dir.path());
        command.env("JIJIA_TLS_MODE", "files").env("JIJIA_TLS_CERTIFICATE_FILE", certificate);
        command.env("JIJIA_TLS_KEY_FILE", key);
        command
    };
    let running = Serve::run(&mut files(&chain, &key));
    let url = format!("https://localhost:{}/livez", running.client.0.port());
    assert_eq!(curl(&["--cacert", &ca, &url]).0, Some(200));
    drop(running);
    for (certificate, key, words) in [
        ("/nowhere.pem", &*key, "/nowhere.pem"),
        (&ca, &key, "authority.pem"),
        (&chain, "/nowhere", "/nowhere"),
    ] {
        let out = files(certificate, key).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && said.contains(words), "{said}");
    }
}

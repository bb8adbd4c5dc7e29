//! A real ACME server for one test: Pebble, with the DNS server beside it that leads every name to this machine.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::https::curl;

/// A free port of this machine.
pub fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The server; killed and its folder removed when dropped.
pub struct Pebble {
    running: Option<Child>,
    names: Child,
    dns: SocketAddr,
    api: SocketAddr,
    management: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl Pebble {
    /// A place for it; nothing runs there yet. It looks for proofs at the port `proofs`, and its certificates hold for so
    /// many seconds.
    pub fn reserve(proofs: u16, life_s: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let (dns, api, management) = (free(), free(), free());
        let file = |name: &str| folder.path().join(name);
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(file("own.pem"), own.cert.pem()).unwrap();
        std::fs::write(file("own.key"), own.signing_key.serialize_pem()).unwrap();
        let config = json!({ "pebble": {
            "listenAddress": api, "managementListenAddress": management,
            "certificate": file("own.pem"), "privateKey": file("own.key"),
            "httpPort": 1, "tlsPort": proofs, "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "retryAfter": { "authz": 1, "order": 1 }, "keyAlgorithm": "ecdsa",
            "profiles": { "default": { "description": "all of them", "validityPeriod": life_s } },
        } });
        std::fs::write(file("config.json"), config.to_string()).unwrap();
        let names = program("pebble-challtestsrv")
            .args(["-dnsserver", &dns.to_string(), "-defaultIPv6", "", "-management", &free().to_string()])
            .args(["-http01", "", "-https01", "", "-doh", "", "-tlsalpn01", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pebble = Self { running: None, names, dns, api, management, said: Arc::default(), folder };
        // It answers by TCP as well.
        wait("the DNS server", || TcpStream::connect(dns).is_ok());
        pebble
    }

    pub fn start(proofs: u16, life_s: u32) -> Self {
        let mut pebble = Self::reserve(proofs, life_s);
        pebble.run();
        pebble
    }

    /// Starts it, with nothing of what it knew before.
    pub fn run(&mut self) {
        let mut child = program("pebble")
            .args(["-config", self.folder.path().join("config.json").to_str().unwrap()])
            .args(["-dnsserver", &self.dns.to_string()])
            // It looks for proofs at once. Some of its nonces are refused without a reason, as it always does.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = self.said.clone();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|l| said.lock().unwrap().push(l)));
        self.running = Some(child);
        let (api, management) = (self.api, self.management);
        wait("Pebble", || TcpStream::connect(api).is_ok() && TcpStream::connect(management).is_ok());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.api)
    }

    /// PEM of the authority that vouches for Pebble itself.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("own.pem")
    }

    /// PEM of the authority that vouches for its certificates, in a file; another one after each start.
    pub fn root(&self) -> PathBuf {
        let (ca, url) = (self.ca_file(), format!("https://{}/roots/0", self.management));
        let (status, said) = curl(&["--cacert", ca.to_str().unwrap(), &url]);
        assert_eq!(status, Some(200), "{said}");
        let root = self.folder.path().join("root.pem");
        std::fs::write(&root, said.rsplit_once("\n200").unwrap().0).unwrap();
        root
    }

    /// How many orders it was given, over all its starts.
    pub fn orders(&self) -> usize {
        self.said.lock().unwrap().iter().filter(|line| line.contains("Added order")).count()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.kill();
        let _ = self.names.kill();
        let _ = self.names.wait();
    }
}

/// A program of the folder that `tests/run` names.
fn program(name: &str) -> Command {
    let folder =
        std::env::var_os("PEBBLE").expect("PEBBLE names the folder of the ACME server; tests/run builds it");
    Command::new(PathBuf::from(folder).join(name))
}

fn wait(what: &str, ready: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < deadline, "{what} does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

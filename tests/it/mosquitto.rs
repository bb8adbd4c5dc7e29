//! A real mosquitto with the shipped profile, on a free port, in a folder of its own.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const PROFILE: &str = include_str!("../../config/mosquitto.conf");

pub struct Mosquitto {
    pub port: u16,
    pub dir: tempfile::TempDir,
    child: Child,
}

impl Mosquitto {
    pub async fn start() -> Self {
        Self::start_with(|_| String::new()).await
    }

    /// `extra`: lines to add, from the broker's folder. They may begin a listener anew.
    pub async fn start_with(extra: impl Fn(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let profile: Vec<String> = PROFILE
            .lines()
            .map(|line| match line.split(' ').next() {
                Some("listener") => format!("listener {port} 127.0.0.1"),
                Some("persistence_location") => format!("persistence_location {}/", dir.path().display()),
                _ => line.to_owned(),
            })
            .collect();
        // As root it would become the user `mosquitto`, who may not write here.
        let text = format!("{}\nuser root\n{}\n", profile.join("\n"), extra(dir.path()));
        std::fs::write(dir.path().join("mosquitto.conf"), text).unwrap();
        let child = spawn(dir.path());
        let broker = Self { port, dir, child };
        broker.wait_until_open().await;
        broker
    }

    /// SIGKILL: what it has not written is lost.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, as at a restart of the machine.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }

    pub async fn start_again(&mut self) {
        self.child = spawn(self.dir.path());
        self.wait_until_open().await;
    }

    async fn wait_until_open(&self) {
        let open = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), open).await.expect("mosquitto opens its port");
    }

    /// Publishes each line as a message with QoS 1 and waits for all acknowledgements.
    pub async fn publish(&self, topic: &str, lines: Vec<Vec<u8>>) {
        let out = publish(self.port, topic, lines, &[]).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// The broker acknowledges before it writes, in the same turn of its loop: an acknowledgement of a later turn
    /// says that what came before is written.
    pub async fn wait_until_written(&self) {
        self.publish("fence", vec![b"x".to_vec()]).await;
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path) -> Child {
    Command::new("mosquitto")
        .arg("-c")
        .arg(dir.join("mosquitto.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is installed")
}

/// `mosquitto_pub`, each line a message with QoS 1. At most 60,000: it ends at the acknowledgement of its last packet
/// id, and with more than 65,535 an earlier message has the same one.
pub async fn publish(port: u16, topic: &str, lines: Vec<Vec<u8>>, extra: &'static [&'static str]) -> Output {
    assert!(lines.len() <= 60_000);
    let topic = topic.to_owned();
    let run = move || {
        let mut child = Command::new("mosquitto_pub")
            .args(["-V", "5", "-q", "1", "-l", "-h", "127.0.0.1", "-p", &port.to_string(), "-t", &topic])
            .args(extra)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_pub is installed");
        let mut stdin = child.stdin.take().unwrap();
        for mut line in lines {
            line.push(b'\n');
            // It ends early where the broker refuses a message; its answer says so.
            if stdin.write_all(&line).is_err() {
                break;
            }
        }
        drop(stdin);
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

//! Debian's mosquitto with the limits of `config/mosquitto.conf`, on a free port, in a folder of its own.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fault;
use crate::service::free_address;

const PROFILE: &str = include_str!("../../config/mosquitto.conf");

/// The broker; killed when dropped.
pub struct Broker {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Broker {
    /// `None` where no mosquitto is installed. It writes its queue only every half hour: with the profile's
    /// `autosave_on_changes` it would write the whole queue for every message of a bulk (see the profile's comment).
    pub fn start() -> Result<Option<Self>, Fault> {
        let folder = crate::folder()?;
        let address = free_address()?;
        let lines = PROFILE.lines().map(|line| match line.split(' ').next() {
            Some("listener") => format!("listener {} 127.0.0.1", address.port()),
            Some("persistence_location") => format!("persistence_location {}/", folder.path().display()),
            Some("autosave_interval") => "autosave_interval 1800".to_owned(),
            Some("autosave_on_changes") => "autosave_on_changes false".to_owned(),
            _ => line.to_owned(),
        });
        // As root it would become the user `mosquitto`, who may not write here.
        let text = lines.chain(["user root\n".to_owned()]).collect::<Vec<_>>().join("\n");
        let path = folder.path().join("mosquitto.conf");
        std::fs::write(&path, text)?;
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else { return Ok(None) };
        let broker = Self { child, address, _folder: folder };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                return Err("mosquitto does not open its port".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Some(broker))
    }

    /// `mosquitto_sub` in a session of its own, ready to be run: QoS 1, the receive maximum that jijia asks for.
    pub fn subscriber(&self, topic: &str) -> Command {
        let mut command = Command::new("mosquitto_sub");
        command
            .args(["-V", "5", "-q", "1", "-i", "yardstick", "-c", "-x", "3600", "-h", "127.0.0.1"])
            .args(["-D", "connect", "receive-maximum", "1000", "-t", topic])
            .arg("-p")
            .arg(self.address.port().to_string())
            .stdout(Stdio::null());
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

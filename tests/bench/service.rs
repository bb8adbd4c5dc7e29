//! The real binary as a process of its own, and what the system says of its memory.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fault;
use crate::http::{Connection, TOKEN};

/// The program under test, built beside this bench with the same profile.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_jijia");

/// The guard file of the log in `data`, which is mostly a temporary folder: not beside it, where it would stay.
fn guard_of(data: &Path) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{}.guard", data.display().to_string().replace('/', "_")))
}

/// A running `jijia serve`; killed when dropped.
pub struct Service {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From exec to the first 200 of `/readyz`.
    pub ready_after: Duration,
}

impl Service {
    /// Starts on `data` with `settings` (`JIJIA_*`) over the defaults and waits until it is ready.
    pub fn start(data: &Path, settings: &[(&str, String)]) -> Result<Self, Fault> {
        let address = free_address()?;
        let started = Instant::now();
        let child = Command::new(PROGRAM)
            .arg("serve")
            .env("JIJIA_DATA", data)
            .env("JIJIA_SERVER_LISTEN", address.to_string())
            .env("JIJIA_LOG_LEVEL", "warn")
            .env("JIJIA_PEOPLE_TOKEN", TOKEN)
            .env("JIJIA_LOG_GUARD_FILE", guard_of(data))
            .envs(settings.iter().map(|(key, value)| (*key, value)))
            .stdin(Stdio::null())
            .spawn()?;
        let mut service = Self { child, address, ready_after: Duration::ZERO };
        while service.ready().is_err() {
            if let Some(status) = service.child.try_wait()? {
                return Err(format!("jijia serve ended at its start: {status}").into());
            }
            if started.elapsed() > Duration::from_secs(60) {
                return Err("jijia serve is not ready after 60 s".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        service.ready_after = started.elapsed();
        Ok(service)
    }

    fn ready(&self) -> Result<Vec<u8>, Fault> {
        self.connect()?.get("/readyz")
    }

    /// A kept connection.
    pub fn connect(&self) -> Result<Connection, Fault> {
        Connection::new(self.address)
    }

    /// SIGTERM, and a clean end.
    pub fn stop(mut self) -> Result<(), Fault> {
        Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("jijia serve ended with {status}").into()) }
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory now, kB.
    pub fn resident_kb(&self) -> Result<u64, Fault> {
        status_kb(self.id(), "VmRSS:")
    }

    /// The most it ever was, kB.
    pub fn peak_kb(&self) -> Result<u64, Fault> {
        status_kb(self.id(), "VmHWM:")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A line of `/proc/PID/status`, kB.
pub fn status_kb(pid: u32, name: &str) -> Result<u64, Fault> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix(name)).ok_or("no such line in /proc/PID/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// An address on loopback that nobody has.
pub fn free_address() -> Result<SocketAddr, Fault> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

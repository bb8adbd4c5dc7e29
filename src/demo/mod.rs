//! A service on a marked directory with a broker of its own. The simulated days and the live traffic are to come.

pub mod broker;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::error::Result;
use crate::web::App;
use broker::Broker;

/// `jijia demo`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address of the pages; loopback.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Folder to keep, empty or not there yet; without it a temporary one that goes with the demo.
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Another seed gives another lake.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// Days simulated.
pub const DAYS: i64 = 90;

/// The demo's data directory.
#[derive(Debug)]
pub enum Folder {
    /// Goes with the demo.
    Temporary(tempfile::TempDir),
    /// Stays.
    Kept(PathBuf),
}

impl Folder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(path) => path,
        }
    }
}

/// The folder that the options name.
///
/// # Errors
/// Those of the disk.
pub fn folder(options: &Options) -> Result<Folder> {
    Ok(match &options.folder {
        Some(path) => Folder::Kept(path.clone()),
        None => Folder::Temporary(tempfile::Builder::new().prefix("jijia-demo-").tempdir()?),
    })
}

/// The instant the simulated days begin at.
#[must_use]
pub fn begin() -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * DAYS)
}

/// What the simulation acts on.
#[derive(Clone)]
pub struct Lake {
    /// The service.
    pub app: App,
    /// Its broker.
    pub broker: Broker,
    /// Seed.
    pub seed: u64,
}

/// The simulated days, by the front doors.
///
/// # Errors
/// What a front door answered.
pub async fn fill(lake: &Lake) -> Result<()> {
    let _ = lake;
    Ok(())
}

/// Live traffic until aborted.
pub async fn live(lake: Lake) {
    let _ = lake;
    std::future::pending::<()>().await;
}

/// What the terminal says.
#[must_use]
pub fn welcome(address: SocketAddr, broker: &Broker, folder: &Path, lake: &Lake) -> String {
    let _ = lake;
    format!("演示数据 http://{address}/\nmqtt://{}\n{}\n", broker.address(), folder.display())
}

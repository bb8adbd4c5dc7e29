//! `jijia log …`: the evidence log's key and its tiles.

use clap::Subcommand;
use jijia::clock::Clock;
use jijia::config::Config;
use jijia::error::Result;
use jijia::publish::Publisher;
use jijia::store::{Opener, Store};

use super::say;

/// `jijia log …`.
#[derive(Clone, Copy, Subcommand)]
pub enum LogCommand {
    /// Print the log's origin and the key by which its readers know it.
    Key,
    /// Replace the key: an entry signed by the old one names the new one. A running service goes on with it.
    RotateKey,
    /// Make the stored tiles again from the entries, checked against everything that was signed.
    Rebuild,
}

/// Runs it, beside a running service or alone.
pub async fn log(command: LogCommand, config: &Config) -> Result<()> {
    let store = Store::open(&config.data.dir, Opener::Tool, Clock::System).await?;
    let publisher = Publisher::open(store.clone(), &config.log).await?;
    match command {
        LogCommand::Key => {
            say(&format!("origin {}\nkey    {}\n", config.log.origin, publisher.verifier().await?));
        }
        LogCommand::RotateKey => {
            let old = publisher.verifier().await?;
            let new = publisher.rotate_key().await?;
            say(&format!(
                "old key {old}\nnew key {new}\nGive the new one to everybody who has the old one.\n"
            ));
        }
        LogCommand::Rebuild => {
            // A crash after this line: the next publication makes them.
            store.drop_tiles().await?;
            let checkpoint = publisher.publish().await?;
            say(&format!("the tiles of {} entries are made again\n", checkpoint.checkpoint().size));
        }
    }
    Ok(())
}

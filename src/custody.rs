//! The commands that look after what is kept: audit, redact.

use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jijia::clock::Clock;
use jijia::config::Config;
use jijia::error::{Error, Result};
use jijia::patrol::report::check_sha256;
use jijia::publish;
use jijia::store::audit::{self, Options};
use jijia::store::{Opener, Store};

use crate::commands::say;

/// `jijia audit`.
#[derive(Args)]
pub struct AuditArgs {
    /// Read at most so many megabytes a second, so that the service keeps its disk.
    #[arg(long, value_name = "N")]
    rate_mb_s: Option<f64>,
    /// Begin anew with the photos, whatever an interrupted audit has done.
    #[arg(long)]
    fresh: bool,
}

/// `jijia audit`: one line for each finding, then one that says what was looked at.
pub fn audit(args: &AuditArgs, config: &Config) -> Result<ExitCode> {
    if args.rate_mb_s.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return Err(Error::invalid("rate-mb-s", "allowed: a number over 0"));
    }
    let place = crate::load_place(config)?;
    let style = ProgressStyle::with_template("{bar:40} {percent} % {elapsed} {eta}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let heads = publish::guarded(&config.data.dir, &config.log)?.into_iter();
    let heads = heads.map(|head| ("the guard file".to_owned(), head)).collect();
    let options = Options { rate_mb_s: args.rate_mb_s, fresh: args.fresh, heads };
    let done =
        audit::audit(&config.data.dir, &place, &options, &bar, &mut |finding| say(&format!("{finding}\n")))?;
    if done.resumed_at > 0 {
        say(&format!(
            "photos: went on at folder {:02x} of an interrupted audit; what it found was said by it (--fresh begins anew)\n",
            done.resumed_at
        ));
    }
    say(&format!(
        "{} entries, root {}; {} photos, {} bytes: {}\n",
        done.entries,
        hex::encode(done.root),
        done.photos,
        done.photo_bytes,
        if done.findings == 0 { "clean".to_owned() } else { format!("{} finding(s)", done.findings) }
    ));
    Ok(if done.findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `jijia redact`.
#[derive(Args)]
pub struct RedactArgs {
    /// Index of the entry that commits to what is to go.
    #[arg(long, value_name = "N", requires = "payload", required_unless_present = "photo")]
    entry: Option<u64>,
    /// What of it: record, note, name, reason, body, filter.
    #[arg(long, value_name = "NAME", requires = "entry")]
    payload: Option<String>,
    /// A photo, original and copy, instead of a payload.
    #[arg(long, value_name = "SHA256", conflicts_with = "entry")]
    photo: Option<String>,
    /// Why, by which law and on whose request; kept under the erasure's entry.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// `jijia redact`: erases by law. Run again it finishes what was interrupted.
pub async fn redact(args: RedactArgs, config: &Config) -> Result<ExitCode> {
    if args.reason.trim().is_empty() {
        return Err(Error::invalid("reason", "is empty; an erasure says why"));
    }
    let store = Store::open(&config.data.dir, Opener::Tool, Clock::System).await?;
    let erased = match (args.entry, args.payload, args.photo) {
        (Some(entry), Some(payload), None) => store.redact(entry, &payload, args.reason).await,
        (_, _, Some(photo)) => {
            check_sha256(&photo)?;
            store.redact_photo(&photo, args.reason).await
        }
        _ => return Err(Error::invalid("entry", "allowed: --entry with --payload, or --photo")),
    };
    let words = match erased {
        Ok(receipt) => format!("erased; entry {} of the log says so, {}", receipt.index, receipt.leaf_hash),
        Err(Error::Gone(words)) => words,
        Err(other) => return Err(other),
    };
    store.wipe()?;
    say(&format!(
        "{words}\nthe bytes are gone from the data directory. Backups made before this still hold them: make a new \
         one with `jijia backup`, then destroy the old ones. Documents and bundles given away are not reached.\n"
    ));
    Ok(ExitCode::SUCCESS)
}

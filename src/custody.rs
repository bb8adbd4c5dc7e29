//! The commands that look after what is kept: audit.

use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jijia::config::Config;
use jijia::error::{Error, Result};
use jijia::store::audit::{self, Options};

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
    let options = Options { rate_mb_s: args.rate_mb_s, fresh: args.fresh };
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

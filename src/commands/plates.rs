//! `jijia plates`: what hangs at the waypoints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jijia::config::Config;
use jijia::document::pdf;
use jijia::error::{Error, Result};

use super::say;

/// Where to, and what the codes lead to.
#[derive(Args)]
pub struct PlatesArgs {
    /// The PDF file.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Address of the service as phones reach it: https://host. The codes lead to its field app.
    #[arg(long, value_name = "URL")]
    base: String,
}

/// Writes them.
pub fn run(args: &PlatesArgs, config: &Config) -> Result<ExitCode> {
    let place = crate::load_place(config)?;
    let fonts = crate::office(config)?.fonts_dir;
    let pdf = pdf::plates(&place, &args.base, fonts.as_deref())?;
    let output = args.output.display();
    std::fs::write(&args.output, pdf).map_err(|e| Error::invalid("--output", format!("{output}: {e}")))?;
    say(&format!("{output}: {} 块打卡牌\n", place.waypoints.len()));
    Ok(ExitCode::SUCCESS)
}

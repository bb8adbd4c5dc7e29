//! `jijia verify`: a bundle checked, with nothing but the file.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jijia::error::{Error, Result};
use jijia::evidence::note::VerifierKey;
use jijia::evidence::verify::{Trusted, verify};

use super::say;

/// `jijia verify FILE.zip`.
#[derive(Args)]
pub struct VerifyArgs {
    /// The bundle.
    file: PathBuf,
    /// The log's key, from elsewhere than the bundle: name+id+base64.
    #[arg(long, value_name = "VKEY")]
    key: Option<VerifierKey>,
    /// Key of a witness that must have cosigned.
    #[arg(long, value_name = "VKEY")]
    witness: Vec<VerifierKey>,
}

/// Prints what was found.
pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let file = File::open(&args.file)
        .map_err(|e| Error::invalid("file", format!("{}: {e}", args.file.display())))?;
    let trusted = Trusted { log: args.key.clone(), witnesses: args.witness.clone() };
    let verdict = verify(BufReader::new(file), &trusted)?;
    say(&verdict.words());
    Ok(ExitCode::from(verdict.exit_code()))
}

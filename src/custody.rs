//! The commands that look after what is kept: audit, redact, backup, restore.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jijia::clock::Clock;
use jijia::config::Config;
use jijia::error::{Error, Result};
use jijia::evidence::checkpoint::Checkpoint;
use jijia::evidence::entry::Sealed;
use jijia::patrol::report::check_sha256;
use jijia::publish::{self, restore::Trust};
use jijia::store::audit::{self, GuardFile, KnownHead, Options};
use jijia::store::erasure::Target;
use jijia::store::{Opener, Store, backup};

use crate::commands::say;

/// `jijia audit`.
#[derive(Args)]
pub struct AuditArgs {
    /// Read at most so many megabytes a second, so that the service keeps its disk.
    #[arg(long, value_name = "N")]
    rate_mb_s: Option<f64>,
    /// Go on with the files where an interrupted audit was; what it found was said by it. Whoever can write the data directory
    /// can forge that state: without this, every file is hashed.
    #[arg(long)]
    resume: bool,
    /// A head of the log that somebody else holds: the three lines of a print, or a signed checkpoint of a bundle, a phone or
    /// a witness. The log must have had it.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

/// `jijia audit`: one line for each finding, then one that says what was looked at.
pub fn audit(args: &AuditArgs, config: &Config) -> Result<ExitCode> {
    check_rate(args.rate_mb_s)?;
    let place = crate::load_place(config)?;
    let bar = bar();
    let known = |head: Checkpoint| {
        GuardFile::Holds(KnownHead { whose: "the guard file".into(), size: head.size, root: head.root })
    };
    let guard = publish::guarded(&config.data.dir, &config.log)?.map_or(GuardFile::Missing, known);
    let heads =
        args.checkpoint.iter().map(|file| read_head(file, &config.log.origin)).collect::<Result<_>>()?;
    let witnesses = publish::witness_keys(&config.log)?;
    let options = Options { rate_mb_s: args.rate_mb_s, resume: args.resume, guard, heads, witnesses };
    let done =
        audit::audit(&config.data.dir, &place, &options, &bar, &mut |finding| say(&format!("{finding}\n")))?;
    let remarks = if done.remarks == 0 { String::new() } else { format!(", {} remark(s)", done.remarks) };
    // The last line says what the verdict rests on.
    let resumed = match done.resumed_at {
        0 => String::new(),
        at => format!("; files before folder {at:02x} were hashed by an interrupted audit, not by this one"),
    };
    say(&format!(
        "{} entries, root {}; {} photos, {} voice notes, {} bytes: {}{remarks}{resumed}\n",
        done.entries,
        hex::encode(done.root),
        done.photos,
        done.voices,
        done.file_bytes,
        if done.findings == 0 { "clean".to_owned() } else { format!("{} finding(s)", done.findings) }
    ));
    Ok(if done.findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A head of the log from a file: a signed checkpoint, or its first three lines.
fn read_head(file: &Path, origin: &str) -> Result<KnownHead> {
    let whose = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|e| Error::invalid(&whose, e.to_string()))?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    let head: Checkpoint = format!("{}\n", lines.join("\n")).parse().map_err(|e: Error| e.under(&whose))?;
    if head.origin != origin {
        let message = format!("is of the log `{}`; allowed: {origin}", head.origin);
        return Err(Error::invalid(whose, message));
    }
    Ok(KnownHead { whose, size: head.size, root: head.root })
}

/// `jijia redact`.
#[derive(Args)]
pub struct RedactArgs {
    /// Index of the entry that commits to what is to go.
    #[arg(long, value_name = "N", requires = "payload", required_unless_present_any = ["photo", "voice"])]
    entry: Option<u64>,
    /// What of it: record, note, name, reason, body, filter.
    #[arg(long, value_name = "NAME", requires = "entry")]
    payload: Option<String>,
    /// A photo, original and copy, instead of a payload.
    #[arg(long, value_name = "SHA256", conflicts_with = "entry")]
    photo: Option<String>,
    /// A voice note instead.
    #[arg(long, value_name = "SHA256", conflicts_with_all = ["entry", "photo"])]
    voice: Option<String>,
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
    let file = args.photo.map(|hash| (Sealed::Photo, hash));
    let file = file.or(args.voice.map(|hash| (Sealed::Voice, hash)));
    let target = match (args.entry, args.payload, file) {
        (Some(entry), Some(payload), None) => Target::Payload(entry, payload),
        (_, _, Some((kind, hash))) => {
            check_sha256(&hash).map_err(|e| e.under(kind.as_str()))?;
            Target::File(kind, hash)
        }
        _ => return Err(Error::invalid("entry", "allowed: --entry with --payload, --photo, or --voice")),
    };
    let done = store.redact(&target, args.reason).await?;
    let words = match &done.entry {
        Ok(receipt) => {
            format!("erased; entry {} of the log says so, {}", receipt.index, receipt.leaf_hash)
        }
        Err(before) => before.clone(),
    };
    say(&format!("{words}\n"));
    if done.bundles > 0 {
        say(&format!("{} bundle(s) kept to be fetched are removed; make them again\n", done.bundles));
    }
    say(match (&done.entry, done.remains.is_empty()) {
        (Ok(_), true) => "the bytes are nowhere in the data directory any more\n",
        (Err(_), true) => "its bytes are not known any more, so nothing was searched for them\n",
        (_, false) => "the same bytes still stand in, or may be in:\n",
    });
    for place in &done.remains {
        say(&format!("  {place}\n"));
    }
    say(
        "Backups made before this still hold them: make a new one with `jijia backup`, then destroy the old ones. Documents \
         and bundles given away are not reached.\n",
    );
    Ok(if done.remains.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent} % {elapsed} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn check_rate(rate_mb_s: Option<f64>) -> Result<()> {
    if rate_mb_s.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return Err(Error::invalid("rate-mb-s", "allowed: a number over 0"));
    }
    Ok(())
}

/// `jijia backup`.
#[derive(Args)]
pub struct BackupArgs {
    /// The folder; a second backup into it copies only what is new.
    dir: PathBuf,
    /// Read at most so many megabytes a second, so that the service keeps its disk.
    #[arg(long, value_name = "N")]
    rate_mb_s: Option<f64>,
}

/// `jijia backup`: beside a running service. Exit code 1 if files are damaged here; the rest is backed up.
pub fn backup(args: &BackupArgs, config: &Config) -> Result<ExitCode> {
    check_rate(args.rate_mb_s)?;
    let (bar, place) = (bar(), crate::load_place(config)?);
    let now = Clock::System.now();
    let made = backup::backup(&config.data.dir, &args.dir, &place, args.rate_mb_s, now, &bar)?;
    bar.finish_and_clear();
    for damaged in &made.damaged {
        say(&format!("{damaged}\n"));
    }
    let m = &made.manifest;
    say(&format!(
        "{} entries, root {}; {} photos, {} voice notes, {} files of them copied now\n",
        m.log_size, m.log_root, m.photos, m.voices, made.copied
    ));
    if m.key.is_some() {
        say(
            "This backup holds the key that signs the log and personal data: keep it as a secret. The guard file is not \
             in it and must not lie beside it.\n",
        );
    }
    Ok(if made.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `jijia restore`.
#[derive(Args)]
pub struct RestoreArgs {
    /// The backup's folder.
    backup: PathBuf,
    /// The last checkpoint that a witness or a bundle has, where the guard file is lost.
    #[arg(long, value_name = "FILE", conflicts_with = "new_origin")]
    checkpoint: Option<PathBuf>,
    /// Where there is neither: the log goes on under this name, which must be set as [log] origin.
    #[arg(long, value_name = "NAME")]
    new_origin: Option<String>,
}

/// `jijia restore`: into the data directory, which must be empty or new.
pub fn restore(args: &RestoreArgs, config: &Config) -> Result<ExitCode> {
    let place = crate::load_place(config)?;
    let checkpoint = args.checkpoint.as_ref().map(std::fs::read_to_string).transpose()?;
    let trust = Trust { checkpoint, new_origin: args.new_origin.clone() };
    let dir = &config.data.dir;
    let now = Clock::System.now();
    let done = publish::restore::restore(&args.backup, dir, &trust, &config.log, &place, now, &bar())?;
    say(&format!(
        "restored into {}: {} entries, root {}, {} photos, {} voice notes; audited, clean. Start `jijia serve`\n",
        dir.display(),
        done.entries,
        hex::encode(done.root),
        done.photos,
        done.voices
    ));
    Ok(ExitCode::SUCCESS)
}

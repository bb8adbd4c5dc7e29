//! `jijia dead-letters`: what could not become observations, and why.

use std::process::ExitCode;

use clap::Args;
use jijia::clock::Clock;
use jijia::config::Config;
use jijia::error::{Error, Result};
use jijia::store::{Opener, ShownDeadLetter, Store};

use super::say;

/// Dead letters read at once.
const STEP: u32 = 200;

/// Which, and how.
#[derive(Args)]
pub struct DeadLetterArgs {
    /// At most so many, the newest.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// One JSON object per line, the fields of GET /api/v1/dead-letters; no closing line.
    #[arg(long)]
    json: bool,
}

/// Lists them, newest first, beside a running service.
pub async fn list(args: &DeadLetterArgs, config: &Config) -> Result<ExitCode> {
    crate::check_data(&config.data.dir)?;
    let store = Store::open(&config.data.dir, Opener::Tool, Clock::System).await?;
    let (mut after, mut left) = (None, args.limit);
    while left > 0 {
        let letters = store.list_dead_letters(after, left.min(STEP)).await?;
        let Some(last) = letters.last() else { break };
        after = Some(last.id);
        left = left.saturating_sub(u32::try_from(letters.len()).unwrap_or(u32::MAX));
        for letter in &letters {
            say(&if args.json { json(letter)? } else { line(letter) });
        }
    }
    if !args.json {
        say(&format!("{} dead letter(s) in all\n", store.count_dead_letters().await?));
    }
    Ok(ExitCode::SUCCESS)
}

fn json(letter: &ShownDeadLetter) -> Result<String> {
    let text = serde_json::to_string(letter).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(text + "\n")
}

/// A topic is a stranger's text, and a reason may repeat some of it: neither may steer the terminal.
fn line(letter: &ShownDeadLetter) -> String {
    let ShownDeadLetter { received_at, source, topic, reason, bytes, start, .. } = letter;
    let (topic, reason) = (topic.escape_debug(), reason.escape_debug());
    format!("{received_at}  {source}  {topic}  {reason}\n    {bytes} bytes: {start}\n")
}

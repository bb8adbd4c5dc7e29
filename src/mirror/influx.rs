//! InfluxDB 2 follows the log by a durable cursor of its own.
//!
//! Measurement `water`; tags `station`, `property`, `unit`, `processing` (`raw`, `reviewed`); field `value`, always a
//! float; time to the millisecond. Rows without a number (missing, a word) are not mirrored, only counted. A
//! corrected second value for a datastream and time comes later in the log and overwrites the first: InfluxDB keeps
//! one value per series and time, the store keeps both.
//!
//! The same series and time again overwrites, so a write is sent again whole whenever its end is unknown. The cursor
//! moves only when every line before it was answered with 204, or refused by name and kept in the dead letters.

use std::ops::Range;
use std::time::Duration;

use influxdb2::RequestError;
use influxdb2::api::write::TimestampPrecision;
use tokio::sync::watch;

use super::line::Lines;
pub use super::status::{InfluxState, InfluxStatus, Phase};
pub use super::target::{Target, cursor_name};
use crate::error::{Error, Result};
use crate::store::{FollowedObservation, Store};
use crate::water::observation::DeadLetter;

/// The source of the mirror's dead letters.
pub const FOLLOWER: &str = "influx";

/// A commit by another process (an import) wakes nobody here.
const POLL: Duration = Duration::from_secs(5);
/// How long small commits are gathered.
const GATHER: Duration = Duration::from_millis(100);

/// Why nothing moved on.
#[derive(Debug)]
enum Fault {
    /// Waiting helps.
    Outage(String),
    /// An operator must act; the mirror keeps everything and asks again now and then.
    Configuration(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Outage(format!("store: {error}"))
    }
}

/// The server's verdict on a range of lines.
enum Verdict {
    Stored,
    /// One line or more was refused; `all` if the server counts as many as were sent.
    Refused {
        words: String,
        all: bool,
    },
}

/// Follows the log until `shutdown` is ready. Dropped at any point it loses nothing: what was under way is sent
/// again by the next run.
pub async fn run(target: Target, store: Store, status: &InfluxStatus, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown => {}
        () = follow(&target, &store, status) => {}
    }
}

async fn follow(target: &Target, store: &Store, status: &InfluxStatus) {
    let mut commits = store.watch();
    let mut failures = 0;
    let mut ahead = Vec::new();
    loop {
        // What is committed from here on ends the rest below.
        commits.borrow_and_update();
        match step(target, store, status, &mut ahead).await {
            Ok(full) => {
                failures = 0;
                status.enter(if full { Phase::CatchingUp } else { Phase::CaughtUp }, None);
                if !full {
                    rest(&mut commits).await;
                }
            }
            Err(fault) => {
                failures += 1;
                match fault {
                    Fault::Outage(words) => status.enter(Phase::Outage, Some(words)),
                    Fault::Configuration(words) => status.enter(Phase::Misconfigured, Some(words)),
                }
                tokio::time::sleep(back_off(failures)).await;
            }
        }
    }
}

/// Until something is committed here, and a moment longer, so that one write takes many small commits.
async fn rest(commits: &mut watch::Receiver<u64>) {
    match tokio::time::timeout(POLL, commits.changed()).await {
        Ok(Ok(())) => tokio::time::sleep(GATHER).await,
        // The writing thread has ended, and with it all waking.
        Ok(Err(_)) => tokio::time::sleep(POLL).await,
        Err(_) => {}
    }
}

/// Mirrors the next rows; true if there may be more. `ahead`: rows behind the cursor that were read while the last
/// ones were under way; after a fault it is empty and they are read again.
async fn step(
    target: &Target,
    store: &Store,
    status: &InfluxStatus,
    ahead: &mut Vec<FollowedObservation>,
) -> Result<bool, Fault> {
    let cursor = store.get_cursor(&target.cursor).await?;
    let mut rows = std::mem::take(ahead);
    let read_before = !rows.is_empty();
    if !read_before {
        rows = store.list_observations_after(cursor, target.batch_lines).await?;
    }
    let Some(last) = rows.last().map(|row| row.at) else {
        status.lock().cursor = cursor;
        return Ok(false);
    };
    let full = rows.len() == target.batch_lines as usize;
    let (lines, without_number) = Lines::of(&rows)?;
    let next = async {
        if full { store.list_observations_after(last, target.batch_lines).await } else { Ok(Vec::new()) }
    };
    let (sent, next) = tokio::join!(send(target, &lines), next);
    let dead = sent?;
    let refused = dead.len() as u64;
    // Crash before this line: the lines are written again over themselves, and no dead letter was kept yet.
    store.move_cursor(&target.cursor, last, dead).await?;
    // Not read this time: the next step reads, and says why if it cannot.
    *ahead = next.unwrap_or_default();
    let mut state = status.lock();
    state.mirrored += lines.len() as u64 - refused;
    state.skipped += without_number;
    state.refused += refused;
    state.cursor = last;
    // What was read before may lack what was committed since.
    Ok(full || read_before)
}

/// Writes all lines in log order; those refused alone come back as dead letters.
///
/// 400 stores nothing of a request and 422 all but the bad lines. Both are taken apart in halves: the good lines end
/// in a request answered 204 (sent twice at worst, over themselves), a bad one costs about 2·log2(n) requests.
async fn send(target: &Target, lines: &Lines) -> Result<Vec<DeadLetter>, Fault> {
    let mut dead = Vec::new();
    let whole = 0..lines.len();
    let mut pending = vec![whole];
    while let Some(range) = pending.pop().filter(|range| !range.is_empty()) {
        match write(target, lines, range.clone()).await? {
            Verdict::Stored => {}
            Verdict::Refused { words, all } if all || range.len() == 1 => {
                dead.extend(range.map(|line| dead_letter(target, lines.bytes(line..line + 1), &words)));
            }
            Verdict::Refused { .. } => {
                let middle = range.start + range.len() / 2;
                // The first half is taken next: a correction must come after what it corrects.
                pending.push(middle..range.end);
                pending.push(range.start..middle);
            }
        }
    }
    Ok(dead)
}

fn dead_letter(target: &Target, line: &[u8], words: &str) -> DeadLetter {
    DeadLetter {
        source: FOLLOWER.into(),
        topic: target.bucket.clone(),
        reason: words.to_owned(),
        raw: line.strip_suffix(b"\n").unwrap_or(line).to_vec(),
    }
}

async fn write(target: &Target, lines: &Lines, range: Range<usize>) -> Result<Verdict, Fault> {
    let body = lines.bytes(range.clone()).to_vec();
    let request = target.client.write_line_protocol_with_precision(
        &target.org,
        &target.bucket,
        body,
        TimestampPrecision::Milliseconds,
    );
    // The client has no time-out of its own: a silent server would hang the mirror for good.
    match tokio::time::timeout(target.timeout, request).await {
        Ok(Ok(())) => Ok(Verdict::Stored),
        Ok(Err(RequestError::Http { status, text })) => judge(status.as_u16(), &text, range.len()),
        Ok(Err(other)) => Err(Fault::Outage(other.to_string())),
        Err(_) => Err(Fault::Outage(format!("no answer within {:?}", target.timeout))),
    }
}

/// What an answer other than 204 means for a request of `sent` lines (seen on 2.7.12).
fn judge(status: u16, text: &str, sent: usize) -> Result<Verdict, Fault> {
    let words = format!("{status} {}", shorten(text.trim()));
    match status {
        // Only a verdict on lines may cost a line. A 400 or 422 without these words comes from something on the way
        // or from the request as a whole, and would send every row to the dead letters.
        400 if text.contains("unable to parse '") => Ok(Verdict::Refused { words, all: false }),
        422 if text.contains("partial write") => {
            let dropped = text
                .rsplit("dropped=")
                .next()
                .map_or("", |rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
            Ok(Verdict::Refused { words, all: dropped.parse() == Ok(sent) })
        }
        408 | 429 | 500..=599 => Err(Fault::Outage(words)),
        _ => Err(Fault::Configuration(words)),
    }
}

/// The server quotes the line, which may be long, and says what is wrong with it at the end.
fn shorten(text: &str) -> String {
    const KEPT: usize = 300;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= 2 * KEPT {
        return text.to_owned();
    }
    let (start, end) = (&chars[..KEPT], &chars[chars.len() - KEPT..]);
    start.iter().chain(&['…']).chain(end).collect()
}

/// 1 s to at most 60 s, the span doubling with each failure in a row, spread so that many mirrors do not knock
/// together. (`Retry-After` is not shown by the client; 60 s is within what servers ask for.)
fn back_off(failures: u32) -> Duration {
    let most = 2_f64.powi(failures.min(6).cast_signed()).min(60.0);
    let spread = getrandom::u32().map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX));
    Duration::from_secs_f64(1.0 + (most - 1.0) * spread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn config(url: &str) -> config::Influx {
        config::Influx {
            url: url.into(),
            org: "jijia".into(),
            bucket: "water".into(),
            token: config::Secret::from("a-token".to_owned()),
            token_file: "".into(),
            batch_lines: 5_000,
            timeout_s: Duration::from_secs(10),
        }
    }

    fn refused_key(config: &config::Influx) -> String {
        match Target::new(config) {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn only_a_plain_http_address_is_taken() {
        for url in ["http://127.0.0.1:8086", "http://influx.lan/", "http://[::1]:8086"] {
            Target::new(&config(url)).unwrap();
        }
        let wrong = [
            "",
            "127.0.0.1:8086",
            "/3242/23",
            "http://",
            "http://1.2.3.999:8086",
            "https://influx.lan",
            "http://influx.lan/influx",
            "http://influx.lan/?org=x",
            "http://me:secret@influx.lan",
            "unix:///run/influx",
        ];
        for url in wrong {
            assert_eq!(refused_key(&config(url)), "influx.url", "{url}");
        }
        let message = Target::new(&config("https://influx.lan")).unwrap_err().to_string();
        assert!(message.contains("TLS"), "{message}");
    }

    #[test]
    fn the_other_keys_are_checked() {
        let good = config("http://127.0.0.1:8086");
        let spaced = config::Secret::from("a token\n".to_owned());
        assert_eq!(refused_key(&config::Influx { token: spaced, ..good.clone() }), "influx.token");
        assert_eq!(refused_key(&config::Influx { org: String::new(), ..good.clone() }), "influx.org");
        assert_eq!(refused_key(&config::Influx { bucket: String::new(), ..good.clone() }), "influx.bucket");
        for batch_lines in [0, 5_001] {
            assert_eq!(refused_key(&config::Influx { batch_lines, ..good.clone() }), "influx.batch_lines");
        }
        assert_eq!(refused_key(&config::Influx { timeout_s: Duration::ZERO, ..good }), "influx.timeout_s");
    }

    #[test]
    fn an_answer_costs_a_line_only_when_it_speaks_of_lines() {
        let parse = r#"{"code":"invalid","message":"unable to parse 'water value=NaN 1': invalid number"}"#;
        assert!(matches!(judge(400, parse, 2), Ok(Verdict::Refused { all: false, .. })));
        let conflict = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"value\" on measurement \"water\" is type float, already exists as type integer dropped=3"}"#;
        assert!(matches!(judge(422, conflict, 3), Ok(Verdict::Refused { all: true, .. })));
        assert!(matches!(judge(422, conflict, 30), Ok(Verdict::Refused { all: false, .. })));
        for (status, text) in [(400, "<html>Bad Request</html>"), (422, ""), (401, ""), (404, ""), (200, "")]
        {
            assert!(matches!(judge(status, text, 1), Err(Fault::Configuration(_))), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(matches!(judge(status, parse, 1), Err(Fault::Outage(_))), "{status}");
        }
    }

    #[test]
    fn the_reason_is_kept_however_long_the_line() {
        let words = shorten(&format!("unable to parse '{}': max key length exceeded", "站".repeat(70_000)));
        assert!(words.starts_with("unable to parse") && words.ends_with("exceeded"), "{words}");
        assert_eq!(words.chars().count(), 601);
        assert_eq!(shorten("short"), "short");
    }

    #[test]
    fn it_waits_between_one_and_sixty_seconds() {
        for failures in 1..200 {
            let wait = back_off(failures);
            assert!((1.0..=60.0).contains(&wait.as_secs_f64()), "{wait:?}");
        }
        assert!(back_off(1) <= Duration::from_secs(2));
        assert!((0..100).map(|_| back_off(9)).max() > Some(Duration::from_secs(20)));
    }
}

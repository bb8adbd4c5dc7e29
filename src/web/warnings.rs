//! What the operator should know and the service goes on in spite of: one list, said at the start, by `/readyz` and on
//! the first page.

use std::sync::atomic::Ordering::Relaxed;

use jiff::{SignedDuration, Timestamp};

use super::app::App;
use crate::clock::{Clock, beijing_minute};
use crate::error::Result;
use crate::evidence::entry::Entry;
use crate::evidence::timeline::WATCHED;
use crate::mirror::influx::Phase;
use crate::store::Store;
use crate::tls::server::{Certificate, Standing};

/// A clock before this was never set: 2026-01-01T00:00:00Z.
const BUILT_AFTER_MS: i64 = 1_767_225_600_000;
/// A clock that is set right by a program steps back by less.
const STEP_BACK: SignedDuration = SignedDuration::from_secs(60);

/// Something that should be seen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// In English, for `/readyz` and the log of the process; begins with the part it is about.
    pub words: String,
    /// For the pages.
    pub words_zh: String,
}

fn warning(words: String, words_zh: impl Into<String>) -> Warning {
    Warning { words, words_zh: words_zh.into() }
}

/// All of them, the most urgent first.
///
/// # Errors
/// `Internal` if the database cannot be read.
pub(super) async fn list(app: &App) -> Result<Vec<Warning>> {
    let mut all = of_store(&app.store, app.settings.low_space_bytes).await?;
    all.extend(app.settings.certificate.as_ref().and_then(|c| certificate(c, app.store.clock().now())));
    all.extend(app.publisher.trouble().map(|t| {
        warning(format!("log: nothing is signed: {}", t.words), format!("存证签名已暂停：{}", t.words_zh))
    }));
    all.extend(app.publisher.missing_witnesses().into_iter().map(|(name, words)| {
        warning(format!("witness {name}: {words}"), format!("见证方 {name} 没有签名，系统会自动重试"))
    }));
    all.extend(forked(app.store.list_forked_heads().await?.len()));
    all.extend(unwatched(app).await?);
    if app.settings.mqtt.as_ref().is_some_and(|m| m.refused.load(Relaxed)) {
        let words = "mqtt: the broker refuses the subscription; see its access rules";
        all.push(warning(words.into(), "MQTT 服务器拒绝订阅，收不到监测数据：请检查其访问规则"));
    }
    all.extend(app.roster().await.warning.as_ref().map(|why| {
        warning(format!("roster: duty is judged without it: {why}"), format!("值班表有误，暂不采用：{why}"))
    }));
    all.extend(cut(app.store.count_cut_dead_letters().await?));
    all.extend(app.settings.influx.as_ref().and_then(|i| mirror(i.get().phase)));
    Ok(all)
}

/// What is wrong with the certificate of HTTPS.
#[must_use]
pub fn certificate(shown: &Certificate, now: Timestamp) -> Option<Warning> {
    let (words, zh) = match shown.standing(now) {
        Standing::Good => return None,
        Standing::None => {
            ("there is no certificate yet, nobody is served".into(), "尚无证书，无法访问".into())
        }
        Standing::Ended(at) => {
            (format!("the certificate ended at {at}"), format!("证书已于 {} 到期", beijing_minute(at)))
        }
        Standing::EndsSoon(at) => {
            (format!("the certificate ends at {at}"), format!("证书将于 {} 到期", beijing_minute(at)))
        }
    };
    let why = shown.trouble();
    let why_zh = why.as_ref().map_or_else(String::new, |why| format!("，未能取得新证书：{why}"));
    let why = why.map_or_else(String::new, |why| format!("; no new one: {why}"));
    Some(warning(format!("tls: {words}{why}"), format!("HTTPS {zh}{why_zh}")))
}

/// That somebody has shown a head which the log signed and does not continue.
fn forked(heads: usize) -> Option<Warning> {
    let words =
        format!("log: {heads} heads signed by this log are not of it: entries were changed or dropped");
    let zh = format!(
        "存证日志前后不一致：有人出示了 {heads} 份本日志签过名、与现有日志不符的检查点，条目可能被改动或删除"
    );
    (heads > 0).then(|| warning(words, zh))
}

/// That for a day nobody outside has taken a head of the log: what was changed since would be noticed by nobody.
async fn unwatched(app: &App) -> Result<Option<Warning>> {
    let since = app.store.clock().now() - WATCHED;
    let first = app.store.list_entries(0, 1).await?.pop();
    let first = first.map(|entry| Entry::parse(&entry.body)).transpose()?;
    if app.store.is_demo()
        || first.is_none_or(|first| first.received_at > since)
        || app.store.find_seen_heads(since).await?.is_some()
        || app.publisher.find_cosigned().await?.is_some_and(|at| at >= since)
    {
        return Ok(None);
    }
    let words = "log: for a day no witness has cosigned, and no phone or desk has compared a head; changes of this \
                 time would be noticed by nobody";
    let zh =
        "过去 24 小时没有见证方联署，也没有手机或办公电脑核对日志：这段时间的条目若被改动，外面无人能发现";
    Ok(Some(warning(words.into(), zh)))
}

/// That messages were not kept whole, until a person has looked at them.
fn cut(messages: u64) -> Option<Warning> {
    let words = format!(
        "dead letters: {messages} messages that cannot be read came beyond the day's quota; look at them"
    );
    let zh = format!("无法解析的消息过多：{messages} 条超出当日限额，只保留了开头，请查看");
    (messages > 0).then(|| warning(words, zh))
}

fn mirror(phase: Phase) -> Option<Warning> {
    let (words, zh) = match phase {
        Phase::Outage => {
            ("the server is away; everything is kept and sent again", "服务器无响应，数据会保留并自动补写")
        }
        Phase::Misconfigured => (
            "the server refuses the request; see [influx]",
            "服务器拒绝写入：请检查配置 [influx]，数据会保留",
        ),
        Phase::Starting | Phase::CatchingUp | Phase::CaughtUp => return None,
    };
    Some(warning(format!("influx: {words}"), format!("InfluxDB 镜像：{zh}")))
}

/// What disk and clock give reason to say, before anything else runs.
///
/// # Errors
/// `Internal` if the database cannot be read.
pub async fn of_store(store: &Store, low_space_bytes: u64) -> Result<Vec<Warning>> {
    let mut all = Vec::new();
    if let Some(free) = store.free_bytes().await.filter(|free| *free < low_space_bytes) {
        let mb = free / 1_000_000;
        let zh = format!("磁盘空间不足：仅剩 {mb} MB，写满后无法接收上报");
        all.push(warning(format!("disk: {mb} MB free"), zh));
    }
    if matches!(store.clock(), Clock::System) {
        all.extend(clock(store.clock().now(), store.find_newest_received().await?));
    }
    Ok(all)
}

/// What is wrong with a system clock that says `now`, as far as the entries tell. A simulated one is as it should be.
#[must_use]
pub fn clock(now: Timestamp, newest: Option<Timestamp>) -> Option<Warning> {
    let zh = |why: String| format!("系统时钟显示 {}，{why}：请校时（NTP）", beijing_minute(now));
    if now.as_millisecond() < BUILT_AFTER_MS {
        let words =
            format!("clock: the system says {now}, which is before this program was made; set it (NTP)");
        return Some(warning(words, zh("早于本程序的发布日期".into())));
    }
    let newest = newest.filter(|at| at.duration_since(now) > STEP_BACK)?;
    let words = format!(
        "clock: the system says {now}, but entries were received at {newest}: one of the two is wrong; set it (NTP)"
    );
    Some(warning(words, zh(format!("早于已有条目的接收时间 {}", beijing_minute(newest)))))
}

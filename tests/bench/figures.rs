//! A figure beside its yardstick, and the table of them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// One measured thing, as a row of the README's table.
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// Our figure with its unit.
    pub ours: String,
    /// The yardstick's, measured in the same run.
    pub beside: String,
    /// Ours over the yardstick's, where the target is a ratio.
    pub ratio: Option<f64>,
    /// The target of the issue.
    pub target: &'static str,
    /// `None` where the issue sets no target.
    pub met: Option<bool>,
}

impl Figure {
    fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "–",
        }
    }

    fn ratio_words(&self) -> String {
        self.ratio.map_or_else(|| "–".to_owned(), |r| format!("{r:.2}"))
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        writeln!(f, "    here      {}", self.ours)?;
        writeln!(f, "    beside    {}", self.beside)?;
        write!(f, "    ratio {}   target {}   {}", self.ratio_words(), self.target, self.verdict())
    }
}

/// The table of the README, with machine and date.
pub fn table(figures: &[Figure], long: bool) -> String {
    let mut lines = vec![
        String::new(),
        machine(long),
        String::new(),
        "| measured | Jijia | beside it, same run | ratio | target | |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(figures.iter().map(|f| {
        let (ratio, verdict) = (f.ratio_words(), f.verdict());
        format!("| {} | {} | {} | {ratio} | {} | {verdict} |", f.what, f.ours, f.beside, f.target)
    }));
    lines.join("\n")
}

fn machine(long: bool) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown");
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_kb: u64 = memory.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or_default();
    let day = jijia::clock::beijing(jiff::Timestamp::now()).date();
    let sizes = if long { "long" } else { "short" };
    let profile = if cfg!(debug_assertions) { ", NOT A RELEASE BUILD" } else { "" };
    format!(
        "{day}, {cpu}, {cores} cores, {} GiB, {} ({sizes} sizes{profile})",
        memory_kb.div_ceil(1 << 20),
        file_system(Path::new(crate::DISK))
    )
}

/// Kind of the file system that holds `folder`: the longest mount point above it.
fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of = |line: &str| {
        let mut parts = line.split(' ').map(str::to_owned);
        let (_, point, kind) = (parts.next()?, parts.next()?, parts.next()?);
        folder.starts_with(&point).then_some((point.len(), kind))
    };
    mounts.lines().filter_map(of).max().map_or_else(|| "unknown file system".to_owned(), |(_, kind)| kind)
}

/// The middle one of the figures of several rounds; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.get(sorted.len() / 2) {
        None => 0.0,
        Some(upper) if sorted.len() % 2 == 1 => *upper,
        Some(upper) => f64::midpoint(*upper, sorted[sorted.len() / 2 - 1]),
    }
}

/// The value below which `share` of the times lie, milliseconds.
pub fn percentile_ms(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = (share * sorted.len() as f64) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, ms)
}

/// Milliseconds.
pub fn ms(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `12,345`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

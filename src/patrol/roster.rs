//! The roster (值班表, `roster.toml` in the place's folder): who is on duty where and when, and what excuses a window that
//! was not walked. It is no evidence: it says what was due, never what was done.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::report::{Person, check_person};
use crate::error::{Error, Result};
use crate::lake::Place;
use crate::lake::load::Problem;

/// Its name in the place's folder.
pub const FILE: &str = "roster.toml";

/// One sector in one window of one day, by their codes.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// The day, 北京时间.
    pub day: Date,
    /// Code of the window.
    pub window: &'a str,
    /// Code of the sector.
    pub sector: &'a str,
}

/// Why a window was not walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExcuseKind {
    /// 请假: everybody on duty was on leave.
    Leave,
    /// 恶劣天气.
    Weather,
}

/// What excuses a window that was not walked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Excuse {
    /// Of which kind.
    pub kind: ExcuseKind,
    /// In words, as the roster says it.
    pub reason: String,
}

/// Who is on duty, by weekday. Empty lists mean all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    persons: Vec<String>,
    #[serde(default)]
    sectors: Vec<String>,
    #[serde(default)]
    windows: Vec<String>,
    #[serde(default)]
    weekdays: Vec<Day>,
    from: Option<Date>,
    to: Option<Date>,
}

/// Who is on duty on one day instead of those whom the rules name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    day: Date,
    persons: Vec<String>,
    #[serde(default)]
    sectors: Vec<String>,
    #[serde(default)]
    windows: Vec<String>,
}

/// 请假.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Leave {
    person: String,
    from: Date,
    to: Date,
    #[serde(default)]
    windows: Vec<String>,
    reason: String,
}

/// 恶劣天气.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadWeather {
    from: Date,
    to: Date,
    #[serde(default)]
    sectors: Vec<String>,
    #[serde(default)]
    windows: Vec<String>,
    reason: String,
}

/// A weekday as the roster writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn is(self, weekday: Weekday) -> bool {
        let own = match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        };
        own == weekday
    }
}

/// A roster; without a file everything is due and nobody is named.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roster {
    rule: Vec<Rule>,
    exception: Vec<Exception>,
    leave: Vec<Leave>,
    weather: Vec<BadWeather>,
    /// SHA-256 of the file's bytes, hex; none without a file.
    #[serde(skip)]
    pub sha256: Option<String>,
    /// Why the file could not be used, by the names of its lines: nobody is on duty or excused by this roster.
    #[serde(skip)]
    pub warning: Option<String>,
}

/// Reads the roster of the place in `dir` as it is now: an office changes it during the day. No file, no roster.
///
/// # Errors
/// `Invalid` with everything that has to be mended; `Internal` if the disk fails.
pub fn load(dir: &Path, place: &Place) -> Result<Roster> {
    let text = match std::fs::read_to_string(dir.join(FILE)) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Roster::default()),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            return Err(Error::invalid(FILE, "is not UTF-8; save it as UTF-8"));
        }
        Err(e) => return Err(e.into()),
    };
    Roster::parse(&text, place).map_err(|problems| {
        let words = |p: &Problem| match (p.feature.as_str(), line_of(&text, &p.feature)) {
            ("", _) => p.message.clone(),
            (table, Some(line)) => format!("{table}, line {line}: {}", p.message),
            (table, None) => format!("{table}: {}", p.message),
        };
        let lines: Vec<String> = problems.iter().map(words).collect();
        Error::invalid(FILE, lines.join("\n  "))
    })
}

/// Where the table `[[rule]] 2` begins, from 1.
fn line_of(text: &str, table: &str) -> Option<usize> {
    let (heading, n) = table.split_once(' ')?;
    let n: usize = n.parse().ok()?;
    let headings = (1..).zip(text.lines()).filter(|(_, line)| line.trim_start().starts_with(heading));
    headings.map(|(line, _)| line).nth(n.checked_sub(1)?)
}

impl Roster {
    /// The roster of a place whose file could not be used: everything is due and nobody is named, as without a file.
    #[must_use]
    pub fn unusable(why: &Error) -> Self {
        Self { warning: Some(why.to_string()), ..Self::default() }
    }

    /// Reads a roster and holds it against the place.
    ///
    /// # Errors
    /// Everything that has to be mended.
    pub fn parse(text: &str, place: &Place) -> Result<Self, Vec<Problem>> {
        let mut roster: Self = toml::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|e| vec![problem("", syntax(text, &e))])?;
        roster.check(place)?;
        roster.sha256 = Some(hex::encode(Sha256::digest(text)));
        Ok(roster)
    }

    /// Holds its codes, people and days against the place.
    ///
    /// # Errors
    /// Everything that has to be mended.
    pub fn check(&self, place: &Place) -> Result<(), Vec<Problem>> {
        let mut found = Vec::new();
        for (i, r) in (1..).zip(&self.rule) {
            let span = Some((r.from.unwrap_or(Date::MIN), r.to.unwrap_or(Date::MAX)));
            found.extend(wrong(&format!("[[rule]] {i}"), &r.persons, [&r.sectors, &r.windows], span, place));
        }
        for (i, e) in (1..).zip(&self.exception) {
            found.extend(wrong(
                &format!("[[exception]] {i}"),
                &e.persons,
                [&e.sectors, &e.windows],
                None,
                place,
            ));
        }
        for (i, l) in (1..).zip(&self.leave) {
            let (label, span) = (format!("[[leave]] {i}"), Some((l.from, l.to)));
            let person = std::slice::from_ref(&l.person);
            found.extend(wrong(&label, person, [&Vec::new(), &l.windows], span, place));
            found.extend(no_reason(&label, &l.reason));
        }
        for (i, w) in (1..).zip(&self.weather) {
            let (label, span) = (format!("[[weather]] {i}"), Some((w.from, w.to)));
            let nobody = ["-".to_owned()];
            found.extend(wrong(&label, &nobody, [&w.sectors, &w.windows], span, place));
            found.extend(no_reason(&label, &w.reason));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Who is on duty, in order.
    #[must_use]
    pub fn on_duty(&self, slot: &Slot<'_>) -> Vec<String> {
        let fits = |sectors: &[String], windows: &[String]| {
            holds(sectors, slot.sector) && holds(windows, slot.window)
        };
        let mut instead =
            self.exception.iter().filter(|e| e.day == slot.day && fits(&e.sectors, &e.windows)).peekable();
        let persons: BTreeSet<&String> = if instead.peek().is_some() {
            instead.flat_map(|e| &e.persons).collect()
        } else {
            let on = |r: &&Rule| {
                let weekday = r.weekdays.is_empty() || r.weekdays.iter().any(|d| d.is(slot.day.weekday()));
                let dated = r.from.is_none_or(|d| d <= slot.day) && r.to.is_none_or(|d| slot.day <= d);
                weekday && dated && fits(&r.sectors, &r.windows)
            };
            self.rule.iter().filter(on).flat_map(|r| &r.persons).collect()
        };
        persons.into_iter().cloned().collect()
    }

    /// What excuses it: the weather, or that everybody on duty was on leave.
    #[must_use]
    pub fn excuse(&self, slot: &Slot<'_>) -> Option<Excuse> {
        let weather = self.weather.iter().find(|w| {
            (w.from..=w.to).contains(&slot.day)
                && holds(&w.sectors, slot.sector)
                && holds(&w.windows, slot.window)
        });
        if let Some(w) = weather {
            return Some(Excuse { kind: ExcuseKind::Weather, reason: w.reason.clone() });
        }
        let leave_of = |person: &String| {
            self.leave.iter().find(|l| {
                l.person == *person && (l.from..=l.to).contains(&slot.day) && holds(&l.windows, slot.window)
            })
        };
        let on_duty = self.on_duty(slot);
        let reasons: Option<Vec<String>> =
            on_duty.iter().map(|p| leave_of(p).map(|l| format!("{p} {}", l.reason))).collect();
        let reason = reasons.filter(|all| !all.is_empty())?.join("；");
        Some(Excuse { kind: ExcuseKind::Leave, reason })
    }
}

/// What does not read, by its line and without the line's words: they may say why somebody is on leave.
fn syntax(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|at| text.get(..at.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

/// An empty list means all.
fn holds(list: &[String], code: &str) -> bool {
    list.is_empty() || list.iter().any(|one| one == code)
}

fn problem(feature: &str, message: impl Into<String>) -> Problem {
    Problem { file: FILE, feature: feature.to_owned(), message: message.into() }
}

fn no_reason(label: &str, reason: &str) -> Option<Problem> {
    reason.trim().is_empty().then(|| problem(label, "reason is empty; say why"))
}

/// What is wrong about one table of the file.
fn wrong(
    label: &str,
    persons: &[String],
    [sectors, windows]: [&Vec<String>; 2],
    span: Option<(Date, Date)>,
    place: &Place,
) -> Vec<Problem> {
    let mut found = Vec::new();
    if persons.is_empty() {
        found.push(problem(label, "persons is empty; name who is on duty"));
    }
    for id in persons {
        if let Err(e) = check_person(&Person { id: id.clone(), name: None }) {
            found.push(problem(label, format!("`{id}`: {e}")));
        }
    }
    let lists: [(&str, _, Vec<&str>); 2] = [
        ("sectors", sectors, place.sectors.iter().map(|s| s.code.as_str()).collect()),
        ("windows", windows, place.windows.iter().map(|w| w.code.as_str()).collect()),
    ];
    for (key, list, codes) in lists {
        for code in list.iter().filter(|c| !codes.contains(&c.as_str())) {
            found
                .push(problem(label, format!("{key}: `{code}` is not known; allowed: {}", codes.join(", "))));
        }
    }
    if let Some((from, to)) = span.filter(|(from, to)| from > to) {
        found.push(problem(label, format!("to {to} lies before from {from}; turn them round")));
    }
    found
}

#[cfg(test)]
mod tests;

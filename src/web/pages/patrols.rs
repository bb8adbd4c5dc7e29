//! Patrol duty (巡查履职): one table, a row per window of a day, a column per sector.

use askama::Template;
use jiff::civil::Date;

use super::timeline::{Choice, Count, choices};
use super::{
    Here, Shell,
    lang::Lang,
    query::{DutyQuery, query_string},
    render,
    row::{time_of, timeline_of},
};
use crate::{
    clock::day_start,
    error::Result,
    evidence::timeline::Named,
    lake::{Place, Sector},
    patrol::{
        duty::{Compliance, DutyRow, DutyState},
        roster::ExcuseKind,
        walk::ReachedBy,
    },
};

/// What the page is made from.
#[derive(Clone, Copy, Debug)]
pub struct PatrolsPage<'a> {
    /// The place.
    pub place: &'a Place,
    /// Its patrol duty.
    pub compliance: &'a Compliance,
    /// What was asked, as it came.
    pub query: &'a DutyQuery,
}

struct DayView {
    iso: String,
    words: String,
    windows: Vec<WindowView>,
}

struct WindowView {
    name: String,
    hours: String,
    /// One per column; none where the filter leaves it out.
    cells: Vec<Option<CellView>>,
}

/// A sector in a window.
struct CellView {
    class: &'static str,
    state: &'static str,
    who: String,
    href: String,
    waypoints: String,
    missed: String,
    late: bool,
    why: String,
    flags: Vec<&'static str>,
}

#[derive(Template)]
#[template(path = "patrols.html", config = "dashboards/askama.toml")]
struct PatrolsView<'a> {
    shell: Shell<'a>,
    sentence: String,
    counts: Vec<Count>,
    from: String,
    to: String,
    person: &'a str,
    sectors: Vec<Choice>,
    heads: Vec<String>,
    days: Vec<DayView>,
    csv_href: String,
    roster: String,
    roster_warning: Option<String>,
}

/// The page.
///
/// # Errors
/// [`crate::error::Error::Internal`] if the template fails, which it has no reason to.
pub fn patrols(page: &PatrolsPage<'_>, lang: Lang) -> Result<String> {
    let (shown, query) = (page.compliance, page.query);
    let filter = &shown.filter;
    let named = |s: &Sector| Named { code: s.code.clone(), name: s.name.clone() };
    let sectors: Vec<Named> = page.place.sectors.iter().map(named).collect();
    let columns = || sectors.iter().filter(|s| filter.sector.as_ref().is_none_or(|code| s.code == *code));
    let codes: Vec<&str> = columns().map(|s| s.code.as_str()).collect();
    let address = |path: &str, more: &[(&str, &str)]| {
        let parts = [query.filter_string(), query_string(more)];
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
        format!("{path}?{}", parts.join("&")).trim_end_matches('?').to_owned()
    };
    render(&PatrolsView {
        shell: Shell {
            lang,
            place: &page.place.name,
            demo: shown.demo,
            here: Here::Patrols,
            cut_off: Some(shown.cut_off),
            log_size: shown.log_size,
            other_href: address("/patrols", &[("lang", lang.other().code())]),
        },
        sentence: sentence(shown, lang),
        counts: counts(shown, lang),
        from: filter.from.to_string(),
        to: filter.to.to_string(),
        person: &query.person,
        sectors: choices(&sectors, &query.sector),
        heads: columns().map(|s| s.name.clone()).collect(),
        days: days(&shown.rows, &codes, lang),
        csv_href: address("/api/v1/compliance.csv", &[]),
        roster_warning: shown
            .roster_warning
            .as_ref()
            .map(|why| lang.fill("patrols.roster_warning", &[("why", why)])),
        roster: match &shown.roster {
            Some(sha256) => lang.fill("patrols.roster", &[("hash", &super::short(sha256))]),
            None => lang.t("patrols.no_roster").to_owned(),
        },
    })
}

fn sentence(shown: &Compliance, lang: Lang) -> String {
    let s = &shown.sums;
    let mut said = lang.fill("patrols.walked", &[("walked", &s.walked), ("due", &s.due)]);
    let more = [
        ("patrols.not_walked", s.not_walked),
        ("patrols.excused", s.excused),
        ("patrols.open", s.open),
        ("patrols.flagged", s.flagged),
    ];
    for (words, n) in more.into_iter().filter(|(_, n)| *n > 0) {
        said.push_str(lang.t("sentence.comma"));
        said.push_str(&lang.fill(words, &[("n", &n)]));
    }
    said + lang.t("sentence.stop")
}

fn counts(shown: &Compliance, lang: Lang) -> Vec<Count> {
    let s = &shown.sums;
    let count = |words, value: String| Count { words: lang.t(words), value, unit: "", first: false };
    let share = match s.waypoints {
        0 => "–".to_owned(),
        all => format!("{}/{all}", s.reached),
    };
    let walked = count("patrols.count.walked", format!("{}/{}", s.walked, s.due));
    vec![
        Count { first: true, ..walked },
        count("patrols.count.not_walked", s.not_walked.to_string()),
        count("patrols.count.excused", s.excused.to_string()),
        count("patrols.count.open", s.open.to_string()),
        count("patrols.count.late", s.late.to_string()),
        count("patrols.count.waypoints", share),
        count("patrols.count.fence", s.by_fence.to_string()),
        count("patrols.count.flagged", s.flagged.to_string()),
    ]
}

/// The newest day first, its windows in the order of the day.
fn days(rows: &[DutyRow], sectors: &[&str], lang: Lang) -> Vec<DayView> {
    let of_day = |rows: &[DutyRow]| {
        let day = rows.first().map(|r| r.day).unwrap_or_default();
        let windows = rows.chunk_by(|a, b| a.window == b.window).map(|rows| window(rows, sectors, lang));
        DayView { iso: day.to_string(), words: day_words(day, lang), windows: windows.collect() }
    };
    let mut days: Vec<DayView> = rows.chunk_by(|a, b| a.day == b.day).map(of_day).collect();
    days.reverse();
    days
}

fn day_words(day: Date, lang: Lang) -> String {
    day_start(day).map(|at| lang.day(at)).unwrap_or_default()
}

/// `rows` are those of one window, by sector.
fn window(rows: &[DutyRow], sectors: &[&str], lang: Lang) -> WindowView {
    let cell_of = |code: &&str| rows.iter().find(|r| r.sector.code == **code).map(|r| cell(r, lang));
    let hours = rows.first().map(|r| format!("{}–{}", time_of(r.from), time_of(r.to)));
    WindowView {
        name: rows.first().map(|r| r.window.name.clone()).unwrap_or_default(),
        hours: hours.unwrap_or_default(),
        cells: sectors.iter().map(cell_of).collect(),
    }
}

fn cell(r: &DutyRow, lang: Lang) -> CellView {
    let day = r.day.to_string();
    let href = match r.patrols.as_slice() {
        [one] => timeline_of(&[("patrol", &one.to_string())]),
        _ => timeline_of(&[("sector", &r.sector.code), ("from", &day), ("to", &day)]),
    };
    let (people, planned) = (r.walked_by.join(lang.t("patrols.and")), r.on_duty.join(lang.t("patrols.and")));
    let who = match r.walked_at {
        Some(at) => format!("{people} {}", time_of(at)),
        None if planned.is_empty() => String::new(),
        None => lang.fill("patrols.on_duty", &[("who", &planned)]),
    };
    let fence = r.waypoints.iter().filter(|w| w.by == Some(ReachedBy::Fence)).count();
    let words = if fence == 0 { "patrols.reached" } else { "patrols.reached_fence" };
    let reached = lang.fill(words, &[("n", &r.reached()), ("m", &r.waypoints.len()), ("fence", &fence)]);
    let walked = r.state == DutyState::Walked;
    let missed: Vec<&str> =
        r.waypoints.iter().filter(|w| w.by.is_none()).map(|w| w.waypoint.name.as_str()).collect();
    let missed = missed.join(lang.t("patrols.and"));
    CellView {
        class: match r.state {
            DutyState::Walked => "walked",
            DutyState::NotWalked => "missed",
            DutyState::Excused => "excused",
            DutyState::Open => "waiting",
        },
        state: lang.t(&format!("state.{:?}", r.state)),
        who,
        href,
        waypoints: if walked && !r.waypoints.is_empty() { reached } else { String::new() },
        missed: if walked && !missed.is_empty() {
            lang.fill("patrols.missing", &[("names", &missed)])
        } else {
            String::new()
        },
        late: r.late,
        why: r.excuse.as_ref().map(|e| excuse(e.kind, &e.reason, lang)).unwrap_or_default(),
        flags: r.flags.iter().map(|f| lang.t(&format!("flag.{f:?}"))).collect(),
    }
}

fn excuse(kind: ExcuseKind, reason: &str, lang: Lang) -> String {
    let words = match kind {
        ExcuseKind::Leave => "patrols.leave",
        ExcuseKind::Weather => "patrols.weather",
    };
    lang.fill(words, &[("reason", &reason)])
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::{
        lake::load::embedded,
        patrol::{
            duty::{DutyFilter, DutyFlag, DutySums, WaypointDuty},
            roster::Excuse,
        },
    };

    fn row(day: &str, sector: usize, state: DutyState) -> DutyRow {
        let place = embedded();
        let sector = &place.sectors[sector];
        let at = |time: &str| format!("{day}T{time}:00+08:00").parse().unwrap();
        let waypoint = |name: &str, by: Option<ReachedBy>| WaypointDuty {
            waypoint: Named { code: "W".into(), name: name.into() },
            by,
            at: by.map(|_| at("07:10")),
        };
        let walked = state == DutyState::Walked;
        DutyRow {
            day: day.parse().unwrap(),
            window: Named { code: "morning".into(), name: "早巡".into() },
            from: at("06:30"),
            to: at("09:00"),
            sector: Named { code: sector.code.clone(), name: sector.name.clone() },
            state,
            on_duty: vec!["p-02".into()],
            walked_by: if walked { vec!["p-01".into()] } else { vec![] },
            walked_at: walked.then(|| at("07:02")),
            late: walked,
            patrols: if walked { vec![uuid::Uuid::from_u128(7)] } else { vec![] },
            waypoints: vec![
                waypoint("1号排口", walked.then_some(ReachedBy::Fence)),
                waypoint("9号排口", None),
            ],
            excuse: (state == DutyState::Excused)
                .then(|| Excuse { kind: ExcuseKind::Weather, reason: "暴雨红色预警".into() }),
            flags: if walked { vec![DutyFlag::NoPhotos] } else { vec![] },
        }
    }

    fn page(lang: Lang) -> String {
        let rows = vec![
            row("2026-07-13", 0, DutyState::Walked),
            row("2026-07-13", 1, DutyState::NotWalked),
            row("2026-07-14", 0, DutyState::Excused),
            row("2026-07-14", 2, DutyState::Open),
        ];
        let day = |text: &str| text.parse().unwrap();
        let compliance = Compliance {
            demo: true,
            cut_off: "2026-07-14T00:30:00Z".parse().unwrap(),
            log_size: 12_345,
            log_root: "ab".repeat(32),
            filter: DutyFilter { from: day("2026-07-13"), to: day("2026-07-14"), sector: None, person: None },
            roster: Some("cd".repeat(32)),
            roster_warning: None,
            sums: DutySums::of(&rows),
            rows,
        };
        let query = DutyQuery { from: "2026-07-13".into(), ..DutyQuery::default() };
        patrols(&PatrolsPage { place: &embedded(), compliance: &compliance, query: &query }, lang).unwrap()
    }

    #[test]
    fn the_page_says_who_walked_what_is_missing_and_why() {
        let zh = [
            "已巡 1/4 段次，未巡 1，未巡有因 1，进行中 1，待核 1。",
            "恶劣天气：暴雨红色预警",
            "当班 p-02",
            "未到 9号排口",
        ];
        let en = [
            "1 of 4 walked, 1 not walked",
            "Bad weather: 暴雨红色预警",
            "On duty p-02",
            "1 by position alone",
        ];
        for (lang, words) in [(Lang::Zh, zh), (Lang::En, en)] {
            let html = page(lang);
            for word in words {
                assert!(html.contains(word), "{word}: {html}");
            }
            assert!(html.contains("/api/v1/compliance.csv?from=2026-07-13"));
            assert!(html.contains("/timeline?patrol=00000000-0000-0000-0000-000000000007"));
            samples::check_page(&html);
        }
        let newest = page(Lang::Zh).find("2026年7月14日").unwrap();
        assert!(newest < page(Lang::Zh).find("2026年7月13日").unwrap(), "the newest day first");
    }
}

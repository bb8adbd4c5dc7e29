//! The first page (总览): the state in one sentence, the duty windows, the map, the outfalls, the feed, the stations.

use askama::Template;

use super::{
    Here, Shell, decimal,
    lang::Lang,
    notice, render,
    row::{LevelView, SightingView, time_of, timeline_of},
};
use crate::{
    clock::beijing,
    error::Result,
    evidence::{
        overview::{ChannelNow, Finding, LOOK_BACK_DAYS, Overview, Part, StationNow, WindowToday},
        timeline::{Gap, GapKind},
    },
    patrol::duty::DutyState,
    water::rain::Weather,
    web::warnings::Warning,
};

/// Outfalls named beside the map; how many more there are is said, and the timeline has them.
const OUTFALLS_SHOWN: usize = 3;

/// A part of the sentence.
struct Phrase {
    text: String,
    href: String,
    /// What stands after it.
    after: &'static str,
}

/// A duty window.
struct WindowView {
    name: String,
    hours: String,
    boxes: Vec<BoxView>,
    words: String,
}

/// A sector in a duty window.
struct BoxView {
    short: String,
    class: &'static str,
    words: String,
}

struct OutfallView {
    name: String,
    href: String,
    level: LevelView,
    words: String,
    last: String,
}

/// A line of the feed.
struct FeedView {
    clock: String,
    day: String,
    iso: String,
    what: What,
}

enum What {
    Sighting(Box<SightingView>),
    Gap { name: String, words: String, silent: bool },
}

struct StationView {
    id: String,
    name: String,
    code: String,
    silent: bool,
    age: String,
    cells: Vec<CellView>,
}

struct CellView {
    name: String,
    value: String,
    unit: String,
    silent: bool,
    since: String,
}

#[derive(Template)]
#[template(path = "overview.html", config = "dashboards/askama.toml")]
struct OverviewPage<'a> {
    shell: Shell<'a>,
    /// What the operator should see to.
    warnings: Vec<&'a str>,
    sentence: Vec<Phrase>,
    /// The finding, in runs of plain and bold.
    finding: Vec<(bool, String)>,
    evidence_href: Option<String>,
    windows: Vec<WindowView>,
    map_svg: &'a str,
    notice: &'a str,
    outfalls: Vec<OutfallView>,
    /// How many outfalls more have evidence; empty where none.
    more: String,
    period: String,
    feed: Vec<FeedView>,
    today: String,
    stations: Vec<StationView>,
}

/// The first page. `map_svg` is trusted markup of `picture`; `warnings` are what the operator should see to.
///
/// # Errors
/// [`crate::error::Error::Internal`] if the template fails, which it has no reason to.
pub fn overview(view: &Overview, map_svg: &str, warnings: &[Warning], lang: Lang) -> Result<String> {
    let finding = view.finding();
    let outfalls = view.outfalls_by_evidence();
    let more = outfalls.len().saturating_sub(OUTFALLS_SHOWN);
    render(&OverviewPage {
        shell: Shell {
            lang,
            place: &view.place,
            demo: view.demo,
            here: Here::Overview,
            cut_off: Some(view.cut_off),
            log_size: view.log_size,
            other_href: format!("/?lang={}", lang.other().code()),
        },
        warnings: warnings.iter().map(|w| if lang == Lang::Zh { &*w.words_zh } else { &*w.words }).collect(),
        sentence: sentence(view, lang),
        evidence_href: finding.worst.map(|o| outflow_href(&o.outfall.code)),
        finding: runs(&finding_words(&finding, view, lang)),
        windows: view.windows.iter().map(|w| window(w, view, lang)).collect(),
        map_svg,
        notice: notice(&view.place_notice, lang),
        outfalls: outfalls.into_iter().take(OUTFALLS_SHOWN).map(|o| outfall(o, view, lang)).collect(),
        more: if more > 0 { lang.fill("outfalls.more", &[("n", &more)]) } else { String::new() },
        period: lang.fill("outfalls.period", &[("days", &LOOK_BACK_DAYS)]),
        feed: feed(view, lang),
        today: lang.fill("feed.today", &[("n", &view.reports_today)]),
        stations: view.stations.iter().map(|s| station(s, view, lang)).collect(),
    })
}

fn outflow_href(code: &str) -> String {
    timeline_of(&[("outfall", code), ("kind", "sewage_outflow")])
}

fn sentence(view: &Overview, lang: Lang) -> Vec<Phrase> {
    let today = timeline_of(&[("from", &beijing(view.cut_off).strftime("%Y-%m-%d").to_string())]);
    let parts = view.sentence();
    let mut phrases: Vec<Phrase> = Vec::with_capacity(parts.len());
    for part in parts {
        // A second fact about the same thing follows a comma, a new thing a semicolon.
        let same_thing = matches!(part, Part::Silent(..) | Part::Missed(_));
        if let Some(before) = phrases.last_mut() {
            before.after = lang.t(if same_thing { "sentence.comma" } else { "sentence.semicolon" });
        }
        let (text, href) = phrase(&part, &today, lang);
        phrases.push(Phrase { text, href, after: lang.t("sentence.stop") });
    }
    phrases
}

fn phrase(part: &Part<'_>, today: &str, lang: Lang) -> (String, String) {
    match part {
        Part::Reporting(n) => (lang.fill("say.reporting", &[("n", n)]), "#stations".to_owned()),
        Part::Silent(1, station) => {
            (lang.fill("say.silent_one", &[("name", &station.name)]), format!("#station-{}", station.code))
        }
        Part::Silent(n, first) => (lang.fill("say.silent", &[("n", n)]), format!("#station-{}", first.code)),
        Part::Walked { walked, due } => {
            (lang.fill("say.walked", &[("walked", walked), ("due", due)]), today.to_owned())
        }
        Part::NoDutyYet(name) => (lang.fill("say.no_duty", &[("name", name)]), today.to_owned()),
        Part::Missed(n) => (lang.fill("say.missed", &[("n", n)]), today.to_owned()),
        Part::DryOutfalls(n) => (lang.fill("say.dry_outfalls", &[("n", n)]), "#outfalls".to_owned()),
        Part::NoDryOutfall => {
            (lang.t("say.no_dry_outfall").to_owned(), timeline_of(&[("kind", "sewage_outflow")]))
        }
    }
}

/// The finding with `**bold**` runs.
fn finding_words(finding: &Finding<'_>, view: &Overview, lang: Lang) -> String {
    let rain = finding.rain;
    let hours = decimal(rain.window_h);
    let mm = decimal(rain.rain_mm);
    let weather = match (rain.weather, finding.days_without_rain) {
        (Weather::Dry, Some(days)) if days >= 1 => lang.fill("finding.dry_days", &[("n", &days)]),
        (Weather::Dry, _) => lang.fill("finding.dry", &[("hours", &hours), ("mm", &mm)]),
        (Weather::Wet, _) => lang.fill("finding.wet", &[("hours", &hours), ("mm", &mm)]),
        (Weather::Unknown, _) => {
            let percent = format!("{:.0}", rain.coverage * 100.0);
            lang.fill("finding.unknown", &[("hours", &hours), ("percent", &percent)])
        }
    };
    let outfall = match finding.worst {
        Some(o) => {
            let arguments: [(&str, &dyn std::fmt::Display); 4] = [
                ("name", &o.outfall.name),
                ("days", &LOOK_BACK_DAYS),
                ("dry", &view.rain.dry_days),
                ("flow", &o.dry_flow_days),
            ];
            if finding.still_flowing {
                lang.fill("finding.still", &arguments)
            } else {
                lang.fill("finding.worst", &arguments)
            }
        }
        None => lang.fill("finding.none", &[("days", &LOOK_BACK_DAYS)]),
    };
    weather + &outfall
}

fn runs(text: &str) -> Vec<(bool, String)> {
    text.split("**").enumerate().map(|(i, run)| (i % 2 == 1, run.to_owned())).collect()
}

fn window(w: &WindowToday, view: &Overview, lang: Lang) -> WindowView {
    let now = view.cut_off;
    let boxes = w.sectors.iter().map(|s| {
        let state = w.state(s, now);
        let (class, key) = match state {
            DutyState::Walked => ("walked", lang.t("duty.walked")),
            DutyState::Open if now < w.from => ("waiting", lang.t("duty.not_yet")),
            DutyState::Open => ("open", lang.t("duty.open")),
            DutyState::NotWalked => ("missed", lang.t("duty.missed")),
            DutyState::Excused => ("waiting", lang.t("duty.excused")),
        };
        let at = s.walked_at.map(time_of).unwrap_or_default();
        let words = format!("{} {key} {at}", s.sector.name).trim_end().to_owned();
        let short = s.sector.name.trim_start_matches("岸段").chars().take(2).collect();
        BoxView { short, class, words }
    });
    let (missed, open) = (w.count(DutyState::NotWalked, now), w.count(DutyState::Open, now));
    let words = match (missed, open) {
        _ if now < w.from => lang.t("duty.window_not_yet").to_owned(),
        (0, 0) => lang.t("duty.window_done").to_owned(),
        (0, open) => lang.fill("duty.window_open", &[("n", &open)]),
        (missed, _) => lang.fill("duty.window_missed", &[("n", &missed)]),
    };
    WindowView {
        name: w.name.clone(),
        hours: format!("{}–{}", time_of(w.from), time_of(w.to)),
        boxes: boxes.collect(),
        words,
    }
}

fn outfall(o: &crate::evidence::overview::OutfallNow, view: &Overview, lang: Lang) -> OutfallView {
    OutfallView {
        name: o.outfall.name.clone(),
        href: outflow_href(&o.outfall.code),
        level: LevelView::new(o.level, lang),
        words: match o.dry_flow_days {
            0 => lang.t("outfall.no_dry").to_owned(),
            flow => lang.fill("outfall.days", &[("flow", &flow), ("dry", &view.rain.dry_days)]),
        },
        last: match o.last_outflow {
            Some(at) => {
                lang.fill("outfall.last", &[("n", &o.sightings), ("age", &lang.age(at, view.cut_off))])
            }
            None => lang.fill("outfall.sightings", &[("n", &o.sightings)]),
        },
    }
}

/// Sightings and open gaps together, newest first.
fn feed(view: &Overview, lang: Lang) -> Vec<FeedView> {
    let sightings =
        view.feed.iter().map(|s| (s.observed_at, What::Sighting(Box::new(SightingView::new(s, lang)))));
    let gaps = view.gaps.iter().map(|g| (g.from, gap(g)));
    let mut lines: Vec<_> = sightings.chain(gaps).collect();
    lines.sort_by_key(|l| std::cmp::Reverse(l.0));
    let today = beijing(view.cut_off).date();
    lines
        .into_iter()
        .map(|(at, what)| {
            let z = beijing(at);
            let day = if z.date() == today { String::new() } else { z.strftime("%-m-%-d").to_string() };
            FeedView { clock: time_of(at), day, iso: at.to_string(), what }
        })
        .collect()
}

fn gap(g: &Gap) -> What {
    What::Gap {
        name: g.subject.name.clone(),
        words: g.words.clone(),
        silent: g.kind == GapKind::SensorSilent,
    }
}

fn station(s: &StationNow, view: &Overview, lang: Lang) -> StationView {
    let now = view.cut_off;
    let silent = s.silent(now);
    let age = match (silent, s.last_at()) {
        (false, Some(at)) => lang.age(at, now),
        (true, Some(at)) => lang.fill("station.silent_since", &[("time", &lang.minute(at))]),
        (_, None) => lang.t("station.never").to_owned(),
    };
    StationView {
        id: format!("station-{}", s.station.code),
        name: s.station.name.clone(),
        code: s.station.code.clone(),
        silent,
        age,
        cells: s.channels.iter().map(|c| cell(c, s, view, lang)).collect(),
    }
}

fn cell(c: &ChannelNow, s: &StationNow, view: &Overview, lang: Lang) -> CellView {
    let now = view.cut_off;
    let silent = c.silent(now);
    let at = c.newest.as_ref().map(|n| n.observed_at);
    let since = match at {
        Some(at) if silent => {
            let time = beijing(at).strftime("%-m-%-d %H:%M").to_string();
            lang.fill("station.cell_silent", &[("time", &time)])
        }
        None => lang.t("station.never").to_owned(),
        // Said only where it is not the panel's own age.
        Some(at) if Some(at) != s.last_at() => lang.age(at, now),
        Some(_) => String::new(),
    };
    CellView {
        name: lang.property(&c.property, &c.property_zh),
        value: c.newest.as_ref().filter(|_| !silent).map_or("–".to_owned(), |n| n.value.clone()),
        unit: if silent { String::new() } else { c.unit.clone() },
        silent,
        since,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_page_says_the_state_and_links_what_it_says() {
        let html = overview(&samples::overview(), samples::MAP, &[], Lang::Zh).unwrap();
        for text in ["演示数据", "示意，非测绘", "原始值", "漏 1 段", "#station-JJH-S4"] {
            assert!(html.contains(text), "{text}");
        }
        assert!(html.contains("/timeline?outfall=JJH-PK-0003&#38;kind=sewage_outflow"));
        samples::check_page(&html);
        samples::check_page(&overview(&samples::overview(), samples::MAP, &[], Lang::En).unwrap());
    }

    #[test]
    fn the_sentence_has_a_comma_within_a_thing_and_a_semicolon_between() {
        let text: String = sentence(&samples::overview(), Lang::Zh)
            .iter()
            .map(|p| format!("{}{}", p.text, p.after))
            .collect();
        assert_eq!(text, "4 点有数据，4号点离线；今日巡湖 2/3，漏巡 1 段；2 个排口旱天出流。");
    }

    #[test]
    fn bold_runs_alternate() {
        assert_eq!(
            runs("已 **4 天**无雨"),
            [(false, "已 ".into()), (true, "4 天".into()), (false, "无雨".into())]
        );
    }
}

//! The evidence timeline as a page that also prints: the filter, the counts, map and chart, rows by day.

use askama::Template;

use super::{
    Here, Shell, decimal, grouped,
    lang::Lang,
    notice,
    query::{Order, TimelineQuery},
    render,
    row::{SightingView, time_of},
};
use crate::{
    clock::beijing,
    error::Result,
    evidence::timeline::{Gap, GapKind, Named, RainDay, Row, Timeline},
    patrol::ReportKind,
    water::rain::{MIN_COVERAGE, Weather},
};

/// What the page is made from.
#[derive(Clone, Debug)]
pub struct TimelinePage<'a> {
    /// The answer; its rows are one page of them, in the order asked for. Its summary is over the whole filter.
    pub timeline: &'a Timeline,
    /// As it was asked.
    pub query: &'a TimelineQuery,
    /// What the form offers.
    pub choices: Choices,
    /// Trusted markup of `picture`; empty leaves it out.
    pub map_svg: &'a str,
    /// Trusted markup of `picture`; empty leaves it out.
    pub chart_svg: &'a str,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// What the filter form offers: the place's own.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Outfalls, by code.
    pub outfalls: Vec<Named>,
    /// Sectors, by code.
    pub sectors: Vec<Named>,
    /// Units, by code.
    pub units: Vec<Named>,
}

/// An `<option>`.
pub(super) struct Choice {
    pub value: String,
    pub words: String,
    pub chosen: bool,
}

/// A count under the heading.
pub(super) struct Count {
    pub value: String,
    pub unit: &'static str,
    pub words: &'static str,
    pub first: bool,
}

/// The rows of one day of 北京时间.
struct Day {
    iso: String,
    words: String,
    rows: Vec<RowView>,
}

enum RowView {
    Sighting(Box<SightingView>),
    Gap { from: String, to: String, iso: String, words: String, silent: bool },
    Rain { words: String },
}

#[derive(Template)]
#[template(path = "timeline.html", config = "dashboards/askama.toml")]
struct TimelineView<'a> {
    shell: Shell<'a>,
    timeline: &'a Timeline,
    query: &'a TimelineQuery,
    notice: &'a str,
    outfalls: Vec<Choice>,
    sectors: Vec<Choice>,
    units: Vec<Choice>,
    kinds: Vec<Choice>,
    /// A date field would drop an instant.
    from_is_day: bool,
    to_is_day: bool,
    newest_first: bool,
    counts: Vec<Count>,
    levels: String,
    rules: String,
    map_svg: &'a str,
    chart_svg: &'a str,
    days: Vec<Day>,
    downloads: Vec<(&'static str, String)>,
    /// Where the buttons of the bundle post to: copies, originals.
    bundles: [(String, &'static str); 2],
    next_href: Option<String>,
    first_href: Option<String>,
}

/// The timeline page.
///
/// # Errors
/// [`crate::error::Error::Invalid`] for an unknown order; [`crate::error::Error::Internal`] if the template fails.
pub fn timeline(view: &TimelinePage<'_>, lang: Lang) -> Result<String> {
    let (t, query) = (view.timeline, view.query);
    render(&TimelineView {
        shell: Shell {
            lang,
            place: &t.place,
            demo: t.demo,
            here: Here::Timeline,
            cut_off: Some(t.cut_off),
            log_size: t.log_size,
            other_href: query.page_href(&query.cursor, lang.other().code()),
        },
        timeline: t,
        query,
        notice: notice(&t.place_notice, lang),
        outfalls: choices(&view.choices.outfalls, &query.outfall),
        sectors: choices(&view.choices.sectors, &query.sector),
        units: choices(&view.choices.units, &query.unit),
        kinds: kinds(&query.kind, lang),
        from_is_day: is_day(&query.from),
        to_is_day: is_day(&query.to),
        newest_first: query.order()? == Order::NewestFirst,
        counts: counts(t, lang),
        levels: levels(t, lang),
        rules: rules(t, lang),
        map_svg: view.map_svg,
        chart_svg: view.chart_svg,
        days: days(&t.rows, lang),
        downloads: downloads(query),
        bundles: bundles(query),
        next_href: view.next.as_deref().map(|cursor| query.page_href(cursor, "")),
        first_href: (!query.cursor.is_empty()).then(|| query.page_href("", "")),
    })
}

fn is_day(text: &str) -> bool {
    text.is_empty() || text.parse::<jiff::civil::Date>().is_ok()
}

pub(super) fn choices(named: &[Named], chosen: &str) -> Vec<Choice> {
    named
        .iter()
        .map(|n| Choice {
            value: n.code.clone(),
            words: format!("{}（{}）", n.name, n.code),
            chosen: n.code == chosen,
        })
        .collect()
}

fn kinds(chosen: &str, lang: Lang) -> Vec<Choice> {
    [ReportKind::SewageOutflow, ReportKind::WaterHyacinth, ReportKind::Other, ReportKind::NothingFound]
        .map(|k| Choice {
            value: k.as_str().to_owned(),
            words: lang.t(&format!("kind.{}", k.as_str())).to_owned(),
            chosen: k.as_str() == chosen,
        })
        .into()
}

fn counts(t: &Timeline, lang: Lang) -> Vec<Count> {
    let s = &t.summary;
    let (days, times, rows) = (lang.t("count.days"), lang.t("count.times"), "");
    [
        (s.dry_flow_days, days, lang.t("count.dry_flow")),
        (s.wet_flow_days, days, lang.t("count.wet_flow")),
        (s.unknown_flow_days, days, lang.t("count.unknown_flow")),
        (s.outflows, times, lang.t("count.outflows")),
        (s.hyacinth, times, lang.t("count.hyacinth")),
        (s.nothing_found, times, lang.t("count.nothing_found")),
        (s.photos, rows, lang.t("count.photos")),
        (s.photos_missing, rows, lang.t("count.photos_missing")),
        (s.gaps, rows, lang.t("count.gaps")),
    ]
    .into_iter()
    .enumerate()
    // A kind that does not occur needs no zero; the three answers about dry weather always stand.
    .filter(|(i, c)| *i < 2 || c.0 > 0)
    .map(|(i, (n, unit, words))| Count { value: grouped(u64::from(n)), unit, words, first: i == 0 })
    .collect()
}

fn levels(t: &Timeline, lang: Lang) -> String {
    let [e0, e1, e2] = t.summary.levels;
    lang.fill(
        "timeline.levels",
        &[("sightings", &t.summary.sightings), ("e2", &e2), ("e1", &e1), ("e0", &e0)],
    )
}

/// The limits that weather and levels were judged by.
fn rules(t: &Timeline, lang: Lang) -> String {
    let (hours, mm) = (decimal(t.rules.dry.window_h), decimal(t.rules.dry.limit_mm));
    let percent = format!("{:.0}", MIN_COVERAGE * 100.0);
    let (station, nh3n) = (&t.rules.rain_station, decimal(t.rules.nh3n_limit_mg_l));
    lang.fill(
        "proof.rules_words",
        &[("hours", &hours), ("mm", &mm), ("percent", &percent), ("station", station), ("nh3n", &nh3n)],
    )
}

fn days(rows: &[Row], lang: Lang) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for row in rows {
        let iso = beijing(row.at()).date().to_string();
        if days.last().is_none_or(|d| d.iso != iso) {
            days.push(Day { iso, words: lang.day(row.at()), rows: Vec::new() });
        }
        if let Some(day) = days.last_mut() {
            day.rows.push(row_view(row, lang));
        }
    }
    days
}

fn row_view(row: &Row, lang: Lang) -> RowView {
    match row {
        Row::Sighting(s) => RowView::Sighting(Box::new(SightingView::new(s, lang))),
        Row::Gap(g) => gap(g, lang),
        Row::Rain(r) => RowView::Rain { words: rain(r, lang) },
    }
}

fn gap(g: &Gap, lang: Lang) -> RowView {
    let same_day = beijing(g.from).date() == beijing(g.to).date();
    RowView::Gap {
        from: time_of(g.from),
        to: if same_day { time_of(g.to) } else { lang.minute(g.to) },
        iso: g.from.to_string(),
        words: g.words.clone(),
        silent: g.kind == GapKind::SensorSilent,
    }
}

fn rain(r: &RainDay, lang: Lang) -> String {
    let percent = format!("{:.0}", r.coverage * 100.0);
    lang.fill("row.rain_day", &[("mm", &decimal(r.mm)), ("percent", &percent), ("source", &r.source)])
}

/// The same filter as a file; the numbers agree because the query is the same.
fn downloads(query: &TimelineQuery) -> Vec<(&'static str, String)> {
    let filter = query.filter_string();
    let mark = if filter.is_empty() { "" } else { "?" };
    [("Word", "docx"), ("PDF", "pdf"), ("Excel", "xlsx"), ("CSV", "csv"), ("GeoJSON", "geojson")]
        .map(|(name, ending)| (name, format!("/api/v1/timeline.{ending}{mark}{filter}")))
        .into()
}

/// The same filter as a bundle, and the key of the button's words.
fn bundles(query: &TimelineQuery) -> [(String, &'static str); 2] {
    let filter = query.filter_string();
    let mark = if filter.is_empty() { "" } else { "&" };
    [("copies", "timeline.bundle"), ("originals", "timeline.bundle_originals")]
        .map(|(photos, words)| (format!("/timeline/bundle?photos={photos}{mark}{filter}"), words))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn page(lang: Lang) -> String {
        let timeline_model = samples::timeline();
        let query =
            TimelineQuery { outfall: "JJH-PK-0003".into(), from: "2026-07-01".into(), ..samples::query() };
        let view = TimelinePage {
            timeline: &timeline_model,
            query: &query,
            choices: samples::choices(),
            map_svg: samples::MAP,
            chart_svg: samples::MAP,
            next: Some("c2".into()),
        };
        timeline(&view, lang).unwrap()
    }

    #[test]
    fn the_page_states_what_it_is_made_from() {
        let html = page(Lang::Zh);
        let t = samples::timeline();
        for text in [t.log_root.as_str(), "12,345", "2026-07-14 10:00:00", &t.filter_words, "示意，非测绘"]
        {
            assert!(html.contains(text), "{text}");
        }
        assert!(html.contains("前 72 小时降雨不到 2.5 mm"));
        for ending in ["docx", "pdf", "xlsx", "csv", "geojson"] {
            assert!(html.contains(&format!("/api/v1/timeline.{ending}?outfall=JJH-PK-0003")), "{ending}");
        }
        samples::check_page(&html);
        samples::check_page(&page(Lang::En));
    }

    #[test]
    fn withdrawn_missing_and_gaps_are_shown_not_hidden() {
        let html = page(Lang::Zh);
        assert!(html.contains("<del>") && html.contains("拍错地方"));
        assert!(html.contains("照片未到"));
        assert!(html.contains("晚巡 岸段乙 未巡"));
    }

    #[test]
    fn rows_are_grouped_by_the_day_of_beijing() {
        let days = days(&samples::timeline().rows, Lang::Zh);
        assert_eq!(
            days.iter().map(|d| d.iso.as_str()).collect::<Vec<_>>(),
            ["2026-07-14", "2026-07-13", "2026-07-11"]
        );
        assert_eq!(days[0].words, "2026年7月14日 周二");
    }
}

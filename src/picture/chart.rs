//! The chart: rain hanging from the top, a small panel per series, sightings on the common time axis.

use std::fmt::Write;

use jiff::{Timestamp, ToSpan};

use super::Canvas;
use super::axis::{tick_words, time_ticks, value_ticks};
use super::svg::{self, INK, INK_2, INK_3, LINE, LINE_STRONG, Pt, RAIN, SURFACE, Type};
use crate::evidence::timeline::{Bucket, RainDay, Series};
use crate::water::property::unit_words;
use crate::water::rain::MIN_COVERAGE;

const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const RAIN_TOP: f64 = 22.0;
const RAIN_HEIGHT: f64 = 46.0;
const TITLE: f64 = 26.0;
const PANEL: f64 = 54.0;
const GAP: f64 = 8.0;
const SIGHTINGS: f64 = 24.0;
const FOOT: f64 = 24.0;

/// What a chart shows.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// A panel each, in this order.
    pub series: &'a [Series],
    /// Days; one that is missing here or covered by less than 90 % is drawn as unknown, not as dry.
    pub rain: &'a [RainDay],
    /// When something was seen.
    pub sightings: &'a [Timestamp],
    /// Left edge.
    pub from: Timestamp,
    /// Right edge.
    pub to: Timestamp,
    /// Series that there is no room for; said in words.
    pub omitted: usize,
}

/// The height at which `panels` series have their natural room, pixels.
#[must_use]
pub fn chart_height(panels: usize) -> u32 {
    let panels = u32::try_from(panels.clamp(1, 60)).unwrap_or(60);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole pixels")]
    let (fixed, each) = ((RAIN_TOP + RAIN_HEIGHT + SIGHTINGS + FOOT) as u32, (TITLE + PANEL + GAP) as u32);
    fixed + each * panels
}

/// Draws the chart. Mean as a dark line over the grey span from lowest to highest; a hole in the data stays a hole:
/// wherever two buckets are further apart than one and a half times the series' least distance.
#[must_use]
pub fn chart(chart: &Chart, canvas: Canvas) -> String {
    let plot = Plot { chart, right: f64::from(canvas.width) - RIGHT, height: f64::from(canvas.height) };
    let mut out = svg::open(canvas, "监测数据与逐日降雨", &plot.desc(), false);
    let _ = write!(out, "<path d=\"M0 0H{}V{}H0Z\" fill=\"{SURFACE}\"/>", canvas.width, canvas.height);
    plot.grid(&mut out);
    plot.rain(&mut out);
    for (i, series) in chart.series.iter().enumerate() {
        plot.panel(&mut out, series, plot.panel_top(i));
    }
    if chart.series.is_empty() {
        let middle = Pt { x: (LEFT + plot.right) / 2.0, y: plot.panel_top(0) + TITLE + PANEL / 2.0 };
        svg::text(&mut out, middle, Type::SMALL.anchor("middle"), "这段时间附近没有监测数据");
    }
    plot.sightings(&mut out);
    if chart.omitted > 0 {
        let words = format!("另有 {} 条数据流未画", chart.omitted);
        let middle = Pt { x: (LEFT + plot.right) / 2.0, y: 15.0 };
        svg::text(&mut out, middle, Type::SMALL.anchor("middle"), &words);
    }
    out + "</svg>"
}

struct Plot<'a> {
    chart: &'a Chart<'a>,
    right: f64,
    height: f64,
}

impl Plot<'_> {
    fn x(&self, at: Timestamp) -> f64 {
        let Chart { from, to, .. } = *self.chart;
        let span = to.duration_since(from).as_secs_f64().max(1.0);
        let share = (at.duration_since(from).as_secs_f64() / span).clamp(-1.0, 2.0);
        LEFT + (self.right - LEFT) * share
    }

    fn inside(&self, at: Timestamp) -> bool {
        at >= self.chart.from && at <= self.chart.to
    }

    /// Panels share what rain and axis leave, so that any canvas is filled.
    #[expect(clippy::cast_precision_loss, reason = "a few panels")]
    fn each(&self) -> f64 {
        let room = self.height - RAIN_TOP - RAIN_HEIGHT - SIGHTINGS - FOOT;
        (room / self.chart.series.len().max(1) as f64).max(TITLE + GAP + 20.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "a few panels")]
    fn panel_top(&self, i: usize) -> f64 {
        RAIN_TOP + RAIN_HEIGHT + self.each() * i as f64
    }

    fn axis_y(&self) -> f64 {
        self.height - FOOT
    }

    fn desc(&self) -> String {
        let series = self.chart.series.iter().map(|s| {
            let low = s.points.iter().map(|p| p.min).fold(f64::INFINITY, f64::min);
            let high = s.points.iter().map(|p| p.max).fold(f64::NEG_INFINITY, f64::max);
            let unit = unit_words(&s.unit);
            if s.points.is_empty() {
                format!("{}{}无数据", s.station.name, s.property_zh)
            } else {
                format!("{}{} {low} 至 {high} {unit}", s.station.name, s.property_zh)
            }
        });
        let rain: f64 = self.chart.rain.iter().map(|r| r.mm).sum();
        let mut parts: Vec<String> = series.collect();
        parts.push(format!("降雨合计 {rain:.1} mm，发现 {} 次", self.chart.sightings.len()));
        parts.join("；")
    }

    fn grid(&self, out: &mut String) {
        let ticks = time_ticks(self.chart.from, self.chart.to, ((self.right - LEFT) / 74.0) as usize);
        let y = self.axis_y();
        for tick in ticks {
            let x = self.x(tick.at);
            svg::line(out, Pt { x, y: RAIN_TOP }, Pt { x, y }, LINE, 0.75);
            let half = svg::text_width(&tick.words, 12.0) / 2.0;
            let x = x.clamp(half, self.right + RIGHT - half);
            let small = Type { fill: INK_3, ..Type::SMALL }.anchor("middle");
            svg::text(out, Pt { x, y: y + 16.0 }, small, &tick.words);
        }
        svg::line(out, Pt { x: LEFT, y }, Pt { x: self.right, y }, LINE_STRONG, 1.0);
    }

    /// Bars hang from the top; unknown days are a dotted line, so that they never look dry.
    fn rain(&self, out: &mut String) {
        let known = |r: &&RainDay| r.coverage >= MIN_COVERAGE || r.mm > 0.0;
        let most = self.chart.rain.iter().map(|r| r.mm).fold(0.0, f64::max);
        let ticks = value_ticks(0.0, most.max(10.0));
        let top = ticks.last().copied().unwrap_or(10.0);
        svg::text(out, Pt { x: 4.0, y: 15.0 }, Type::SMALL, "逐日降雨 mm");
        let small = Type { fill: INK_3, ..Type::SMALL };
        svg::text(out, Pt { x: self.right, y: 15.0 }, small.anchor("end"), "降雨未知");
        let key = self.right - svg::text_width("降雨未知", 12.0) - 26.0;
        dotted(out, key, key + 20.0, 11.0);
        for tick in [0.0, top] {
            let y = RAIN_TOP + RAIN_HEIGHT * 0.8 * tick / top;
            svg::text(out, Pt { x: LEFT - 6.0, y: y + 4.5 }, small.anchor("end"), &tick_words(tick, top));
        }
        svg::line(out, Pt { x: LEFT, y: RAIN_TOP }, Pt { x: self.right, y: RAIN_TOP }, LINE_STRONG, 1.0);
        for day in self.chart.rain.iter().filter(known).filter(|r| r.mm > 0.0) {
            let (a, b) = self.day(day.from);
            let height = (RAIN_HEIGHT * 0.8 * day.mm / top).max(1.0);
            let _ = write!(
                out,
                "<path d=\"M{a:.1} {RAIN_TOP}H{b:.1}v{height:.1}H{a:.1}Z\" fill=\"{RAIN}\"><title>{} {:.1} mm\
                 </title></path>",
                crate::clock::beijing(day.from).strftime("%Y-%m-%d"),
                day.mm
            );
        }
        for (a, b) in self.unknown_rain() {
            dotted(out, a, b, RAIN_TOP + 4.0);
        }
    }

    /// Left and right edge of a day's bar within the plot.
    fn day(&self, from: Timestamp) -> (f64, f64) {
        let end = from.checked_add(24.hours()).unwrap_or(from);
        let (a, b) = (self.x(from), self.x(end));
        let rim = ((b - a) * 0.15).min(3.0);
        ((a + rim).clamp(LEFT, self.right), (b - rim).clamp(LEFT, self.right))
    }

    /// Stretches of the axis that no covered day accounts for.
    fn unknown_rain(&self) -> Vec<(f64, f64)> {
        let mut covered: Vec<Timestamp> = self
            .chart
            .rain
            .iter()
            .filter(|r| r.coverage >= MIN_COVERAGE || r.mm > 0.0)
            .map(|r| r.from)
            .collect();
        covered.sort();
        let mut unknown = Vec::new();
        let mut at = self.chart.from;
        for day in covered {
            if day > at && day <= self.chart.to {
                unknown.push((self.x(at), self.x(day)));
            }
            at = at.max(day.checked_add(24.hours()).unwrap_or(day));
        }
        if at < self.chart.to {
            unknown.push((self.x(at), self.right));
        }
        unknown
    }

    fn panel(&self, out: &mut String, series: &Series, top: f64) {
        let (y0, y1) = (top + TITLE, top + self.each() - GAP);
        let points: Vec<&Bucket> = series.points.iter().filter(|p| self.inside(p.at)).collect();
        let low = points.iter().map(|p| p.min).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(|p| p.max).fold(f64::NEG_INFINITY, f64::max);
        let ticks = value_ticks(low, high);
        let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
        let y = |v: f64| y1 - (y1 - y0) * (v - first) / (last - first);
        self.panel_title(out, series, top + 14.0);
        for (i, &tick) in ticks.iter().enumerate() {
            let edge = i == 0 || i + 1 == ticks.len();
            if edge || 2 * i + 1 == ticks.len() {
                let colour = if i == 0 { LINE_STRONG } else { LINE };
                svg::line(out, Pt { x: LEFT, y: y(tick) }, Pt { x: self.right, y: y(tick) }, colour, 0.75);
            }
        }
        let small = Type { fill: INK_3, ..Type::SMALL }.anchor("end");
        for tick in [first, last] {
            svg::text(
                out,
                Pt { x: LEFT - 6.0, y: y(tick) + 4.5 },
                small,
                &tick_words(tick, ticks[1] - first),
            );
        }
        if points.is_empty() {
            let middle = Pt { x: (LEFT + self.right) / 2.0, y: (y0 + y1) / 2.0 };
            svg::text(out, middle, Type { fill: INK_3, ..Type::SMALL }.anchor("middle"), "无数据");
        }
        self.lines(out, &stretches(&points), y);
    }

    /// 溶解氧 mg/L  3号点.
    fn panel_title(&self, out: &mut String, series: &Series, y: f64) {
        let name = Type { size: 13.0, fill: INK, anchor: "start", halo: None, bold: true };
        svg::text(out, Pt { x: 4.0, y }, name, &series.property_zh);
        let x = 4.0 + svg::text_width(&series.property_zh, 13.0) + 6.0;
        svg::text(out, Pt { x, y }, Type { fill: INK_2, ..Type::SMALL }, unit_words(&series.unit));
        let end = Type { fill: INK_2, ..Type::SMALL }.anchor("end");
        svg::text(out, Pt { x: self.right, y }, end, &series.station.name);
    }

    fn lines(&self, out: &mut String, stretches: &[&[&Bucket]], y: impl Fn(f64) -> f64) {
        let at = |p: &Bucket, v: f64| Pt { x: self.x(p.at), y: y(v) };
        let (mut spans, mut means) = (String::new(), String::new());
        let mut single = String::new();
        for stretch in stretches {
            if let [only] = stretch {
                svg::line(&mut single, at(only, only.min), at(only, only.max), LINE_STRONG, 2.0);
                let p = at(only, only.mean);
                let _ = write!(single, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"1.8\"/>", p.x, p.y);
                continue;
            }
            let upper = stretch.iter().map(|p| at(p, p.max));
            let lower = stretch.iter().rev().map(|p| at(p, p.min));
            spans += &(svg::polyline(upper.chain(lower)) + "Z");
            means += &svg::polyline(stretch.iter().map(|p| at(p, p.mean)));
        }
        if !means.is_empty() {
            let _ = write!(
                out,
                "<path d=\"{spans}\" fill=\"{INK}\" fill-opacity=\"0.18\"/><path d=\"{means}\" fill=\"none\" \
                 stroke=\"{INK}\" stroke-width=\"1.4\" stroke-linejoin=\"round\"/>"
            );
        }
        out.push_str(&single);
    }

    fn sightings(&self, out: &mut String) {
        let y = self.axis_y();
        svg::text(out, Pt { x: 4.0, y: y - 7.0 }, Type::SMALL, "发现");
        let mut d = String::new();
        for at in self.chart.sightings.iter().filter(|at| self.inside(**at)) {
            let _ = write!(d, "M{:.1} {y:.1}v-14", self.x(*at));
        }
        let _ = write!(out, "<path d=\"{d}\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"1.6\"/>");
    }
}

fn dotted(out: &mut String, a: f64, b: f64, y: f64) {
    let _ = write!(
        out,
        "<path d=\"M{a:.1} {y:.1}H{b:.1}\" fill=\"none\" stroke=\"{LINE_STRONG}\" stroke-width=\"1.5\" \
         stroke-dasharray=\"1.5 3\"/>"
    );
}

/// The points cut where the data has a hole.
fn stretches<'p>(points: &'p [&'p Bucket]) -> Vec<&'p [&'p Bucket]> {
    let apart = |pair: &[&Bucket]| pair[1].at.duration_since(pair[0].at).as_millis();
    let least = points.windows(2).map(apart).filter(|&ms| ms > 0).min().unwrap_or(0);
    let mut cut: Vec<&[&Bucket]> = Vec::new();
    let mut start = 0;
    for (i, pair) in points.windows(2).enumerate() {
        if apart(pair) * 2 > least * 3 {
            cut.push(&points[start..=i]);
            start = i + 1;
        }
    }
    if start < points.len() {
        cut.push(&points[start..]);
    }
    cut
}

#[cfg(test)]
mod tests {
    use resvg::usvg::roxmltree::Document;

    use super::super::sample::{rain, series, sightings, start};
    use super::*;

    fn drawn(series: &[Series], rain: &[RainDay]) -> String {
        let (from, to) = (start(), start() + 720.hours());
        let data = Chart { series, rain, sightings: &sightings(), from, to, omitted: 0 };
        chart(&data, Canvas { id: "c", width: 640, height: chart_height(series.len()) })
    }

    /// Subpaths of the mean lines.
    fn lines(svg: &str) -> usize {
        let doc = Document::parse(svg).unwrap();
        let means = doc.descendants().filter(|n| n.attribute("stroke-width") == Some("1.4"));
        means.map(|n| n.attribute("d").unwrap().matches('M').count()).sum()
    }

    #[test]
    fn holes_are_not_joined() {
        assert_eq!(lines(&drawn(&[series("溶解氧", "mg/L", 6.0, 40..41)], &rain())), 1);
        assert_eq!(lines(&drawn(&[series("溶解氧", "mg/L", 6.0, 8..11)], &rain())), 2);
        let mut holed = series("溶解氧", "mg/L", 6.0, 8..11);
        holed.points.remove(60);
        holed.points.remove(90);
        assert_eq!(lines(&drawn(&[holed.clone(), holed.clone()], &rain())), 8);
        // A value alone between two holes is a dot, not a line.
        holed.points.truncate(1);
        let svg = drawn(&[holed], &rain());
        assert_eq!((lines(&svg), svg.matches("<circle").count()), (0, 1));
    }

    #[test]
    fn days_without_rain_data_do_not_look_dry() {
        let dotted = |svg: &str| svg.matches("stroke-dasharray=\"1.5 3\"").count();
        let mut covered = rain();
        // One in the legend, one for the four days left out.
        assert_eq!(dotted(&drawn(&[], &covered)), 2);
        covered[3].coverage = 0.5;
        assert_eq!(dotted(&drawn(&[], &covered)), 3);
        assert_eq!(dotted(&drawn(&[], &[])), 2);
    }

    #[test]
    fn every_sighting_is_a_tick() {
        let svg = drawn(&[], &rain());
        assert_eq!(svg.matches("v-14").count(), sightings().len());
        assert!(svg.contains("没有监测数据") && svg.contains("2026-7-1"));
    }
}

//! The map: lake, shore by sector, outfalls with their evidence, stations, sightings, hyacinth.

use std::fmt::Write;

use geo::BoundingRect;

use super::Canvas;
use super::labels::{Placer, Rect};
use super::legend::Legend;
use super::marks::{MapMarks, OutfallMark, SectorMark, StationMark};
use super::names;
use super::shore::{Run, View, runs};
use super::signs::{outfall_shape, station_shape, track_end};
use super::svg::{
    self, HYACINTH, INK, INK_3, LAND, LINE_STRONG, Pt, SHORE, SILENT, SURFACE, TRACK, Type, WATER, esc,
};
use crate::lake::{Place, Wgs84};
use crate::patrol::ReportKind;

/// Pixels kept free at the foot for notice, scale and north.
const FOOT: f64 = 30.0;

/// The height at which a map of `width` pixels is well filled: by the lake's shape, between two fifths and three
/// quarters of the width.
#[must_use]
pub fn map_height(place: &Place, width: u32) -> u32 {
    let Some(lake) = place.lake.bounding_rect() else { return width / 2 };
    let shape = lake.height() / (lake.width() * lake.center().y.to_radians().cos()).max(1e-9);
    let (w, most) = (f64::from(width), f64::from(width) * 0.75);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the width")]
    let height = ((w - 128.0) * shape + 110.0).clamp(w * 0.4, most) as u32;
    height
}

/// Draws the place with its marks. Where the place has a notice (`示意, 非测绘`), it stands on the map.
/// Labels that find no room are left out; every mark carries its name as a tooltip. With a link on any mark the
/// picture's role is `group`, else `img`.
#[must_use]
pub fn map(place: &Place, marks: &MapMarks, canvas: Canvas) -> String {
    let (w, h) = (f64::from(canvas.width), f64::from(canvas.height));
    let legend = Legend::of(place, marks, w);
    // Room for labels on the land around the lake.
    let (top, side) = (legend.height(), 64.0_f64.min(w / 8.0));
    let area = Rect { x: side, y: top + 24.0, w: w - 2.0 * side, h: (h - top - FOOT - 44.0).max(h / 4.0) };
    let view = View::of(place, area);
    let scene = Scene { place, marks, canvas, runs: &runs(place, &view), view: &view };
    let shore = scene.runs.iter().flat_map(|r| r.points.iter().copied()).collect();
    let mut placer = Placer::new(Rect { x: 4.0, y: top, w: w - 8.0, h: h - top - FOOT }, shore);
    scene.blocked().into_iter().for_each(|rect| placer.block(rect));

    let mut out = svg::open(canvas, &format!("{}示意图", place.name), &scene.desc(), scene.has_links());
    out += &scene.ground();
    out += &scene.patches();
    out += &scene.shore();
    out += &scene.tracks();
    out += &scene.sightings();
    out += &scene.stations();
    out += &scene.outfalls();
    out += &names::draw(&scene, placer);
    out += &scene.foot();
    out += &legend.draw(canvas.id);
    out + "</svg>"
}

/// What is drawn, and where.
pub struct Scene<'a> {
    pub place: &'a Place,
    pub marks: &'a MapMarks,
    pub canvas: Canvas<'a>,
    pub view: &'a View,
    pub runs: &'a [Run],
}

impl<'a> Scene<'a> {
    pub fn outfall(&self, code: &str) -> Option<&'a OutfallMark> {
        self.marks.outfalls.iter().find(|m| m.code == code)
    }

    pub fn station(&self, code: &str) -> Option<&'a StationMark> {
        self.marks.stations.iter().find(|m| m.code == code)
    }

    pub fn sector(&self, run: &Run) -> Option<&'a SectorMark> {
        let code = &self.place.sectors.get(run.sector?)?.code;
        self.marks.sectors.iter().find(|m| m.code == *code)
    }

    fn has_links(&self) -> bool {
        let m = self.marks;
        m.sectors.iter().any(|s| s.href.is_some())
            || m.outfalls.iter().any(|o| o.href.is_some())
            || m.stations.iter().any(|s| s.href.is_some())
            || m.sightings.iter().any(|s| s.href.is_some())
    }

    fn desc(&self) -> String {
        let (sectors, outfalls, stations) =
            (self.place.sectors.len(), self.place.outfalls.len(), self.place.stations.len());
        let mut parts = vec![format!(
            "{}的湖面、{sectors} 个岸段、{outfalls} 个排口、{stations} 个监测点",
            self.place.name
        )];
        for outfall in &self.place.outfalls {
            if let Some(level) = self.outfall(&outfall.code).and_then(|m| m.level) {
                parts.push(format!("{}证据等级 {level:?}", outfall.name));
            }
        }
        let not_walked = self.marks.sectors.iter().filter(|s| !s.walked).count();
        if not_walked > 0 {
            parts.push(format!("{not_walked} 个岸段未巡"));
        }
        let silent = self.marks.stations.iter().filter(|s| s.silent).count();
        if silent > 0 {
            parts.push(format!("{silent} 个监测点离线"));
        }
        if !self.place.notice.is_empty() {
            parts.push(self.place.notice.clone());
        }
        parts.join("；")
    }

    /// Every mark keeps its room before the first label is placed.
    fn blocked(&self) -> Vec<Rect> {
        let at = |p| self.view.shown(p);
        let outfalls = self.place.outfalls.iter().filter_map(|o| {
            let side = if self.outfall(&o.code).is_some_and(|m| m.subject) { 36.0 } else { 20.0 };
            Some(Rect::around(at(o.position)?, side, side))
        });
        let stations =
            self.place.stations.iter().filter_map(|s| Some(Rect::around(at(s.position)?, 24.0, 22.0)));
        let patches = self.marks.patches.iter().map(|p| self.view.bounds(&p.outline));
        let sightings = self.marks.sightings.iter().filter_map(|s| Some(Rect::around(at(s.at)?, 8.0, 8.0)));
        outfalls.chain(stations).chain(patches).chain(sightings).collect()
    }

    fn ground(&self) -> String {
        let Canvas { id, width, height } = self.canvas;
        let id = esc(id);
        format!(
            "<defs><pattern id=\"{id}-hyacinth\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(35)\"><path d=\"M0 3H6\" stroke=\"{HYACINTH}\" stroke-width=\"2.2\"/>\
             </pattern><pattern id=\"{id}-silent\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><path d=\"M0 0H5V5H0Z\" fill=\"{SILENT}\"/>\
             <path d=\"M0 2.5H5\" stroke=\"{LINE_STRONG}\" stroke-width=\"1.4\"/></pattern></defs>\
             <path d=\"M0 0H{width}V{height}H0Z\" fill=\"{LAND}\"/>\
             <path d=\"{}\" fill=\"{WATER}\" fill-rule=\"evenodd\" stroke=\"{SHORE}\" stroke-width=\"1.5\"/>",
            self.view.path(&self.place.lake)
        )
    }

    fn patches(&self) -> String {
        let id = esc(self.canvas.id);
        let patch = |p: &super::HyacinthPatch| {
            format!(
                "<path d=\"{}\" fill=\"url(#{id}-hyacinth)\" stroke=\"{HYACINTH}\" stroke-width=\"1.5\" \
                 stroke-linejoin=\"round\"><title>{}</title></path>",
                self.view.polygon_path(&p.outline),
                esc(&p.words)
            )
        };
        self.marks.patches.iter().map(patch).collect()
    }

    /// Walked shore solid, not walked dotted, a tick where a sector ends.
    fn shore(&self) -> String {
        let mut out = String::new();
        for run in self.runs {
            if let Some(mark) = self.sector(run) {
                let dash = if mark.walked { "" } else { " stroke-dasharray=\"3 7\"" };
                let name = self.place.sectors.iter().find(|s| s.code == mark.code).map_or("", |s| &s.name);
                let line = format!(
                    "<path d=\"{}\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"4.5\" \
                     stroke-linejoin=\"round\"{dash}><title>{} {}</title></path>",
                    svg::polyline(run.points.iter().copied()),
                    esc(name),
                    esc(&mark.words)
                );
                svg::linked(&mut out, mark.href.as_deref(), &line);
            }
        }
        if self.runs.len() > 1 {
            for run in self.runs {
                let (a, across) = run.start();
                svg::line(
                    &mut out,
                    a.to(across.x * 8.0, across.y * 8.0),
                    a.to(across.x * -8.0, across.y * -8.0),
                    INK,
                    1.5,
                );
            }
        }
        out
    }

    /// Each piece with a dot at both ends: where a line stops, the knowledge does.
    fn tracks(&self) -> String {
        let piece = |points: &Vec<Wgs84>| {
            let shown: Vec<Pt> = points.iter().filter_map(|&p| self.view.shown(p)).collect();
            let ends: String = shown.first().into_iter().chain(shown.last()).map(track_end).collect();
            let line = svg::polyline(shown.iter().copied());
            format!(
                "<path d=\"{line}\" fill=\"none\" stroke=\"{TRACK}\" stroke-width=\"2\" \
                 stroke-linejoin=\"round\"/>{ends}"
            )
        };
        self.marks.tracks.iter().map(piece).collect()
    }

    fn sightings(&self) -> String {
        let mut out = String::new();
        for s in &self.marks.sightings {
            let shape = match s.kind {
                ReportKind::SewageOutflow => "M0 -5L4.6 3.2H-4.6Z",
                ReportKind::WaterHyacinth => "M0 -5L5 0L0 5L-5 0Z",
                ReportKind::Other => "M-3.5 -3.5H3.5V3.5H-3.5Z",
                ReportKind::NothingFound => continue,
            };
            let Some(at) = self.view.shown(s.at) else { continue };
            let fill = if s.kind == ReportKind::WaterHyacinth { HYACINTH } else { INK };
            let mark = format!(
                "<path transform=\"translate({:.1} {:.1})\" d=\"{shape}\" fill=\"{fill}\" \
                 stroke=\"{SURFACE}\" stroke-width=\"1\"><title>{}</title></path>",
                at.x,
                at.y,
                esc(&s.words)
            );
            svg::linked(&mut out, s.href.as_deref(), &mark);
        }
        out
    }

    fn stations(&self) -> String {
        let mut out = String::new();
        for station in &self.place.stations {
            let Some(at) = self.view.shown(station.position) else { continue };
            let mark = self.station(&station.code);
            let silent = mark.is_some_and(|m| m.silent);
            let words = mark.map_or("", |m| m.words.as_str());
            let title = format!("{} {} {words}", station.code, station.name);
            let inner = station_shape(at, silent, title.trim(), &esc(self.canvas.id));
            svg::linked(&mut out, mark.and_then(|m| m.href.as_deref()), &inner);
        }
        out
    }

    fn outfalls(&self) -> String {
        let mut out = String::new();
        // The subject last, above its neighbours.
        let subject = |code: &str| self.outfall(code).is_some_and(|m| m.subject);
        let (last, first): (Vec<_>, Vec<_>) = self.place.outfalls.iter().partition(|o| subject(&o.code));
        for outfall in first.into_iter().chain(last) {
            let Some(at) = self.view.shown(outfall.position) else { continue };
            let mark = self.outfall(&outfall.code);
            let level = mark.and_then(|m| m.level);
            let said = level.map_or(String::new(), |l| format!(" {l:?} {}", l.wording()));
            let title = format!("{} {}{said}", outfall.code, outfall.name);
            let inner = outfall_shape(at, level, subject(&outfall.code), &title);
            svg::linked(&mut out, mark.and_then(|m| m.href.as_deref()), &inner);
        }
        out
    }

    /// Notice and what lies beyond the frame on the left, scale and north on the right.
    fn foot(&self) -> String {
        let (w, h) = (f64::from(self.canvas.width), f64::from(self.canvas.height));
        let mut out = String::new();
        let beyond = self.beyond();
        let words = [self.place.notice.as_str(), beyond.as_str()];
        let words = words.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join("；");
        let small = Type { fill: INK_3, ..Type::SMALL };
        svg::text(&mut out, Pt { x: 12.0, y: h - 11.0 }, small, &words);
        let metres = scale_length(120.0 / self.view.scale);
        let (x2, y) = (w - 44.0, h - 12.0);
        let x1 = x2 - metres * self.view.scale;
        let _ = write!(
            out,
            "<path d=\"M{x1:.1} {:.1}V{y:.1}H{x2:.1}V{:.1}\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"1.5\"/>",
            y - 5.0,
            y - 5.0
        );
        let middle = Type::SMALL.anchor("middle");
        svg::text(
            &mut out,
            Pt { x: (x1 + x2) / 2.0, y: y - 4.0 },
            middle,
            &format!("{} m", svg::thousands(metres)),
        );
        let _ = write!(out, "<path d=\"M{:.1} {:.1}l6 16l-6 -4l-6 4Z\" fill=\"{INK}\"/>", w - 20.0, h - 26.0);
        svg::text(&mut out, Pt { x: w - 20.0, y: h - 29.0 }, middle, "北");
        out
    }

    fn beyond(&self) -> String {
        let away = |p| self.view.shown(p).is_none();
        let drawn = |k| k != ReportKind::NothingFound;
        let sightings = self.marks.sightings.iter().filter(|s| drawn(s.kind) && away(s.at)).count();
        let stations: Vec<&str> =
            self.place.stations.iter().filter(|s| away(s.position)).map(|s| s.name.as_str()).collect();
        let mut parts = Vec::new();
        if !stations.is_empty() {
            parts.push(format!("{}在图外", stations.join("、")));
        }
        if sightings > 0 {
            parts.push(format!("{sightings} 处发现在图外"));
        }
        parts.join("；")
    }
}

/// 1, 2 or 5 times a power of ten, metres, not over `most`.
fn scale_length(most: f64) -> f64 {
    let ten = 10f64.powf(most.max(1.0).log10().floor());
    [5.0, 2.0].into_iter().map(|k| k * ten).find(|&l| l <= most).unwrap_or(ten)
}

#[cfg(test)]
mod tests {
    use resvg::usvg::roxmltree::Document;

    use super::super::sample::{marks, place};
    use super::*;

    const CANVAS: Canvas = Canvas { id: "m", width: 848, height: 420 };

    #[test]
    fn walked_is_solid_and_not_walked_dotted() {
        let svg = map(&place(), &marks(), CANVAS);
        let doc = Document::parse(&svg).unwrap();
        let shores: Vec<_> = doc
            .descendants()
            .filter(|n| {
                n.attribute("stroke-width") == Some("4.5") && n.attribute("stroke-linejoin").is_some()
            })
            .collect();
        assert_eq!(shores.len(), 3);
        assert_eq!(shores.iter().filter(|n| n.attribute("stroke-dasharray").is_some()).count(), 1);
        for words in ["3号排口", "岸段乙", "未巡", "水葫芦 1,240 m²", "示意，非测绘", "200 m", "4号点"]
        {
            assert!(svg.contains(&format!(">{words}</text>")), "{words}");
        }
    }

    #[test]
    fn what_lies_beyond_the_frame_is_said() {
        let mut place = place();
        place.stations[0].position.lat += 0.05;
        let mut marks = marks();
        marks.sightings[0].at.lng -= 0.2;
        let svg = map(&place, &marks, CANVAS);
        assert!(svg.contains("1号点在图外；1 处发现在图外"), "{svg}");
    }

    #[test]
    fn an_empty_place_is_still_a_picture() {
        let mut place = place();
        place.lake = geo::MultiPolygon(vec![]);
        place.outfalls.clear();
        place.stations.clear();
        place.sectors.clear();
        let svg = map(&place, &MapMarks::default(), CANVAS);
        assert!(Document::parse(&svg).is_ok() && !svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn scales_are_round() {
        assert_eq!([999.0, 1.0, 55.0, 24.0].map(scale_length).map(|l| l as u32), [500, 1, 50, 20]);
    }
}

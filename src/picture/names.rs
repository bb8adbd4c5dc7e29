//! The names on a map.

use std::fmt::Write;

use geo::{BoundingRect, Contains, Coord, Point};

use super::labels::{Placer, Rect};
use super::map::Scene;
use super::shore::Run;
use super::svg::{self, INK, INK_3, LAND, Pt, SHORE, SURFACE, Type, text_width};
use crate::lake::Outfall;

const SIZE: f64 = 13.0;
const HEIGHT: f64 = 18.0;

/// Draws them in the order of importance: the subject, outfalls with evidence, sectors, stations, hyacinth, the
/// other outfalls, the lake.
pub fn draw(scene: &Scene, placer: Placer) -> String {
    let mut names = Names { scene, placer, out: String::new() };
    let rank = |o: &Outfall| match scene.outfall(&o.code) {
        Some(m) if m.subject => 0,
        Some(m) if m.level.is_some() => 1,
        _ => 2,
    };
    let mut outfalls: Vec<(u8, &Outfall)> = scene.place.outfalls.iter().map(|o| (rank(o), o)).collect();
    outfalls.sort_by_key(|(rank, _)| *rank);
    let (first, rest): (Vec<_>, Vec<_>) = outfalls.into_iter().partition(|(rank, _)| *rank < 2);
    first.iter().for_each(|(rank, o)| names.outfall(o, *rank == 0));
    // Few outfalls are all named; of hundreds only where sectors and stations leave room.
    let few = rest.len() <= 16;
    rest.iter().filter(|_| few).for_each(|(_, o)| names.outfall(o, false));
    names.sectors();
    names.stations();
    names.patches();
    rest.iter().filter(|_| !few).for_each(|(_, o)| names.outfall(o, false));
    names.lake();
    names.out
}

struct Names<'a> {
    scene: &'a Scene<'a>,
    placer: Placer,
    out: String,
}

/// What a label says: its name stands out, the words follow.
struct Label<'a> {
    name: &'a str,
    words: &'a str,
    bold: bool,
    halo: &'static str,
}

impl Label<'_> {
    fn words_at(&self) -> f64 {
        let gap = if self.name.is_empty() || self.words.is_empty() { 0.0 } else { 4.0 };
        text_width(self.name, SIZE) + gap
    }

    fn width(&self) -> f64 {
        self.words_at() + text_width(self.words, SIZE)
    }
}

impl Names<'_> {
    fn outfall(&mut self, outfall: &Outfall, subject: bool) {
        let scene = self.scene;
        let Some(at) = scene.view.shown(outfall.position) else { return };
        let reach = if subject { 18.0 } else { 10.0 };
        let label = Label { name: &outfall.name, words: "", bold: subject, halo: LAND };
        self.put(at, reach, &label, |_, r| if in_water(scene, r.centre()) { 20.0 } else { 0.0 });
    }

    /// One label per sector, at its longest stretch of shore, on the land.
    fn sectors(&mut self) {
        let scene = self.scene;
        for (i, sector) in scene.place.sectors.iter().enumerate() {
            let stretches = scene.runs.iter().filter(|r| r.sector == Some(i));
            let Some(run) = stretches.max_by_key(|r| r.points.len()) else { continue };
            let words = scene.sector(run).map_or("", |m| m.words.as_str());
            let walked = scene.sector(run).is_none_or(|m| m.walked);
            let label = Label { name: &sector.name, words, bold: !walked, halo: LAND };
            let spots = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9].map(|share| outward(scene, run, share));
            let liking = |_: usize, r: &Rect| if in_water(scene, r.centre()) { 60.0 } else { 0.0 };
            if let Some(rect) = self.placer.place_along(spots, (label.width(), HEIGHT), liking) {
                self.write(&label, rect);
            }
        }
    }

    fn stations(&mut self) {
        let scene = self.scene;
        for station in &scene.place.stations {
            let Some(at) = scene.view.shown(station.position) else { continue };
            let words = scene.station(&station.code).map_or("", |m| m.words.as_str());
            let label = Label { name: &station.name, words, bold: false, halo: SURFACE };
            self.put(at, 10.0, &label, |i, _| if i == 0 { 0.0 } else { 5.0 });
        }
    }

    fn patches(&mut self) {
        let scene = self.scene;
        for patch in &scene.marks.patches {
            let rect = scene.view.bounds(&patch.outline);
            let label = Label { name: "", words: &patch.words, bold: false, halo: SURFACE };
            self.put(rect.centre(), rect.h / 2.0, &label, |i, _| if i < 2 { 0.0 } else { 30.0 });
        }
    }

    /// The lake's own name, widely spaced, where the water is free, near its middle.
    fn lake(&mut self) {
        let scene = self.scene;
        let Some(bounds) = scene.place.lake.bounding_rect() else { return };
        let name = scene.place.name.chars().flat_map(|c| [c, '\u{2002}']).collect::<String>();
        let name = name.trim_end();
        let (w, h) = (text_width(name, 15.0), 20.0);
        let (a, b) = (scene.view.at(bounds.min()), scene.view.at(bounds.max()));
        let middle = Pt { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 };
        let step = |i: i32, from: f64, to: f64| from + (to - from) * f64::from(i) / 16.0;
        let mut spots: Vec<Pt> = (1..16)
            .flat_map(|i| (1..16).map(move |j| Pt { x: step(i, a.x, b.x), y: step(j, a.y, b.y) }))
            .collect();
        spots.sort_by(|p, q| {
            (p.x - middle.x).hypot(p.y - middle.y).total_cmp(&(q.x - middle.x).hypot(q.y - middle.y))
        });
        for spot in spots {
            let rect = Rect::around(spot, w, h);
            if in_water(scene, spot) && self.placer.take(rect) {
                let style = Type { size: 15.0, fill: SHORE, anchor: "middle", halo: None, bold: false };
                svg::text(&mut self.out, spot.to(0.0, 5.0), style, name);
                return;
            }
        }
    }

    fn put(&mut self, at: Pt, reach: f64, label: &Label, liking: impl Fn(usize, &Rect) -> f64) {
        if label.width() < 1.0 {
            return;
        }
        let Some(rect) = self.placer.place(at, reach, (label.width(), HEIGHT), liking) else { return };
        let near = rect.nearest(at);
        let far = (near.x - at.x).hypot(near.y - at.y);
        if far > reach + 12.0 {
            let from = at.to((near.x - at.x) * reach / far, (near.y - at.y) * reach / far);
            svg::line(&mut self.out, from, near, INK_3, 0.75);
        }
        self.write(label, rect);
    }

    fn write(&mut self, label: &Label, rect: Rect) {
        let base = Pt { x: rect.x, y: rect.y + 13.5 };
        let style = Type { size: SIZE, fill: INK, anchor: "start", halo: Some(label.halo), bold: label.bold };
        if label.bold {
            let Rect { x, y, w, h } = rect;
            let _ = write!(
                self.out,
                "<path d=\"M{:.1} {y:.1}h{:.1}v{h}h-{:.1}Z\" fill=\"{}\" fill-opacity=\"0.85\"/>",
                x - 2.0,
                w + 4.0,
                w + 4.0,
                label.halo
            );
        }
        if !label.name.is_empty() {
            svg::text(&mut self.out, base, style, label.name);
        }
        if !label.words.is_empty() {
            let at = base.to(label.words_at(), 0.0);
            svg::text(&mut self.out, at, Type { bold: false, ..style }, label.words);
        }
    }
}

fn in_water(scene: &Scene, p: Pt) -> bool {
    let Coord { x, y } = scene.view.degrees(p);
    scene.place.lake.contains(&Point::new(x, y))
}

/// A spot on the land side of a run, `share` of its way along.
fn outward(scene: &Scene, run: &Run, share: f64) -> Pt {
    let (at, across) = run.along(share);
    let side = at.to(across.x * 8.0, across.y * 8.0);
    if in_water(scene, side) { at.to(across.x * -8.0, across.y * -8.0) } else { side }
}

//! The legend: only what the map shows.

use super::marks::MapMarks;
use super::signs::{outfall_shape, station_shape, track_end};
use super::svg::{self, HYACINTH, INK, Pt, SURFACE, TRACK, Type, esc, text_width};
use crate::casework::EvidenceLevel;
use crate::lake::Place;
use crate::patrol::ReportKind;

const ROW: f64 = 22.0;
const SIGN: f64 = 28.0;

#[derive(Clone, Copy, PartialEq)]
enum Item {
    Outfall,
    Level,
    Walked,
    NotWalked,
    Sewage,
    Hyacinth,
    Other,
    Patch,
    Track,
    Station,
    Silent,
}

impl Item {
    fn words(self) -> &'static str {
        match self {
            Self::Outfall => "排口",
            Self::Level => "填充为证据等级",
            Self::Walked => "已巡",
            Self::NotWalked => "未巡",
            Self::Sewage => "污水直排",
            Self::Hyacinth => "水葫芦",
            Self::Patch => "水葫芦范围",
            Self::Track => "轨迹，断处无定位",
            Self::Other => "其他发现",
            Self::Station => "监测点",
            Self::Silent => "离线",
        }
    }

    fn sign(self, at: Pt, id: &str) -> String {
        let stroke = |d: &str, dash: &str| {
            format!(
                "<path d=\"M{:.1} {:.1}{d}\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"4.5\"{dash}/>",
                at.x - 11.0,
                at.y
            )
        };
        let sighting = |d: &str, fill: &str| {
            format!(
                "<path transform=\"translate({:.1} {:.1})\" d=\"{d}\" fill=\"{fill}\" stroke=\"{SURFACE}\"/>",
                at.x, at.y
            )
        };
        match self {
            Self::Outfall => outfall_shape(at, None, false, self.words()),
            Self::Level => outfall_shape(at, Some(EvidenceLevel::E2), false, self.words()),
            Self::Walked => stroke("h22", ""),
            Self::NotWalked => stroke("h23", " stroke-dasharray=\"3 7\""),
            Self::Sewage => sighting("M0 -5L4.6 3.2H-4.6Z", INK),
            Self::Hyacinth => sighting("M0 -5L5 0L0 5L-5 0Z", HYACINTH),
            Self::Other => sighting("M-3.5 -3.5H3.5V3.5H-3.5Z", INK),
            Self::Patch => format!(
                "<path d=\"M{:.1} {:.1}h18v12h-18Z\" fill=\"url(#{id}-hyacinth)\" stroke=\"{HYACINTH}\"/>",
                at.x - 9.0,
                at.y - 6.0
            ),
            Self::Track => format!(
                "<path d=\"M{:.1} {:.1}h9m4 0h9\" fill=\"none\" stroke=\"{TRACK}\" stroke-width=\"2\"/>{}{}",
                at.x - 11.0,
                at.y,
                track_end(&Pt { x: at.x - 2.0, ..at }),
                track_end(&Pt { x: at.x + 2.0, ..at })
            ),
            Self::Station => station_shape(at, false, self.words(), id),
            Self::Silent => station_shape(at, true, self.words(), id),
        }
    }
}

/// The items, broken into rows of the canvas's width.
pub struct Legend {
    rows: Vec<Vec<Item>>,
}

impl Legend {
    pub fn of(place: &Place, marks: &MapMarks, width: f64) -> Self {
        let seen = |kind| marks.sightings.iter().any(|s| s.kind == kind);
        let shown = [
            (Item::Outfall, !place.outfalls.is_empty()),
            (Item::Level, marks.outfalls.iter().any(|o| o.level.is_some())),
            (Item::Walked, marks.sectors.iter().any(|s| s.walked)),
            (Item::NotWalked, marks.sectors.iter().any(|s| !s.walked)),
            (Item::Sewage, seen(ReportKind::SewageOutflow)),
            (Item::Hyacinth, seen(ReportKind::WaterHyacinth)),
            (Item::Other, seen(ReportKind::Other)),
            (Item::Patch, !marks.patches.is_empty()),
            (Item::Track, !marks.tracks.is_empty()),
            (Item::Station, !place.stations.is_empty()),
            (Item::Silent, marks.stations.iter().any(|s| s.silent)),
        ];
        let mut rows: Vec<Vec<Item>> = vec![Vec::new()];
        let mut x = 12.0;
        for (item, _) in shown.into_iter().filter(|(_, shown)| *shown) {
            let needed = SIGN + text_width(item.words(), 12.0) + 12.0;
            if x + needed > width && x > 12.0 {
                rows.push(Vec::new());
                x = 12.0;
            }
            x += needed;
            if let Some(row) = rows.last_mut() {
                row.push(item);
            }
        }
        Self { rows }
    }

    /// Pixels it takes from the top.
    #[expect(clippy::cast_precision_loss, reason = "a few rows")]
    pub fn height(&self) -> f64 {
        8.0 + ROW * self.rows.len() as f64
    }

    pub fn draw(&self, id: &str) -> String {
        let (id, mut out, mut y) = (esc(id), String::new(), 8.0);
        for row in &self.rows {
            let mut x = 12.0;
            for item in row {
                out += &item.sign(Pt { x: x + 11.0, y: y + ROW / 2.0 }, &id);
                svg::text(&mut out, Pt { x: x + SIGN, y: y + ROW / 2.0 + 4.5 }, Type::SMALL, item.words());
                x += SIGN + text_width(item.words(), 12.0) + 12.0;
            }
            y += ROW;
        }
        out
    }
}

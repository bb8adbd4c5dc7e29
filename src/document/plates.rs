//! The photo plates of a brief: which photos, under which name, with which caption.

use crate::clock::beijing_minute;
use crate::document::words;
use crate::evidence::timeline::{ERASED, PhotoRef, Sighting};

/// Plates a brief holds: 120 photos of 200 kB keep the file sendable; the highest levels are taken first.
pub const MAX_PLATES: usize = 120;

/// A photo with the words under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plate {
    /// `照片3`.
    pub name: String,
    /// SHA-256 of the original, hex: what [`super::Pictures::photo`] is asked for.
    pub sha256: String,
    /// Caption under the name: 地点, 时间, 位置, 哈希 with 条目.
    pub lines: Vec<String>,
    /// Whether there is something to show.
    pub state: PlateState,
}

/// What a plate can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlateState {
    /// The viewers' copy.
    Shown,
    /// Sealed, but no copy can be made of it (HEIC).
    NoPreview,
    /// Named by the report, its bytes have not come.
    Missing,
    /// It had come and was erased by law.
    Erased,
}

impl Plate {
    /// The words in the frame when there is no picture to put there; also when a copy that should be there is not.
    #[must_use]
    pub fn instead(&self) -> &'static str {
        match self.state {
            PlateState::Missing => "照片未到",
            PlateState::Erased => ERASED,
            PlateState::NoPreview => "原件已封存，此格式无预览",
            PlateState::Shown => "原件已封存，预览未生成",
        }
    }

    /// What the picture is, for those who cannot see it.
    #[must_use]
    pub fn alt(&self) -> String {
        format!("{}：{}", self.name, self.lines.join("；"))
    }
}

/// The plates of a brief, and which photo is which.
pub(crate) struct Plates {
    /// In the order of the rows.
    pub plates: Vec<Plate>,
    /// No photo was left out.
    pub all: bool,
}

impl Plates {
    /// All photos of the listed sightings, or the best [`MAX_PLATES`]: highest level first, then oldest.
    /// What was erased or withdrawn shows nothing.
    pub fn choose(sightings: &[&Sighting]) -> Self {
        let mut photos: Vec<(usize, &Sighting, &PhotoRef)> = sightings
            .iter()
            .filter(|s| !s.erased && s.withdrawn.is_none())
            .flat_map(|s| s.photos.iter().map(move |p| (*s, p)))
            .enumerate()
            .map(|(i, (s, p))| (i, s, p))
            .collect();
        let all = photos.len() <= MAX_PLATES;
        if !all {
            photos.sort_by_key(|(i, s, p)| (!p.stored, std::cmp::Reverse(s.level), *i));
            photos.truncate(MAX_PLATES);
            photos.sort_by_key(|(i, ..)| *i);
        }
        let plates = photos.iter().enumerate().map(|(i, (_, s, p))| plate(i + 1, s, p)).collect();
        Self { plates, all }
    }

    /// The cell of the table: numbers of the sighting's photos with what is missing.
    pub fn numbers_of(&self, s: &Sighting) -> String {
        if s.erased && !s.photos.is_empty() {
            return ERASED.to_owned();
        }
        if s.photos.is_empty() {
            return "无".to_owned();
        }
        let number = |p: &PhotoRef| {
            let found = self.plates.iter().find(|plate| plate.sha256 == p.sha256);
            let number = found.map_or("见台账", |plate| plate.name.trim_start_matches("照片"));
            match (p.stored, p.erased) {
                (true, _) => number.to_owned(),
                (false, true) => format!("{number}（{ERASED}）"),
                (false, false) => format!("{number}（未到）"),
            }
        };
        s.photos.iter().map(number).collect::<Vec<_>>().join("\n")
    }
}

fn plate(number: usize, s: &Sighting, p: &PhotoRef) -> Plate {
    Plate {
        name: format!("照片{number}"),
        sha256: p.sha256.clone(),
        lines: vec![
            format!("地点：{}", words::place(s)),
            format!("时间：{}", beijing_minute(s.observed_at)),
            format!("位置：{}", words::position_or_reason(s)),
            format!("哈希：{}　条目：{}", words::short_hash(&p.sha256), s.entry.index),
        ],
        state: match (p.stored, p.preview) {
            _ if p.erased => PlateState::Erased,
            (false, _) => PlateState::Missing,
            (true, false) => PlateState::NoPreview,
            (true, true) => PlateState::Shown,
        },
    }
}

//! Names and the filter in Chinese words.

use crate::clock::beijing_minute;
use crate::evidence::timeline::{Filter, Named};
use crate::lake::Place;

pub(super) fn named(code: String, name: impl Fn(&str) -> Option<String>) -> Named {
    let name = name(&code).unwrap_or_else(|| code.clone());
    Named { code, name }
}

pub(super) fn outfall_name(place: &Place, code: &str) -> Option<String> {
    place.outfalls.iter().find(|o| o.code == code).map(|o| o.name.clone())
}

pub(super) fn sector_name(place: &Place, code: &str) -> Option<String> {
    place.sectors.iter().find(|s| s.code == code).map(|s| s.name.clone())
}

pub(super) fn unit_name(place: &Place, code: &str) -> Option<String> {
    place.units.iter().find(|u| u.code == code).map(|u| u.name.clone())
}

pub(super) fn subject(f: &Filter, place: &Place) -> String {
    let of = |name: Option<String>, code: &str| format!("{}（{code}）", name.unwrap_or_default());
    if let Some(code) = &f.outfall {
        of(outfall_name(place, code), code)
    } else if let Some(code) = &f.sector {
        of(sector_name(place, code), code)
    } else if let Some(code) = &f.unit {
        of(unit_name(place, code), code)
    } else if let Some(kind) = f.kind {
        kind.zh().to_owned()
    } else {
        "全湖".to_owned()
    }
}

pub(super) fn filter_words(f: &Filter, place: &Place) -> String {
    let mut words = vec![subject(f, place)];
    if let (Some(kind), true) = (f.kind, f.outfall.is_some() || f.sector.is_some() || f.unit.is_some()) {
        words.push(kind.zh().to_owned());
    }
    if let Some(patrol) = f.patrol {
        words.push(format!("巡查 {patrol}"));
    }
    match (f.from, f.to) {
        (Some(a), Some(b)) => words.push(format!("{} 至 {}", beijing_minute(a), beijing_minute(b))),
        (Some(a), None) => words.push(format!("{} 起", beijing_minute(a))),
        (None, Some(b)) => words.push(format!("截至 {}", beijing_minute(b))),
        (None, None) => words.push("全部时间".into()),
    }
    if let Some([w, s, e, n]) = f.bbox {
        words.push(format!("范围 {w}–{e}°E, {s}–{n}°N"));
    }
    words.join("；")
}

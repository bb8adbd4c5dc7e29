//! Loading and checking the place: one TOML file and four or five GeoJSON files (RFC 7946), from a folder or embedded.

mod check;
mod read;
mod shape;

use std::path::Path;

use geo::MultiPolygon;
use sha2::{Digest, Sha256};

use super::{Crs, Outfall, Place, Sector, Waypoint, Wgs84};

/// The files of a place, in the order in which they are hashed; the shipped ones are embedded.
const FILES: [(&str, &str); 5] = [
    (PLACE, include_str!("../../config/jijia/place.toml")),
    (LAKE, include_str!("../../config/jijia/lake.geojson")),
    (SECTORS, include_str!("../../config/jijia/sectors.geojson")),
    (OUTFALLS, include_str!("../../config/jijia/outfalls.geojson")),
    (STATIONS, include_str!("../../config/jijia/stations.geojson")),
];
const PLACE: &str = "place.toml";
const LAKE: &str = "lake.geojson";
const SECTORS: &str = "sectors.geojson";
const OUTFALLS: &str = "outfalls.geojson";
const STATIONS: &str = "stations.geojson";
/// Not every place draws its waypoints; without the file every outfall is one.
const WAYPOINTS: &str = "waypoints.geojson";

/// Something to mend before a place can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File name inside the folder.
    pub file: &'static str,
    /// Code of the feature or row, or its position (`feature 3`); empty when the whole file is meant.
    pub feature: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.feature.as_str() {
            "" => write!(f, "{}: {}", self.file, self.message),
            feature => write!(f, "{}, {feature}: {}", self.file, self.message),
        }
    }
}

/// Collects problems, so that one check names them all.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, file: &'static str, feature: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { file, feature: feature.into(), message: message.into() });
    }
}

/// Reads the place in `dir`: `place.toml`, `lake.geojson`, `sectors.geojson`, `outfalls.geojson` and
/// `stations.geojson`, all of them, and `waypoints.geojson` where it is there.
///
/// # Errors
/// Everything that has to be mended, in the order of the files.
pub fn load(dir: &Path) -> Result<Place, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut texts = Vec::new();
    for file in FILES.map(|(file, _)| file).into_iter().chain([WAYPOINTS]) {
        match std::fs::read(dir.join(file)).map(String::from_utf8) {
            Ok(Ok(text)) => texts.push((file, text)),
            Ok(Err(_)) => problems.add(file, "", "is not UTF-8; save it as UTF-8"),
            Err(e) if file == WAYPOINTS && e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => problems.add(file, "", format!("cannot be read ({e}); the folder of a place needs it")),
        }
    }
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    parse(&texts)
}

/// The shipped place, 示意, 非测绘.
#[must_use]
#[expect(clippy::expect_used, reason = "the files are part of the binary, and a test loads them")]
pub fn embedded() -> Place {
    parse(&FILES.map(|(file, text)| (file, text.to_owned()))).expect("the embedded place is valid")
}

/// Texts in the order of [`FILES`], and the waypoints' after them.
fn parse(texts: &[(&'static str, String)]) -> Result<Place, Vec<Problem>> {
    let mut problems = Problems::default();
    let given = |file| texts.iter().find(|(name, _)| *name == file).map(|(_, text)| text.as_str());
    let text = |file| given(file).unwrap_or_default();
    let basics = read::basics(text(PLACE), &mut problems);
    let crs = basics.as_ref().map_or_else(Crs::default, |basics| basics.crs);
    let lake = MultiPolygon::new(read::lake(text(LAKE), crs, &mut problems));
    let sectors = read::sectors(text(SECTORS), crs, &mut problems);
    let outfalls = read::outfalls(text(OUTFALLS), crs, &mut problems);
    let stations = read::stations(text(STATIONS), crs, &mut problems);
    let waypoints = match given(WAYPOINTS) {
        Some(text) => read::waypoints(text, crs, &mut problems),
        None => outfalls.iter().map(waypoint_at).collect(),
    };
    // Without place.toml nothing can be said about the rest together.
    let Some(basics) = basics else { return Err(problems.0) };
    let mut place = Place {
        name: basics.name,
        notice: basics.notice,
        hash: hash(texts),
        lake,
        neighbourhood_m: basics.neighbourhood_m,
        match_m: basics.match_m,
        waypoint_m: basics.waypoint_m,
        sectors,
        outfalls,
        waypoints,
        units: basics.units,
        stations,
        windows: basics.windows,
    };
    assign_sectors(&mut place);
    check::place(&place, &mut problems);
    if given(WAYPOINTS).is_some() {
        check::waypoints(&place, &mut problems);
    }
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    place.sectors.sort_by(|a, b| a.code.cmp(&b.code));
    place.outfalls.sort_by(|a, b| a.code.cmp(&b.code));
    place.stations.sort_by(|a, b| a.code.cmp(&b.code));
    place.units.sort_by(|a, b| a.code.cmp(&b.code));
    place.waypoints.sort_by(|a, b| a.code.cmp(&b.code));
    place.windows.sort_by_key(|w| w.from);
    Ok(place)
}

/// An outfall as the waypoint that it is where no others are drawn.
fn waypoint_at(o: &Outfall) -> Waypoint {
    Waypoint { code: o.code.clone(), name: o.name.clone(), position: o.position, sector: None }
}

/// Names and bytes, each with its length before it, so that nothing can move from one file into another unseen.
fn hash(texts: &[(&str, String)]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in texts.iter().flat_map(|(file, text)| [file.as_bytes(), text.as_bytes()]) {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

fn assign_sectors(place: &mut Place) {
    use geo::{Coord, Intersects};
    let sectors: &[Sector] = &place.sectors;
    let sector_at = |p: Wgs84| {
        let at = Coord { x: p.lng, y: p.lat };
        sectors.iter().find(|s| s.polygon.intersects(&at)).map(|s| s.code.clone())
    };
    for outfall in &mut place.outfalls {
        outfall.sector = sector_at(outfall.position);
    }
    for waypoint in &mut place.waypoints {
        waypoint.sector = sector_at(waypoint.position);
    }
}

/// ` did you mean …?`, when one of `allowed` is near.
fn suggestion(word: &str, allowed: &[&str]) -> String {
    let word = word.to_lowercase();
    let near = |candidate: &&&str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    match allowed.iter().min_by_key(near) {
        Some(best) if near(&best) <= best.len().div_ceil(3) => format!("; did you mean `{best}`?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;

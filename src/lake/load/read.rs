//! From text to rows: what one file can say about itself.

use geo::Polygon;
use geojson::{Feature, FeatureCollection, GeometryValue, JsonObject};
use jiff::civil::Time;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{LAKE, OUTFALLS, PLACE, Problems, SECTORS, STATIONS, WAYPOINTS, shape, suggestion};
use crate::lake::{Channel, Crs, DutyWindow, Outfall, Sector, Station, Unit, Waypoint};

const PLACE_KEYS: &[&str] =
    &["name", "notice", "crs", "neighbourhood_m", "match_m", "waypoint_m", "window", "unit"];
const WINDOW_KEYS: &[&str] = &["code", "name", "from", "to"];
const UNIT_KEYS: &[&str] = &["code", "name"];
const LAKE_KEYS: &[&str] = &["name", "note"];
const SECTOR_KEYS: &[&str] = &["code", "name", "community", "note"];
const OUTFALL_KEYS: &[&str] = &["code", "name", "kind", "official_codes", "unit", "note"];
const STATION_KEYS: &[&str] = &["code", "name", "channels", "note"];
const WAYPOINT_KEYS: &[&str] = &["code", "name", "note"];

/// What `place.toml` says.
pub(super) struct Basics {
    pub(super) name: String,
    pub(super) notice: String,
    pub(super) crs: Crs,
    pub(super) neighbourhood_m: f64,
    pub(super) match_m: f64,
    pub(super) waypoint_m: f64,
    pub(super) windows: Vec<DutyWindow>,
    pub(super) units: Vec<Unit>,
}

#[derive(Deserialize)]
struct PlaceFile {
    name: String,
    notice: String,
    #[serde(default)]
    crs: Crs,
    neighbourhood_m: f64,
    match_m: f64,
    /// A place drawn before there were waypoints has none of it.
    #[serde(default = "waypoint_m")]
    waypoint_m: f64,
    window: Vec<WindowRow>,
    #[serde(default)]
    unit: Vec<UnitRow>,
}

/// As wide as an outfall is found from, metres.
fn waypoint_m() -> f64 {
    30.0
}

#[derive(Deserialize)]
struct WindowRow {
    code: String,
    name: String,
    from: String,
    to: String,
}

#[derive(Deserialize)]
struct UnitRow {
    code: String,
    name: String,
}

#[derive(Deserialize)]
struct SectorProperties {
    code: String,
    name: String,
    community: String,
}

#[derive(Deserialize)]
struct OutfallProperties {
    code: String,
    name: String,
    kind: String,
    official_codes: Option<Vec<String>>,
    unit: Option<String>,
}

#[derive(Deserialize)]
struct StationProperties {
    code: String,
    name: String,
    channels: Vec<ChannelRow>,
}

#[derive(Deserialize)]
struct WaypointProperties {
    code: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelRow {
    property: String,
    every_s: u32,
}

/// One feature and how to name it.
struct Row {
    label: String,
    properties: JsonObject,
    geometry: GeometryValue,
}

pub(super) fn basics(text: &str, problems: &mut Problems) -> Option<Basics> {
    let table: toml::Table = match text.trim_start_matches('\u{feff}').parse() {
        Ok(table) => table,
        Err(e) => {
            problems.add(PLACE, "", format!("is not TOML: {}; mend that line", e.to_string().trim_end()));
            return None;
        }
    };
    check_keys(PLACE, "", table.keys(), PLACE_KEYS, problems);
    check_rows(&table, "window", WINDOW_KEYS, problems);
    check_rows(&table, "unit", UNIT_KEYS, problems);
    let file: PlaceFile = match table.try_into() {
        Ok(file) => file,
        Err(e) => {
            problems.add(PLACE, "", format!("{}; allowed keys: {}", e.message(), PLACE_KEYS.join(", ")));
            return None;
        }
    };
    Some(Basics {
        windows: file.window.iter().filter_map(|row| window(row, problems)).collect(),
        units: file.unit.into_iter().map(|u| Unit { code: u.code, name: u.name }).collect(),
        name: file.name,
        notice: file.notice,
        crs: file.crs,
        neighbourhood_m: file.neighbourhood_m,
        match_m: file.match_m,
        waypoint_m: file.waypoint_m,
    })
}

fn window(row: &WindowRow, problems: &mut Problems) -> Option<DutyWindow> {
    let mut time = |key: &str, text: &str| {
        Time::strptime("%H:%M", text)
            .map_err(|_| {
                problems.add(PLACE, &row.code, format!("{key} `{text}`: write a time of day as 06:30"));
            })
            .ok()
    };
    let (from, to) = (time("from", &row.from), time("to", &row.to));
    Some(DutyWindow { code: row.code.clone(), name: row.name.clone(), from: from?, to: to? })
}

fn check_rows(table: &toml::Table, array: &str, allowed: &[&str], problems: &mut Problems) {
    let rows = table.get(array).and_then(toml::Value::as_array).into_iter().flatten();
    for (i, row) in rows.filter_map(toml::Value::as_table).enumerate() {
        check_keys(PLACE, &format!("[[{array}]] {}", i + 1), row.keys(), allowed, problems);
    }
}

fn check_keys<'a>(
    file: &'static str,
    label: &str,
    keys: impl Iterator<Item = &'a String>,
    allowed: &[&str],
    problems: &mut Problems,
) {
    for key in keys.filter(|key| !allowed.contains(&key.as_str())) {
        let near = suggestion(key, allowed);
        problems.add(file, label, format!("unknown key `{key}`{near}; allowed: {}", allowed.join(", ")));
    }
}

pub(super) fn lake(text: &str, crs: Crs, problems: &mut Problems) -> Vec<Polygon<f64>> {
    let mut polygons = Vec::new();
    for row in rows(LAKE, text, LAKE_KEYS, problems) {
        match shape::polygons(&row.geometry, crs) {
            Ok(found) => polygons.extend(found),
            Err(message) => problems.add(LAKE, row.label, message),
        }
    }
    polygons
}

pub(super) fn sectors(text: &str, crs: Crs, problems: &mut Problems) -> Vec<Sector> {
    let mut sectors = Vec::new();
    for row in rows(SECTORS, text, SECTOR_KEYS, problems) {
        let polygon = shape::polygons(&row.geometry, crs).and_then(shape::single);
        let polygon = polygon.map_err(|message| problems.add(SECTORS, &row.label, message));
        let properties = properties::<SectorProperties>(SECTORS, row, problems);
        if let (Ok(polygon), Some(p)) = (polygon, properties) {
            sectors.push(Sector { code: p.code, name: p.name, community: p.community, polygon });
        }
    }
    sectors
}

pub(super) fn outfalls(text: &str, crs: Crs, problems: &mut Problems) -> Vec<Outfall> {
    let mut outfalls = Vec::new();
    for row in rows(OUTFALLS, text, OUTFALL_KEYS, problems) {
        let position = shape::point(&row.geometry, crs);
        let position = position.map_err(|message| problems.add(OUTFALLS, &row.label, message));
        let properties = properties::<OutfallProperties>(OUTFALLS, row, problems);
        if let (Ok(position), Some(p)) = (position, properties) {
            outfalls.push(Outfall {
                code: p.code,
                name: p.name,
                kind: p.kind,
                position,
                official_codes: p.official_codes.unwrap_or_default(),
                unit: p.unit,
                sector: None,
            });
        }
    }
    outfalls
}

pub(super) fn stations(text: &str, crs: Crs, problems: &mut Problems) -> Vec<Station> {
    let mut stations = Vec::new();
    for row in rows(STATIONS, text, STATION_KEYS, problems) {
        let position = shape::point(&row.geometry, crs);
        let position = position.map_err(|message| problems.add(STATIONS, &row.label, message));
        let properties = properties::<StationProperties>(STATIONS, row, problems);
        if let (Ok(position), Some(p)) = (position, properties) {
            let channels = p.channels.into_iter();
            let channels = channels.map(|c| Channel { property: c.property, every_s: c.every_s }).collect();
            stations.push(Station { code: p.code, name: p.name, position, channels });
        }
    }
    stations
}

pub(super) fn waypoints(text: &str, crs: Crs, problems: &mut Problems) -> Vec<Waypoint> {
    let mut waypoints = Vec::new();
    for row in rows(WAYPOINTS, text, WAYPOINT_KEYS, problems) {
        let position = shape::point(&row.geometry, crs);
        let position = position.map_err(|message| problems.add(WAYPOINTS, &row.label, message));
        let properties = properties::<WaypointProperties>(WAYPOINTS, row, problems);
        if let (Ok(position), Some(p)) = (position, properties) {
            waypoints.push(Waypoint { code: p.code, name: p.name, position, sector: None });
        }
    }
    waypoints
}

fn properties<P: DeserializeOwned>(file: &'static str, row: Row, problems: &mut Problems) -> Option<P> {
    serde_json::from_value(serde_json::Value::Object(row.properties))
        .map_err(|e| problems.add(file, row.label, format!("properties: {e}; add or mend it")))
        .ok()
}

/// The features of a file that have a geometry; the others are problems.
fn rows(file: &'static str, text: &str, allowed: &[&str], problems: &mut Problems) -> Vec<Row> {
    let collection: FeatureCollection = match text.trim_start_matches('\u{feff}').parse() {
        Ok(collection) => collection,
        Err(e) => {
            problems.add(file, "", format!("is not a GeoJSON FeatureCollection: {e}; export it as one"));
            return Vec::new();
        }
    };
    if let Some(name) = foreign_crs(&collection) {
        problems.add(file, "", format!("its coordinates are in {name}; export it in EPSG:4326 (WGS-84)"));
    }
    let mut rows = Vec::new();
    for (i, Feature { geometry, properties, .. }) in collection.features.into_iter().enumerate() {
        let properties = properties.unwrap_or_default();
        let code = properties.get("code").and_then(|code| code.as_str());
        let label = code.map_or_else(|| format!("feature {}", i + 1), str::to_owned);
        check_keys(file, &label, properties.keys(), allowed, problems);
        match geometry {
            Some(geometry) => rows.push(Row { label, properties, geometry: geometry.value }),
            None => problems.add(file, label, "has no geometry; draw it or take the feature out"),
        }
    }
    rows
}

/// The name in a `crs` member (GeoJSON of 2008, still written by desktop programs) when it is no geographic WGS-84
/// or CGCS2000.
fn foreign_crs(collection: &FeatureCollection) -> Option<String> {
    let crs = collection.foreign_members.as_ref()?.get("crs")?;
    let name = crs.pointer("/properties/name").and_then(|name| name.as_str()).unwrap_or("an unnamed system");
    let known = ["CRS84", "EPSG::4326", "EPSG:4326", "EPSG::4490", "EPSG:4490"];
    (!known.iter().any(|known| name.ends_with(known))).then(|| name.to_owned())
}
